//! A reference-counted pointer with a cheap uniqueness check.
//!
//! Like `Arc` without weak references: checking that a value is not shared is a plain load, where
//! `Arc` needs an exchange (some 6 ns), which a push to a list would pay twice.
//!
//! **Invariants** (which the `unsafe` here relies on):
//!
//! - R1: the pointer leads to a live allocation made by `Box`, of which `refs` references exist.
//! - R2: the value is written only through a unique borrow of the only reference. The one who
//!   counts down to zero frees, and nobody else.

use std::ops::Deref;
use std::process::abort;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

#[cfg(test)]
mod tests;

/// Limit of references to one value; more can only be a leak in a loop.
const REFS_MAX: u32 = u32::MAX / 2;

struct Counted<T> {
    refs: AtomicU32,
    value: T,
}

/// A reference-counted pointer. `clone` counts; a shared value is copied before it is changed.
pub struct Shared<T>(NonNull<Counted<T>>);

// SAFETY: as for `Arc`: a reference gives access from any thread, and the last one drops the value.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The first reference to a value.
    pub fn new(value: T) -> Self {
        let counted = Box::new(Counted { refs: AtomicU32::new(1), value });
        Shared(NonNull::from(Box::leak(counted)))
    }

    /// Bytes of the allocation of a value.
    pub const fn allocation() -> usize {
        size_of::<Counted<T>>()
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: R1; nobody writes while `self` is borrowed (R2).
        unsafe { self.0.as_ref() }
    }

    /// Whether there are other references.
    #[inline]
    pub fn is_shared(&self) -> bool {
        // Acquire: what the last other owner read is done with before we write.
        self.counted().refs.load(Ordering::Acquire) != 1
    }

    /// The value, mutable; `None` if it is shared.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if self.is_shared() {
            return None;
        }
        // SAFETY: R2: this is the only reference, and it is uniquely borrowed.
        Some(unsafe { &mut self.0.as_mut().value })
    }
}

impl<T: Clone> Shared<T> {
    /// The value, mutable, after copying it if it is shared.
    #[inline]
    pub fn make_mut(&mut self) -> &mut T {
        if self.is_shared() {
            self.copy();
        }
        // SAFETY: R2: this is the only reference, or that to a fresh copy, and uniquely borrowed.
        unsafe { &mut self.0.as_mut().value }
    }

    #[cold]
    fn copy(&mut self) {
        *self = Shared::new(T::clone(self));
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Relaxed: a new reference is made from one that keeps the value alive.
        if self.counted().refs.fetch_add(1, Ordering::Relaxed) > REFS_MAX {
            abort();
        }
        Shared(self.0)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.counted().refs.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: R2: the count fell to zero here, so no other reference is left; R1: the
        // allocation is a box's.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}
