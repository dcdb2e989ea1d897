//! 80-bit extended precision, as INCRBYFLOAT computes.

use std::ops::{Add, Neg, Sub};

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

/// Texts of this length or more are refused, as on the servers.
const TEXT_LEN_MAX: usize = 5 * 1024;

/// Decimals after the point, before trailing zeros are removed.
const DECIMALS: u32 = 17;

/// An 80-bit extended precision number: a sign, 64 bits of mantissa, 15 bits of exponent. May be
/// infinite or, after an addition, not a number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LongDouble(X87DoubleExtended);

impl From<i64> for LongDouble {
    /// Exact: every `i64` fits the mantissa.
    fn from(value: i64) -> Self {
        LongDouble(X87DoubleExtended::from_i128(value.into()).value)
    }
}

impl Add for LongDouble {
    type Output = LongDouble;

    /// The sum, rounded to nearest, ties to even.
    fn add(self, other: LongDouble) -> LongDouble {
        LongDouble(self.0.add_r(other.0, Round::NearestTiesToEven).value)
    }
}

impl Sub for LongDouble {
    type Output = LongDouble;

    /// The difference, rounded to nearest, ties to even.
    fn sub(self, other: LongDouble) -> LongDouble {
        LongDouble(self.0.sub_r(other.0, Round::NearestTiesToEven).value)
    }
}

impl Neg for LongDouble {
    type Output = LongDouble;

    fn neg(self) -> LongDouble {
        LongDouble(-self.0)
    }
}

impl LongDouble {
    /// The largest finite number.
    pub fn largest() -> LongDouble {
        LongDouble(X87DoubleExtended::largest())
    }

    /// Parses decimal or `0x` hexadecimal text, with or without point and exponent, or `inf` and
    /// `infinity` in any case, all with an optional sign. `None` for anything else, for NaN, for
    /// texts of 5 KB and more, on overflow and on underflow to zero.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_LEN_MAX {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude =
            if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
                X87DoubleExtended::INFINITY
            } else {
                parse_magnitude(rest)?
            };
        Some(LongDouble(if negative { -magnitude } else { magnitude }))
    }

    /// Whether the value is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// A thousand times the value, rounded up to an integer; `None` on overflow, the least integer
    /// on negative overflow.
    pub fn thousandfold(self) -> Option<i64> {
        let thousand = LongDouble::from(1000);
        let product = self.0.mul_r(thousand.0, Round::NearestTiesToEven).value;
        let mut exact = false;
        let rounded = product.to_i128_r(64, Round::TowardPositive, &mut exact);
        if !rounded.status.contains(Status::INVALID_OP) {
            return i64::try_from(rounded.value).ok();
        }
        product.is_negative().then_some(i64::MIN)
    }

    /// The value in plain notation: 17 decimals, rounded, without trailing zeros. Infinity and NaN
    /// are `inf`, `-inf` and `nan`. At most 4,952 bytes.
    pub fn to_text(self) -> Vec<u8> {
        if self.0.is_nan() {
            return b"nan".to_vec();
        }
        let mut out = Vec::new();
        if self.0.is_negative() {
            out.push(b'-');
        }
        if self.0.is_infinite() {
            out.extend_from_slice(b"inf");
            return out;
        }
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let biased = (bits >> 64) as i32 & 0x7fff;
        // The value is mantissa * 2^exponent; subnormal numbers share the smallest exponent.
        let exponent = biased.max(1) - 16383 - 63;
        match u32::try_from(exponent) {
            Ok(shift) => push_large(mantissa, shift, &mut out),
            Err(_) => push_with_decimals(mantissa, exponent.unsigned_abs(), &mut out),
        }
        if out == b"-0" {
            out.remove(0);
        }
        out
    }
}

/// Parses a number without sign.
fn parse_magnitude(text: &[u8]) -> Option<X87DoubleExtended> {
    let (hex, rest) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let is_digit = |byte: u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let mark = if hex { b'p' } else { b'e' };
    let mantissa_len = rest.iter().take_while(|&&byte| is_digit(byte) || byte == b'.').count();
    let (mantissa, tail) = rest.split_at(mantissa_len);
    let points = mantissa.iter().filter(|&&byte| byte == b'.').count();
    if points > 1 || mantissa.len() == points {
        return None;
    }
    let exponent = match tail {
        [] => 0,
        [first, exponent @ ..] if first.to_ascii_lowercase() == mark => parse_exponent(exponent)?,
        _ => return None,
    };
    let mantissa = std::str::from_utf8(mantissa).expect("digits and a point are ASCII");
    let zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if zero {
        return Some(X87DoubleExtended::ZERO);
    }
    let normal =
        if hex { format!("0x{mantissa}p{exponent}") } else { format!("{mantissa}e{exponent}") };
    let value = X87DoubleExtended::from_str_r(&normal, Round::NearestTiesToEven).ok()?.value;
    (value.is_finite() && !value.is_zero()).then_some(value)
}

/// Parses an exponent, saturating beyond any possible effect.
fn parse_exponent(text: &[u8]) -> Option<i32> {
    const BEYOND: i32 = 30_000;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude =
        digits.iter().fold(0i32, |sum, digit| BEYOND.min(sum * 10 + i32::from(digit - b'0')));
    Some(if negative { -magnitude } else { magnitude })
}

/// Appends mantissa / 2^shift, for a shift of at least one.
fn push_with_decimals(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    // Below 2^64 * 10^17 < 2^121, so that this is exact.
    let scaled = u128::from(mantissa) * 10u128.pow(DECIMALS);
    let rounded = match shift {
        0..=127 => {
            let quotient = scaled >> shift;
            let remainder = scaled & ((1 << shift) - 1);
            let half = 1 << (shift - 1);
            let up = remainder > half || (remainder == half && quotient & 1 == 1);
            quotient + u128::from(up)
        }
        _ => 0,
    };
    let unit = 10u128.pow(DECIMALS);
    out.extend_from_slice(itoa::Buffer::new().format(rounded / unit).as_bytes());
    let mut decimals = rounded % unit;
    if decimals == 0 {
        return;
    }
    let mut width = DECIMALS as usize;
    while decimals.is_multiple_of(10) {
        decimals /= 10;
        width -= 1;
    }
    out.extend_from_slice(format!(".{decimals:0width$}").as_bytes());
}

/// Appends mantissa * 2^shift, a whole number of up to 4,933 digits.
fn push_large(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    const LIMB: u64 = 1_000_000_000;
    const STEP: u32 = 32;
    // Limbs of nine decimal digits, the lowest first.
    let mut limbs = vec![mantissa % LIMB, mantissa / LIMB % LIMB, mantissa / LIMB / LIMB];
    let mut left = shift;
    while left > 0 {
        let step = left.min(STEP);
        let mut carry = 0;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        left -= step;
    }
    while limbs.len() > 1 && limbs.last() == Some(&0) {
        limbs.pop();
    }
    let mut limbs = limbs.iter().rev();
    let first = limbs.next().expect("there are limbs even for zero");
    out.extend_from_slice(itoa::Buffer::new().format(*first).as_bytes());
    for limb in limbs {
        out.extend_from_slice(format!("{limb:09}").as_bytes());
    }
}
