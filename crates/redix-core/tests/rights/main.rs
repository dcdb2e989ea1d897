//! The keys that are checked are the keys that are touched: every command of the table, with random
//! arguments, touches no key but those that access control sees in its arguments, and changes none
//! but those that it sees as changed.

#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used)]

mod confined;

use redix_core::command::args::OwnedArgs;
use redix_core::command::plan::keys_of_call;
use redix_core::command::spec::{CommandSpec, Databases, access, flag};
use redix_core::commands::FAMILIES;
use redix_core::config::{Config, Guard};
use redix_core::keyspace::trace::{self, Touch};
use redix_testkit::Rng;
use redix_testkit::engine::SimEngine;

/// Calls in all.
const CALLS: usize = 100_000;
/// Calls on one engine.
const EPOCH: usize = 2_000;

/// Commands that touch keys which they do not name, by what they do: who may call them, may.
const UNNAMED: &[&str] = &[
    "keys",
    "scan",
    "randomkey",
    "flushall",
    "flushdb",
    "swapdb",
    "debug",
    "dbsize",
    // What scripts call is checked by itself.
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    // What they queue is checked by itself.
    "exec",
    // They end the run, or wait for somebody.
    "shutdown",
    "monitor",
    "psync",
    "sync",
    "replicaof",
    "slaveof",
    "failover",
    "client",
    "quit",
    "migrate",
    "wait",
    "waitaof",
    "auth",
    "hello",
    "reset",
    "config",
    "acl",
    "multi",
    "save",
    "bgsave",
    "bgrewriteaof",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "replconf",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
];

/// Commands that change a key which they are checked for reading only, as on real servers: the
/// former keep the count in the value or change its form, the last notes what a group was given.
const NOTING: &[&str] = &["pfcount", "pfdebug", "xreadgroup"];

const WORDS: &[&str] = &[
    "k1",
    "k2",
    "k3",
    "k4",
    "k5",
    "k6",
    "k7",
    "a",
    "b",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "10",
    "1.5",
    "STORE",
    "BY",
    "GET",
    "KEYS",
    "STREAMS",
    "DB",
    "COUNT",
    "LIMIT",
    "REPLACE",
    "nosort",
    "k*",
    "#",
    "GROUP",
    "g",
    "LEFT",
    "RIGHT",
    "MATCH",
    "STOREDIST",
    "m",
    "WEIGHTS",
    "SET",
    "u8",
    "NX",
    "XX",
    "EX",
    "FIELDS",
    "*",
    "",
    "$",
    ">",
    "0-0",
    "MAXLEN",
    "=",
    "(",
    "[a",
    "+",
    "-",
    "inf",
    "WITHSCORES",
    "FROMMEMBER",
    "BYRADIUS",
    "FROMLONLAT",
    "BYLEX",
    "BYSCORE",
    "REV",
    "AGGREGATE",
    "SUM",
    "CH",
    "AND",
    "OR",
    "NOT",
    "XOR",
    "PERSIST",
    "BEFORE",
    "AFTER",
    "MKSTREAM",
    "MIN",
    "MAX",
    "LEN",
    "IDX",
];

/// One key of each type.
const DATA: &[&str] = &[
    "SET k1 10",
    "RPUSH k2 a b 1 2",
    "SADD k3 a b 1",
    "ZADD k4 1 a 2 b",
    "HSET k5 a 1 b 2",
    "XADD k6 1-1 a 1",
    "XGROUP CREATE k6 g 0",
    "GEOADD k7 1 1 a 2 2 b",
];

fn specs() -> Vec<(Vec<&'static str>, &'static CommandSpec)> {
    let mut all = Vec::new();
    for spec in FAMILIES.iter().copied().flatten() {
        if UNNAMED.contains(&spec.name) {
            continue;
        }
        if spec.subcommands.is_empty() {
            all.push((vec![spec.name], spec));
        }
        all.extend(spec.subcommands.iter().map(|sub| (vec![spec.name, sub.name], sub)));
    }
    all
}

fn fill(engine: &mut SimEngine) {
    engine.execute(1, &["FLUSHALL"]).unwrap();
    engine.execute(1, &["SELECT", "0"]).unwrap();
    for line in DATA {
        engine.execute(1, &line.split(' ').collect::<Vec<_>>()).unwrap();
    }
}

fn call(name: &[&str], spec: &CommandSpec, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = name.iter().map(|word| word.as_bytes().to_vec()).collect();
    let least = usize::from(spec.arity.unsigned_abs());
    let more = if spec.arity < 0 { rng.below(8) } else { 0 };
    while words.len() < least + more {
        let word = *rng.pick(WORDS);
        let word = if rng.chance(30) { *rng.pick(&WORDS[..7]) } else { word };
        // A wait must end.
        words.push(word.as_bytes().to_vec());
    }
    if spec.has(flag::BLOCKING) && rng.chance(50) {
        *words.last_mut().unwrap() = b"0.01".to_vec();
    }
    words
}

/// The words of a call, to be read.
fn shown(words: &[Vec<u8>]) -> Vec<String> {
    words.iter().map(|word| word.escape_ascii().to_string()).collect()
}

/// What is wrong with a touch, if anything is.
fn fault(spec: &CommandSpec, words: &[Vec<u8>], touch: &Touch) -> Option<&'static str> {
    let args = OwnedArgs::from_words(words);
    let keys = keys_of_call(spec, args.args());
    let mut of_key = keys.iter().filter(|(word, _)| args.args().get(*word) == touch.key);
    if of_key.clone().next().is_none() {
        return Some("it is no key of the call");
    }
    let changes = access::INSERT | access::DELETE | access::UPDATE;
    let is_changed = touch.changed && !NOTING.contains(&spec.name);
    if is_changed && !of_key.any(|(_, accesses)| accesses & changes != 0) {
        return Some("it is changed, and is checked for reading only");
    }
    let names_others = !matches!(spec.databases, Databases::Selected);
    (touch.db != 0 && !names_others).then_some("it is in another database")
}

/// The seed of the run, which it prints.
fn seed() -> u64 {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("SEED={seed}");
    seed
}

fn engine_of(rng: &mut Rng) -> SimEngine {
    let config = Config { enable_debug_command: Guard::Yes, ..Config::default() };
    let mut engine = SimEngine::new(config, rng.next_u64()).unwrap();
    // What expires by itself is touched by nobody's call.
    engine.execute(1, &["DEBUG", "SET-ACTIVE-EXPIRE", "0"]).unwrap();
    engine
}

#[test]
fn no_command_touches_a_key_that_is_not_checked() {
    let seed = seed();
    let specs = specs();
    let mut touched = 0;
    for epoch in 0..CALLS / EPOCH {
        let mut rng = Rng::new(seed + epoch as u64);
        let mut engine = engine_of(&mut rng);
        for number in 0..EPOCH {
            if number % 20 == 0 {
                fill(&mut engine);
            }
            let (name, spec) = rng.pick(&specs);
            let words = call(name, spec, &mut rng);
            let follows_patterns = spec.has(flag::READS_BY_PATTERN)
                && words.iter().any(|word| matches!(word.as_slice(), b"BY" | b"GET"));
            trace::start();
            // One that is still blocked is given up with its connection.
            let blocked = engine.execute(2, &words).is_err();
            let touches = trace::take();
            if blocked {
                engine.close(2);
            }
            // Databases are named by few commands, which are told apart above.
            engine.execute(2, &["SELECT", "0"]).ok();
            if follows_patterns {
                continue;
            }
            touched += touches.len();
            for touch in touches {
                if let Some(fault) = fault(spec, &words, &touch) {
                    let words = shown(&words);
                    panic!("seed {seed}, epoch {epoch}: {words:?} touches {touch:?}: {fault}");
                }
            }
        }
    }
    assert!(touched > CALLS / 10, "only {touched} keys were touched");
}
