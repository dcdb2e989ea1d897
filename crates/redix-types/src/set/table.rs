//! The large form of a set: members in pages.

use crate::packed::{New, Stored};
use crate::paged::{Member, Paged};
use crate::prefetch::MemberLookup;
use crate::table::KeyHasher;

/// A set of any size, in pages. `clone` shares all pages until one side writes.
#[derive(Clone, Default)]
pub struct Table {
    pages: Paged<Member>,
}

impl Table {
    /// A set without members, which owns no memory.
    pub const fn new() -> Self {
        Table { pages: Paged::new() }
    }

    /// Number of members.
    #[inline]
    pub const fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Bytes of memory, without this struct.
    pub fn memory(&self) -> usize {
        self.pages.memory()
    }

    /// Upper bound of the allocations that [`Table::free_step`] frees.
    pub fn weight(&self) -> usize {
        self.pages.weight()
    }

    /// Frees about `budget` allocations; returns whether all are freed. The set must not be used
    /// meanwhile.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.pages.free_step(budget)
    }

    /// As [`Paged::prefetch`].
    #[inline]
    pub fn prefetch(&self, lookup: &MemberLookup) -> bool {
        self.pages.prefetch(lookup)
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(&self, member: &[u8], hasher: &KeyHasher) -> bool {
        self.pages.find(hasher.hash(member), member).is_some()
    }

    /// Adds a member; returns whether it was missing.
    #[inline]
    pub fn add(&mut self, member: &[u8], hasher: &KeyHasher) -> bool {
        let hash = hasher.hash(member);
        let is_new = self.pages.find(hash, member).is_none();
        if is_new {
            self.pages.insert_new(hash, New::of(&[member]), hasher);
        }
        is_new
    }

    /// Removes a member; returns whether it existed.
    #[inline]
    pub fn remove(&mut self, member: &[u8], hasher: &KeyHasher) -> bool {
        let found = self.pages.find(hasher.hash(member), member).map(|(pos, _)| pos);
        if let Some(pos) = found {
            self.pages.remove(pos, hasher);
        }
        found.is_some()
    }

    /// The members, in an order that lasts until the next change.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pages.iter().map(Stored::bytes)
    }

    /// Calls `f` with about `count` members from a cursor on; returns the next cursor, 0 at the
    /// end. Members that exist from cursor 0 to the end are visited.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, f: &mut dyn FnMut(&'a [u8])) -> u64 {
        self.pages.scan(cursor, count, |stored| f(stored.bytes()))
    }

    /// A member chosen by a random number. `None` if the set is empty.
    pub fn random(&self, word: u64) -> Option<&[u8]> {
        self.pages.random(word).map(Stored::bytes)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}
