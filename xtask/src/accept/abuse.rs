//! Abuse: hostile clients, and a faulty primary, against the optimised server.

use anyhow::{Context, Result, bail};

use super::Progress;
use crate::process::{command, output, run as run_command, target_dir};

/// Other seeds send other bytes, with the same effect in most units.
const SEEDS_MAX: usize = 3;
/// With as many open files as the system allows: a unit opens ten thousand connections.
const WITH_FILES: &str = r#"ulimit -n "$(ulimit -H -n)" && exec "$0" "$@""#;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit", "--bins"];
    run_command(command("cargo", &["build", "--release"]).args(packages))?;
    let program = target_dir().join("release/abuse").to_string_lossy().into_owned();
    let units = output(&mut command(&program, &["--list"]))?;
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        for unit in units.lines() {
            progress.unit(&format!("seed {seed} {unit}"), || abuse(&program, unit, seed))?;
        }
    }
    Ok(())
}

fn abuse(program: &str, unit: &str, seed: u64) -> Result<String> {
    let seed = seed.to_string();
    let mut abuse = command("sh", &["-c", WITH_FILES, program, "--seed", &seed, unit]);
    let out = abuse.output().context("cannot start sh")?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
