//! Blocks: the unit of memory and of copy-on-write of all large collections.
//!
//! ```text
//! 0  refs   u32, atomic                  4  size of the block in bytes, a multiple of 16 | flags
//! 8  used   u32: bytes in use            12 n  u16: elements        14 links u16
//! 16 links: owned pointers to other blocks, 8 bytes each, padded to pairs
//! .. payload, to the end
//! ```
//!
//! A block is a thin pointer: one word wherever it is kept. Its size is a class of the allocator,
//! so nothing is lost between them, and its payload begins and ends on a 16-byte boundary, which
//! lets searches take 16 bytes at a time. `clone` counts; a shared block is immutable and has to
//! be copied first ([`Block::own`]). `n`, `used` and the flags are for the
//! structure that the block is a part of. `Arc<[u8]>` was rejected: two words a pointer, 16 bytes
//! of counts, and an exchange for each question whether it is shared.
//!
//! **Invariants** (what the `unsafe` here stands on; the model tests in `tests.rs` drive them):
//! * B1: the pointer leads to a live, wholly initialised allocation of `size` bytes, aligned to 16,
//!   whose header says its size; `16 + 16 * links.div_ceil(2) <= size`.
//! * B2: anything but the count is written only where `refs == 1`, through a unique borrow of the
//!   one `Block` there is. Who sees the count fall to zero frees, and nobody else.
//! * B3: the first `links` words behind the header are `Option<Block>`, owned by the block. The
//!   payload never overlaps them.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::process::abort;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::prefetch::prefetch;

#[cfg(test)]
pub(crate) mod tests;

/// Bytes of the header of a block, before its links and payload.
pub const HEAD: usize = 16;

/// Longest payload, in bytes.
pub const PAYLOAD_MAX: usize = u32::MAX as usize - 2 * LARGE_STEP;

/// Allocations over [`LARGE`] bytes are rounded up to a multiple of this.
const LARGE_STEP: usize = 4096;

/// Above this the allocator rounds to whole pages.
const LARGE: usize = 512 * 1024;

/// Bits of the size word that are flags.
const FLAGS: u32 = 15;

/// Limit of references to one block; more can only be a leak in a loop.
const REFS_MAX: u32 = u32::MAX / 2;

/// The bytes that the allocator reserves for a request: the size classes of mimalloc, four to a
/// doubling above 128 bytes.
#[inline]
pub const fn size_class(bytes: usize) -> usize {
    let step = if bytes <= 128 {
        16
    } else if bytes <= LARGE {
        1 << (usize::BITS - 3 - (bytes - 1).leading_zeros())
    } else {
        LARGE_STEP
    };
    (bytes + step - 1) & !(step - 1)
}

#[repr(C)]
struct Head {
    refs: AtomicU32,
    size_and_flags: u32,
    used: u32,
    n: u16,
    links: u16,
}

const _: () = assert!(size_of::<Head>() == HEAD && size_of::<Option<Block>>() == 8);

/// A counted reference to a block.
#[repr(transparent)]
pub struct Block(NonNull<Head>);

// SAFETY: what is shared is not written to (B2), and the count is atomic.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

fn layout_of(size: usize) -> Layout {
    Layout::from_size_align(size, 16).expect("a block is at most 4 GB")
}

/// Bytes of `links` links.
const fn link_bytes(links: usize) -> usize {
    links.div_ceil(2) * 16
}

impl Block {
    /// A block without links whose payload has at least `payload` bytes, all zero.
    pub fn new(payload: usize) -> Block {
        Block::with_room(0, payload)
    }

    /// Prefetches the first `lines` cache lines.
    #[inline(always)]
    pub fn prefetch(&self, lines: usize) {
        for line in 0..lines {
            prefetch(self.0.as_ptr().cast::<u8>().wrapping_add(64 * line));
        }
    }

    /// A block that holds the parts one after the other; `used` is their length.
    pub fn from_parts(parts: &[&[u8]]) -> Block {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut block = Block::allocate(0, len);
        let mut at = HEAD;
        for part in parts {
            // SAFETY: the block is fresh and has room for all parts; only what follows them is
            // still to be initialised (B1).
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), block.at(at), part.len()) };
            at += part.len();
        }
        // SAFETY: `at` is within the block: the rest of it is its own.
        unsafe { ptr::write_bytes(block.at(at), 0, block.size() - at) };
        block.set_used(len);
        block
    }

    /// A block with `links` empty links and a payload of zeros.
    fn with_room(links: usize, payload: usize) -> Block {
        let block = Block::allocate(links, payload);
        // SAFETY: the block is fresh; all behind its header is written, and zero is both a byte
        // and no block (B1, B3).
        unsafe { ptr::write_bytes(block.at(HEAD), 0, block.size() - HEAD) };
        block
    }

    /// A block with only its header initialised.
    fn allocate(links: usize, payload: usize) -> Block {
        assert!(payload <= PAYLOAD_MAX, "an element of {payload} bytes");
        let size = size_class(HEAD + link_bytes(links) + payload);
        let layout = layout_of(size);
        // SAFETY: the size is at least that of the header.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw.cast::<Head>()) else { handle_alloc_error(layout) };
        let head = Head {
            refs: AtomicU32::new(1),
            size_and_flags: size as u32,
            used: 0,
            n: 0,
            links: u16::try_from(links).expect("at most 65535 links"),
        };
        // SAFETY: fresh memory, aligned to 16, with room for a header.
        unsafe { raw.as_ptr().write(head) };
        #[cfg(test)]
        tests::count_live(1);
        Block(raw)
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: B1 and B2: the header is alive, and not written while `self` is borrowed.
        unsafe { self.0.as_ref() }
    }

    /// The header of an unshared block. Panics if it is shared.
    #[inline(always)]
    fn head_mut(&mut self) -> &mut Head {
        assert!(!self.is_shared(), "a shared block is copied before it is changed");
        // SAFETY: B1 and B2: this is the only reference, uniquely borrowed.
        unsafe { self.0.as_mut() }
    }

    /// The address `offset` bytes into the block.
    #[inline(always)]
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.size());
        // SAFETY: B1: callers stay within the size of the allocation.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset) }
    }

    #[inline(always)]
    fn slot(&self, link: usize) -> *mut Option<Block> {
        self.at(HEAD).cast::<Option<Block>>().wrapping_add(link)
    }

    #[inline(always)]
    fn payload_at(&self) -> usize {
        HEAD + link_bytes(self.links())
    }

    /// Bytes of memory of the block itself, without the blocks that its links refer to.
    #[inline(always)]
    pub fn size(&self) -> usize {
        (self.head().size_and_flags & !FLAGS) as usize
    }

    /// Number of elements, as set by its owner.
    #[inline(always)]
    pub fn n(&self) -> usize {
        usize::from(self.head().n)
    }

    /// Sets the number of elements. Panics if the block is shared, or above 65535.
    #[inline(always)]
    pub fn set_n(&mut self, n: usize) {
        self.head_mut().n = u16::try_from(n).expect("at most 65535 elements in a block");
    }

    /// Bytes of data, as set by its owner.
    #[inline(always)]
    pub fn used(&self) -> usize {
        self.head().used as usize
    }

    /// Sets the bytes of data. Panics if the block is shared, or above 2^32.
    #[inline(always)]
    pub fn set_used(&mut self, used: usize) {
        self.head_mut().used = u32::try_from(used).expect("a block has at most 4 GB");
    }

    /// Four flag bits for the owner.
    #[inline(always)]
    pub fn flags(&self) -> u8 {
        (self.head().size_and_flags & FLAGS) as u8
    }

    /// Sets the flags. Panics if the block is shared.
    #[inline(always)]
    pub fn set_flags(&mut self, flags: u8) {
        assert!(u32::from(flags) <= FLAGS, "there are four flags");
        let head = self.head_mut();
        head.size_and_flags = head.size_and_flags & !FLAGS | u32::from(flags);
    }

    /// The payload: a multiple of 16 bytes.
    #[inline(always)]
    pub fn payload(&self) -> &[u8] {
        let from = self.payload_at();
        // SAFETY: B1 and B3: from there to the end are initialised bytes that are no links, and
        // B2: nobody writes them while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.at(from), self.size() - from) }
    }

    /// The payload, mutable. Panics if the block is shared.
    #[inline(always)]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        assert!(!self.is_shared(), "a shared block is copied before it is changed");
        let from = self.payload_at();
        // SAFETY: as in `payload`; the reference is the only one and uniquely borrowed (B2).
        unsafe { std::slice::from_raw_parts_mut(self.at(from), self.size() - from) }
    }

    /// Number of links, including empty ones.
    #[inline(always)]
    pub fn links(&self) -> usize {
        usize::from(self.head().links)
    }

    /// A link; `None` if it is empty. Panics if the index is out of range.
    #[inline(always)]
    pub fn link(&self, index: usize) -> Option<&Block> {
        assert!(index < self.links(), "a block has no link {index}");
        // SAFETY: B3: the word is an `Option<Block>`, unchanged while `self` is borrowed (B2).
        unsafe { (*self.slot(index)).as_ref() }
    }

    /// A link, mutable. Panics if the index is out of range, or if the block is shared.
    #[inline(always)]
    pub fn link_mut(&mut self, index: usize) -> &mut Option<Block> {
        assert!(index < self.links(), "a block has no link {index}");
        assert!(!self.is_shared(), "a shared block is copied before it is changed");
        // SAFETY: B3, and B2: the reference is the only one and uniquely borrowed.
        unsafe { &mut *self.slot(index) }
    }

    /// Inserts a link before the one at `at`, or after the last. The first `front` and the last
    /// `back` bytes of the payload are preserved at its ends; bytes between may be lost. Grows the
    /// block if necessary. Panics if the block is shared.
    pub fn insert_link(&mut self, at: usize, link: Option<Block>, front: usize, back: usize) {
        let links = self.links();
        assert!(at <= links && links < usize::from(u16::MAX), "a link at {at} of {links}");
        if links.is_multiple_of(2) {
            if self.payload().len() < front + back + 16 {
                self.relocate(front + back + 16, front, back);
            }
            self.payload_mut().copy_within(..front, 16);
        }
        self.head_mut().links += 1;
        // SAFETY: B2: `head_mut` found the block unshared. There is room for one more word: in the
        // padding of the last pair, or in the 16 bytes that the payload has just given up. The
        // `links - at` words move by one, and the free one is written, without dropping what it
        // held, which is a copy of its neighbour or no link at all (B3).
        unsafe {
            ptr::copy(self.slot(at), self.slot(at + 1), links - at);
            self.slot(at).write(link);
        }
    }

    /// Removes a link. The first `front` bytes of the payload are preserved at its start. Panics if
    /// the index is out of range, or if the block is shared.
    pub fn remove_link(&mut self, at: usize, front: usize) -> Option<Block> {
        let links = self.links();
        assert!(at < links, "a block has no link {at}");
        let old_payload = self.payload_at();
        assert!(front <= self.payload().len(), "more than the payload");
        self.head_mut().links -= 1;
        // SAFETY: B2: `head_mut` found the block unshared. The word is read once and then
        // overwritten by its successors, or is no longer counted as a link (B3). The front of
        // the payload moves down by a pair or not at all, within the block (B1).
        unsafe {
            let link = self.slot(at).read();
            ptr::copy(self.slot(at + 1), self.slot(at), links - at - 1);
            ptr::copy(self.at(old_payload), self.at(self.payload_at()), front);
            link
        }
    }

    /// Moves the content to a block whose payload has at least `payload` bytes: the links, the
    /// first `front` and the last `back` bytes of the payload, and the header's fields.
    pub fn relocate(&mut self, payload: usize, front: usize, back: usize) {
        let links = self.links();
        let mut new = Block::with_room(links, payload.max(front + back));
        let (from, end) = (self.payload(), new.payload().len());
        new.payload_mut()[..front].copy_from_slice(&from[..front]);
        new.payload_mut()[end - back..].copy_from_slice(&from[from.len() - back..]);
        new.set_n(self.n());
        new.set_used(self.used());
        new.set_flags(self.flags());
        if self.is_shared() {
            new.copy_links(self);
        } else {
            // SAFETY: the new block has as many links, all empty; the words move to it, and the
            // old block, which is ours alone, no longer counts them (B2, B3).
            unsafe { ptr::copy_nonoverlapping(self.slot(0), new.slot(0), links) };
            self.head_mut().links = 0;
        }
        *self = new;
    }

    /// Fills the links, all empty, from another block with equally many.
    fn copy_links(&mut self, from: &Block) {
        for index in 0..from.links() {
            *self.link_mut(index) = from.link(index).cloned();
        }
    }

    /// Whether there are other references to the block.
    #[inline(always)]
    pub fn is_shared(&self) -> bool {
        // Acquire: what the last other owner read is done with before we write.
        self.head().refs.load(Ordering::Acquire) != 1
    }

    /// Makes this the only reference, by copying if the block is shared; returns whether it copied.
    #[inline(always)]
    pub fn own(&mut self) -> bool {
        let shared = self.is_shared();
        if shared {
            self.copy();
        }
        shared
    }

    #[inline(never)]
    fn copy(&mut self) {
        let len = self.payload().len();
        self.relocate(len, len, 0);
    }
}

impl Clone for Block {
    /// Another reference to the same block.
    #[inline]
    fn clone(&self) -> Block {
        // Relaxed: the new reference is made from one that keeps the block alive.
        if self.head().refs.fetch_add(1, Ordering::Relaxed) > REFS_MAX {
            abort();
        }
        Block(self.0)
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        // The only owner needs no exchange. Otherwise the subtraction decides who is last.
        if self.is_shared() {
            if self.head().refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
        }
        let block = ManuallyDrop::new(Block(self.0));
        let layout = layout_of(block.size());
        // SAFETY: B2: nobody else refers to the block. Its links are dropped once (B3), and the
        // memory is freed with the layout that it was allocated with (B1).
        unsafe {
            for index in 0..block.links() {
                ptr::drop_in_place(block.slot(index));
            }
            dealloc(block.at(0), layout);
        }
        #[cfg(test)]
        tests::count_live(-1);
    }
}
