//! Hashes whose fields expire: the commands that set, read and remove the expiries, among the
//! others of the hash group.
//!
//! The forks differ in errors, options, events of what expires at once, and encodings, so a stream
//! for Redis 8 has valid commands with times ahead alone.

use super::hash::{self, field, fields};
use super::{Compare, Grammar, Line, Rule, Unit};

pub(super) const RULES: &[Rule] = &[
    hash::set,
    hash::set,
    hash::set,
    hash::set_once,
    hash::remove,
    hash::get,
    hash::all,
    hash::measure,
    hash::add,
    hash::add,
    hash::add_float,
    hash::draw,
    hash::scan,
    expire,
    expire,
    expire,
    expire,
    ask,
    ask,
    ask,
    persist,
    get_and_expire,
    get_and_expire,
    set_and_expire,
    set_and_expire,
    set_and_expire,
    take,
    key_command,
];

const COMMANDS: [(&str, Unit); 4] = [
    ("HEXPIRE", Unit::Seconds),
    ("HPEXPIRE", Unit::Millis),
    ("HEXPIREAT", Unit::UnixSeconds),
    ("HPEXPIREAT", Unit::UnixMillis),
];

const OPTIONS: [(&str, Unit); 4] = [
    ("EX", Unit::Seconds),
    ("PX", Unit::Millis),
    ("EXAT", Unit::UnixSeconds),
    ("PXAT", Unit::UnixMillis),
];

fn moment(g: &mut Grammar, unit: Unit) -> Vec<u8> {
    if g.is_redis_8() { g.future(unit) } else { g.moment(unit) }
}

/// Adds `FIELDS numfields field [field ...]`; for Redis 8 the line is not mutated.
fn with_fields(g: &mut Grammar, line: Line) -> Vec<Line> {
    let fields = fields(g, 5);
    let count = match g.rng.below(40) {
        0 if !g.is_redis_8() => g.one_of(&["0", "-1", "x", "99", "", "+1"]).to_owned(),
        _ => fields.len().to_string(),
    };
    vec![settle(g, line.option("FIELDS").arg(count).args(&fields))]
}

fn settle(g: &Grammar, line: Line) -> Line {
    if g.is_redis_8() { line.fixed() } else { line }
}

fn expire(g: &mut Grammar) -> Vec<Line> {
    let (name, unit) = *g.rng.pick(&COMMANDS);
    let line = Line::new(name).arg(g.key());
    let line = line.arg(moment(g, unit));
    let line = match g.rng.below(12) {
        0..=3 => line,
        4 | 5 => line.option("NX"),
        6 => line.option("XX"),
        7 | 8 => line.option("GT"),
        9 | 10 => line.option("LT"),
        _ if g.is_redis_8() => line,
        _ => {
            let both = *g.rng.pick(&[["NX", "GT"], ["GT", "LT"], ["XX", "GT"], ["AB", "NX"]]);
            line.args(&both).note("two conditions")
        }
    };
    with_fields(g, line)
}

fn ask(g: &mut Grammar) -> Vec<Line> {
    let (name, rule) = *g.rng.pick(&[
        ("HTTL", Compare::Seconds),
        ("HPTTL", Compare::Millis),
        ("HEXPIRETIME", Compare::Seconds),
        ("HPEXPIRETIME", Compare::Millis),
    ]);
    let line = Line::new(name).arg(g.key()).by(rule);
    with_fields(g, line)
}

fn persist(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("HPERSIST").arg(g.key());
    with_fields(g, line)
}

fn get_and_expire(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let line = Line::new("HGETEX").arg(&key);
    let (option, unit) = *g.rng.pick(&OPTIONS);
    let line = match g.rng.below(8) {
        0 => line,
        1 | 2 => line.option("PERSIST"),
        3 if !g.is_redis_8() => line.arg("KEEPTTL").note("!option"),
        _ => {
            let at = moment(g, unit);
            line.option(option).arg(at)
        }
    };
    let mut lines = with_fields(g, line);
    if g.is_redis_8() {
        // Valkey reports a key that it misses.
        lines.insert(0, Line::new("HSET").arg(key).arg("f1").arg("v").fixed());
    }
    lines
}

fn set_and_expire(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("HSETEX").arg(g.key());
    if !g.is_redis_8() && g.rng.chance(20) {
        line = line.option(g.one_of(&["NX", "XX"]));
    }
    if g.rng.chance(25) {
        line = line.option(g.one_of(&["FNX", "FXX"]));
    }
    let (option, unit) = *g.rng.pick(&OPTIONS);
    line = match g.rng.below(8) {
        0 => line,
        1 | 2 => line.option("KEEPTTL"),
        3 if !g.is_redis_8() => line.arg("PERSIST").note("!option"),
        _ => {
            let at = moment(g, unit);
            line.option(option).arg(at)
        }
    };
    let fields = fields(g, 4);
    line = line.option("FIELDS").arg(fields.len().to_string());
    for field in fields {
        let value = g.value();
        line = line.arg(field).arg(value);
    }
    vec![settle(g, line)]
}

fn take(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("HGETDEL").arg(g.key());
    with_fields(g, line)
}

/// Commands on the whole hash keep the expiries of its fields.
fn key_command(g: &mut Grammar) -> Vec<Line> {
    let (key, other) = (g.key(), g.key());
    let mut lines = vec![match g.rng.below(5) {
        0 => Line::new("COPY").arg(&key).arg(&other).option("REPLACE"),
        1 => Line::new("RENAME").arg(&key).arg(&other),
        2 if !g.is_redis_8() => Line::new("OBJECT ENCODING").arg(&other),
        3 => Line::new("PERSIST").arg(&other),
        _ => Line::new("DEL").arg(&key),
    }];
    let name = field(g);
    let line = Line::new("HPEXPIRETIME").arg(other).arg("FIELDS").arg("1").arg(name);
    lines.push(line.by(Compare::Millis).fixed());
    lines
}
