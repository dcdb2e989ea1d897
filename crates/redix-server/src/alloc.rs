//! The allocator, with a count of the bytes in use.
//!
//! Every allocation and free adds its size class to a counter of the calling thread, so that
//! `used_memory` is a sum over threads. It is taken when it is read exactly, and whenever a
//! thread's count has grown or shrunk by [`STEP`]: so the peak, however short, and the bytes in use
//! are known to within that much per thread without taking a sum.
//!
//! **Invariants.** A counter cell is written by one thread only; cells outlive their threads and
//! are never freed, so a sum may read them at any time. Sizes are those that the allocator really
//! uses for a request, so that the sum follows the memory in use.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use libmimalloc_sys as mi;

/// Threads that can have a cell of their own; later ones share the last.
const CELLS: usize = 128;

/// Bytes by which a thread's count may grow before the sum is taken.
const STEP: i64 = 64 * 1024;

#[repr(align(128))]
struct Cell {
    in_use: AtomicI64,
    /// The count at which the sum is taken next; at most two steps above the present one, so that
    /// memory that is freed and allocated again counts again.
    look_at: AtomicI64,
}

static CELL_OF: [Cell; CELLS] =
    [const { Cell { in_use: AtomicI64::new(0), look_at: AtomicI64::new(0) } }; CELLS];
static PEAK: AtomicI64 = AtomicI64::new(0);
/// The peak since it was last taken.
static RECENT_PEAK: AtomicI64 = AtomicI64::new(0);
/// What was in use when the sum was last taken.
static LAST: AtomicI64 = AtomicI64::new(0);
static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CELL: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

/// The counting allocator.
pub struct Counting;

/// Blocks up to this size have exactly the size of their class.
const CLASSES_MAX: usize = 512 * 1024;

/// The size that the allocator uses for a request that [`is_plain`]: 8, multiples of 16 up to 128,
/// then four steps for each power of two. Of larger blocks whole pages count: the allocator rounds
/// up further, but nothing is ever written there, so that it takes no memory.
#[inline]
pub const fn size_class(size: usize) -> i64 {
    let step = match size {
        0..=8 => 8,
        9..=128 => 16,
        129..=CLASSES_MAX => 1 << (usize::BITS - 1 - (size - 1).leading_zeros() - 2),
        _ => 4096,
    };
    ((size + step - 1) & !(step - 1)) as i64
}

#[inline]
fn count(bytes: i64) {
    let index = CELL.with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(NEXT_CELL.fetch_add(1, Ordering::Relaxed).min(CELLS - 1));
        }
        cell.get()
    });
    let cell = &CELL_OF[index];
    let in_use = if index == CELLS - 1 {
        cell.in_use.fetch_add(bytes, Ordering::Relaxed) + bytes
    } else {
        let in_use = cell.in_use.load(Ordering::Relaxed) + bytes;
        cell.in_use.store(in_use, Ordering::Relaxed);
        in_use
    };
    let left = cell.look_at.load(Ordering::Relaxed) - in_use;
    if !(1..=2 * STEP).contains(&left) {
        look(cell, in_use);
    }
}

/// Takes the sum, and sets when it is taken next.
#[cold]
fn look(cell: &Cell, in_use: i64) {
    peak_memory();
    cell.look_at.store(in_use + STEP, Ordering::Relaxed);
}

/// Bytes in use by the whole process.
pub fn used_memory() -> usize {
    usize::try_from(sum()).unwrap_or(0)
}

/// The all-time peak of bytes in use.
pub fn peak_memory() -> usize {
    let sum = sum();
    LAST.store(sum, Ordering::Relaxed);
    RECENT_PEAK.fetch_max(sum, Ordering::Relaxed);
    usize::try_from(PEAK.fetch_max(sum, Ordering::Relaxed).max(sum)).unwrap_or(0)
}

/// The peak of bytes in use since the last call.
pub fn take_recent_peak() -> usize {
    let sum = sum();
    usize::try_from(RECENT_PEAK.swap(sum, Ordering::Relaxed).max(sum)).unwrap_or(0)
}

/// Whether more bytes than this are in use. The sum is taken only if that is uncertain: if the last
/// one is as near to `bytes` as the threads may have moved it since.
pub fn uses_more_than(bytes: u64) -> bool {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let last = LAST.load(Ordering::Relaxed);
    if last.abs_diff(bytes) > (cells() as u64 + 1) * 2 * STEP.unsigned_abs() {
        return last > bytes;
    }
    sum() > bytes
}

/// Cells that are in use.
fn cells() -> usize {
    // Whoever has a cell has been counted before.
    NEXT_CELL.load(Ordering::Relaxed).min(CELLS)
}

fn sum() -> i64 {
    CELL_OF[..cells()].iter().map(|cell| cell.in_use.load(Ordering::Relaxed)).sum()
}

/// Whether mimalloc's plain functions give blocks aligned enough. Its aligned ones ask for up to
/// `align - 1` bytes more whenever the class is not a power of two: blocks of 96 bytes would take
/// 112.
#[inline]
const fn is_plain(layout: Layout) -> bool {
    layout.align() <= 16 && layout.align() <= layout.size()
}

/// Returns free memory to the operating system.
pub fn purge() {
    // SAFETY: collects the calling thread's and the shared free pages; no precondition.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// The size of a block of any kind.
///
/// # Safety
///
/// `ptr` is a block of mimalloc, or null.
#[inline]
unsafe fn size_of_block(ptr: *const u8) -> i64 {
    // SAFETY: the caller vouches for the block.
    unsafe { mi::mi_usable_size(ptr.cast()) as i64 }
}

/// The size of the block behind a vector that has one.
#[cfg(test)]
fn size_behind(vector: &Vec<u8>) -> i64 {
    assert_ne!(vector.capacity(), 0);
    // SAFETY: the global allocator of the tests is the one here.
    unsafe { size_of_block(vector.as_ptr()) }
}

// SAFETY: every call is handed to mimalloc, which keeps the contract of GlobalAlloc: its plain
// functions align blocks of 16 bytes and more to 16, smaller ones to their size, and its free takes
// blocks of both kinds. The counting neither allocates (its thread-local is const and has no
// destructor) nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two may be asked for.
        unsafe {
            if is_plain(layout) {
                count(size_class(layout.size()));
                return mi::mi_malloc(layout.size()).cast();
            }
            let block = mi::mi_malloc_aligned(layout.size(), layout.align()).cast();
            count(size_of_block(block));
            block
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from one of the functions here, that is from mimalloc.
        unsafe {
            let size =
                if is_plain(layout) { size_class(layout.size()) } else { size_of_block(ptr) };
            count(-size);
            mi::mi_free(ptr.cast());
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two may be asked for.
        unsafe {
            if is_plain(layout) {
                count(size_class(layout.size()));
                return mi::mi_zalloc(layout.size()).cast();
            }
            let block = mi::mi_zalloc_aligned(layout.size(), layout.align()).cast();
            count(size_of_block(block));
            block
        }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: `ptr` came from mimalloc; the caller vouches for `new_size` and for the smaller
        // of both sizes at `ptr`.
        unsafe {
            if is_plain(layout) && layout.align() <= new_size {
                let (old, new) = (size_class(layout.size()), size_class(new_size));
                count(new - old);
                // It keeps blocks of up to twice the size. That the end of a large one stays is
                // better than a copy, if it is small.
                let left = if new_size > CLASSES_MAX { old / 32 } else { 0 };
                if new >= old - left {
                    return mi::mi_realloc(ptr.cast(), new_size).cast();
                }
                let block: *mut u8 = mi::mi_malloc(new_size).cast();
                if !block.is_null() {
                    ptr.copy_to_nonoverlapping(block, new_size);
                    mi::mi_free(ptr.cast());
                }
                return block;
            }
            let block = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !block.is_null() {
                ptr.copy_to_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
            block
        }
    }
}

#[cfg(test)]
mod tests;
