//! The commands of the list group.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    push,
    push,
    push,
    push,
    push_many,
    push_existing,
    pop,
    pop,
    pop_many,
    read,
    read,
    read,
    position,
    position,
    insert,
    insert,
    set,
    set,
    remove,
    trim,
    shift,
    shift,
    pop_from_some,
    block,
    block,
    block_pop_from_some,
    limit,
    encoding,
];

/// An element: one of few, so that they repeat, or any value, or one that fills a node alone.
fn element(g: &mut Grammar) -> Vec<u8> {
    const LENGTHS: [usize; 8] = [1000, 2000, 4087, 4096, 4097, 8184, 8192, 8193];
    match g.rng.below(20) {
        0..=9 => g.rng.below(6).to_string().into_bytes(),
        10..=18 => g.value(),
        _ => {
            let len = *g.rng.pick(&LENGTHS);
            vec![b'x'; len]
        }
    }
}

fn elements(g: &mut Grammar, max: usize) -> Vec<Vec<u8>> {
    (0..=g.rng.below(max)).map(|_| element(g)).collect()
}

pub(super) fn push(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["LPUSH", "RPUSH"]);
    let elements = elements(g, 4);
    vec![Line::new(name).arg(g.key()).args(&elements)]
}

/// Enough elements for several nodes.
fn push_many(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["LPUSH", "RPUSH"]);
    let elements = elements(g, 150);
    vec![Line::new(name).arg(g.key()).args(&elements)]
}

fn push_existing(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["LPUSHX", "RPUSHX"]);
    let elements = elements(g, 3);
    vec![Line::new(name).arg(g.key()).args(&elements)]
}

fn pop(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["LPOP", "RPOP"]);
    vec![Line::new(name).arg(g.key())]
}

fn pop_many(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["LPOP", "RPOP"]);
    let count = match g.rng.below(10) {
        0 => g.integer(),
        1 => g.rng.below(200).to_string().into_bytes(),
        _ => g.rng.below(12).to_string().into_bytes(),
    };
    vec![Line::new(name).arg(g.key()).arg(count)]
}

fn read(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(3) {
        0 => Line::new("LLEN").arg(g.key()),
        1 => Line::new("LINDEX").arg(g.key()).arg(g.index()),
        _ => Line::new("LRANGE").arg(g.key()).arg(g.index()).arg(g.index()),
    }]
}

fn position(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("LPOS").arg(g.key()).arg(element(g));
    if g.rng.chance(40) {
        let rank = g.one_of(&["1", "2", "-1", "-2", "3", "0", "abc", "-9223372036854775808"]);
        line = line.option("RANK").arg(rank);
    }
    if g.rng.chance(40) {
        let count = g.one_of(&["0", "1", "2", "100", "-1", "abc"]);
        line = line.option("COUNT").arg(count);
    }
    if g.rng.chance(30) {
        let most = g.one_of(&["0", "1", "5", "1000", "-1", "abc"]);
        line = line.option("MAXLEN").arg(most);
    }
    vec![line]
}

fn insert(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let pivot = if g.rng.chance(70) { g.rng.below(6).to_string().into_bytes() } else { element(g) };
    let side = g.one_of(&["BEFORE", "AFTER"]);
    vec![Line::new("LINSERT").arg(key).option(side).arg(pivot).arg(element(g))]
}

fn set(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("LSET").arg(g.key()).arg(g.index()).arg(element(g))]
}

fn remove(g: &mut Grammar) -> Vec<Line> {
    let count = g.one_of(&["0", "1", "-1", "2", "-3", "100", "abc", "-9223372036854775808"]);
    vec![Line::new("LREM").arg(g.key()).arg(count).arg(element(g))]
}

fn trim(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("LTRIM").arg(g.key()).arg(g.index()).arg(g.index())]
}

fn end(g: &mut Grammar) -> &'static str {
    g.one_of(&["LEFT", "RIGHT"])
}

fn shift(g: &mut Grammar) -> Vec<Line> {
    let (from, to) = (g.key(), g.key());
    if g.rng.chance(40) {
        return vec![Line::new("RPOPLPUSH").arg(from).arg(to)];
    }
    let (out, into) = (end(g), end(g));
    vec![Line::new("LMOVE").arg(from).arg(to).option(out).option(into)]
}

fn pop_from_some(g: &mut Grammar) -> Vec<Line> {
    vec![from_some(g, Line::new("LMPOP"))]
}

/// The keys, the end and the count of LMPOP and BLMPOP.
fn from_some(g: &mut Grammar, line: Line) -> Line {
    let keys = g.some_keys();
    let count = if g.rng.chance(90) { keys.len() } else { g.rng.below(6) };
    let end = end(g);
    let line = line.arg(count.to_string()).args(&keys).option(end);
    if g.rng.chance(50) {
        let count = g.one_of(&["1", "2", "10", "1000", "0", "abc"]);
        return line.option("COUNT").arg(count);
    }
    line
}

/// A timeout: always short, since nobody would serve the client.
fn timeout(g: &mut Grammar) -> &'static str {
    g.one_of(&["0.001", "0.001", "0.001", "1e-3", "-1", "abc", "inf", "1e300"])
}

fn block(g: &mut Grammar) -> Vec<Line> {
    let timeout = timeout(g);
    vec![match g.rng.below(4) {
        0 => Line::new("BLPOP").args(&g.some_keys()).arg(timeout),
        1 => Line::new("BRPOP").args(&g.some_keys()).arg(timeout),
        2 => Line::new("BRPOPLPUSH").arg(g.key()).arg(g.key()).arg(timeout),
        _ => {
            let (out, into) = (end(g), end(g));
            let line = Line::new("BLMOVE").arg(g.key()).arg(g.key());
            line.option(out).option(into).arg(timeout)
        }
    }]
}

fn block_pop_from_some(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("BLMPOP").arg(timeout(g));
    vec![from_some(g, line)]
}

fn limit(g: &mut Grammar) -> Vec<Line> {
    let limit = g.one_of(&["-1", "-2", "-2", "-5", "1", "4", "128", "0"]);
    vec![Line::new("CONFIG SET").arg("list-max-listpack-size").arg(limit)]
}

fn encoding(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![Line::new("OBJECT ENCODING").arg(&key), Line::new("DUMP").arg(key).by(Compare::Dump)]
}
