//! Iteration over the keys of a database: SCAN, KEYS and RANDOMKEY.
//!
//! SCAN's cursor is a shard and, below it, a position in the hash order of the shard's table (see
//! [`redix_types::table`]): 10 and 43 bits, so every cursor is below 2^53 and survives clients that
//! keep numbers as doubles. Positions keep their meaning whatever is inserted, removed, split or
//! merged between two calls, which gives the guarantee: a key that exists from the first call to
//! the last is returned at least once.
//!
//! **Invariants.** Shards are visited in ascending order; empty ones are skipped by their counts,
//! without a lock. Expired keys are never returned.

use redix_types::entry::EntryRef;
use redix_types::table::ORDER_BITS;

use super::{Access, Expiry};
use crate::keyspace::SHARDS;

/// Attempts of [`Access::random_key`]: each may fail if keys are removed concurrently, or are
/// expired but not to be deleted.
const RANDOM_TRIES: usize = 100;

/// Names of keys, in one allocation.
#[derive(Debug, Default)]
pub struct KeyList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyList {
    /// Appends a name.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

impl Access<'_> {
    /// Visits whole buckets from `cursor` on until about `count` keys (or as many buckets) have
    /// been visited, and appends the names that `wanted` accepts to `found`, except those of
    /// expired keys, which are deleted. Returns the next cursor, 0 at the end.
    pub fn scan(
        &mut self,
        cursor: u64,
        count: usize,
        mut wanted: impl FnMut(EntryRef<'_>) -> bool,
        found: &mut KeyList,
    ) -> u64 {
        let (db, now_ms) = (self.db, self.ended_by_ms());
        let mut shard = usize::try_from(cursor >> ORDER_BITS).unwrap_or(SHARDS);
        let mut from = cursor & ((1 << ORDER_BITS) - 1);
        let mut left = count;
        let mut expired = KeyList::default();
        while let Some(at) = self.next_shard(db, shard) {
            if at != shard {
                from = 0;
            }
            shard = at;
            if left == 0 {
                return (shard as u64) << ORDER_BITS | from;
            }
            let Some(part) = self.held.shard(shard).db(db) else { break };
            let mut visited = 0;
            let next = part.table.scan(from, left, |entry| {
                visited += 1;
                if wanted(entry) {
                    let gone = entry.expire_at_ms().is_some_and(|at| at <= now_ms);
                    (if gone { &mut expired } else { &mut *found }).push(entry.key());
                }
            });
            for key in std::mem::take(&mut expired).iter() {
                // The lookup deletes an expired key.
                self.exists(self.key(key));
            }
            if let Some(next) = next {
                return (shard as u64) << ORDER_BITS | next;
            }
            left = left.saturating_sub(visited.max(1));
            (shard, from) = (shard + 1, 0);
        }
        0
    }

    /// The Unix time in milliseconds at which keys have expired that are not to be shown.
    fn ended_by_ms(&self) -> i64 {
        if self.expiry == Expiry::Ignore { i64::MIN } else { self.now_ms }
    }

    /// The first shard from `from` on that has keys of a database.
    fn next_shard(&self, db: u32, from: usize) -> Option<usize> {
        (from..SHARDS).find(|&shard| self.keyspace.key_count_in(db, shard) > 0)
    }

    /// The names of all keys that have not expired and that `wanted` accepts.
    pub fn list_keys(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> KeyList {
        let (db, now_ms) = (self.db, self.ended_by_ms());
        let mut found = KeyList::default();
        let mut next = self.next_shard(db, 0);
        while let Some(shard) = next {
            if let Some(part) = self.held.shard(shard).db(db) {
                part.table.scan(0, usize::MAX, |entry| {
                    let expired = || entry.expire_at_ms().is_some_and(|at| at <= now_ms);
                    if wanted(entry.key()) && !expired() {
                        found.push(entry.key());
                    }
                });
            }
            next = self.next_shard(db, shard + 1);
        }
        found
    }

    /// The name of a random key that has not expired. Where expired keys are not deleted and no
    /// other is found, it is the name of an expired one.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let db = self.db;
        let mut hidden = None;
        for _ in 0..RANDOM_TRIES {
            let total = self.keyspace.key_count(db);
            if total == 0 {
                return None;
            }
            let mut place = self.random() % total;
            let shard = (0..SHARDS).find(|&shard| {
                let keys = u64::from(self.keyspace.key_count_in(db, shard));
                let here = place < keys;
                place = place.saturating_sub(keys);
                here
            });
            let random = self.random();
            let Some(part) = shard.and_then(|shard| self.held.shard(shard).db(db)) else {
                continue;
            };
            let Some(entry) = part.table.random(random) else { continue };
            let key = entry.key().to_vec();
            if self.exists(self.key(&key)) {
                return Some(key);
            }
            hidden = (self.expiry == Expiry::Hide).then_some(key);
        }
        hidden
    }
}
