#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn moments_are_restored() {
    let seed = Rng::new(u64::from(std::process::id())).next_u64() % 1_000_000;
    eprintln!("seed {seed}");
    let seen = run(seed, 600, 60).unwrap();
    eprintln!("{seen}");
    assert_eq!((seen.offsets, seen.times), (45, 15));
    assert!(seen.states > 1 && seen.rewrites > 0, "{seen}");
}
