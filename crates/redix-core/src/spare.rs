//! Freed memory that the allocator retains.
//!
//! Allocators return pages to the system late, and only when they are called: an idle server would
//! keep all that it ever used. When much has been freed, every thread that allocates asks its
//! allocator once to return unused pages; each for itself, because pages freed by others belong to
//! the thread that allocated them. They ask twice, half a second apart: an allocator skips pages
//! that another thread is returning at the same moment.

use crate::env::Memory;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Less than this is retained while memory is in motion.
const SPARE_MAX: u64 = 16 * 1024 * 1024;
/// And less than this fraction of the memory in use: returning and re-allocating pages costs time.
const SPARE_PART: u64 = 8;
/// The limit once memory in use is stable: what a burst of requests needed is not needed now.
const QUIET_SPARE_MAX: u64 = 256 * 1024;
const QUIET_SPARE_PART: u64 = 64;
/// Memory in use is stable if it changes by less than this between two samples.
const QUIET_CHANGE: u64 = 64 * 1024;
/// Interval of samples.
const LOOK_NS: u64 = 500_000_000;

/// Samples of the memory in use, and the time of the last round.
#[derive(Debug, Default)]
pub struct SpareMemory {
    next_ns: AtomicU64,
    last: AtomicU64,
    peak: AtomicU64,
    rounds: AtomicU64,
    /// A second round follows the last one.
    again: AtomicBool,
}

impl SpareMemory {
    /// Samples the memory in use. To be called often, by the one thread that takes the recent peak.
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
        // While it decreases, more is about to be freed.
        if used >= last.saturating_sub(SPARE_MAX / 4) && spare > kept {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            self.again.store(true, Ordering::Relaxed);
            peak = used;
        } else if self.again.swap(false, Ordering::Relaxed) {
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
        self.peak.store(peak, Ordering::Relaxed);
    }

    /// Whether the thread, whose last round was `*done`, is to return memory.
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
            self.used_bytes().max(self.1.load(Ordering::Relaxed))
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
