//! The commands of the generic group.

use super::{Compare, Grammar, Line, Rule, Unit, sort, string};

pub(super) const RULES: &[Rule] = &[
    string::set,
    copy,
    copy,
    many,
    many,
    type_of,
    rename,
    rename,
    move_key,
    object,
    object,
    random,
    sort::sort,
    sort::sort,
    keys,
    scan,
    scan,
    dump,
    restore,
    restore,
    restore_garbage,
    select,
    dbsize,
];

fn copy(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("COPY").arg(g.key()).arg(g.key());
    if g.rng.chance(40) {
        line = line.option("DB").arg(g.database());
    }
    if g.rng.chance(40) {
        line = line.option("REPLACE");
    }
    vec![line]
}

fn many(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["DEL", "UNLINK", "EXISTS", "EXISTS", "TOUCH"]);
    vec![Line::new(name).args(&g.some_keys())]
}

fn type_of(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("TYPE").arg(g.key())]
}

fn rename(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["RENAME", "RENAMENX"]);
    vec![Line::new(name).arg(g.key()).arg(g.key())]
}

fn move_key(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("MOVE").arg(g.key()).arg(g.database())]
}

fn object(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(8) {
        0..=3 => Line::new("OBJECT ENCODING").arg(g.key()),
        4 => Line::new("OBJECT REFCOUNT").arg(g.key()),
        5 => Line::new("OBJECT IDLETIME").arg(g.key()).by(Compare::Seconds),
        6 => Line::new("OBJECT FREQ").arg(g.key()).note("!policy is not LFU"),
        _ => Line::new("OBJECT NOSUCH").arg(g.key()).note("!no subcommand"),
    }]
}

fn random(_g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("RANDOMKEY").by(Compare::TypeOnly)]
}

fn pattern(g: &mut Grammar) -> &'static str {
    g.one_of(&[
        "*", "*", "k?", "k[0-4]", "k[^1]*", "k[4-0]", "*a*", "\\k*", "", "[", "[k", "k[0-", "?",
        "**", "{tag}*", "k*\r\n", "*\\", "L*L", "[^a-z]*", "k[]", "K?", "*?*",
    ])
}

fn keys(g: &mut Grammar) -> Vec<Line> {
    let pattern = pattern(g);
    vec![Line::new("KEYS").arg(pattern).by(Compare::Unordered)]
}

fn scan(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("SCAN").by(Compare::Scan);
    if g.rng.chance(8) {
        let cursor = g.one_of(&["abc", "-1", "1.5", "", "18446744073709551616"]);
        return vec![line.arg(cursor).note("!cursor")];
    }
    line = line.arg("0");
    if g.rng.chance(50) {
        let pattern = pattern(g);
        line = line.option("MATCH").arg(pattern);
    }
    if g.rng.chance(50) {
        let count = g.one_of(&["1", "2", "5", "10", "1000", "1", "3", "0", "-1", "abc"]);
        line = line.option("COUNT").arg(count);
    }
    if g.rng.chance(30) {
        let kind = g.one_of(&["string", "string", "STRING", "list", "zset", "hash"]);
        line = line.option("TYPE").arg(kind);
    }
    vec![line]
}

fn dump(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("DUMP").arg(g.key()).by(Compare::Dump)]
}

fn restore(g: &mut Grammar) -> Vec<Line> {
    let (key, source) = (g.key(), g.key());
    let absolute = g.rng.chance(40);
    let unit = if absolute { Unit::UnixMillis } else { Unit::Millis };
    let ttl = if g.rng.chance(40) { b"0".to_vec() } else { g.moment(unit) };
    let mut line = Line::new("RESTORE").arg(&key).arg(ttl);
    line.payload_at = Some(line.args.len());
    line = line.arg(source);
    if absolute {
        line = line.option("ABSTTL");
    }
    if g.rng.chance(60) {
        line = line.option("REPLACE");
    }
    if g.rng.chance(20) {
        let idle = g.one_of(&["0", "1000", "100000", "-1", "abc"]);
        line = line.option("IDLETIME").arg(idle);
    } else if g.rng.chance(20) {
        let freq = g.one_of(&["0", "100", "255", "256", "-1"]);
        line = line.option("FREQ").arg(freq);
    }
    g.settled(line, &key)
}

fn restore_garbage(g: &mut Grammar) -> Vec<Line> {
    let payload = g.value();
    let line = Line::new("RESTORE").arg(g.key()).arg("0").arg(payload).note("!payload");
    vec![line.arg("REPLACE")]
}

fn select(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("SELECT").arg(g.database())]
}

fn dbsize(_g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("DBSIZE")]
}
