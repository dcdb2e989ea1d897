//! Compares access control with Valkey: `cargo run -p redix-testkit --bin rights -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use redix_testkit::options::Options;
use redix_testkit::{Peer, Server, rights};

const USAGE: &str = "\
usage: rights [OPTIONS]     random rules and calls, on REDIX_BIN, else the server built last
  --seed N      1
  --rounds N    sets of rules, with 24 calls each (1000)
";

fn main() -> Result<()> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(());
    };
    let (seed, rounds) = (options.or("--seed", 1)?, options.or("--rounds", 1000)?);
    options.end()?;
    let subject = Server::start::<&str>(Peer::Redix, &[])?;
    let oracle = Server::start::<&str>(Peer::Valkey, &[])?;
    let compared = rights::compare([subject.addr(), oracle.addr()], seed, rounds)?;
    println!("seed {seed}: no difference in {compared:?}");
    Ok(())
}
