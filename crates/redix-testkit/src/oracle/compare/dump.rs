//! When two payloads of DUMP say the same.
//!
//! - The footer has the version of the format.
//! - LZF lets an encoder choose, even whether it is worth it, and that of the real servers is led
//!   by what its stack holds: strings are compared as they are once decompressed.
//! - Hashes with expiring fields have a type in each fork.
//! - The members of a large set or hash stand in any order, so only their number is compared, and
//!   of a small one, which may have been made of it, the length (SMEMBERS and HGETALL show what
//!   they are).
//! - Groups of streams know times, so what stands in front of them is compared (XINFO shows them).

use redix_core::rdb::lzf::decompress;
use redix_resp::Value;

/// Version of the format and checksum at the end of a payload.
pub(super) const FOOTER_LEN: usize = 2 + 8;

/// The parts that must be equal, with the type.
#[derive(PartialEq)]
enum Content<'a> {
    Strings(u8, Vec<Vec<u8>>),
    Number(u8, u64),
    Length(u8, usize),
    Bytes(&'a [u8]),
}

pub(super) fn same(a: &Value, b: &Value) -> bool {
    content(a).is_some_and(|a| content(b) == Some(a))
}

fn content(value: &Value) -> Option<Content<'_>> {
    let Value::Bulk(bytes) = value else { return None };
    let body = &bytes[..bytes.len().checked_sub(FOOTER_LEN)?];
    let (&kind, rest) = body.split_first()?;
    Some(match kind {
        // Strings, intsets, and sorted sets in compact form.
        0 | 11 | 17 => Content::Strings(kind, vec![string(rest)?.0]),
        // Lists: nodes, each with the kind of its container.
        18 => Content::Strings(kind, nodes(rest)?),
        // Sets and hashes in either form.
        2 | 4 => Content::Number(kind, length(rest)?.0),
        // Hashes with expiring fields, in the types of Valkey and of Redis.
        22 => Content::Number(22, length(rest)?.0),
        24 => Content::Number(22, length(rest.get(8..)?)?.0),
        16 | 20 => Content::Length(kind, string(rest)?.0.len()),
        15 | 19 | 21 => Content::Strings(kind, stream(rest)?),
        _ => Content::Bytes(body),
    })
}

fn nodes(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (count, mut rest) = length(bytes)?;
    let mut nodes = Vec::new();
    for _ in 0..count {
        let (container, behind) = length(rest)?;
        let (node, behind) = string(behind)?;
        nodes.extend([container.to_le_bytes().to_vec(), node]);
        rest = behind;
    }
    rest.is_empty().then_some(nodes)
}

/// The nodes of a stream, and what it knows of its past.
fn stream(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    /// The number of entries, three IDs, and how many were added.
    const MARKS: usize = 1 + 2 * 3 + 1;
    let (count, mut rest) = length(bytes)?;
    let mut parts = Vec::new();
    for _ in 0..2 * count {
        let (part, behind) = string(rest)?;
        parts.push(part);
        rest = behind;
    }
    for _ in 0..MARKS {
        let (mark, behind) = length(rest)?;
        parts.push(mark.to_le_bytes().to_vec());
        rest = behind;
    }
    Some(parts)
}

/// A string, decompressed, and what follows. An integer stays as it is encoded.
fn string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match bytes.first()? {
        0xc3 => {
            let (packed_len, rest) = length(&bytes[1..])?;
            let (plain_len, rest) = length(rest)?;
            let (packed, rest) = rest.split_at_checked(usize::try_from(packed_len).ok()?)?;
            let mut plain = Vec::new();
            decompress(packed, usize::try_from(plain_len).ok()?, &mut plain).ok()?;
            Some((plain, rest))
        }
        first @ 0xc0..=0xc2 => {
            let (integer, rest) = bytes.split_at_checked(1 + (1 << (first & 3)))?;
            Some((integer.to_vec(), rest))
        }
        _ => {
            let (len, rest) = length(bytes)?;
            let (text, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((text.to_vec(), rest))
        }
    }
}

/// A length of the RDB format: 6, 14, 32 or 64 bits.
fn length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let fixed = |len: usize| -> Option<(u64, &[u8])> {
        let (number, rest) = rest.split_at_checked(len)?;
        Some((number.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)), rest))
    };
    match (first >> 6, first) {
        (0, _) => Some((u64::from(first), rest)),
        (1, _) => {
            let (&second, rest) = rest.split_first()?;
            Some((u64::from(first & 0x3f) << 8 | u64::from(second), rest))
        }
        (_, 0x80) => fixed(4),
        (_, 0x81) => fixed(8),
        _ => None,
    }
}
