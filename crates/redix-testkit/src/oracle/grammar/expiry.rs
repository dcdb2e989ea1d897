//! Setting, reading and removing expiries.

use super::{Compare, Grammar, Line, Rule, Unit, string};

pub(super) const RULES: &[Rule] =
    &[string::set, expire, expire, expire, expire, ask, ask, ask, persist, short_lived];

const COMMANDS: [(&str, Unit); 4] = [
    ("EXPIRE", Unit::Seconds),
    ("PEXPIRE", Unit::Millis),
    ("EXPIREAT", Unit::UnixSeconds),
    ("PEXPIREAT", Unit::UnixMillis),
];

fn expire(g: &mut Grammar) -> Vec<Line> {
    let (name, unit) = *g.rng.pick(&COMMANDS);
    let key = g.key();
    let moment = if g.rng.chance(8) { g.past_or_wrong() } else { g.future(unit) };
    let line = Line::new(name).arg(&key).arg(moment);
    let line = match g.rng.below(14) {
        0..=2 => line,
        3 | 4 => line.option("NX"),
        5 | 6 => line.option("XX"),
        7 | 8 => line.option("GT"),
        9 | 10 => line.option("LT"),
        11 => line.arg("XX").arg("GT").note("XX GT"),
        12 => line.arg("LT").arg("XX").note("LT XX"),
        _ => {
            let pair = *g.rng.pick(&[["NX", "GT"], ["GT", "LT"], ["NX", "XX"], ["AB", "NX"]]);
            line.args(&pair).note("!conflict")
        }
    };
    g.settled(line, &key)
}

fn ask(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(4) {
        0 => Line::new("TTL").arg(key).by(Compare::Seconds),
        1 => Line::new("PTTL").arg(key).by(Compare::Millis),
        2 => Line::new("EXPIRETIME").arg(key).by(Compare::Seconds),
        _ => Line::new("PEXPIRETIME").arg(key).by(Compare::Millis),
    }]
}

fn persist(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("PERSIST").arg(g.key())]
}

/// A key that really expires. Rare, since it takes time.
fn short_lived(g: &mut Grammar) -> Vec<Line> {
    if !g.rng.chance(10) {
        return persist(g);
    }
    let key = g.key();
    let line = match g.rng.below(3) {
        0 => Line::new("SET").arg(&key).arg(g.value()).option("PX").arg("2"),
        1 => Line::new("PSETEX").arg(&key).arg("2").arg(g.value()),
        _ => Line::new("PEXPIRE").arg(&key).arg("2"),
    };
    let mut lines = vec![Line::new("SET").arg(&key).arg("short"), line];
    lines[1].wait_expired = Some(key.clone());
    lines.push(Line::new("GET").arg(&key));
    lines.push(Line::new("PTTL").arg(key).by(Compare::Millis));
    lines
}
