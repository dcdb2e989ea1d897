//! Random writes of all types, for tests of replication.
//!
//! Few keys, so that commands interact: they overwrite, rename, copy and move each other's values,
//! in a few databases, with short and long times to live. Some fail, as some do in practice. A key
//! usually has the type that its number determines. Collections exceed their thresholds now and
//! then, and no command depends on how a server encodes a value.

use crate::rng::Rng;

/// Number of keys.
const KEYS: usize = 250;
/// Types that names are shared out among.
const TYPES: usize = 6;
/// Names of elements.
const ELEMENTS: usize = 400;
/// Databases written to, from 0 on.
pub const DATABASES: usize = 4;
/// Groups of consumers that streams may have.
pub const GROUPS: [&str; 2] = ["g", "h"];

/// A command and its arguments.
pub type Words = Vec<Vec<u8>>;

/// Commands that are sent together: perhaps SELECT, then a transaction or single writes and
/// scripts, at most `max` of them.
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
        commands.push(if rng.chance(5) { script(rng) } else { command(rng) });
    }
    if transaction {
        commands.push(words(&[if rng.chance(90) { "EXEC" } else { "DISCARD" }]));
    }
    commands
}

/// A command from its arguments.
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

/// The usual type of a key.
#[derive(Clone, Copy)]
enum Family {
    String,
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

impl Family {
    const ALL: [Family; TYPES] =
        [Family::String, Family::List, Family::Set, Family::Zset, Family::Hash, Family::Stream];
}

/// Two names, mostly of keys of one type.
fn names(rng: &mut Rng, family: Family) -> [String; 2] {
    [(); 2].map(|()| {
        let number = match rng.chance(95) {
            true => rng.below(KEYS / TYPES) * TYPES + family as usize,
            false => rng.below(KEYS),
        };
        format!("key:{number}")
    })
}

/// A single command on a key of any type.
pub fn command(rng: &mut Rng) -> Words {
    match rng.below(11) {
        0..3 => string(rng),
        3 | 4 => any_type(rng),
        5 | 6 => list(rng),
        7 => set(rng),
        8 => zset(rng),
        9 => stream(rng),
        _ => hash(rng),
    }
}

/// A script that makes some writes; those that fail do not end it.
fn script(rng: &mut Rng) -> Words {
    const SOURCE: &str = "local at = 1 \
                          while at <= #ARGV do \
                            local last = at + tonumber(ARGV[at]) \
                            redis.pcall(unpack(ARGV, at + 1, last)) \
                            at = last + 1 \
                          end";
    let mut script = words(&["EVAL", SOURCE, "0"]);
    for _ in 0..1 + rng.below(4) {
        let command = command(rng);
        script.push(command.len().to_string().into_bytes());
        script.extend(command);
    }
    script
}

/// An element of a collection: a number, a name, or something long.
fn element(rng: &mut Rng) -> String {
    match rng.below(40) {
        0 => String::from_utf8(rng.printable(70)).expect("it is printable"),
        1 => rng.between(i64::MIN, i64::MAX).to_string(),
        2..20 => rng.below(ELEMENTS).to_string(),
        _ => format!("element:{}", rng.below(ELEMENTS)),
    }
}

/// The number of elements in a command: rarely enough to exceed a threshold.
fn count(rng: &mut Rng) -> usize {
    match rng.below(60) {
        0 => 300,
        1 => 60,
        _ => 1 + rng.below(5),
    }
}

/// A command with elements after its first arguments.
fn with_elements(rng: &mut Rng, first: &[&str]) -> Words {
    let mut words = words(first);
    for _ in 0..count(rng) {
        words.push(element(rng).into_bytes());
    }
    words
}

fn list(rng: &mut Rng) -> Words {
    let [key, other] = names(rng, Family::List);
    let (key, other, value, pivot) = (key.as_str(), other.as_str(), value(rng), element(rng));
    let (value, pivot) = (value.as_str(), pivot.as_str());
    let index = rng.between(-20, 20).to_string();
    let some = rng.between(1, 8).to_string();
    let ends = ["LEFT", "RIGHT"];
    let (from, to) = (*rng.pick(&ends), *rng.pick(&ends));
    match rng.below(40) {
        0..12 => {
            let name = *rng.pick(&["LPUSH", "RPUSH", "RPUSH"]);
            with_elements(rng, &[name, key])
        }
        12..14 => words(&[*rng.pick(&["LPUSHX", "RPUSHX"]), key, value]),
        14..16 => words(&[*rng.pick(&["LPUSH", "RPUSH"]), key, value]),
        16..19 => words(&[*rng.pick(&["LPOP", "RPOP"]), key]),
        19..21 => words(&[*rng.pick(&["LPOP", "RPOP"]), key, &some]),
        21..24 => words(&["LMOVE", key, other, from, to]),
        24 => words(&["RPOPLPUSH", key, other]),
        25..27 => words(&["LSET", key, &index, value]),
        27..29 => words(&["LINSERT", key, *rng.pick(&["BEFORE", "AFTER"]), pivot, value]),
        29..31 => words(&["LREM", key, &rng.between(-2, 2).to_string(), pivot]),
        31..33 => {
            words(&["LTRIM", key, &rng.below(4).to_string(), &rng.between(-4, 200).to_string()])
        }
        33 => words(&["LMPOP", "2", key, other, from, "COUNT", &some]),
        34 => words(&[*rng.pick(&["BLPOP", "BRPOP"]), key, other, "0.005"]),
        35 => words(&["BLMOVE", key, other, from, to, "0.005"]),
        36 => words(&["BLMPOP", "0.005", "2", key, other, from, "COUNT", &some]),
        37 => words(&["BRPOPLPUSH", key, other, "0.005"]),
        _ => words(&["LLEN", key]),
    }
}

fn set(rng: &mut Rng) -> Words {
    let [key, other] = names(rng, Family::Set);
    let [third, _] = names(rng, Family::Set);
    let (key, other, third, member) = (key.as_str(), other.as_str(), third.as_str(), element(rng));
    match rng.below(30) {
        0..12 => with_elements(rng, &["SADD", key]),
        12..17 => with_elements(rng, &["SREM", key]),
        17..19 => words(&["SPOP", key]),
        19..21 => words(&["SPOP", key, &rng.below(20).to_string()]),
        21 => words(&["SPOP", key, "1000"]),
        22..25 => words(&["SMOVE", key, other, &member]),
        25 => words(&["SUNIONSTORE", key, other, third]),
        26 => words(&["SINTERSTORE", key, other, third]),
        27 => words(&["SDIFFSTORE", key, other, third]),
        _ => words(&["SCARD", key]),
    }
}

/// A score. Not -0: a set that has shrunk keeps the sign of a zero, and its copy on a replica is
/// loaded in the compact form, which has none.
fn score(rng: &mut Rng) -> String {
    match rng.below(30) {
        0 => (*rng.pick(&["inf", "-inf", "5e-324", "1e300"])).to_owned(),
        1..10 => format!("{}.{}", rng.between(-5, 5), rng.below(1000)),
        _ => rng.between(-50, 50).to_string(),
    }
}

fn zset(rng: &mut Rng) -> Words {
    let [key, other] = names(rng, Family::Zset);
    let [third, _] = names(rng, Family::Zset);
    let (key, other, third, member) = (key.as_str(), other.as_str(), third.as_str(), element(rng));
    let (low, some) = (score(rng), (1 + rng.below(8)).to_string());
    let high = low.parse::<f64>().expect("it is a number") + rng.below(20) as f64;
    let (low, high) = (low.as_str(), high.to_string());
    match rng.below(40) {
        0..12 => {
            let mut words = words(&["ZADD", key]);
            for _ in 0..count(rng) {
                words.extend([score(rng).into_bytes(), element(rng).into_bytes()]);
            }
            words
        }
        12 => words(&["ZADD", key, *rng.pick(&["NX", "XX", "GT", "LT"]), "CH", low, &member]),
        13 => words(&["ZADD", key, "INCR", low, &member]),
        14..17 => words(&["ZINCRBY", key, low, &member]),
        17..20 => with_elements(rng, &["ZREM", key]),
        20..22 => words(&[*rng.pick(&["ZPOPMIN", "ZPOPMAX"]), key]),
        22 => words(&[*rng.pick(&["ZPOPMIN", "ZPOPMAX"]), key, &some]),
        23 => words(&["ZMPOP", "2", key, other, *rng.pick(&["MIN", "MAX"]), "COUNT", &some]),
        24 => words(&["ZREMRANGEBYRANK", key, "-3", "-2"]),
        25 => words(&["ZREMRANGEBYSCORE", key, low, &high]),
        26 => words(&["ZADD", "lex", "0", &member]),
        27 => words(&["ZREMRANGEBYLEX", "lex", "[1", "(3"]),
        28 => words(&["ZRANGESTORE", key, other, "0", "20"]),
        29 => words(&["ZRANGESTORE", key, other, low, &high, "BYSCORE"]),
        30 => words(&["ZUNIONSTORE", key, "2", other, third, "WEIGHTS", "2", "0.1"]),
        31 => words(&["ZUNIONSTORE", key, "3", other, third, key, "AGGREGATE", "MAX"]),
        32 => words(&["ZINTERSTORE", key, "2", other, third]),
        33 => words(&["ZDIFFSTORE", key, "2", other, third]),
        34 => words(&[*rng.pick(&["BZPOPMIN", "BZPOPMAX"]), key, other, "0.005"]),
        35 => words(&["BZMPOP", "0.005", "2", key, other, *rng.pick(&["MIN", "MAX"])]),
        _ => words(&["ZCARD", key]),
    }
}

fn hash(rng: &mut Rng) -> Words {
    let [key, _] = names(rng, Family::Hash);
    let (key, field, value) = (key.as_str(), element(rng), value(rng));
    let (field, value) = (field.as_str(), value.as_str());
    match rng.below(30) {
        0..12 => {
            let mut words = words(&[*rng.pick(&["HSET", "HSET", "HMSET"]), key]);
            for _ in 0..count(rng) {
                words.extend([element(rng).into_bytes(), element(rng).into_bytes()]);
            }
            words
        }
        12..14 => words(&["HSET", key, field, value]),
        14..16 => words(&["HSETNX", key, field, value]),
        16..22 => with_elements(rng, &["HDEL", key]),
        22..25 => words(&["HINCRBY", key, field, &rng.between(-9, 9).to_string()]),
        25..27 => words(&["HINCRBYFLOAT", key, field, "0.1"]),
        _ => words(&["HLEN", key]),
    }
}

/// Keys of hashes with expiring fields, and their fields: few, so that they meet fields that have
/// expired.
const EXPIRING: usize = 8;

/// A command on hashes with expiring fields, which not every server has that the other commands are
/// for.
pub fn field_expiry(rng: &mut Rng) -> Words {
    let [key, other] = [(); 2].map(|()| format!("expiring:{}", rng.below(EXPIRING)));
    let [field, second] = [(); 2].map(|()| rng.below(EXPIRING).to_string());
    let (key, other, field) = (key.as_str(), other.as_str(), field.as_str());
    let ms = (1 + rng.below(500)).to_string();
    match rng.below(20) {
        0..6 => words(&["HSETEX", key, "PX", &ms, "FIELDS", "2", field, "v", &second, "w"]),
        6..9 => words(&["HPEXPIRE", key, &ms, "FIELDS", "2", field, &second]),
        9 => words(&["HPERSIST", key, "FIELDS", "2", field, &second]),
        10 => words(&["HGETEX", key, "PX", &ms, "FIELDS", "1", field]),
        11..14 => words(&["COPY", key, other, "REPLACE"]),
        14 => words(&["RENAME", key, other]),
        15 => words(&["HINCRBY", key, "number", "1"]),
        16 => words(&["HDEL", key, field, &second]),
        _ => words(&["HSET", key, field, "x"]),
    }
}

/// An ID of an entry, low enough to be there.
fn stream_id(rng: &mut Rng) -> String {
    format!("{}-{}", rng.below(300), rng.below(3))
}

fn stream(rng: &mut Rng) -> Words {
    let [key, other] = names(rng, Family::Stream);
    let (key, other, value, id) = (key.as_str(), other.as_str(), value(rng), stream_id(rng));
    let (value, id, next) = (value.as_str(), id.as_str(), stream_id(rng));
    let (group, consumer) = (*rng.pick(&GROUPS), *rng.pick(&["alice", "bob"]));
    let (most, some) = (rng.below(40).to_string(), (1 + rng.below(8)).to_string());
    match rng.below(40) {
        0..8 => words(&["XADD", key, "*", "field", value]),
        8..14 => words(&["XADD", key, &format!("{}-*", rng.below(300)), "a", value, "b", "2"]),
        14 => words(&["XADD", key, "MAXLEN", "~", &most, "*", "field", value]),
        15 => words(&["XADD", key, "MAXLEN", &most, "*", "field", value]),
        16 => words(&["XADD", key, "MINID", "~", id, "*", "field", value]),
        17..19 => words(&["XDEL", key, id, &next]),
        19 => words(&["XTRIM", key, "MAXLEN", *rng.pick(&["~", "="]), &most]),
        20 => words(&["XTRIM", key, "MINID", id]),
        21 => words(&["XSETID", key, &next]),
        22..25 => words(&["XGROUP", "CREATE", key, group, id, "MKSTREAM"]),
        25 => words(&["XGROUP", "SETID", key, group, *rng.pick(&["0", "$"])]),
        26 => {
            words(&["XGROUP", *rng.pick(&["CREATECONSUMER", "DELCONSUMER"]), key, group, consumer])
        }
        27 if rng.chance(30) => words(&["XGROUP", "DESTROY", key, group]),
        28..32 => {
            let mut words = words(&["XREADGROUP", "GROUP", group, consumer, "COUNT", &some]);
            words.extend(["BLOCK", "5", "STREAMS", key, ">"].map(|word| word.as_bytes().to_vec()));
            words
        }
        32 => words(&["XREADGROUP", "GROUP", group, consumer, "NOACK", "STREAMS", key, ">"]),
        33 => words(&["XREAD", "BLOCK", "5", "STREAMS", key, other, "$", "$"]),
        34 => words(&["XACK", key, group, id, &next]),
        35 => words(&["XCLAIM", key, group, consumer, "0", id, &next]),
        36 => words(&["XAUTOCLAIM", key, group, consumer, "0", "-", "COUNT", &some]),
        37 => words(&["XREADGROUP", "GROUP", group, consumer, "STREAMS", key, "0"]),
        _ => words(&["XLEN", key]),
    }
}

fn string(rng: &mut Rng) -> Words {
    let [key, other] = names(rng, Family::String);
    let (value, small) = (value(rng), rng.below(1000).to_string());
    let (key, other, value) = (key.as_str(), other.as_str(), value.as_str());
    let soon_ms = (5 + rng.below(300)).to_string();
    let late_s = (1_000 + rng.below(9_000)).to_string();
    match rng.below(40) {
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
        30 => words(&["MSET", key, value, other, &small]),
        31 => words(&["MSETNX", key, value, other, &small]),
        32 => words(&["SETEX", key, &late_s, value]),
        33 => words(&["GETDEL", key]),
        34 => words(&["GETEX", key, "PX", &soon_ms]),
        35 => words(&["GETEX", key, "PERSIST"]),
        36 => words(&["SUBSTR", key, "0", "1"]),
        _ => words(&["GET", key]),
    }
}

/// A command for a key of any type.
fn any_type(rng: &mut Rng) -> Words {
    let family = *rng.pick(&Family::ALL);
    let [key, other] = names(rng, family);
    let (key, other) = (key.as_str(), other.as_str());
    let soon_ms = (5 + rng.below(300)).to_string();
    let late_s = (1_000 + rng.below(9_000)).to_string();
    let late_ms = (4_000_000_000_000 + rng.below(1_000_000)).to_string();
    let db = rng.below(DATABASES).to_string();
    match rng.below(24) {
        0..3 => words(&["DEL", key, other]),
        3 | 4 => words(&["UNLINK", key]),
        5 => words(&["EXPIRE", key, &late_s]),
        6..9 => words(&["PEXPIRE", key, &soon_ms]),
        9 => words(&["PEXPIREAT", key, &late_ms]),
        10 => words(&["PEXPIREAT", key, "1000"]),
        11 => words(&["PERSIST", key]),
        12..15 => words(&["RENAME", key, other]),
        15 => words(&["RENAMENX", key, other]),
        16..19 => words(&["COPY", key, other, "DB", &db, "REPLACE"]),
        19 => words(&["MOVE", key, &db]),
        20 => words(&["SORT", key, "ALPHA", "STORE", other]),
        21 if rng.chance(10) => words(&["FLUSHDB"]),
        22 if rng.chance(20) => words(&["SWAPDB", &db, &rng.below(DATABASES).to_string()]),
        _ => words(&["EXISTS", key]),
    }
}
