//! kill -9 during a background save under load: the previous or the new file loads, whole.

use anyhow::{Result, bail};

use super::Progress;
use crate::process::command;

const TEST: &str = "persist::killed_during_a_save_it_finds_a_whole_file";
/// Seeds beyond these only repeat the same three kills at other moments.
const SEEDS_MAX: usize = 20;

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    for seed in progress.seeds.clone().take(SEEDS_MAX) {
        progress.unit(&format!("seed {seed}"), || {
            let args = ["test", "-q", "-p", "redix-server", "--test", "it", "--", "--exact", TEST];
            let mut test = command("cargo", &args);
            let out = test.env("REDIX_KILL_SEEDS", format!("{seed}..{seed}")).output()?;
            let text = String::from_utf8_lossy(&out.stdout);
            if !out.status.success() || !text.contains("1 passed") {
                bail!("{text}{}", String::from_utf8_lossy(&out.stderr));
            }
            Ok("3 kills".into())
        })?;
    }
    Ok(())
}
