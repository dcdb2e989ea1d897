//! The tests of what calls touch, beside what access control checks, with many seeds.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command};

/// Seeds, with 100,000 calls in each of two tests.
const SEEDS_MAX: usize = 5;
/// A run has as many generators, numbered from its seed on.
const STRIDE: u64 = 1000;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    // Not a release build: what is touched is recorded in debug builds.
    let args = ["test", "-p", "redix-core", "--test", "rights"];
    run_command(command("cargo", &args).arg("--no-run"))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        progress.unit(&format!("seed {seed}"), || {
            let out = command("cargo", &args).env("SEED", (seed * STRIDE).to_string()).output()?;
            let text = String::from_utf8_lossy(&out.stdout);
            if !out.status.success() {
                bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
            }
            let line = text.lines().find(|line| line.starts_with("test result"));
            Ok(line.unwrap_or_default().to_owned())
        })?;
    }
    Ok(())
}
