//! Commands on hashes.
//!
//! A hash is created with its first field and deleted with its last. Its encoding, as OBJECT
//! ENCODING shows it, is decided in `redix_types::hash`.
//!
//! A field that has expired is hidden from every command, except from HLEN, until the sweep removes
//! it or a command sets it anew: deleting it on access, as Redis does, would make reads write.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

mod docs;
pub mod expire;
pub mod getex;
pub mod number;
pub mod random;
pub mod read;
pub mod setex;
pub mod write;

use redix_resp::reply::Reply;
use redix_types::entry::{EntryBox, Kind};
use redix_types::hash::{self, HashEdit, HashRef};
use redix_types::listpack::Element;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::{Access, Edited, Missing};

/// Looks a hash up for reading. Errors: WRONGTYPE.
#[inline]
fn lookup<'c>(keys: &'c mut Access<'_>, key: Key<'_>) -> Result<Option<HashRef<'c>>, ReplyError> {
    let horizon_ms = keys.horizon_ms();
    let entry = keys.lookup_kind(key, Kind::Hash)?;
    Ok(entry.map(|entry| HashRef::after(entry.value(), horizon_ms)))
}

/// The hash at a key that the command has looked up for a write.
fn view<'c>(keys: &'c Access<'_>, key: Key<'_>) -> Option<HashRef<'c>> {
    keys.view(key).map(|entry| HashRef::after(entry.value(), keys.horizon_ms()))
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
    let horizon_ms = cx.keys.horizon_ms();
    cx.keys.edit(key, Kind::Hash, missing, |entry: &mut EntryBox| {
        change(&mut HashEdit::new(entry, limits, hasher, horizon_ms))
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

/// Counts fields that have expired and reports it, if there are any.
fn note_expired(cx: &mut Ctx<'_, '_>, key: Key<'_>, fields: usize) {
    if fields > 0 {
        cx.keys.cell.expired_fields.add(fields as u64);
        notify(cx, "hexpired", key);
    }
}

/// What an edit that removed some fields has done.
fn after_removal(hash: &HashEdit<'_>, removed: usize) -> Edited {
    match removed as u64 {
        0 => Edited::Nothing,
        removed if hash.as_ref().is_empty() => Edited::Emptied(removed),
        removed => Edited::Changed(removed),
    }
}

/// Reports that a hash is gone with its last field, if it is.
fn notify_if_emptied(cx: &mut Ctx<'_, '_>, edited: Edited, key: Key<'_>) {
    if matches!(edited, Edited::Emptied(_)) {
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
}

const NUMFIELDS: ReplyError = ReplyError::Static(
    "ERR numfields should be greater than 0 and match the provided number of fields",
);

/// The position of the word FIELDS from argument `first` on. Errors: there is none with a number
/// behind it.
fn find_fields(args: Args<'_>, first: usize) -> Result<usize, ReplyError> {
    (first..args.len() - 1).find(|&at| args.is(at, "FIELDS")).ok_or(NUMFIELDS)
}

/// Checks the number behind the word FIELDS at `at`, of fields of `words` words each. Errors:
/// NotInteger, `mismatch` if it is not the number of fields that follow.
fn check_count(
    args: Args<'_>,
    at: usize,
    words: usize,
    mismatch: ReplyError,
) -> Result<(), ReplyError> {
    let (stated, given) = (args.int(at + 1)?, args.len() - (at + 2));
    let stated = usize::try_from(stated).ok().filter(|stated| *stated > 0);
    let fits = stated.and_then(|stated| stated.checked_mul(words)) == Some(given);
    if fits { Ok(()) } else { Err(mismatch) }
}

/// Logs a command on some fields of a hash instead of the present one.
fn log_fields(cx: &mut Ctx<'_, '_>, start: &[&[u8]], args: Args<'_>, fields: &[usize]) {
    let mut words = start.to_vec();
    words.extend(fields.iter().map(|&field| args.get(field)));
    cx.keys.effects.log(cx.keys.db, &words);
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
