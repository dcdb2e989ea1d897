//! Eviction: deleting keys while more memory is in use than `maxmemory` allows.
//!
//! A thread that finds the limit exceeded before a command evicts keys itself, one after another,
//! until there is room or its time is over ([`time_limit_ns`]); what is left is done before later
//! commands and between turns. The limit is that of the process: whichever thread exceeds it pays.
//!
//! Which key goes is an approximation, as in the real servers. A sample is some consecutive buckets
//! from a random position in a random shard: keys lie in the order of their keyed hashes, so any
//! stretch is a fair sample, and the items of a bucket are prefetched together. The best candidates
//! of all samples so far are kept in a [`Pool`] of each thread, and the best of them is evicted
//! unless it was used since. Under the `volatile-*` policies only keys with an expiry are looked
//! at, which the tables mark in their slots. A sample's place is chosen three evictions ahead, so
//! that its shard, then its bucket and then its items are in the cache when they are read.
//!
//! Worked example, `allkeys-lru` with five samples: a bucket with six keys idle for 3, 9, 1, 40, 2
//! and 7 seconds is visited; the pool holds one idle for 31 seconds from an earlier sample. The key
//! idle for 40 seconds is evicted, the others stay in the pool for the next eviction.
//!
//! **Invariants.** Each eviction is a unit of its own: one record in the log, never within a
//! client's transaction. A shard's lock is held for [`HOLD_BUCKETS`] buckets or one removal; large
//! values are freed without it, in the background. Bytes that wait to be freed count as free, so
//! that no key goes because another one's memory is still on its way.
//!
//! Source: Redis 7.0 and Valkey 9.1, the documentation of `maxmemory-policy`,
//! `maxmemory-samples`, `maxmemory-eviction-tenacity`.

use std::collections::{BTreeMap, VecDeque};

use redix_types::entry::EntryRef;

use crate::config::MaxmemoryPolicy;
use crate::keyspace::access::{Access, LRU_MASK, lfu_decay};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, Padded, lock};

/// Candidates kept for later evictions.
const POOL_MAX: usize = 16;
/// The longest key whose memory is kept for other candidates.
const KEPT_KEY_MAX: usize = 255;
/// Buckets looked at under one hold of a shard's lock.
pub(crate) const HOLD_BUCKETS: usize = 64;
/// Evictions after which a thread looks again which databases have keys.
const RECOUNT: u32 = 4096;

/// What came of an attempt to get below `maxmemory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is room, or the limit does not apply now.
    Enough,
    /// Not yet: the time was over.
    Soon,
    /// None can be made.
    Lacking,
}

/// A key that may be evicted.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    /// The greater, the sooner it goes.
    pub score: u64,
    /// Its database.
    pub db: u32,
    /// Its name.
    pub key: Vec<u8>,
}

/// Where a sample begins: a position in one shard of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The database.
    pub db: u32,
    /// The shard, `0..SHARDS`.
    pub shard: usize,
    /// The position in hash order.
    pub from: u64,
}

/// The best candidates that one thread has seen.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By score, ascending.
    candidates: Vec<Candidate>,
    /// Those that are not in use.
    spare: Vec<Candidate>,
    /// The database that they are in, if it is to be one.
    pub only: Option<u32>,
    /// The policy by which they were scored.
    policy: Option<MaxmemoryPolicy>,
    /// The databases that had keys when they were last counted.
    dbs: Vec<u32>,
    until_recount: u32,
    /// Where the next samples begin, whose memory is being prefetched.
    pub ahead: VecDeque<Place>,
    /// Keys to be sampled; negative after a bucket with more than were wanted.
    pub due: i64,
    /// The turn of the databases, where one key is chosen at random.
    pub next_db: usize,
}

impl Pool {
    /// Forgets candidates scored by another policy.
    pub(crate) fn follow(&mut self, policy: MaxmemoryPolicy) {
        if self.policy != Some(policy) {
            self.policy = Some(policy);
            self.spare.append(&mut self.candidates);
            self.ahead.clear();
            self.due = 0;
            self.until_recount = 0;
        }
    }

    /// Adds a key, unless all that are kept are better. Of equal ones the older goes first.
    pub(crate) fn offer(&mut self, score: u64, db: u32, key: &[u8]) {
        let mut at = self.candidates.partition_point(|other| other.score < score);
        if self.candidates.len() == POOL_MAX {
            if at == 0 {
                return;
            }
            let worst = self.candidates.remove(0);
            self.spare.push(worst);
            at -= 1;
        }
        let mut candidate = self.spare.pop().unwrap_or_default();
        (candidate.score, candidate.db) = (score, db);
        candidate.key.clear();
        candidate.key.extend_from_slice(key);
        self.candidates.insert(at, candidate);
    }

    /// Whether there are any candidates.
    pub(crate) fn has_candidates(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// Takes the best one; to be given back.
    pub(crate) fn take_best(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// Takes back the memory of a candidate.
    pub(crate) fn give_back(&mut self, candidate: Candidate) {
        if candidate.key.capacity() <= KEPT_KEY_MAX && self.spare.len() < POOL_MAX {
            self.spare.push(candidate);
        }
    }

    /// The databases with keys, as `count` tells. They are counted anew after some evictions.
    pub(crate) fn databases(&mut self, count: impl FnOnce(&mut Vec<u32>)) -> &[u32] {
        if self.until_recount == 0 {
            self.recount(count);
        }
        self.until_recount -= 1;
        &self.dbs
    }

    /// One of these databases.
    pub(crate) fn database(&self, at: usize) -> u32 {
        self.dbs[at]
    }

    /// Counts the databases with keys anew.
    pub(crate) fn recount(&mut self, count: impl FnOnce(&mut Vec<u32>)) {
        self.until_recount = RECOUNT;
        self.dbs.clear();
        count(&mut self.dbs);
    }
}

/// Candidates by database.
pub(crate) type DbPools = BTreeMap<u32, Pool>;

/// What has happened because the limit of a database was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DbCounts {
    /// Keys evicted.
    pub evicted: u64,
    /// Commands refused.
    pub refused: u64,
    /// When the audit log tells of the next one, in milliseconds of Unix time.
    record_from_ms: i64,
}

/// The state of eviction that all threads share.
pub struct Eviction {
    pools: Box<[Padded<Mutex<Pool>>]>,
    /// Candidates in databases with limits of their own, for each thread.
    db_pools: Box<[Padded<Mutex<DbPools>>]>,
    db_counts: Mutex<BTreeMap<u32, DbCounts>>,
    /// Eviction goes on between turns.
    wanted: AtomicBool,
    /// The same within databases that have limits of their own.
    wanted_in_databases: AtomicBool,
    /// When the limit was first found exceeded without a remedy, by the monotonic clock; 0: it is
    /// not.
    exceeded_since_ns: AtomicU64,
    exceeded_ns: AtomicU64,
    /// Bytes of messages about evicted keys that have not been sent yet.
    told_bytes: AtomicU64,
}

impl Eviction {
    /// For so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            pools: (0..threads).map(|_| Padded(Mutex::new(Pool::default()))).collect(),
            db_pools: (0..threads).map(|_| Padded::default()).collect(),
            db_counts: Mutex::default(),
            wanted: AtomicBool::new(false),
            wanted_in_databases: AtomicBool::new(false),
            exceeded_since_ns: AtomicU64::new(0),
            exceeded_ns: AtomicU64::new(0),
            told_bytes: AtomicU64::new(0),
        }
    }

    /// Counts a message about an evicted key until it is sent. Returns its size.
    pub(crate) fn tell(&self, bytes: u64) -> u64 {
        self.told_bytes.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }

    /// Counts messages as sent.
    pub(crate) fn end_telling(&self, bytes: u64) {
        if bytes != 0 {
            self.told_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes of messages about evicted keys that have not been sent yet.
    #[inline]
    pub(crate) fn told_bytes(&self) -> u64 {
        self.told_bytes.load(Ordering::Relaxed)
    }

    /// A thread's candidates.
    pub(crate) fn pool(&self, thread: usize) -> MutexGuard<'_, Pool> {
        lock(&self.pools[thread].0)
    }

    /// A thread's candidates in databases that have limits of their own.
    pub(crate) fn db_pools(&self, thread: usize) -> MutexGuard<'_, DbPools> {
        lock(&self.db_pools[thread].0)
    }

    /// Counts a key that has gone because the limit of its database was exceeded.
    pub(crate) fn note_evicted(&self, db: u32) {
        lock(&self.db_counts).entry(db).or_default().evicted += 1;
    }

    /// Counts a command that was refused because the limit of a database was exceeded.
    pub(crate) fn note_refused(&self, db: u32) {
        lock(&self.db_counts).entry(db).or_default().refused += 1;
    }

    /// Sets from when on the audit log tells of a refusal again, if `next` says that it does now.
    pub(crate) fn put_record_off(&self, db: u32, next: impl Fn(i64) -> Option<i64>) -> bool {
        let mut counts = lock(&self.db_counts);
        let from_ms = &mut counts.entry(db).or_default().record_from_ms;
        let later = next(*from_ms);
        *from_ms = later.unwrap_or(*from_ms);
        later.is_some()
    }

    /// What has happened because the limit of a database was exceeded.
    pub fn db_counts(&self, db: u32) -> DbCounts {
        lock(&self.db_counts).get(&db).copied().unwrap_or_default()
    }

    /// Whether workers are to go on evicting between turns.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) || self.is_wanted_in_databases()
    }

    /// The same within databases that have limits of their own.
    #[inline]
    pub(crate) fn is_wanted_in_databases(&self) -> bool {
        self.wanted_in_databases.load(Ordering::Relaxed)
    }

    /// Has workers go on evicting in such databases, or not.
    pub(crate) fn want_in_databases(&self, wanted: bool) {
        if self.is_wanted_in_databases() != wanted {
            self.wanted_in_databases.store(wanted, Ordering::Relaxed);
        }
    }

    /// Has workers go on evicting, or not.
    pub(crate) fn want(&self, wanted: bool) {
        if self.wanted.load(Ordering::Relaxed) != wanted {
            self.wanted.store(wanted, Ordering::Relaxed);
        }
    }

    /// Whether the limit is exceeded as far as is known.
    #[inline]
    pub(crate) fn is_exceeded(&self) -> bool {
        self.exceeded_since_ns.load(Ordering::Relaxed) != 0
    }

    /// Counts the time during which the limit is exceeded.
    pub(crate) fn note(&self, room: Room, now_ns: u64) {
        if room != Room::Enough {
            if !self.is_exceeded() {
                self.exceeded_since_ns.store(now_ns.max(1), Ordering::Relaxed);
            }
        } else if self.is_exceeded() {
            let since_ns = self.exceeded_since_ns.swap(0, Ordering::Relaxed);
            if since_ns != 0 {
                let ns = now_ns.saturating_sub(since_ns);
                self.exceeded_ns.fetch_add(ns, Ordering::Relaxed);
            }
        }
    }

    /// Nanoseconds during which the limit was exceeded since the start, and since it last was.
    pub fn exceeded_ns(&self, now_ns: u64) -> (u64, u64) {
        let since_ns = self.exceeded_since_ns.load(Ordering::Relaxed);
        let current = if since_ns == 0 { 0 } else { now_ns.saturating_sub(since_ns) };
        (self.exceeded_ns.load(Ordering::Relaxed) + current, current)
    }

    /// Counts from 0 again (CONFIG RESETSTAT).
    pub fn reset(&self) {
        lock(&self.db_counts).clear();
        self.exceeded_ns.store(0, Ordering::Relaxed);
        self.exceeded_since_ns.store(0, Ordering::Relaxed);
    }
}

/// How long one attempt may last at most, in nanoseconds: up to half a millisecond in steps of a
/// twentieth at a `tenacity` of up to 10, then by 15 % more for each, without limit at 100. Source:
/// `maxmemory-eviction-tenacity` in `valkey.conf`.
pub(crate) fn time_limit_ns(tenacity: u32) -> u64 {
    const STEP_NS: u64 = 50_000;
    match tenacity {
        0..=10 => STEP_NS * u64::from(tenacity),
        11..=99 => ((10 * STEP_NS) as f64 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

/// How soon an entry goes under a policy: the greater, the sooner. `None` if it may not.
pub(crate) fn score(policy: MaxmemoryPolicy, entry: EntryRef<'_>, keys: &Scale) -> Option<u64> {
    let expire_at_ms = entry.expire_at_ms();
    if policy.is_volatile() && expire_at_ms.is_none() {
        return None;
    }
    Some(match policy {
        MaxmemoryPolicy::VolatileTtl => u64::MAX - expire_at_ms?.max(0) as u64,
        policy if policy.is_lfu() => {
            255 - u64::from(lfu_decay(entry.lru(), keys.now_ms, keys.lfu_decay_minutes))
        }
        _ => u64::from(keys.lru_clock.wrapping_sub(entry.lru()) & LRU_MASK),
    })
}

/// By what entries are scored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    now_ms: i64,
    lru_clock: u32,
    lfu_decay_minutes: u32,
}

impl Scale {
    /// As of now.
    pub(crate) fn of(keys: &Access<'_>) -> Self {
        Self {
            now_ms: keys.now_ms,
            lru_clock: keys.lru_clock(),
            lfu_decay_minutes: keys.ageing.lfu_decay_minutes,
        }
    }
}

#[cfg(test)]
mod tests;
