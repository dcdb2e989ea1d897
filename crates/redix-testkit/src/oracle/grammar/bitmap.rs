//! The commands of the bitmap group.

use super::{Grammar, Line, Rule};

pub(super) const RULES: &[Rule] = &[
    set_bit, set_bit, set_bit, get_bit, text, count, count, position, position, combine, combine,
    field, field, field, append, other_type,
];

/// Strings with other bytes than 0 and 255.
fn text(g: &mut Grammar) -> Vec<Line> {
    const RUNS: [usize; 6] = [0, 1, 7, 63, 64, 600];
    let value = match g.rng.below(4) {
        0 => vec![0xff; *g.rng.pick(&RUNS)],
        1 => vec![0; *g.rng.pick(&RUNS)],
        _ => g.value(),
    };
    vec![Line::new("SET").arg(g.key()).arg(value)]
}

fn append(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("APPEND").arg(g.key()).arg(g.value())]
}

fn other_type(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(3) {
        0 => Line::new("RPUSH").arg(key).arg("a"),
        _ => Line::new("DEL").arg(key),
    }]
}

/// A bit offset, rarely beyond the longest string.
fn offset(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(16) {
        0 => g.one_of(&["-1", "4294967296", "9223372036854775808", "a", "", "1.5", "#1"]).into(),
        1 => g.rng.between(4000, 60_000).to_string().into_bytes(),
        _ => g.rng.between(0, 400).to_string().into_bytes(),
    }
}

fn set_bit(g: &mut Grammar) -> Vec<Line> {
    let bit = if g.rng.chance(95) { g.one_of(&["0", "1"]) } else { g.one_of(&["2", "-1", "x"]) };
    vec![Line::new("SETBIT").arg(g.key()).arg(offset(g)).arg(bit)]
}

fn get_bit(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("GETBIT").arg(g.key()).arg(offset(g))]
}

/// A range, perhaps incomplete. BITCOUNT may omit the end only on Valkey.
fn part(g: &mut Grammar, mut line: Line, may_be_open: bool) -> Line {
    let words = match g.rng.below(4) {
        0 => 0,
        1 if may_be_open => 1,
        2 => 3,
        _ => 2,
    };
    for _ in 0..words.min(2) {
        line = line.arg(g.index());
    }
    if words == 3 {
        let unit = g.one_of(&["BIT", "BIT", "BYTE"]);
        line = line.option(unit);
    }
    line
}

fn count(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("BITCOUNT").arg(g.key());
    let may_be_open = g.is_valkey();
    vec![part(g, line, may_be_open)]
}

fn position(g: &mut Grammar) -> Vec<Line> {
    let bit = if g.rng.chance(95) { g.one_of(&["0", "1"]) } else { g.one_of(&["2", "-1", "x"]) };
    let line = Line::new("BITPOS").arg(g.key()).arg(bit);
    vec![part(g, line, true)]
}

fn combine(g: &mut Grammar) -> Vec<Line> {
    let operation = match g.is_redis_8() {
        true => g.one_of(&["AND", "OR", "XOR", "NOT", "DIFF", "DIFF1", "ANDOR", "ONE"]),
        false => g.one_of(&["AND", "OR", "XOR", "NOT"]),
    };
    let line = Line::new("BITOP").option(operation).arg(g.key());
    if operation == "NOT" && g.rng.chance(90) {
        return vec![line.arg(g.key())];
    }
    vec![line.args(&g.some_keys())]
}

fn field_type(g: &mut Grammar) -> Vec<u8> {
    if g.rng.chance(4) {
        return g.one_of(&["u64", "i65", "u0", "i", "", "U8", "x8", "i08"]).into();
    }
    match g.rng.below(4) {
        0 => format!("i{}", g.rng.between(1, 64)).into_bytes(),
        1 => format!("u{}", g.rng.between(1, 63)).into_bytes(),
        2 => b"u8".to_vec(),
        _ => b"i5".to_vec(),
    }
}

fn field_offset(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(3) {
        0 => format!("#{}", g.rng.between(0, 40)).into_bytes(),
        _ => offset(g),
    }
}

fn field(g: &mut Grammar) -> Vec<Line> {
    let name = if g.rng.chance(85) { "BITFIELD" } else { "BITFIELD_RO" };
    let mut line = Line::new(name).arg(g.key());
    for _ in 0..g.rng.below(5) {
        let read_only = name == "BITFIELD_RO" && g.rng.chance(95);
        line = match g.rng.below(8) {
            0 => {
                let overflow = g.one_of(&["WRAP", "SAT", "FAIL", "FAIL"]);
                line.arg("OVERFLOW").option(overflow)
            }
            1 | 2 => line.arg("GET").arg(field_type(g)).arg(field_offset(g)),
            _ if read_only => line.arg("GET").arg(field_type(g)).arg(field_offset(g)),
            3..=5 => line.arg("SET").arg(field_type(g)).arg(field_offset(g)).arg(g.integer()),
            _ => line.arg("INCRBY").arg(field_type(g)).arg(field_offset(g)).arg(g.integer()),
        };
    }
    vec![line]
}
