//! Commands on streams.
//!
//! The stream itself, with its groups, is [`redix_types::stream`]. Here are the words of commands,
//! replies, events and what is logged: entries under the IDs that they got, approximate trims as
//! what they came to, deliveries to consumers as XCLAIM and XGROUP SETID.
//!
//! What XNACK releases belongs to a consumer with the empty name, which is not shown, and has a
//! time of delivery long ago. So files hold it, and XCLAIM says it, as any server understands:
//! there it is an entry that may be claimed at once, in the same order.
//!
//! **Invariants.** A stream without entries stays a key. What a group's state depends on besides
//! the log (times, counts) is in the records.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

pub mod add;
pub mod claim;
mod delete;
mod docs;
pub mod edit;
pub mod group;
pub mod idempotent;
pub mod info;
pub mod nack;
pub mod pending;
pub mod range;
pub mod read;
mod trim;

use redix_resp::reply::Reply;
use redix_types::entry::{EntryBox, HeapValue, Kind};
use redix_types::listpack::Element;
use redix_types::stream::{Entry, Group, Limits, Sequence, Stream, StreamId};

use crate::command::context::Ctx;
use crate::config::Config;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

const INVALID_ID: ReplyError =
    ReplyError::Static("ERR Invalid stream ID specified as stream command argument");

/// An ID, whose second number is 0 where it is missing. Errors: it is none.
fn parse_id(word: &[u8]) -> Result<StreamId, ReplyError> {
    parse_partial_id(word, 0)
}

fn parse_partial_id(word: &[u8], missing: u64) -> Result<StreamId, ReplyError> {
    match StreamId::parse(word) {
        Some((ms, Sequence::Given(seq))) => Ok(StreamId { ms, seq }),
        Some((ms, Sequence::Missing)) => Ok(StreamId { ms, seq: missing }),
        Some((_, Sequence::Next)) | None => Err(INVALID_ID),
    }
}

/// An ID, `-` for the least or `+` for the greatest. Errors: it is none.
fn parse_id_or_edge(word: &[u8], missing: u64) -> Result<StreamId, ReplyError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_partial_id(word, missing),
    }
}

/// The first ID of an interval: behind the one that follows `(`. Errors: it is none.
fn parse_start(word: &[u8]) -> Result<StreamId, ReplyError> {
    match word.strip_prefix(b"(") {
        Some(rest @ [_, ..]) => parse_id(rest)?
            .next()
            .ok_or(ReplyError::Static("ERR invalid start ID for the interval")),
        _ => parse_id_or_edge(word, 0),
    }
}

/// The last ID of an interval: before the one that follows `(`. Errors: it is none.
fn parse_end(word: &[u8]) -> Result<StreamId, ReplyError> {
    match word.strip_prefix(b"(") {
        Some(rest @ [_, ..]) => parse_partial_id(rest, u64::MAX)?
            .previous()
            .ok_or(ReplyError::Static("ERR invalid end ID for the interval")),
        _ => parse_id_or_edge(word, u64::MAX),
    }
}

/// How nodes are filled.
fn limits(config: &Config) -> Limits {
    Limits { bytes: config.stream_node_max_bytes, entries: config.stream_node_max_entries }
}

/// What makes a stream of a key that does not exist.
const EMPTY: Missing<'static> = Missing::Build(empty);

fn empty() -> HeapValue {
    HeapValue::Stream(Box::default())
}

/// The stream at a key, for a command that reads. Errors: WRONGTYPE.
fn read<'a>(cx: &'a mut Ctx<'_, '_>, key: Key<'_>) -> Result<Option<&'a Stream>, ReplyError> {
    let entry = cx.keys.lookup_kind(key, Kind::Stream)?;
    Ok(entry.and_then(|entry| Stream::of(entry.value())))
}

/// The stream at a key, which the command has looked up before. Leaves no trace.
fn view<'a>(cx: &'a Ctx<'_, '_>, key: Key<'_>) -> Option<&'a Stream> {
    cx.keys.view(key).and_then(|entry| Stream::of(entry.value()))
}

/// Changes the stream at a key; `change` says how many changes it made. None if there is no key,
/// unless `missing` makes one. Errors: WRONGTYPE.
fn edit<R>(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    missing: Missing<'_>,
    change: impl FnOnce(&mut Stream) -> (R, u64),
) -> Result<Option<R>, ReplyError> {
    cx.keys.edit(key, Kind::Stream, missing, |entry| {
        let (result, changes) = change(stream_of(entry));
        (result, if changes == 0 { Edited::Nothing } else { Edited::Changed(changes) })
    })
}

fn stream_of(entry: &mut EntryBox) -> &mut Stream {
    match entry.heap_mut() {
        Some(HeapValue::Stream(stream)) => stream,
        _ => panic!("the kind of the entry was checked"),
    }
}

/// Frees what a trim has dropped.
fn bury(cx: &mut Ctx<'_, '_>, garbage: Option<HeapValue>) {
    cx.keys.bury(garbage.map(Box::new));
}

/// Reports an event of the stream commands.
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::STREAM, event, cx.keys.db, key.bytes);
}

fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

/// Writes an entry: its ID, and fields and values.
fn reply_entry(reply: &mut Reply, entry: Entry<'_>) {
    reply.array(2);
    reply_entry_parts(reply, entry);
}

/// Writes the ID, and the array of fields and values, of an entry.
fn reply_entry_parts(reply: &mut Reply, entry: Entry<'_>) {
    reply_id(reply, entry.id);
    reply.array(2 * entry.len());
    for part in entry.parts() {
        match part {
            Element::Int(value) => reply.bulk_int(value),
            Element::Str(text) => reply.bulk(text),
        }
    }
}

/// Errors: no such key or group; `after` is the end of the message.
fn no_group(key: Key<'_>, group: &[u8], after: &str) -> ReplyError {
    ReplyError::of_parts(&[
        b"NOGROUP No such key '",
        key.bytes,
        b"' or consumer group '",
        group,
        b"'",
        after.as_bytes(),
    ])
}

/// Errors: no such group of a stream that is there.
fn no_group_of_key(key: Key<'_>, group: &[u8]) -> ReplyError {
    ReplyError::of_parts(&[
        b"NOGROUP No such consumer group '",
        group,
        b"' for key name '",
        key.bytes,
        b"'",
    ])
}

/// The number of a consumer, and whether it was created for that.
fn consumer_of(group: &mut Group, name: &[u8], now_ms: i64) -> (u32, bool) {
    match group.find_consumer(name) {
        Some(number) if group.consumer(number).is_nobody() => {
            group.consumer_mut(number).seen_ms = now_ms;
            (number, true)
        }
        Some(number) => (number, false),
        None => (group.create_consumer(name, now_ms, -1), true),
    }
}

/// Logs what is known of a pending entry as the XCLAIM that brings it about.
fn log_claim(cx: &mut Ctx<'_, '_>, key: Key<'_>, group: &[u8], claim: &Claim<'_>) {
    let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let last_id = claim.last_id.text();
    let words: [&[u8]; 14] = [
        b"XCLAIM",
        key.bytes,
        group,
        claim.consumer,
        b"0",
        claim.id,
        b"TIME",
        time.format(claim.delivered_ms).as_bytes(),
        b"RETRYCOUNT",
        count.format(claim.count).as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        last_id.as_bytes(),
    ];
    cx.keys.effects.log(cx.keys.db, &words);
}

/// What [`log_claim`] says.
struct Claim<'a> {
    id: &'a [u8],
    consumer: &'a [u8],
    delivered_ms: i64,
    count: u64,
    /// The last ID of the group.
    last_id: StreamId,
}

/// Logs how far a group has got.
fn log_group_id(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    group: &[u8],
    last_id: StreamId,
    entries_read: Option<i64>,
) {
    let (mut read, last_id) = (itoa::Buffer::new(), last_id.text());
    let words: [&[u8]; 7] = [
        b"XGROUP",
        b"SETID",
        key.bytes,
        group,
        last_id.as_bytes(),
        b"ENTRIESREAD",
        read.format(entries_read.unwrap_or(-1)).as_bytes(),
    ];
    cx.keys.effects.log(cx.keys.db, &words);
}
