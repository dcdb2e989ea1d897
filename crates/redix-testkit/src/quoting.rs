//! Binary-safe text for arguments and replies: what `redis-cli` reads and prints between double
//! quotes.
//!
//! `parse_args` is the inverse of `quote_args`: any argument list survives a round trip.

use anyhow::{Context, Result, bail};

/// `"…"` with `\n`, `\r`, `\t`, `\a`, `\b`, `\\`, `\"`, and `\xHH` for what is not printable ASCII.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        push_escaped(&mut out, byte);
    }
    out.push('"');
    out
}

/// The same without the quotes.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte == b'"' { out.push('"') } else { push_escaped(&mut out, byte) }
    }
    out
}

/// Arguments as one would type them: quoted only where needed.
pub fn quote_args<T: AsRef<[u8]>>(args: &[T]) -> String {
    let plain = |arg: &[u8]| {
        !arg.is_empty() && arg.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\|".contains(b))
    };
    let words = args.iter().map(|arg| match arg.as_ref() {
        arg if plain(arg) => arg.iter().map(|&b| char::from(b)).collect(),
        arg => quote(arg),
    });
    words.collect::<Vec<String>>().join(" ")
}

/// Splits a line into arguments: words, `"…"` with escapes, `'…'` with only `\'`.
pub fn parse_args(line: &str) -> Result<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return Ok(args) };
        let (arg, after) = match first {
            b'"' => double_quoted(&rest[1..]).with_context(|| format!("in {line:?}"))?,
            b'\'' => single_quoted(&rest[1..]).with_context(|| format!("in {line:?}"))?,
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        if after.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            bail!("a closing quote must be followed by a space: {line:?}");
        }
        args.push(arg);
        rest = after;
    }
}

fn push_escaped(out: &mut String, byte: u8) {
    match byte {
        b'\\' => out.push_str("\\\\"),
        b'"' => out.push_str("\\\""),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        7 => out.push_str("\\a"),
        8 => out.push_str("\\b"),
        b' '..=b'~' => out.push(char::from(byte)),
        _ => out.push_str(&format!("\\x{byte:02x}")),
    }
}

fn double_quoted(mut text: &[u8]) -> Result<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match text {
            [b'"', rest @ ..] => return Ok((arg, rest)),
            [b'\\', b'x', high, low, rest @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [char::from(*high), char::from(*low)];
                arg.push(u8::from_str_radix(&String::from_iter(digits), 16)?);
                text = rest;
            }
            [b'\\', escaped, rest @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                text = rest;
            }
            [byte, rest @ ..] => {
                arg.push(*byte);
                text = rest;
            }
            [] => bail!("a double quote is not closed"),
        }
    }
}

fn single_quoted(mut text: &[u8]) -> Result<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match text {
            [b'\'', rest @ ..] => return Ok((arg, rest)),
            [b'\\', b'\'', rest @ ..] => {
                arg.push(b'\'');
                text = rest;
            }
            [byte, rest @ ..] => {
                arg.push(*byte);
                text = rest;
            }
            [] => bail!("a single quote is not closed"),
        }
    }
}

#[cfg(test)]
mod tests;
