//! Redix and each real server in both roles, under writes, with the link between them cut ten
//! times; and chains of three.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::command;

const CUTS: &str = "10";
const TESTS: &[&str] = &[
    "links::cuts::redix_redix",
    "links::cuts::redix_redis7",
    "links::cuts::redix_valkey",
    "links::cuts::redis7_redix",
    "links::cuts::valkey_redix",
    "chain::redix_redix_redix",
    "chain::redix_valkey_redix",
    "chain::valkey_redix_redis7",
    "chain::redis7_redix_valkey",
];
/// More seeds would only repeat the same cuts at other moments.
const SEEDS_MAX: usize = 5;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        for test in TESTS {
            progress.unit(&format!("seed {seed} {test}"), || run_test(test, seed))?;
        }
    }
    Ok(())
}

fn run_test(test: &str, seed: u64) -> Result<String> {
    let test = format!("replication::{test}");
    let args = ["test", "-q", "-p", "redix-server", "--test", "it", "--", "--exact", &test];
    let mut tests = command("cargo", &args);
    // A missing server is a failure here.
    tests.env("CI", "true").env("REDIX_LINK_CUTS", CUTS);
    let out = tests.env("REDIX_LINK_SEED", seed.to_string()).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() || !text.contains("1 passed") {
        bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(format!("{CUTS} cuts"))
}
