//! Restores random moments: `cargo run -p redix-testkit --bin points -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::Result;
use redix_testkit::options::Options;
use redix_testkit::points;

const USAGE: &str = "\
usage: points [OPTIONS]
  --seed N      of the history and the choice of its moments (1)
  --turns N     turns of the history, each of a few writes (3000)
  --moments N   moments that are restored and compared (100)
";

fn main() -> Result<()> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(());
    };
    let (seed, turns) = (options.or("--seed", 1)?, options.or("--turns", 3000)?);
    let moments = options.or("--moments", 100)?;
    options.end()?;
    println!("{}", points::run(seed, turns, moments)?);
    Ok(())
}
