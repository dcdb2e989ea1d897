//! A few kills and power cuts under each policy; `cargo xtask accept durability` makes hundreds.

use redix_testkit::durability::{self, Fault, Policy};
use redix_testkit::powercut::PowerCutDir;

use super::*;

const ROUNDS: usize = 3;

fn end(fault: Fault, policy: Policy) {
    let seed = Rng::new(u64::from(std::process::id())).next_u64();
    eprintln!("seed {seed}");
    let seen = durability::run(Launch::redix(program()), fault, policy, ROUNDS, seed).unwrap();
    eprintln!("{seen}");
    assert!(seen.acknowledged > 0 && seen.read > 0, "{seen}");
}

#[test]
fn nothing_acknowledged_is_lost_under_always() {
    end(Fault::Kill, Policy::Always);
}

#[test]
fn no_more_than_a_second_is_lost_under_everysec() {
    end(Fault::Kill, Policy::EverySec);
}

#[test]
fn nothing_is_torn_under_no() {
    end(Fault::Kill, Policy::No);
}

fn cut_power(policy: Policy) {
    if let Err(error) = PowerCutDir::mount(&mut Rng::new(1)) {
        eprintln!("skipped: {error:#}");
        return;
    }
    end(Fault::PowerCut, policy);
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_under_always() {
    cut_power(Policy::Always);
}

#[test]
fn a_power_cut_loses_no_more_than_a_second_under_everysec() {
    cut_power(Policy::EverySec);
}

#[test]
fn a_power_cut_tears_nothing_under_no() {
    cut_power(Policy::No);
}
