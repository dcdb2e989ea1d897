//! Evicting keys before a command, as long as more memory is in use than `maxmemory` allows; see
//! [`crate::eviction`].
//!
//! **Invariants.** No unit is under way, and no lock is held between two evictions. The client
//! whose command makes room is told of the keys that it has cached before its reply.

use redix_resp::reply::Reply;
use redix_types::entry::EntryRef;
use redix_types::table::{ORDER_BITS, Wanted};

use super::Runner;
use super::invalidate::Author;
use crate::config::{DbLimit, MaxmemoryPolicy};
use crate::effects::class;
use crate::engine::{Headroom, slack};
use crate::eviction::{Candidate, HOLD_BUCKETS, Place, Pool, Room, Scale, score, time_limit_ns};
use crate::keyspace::SHARDS;
use crate::keyspace::access::Shortage;
use crate::keyspace::shard::Entries;
use crate::latency::event;
use crate::registry::ClientShared;
use crate::session::Session;
use crate::sync::atomic::Ordering;

/// Evictions after which the time is looked at.
const TIMED: u32 = 16;
/// Attempts to find a key that is still there and was not used since it was sampled.
const TRIES: usize = 8;
/// Places of later samples that are known: of one the keys are being fetched into the cache, of the
/// next one the bucket, of the last one the shard.
const PLACES_AHEAD: usize = 3;
/// Entries freed at a time where memory that is about to be freed is waited for.
const FREE_PER_STEP: usize = 256;

/// Whose limit is exceeded.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// `maxmemory`.
    Server,
    /// That of a database.
    Database(DbLimit),
}

impl Runner<'_> {
    /// Makes room before a client's command if need be, and notes whether that was in vain. The
    /// client receives what it has to be told at once. Nothing is done before a limit is exceeded;
    /// `early`: or nearly.
    #[inline(always)]
    pub(super) fn look_at_memory(
        &mut self,
        shared: &ClientShared,
        session: &mut Session,
        reply: &mut Reply,
        early: Headroom,
    ) {
        if self.config.has_memory_limits() || self.engine.acl.limits_memory() {
            self.keys.shortage = self.find_shortage(shared, session, early);
            if !session.pushes.is_empty() {
                reply.raw(&std::mem::take(&mut session.pushes));
            }
        } else {
            // The last limit may have been removed within the turn.
            self.forget_shortage();
        }
    }

    /// Forgets what limits left.
    #[inline]
    pub(super) fn forget_shortage(&mut self) {
        let keys = &mut self.keys;
        (keys.shortage, keys.admitted, keys.user_room) = (Shortage::None, None, u64::MAX);
        keys.refused_in = None;
    }

    fn find_shortage(
        &mut self,
        shared: &ClientShared,
        session: &mut Session,
        early: Headroom,
    ) -> Shortage {
        self.forget_shortage();
        // A command to be queued runs where a SELECT before it leads.
        let db = session.multi.as_ref().and_then(|multi| multi.db).unwrap_or(session.db);
        let limit = self.config.db_maxmemory.of(db).copied();
        if let Some(limit) = limit
            && self.lacks_in_database(&limit, Author::Ahead(shared, session), early)
        {
            return Shortage::Database;
        }
        self.keys.admitted = limit.map(|limit| (db, self.engine.keyspace.ledger().bytes(limit.db)));
        if let Some((limit, used)) = self.engine.user_memory(session) {
            self.keys.user_room = slack(limit).saturating_sub(used);
            if used > limit {
                return Shortage::User;
            }
        }
        let lacks =
            self.config.maxmemory != 0 && self.lacks_memory(Author::Ahead(shared, session), early);
        if lacks { Shortage::Server } else { Shortage::None }
    }

    /// The same before a command of a primary, where this server does not leave eviction to it.
    #[inline]
    pub(super) fn look_at_memory_of_replica(&mut self) {
        if self.config.maxmemory != 0 && !self.config.replica_ignore_maxmemory {
            self.lacks_memory(Author::Nobody, Headroom::None);
        }
    }

    /// Goes on evicting between turns, until there is room.
    pub(crate) fn evict_between_turns(&mut self) {
        if self.config.maxmemory != 0 {
            self.lacks_memory(Author::Nobody, Headroom::None);
        } else {
            self.engine.eviction.want(false);
        }
        if self.engine.eviction.is_wanted_in_databases() {
            self.engine.eviction.want_in_databases(false);
            let limits: Vec<DbLimit> = self.config.db_maxmemory.iter().copied().collect();
            for limit in limits {
                self.lacks_in_database(&limit, Author::Nobody, Headroom::None);
            }
        }
    }

    /// Makes room in a database if need be; whether that was in vain.
    #[inline]
    fn lacks_in_database(&mut self, limit: &DbLimit, author: Author<'_>, early: Headroom) -> bool {
        if !self.engine.exceeds_limit(limit, early) {
            return false;
        }
        let room = self.make_room(Bound::Database(*limit), author);
        if room == Room::Soon {
            self.engine.eviction.want_in_databases(true);
        }
        room == Room::Lacking
    }

    /// Makes room if need be; whether that was in vain.
    #[inline(never)]
    fn lacks_memory(&mut self, author: Author<'_>, early: Headroom) -> bool {
        let eviction = &self.engine.eviction;
        let room = if self.engine.exceeds_memory(&self.config, early) {
            self.make_room(Bound::Server, author)
        } else {
            Room::Enough
        };
        if room != Room::Enough || eviction.is_exceeded() {
            eviction.note(room, self.engine.env.clock.mono_ns());
        }
        eviction.want(room == Room::Soon);
        room == Room::Lacking
    }

    /// Whether `maxmemory` applies now. A pause promises that the data does not change.
    fn is_limited(&self) -> bool {
        let engine = self.engine;
        let is_left_to_primary = self.config.replica_ignore_maxmemory && engine.repl.is_replica();
        self.has_gate()
            && !is_left_to_primary
            && !engine.loading.load(Ordering::Relaxed)
            && !engine.pause.any(self.keys.now_ms)
    }

    /// Whether more is in use than a limit leaves with so much kept free.
    fn exceeds(&self, bound: Bound, headroom: Headroom) -> bool {
        match bound {
            Bound::Server => self.engine.exceeds_memory(&self.config, headroom),
            Bound::Database(limit) => self.engine.exceeds_limit(&limit, headroom),
        }
    }

    #[cold]
    fn make_room(&mut self, bound: Bound, mut author: Author<'_>) -> Room {
        let engine = self.engine;
        if !self.is_limited() {
            return Room::Enough;
        }
        let policy = match bound {
            Bound::Server => {
                // Clients first: what they use may be what is too much.
                engine.evict_clients(self.thread);
                self.config.maxmemory_policy
            }
            Bound::Database(limit) => self.config.policy_of(&limit),
        };
        let imports = self.config.import_mode && !engine.repl.is_replica();
        if policy == MaxmemoryPolicy::NoEviction || imports {
            return self.judge(bound);
        }
        self.end_stretch();
        let started_ns = engine.env.clock.mono_ns();
        self.advance_to(started_ns);
        self.keys.held.release();
        let limit_ns = time_limit_ns(self.config.maxmemory_eviction_tenacity);
        let is_late = || engine.env.clock.mono_ns().saturating_sub(started_ns) > limit_ns;
        let room = match bound {
            Bound::Server => {
                let mut pool = engine.eviction.pool(self.thread);
                pool.follow(policy);
                self.evict_for(bound, &mut pool, policy, &mut author, is_late)
            }
            Bound::Database(limit) => {
                let mut pools = engine.eviction.db_pools(self.thread);
                let pool = pools.entry(limit.db).or_default();
                pool.only = Some(limit.db);
                pool.follow(policy);
                self.evict_for(bound, pool, policy, &mut author, is_late)
            }
        };
        let ended_ns = engine.env.clock.mono_ns();
        let threshold_ms = self.config.latency_monitor_threshold;
        let spent_ns = ended_ns.saturating_sub(started_ns);
        engine.latency.note(threshold_ms, event::EVICTION_CYCLE, spent_ns, self.now_us);
        self.advance_to(ended_ns);
        room
    }

    /// Evicts keys until there is room.
    fn evict_for(
        &mut self,
        bound: Bound,
        pool: &mut Pool,
        policy: MaxmemoryPolicy,
        author: &mut Author<'_>,
        is_late: impl Fn() -> bool,
    ) -> Room {
        // Whom an eviction is told to costs memory too, which is no reason to evict more.
        let mut excess = match bound {
            Bound::Server => self.engine.memory_excess(&self.config),
            Bound::Database(_) => u64::MAX,
        };
        let mut evicted = 0u32;
        loop {
            if excess == 0 || !self.exceeds(bound, Headroom::Whole) {
                return Room::Enough;
            }
            let Some(freed) = self.evict_one(pool, policy, author) else {
                return match bound {
                    Bound::Server => self.free_pending(is_late),
                    // What waits to be freed is not counted.
                    Bound::Database(_) => self.judge(bound),
                };
            };
            excess = excess.saturating_sub(freed);
            evicted += 1;
            if evicted.is_multiple_of(TIMED) && is_late() {
                return Room::Soon;
            }
        }
    }

    /// Whether there is room, apart from what is kept free for the next commands.
    fn judge(&self, bound: Bound) -> Room {
        if self.exceeds(bound, Headroom::None) { Room::Lacking } else { Room::Enough }
    }

    /// Where nothing can be evicted: frees what waits to be freed.
    fn free_pending(&self, is_late: impl Fn() -> bool) -> Room {
        let list = self.engine.keyspace.free_list();
        while self.judge(Bound::Server) == Room::Lacking {
            let freed = list.step(FREE_PER_STEP);
            if freed == 0 {
                break;
            }
            self.stats.cell.lazyfreed_objects.add(freed);
            if is_late() {
                return Room::Soon;
            }
        }
        self.judge(Bound::Server)
    }

    /// Evicts one key. Returns its size in bytes; `None` if there is no key.
    fn evict_one(
        &mut self,
        pool: &mut Pool,
        policy: MaxmemoryPolicy,
        author: &mut Author<'_>,
    ) -> Option<u64> {
        let threshold_ms = self.config.latency_monitor_threshold;
        for _ in 0..TRIES {
            if !self.sample(pool, policy) {
                return None;
            }
            while let Some(candidate) = pool.take_best() {
                debug_assert!(pool.only.is_none_or(|db| db == candidate.db));
                let started_ns = if threshold_ms == 0 { 0 } else { self.mono_ns() };
                let gone = self.evict(policy, &candidate, author);
                pool.give_back(candidate);
                if gone.is_some() {
                    if let Some(db) = pool.only {
                        self.engine.eviction.note_evicted(db);
                    }
                    if threshold_ms != 0 {
                        let ns = self.mono_ns().saturating_sub(started_ns);
                        let latency = &self.engine.latency;
                        latency.note(threshold_ms, event::EVICTION_DEL, ns, self.now_us);
                    }
                    return gone;
                }
            }
        }
        None
    }

    fn mono_ns(&self) -> u64 {
        self.engine.env.clock.mono_ns()
    }

    /// Adds a sample of keys to the pool; false if there are no keys that may be evicted.
    fn sample(&mut self, pool: &mut Pool, policy: MaxmemoryPolicy) -> bool {
        if self.sample_known(pool, policy) {
            return true;
        }
        let only = pool.only;
        pool.recount(|dbs| list_databases(self.keys.keyspace, only, policy, dbs));
        self.sample_known(pool, policy)
    }

    /// The same, of the databases that had keys when they were last counted.
    fn sample_known(&mut self, pool: &mut Pool, policy: MaxmemoryPolicy) -> bool {
        let keyspace = self.keys.keyspace;
        let only = pool.only;
        let count = pool.databases(|dbs| list_databases(keyspace, only, policy, dbs)).len();
        if count == 0 {
            return false;
        }
        if policy.is_random() {
            let mut found = false;
            for _ in 0..count {
                pool.next_db = pool.next_db.wrapping_add(1);
                let db = pool.database(pool.next_db % count);
                found = self.sample_random(pool, policy, db);
                if found {
                    break;
                }
            }
            return found;
        }
        let samples = i64::from(self.config.maxmemory_samples);
        let mut found = 0;
        for at in 0..count {
            let db = pool.database(at);
            pool.due = (pool.due + samples).min(samples);
            for _ in 0..samples {
                if pool.due <= 0 {
                    break;
                }
                let visited = self.sample_at_once(pool, policy, db);
                if visited == 0 {
                    break;
                }
                pool.due -= visited as i64;
                found += visited;
            }
        }
        found > 0 || pool.has_candidates()
    }

    /// Adds the keys of one bucket of a database to the pool, or of more if there are none in it;
    /// chooses the place of a later sample, and prefetches. Returns how many keys it has seen.
    fn sample_at_once(&mut self, pool: &mut Pool, policy: MaxmemoryPolicy, db: u32) -> usize {
        let place = pool.ahead.pop_front().filter(|place| place.db == db);
        let place = place.unwrap_or_else(|| self.random_place(db));
        let scale = Scale::of(&self.keys);
        let found = self.visit(place, wanted(policy), |entry| {
            if let Some(score) = score(policy, entry, &scale) {
                pool.offer(score, db, entry.key());
            }
        });
        if let Some(place) = pool.ahead.front() {
            self.at(*place, |table| table.prefetch_items_at(place.from));
        }
        if let Some(place) = pool.ahead.get(1) {
            self.at(*place, |table| table.prefetch_bucket_at(place.from));
        }
        while pool.ahead.len() < PLACES_AHEAD {
            let place = self.random_place(db);
            self.keys.keyspace.prefetch_shard(place.shard);
            pool.ahead.push_back(place);
        }
        found
    }

    /// Calls `f` with the table of a place, if there is one, under its lock.
    fn at(&mut self, place: Place, f: impl FnOnce(&Entries)) {
        self.keys.held.allow_walk();
        if let Some(part) = self.keys.held.shard(place.shard).db(place.db) {
            f(&part.table);
        }
        self.keys.held.release();
    }

    fn random_place(&mut self, db: u32) -> Place {
        let random = self.keys.random();
        Place { db, shard: random as usize % SHARDS, from: random >> (64 - ORDER_BITS) }
    }

    /// Makes a key of a database that is chosen at random the only candidate.
    fn sample_random(&mut self, pool: &mut Pool, policy: MaxmemoryPolicy, db: u32) -> bool {
        // Of the keys visited, each is as likely.
        let mut seen = 0;
        let mut random = self.keys.random();
        while let Some(old) = pool.take_best() {
            pool.give_back(old);
        }
        let place = self.random_place(db);
        self.visit(place, wanted(policy), |entry| {
            seen += 1;
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            if (random >> 33).is_multiple_of(seen) {
                if let Some(old) = pool.take_best() {
                    pool.give_back(old);
                }
                pool.offer(0, db, entry.key());
            }
        });
        seen > 0
    }

    /// Visits the keys of the bucket at a place or, if none of them is wanted, of the next one that
    /// has such keys, in this shard or another. Returns how many.
    fn visit(&mut self, place: Place, wanted: Wanted, mut f: impl FnMut(EntryRef<'_>)) -> usize {
        let Place { db, shard: first, from } = place;
        let keyspace = self.keys.keyspace;
        let mut from = Some(from);
        // The first shard once more, for what precedes the random place.
        for index in (first..first + SHARDS + 1).map(|index| index % SHARDS) {
            let count = match wanted {
                Wanted::All => keyspace.key_count_in(db, index),
                Wanted::Marked => keyspace.expire_count_in(db, index),
            };
            let mut next = if count > 0 { from } else { None };
            while let Some(at) = next {
                self.keys.held.allow_walk();
                let mut visited = 0;
                next = self.keys.sample((db, index), at, wanted, (1, HOLD_BUCKETS), |entry| {
                    visited += 1;
                    f(entry);
                });
                self.keys.held.release();
                if visited > 0 {
                    return visited;
                }
            }
            from = Some(0);
        }
        0
    }

    /// Evicts a candidate, as a unit, and returns its size in bytes; `None` if it is gone, or was
    /// used since.
    fn evict(
        &mut self,
        policy: MaxmemoryPolicy,
        candidate: &Candidate,
        author: &mut Author<'_>,
    ) -> Option<u64> {
        let Candidate { score: scored, db, key } = candidate;
        let scale = Scale::of(&self.keys);
        let key = self.keys.key(key);
        self.keys.held.lock_one(key.shard());
        let entry = self.keys.entry_at(*db, key);
        let now = entry.and_then(|entry| score(policy, entry, &scale));
        if now.is_none_or(|now| now < *scored && !policy.is_random()) {
            self.keys.held.release();
            return None;
        }
        let logs = self.engine.repl.recording() && !self.engine.repl.is_replica();
        self.keys.effects.begin(logs, self.config.event_classes());
        let entry = self.keys.evict(*db, key)?;
        let lazy = self.config.lazyfree_lazy_eviction;
        let log_as: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        self.keys.effects.log_also(*db, &[log_as, key.bytes]);
        self.keys.effects.notify(class::EVICTED, "evicted", *db, key.bytes);
        self.stats.cell.evicted_keys.bump();
        self.finish_unit(false, author.again());
        if self.keys.has_ready() {
            self.serve_ready();
        }
        self.keys.held.release();
        let bytes = entry.as_ref().memory_usage();
        let value = entry.into_heap();
        if lazy {
            self.keys.bury(value);
        }
        Some(bytes as u64)
    }
}

fn wanted(policy: MaxmemoryPolicy) -> Wanted {
    if policy.is_volatile() { Wanted::Marked } else { Wanted::All }
}

/// The databases with keys that may be evicted; `only`: of one.
fn list_databases(
    keyspace: &crate::keyspace::Keyspace,
    only: Option<u32>,
    policy: MaxmemoryPolicy,
    dbs: &mut Vec<u32>,
) {
    let all = only.map_or(0..keyspace.databases(), |db| db..db + 1);
    dbs.extend(all.filter(|&db| match wanted(policy) {
        Wanted::All => keyspace.key_count(db) > 0,
        Wanted::Marked => keyspace.expire_count(db) > 0,
    }));
}
