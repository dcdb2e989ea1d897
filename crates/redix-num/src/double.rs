//! 64-bit floating point numbers.

use crate::grisu;
use crate::integer::IntText;

/// Integers up to this magnitude are written without an exponent, digit by digit.
const INTEGER_MAX: f64 = 4_611_686_018_427_387_904.0;

/// Parses a double: decimal, with or without point and exponent, or `inf` and `infinity` in any
/// case, all with an optional sign. `None` for anything else, for NaN, on overflow and on underflow
/// to zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = text.iter().take_while(|&&byte| !matches!(byte, b'e' | b'E'));
    let named = text.iter().any(|&byte| matches!(byte, b'n' | b'N'));
    let lost = if value.is_infinite() {
        !named
    } else {
        value == 0.0 && mantissa.into_iter().any(|byte| matches!(byte, b'1'..=b'9'))
    };
    (!value.is_nan() && !lost).then_some(value)
}

/// Appends the text of a double: few digits that round-trip, in plain notation where that is short
/// and with an exponent otherwise; `inf`, `-inf`, `nan`. At most 25 bytes.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        out.extend_from_slice(IntText::signed(value as i64).as_bytes());
    } else {
        push_shortest(out, value);
    }
}

/// As [`push_f64`], but integers too get an exponent where that is shorter by enough: `1e+8`.
pub fn push_f64_compact(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() && value != 0.0 {
        push_shortest(out, value);
    } else {
        push_f64(out, value);
    }
}

/// Appends the text of a double with up to 17 significant digits, without trailing zeros, like
/// `%.17g` of C: it always round-trips, but is often longer than needed.
pub fn push_f64_exact(out: &mut Vec<u8>, value: f64) {
    const DIGITS: i32 = 17;
    if !value.is_finite() || value == 0.0 {
        return push_f64(out, value);
    }
    let text = format!("{value:.16e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let negative = mantissa.starts_with('-');
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let kept = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..kept];
    out.extend_from_slice(if negative { b"-" } else { b"" });
    match exponent {
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.extend_from_slice(digits);
        }
        0..DIGITS => {
            let whole = exponent as usize + 1;
            out.extend_from_slice(&digits[..whole.min(kept)]);
            out.resize(out.len() + whole.saturating_sub(kept), b'0');
            if kept > whole {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
        _ => {
            out.push(digits[0]);
            if kept > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
        }
    }
}

/// The general case. Which notation is chosen depends on the number of digits and on where the
/// point falls, not on the size of the number alone: 12345.5 is plain, 10928588.983213553 is not.
fn push_shortest(out: &mut Vec<u8>, value: f64) {
    let mut digits = [0; grisu::DIGITS_MAX];
    let (count, scale) = grisu::digits_of(value.abs(), &mut digits);
    let digits = &digits[..count];
    let exponent = scale + count as i32 - 1;
    if value < 0.0 {
        out.push(b'-');
    }
    if scale >= 0 && exponent < count as i32 + 7 {
        out.extend_from_slice(digits);
        out.resize(out.len() + scale as usize, b'0');
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let whole = count as i32 + scale;
        if whole > 0 {
            out.extend_from_slice(&digits[..whole as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole as usize..]);
        } else {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + whole.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        let magnitude = u64::from(exponent.unsigned_abs());
        out.extend_from_slice(IntText::unsigned(magnitude).as_bytes());
    }
}
