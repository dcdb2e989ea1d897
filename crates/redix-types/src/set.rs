//! Sets of strings, in the three encodings that Redis reports: `intset`, `listpack`, `hashtable`.
//!
//! Few integers are an intset, few short strings a listpack: bytes stored wherever their owner
//! wants them. All others are a [`Table`] of pages. [`SetRef`] reads all three; a set begins in the
//! encoding that [`Form::of_new`] chooses and moves to the next one when it outgrows its own, never
//! back, as in Redis 7.2 and Valkey: encodings are visible to clients, so the limits are checked
//! exactly where those check them.
//!
//! Members are passed as [`Element`]: an integer is one in every encoding, even in a table, which
//! stores its text.
//!
//! Source of the rules: OBJECT ENCODING of Valkey 9.1.2 and Redis 8.2.3 at every limit.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::intset::Intset;
use crate::listpack::{self, Element};
use crate::table::KeyHasher;
use crate::value::{Compact, HeapValue, IntBuf, ValueRef};

mod edit;
mod sample;
mod small;
mod table;
#[cfg(test)]
mod tests;

pub use edit::{Edit, Home, SetBuf};
use sample::{Picks, below};
pub use table::Table;

/// The limits of compact sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most elements of an intset.
    pub ints: usize,
    /// Most elements of a listpack.
    pub entries: usize,
    /// Longest text, in bytes, of an element of a listpack.
    pub value: usize,
}

impl Default for Limits {
    /// The defaults of Redis.
    fn default() -> Self {
        Limits { ints: 512, entries: 128, value: 64 }
    }
}

/// The encoding of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Intset,
    Listpack,
    Table,
}

impl Form {
    /// The encoding of a new set whose first member is `first`, if the command that creates it adds
    /// `count` members, duplicates included.
    pub fn of_new(first: Element<'_>, count: usize, limits: Limits) -> Form {
        match first {
            Element::Int(_) if count <= limits.ints => Form::Intset,
            _ if count <= limits.entries => Form::Listpack,
            _ => Form::Table,
        }
    }

    /// Whether a set of this encoding becomes a table before a command adds `count` members to it,
    /// duplicates and existing ones included.
    pub fn is_outgrown_by(self, count: usize, limits: Limits) -> bool {
        match self {
            Form::Intset => count > limits.ints,
            Form::Listpack => count > limits.entries,
            Form::Table => false,
        }
    }
}

/// A borrowed set of any encoding, as cheap to pass as a slice.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    Intset(Intset<'a>),
    Listpack(&'a [u8]),
    Table(&'a Table),
}

impl<'a> SetRef<'a> {
    /// Borrows a value that is a set.
    #[inline]
    pub fn of(value: ValueRef<'a>) -> Option<SetRef<'a>> {
        match value {
            ValueRef::Packed(Compact::SetOfInts, bytes) => Some(SetRef::Intset(Intset::new(bytes))),
            ValueRef::Packed(Compact::Set, bytes) => Some(SetRef::Listpack(bytes)),
            ValueRef::Large(HeapValue::Set(table)) => Some(SetRef::Table(table)),
            _ => None,
        }
    }

    /// Its encoding.
    pub fn form(self) -> Form {
        match self {
            SetRef::Intset(_) => Form::Intset,
            SetRef::Listpack(_) => Form::Listpack,
            SetRef::Table(_) => Form::Table,
        }
    }

    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            SetRef::Intset(set) => set.len(),
            SetRef::Listpack(set) => listpack::len(set),
            SetRef::Table(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `member` is in the set. O(1) in a table, O(log n) in an intset, O(n) in a listpack.
    pub fn contains(self, member: Element<'_>, hasher: &KeyHasher) -> bool {
        let mut buf = IntBuf::new();
        match (self, member) {
            (SetRef::Intset(set), Element::Int(value)) => set.contains(value),
            (SetRef::Intset(_), Element::Str(_)) => false,
            (SetRef::Listpack(set), _) => {
                listpack::find(set, member.text(&mut buf), listpack::HEADER, 0).is_some()
            }
            (SetRef::Table(set), _) => set.contains(member.text(&mut buf), hasher),
        }
    }

    /// Calls `f` with the members: ascending in an intset, in insertion order in a listpack,
    /// otherwise in an order that lasts until the next change. Stops when `f` breaks.
    pub fn try_for_each<B>(
        self,
        mut f: impl FnMut(Element<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self {
            SetRef::Intset(set) => set.iter().map(Element::Int).try_for_each(f),
            SetRef::Listpack(set) => listpack::iter(set).try_for_each(|(_, element)| f(element)),
            SetRef::Table(set) => set.iter().map(Element::of).try_for_each(f),
        }
    }

    /// Calls `f` with all members, in the same order.
    pub fn for_each(self, mut f: impl FnMut(Element<'a>)) {
        let end = self.try_for_each(|element| {
            f(element);
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(end.is_continue());
    }

    /// Calls `f` with the texts of the members, in the same order: the cheapest way to write them.
    pub fn for_each_text(self, f: &mut dyn FnMut(&[u8])) {
        let mut buf = IntBuf::new();
        match self {
            SetRef::Table(set) => set.iter().for_each(f),
            _ => self.for_each(|member| f(member.text(&mut buf))),
        }
    }

    /// A member chosen by a random number. `None` if the set is empty.
    pub fn random(self, word: u64) -> Option<Element<'a>> {
        let rank = below(word, self.len());
        match self {
            SetRef::Intset(set) => (!set.is_empty()).then(|| Element::Int(set.at(rank))),
            SetRef::Listpack(set) => listpack::get(set, rank),
            SetRef::Table(set) => set.random(word).map(Element::of),
        }
    }

    /// Calls `f` with `count` distinct members, or all if there are no more; every choice is as
    /// likely as any other, up to the bias of [`SetRef::random`]. `random` supplies random numbers.
    pub fn sample(
        self,
        count: usize,
        random: &mut dyn FnMut() -> u64,
        f: &mut dyn FnMut(Element<'a>),
    ) {
        match self {
            SetRef::Table(set) if count < set.len() / SPARSE => {
                let mut seen = BTreeSet::new();
                while seen.len() < count {
                    let member = set.random(random()).expect("a set with members");
                    if seen.insert(member) {
                        f(Element::of(member));
                    }
                }
            }
            _ => {
                let mut pick = Picks::new(count, self.len());
                self.for_each(|element| {
                    if pick.next(random) {
                        f(element);
                    }
                });
            }
        }
    }
}

/// A sample of fewer than one in this many members is drawn instead of visiting all: at most one in
/// three draws then repeats a member.
const SPARSE: usize = 3;
