//! Conversion between replies and Lua values.
//!
//! **Invariant.** Neither direction recurses deeper than the replies of commands: values nest as
//! deep as a script makes them, and are walked with a stack of their own.

use redix_lua::{Engine as Lua, Fault, TableRef, Value};
use redix_resp::reply::{DeferredLen, Proto, Reply};
use redix_types::num;

use crate::error::until_zero;
use crate::scripting::api::one_line;

/// Slots of the stack on which real servers convert a value, of which an array takes one and a map
/// or set three.
const SLOTS: usize = 7997;
/// Slots of a map or set.
const MAP_SLOTS: usize = 3;

/// The errors in a script's reply.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// All of them.
    pub total: u64,
    /// The texts of those that were not counted when they arose.
    pub uncounted: Vec<Vec<u8>>,
}

/// Writes a Lua value as a reply. `proto`: what the script has chosen, which says how it means
/// booleans. Notes the errors in it.
pub(super) fn write(
    lua: &mut Lua,
    value: Value,
    proto: Proto,
    reply: &mut Reply,
    errors: &mut Errors,
) -> Result<(), Fault> {
    let mut frames = Vec::new();
    let (mut next, mut slots) = (Some(value), SLOTS);
    loop {
        if let Some(value) = next.take()
            && let Some(frame) = begin(lua, value, proto, reply, slots, errors)?
        {
            slots -= frame.slots();
            frames.push(frame);
        }
        let Some(frame) = frames.last_mut() else { return Ok(()) };
        next = frame.next(lua);
        if next.is_none() {
            let frame = frames.pop().expect("it was just seen");
            slots += frame.slots();
            frame.finish(reply);
        }
    }
}

/// A table that is being written.
enum Frame {
    Array { table: TableRef, at: usize, place: DeferredLen },
    Map { table: TableRef, cursor: usize, pairs: usize, value: Option<Value>, place: DeferredLen },
    Set { table: TableRef, cursor: usize, members: usize, place: DeferredLen },
}

impl Frame {
    fn slots(&self) -> usize {
        if matches!(self, Self::Array { .. }) { 1 } else { MAP_SLOTS }
    }

    /// The next value to be written.
    fn next(&mut self, lua: &Lua) -> Option<Value> {
        match self {
            Self::Array { table, at, .. } => {
                let value = lua.raw_get_index(*table, *at + 1);
                *at += usize::from(!value.is_nil());
                (!value.is_nil()).then_some(value)
            }
            Self::Map { table, cursor, pairs, value, .. } => {
                if value.is_some() {
                    return value.take();
                }
                let (next, key, held) = lua.pair_at(*table, *cursor)?;
                (*cursor, *pairs, *value) = (next, *pairs + 1, Some(held));
                Some(key)
            }
            Self::Set { table, cursor, members, .. } => {
                let (next, key, _) = lua.pair_at(*table, *cursor)?;
                (*cursor, *members) = (next, *members + 1);
                Some(key)
            }
        }
    }

    fn finish(self, reply: &mut Reply) {
        match self {
            Self::Array { at, place, .. } => reply.finish_array(place, at),
            Self::Map { pairs, place, .. } => reply.finish_map(place, pairs),
            Self::Set { members, place, .. } => reply.finish_set(place, members),
        }
    }
}

/// Writes a value that is no collection, or begins one where it fits into so many slots.
fn begin(
    lua: &mut Lua,
    value: Value,
    proto: Proto,
    reply: &mut Reply,
    slots: usize,
    errors: &mut Errors,
) -> Result<Option<Frame>, Fault> {
    match value {
        Value::String(string) => reply.bulk(lua.bytes(string)),
        // As a cast of C does, where it is defined.
        Value::Number(number) => reply.int(to_int(number)),
        Value::Boolean(value) if proto == Proto::Resp3 => reply.boolean(value),
        Value::Boolean(true) => reply.int(1),
        Value::Table(table) => return begin_table(lua, table, reply, slots, errors),
        _ => reply.null(),
    }
    Ok(None)
}

/// The number as an integer: towards zero; the least one where it cannot be represented.
fn to_int(number: f64) -> i64 {
    if number >= -(2f64.powi(63)) && number < 2f64.powi(63) { number as i64 } else { i64::MIN }
}

fn begin_table(
    lua: &mut Lua,
    table: TableRef,
    reply: &mut Reply,
    slots: usize,
    errors: &mut Errors,
) -> Result<Option<Frame>, Fault> {
    if let Some(text) = text_field(lua, table, b"err")? {
        let mut text = until_zero(&text);
        while let [rest @ .., b'\r' | b'\n'] = text {
            text = rest;
        }
        let text = one_line(text);
        reply.error(&text);
        errors.total += 1;
        if !lua.raw_get_field(table, b"ignore_error_stats_update")?.truthy() {
            errors.uncounted.push(text);
        }
        return Ok(None);
    }
    if let Some(text) = text_field(lua, table, b"ok")? {
        reply.raw(&[b"+", &one_line(&text)[..], b"\r\n"].concat());
        return Ok(None);
    }
    if let Value::Number(number) = lua.raw_get_field(table, b"double")? {
        reply.double(number);
        return Ok(None);
    }
    if slots < MAP_SLOTS {
        reply.error("ERR reached lua stack limit");
        return Ok(None);
    }
    if let Value::Table(table) = lua.raw_get_field(table, b"map")? {
        let place = reply.deferred();
        return Ok(Some(Frame::Map { table, cursor: 0, pairs: 0, value: None, place }));
    }
    if let Value::Table(table) = lua.raw_get_field(table, b"set")? {
        let place = reply.deferred();
        return Ok(Some(Frame::Set { table, cursor: 0, members: 0, place }));
    }
    if let Some(digits) = text_field(lua, table, b"big_number")? {
        reply.big_number(one_line(&digits));
        return Ok(None);
    }
    if let Value::Table(inner) = lua.raw_get_field(table, b"verbatim_string")?
        && let Some(text) = text_field(lua, inner, b"string")?
        && let Some(format) = text_field(lua, inner, b"format")?
    {
        // Three letters: cut, or filled up with spaces.
        let mut letters = *b"   ";
        letters.iter_mut().zip(until_zero(&format)).for_each(|(to, from)| *to = *from);
        reply.verbatim(&letters, &text);
        return Ok(None);
    }
    let place = reply.deferred_array();
    Ok(Some(Frame::Array { table, at: 0, place }))
}

/// A field that is a string.
fn text_field(lua: &mut Lua, table: TableRef, name: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let value = lua.raw_get_field(table, name)?;
    Ok(lua.bytes_of(value).map(<[u8]>::to_vec))
}

/// Reads a reply from its bytes and makes it a Lua value.
pub(super) fn read(lua: &mut Lua, bytes: &[u8]) -> Result<Value, Fault> {
    let mut reader = Reader { bytes, at: 0 };
    reader.value(lua)
}

/// A reply that this server has written: it is well-formed.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The rest of a line.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr(b'\r', rest).expect("a line of a reply ends");
        self.at += end + 2;
        &rest[..end]
    }

    fn number(&mut self) -> i64 {
        num::parse_i64(self.line()).expect("a length or an integer")
    }

    /// The bytes of a bulk string; `None`: it is null.
    fn bulk(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()).ok()?;
        let bytes = &self.bytes[self.at..self.at + len];
        self.at += len + 2;
        Some(bytes)
    }

    fn value(&mut self, lua: &mut Lua) -> Result<Value, Fault> {
        let mark = self.bytes[self.at];
        self.at += 1;
        match mark {
            b':' => Ok(Value::Number(self.number() as f64)),
            b'$' => match self.bulk() {
                Some(bytes) => lua.new_string(bytes),
                None => Ok(Value::Boolean(false)),
            },
            b'+' => named(lua, b"ok", self.line()),
            b'-' => {
                let table = error_table(lua, self.line())?;
                Ok(Value::Table(table))
            }
            b'*' => match usize::try_from(self.number()) {
                Ok(len) => self.array(lua, len),
                Err(_) => Ok(Value::Boolean(false)),
            },
            b'_' => {
                self.line();
                Ok(Value::Nil)
            }
            b'#' => Ok(Value::Boolean(self.line() == b"t")),
            b',' => {
                let text = self.line();
                let number = num::parse_f64(text).unwrap_or(f64::NAN);
                within(lua, b"double", Value::Number(number))
            }
            b'(' => named(lua, b"big_number", self.line()),
            b'=' => {
                let bytes = self.bulk().unwrap_or_default();
                let (format, text) = bytes.split_at_checked(4).unwrap_or((b"txt:", bytes));
                let inner = lua.new_table(0, 2)?;
                let text = lua.new_string(text)?;
                lua.raw_set_field(inner, b"string", text)?;
                let format = lua.new_string(&format[..3])?;
                lua.raw_set_field(inner, b"format", format)?;
                within(lua, b"verbatim_string", Value::Table(inner))
            }
            b'%' => {
                let inner = lua.new_table(0, 0)?;
                for _ in 0..self.number() {
                    let (key, value) = (self.value(lua)?, self.value(lua)?);
                    lua.raw_set(inner, key, value)?;
                }
                within(lua, b"map", Value::Table(inner))
            }
            // An attribute says something about the value that follows it; scripts do not see it.
            b'|' => {
                for _ in 0..2 * self.number() {
                    self.value(lua)?;
                }
                self.value(lua)
            }
            b'~' => {
                let inner = lua.new_table(0, 0)?;
                for _ in 0..self.number() {
                    let member = self.value(lua)?;
                    lua.raw_set(inner, member, Value::Boolean(true))?;
                }
                within(lua, b"set", Value::Table(inner))
            }
            other => unreachable!("no reply begins with {:?}", char::from(other)),
        }
    }

    fn array(&mut self, lua: &mut Lua, len: usize) -> Result<Value, Fault> {
        let table = lua.new_table(len, 0)?;
        for at in 1..=len {
            let value = self.value(lua)?;
            lua.raw_set(table, Value::Number(at as f64), value)?;
        }
        Ok(Value::Table(table))
    }
}

/// A table with one field.
fn within(lua: &mut Lua, name: &[u8], value: Value) -> Result<Value, Fault> {
    let table = lua.new_table(0, 1)?;
    lua.raw_set_field(table, name, value)?;
    Ok(Value::Table(table))
}

fn named(lua: &mut Lua, name: &[u8], text: &[u8]) -> Result<Value, Fault> {
    let text = lua.new_string(text)?;
    within(lua, name, text)
}

/// The table of an error of a command, which was counted when it arose.
pub(super) fn error_table(lua: &mut Lua, text: &[u8]) -> Result<TableRef, Fault> {
    let table = lua.new_table(0, 2)?;
    let text = lua.new_string(text)?;
    lua.raw_set_field(table, b"err", text)?;
    lua.raw_set_field(table, b"ignore_error_stats_update", Value::Boolean(true))?;
    Ok(table)
}
