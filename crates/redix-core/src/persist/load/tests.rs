#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redix_testkit::rng::Rng;
use redix_types::entry::{Value, ValueRef};

use super::*;
use crate::config::MaxmemoryPolicy;
use crate::engine::Engine;
use crate::keyspace::SHARDS;
use crate::persist::file::SaveError;
use crate::persist::save::save;
use crate::persist::sim::Sim;
use crate::rdb::write::{EntryMeta, RdbEncoder, WriteOptions};

const FILE: &str = "/data/dump.rdb";

fn engine(sim: &Sim, policy: MaxmemoryPolicy) -> Engine {
    let config =
        Config { dir: "/data".into(), databases: 4, maxmemory_policy: policy, ..Config::default() };
    Engine::new(sim.env(1), config, 1).unwrap()
}

fn save_all(engine: &Engine) -> Result<(), SaveError> {
    let libraries = engine.scripting.functions.catalogue();
    save(&engine.env, &engine.keyspace, &libraries, &engine.config(), None)
}

fn load(engine: &Engine, duplicates: Duplicates) -> Result<Loaded, LoadError> {
    let config = engine.config();
    let checksums = ChecksumPolicy::Verify;
    let how = LoadOptions { duplicates, expired: Expired::PassOver, checksums };
    let loader =
        Loader::open(&engine.env, &config, *engine.keyspace.hasher(), Path::new(FILE), how)?;
    let mut loader = loader.expect("the file is there");
    while loader.step(&engine.keyspace, 7)? == LoadStep::More {}
    Ok(loader.loaded())
}

/// Loads the file by three threads; also returns the deletions of what had expired.
fn load_together(engine: &Engine) -> Result<(Loaded, Vec<Vec<u8>>), LoadError> {
    let config = engine.config();
    let how = LoadOptions {
        duplicates: Duplicates::Refuse,
        expired: Expired::PassOver,
        checksums: ChecksumPolicy::Verify,
    };
    let loader =
        Loader::open(&engine.env, &config, *engine.keyspace.hasher(), Path::new(FILE), how)?;
    let shared = SharedLoader::new(loader.expect("the file is there"));
    loop {
        shared.begin_round(5);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| shared.work(&engine.keyspace));
            }
        });
        if shared.end_round()? == LoadStep::Done {
            break;
        }
    }
    let origin = shared.with(Loader::take_origin).unwrap_or_default();
    let mut deletions: Vec<_> =
        origin.deletions.iter().map(|record| record.bytes.to_vec()).collect();
    deletions.sort();
    Ok((shared.with(|loader| loader.loaded()), deletions))
}

fn insert(engine: &Engine, db: u32, key: &str, value: Value<'_>, lru: u32) {
    let key = engine.keyspace.key(key.as_bytes());
    let entry = EntryBox::new(key.bytes, value, None, lru);
    let mut shard = engine.keyspace.lock(key.shard());
    let part = shard.db_mut(db);
    part.table.insert_new(key.hash, entry, false, engine.keyspace.hasher());
    engine.keyspace.publish_counts(0, (db, key.shard()), part);
}

/// Database, key and age of every entry.
fn ages(engine: &Engine) -> Vec<(u32, String, u32)> {
    let mut found = Vec::new();
    for shard in 0..SHARDS {
        let shard = engine.keyspace.lock(shard);
        for db in 0..shard.db_count() {
            let Some(part) = shard.db(db) else { continue };
            part.table.scan(0, usize::MAX, |entry| {
                found.push((db, String::from_utf8(entry.key().to_vec()).unwrap(), entry.lru()));
            });
        }
    }
    found.sort();
    found
}

fn reload(policy: MaxmemoryPolicy, lru: u32) -> u32 {
    let sim = Sim::default();
    let from = engine(&sim, policy);
    insert(&from, 2, "k", Value::Str(b"v"), lru);
    save_all(&from).unwrap();
    let to = engine(&sim, policy);
    load(&to, Duplicates::Refuse).unwrap();
    let found = ages(&to);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.as_str()), (2, "k"));
    found[0].2
}

#[test]
fn ages_survive_under_the_policies_that_use_them() {
    let now_ms = Sim::default().env(1).clock.unix_us() / 1000;
    let clock = (now_ms / 1000) as u32 & 0x00ff_ffff;
    // Idle for 100 s; the simulated clock may advance by one second meanwhile.
    let lru = reload(MaxmemoryPolicy::AllkeysLru, clock - 100);
    assert!(clock - lru >= 99 && clock - lru <= 100, "{lru} of {clock}");
    let minutes = (now_ms / 60_000) as u32 & 0xffff;
    assert_eq!(reload(MaxmemoryPolicy::VolatileLfu, minutes << 8 | 77) & 0xff, 77);
    // Without such a policy the file has no idle time, and the key counts as new.
    let lru = reload(MaxmemoryPolicy::NoEviction, clock - 100);
    assert!(lru >= clock, "{lru} of {clock}");
}

#[test]
fn what_was_saved_is_loaded_and_counted() {
    let sim = Sim::default();
    let from = engine(&sim, MaxmemoryPolicy::NoEviction);
    for i in 0..1000 {
        insert(&from, i % 3, &format!("k{i}"), Value::Int(i64::from(i)), 0);
    }
    save_all(&from).unwrap();
    assert_eq!(sim.files.lock().unwrap().keys().collect::<Vec<_>>(), [&PathBuf::from(FILE)]);
    let to = engine(&sim, MaxmemoryPolicy::NoEviction);
    let loaded = load(&to, Duplicates::Refuse).unwrap();
    assert_eq!((loaded.keys, loaded.expired), (1000, 0));
    assert_eq!(loaded.bytes, sim.files.lock().unwrap()[Path::new(FILE)].len() as u64);
    assert_eq!([0, 1, 2, 3].map(|db| to.keyspace.key_count(db)), [334, 333, 333, 0]);
}

fn file_of(sim: &Sim, fill: impl FnOnce(&mut RdbEncoder)) {
    let mut encoder = RdbEncoder::new(WriteOptions::default());
    fill(&mut encoder);
    encoder.eof();
    sim.files.lock().unwrap().insert(FILE.into(), encoder.pending().to_vec());
}

fn value(text: &[u8]) -> ValueRef<'_> {
    ValueRef::Str(text)
}

#[test]
fn a_key_that_is_there_twice_is_refused_or_replaced() {
    let sim = Sim::default();
    file_of(&sim, |encoder| {
        encoder.select_db(1);
        encoder.entry(b"k", EntryMeta::default(), value(b"first"));
        encoder.entry(b"k", EntryMeta::default(), value(b"second"));
    });
    let refusing = engine(&sim, MaxmemoryPolicy::NoEviction);
    let text = load(&refusing, Duplicates::Refuse).unwrap_err().to_string();
    assert!(text.contains(FILE) && text.contains("key \"k\"") && text.contains("twice"), "{text}");
    let replacing = engine(&sim, MaxmemoryPolicy::NoEviction);
    load(&replacing, Duplicates::Replace).unwrap();
    assert_eq!(replacing.keyspace.key_count(1), 1);
}

fn libraries(sim: &Sim) -> Result<Vec<String>, String> {
    let engine = Arc::new(engine(sim, MaxmemoryPolicy::NoEviction));
    let loading = engine.begin_load(Duplicates::Refuse).map_err(|error| error.to_string())?;
    let mut loading = loading.expect("the file is there");
    while loading.step(&engine).map_err(|error| error.to_string())?.is_none() {}
    let names = engine.scripting.functions.catalogue();
    Ok(names.iter().map(|library| String::from_utf8(library.name.to_vec()).unwrap()).collect())
}

const LIBRARY: &[u8] = b"#!lua name=lib\nredis.register_function('f', function() end)";

#[test]
fn libraries_are_saved_and_loaded() {
    let sim = Sim::default();
    let from = engine(&sim, MaxmemoryPolicy::NoEviction);
    from.scripting.functions.load(&from.env, LIBRARY, false, 1 << 30).unwrap();
    from.save_now().unwrap();
    assert_eq!(libraries(&sim).unwrap(), ["lib"]);
}

#[test]
fn a_file_with_a_bad_library_is_refused() {
    for (source, expect) in [
        (&b"#!lua name=lib\nfoo()"[..], "nonexistent global variable 'foo'"),
        (b"#!lua name=lib\n", "No functions registered"),
        (b"return 1", "Missing library metadata"),
    ] {
        let sim = Sim::default();
        file_of(&sim, |encoder| encoder.function(source));
        let text = libraries(&sim).unwrap_err();
        assert!(text.contains(FILE) && text.contains(expect), "{text}");
        let inspecting = engine(&sim, MaxmemoryPolicy::NoEviction);
        let text = inspecting.inspect_file().unwrap_err().to_string();
        assert!(text.contains(expect), "{text}");
    }
    let sim = Sim::default();
    file_of(&sim, |encoder| {
        encoder.function(LIBRARY);
        encoder.function(LIBRARY);
    });
    let text = libraries(&sim).unwrap_err();
    assert!(text.contains("Library 'lib' already exists"), "{text}");
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let sim = Sim::default();
    let engine = engine(&sim, MaxmemoryPolicy::NoEviction);
    insert(&engine, 0, "k", Value::Str(b"v"), 0);
    save_all(&engine).unwrap();
    let before = sim.files.lock().unwrap().clone();
    insert(&engine, 0, "l", Value::Str(b"v"), 0);
    sim.disk_full.store(true, Ordering::Relaxed);
    assert!(engine.save_now().is_err());
    assert_eq!(*sim.files.lock().unwrap(), before);
}

/// A fencing token far ahead of the clock, as if that had been set back.
const AHEAD: i64 = 4_000_000_000_000_000;

#[test]
fn the_last_fencing_token_is_in_the_file() {
    let sim = Sim::default();
    let from = engine(&sim, MaxmemoryPolicy::NoEviction);
    from.keyspace.fence().raise(AHEAD);
    save_all(&from).unwrap();
    let to = engine(&sim, MaxmemoryPolicy::NoEviction);
    load(&to, Duplicates::Refuse).unwrap();
    assert_eq!(to.keyspace.fence().last(), AHEAD);
}

/// Real servers do not keep the field.
#[test]
fn the_fencing_token_of_a_lock_is_known_from_its_value() {
    for expire_at_ms in [1, i64::MAX] {
        let sim = Sim::default();
        let lock = format!("lock:{AHEAD}:owner");
        let meta = EntryMeta { expire_at_ms: Some(expire_at_ms), lru: None };
        file_of(&sim, |file| file.entry(b"k", meta, value(lock.as_bytes())));
        let to = engine(&sim, MaxmemoryPolicy::NoEviction);
        load(&to, Duplicates::Refuse).unwrap();
        assert_eq!(to.keyspace.fence().last(), AHEAD, "whether it has expired or not");
    }
}

/// A file of several pieces in three databases, with keys that have expired and a large value.
fn large_file(sim: &Sim, seed: u64) {
    let mut rng = Rng::new(seed);
    file_of(sim, |encoder| {
        encoder.aux(b"repl-id", b"0123456789012345678901234567890123456789");
        encoder.aux(b"repl-offset", b"7");
        for db in 0..3 {
            encoder.select_db(db);
            for i in 0..6000 {
                let key = format!("key:{db}:{i}");
                let len = if i == 3000 { 700_000 } else { rng.below(100) };
                let text: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
                let expire_at_ms = match rng.below(10) {
                    0 => Some(1),
                    1 => Some(i64::MAX),
                    _ => None,
                };
                encoder.entry(key.as_bytes(), EntryMeta { expire_at_ms, lru: None }, value(&text));
            }
        }
    });
}

#[test]
fn what_several_threads_load_is_what_one_loads() {
    let sim = Sim::default();
    large_file(&sim, 1);
    let [alone, together] = [(); 2].map(|()| engine(&sim, MaxmemoryPolicy::NoEviction));
    let expected = load(&alone, Duplicates::Refuse).unwrap();
    let (loaded, deletions) = load_together(&together).unwrap();
    assert_eq!(loaded, expected);
    assert!(loaded.expired > 1000, "{loaded:?}");
    assert_eq!(deletions.len() as u64, loaded.expired);
    let keys = |engine: &Engine| ages(engine).into_iter().map(|(db, key, _)| (db, key));
    assert!(keys(&alone).eq(keys(&together)));
}

#[test]
fn several_threads_report_the_first_error_of_a_damaged_file() {
    let sim = Sim::default();
    large_file(&sim, 2);
    let whole = sim.files.lock().unwrap()[Path::new(FILE)].clone();
    let mut rng = Rng::new(3);
    for _ in 0..20 {
        let mut damaged = whole.clone();
        for _ in 0..3 {
            let at = rng.below(damaged.len());
            damaged[at] = rng.next_u64() as u8;
        }
        sim.files.lock().unwrap().insert(FILE.into(), damaged);
        let [alone, together] = [(); 2].map(|()| engine(&sim, MaxmemoryPolicy::NoEviction));
        let expected = load(&alone, Duplicates::Refuse).map(drop).map_err(|e| e.to_string());
        let found = load_together(&together).map(drop).map_err(|e| e.to_string());
        assert_eq!(found, expected);
    }
}
