//! Hashes: a listpack verbatim, or a count followed by fields and values.
//!
//! Ziplists and zipmaps of old servers are read too. Hashes with field expiry are not supported,
//! and their types are refused by name.

use redix_types::hash::{self, Builder, Hash};
use redix_types::value::HeapValue;
use redix_types::{listpack, ziplist, zipmap};

use super::super::format::RdbErrorKind;
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

/// A count, then fields and values.
pub(super) const TYPE_HASH: u8 = 4;
/// The bytes of a zipmap.
pub(super) const TYPE_ZIPMAP: u8 = 9;
/// The bytes of a ziplist.
pub(super) const TYPE_ZIPLIST: u8 = 13;
/// The bytes of a listpack.
pub(super) const TYPE_LISTPACK: u8 = 16;

/// Appends a large hash.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    hash: &Hash,
    flush: &mut Flush<'_>,
) {
    encode_len(out, hash.len() as u64);
    for (field, value, _) in hash.iter() {
        encoder.string(out, field);
        encoder.string(out, value);
        flush_full(out, flush);
    }
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
        if len == 0 {
            return Err(RdbErrorKind::Empty);
        }
        let mut builder = Builder::new(len, limits, &hasher);
        let (mut field, mut value) = (Vec::new(), Vec::new());
        for _ in 0..len {
            decoder.decode_bytes_into(input, &mut field)?;
            decoder.decode_bytes_into(input, &mut value)?;
            if field.len() > hash::FIELD_LEN_MAX || field.len() + value.len() > hash::PAIR_LEN_MAX {
                return Err(corrupt("field of a hash longer than allowed"));
            }
            builder.push(&field, &value);
        }
        return builder.finish().ok_or(corrupt("hash with a field twice"));
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
    hash.ok_or(corrupt("bytes that are no small hash"))
}

/// Converts a valid ziplist to a listpack.
fn from_ziplist(bytes: &[u8]) -> Vec<u8> {
    let mut lp = listpack::EMPTY.to_vec();
    ziplist::iter(bytes).for_each(|element| listpack::append(&mut lp, element));
    lp
}

#[cfg(test)]
mod tests;
