//! The commands of the string group.

use super::{Grammar, Line, Rule, Unit};

pub(super) const RULES: &[Rule] = &[
    set,
    set,
    set,
    set,
    read,
    read,
    read,
    getex,
    range,
    setrange,
    count,
    count,
    count,
    count_float,
    count_float,
    append,
    mget,
    mset,
    msetnx,
    setnx,
    set_with_expiry,
    lcs,
    delete_if,
    mset_with_expiry,
];

/// DELIFEQ, which only Valkey has.
fn delete_if(g: &mut Grammar) -> Vec<Line> {
    if !g.is_valkey() {
        return read(g);
    }
    let (key, value) = (g.key(), g.value());
    let line = Line::new("DELIFEQ").arg(&key).arg(&value);
    let set = Line::new("SET").arg(key).arg(value);
    if g.rng.chance(50) { vec![set, line] } else { vec![line] }
}

/// MSETEX, which only Valkey has.
fn mset_with_expiry(g: &mut Grammar) -> Vec<Line> {
    if !g.is_valkey() {
        return mset(g);
    }
    let keys = g.some_keys();
    let count = if g.rng.chance(90) { keys.len() } else { g.rng.below(6) };
    let mut line = Line::new("MSETEX").arg(count.to_string());
    for key in keys {
        line = line.arg(key).arg(g.value());
    }
    if g.rng.chance(40) {
        let condition = g.one_of(&["NX", "XX"]);
        line = line.option(condition);
    }
    vec![match g.rng.below(8) {
        0 => line.option("EX").arg(g.future(Unit::Seconds)),
        1 => line.option("PX").arg(g.future(Unit::Millis)),
        2 => line.option("EXAT").arg(g.future(Unit::UnixSeconds)),
        3 => line.option("PXAT").arg(g.future(Unit::UnixMillis)),
        4 => line.option("KEEPTTL"),
        5 => {
            let wrong = g.one_of(&["0", "-1", "abc", "9223372036854775807"]);
            line.arg("EX").arg(wrong).note("!expiry")
        }
        _ => line,
    }]
}

/// Options that belong together, some with a value.
type Options = Vec<(&'static str, Option<Vec<u8>>)>;

pub(super) fn set(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let value = g.value();
    let mut groups: Vec<Options> = Vec::new();
    if g.rng.chance(35) {
        groups.push(set_condition(g));
    }
    if g.rng.chance(20) {
        groups.push(vec![("GET", None)]);
    }
    if g.rng.chance(45) {
        groups.push(set_expiry(g));
    }
    g.rng.shuffle(&mut groups);
    let mut lines = Vec::new();
    let compared = groups.iter().flatten().find(|(option, _)| *option == "IFEQ");
    if let Some((_, Some(value))) = compared
        && g.rng.chance(50)
    {
        lines.push(Line::new("SET").arg(&key).arg(value));
    }
    let mut line = Line::new("SET").arg(&key).arg(value);
    for (option, value) in groups.into_iter().flatten() {
        line = line.option(option);
        if let Some(value) = value {
            line = line.arg(value);
        }
    }
    lines.extend(g.settled(line, &key));
    lines
}

fn set_condition(g: &mut Grammar) -> Options {
    match g.rng.below(21) {
        0..=8 => vec![("NX", None)],
        9..=16 => vec![("XX", None)],
        17..=19 if g.is_valkey() => vec![("IFEQ", Some(g.value()))],
        20 if g.is_valkey() => vec![("IFEQ", Some(b"a".to_vec())), ("XX", None)],
        _ => vec![("NX", None), ("XX", None)],
    }
}

fn set_expiry(g: &mut Grammar) -> Options {
    match g.rng.below(21) {
        0..=4 => vec![("EX", Some(g.moment(Unit::Seconds)))],
        5..=8 => vec![("PX", Some(g.moment(Unit::Millis)))],
        9..=12 => vec![("EXAT", Some(g.moment(Unit::UnixSeconds)))],
        13..=16 => vec![("PXAT", Some(g.moment(Unit::UnixMillis)))],
        17..=19 => vec![("KEEPTTL", None)],
        _ => vec![("KEEPTTL", None), ("EX", Some(b"1000".to_vec()))],
    }
}

fn read(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let value = g.value();
    vec![match g.rng.below(10) {
        0..=5 => Line::new("GET").arg(key),
        6 => Line::new("GETDEL").arg(key),
        7 => Line::new("STRLEN").arg(key),
        _ => Line::new("GETSET").arg(key).arg(value),
    }]
}

fn getex(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let line = Line::new("GETEX").arg(&key);
    let line = match g.rng.below(13) {
        0 => line,
        1 | 2 => line.option("EX").arg(g.moment(Unit::Seconds)),
        3 | 4 => line.option("PX").arg(g.moment(Unit::Millis)),
        5 | 6 => line.option("EXAT").arg(g.moment(Unit::UnixSeconds)),
        7 | 8 => line.option("PXAT").arg(g.moment(Unit::UnixMillis)),
        9..=11 => line.option("PERSIST"),
        _ => line.note("!conflict").arg("PERSIST").arg("EX").arg("1000"),
    };
    g.settled(line, &key)
}

fn range(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["GETRANGE", "SUBSTR"]);
    vec![Line::new(name).arg(g.key()).arg(g.index()).arg(g.index())]
}

fn setrange(g: &mut Grammar) -> Vec<Line> {
    let offset = match g.rng.below(12) {
        0 => g.one_of(&["-1", "536870912", "536870910", "9223372036854775807", "abc"]).into(),
        _ => g.rng.between(0, 100).to_string().into_bytes(),
    };
    // Just below the limit this would create a string of half a gigabyte.
    let value = if offset == b"536870910" { b"abcd".to_vec() } else { g.value() };
    vec![Line::new("SETRANGE").arg(g.key()).arg(offset).arg(value)]
}

fn count(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let mut lines = Vec::new();
    if g.rng.chance(40) {
        lines.push(Line::new("SET").arg(&key).arg(g.integer()));
    }
    lines.push(match g.rng.below(6) {
        0 => Line::new("INCR").arg(key),
        1 => Line::new("DECR").arg(key),
        2 | 3 => Line::new("INCRBY").arg(key).arg(g.integer()),
        _ => Line::new("DECRBY").arg(key).arg(g.integer()),
    });
    lines
}

fn count_float(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let mut lines = Vec::new();
    if g.rng.chance(50) {
        lines.push(Line::new("SET").arg(&key).arg(g.float()));
    }
    lines.push(Line::new("INCRBYFLOAT").arg(key).arg(g.float()));
    lines
}

fn append(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("APPEND").arg(g.key()).arg(g.value())]
}

fn mget(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("MGET").args(&g.some_keys())]
}

fn mset(g: &mut Grammar) -> Vec<Line> {
    vec![pairs(g, Line::new("MSET"))]
}

fn msetnx(g: &mut Grammar) -> Vec<Line> {
    let mut lines = vec![pairs(g, Line::new("MSETNX"))];
    if g.rng.chance(50) {
        lines.insert(0, Line::new("DEL").args(&g.some_keys()));
    }
    lines
}

fn pairs(g: &mut Grammar, mut line: Line) -> Line {
    for key in g.some_keys() {
        line = line.arg(key).arg(g.value());
    }
    line
}

fn setnx(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("SETNX").arg(g.key()).arg(g.value())]
}

fn set_with_expiry(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let line = match g.rng.below(2) {
        0 => Line::new("SETEX").arg(&key).arg(g.moment(Unit::Seconds)),
        _ => Line::new("PSETEX").arg(&key).arg(g.moment(Unit::Millis)),
    };
    let line = line.arg(g.value());
    g.settled(line, &key)
}

/// On keys of its own, because its cost is the product of the lengths.
fn lcs(g: &mut Grammar) -> Vec<Line> {
    let mut lines = Vec::new();
    for key in ["l0", "l1"] {
        if g.rng.chance(70) {
            let len = g.rng.below(40);
            let text: Vec<u8> = (0..len).map(|_| *g.rng.pick(b"abcd")).collect();
            lines.push(Line::new("SET").arg(key).arg(text));
        }
    }
    let keys = *g.rng.pick(&[["l0", "l1"], ["l1", "l0"], ["l0", "l0"], ["l0", "none"]]);
    let mut line = Line::new("LCS").args(&keys);
    match g.rng.below(5) {
        0 => line = line.option("LEN"),
        1 => {}
        2 => line = line.arg("LEN").arg("IDX").note("!conflict"),
        _ => {
            line = line.option("IDX");
            if g.rng.chance(50) {
                line = line.option("MINMATCHLEN").arg(g.rng.between(-1, 5).to_string());
            }
            if g.rng.chance(50) {
                line = line.option("WITHMATCHLEN");
            }
        }
    }
    lines.push(line);
    lines
}
