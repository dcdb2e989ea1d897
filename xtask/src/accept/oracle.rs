//! Random commands on Redix and on Valkey: they differ in nothing but `golden/DIFFERS.txt`.

use anyhow::{Result, bail, ensure};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

/// Commands of each family under each protocol, which are five epochs.
const COUNT: usize = 2000;
/// The families, which the program takes in turn.
const FAMILIES: usize = 6;
/// As many as it takes for 200,000 commands under each protocol.
const SEEDS_MAX: usize = 17;

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
    let mut seen = Vec::new();
    for proto in ["2", "3"] {
        let (seed, count) = (seed.to_string(), COUNT.to_string());
        let args = ["--seed", &seed, "--proto", proto, "--count", &count];
        let mut oracle = command(&programs.join("oracle").to_string_lossy(), &args);
        let out = oracle.env("REDIX_BIN", programs.join("redix")).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        if !out.status.success() {
            bail!("{}{}", differences(&text), String::from_utf8_lossy(&out.stderr));
        }
        let commands = commands(&text);
        ensure!(commands >= COUNT * FAMILIES, "only {commands} commands ran");
        seen.push(format!("{commands} commands under RESP{proto}"));
    }
    Ok(seen.join(", "))
}

/// How many commands the reports say they ran.
pub(super) fn commands(text: &str) -> usize {
    let lines = text.lines().filter(|line| line.contains(" commands of family "));
    lines.filter_map(|line| line.split(' ').next()?.parse::<usize>().ok()).sum()
}

/// The reports without what was covered.
fn differences(text: &str) -> String {
    let is_coverage = |line: &&str| line.starts_with("  ") && line.contains(" ran ");
    let lines = text.lines().filter(|line| !line.is_empty() && !is_coverage(line));
    lines.collect::<Vec<_>>().join("\n")
}
