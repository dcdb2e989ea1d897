//! Hashes: a listpack verbatim, or a count followed by fields and values.
//!
//! A hash with fields that have an expiry has a type of its own in either fork: in Valkey an expiry
//! follows each value, in Redis the earliest expiry comes first and the others are relative to it.
//! Types of the time before Redis 7.4 for the same are refused by name. Ziplists and zipmaps of old
//! servers are read too.

use redix_types::hash::{self, Builder, Hash};
use redix_types::listpack::Element;
use redix_types::table::KeyHasher;
use redix_types::value::{HeapValue, IntBuf};
use redix_types::{listpack, ziplist, zipmap};

use super::super::format::{RdbErrorKind, WriteVersion};
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::skip::Skip;
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

/// A count, then fields and values.
pub(super) const TYPE_HASH: u8 = 4;
/// The bytes of a zipmap.
pub(super) const TYPE_ZIPMAP: u8 = 9;
/// The bytes of a ziplist.
pub(super) const TYPE_ZIPLIST: u8 = 13;
/// The bytes of a listpack.
pub(super) const TYPE_LISTPACK: u8 = 16;

/// A count, then fields, values and expiries. Valkey.
pub(super) const TYPE_EXPIRING: u8 = 22;
/// The earliest expiry, a count, then expiries relative to it, fields and values. Redis.
pub(super) const TYPE_EXPIRING_REDIS: u8 = 24;
/// The earliest expiry, then a listpack of fields, values and expiries. Redis.
pub(super) const TYPE_EXPIRING_LISTPACK: u8 = 25;

/// The expiry, in Valkey's type, of a field that has none.
const ENDLESS: i64 = -1;

/// The type under which a large hash is written. Where a field has an expiry, `version` is one that
/// can hold it ([`WriteVersion::able`]).
pub(super) fn type_byte(hash: &Hash, version: WriteVersion) -> u8 {
    match version {
        _ if hash.expiring() == 0 => TYPE_HASH,
        WriteVersion::V12 => TYPE_EXPIRING_REDIS,
        WriteVersion::V10 | WriteVersion::V11 | WriteVersion::V80 => TYPE_EXPIRING,
    }
}

/// Appends a large hash.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    hash: &Hash,
    flush: &mut Flush<'_>,
) {
    let type_byte = type_byte(hash, encoder.version);
    let first_ms = hash.first_expiry().unwrap_or(0);
    if type_byte == TYPE_EXPIRING_REDIS {
        out.extend_from_slice(&first_ms.to_le_bytes());
    }
    encode_len(out, hash.len() as u64);
    for (field, value, at_ms) in hash.iter() {
        if type_byte == TYPE_EXPIRING_REDIS {
            // 0: none. No expiry is before the first, and none is negative.
            encode_len(out, at_ms.map_or(0, |at_ms| at_ms.abs_diff(first_ms) + 1));
        }
        encoder.string(out, field);
        encoder.string(out, value);
        if type_byte == TYPE_EXPIRING {
            out.extend_from_slice(&at_ms.unwrap_or(ENDLESS).to_le_bytes());
        }
        flush_full(out, flush);
    }
}

/// A hash being read, whose fields may have an expiry.
struct Reading<'h> {
    builder: Builder<'h>,
    field: Vec<u8>,
    value: Vec<u8>,
}

impl<'h> Reading<'h> {
    /// Begins with the number of fields. Fails if it is 0.
    fn begin(
        decoder: &Decoder,
        len: u64,
        hasher: &'h KeyHasher,
    ) -> Result<Reading<'h>, RdbErrorKind> {
        if len == 0 {
            return Err(RdbErrorKind::Empty);
        }
        let builder = Builder::new(len, decoder.options.limits.hash, hasher);
        Ok(Reading { builder, field: Vec::new(), value: Vec::new() })
    }

    /// Reads a field and its value.
    fn read(&mut self, decoder: &mut Decoder, input: &mut Input<'_>) -> Result<(), RdbErrorKind> {
        decoder.decode_bytes_into(input, &mut self.field)?;
        decoder.decode_bytes_into(input, &mut self.value)?;
        check_length(&self.field, &self.value)
    }

    /// Adds what was read, with its expiry if there is one.
    fn push(&mut self, expire_at_ms: Option<i64>) -> Result<(), RdbErrorKind> {
        match expire_at_ms {
            None => self.builder.push(&self.field, &self.value),
            Some(at_ms @ 0..) => self.builder.push_expiring(&self.field, &self.value, at_ms),
            Some(_) => return Err(corrupt("expiry of a field before 1970")),
        }
        Ok(())
    }

    fn finish(self) -> Result<HeapValue, RdbErrorKind> {
        self.builder.finish().ok_or(corrupt("hash with a field twice"))
    }
}

fn check_length(field: &[u8], value: &[u8]) -> Result<(), RdbErrorKind> {
    if field.len() > hash::FIELD_LEN_MAX || field.len() + value.len() > hash::PAIR_LEN_MAX {
        return Err(corrupt("field of a hash longer than allowed"));
    }
    Ok(())
}

/// Reads [`TYPE_EXPIRING`].
pub(super) fn decode_expiring(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
) -> Result<HeapValue, RdbErrorKind> {
    let (len, hasher) = (decode_len(input)?, decoder.options.hasher);
    let mut reading = Reading::begin(decoder, len, &hasher)?;
    for _ in 0..len {
        reading.read(decoder, input)?;
        let at_ms = i64::from_le_bytes(input.array()?);
        reading.push((at_ms != ENDLESS).then_some(at_ms))?;
    }
    reading.finish()
}

/// Skips the body of [`TYPE_HASH`].
pub(super) fn skip_fields(skip: &mut Skip<'_>) -> Option<()> {
    skip.elements(|skip| {
        skip.string()?;
        skip.string()
    })
}

/// Skips the body of [`TYPE_EXPIRING`].
pub(super) fn skip_expiring(skip: &mut Skip<'_>) -> Option<()> {
    skip.elements(|skip| {
        skip.string()?;
        skip.string()?;
        skip.bytes(8)
    })
}

/// Skips the body of [`TYPE_EXPIRING_REDIS`].
pub(super) fn skip_expiring_redis(skip: &mut Skip<'_>) -> Option<()> {
    skip.bytes(8)?;
    skip.elements(|skip| {
        skip.len()?;
        skip.string()?;
        skip.string()
    })
}

/// Reads the earliest expiry of one of Redis's types.
fn decode_first(input: &mut Input<'_>) -> Result<i64, RdbErrorKind> {
    let first_ms = i64::from_le_bytes(input.array()?);
    if first_ms < 0 { Err(corrupt("earliest expiry before 1970")) } else { Ok(first_ms) }
}

/// Reads [`TYPE_EXPIRING_REDIS`].
pub(super) fn decode_expiring_redis(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
) -> Result<HeapValue, RdbErrorKind> {
    let first_ms = decode_first(input)?;
    let (len, hasher) = (decode_len(input)?, decoder.options.hasher);
    let mut reading = Reading::begin(decoder, len, &hasher)?;
    for _ in 0..len {
        let expiry = decode_len(input)?.checked_sub(1);
        reading.read(decoder, input)?;
        let at_ms = expiry.map(|after| first_ms.checked_add_unsigned(after));
        let at_ms = at_ms.map(|at_ms| at_ms.ok_or(corrupt("expiry of a field after all times")));
        reading.push(at_ms.transpose()?)?;
    }
    reading.finish()
}

/// Reads [`TYPE_EXPIRING_LISTPACK`].
pub(super) fn decode_expiring_listpack(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
) -> Result<HeapValue, RdbErrorKind> {
    const BROKEN: &str = "Hash listpack with expiries, integrity check failed";
    decode_first(input)?;
    let hasher = decoder.options.hasher;
    let mut bytes = Vec::new();
    decoder.decode_bytes_into(input, &mut bytes)?;
    if !listpack::validate(&bytes, listpack::Depth::Elements) {
        return Err(corrupt(BROKEN));
    }
    let len = listpack::iter(&bytes).count();
    if !len.is_multiple_of(3) {
        return Err(corrupt(BROKEN));
    }
    let mut reading = Reading::begin(decoder, len as u64 / 3, &hasher)?;
    let mut text = IntBuf::new();
    let mut elements = listpack::iter(&bytes).map(|(_, element)| element);
    while let (Some(field), Some(value), Some(expiry)) =
        (elements.next(), elements.next(), elements.next())
    {
        let Element::Int(at_ms) = expiry else { return Err(corrupt(BROKEN)) };
        reading.field.clear();
        reading.field.extend_from_slice(field.text(&mut text));
        reading.value.clear();
        reading.value.extend_from_slice(value.text(&mut text));
        check_length(&reading.field, &reading.value)?;
        reading.push((at_ms != 0).then_some(at_ms))?;
    }
    reading.finish()
}

/// Reads a hash in any of its forms.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue, RdbErrorKind> {
    let (limits, hasher) = (decoder.options.limits.hash, decoder.options.hasher);
    if type_byte == TYPE_HASH {
        let len = decode_len(input)?;
        let mut reading = Reading::begin(decoder, len, &hasher)?;
        for _ in 0..len {
            reading.read(decoder, input)?;
            reading.push(None)?;
        }
        return reading.finish();
    }
    let mut bytes = Vec::new();
    decoder.decode_bytes_into(input, &mut bytes)?;
    let is_empty = match type_byte {
        TYPE_LISTPACK => bytes == listpack::EMPTY,
        TYPE_ZIPLIST => ziplist::validate(&bytes) && ziplist::iter(&bytes).next().is_none(),
        _ => false,
    };
    if is_empty {
        return Err(RdbErrorKind::Empty);
    }
    let hash = match type_byte {
        TYPE_LISTPACK => hash::from_packed(bytes, limits, &hasher),
        TYPE_ZIPLIST if ziplist::validate(&bytes) => {
            hash::from_packed(from_ziplist(&bytes), limits, &hasher)
        }
        TYPE_ZIPMAP if zipmap::validate(&bytes) => {
            let fields = zipmap::iter(&bytes).count() as u64;
            let mut builder = Builder::new(fields, limits, &hasher);
            zipmap::iter(&bytes).for_each(|(field, value)| builder.push(field, value));
            builder.finish()
        }
        _ => None,
    };
    hash.ok_or(corrupt(match type_byte {
        TYPE_LISTPACK => "Hash listpack integrity check failed",
        TYPE_ZIPLIST => "Hash ziplist integrity check failed",
        _ => "Zipmap integrity check failed",
    }))
}

/// Converts a valid ziplist to a listpack.
fn from_ziplist(bytes: &[u8]) -> Vec<u8> {
    let mut lp = listpack::EMPTY.to_vec();
    ziplist::iter(bytes).for_each(|element| listpack::append(&mut lp, element));
    lp
}

#[cfg(test)]
mod tests;
