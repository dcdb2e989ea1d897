use proptest::prelude::*;

use super::{
    parse, parse_prefix, push_general, push_text, scale, to_c_int, to_i32, to_i64, to_u64,
};

fn text(number: f64) -> String {
    let mut out = Vec::new();
    push_text(&mut out, number);
    String::from_utf8(out).expect("it is ASCII")
}

#[test]
fn numbers_are_written_as_printf_writes_them() {
    for (number, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-15.0, "-15"),
        (0.1, "0.1"),
        (1e14, "1e+14"),
        (99_999_999_999_999.0, "99999999999999"),
        (123_456_789_012_345.0, "1.2345678901234e+14"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (1e100, "1e+100"),
        (1.0 / 3.0, "0.33333333333333"),
        (f64::MAX, "1.7976931348623e+308"),
        (5e-324, "4.9406564584125e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "-nan"),
        (2_f64.powi(53), "9.007199254741e+15"),
    ] {
        assert_eq!(text(number), expected);
    }
}

#[test]
fn texts_are_read_as_strtod_reads_them() {
    for (text, expected) in [
        ("10", Some(10.0)),
        ("  12  ", Some(12.0)),
        ("\t-1.5e3\n", Some(-1500.0)),
        (".5", Some(0.5)),
        ("5.", Some(5.0)),
        ("0x10", Some(16.0)),
        ("-0xff", Some(-255.0)),
        ("0x.8", Some(0.5)),
        ("0x1p4", Some(16.0)),
        ("0x1p-1", Some(0.5)),
        ("inf", Some(f64::INFINITY)),
        ("-Infinity", Some(f64::NEG_INFINITY)),
        ("1\0junk", Some(1.0)),
        ("1e400", Some(f64::INFINITY)),
        ("", None),
        (" ", None),
        (".", None),
        ("1e", None),
        ("0x", None),
        ("0x1p", None),
        ("1 2", None),
        ("1_0", None),
        ("--1", None),
        ("e5", None),
        ("infx", None),
    ] {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }
    // More digits than a mantissa has: rounded once.
    assert_eq!(parse(b"0x20000000000001"), Some(9_007_199_254_740_992.0));
    assert_eq!(parse(b"0x20000000000003"), Some(9_007_199_254_740_996.0));
    assert_eq!(parse(b"0x1fffffffffffffffffff1"), Some(2_f64.powi(81)));
}

#[test]
fn prefixes_end_where_strtod_stops() {
    for (text, expected) in [
        ("12,", Some((12.0, 2))),
        ("1e]", Some((1.0, 1))),
        ("1e+", Some((1.0, 1))),
        ("1.5e3x", Some((1500.0, 5))),
        ("0x", Some((0.0, 1))),
        ("0xfg", Some((15.0, 3))),
        ("-infinityx", Some((f64::NEG_INFINITY, 9))),
        ("+1", Some((1.0, 2))),
        ("-", None),
        ("x", None),
        (".", None),
    ] {
        assert_eq!(parse_prefix(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn casts_are_those_of_the_processor() {
    for (number, as_i64, as_c_int, as_u64) in [
        (1.9, 1, 1, 1),
        (-1.9, -1, -1, u64::MAX),
        (2_f64.powi(31), 1 << 31, i32::MIN, 1 << 31),
        (2_f64.powi(63), i64::MIN, i32::MIN, 1 << 63),
        (2_f64.powi(64), i64::MIN, i32::MIN, 0),
        (-1e300, i64::MIN, i32::MIN, 1 << 63),
        (f64::NAN, i64::MIN, i32::MIN, 1 << 63),
    ] {
        assert_eq!((to_i64(number), to_c_int(number)), (as_i64, as_c_int), "{number}");
        assert_eq!(to_u64(number), as_u64, "{number}");
    }
    assert_eq!(to_i32(2_f64.powi(32) + 2.0), 2);
}

proptest! {
    #[test]
    fn seventeen_digits_read_back(number in any::<f64>()) {
        let mut out = Vec::new();
        push_general(&mut out, number, 17, false);
        let back = parse(&out).expect("a number was written");
        prop_assert!(back == number || (back.is_nan() && number.is_nan()));
    }

    #[test]
    fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        parse(&text);
        if let Some((_, length)) = parse_prefix(&text) {
            prop_assert!(length <= text.len());
        }
    }

    #[test]
    fn texts_of_number_characters_too(text in "[-+0-9a-fA-Fxp.einINFnat ]{0,24}") {
        if let Some((number, length)) = parse_prefix(text.as_bytes()) {
            let whole = parse(&text.as_bytes()[..length]).expect("the prefix is a number");
            prop_assert!(number == whole || number.is_nan());
        }
    }

    #[test]
    fn scaling_is_exact(exponent in -1000_i64..1000) {
        prop_assert_eq!(scale(1.5, exponent), 1.5 * 2_f64.powi(exponent as i32));
    }
}
