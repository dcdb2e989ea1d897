//! `cargo xtask bench`: builds Redix and the load generator with optimisation, then runs the
//! generator. What it measures, and its options, are described in `crates/redix-bench`.

use std::process::Command;

use anyhow::Result;

use crate::process;

/// Passes all arguments on. A server named by `REDIX_BIN` is measured instead of one built here.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if std::env::var_os("REDIX_BIN").is_none() {
        let redix = ["build", "--quiet", "--release", "--package", "redix-server"];
        process::run(&mut process::command("cargo", &redix))?;
    }
    process::run(generator().arg("--release").arg("--").args(args))
}

/// Checks that the load generator starts: prints its options, in a debug build.
pub(crate) fn check() -> Result<()> {
    process::output(generator().args(["--", "--help"])).map(|_| ())
}

fn generator() -> Command {
    process::command("cargo", &["run", "--quiet", "--package", "redix-bench"])
}
