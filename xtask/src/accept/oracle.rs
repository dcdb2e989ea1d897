//! Random commands on Redix and on Valkey: the only differences are those of `golden/DIFFERS.txt`.

use anyhow::{Result, bail, ensure};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Commands of each family under each protocol, which are five epochs.
const COUNT: usize = 2000;
/// The number of families, which the program runs in turn.
const FAMILIES: usize = 17;
/// Commands of all families in one stream, under each protocol.
const MIXED_COUNT: usize = 10_000;
/// Enough for 500,000 commands.
const SEEDS_MAX: usize = 9;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit"];
    run_command(command("cargo", &["build", "--release", "--bins"]).args(packages))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        progress.unit(&format!("seed {seed}"), || compare(seed))?;
    }
    Ok(())
}

fn compare(seed: u64) -> Result<String> {
    let mut seen = Vec::new();
    for proto in ["2", "3"] {
        let each = run_oracle(seed, proto, COUNT, &[])?;
        ensure!(each >= COUNT * FAMILIES, "only {each} commands ran");
        let mixed = run_oracle(seed, proto, MIXED_COUNT, &["--family", "all"])?;
        ensure!(mixed >= MIXED_COUNT, "only {mixed} commands of all families ran");
        seen.push(format!("{} commands under RESP{proto}", each + mixed));
    }
    Ok(seen.join(", "))
}

/// Runs the program; returns how many commands there were.
fn run_oracle(seed: u64, proto: &str, count: usize, more: &[&str]) -> Result<usize> {
    let programs = target_dir().join("release");
    let (seed, count) = (seed.to_string(), count.to_string());
    let args = ["--seed", &seed, "--proto", proto, "--count", &count];
    let mut oracle = command(&programs.join("oracle").to_string_lossy(), &args);
    let out = oracle.args(more).env("REDIX_BIN", programs.join("redix")).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        bail!("{}{}", differences(&text), String::from_utf8_lossy(&out.stderr));
    }
    Ok(commands(&text))
}

/// How many commands the reports say they ran.
pub(super) fn commands(text: &str) -> usize {
    let lines = text.lines().filter(|line| line.contains(" commands of family "));
    lines.filter_map(|line| line.split(' ').next()?.parse::<usize>().ok()).sum()
}

/// The reports without the coverage.
fn differences(text: &str) -> String {
    let is_coverage = |line: &&str| line.starts_with("  ") && line.contains(" ran ");
    let lines = text.lines().filter(|line| !line.is_empty() && !is_coverage(line));
    lines.collect::<Vec<_>>().join("\n")
}
