//! The commands of the hyperloglog group.

use super::{Grammar, Line, Rule};

pub(super) const RULES: &[Rule] =
    &[add, add, add, add_many, count, count, count, merge, merge, debug, edit, other_value, limit];

/// Few elements, so that they repeat.
fn element(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(4) {
        0 => g.value(),
        _ => g.rng.between(0, 3000).to_string().into_bytes(),
    }
}

fn add(g: &mut Grammar) -> Vec<Line> {
    let mut line = Line::new("PFADD").arg(g.key());
    for _ in 0..g.rng.below(5) {
        line = line.arg(element(g));
    }
    vec![line]
}

/// Enough to outgrow the sparse layout in a few steps.
fn add_many(g: &mut Grammar) -> Vec<Line> {
    let (first, count) = (g.rng.between(0, 100_000), g.rng.between(50, 400));
    let elements: Vec<String> = (first..first + count).map(|n| n.to_string()).collect();
    vec![Line::new("PFADD").arg(g.key()).args(&elements).note("many")]
}

fn count(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(3) {
        0 => Line::new("PFCOUNT").args(&g.some_keys()).note("union"),
        _ => Line::new("PFCOUNT").arg(g.key()),
    }]
}

fn merge(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("PFMERGE").args(&g.some_keys())]
}

fn debug(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new("PFDEBUG");
    let line = match g.rng.below(12) {
        0 => line.arg("FOO").note("!unknown"),
        // Values become dense by them, so they are rare.
        1 => line.option("GETREG"),
        2 => line.option("TODENSE"),
        3..=6 => line.option("ENCODING"),
        _ => line.option("DECODE"),
    };
    vec![line.arg(g.key())]
}

/// Another kept estimate, or a value from elsewhere. Runs are left alone: of a command that meets
/// corrupt ones the real servers carry out the first part.
fn edit(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(3) {
        0 => {
            let at = g.rng.between(8, 15).to_string();
            Line::new("SETRANGE").arg(key).arg(at).arg("\u{1}").fixed()
        }
        1 => Line::new("COPY").arg(key).arg(g.key()),
        _ => Line::new("STRLEN").arg(key),
    }]
}

fn other_value(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    vec![match g.rng.below(8) {
        0 => Line::new("SET").arg(key).arg(g.value()),
        1 => Line::new("RPUSH").arg(key).arg("a"),
        _ => Line::new("DEL").arg(key),
    }]
}

fn limit(g: &mut Grammar) -> Vec<Line> {
    let bytes = g.one_of(&["0", "100", "1000", "3000", "20000"]);
    vec![Line::new("CONFIG SET").arg("hll-sparse-max-bytes").arg(bytes)]
}
