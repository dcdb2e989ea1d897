//! The keyspace: 1024 shards, each behind its own lock, shared by all workers.
//!
//! A key's shard is the top ten bits of its keyed hash; a shard holds that part of every numbered
//! database, so that MOVE, COPY … DB and SWAPDB stay inside it. Counts per (database, shard) are
//! outside the locks, so that DBSIZE takes none.
//!
//! **Invariants.** Locks are taken in ascending shard index, by a thread that holds a gate or the
//! world ([`gate`]). Nothing waits, logs or allocates without bound under a lock.

pub mod access;
pub mod account;
pub mod cached;
pub mod fence;
pub mod flush;
pub mod gate;
pub mod shard;
#[cfg(debug_assertions)]
pub mod trace;
pub mod waiters;

use redix_types::table::KeyHasher;

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Padded, SpinMutex, spin, try_spin};
use account::Ledger;
use cached::CachedTotals;
use fence::Fence;
use flush::FreeList;
use gate::Gates;
use shard::{DbShard, Shard, ShardGuard};

/// The number of shards.
pub const SHARDS: usize = 1024;
const SHARD_SHIFT: u32 = 64 - SHARDS.trailing_zeros();

/// A key with its hash, computed once per command.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its keyed hash.
    pub hash: u64,
}

impl Key<'_> {
    /// The shard that the key belongs to, `0..SHARDS`.
    #[inline]
    pub fn shard(&self) -> usize {
        shard_of(self.hash)
    }
}

/// The shard of a hash, `0..SHARDS`.
#[inline]
pub fn shard_of(hash: u64) -> usize {
    (hash >> SHARD_SHIFT) as usize
}

/// Keys, keys with an expiry, and hashes with fields that have one, of one (database, shard).
#[derive(Default)]
struct Counts {
    keys: AtomicU32,
    expires: AtomicU32,
    nested: AtomicU32,
}

/// All shards of all databases.
pub struct Keyspace {
    shards: Box<[Padded<SpinMutex<Shard>>]>,
    counts: Box<[Counts]>,
    databases: u32,
    hasher: KeyHasher,
    gates: Gates,
    free_list: FreeList,
    cached: CachedTotals,
    fence: Fence,
    ledger: Ledger,
}

impl Keyspace {
    /// An empty keyspace of `databases` databases, with gates for `threads` threads.
    pub fn new(databases: u32, threads: usize, hash_key: [u8; 16]) -> Self {
        let cells = SHARDS * databases as usize;
        Self {
            shards: (0..SHARDS).map(|_| Padded(SpinMutex::new(Shard::new()))).collect(),
            counts: (0..cells).map(|_| Counts::default()).collect(),
            databases,
            hasher: KeyHasher::new(hash_key),
            gates: Gates::new(threads),
            free_list: FreeList::default(),
            cached: CachedTotals::default(),
            fence: Fence::default(),
            ledger: Ledger::default(),
        }
    }

    /// An empty keyspace with the same hash key, whose tables can later replace this one's.
    pub fn beside(&self) -> Self {
        let cells = SHARDS * self.databases as usize;
        let new = Self {
            shards: (0..SHARDS).map(|_| Padded(SpinMutex::new(Shard::new()))).collect(),
            counts: (0..cells).map(|_| Counts::default()).collect(),
            databases: self.databases,
            hasher: self.hasher,
            gates: Gates::new(0),
            free_list: FreeList::default(),
            cached: CachedTotals::default(),
            fence: Fence::default(),
            ledger: Ledger::default(),
        };
        if self.ledger.is_on() {
            new.begin_accounts(1);
        }
        new
    }

    /// The number of databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// The keyed hash function.
    #[inline]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// The gates.
    #[inline]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Tables waiting to be freed.
    pub fn free_list(&self) -> &FreeList {
        &self.free_list
    }

    /// Of the keys that clients may have cached.
    #[inline]
    pub fn cached(&self) -> &CachedTotals {
        &self.cached
    }

    /// The bytes of each database, where they are counted.
    #[inline]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The fencing tokens of locks.
    #[inline]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Takes a shard's lock. The caller holds a gate or the world, and no lock of a higher index.
    #[inline]
    pub fn lock(&self, shard: usize) -> ShardGuard<'_> {
        ShardGuard::new(spin(&self.shards[shard].0))
    }

    /// Takes a shard's lock if nobody holds it. The caller holds a gate or the world.
    #[inline]
    pub fn try_lock(&self, shard: usize) -> Option<ShardGuard<'_>> {
        try_spin(&self.shards[shard].0).map(ShardGuard::new)
    }

    /// Prefetches a shard's lock and table headers.
    #[inline]
    pub fn prefetch_shard(&self, shard: usize) {
        redix_types::prefetch::prefetch(&raw const self.shards[shard]);
    }

    fn counts(&self, db: u32, shard: usize) -> &Counts {
        &self.counts[db as usize * SHARDS + shard]
    }

    /// Publishes the counts of a table after it has changed; called under its shard's lock by a
    /// thread, which writes to its own row of the ledger.
    #[inline]
    pub fn publish_counts(&self, thread: usize, (db, shard): (u32, usize), part: &mut DbShard) {
        if part.is_accounted() {
            part.publish_bytes(&self.ledger, thread, db);
        }
        let (table, counts) = (&part.table, self.counts(db, shard));
        counts.keys.store(table.len() as u32, Ordering::Relaxed);
        counts.expires.store(table.marked_len() as u32, Ordering::Relaxed);
        counts.nested.store(table.nested_len() as u32, Ordering::Relaxed);
    }

    /// The number of keys in a database.
    pub fn key_count(&self, db: u32) -> u64 {
        (0..SHARDS)
            .map(|shard| u64::from(self.counts(db, shard).keys.load(Ordering::Relaxed)))
            .sum()
    }

    /// The number of keys with an expiry in a database.
    pub fn expire_count(&self, db: u32) -> u64 {
        (0..SHARDS)
            .map(|shard| u64::from(self.counts(db, shard).expires.load(Ordering::Relaxed)))
            .sum()
    }

    /// The number of keys with an expiry in one shard of a database.
    pub fn expire_count_in(&self, db: u32, shard: usize) -> u32 {
        self.counts(db, shard).expires.load(Ordering::Relaxed)
    }

    /// The number of hashes in a database with fields that have an expiry.
    pub fn nested_count(&self, db: u32) -> u64 {
        (0..SHARDS).map(|shard| u64::from(self.nested_count_in(db, shard))).sum()
    }

    /// The number of hashes in one shard of a database with fields that have an expiry.
    pub fn nested_count_in(&self, db: u32, shard: usize) -> u32 {
        self.counts(db, shard).nested.load(Ordering::Relaxed)
    }

    /// The number of keys in one shard of a database.
    pub fn key_count_in(&self, db: u32, shard: usize) -> u32 {
        self.counts(db, shard).keys.load(Ordering::Relaxed)
    }
}
