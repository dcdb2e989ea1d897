//! The commands of the geo group.
//!
//! Each member has a place of its own from which it never goes far, so that no two have one
//! distance from anything: which of them comes first then is not the same on all servers.

use super::{Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    add,
    add,
    add,
    add_many,
    distance,
    hash,
    position,
    search,
    search,
    search,
    search_store,
    radius,
    radius,
    by_member,
    score,
    other_type,
];

const MEMBERS: i64 = 400;

fn member(g: &mut Grammar) -> i64 {
    if g.rng.chance(50) { g.rng.between(0, 12) } else { g.rng.between(0, MEMBERS - 1) }
}

/// Longitude and latitude of a member: around Sicily, or anywhere; by some metres another one each
/// time.
fn place(g: &mut Grammar, member: i64) -> [String; 2] {
    let turn = |by: i64| ((member * by) % 9973) as f64 / 9973.0;
    let (longitude, latitude) = match member % 3 {
        0 => (turn(7919) * 360.0 - 180.0, turn(104_729) * 170.0 - 85.0),
        1 => (12.0 + turn(7919) * 4.0, 36.0 + turn(104_729) * 3.0),
        _ => (turn(7919) * 0.1, turn(104_729) * 0.1),
    };
    let near = g.rng.between(0, 9) as f64 * 1e-6;
    [format!("{:.7}", (longitude + near).min(180.0)), format!("{:.7}", latitude + near)]
}

/// A point to search from.
fn center(g: &mut Grammar) -> [String; 2] {
    if g.rng.chance(3) {
        let wrong = g.one_of(&["181", "-180.5", "x", "nan", "inf", "-inf", ""]);
        return [wrong.to_owned(), "37".to_owned()];
    }
    let member = member(g);
    let [longitude, latitude] = place(g, member);
    match g.rng.below(4) {
        0 => ["15".to_owned(), "37".to_owned()],
        1 => ["-179.9".to_owned(), g.one_of(&["84", "-84", "0", "67", "-81"]).to_owned()],
        _ => [longitude, latitude],
    }
}

/// A corner of a polygon. Those of one are not far from one another: the real servers do not find
/// their way where the mean of all lies beyond the last latitude.
fn vertex(g: &mut Grammar) -> [String; 2] {
    if g.rng.chance(1) {
        return ["15".to_owned(), "86".to_owned()];
    }
    let member = 3 * g.rng.between(0, MEMBERS / 3) + g.rng.between(1, 2);
    place(g, member)
}

fn name(member: i64) -> String {
    format!("m{member}")
}

fn length(g: &mut Grammar) -> String {
    match g.rng.below(24) {
        0 => g.one_of(&["-1", "x", "nan", "", "0", "inf", "1e300"]).to_owned(),
        1..=4 => g.rng.between(0, 20_000).to_string(),
        5..=9 => format!("{}.{:03}", g.rng.between(0, 20), g.rng.between(0, 999)),
        _ => g.rng.between(1, 1500).to_string(),
    }
}

fn unit(g: &mut Grammar) -> &'static str {
    if g.rng.chance(3) {
        return g.one_of(&["foo", "", "kms"]);
    }
    g.one_of(&["m", "km", "km", "KM", "ft", "mi", "Mi"])
}

fn add(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("GEOADD").arg(g.key());
    if g.rng.chance(20) {
        let condition = g.one_of(&["NX", "XX"]);
        line = line.option(condition);
    }
    if g.rng.chance(20) {
        line = line.option("CH");
    }
    for _ in 0..=g.rng.below(4) {
        let member = member(g);
        line = line.args(&place(g, member)).arg(name(member));
    }
    vec![line]
}

fn add_many(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("GEOADD").arg(g.key()).note("many");
    let first = g.rng.between(0, MEMBERS - 1);
    for member in first..MEMBERS.min(first + 150) {
        line = line.args(&place(g, member)).arg(name(member));
    }
    vec![line]
}

fn distance(g: &mut Grammar) -> Vec<Line> {
    let (a, b) = (name(member(g)), name(member(g)));
    let line = Line::new("GEODIST").arg(g.key()).arg(a).arg(b);
    vec![if g.rng.chance(60) { line.arg(unit(g)) } else { line }]
}

fn members(g: &mut Grammar, mut line: Line) -> Vec<Line> {
    for _ in 0..g.rng.below(5) {
        line = line.arg(name(member(g)));
    }
    vec![line]
}

fn hash(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("GEOHASH").arg(g.key());
    members(g, line)
}

fn position(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("GEOPOS").arg(g.key());
    members(g, line)
}

/// What is wanted of what is found.
fn wanted(g: &mut Grammar, mut line: Line, stores: bool) -> Line {
    for option in ["WITHDIST", "WITHHASH", "WITHCOORD"] {
        if stores && g.rng.chance(1) {
            line = line.arg(option).note("!with");
        } else if !stores && g.rng.chance(25) {
            line = line.option(option);
        }
    }
    if g.rng.chance(40) {
        let order = g.one_of(&["ASC", "DESC"]);
        line = line.option(order);
    }
    if g.rng.chance(40) {
        let count = match g.rng.below(12) {
            0 => g.one_of(&["0", "-1", "x", "9223372036854775808"]).to_owned(),
            _ => g.rng.between(1, 12).to_string(),
        };
        line = line.option("COUNT").arg(count);
        if g.rng.chance(40) {
            line = line.option("ANY");
        }
    }
    line
}

fn area(g: &mut Grammar, line: Line) -> Line {
    if g.is_valkey() && g.rng.chance(30) {
        let count = g.rng.between(3, 6);
        let line = line.option("BYPOLYGON").arg(count.to_string());
        return (0..count).fold(line, |line, _| line.args(&vertex(g)));
    }
    let line = match g.rng.below(2) {
        0 => line.option("FROMMEMBER").arg(name(member(g))),
        _ => line.option("FROMLONLAT").args(&center(g)),
    };
    match g.rng.below(2) {
        0 => line.option("BYRADIUS").arg(length(g)).arg(unit(g)),
        _ => line.option("BYBOX").arg(length(g)).arg(length(g)).arg(unit(g)),
    }
}

fn search(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("GEOSEARCH").arg(g.key());
    let line = area(g, line);
    vec![wanted(g, line, false)]
}

fn search_store(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("GEOSEARCHSTORE").arg(g.key()).arg(g.key());
    let line = area(g, line);
    let line = wanted(g, line, true);
    // The mean of a polygon's vertices is not the same to the last bit everywhere.
    let distances = !line.options.contains(&"BYPOLYGON") && g.rng.chance(15);
    vec![if distances { line.option("STOREDIST") } else { line }]
}

fn radius(g: &mut Grammar) -> Vec<Line> {
    let name = if g.rng.chance(75) { "GEORADIUS" } else { "GEORADIUS_RO" };
    let line = Line::new(name).arg(g.key()).args(&center(g)).arg(length(g)).arg(unit(g));
    vec![stored(g, line)]
}

fn by_member(g: &mut Grammar) -> Vec<Line> {
    let command = g.one_of(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]);
    let line = Line::new(command).arg(g.key()).arg(name(member(g))).arg(length(g)).arg(unit(g));
    vec![stored(g, line)]
}

fn stored(g: &mut Grammar, line: Line) -> Line {
    let stores = g.rng.chance(25);
    let line = wanted(g, line, stores);
    if !stores {
        return line;
    }
    let option = g.one_of(&["STORE", "STORE", "STOREDIST"]);
    match line.name {
        "GEORADIUS" | "GEORADIUSBYMEMBER" => line.option(option).arg(g.key()),
        _ => line.arg(option).arg(g.key()).note("!store"),
    }
}

/// Scores that are no positions.
fn score(g: &mut Grammar) -> Vec<Line> {
    let score = g.one_of(&["0", "-1", "1.5", "4503599627370496", "1e300", "-inf", "inf", "1e19"]);
    vec![Line::new("ZADD").arg(g.key()).arg(score).arg("other")]
}

fn other_type(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(4) {
        0 => Line::new("RPUSH").arg(key).arg("a"),
        1 => Line::new("ZREM").arg(key).arg(name(member(g))),
        _ => Line::new("DEL").arg(key),
    }]
}
