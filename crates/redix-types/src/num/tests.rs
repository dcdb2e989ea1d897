#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

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

proptest! {
    #[test]
    fn integers_read_back(value in any::<i64>(), shift in 0u32..64) {
        let value = value >> shift;
        let text = value.to_string();
        prop_assert_eq!(parse_i64(text.as_bytes()), Some(value));
        prop_assert_eq!(i64_len(value), text.len());
    }

    /// Whatever parses is the very text that the number formats to.
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
        let mut text = Vec::new();
        format_f64(value, &mut text);
        prop_assert!(text.len() <= 25);
        prop_assert_eq!(parse_f64(&text), Some(value));
    }

    #[test]
    fn any_bytes_parse_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (parse_i64(&text), parse_f64(&text), LongDouble::parse(&text));
    }

    /// Text that almost is a number; what parses is written and read back without loss where the
    /// 17 decimals suffice.
    #[test]
    fn long_doubles_read_back(
        text in "[+-]?(0x)?[0-9a-f]{0,20}\\.?[0-9]{0,9}([ep][+-]?[0-9]{0,5})?"
    ) {
        if let Some(value) = LongDouble::parse(text.as_bytes()) {
            let once = value.to_text();
            let twice = LongDouble::parse(&once).unwrap().to_text();
            prop_assert_eq!(once, twice);
        }
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
        format_f64(parse_f64(text.as_bytes()).unwrap(), &mut out);
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

/// What `SET k a; INCRBYFLOAT k b` leaves in `k` on Valkey 9.1.2 and both Redis versions; None
/// where they say that it is not a valid float.
#[test]
fn long_doubles_add_as_on_the_servers() {
    for (a, b, expected) in [
        ("0", "1", Some("1")),
        ("3.0e3", "200", Some("3200")),
        ("10.5", "0.1", Some("10.6")),
        ("5.0e3", "-1.0e3", Some("4000")),
        ("0.1", "0.2", Some("0.3")),
        ("4.35", "0.01", Some("4.36")),
        ("0.1", "-0.1", Some("0")),
        ("0", "0x10", Some("16")),
        ("0", "-0x.8p1", Some("-1")),
        ("0", "0X1P+2", Some("4")),
        ("0", "0x1.", Some("1")),
        ("0", ".5", Some("0.5")),
        ("5.", "+1", Some("6")),
        ("00001", "0", Some("1")),
        ("0", "1e-17", Some("0.00000000000000001")),
        ("0", "5e-18", Some("0")),
        ("0", "15e-18", Some("0.00000000000000002")),
        ("0", "25e-18", Some("0.00000000000000002")),
        ("-1e-18", "0", Some("0")),
        ("0", "-0", Some("0")),
        ("17179869184", "1.5", Some("17179869185.5")),
        ("18446744073709551616", "0.5", Some("18446744073709551616")),
        ("18446744073709551615", "0", Some("18446744073709551615")),
        ("9223372036854775807", "1", Some("9223372036854775808")),
        ("1e30", "1", Some("1000000000000000000024696061952")),
        ("123456789012345678901234567890", "0", Some("123456789012345678899921813504")),
        ("0", "1e40", Some("9999999999999999999783686092270256259072")),
        ("3.14159265358979323846", "2.71828182845904523536", Some("5.85987448204883847")),
        ("1.0000000000000000001", "1e-19", Some("1")),
        ("0", "1e-4950", Some("0")),
        ("0", "1e-4951", None),
        ("0", "0x1p-16445", Some("0")),
        ("0", "0x1p-16446", None),
        ("0", "0x1.8p-16446", Some("0")),
        ("0", "1.2e4932", None),
        ("0", "0e99999999999999999", Some("0")),
        ("0", "1e-99999999999999999999", None),
        ("0", "nan", None),
        ("0", "", None),
        ("0", " 1", None),
        ("0", "1 ", None),
        ("0", ".", None),
        ("0", "1e", None),
        ("0", "1e+", None),
        ("0", "0x", None),
        ("0", "0x.p1", None),
        ("0", "0x1p", None),
        ("0", "--1", None),
        ("0", "Infinit", None),
    ] {
        let sum = LongDouble::parse(a.as_bytes())
            .zip(LongDouble::parse(b.as_bytes()))
            .map(|(a, b)| String::from_utf8((a + b).to_text()).unwrap());
        assert_eq!(sum.as_deref(), expected, "{a} + {b}");
    }
}

#[test]
fn long_doubles_reach_their_limits() {
    let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
    assert!(!(parse("1e4932") + parse("1e4932")).is_finite());
    assert_eq!((parse("inf") + parse("-Infinity")).to_text(), b"nan");
    assert_eq!(parse("-inf").to_text(), b"-inf");
    let largest = parse("1.18973149535723176502e+4932").to_text();
    assert_eq!(largest.len(), 4933);
    assert!(largest.starts_with(b"11897314953572317650212638530309702051690633222946"));
    assert!(largest.ends_with(b"849149662444156604419552086811989770240"));
    assert_eq!(LongDouble::from(i64::MIN).to_text(), b"-9223372036854775808");
    assert!(LongDouble::parse(&[b'0'; 5119]).is_some());
    assert!(LongDouble::parse(&[b'0'; 5120]).is_none());
}
