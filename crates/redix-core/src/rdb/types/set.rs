//! Sets in files: as text, as an intset, as a listpack.
//!
//! ```text
//! 2   count | member, a string each
//! 11  a string: the bytes of an intset
//! 20  a string: the bytes of a listpack (version 11)
//! ```
//!
//! A set that is loaded takes the form that fits the limits, whichever it was written in. Source:
//! what Valkey 9.1.2, Redis 8.2.3 and 7.0.15 write, and what OBJECT ENCODING says there after
//! DEBUG RELOAD.

use std::collections::BTreeSet;

use redix_types::intset::{self, Intset};
use redix_types::listpack::{self, Depth, Element};
use redix_types::set::{Edit, Form, SetBuf, SetRef};
use redix_types::value::{HeapValue, ValueRef};

use super::super::format::{RdbErrorKind, RdbString, WriteVersion};
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

type Result<T> = std::result::Result<T, RdbErrorKind>;

pub(super) const TYPE_SET: u8 = 2;
pub(super) const TYPE_SET_INTSET: u8 = 11;
pub(super) const TYPE_SET_LISTPACK: u8 = 20;

fn view(value: ValueRef<'_>) -> SetRef<'_> {
    SetRef::of(value).expect("the dispatch has seen that it is a set")
}

/// The type byte of a set in files of `version`.
pub(super) fn type_byte(value: ValueRef<'_>, version: WriteVersion) -> u8 {
    match view(value) {
        SetRef::Intset(_) => TYPE_SET_INTSET,
        SetRef::Listpack(_) if version != WriteVersion::V10 => TYPE_SET_LISTPACK,
        SetRef::Listpack(_) | SetRef::Table(_) => TYPE_SET,
    }
}

/// Appends a set, without its type byte.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    value: ValueRef<'_>,
    flush: &mut Flush<'_>,
) {
    match view(value) {
        SetRef::Intset(set) => encoder.string(out, set.bytes()),
        SetRef::Listpack(bytes) if encoder.version != WriteVersion::V10 => {
            encoder.string(out, bytes);
        }
        set @ (SetRef::Listpack(_) | SetRef::Table(_)) => {
            encode_len(out, set.len() as u64);
            set.for_each_text(&mut |text| {
                encoder.string(out, text);
                flush_full(out, flush);
            });
        }
    }
}

/// Reads the body of [`TYPE_SET`].
pub(super) fn decode(decoder: &mut Decoder, input: &mut Input<'_>) -> Result<HeapValue> {
    let (limits, hasher) = (decoder.options.limits.set, decoder.options.hasher);
    let count = decode_len(input)?;
    if count == 0 {
        return Err(RdbErrorKind::Empty);
    }
    let form = if count > limits.ints as u64 { Form::Table } else { Form::Intset };
    let mut set = SetBuf::new(form);
    let mut edit = Edit::new(&mut set, limits, &hasher);
    for _ in 0..count {
        let span = decoder.decode_string(input)?;
        let member = match decoder.string(input, span) {
            RdbString::Int(value) => Element::Int(value),
            RdbString::Bytes(text) => Element::of(text),
        };
        if !edit.add(member) {
            return Err(corrupt("a set with a member twice"));
        }
    }
    Ok(set.into())
}

/// Reads the body of [`TYPE_SET_INTSET`].
pub(super) fn decode_intset(decoder: &mut Decoder, input: &mut Input<'_>) -> Result<HeapValue> {
    let limits = decoder.options.limits.set;
    let bytes = blob(decoder, input)?;
    if !intset::validate(&bytes) || Intset::new(&bytes).is_empty() {
        return Err(corrupt("Intset integrity check failed"));
    }
    let is_large = Intset::new(&bytes).len() > limits.ints;
    Ok(kept(SetBuf::Intset(bytes), is_large, decoder))
}

/// Reads the body of [`TYPE_SET_LISTPACK`].
pub(super) fn decode_listpack(decoder: &mut Decoder, input: &mut Input<'_>) -> Result<HeapValue> {
    let limits = decoder.options.limits.set;
    let bytes = blob(decoder, input)?;
    if !listpack::validate(&bytes, Depth::Elements) {
        return Err(corrupt("Set listpack integrity check failed"));
    }
    if listpack::len(&bytes) == 0 {
        return Err(RdbErrorKind::Empty);
    }
    if has_equal_elements(&bytes) {
        return Err(corrupt("a set with a member twice"));
    }
    let is_large = listpack::len(&bytes) > limits.entries;
    Ok(kept(SetBuf::Listpack(bytes), is_large, decoder))
}

/// Reads the bytes of a compact set.
fn blob(decoder: &mut Decoder, input: &mut Input<'_>) -> Result<Vec<u8>> {
    let span = decoder.decode_string(input)?;
    match decoder.string(input, span) {
        RdbString::Bytes(bytes) => Ok(bytes.to_vec()),
        RdbString::Int(_) => Err(corrupt("a number where a small set is due")),
    }
}

/// Whether a listpack has equal elements; integers may be stored in it as text.
fn has_equal_elements(bytes: &[u8]) -> bool {
    let mut ints = BTreeSet::new();
    let mut texts = BTreeSet::new();
    !listpack::iter(bytes).all(|(_, element)| match element {
        Element::Str(text) => match Element::of(text) {
            Element::Int(value) => ints.insert(value),
            Element::Str(text) => texts.insert(text),
        },
        Element::Int(value) => ints.insert(value),
    })
}

/// The set as decoded, or converted to a table if it exceeds the limits.
fn kept(mut set: SetBuf, is_large: bool, decoder: &Decoder) -> HeapValue {
    if is_large {
        let limits = decoder.options.limits.set;
        Edit::new(&mut set, limits, &decoder.options.hasher).become_table();
    }
    set.into()
}
