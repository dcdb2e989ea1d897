//! A hash table that grows and shrinks one bucket at a time.
//!
//! **Shape.** A bucket is one 64-byte line: a word of 7 tag bytes and a state byte, then 7 slots.
//! A bucket that overflows turns its last slot into a link to a *child* of 3, 5 or 7 slots (32, 48
//! or 64 bytes, as many as needed); a full child of 7 links on in the same way. Buckets lie in
//! segments of 16, found through a directory; the last segment is as small as it can be, so a
//! table of a few items owns a line or two and an empty one owns nothing.
//!
//! **Growth** is linear hashing: with `n` buckets, `2^l <= n < 2^(l+1)`, an item lives in the
//! bucket numbered by the low `l+1` bits of its hash, or by the low `l` if that bucket does not
//! exist yet. Adding bucket `n` splits bucket `n - 2^l` and nothing else; removing the last merges
//! it back. Load counts the children too, so memory per item is the same at every size: there is
//! no doubling, no second table, no pause.
//!
//! **Order.** Reading the hash's low 43 bits in reverse gives a number, [`order`], in which each
//! bucket is one contiguous range whatever the size of the table. A walk in that order can stop
//! anywhere and go on after any number of splits and merges; SCAN's cursor and the snapshot's
//! position are such numbers. The top 10 bits of the hash are the caller's (they choose the
//! shard): within one table they are all the same, and are never used here.
//!
//! **Slots** hold a 48-bit pointer and 16 more bits: 12 bits of hash (5 to 16; the tag holds 17 to
//! 24), *marked* (the item has an expiry), *nested* (it holds elements that have one) and *done*
//! (the snapshot has it). Splits and sweeps therefore rarely read an item.
//!
//! **Invariants** (the model tests in `tests.rs` check all after random histories):
//! * T1: every pointer in `segments` leads to a live allocation of `segment_capacity` buckets, of
//!   which those numbered below `n` are initialised.
//! * T2: a node whose state has `CHAINED` holds in its last slot a link to a live child of the
//!   capacity written in the link; only nodes of 7 slots chain, and no two links are alike.
//! * T3: a slot whose presence bit is set holds a pointer from `Item::into_raw` that nobody else
//!   owns. Its marks are `Item::is_marked` and `Item::is_nested` of the item; `marked` and `nested`
//!   count them and `len` all.
//! * T4: an item lies in the chain of the bucket that its hash selects.
//!
//! A [`Pos`] is three numbers, not a pointer, and is checked when used: a stale one finds another
//! item or panics, but never reads freed memory.
//!
//! Sources: Litwin, *Linear Hashing* (1980); the tagged cache-line buckets of Valkey's hash table
//! and of Segcache; the reverse-binary cursor of Redis.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use node::{Node, Slot};

mod hasher;
mod node;
mod segments;
mod walk;

#[cfg(test)]
mod tests;

pub use hasher::KeyHasher;
use segments::Segments;

/// Bits of hash that order items: the low ones. 43 of them and the caller's 10 top bits make a
/// SCAN cursor below 2^53.
pub const ORDER_BITS: u32 = 43;

/// Bytes of table per item, in sixteenths, above which the table does not grow: 12.25 bytes, or a
/// load of 75 %. The best that chains of 7 slots can do is 83 %, with half of the items in
/// children; at this load about one in six is.
const GROW_BYTES_X16: usize = 196;

/// Bytes of table per item above which the table shrinks.
const SHRINK_BYTES: usize = 17;

/// Splits or merges done by one insertion or removal. One split makes room for five items, so two
/// per item keep up with any history.
const STEPS_MAX: usize = 2;

/// The position of an item in scan order: the low 43 bits of its hash, reversed.
#[inline]
pub const fn order(hash: u64) -> u64 {
    (hash & ((1 << ORDER_BITS) - 1)).reverse_bits() >> (64 - ORDER_BITS)
}

/// Which items a sample consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Any.
    All,
    /// Those that are marked: keys with an expiry.
    Marked,
}

/// What a table holds: an owned pointer to something with a key.
///
/// # Safety
/// `into_raw` must return a pointer below 2^48 that stays valid until `from_raw`, distinct among
/// live items; `from_raw` and `ref_from_raw` must accept it; a view must not outlive or see
/// changes of its item as long as the table is borrowed.
pub unsafe trait Item: Sized + 'static {
    /// A view of an item.
    type Ref<'a>: Copy;

    /// Gives up ownership as a pointer.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes ownership back.
    ///
    /// # Safety
    /// `raw` comes from `into_raw` and is not used again.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;

    /// A view of the item behind the pointer.
    ///
    /// # Safety
    /// `raw` comes from `into_raw`, and the item is neither changed nor taken back during 'a.
    unsafe fn ref_from_raw<'a>(raw: NonNull<u8>) -> Self::Ref<'a>;

    /// The key.
    fn key<'a>(item: Self::Ref<'a>) -> &'a [u8];

    /// Whether sweeps and volatile sampling are to visit it: whether it has an expiry.
    fn is_marked(item: Self::Ref<'_>) -> bool;

    /// Whether sweeps are to visit it for the sake of elements in it that have an expiry.
    fn is_nested(item: Self::Ref<'_>) -> bool;
}

/// The position of an item. Valid until the next insertion, removal or sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos {
    bucket: u32,
    link: u32,
    slot: u32,
}

/// What a sweep does with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    Keep,
    Remove,
}

/// Counts for DEBUG HTSTATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    pub items: usize,
    pub buckets: usize,
    pub children: usize,
    /// Buckets by number of items; the last counts all from there on.
    pub by_items: [usize; 24],
    pub longest_chain: usize,
    pub memory_bytes: usize,
}

/// The table. Callers hash keys themselves, with the same [`KeyHasher`] throughout.
pub struct Table<T: Item> {
    segments: Segments,
    len: usize,
    marked: u32,
    nested: u32,
    items: PhantomData<T>,
}

// SAFETY: the table owns its buckets and items (T1 to T3) and shares nothing.
unsafe impl<T: Item + Send> Send for Table<T> {}

impl<T: Item> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item> Table<T> {
    /// An empty table, which owns no memory.
    pub const fn new() -> Self {
        Table { segments: Segments::new(), len: 0, marked: 0, nested: 0, items: PhantomData }
    }

    /// Number of items.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of marked items.
    #[inline]
    pub const fn marked_len(&self) -> usize {
        self.marked as usize
    }

    /// Number of items that hold elements with an expiry.
    #[inline]
    pub const fn nested_len(&self) -> usize {
        self.nested as usize
    }

    /// Bytes of the table itself, items not counted.
    pub fn memory_bytes(&self) -> usize {
        self.segments.memory_bytes() + self.child_bytes()
    }

    /// Counts for DEBUG HTSTATS; walks the whole table.
    pub fn stats(&self) -> TableStats {
        let mut stats = TableStats {
            items: self.len,
            buckets: self.segments.len(),
            memory_bytes: self.memory_bytes(),
            ..TableStats::default()
        };
        for index in 0..self.segments.len() {
            let chain = self.segments.node(index).chain();
            let (nodes, items) = chain.fold((0, 0), |(nodes, items), node| {
                (nodes + 1, items + node.present().count_ones() as usize)
            });
            stats.children += nodes - 1;
            stats.by_items[items.min(23)] += 1;
            stats.longest_chain = stats.longest_chain.max(nodes);
        }
        stats
    }

    /// Prefetches the line of the bucket that `hash` selects.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(bucket) = self.segments.bucket_of(hash) {
            self.segments.node(bucket).prefetch();
        }
    }

    /// Reads the node `link` places down the chain of the bucket that `hash` selects, and
    /// prefetches the first two lines of the item with the tag, or the next node of the chain if
    /// there is none. True in the latter case: call again, one place further.
    #[inline]
    pub fn prefetch_item(&self, hash: u64, link: usize) -> bool {
        let Some(bucket) = self.segments.bucket_of(hash) else { return false };
        let Some(node) = self.segments.node(bucket).chain().nth(link) else { return false };
        for slot in node.candidates(hash) {
            let slot = node.slot(slot);
            if slot.matches(hash) {
                slot.prefetch();
                return false;
            }
        }
        match node.child() {
            Some(child) => {
                child.prefetch();
                true
            }
            None => false,
        }
    }

    /// The first item with the tag of `hash`: probably, not certainly, the one with that hash.
    #[inline]
    pub fn probable(&self, hash: u64) -> Option<T::Ref<'_>> {
        let bucket = self.segments.bucket_of(hash)?;
        self.segments.node(bucket).chain().find_map(|node| {
            let found = node.candidates(hash).map(|slot| node.slot(slot));
            found.into_iter().find(|slot| slot.matches(hash)).map(|slot| self.view(slot))
        })
    }

    /// Looks a key up.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Pos> {
        self.find_item(hash, key).map(|(pos, _)| pos)
    }

    /// Looks a key up: the position of its item, and the item.
    #[inline(always)]
    pub fn find_item(&self, hash: u64, key: &[u8]) -> Option<(Pos, T::Ref<'_>)> {
        let bucket = self.segments.bucket_of(hash)?;
        let mut node = self.segments.node(bucket);
        let mut link = 0;
        loop {
            for slot in node.candidates(hash) {
                let found = node.slot(slot);
                if found.matches(hash) {
                    let item = self.view(found);
                    if T::key(item) == key {
                        let pos = Pos { bucket: bucket as u32, link, slot: slot as u32 };
                        return Some((pos, item));
                    }
                }
            }
            node = node.child()?;
            link += 1;
        }
    }

    /// The item at a position. Panics if there is none.
    #[inline(always)]
    pub fn get(&self, pos: Pos) -> T::Ref<'_> {
        self.view(self.node_at(pos).slot(pos.slot as usize))
    }

    /// Calls `f` to change the item at a position, except its key; it may move in memory. Panics if
    /// there is none.
    #[inline]
    pub fn modify<R>(&mut self, pos: Pos, f: impl FnOnce(&mut T) -> R) -> R {
        let node = self.node_at(pos);
        let slot = node.slot(pos.slot as usize);
        // SAFETY: T3: the slot owns this item. While it is out, the slot keeps the old pointer;
        // the guard writes the new one back before anything else can look, also if `f` panics.
        let item = ManuallyDrop::new(unsafe { T::from_raw(slot.item()) });
        let mut guard =
            PutBack { item, node, pos, slot, marked: &mut self.marked, nested: &mut self.nested };
        let result = f(&mut guard.item);
        guard.finish();
        result
    }

    /// Whether the item at a position is marked done. Panics if there is none.
    #[inline]
    pub fn is_done(&self, pos: Pos) -> bool {
        self.node_at(pos).slot(pos.slot as usize).is_done()
    }

    /// Sets the done mark of the item at a position.
    pub fn set_done(&mut self, pos: Pos, done: bool) {
        let node = self.node_at(pos);
        let slot = node.slot(pos.slot as usize);
        node.set_slot(pos.slot as usize, slot.with_done(done));
    }

    /// Adds an item whose key is not in the table; `done` is its snapshot bit. May split buckets.
    pub fn insert_new(&mut self, hash: u64, item: T, done: bool, hasher: &KeyHasher) {
        let raw = item.into_raw();
        // SAFETY: the pointer was just given up by the item and is not changed while viewed.
        let view = unsafe { T::ref_from_raw(raw) };
        let (marked, nested) = (T::is_marked(view), T::is_nested(view));
        let slot = Slot::new(raw, hash).with_marked(marked).with_nested(nested).with_done(done);
        if self.segments.len() == 0 {
            self.segments.push();
        }
        let bucket = self.segments.bucket_of(hash).expect("there is a bucket now");
        self.segments.child_units += self.segments.node(bucket).push(node::tag_of(hash), slot);
        self.len += 1;
        self.marked += u32::from(marked);
        self.nested += u32::from(nested);
        self.grow(hasher);
    }

    /// Removes the item at a position. May merge buckets. Panics if there is none.
    pub fn remove(&mut self, pos: Pos) -> T {
        let item = self.take(pos);
        self.compact_bucket(pos.bucket as usize);
        self.shrink();
        item
    }

    /// Drops all items and memory.
    pub fn clear(&mut self) {
        while !self.free_step(usize::MAX) {}
    }

    /// Frees whole buckets until about `budget` items or buckets are freed; returns whether the
    /// table is empty. Items that are left stay reachable.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut spent = 0;
        while spent < budget {
            let Some(last) = self.segments.len().checked_sub(1) else { break };
            let (tags_and_slots, freed) = self.segments.node(last).drain();
            self.segments.child_units -= freed;
            self.segments.pop();
            spent += 1;
            for (_, slot) in tags_and_slots {
                self.len -= 1;
                self.marked -= u32::from(slot.is_marked());
                self.nested -= u32::from(slot.is_nested());
                spent += 1;
                // SAFETY: T3: the slot owned the item, and has been drained from the table.
                drop(unsafe { T::from_raw(slot.item()) });
            }
        }
        self.segments.len() == 0
    }

    /// A view of the item in a slot of this table.
    #[inline]
    fn view(&self, slot: Slot) -> T::Ref<'_> {
        // SAFETY: T3: the slot's item is alive, and cannot change while the table is borrowed.
        unsafe { T::ref_from_raw(slot.item()) }
    }

    /// The node of a position, which must hold an item.
    #[inline(always)]
    fn node_at(&self, pos: Pos) -> Node {
        assert!((pos.bucket as usize) < self.segments.len(), "stale position");
        let mut node = self.segments.node(pos.bucket as usize);
        for _ in 0..pos.link {
            node = node.child().expect("stale position");
        }
        assert!(node.present() & (1 << pos.slot) != 0, "stale position");
        node
    }

    /// Removes an item from its slot without compacting the chain.
    fn take(&mut self, pos: Pos) -> T {
        let node = self.node_at(pos);
        let slot = node.slot(pos.slot as usize);
        node.clear_slot(pos.slot as usize);
        self.len -= 1;
        self.marked -= u32::from(slot.is_marked());
        self.nested -= u32::from(slot.is_nested());
        // SAFETY: T3: the slot owned the item and has been cleared.
        unsafe { T::from_raw(slot.item()) }
    }

    /// Compacts a chain after removals.
    fn compact_bucket(&mut self, bucket: usize) {
        let node = self.segments.node(bucket);
        if node.child().is_some() {
            self.segments.child_units -= node.compact();
        }
    }

    fn child_bytes(&self) -> usize {
        self.segments.child_units as usize * 16
    }

    fn load_bytes(&self) -> usize {
        self.segments.len() * node::BUCKET_BYTES + self.child_bytes()
    }

    /// Splits buckets while the load is too high.
    fn grow(&mut self, hasher: &KeyHasher) {
        for _ in 0..STEPS_MAX {
            if self.load_bytes() * 16 >= self.len * GROW_BYTES_X16 {
                return;
            }
            let Some((from, to, depth)) = self.segments.next_split() else { return };
            self.segments.push();
            let (items, freed) = self.segments.node(from).drain();
            self.segments.child_units -= freed;
            for (tag, slot) in items {
                let bit = match node::stored_bit(tag, slot, depth) {
                    Some(bit) => bit,
                    None => hasher.hash(T::key(self.view(slot))) >> depth & 1,
                };
                let target = if bit == 1 { to } else { from };
                self.segments.child_units += self.segments.node(target).push(tag, slot);
            }
        }
    }

    /// Merges buckets while the load is too low.
    fn shrink(&mut self) {
        if self.len == 0 {
            self.clear();
            return;
        }
        for _ in 0..STEPS_MAX {
            let limit = self.len * SHRINK_BYTES + node::BUCKET_BYTES;
            if self.segments.len() <= 1 || self.load_bytes() <= limit {
                return;
            }
            let last = self.segments.len() - 1;
            let (items, freed) = self.segments.node(last).drain();
            self.segments.child_units -= freed;
            self.segments.pop();
            let target = self.segments.merge_target(last);
            for (tag, slot) in items {
                self.segments.child_units += self.segments.node(target).push(tag, slot);
            }
        }
    }
}

impl<T: Item> Drop for Table<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Puts a modified item back into its slot, even on a panic.
struct PutBack<'a, T: Item> {
    item: ManuallyDrop<T>,
    node: Node,
    pos: Pos,
    slot: Slot,
    marked: &'a mut u32,
    nested: &'a mut u32,
}

impl<T: Item> PutBack<'_, T> {
    /// Ends the modification.
    #[inline(always)]
    fn finish(mut self) {
        self.put_back();
        std::mem::forget(self);
    }

    /// To be called once.
    #[inline(always)]
    fn put_back(&mut self) {
        // SAFETY: the item is taken once: `finish` forgets the guard, which otherwise is dropped.
        let raw = unsafe { ManuallyDrop::take(&mut self.item) }.into_raw();
        // SAFETY: the pointer was just given up by the item and is not changed while viewed.
        let view = unsafe { T::ref_from_raw(raw) };
        let (marked, nested) = (T::is_marked(view), T::is_nested(view));
        let slot = self.slot.with_item(raw).with_marked(marked).with_nested(nested);
        // A modification in place leaves the bucket's line clean.
        if slot != self.slot {
            *self.marked += u32::from(marked);
            *self.marked -= u32::from(self.slot.is_marked());
            *self.nested += u32::from(nested);
            *self.nested -= u32::from(self.slot.is_nested());
            self.node.set_slot(self.pos.slot as usize, slot);
        }
    }
}

impl<T: Item> Drop for PutBack<'_, T> {
    #[cold]
    fn drop(&mut self) {
        self.put_back();
    }
}
