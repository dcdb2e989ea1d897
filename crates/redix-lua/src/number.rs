//! Numbers and their text: what C's `strtod` reads and its `printf` writes.

#[cfg(test)]
mod tests;

/// The number that a text says, with blanks around it: decimal, hexadecimal, `inf`, `nan`.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    // C's strings end at the first zero byte.
    let text = text.split(|b| *b == 0).next().unwrap_or(text);
    let is_space = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !is_space(b))?;
    let end = text.iter().rposition(|b| !is_space(b))? + 1;
    let text = &text[start..end];
    let (negative, digits) = match text[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = match digits {
        [b'0', b'x' | b'X', hex @ ..] => parse_hex(hex)?,
        [b'0'..=b'9' | b'.', ..] if digits.iter().all(is_decimal) => {
            std::str::from_utf8(digits).ok()?.parse().ok()?
        }
        _ => named(digits)?,
    };
    Some(if negative { -number } else { number })
}

fn is_decimal(b: &u8) -> bool {
    matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

fn named(word: &[u8]) -> Option<f64> {
    match word.to_ascii_lowercase().as_slice() {
        b"inf" | b"infinity" => Some(f64::INFINITY),
        b"nan" => Some(f64::NAN),
        _ => None,
    }
}

/// Hexadecimal digits with an optional point and binary exponent, rounded once.
fn parse_hex(text: &[u8]) -> Option<f64> {
    let (mut mantissa, mut exponent) = (0_u64, 0_i64);
    let (mut digits, mut point) = (0, false);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !point {
            point = true;
        } else if let Some(digit) = (byte as char).to_digit(16) {
            digits += 1;
            if mantissa >> 59 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= if point { 4 } else { 0 };
            } else {
                // Only whether something nonzero follows matters for the rounding.
                mantissa |= u64::from(digit != 0);
                exponent += if point { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if let [b'p' | b'P', power @ ..] = &text[at..] {
        let unsigned = power.strip_prefix(b"+").or(power.strip_prefix(b"-")).unwrap_or(power);
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let power: i64 = std::str::from_utf8(power).ok()?.parse().unwrap_or(match power[0] {
            b'-' => -100_000,
            _ => 100_000,
        });
        exponent += power.clamp(-100_000, 100_000);
    } else if at < text.len() {
        return None;
    }
    Some(scale(mantissa as f64, exponent))
}

/// `number * 2^exponent`.
pub(crate) fn scale(mut number: f64, mut exponent: i64) -> f64 {
    exponent = exponent.clamp(-5000, 5000);
    while exponent > 1000 {
        number *= 2_f64.powi(1000);
        exponent -= 1000;
    }
    while exponent < -1000 {
        number *= 2_f64.powi(-1000);
        exponent += 1000;
    }
    number * 2_f64.powi(exponent as i32)
}

/// Appends what `%.14g` writes: the text of a number in Lua.
pub(crate) fn push_text(out: &mut Vec<u8>, number: f64) {
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < 100_000_000_000_000 {
        if whole == 0 && number.is_sign_negative() {
            out.push(b'-');
        }
        return push_int(out, whole);
    }
    push_general(out, number, 14, false);
}

/// Appends an integer in decimal.
pub(crate) fn push_int(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `inf` or `nan` with its sign; false if the number is neither.
pub(crate) fn push_special(out: &mut Vec<u8>, number: f64) -> bool {
    if number.is_finite() {
        return false;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(if number.is_nan() { b"nan" } else { b"inf" });
    true
}

/// Appends what `%.{precision}g` writes; `alternate` keeps trailing zeros (`#`).
pub(crate) fn push_general(out: &mut Vec<u8>, number: f64, precision: usize, alternate: bool) {
    if push_special(out, number) {
        return;
    }
    let precision = precision.max(1);
    let scientific = format!("{:.*e}", precision - 1, number);
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a decimal exponent");
    let start = out.len();
    if exponent < -4 || exponent >= precision as i32 {
        out.extend_from_slice(mantissa.as_bytes());
        if !alternate {
            trim_zeros(out, start);
        }
        push_exponent(out, exponent);
    } else {
        let digits = (precision as i32 - 1 - exponent) as usize;
        out.extend_from_slice(format!("{number:.digits$}").as_bytes());
        if !alternate {
            trim_zeros(out, start);
        }
    }
}

/// Appends what `%.{precision}e` writes.
pub(crate) fn push_scientific(out: &mut Vec<u8>, number: f64, precision: usize) {
    if push_special(out, number) {
        return;
    }
    let scientific = format!("{number:.precision$e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} writes an exponent");
    out.extend_from_slice(mantissa.as_bytes());
    push_exponent(out, exponent.parse().expect("{:e} writes a decimal exponent"));
}

fn push_exponent(out: &mut Vec<u8>, exponent: i32) {
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
}

fn trim_zeros(out: &mut Vec<u8>, start: usize) {
    if out[start..].contains(&b'.') {
        while out.last() == Some(&b'0') {
            out.pop();
        }
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
}

/// The integer that C's cast of a double to `long` gives on x86-64: truncated, and the least one
/// for what does not fit.
pub(crate) fn to_i64(number: f64) -> i64 {
    match (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        true => number as i64,
        false => i64::MIN,
    }
}

/// The cast of a double to `int` on x86-64: the least one for what does not fit.
pub(crate) fn to_c_int(number: f64) -> i32 {
    match number > -2_147_483_649.0 && number < 2_147_483_648.0 {
        true => number as i32,
        false => i32::MIN,
    }
}

/// As [`to_i64`], then cut to an `int`: how the C library takes integer arguments.
pub(crate) fn to_i32(number: f64) -> i32 {
    to_i64(number) as i32
}

/// The cast of a double to `unsigned long` on x86-64.
pub(crate) fn to_u64(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    match number >= HALF {
        true => to_i64(number - HALF).cast_unsigned() ^ (1 << 63),
        false => to_i64(number).cast_unsigned(),
    }
}

/// The number that the longest possible beginning of a text says, as C's `strtod` reads it, and
/// how long that is.
pub(crate) fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let rest = &text[sign..];
    let length = match rest {
        [b'0', b'x' | b'X', hex @ ..] => match prefix_length(hex, u8::is_ascii_hexdigit, b'p') {
            0 => 1,
            length => 2 + length,
        },
        [b'0'..=b'9' | b'.', ..] => prefix_length(rest, u8::is_ascii_digit, b'e'),
        _ => [b"infinity".as_slice(), b"inf", b"nan"]
            .into_iter()
            .find(|word| rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)))
            .map_or(0, <[u8]>::len),
    };
    if length == 0 {
        return None;
    }
    let end = sign + length;
    Some((parse(&text[..end])?, end))
}

/// How long the digits are, with a point and an exponent; 0 without digits.
fn prefix_length(text: &[u8], is_digit: impl Fn(&u8) -> bool, exponent: u8) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|b| is_digit(b)).count();
    let mut end = digits(0);
    let mut count = end;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        count += fraction;
        end += 1 + fraction;
    }
    if count == 0 {
        return 0;
    }
    if text.get(end).is_some_and(|b| b.to_ascii_lowercase() == exponent) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
        let power = text[end + 1 + sign..].iter().take_while(|b| b.is_ascii_digit()).count();
        if power > 0 {
            end += 1 + sign + power;
        }
    }
    end
}
