//! Limits of databases beside a model: an engine without limits to which the same commands are
//! given, but for those that must be refused. Which these are follows from the sizes of the
//! entries alone. What is evicted must be keys that may be, of databases that were full.

use std::collections::{BTreeMap, BTreeSet};

use redix_core::config::{Config, Guard, MaxmemoryPolicy};
use redix_core::engine::Engine;
use redix_core::keyspace::SHARDS;
use redix_resp::Value;
use redix_testkit::engine::SimEngine;
use redix_testkit::rng::Rng;

use super::{bytes, check, config, is_oom};

/// Limits of databases 1 to 3; database 0 has none.
const LIMITS: [(u32, u64, MaxmemoryPolicy); 3] = [
    (1, 150_000, MaxmemoryPolicy::NoEviction),
    (2, 150_000, MaxmemoryPolicy::AllkeysRandom),
    (3, 150_000, MaxmemoryPolicy::VolatileTtl),
];
const DATABASES: u32 = 4;
const KEYS: usize = 60;
/// The part of a limit that is kept free: room may be made before it is exceeded.
const HEADROOM_PART: u64 = 1024;
/// Bytes that a table and the block of an entry may take beside a value.
const BESIDE: u64 = 4096;

/// How a command is limited.
#[derive(Debug)]
enum Kind {
    /// It may add what it was sent.
    Adds,
    /// It adds nothing.
    Free,
    /// It adds as much as this key of its database to another database, if that has no such key.
    Moves(String, u32),
    /// It adds as much as the one key to a database, as the other one.
    Copies(String, u32, String),
    /// It replaces the key at argument 1 with what it computes.
    Stores,
}

/// Keys of a database with their sizes, and whether they expire.
type Keys = BTreeMap<Vec<u8>, (u64, bool)>;

fn keys(engine: &Engine, db: u32) -> Keys {
    let mut keys = Keys::new();
    for index in 0..SHARDS {
        let shard = engine.keyspace.lock(index);
        let Some(part) = shard.db(db) else { continue };
        part.table.scan(0, usize::MAX, |entry| {
            let facts = (entry.memory_usage() as u64, entry.expire_at_ms().is_some());
            keys.insert(entry.key().to_vec(), facts);
        });
    }
    keys
}

fn limit(db: u32) -> Option<u64> {
    LIMITS.iter().find(|(of, ..)| *of == db).map(|(_, bytes, _)| *bytes)
}

/// Whether so many bytes more are too many for a database that a command was admitted to with `had`
/// bytes.
fn is_too_much(engine: &Engine, db: u32, more: u64, had: u64) -> bool {
    limit(db).is_some_and(|limit| {
        let part = limit / 16;
        bytes(engine, db) + more > (limit + part).max(had + part)
    })
}

struct Pair {
    limited: SimEngine,
    model: SimEngine,
    db: u32,
    evicted: usize,
    refused: usize,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let with_debug = |config| Config { enable_debug_command: Guard::Yes, ..config };
        let limited = SimEngine::new(with_debug(config(&LIMITS)), seed).unwrap();
        let model = SimEngine::new(with_debug(Config::default()), seed).unwrap();
        Self { limited, model, db: 0, evicted: 0, refused: 0 }
    }

    fn used(&self, db: u32) -> u64 {
        bytes(self.limited.engine(), db)
    }

    /// Has the selected database evicted from, and takes what went out of the model.
    fn evict(&mut self) {
        let was_full: BTreeSet<u32> = LIMITS
            .iter()
            .filter(|(db, limit, _)| self.used(*db) > limit - limit / HEADROOM_PART)
            .map(|(db, ..)| *db)
            .collect();
        self.limited.execute(1, &["PING"]).unwrap();
        for db in 0..DATABASES {
            let (left, had) = (keys(self.limited.engine(), db), keys(self.model.engine(), db));
            let gone: Vec<_> = had.into_iter().filter(|(key, _)| !left.contains_key(key)).collect();
            if gone.is_empty() {
                continue;
            }
            assert!(was_full.contains(&db), "database {db} lost {gone:?}");
            self.model.execute(1, &["SELECT", &db.to_string()]).unwrap();
            for (key, (_, expires)) in gone {
                assert!(db == 2 || (db == 3 && expires), "database {db} lost {key:?}");
                self.model.execute(1, &[&b"DEL"[..], &key]).unwrap();
                self.evicted += 1;
            }
        }
        self.model.execute(1, &["SELECT", &self.db.to_string()]).unwrap();
        let full = |db: u32| limit(db).is_some_and(|limit| self.used(db) > limit);
        assert!(self.db != 2 || !full(2), "it is still full");
    }

    /// Whether a command has to be refused; `None`: its result decides.
    fn verdict(&self, kind: &Kind) -> Option<bool> {
        let engine = self.limited.engine();
        let is_full = limit(self.db).is_some_and(|limit| self.used(self.db) > limit);
        match kind {
            Kind::Free => Some(false),
            Kind::Adds => Some(is_full),
            Kind::Stores => is_full.then_some(true),
            Kind::Moves(key, to) => {
                let from = keys(engine, self.db);
                let moved = from.get(key.as_bytes()).filter(|_| *to != self.db);
                let moved = moved.filter(|_| !keys(engine, *to).contains_key(key.as_bytes()));
                Some(moved.is_some_and(|(size, _)| is_too_much(engine, *to, *size, 0)))
            }
            Kind::Copies(..) if is_full => Some(true),
            Kind::Copies(key, to, copy) => {
                let had = if *to == self.db { self.used(self.db) } else { 0 };
                let from = keys(engine, self.db);
                let copied = from.get(key.as_bytes());
                let copied = copied.filter(|_| !keys(engine, *to).contains_key(copy.as_bytes()));
                Some(copied.is_some_and(|(size, _)| is_too_much(engine, *to, *size, had)))
            }
        }
    }

    fn step(&mut self, words: &[String], kind: &Kind) {
        self.evict();
        let (verdict, before) = (self.verdict(kind), self.used(self.db));
        let reply = self.limited.execute(1, words).unwrap();
        let is_refused = is_oom(&reply);
        assert_eq!(verdict.unwrap_or(is_refused), is_refused, "{words:?}: {reply:?}");
        if is_refused {
            self.refused += 1;
            if verdict.is_none() {
                self.check_refused_result(words, before);
            }
        } else {
            assert_eq!(self.model.execute(1, words).unwrap(), reply, "{words:?}");
            if let (Kind::Stores, Some(limit)) = (kind, limit(self.db)) {
                let most = (limit + limit / 16).max(before) + BESIDE;
                assert!(self.used(self.db) <= most, "{words:?}: {}", self.used(self.db));
            }
        }
        if let ("SELECT", false) = (words[0].as_str(), is_refused) {
            self.db = words[1].parse().unwrap();
        }
    }

    /// That a result which was not stored would have been too large.
    fn check_refused_result(&mut self, words: &[String], before: u64) {
        let mut probe = words.to_vec();
        let at = if words[0] == "SORT" { words.len() - 1 } else { 1 };
        let at = if words[0] == "BITOP" { 2 } else { at };
        probe[at] = "probe".to_owned();
        self.model.execute(1, &probe).unwrap();
        let (size, _) = keys(self.model.engine(), self.db)[&b"probe"[..]];
        self.model.execute(1, &["DEL", "probe"]).unwrap();
        let limit = limit(self.db).unwrap();
        assert!(before + size > limit + limit / 16, "{words:?}: {size} more than {before}");
    }

    fn compare(&mut self) {
        // DEBUG DIGEST makes room too.
        self.evict();
        check(&self.limited, "beside the model");
        for db in 0..DATABASES {
            let names =
                |engine: &SimEngine| keys(engine.engine(), db).into_keys().collect::<Vec<_>>();
            assert_eq!(names(&self.limited), names(&self.model), "keys of database {db}");
        }
        let digest = |engine: &mut SimEngine| engine.execute(1, &["DEBUG", "DIGEST"]).unwrap();
        assert_eq!(digest(&mut self.limited), digest(&mut self.model));
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn command(rng: &mut Rng) -> (Vec<String>, Kind) {
    let key = |rng: &mut Rng| format!("k{}", rng.below(KEYS));
    let set = |rng: &mut Rng| format!("s{}", rng.below(6));
    let zset = |rng: &mut Rng| format!("z{}", rng.below(6));
    let (one, two, to) = (key(rng), key(rng), rng.below(DATABASES as usize) as u32);
    let value = "v".repeat(rng.below(6000));
    let members = |rng: &mut Rng, scores: bool| -> String {
        let member = |at: usize| {
            let member = format!("{}-{at}", "m".repeat(100));
            if scores { format!(" {at} {member}") } else { format!(" {member}") }
        };
        let from = rng.below(400);
        (from..from + 20).map(member).collect()
    };
    let adds = |line: String| (words(&line), Kind::Adds);
    let free = |line: String| (words(&line), Kind::Free);
    let stores = |line: String| (words(&line), Kind::Stores);
    match rng.below(30) {
        0..=5 => adds(format!("SET {one} x{value}")),
        6 | 7 => adds(format!("SET {one} x{value} EX 100000")),
        8 => adds(format!("APPEND {one} x{value}")),
        9 => adds(format!("SADD {}{}", set(rng), members(rng, false))),
        10 => adds(format!("ZADD {}{}", zset(rng), members(rng, true))),
        11 => adds(format!("RPUSH l{} {}", rng.below(3), rng.below(KEYS))),
        12 => stores(format!("SUNIONSTORE {} {} {}", set(rng), set(rng), set(rng))),
        13 => stores(format!("ZUNIONSTORE {} 2 {} {}", zset(rng), zset(rng), zset(rng))),
        14 => stores(format!("SORT l{} BY nosort GET k* GET k* STORE {two}", rng.below(3))),
        15 => stores(format!("BITOP NOT {one} {two}")),
        16 => stores(format!("ZRANGESTORE {} {} 0 -1", zset(rng), zset(rng))),
        17 => stores(format!("SDIFFSTORE {} {} {}", set(rng), set(rng), set(rng))),
        18 | 19 => (words(&format!("MOVE {one} {to}")), Kind::Moves(one, to)),
        20 | 21 => (words(&format!("COPY {one} {two} DB {to}")), Kind::Copies(one, to, two)),
        22 => free(format!("RENAME {one} {two}")),
        23 => free(format!("DEL {one} {}", set(rng))),
        24 if rng.chance(10) => free(format!("FLUSHDB {}", rng.pick(&["SYNC", "ASYNC"]))),
        25 if rng.chance(30) => free(format!("SWAPDB {to} {}", rng.below(DATABASES as usize))),
        26 => free(format!("GET {one}")),
        27 => free(format!("EXPIRE {one} 100000")),
        _ => free(format!("SELECT {to}")),
    }
}

#[test]
fn limits_of_databases_refuse_and_evict_as_the_model_says() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    for seed in seed..seed + 6 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::new(seed);
        for number in 0..1500 {
            let (words, kind) = command(&mut rng);
            // A source that is a destination too, and the same key twice, are errors of their own.
            if matches!(&kind, Kind::Copies(key, to, copy) if *to == pair.db && key == copy) {
                continue;
            }
            pair.step(&words, &kind);
            if number % 20 == 0 {
                pair.compare();
            }
        }
        pair.compare();
        println!("seed {seed}: {} refused, {} evicted", pair.refused, pair.evicted);
    }
}

/// A value that a list's elements name again and again is not multiplied into a full database.
#[test]
fn a_result_that_is_too_large_is_not_stored() {
    let mut pair = Pair::new(1);
    for line in ["SELECT 1", "RPUSH l 1 1 1 1 1 1 1 1 1 1", "SADD s1 a", "SET d old"] {
        pair.step(&words(line), &Kind::Adds);
    }
    pair.step(&words(&format!("SET k1 {}", "v".repeat(20_000))), &Kind::Adds);
    let sort = "SORT l BY nosort GET k* STORE d";
    assert!(is_oom(&pair.limited.execute(1, &words(sort)).unwrap()));
    pair.step(&words("GET d"), &Kind::Free);
    let transaction = ["MULTI", sort, "SORT l BY nosort LIMIT 0 2 GET k* STORE d", "EXEC"];
    let replies = transaction.map(|line| pair.limited.execute(1, &words(line)).unwrap());
    let Value::Array(replies) = &replies[3] else { panic!("{replies:?}") };
    assert!(is_oom(&replies[0]), "{replies:?}");
    assert_eq!(replies[1], Value::Int(2));
}
