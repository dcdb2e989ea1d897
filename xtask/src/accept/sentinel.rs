//! Ten failovers in a row by real Sentinels under writes, of Redix and of Redis 7.0.15 in turn: how
//! long each takes, and that no write is lost that the replicas have confirmed.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::command;

const FAILOVERS: &str = "10";
const BESIDE: &str = "redis7";
const SENTINELS: &[&str] = &["redis7", "valkey"];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    for sentinels in SENTINELS {
        progress.unit(&format!("Sentinels of {sentinels}"), || series(sentinels))?;
    }
    Ok(())
}

fn series(sentinels: &str) -> Result<String> {
    let test = format!("sentinel::series::in_a_row::{sentinels}");
    let args = ["test", "-q", "-p", "redix-server", "--test", "it", "--", "--exact", &test];
    let mut tests = command("cargo", &args);
    // A missing server is a failure here.
    tests.arg("--nocapture").env("CI", "true");
    let out = tests.env("REDIX_FAILOVERS", FAILOVERS).env("REDIX_FAILOVERS_BESIDE", BESIDE);
    let out = out.output()?;
    let [text, said] = [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    if !out.status.success() || !text.contains("1 passed") {
        bail!("{text}{said}");
    }
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("failovers of")).collect();
    Ok(lines.join("; "))
}
