//! Commands on hashes.
//!
//! A hash is created with its first field and deleted with its last. Its encoding, as OBJECT
//! ENCODING shows it, is decided in `redix_types::hash`.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

mod docs;
pub mod number;
pub mod random;
pub mod read;
pub mod write;

use redix_resp::reply::Reply;
use redix_types::entry::{EntryBox, Kind};
use redix_types::hash::{self, HashEdit, HashRef};
use redix_types::listpack::Element;

use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::{Access, Edited, Missing};

/// Looks a hash up for reading. Errors: WRONGTYPE.
#[inline]
fn lookup<'c>(keys: &'c mut Access<'_>, key: Key<'_>) -> Result<Option<HashRef<'c>>, ReplyError> {
    let entry = keys.lookup_kind(key, Kind::Hash)?;
    Ok(entry.map(|entry| HashRef::of(entry.value())))
}

/// Edits the hash at a key; `None` if there is none and `missing` does not create it. Errors:
/// WRONGTYPE.
fn edit<R>(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    missing: Missing<'_>,
    change: impl FnOnce(&mut HashEdit<'_>) -> (R, Edited),
) -> Result<Option<R>, ReplyError> {
    let (limits, hasher) = (cx.config.limits().hash, cx.keys.keyspace.hasher());
    cx.keys.edit(key, Kind::Hash, missing, |entry: &mut EntryBox| {
        change(&mut HashEdit::new(entry, limits, hasher))
    })
}

/// Creates an empty hash where the key does not exist.
const CREATE: Missing<'static> = Missing::Create(hash::EMPTY);

/// Errors: field and value are too long.
#[inline]
fn check_length(field: &[u8], value: &[u8]) -> Result<(), ReplyError> {
    let is_short =
        field.len() <= hash::FIELD_LEN_MAX && field.len() + value.len() <= hash::PAIR_LEN_MAX;
    if is_short { Ok(()) } else { Err(ReplyError::StringTooLong) }
}

/// Reports an event of the hash commands.
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::HASH, event, cx.keys.db, key.bytes);
}

/// Writes a field or value as a bulk string.
#[inline]
fn bulk(reply: &mut Reply, element: Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_int(value),
        Element::Str(text) => reply.bulk(text),
    }
}

/// Writes a field or value as a bulk string, or null.
fn bulk_or_null(reply: &mut Reply, element: Option<Element<'_>>) {
    match element {
        Some(element) => bulk(reply, element),
        None => reply.null(),
    }
}
