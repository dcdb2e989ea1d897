//! Buckets and their children: the memory that holds slots.
//!
//! A node of `c` slots is `8 + 8c` bytes: one word of 7 tag bytes and the state byte on top, then
//! the slots. The functions here are safe to call because [`Node`] values are only made from live
//! memory by this folder and never leave it; that they stay live is invariants T1 and T2.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::prefetch::prefetch;

/// Size of a main bucket, and of the largest child.
pub(super) const BUCKET_BYTES: usize = 64;

/// Slots of a main bucket, and of the largest child.
const CAPACITY_MAX: usize = 7;

/// Capacities of children, in the order in which one grows.
const CHILD_CAPACITIES: [usize; 3] = [3, 5, 7];

/// Bits of the state byte, which is the top one of the word: a presence bit per slot, and whether
/// the last slot is a link.
const STATE_SHIFT: u32 = 56;
const CHAINED: u64 = 1 << 63;
const PRESENT_MASK: u64 = 0x7f;
const LINK_SLOT: usize = CAPACITY_MAX - 1;

/// The hash bits that a slot and its tag keep: 5 to 16 and 17 to 24.
const SLOT_HASH_FIRST: u32 = 5;
const TAG_FIRST: u32 = 17;
const STORED_END: u32 = 25;

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;
const MARKED: usize = 1 << 48;
const DONE: usize = 1 << 49;
const NESTED: usize = 1 << 50;
const SLOT_HASH_SHIFT: u32 = 52;

/// The tag byte of a hash.
#[inline]
pub(super) fn tag_of(hash: u64) -> u8 {
    (hash >> TAG_FIRST) as u8
}

/// Bit number `depth` of the hash of an item, if tag or slot store it.
pub(super) fn stored_bit(tag: u8, slot: Slot, depth: u32) -> Option<u64> {
    match depth {
        SLOT_HASH_FIRST..TAG_FIRST => {
            Some((slot.bits() >> (SLOT_HASH_SHIFT + depth - SLOT_HASH_FIRST)) as u64 & 1)
        }
        TAG_FIRST..STORED_END => Some(u64::from(tag >> (depth - TAG_FIRST)) & 1),
        _ => None,
    }
}

/// A pointer with 16 more bits, to an item or (in a link) to a child. Kept as a pointer, so that
/// its provenance survives.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Slot(*mut u8);

impl Slot {
    /// A slot for an item of this hash. Panics if the pointer needs more than 48 bits.
    #[inline]
    pub(super) fn new(item: NonNull<u8>, hash: u64) -> Slot {
        let kept = (hash >> SLOT_HASH_FIRST) as usize & 0xfff;
        Slot::pack(item, kept << SLOT_HASH_SHIFT)
    }

    #[inline]
    fn pack(pointer: NonNull<u8>, bits: usize) -> Slot {
        assert!(pointer.addr().get() <= ADDRESS_MASK, "user space ends below 2^48");
        Slot(pointer.as_ptr().map_addr(|address| address | bits))
    }

    #[inline]
    fn bits(self) -> usize {
        self.0.addr()
    }

    /// The pointer in the slot.
    #[inline]
    pub(super) fn item(self) -> NonNull<u8> {
        let pointer = self.0.map_addr(|address| address & ADDRESS_MASK);
        NonNull::new(pointer).expect("a present slot is never null")
    }

    /// Whether the 12 kept bits are those of `hash`.
    #[inline]
    pub(super) fn matches(self, hash: u64) -> bool {
        (self.bits() >> SLOT_HASH_SHIFT) as u64 == (hash >> SLOT_HASH_FIRST) & 0xfff
    }

    #[inline]
    pub(super) fn is_marked(self) -> bool {
        self.bits() & MARKED != 0
    }

    #[inline]
    pub(super) fn is_nested(self) -> bool {
        self.bits() & NESTED != 0
    }

    #[inline]
    pub(super) fn is_done(self) -> bool {
        self.bits() & DONE != 0
    }

    #[inline]
    pub(super) fn with_marked(self, marked: bool) -> Slot {
        self.with_bit(MARKED, marked)
    }

    #[inline]
    pub(super) fn with_nested(self, nested: bool) -> Slot {
        self.with_bit(NESTED, nested)
    }

    #[inline]
    pub(super) fn with_done(self, done: bool) -> Slot {
        self.with_bit(DONE, done)
    }

    #[inline]
    fn with_bit(self, bit: usize, set: bool) -> Slot {
        Slot(self.0.map_addr(|address| if set { address | bit } else { address & !bit }))
    }

    /// The same bits with another pointer.
    #[inline]
    pub(super) fn with_item(self, item: NonNull<u8>) -> Slot {
        Slot::pack(item, self.bits() & !ADDRESS_MASK)
    }

    /// Prefetches the first two lines of the item.
    #[inline]
    pub(super) fn prefetch(self) {
        let item = self.item().as_ptr();
        prefetch(item);
        prefetch(item.wrapping_add(64));
    }
}

/// A live bucket or child.
#[derive(Clone, Copy)]
pub(super) struct Node {
    base: NonNull<u64>,
    capacity: usize,
}

impl Node {
    /// # Safety
    /// `base` leads to an initialised main bucket that outlives the value (T1).
    #[inline]
    pub(super) unsafe fn main(base: NonNull<u64>) -> Node {
        Node { base, capacity: CAPACITY_MAX }
    }

    #[inline]
    fn word(self) -> u64 {
        // SAFETY: T1/T2: the node is live.
        unsafe { self.base.read() }
    }

    #[inline]
    fn set_word(self, word: u64) {
        // SAFETY: T1/T2: the node is live; the table is borrowed uniquely where it changes.
        unsafe { self.base.write(word) }
    }

    /// The slot of this number; meaningful only if present or the link.
    #[inline]
    pub(super) fn slot(self, index: usize) -> Slot {
        debug_assert!(index < self.capacity);
        // SAFETY: T1/T2: a live node has `capacity` slots after its word; `index` comes from a
        // presence bit or a candidate, which exist only below the capacity.
        unsafe { self.base.add(1 + index).cast::<Slot>().read() }
    }

    #[inline]
    pub(super) fn set_slot(self, index: usize, slot: Slot) {
        debug_assert!(index < self.capacity);
        // SAFETY: as in `slot`; the table is borrowed uniquely where it changes.
        unsafe { self.base.add(1 + index).cast::<Slot>().write(slot) }
    }

    /// One bit per slot that holds an item.
    #[inline]
    pub(super) fn present(self) -> u64 {
        self.word() >> STATE_SHIFT & PRESENT_MASK
    }

    /// The numbers of the slots that hold items.
    #[inline]
    pub(super) fn items(self) -> BitIter {
        BitIter { bits: self.present(), shift: 0 }
    }

    /// The numbers of the slots whose tag is that of `hash`. Compares all tags in one word: a
    /// byte above a true match may match wrongly, which the caller's own comparison sorts out.
    #[inline]
    pub(super) fn candidates(self, hash: u64) -> BitIter {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let word = self.word();
        let difference = word ^ u64::from(tag_of(hash)).wrapping_mul(LOW);
        let equal = difference.wrapping_sub(LOW) & !difference & HIGH;
        // Spreads presence bit i to the top bit of byte i.
        let spread = (word >> STATE_SHIFT & PRESENT_MASK).wrapping_mul(0x0002_0408_1020_4081);
        let present = (spread & LOW) << 7;
        BitIter { bits: equal & present, shift: 3 }
    }

    fn tag(self, index: usize) -> u8 {
        (self.word() >> (8 * index)) as u8
    }

    /// The child of a full node.
    #[inline]
    pub(super) fn child(self) -> Option<Node> {
        if self.word() & CHAINED == 0 {
            return None;
        }
        let link = self.slot(LINK_SLOT);
        let capacity = link.bits() >> ADDRESS_BITS;
        Some(Node { base: link.item().cast(), capacity })
    }

    /// This node and its children.
    #[inline]
    pub(super) fn chain(self) -> ChainIter {
        ChainIter(Some(self))
    }

    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.base.as_ptr());
    }

    fn set_present(self, index: usize, tag: u8, slot: Slot) {
        self.set_slot(index, slot);
        let tags = self.word() & !(0xff << (8 * index)) | u64::from(tag) << (8 * index);
        self.set_word(tags | 1 << (STATE_SHIFT as usize + index));
    }

    /// Marks a slot as free; its content belongs to the caller.
    pub(super) fn clear_slot(self, index: usize) {
        self.set_word(self.word() & !(1 << (STATE_SHIFT as usize + index)));
    }

    /// A free slot of this node itself.
    fn free_slot(self) -> Option<usize> {
        let usable = if self.word() & CHAINED != 0 { LINK_SLOT } else { self.capacity };
        let index = (!self.present()).trailing_zeros() as usize;
        (index < usable).then_some(index)
    }

    /// Adds a slot to the chain that starts here, growing it if necessary. Returns the units of 16
    /// bytes that children grew by.
    pub(super) fn push(self, tag: u8, slot: Slot) -> u32 {
        let mut node = self;
        let mut parent = None;
        loop {
            if let Some(index) = node.free_slot() {
                node.set_present(index, tag, slot);
                return 0;
            }
            match node.child() {
                Some(child) => {
                    parent = Some(node);
                    node = child;
                }
                None => break,
            }
        }
        if node.capacity < CAPACITY_MAX {
            let larger = Node::allocate(node.capacity + 2);
            for index in node.items() {
                larger.set_present(index, node.tag(index), node.slot(index));
            }
            larger.set_present(node.capacity, tag, slot);
            parent.expect("only a child is smaller").set_link(larger);
            let units = larger.units() - node.units();
            node.free();
            return units;
        }
        let child = Node::allocate(CHILD_CAPACITIES[0]);
        child.set_present(0, node.tag(LINK_SLOT), node.slot(LINK_SLOT));
        child.set_present(1, tag, slot);
        node.clear_slot(LINK_SLOT);
        node.set_link(child);
        child.units()
    }

    /// Fills free slots from the end of the chain and frees children that are no longer needed.
    /// Returns the units of 16 bytes freed.
    pub(super) fn compact(self) -> u32 {
        let total: u32 = self.chain().map(|node| node.present().count_ones()).sum();
        let needed = units_for(total as usize);
        let held: u32 = self.chain().skip(1).map(Node::units).sum();
        if needed >= held {
            return 0;
        }
        let (items, freed) = self.drain();
        let grown: u32 = items.map(|(tag, slot)| self.push(tag, slot)).sum();
        freed - grown
    }

    /// Removes all slots from the chain and frees its children. Returns the slots with their tags
    /// and the units of 16 bytes freed.
    pub(super) fn drain(self) -> (impl Iterator<Item = (u8, Slot)>, u32) {
        let mut taken = Drained::default();
        let mut freed = 0;
        let mut next = Some(self);
        while let Some(node) = next {
            for index in node.items() {
                taken.push(node.tag(index), node.slot(index));
            }
            next = node.child();
            if node.base == self.base {
                node.set_word(0);
            } else {
                freed += node.units();
                node.free();
            }
        }
        (taken.into_iter(), freed)
    }

    fn set_link(self, child: Node) {
        let link = Slot::pack(child.base.cast(), child.capacity << ADDRESS_BITS);
        self.set_slot(LINK_SLOT, link);
        self.set_word(self.word() | CHAINED);
    }

    pub(super) fn units(self) -> u32 {
        (self.capacity as u32).div_ceil(2)
    }

    fn layout(capacity: usize) -> Layout {
        let bytes = 8 + 8 * capacity;
        // A child of 7 slots is one line; the smaller ones need no more than the class's own
        // alignment.
        let align = if capacity == CAPACITY_MAX { BUCKET_BYTES } else { 16 };
        Layout::from_size_align(bytes, align).expect("small powers of two")
    }

    fn allocate(capacity: usize) -> Node {
        let layout = Node::layout(capacity);
        // SAFETY: the size is at least 32 bytes.
        let base = unsafe { alloc_zeroed(layout) };
        let base = NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout));
        Node { base: base.cast(), capacity }
    }

    /// Frees a child that no link refers to any more.
    fn free(self) {
        // SAFETY: T2: a child was allocated with the layout of its capacity, and the caller has
        // overwritten or is about to forget the one link to it.
        unsafe { dealloc(self.base.as_ptr().cast(), Node::layout(self.capacity)) }
    }
}

/// Units of 16 bytes of the children of a chain of `items` items.
fn units_for(items: usize) -> u32 {
    if items <= CAPACITY_MAX {
        return 0;
    }
    let mut rest = items - LINK_SLOT;
    let mut units = 0;
    while rest > CAPACITY_MAX {
        units += 4;
        rest -= LINK_SLOT;
    }
    units
        + match rest {
            0..=3 => 2,
            4..=5 => 3,
            _ => 4,
        }
}

/// Slots removed from a chain: on the stack while they are few, as they nearly always are.
#[derive(Default)]
struct Drained {
    few: [Option<(u8, Slot)>; 16],
    len: usize,
    more: Vec<(u8, Slot)>,
}

impl Drained {
    fn push(&mut self, tag: u8, slot: Slot) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = Some((tag, slot)),
            None => self.more.push((tag, slot)),
        }
        self.len += 1;
    }

    fn into_iter(self) -> impl Iterator<Item = (u8, Slot)> {
        self.few.into_iter().flatten().chain(self.more)
    }
}

/// The numbers of the set bits.
#[derive(Clone)]
pub(super) struct BitIter {
    bits: u64,
    shift: u32,
}

impl Iterator for BitIter {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            return None;
        }
        let index = self.bits.trailing_zeros() >> self.shift;
        self.bits &= self.bits - 1;
        Some(index as usize)
    }
}

/// A bucket and its children.
pub(super) struct ChainIter(Option<Node>);

impl Iterator for ChainIter {
    type Item = Node;

    #[inline]
    fn next(&mut self) -> Option<Node> {
        let node = self.0?;
        self.0 = node.child();
        Some(node)
    }
}
