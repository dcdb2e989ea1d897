//! kill -9 at random moments under every policy of the append-only file: nothing is lost that the
//! policy promises to keep.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Kills of one unit.
const ROUNDS: &str = "10";
/// Enough for 100 kills under each policy.
const SEEDS_MAX: usize = 10;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    // Not a release build: assertions are wanted.
    let packages = ["-p", "redix-server", "-p", "redix-testkit", "--bins"];
    run_command(command("cargo", &["build"]).args(packages))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        for policy in ["always", "everysec", "no"] {
            progress.unit(&format!("{policy} seed {seed}"), || kill(policy, seed))?;
        }
    }
    Ok(())
}

fn kill(policy: &str, seed: u64) -> Result<String> {
    let place = target_dir().join("debug");
    let program = place.join("durability").to_string_lossy().into_owned();
    let args = ["--seed", &seed.to_string(), "--rounds", ROUNDS, policy];
    let mut kills = command(&program, &args);
    let out = kills.env("REDIX_BIN", place.join("redix")).output()?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
