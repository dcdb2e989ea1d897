//! Commands on strings as arrays of bits.
//!
//! A long string is changed in place, as SETRANGE does it (`string::edit`); while a snapshot shares
//! it, the first change copies it once. What is done to the bits is in `redix_types::bits`.
//!
//! **Invariant.** No position reaches beyond `proto-max-bulk-len`, but for what a primary sends and
//! for the last bits of an integer that begins before it, as on the real servers.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3;
//! DIFF, DIFF1, ANDOR and ONE of BITOP are those of Redis 8.2.3.

pub mod bit;
pub mod combine;
pub mod count;
mod docs;
pub mod field;

use redix_types::num::parse_i64;
use redix_types::value::Value;

use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;

/// A new string, which is about to grow.
const EMPTY: Value<'static> = Value::Raw(b"");

/// The position of a bit; behind a `#` it counts in steps of `width`, where one is given. Errors:
/// no number, negative, beyond the longest string.
fn parse_position(cx: &Ctx<'_, '_>, word: &[u8], width: Option<u32>) -> Result<u64, ReplyError> {
    let (number, step) = match (word, width) {
        ([b'#', number @ ..], Some(width)) => (number, i64::from(width)),
        _ => (word, 1),
    };
    // The product wraps, as on the real servers.
    let at = parse_i64(number).map(|number| number.wrapping_mul(step));
    let within =
        |at: &i64| *at >= 0 && (*at / 8 < cx.config.proto_max_bulk_len || cx.from_primary());
    match at.filter(within) {
        Some(at) => Ok(at as u64),
        None => Err(ReplyError::Static("ERR bit offset is not an integer or out of range")),
    }
}

/// Reports that bits of a string have changed.
fn notify_set(cx: &mut Ctx<'_, '_>, key: Key<'_>) {
    cx.keys.effects.notify(class::STRING, "setbit", cx.keys.db, key.bytes);
}
