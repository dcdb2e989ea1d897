//! Runs the simulator: `cargo run -p redix-testkit --bin sim -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::Result;
use redix_testkit::options::Options;
use redix_testkit::sim::{self, Seen};

const USAGE: &str = "\
usage: sim [OPTIONS]
  --seeds A..B   run these, both included (1..200); stops at none, tells which failed
  --trace N      run this seed and print all that happened
";

fn main() -> Result<ExitCode> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let seeds = options.value("--seeds", range)?.unwrap_or(1..=200);
    let traced = options.value("--trace", |text| text.parse().ok())?;
    options.end()?;
    if let Some(seed) = traced {
        return trace(seed);
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

fn range(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..")?;
    Some(first.parse().ok()?..=last.parse().ok()?)
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
