//! The keys with an expiry that clients of a writable replica wrote here.
//!
//! A replica leaves the going of keys to its primary, which knows nothing of these. So they are
//! listed, and the sweep deletes those whose time has come. Source: Redis 4.0's release notes on
//! writable replicas, and `slave_expires_tracked_keys` of INFO.
//!
//! **Invariant.** The mutex is a leaf.

use std::collections::BTreeSet;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};

/// A database and a key.
pub type ExpiringKey = (u32, Box<[u8]>);

/// The list.
#[derive(Default)]
pub struct WritableExpiry {
    count: AtomicUsize,
    keys: Mutex<BTreeSet<ExpiringKey>>,
}

impl WritableExpiry {
    /// How many there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds a key.
    pub fn insert(&self, db: u32, key: &[u8]) {
        let mut keys = lock(&self.keys);
        keys.insert((db, key.into()));
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    /// Removes keys that are gone or do not expire any more.
    pub fn remove(&self, gone: &[ExpiringKey]) {
        let mut keys = lock(&self.keys);
        for own in gone {
            keys.remove(own);
        }
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    /// Forgets all: the role or the data set is another.
    pub fn clear(&self) {
        lock(&self.keys).clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Up to `limit` keys behind `after`, or from the first one on.
    pub fn some(&self, after: Option<&ExpiringKey>, limit: usize) -> Vec<ExpiringKey> {
        use std::ops::Bound;
        let keys = lock(&self.keys);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        keys.range((from, Bound::Unbounded)).take(limit).cloned().collect()
    }
}
