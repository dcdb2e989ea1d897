//! Commands on HyperLogLogs, which are strings in a layout of their own (`redix_types::hll`).
//!
//! A long value is changed in place, as SETRANGE does it (`string::edit`); while a snapshot shares
//! it, the first change copies it once.
//!
//! **Invariant.** A command that fails has changed nothing, even where a value is corrupt.
//!
//! Sources: the replies, events, bytes and replication streams of Valkey 9.1.2, Redis 7.0.15 and
//! 8.2.3.

pub mod count;
pub mod debug;
mod docs;
pub mod update;

use redix_types::entry::{EntryBox, EntryRef};
use redix_types::hll::{self, Corrupt, Encoding};
use redix_types::value::ValueRef;

use crate::command::context::Ctx;
use crate::commands::string::edit;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;

const NOT_ONE: ReplyError =
    ReplyError::Static("WRONGTYPE Key is not a valid HyperLogLog string value.");

fn corrupt(_: Corrupt) -> ReplyError {
    ReplyError::Static("INVALIDOBJ Corrupted HLL object detected")
}

/// The bytes of a string that is a HyperLogLog, and their layout. Errors: it is none.
fn open(entry: EntryRef<'_>) -> Result<(&[u8], Encoding), ReplyError> {
    let ValueRef::Str(bytes) = entry.value() else { return Err(NOT_ONE) };
    hll::encoding(bytes).map(|encoding| (bytes, encoding)).ok_or(NOT_ONE)
}

/// Lets `change` edit the value of an entry. One that may turn out to be corrupt is copied first.
fn rewrite<R>(
    entry: &mut EntryBox,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Corrupt>,
) -> Result<R, ReplyError> {
    edit::rewrite(entry, |value| {
        if hll::is_whole(value) {
            return change(value).map_err(corrupt);
        }
        let mut copy = value.clone();
        let result = change(&mut copy).map_err(corrupt)?;
        *value = copy;
        Ok(result)
    })
}

/// Reports that a value has been added to.
fn notify_added(cx: &mut Ctx<'_, '_>, key: Key<'_>) {
    cx.keys.effects.notify(class::STRING, "pfadd", cx.keys.db, key.bytes);
}
