//! Random rules and calls on Redix and on Valkey: the same verdicts, ACL DRYRUN's and real ones.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Sets of rules for each seed, with 24 calls each.
const ROUNDS: usize = 1000;
/// Enough for 50,000 rules and 240,000 calls.
const SEEDS_MAX: usize = 10;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit"];
    run_command(command("cargo", &["build", "--release", "--bins"]).args(packages))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        progress.unit(&format!("seed {seed}"), || compare(seed))?;
    }
    Ok(())
}

fn compare(seed: u64) -> Result<String> {
    let programs = target_dir().join("release");
    let args = ["--seed", &seed.to_string(), "--rounds", &ROUNDS.to_string()];
    let mut rights = command(&programs.join("rights").to_string_lossy(), &args);
    let out = rights.env("REDIX_BIN", programs.join("redix")).output()?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
}
