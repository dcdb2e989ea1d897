//! Guarantees of the keyspace: SCAN, RESTORE and expiry.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use proptest::prelude::*;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::expire::{REST_NS, Sweeper};
use redix_core::keyspace::SHARDS;
use redix_core::keyspace::shard::{DbShard, PreWrite, Walk};
use redix_core::pause::{Paused, Purpose};
use redix_resp::Value;
use redix_testkit::engine::SimEngine;
use redix_testkit::script::ScriptTarget;
use redix_types::entry::EntryRef;

fn engine() -> SimEngine {
    SimEngine::new(Config::default(), 1).unwrap()
}

fn run(engine: &mut SimEngine, command: &str) -> Value {
    let words: Vec<&str> = command.split(' ').collect();
    engine.execute(1, &words).unwrap()
}

fn bulk(value: &Value) -> Vec<u8> {
    match value {
        Value::Bulk(bytes) => bytes.clone(),
        other => panic!("no bulk: {other:?}"),
    }
}

/// One call of SCAN: the next cursor and the names.
fn scan(engine: &mut SimEngine, cursor: u64, count: u64) -> (u64, Vec<Vec<u8>>) {
    let reply = run(engine, &format!("SCAN {cursor} COUNT {count}"));
    let Value::Array(parts) = reply else { panic!("no array: {reply:?}") };
    let cursor = String::from_utf8(bulk(&parts[0])).unwrap().parse().unwrap();
    let Value::Array(names) = &parts[1] else { panic!("no array: {parts:?}") };
    (cursor, names.iter().map(bulk).collect())
}

/// Names in few shards, so that tables grow large enough to split and merge while they are walked.
/// The same for every engine, since they share their seed.
fn name(index: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let engine = engine();
        let keyspace = &engine.engine().keyspace;
        let all = (0..).map(|i| format!("key:{i}"));
        all.filter(|name| keyspace.key(name.as_bytes()).shard() % 256 == 3).take(12_400).collect()
    });
    &names[index as usize]
}

#[test]
fn servers_with_the_same_hash_seed_share_the_cursors_of_scan() {
    let order = |hash_seed: &str, entropy| {
        let config = Config { hash_seed: hash_seed.into(), ..Config::default() };
        let mut engine = SimEngine::new(config, entropy).unwrap();
        (0..1000).for_each(|i| drop(run(&mut engine, &format!("SET {i} x"))));
        scan(&mut engine, 0, 1000)
    };
    assert_eq!(order("valkey\0A", 1), order("valkey\0A", 2));
    assert_ne!(order("valkey\0A", 1), order("valkey\0B", 1));
    assert_ne!(order("", 1), order("", 2));
}

/// What changes between two calls of SCAN.
#[derive(Clone, Debug)]
enum Churn {
    Grow(u16),
    Shrink(u16),
    Nothing,
}

fn churn() -> impl Strategy<Value = Churn> {
    prop_oneof![
        (1..400u16).prop_map(Churn::Grow),
        (1..400u16).prop_map(Churn::Shrink),
        Just(Churn::Nothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(40)
    })]

    /// A key that exists all the time is returned; one that never existed is not; the cursor stays
    /// below 2^53 and returns to 0.
    #[test]
    fn scan_returns_what_stays(
        stays in 0..300u32,
        churns in 0..2000u32,
        count in 1..500u64,
        history in proptest::collection::vec(churn(), 1..25),
    ) {
        // Names below `stays` are kept; those above are added and deleted.
        let mut engine = engine();
        for i in 0..stays {
            run(&mut engine, &format!("SET {} v", name(i)));
        }
        let (first, last) = (stays, stays + churns);
        let mut range = first..last;
        for i in range.clone() {
            run(&mut engine, &format!("SET {} v", name(i)));
        }
        let mut found = BTreeSet::new();
        let (mut cursor, mut calls) = (0, 0);
        loop {
            let (next, names) = scan(&mut engine, cursor, count);
            found.extend(names);
            prop_assert!(next < 1 << 53);
            cursor = next;
            calls += 1;
            if cursor == 0 {
                break;
            }
            prop_assert!(calls < 20_000, "SCAN does not end");
            match history.get(calls) {
                Some(Churn::Grow(n)) => {
                    for i in range.end..range.end + u32::from(*n) {
                        run(&mut engine, &format!("SET {} v", name(i)));
                    }
                    range.end += u32::from(*n);
                }
                Some(Churn::Shrink(n)) => {
                    let end = (range.start + u32::from(*n)).min(range.end);
                    for i in range.start..end {
                        run(&mut engine, &format!("DEL {}", name(i)));
                    }
                    range.start = end;
                }
                Some(Churn::Nothing) | None => {}
            }
        }
        // Keys that existed at first and were not deleted are returned too.
        for i in (0..stays).chain(range.start..last.max(range.start)) {
            prop_assert!(found.contains(name(i).as_bytes()), "{} is missing", name(i));
        }
        let known: BTreeSet<&[u8]> = (0..range.end).map(|i| name(i).as_bytes()).collect();
        prop_assert!(found.iter().all(|name| known.contains(name.as_slice())), "one never was");
    }

    /// COUNT bounds the work: no call returns much more than it asks for.
    #[test]
    fn scan_keeps_to_its_count(keys in 0..3000u32, count in 1..300u64) {
        let mut engine = engine();
        for i in 0..keys {
            run(&mut engine, &format!("SET {} v", name(i)));
        }
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            let (next, names) = scan(&mut engine, cursor, count);
            // Buckets are visited whole, and one may have a few children.
            prop_assert!(names.len() as u64 <= count + 30, "{} for {count}", names.len());
            for name in names {
                prop_assert!(seen.insert(name), "twice, though nothing changed");
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen.len() as u32, keys);
    }
}

#[test]
fn a_payload_with_any_bit_flipped_is_refused() {
    let mut engine = engine();
    let long = "abc".repeat(50);
    for value in ["", "hello", "123", "-70000", long.as_str()] {
        engine.execute(1, &["SET", "k", value]).unwrap();
        let payload = bulk(&run(&mut engine, "DUMP k"));
        let mut restore = |payload: &[u8]| {
            engine.execute(1, &[b"RESTORE", &b"r"[..], b"0", payload, b"REPLACE"]).unwrap()
        };
        let refused = Value::Error(b"ERR DUMP payload version or checksum are wrong".to_vec());
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(restore(&damaged), refused, "{value:?}, bit {bit}");
        }
        for len in 0..payload.len() {
            assert_eq!(restore(&payload[..len]), refused, "{value:?}, {len} bytes");
        }
        assert_eq!(restore(&payload), Value::Simple(b"OK".to_vec()));
        assert_eq!(bulk(&run(&mut engine, "GET r")), value.as_bytes());
    }
}

/// Keys without expiry, and keys that expire after 100 ms, in two databases.
fn populate(engine: &mut SimEngine, keys: u32) {
    for db in [0, 3] {
        run(engine, &format!("SELECT {db}"));
        for i in 0..keys {
            run(engine, &format!("SET lives:{i} v"));
            run(engine, &format!("SET later:{i} v PX 100000"));
            run(engine, &format!("SET soon:{i} v PX 100"));
        }
    }
    run(engine, "SELECT 0");
    engine.take_log();
}

/// Steps until one asks for a long pause and has removed nothing.
fn sweep_all(sweeper: &mut Sweeper, engine: &Engine) {
    loop {
        let before = engine.keyspace.expire_count(0) + engine.keyspace.expire_count(3);
        let rest_ns = sweeper.step(engine);
        let after = engine.keyspace.expire_count(0) + engine.keyspace.expire_count(3);
        if rest_ns == REST_NS && before == after {
            return;
        }
    }
}

#[test]
fn the_sweep_deletes_what_has_expired_and_nothing_else() {
    let mut engine = engine();
    populate(&mut engine, 3000);
    let mut sweeper = Sweeper::new(engine.engine(), 0);
    sweep_all(&mut sweeper, engine.engine());
    assert_eq!(engine.engine().keyspace.key_count(0), 9000);
    engine.clock().advance_ms(100);
    sweep_all(&mut sweeper, engine.engine());
    for db in [0, 3] {
        assert_eq!(engine.engine().keyspace.key_count(db), 6000);
        assert_eq!(engine.engine().keyspace.expire_count(db), 3000);
    }
    let cell = &engine.engine().stats.thread(0).cell;
    assert_eq!(cell.expired_keys.get(), 6000);
    assert_eq!(cell.expire_stale.get(), 6000);
    let log = engine.take_log().unwrap();
    let deleted: BTreeSet<&Vec<u8>> =
        log.iter().filter(|command| command[0] == b"UNLINK").map(|command| &command[1]).collect();
    assert_eq!(deleted.len(), 3000, "the same names in both databases");
    assert!(deleted.iter().all(|key| key.starts_with(b"soon:")));
    assert!(log.iter().all(|command| command[0] == b"UNLINK" || command[0] == b"SELECT"));
}

/// The sweep finds hashes with expired fields among others, removes these fields under bounded
/// holds and the hash with its last one.
#[test]
fn the_sweep_removes_expired_fields_and_nothing_else() {
    let mut engine = engine();
    for i in 0..500 {
        run(&mut engine, &format!("HSET plain:{i} a 1 b 2"));
        run(&mut engine, &format!("HSET some:{i} soon 1 later 2 never 3"));
        run(&mut engine, &format!("HPEXPIRE some:{i} 100 FIELDS 1 soon"));
        run(&mut engine, &format!("HPEXPIRE some:{i} 100000 FIELDS 1 later"));
        run(&mut engine, &format!("HSETEX all:{i} PX 100 FIELDS 2 a 1 b 2"));
    }
    for i in 0..1000 {
        run(&mut engine, &format!("HSETEX many PX 100 FIELDS 1 field:{i} {i}"));
    }
    run(&mut engine, "HSET many stays 1");
    let keyspace = &engine.engine().keyspace;
    assert_eq!((keyspace.key_count(0), keyspace.nested_count(0)), (1501, 1001));
    assert_eq!(keyspace.expire_count(0), 0);
    engine.take_log();
    let mut sweeper = Sweeper::new(engine.engine(), 0);
    for _ in 0..50 {
        sweeper.step(engine.engine());
    }
    assert_eq!(engine.take_log().unwrap().len(), 0, "nothing has expired");

    engine.clock().advance_ms(100);
    let shared = engine.engine();
    let mut steps = 0;
    while shared.stats.thread(0).cell.expired_fields.get() < 2500 {
        sweeper.step(shared);
        steps += 1;
        assert!(steps < 10_000, "{} fields", shared.stats.thread(0).cell.expired_fields.get());
    }
    let keyspace = &shared.keyspace;
    assert_eq!((keyspace.key_count(0), keyspace.nested_count(0)), (1001, 500));
    assert_eq!(shared.stats.thread(0).cell.expired_keys.get(), 0);
    let log = engine.take_log().unwrap();
    let hdel: Vec<_> = log.iter().filter(|command| command[0] == b"HDEL").collect();
    assert!(hdel.iter().all(|command| command.len() <= 2 + 64), "a record is bounded");
    assert_eq!(hdel.iter().map(|command| command.len() - 2).sum::<usize>(), 2500);
    let unlink = log.iter().filter(|command| command[0] == b"UNLINK");
    assert!(unlink.clone().all(|command| command[1].starts_with(b"all:")));
    assert_eq!(unlink.count(), 500);
    assert_eq!(run(&mut engine, "HLEN many"), Value::Int(1));
    assert_eq!(run(&mut engine, "HLEN some:7"), Value::Int(2));
}

/// Valkey's copy has none of them either, however many they are.
#[test]
fn a_copy_lacks_all_expired_fields() {
    let mut engine = engine();
    run(&mut engine, "HSET h stays 1");
    for i in 0..5000 {
        run(&mut engine, &format!("HSETEX h PX 100 FIELDS 1 field:{i} {i}"));
    }
    engine.clock().advance_ms(100);
    engine.take_log();
    run(&mut engine, "COPY h d");
    assert_eq!(run(&mut engine, "HLEN d"), Value::Int(1));
    assert_eq!(run(&mut engine, "HLEN h"), Value::Int(5001));
    let log = engine.take_log().unwrap();
    let hdel: Vec<_> = log.iter().filter(|command| command[0] == b"HDEL").collect();
    assert!(hdel.iter().all(|command| command[1] == b"d" && command.len() <= 2 + 1024));
    assert_eq!(hdel.iter().map(|command| command.len() - 2).sum::<usize>(), 5000);
}

/// What keeps keys keeps fields too.
#[test]
fn a_pause_hides_expired_fields_and_keeps_them() {
    let mut engine = engine();
    run(&mut engine, "HSETEX h PX 100 FIELDS 1 a 1");
    engine.clock().advance_ms(100);
    let now_ms = engine.engine().env.clock.unix_us() / 1000;
    engine.engine().pause.start(Purpose::Client, now_ms, now_ms + 1000, Paused::Writes);
    let mut sweeper = Sweeper::new(engine.engine(), 0);
    for _ in 0..50 {
        sweeper.step(engine.engine());
    }
    assert_eq!(run(&mut engine, "HGET h a"), Value::Null);
    assert_eq!(run(&mut engine, "HLEN h"), Value::Int(1));
    engine.engine().pause.end(Purpose::Client);
    for _ in 0..50 {
        sweeper.step(engine.engine());
    }
    assert_eq!(run(&mut engine, "EXISTS h"), Value::Int(0));
}

/// A transaction that watches a hash fails once the sweep has removed a field.
#[test]
fn the_sweep_of_fields_fails_a_transaction_that_watches_the_hash() {
    let mut engine = engine();
    run(&mut engine, "HSET h b 2");
    run(&mut engine, "HSETEX h PX 100 FIELDS 1 a 1");
    run(&mut engine, "WATCH h");
    engine.clock().advance_ms(100);
    let mut sweeper = Sweeper::new(engine.engine(), 0);
    for _ in 0..50 {
        sweeper.step(engine.engine());
    }
    run(&mut engine, "MULTI");
    run(&mut engine, "PING");
    assert_eq!(run(&mut engine, "EXEC"), Value::NullArray);
}

#[test]
fn the_sweep_stands_still_while_it_is_switched_off_or_paused() {
    use std::sync::atomic::Ordering;
    let mut engine = engine();
    populate(&mut engine, 10);
    engine.clock().advance_ms(100);
    let shared = engine.engine();
    let mut sweeper = Sweeper::new(shared, 0);
    shared.active_expire.store(false, Ordering::Relaxed);
    assert_eq!(sweeper.step(shared), REST_NS);
    assert_eq!(shared.keyspace.key_count(0), 30);
    shared.active_expire.store(true, Ordering::Relaxed);
    let now_ms = shared.env.clock.unix_us() / 1000;
    shared.pause.start(Purpose::Client, now_ms, now_ms + 1000, Paused::Writes);
    sweeper.step(shared);
    assert_eq!(shared.keyspace.key_count(0), 30);
    shared.pause.end(Purpose::Client);
    sweep_all(&mut sweeper, shared);
    assert_eq!(shared.keyspace.key_count(0), 20);
}

#[test]
fn a_pause_hides_expired_keys_and_keeps_them() {
    let mut engine = engine();
    run(&mut engine, "SET k v PX 100");
    engine.clock().advance_ms(100);
    let now_ms = engine.engine().env.clock.unix_us() / 1000;
    engine.engine().pause.start(Purpose::Client, now_ms, now_ms + 1000, Paused::Writes);
    for command in ["GET k", "TYPE k", "TTL k", "KEYS k", "SCAN 0"] {
        let reply = run(&mut engine, command);
        let nothing = [
            Value::Null,
            Value::Simple(b"none".to_vec()),
            Value::Int(-2),
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Bulk(b"0".to_vec()), Value::Array(Vec::new())]),
        ];
        assert!(nothing.contains(&reply), "{command}: {reply:?}");
    }
    assert_eq!(engine.engine().keyspace.key_count(0), 1);
    // No other key is left.
    assert_eq!(run(&mut engine, "RANDOMKEY"), Value::Bulk(b"k".to_vec()));
    engine.engine().pause.end(Purpose::Client);
    assert_eq!(run(&mut engine, "GET k"), Value::Null);
    assert_eq!(engine.engine().keyspace.key_count(0), 0);
}

#[test]
fn the_sweep_fails_a_transaction_that_watches_the_key() {
    let mut engine = engine();
    run(&mut engine, "SET k v PX 100");
    run(&mut engine, "WATCH k");
    engine.clock().advance_ms(100);
    let mut sweeper = Sweeper::new(engine.engine(), 0);
    sweep_all(&mut sweeper, engine.engine());
    run(&mut engine, "MULTI");
    run(&mut engine, "SET other v");
    assert_eq!(run(&mut engine, "EXEC"), Value::NullArray);
}

/// Records the names of pre-images.
#[derive(Default)]
struct PreImages(Mutex<Vec<Vec<u8>>>);

impl PreWrite for PreImages {
    fn save(&self, _: u32, entry: EntryRef<'_>) {
        self.0.lock().unwrap().push(entry.key().to_vec());
    }
    fn take_over(&self, _: DbShard) {
        panic!("no table is taken away");
    }
}

#[test]
fn a_snapshot_gets_what_the_sweep_deletes() {
    let mut engine = engine();
    for i in 0..2000 {
        run(&mut engine, &format!("SET k{i} v PX 100"));
    }
    let images = Arc::new(PreImages::default());
    let shared = engine.engine();
    for shard in 0..SHARDS {
        let _gate = shared.keyspace.gates().enter(shared.background_thread());
        let hook = Arc::clone(&images) as Arc<dyn PreWrite>;
        let walk = Walk { db_at_cut: 0, position: 0, hook };
        shared.keyspace.lock(shard).db_mut(0).walk = Some(Box::new(walk));
    }
    engine.clock().advance_ms(100);
    sweep_all(&mut Sweeper::new(shared, 0), shared);
    assert_eq!(shared.keyspace.key_count(0), 0);
    let saved: BTreeSet<Vec<u8>> = images.0.lock().unwrap().iter().cloned().collect();
    assert_eq!(saved.len(), 2000);
    assert_eq!(images.0.lock().unwrap().len(), 2000, "each once");
}
