//! Random moments of random histories of writes, restored from kept files and compared.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Moments of one unit, each unit with a history of its own.
const MOMENTS: &str = "100";
/// Enough for 1,000 moments.
const SEEDS_MAX: usize = 10;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    // Not a release build: assertions are wanted.
    let args = ["build", "-p", "redix-testkit", "--bin", "points"];
    run_command(&mut command("cargo", &args))?;
    let program = target_dir().join("debug/points").to_string_lossy().into_owned();
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        progress.unit(&format!("seed {seed}"), || restore(&program, seed))?;
    }
    Ok(())
}

fn restore(program: &str, seed: u64) -> Result<String> {
    let args = ["--seed", &seed.to_string(), "--moments", MOMENTS];
    let out = command(program, &args).output()?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
