//! Keys with an expiry that clients of a writable replica wrote.
//!
//! Replicas leave expiry to the primary, which does not know these keys. They are tracked here, and
//! the expiry sweep deletes the expired ones. Source: Redis 4.0's release notes on writable
//! replicas, and `slave_expires_tracked_keys` of INFO.
//!
//! **Invariant.** The mutex is a leaf.

use std::collections::BTreeSet;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};

/// Database and name of a tracked key.
pub type ExpiringKey = (u32, Box<[u8]>);

/// The tracked keys.
#[derive(Default)]
pub struct WritableExpiry {
    count: AtomicUsize,
    keys: Mutex<BTreeSet<ExpiringKey>>,
}

impl WritableExpiry {
    /// The number of tracked keys.
    #[inline]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Tracks a key.
    pub fn insert(&self, db: u32, key: &[u8]) {
        let mut keys = lock(&self.keys);
        keys.insert((db, key.into()));
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    /// Removes keys that no longer exist or no longer have an expiry.
    pub fn remove(&self, gone: &[ExpiringKey]) {
        let mut keys = lock(&self.keys);
        for own in gone {
            keys.remove(own);
        }
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    /// Removes all keys: the role or the data set has changed.
    pub fn clear(&self) {
        lock(&self.keys).clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Up to `limit` keys after `after`, or from the first one on.
    pub fn some(&self, after: Option<&ExpiringKey>, limit: usize) -> Vec<ExpiringKey> {
        use std::ops::Bound;
        let keys = lock(&self.keys);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        keys.range((from, Bound::Unbounded)).take(limit).cloned().collect()
    }
}
