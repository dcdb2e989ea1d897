//! Numbers as Redis reads and writes them.
//!
//! * `i64`: strict decimal text, the same both ways.
//! * `f64` (scores, RESP3 doubles): digits by Grisu2, laid out as the servers do since Redis 7.2.
//! * [`LongDouble`] (INCRBYFLOAT, HINCRBYFLOAT): the 80-bit numbers of x87, which are what the
//!   servers compute with on x86-64, emulated, so that results are theirs to the last digit on
//!   every machine.
//!
//! What is accepted and what comes out was asked of Valkey 9.1.2, Redis 7.0.15 and 8.2.3, with
//! tens of thousands of random numbers; `tests.rs` keeps the telling ones.

#[cfg(test)]
mod tests;

mod double;
mod grisu;
mod long_double;

pub use double::{format_f64, parse_f64};
pub use long_double::LongDouble;

/// Length in bytes of the decimal text of `value`.
pub fn i64_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

/// Reads a decimal `i64` the strict way: digits with at most a minus sign before them, no plus, no
/// space, no leading zero and no minus zero, so that the text of a number that parses is also the
/// text it formats to.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // 19 digits never overflow a u64.
    if digits.len() > 19 || !matches!(digits, [b'1'..=b'9', ..]) {
        return None;
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}
