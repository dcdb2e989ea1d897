//! The limits of a user: the rules `%rate=OPS` and `%mem=SIZE`.
//!
//! **Rate.** Commands are paid for when they are about to run, from a bucket that all connections
//! of a user share on all threads. It is one number (the generic cell rate algorithm): the time at
//! which all that was taken will have been paid. A connection that finds the bucket empty reserves
//! its next commands and waits until they are paid, so that it wakes once for them, however many
//! others wait, and nothing is refused.
//!
//! **Memory.** What counts for a user is what its connections take and what the keys take in all
//! databases that it may use ([`crate::keyspace::account`]). The former is looked at ten times a
//! second.
//!
//! **Invariants.** In any time the user's commands are at most those of the rate and of one full
//! bucket, apart from those that scripts have called, which are owed for. What is used is kept when
//! the rules of a user change, but for debts at another rate.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const NS_PER_S: u64 = 1_000_000_000;
/// The time for which a bucket that is full lasts.
const BURST_NS: u64 = NS_PER_S / 10;
/// The part of a second for which a waiting connection reserves commands at most.
const RESERVED_PART: u64 = 100;
/// The greatest rate that is a limit: a command each nanosecond.
pub(super) const RATE_MAX: u64 = NS_PER_S;

/// The limits of a user; 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Commands in a second.
    pub rate: u64,
    /// Bytes of connections and databases.
    pub memory: u64,
}

impl Quota {
    /// Whether there are none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    fn interval_ns(self) -> u64 {
        (NS_PER_S / self.rate.max(1)).max(1)
    }
}

/// What a user has used.
#[derive(Debug, Default)]
pub struct Usage {
    /// When all that was taken will have been paid, by the monotonic clock.
    paid_at_ns: AtomicU64,
    /// Bytes of its connections.
    memory: AtomicU64,
    /// How often a connection had to wait.
    pub throttled: AtomicU64,
    /// Commands refused for want of memory.
    pub refused: AtomicU64,
    /// When the audit log tells of the next one, in milliseconds of Unix time.
    record_from_ms: AtomicI64,
}

/// The usage of a user, which is not part of what the user is.
#[derive(Debug, Clone, Default)]
pub struct UsageOf(pub Arc<Usage>);

impl PartialEq for UsageOf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for UsageOf {}

/// What came of an attempt to pay for commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// So many are paid for.
    Paid(usize),
    /// So many will be, in so many nanoseconds.
    Reserved {
        /// How many.
        count: usize,
        /// When.
        wait_ns: u64,
    },
}

impl Usage {
    /// Takes up to `wanted` commands, at least one, from the bucket; if it is empty, reserves some
    /// or, unless the caller can wait, takes none.
    pub fn take(&self, quota: Quota, wanted: usize, now_ns: u64, can_wait: bool) -> Grant {
        let interval_ns = quota.interval_ns();
        let burst_ns = BURST_NS.max(interval_ns);
        let mut paid_at_ns = self.paid_at_ns.load(Ordering::Relaxed);
        loop {
            let from_ns = paid_at_ns.max(now_ns.saturating_sub(burst_ns));
            let room = now_ns.saturating_sub(from_ns) / interval_ns;
            let (count, grant) = if room > 0 {
                let count = room.min(wanted as u64);
                (count, Grant::Paid(count as usize))
            } else if !can_wait {
                return Grant::Paid(0);
            } else {
                let count = (quota.rate / RESERVED_PART).clamp(1, wanted as u64);
                let wait_ns = (from_ns + count * interval_ns).saturating_sub(now_ns);
                (count, Grant::Reserved { count: count as usize, wait_ns })
            };
            let new_ns = from_ns + count * interval_ns;
            match self.paid_at_ns.compare_exchange_weak(
                paid_at_ns,
                new_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if let Grant::Reserved { .. } = grant {
                        self.throttled.fetch_add(1, Ordering::Relaxed);
                    }
                    return grant;
                }
                Err(other) => paid_at_ns = other,
            }
        }
    }

    /// Owes for commands that have run without being paid for; a negative number is given back.
    pub fn owe(&self, quota: Quota, commands: i64, now_ns: u64) {
        let interval_ns = quota.interval_ns();
        let earliest_ns = now_ns.saturating_sub(BURST_NS.max(interval_ns));
        let ns = commands.saturating_mul(interval_ns as i64);
        // It never fails: there is always a next value.
        self.paid_at_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at_ns| {
                Some(at_ns.max(earliest_ns).saturating_add_signed(ns))
            })
            .ok();
    }

    /// Forgets what was taken and owed.
    pub fn forget_debts(&self) {
        self.paid_at_ns.store(0, Ordering::Relaxed);
    }

    /// Sets from when on the audit log tells of a refusal again, if `next` says that it does now.
    pub(crate) fn put_record_off(&self, next: impl Fn(i64) -> Option<i64>) -> bool {
        self.record_from_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Records what the user's connections take, in bytes.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of the user's connections, as of when they were last looked at.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
