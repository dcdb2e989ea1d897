//! The commands of the sorted set group.
//!
//! Lexicographical ranges are taken of keys whose members have equal scores: for others the real
//! servers specify nothing.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    add,
    add,
    add,
    add,
    add_many,
    add_with_options,
    add_with_options,
    increment,
    increment,
    remove,
    remove,
    remove_range,
    read,
    read,
    read,
    random,
    scan,
    range,
    range,
    range,
    range_by_score,
    range_by_score,
    range_store,
    pop,
    pop,
    pop_from_some,
    block,
    combine,
    combine,
    combine,
    combine_store,
    combine_store,
    lex,
    lex,
    limit,
];

/// One of few members, so that they repeat, or any value.
fn member(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(12) {
        0..=7 => format!("m{}", g.rng.below(12)).into_bytes(),
        8 | 9 => g.rng.below(20).to_string().into_bytes(),
        _ => g.value(),
    }
}

/// A score that all servers format alike, rarely one that they may not.
fn score(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(20) {
        0..=7 => g.rng.between(-5, 5).to_string().into_bytes(),
        8..=12 => (g.rng.between(-40, 40) as f64 / 4.0).to_string().into_bytes(),
        13 => g.one_of(&["inf", "-inf", "+inf", "Infinity", "1e3", "0.0", ".5", "5."]).into(),
        14 => g.one_of(&["nan", "abc", "", "1 ", "1,5", "1e", "--1"]).into(),
        15..=17 if g.has_7_2() => match g.one_of(&["-0.0", "float", "0.1"]) {
            "float" => (g.rng.between(-1_000_000, 1_000_000) as f64 / 1000.0).to_string(),
            edge => edge.to_owned(),
        }
        .into_bytes(),
        _ => g.rng.between(-100_000, 100_000).to_string().into_bytes(),
    }
}

pub(super) fn add(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("ZADD").arg(g.key());
    for _ in 0..=g.rng.below(4) {
        line = line.arg(score(g)).arg(member(g));
    }
    vec![line]
}

/// Enough members for a large set, or for one that is large in bytes only.
fn add_many(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let mut line = Line::new("ZADD").arg(&key);
    let count = *g.rng.pick(&[20, 128, 129, 200, 700]);
    for number in 0..count {
        let score = g.rng.between(-20, 20).to_string();
        line = line.arg(score).arg(format!("many{number}"));
    }
    vec![Line::new("DEL").arg(key), line]
}

fn add_with_options(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("ZADD").arg(g.key());
    for option in ["NX", "XX", "GT", "LT", "CH"] {
        if g.rng.chance(22) {
            line = line.option(option);
        }
    }
    if g.rng.chance(30) {
        line = line.option("INCR");
    }
    for _ in 0..=usize::from(g.rng.chance(30)) {
        line = line.arg(score(g)).arg(member(g));
    }
    vec![line]
}

fn increment(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("ZINCRBY").arg(g.key()).arg(score(g)).arg(member(g))]
}

fn remove(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("ZREM").arg(g.key());
    for _ in 0..=g.rng.below(5) {
        line = line.arg(member(g));
    }
    vec![line]
}

fn remove_range(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(2) {
        0 => Line::new("ZREMRANGEBYRANK").arg(g.key()).arg(g.index()).arg(g.index()),
        _ => Line::new("ZREMRANGEBYSCORE").arg(g.key()).arg(bound(g)).arg(bound(g)),
    }]
}

/// A bound of a score range.
fn bound(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(12) {
        0 | 1 => b"-inf".to_vec(),
        2 | 3 => b"+inf".to_vec(),
        4 => g.one_of(&["", "(", "nan", "(nan", "abc", "((1", "1e400", "(-inf", "(inf"]).into(),
        5..=7 => [b"(", &g.rng.between(-6, 6).to_string().into_bytes()[..]].concat(),
        _ => g.rng.between(-6, 6).to_string().into_bytes(),
    }
}

fn read(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(7) {
        0 => Line::new("ZCARD").arg(key),
        1 => Line::new("ZCOUNT").arg(key).arg(bound(g)).arg(bound(g)),
        2 => Line::new("ZMSCORE").arg(key).arg(member(g)).arg(member(g)),
        3 | 4 => {
            let name = g.one_of(&["ZRANK", "ZREVRANK"]);
            let line = Line::new(name).arg(key).arg(member(g));
            if g.has_7_2() && g.rng.chance(40) { line.option("WITHSCORE") } else { line }
        }
        _ => Line::new("ZSCORE").arg(key).arg(member(g)),
    }]
}

fn random(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("ZRANDMEMBER").arg(g.key());
    if g.rng.chance(40) {
        return vec![line.by(Compare::TypeOnly)];
    }
    // All members in any order, or some of them.
    let count = g.one_of(&["0", "-3", "2", "-9223372036854775808", "abc"]);
    let line = line.arg(count);
    let line = if g.rng.chance(40) { line.option("WITHSCORES") } else { line };
    vec![line.by(Compare::TypeOnly)]
}

fn scan(g: &mut Grammar) -> Vec<Line> {
    let cursor = g.one_of(&["0", "0", "0", "0", "abc"]);
    let mut line = Line::new("ZSCAN").arg(g.key()).arg(cursor).by(Compare::Scan);
    if g.rng.chance(40) {
        let pattern = g.one_of(&["*", "m*", "m[1-5]", "?", ""]);
        line = line.option("MATCH").arg(pattern);
    }
    if g.rng.chance(40) {
        let count = g.one_of(&["1", "10", "1000", "0", "abc"]);
        line = line.option("COUNT").arg(count);
    }
    if g.is_valkey() && g.rng.chance(20) {
        line = line.option("NOSCORES");
    }
    vec![line]
}

fn range(g: &mut Grammar) -> Vec<Line> {
    let mut line = match g.rng.below(4) {
        0 => Line::new("ZREVRANGE").arg(g.key()).arg(g.index()).arg(g.index()),
        _ => {
            let line = Line::new("ZRANGE").arg(g.key()).arg(g.index()).arg(g.index());
            if g.rng.chance(40) { line.option("REV") } else { line }
        }
    };
    if g.rng.chance(50) {
        line = line.option("WITHSCORES");
    }
    if g.rng.chance(10) {
        line = limited(g, line);
    }
    vec![line]
}

fn limited(g: &mut Grammar, line: Line) -> Line {
    let offset = g.one_of(&["0", "1", "2", "10", "-1", "abc"]);
    let count = g.one_of(&["0", "1", "3", "100", "-1", "-7"]);
    line.option("LIMIT").arg(offset).arg(count)
}

fn range_by_score(g: &mut Grammar) -> Vec<Line> {
    let (key, from, to) = (g.key(), bound(g), bound(g));
    let mut line = match g.rng.below(4) {
        0 => Line::new("ZRANGEBYSCORE").arg(key).arg(from).arg(to),
        1 => Line::new("ZREVRANGEBYSCORE").arg(key).arg(from).arg(to),
        2 => Line::new("ZRANGE").arg(key).arg(from).arg(to).option("BYSCORE"),
        _ => Line::new("ZRANGE").arg(key).arg(from).arg(to).option("BYSCORE").option("REV"),
    };
    if g.rng.chance(50) {
        line = line.option("WITHSCORES");
    }
    if g.rng.chance(50) {
        line = limited(g, line);
    }
    vec![line]
}

fn range_store(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("ZRANGESTORE").arg(g.key()).arg(g.key());
    if g.rng.chance(50) {
        let line = line.arg(g.index()).arg(g.index());
        return vec![if g.rng.chance(40) { line.option("REV") } else { line }];
    }
    let line = line.arg(bound(g)).arg(bound(g)).option("BYSCORE");
    let line = if g.rng.chance(40) { line.option("REV") } else { line };
    vec![if g.rng.chance(40) { limited(g, line) } else { line }]
}

fn pop(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["ZPOPMIN", "ZPOPMAX"]);
    let line = Line::new(name).arg(g.key());
    if g.rng.chance(50) {
        return vec![line];
    }
    let count = g.one_of(&["0", "1", "2", "10", "1000", "-1", "abc"]);
    vec![line.arg(count)]
}

fn pop_from_some(g: &mut Grammar) -> Vec<Line> {
    vec![from_some(g, Line::new("ZMPOP"))]
}

/// The keys, the side and the count of ZMPOP and BZMPOP.
fn from_some(g: &mut Grammar, line: Line) -> Line {
    let line = counted_keys(g, line);
    let side = g.one_of(&["MIN", "MAX"]);
    let line = line.option(side);
    if g.rng.chance(50) {
        let count = g.one_of(&["1", "2", "10", "1000", "0", "abc"]);
        return line.option("COUNT").arg(count);
    }
    line
}

/// Some keys preceded by their number, which is rarely wrong.
fn counted_keys(g: &mut Grammar, line: Line) -> Line {
    let keys = g.some_keys();
    let count = if g.rng.chance(92) { keys.len() } else { g.rng.below(6) };
    line.arg(count.to_string()).args(&keys)
}

/// Always with a short timeout, since nobody would serve the client.
fn block(g: &mut Grammar) -> Vec<Line> {
    let timeout = g.one_of(&["0.001", "0.001", "0.001", "1e-3", "-1", "abc", "inf", "1e300"]);
    vec![match g.rng.below(3) {
        0 => Line::new("BZPOPMIN").args(&g.some_keys()).arg(timeout),
        1 => Line::new("BZPOPMAX").args(&g.some_keys()).arg(timeout),
        _ => from_some(g, Line::new("BZMPOP").arg(timeout)),
    }]
}

fn combine(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"]);
    let line = counted_keys(g, Line::new(name));
    if name == "ZINTERCARD" {
        let limit = g.one_of(&["0", "1", "2", "100", "-1", "abc"]);
        return vec![if g.rng.chance(50) { line.option("LIMIT").arg(limit) } else { line }];
    }
    let line = weighted(g, name, line);
    vec![if g.rng.chance(60) { line.option("WITHSCORES") } else { line }]
}

fn combine_store(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
    let line = Line::new(name).arg(g.key());
    let line = counted_keys(g, line);
    vec![weighted(g, name, line)]
}

fn weighted(g: &mut Grammar, name: &'static str, mut line: Line) -> Line {
    if name.starts_with("ZDIFF") && g.rng.chance(95) {
        return line;
    }
    let first = if name.ends_with("STORE") { 3 } else { 2 };
    let keys = line.args.len() - first;
    if g.rng.chance(30) {
        line = line.option("WEIGHTS");
        for _ in 0..keys {
            let weight = g.one_of(&["1", "2", "-1", "0.5", "0", "3", "inf", "abc"]);
            line = line.arg(if g.rng.chance(30) { "1" } else { weight });
        }
    }
    if g.rng.chance(30) {
        let how = g.one_of(&["SUM", "MIN", "MAX", "FOO"]);
        line = line.option("AGGREGATE").arg(how);
    }
    line
}

/// Keys of their own, whose members have equal scores.
fn lex(g: &mut Grammar) -> Vec<Line> {
    let key = g.one_of(&["x0", "x1"]);
    let (from, to) = (lex_bound(g), lex_bound(g));
    vec![match g.rng.below(9) {
        0..=2 => {
            let mut line = Line::new("ZADD").arg(key);
            for _ in 0..=g.rng.below(20) {
                line = line.arg("0").arg(lex_member(g));
            }
            Line { is_fixed: true, ..line }
        }
        3 => Line::new("ZLEXCOUNT").arg(key).arg(from).arg(to),
        4 => Line::new("ZREMRANGEBYLEX").arg(key).arg(from).arg(to),
        5 => lex_limit(g, Line::new("ZRANGEBYLEX").arg(key).arg(from).arg(to)),
        6 => lex_limit(g, Line::new("ZREVRANGEBYLEX").arg(key).arg(from).arg(to)),
        7 => lex_limit(g, Line::new("ZRANGE").arg(key).arg(from).arg(to).option("BYLEX")),
        _ => {
            let line = Line::new("ZRANGE").arg(key).arg(from).arg(to);
            lex_limit(g, line.option("REV").option("BYLEX"))
        }
    }]
}

fn lex_limit(g: &mut Grammar, line: Line) -> Line {
    if g.rng.chance(40) { limited(g, line) } else { line }
}

fn lex_member(g: &mut Grammar) -> Vec<u8> {
    let len = g.rng.below(4);
    (0..len).map(|_| *g.rng.pick(b"ab\x00\xff1")).collect()
}

fn lex_bound(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(10) {
        0 | 1 => b"-".to_vec(),
        2 | 3 => b"+".to_vec(),
        4 => g.one_of(&["", "a", "+a", "--", "(", "["]).into(),
        5 | 6 => [b"(", &lex_member(g)[..]].concat(),
        _ => [b"[", &lex_member(g)[..]].concat(),
    }
}

fn limit(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["zset-max-listpack-entries", "zset-max-ziplist-value"]);
    let limit = g.one_of(&["128", "64", "4", "0", "1"]);
    vec![Line::new("CONFIG SET").arg(name).arg(limit)]
}
