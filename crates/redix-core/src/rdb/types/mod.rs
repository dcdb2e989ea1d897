//! Values as records: how each type is written, and read with full validation.
//!
//! The one dispatch on the type of a value. Everything that turns values into bytes or back (files,
//! DUMP and RESTORE, snapshots) comes through here; a new type is one module and one arm in each
//! function.
//!
//! **Invariants.** Decoding never panics and believes no length, count or order: a collection is
//! handed on only if it is one that the server itself could have built.

mod zset;

use redix_types::value::{Compact, HeapValue, ValueRef};

use super::format::{RdbErrorKind, TYPE_STRING, WriteVersion};
use super::input::Input;
use super::read::{Decoder, unsupported};
use super::write::{RecordEncoder, encode_int};

/// The type byte under which a value is written in files of `version`.
pub(super) fn type_byte(value: ValueRef<'_>, _version: WriteVersion) -> u8 {
    match value {
        ValueRef::Int(_) | ValueRef::Str(_) => TYPE_STRING,
        ValueRef::Packed(Compact::Zset, _) => zset::TYPE_LISTPACK,
        ValueRef::Large(HeapValue::Zset(_)) => zset::TYPE_SCORES,
        ValueRef::Packed(..) | ValueRef::Large(_) => unreachable!("no command makes one"),
    }
}

/// Appends a value, without its type byte.
pub(super) fn encode(encoder: &mut RecordEncoder, out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Int(value) => encode_int(out, value),
        ValueRef::Str(bytes) => encoder.string(out, bytes),
        ValueRef::Packed(Compact::Zset, bytes) => encoder.string(out, bytes),
        ValueRef::Large(HeapValue::Zset(zset)) => zset::encode(encoder, out, zset),
        ValueRef::Packed(..) | ValueRef::Large(_) => unreachable!("no command makes one"),
    }
}

/// Reads the collection behind a type byte.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue, RdbErrorKind> {
    match type_byte {
        zset::TYPE_TEXT_SCORES | zset::TYPE_SCORES | zset::TYPE_ZIPLIST | zset::TYPE_LISTPACK => {
            zset::decode(decoder, input, type_byte)
        }
        _ => Err(unsupported(type_byte, decoder.version)),
    }
}
