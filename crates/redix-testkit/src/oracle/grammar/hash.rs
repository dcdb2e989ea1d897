//! The commands of the hash group.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    set, set, set, set, set, set, set_many, set_once, set_once, remove, remove, remove, get, get,
    get, all, all, measure, measure, add, add, add, add_float, add_float, draw, draw, scan, limit,
    encoding,
];

/// A field: one of few, so that they repeat, or any value.
pub(super) fn field(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(20) {
        0..=4 => g.rng.below(8).to_string().into_bytes(),
        5..=14 => format!("f{}", g.rng.below(8)).into_bytes(),
        _ => g.value(),
    }
}

pub(super) fn fields(g: &mut Grammar, max: usize) -> Vec<Vec<u8>> {
    (0..=g.rng.below(max)).map(|_| field(g)).collect()
}

pub(super) fn set(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new(g.one_of(&["HSET", "HSET", "HMSET"])).arg(g.key());
    for field in fields(g, 4) {
        let value = g.value();
        line = line.arg(field).arg(value);
    }
    vec![line]
}

/// Enough fields to exceed the limits of a listpack.
fn set_many(g: &mut Grammar) -> Vec<Line> {
    let (from, len) = (g.rng.between(-2000, 2000), *g.rng.pick(&[100, 510, 513, 600]));
    let prefix = g.one_of(&["", "f"]);
    let pairs = (from..from + len).flat_map(|id| [format!("{prefix}{id}"), id.to_string()]);
    vec![Line::new("HSET").arg(g.key()).args(&pairs.collect::<Vec<_>>())]
}

pub(super) fn set_once(g: &mut Grammar) -> Vec<Line> {
    let (key, field, value) = (g.key(), field(g), g.value());
    vec![Line::new("HSETNX").arg(key).arg(field).arg(value)]
}

pub(super) fn remove(g: &mut Grammar) -> Vec<Line> {
    let (key, fields) = (g.key(), fields(g, 5));
    vec![Line::new("HDEL").arg(key).args(&fields)]
}

pub(super) fn get(g: &mut Grammar) -> Vec<Line> {
    let (key, fields) = (g.key(), fields(g, 4));
    vec![match g.rng.below(3) {
        0 => Line::new("HGET").arg(key).arg(&fields[0]),
        _ => Line::new("HMGET").arg(key).args(&fields),
    }]
}

pub(super) fn all(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(3) {
        0 => Line::new("HGETALL").arg(key).by(Compare::Pairs),
        1 => Line::new("HKEYS").arg(key).by(Compare::Unordered),
        _ => Line::new("HVALS").arg(key).by(Compare::Unordered),
    }]
}

pub(super) fn measure(g: &mut Grammar) -> Vec<Line> {
    let (key, field) = (g.key(), field(g));
    vec![match g.rng.below(3) {
        0 => Line::new("HLEN").arg(key),
        1 => Line::new("HSTRLEN").arg(key).arg(field),
        _ => Line::new("HEXISTS").arg(key).arg(field),
    }]
}

pub(super) fn add(g: &mut Grammar) -> Vec<Line> {
    let (key, field, increment) = (g.key(), field(g), g.integer());
    vec![Line::new("HINCRBY").arg(key).arg(field).arg(increment)]
}

pub(super) fn add_float(g: &mut Grammar) -> Vec<Line> {
    let (key, field, increment) = (g.key(), field(g), g.float());
    vec![Line::new("HINCRBYFLOAT").arg(key).arg(field).arg(increment)]
}

pub(super) fn draw(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("HRANDFIELD").arg(g.key());
    line = match g.rng.below(4) {
        0 => line.by(Compare::TypeOnly),
        1 => line.arg("100000").by(Compare::Unordered),
        2 => line.arg(g.one_of(&["x", "1.5", "9223372036854775808", "-9223372036854775808", ""])),
        _ => line.arg(g.rng.between(-30, 700).to_string()).by(Compare::Count),
    };
    if line.args.len() == 3 && g.rng.chance(40) {
        line = line.option("WITHVALUES");
        // Under RESP3 each pair is an array.
        if line.compare == Compare::Unordered && g.traits.proto == 2 {
            line.compare = Compare::Pairs;
        }
    }
    vec![line.fixed()]
}

pub(super) fn scan(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("HSCAN").arg(g.key()).arg("0").by(Compare::Scan);
    if g.rng.chance(40) {
        line = line.option("MATCH").arg(g.one_of(&["*", "f*", "[0-5]", "?", "x"]));
    }
    if g.rng.chance(40) {
        line = line.option("COUNT").arg(g.one_of(&["1", "10", "1000", "0", "x"]));
    }
    if g.has_7_2() && g.rng.chance(20) {
        line = line.option("NOVALUES");
    }
    vec![line]
}

/// Other limits for a while: values created meanwhile keep their encoding.
fn limit(g: &mut Grammar) -> Vec<Line> {
    let (name, values): (_, &[&'static str]) = match g.rng.below(2) {
        0 => ("hash-max-listpack-entries", &["0", "2", "10", "512", "512"]),
        _ => ("hash-max-listpack-value", &["0", "1", "10", "64", "64"]),
    };
    let value = g.one_of(values);
    vec![Line::new("CONFIG SET").arg(name).arg(value)]
}

fn encoding(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("OBJECT ENCODING").arg(g.key())]
}
