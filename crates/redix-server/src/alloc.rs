//! The allocator, with a count of what is in use.
//!
//! Every allocation and free adds its size class to a counter of the calling thread, so that
//! `used_memory` is a sum over threads, taken only when somebody asks.
//!
//! **Invariants.** A counter cell is written by one thread only; cells outlive their threads and are
//! never freed, so a sum may read them at any time. Sizes are those that the allocator really uses
//! for a request, so that the sum follows the memory in use.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use mimalloc::MiMalloc;

/// Threads that can have a cell of their own; later ones share the last.
const CELLS: usize = 128;

#[repr(align(128))]
struct Padded(AtomicI64);

static IN_USE: [Padded; CELLS] = [const { Padded(AtomicI64::new(0)) }; CELLS];
static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The counting allocator.
pub struct Counting;

/// The size that the allocator uses for a request: multiples of 16 up to 128, then eight steps for
/// each power of two, then whole pages.
#[inline]
pub const fn size_class(size: usize) -> i64 {
    let class = if size <= 128 {
        (size + 15) & !15
    } else if size <= 512 * 1024 {
        let step = 1 << (usize::BITS - 1 - (size - 1).leading_zeros() - 2);
        (size + step - 1) & !(step - 1)
    } else {
        (size + 4095) & !4095
    };
    class as i64
}

#[inline]
fn count(bytes: i64) {
    let index = CELL.with(|cell| {
        if cell.get() == usize::MAX {
            cell.set(NEXT_CELL.fetch_add(1, Ordering::Relaxed).min(CELLS - 1));
        }
        cell.get()
    });
    let cell = &IN_USE[index].0;
    if index == CELLS - 1 {
        cell.fetch_add(bytes, Ordering::Relaxed);
    } else {
        cell.store(cell.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }
}

/// Bytes in use by the whole process.
pub fn used_memory() -> usize {
    let sum: i64 = IN_USE.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum();
    usize::try_from(sum).unwrap_or(0)
}

// SAFETY: every call is handed to MiMalloc unchanged, which keeps the contract of GlobalAlloc; the
// counting neither allocates (its thread-local is const and has no destructor) nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-size_class(layout.size()));
        // SAFETY: `ptr` came from `alloc` above with this layout, that is from MiMalloc.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(size_class(new_size) - size_class(layout.size()));
        // SAFETY: `ptr` came from MiMalloc with this layout; the caller vouches for `new_size`.
        unsafe { MiMalloc.realloc(ptr, layout, new_size) }
    }
}
