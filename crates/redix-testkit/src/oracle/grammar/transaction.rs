//! Transactions, with watched keys that other connections change.

use super::{CONNECTIONS, Family, Grammar, Line, Rule};

pub(super) const RULES: &[Rule] =
    &[transaction, transaction, transaction, transaction, transaction, misplaced];

fn transaction(g: &mut Grammar) -> Vec<Line> {
    let conn = g.rng.below(CONNECTIONS);
    let other = (conn + 1 + g.rng.below(CONNECTIONS - 1)) % CONNECTIONS;
    let mut lines = Vec::new();
    if g.rng.chance(50) {
        lines.push(Line::new("WATCH").args(&g.some_keys()));
        if g.rng.chance(15) {
            lines.push(Line::new("UNWATCH"));
        }
        lines = on(conn, lines);
        if g.rng.chance(50) {
            let who = if g.rng.chance(70) { other } else { conn };
            lines.extend(on(who, inner(g)));
        }
    }
    let mut body = Vec::new();
    for _ in 0..g.rng.below(5) {
        body.extend(on(conn, inner(g)));
    }
    if g.rng.chance(8) {
        body.extend(on(conn, vec![wrong_in_multi(g)]));
    }
    // Commands of another connection run before the transaction, or make it fail.
    if g.rng.chance(30) {
        let at = g.rng.below(body.len() + 1);
        body.splice(at..at, on(other, inner(g)));
    }
    let end = if g.rng.chance(80) { "EXEC" } else { "DISCARD" };
    lines.extend(on(conn, vec![Line::new("MULTI")]));
    lines.extend(body);
    lines.extend(on(conn, vec![Line::new(end)]));
    lines
}

fn on(conn: usize, lines: Vec<Line>) -> Vec<Line> {
    lines.into_iter().map(|line| Line { conn, ..line }).collect()
}

/// Commands for inside a transaction.
fn inner(g: &mut Grammar) -> Vec<Line> {
    let families = [Family::String, Family::String, Family::Keys, Family::Expiry];
    let family = *g.rng.pick(&families);
    let mut lines = g.lines_of(family);
    // Waiting for an expiry needs the command to have run.
    lines.retain(|line| line.wait_expired.is_none());
    lines
}

fn wrong_in_multi(g: &mut Grammar) -> Line {
    match g.rng.below(4) {
        0 => Line::new("MULTI").note("!nested"),
        1 => Line::new("WATCH").arg(g.key()).note("!inside"),
        2 => Line::new("GET").note("!arity"),
        _ => Line::new("NOSUCHCOMMAND").arg(g.key()).note("!unknown"),
    }
}

fn misplaced(g: &mut Grammar) -> Vec<Line> {
    let mut line = match g.rng.below(4) {
        0 => Line::new("EXEC").note("!without MULTI"),
        1 => Line::new("DISCARD").note("!without MULTI"),
        2 => Line::new("UNWATCH"),
        _ => Line::new("WATCH").args(&g.some_keys()),
    };
    line.conn = g.rng.below(CONNECTIONS);
    vec![line]
}
