//! kill -9 and power cuts at random moments under every policy of the append-only file: nothing is
//! lost that the policy promises to keep.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Kills or power cuts of one unit.
const ROUNDS: &str = "10";
/// Enough for 100 of each under each policy.
const SEEDS_MAX: usize = 10;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    // Not a release build: assertions are wanted.
    let packages = ["-p", "redix-server", "-p", "redix-testkit", "--bins"];
    run_command(command("cargo", &["build"]).args(packages))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        for policy in ["always", "everysec", "no"] {
            progress.unit(&format!("{policy} seed {seed}"), || end(policy, seed, &[]))?;
            let name = format!("power cut {policy} seed {seed}");
            progress.unit(&name, || end(policy, seed, &["--power"]))?;
        }
    }
    Ok(())
}

fn end(policy: &str, seed: u64, more: &[&str]) -> Result<String> {
    let place = target_dir().join("debug");
    let program = place.join("durability").to_string_lossy().into_owned();
    let args = ["--seed", &seed.to_string(), "--rounds", ROUNDS, policy];
    let mut ends = command(&program, &args);
    let out = ends.args(more).env("REDIX_BIN", place.join("redix")).output()?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
