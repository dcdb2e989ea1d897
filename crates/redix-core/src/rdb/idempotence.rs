//! What streams know of their producers, in fields of a file that other servers pass over.
//!
//! ```text
//! window    'W' | duration, 4 bytes | most identifiers, 4 | ever added, 8 | repetitions, 8
//! producer  'P' | length of its name, 4 | name | (ID, 16 | length, 4 | identifier) * n
//! ```
//!
//! The fields stand before the key of the stream: its window, then one for each producer, so that
//! none is larger than what one producer may have. Numbers are little-endian, IDs as in files. A
//! payload of DUMP has no place for them.

use redix_types::stream::{Idempotence, StreamId, Window};
use redix_types::value::{HeapValue, ValueRef};

use super::format::{RdbString, opcode};
use super::write::{Flush, RecordEncoder};

/// The name of the fields.
pub const FIELD: &[u8] = b"redix-idmp";

/// Appends the fields of a value, if it is a stream that has some.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    value: ValueRef<'_>,
    flush: &mut Flush<'_>,
) {
    let ValueRef::Large(HeapValue::Stream(stream)) = value else { return };
    let Some(known) = stream.idempotence() else { return };
    let Window { duration_s, max } = known.window();
    let mut field = vec![b'W'];
    field.extend_from_slice(&duration_s.to_le_bytes());
    field.extend_from_slice(&max.to_le_bytes());
    field.extend_from_slice(&known.added.to_le_bytes());
    field.extend_from_slice(&known.duplicates.to_le_bytes());
    encode_field(encoder, out, &field);
    for (producer, entries) in known.producers() {
        field.clear();
        field.push(b'P');
        encode_name(&mut field, producer);
        for (id, iid) in entries {
            field.extend_from_slice(&id.to_bytes());
            encode_name(&mut field, iid);
        }
        encode_field(encoder, out, &field);
        super::write::flush_full(out, flush);
    }
}

fn encode_field(encoder: &mut RecordEncoder, out: &mut Vec<u8>, field: &[u8]) {
    out.push(opcode::AUX);
    encoder.string(out, FIELD);
    encoder.string(out, field);
}

fn encode_name(field: &mut Vec<u8>, name: &[u8]) {
    // A word of a command has 512 MB at most.
    field.extend_from_slice(&(name.len() as u32).to_le_bytes());
    field.extend_from_slice(name);
}

/// Adds what a field says to what those before it have said. A field that is not of this form says
/// nothing.
pub fn decode(known: &mut Option<Box<Idempotence>>, field: RdbString<'_>) {
    let RdbString::Bytes(mut rest) = field else { return };
    match take(&mut rest, 1) {
        Some(b"W") => {
            if let Some(begun) = decode_window(&mut rest) {
                *known = Some(Box::new(begun));
            }
        }
        Some(b"P") => {
            let Some(known) = known else { return };
            let Some(producer) = take_name(&mut rest) else { return };
            while let Some((id, iid)) = decode_entry(&mut rest) {
                known.restore(producer, iid, id);
            }
        }
        _ => {}
    }
}

fn decode_window(rest: &mut &[u8]) -> Option<Idempotence> {
    let window = Window { duration_s: take_u32(rest)?, max: take_u32(rest)? };
    let mut known = Idempotence::default();
    known.set_window(Some(window).filter(|window| window.fits())?);
    known.added = u64::from_le_bytes(take(rest, 8)?.try_into().ok()?);
    known.duplicates = u64::from_le_bytes(take(rest, 8)?.try_into().ok()?);
    Some(known)
}

fn decode_entry<'a>(rest: &mut &'a [u8]) -> Option<(StreamId, &'a [u8])> {
    let id = StreamId::from_bytes(take(rest, 16)?.try_into().ok()?);
    Some((id, take_name(rest)?))
}

fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_u32(rest)?).ok()?;
    take(rest, len).filter(|name| !name.is_empty())
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests;
