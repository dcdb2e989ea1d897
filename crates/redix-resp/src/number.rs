//! Numbers as the protocol writes and reads them.
//!
//! Integers are strict: no sign but a single `-`, no leading zeros, no spaces, so that one number
//! has one text. Doubles are written with the few digits that read back as the same number, found
//! and laid out as Valkey 8 and 9 and Redis 8 do it (Redis 7.0 prints 17 digits instead).

mod grisu;

use grisu::Digits;

/// Room for any `i64` or `u64` in decimal.
pub const INT_TEXT_MAX: usize = 20;

/// "00", "01", … "99", so that an integer is written two digits at a time.
static DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut table = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
};

/// Decimal text of an integer, on the stack, with room for a mark before it and a line end behind,
/// so that a header line is one copy.
pub struct IntText {
    bytes: [u8; DIGITS_END + 2],
    start: usize,
}

const DIGITS_END: usize = 1 + INT_TEXT_MAX;

impl IntText {
    /// Text of a signed integer.
    #[inline]
    pub fn signed(n: i64) -> Self {
        let mut text = Self::unsigned(n.unsigned_abs());
        if n < 0 {
            // 19 digits at most for |i64::MIN|, so a byte before them is free.
            text.start -= 1;
            text.bytes[text.start] = b'-';
        }
        text
    }

    /// Text of an unsigned integer.
    #[inline]
    pub fn unsigned(mut n: u64) -> Self {
        let mut bytes = [0; DIGITS_END + 2];
        bytes[DIGITS_END..].copy_from_slice(b"\r\n");
        let mut start = DIGITS_END;
        while n >= 10 {
            start -= 2;
            bytes[start..start + 2].copy_from_slice(&DIGIT_PAIRS[(n % 100) as usize]);
            n /= 100;
        }
        if start == DIGITS_END || n > 0 {
            start -= 1;
            bytes[start] = b'0' + n as u8;
        }
        Self { bytes, start }
    }

    /// The digits, with a `-` in front where the number is negative.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..DIGITS_END]
    }

    /// `mark`, the digits and CR LF.
    #[inline]
    pub(crate) fn line(&mut self, mark: u8) -> &[u8] {
        self.bytes[self.start - 1] = mark;
        &self.bytes[self.start - 1..]
    }
}

/// Reads the text of an `i64`. None if it is not exactly what [`IntText::signed`] would write.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < INT_TEXT_MAX => {}
        _ => return None,
    }
    let mut value: u64 = 0; // 19 digits always fit
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Appends the text of a double: `inf`, `-inf`, `nan`, or a short decimal that reads back as the
/// same number, in the digits and the layout of the real servers' scores.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    /// Integral values up to here are written as integers; beyond, by their shortest digits.
    const INTEGER_MAX: f64 = (1u64 << 62) as f64;
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
        out.extend_from_slice(IntText::signed(value as i64).as_bytes());
    } else {
        push_fraction(out, value);
    }
}

/// The layout for finite values that are not written as integers. With the decimal digits `d` of
/// the value and `value = d × 10^exp10`: zeros are appended to large values while they are few, a
/// decimal point is set while the value is not too small, and the rest is scientific.
fn push_fraction(out: &mut Vec<u8>, value: f64) {
    /// Zeros that may stand for missing digits before the exponent form is shorter.
    const ZEROS_MAX: i32 = 7;
    if value < 0.0 {
        out.push(b'-');
    }
    let digits = Digits::of(value.abs());
    let exp10 = digits.exp10;
    let digits = digits.as_bytes();
    let count = digits.len() as i32;
    let scale = exp10 + count - 1;
    if (0..=ZEROS_MAX).contains(&exp10) {
        out.extend_from_slice(digits);
        out.resize(out.len() + exp10.unsigned_abs() as usize, b'0');
    } else if exp10 < 0 && (exp10 > -7 || scale.abs() < 4) {
        let point = count + exp10;
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(point.unsigned_abs() as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if scale < 0 { b"e-" } else { b"e+" });
        out.extend_from_slice(IntText::unsigned(u64::from(scale.unsigned_abs())).as_bytes());
    }
}

#[cfg(test)]
mod tests;
