//! A multimap from the hash of a member to the number of the leaf that holds it, both 32 bits, in
//! pages of exact size.
//!
//! The payload of a page holds as many hashes as it has room for, then as many leaf numbers.
//! Growing splits one page by the next bit of the hashes, shrinking merges one, so no operation
//! handles more than a few pages, and neither needs a member. Pages are resized by allocator class
//! and have no fill factor.
//!
//! Equal pairs are interchangeable: a hash may occur several times with one leaf.
//!
//! **Scan order**: the share of the hash (see [`crate::shares`]), then its low bits reversed. A
//! cursor is a position in that order, and stays valid when pages split and merge.
//!
//! **Invariants.** Page `b` of share `s` is number `4 b + s` of the store, with all pages below
//! `pages[s]` of each share. A pair is in the page that its hash selects.

use crate::block::Block;
use crate::packed::search::equal_words;
use crate::shares::{self, SHARES};
use crate::store::Store;

#[cfg(test)]
mod tests;

/// Mean number of pairs in a page.
const PAGE_MEAN: usize = 24;

/// Cache lines of an average page.
const PAGE_LINES: usize = 4;

#[derive(Clone)]
pub(crate) struct Index {
    store: Store,
    len: [usize; SHARES],
    pages: [u32; SHARES],
}

impl Index {
    pub(crate) fn new() -> Self {
        let mut store = Store::new();
        for share in 0..SHARES {
            store.put(share, Block::new(0));
        }
        Index { store, len: [0; SHARES], pages: [1; SHARES] }
    }

    /// Number of pairs.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len.iter().sum()
    }

    /// Number of pages.
    pub(crate) fn page_count(&self) -> usize {
        self.pages.iter().map(|&pages| pages as usize).sum()
    }

    /// Bytes of memory, by the allocator's classes.
    pub(crate) fn memory(&self) -> usize {
        self.store.memory()
    }

    /// Calls `accept` for each leaf that the hash is paired with, until it returns `Some`.
    #[inline]
    pub(crate) fn find<R>(&self, hash: u32, mut accept: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let page = self.page(self.locate(hash).1);
        let mut from = 0;
        while let Some(at) = search(page, hash, from) {
            let answer = accept(get(page, at).1);
            if answer.is_some() {
                return answer;
            }
            from = at + 1;
        }
        None
    }

    /// Prefetches the page of a hash.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        self.page(self.locate(hash).1).prefetch(PAGE_LINES);
    }

    /// Adds a pair.
    pub(crate) fn add(&mut self, hash: u32, leaf: u32) {
        let (share, number) = self.locate(hash);
        self.store.edit(number, |page| push(page, hash, leaf));
        self.len[share] += 1;
        if self.len[share] > self.pages[share] as usize * PAGE_MEAN {
            self.split(share);
        }
    }

    /// Changes the leaf of an existing pair.
    pub(crate) fn reassign(&mut self, hash: u32, from: u32, to: u32) {
        let number = self.locate(hash).1;
        self.store.edit(number, |page| {
            let at = position(page, hash, from);
            set(page, at, hash, to);
        });
    }

    /// Removes an existing pair.
    pub(crate) fn remove(&mut self, hash: u32, leaf: u32) {
        let (share, number) = self.locate(hash);
        self.store.edit(number, |page| {
            let at = position(page, hash, leaf);
            let last = page.n() - 1;
            let (hash, leaf) = get(page, last);
            set(page, at, hash, leaf);
            page.set_n(last);
            if capacity(page) > last + last / 4 + 4 {
                resize(page, last);
            }
        });
        self.len[share] -= 1;
        let pages = self.pages[share] as usize;
        // Well below the threshold of a split, so that the page is not merged again at once.
        if pages > 1 && self.len[share] < (pages - 1) * PAGE_MEAN * 13 / 16 {
            self.merge(share);
        }
    }

    /// Visits the pairs of the page at a cursor, which starts at 0. Returns the next cursor, 0 at
    /// the end.
    pub(crate) fn scan(&self, cursor: u64, mut visit: impl FnMut(u32, u32)) -> u64 {
        let Some((share, bucket, next)) = shares::scan(cursor, &self.pages) else { return 0 };
        let page = self.page(bucket as usize * SHARES + share);
        for at in 0..page.n() {
            let (hash, leaf) = get(page, at);
            visit(hash, leaf);
        }
        next
    }

    /// Frees about `budget` pages of an unused index. True when none are left.
    pub(crate) fn free_step(&mut self, budget: usize) -> bool {
        self.store.free_step(budget)
    }

    /// The share of a hash, and the number of its page.
    #[inline]
    fn locate(&self, hash: u32) -> (usize, usize) {
        let share = shares::share_of((hash >> 24) as u8);
        let bucket = shares::bucket_of(u64::from(hash), self.pages[share]);
        (share, bucket as usize * SHARES + share)
    }

    #[inline]
    fn page(&self, number: usize) -> &Block {
        self.store.get(number).expect("all pages of a share are there")
    }

    /// Splits the next page of a share.
    fn split(&mut self, share: usize) {
        let pages = self.pages[share];
        let level = pages.ilog2();
        let from = (pages - (1 << level)) as usize * SHARES + share;
        let old = self.page(from);
        let goes = |at: &usize| get(old, *at).0 >> level & 1 == 1;
        let going = (0..old.n()).filter(goes).count();
        let (mut stay, mut go) = (Block::new(8 * (old.n() - going)), Block::new(8 * going));
        for at in 0..old.n() {
            let (hash, leaf) = get(old, at);
            push(if goes(&at) { &mut go } else { &mut stay }, hash, leaf);
        }
        self.store.put(from, stay);
        self.store.put(pages as usize * SHARES + share, go);
        self.pages[share] += 1;
    }

    /// Merges the last page of a share into the one that it was split from.
    fn merge(&mut self, share: usize) {
        let last = self.pages[share] - 1;
        let page = self.store.take(last as usize * SHARES + share);
        let to = (last - (1 << last.ilog2())) as usize * SHARES + share;
        self.store.edit(to, |into| {
            resize(into, into.n() + page.n());
            for at in 0..page.n() {
                let (hash, leaf) = get(&page, at);
                push(into, hash, leaf);
            }
        });
        self.pages[share] = last;
    }
}

/// Pairs that a page has room for.
#[inline]
fn capacity(page: &Block) -> usize {
    page.payload().len() / 8
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes.as_chunks().0[at])
}

#[inline]
fn get(page: &Block, at: usize) -> (u32, u32) {
    assert!(at < page.n(), "a pair of the page");
    (word(page.payload(), at), word(page.payload(), capacity(page) + at))
}

fn set(page: &mut Block, at: usize, hash: u32, leaf: u32) {
    let capacity = capacity(page);
    let payload = page.payload_mut();
    payload[4 * at..4 * at + 4].copy_from_slice(&hash.to_le_bytes());
    let at = capacity + at;
    payload[4 * at..4 * at + 4].copy_from_slice(&leaf.to_le_bytes());
}

fn push(page: &mut Block, hash: u32, leaf: u32) {
    let n = page.n();
    if n == capacity(page) {
        resize(page, n + 1);
    }
    set(page, n, hash, leaf);
    page.set_n(n + 1);
}

/// Resizes a page for `pairs` pairs, and as many more as fit its allocator class.
fn resize(page: &mut Block, pairs: usize) {
    let mut new = Block::new(8 * pairs);
    let n = page.n();
    let (from, to) = (4 * capacity(page), 4 * capacity(&new));
    let (old, payload) = (page.payload(), new.payload_mut());
    payload[..4 * n].copy_from_slice(&old[..4 * n]);
    payload[to..to + 4 * n].copy_from_slice(&old[from..from + 4 * n]);
    new.set_n(n);
    *page = new;
}

/// The first position from `from` on that has the hash.
#[inline]
fn search(page: &Block, hash: u32, from: usize) -> Option<usize> {
    // Bytes after the last hash are compared too, but ignored.
    let n = page.n();
    let groups = &page.payload().as_chunks::<16>().0[..n.div_ceil(4)];
    let mut wanted = u32::MAX << (from % 4);
    for (group, words) in (from / 4..).zip(groups.get(from / 4..)?) {
        let found = equal_words(words, hash) & wanted;
        if found != 0 {
            let at = 4 * group + found.trailing_zeros() as usize;
            return (at < n).then_some(at);
        }
        wanted = u32::MAX;
    }
    None
}

/// The position of an existing pair.
fn position(page: &Block, hash: u32, leaf: u32) -> usize {
    let mut from = 0;
    loop {
        let at = search(page, hash, from).expect("every member is in the index");
        if get(page, at).1 == leaf {
            return at;
        }
        from = at + 1;
    }
}
