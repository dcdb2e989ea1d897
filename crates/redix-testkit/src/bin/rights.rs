//! Compares access control with Valkey: `cargo run -p redix-testkit --bin rights -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, bail};
use redix_testkit::{Peer, Server, rights};

const USAGE: &str = "\
usage: rights [OPTIONS]     random rules and calls, on REDIX_BIN, else the server built last
  --seed N      1
  --rounds N    sets of rules, with 24 calls each (1000)
";

fn main() -> Result<()> {
    let (mut seed, mut rounds) = (1, 1000);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" {
            print!("{USAGE}");
            return Ok(());
        }
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--seed" => seed = value.parse()?,
            "--rounds" => rounds = value.parse()?,
            _ => bail!("{arg} is no option; try --help"),
        }
    }
    let subject = Server::start::<&str>(Peer::Redix, &[])?;
    let oracle = Server::start::<&str>(Peer::Valkey, &[])?;
    let compared = rights::compare([subject.addr(), oracle.addr()], seed, rounds)?;
    println!("seed {seed}: no difference in {compared:?}");
    Ok(())
}
