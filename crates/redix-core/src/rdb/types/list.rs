//! Lists: quicklist nodes verbatim.
//!
//! Every version that is written has the same form: the nodes, each with its kind and its bytes.
//! Older files hold ziplists, the oldest one string per element.

use redix_types::list::{End, List, ListRef, NodeRef};
use redix_types::listpack::{self, Element};
use redix_types::value::HeapValue;
use redix_types::ziplist;

use super::super::format::{RdbErrorKind, RdbString};
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::skip::Skip;
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

type Result<T> = std::result::Result<T, RdbErrorKind>;

/// Type bytes: single strings, one ziplist, several ziplists, nodes.
pub(super) const STRINGS: u8 = 1;
pub(super) const ZIPLIST: u8 = 10;
pub(super) const ZIPLISTS: u8 = 14;
pub(super) const NODES: u8 = 18;

/// Kinds of nodes.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

/// Appends the nodes of a list.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    list: ListRef<'_>,
    flush: &mut Flush<'_>,
) {
    match list {
        ListRef::Packed(bytes) => {
            encode_len(out, 1);
            encode_node(encoder, out, NodeRef::Packed(bytes));
        }
        ListRef::Large(list) => {
            encode_len(out, list.node_count() as u64);
            for node in list.nodes() {
                encode_node(encoder, out, node);
                flush_full(out, flush);
            }
        }
    }
}

fn encode_node(encoder: &mut RecordEncoder, out: &mut Vec<u8>, node: NodeRef<'_>) {
    let (kind, bytes) = match node {
        NodeRef::Plain(bytes) => (PLAIN, bytes),
        NodeRef::Packed(bytes) => (PACKED, bytes),
    };
    encode_len(out, kind);
    encoder.string(out, bytes);
}

/// Reads a list, whose type byte was read. Nodes are kept as they are, whatever their size; empty
/// ones are skipped, as in the real servers.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue> {
    let mut list = List::new(decoder.options.limits.list);
    match type_byte {
        STRINGS => {
            for _ in 0..decode_len(input)? {
                decode_element(decoder, input, |bytes| list.push(End::Tail, bytes))?;
            }
        }
        ZIPLIST => decode_ziplist(decoder, input, &mut list)?,
        ZIPLISTS => {
            for _ in 0..decode_len(input)? {
                decode_ziplist(decoder, input, &mut list)?;
            }
        }
        NODES => {
            for _ in 0..decode_len(input)? {
                decode_node(decoder, input, &mut list)?;
            }
        }
        _ => unreachable!("a type byte of a list"),
    }
    if list.is_empty() {
        return Err(RdbErrorKind::Empty);
    }
    // A list stored as one ziplist stays a quicklist of one node in the real servers too.
    Ok(if type_byte == ZIPLIST { HeapValue::List(Box::new(list)) } else { list.compacted() })
}

/// Skips the body of [`NODES`].
pub(super) fn skip_nodes(skip: &mut Skip<'_>) -> Option<()> {
    skip.elements(|skip| {
        skip.len()?;
        skip.string()
    })
}

/// Reads a string, which may be stored as a number, and calls `f` with its bytes.
fn decode_element(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    f: impl FnOnce(&[u8]),
) -> Result<()> {
    let span = decoder.decode_string(input)?;
    match decoder.string(input, span) {
        RdbString::Bytes(bytes) => f(bytes),
        RdbString::Int(value) => f(itoa::Buffer::new().format(value).as_bytes()),
    }
    Ok(())
}

/// Reads a string that holds the bytes of a node.
fn decode_blob<'a>(decoder: &'a mut Decoder, input: &'a mut Input<'_>) -> Result<&'a [u8]> {
    let span = decoder.decode_string(input)?;
    match decoder.string(input, span) {
        RdbString::Bytes(bytes) => Ok(bytes),
        RdbString::Int(_) => Err(corrupt("list node that is a number")),
    }
}

fn decode_ziplist(decoder: &mut Decoder, input: &mut Input<'_>, list: &mut List) -> Result<()> {
    let bytes = decode_blob(decoder, input)?;
    if !ziplist::validate(bytes) {
        return Err(corrupt("List ziplist integrity check failed"));
    }
    let mut node = listpack::EMPTY.to_vec();
    for element in ziplist::iter(bytes) {
        let element = match element {
            Element::Str(text) => Element::of(text),
            integer => integer,
        };
        listpack::append(&mut node, element);
    }
    list.append_listpack(&node);
    Ok(())
}

fn decode_node(decoder: &mut Decoder, input: &mut Input<'_>, list: &mut List) -> Result<()> {
    match decode_len(input)? {
        PLAIN => {
            let mut is_empty = false;
            decode_element(decoder, input, |bytes| match bytes {
                [] => is_empty = true,
                bytes => list.append_plain(bytes),
            })?;
            // Only large elements have a node of their own.
            if is_empty {
                return Err(corrupt("list node without bytes"));
            }
        }
        PACKED => {
            let bytes = decode_blob(decoder, input)?;
            if !listpack::validate(bytes, listpack::Depth::Elements) {
                return Err(corrupt("List listpack integrity check failed"));
            }
            list.append_listpack(bytes);
        }
        _ => return Err(corrupt("list node of an unknown kind")),
    }
    Ok(())
}
