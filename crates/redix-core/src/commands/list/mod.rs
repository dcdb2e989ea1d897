//! Commands on lists.
//!
//! A list is a listpack inside its entry, or nodes once it is larger than `list-max-listpack-size`
//! ([`redix_types::list`]). Commands change it through `ListEdit`, which converts between the forms
//! when elements are added or removed, as OBJECT ENCODING shows.
//!
//! **Invariants.** An empty list is no key. Commands that choose a key, or that were blocked on
//! one, are logged as LPOP, RPOP or LMOVE of that key.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3.

pub mod block;
mod docs;
pub mod lmove;
pub mod lmovem;
pub mod pop;
pub mod push;
pub mod read;

use std::ops::Range;

use redix_resp::reply::Reply;
use redix_types::entry::{Compact, Value};
use redix_types::list::{End, Fill, ListRef};
use redix_types::listpack::{self, Element};

use crate::command::context::Ctx;
use crate::effects::class;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};
use crate::sync::atomic::Ordering;

/// A push creates an empty list where the key does not exist.
const EMPTY: Missing<'static> = Missing::Create(Value::Packed(Compact::List, &listpack::EMPTY));

/// The size limits of list nodes.
#[inline]
fn fill(cx: &Ctx<'_, '_>) -> Fill {
    let plain_from = cx.engine.list_plain_from.load(Ordering::Relaxed);
    cx.config.limits().list.with_plain_from(plain_from)
}

/// Writes an element as a bulk reply.
#[inline]
fn reply_element(reply: &mut Reply, element: Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_int(value),
        Element::Str(text) => reply.bulk(text),
    }
}

/// Writes the first `count` elements counted from an end, in that order.
fn reply_from_end(reply: &mut Reply, list: ListRef<'_>, end: End, count: usize) {
    reply.array(count);
    let elements = match end {
        End::Head => list.iter(0, End::Tail),
        End::Tail => list.iter(list.len() - 1, End::Head),
    };
    elements.take(count).for_each(|element| reply_element(reply, element));
}

/// Parses LEFT or RIGHT. Errors: Syntax.
fn parse_end(word: &[u8]) -> Result<End, ReplyError> {
    if word.eq_ignore_ascii_case(b"LEFT") {
        Ok(End::Head)
    } else if word.eq_ignore_ascii_case(b"RIGHT") {
        Ok(End::Tail)
    } else {
        Err(ReplyError::Syntax)
    }
}

/// The position of `index` in a list of `len` elements: negative ones count from the end.
fn resolve(index: i64, len: usize) -> Option<usize> {
    if index < 0 {
        let back = usize::try_from(index.unsigned_abs()).ok()?;
        len.checked_sub(back)
    } else {
        usize::try_from(index).ok().filter(|index| *index < len)
    }
}

/// The range from `start` to `stop`, both inclusive, in a list of `len` elements.
fn resolve_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let absolute = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(len - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// Parses a count that may be negative, except the least integer. Errors: NotInteger, out of range.
fn parse_signed_count(word: &[u8]) -> Result<i64, ReplyError> {
    match redix_types::num::parse_i64(word) {
        Some(i64::MIN) => Err(ReplyError::Static(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        Some(count) => Ok(count),
        None => Err(ReplyError::NotInteger),
    }
}

/// The edit that removing `count` elements is, when `left` remain.
fn taken(count: usize, left: usize) -> Edited {
    match (count, left) {
        (0, _) => Edited::Nothing,
        (count, 0) => Edited::Emptied(count as u64),
        (count, _) => Edited::Changed(count as u64),
    }
}

/// The name of a pop's keyspace event.
fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// Announces a keyspace event of the list commands.
fn notify(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>) {
    cx.keys.effects.notify(class::LIST, event, cx.keys.db, key.bytes);
}

/// Announces a removal of elements, and the deletion of the key if it became empty.
fn notify_taken(cx: &mut Ctx<'_, '_>, event: &'static str, key: Key<'_>, left: usize) {
    notify(cx, event, key);
    if left == 0 {
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
}

#[cfg(test)]
mod tests;
