//! What code of scripts sees in every mode: constants, the log, errors.

use redix_lua::{Call, Engine as Lua, Fault, TableRef, Value};
use redix_types::{IntBuf, num};

use crate::config::REDIS_VERSION;
use crate::env::{Env, Level};
use crate::error::until_zero;

/// The constants.
const NUMBERS: &[(&str, u32)] = &[
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REDIS_VERSION_NUM", number_of(REDIS_VERSION)),
];
const LEVELS: [Level; 4] = [Level::Debug, Level::Verbose, Level::Notice, Level::Warning];
const STRINGS: &[(&str, &str)] = &[("REDIS_VERSION", REDIS_VERSION), ("SERVER_NAME", "redis")];

/// A version as a number: a byte for each part.
const fn number_of(version: &str) -> u32 {
    let (bytes, mut number, mut part, mut at) = (version.as_bytes(), 0, 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'.' {
            (number, part) = (number << 8 | part, 0);
        } else {
            part = part * 10 + (bytes[at] - b'0') as u32;
        }
        at += 1;
    }
    number << 8 | part
}

/// Sets the constants in the table `redis`.
pub fn set_constants(lua: &mut Lua, redis: TableRef) -> Result<(), Fault> {
    for (name, number) in NUMBERS {
        lua.raw_set_field(redis, name.as_bytes(), Value::Number(f64::from(*number)))?;
    }
    for (name, text) in STRINGS {
        let text = lua.new_string(text.as_bytes())?;
        lua.raw_set_field(redis, name.as_bytes(), text)?;
    }
    Ok(())
}

/// `redis.log(level, message, …)`.
pub fn log(env: &Env, call: &mut Call<'_>, digits: &mut Vec<u8>) -> Result<(), Fault> {
    if call.count() < 2 {
        return Err(raise(call, "ERR server.log() requires two arguments or more."));
    }
    let level = call.engine_ref().number_of(call.arg(0));
    let level = match level {
        Some(level) if (0.0..4.0).contains(&level.trunc()) => LEVELS[level as usize],
        Some(_) => return Err(raise(call, "ERR Invalid log level.")),
        None => return Err(raise(call, "ERR First argument must be a number (log level).")),
    };
    let mut text = Vec::new();
    for at in 1..call.count() {
        if let Some(word) = argument(call, at, digits) {
            text.extend_from_slice(if at > 1 { b" " } else { b"" });
            text.extend_from_slice(word);
        }
    }
    env.log(level, &String::from_utf8_lossy(&text));
    Ok(())
}

/// An error of one of the functions that the server gives to scripts, as a table.
pub fn raise(call: &mut Call<'_>, text: &str) -> Fault {
    let table = new_error(call.engine(), text.as_bytes());
    table.map_or_else(|fault| fault, |table| call.throw(Value::Table(table)))
}

/// A table that is an error.
pub fn new_error(lua: &mut Lua, text: &[u8]) -> Result<TableRef, Fault> {
    let table = lua.new_table(0, 1)?;
    let text = lua.new_string(text)?;
    lua.raw_set_field(table, b"err", text)?;
    Ok(table)
}

/// The text up to a zero byte, with line ends replaced by spaces.
pub fn one_line(text: &[u8]) -> Vec<u8> {
    let text = until_zero(text).iter();
    text.map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// The error for a global that does not exist.
pub fn missing_global(call: &mut Call<'_>) -> Fault {
    let before = &b"Script attempted to access nonexistent global variable '"[..];
    let text = [before, call.arg_bytes(1).unwrap_or(b"?"), b"'"].concat();
    call.error_here(&text)
}

/// The text of a command's argument; `None` if the value is neither a string nor a number.
pub fn argument<'a>(call: &'a Call<'_>, at: usize, digits: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match call.arg(at) {
        Value::Number(number) => {
            digits.clear();
            push_number(digits, number);
            Some(digits)
        }
        Value::String(_) => call.arg_bytes(at),
        _ => None,
    }
}

/// The text of a number as an argument: an integer without exponent where it is one.
fn push_number(out: &mut Vec<u8>, number: f64) {
    let whole = number as i64;
    if whole as f64 == number && number.abs() <= 2f64.powi(62) {
        out.extend_from_slice(IntBuf::new().format(whole));
    } else if number.is_nan() {
        // As the C library prints it: 0/0 is negative on most processors.
        out.extend_from_slice(if number.is_sign_negative() { b"-nan" } else { b"nan" });
    } else {
        num::push_f64_compact(out, number);
    }
}
