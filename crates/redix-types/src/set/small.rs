//! Adding to compact sets, and when they have to be converted.

use super::Limits;
use crate::intset::{self, Intset};
use crate::listpack::{self, Element};
use crate::splice::Splice;
use crate::value::IntBuf;

/// The outcome of adding a member to a compact set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new.
    Yes,
    /// It existed.
    No,
    /// It is new, but requires a table: nothing was changed.
    NeedsTable,
    /// It is no integer and requires a listpack: nothing was changed.
    NeedsListpack,
    /// It was added, and the set now exceeds the limits of its encoding.
    Outgrown,
}

/// Adds a member to an intset.
pub(super) fn add_to_intset(set: &mut impl Splice, member: Element<'_>, limits: Limits) -> Added {
    match member {
        Element::Int(value) => {
            if !intset::insert(set, value) {
                Added::No
            } else if Intset::new(set.bytes()).len() > limits.ints.min(INTSET_LEN_MAX) {
                Added::Outgrown
            } else {
                Added::Yes
            }
        }
        Element::Str(text) => {
            let view = Intset::new(set.bytes());
            let fits = view.len() < limits.entries
                && text.len().max(longest_text(view)) <= limits.value
                && listpack::has_room(listpack_len_max(view), member.encoded_len());
            if fits { Added::NeedsListpack } else { Added::NeedsTable }
        }
    }
}

/// The most elements of an intset, whatever the limits. Source: `t_set.c` of Redis.
const INTSET_LEN_MAX: usize = 1 << 30;

/// The length of the longest text among the elements of an intset: that of one of its ends.
fn longest_text(set: Intset<'_>) -> usize {
    let ends = [0, set.len().saturating_sub(1)].into_iter().filter(|rank| *rank < set.len());
    ends.map(|rank| Element::Int(set.at(rank)).text_len()).max().unwrap_or(0)
}

/// Upper bound of the bytes of a listpack with the elements of an intset.
fn listpack_len_max(set: Intset<'_>) -> usize {
    listpack::EMPTY.len() + set.len() * Element::Int(i64::MIN).encoded_len()
}

/// Adds a member to a listpack.
pub(super) fn add_to_listpack(set: &mut impl Splice, member: Element<'_>, limits: Limits) -> Added {
    let bytes = set.bytes();
    let mut buf = IntBuf::new();
    let text = member.text(&mut buf);
    if listpack::find(bytes, text, listpack::HEADER, 0).is_some() {
        return Added::No;
    }
    let fits = listpack::len(bytes) < limits.entries
        && text.len() <= limits.value
        && listpack::has_room(bytes.len(), member.encoded_len());
    if !fits {
        return Added::NeedsTable;
    }
    listpack::append(set, member);
    Added::Yes
}

/// Removes a member from a listpack; returns whether it existed.
pub(super) fn remove_from_listpack(set: &mut impl Splice, member: Element<'_>) -> bool {
    let mut buf = IntBuf::new();
    let found = listpack::find(set.bytes(), member.text(&mut buf), listpack::HEADER, 0);
    if let Some(at) = found {
        listpack::delete(set, at, 1);
    }
    found.is_some()
}
