//! Runs abuse units: `cargo run -p redix-testkit --bin abuse -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use anyhow::{Context, Result};
use redix_testkit::abuse::{self, Scale, UNITS};
use redix_testkit::options::Options;
use redix_testkit::{Launch, Peer};

const USAGE: &str = "\
usage: abuse [OPTIONS] UNIT…   against a server started for it: REDIX_BIN, else the one built last
  --list        the units
  --seed N      what is sent (1)
  --seconds N   how long a unit lasts that has no end of its own
  --short       the few seconds of it that run as a test
";

fn main() -> Result<()> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(());
    };
    if options.flag("--list") {
        UNITS.iter().for_each(|unit| println!("{}", unit.name));
    }
    let seed = options.or("--seed", 1)?;
    let seconds = options.value("--seconds", |text| text.parse().ok())?;
    let scale = match (options.flag("--short"), seconds) {
        (true, _) => Scale::Short,
        (false, Some(seconds)) => Scale::Lasting(Duration::from_secs(seconds)),
        (false, None) => Scale::Long,
    };
    let units = options
        .words()?
        .into_iter()
        .map(|name| abuse::unit(&name).with_context(|| format!("{name} is no unit; try --help")));
    let units = units.collect::<Result<Vec<_>>>()?;
    for unit in units {
        let seen = abuse::run(unit, Launch::new(Peer::Redix)?, scale, seed);
        println!("{}", seen.with_context(|| format!("{}, seed {seed}", unit.name))?);
    }
    Ok(())
}
