//! The commands of the stream group.
//!
//! IDs ascend by a counter of the grammar's, so that most entries can be added whatever the key,
//! and do not depend on a clock.

use super::{Compare, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    add,
    add,
    add,
    add,
    add_many,
    add_and_trim,
    len,
    range,
    range,
    delete,
    trim,
    read,
    read,
    set_id,
    create_group,
    create_group,
    change_group,
    change_group,
    read_group,
    read_group,
    read_group,
    acknowledge,
    pending,
    claim,
    claim,
    auto_claim,
    info,
    info,
    limit,
    look,
];

/// Entries deleted with regard to the groups that refer to them, as Redis has it since 8.2; of the
/// rest what both forks agree on.
pub(super) const RULES_OF_REFERENCES: &[Rule] = &[
    add,
    add,
    add,
    add_many,
    len,
    range,
    delete,
    create_group,
    change_group,
    read_group,
    read_group,
    read_group,
    acknowledge,
    pending,
    claim,
    delete_by_reference,
    delete_by_reference,
    delete_by_reference,
    acknowledge_and_delete,
    acknowledge_and_delete,
    acknowledge_and_delete,
    trim_by_reference,
    trim_by_reference,
    limit,
];

/// Mostly one of three keys, so that readers meet groups.
fn key(g: &mut Grammar) -> Vec<u8> {
    if g.rng.chance(85) { g.one_of(&["k0", "k1", "k2"]).into() } else { g.key() }
}

/// The next ID, or some other.
fn new_id(g: &mut Grammar) -> Vec<u8> {
    g.last_ms += g.rng.below(3);
    let ms = g.last_ms;
    match g.rng.below(30) {
        0 => id(g),
        1 => g.one_of(&["0-0", "0-*", "x", "-", "5-x", "18446744073709551615-*"]).into(),
        2..6 => format!("{ms}-{}", g.rng.below(4)).into_bytes(),
        6..10 => ms.to_string().into_bytes(),
        _ => format!("{ms}-*").into_bytes(),
    }
}

/// The ID of an entry that may be there, rarely nothing like an ID.
fn id(g: &mut Grammar) -> Vec<u8> {
    const ODD: [&str; 12] = [
        "0",
        "0-0",
        "x",
        "-",
        "+",
        "$",
        "",
        "1-2-3",
        "007",
        "18446744073709551615",
        "18446744073709551615-18446744073709551615",
        "18446744073709551616",
    ];
    let ms = g.rng.below(g.last_ms + 2);
    match g.rng.below(20) {
        0 => (*g.rng.pick(&ODD)).into(),
        1..6 => format!("{ms}-{}", g.rng.below(4)).into_bytes(),
        _ => ms.to_string().into_bytes(),
    }
}

fn ids(g: &mut Grammar, max: usize) -> Vec<Vec<u8>> {
    (0..=g.rng.below(max)).map(|_| id(g)).collect()
}

/// An end of an interval.
fn bound(g: &mut Grammar, open: &'static str) -> Vec<u8> {
    match g.rng.below(4) {
        0 => open.into(),
        1 => [b"(".to_vec(), id(g)].concat(),
        _ => id(g),
    }
}

fn pairs(g: &mut Grammar) -> Vec<Vec<u8>> {
    let fields: &[&str] = match g.rng.below(6) {
        0 => &["b", "a"],
        1 => &["other"],
        2 => &["a", "12", "", "a"],
        _ => &["a", "b"],
    };
    fields.iter().flat_map(|field| [field.as_bytes().to_vec(), g.value()]).collect()
}

fn group(g: &mut Grammar) -> &'static str {
    g.one_of(&["g", "g", "g", "g", "g", "g", "h", ""])
}

fn consumer(g: &mut Grammar) -> &'static str {
    g.one_of(&["alice", "bob", "7"])
}

fn count(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(12) {
        0 => g.integer(),
        _ => (1 + g.rng.below(12)).to_string().into_bytes(),
    }
}

pub(super) fn add(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XADD").arg(key(g));
    if g.rng.chance(10) {
        line = line.option("NOMKSTREAM");
    }
    vec![line.arg(new_id(g)).args(&pairs(g))]
}

/// What makes a stream of several nodes.
fn add_many(g: &mut Grammar) -> Vec<Line> {
    let key = key(g);
    let lines = (0..g.rng.below(30)).map(|_| {
        g.last_ms += g.rng.below(2);
        let id = format!("{}-*", g.last_ms);
        Line::new("XADD").arg(&key).arg(id).args(&pairs(g))
    });
    lines.collect()
}

/// Puts the words of a trim behind a line.
fn trimming(g: &mut Grammar, line: Line) -> Line {
    let exact = g.rng.chance(60);
    let by_len = g.rng.chance(50);
    let mut line = line.option(if by_len { "MAXLEN" } else { "MINID" });
    if !exact {
        line = line.arg("~");
    } else if g.rng.chance(40) {
        line = line.arg("=");
    }
    line = if by_len { line.arg(count(g)) } else { line.arg(id(g)) };
    if !exact && g.rng.chance(40) {
        line = line.option("LIMIT").arg(count(g));
    }
    line
}

fn add_and_trim(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XADD").arg(key(g));
    vec![trimming(g, line).arg(new_id(g)).args(&pairs(g))]
}

fn trim(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XTRIM").arg(key(g));
    vec![trimming(g, line)]
}

fn len(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("XLEN").arg(key(g))]
}

fn range(g: &mut Grammar) -> Vec<Line> {
    let (key, start, end) = (key(g), bound(g, "-"), bound(g, "+"));
    let line = match g.rng.chance(50) {
        true => Line::new("XRANGE").arg(key).arg(start).arg(end),
        false => Line::new("XREVRANGE").arg(key).arg(end).arg(start),
    };
    vec![if g.rng.chance(40) { line.option("COUNT").arg(count(g)) } else { line }]
}

/// Adds a word that says what happens to what groups refer to.
fn references(g: &mut Grammar, line: Line) -> Line {
    line.option(g.one_of(&["KEEPREF", "DELREF", "ACKED", "ACKED"]))
}

fn delete(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("XDEL").arg(key(g)).args(&ids(g, 4))]
}

fn delete_by_reference(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XDELEX").arg(key(g));
    vec![by_reference(g, line)]
}

fn acknowledge_and_delete(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XACKDEL").arg(key(g)).arg(group(g));
    vec![by_reference(g, line)]
}

fn trim_by_reference(g: &mut Grammar) -> Vec<Line> {
    let adds = g.rng.chance(40);
    let line = Line::new(if adds { "XADD" } else { "XTRIM" }).arg(key(g));
    let line = references(g, line);
    let line = trimming(g, line);
    vec![if adds { line.arg(new_id(g)).args(&pairs(g)) } else { line }]
}

/// Adds the IDs of entries to be deleted, and what happens to what groups refer to.
fn by_reference(g: &mut Grammar, line: Line) -> Line {
    let line = if g.rng.chance(80) { references(g, line) } else { line };
    let ids = ids(g, 4);
    let count = match g.rng.below(20) {
        0 => g.integer(),
        _ => ids.len().to_string().into_bytes(),
    };
    line.option("IDS").arg(count).args(&ids)
}

fn set_id(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XSETID").arg(key(g));
    line = if g.rng.chance(50) { line.arg(g.last_ms.to_string()) } else { line.arg(id(g)) };
    if g.rng.chance(30) {
        line = line.option("ENTRIESADDED").arg(g.rng.below(500).to_string());
    }
    if g.rng.chance(30) {
        line = line.option("MAXDELETEDID").arg(id(g));
    }
    vec![line]
}

/// Adds `STREAMS` with keys, and an ID for each of which some are one of `special`.
fn streams(g: &mut Grammar, line: Line, special: &[&'static str]) -> Line {
    let keys: Vec<Vec<u8>> = (0..=g.rng.below(3)).map(|_| key(g)).collect();
    let mut line = line.option("STREAMS").args(&keys);
    for _ in &keys {
        line = match g.rng.chance(50) {
            true => line.arg(g.one_of(special)),
            false => line.arg(id(g)),
        };
    }
    line
}

fn read(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XREAD");
    if g.rng.chance(40) {
        line = line.option("COUNT").arg(count(g));
    }
    if g.rng.chance(10) {
        line = line.option("BLOCK").arg("1");
    }
    let special: &[&'static str] = if g.is_valkey() { &["0", "$", "+"] } else { &["0", "$"] };
    vec![streams(g, line, special)]
}

fn create_group(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XGROUP CREATE").arg(key(g)).arg(group(g));
    line = if g.rng.chance(60) { line.arg(g.one_of(&["0", "$"])) } else { line.arg(id(g)) };
    if g.rng.chance(40) {
        line = line.option("MKSTREAM");
    }
    // The forks reckon lags from it in different ways.
    if !g.is_redis_8() && g.rng.chance(20) {
        line = line.option("ENTRIESREAD").arg(g.index());
    }
    vec![line]
}

fn change_group(g: &mut Grammar) -> Vec<Line> {
    let (key, group) = (key(g), group(g));
    vec![match g.rng.below(8) {
        0..3 => {
            let line = Line::new("XGROUP SETID").arg(key).arg(group);
            let line = if g.rng.chance(40) { line.arg("0") } else { line.arg(id(g)) };
            match !g.is_redis_8() && g.rng.chance(30) {
                true => line.option("ENTRIESREAD").arg(g.index()),
                false => line,
            }
        }
        // Redis 8.2.3 goes on to heed what a group that was destroyed had yet to read.
        3 if !g.is_redis_8() => Line::new("XGROUP DESTROY").arg(key).arg(group),
        3..6 => Line::new("XGROUP CREATECONSUMER").arg(key).arg(group).arg(consumer(g)),
        _ => Line::new("XGROUP DELCONSUMER").arg(key).arg(group).arg(consumer(g)),
    }]
}

fn read_group(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XREADGROUP").option("GROUP").arg(group(g)).arg(consumer(g));
    if g.rng.chance(50) {
        line = line.option("COUNT").arg(count(g));
    }
    if g.rng.chance(10) {
        line = line.option("BLOCK").arg("1");
    }
    if g.rng.chance(20) {
        line = line.option("NOACK");
    }
    // Of several keys hardly ever all have the group.
    let key = key(g);
    let after = if g.rng.chance(70) { b">".to_vec() } else { id(g) };
    vec![match g.rng.chance(80) {
        true => line.option("STREAMS").arg(key).arg(after),
        false => streams(g, line, &[">", "0"]),
    }]
}

fn acknowledge(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("XACK").arg(key(g)).arg(group(g)).args(&ids(g, 5))]
}

fn pending(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("XPENDING").arg(key(g)).arg(group(g));
    if g.rng.chance(70) {
        if g.rng.chance(30) {
            line = line.option("IDLE").arg(g.one_of(&["0", "100000", "-1", "x"]));
        }
        line = line.arg(bound(g, "-")).arg(bound(g, "+")).arg(count(g));
        if g.rng.chance(40) {
            line = line.arg(consumer(g));
        }
    }
    vec![line.by(Compare::StreamTimes)]
}

fn claim(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XCLAIM").arg(key(g)).arg(group(g)).arg(consumer(g));
    let mut line = line.arg(g.one_of(&["0", "0", "0", "100000", "-1", "x"])).args(&ids(g, 4));
    for option in ["FORCE", "JUSTID"] {
        if g.rng.chance(25) {
            line = line.option(option);
        }
    }
    if g.rng.chance(20) {
        line = line.option("RETRYCOUNT").arg(g.index());
    }
    if g.rng.chance(15) {
        line = line.option("IDLE").arg(g.one_of(&["0", "100000", "-5", "x"]));
    }
    if g.rng.chance(15) {
        line = line.option("TIME").arg(g.one_of(&["0", "1600000000000", "-5", "x"]));
    }
    if g.rng.chance(15) {
        line = line.option("LASTID").arg(id(g));
    }
    vec![line]
}

fn auto_claim(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("XAUTOCLAIM").arg(key(g)).arg(group(g)).arg(consumer(g));
    let mut line = line.arg(g.one_of(&["0", "0", "100000", "x"])).arg(bound(g, "-"));
    if g.rng.chance(40) {
        line = line.option("COUNT").arg(count(g));
    }
    if g.rng.chance(25) {
        line = line.option("JUSTID");
    }
    vec![line]
}

fn info(g: &mut Grammar) -> Vec<Line> {
    let key = key(g);
    let line = match g.rng.below(4) {
        0 => Line::new("XINFO GROUPS").arg(key),
        1 => Line::new("XINFO CONSUMERS").arg(key).arg(group(g)),
        2 => Line::new("XINFO STREAM").arg(key),
        _ => {
            let line = Line::new("XINFO STREAM").arg(key).option("FULL");
            if g.rng.chance(50) { line.option("COUNT").arg(g.index()) } else { line }
        }
    };
    vec![line.by(Compare::StreamTimes)]
}

/// Other limits for a while: nodes that are there stay as they are.
fn limit(g: &mut Grammar) -> Vec<Line> {
    let (name, values): (_, &[&'static str]) = match g.rng.below(2) {
        0 => ("stream-node-max-bytes", &["0", "100", "1000", "4096", "4096"]),
        _ => ("stream-node-max-entries", &["0", "1", "5", "100", "100"]),
    };
    let value = g.one_of(values);
    vec![Line::new("CONFIG SET").arg(name).arg(value)]
}

fn look(g: &mut Grammar) -> Vec<Line> {
    let key = key(g);
    let mut lines =
        vec![Line::new("OBJECT ENCODING").arg(&key), Line::new("DUMP").arg(&key).by(Compare::Dump)];
    if g.rng.chance(20) {
        lines.push(Line::new("DEL").arg(key));
    }
    lines
}
