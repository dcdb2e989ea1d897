//! Caches beside Redis 7.0.15 and Valkey: under each policy Zipf, scan and loop traces find at
//! least as many keys, to within a point.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit"];
    run_command(command("cargo", &["build", "--release", "--bins"]).args(packages))?;
    let seed = progress.seeds.start().to_string();
    for policy in POLICIES {
        progress.unit(policy, || compare(policy, &seed))?;
    }
    Ok(())
}

fn compare(policy: &str, seed: &str) -> Result<String> {
    let programs = target_dir().join("release");
    let args = ["--policy", policy, "--seed", seed];
    let mut traces = command(&programs.join("traces").to_string_lossy(), &args);
    let out = traces.env("REDIX_BIN", programs.join("redix")).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(text.trim_end().replace('\n', "; "))
}
