//! Commands on sets.
//!
//! The encodings and their limits are in [`redix_types::set`]; here are the replies, the events and
//! the log records. Randomly drawn members are logged as the removal of exactly these.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

pub mod card;
pub mod combine;
mod docs;
pub mod members;
pub mod random;

use redix_resp::reply::Reply;
use redix_types::entry::{EntryBox, EntryRef, Kind, Value};
use redix_types::intset;
use redix_types::listpack::{self, Element};
use redix_types::set::{Edit, Form, Limits, SetRef};
use redix_types::value::{Compact, HeapValue};

use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::{Access, Edited, Missing};

/// The set of an entry, whose type has been checked.
fn set_of(entry: EntryRef<'_>) -> SetRef<'_> {
    SetRef::of(entry.value()).expect("the kind of the entry was checked")
}

/// Looks a set up for reading. Errors: WRONGTYPE.
fn lookup<'a>(keys: &'a mut Access<'_>, key: Key<'_>) -> Result<Option<SetRef<'a>>, ReplyError> {
    Ok(keys.lookup_kind(key, Kind::Set)?.map(set_of))
}

/// Writes a member as a bulk string.
fn reply_member(reply: &mut Reply, member: Element<'_>) {
    match member {
        Element::Int(value) => reply.bulk_int(value),
        Element::Str(text) => reply.bulk(text),
    }
}

/// What a short member takes in a reply more than in a table.
const FRAME_BYTES: usize = 5;

/// Writes all members of a set.
fn reply_members(reply: &mut Reply, set: SetRef<'_>) {
    if let SetRef::Table(table) = set {
        // At once: growing by halves copies megabytes and has the system supply each page twice.
        reply.reserve(table.memory() + FRAME_BYTES * table.len());
    }
    reply.set(set.len());
    set.for_each_text(&mut |text| reply.bulk(text));
}

/// An empty set in the given encoding.
fn empty(form: Form) -> Value<'static> {
    match form {
        Form::Intset => Value::Packed(Compact::SetOfInts, &intset::EMPTY),
        Form::Listpack => Value::Packed(Compact::Set, &listpack::EMPTY),
        Form::Table => Value::Heap(HeapValue::Set(Box::default())),
    }
}

/// Edits a set in place; `change` returns how many members it has added or removed. `None` if there
/// is no key and none is created. Errors: WRONGTYPE.
fn edit(
    keys: &mut Access<'_>,
    limits: Limits,
    key: Key<'_>,
    missing: Missing<'_>,
    change: impl FnOnce(&mut Edit<'_, EntryBox>) -> usize,
) -> Result<Option<Change>, ReplyError> {
    let hasher = keys.keyspace.hasher();
    let mut left = None;
    let changed = keys.edit(key, Kind::Set, missing, |entry| {
        let mut edit = Edit::new(entry, limits, hasher);
        let members = change(&mut edit);
        let emptied = edit.view().is_empty();
        left = edit.left();
        let edited = match members {
            0 => Edited::Nothing,
            _ if emptied => Edited::Emptied(members as u64),
            _ => Edited::Changed(members as u64),
        };
        (Change { members, emptied }, edited)
    });
    keys.bury(left);
    changed
}

/// The outcome of an edit.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// Number of members added or removed.
    members: usize,
    /// Whether the key was deleted with its last member.
    emptied: bool,
}

/// The configured limits of compact sets.
fn limits(cx: &Ctx<'_, '_>) -> Limits {
    cx.config.limits().set
}

/// Reports an event of the set commands.
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::SET, event, cx.keys.db, key.bytes);
}

/// Reports the removal of members, and of the key if they were the last.
fn notify_removed(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>, emptied: bool) {
    notify(cx, event, key);
    if emptied {
        notify_deleted(cx, key);
    }
}

/// Announces the deletion of a key.
fn notify_deleted(cx: &mut Ctx<'_, '_>, key: Key<'_>) {
    cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
}
