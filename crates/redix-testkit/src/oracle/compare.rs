//! When two replies count as equal, although a server was free to choose.
//!
//! Each rule, and why it must be:
//! - `Unordered`: KEYS, COMMAND LIST and large sets answer in the order of hash tables with random
//!   seeds.
//! - `Count`: SPOP and SRANDMEMBER draw.
//! - `Pairs`: CONFIG GET walks such a table too.
//! - `Seconds`, `Millis`: the servers get a command at different times. Differences of 2 s pass,
//!   also of each of several; negative answers must be equal.
//! - `TypeOnly`: RANDOMKEY, TIME, LASTSAVE, CLIENT ID, CLIENT LIST, COMMAND COUNT.
//! - `Dump`: see [`dump`].
//! - `Scan`: cursors and order are each server's own, and an element may come twice. What an
//!   iteration returned in all must be equal; of a single page only the shape.
//! - `Hello`: version, identifier and name differ; `proto`, `mode` and `role` must be equal.
//! - `Unsubscribed`: unsubscribing from all channels is confirmed in the order of a hash table.
//! - `CommandInfo`: flags, categories and key specifications are sets; notes are prose, of which
//!   each server has its own.
//! - `StreamTimes`: what XINFO and XPENDING tell of consumers depends on when they read. Unix times
//!   and times since may differ by 2 s; what is -1, for never, must be.
//! - `GroupsButLag`: the forks reckon the lag of a group in different ways.
//!
//! Errors are always compared byte for byte.

mod dump;

use redix_resp::Value;

use super::grammar::Compare;
use crate::script::sorted;

const TOLERANCE_S: u64 = 2;

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
        Compare::Dump => dump::same(a, b),
        Compare::Scan => scan_shape(a) && scan_shape(b),
        Compare::Hello => hello(a).is_some() && hello(a) == hello(b),
        Compare::CommandInfo => command_info(a) == command_info(b),
        Compare::Unsubscribed => unsubscribed(a) == unsubscribed(b),
        Compare::StreamTimes => same_but_times(a, b),
        Compare::GroupsButLag => without_lag(a) == without_lag(b),
    }
}

/// The replies without their channels, and the channels in order.
fn unsubscribed(value: &Value) -> (Vec<Value>, Value) {
    let Value::Array(replies) = value else { return (vec![value.clone()], Value::Null) };
    let (mut rest, mut channels) = (Vec::new(), Vec::new());
    for reply in replies {
        match reply {
            Value::Array(parts) | Value::Push(parts) if parts.len() == 3 => {
                rest.extend([parts[0].clone(), parts[2].clone()]);
                channels.push(parts[1].clone());
            }
            other => rest.push(other.clone()),
        }
    }
    (rest, sorted(Value::Array(channels)))
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
        (Value::Int(a), Value::Int(b)) => {
            a == b || *a >= 0 && *b >= 0 && a.abs_diff(*b) <= tolerance
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b, tolerance))
        }
        _ => false,
    }
}

/// Whether replies about streams are the same but for times.
fn same_but_times(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            let is_time = |at: usize| is_pending(a) && at == 2 || at > 0 && names_time(&a[at - 1]);
            let same = |(at, (a, b))| same_but_times(a, b) || is_time(at) && is_close(a, b);
            a.len() == b.len() && a.iter().zip(b).enumerate().all(same)
        }
        (Value::Map(a), Value::Map(b)) => {
            let same = |((key, a), (other, b)): (&(Value, Value), &(Value, Value))| {
                key == other && (same_but_times(a, b) || names_time(key) && is_close(a, b))
            };
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        (Value::Int(UNIX_MS_MIN..), Value::Int(UNIX_MS_MIN..)) => is_close(a, b),
        _ => a == b,
    }
}

/// The reply of XINFO GROUPS without how far the groups lag behind.
fn without_lag(value: &Value) -> Value {
    let is_lag = |key: &Value| *key == Value::Bulk(b"lag".to_vec());
    match value {
        Value::Array(items) => {
            let kept = |at: &usize| *at == 0 || !is_lag(&items[at - 1]);
            let kept = (0..items.len()).filter(kept).map(|at| without_lag(&items[at]));
            Value::Array(kept.collect())
        }
        Value::Map(pairs) => {
            Value::Map(pairs.iter().filter(|(key, _)| !is_lag(key)).cloned().collect())
        }
        other => other.clone(),
    }
}

/// Integers from here on are taken for Unix times in milliseconds.
const UNIX_MS_MIN: i64 = 1_000_000_000_000;

fn is_close(a: &Value, b: &Value) -> bool {
    close(a, b, TOLERANCE_S * 1000)
}

fn names_time(value: &Value) -> bool {
    [&b"idle"[..], b"inactive"].iter().any(|name| *value == Value::Bulk(name.to_vec()))
}

/// Whether it is a pending entry: its ID, its consumer, the time since, and how often.
fn is_pending(items: &[Value]) -> bool {
    matches!(items, [Value::Bulk(_), Value::Bulk(_), Value::Int(_), Value::Int(_)])
}

fn scan_shape(value: &Value) -> bool {
    matches!(value, Value::Array(parts)
        if matches!(parts.as_slice(), [Value::Bulk(_), Value::Array(_)]))
}

/// The fields that do not depend on the server.
fn hello(value: &Value) -> Option<Vec<(Value, Value)>> {
    let Value::Map(fields) = pairs(value) else { return None };
    let wanted = |key: &Value| {
        [&b"proto"[..], b"mode", b"role"].iter().any(|name| *key == Value::Bulk(name.to_vec()))
    };
    Some(fields.into_iter().filter(|(key, _)| wanted(key)).collect())
}

/// Sorts the sets inside each command's description and removes its notes.
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

/// The flat array of RESP2 begins with the fixed fields.
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
