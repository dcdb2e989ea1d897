//! The syntax of a configuration line: splitting it into arguments, quoting an argument, and sizes
//! with units.
//!
//! Quoting is that of the Redis command line and file: `"…"` knows `\n \r \t \a \b \xHH` and a
//! backslash before anything else; `'…'` knows only `\'`; an argument may have several quoted
//! sections. Checked against Valkey 9.1.2; Redis refuses what touches a closing quote.

use std::fmt::Write as _;

/// Splits `line` into arguments, or `None` when its quotes do not balance.
///
/// Blanks and NUL bytes separate arguments. Linear in the line; an argument is never longer than
/// the text that wrote it.
#[must_use]
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && is_blank(*first)
        {
            rest = tail;
        }
        if rest.is_empty() || rest[0] == 0 {
            return Some(args);
        }
        let mut arg = Vec::new();
        loop {
            match rest {
                [] | [0, ..] => break,
                [b, ..] if is_blank(*b) => break,
                [b'"', tail @ ..] => rest = take_double_quoted(tail, &mut arg)?,
                [b'\'', tail @ ..] => rest = take_single_quoted(tail, &mut arg)?,
                [b, tail @ ..] => {
                    arg.push(*b);
                    rest = tail;
                }
            }
        }
        args.push(arg);
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn take_double_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = tail;
            }
            [b, tail @ ..] => {
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                arg.push(b'\'');
                rest = tail;
            }
            [b, tail @ ..] => {
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10),
    }
}

/// `text` in double quotes, such that [`split_args`] gives it back.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// `word` as an argument of a line, quoted only where necessary.
#[must_use]
pub fn quote_unless_plain(word: &[u8]) -> Vec<u8> {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    match !word.is_empty() && word.iter().all(plain) {
        true => word.to_vec(),
        false => quote(word).into(),
    }
}

/// Reads a size such as `64mb` in bytes. Units, in any case: none or `b`, `k` (1000), `kb` (1024),
/// and so on for `m` and `g`. A unit without digits is zero, as in Redis.
#[must_use]
pub(crate) fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits_end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let count: u64 =
        if digits.is_empty() { 0 } else { str::from_utf8(digits).ok()?.parse().ok()? };
    count.checked_mul(factor)
}

/// Writes `bytes` with the largest unit that divides it, the form used in files.
#[must_use]
pub(super) fn memory_text(bytes: u64) -> String {
    for (factor, unit) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// Parses an integer as the C library's `strtoll` does, which some directives use: any sign,
/// leading zeros, and 0 for an empty text. Beyond 64 bits is `None`.
#[must_use]
pub(super) fn parse_loosely(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    match (text, digits.iter().all(u8::is_ascii_digit)) {
        ([], _) => Some(0),
        (_, true) => str::from_utf8(text).ok()?.parse().ok(),
        (_, false) => None,
    }
}

/// Parses an integer as strictly as Redis does: an optional minus, no plus, no blanks, no leading
/// zeros.
#[must_use]
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = digits.iter().all(u8::is_ascii_digit);
    let canonical = !digits.starts_with(b"0") || text == b"0";
    if plain && canonical { str::from_utf8(text).ok()?.parse().ok() } else { None }
}
