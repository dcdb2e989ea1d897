//! Random writes of strings: what tests of replication send.
//!
//! Few keys, so that commands meet: they overwrite, rename, copy and move what others wrote, in a
//! few databases, with times to live that end soon or late. Some fail, as some do in practice.

use crate::rng::Rng;

/// Names of keys.
const KEYS: usize = 150;
/// Databases written to, from 0 on.
pub const DATABASES: usize = 4;

/// A command and its arguments.
pub type Words = Vec<Vec<u8>>;

/// Some commands that are sent together: perhaps SELECT, then a transaction or single writes, at
/// most `max` of them.
pub fn batch(rng: &mut Rng, max: usize) -> Vec<Words> {
    let mut commands = Vec::new();
    if rng.chance(20) {
        commands.push(words(&["SELECT", &rng.below(DATABASES).to_string()]));
    }
    let transaction = rng.chance(20);
    if transaction {
        commands.push(words(&["MULTI"]));
    }
    for _ in 0..1 + rng.below(max) {
        commands.push(command(rng));
    }
    if transaction {
        commands.push(words(&[if rng.chance(90) { "EXEC" } else { "DISCARD" }]));
    }
    commands
}

/// A command out of its words.
pub fn words(words: &[&str]) -> Words {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn value(rng: &mut Rng) -> String {
    let len = match rng.below(200) {
        0 => 40_000,
        1..5 => 2_000 + rng.below(5_000),
        5..60 => return rng.between(-100, 100_000).to_string(),
        _ => rng.below(60),
    };
    String::from_utf8(rng.printable(len)).expect("it is printable")
}

fn command(rng: &mut Rng) -> Words {
    let key = format!("key:{}", rng.below(KEYS));
    let other = format!("key:{}", rng.below(KEYS));
    let (value, small) = (value(rng), rng.below(1000).to_string());
    let (key, other, value) = (key.as_str(), other.as_str(), value.as_str());
    let soon_ms = (5 + rng.below(300)).to_string();
    let late_s = (1_000 + rng.below(9_000)).to_string();
    let late_ms = (4_000_000_000_000 + rng.below(1_000_000)).to_string();
    let db = rng.below(DATABASES).to_string();
    match rng.below(60) {
        0..10 => words(&["SET", key, value]),
        10 => words(&["SET", key, value, "PX", &soon_ms]),
        11 => words(&["SET", key, value, "EX", &late_s]),
        12 => words(&["SET", key, value, "KEEPTTL", "GET"]),
        13 => words(&["SET", key, value, *rng.pick(&["NX", "XX"])]),
        14 => words(&["GETSET", key, value]),
        15..19 => words(&["APPEND", key, &small]),
        19..24 => words(&["INCR", key]),
        24 => words(&["DECRBY", key, &small]),
        25 => words(&["INCRBYFLOAT", key, "1.25"]),
        26..30 => words(&["SETRANGE", key, &small, "range"]),
        30..35 => words(&["DEL", key, other]),
        35 => words(&["UNLINK", key]),
        36 => words(&["EXPIRE", key, &late_s]),
        37..40 => words(&["PEXPIRE", key, &soon_ms]),
        40 => words(&["PEXPIREAT", key, &late_ms]),
        41 => words(&["PEXPIREAT", key, "1000"]),
        42 => words(&["PERSIST", key]),
        43..46 => words(&["RENAME", key, other]),
        46 => words(&["RENAMENX", key, other]),
        47..50 => words(&["COPY", key, other, "DB", &db, "REPLACE"]),
        50 => words(&["MOVE", key, &db]),
        51 => words(&["MSET", key, value, other, &small]),
        52 => words(&["MSETNX", key, value, other, &small]),
        53 => words(&["SETEX", key, &late_s, value]),
        54 => words(&["GETDEL", key]),
        55 => words(&["GETEX", key, "PX", &soon_ms]),
        56 => words(&["GETEX", key, "PERSIST"]),
        57 => words(&["SUBSTR", key, "0", "1"]),
        58 if rng.chance(10) => words(&["FLUSHDB"]),
        59 if rng.chance(20) => words(&["SWAPDB", &db, &rng.below(DATABASES).to_string()]),
        _ => words(&["GET", key]),
    }
}
