//! The expiry sweep: active deletion of expired keys that are not accessed, and of expired fields
//! of hashes.
//!
//! Each worker sweeps its share of the shards (`shard % workers == worker`), table by table in hash
//! order, a few buckets at a time. Since keys lie in the order of their hashes, any stretch of a
//! table is a fair sample, so the share of expired keys in it estimates how many there are. That
//! sets the pace:
//!
//! - as long as more than `10 - (active-expire-effort - 1)` percent had expired, slices of
//!   [`SLICE_NS`] alternate with pauses three times as long: a quarter of a core;
//! - otherwise one slice every [`REST_NS`], just long enough for a full round in [`ROUND_STEPS`]
//!   steps, divided by the effort: each key with an expiry is checked about once a minute, within
//!   half a percent of a core.
//!
//! A hash with expired fields is found in the same stretch as expired keys, by its earliest expiry;
//! then its fields are removed, [`FIELDS_PER_HOLD`] under one hold. Each counts as an expired key.
//!
//! Rejected: random sampling as in Redis, which reads entries at random addresses and never knows
//! when it has seen all.
//!
//! **Invariants.** A shard's lock is held for [`BUCKETS_PER_HOLD`] buckets at most, some 40 keys,
//! less than 20 µs, or [`FIELDS_PER_HOLD`] fields of one hash; values are freed without it. The
//! gate is released whenever another thread wants the world. A (database, shard) without expiries
//! costs one load of its count and no lock.
//!
//! Source: the terms of `active-expire-effort` and the fields `expired_stale_perc` and
//! `expired_time_cap_reached_count` of Redis 7.0's INFO.

use crate::command::dispatch::Runner;
use crate::engine::Engine;
use crate::keyspace::SHARDS;
use crate::keyspace::access::Found;
use crate::latency::event;
use crate::repl::writable_expiry::ExpiringKey;
use crate::sync::atomic::Ordering;

/// The longest sweep of one step.
pub const SLICE_NS: u64 = 500_000;
/// The delay between steps when few keys have expired.
pub const REST_NS: u64 = 100_000_000;
/// After a step that left expired keys, the delay is this multiple of its duration.
const REST_FACTOR: u64 = 3;
/// Buckets swept under one hold of a shard's lock.
const BUCKETS_PER_HOLD: usize = 8;
/// Expired fields of a hash removed under one hold of a shard's lock, and in one record.
const FIELDS_PER_HOLD: usize = 64;
/// Keys to be sampled before the share of expired ones among them counts.
const SAMPLE_KEYS: u64 = 256;
/// Steps of a full round when few keys have expired, at effort 1.
const ROUND_STEPS: u64 = 600;
/// Steps with work after which the keys of the share are counted again.
const RECOUNT_STEPS: u64 = 16;
/// Keys written by a writable replica's clients that are checked per step.
const WRITABLE_PER_STEP: usize = 256;
/// Tables checked per step for having expiries, which bounds a step over many empty databases.
const CELLS_PER_STEP: usize = 1 << 16;

/// Keys that were checked, and those of them that had expired.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    looked: u64,
    removed: u64,
}

/// One worker's sweep over its share of the shards.
pub struct Sweeper {
    worker: usize,
    /// Number of workers that share the shards.
    workers: usize,
    db: u32,
    shard: usize,
    /// The position in the table of (`db`, `shard`) to continue from.
    from: u64,
    /// Keys with an expiry in this worker's share, as last counted.
    keys: u64,
    /// Steps that found work.
    steps: u64,
    /// What the last sweep found; the hashes are those whose expired fields are still to be
    /// removed.
    found: Found,
    /// The database of these hashes.
    found_db: u32,
    /// The last key checked of those that a writable replica's clients wrote.
    writable_after: Option<ExpiringKey>,
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The round is complete, or few keys have expired.
    Quiet,
    /// The time was used up while many of the keys had expired.
    TimeLimit,
}

impl Sweeper {
    /// The sweep of worker `worker`, at the beginning of its first round.
    pub fn new(engine: &Engine, worker: usize) -> Self {
        Self {
            workers: engine.workers(),
            worker,
            db: 0,
            shard: worker,
            from: 0,
            keys: 0,
            steps: 0,
            found: Found::default(),
            found_db: 0,
            writable_after: None,
        }
    }

    /// Sweeps for at most about [`SLICE_NS`]. Returns the nanoseconds from the beginning of this
    /// step to the next. The caller holds no gate.
    pub fn step(&mut self, engine: &Engine) -> u64 {
        if !engine.active_expire.load(Ordering::Relaxed)
            || engine.cron_paused.load(Ordering::Relaxed)
            || engine.loading.load(Ordering::Relaxed)
        {
            return REST_NS;
        }
        self.trim_cached(engine);
        if engine.repl.is_replica() {
            self.sweep_own(engine);
            return REST_NS;
        }
        self.forget_own(engine);
        let started_ns = engine.env.clock.mono_ns();
        let Some(mut runner) = self.find_work(engine) else { return REST_NS };
        if engine.pause.any(runner.now_ms()) || runner.config.import_mode {
            return REST_NS;
        }
        if self.steps.is_multiple_of(RECOUNT_STEPS) {
            self.keys = self.count_share(engine);
        }
        self.steps += 1;
        let (tally, end) = self.sweep(&mut runner, engine, started_ns);
        let threshold_ms = runner.config.latency_monitor_threshold;
        drop(runner);
        let spent_ns = engine.env.clock.mono_ns().saturating_sub(started_ns);
        let cell = &engine.stats.thread(self.worker).cell;
        cell.expire_sampled.add(tally.looked);
        cell.expire_stale.add(tally.removed);
        cell.expire_cycle_ns.add(spent_ns);
        let now_us = engine.env.clock.unix_us();
        engine.latency.note(threshold_ms, event::EXPIRE_CYCLE, spent_ns, now_us);
        if end == End::TimeLimit {
            cell.expire_cycle_limit_reached.bump();
            return spent_ns * (1 + REST_FACTOR);
        }
        REST_NS
    }

    /// Keeps the list of keys that clients may have cached within its limit, and empties it when no
    /// client is left.
    fn trim_cached(&self, engine: &Engine) {
        if self.worker != 0 || engine.keyspace.cached().keys() == 0 {
            return;
        }
        let Some(mut runner) = Runner::try_new(engine, engine.config(), self.worker) else {
            return;
        };
        if engine.tracking.clients() == 0 {
            runner.forget_cached();
        } else {
            runner.trim_cached();
        }
    }

    /// Expires the keys that a writable replica's own clients wrote; all others are left to the
    /// primary.
    fn sweep_own(&mut self, engine: &Engine) {
        let writable = &engine.repl.writable_expiry;
        if self.worker != 0 || writable.count() == 0 {
            return;
        }
        let list = writable.some(self.writable_after.as_ref(), WRITABLE_PER_STEP);
        self.writable_after = list.last().cloned();
        let Some(mut runner) = Runner::try_new(engine, engine.config(), self.worker) else {
            return;
        };
        // The role may have changed before the gate was entered.
        if engine.repl.is_replica() {
            writable.remove(&runner.expire_writable(list));
        }
    }

    /// A primary has no list of its own keys; as in the real servers it is kept, and shown, until
    /// expired keys are looked for.
    fn forget_own(&self, engine: &Engine) {
        if self.worker == 0 && engine.repl.writable_expiry.count() > 0 {
            let gate = Runner::try_new(engine, engine.config(), self.worker);
            // The role may have changed before the gate was entered.
            if gate.is_some() && !engine.repl.is_replica() {
                engine.repl.writable_expiry.clear();
            }
        }
    }

    /// Advances to a table with expiries and enters the gate; `None` if there is no such table, or
    /// a script runs for too long.
    fn find_work<'k>(&mut self, engine: &'k Engine) -> Option<Runner<'k>> {
        for _ in 0..self.cells(engine).min(CELLS_PER_STEP) {
            if sweepable_in(engine, self.db, self.shard) > 0 {
                return Runner::try_new(engine, engine.config(), self.worker);
            }
            self.next_cell(engine);
        }
        None
    }

    fn sweep(&mut self, runner: &mut Runner<'_>, engine: &Engine, started_ns: u64) -> (Tally, End) {
        let effort = u64::from(runner.config.active_expire_effort);
        let quota = SAMPLE_KEYS.max(self.keys * effort / ROUND_STEPS);
        let stale_percent_max = 10 - (effort - 1).min(9);
        let is_stale = |tally: Tally| tally.removed * 100 > tally.looked * stale_percent_max;
        let (mut all, mut sample) = (Tally::default(), Tally::default());
        let mut cells = self.cells(engine).min(CELLS_PER_STEP);
        // On a replica the primary says when keys go; the role changes while this yields, and so
        // does the configuration.
        while cells > 0 && !engine.repl.is_replica() && !runner.config.import_mode {
            let gone = self.sweep_fields(runner);
            if gone == 0 && sweepable_in(engine, self.db, self.shard) == 0 {
                self.next_cell(engine);
                cells -= 1;
                continue;
            }
            let swept = if gone > 0 {
                Tally { looked: gone, removed: gone }
            } else {
                self.sweep_keys(runner, engine, &mut cells)
            };
            for tally in [&mut all, &mut sample] {
                tally.looked += swept.looked;
                tally.removed += swept.removed;
            }
            if sample.looked >= SAMPLE_KEYS {
                if !is_stale(sample) && all.looked >= quota {
                    return (all, End::Quiet);
                }
                sample = Tally::default();
            }
            if engine.env.clock.mono_ns().saturating_sub(started_ns) >= SLICE_NS {
                return (all, if is_stale(all) { End::TimeLimit } else { End::Quiet });
            }
            runner.yield_to_world();
            if runner.over {
                break;
            }
        }
        (all, End::Quiet)
    }

    /// Sweeps some buckets of the current table, and advances; counts down `cells` at its end.
    fn sweep_keys(&mut self, runner: &mut Runner<'_>, engine: &Engine, cells: &mut usize) -> Tally {
        let place = (self.db, self.shard);
        let swept = runner.sweep(place, self.from, BUCKETS_PER_HOLD, &mut self.found);
        self.found.removed.clear();
        self.found_db = self.db;
        match swept.next {
            Some(next) => self.from = next,
            None => {
                self.next_cell(engine);
                *cells -= 1;
            }
        }
        Tally { looked: swept.looked, removed: swept.removed }
    }

    /// Removes some expired fields of a hash that was found; returns how many. 0 if there are no
    /// such hashes.
    fn sweep_fields(&mut self, runner: &mut Runner<'_>) -> u64 {
        while let Some(key) = self.found.hashes.last() {
            let swept = runner.sweep_fields(self.found_db, key, FIELDS_PER_HOLD);
            if !swept.more {
                self.found.hashes.pop();
            }
            if swept.removed > 0 {
                return swept.removed;
            }
        }
        0
    }

    /// The number of (database, shard) tables in the share.
    fn cells(&self, engine: &Engine) -> usize {
        let shards = (SHARDS - self.worker % SHARDS).div_ceil(self.workers);
        shards * engine.keyspace.databases() as usize
    }

    /// Advances to the next table of the share, wrapping around.
    fn next_cell(&mut self, engine: &Engine) {
        self.from = 0;
        self.shard += self.workers;
        if self.shard < SHARDS {
            return;
        }
        self.shard = self.worker;
        self.db += 1;
        if self.db == engine.keyspace.databases() {
            self.db = 0;
        }
    }

    fn count_share(&self, engine: &Engine) -> u64 {
        let shards = || (self.worker..SHARDS).step_by(self.workers);
        (0..engine.keyspace.databases())
            .flat_map(|db| shards().map(move |shard| sweepable_in(engine, db, shard)))
            .sum()
    }
}

/// The number of keys in one shard of a database that a sweep has to look at. A hash that has an
/// expiry itself counts twice.
fn sweepable_in(engine: &Engine, db: u32, shard: usize) -> u64 {
    let keyspace = &engine.keyspace;
    u64::from(keyspace.expire_count_in(db, shard)) + u64::from(keyspace.nested_count_in(db, shard))
}
