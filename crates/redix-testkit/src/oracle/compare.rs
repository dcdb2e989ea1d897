//! When two replies count as equal, although a server was free to choose.
//!
//! Each rule, and why it must be:
//! - `Unordered`: KEYS, COMMAND LIST and large sets answer in the order of hash tables with random
//!   seeds.
//! - `Count`: SPOP and SRANDMEMBER draw.
//! - `Pairs`: CONFIG GET walks such a table too.
//! - `Seconds`, `Millis`: the servers get a command at different times. Differences of 2 s pass;
//!   negative answers must be equal.
//! - `TypeOnly`: RANDOMKEY, TIME, LASTSAVE, CLIENT ID, CLIENT LIST, COMMAND COUNT.
//! - `Dump`: the footer has the version of the format; LZF lets an encoder choose, even whether it
//!   is
//!   worth it, so where a string is compressed only the plain length is compared (that the payload
//!   can be restored, RESTORE shows; what is in it, GET). The members of a large set or hash
//!   stand in any order, so only their number is compared, and of a small one, which may have been
//!   made of it, the length (SMEMBERS and HGETALL show what they are).
//!   order, and so do those of a small one that was made of it, so that only their number or their
//!   length is compared (SMEMBERS shows what they are).
//! - `Scan`: cursors and order are each server's own, and an element may come twice. What an
//!   iteration returned in all must be equal; of a single page only the shape.
//! - `Hello`: version, identifier and name differ; `proto`, `mode` and `role` must be equal.
//! - `CommandInfo`: flags, categories and key specifications are sets; notes are prose, of which
//!   each server has its own.
//!
//! Errors are always compared byte for byte.

use redix_resp::Value;

use super::grammar::Compare;
use crate::script::sorted;

const TOLERANCE_S: u64 = 2;
/// Version of the format and checksum at the end of a payload.
const DUMP_FOOTER_LEN: usize = 2 + 8;

/// Whether the replies to one command are equal under its rule.
pub(super) fn equal(rule: Compare, a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    if matches!(a, Value::Error(_)) || matches!(b, Value::Error(_)) {
        return false;
    }
    match rule {
        Compare::Exact => false,
        Compare::Unordered => sorted(a.clone()) == sorted(b.clone()),
        Compare::Count => {
            std::mem::discriminant(a) == std::mem::discriminant(b) && elements(a) == elements(b)
        }
        Compare::Pairs => sorted(pairs(a)) == sorted(pairs(b)),
        Compare::Seconds => close(a, b, TOLERANCE_S),
        Compare::Millis => close(a, b, TOLERANCE_S * 1000),
        Compare::TypeOnly => std::mem::discriminant(a) == std::mem::discriminant(b),
        Compare::Dump => same_dump(a, b),
        Compare::Scan => scan_shape(a) && scan_shape(b),
        Compare::Hello => hello(a).is_some() && hello(a) == hello(b),
        Compare::CommandInfo => command_info(a) == command_info(b),
    }
}

fn elements(value: &Value) -> usize {
    match value {
        Value::Array(items) | Value::Set(items) => items.len(),
        _ => 0,
    }
}

/// The flat array of RESP2 as a map.
fn pairs(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() % 2 == 0 => {
            Value::Map(items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        other => other.clone(),
    }
}

fn close(a: &Value, b: &Value, tolerance: u64) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => *a >= 0 && *b >= 0 && a.abs_diff(*b) <= tolerance,
        _ => false,
    }
}

/// What must be equal of a payload.
#[derive(PartialEq)]
enum Dump<'a> {
    Bytes(&'a [u8]),
    CompressedString { plain_len: Option<u64> },
    LargeSet { count: Option<u64> },
    LargeHash { count: Option<u64> },
    SmallHash { bytes: usize },
    SmallSet { bytes: usize },
}

fn same_dump(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (dump(a), dump(b)) else { return false };
    match (&a, &b) {
        (Dump::CompressedString { plain_len }, Dump::Bytes([0, plain @ ..]))
        | (Dump::Bytes([0, plain @ ..]), Dump::CompressedString { plain_len }) => {
            plain_len.is_some() && length(plain).map(|(len, _)| len) == *plain_len
        }
        _ => a == b,
    }
}

fn dump(value: &Value) -> Option<Dump<'_>> {
    let Value::Bulk(bytes) = value else { return None };
    let body = &bytes[..bytes.len().checked_sub(DUMP_FOOTER_LEN)?];
    Some(match body {
        // Type 0 is a string, 0xc3 says that it is compressed; two lengths follow.
        [0, 0xc3, rest @ ..] => {
            let plain_len = length(rest).and_then(|(_, rest)| length(rest)).map(|(len, _)| len);
            Dump::CompressedString { plain_len }
        }
        [4, rest @ ..] => Dump::LargeHash { count: length(rest).map(|(count, _)| count) },
        [16, rest @ ..] => Dump::SmallHash { bytes: rest.len() },
        [2, rest @ ..] => Dump::LargeSet { count: length(rest).map(|(count, _)| count) },
        [20, rest @ ..] => Dump::SmallSet { bytes: rest.len() },
        body => Dump::Bytes(body),
    })
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

fn scan_shape(value: &Value) -> bool {
    matches!(value, Value::Array(parts)
        if matches!(parts.as_slice(), [Value::Bulk(_), Value::Array(_)]))
}

/// The fields that do not depend on who answers.
fn hello(value: &Value) -> Option<Vec<(Value, Value)>> {
    let Value::Map(fields) = pairs(value) else { return None };
    let wanted = |key: &Value| {
        [&b"proto"[..], b"mode", b"role"].iter().any(|name| *key == Value::Bulk(name.to_vec()))
    };
    Some(fields.into_iter().filter(|(key, _)| wanted(key)).collect())
}

/// With the sets inside each command's description in order, and without its prose.
fn command_info(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let items = without_notes(items).iter().map(|item| sorted(command_info(item)));
            Value::Array(items.collect())
        }
        Value::Set(items) => sorted(Value::Set(items.iter().map(command_info).collect())),
        Value::Map(pairs) => {
            let pairs = pairs.iter().filter(|(key, _)| !is_notes(key));
            let pairs = pairs.map(|(key, value)| (key.clone(), command_info(value)));
            sorted(Value::Map(pairs.collect()))
        }
        other => other.clone(),
    }
}

/// The flat array of RESP2 begins with them.
fn without_notes(items: &[Value]) -> &[Value] {
    match items {
        [key, _, rest @ ..] if is_notes(key) => rest,
        items => items,
    }
}

fn is_notes(key: &Value) -> bool {
    *key == Value::Bulk(b"notes".to_vec())
}

#[cfg(test)]
mod tests;
