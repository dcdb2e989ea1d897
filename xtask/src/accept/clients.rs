//! Programs of others that bring their own Lua, against Valkey and against Redix: what they print
//! has to be the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Progress;
use crate::process::{command, find_program, output, root, run as run_command, target_dir};
use crate::server::Server;
use crate::setup;

/// Each program, with what it uses.
const PROGRAMS: &[(&str, &str)] = &[
    ("queue.js", "BullMQ on ioredis"),
    ("limits.js", "rate-limiter-flexible, redlock and scripts of ioredis"),
    ("tasks.py", "Dramatiq"),
];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let peers = setup::ensure()?;
    let valkey = peers.get("REDIX_VALKEY").context("Valkey is missing: see cargo xtask setup")?;
    run_command(&mut command("cargo", &["build", "--release", "-p", "redix-server"]))?;
    let redix = target_dir().join("release/redix");
    let place = install()?;
    for (program, uses) in PROGRAMS {
        progress.unit(&format!("{program} ({uses})"), || {
            let theirs = outcome(&place, program, valkey)?;
            let ours = outcome(&place, program, &redix)?;
            if ours != theirs {
                bail!("Valkey: {theirs}\nRedix: {ours}");
            }
            Ok(format!("{} bytes of equal outcome", ours.len()))
        })?;
    }
    Ok(())
}

/// A folder with the programs and what they need, in the versions that are recorded beside them.
fn install() -> Result<PathBuf> {
    let (from, place) = (root().join("xtask/clients"), target_dir().join("accept/clients"));
    std::fs::create_dir_all(&place)?;
    for file in std::fs::read_dir(&from)? {
        let file = file?;
        std::fs::copy(file.path(), place.join(file.file_name()))?;
    }
    let npm = find_program("npm").context("npm is missing: install Node.js")?;
    let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    output(Command::new(npm).args(args).current_dir(&place))?;
    let python = find_program("python3").context("python3 is missing")?;
    output(Command::new(python).args(["-m", "venv", "venv"]).current_dir(&place))?;
    let args = ["install", "-q", "--disable-pip-version-check", "-r", "requirements.txt"];
    output(Command::new(place.join("venv/bin/pip")).args(args).current_dir(&place))?;
    Ok(place)
}

/// What a program prints when it uses this server.
fn outcome(place: &Path, program: &str, server: &Path) -> Result<String> {
    let log = place.join(format!("{program}.log"));
    let server = Server::start(server, &[], &log)?;
    let mut run = match program.ends_with(".py") {
        true => Command::new(place.join("venv/bin/python")),
        false => Command::new("node"),
    };
    output(run.args([program, &server.port.to_string()]).current_dir(place))
}
