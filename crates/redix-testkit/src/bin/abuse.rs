//! Runs abuse units: `cargo run -p redix-testkit --bin abuse -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use anyhow::{Context, Result, bail};
use redix_testkit::abuse::{self, Scale, UNITS};
use redix_testkit::{Launch, Peer};

const USAGE: &str = "\
usage: abuse [OPTIONS] UNIT…   against a server started for it: REDIX_BIN, else the one built last
  --list        the units
  --seed N      what is sent (1)
  --seconds N   how long a unit lasts that has no end of its own
  --short       the few seconds of it that run as a test
";

fn main() -> Result<()> {
    let (mut seed, mut scale, mut units) = (1, Scale::Long, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => print!("{USAGE}"),
            "--list" => UNITS.iter().for_each(|unit| println!("{}", unit.name)),
            "--seed" => seed = args.next().context("--seed needs a value")?.parse()?,
            "--short" => scale = Scale::Short,
            "--seconds" => {
                let seconds = args.next().context("--seconds needs a value")?.parse()?;
                scale = Scale::Lasting(Duration::from_secs(seconds));
            }
            name => match abuse::unit(name) {
                Some(unit) => units.push(unit),
                None => bail!("{name} is neither a unit nor an option; try --help"),
            },
        }
    }
    for unit in units {
        let seen = abuse::run(unit, Launch::new(Peer::Redix)?, scale, seed);
        println!("{}", seen.with_context(|| format!("{}, seed {seed}", unit.name))?);
    }
    Ok(())
}
