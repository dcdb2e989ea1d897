//! Sets and hashes with many elements: linear hashing over pages of packed elements.
//!
//! Growing splits one page and shrinking merges one, as in [`crate::table`]: no pause, no second
//! table. A page is a block of the size that its elements need, so there is no fill factor either:
//! what is lost is half a step of the allocator's classes, a header and a pointer per page. One
//! allocation per element was rejected: 29 bytes a member of 15 instead of 20, 45 a field of 15
//! with a value of 11 instead of 35, and 80 to 100 ns to free one instead of 2, 36 to walk past it
//! instead of 8 (at a million elements, machine busy).
//!
//! **Shares.** The elements are dealt to four tables of unequal size, whose pages together have
//! all sizes at any time; [`crate::shares`] says why.
//!
//! **Order.** A walk goes by share, then by the low 32 bits of the hash reversed, in which every
//! page is one contiguous range however often it is split or merged. A cursor is a place in that
//! order, so an element that is there from the first to the last call of a walk is reported.
//!
//! **Invariants** (the model tests in `tests.rs` check all after random histories):
//! * G1: page `p` of share `s` is block `4 p + s` of the store, `p < pages[s]`; a page without
//!   elements has no block.
//! * G2: an element lies in the page that its hash selects, under the tag that its hash has.
//! * G3: `len` counts the elements; `bytes[s]` is the sum of what they take in the pages of share
//!   `s`, and `outside` the memory of those that lie outside.
//!
//! Hashes come from the caller, who uses the same [`KeyHasher`] throughout.

use std::marker::PhantomData;

use crate::block::Block;
use crate::packed::{self, New, Stored};
use crate::prefetch::MemberLookup;
use crate::shares::{self, SHARES};
use crate::store::Store;
use crate::table::KeyHasher;

#[cfg(test)]
mod tests;

/// Pages are merged when their mean size falls below this many sixteenths of the target.
const MERGE_X16: usize = 13;

/// Cache lines of a page's header and metas.
const FRONT_LINES: usize = 2;

/// The kind of element packed into the pages.
pub trait Element {
    /// Bytes of a page, on average: more make searches longer, fewer cost headers.
    const PAGE: usize;

    /// The key that the element is found by.
    fn key(stored: Stored<'_>) -> &[u8];
}

/// An element that is its own key.
#[derive(Clone, Copy, Debug)]
pub struct Member;

impl Element for Member {
    const PAGE: usize = 512;

    #[inline(always)]
    fn key(stored: Stored<'_>) -> &[u8] {
        stored.bytes()
    }
}

/// The position of an element. Valid until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos {
    number: u32,
    index: u32,
}

impl Pos {
    fn share(self) -> usize {
        self.number as usize % SHARES
    }
}

/// The table. `clone` shares all pages until one side writes.
#[derive(Clone)]
pub struct Paged<E> {
    store: Store,
    len: usize,
    pages: [u32; SHARES],
    bytes: [usize; SHARES],
    outside: usize,
    element: PhantomData<E>,
}

/// The share that a hash belongs to.
#[inline(always)]
fn share_of(hash: u64) -> usize {
    shares::share_of((hash >> 56) as u8)
}

/// Eight bits that neither choose a page of fewer than 2^45 nor the share.
#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    (hash >> 45) as u8
}

/// The page among `pages` that a hash selects.
#[inline(always)]
fn page_of(hash: u64, pages: u32) -> usize {
    shares::bucket_of(hash, pages) as usize
}

#[inline(always)]
fn number_of(page: usize, share: usize) -> usize {
    page * SHARES + share
}

impl<E: Element> Default for Paged<E> {
    fn default() -> Self {
        Paged::new()
    }
}

impl<E: Element> Paged<E> {
    /// A table without elements, which owns no memory.
    pub const fn new() -> Self {
        Paged {
            store: Store::new(),
            len: 0,
            pages: [1; SHARES],
            bytes: [0; SHARES],
            outside: 0,
            element: PhantomData,
        }
    }

    /// Number of elements.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, without this struct, by the allocator's classes.
    pub fn memory(&self) -> usize {
        self.store.memory() + self.outside
    }

    /// Upper bound of the allocations that [`Paged::free_step`] frees.
    pub fn weight(&self) -> usize {
        self.store.weight() + if self.outside > 0 { self.len } else { 0 }
    }

    /// Frees about `budget` allocations; returns whether all are freed. The table must not be used
    /// meanwhile.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let done = self.store.free_step(budget);
        if done {
            *self = Paged::new();
        }
        done
    }

    /// Looks a key up: the position of its element, and the element.
    #[inline(always)]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<(Pos, Stored<'_>)> {
        self.find_by(hash, |element| E::key(element) == key)
    }

    /// Looks for an element with this hash for which `same` is true; others may be asked about too.
    #[inline(always)]
    pub fn find_by(
        &self,
        hash: u64,
        same: impl FnMut(Stored<'_>) -> bool,
    ) -> Option<(Pos, Stored<'_>)> {
        let share = share_of(hash);
        let number = number_of(page_of(hash, self.pages[share]), share);
        let page = self.store.get(number)?;
        let (index, element) = packed::find(page, tag_of(hash), same)?;
        Some((Pos { number: number as u32, index: index as u32 }, element))
    }

    /// Prefetches what [`Paged::find`] will read: at step 0 the page, at step 1 the element. True
    /// if there is another step.
    #[inline]
    pub fn prefetch(&self, lookup: &MemberLookup) -> bool {
        let &MemberLookup { hash, step, .. } = lookup;
        let share = share_of(hash);
        let number = number_of(page_of(hash, self.pages[share]), share);
        match (self.store.get(number), step) {
            (Some(page), 0) => page.prefetch(FRONT_LINES),
            (Some(page), _) => packed::prefetch::<0>(page, tag_of(hash)),
            (None, _) => {}
        }
        step == 0
    }

    /// The element at a position. Panics if there is none.
    #[inline]
    pub fn get(&self, pos: Pos) -> Stored<'_> {
        packed::get(self.page(pos), pos.index as usize)
    }

    fn page(&self, pos: Pos) -> &Block {
        self.store.get(pos.number as usize).expect("a position that is not stale")
    }

    /// Adds an element whose key is not in the table.
    pub fn insert_new(&mut self, hash: u64, new: New<'_>, hasher: &KeyHasher) {
        let share = share_of(hash);
        let number = number_of(page_of(hash, self.pages[share]), share);
        self.bytes[share] += new.weight();
        self.outside += outside_size(&new);
        self.len += 1;
        if self.store.get(number).is_some() {
            self.store.edit(number, |page| packed::push::<0>(page, tag_of(hash), [], new));
        } else {
            let mut page = Block::new(new.weight());
            packed::push::<0>(&mut page, tag_of(hash), [], new);
            self.store.put(number, page);
        }
        self.balance(share, hasher);
    }

    /// Replaces the element at a position by another with the same key. Panics if there is none.
    pub fn replace(&mut self, pos: Pos, new: New<'_>, hasher: &KeyHasher) {
        let share = pos.share();
        self.bytes[share] -= self.get(pos).weight();
        self.bytes[share] += new.weight();
        self.outside += outside_size(&new);
        let replace = |page: &mut Block| packed::replace::<0>(page, pos.index as usize, new);
        let old = self.store.edit(pos.number as usize, replace);
        self.outside -= old.map_or(0, |old| old.size());
        self.balance(share, hasher);
    }

    /// Calls `f` to change the bytes of an element stored in its page, except its key; `None` if it
    /// is stored outside. Panics if there is none.
    #[inline]
    pub fn edit_inline<R>(&mut self, pos: Pos, f: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let edit = |page: &mut Block| packed::inline_mut(page, pos.index as usize).map(f);
        self.store.edit(pos.number as usize, edit)
    }

    /// Removes the element at a position. Panics if there is none.
    pub fn remove(&mut self, pos: Pos, hasher: &KeyHasher) {
        let share = pos.share();
        self.bytes[share] -= self.get(pos).weight();
        self.len -= 1;
        let number = pos.number as usize;
        let old = if self.page(pos).n() == 1 {
            let mut page = self.store.take(number);
            page.own();
            packed::remove::<0>(&mut page, 0)
        } else {
            self.store.edit(number, |page| packed::remove::<0>(page, pos.index as usize))
        };
        self.outside -= old.map_or(0, |old| old.size());
        self.balance(share, hasher);
    }

    /// Splits or merges one page if the share has too few or too many. An element takes less than
    /// half a page, so one step per change suffices for any history.
    #[inline]
    fn balance(&mut self, share: usize, hasher: &KeyHasher) {
        let (bytes, pages) = (self.bytes[share], self.pages[share] as usize);
        if bytes > pages * E::PAGE {
            self.split(share, hasher);
        } else if pages > 1 && bytes < (pages - 1) * E::PAGE * MERGE_X16 / 16 {
            self.merge(share);
        }
    }

    /// Adds a page to a share: half of the next one to be split.
    #[inline(never)]
    fn split(&mut self, share: usize, hasher: &KeyHasher) {
        let pages = self.pages[share] as usize;
        let level = pages.ilog2();
        let from = number_of(pages - (1 << level), share);
        self.pages[share] += 1;
        let Some(page) = self.store.get(from) else { return };
        let goes = |element: Stored<'_>| hasher.hash(E::key(element)) >> level & 1 == 1;
        let (stay, go) = packed::split_by(page, goes);
        if go.n() > 0 {
            self.store.put(number_of(pages, share), go);
        }
        if stay.n() > 0 {
            self.store.put(from, stay);
        } else {
            self.store.take(from);
        }
    }

    /// Removes the last page of a share, merging it into the page that it was split from.
    #[inline(never)]
    fn merge(&mut self, share: usize) {
        let last = self.pages[share] as usize - 1;
        self.pages[share] -= 1;
        let to = number_of(last - (1 << last.ilog2()), share);
        let from = number_of(last, share);
        if self.store.get(from).is_none() {
            return;
        }
        let page = self.store.take(from);
        if self.store.get(to).is_some() {
            self.store.edit(to, |heir| packed::append_all::<0>(heir, &page));
        } else {
            self.store.put(to, page);
        }
    }

    /// The elements, in an order that lasts until the next change.
    pub fn iter(&self) -> impl Iterator<Item = Stored<'_>> {
        let pages = self.store.iter().flat_map(|(_, page)| packed::iter(page));
        pages.map(|(_, element)| element)
    }

    /// Calls `f` with about `count` elements from a cursor on, whole pages at a time; returns the
    /// next cursor, 0 at the end. Starts at cursor 0; a number that was never returned is a
    /// position like any other.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut f: impl FnMut(Stored<'a>)) -> u64 {
        let mut cursor = cursor;
        let mut visited = 0;
        loop {
            let Some((share, page, next)) = shares::scan(cursor, &self.pages) else { return 0 };
            let page = self.store.get(number_of(page as usize, share));
            let elements = page.map(packed::iter).into_iter().flatten();
            visited += 1.max(page.map_or(0, Block::n));
            elements.for_each(|(_, element)| f(element));
            if next == 0 || visited >= count {
                return next;
            }
            cursor = next;
        }
    }

    /// An element chosen by a random number: a page, then a position, until there is an element at
    /// it. All are equally likely except those in pages of more than three times the mean number,
    /// which are less likely. `None` if the table is empty.
    pub fn random(&self, word: u64) -> Option<Stored<'_>> {
        if self.len == 0 {
            return None;
        }
        let numbers = self.store.end() as u64;
        let pages: u64 = self.pages.iter().map(|&pages| u64::from(pages)).sum();
        let places = 3 * self.len as u64 / pages + 1;
        let mut word = word;
        loop {
            word = mix(word);
            let (high, low) = (word >> 32, word & u64::from(u32::MAX));
            let Some(page) = self.store.get(((high * numbers) >> 32) as usize) else { continue };
            let place = ((low * places.max(page.n() as u64)) >> 32) as usize;
            if place < page.n() {
                return Some(packed::get(page, place));
            }
        }
    }
}

/// Memory of an element that will be stored outside.
fn outside_size(new: &New<'_>) -> usize {
    match new {
        New::Inline(_) => 0,
        New::Outside(block) => block.size(),
    }
}

/// The next number of a sequence that visits all of them. Source: Steele, Lea and Flood, *Fast
/// splittable pseudorandom number generators* (2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}
