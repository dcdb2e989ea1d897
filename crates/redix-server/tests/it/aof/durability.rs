//! A few kills under each policy; `cargo xtask accept durability` makes hundreds.

use redix_testkit::durability::{self, Policy};

use super::*;

const ROUNDS: usize = 3;

fn kill(policy: Policy) {
    let seed = Rng::new(u64::from(std::process::id())).next_u64();
    eprintln!("seed {seed}");
    let seen = durability::run(Launch::redix(program()), policy, ROUNDS, seed).unwrap();
    eprintln!("{seen}");
    assert!(seen.acknowledged > 0 && seen.read > 0, "{seen}");
}

#[test]
fn nothing_acknowledged_is_lost_under_always() {
    kill(Policy::Always);
}

#[test]
fn no_more_than_a_second_is_lost_under_everysec() {
    kill(Policy::EverySec);
}

#[test]
fn nothing_is_torn_under_no() {
    kill(Policy::No);
}
