//! The array of main buckets, in segments of 16 behind a directory.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::node::{BUCKET_BYTES, Node};
use crate::block::size_class;

const SEGMENT_BITS: u32 = 4;
const SEGMENT_BUCKETS: usize = 1 << SEGMENT_BITS;
const BUCKET_WORDS: usize = BUCKET_BYTES / 8;

/// The buckets of a table, `0..len`. The last segment has room for the next power of two of what
/// it holds, the others are full.
pub(super) struct Segments {
    directory: Vec<NonNull<u64>>,
    len: u32,
    /// Bytes in the children of all buckets, in units of 16. Maintained by the table; stored here
    /// to share a word.
    pub(super) child_units: u32,
}

fn layout_of(capacity: usize) -> Layout {
    Layout::from_size_align(capacity * BUCKET_BYTES, BUCKET_BYTES).expect("at most a kilobyte")
}

/// Capacity of a segment that holds `used >= 1` buckets.
fn capacity_for(used: usize) -> usize {
    used.next_power_of_two()
}

fn allocate(capacity: usize) -> NonNull<u64> {
    let layout = layout_of(capacity);
    // SAFETY: the size is at least one bucket. Zeroed memory is an empty bucket.
    let segment = unsafe { alloc_zeroed(layout) };
    NonNull::new(segment).unwrap_or_else(|| handle_alloc_error(layout)).cast()
}

impl Segments {
    pub(super) const fn new() -> Self {
        Segments { directory: Vec::new(), len: 0, child_units: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let buckets = match self.last_used() {
            Some(used) => (self.directory.len() - 1) * SEGMENT_BUCKETS + capacity_for(used),
            None => 0,
        };
        let directory = self.directory.capacity() * size_of::<NonNull<u64>>();
        buckets * BUCKET_BYTES + size_class(directory)
    }

    /// The bucket that a hash selects; none in an empty table.
    #[inline]
    pub(super) fn bucket_of(&self, hash: u64) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let level = self.len.ilog2();
        let index = hash & ((2 << level) - 1);
        let exists = index < u64::from(self.len);
        Some(if exists { index } else { index & ((1 << level) - 1) } as usize)
    }

    /// The number of hash bits that the items of a bucket have in common.
    pub(super) fn depth_of(&self, bucket: usize) -> u32 {
        let level = self.len.ilog2();
        let split = bucket < self.len() - (1 << level) || bucket >= 1 << level;
        level + u32::from(split)
    }

    #[inline]
    pub(super) fn node(&self, bucket: usize) -> Node {
        assert!(bucket < self.len());
        let segment = self.directory[bucket >> SEGMENT_BITS];
        // SAFETY: T1: the bucket exists, so its segment is live and holds it.
        unsafe { Node::main(segment.add((bucket & (SEGMENT_BUCKETS - 1)) * BUCKET_WORDS)) }
    }

    /// The split by which a bucket is added: which bucket, into which other, by which bit. `None`
    /// once there are 2^31 buckets.
    pub(super) fn next_split(&self) -> Option<(usize, usize, u32)> {
        if self.len >= 1 << 31 {
            return None;
        }
        let level = self.len.ilog2();
        Some((self.len() - (1 << level), self.len(), level))
    }

    /// The bucket that the items of bucket `last`, just removed from the end, belong to now.
    pub(super) fn merge_target(&self, last: usize) -> usize {
        last - (1 << last.ilog2())
    }

    /// Adds an empty bucket at the end.
    pub(super) fn push(&mut self) {
        match self.last_used() {
            Some(used) if used < SEGMENT_BUCKETS => {
                if used == capacity_for(used) {
                    self.resize_last(used, 2 * used);
                }
            }
            _ => {
                // The directory grows by an eighth, so that its overhead is the same at every size.
                if self.directory.len() == self.directory.capacity() {
                    self.directory.reserve_exact(self.directory.len() / 8 + 1);
                }
                self.directory.push(allocate(1));
            }
        }
        self.len += 1;
    }

    /// Removes the last bucket, which has been drained.
    pub(super) fn pop(&mut self) {
        let used = self.last_used().expect("callers look before they pop");
        self.len -= 1;
        if used == 1 {
            let segment = self.directory.pop().expect("a bucket lies in a segment");
            // SAFETY: T1: it was allocated for one bucket, and the directory has let it go.
            unsafe { dealloc(segment.as_ptr().cast(), layout_of(1)) };
            if self.directory.len() * 2 < self.directory.capacity() {
                self.directory.shrink_to(self.directory.len() + self.directory.len() / 8);
            }
        } else if capacity_for(used - 1) < capacity_for(used) {
            self.resize_last(capacity_for(used), used - 1);
        }
    }

    /// Buckets in use in the last segment.
    fn last_used(&self) -> Option<usize> {
        let last = self.len().checked_sub(1)?;
        Some((last & (SEGMENT_BUCKETS - 1)) + 1)
    }

    /// Moves the last segment to a block of another capacity, with as many buckets as both hold.
    fn resize_last(&mut self, from: usize, to: usize) {
        let last = self.directory.last_mut().expect("callers look before they resize");
        let segment = allocate(to);
        // SAFETY: T1: the old block was allocated for `from` buckets and the new one for `to`;
        // links into children do not depend on where a bucket lies.
        unsafe {
            let words = from.min(to) * BUCKET_WORDS;
            ptr::copy_nonoverlapping(last.as_ptr(), segment.as_ptr(), words);
            dealloc(last.as_ptr().cast(), layout_of(from));
        }
        *last = segment;
    }
}
