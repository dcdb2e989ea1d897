//! The locks and atomics for the rest of the crate.
//!
//! Under `cfg(shuttle)` they are the model checker's, so that the same code runs under random
//! schedules; otherwise they are `parking_lot`'s and the standard library's.

pub use std::sync::Arc;

#[cfg(not(shuttle))]
mod real {
    pub use std::sync::atomic;

    /// A mutex without poisoning: the consistency of data after a panic is judged by the shard's
    /// *changing* mark instead (see [`crate::keyspace::shard`]).
    pub type Mutex<T> = parking_lot::Mutex<T>;
    /// The guard of a [`Mutex`].
    pub type MutexGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

    /// Locks a mutex.
    #[inline]
    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    /// Locks a mutex; `None` if that takes longer than `time`.
    pub fn lock_within<T>(
        mutex: &Mutex<T>,
        time: std::time::Duration,
    ) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock_for(time)
    }

    /// A spin lock for critical sections of well under a microsecond that are rarely contended.
    pub type SpinMutex<T> = redix_types::spin::SpinMutex<T>;
    /// The guard of a [`SpinMutex`].
    pub type SpinGuard<'a, T> = redix_types::spin::SpinGuard<'a, T>;

    /// Locks a spin lock.
    #[inline]
    pub fn spin<T>(mutex: &SpinMutex<T>) -> SpinGuard<'_, T> {
        mutex.lock()
    }

    /// Takes a lock if nobody holds it.
    #[inline]
    pub fn try_spin<T>(mutex: &SpinMutex<T>) -> Option<SpinGuard<'_, T>> {
        mutex.try_lock()
    }
}

#[cfg(shuttle)]
mod real {
    pub use shuttle::sync::atomic;

    /// The model checker's mutex.
    pub type Mutex<T> = shuttle::sync::Mutex<T>;
    /// The guard of a [`Mutex`].
    pub type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

    /// Locks a mutex.
    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Locks a mutex if nobody holds it, or else has another thread run.
    pub fn lock_within<T>(mutex: &Mutex<T>, _: std::time::Duration) -> Option<MutexGuard<'_, T>> {
        let guard = mutex.try_lock().ok();
        if guard.is_none() {
            shuttle::thread::yield_now();
        }
        guard
    }

    /// A mutex: the model checker does not distinguish how a thread waits.
    pub type SpinMutex<T> = Mutex<T>;
    /// The guard of a [`SpinMutex`].
    pub type SpinGuard<'a, T> = MutexGuard<'a, T>;
    pub use lock as spin;

    /// Takes a lock if nobody holds it.
    pub fn try_spin<T>(mutex: &SpinMutex<T>) -> Option<SpinGuard<'_, T>> {
        mutex.try_lock().ok()
    }
}

pub use real::{
    Mutex, MutexGuard, SpinGuard, SpinMutex, atomic, lock, lock_within, spin, try_spin,
};

/// Keeps a value on cache lines of its own: 128 bytes, because the prefetcher of common x86 cores
/// fetches lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
