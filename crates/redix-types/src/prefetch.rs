//! Cache prefetching.
//!
//! A prefetch never faults and never changes what a program computes, whatever the address, so it
//! is safe to call with a pointer that may be stale or null.

/// Prefetches the cache line of `address` for reading.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint: it accepts any address, mapped or not, and neither reads
        // nor writes memory as far as the program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// The lookup of a member or field by the hash of its name, whose memory is prefetched step by
/// step: each step needs the lines of the one before.
#[derive(Debug, Clone, Copy)]
pub struct MemberLookup {
    /// The hash of the name.
    pub hash: u64,
    /// Steps taken.
    pub step: u32,
    /// What the last step has found, for the next; it may be stale by then.
    pub found: u32,
}

impl MemberLookup {
    /// A lookup that has not begun.
    pub const fn new(hash: u64) -> Self {
        MemberLookup { hash, step: 0, found: 0 }
    }
}
