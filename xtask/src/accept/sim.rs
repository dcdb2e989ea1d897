//! Many simulated runs of replication, each from its own seed.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Seeds of one unit.
const UNIT_SEEDS: u64 = 50;
/// Enough for 2,000 seeds.
const UNITS_MAX: usize = 40;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    // Not a release build: assertions are wanted.
    let args = ["build", "-p", "redix-testkit", "--bin", "sim"];
    run_command(&mut command("cargo", &args))?;
    for unit in progress.seeds.clone().take(UNITS_MAX) {
        let (first, last) = (unit * UNIT_SEEDS, unit * UNIT_SEEDS + UNIT_SEEDS - 1);
        progress
            .unit(&format!("seeds {first}..{last}"), || simulate(&format!("{first}..{last}")))?;
    }
    Ok(())
}

fn simulate(seeds: &str) -> Result<String> {
    let program = target_dir().join("debug/sim");
    let out = command(&program.to_string_lossy(), &["--seeds", seeds]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(text.trim().to_owned())
}
