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
fn other_texts_are_not_integers() {
    for text in [
        "",
        "-",
        "+1",
        "-0",
        "00",
        "01",
        "-01",
        " 1",
        "1 ",
        "1a",
        "0x1",
        "1.0",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "1111111111111111111111",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
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
        (-0.0, "0"),
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

proptest! {
    #[test]
    fn doubles_read_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let mut text = Vec::new();
        push_f64(&mut text, value);
        prop_assert_eq!(String::from_utf8(text).unwrap().parse::<f64>().unwrap(), value);
    }

    #[test]
    fn integers_read_back(n in any::<i64>(), shift in 0u32..64) {
        let n = n >> shift;
        prop_assert!(IntText::signed(n).as_bytes() == n.to_string().as_bytes());
        prop_assert_eq!(parse_i64(IntText::signed(n).as_bytes()), Some(n));
    }
}
