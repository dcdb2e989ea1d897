//! 64-bit integers.

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

/// Decimal text of an integer, on the stack, with room for a type byte before it and a line end
/// after it, so that a header line is one copy.
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
    pub fn line(&mut self, mark: u8) -> &[u8] {
        self.bytes[self.start - 1] = mark;
        &self.bytes[self.start - 1..]
    }
}

/// Parses the text of an `i64`. `None` if it is not exactly what [`IntText::signed`] would write.
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

/// Length in bytes of the decimal text of `value`.
pub fn i64_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}
