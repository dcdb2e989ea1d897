//! The commands of the set group.
//!
//! Random draws leave two servers with different sets, so such a command is followed by one that
//! makes them equal again.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    add, add, add, add, add, add_many, add_many, remove, remove, remove, contains, contains, read,
    read, shift, shift, combine, combine, combine, store, store, store, count, pop, pop_all, draw,
    draw, scan, limit, encoding,
];

/// A member: one of few, so that they repeat, or any value.
fn member(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(20) {
        0..=7 => g.rng.below(12).to_string().into_bytes(),
        8..=12 => format!("m{}", g.rng.below(8)).into_bytes(),
        _ => g.value(),
    }
}

fn members(g: &mut Grammar, max: usize) -> Vec<Vec<u8>> {
    (0..=g.rng.below(max)).map(|_| member(g)).collect()
}

pub(super) fn add(g: &mut Grammar) -> Vec<Line> {
    let members = members(g, 5);
    vec![Line::new("SADD").arg(g.key()).args(&members)]
}

/// Enough members to exceed the limits of the compact encodings.
fn add_many(g: &mut Grammar) -> Vec<Line> {
    let (from, len) = (g.rng.between(-40_000, 40_000), *g.rng.pick(&[100, 130, 500, 520]));
    let prefix = g.one_of(&["", "", "m"]);
    let members: Vec<String> = (from..from + len).map(|int| format!("{prefix}{int}")).collect();
    vec![Line::new("SADD").arg(g.key()).args(&members)]
}

fn remove(g: &mut Grammar) -> Vec<Line> {
    let members = members(g, 4);
    vec![Line::new("SREM").arg(g.key()).args(&members)]
}

fn contains(g: &mut Grammar) -> Vec<Line> {
    let (key, members) = (g.key(), members(g, 4));
    vec![match g.rng.below(2) {
        0 => Line::new("SISMEMBER").arg(key).arg(&members[0]),
        _ => Line::new("SMISMEMBER").arg(key).args(&members),
    }]
}

fn read(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(2) {
        0 => Line::new("SCARD").arg(key),
        _ => Line::new("SMEMBERS").arg(key).by(Compare::Unordered),
    }]
}

fn shift(g: &mut Grammar) -> Vec<Line> {
    let (from, to, member) = (g.key(), g.key(), member(g));
    vec![Line::new("SMOVE").arg(from).arg(to).arg(member)]
}

fn combine(g: &mut Grammar) -> Vec<Line> {
    let (name, keys) = (g.one_of(&["SINTER", "SUNION", "SDIFF"]), g.some_keys());
    vec![Line::new(name).args(&keys).by(Compare::Unordered)]
}

fn store(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
    let (to, keys) = (g.key(), g.some_keys());
    vec![Line::new(name).arg(to).args(&keys)]
}

fn count(g: &mut Grammar) -> Vec<Line> {
    let keys = g.some_keys();
    let count = if g.rng.chance(90) { keys.len() } else { g.rng.below(6) };
    let line = Line::new("SINTERCARD").arg(count.to_string()).args(&keys);
    vec![match g.rng.below(4) {
        0 => {
            let limit = g.index();
            line.option("LIMIT").arg(limit)
        }
        1 => line.option("LIMIT").arg(g.one_of(&["0", "1", "2", "-1", "x"])),
        _ => line,
    }]
}

/// Pops members, then deletes the key.
fn pop(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let line = match g.rng.below(3) {
        0 => Line::new("SPOP").arg(&key).by(Compare::TypeOnly),
        _ => {
            let count = g.rng.below(500).to_string();
            Line::new("SPOP").arg(&key).arg(count).by(Compare::Count)
        }
    };
    vec![line.fixed(), Line::new("DEL").arg(key).fixed()]
}

fn pop_all(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let count = g.one_of(&["100000", "9223372036854775807", "0", "-1", "x"]);
    vec![Line::new("SPOP").arg(key).arg(count).by(Compare::Unordered).fixed()]
}

fn draw(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("SRANDMEMBER").arg(g.key());
    let line = match g.rng.below(4) {
        0 => line.by(Compare::TypeOnly),
        1 => line.arg("100000").by(Compare::Unordered),
        2 => line.arg(g.one_of(&["x", "1.5", "9223372036854775808", ""])),
        _ => line.arg(g.rng.between(-30, 600).to_string()).by(Compare::Count),
    };
    vec![line.fixed()]
}

fn scan(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("SSCAN").arg(g.key()).arg("0").by(Compare::Scan);
    if g.rng.chance(40) {
        line = line.option("MATCH").arg(g.one_of(&["*", "m*", "[0-5]", "?", "x"]));
    }
    if g.rng.chance(40) {
        line = line.option("COUNT").arg(g.one_of(&["1", "10", "1000", "0", "x"]));
    }
    vec![line]
}

/// Other limits for a while: values created meanwhile keep their encoding. Intsets must not be the
/// smaller of the compact encodings: then the encoding of a set made from a table depends on its
/// order.
fn limit(g: &mut Grammar) -> Vec<Line> {
    let (name, values): (_, &[&'static str]) = match g.rng.below(3) {
        0 => ("set-max-intset-entries", &["128", "200", "512", "512"]),
        1 => ("set-max-listpack-entries", &["0", "2", "10", "128", "128"]),
        _ => ("set-max-listpack-value", &["0", "1", "10", "64", "64"]),
    };
    let value = g.one_of(values);
    vec![Line::new("CONFIG SET").arg(name).arg(value)]
}

fn encoding(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("OBJECT ENCODING").arg(g.key())]
}
