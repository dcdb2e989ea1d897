//! Pub/sub: subscriptions and messages.
//!
//! Subscribers have connections of their own, from [`CONNECTIONS`] on, since messages arrive
//! between replies. Patterns do not match keyspace events.

use super::{CONNECTIONS, Compare, Grammar, LISTENERS, Line, Rule};

pub(super) const RULES: &[Rule] =
    &[publish, publish, publish, subscribe, subscribe, unsubscribe, introspect, introspect, other];

fn channel(g: &mut Grammar) -> Vec<u8> {
    match g.rng.below(12) {
        0 => Vec::new(),
        1 => b"c\0\xff\r\n".to_vec(),
        2 => b"{tag}c".to_vec(),
        3 => b"news.art".to_vec(),
        _ => format!("c{}", g.rng.below(5)).into_bytes(),
    }
}

fn pattern(g: &mut Grammar) -> &'static str {
    g.one_of(&["c*", "c?", "c[0-2]", "news.*", "c1", "c[^1]", "\\c2", "{*}c", "", "[", "n*t"])
}

fn channels(g: &mut Grammar) -> Vec<Vec<u8>> {
    (0..=g.rng.below(3)).map(|_| channel(g)).collect()
}

fn patterns(g: &mut Grammar) -> Vec<&'static str> {
    (0..=g.rng.below(2)).map(|_| pattern(g)).collect()
}

fn publish(g: &mut Grammar) -> Vec<Line> {
    let line = Line::new(g.one_of(&["PUBLISH", "PUBLISH", "PUBLISH", "SPUBLISH"]));
    vec![line.arg(channel(g)).arg(g.value())]
}

/// A line on a subscriber's connection. It relies on the subscriber's earlier lines.
fn listener(g: &mut Grammar, line: Line) -> Vec<Line> {
    vec![Line { conn: CONNECTIONS + g.rng.below(LISTENERS), ..line.fixed() }]
}

fn subscribe(g: &mut Grammar) -> Vec<Line> {
    let line = match g.rng.below(5) {
        0 | 1 => Line::new("SUBSCRIBE").args(&channels(g)),
        2 | 3 => Line::new("PSUBSCRIBE").args(&patterns(g)),
        _ => Line::new("SSUBSCRIBE").args(&channels(g)),
    };
    listener(g, line)
}

fn unsubscribe(g: &mut Grammar) -> Vec<Line> {
    let line = match g.rng.below(12) {
        0 => Line::new("UNSUBSCRIBE").note("all").by(Compare::Unsubscribed),
        1 => Line::new("PUNSUBSCRIBE").note("all").by(Compare::Unsubscribed),
        2 => Line::new("SUNSUBSCRIBE").note("all").by(Compare::Unsubscribed),
        3..6 => Line::new("UNSUBSCRIBE").args(&channels(g)),
        6..9 => Line::new("PUNSUBSCRIBE").args(&patterns(g)),
        _ => Line::new("SUNSUBSCRIBE").args(&channels(g)),
    };
    listener(g, line)
}

fn introspect(g: &mut Grammar) -> Vec<Line> {
    vec![match g.rng.below(8) {
        0 => Line::new("PUBSUB CHANNELS").by(Compare::Unordered),
        1 => Line::new("PUBSUB CHANNELS").arg(pattern(g)).note("pattern").by(Compare::Unordered),
        2 => Line::new("PUBSUB SHARDCHANNELS").by(Compare::Unordered),
        3 => {
            Line::new("PUBSUB SHARDCHANNELS").arg(pattern(g)).note("pattern").by(Compare::Unordered)
        }
        4 => Line::new("PUBSUB NUMPAT"),
        5 | 6 => Line::new("PUBSUB NUMSUB").args(&channels(g)),
        _ => Line::new("PUBSUB SHARDNUMSUB").args(&channels(g)),
    }]
}

/// Other commands of a subscriber, allowed and forbidden.
fn other(g: &mut Grammar) -> Vec<Line> {
    let line = match g.rng.below(6) {
        0 => Line::new("PING"),
        1 => Line::new("PING").arg(g.value()),
        2 => Line::new("ECHO").arg(g.value()),
        3 => Line::new("PUBLISH").arg(channel(g)).arg(g.value()),
        4 => Line::new("SUBSCRIBE").note("!nothing"),
        _ => Line::new("SPUBLISH").arg(channel(g)).arg(g.value()),
    };
    listener(g, line)
}
