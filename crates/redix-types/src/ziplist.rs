//! Ziplists: how Redis before 7 kept small lists, hashes and sorted sets. Read only.
//!
//! ```text
//! header    bytes in all, u32 LE | offset of the last element, u32 LE | elements, u16 LE
//! element   length of the element before | encoding | data
//! end       0xff
//!
//! 00xxxxxx           string of up to 63 bytes     11000000 11010000 11100000   16, 32, 64 bits
//! 01xxxxxx x         of up to 16383 (BE)          11110000 11111110            24 and 8 bits
//! 10______ xxxx      longer (BE)                  1111xxxx                     0..=12, plus one
//! ```
//!
//! The length of the element before takes one byte, or 0xfe and four bytes, LE. A count of 65535
//! means that they have to be counted. Files of old servers hold these bytes; what is loaded from
//! them is kept as listpacks. Source: `ziplist.c` of Redis 6.2 and payloads of its DUMP.

use crate::listpack::Element;

#[cfg(test)]
mod tests;

const HEADER: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
const LONG_BACK: u8 = 0xfe;

/// Whether `bytes` are a complete ziplist: sizes, count, the offset of the last element, and every
/// element with its back length.
pub fn validate(bytes: &[u8]) -> bool {
    let (Some(total), Some(tail), Some(count)) = (u32_at(bytes, 0), u32_at(bytes, 4), count(bytes))
    else {
        return false;
    };
    if total != bytes.len() || bytes.len() <= HEADER || bytes.last() != Some(&END) {
        return false;
    }
    let body = &bytes[..bytes.len() - 1];
    let (mut at, mut before, mut last, mut found) = (HEADER, 0, HEADER, 0usize);
    while at < body.len() {
        let Some((back, _, len)) = element(&body[at..]) else { return false };
        if back != before {
            return false;
        }
        (last, before) = (at, len);
        at += len;
        found += 1;
    }
    let counted = count == COUNT_UNKNOWN || usize::from(count) == found;
    counted && if found == 0 { tail <= body.len() } else { tail == last }
}

/// The elements of a ziplist that [`validate`] accepts.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = &bytes[HEADER..bytes.len() - 1];
    std::iter::from_fn(move || {
        let (_, element, len) = element(rest)?;
        rest = &rest[len..];
        Some(element)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().expect("four bytes");
    usize::try_from(u32::from_le_bytes(word)).ok()
}

fn count(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]))
}

/// The length of the element before, the element that begins `bytes`, and its own length. `None` if
/// it is truncated or invalid.
fn element(bytes: &[u8]) -> Option<(usize, Element<'_>, usize)> {
    let (back, at) = match *bytes.first()? {
        END => return None,
        LONG_BACK => (u32_at(bytes, 1)?, 5),
        short => (usize::from(short), 1),
    };
    let (head, string_len) = match *bytes.get(at)? {
        first @ 0..=0x3f => (1, usize::from(first)),
        first @ 0x40..=0x7f => {
            (2, usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?))
        }
        0x80..=0xbf => {
            let word = bytes.get(at + 1..at + 5)?.try_into().expect("four bytes");
            (5, usize::try_from(u32::from_be_bytes(word)).ok()?)
        }
        first => {
            let (element, len) = integer(first, &bytes[at + 1..])?;
            return Some((back, element, at + 1 + len));
        }
    };
    let end = (at + head).checked_add(string_len)?;
    Some((back, Element::Str(bytes.get(at + head..end)?), end))
}

/// An integer by its encoding and the bytes after it, and how many of those it takes.
fn integer(encoding: u8, bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let len = match encoding {
        0xc0 => 2,
        0xd0 => 4,
        0xe0 => 8,
        0xf0 => 3,
        0xfe => 1,
        0xf1..=0xfd => return Some((Element::Int(i64::from(encoding & 0x0f) - 1), 0)),
        _ => return None,
    };
    let mut wide = [0; 8];
    wide[8 - len..].copy_from_slice(bytes.get(..len)?);
    Some((Element::Int(i64::from_le_bytes(wide) >> (64 - 8 * len)), len))
}
