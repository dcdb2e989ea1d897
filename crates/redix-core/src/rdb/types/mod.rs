//! Values as records: encoding and validating decoding of each type.
//!
//! The one dispatch on the type of a value. Every conversion between values and bytes (files, DUMP
//! and RESTORE, snapshots) goes through here; a new type is one module and one arm in each
//! function.
//!
//! **Invariants.** Decoding never panics and trusts no length, count or order: a collection is
//! returned only if it is one that the server itself could have built.

mod hash;
mod list;
mod set;
mod stream;
mod zset;

use redix_types::list::ListRef;
use redix_types::value::{Compact, HeapValue, ValueRef};

use super::format::{RdbErrorKind, RdbVersion, TYPE_STRING, WriteVersion};
use super::input::Input;
use super::read::{Decoder, unsupported};
use super::skip::Skip;
use super::write::{Flush, RecordEncoder, encode_int};

/// `HeapValue::as_ref` returns strings and compact forms as their own variants.
const NOT_LARGE: &str = "only large forms are shown as such";

/// The type byte under which a value is written in files of `version`.
pub(super) fn type_byte(value: ValueRef<'_>, version: WriteVersion) -> u8 {
    match value {
        ValueRef::Int(_) | ValueRef::Str(_) => TYPE_STRING,
        ValueRef::Packed(Compact::Zset, _) => zset::TYPE_LISTPACK,
        ValueRef::Large(HeapValue::Zset(_)) => zset::TYPE_SCORES,
        ValueRef::Packed(Compact::SetOfInts | Compact::Set, _)
        | ValueRef::Large(HeapValue::Set(_)) => set::type_byte(value, version),
        ValueRef::Packed(Compact::Hash, _) => hash::TYPE_LISTPACK,
        ValueRef::Large(HeapValue::Hash(hash)) => hash::type_byte(hash, version),
        ValueRef::Packed(Compact::List, _) | ValueRef::Large(HeapValue::List(_)) => list::NODES,
        ValueRef::Large(HeapValue::Stream(_)) => stream::type_byte(version),
        ValueRef::Large(HeapValue::Str(_) | HeapValue::Packed(..)) => unreachable!("{NOT_LARGE}"),
    }
}

/// Whether a value is a hash with fields that have an expiry.
pub(super) fn has_expiring_fields(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Large(HeapValue::Hash(hash)) if hash.expiring() > 0)
}

/// Appends a value, without its type byte. For a large one `flush` is called repeatedly to take
/// what has been written so far.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    value: ValueRef<'_>,
    flush: &mut Flush<'_>,
) {
    match value {
        ValueRef::Int(value) => encode_int(out, value),
        ValueRef::Str(bytes) => encoder.string(out, bytes),
        ValueRef::Packed(Compact::Zset, bytes) => encoder.string(out, bytes),
        ValueRef::Large(HeapValue::Zset(zset)) => zset::encode(encoder, out, zset, flush),
        ValueRef::Packed(Compact::SetOfInts | Compact::Set, _)
        | ValueRef::Large(HeapValue::Set(_)) => set::encode(encoder, out, value, flush),
        ValueRef::Packed(Compact::Hash, bytes) => encoder.string(out, bytes),
        ValueRef::Large(HeapValue::Hash(hash)) => hash::encode(encoder, out, hash, flush),
        ValueRef::Packed(Compact::List, _) | ValueRef::Large(HeapValue::List(_)) => {
            list::encode(encoder, out, ListRef::of(value), flush);
        }
        ValueRef::Large(HeapValue::Stream(stream)) => stream::encode(encoder, out, stream, flush),
        ValueRef::Large(HeapValue::Str(_) | HeapValue::Packed(..)) => unreachable!("{NOT_LARGE}"),
    }
}

/// Reads a collection, whose type byte was read.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue, RdbErrorKind> {
    match type_byte {
        zset::TYPE_TEXT_SCORES | zset::TYPE_SCORES | zset::TYPE_ZIPLIST | zset::TYPE_LISTPACK => {
            zset::decode(decoder, input, type_byte)
        }
        set::TYPE_SET => set::decode(decoder, input),
        set::TYPE_SET_INTSET => set::decode_intset(decoder, input),
        set::TYPE_SET_LISTPACK => set::decode_listpack(decoder, input),
        hash::TYPE_EXPIRING if matches!(decoder.version, RdbVersion::Valkey(_)) => {
            hash::decode_expiring(decoder, input)
        }
        hash::TYPE_EXPIRING_REDIS if matches!(decoder.version, RdbVersion::Redis(_)) => {
            hash::decode_expiring_redis(decoder, input)
        }
        hash::TYPE_EXPIRING_LISTPACK if matches!(decoder.version, RdbVersion::Redis(_)) => {
            hash::decode_expiring_listpack(decoder, input)
        }
        hash::TYPE_HASH | hash::TYPE_ZIPMAP | hash::TYPE_ZIPLIST | hash::TYPE_LISTPACK => {
            hash::decode(decoder, input, type_byte)
        }
        list::STRINGS | list::ZIPLIST | list::ZIPLISTS | list::NODES => {
            list::decode(decoder, input, type_byte)
        }
        stream::TYPE_1 | stream::TYPE_2 | stream::TYPE_3 => {
            stream::decode(decoder, input, type_byte)
        }
        _ => Err(unsupported(type_byte, decoder.version)),
    }
}

/// Skips a collection, whose type byte was read; `None` if it is not whole, or of a type that is
/// rare enough to be left to the decoder.
pub(super) fn skip(skip: &mut Skip<'_>, type_byte: u8, version: RdbVersion) -> Option<()> {
    match type_byte {
        set::TYPE_SET | list::STRINGS | list::ZIPLISTS => skip.elements(Skip::string),
        set::TYPE_SET_INTSET
        | set::TYPE_SET_LISTPACK
        | zset::TYPE_ZIPLIST
        | zset::TYPE_LISTPACK
        | hash::TYPE_ZIPMAP
        | hash::TYPE_ZIPLIST
        | hash::TYPE_LISTPACK
        | list::ZIPLIST => skip.string(),
        zset::TYPE_SCORES => zset::skip_scores(skip),
        list::NODES => list::skip_nodes(skip),
        hash::TYPE_HASH => hash::skip_fields(skip),
        hash::TYPE_EXPIRING if matches!(version, RdbVersion::Valkey(_)) => {
            hash::skip_expiring(skip)
        }
        hash::TYPE_EXPIRING_REDIS if matches!(version, RdbVersion::Redis(_)) => {
            hash::skip_expiring_redis(skip)
        }
        stream::TYPE_1 | stream::TYPE_2 | stream::TYPE_3 => stream::skip(skip, type_byte),
        _ => None,
    }
}
