//! Commands on strings.
//!
//! A string is stored as an integer if its text is the canonical form of one, inside its entry if
//! it is short, and on the heap, reference counted, if it is long. The encodings that OBJECT
//! ENCODING reports (`int`, `embstr`, `raw`) follow the real servers, not this storage.
//!
//! **Invariants.** No command grows a value beyond `proto-max-bulk-len`. An allocation of
//! [`FALLIBLE_FROM`] bytes or more may fail and then changes nothing.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

pub mod digest;
pub mod edit;
pub mod increx;
pub mod lcs;
pub mod number;
pub mod options;
pub mod read;
pub mod set;

use redix_types::entry::{EntryRef, HeapValue, INLINE_MAX, IntBuf, Value};
use redix_types::num;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::Ttl;
use crate::sync::Arc;

/// For values of at least this many bytes a failed allocation is an error reply, not an abort.
pub const FALLIBLE_FROM: usize = 1024 * 1024;

/// Writes a string entry's value as a bulk reply.
#[inline(always)]
pub fn reply_string(reply: &mut redix_resp::reply::Reply, entry: EntryRef<'_>) {
    reply.bulk(entry.value().string_bytes(&mut IntBuf::new()));
}

/// The stored form of a string: an integer if it is one, else bytes. Errors: Oom.
#[inline]
pub fn encode(bytes: &[u8]) -> Result<Value<'_>, ReplyError> {
    // No integer is longer than the text of the smallest one.
    if bytes.len() <= 20
        && let Some(value) = num::parse_i64(bytes)
    {
        return Ok(Value::Int(value));
    }
    encode_text(bytes)
}

/// As [`encode`], for an argument of the current command; the buffer of a large one is taken over.
#[inline(always)]
fn encode_word(args: Args<'_>, index: usize) -> Result<Value<'_>, ReplyError> {
    match args.shared(index) {
        Some(body) => Ok(Value::Heap(HeapValue::Str(body))),
        None => encode(args.get(index)),
    }
}

/// The stored form of a string that stays text even if it is an integer.
#[inline]
pub fn encode_text(bytes: &[u8]) -> Result<Value<'_>, ReplyError> {
    if bytes.len() < FALLIBLE_FROM {
        return Ok(Value::Str(bytes));
    }
    Ok(on_heap(copy_of(bytes)?))
}

/// A copy. Errors: Oom.
fn copy_of(bytes: &[u8]) -> Result<Vec<u8>, ReplyError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| ReplyError::Oom)?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// A value of more than [`INLINE_MAX`] bytes, from its buffer.
fn on_heap(bytes: Vec<u8>) -> Value<'static> {
    debug_assert!(bytes.len() > INLINE_MAX);
    Value::Heap(HeapValue::Str(Arc::new(bytes)))
}

/// A string with encoding `raw`, from its buffer, which is taken over if it is long.
pub fn raw(buffer: &mut Vec<u8>) -> Value<'_> {
    if buffer.len() > INLINE_MAX { on_heap(std::mem::take(buffer)) } else { Value::Raw(buffer) }
}

/// Checks the length of a value that is about to grow. The primary's stream is exempt: the primary
/// has checked.
fn check_length(cx: &Ctx<'_, '_>, start: usize, added: usize) -> Result<usize, ReplyError> {
    let max = match usize::try_from(cx.config.proto_max_bulk_len) {
        _ if cx.from_primary() => usize::MAX,
        max => max.unwrap_or(0),
    };
    start.checked_add(added).filter(|len| *len <= max).ok_or(ReplyError::StringTooLong)
}

/// Stores argument `index` of the command under a key, and announces the event `set`.
#[inline(always)]
fn store(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    args: Args<'_>,
    index: usize,
    ttl: Ttl,
) -> Result<(), ReplyError> {
    cx.keys.set(key, encode_word(args, index)?, ttl);
    notify(cx, "set", key);
    Ok(())
}

/// Announces a keyspace event of the string commands.
#[inline]
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::STRING, event, cx.keys.db, key.bytes);
}

/// Announces a keyspace event of the generic commands.
fn notify_generic(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::GENERIC, event, cx.keys.db, key.bytes);
}

/// Logs the current command in this form.
fn log(cx: &mut Ctx<'_, '_>, argv: &[&[u8]]) {
    cx.keys.effects.log(cx.keys.db, argv);
}

/// Logs the current command as `SET key value PXAT at`.
fn log_set_at(cx: &mut Ctx<'_, '_>, key: Key<'_>, value: &[u8], at_ms: i64) {
    if cx.keys.effects.recording() {
        log(cx, &[b"SET", key.bytes, value, b"PXAT", IntBuf::new().format(at_ms)]);
    }
}
