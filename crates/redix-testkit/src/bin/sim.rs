//! Runs the simulator: `cargo run -p redix-testkit --bin sim -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use redix_testkit::sim::{self, Seen};

const USAGE: &str = "\
usage: sim [OPTIONS]
  --seeds A..B   run these, both included (1..200); stops at none, tells which failed
  --trace N      run this seed and print all that happened
";

fn main() -> Result<ExitCode> {
    let mut seeds = 1..=200;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" {
            print!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--seeds" => seeds = range(&value)?,
            "--trace" => return trace(value.parse()?),
            _ => bail!("{arg} is not an option; try --help"),
        }
    }
    let (mut seen, mut failed) = (Seen::default(), 0);
    for seed in seeds {
        match sim::run(seed) {
            Ok(report) => seen = seen.plus(report.seen),
            Err(failure) => {
                println!("{failure}");
                failed += 1;
            }
        }
    }
    println!("{failed} failed; {seen}");
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn range(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").context("--seeds wants A..B")?;
    Ok(first.parse()?..=last.parse()?)
}

fn trace(seed: u64) -> Result<ExitCode> {
    let (lines, outcome) = match sim::run(seed) {
        Ok(report) => (report.trace, format!("no violation; {}", report.seen)),
        Err(failure) => (failure.trace, failure.what),
    };
    lines.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {outcome}");
    Ok(ExitCode::SUCCESS)
}
