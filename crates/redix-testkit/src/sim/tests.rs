#![allow(clippy::unwrap_used)]

use super::*;

/// Runs seeds until one fails.
fn seeds(seeds: std::ops::Range<u64>) -> Seen {
    let run = |seed| run(seed).unwrap_or_else(|failure| panic!("{failure}"));
    seeds.map(|seed| run(seed).seen).fold(Seen::default(), Seen::plus)
}

#[test]
fn fifty_seeds_from_0() {
    let seen = seeds(0..50);
    // A run without events proves nothing.
    let Seen { written, waits, cuts, crashes, promotions, failovers, .. } = seen;
    let Seen { sweeps, consents, compared, partial, full, waits_aof, checked, evicted, .. } = seen;
    assert!(written > 10_000 && waits > 100, "{seen:?}");
    assert!(cuts > 200 && crashes > 20 && promotions > 20, "{seen:?}");
    assert!(failovers > 20 && sweeps > 50 && consents > 0, "{seen:?}");
    assert!(compared > 1000 && partial > 50 && full > 100, "{seen:?}");
    assert!(waits_aof > 30 && checked > 10 && evicted > 100, "{seen:?}");
}

#[test]
fn fifty_seeds_from_50() {
    seeds(50..100);
}

#[test]
fn fifty_seeds_from_100() {
    seeds(100..150);
}

#[test]
fn fifty_seeds_from_150() {
    seeds(150..200);
}

#[test]
fn a_seed_decides_everything() {
    let (one, again, other) = (run(7).unwrap(), run(7).unwrap(), run(8).unwrap());
    assert_eq!(one, again);
    assert!(one.trace.len() > 100);
    assert_ne!(one.trace, other.trace);
}
