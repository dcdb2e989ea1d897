//! `string.format`: what C's `printf` does with one value at a time.

use crate::engine::{Engine, Host};
use crate::number;
use crate::vm::{Args, Result};

/// A conversion between `%` and its letter.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Strings from this length on are not formatted unless they have a precision.
const LONG: usize = 100;

pub(super) fn format(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let template = e.check_string(args, 0)?;
    let mut out = Vec::new();
    let mut at = 0;
    let mut arg = 0;
    while let Some(&byte) = e.bytes(template).get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        if e.bytes(template).get(at) == Some(&b'%') {
            at += 1;
            out.push(b'%');
            continue;
        }
        let spec = match Spec::parse(e.bytes(template), &mut at) {
            Ok(spec) => spec,
            Err(message) => return Err(e.error_at(1, message.as_bytes())),
        };
        arg += 1;
        let letter = e.bytes(template).get(at).copied().unwrap_or(0);
        at += 1;
        if arg >= args.count {
            return Err(e.argument_error(arg, "no value"));
        }
        if !convert(e, args, arg, &spec, letter, &mut out)? {
            let message = match letter {
                0 => b"invalid option '%".to_vec(),
                letter => [b"invalid option '%", [letter].as_slice()].concat(),
            };
            return Err(e.error_at(1, &[&message, b"' to 'format'".as_slice()].concat()));
        }
        e.reserve(out.len())?;
    }
    e.spend(host, out.len() / 64)?;
    e.give_vec(out)
}

/// Appends an argument; false if there is no such conversion.
fn convert(
    e: &mut Engine,
    args: Args,
    arg: usize,
    spec: &Spec,
    letter: u8,
    out: &mut Vec<u8>,
) -> Result<bool> {
    match letter {
        b'c' => {
            let code = number::to_c_int(e.check_number(args, arg)?);
            let start = out.len();
            spec.pad(&[code as u8], out);
            cut_at_zero(out, start);
        }
        b'd' | b'i' => {
            let value = e.check_int(args, arg)?;
            spec.integer(value < 0, value.unsigned_abs().to_string(), "", out);
        }
        b'u' | b'o' | b'x' | b'X' => {
            let value = number::to_u64(e.check_number(args, arg)?);
            let (digits, prefix) = match letter {
                b'u' => (value.to_string(), ""),
                b'o' => (format!("{value:o}"), "0"),
                b'x' => (format!("{value:x}"), "0x"),
                _ => (format!("{value:X}"), "0X"),
            };
            let prefix = if spec.alternate && value != 0 { prefix } else { "" };
            let signless = Spec { plus: false, space: false, ..*spec };
            signless.integer(false, digits, prefix, out);
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => {
            let value = e.check_number(args, arg)?;
            spec.float(value, letter, out);
        }
        b'q' => {
            let s = e.check_string(args, arg)?;
            quote(e.bytes(s), out);
        }
        b's' => {
            let s = e.check_string(args, arg)?;
            let text = e.bytes(s);
            if spec.precision.is_none() && text.len() >= LONG {
                e.heap.budget.check(out.len() + text.len())?;
                out.extend_from_slice(e.bytes(s));
            } else {
                let visible = text.split(|b| *b == 0).next().unwrap_or(text);
                let length = visible.len().min(spec.precision.unwrap_or(usize::MAX));
                spec.pad(&visible[..length], out);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// C ends a formatted text at its first zero byte.
fn cut_at_zero(out: &mut Vec<u8>, start: usize) {
    if let Some(zero) = out[start..].iter().position(|b| *b == 0) {
        out.truncate(start + zero);
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', byte]),
            b'\r' => out.extend_from_slice(b"\\r"),
            0 => out.extend_from_slice(b"\\000"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

impl Spec {
    fn parse(template: &[u8], at: &mut usize) -> std::result::Result<Self, &'static str> {
        let mut spec = Self::default();
        let mut flags = 0;
        loop {
            match template.get(*at) {
                Some(b'-') => spec.left = true,
                Some(b'+') => spec.plus = true,
                Some(b' ') => spec.space = true,
                Some(b'#') => spec.alternate = true,
                Some(b'0') => spec.zero = true,
                _ => break,
            }
            flags += 1;
            *at += 1;
        }
        if flags > 5 {
            return Err("invalid format (repeated flags)");
        }
        let mut digits = || {
            let mut value = None;
            for _ in 0..2 {
                if let Some(digit @ b'0'..=b'9') = template.get(*at) {
                    value = Some(value.unwrap_or(0) * 10 + usize::from(digit - b'0'));
                    *at += 1;
                }
            }
            value
        };
        spec.width = digits().unwrap_or(0);
        if template.get(*at) == Some(&b'.') {
            *at += 1;
            let mut precision = 0;
            for _ in 0..2 {
                if let Some(digit @ b'0'..=b'9') = template.get(*at) {
                    precision = precision * 10 + usize::from(digit - b'0');
                    *at += 1;
                }
            }
            spec.precision = Some(precision);
        }
        match template.get(*at) {
            Some(b'0'..=b'9') => Err("invalid format (width or precision too long)"),
            _ => Ok(spec),
        }
    }

    fn pad(&self, text: &[u8], out: &mut Vec<u8>) {
        let fill = self.width.saturating_sub(text.len());
        if !self.left {
            out.resize(out.len() + fill, b' ');
        }
        out.extend_from_slice(text);
        if self.left {
            out.resize(out.len() + fill, b' ');
        }
    }

    fn sign(&self, negative: bool) -> &'static str {
        match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        }
    }

    fn integer(&self, negative: bool, digits: String, prefix: &str, out: &mut Vec<u8>) {
        let sign = self.sign(negative);
        let digits = match self.precision {
            // No digits for a zero that may have none.
            Some(0) if digits == "0" => String::new(),
            Some(precision) => format!("{digits:0>precision$}"),
            None if self.zero && !self.left => {
                let width = self.width.saturating_sub(sign.len() + prefix.len());
                format!("{digits:0>width$}")
            }
            None => digits,
        };
        self.pad(format!("{sign}{prefix}{digits}").as_bytes(), out);
    }

    fn float(&self, value: f64, letter: u8, out: &mut Vec<u8>) {
        let precision = self.precision.unwrap_or(6);
        let magnitude = value.abs();
        let mut digits = Vec::new();
        match letter {
            _ if number::push_special(&mut digits, magnitude) => {}
            b'f' => digits.extend_from_slice(format!("{magnitude:.precision$}").as_bytes()),
            b'e' | b'E' => number::push_scientific(&mut digits, magnitude, precision),
            _ => number::push_general(&mut digits, magnitude, precision, self.alternate),
        }
        if self.alternate && value.is_finite() && !digits.contains(&b'.') {
            let at = digits.iter().position(|b| *b == b'e').unwrap_or(digits.len());
            digits.insert(at, b'.');
        }
        if letter.is_ascii_uppercase() {
            digits.make_ascii_uppercase();
        }
        let sign = self.sign(value.is_sign_negative()).as_bytes();
        let fill = self.width.saturating_sub(sign.len() + digits.len());
        if self.zero && !self.left && value.is_finite() {
            out.extend_from_slice(sign);
            out.resize(out.len() + fill, b'0');
            out.extend_from_slice(&digits);
        } else {
            self.pad(&[sign, &digits].concat(), out);
        }
    }
}
