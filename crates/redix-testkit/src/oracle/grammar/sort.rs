//! SORT and SORT_RO.

use super::{Compare, Grammar, Line};

/// Sorts an existing key, occasionally after creating a list of sortable elements.
pub(super) fn sort(g: &mut Grammar) -> Vec<Line> {
    let key = g.key();
    let mut lines = Vec::new();
    let choice = g.rng.below(10);
    // The order in which patterns look up keys shows in events: only a list determines it.
    let needs_list = (1..=4).contains(&choice);
    if needs_list || g.rng.chance(40) {
        let count = 1 + g.rng.below(8);
        let elements: Vec<String> = (0..count).map(|_| g.rng.below(12).to_string()).collect();
        lines.push(Line::new("DEL").arg(&key).fixed());
        lines.push(Line::new("RPUSH").arg(&key).args(&elements).fixed());
    }
    // The order of equal texts, and of the members of a set, is unspecified.
    let line = match choice {
        0 => Line::new("SORT").arg(key).option("BY").arg("nosort").by(Compare::Unordered).fixed(),
        1 => by_weight(g, Line::new("SORT").arg(key)).option("ALPHA").by(Compare::Unordered),
        2 | 3 => {
            let line = by_weight(g, Line::new("SORT").arg(key));
            order(g, line)
        }
        4 => {
            let line = order(g, Line::new("SORT").arg(key));
            let pattern = g.one_of(&["#", "k*", "*", "k*->a", "k*->m1", "nostar", "k*->"]);
            line.option("GET").arg(pattern)
        }
        5 | 6 => {
            let line = order(g, Line::new("SORT").arg(key));
            let line = if g.rng.chance(50) { line.option("ALPHA") } else { line };
            line.option("STORE").arg(g.key())
        }
        7 => order(g, Line::new("SORT_RO").arg(key)),
        _ => {
            let line = order(g, Line::new("SORT").arg(key));
            if g.rng.chance(70) { line.option("ALPHA") } else { line }
        }
    };
    lines.push(line);
    lines
}

fn by_weight(g: &mut Grammar, line: Line) -> Line {
    let pattern = g.one_of(&["k*", "*", "k*->a", "k*->m1", "no_*"]);
    line.option("BY").arg(pattern).fixed()
}

fn order(g: &mut Grammar, line: Line) -> Line {
    let mut line = line;
    if g.rng.chance(50) {
        let order = g.one_of(&["ASC", "DESC"]);
        line = line.option(order);
    }
    if g.rng.chance(40) {
        let (offset, count) = (g.index(), g.index());
        line = line.option("LIMIT").arg(offset).arg(count);
    }
    line
}
