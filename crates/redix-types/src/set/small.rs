//! Adding to the small forms, and when that is no longer possible.

use super::Limits;
use crate::intset::{self, Intset};
use crate::listpack::{self, Element};
use crate::splice::Splice;
use crate::value::IntBuf;

/// What came of adding a member to a small set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new.
    Yes,
    /// It was there.
    No,
    /// It is new, but the set has to become a table to have it: nothing was changed.
    NeedsTable,
    /// It is no integer: the set has to become a listpack first. Nothing was changed.
    NeedsListpack,
    /// It is new and was added, and with it the set has become too large for its form.
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

/// Most elements of an intset, whatever the limits say. Source: `t_set.c` of Redis.
const INTSET_LEN_MAX: usize = 1 << 30;

/// The length of the longest text among the elements of an intset: that of one of its ends.
fn longest_text(set: Intset<'_>) -> usize {
    let ends = [0, set.len().saturating_sub(1)].into_iter().filter(|rank| *rank < set.len());
    ends.map(|rank| Element::Int(set.at(rank)).text_len()).max().unwrap_or(0)
}

/// At most how many bytes a listpack takes that has the elements of an intset.
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

/// Removes a member from a listpack; whether it was there.
pub(super) fn remove_from_listpack(set: &mut impl Splice, member: Element<'_>) -> bool {
    let mut buf = IntBuf::new();
    let found = listpack::find(set.bytes(), member.text(&mut buf), listpack::HEADER, 0);
    if let Some(at) = found {
        listpack::delete(set, at, 1);
    }
    found.is_some()
}
