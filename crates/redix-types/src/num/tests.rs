#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_bytes_parse_or_not(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = LongDouble::parse(&text);
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

#[test]
fn seconds_become_milliseconds_rounded_up() {
    let check = |text: &str| LongDouble::parse(text.as_bytes()).unwrap().thousandfold();
    for (text, expect) in [
        ("0", Some(0)),
        ("1", Some(1000)),
        ("0.0001", Some(1)),
        ("1.0001", Some(1001)),
        ("0.1", Some(100)),
        ("-0.0001", Some(0)),
        // The servers take it as no timeout.
        ("-0.001", Some(0)),
        ("-1", Some(-1000)),
        ("9223372036854775", Some(9_223_372_036_854_775_000)),
        ("9223372036854776", None),
        ("1e300", None),
        ("inf", None),
        ("-inf", Some(i64::MIN)),
        ("-1e300", Some(i64::MIN)),
    ] {
        assert_eq!(check(text), expect, "{text}");
    }
}
