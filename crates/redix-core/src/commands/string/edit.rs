//! APPEND and SETRANGE: commands that change part of a string.
//!
//! A long value grows in place with spare capacity, so that appending is amortised; while a
//! snapshot shares it, the first change copies it once.

use arrayvec::ArrayVec;
use redix_types::entry::{Encoding, EntryBox, HeapValue, INLINE_MAX, IntBuf, Kind, Value};

use super::{check_length, encode_word, notify, on_heap, raw};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Ttl;
use crate::sync::Arc;

/// Commands: APPEND and SETRANGE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "append",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        append,
    )
    .flags(flag::DENYOOM | flag::FAST)
    .acl(acl::STRING)
    .since("2.0.0")
    .complexity("O(1) amortised: the room behind a string grows in proportion.")
    .doc("Adds bytes to the end of the string at a key, which is created if need be.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
    CommandSpec::write(
        "setrange",
        Group::String,
        4,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        setrange,
    )
    .flags(flag::DENYOOM)
    .acl(acl::STRING)
    .since("2.2.0")
    .complexity("O(1) plus the copying of the value, O(M) for M bytes.")
    .doc("Writes bytes over part of the string at a key, which grows if need be.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("offset", ArgKind::Integer),
        ArgSpec::new("value", ArgKind::String),
    ]),
];

/// `APPEND key value` -> the new length. Errors: WRONGTYPE, too long.
fn append(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, tail) = (cx.key(args, 1), args.get(2));
    let entry = cx.keys.lookup_write(key, Kind::String)?;
    let len = match entry.map(|entry| entry.value().string_len()) {
        Some(start) => {
            check_length(cx, start, tail.len())?;
            cx.keys.try_modify(key, |entry| splice(entry, start, tail))?.unwrap_or(start)
        }
        None => {
            cx.keys.set(key, encode_word(args, 2)?, Ttl::Clear);
            tail.len()
        }
    };
    notify(cx, "append", key);
    cx.reply.int(len as i64);
    Ok(())
}

/// `SETRANGE key offset value` -> the new length. Nothing changes for an empty value. Errors:
/// NotInteger, a negative offset, WRONGTYPE, too long.
fn setrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let offset = args.int(2)?;
    let start =
        usize::try_from(offset).map_err(|_| ReplyError::Static("ERR offset is out of range"))?;
    let (key, bytes) = (cx.key(args, 1), args.get(3));
    let entry = cx.keys.lookup_write(key, Kind::String)?;
    let old_len = entry.map(|entry| entry.value().string_len());
    if bytes.is_empty() {
        cx.reply.int(old_len.unwrap_or(0) as i64);
        return Ok(());
    }
    let end = check_length(cx, start, bytes.len())?;
    cx.admit_length(key, end)?;
    let len = match old_len {
        Some(_) => cx.keys.try_modify(key, |entry| splice(entry, start, bytes))?.unwrap_or(end),
        None => {
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(end).map_err(|_| ReplyError::Oom)?;
            overwrite(&mut buffer, start, bytes);
            cx.keys.set(key, raw(&mut buffer), Ttl::Clear);
            end
        }
    };
    notify(cx, "setrange", key);
    cx.reply.int(len as i64);
    Ok(())
}

/// Writes `bytes` over a string from `start` on, padded with zeros where the string is shorter, and
/// returns the new length. The encoding becomes `raw`. Errors: Oom; nothing changes.
pub fn splice(entry: &mut EntryBox, start: usize, bytes: &[u8]) -> Result<usize, ReplyError> {
    let end = start + bytes.len();
    if let Some(HeapValue::Str(shared)) = entry.heap_mut() {
        let buffer = own(shared, end)?;
        overwrite(buffer, start, bytes);
        let len = buffer.len();
        entry.set_encoding(Encoding::Raw);
        return Ok(len);
    }
    if let Some(inline) = entry.inline_bytes_mut()
        && end <= inline.len()
    {
        inline[start..end].copy_from_slice(bytes);
        let len = inline.len();
        entry.set_encoding(Encoding::Raw);
        return Ok(len);
    }
    let mut digits = IntBuf::new();
    let old = entry.as_ref().value().string_bytes(&mut digits);
    let len = old.len().max(end);
    if len <= INLINE_MAX {
        let mut buffer = ArrayVec::<u8, INLINE_MAX>::new();
        buffer.extend(old.iter().copied());
        buffer.extend(std::iter::repeat_n(0, len - old.len()));
        buffer[start..end].copy_from_slice(bytes);
        entry.replace_value(Value::Raw(&buffer));
    } else {
        let mut buffer = Vec::new();
        buffer.try_reserve(len).map_err(|_| ReplyError::Oom)?;
        buffer.extend_from_slice(old);
        overwrite(&mut buffer, start, bytes);
        entry.replace_value(on_heap(buffer));
    }
    Ok(len)
}

/// The bytes of a string for changing in place, extended with zeros to at least `len`. The encoding
/// becomes `raw`. Errors: Oom; nothing changes.
pub fn writable(entry: &mut EntryBox, len: usize) -> Result<&mut [u8], ReplyError> {
    match len.checked_sub(1) {
        Some(last) if last >= entry.as_ref().value().string_len() => splice(entry, last, &[0])?,
        _ => splice(entry, 0, &[])?,
    };
    if !entry.as_ref().is_on_heap() {
        return Ok(entry.inline_bytes_mut().expect("a string that was edited is no integer"));
    }
    match entry.heap_mut() {
        Some(HeapValue::Str(shared)) => Ok(own(shared, 0)?),
        _ => unreachable!("callers check that the key holds a string"),
    }
}

/// Lets `change` edit the bytes of a string in a buffer, in any way; where it fails it must leave
/// them as they were. The entry becomes `raw`. If there is no memory, nothing changes.
pub fn rewrite<R>(
    entry: &mut EntryBox,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, ReplyError>,
) -> Result<R, ReplyError> {
    if let Some(HeapValue::Str(shared)) = entry.heap_mut() {
        let result = change(own(shared, 0)?)?;
        entry.set_encoding(Encoding::Raw);
        return Ok(result);
    }
    let mut buffer = entry.as_ref().value().string_bytes(&mut IntBuf::new()).to_vec();
    let result = change(&mut buffer)?;
    entry.replace_value(raw(&mut buffer));
    Ok(result)
}

/// A buffer of this string's own, with room for `len` bytes: the value itself where nobody shares
/// it.
fn own(shared: &mut Arc<Vec<u8>>, len: usize) -> Result<&mut Vec<u8>, ReplyError> {
    if Arc::get_mut(shared).is_none() {
        let mut copy = Vec::new();
        copy.try_reserve_exact(len.max(shared.len())).map_err(|_| ReplyError::Oom)?;
        copy.extend_from_slice(shared);
        *shared = Arc::new(copy);
    }
    let buffer = Arc::get_mut(shared).expect("shares are only taken under this shard's lock");
    buffer.try_reserve(len.saturating_sub(buffer.len())).map_err(|_| ReplyError::Oom)?;
    Ok(buffer)
}

/// Writes `bytes` from `start` on; the capacity has been reserved.
fn overwrite(buffer: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    if buffer.len() < start {
        buffer.resize(start, 0);
    }
    let within = bytes.len().min(buffer.len() - start);
    buffer[start..start + within].copy_from_slice(&bytes[..within]);
    buffer.extend_from_slice(&bytes[within..]);
}

#[cfg(test)]
mod tests;
