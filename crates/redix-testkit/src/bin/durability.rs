//! Kills servers and cuts their power: `cargo run -p redix-testkit --bin durability -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use redix_testkit::durability::{self, Fault, Policy};
use redix_testkit::options::Options;
use redix_testkit::{Launch, Peer};

const USAGE: &str = "\
usage: durability [OPTIONS] POLICY   against a server started for it: REDIX_BIN, else the one built
                                     last; always, everysec or no
  --seed N     of the moments (1)
  --rounds N   kills (10)
  --power      cuts the power instead
";

fn main() -> Result<()> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(());
    };
    let (seed, rounds) = (options.or("--seed", 1)?, options.or("--rounds", 10)?);
    let fault = if options.flag("--power") { Fault::PowerCut } else { Fault::Kill };
    let policies = options.words()?.into_iter().map(|name| {
        let policy = Policy::ALL.into_iter().find(|policy| policy.name() == name);
        policy.with_context(|| format!("{name} is no policy; try --help"))
    });
    let policies = policies.collect::<Result<Vec<_>>>()?;
    for policy in policies {
        println!("{}", durability::run(Launch::new(Peer::Redix)?, fault, policy, rounds, seed)?);
    }
    Ok(())
}
