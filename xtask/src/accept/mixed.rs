//! Clients that come, stop reading, close one side or both and are killed, for minutes, on each
//! `io-backend`: no descriptor and no buffer is left behind.

use anyhow::{Context, Result, bail};

use super::Progress;
use crate::process::{command, run as run_command, target_dir};

const BACKENDS: &[&str] = &["epoll", "uring"];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let packages = ["-p", "redix-server", "-p", "redix-testkit", "--bins"];
    run_command(command("cargo", &["build", "--release"]).args(packages))?;
    let program = target_dir().join("release/abuse").to_string_lossy().into_owned();
    let seed = *progress.seeds.start();
    let seconds = (progress.minutes * 60).to_string();
    for backend in BACKENDS {
        progress.unit(&format!("{backend}, {seconds} s, seed {seed}"), || {
            let arguments = ["--seed", &seed.to_string(), "--seconds", &seconds, "mixed"];
            let mut clients = command(&program, &arguments);
            clients.env("REDIX_IO_BACKEND", backend);
            let out = clients.output().context("cannot start the clients")?;
            if !out.status.success() {
                bail!("{}", String::from_utf8_lossy(&out.stderr).trim());
            }
            Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        })?;
    }
    Ok(())
}
