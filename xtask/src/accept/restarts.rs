//! Restarts of servers that replicate: primaries that come back empty, which must cost nothing, and
//! servers with append-only files, which continue the stream.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::command;

const ROUNDS: &str = "100";
const RESTARTS: &str = "20";
const WIPES: &[&str] = &[
    "wipe::restarts::redix_redix",
    "wipe::restarts::redis7_redix",
    "wipe::restarts::valkey_redix",
];
const RESUMES: &[&str] = &[
    "restarts::of_a_replica::redix_redix",
    "restarts::of_a_replica::valkey_redix",
    "restarts::of_a_primary::redix_redix",
    "restarts::of_a_primary::redix_valkey",
    "restarts::of_a_killed_primary::redix_redix",
    "restarts::of_a_killed_primary::redix_valkey",
];
/// More seeds would only repeat the same restarts at other moments.
const SEEDS_MAX: usize = 5;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    for test in WIPES {
        progress.unit(test, || run_test(test, "REDIX_WIPE_ROUNDS", ROUNDS, 0))?;
    }
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        for test in RESUMES {
            let unit = format!("seed {seed} {test}");
            progress.unit(&unit, || run_test(test, "REDIX_RESTARTS", RESTARTS, seed))?;
        }
    }
    Ok(())
}

fn run_test(test: &str, variable: &str, times: &str, seed: u64) -> Result<String> {
    let test = format!("replication::{test}");
    let args = ["test", "-q", "-p", "redix-server", "--test", "it", "--", "--exact", &test];
    let mut tests = command("cargo", &args);
    // A missing server is a failure here.
    tests.env("CI", "true").env(variable, times);
    let out = tests.env("REDIX_RESTART_SEED", seed.to_string()).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() || !text.contains("1 passed") {
        bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(format!("{times} restarts"))
}
