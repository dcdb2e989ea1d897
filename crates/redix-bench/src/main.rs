//! The load generator behind `cargo xtask bench`: Redix against the real servers on one machine.
//!
//! `throughput` measures what a server does with a second of processor time, `memory` what a key
//! costs, `latency` how long a request waits while something disturbs the server, `catch_up` how
//! fast a replica applies what its primary has produced, `unpipelined` what connections get that
//! wait for each reply, `hostile` what a user with a quota costs others. `commands` and `elements`
//! are the first two for collections, `pauses` is the third for what large keys do to others.
//! Servers alternate within one run, so that whatever else the machine does meets all of them;
//! figures of different runs are not to be compared.
//! Method: wrk2's intended-start schedule against coordinated omission, paired ratios with a
//! bootstrap interval against drift.
//!
//! It is a program of its own because it alone must be built with optimisation and needs an event
//! loop: `xtask` builds in seconds from std and anyhow and only calls it.
#![forbid(unsafe_code)]
// This program prints tables.
#![allow(clippy::print_stdout)]

mod catch_up;
mod commands;
mod contender;
mod elements;
mod fan_out;
mod host;
mod hostile;
mod latency;
mod load;
mod memory;
mod options;
mod pauses;
mod replica;
mod report;
mod requests;
mod stats;
mod throughput;
mod unpipelined;

use anyhow::Result;

use crate::options::{Mode, Options};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = Options::parse(&args)? else {
        print!("{}", options::USAGE);
        return Ok(());
    };
    let conditions = report::Conditions::collect(&options)?;
    println!("{conditions}");
    let mut sections = Vec::new();
    match options.mode {
        Mode::Latency => sections.push(latency::run(&options)?),
        Mode::CatchUp => sections.push(catch_up::run(&options)?),
        Mode::Commands => sections.push(commands::run(&options)?),
        Mode::Elements => sections.push(elements::run(&options)?),
        Mode::Hostile => sections.push(hostile::run(&options)?),
        Mode::Pauses => sections.push(pauses::run(&options)?),
        Mode::Unpipelined => sections.extend(unpipelined::run(&options)?),
        Mode::Throughput => {
            if !options.cells.is_empty() {
                sections.push(throughput::run(&options)?);
            }
            if options.memory {
                sections.push(memory::run(&options)?);
            }
        }
    }
    for section in &sections {
        println!("\n{section}");
    }
    if let Some(path) = &options.json {
        report::write_json(path, &conditions, &sections)?;
    }
    Ok(())
}
