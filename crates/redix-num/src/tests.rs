#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn integers_have_one_text() {
    for n in [0, 1, 9, 10, 42, 99, 100, 101, 999, 1000, 1005, 65_536, i64::MAX, i64::MIN, -1, -10] {
        let text = IntText::signed(n);
        assert_eq!(text.as_bytes(), n.to_string().as_bytes());
        assert_eq!(parse_i64(text.as_bytes()), Some(n));
    }
    assert_eq!(IntText::unsigned(u64::MAX).as_bytes(), u64::MAX.to_string().as_bytes());
}

#[test]
fn integers_are_strict() {
    for (text, expected) in [
        ("0", Some(0)),
        ("1", Some(1)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("", None),
        ("-", None),
        ("+1", None),
        ("-0", None),
        ("00", None),
        ("01", None),
        ("-01", None),
        (" 1", None),
        ("1 ", None),
        ("1a", None),
        ("--1", None),
        ("1.0", None),
        ("0x1", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), expected, "{text}");
    }
}

/// Answers of `ZSCORE` of Valkey 9.1.2 and Redis 8.2.3, which agree.
#[expect(clippy::excessive_precision, reason = "the numbers as they were sent")]
#[test]
fn doubles_are_laid_out_as_scores() {
    for (value, expect) in [
        (3.1, "3.1"),
        (0.1, "0.1"),
        (1e20, "1e+20"),
        (1e22, "1e+22"),
        (123456789012345680.0, "123456789012345680"),
        (1234567890123456789.0, "1234567890123456768"),
        (1e17, "100000000000000000"),
        (9007199254740993.0, "9007199254740992"),
        (9223372036854775807.0, "9223372036854776000"),
        (-9223372036854775808.0, "-9223372036854776000"),
        (9.2233720368547748e18, "9223372036854775000"),
        (1.8446744073709552e19, "18446744073709552000"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-5, "0.000015"),
        (1.5e-10, "1.5e-10"),
        (-1e-10, "-1e-10"),
        (1.2345e-5, "1.2345e-5"),
        (0.00123, "0.00123"),
        (123.456, "123.456"),
        (12345678.9, "12345678.9"),
        (123456789.123456789, "1.2345678912345679e+8"),
        (1234567890123456.7, "1234567890123456.7"),
        (12345678901234567.8, "12345678901234568"),
        (0.30000000000000004, "0.30000000000000004"),
        (1e100, "1e+100"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (1.23e25, "1.23e+25"),
        (12345e17, "1234499999999999900000"),
        (2.5e22, "24999999999999998000000"),
        (1e21, "1e+21"),
        (2.5e21, "2.5e+21"),
        (-1e20, "-1e+20"),
        (-5.77897104765421e21, "-5778971047654210000000"),
        (1.2e-323, "1e-323"),
        (-0.0, "-0"),
        (-1.5, "-1.5"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        let mut text = Vec::new();
        push_f64(&mut text, value);
        assert_eq!(String::from_utf8(text).unwrap(), expect, "{value:e}");
    }
}

/// As the digests of Valkey 9.1.2 and Redis 8.2.3 show.
#[test]
fn integers_in_compact_form() {
    for (value, expect) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (10_000_000.0, "10000000"),
        (100_000_000.0, "1e+8"),
        (1_700_000_000.0, "1.7e+9"),
        (1_234_567_890.0, "1234567890"),
        (4_611_686_018_427_387_904.0, "4611686018427388000"),
        (-1e18, "-1e+18"),
        (0.1, "0.1"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let mut text = Vec::new();
        push_f64_compact(&mut text, value);
        assert_eq!(String::from_utf8(text).unwrap(), expect, "{value:e}");
    }
}

/// Texts that ZSCORE of Valkey 9.1.2 and Redis 8.2.3 gives. Whole numbers up to 2^62 are written as
/// integers; 934.7034519592939 is a number whose closest shortest digits would be others.
#[test]
fn doubles_look_as_on_the_servers() {
    for (text, expected) in [
        ("0", "0"),
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("1e20", "1e+20"),
        ("1e21", "1e+21"),
        ("123456789012345680000", "123456789012345680000"),
        ("1e-7", "1e-7"),
        ("1e-6", "0.000001"),
        ("0.0001", "0.0001"),
        ("0.00012345", "1.2345e-4"),
        ("0.12345", "0.12345"),
        ("1.2345678901234567e-5", "1.2345678901234568e-5"),
        ("12345.5", "12345.5"),
        ("1234567.8", "1234567.8"),
        ("10928588.983213553", "1.0928588983213553e+7"),
        ("5e-324", "5e-324"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740993", "9007199254740992"),
        ("4611686018427387904", "4611686018427387904"),
        ("4611686018427388928", "4611686018427389000"),
        ("-4611686018427387904", "-4611686018427387904"),
        ("9223372036854775807", "9223372036854776000"),
        ("934.7034519592939", "934.7034519592939"),
        ("6289.4000000000005", "6289.4000000000005"),
        ("-14850.7675663", "-1.4850767566300001e+4"),
        ("31336770023199998000", "31336770023199998000"),
        ("1e17", "100000000000000000"),
        ("100000.5", "100000.5"),
        ("inf", "inf"),
        ("-Infinity", "-inf"),
        ("-0", "-0"),
    ] {
        let mut out = Vec::new();
        push_f64(&mut out, parse_f64(text.as_bytes()).unwrap());
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{text}");
    }
}

/// What ZSCAN of Valkey 9.1.2 and ZSCORE of Redis 7.0.15 give.
#[test]
fn doubles_have_up_to_17_digits_as_on_the_servers() {
    for (text, expected) in [
        ("0", "0"),
        ("-0", "-0"),
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("3.1", "3.1000000000000001"),
        ("0.1", "0.10000000000000001"),
        ("100", "100"),
        ("0.0001", "0.0001"),
        ("0.00001", "1.0000000000000001e-05"),
        ("1e-7", "9.9999999999999995e-08"),
        ("1e16", "10000000000000000"),
        ("1e17", "1e+17"),
        ("12345678901234567", "12345678901234568"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("1e20", "1e+20"),
        ("5e-324", "4.9406564584124654e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1234.5", "1234.5"),
        ("inf", "inf"),
        ("-inf", "-inf"),
    ] {
        let mut out = Vec::new();
        push_f64_exact(&mut out, parse_f64(text.as_bytes()).unwrap());
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{text}");
    }
}

/// Scores that ZADD of Valkey 9.1.2 refuses.
#[test]
fn doubles_are_refused_as_on_the_servers() {
    for text in [
        "",
        " 1",
        "1 ",
        "nan",
        "NaN(1)",
        "Infinit",
        "0x10",
        ".",
        "1e",
        "1e+",
        "--1",
        "1_0",
        "1,5",
        "1e4931",
        "-1e400",
        "1e-400",
        "1e-99999999999999999999",
        "\t1",
        "1\0",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
    for text in ["0e99999999999999999", "0.0000e-99999", "+1", ".5", "5.", "1E+5", "+INF"] {
        assert!(parse_f64(text.as_bytes()).is_some(), "{text}");
    }
}

proptest! {
    #[test]
    fn integers_read_back(value in any::<i64>(), shift in 0u32..64) {
        let value = value >> shift;
        let text = value.to_string();
        prop_assert_eq!(parse_i64(text.as_bytes()), Some(value));
        prop_assert!(IntText::signed(value).as_bytes() == text.as_bytes());
        prop_assert_eq!(i64_len(value), text.len());
    }

    /// A text that parses is the one that the number formats to.
    #[test]
    fn integer_text_is_canonical(text in "-{0,2}[0-9]{0,21}") {
        if let Some(value) = parse_i64(text.as_bytes()) {
            prop_assert_eq!(value.to_string(), text);
        } else {
            prop_assert!(text.parse::<i64>().map_or(true, |value| value.to_string() != text));
        }
    }

    #[test]
    fn doubles_read_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        for push in [push_f64, push_f64_compact] {
            let mut text = Vec::new();
            push(&mut text, value);
            prop_assert!(text.len() <= 25);
            prop_assert_eq!(parse_f64(&text), Some(value));
        }
    }

    #[test]
    fn any_bytes_parse_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (parse_i64(&text), parse_f64(&text));
    }
}
