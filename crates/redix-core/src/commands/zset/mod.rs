//! Commands on sorted sets.
//!
//! Every range is turned into ranks first ([`bounds`]): counting, limits, offsets and both
//! directions are then arithmetic, and only members that are replied with are visited.
//!
//! **Invariants.** No key holds an empty sorted set. A score is never NaN: a command that would
//! produce one is refused (ZADD INCR, ZINCRBY) or stores 0 (ZUNIONSTORE and its kin).
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

pub mod algebra;
mod bounds;
mod docs;
pub mod pop;
pub mod range;
pub mod read;
pub mod remove;
pub mod update;

use redix_resp::reply::{Proto, Reply};
use redix_types::listpack::{self, Element};
use redix_types::value::{Compact, HeapValue, Kind, Value};
use redix_types::zset::{Limits, Zset, ZsetEdit, ZsetRef, build};

use crate::command::context::Ctx;
use crate::config::Config;
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Access, Edited, Missing, Ttl};

/// The configured limits of compact sorted sets.
fn limits(config: &Config) -> Limits {
    config.limits().zset
}

/// An empty sorted set, for a key that is being created.
const EMPTY: Value<'static> = Value::Packed(Compact::Zset, &listpack::EMPTY);

/// The sorted set at a key, for a command that reads. Errors: WRONGTYPE.
pub(super) fn read<'a>(
    keys: &'a mut Access<'_>,
    key: Key<'_>,
) -> Result<Option<ZsetRef<'a>>, ReplyError> {
    let entry = keys.lookup_kind(key, Kind::Zset)?;
    Ok(entry.and_then(|entry| ZsetRef::of(entry.value())))
}

/// Looks a sorted set up on behalf of a write. Errors: WRONGTYPE.
fn read_to_write<'a>(
    keys: &'a mut Access<'_>,
    key: Key<'_>,
) -> Result<Option<ZsetRef<'a>>, ReplyError> {
    let entry = keys.lookup_write(key, Kind::Zset)?;
    Ok(entry.and_then(|entry| ZsetRef::of(entry.value())))
}

/// The outcome of an edit.
struct Outcome<R> {
    result: R,
    changes: u64,
    /// Whether the key was deleted with its last member.
    emptied: bool,
}

/// Edits the sorted set at a key in place; `change` returns its result and the number of changes.
/// `None` if there is no key and `missing` does not create it. Errors: WRONGTYPE.
fn edit<R>(
    keys: &mut Access<'_>,
    limits: Limits,
    key: Key<'_>,
    missing: Missing<'_>,
    change: impl FnOnce(&mut ZsetEdit<'_>) -> (R, u64),
) -> Result<Option<Outcome<R>>, ReplyError> {
    let hasher = keys.keyspace.hasher();
    keys.edit(key, Kind::Zset, missing, |entry| {
        let mut set = ZsetEdit::new(entry, limits, hasher);
        let (result, changes) = change(&mut set);
        let emptied = changes > 0 && set.as_ref().len() == 0;
        let edited = match changes {
            0 => Edited::Nothing,
            _ if emptied => Edited::Emptied(changes),
            _ => Edited::Changed(changes),
        };
        (Outcome { result, changes, emptied }, edited)
    })
}

/// Reports an event of the sorted set commands.
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::ZSET, event, cx.keys.db, key.bytes);
}

/// Announces a removal of members, and the deletion of the key if none is left.
fn notify_removed(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>, emptied: bool) {
    notify(cx, event, key);
    if emptied {
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
}

/// Stores a result under the destination key, or deletes that key if it is empty, and replies with
/// its length. Errors: no memory.
fn store(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    event: &'static str,
    result: Option<HeapValue>,
    len: usize,
) -> CommandResult {
    match result {
        Some(value) => {
            let value = Value::Heap(value);
            cx.admit_result(key, &value)?;
            cx.keys.set(key, value, Ttl::Clear);
            notify(cx, event, key);
        }
        None if cx.keys.delete(key) => {
            cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
        }
        None => {}
    }
    cx.reply.int(len as i64);
    Ok(())
}

/// The same of a sorted set that was made as a large one.
pub(super) fn store_set(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    event: &'static str,
    result: Zset,
) -> CommandResult {
    let (limits, hasher, len) = (limits(cx.config), cx.keys.keyspace.hasher(), result.len());
    let value = match len {
        0 => None,
        _ if len <= limits.entries => build(result.iter(), limits, hasher),
        _ => Some(HeapValue::Zset(Box::new(result))),
    };
    store(cx, key, event, value, len)
}

/// Whether members are replied with their scores.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scores {
    With,
    Without,
}

impl Scores {
    fn if_given(given: bool) -> Self {
        if given { Scores::With } else { Scores::Without }
    }

    /// Begins a reply of `len` members.
    fn header(self, reply: &mut Reply, len: usize) {
        let flat = self == Scores::With && reply.proto == Proto::Resp2;
        reply.array(if flat { 2 * len } else { len });
    }

    /// Writes a member, with its score as a pair in RESP3.
    fn member(self, reply: &mut Reply, member: Element<'_>, score: f64) {
        if self == Scores::With && reply.proto == Proto::Resp3 {
            reply.array(2);
        }
        reply_element(reply, member);
        if self == Scores::With {
            reply.double(score);
        }
    }
}

/// Writes a member.
pub(super) fn reply_element(reply: &mut Reply, member: Element<'_>) {
    match member {
        Element::Int(value) => reply.bulk_int(value),
        Element::Str(text) => reply.bulk(text),
    }
}
