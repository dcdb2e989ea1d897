//! Which clients may have cached which keys of a shard: the default mode of CLIENT TRACKING.
//!
//! A client is listed with a key, whatever the database, from when it has read the key until the
//! key changes. Clients are ids here: one that has gone stays listed until then.
//!
//! **Invariants.** A list is accessed under its shard's lock. The totals are the sums over all
//! shards.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::shard::FixedState;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The ids of clients, ascending.
pub type Cachers = SmallVec<[u64; 2]>;

/// What all shards have in common.
#[derive(Debug, Default)]
pub struct CachedTotals {
    keys: AtomicUsize,
    items: AtomicUsize,
    broadcasting: AtomicBool,
}

impl CachedTotals {
    /// The number of keys with clients.
    pub fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// The number of pairs of a key and a client.
    pub fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Whether some client wants to be told of changes without having read the key. Tested under
    /// the shard's lock: a client that reads a key has set it before.
    #[inline]
    pub fn broadcasting(&self) -> bool {
        self.broadcasting.load(Ordering::Relaxed)
    }

    /// Sets whether there is such a client.
    pub fn set_broadcasting(&self, on: bool) {
        self.broadcasting.store(on, Ordering::Relaxed);
    }

    fn removed(&self, keys: usize, items: usize) {
        self.keys.fetch_sub(keys, Ordering::Relaxed);
        self.items.fetch_sub(items, Ordering::Relaxed);
    }
}

/// The keys of one shard that clients may have cached.
#[derive(Default)]
pub struct CachedKeys {
    keys: HashMap<Box<[u8]>, Cachers, FixedState>,
}

impl CachedKeys {
    /// Lists a client with a key.
    pub fn add(&mut self, key: &[u8], client: u64, totals: &CachedTotals) {
        let cachers = match self.keys.get_mut(key) {
            Some(cachers) => cachers,
            None => {
                totals.keys.fetch_add(1, Ordering::Relaxed);
                self.keys.entry(key.into()).or_default()
            }
        };
        if let Err(at) = cachers.binary_search(&client) {
            cachers.insert(at, client);
            totals.items.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the clients of a key; none if it is not listed.
    pub fn take(&mut self, key: &[u8], totals: &CachedTotals) -> Cachers {
        let Some(cachers) = self.keys.remove(key) else { return Cachers::new() };
        totals.removed(1, cachers.len());
        cachers
    }

    /// Takes some key with its clients.
    pub fn take_any(&mut self, totals: &CachedTotals) -> Option<(Box<[u8]>, Cachers)> {
        let key = self.keys.keys().next()?.clone();
        let cachers = self.take(&key, totals);
        Some((key, cachers))
    }

    /// Forgets all keys.
    pub fn clear(&mut self, totals: &CachedTotals) {
        totals.removed(self.keys.len(), self.keys.values().map(SmallVec::len).sum());
        self.keys.clear();
    }

    /// Whether no key is listed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests;
