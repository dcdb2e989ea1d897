//! Restores random moments: `cargo run -p redix-testkit --bin points -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, bail};
use redix_testkit::points;

const USAGE: &str = "\
usage: points [OPTIONS]
  --seed N      of the history and the choice of its moments (1)
  --turns N     turns of the history, each of a few writes (3000)
  --moments N   moments that are restored and compared (100)
";

fn main() -> Result<()> {
    let (mut seed, mut turns, mut moments) = (1, 3000, 100);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" {
            print!("{USAGE}");
            return Ok(());
        }
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--seed" => seed = value.parse()?,
            "--turns" => turns = value.parse()?,
            "--moments" => moments = value.parse()?,
            _ => bail!("{arg} is not an option; try --help"),
        }
    }
    println!("{}", points::run(seed, turns, moments)?);
    Ok(())
}
