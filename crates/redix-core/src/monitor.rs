//! The output lines of MONITOR.
//!
//! Source: the format of Redis: `+seconds.micros [db address] "argument" "argument"`.

use std::fmt;

use crate::command::args::Args;
use crate::session::Session;

/// One line, as a simple string reply. `from`: the client's address; none for a script.
pub fn line(
    now_us: i64,
    session: &Session,
    from: Option<&impl fmt::Display>,
    args: Args<'_>,
) -> Vec<u8> {
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    let from = from.map_or_else(|| "lua".to_owned(), ToString::to_string);
    let mut out = format!("+{seconds}.{micros:06} [{} {from}]", session.db).into_bytes();
    for (index, word) in args.iter_from(0).enumerate() {
        out.push(b' ');
        let secret = session.secrets.contains(index);
        quote(&mut out, if secret { b"(redacted)" } else { word });
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends an argument in double quotes, with control and high bytes escaped.
pub fn quote(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
