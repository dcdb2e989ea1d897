//! Others beside a user that uses up its quota: their p99 is at most 1.2 times that beside the same
//! load on another server. Needs a machine with nothing else to do.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// How the user sends, as the load generator names it.
const PATTERNS: [&str; 3] = ["pipelines of 16", "pipelines of 250", "bursts of 2000"];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-bench", "--bins"];
    run_command(command("cargo", &["build", "--release"]).args(packages))?;
    for pattern in PATTERNS {
        progress.unit(pattern, || compare(pattern))?;
    }
    Ok(())
}

fn compare(pattern: &str) -> Result<String> {
    let programs = target_dir().join("release");
    let args = ["hostile", "--only", pattern];
    let mut bench = command(&programs.join("redix-bench").to_string_lossy(), &args);
    let out = bench.env("REDIX_BIN", programs.join("redix")).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let row = text.lines().find(|line| line.contains(pattern)).unwrap_or_default();
    if !out.status.success() || !row.contains("holds") {
        bail!("{row}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(row.to_owned())
}
