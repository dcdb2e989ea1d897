//! Streams: nodes as they lie in memory, marks of the past, groups.
//!
//! ```text
//! 15  count of nodes | (ID, 16 bytes as a string | listpack) * count | entries | last ID |
//!     count of groups | group * count
//! 19  ... last ID | first ID | greatest deleted ID | entries added | groups (Redis 7.0)
//! 21  the same with more about consumers (Redis 7.2)
//!
//! group     name | last ID | entries read (from 19 on) |
//!           count | (ID, 16 bytes | time, 8 bytes LE | deliveries) * count |
//!           count of consumers | consumer * count
//! consumer  name | seen, 8 bytes LE | active, 8 bytes LE (from 21 on) | count | (ID, 16 bytes) *
//!           count
//! ```
//!
//! An ID is two lengths where nothing else is said. Source: what Redis 7.0.15, 8.2.3 and Valkey
//! 9.1.2 write.

use redix_types::stream::{Group, Marks, Pending, Stream, StreamId};
use redix_types::value::HeapValue;

use super::super::format::{RdbErrorKind, WriteVersion};
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::skip::Skip;
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

type Result<T> = std::result::Result<T, RdbErrorKind>;

/// Without the marks of Redis 7.0.
pub(super) const TYPE_1: u8 = 15;
/// Without the times of Redis 7.2.
pub(super) const TYPE_2: u8 = 19;
pub(super) const TYPE_3: u8 = 21;

/// Stands for a number of entries read that is not known.
const UNKNOWN: u64 = u64::MAX;

/// The type byte under which a stream is written in files of `version`.
pub(super) fn type_byte(version: WriteVersion) -> u8 {
    match version {
        WriteVersion::V10 => TYPE_2,
        _ => TYPE_3,
    }
}

/// Appends a stream, without its type byte.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    stream: &Stream,
    flush: &mut Flush<'_>,
) {
    encode_len(out, stream.node_count() as u64);
    for (id, listpack) in stream.nodes() {
        encoder.string(out, &id.to_bytes());
        encoder.string(out, listpack);
        flush_full(out, flush);
    }
    encode_len(out, stream.len());
    for id in [stream.last_id(), stream.first_id(), stream.max_deleted_id()] {
        encode_id(out, id);
    }
    encode_len(out, stream.entries_added());
    encode_len(out, stream.groups().len() as u64);
    for (name, group) in stream.groups().iter() {
        encoder.string(out, name);
        encode_group(encoder, out, group, flush);
    }
}

fn encode_id(out: &mut Vec<u8>, id: StreamId) {
    encode_len(out, id.ms);
    encode_len(out, id.seq);
}

fn encode_group(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    group: &Group,
    flush: &mut Flush<'_>,
) {
    encode_id(out, group.last_id);
    encode_len(out, group.entries_read.map_or(UNKNOWN, |read| read as u64));
    encode_len(out, group.pending().len() as u64);
    for (id, pending) in group.pending().iter() {
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
        encode_len(out, pending.count);
        flush_full(out, flush);
    }
    encode_len(out, group.consumer_count() as u64);
    for consumer in group.consumers() {
        encoder.string(out, &consumer.name);
        out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
        if encoder.version != WriteVersion::V10 {
            out.extend_from_slice(&consumer.active_ms.to_le_bytes());
        }
        encode_len(out, consumer.pending().len() as u64);
        for (id, ()) in consumer.pending().iter() {
            out.extend_from_slice(&id.to_bytes());
            flush_full(out, flush);
        }
    }
}

/// Reads a stream behind one of its type bytes.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue> {
    let mut stream = Stream::new();
    let mut bytes = Vec::new();
    for _ in 0..decode_len(input)? {
        decoder.decode_bytes_into(input, &mut bytes)?;
        let id = bytes[..].try_into().map_err(|_| corrupt("stream node whose ID is none"))?;
        decoder.decode_bytes_into(input, &mut bytes)?;
        if !stream.append_node(StreamId::from_bytes(id), &bytes) {
            return Err(corrupt("Stream listpack integrity check failed"));
        }
    }
    if decode_len(input)? != stream.len() {
        return Err(corrupt("stream with another number of entries than it says"));
    }
    let mut marks = Marks { last_id: decode_id(input)?, ..Marks::default() };
    marks.entries_added = stream.len();
    if type_byte != TYPE_1 {
        // The first ID follows from the entries.
        decode_id(input)?;
        marks.max_deleted_id = decode_id(input)?;
        marks.entries_added = decode_len(input)?;
    }
    if marks.last_id < stream.last_id() || i64::try_from(marks.entries_added).is_err() {
        return Err(corrupt("stream with entries behind its last ID, or too many"));
    }
    stream.set_marks(marks);
    for _ in 0..decode_len(input)? {
        decoder.decode_bytes_into(input, &mut bytes)?;
        let group = decode_group(decoder, input, type_byte, &stream)?;
        if !stream.create_group(&bytes, group) {
            return Err(corrupt("stream with a group twice"));
        }
    }
    Ok(HeapValue::Stream(Box::new(stream)))
}

fn decode_id(input: &mut Input<'_>) -> Result<StreamId> {
    Ok(StreamId { ms: decode_len(input)?, seq: decode_len(input)? })
}

fn decode_group(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
    stream: &Stream,
) -> Result<Group> {
    let last_id = decode_id(input)?;
    let read = match type_byte {
        TYPE_1 => stream.entries_up_to(last_id),
        _ => Some(decode_len(input)?)
            .filter(|read| *read != UNKNOWN)
            .map(|read| i64::try_from(read).map_err(|_| corrupt("group that has read too much")))
            .transpose()?,
    };
    let mut group = Group::new(last_id, read);
    let mut pending: Vec<(StreamId, Pending)> = Vec::new();
    for _ in 0..decode_len(input)? {
        input.start_part();
        let id = StreamId::from_bytes(input.array()?);
        let delivered_ms = i64::from_le_bytes(input.array()?);
        let count = decode_len(input)?;
        if pending.last().is_some_and(|(last, _)| id <= *last) {
            return Err(corrupt("pending entries out of order"));
        }
        pending.push((id, Pending { delivered_ms, count, consumer: 0 }));
    }
    let mut name = Vec::new();
    for _ in 0..decode_len(input)? {
        decoder.decode_bytes_into(input, &mut name)?;
        if group.find_consumer(&name).is_some() {
            return Err(corrupt("Duplicate stream consumer detected"));
        }
        let seen_ms = i64::from_le_bytes(input.array()?);
        let active_ms = match type_byte {
            TYPE_3 => i64::from_le_bytes(input.array()?),
            _ => seen_ms,
        };
        let consumer = group.create_consumer(&name, seen_ms, active_ms);
        for _ in 0..decode_len(input)? {
            input.start_part();
            let id = StreamId::from_bytes(input.array()?);
            let at = pending.binary_search_by_key(&id, |(id, _)| *id);
            let at = at.map_err(|_| corrupt("consumer with an entry that is not pending"))?;
            let before = group.pending().len();
            group.assign(id, Pending { consumer, ..pending[at].1 });
            if group.pending().len() == before {
                return Err(corrupt("Duplicated consumer PEL entry"));
            }
        }
    }
    if group.pending().len() != pending.len() {
        return Err(corrupt("pending entry without a consumer"));
    }
    Ok(group)
}

/// Skips a stream behind one of its type bytes.
pub(super) fn skip(skip: &mut Skip<'_>, type_byte: u8) -> Option<()> {
    skip.elements(|skip| {
        skip.string()?;
        skip.string()
    })?;
    // Entries and the last ID; the first one, the greatest deleted one and a count.
    let lengths = if type_byte == TYPE_1 { 3 } else { 8 };
    skip_lengths(skip, lengths)?;
    skip.elements(|skip| {
        skip.string()?;
        skip_lengths(skip, if type_byte == TYPE_1 { 2 } else { 3 })?;
        skip.elements(|skip| {
            skip.bytes(24)?;
            skip_lengths(skip, 1)
        })?;
        skip.elements(|skip| {
            skip.string()?;
            skip.bytes(if type_byte == TYPE_3 { 16 } else { 8 })?;
            skip.elements(|skip| skip.bytes(16))
        })
    })
}

fn skip_lengths(skip: &mut Skip<'_>, count: usize) -> Option<()> {
    (0..count).try_for_each(|_| skip.len().map(drop))
}

#[cfg(test)]
mod tests;
