//! Caches beside Redis 7.0.15 and Valkey: under each policy Zipf, scan and loop traces find at
//! least as many keys, to within a point.

use anyhow::{Result, bail, ensure};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit"];
    run_command(command("cargo", &["build", "--release", "--bins"]).args(packages))?;
    let seed = progress.seeds.start().to_string();
    let list = command(&traces(), &["--list"]).output()?;
    ensure!(!list.stdout.is_empty(), "{}", String::from_utf8_lossy(&list.stderr));
    for policy in String::from_utf8_lossy(&list.stdout).lines() {
        progress.unit(policy, || compare(policy, &seed))?;
    }
    Ok(())
}

/// The program that plays the traces, which knows the policies.
fn traces() -> String {
    target_dir().join("release/traces").to_string_lossy().into_owned()
}

fn compare(policy: &str, seed: &str) -> Result<String> {
    let mut traces = command(&traces(), &["--policy", policy, "--seed", seed]);
    let out = traces.env("REDIX_BIN", target_dir().join("release/redix")).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(text.trim_end().replace('\n', "; "))
}
