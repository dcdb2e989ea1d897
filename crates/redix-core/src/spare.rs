//! Memory that has been freed and that the allocator keeps.
//!
//! Allocators give pages back late, and to do so they must be called: an idle server would keep all
//! that it ever had. Whenever much has been freed, every thread that allocates asks its allocator
//! once to give back what it does not need, each for itself, because pages that others freed belong
//! to the thread that took them. They ask twice, half a second apart: an allocator leaves out what
//! it finds another thread giving back at the same moment.

use crate::env::Memory;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Less than this is kept while memory is taken and freed.
const SPARE_MAX: u64 = 16 * 1024 * 1024;
/// And less than this part of what is in use: giving back and taking anew costs time.
const SPARE_PART: u64 = 8;
/// The same once memory in use stays what it is: what a burst of requests needed is not needed now.
const QUIET_SPARE_MAX: u64 = 256 * 1024;
const QUIET_SPARE_PART: u64 = 64;
/// Memory in use is what it was if it changes by less than this between two looks.
const QUIET_CHANGE: u64 = 64 * 1024;
/// Between two looks.
const LOOK_NS: u64 = 500_000_000;

/// How much was in use, and when much of it had been freed.
#[derive(Debug, Default)]
pub struct SpareMemory {
    next_ns: AtomicU64,
    last: AtomicU64,
    peak: AtomicU64,
    rounds: AtomicU64,
    /// The last round is to be followed by another.
    again: AtomicBool,
}

impl SpareMemory {
    /// Takes note of the bytes in use, now and between two looks. To be called often, by one
    /// thread, the only one that takes the recent peak.
    pub fn note(&self, now_ns: u64, memory: &dyn Memory) {
        if now_ns < self.next_ns.load(Ordering::Relaxed) {
            return;
        }
        self.next_ns.store(now_ns + LOOK_NS, Ordering::Relaxed);
        let used = memory.used_bytes();
        let last = self.last.swap(used, Ordering::Relaxed);
        let mut peak = self.peak.load(Ordering::Relaxed).max(memory.take_recent_peak_bytes());
        let spare = peak.saturating_sub(used);
        let kept = if used.abs_diff(last) < QUIET_CHANGE {
            QUIET_SPARE_MAX.max(used / QUIET_SPARE_PART)
        } else {
            SPARE_MAX.max(used / SPARE_PART)
        };
        // While it falls there is more to come.
        if used >= last.saturating_sub(SPARE_MAX / 4) && spare > kept {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            self.again.store(true, Ordering::Relaxed);
            peak = used;
        } else if self.again.swap(false, Ordering::Relaxed) {
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
        self.peak.store(peak, Ordering::Relaxed);
    }

    /// Whether memory is to be given back by a thread that did so last in round `*done`.
    pub fn is_due(&self, done: &mut u64) -> bool {
        let round = self.rounds.load(Ordering::Relaxed);
        std::mem::replace(done, round) != round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;

    /// Bytes in use, and their recent peak.
    #[derive(Default)]
    struct Used(AtomicU64, AtomicU64);

    impl Used {
        fn set(&self, bytes: u64) {
            self.0.store(bytes, Ordering::Relaxed);
            self.1.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    impl Memory for Used {
        fn used_bytes(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn peak_bytes(&self) -> u64 {
            unimplemented!("nobody asks")
        }
        fn take_recent_peak_bytes(&self) -> u64 {
            self.1.swap(self.used_bytes(), Ordering::Relaxed)
        }
    }

    #[test]
    fn what_comes_and_goes_between_two_looks_is_given_back() {
        let (spare, memory, mut done) = (SpareMemory::default(), Used::default(), 0);
        let mut look = |at: u64| {
            spare.note(at * LOOK_NS, &memory);
            spare.is_due(&mut done)
        };
        assert!(!look(0));
        memory.set(200 * MB);
        memory.set(MB);
        assert!(look(1));
        assert!(look(2), "and again");
        assert!(!look(3));
    }

    #[test]
    fn each_thread_gives_back_twice_when_much_was_freed() {
        let (spare, mut done) = (SpareMemory::default(), 0);
        let memory = Used::default();
        let look = |at: u64, used: u64, done: &mut u64| {
            memory.set(used);
            spare.note(at * LOOK_NS, &memory);
            spare.is_due(done)
        };
        assert!(!look(0, 10 * MB, &mut done));
        assert!(!look(1, 200 * MB, &mut done));
        assert!(!look(2, 100 * MB, &mut done), "it is still falling");
        assert!(look(3, 100 * MB, &mut done));
        assert!(look(4, 100 * MB, &mut done), "and again");
        assert!(!look(5, 100 * MB, &mut done), "no more");
        assert!(!look(6, 97 * MB, &mut done) && !look(7, 96 * MB, &mut done), "too little");
        assert!(look(8, 96 * MB, &mut done), "until it stays so");
        assert!(look(9, 96 * MB, &mut done) && !look(10, 96 * MB, &mut done));
        assert!(!look(11, 95 * MB, &mut done) && !look(12, 95 * MB, &mut done), "a small part");
        let mut other = 0;
        assert!(spare.is_due(&mut other) && !spare.is_due(&mut other));
    }
}
