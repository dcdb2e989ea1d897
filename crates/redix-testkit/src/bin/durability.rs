//! Kills servers and cuts their power: `cargo run -p redix-testkit --bin durability -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, bail};
use redix_testkit::durability::{self, Fault, Policy};
use redix_testkit::{Launch, Peer};

const USAGE: &str = "\
usage: durability [OPTIONS] POLICY   against a server started for it: REDIX_BIN, else the one built
                                     last; always, everysec or no
  --seed N     of the moments (1)
  --rounds N   kills (10)
  --power      cuts the power instead
";

fn main() -> Result<()> {
    let (mut seed, mut rounds, mut policies) = (1, 10, Vec::new());
    let mut fault = Fault::Kill;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => print!("{USAGE}"),
            "--seed" => seed = args.next().context("--seed needs a value")?.parse()?,
            "--rounds" => rounds = args.next().context("--rounds needs a value")?.parse()?,
            "--power" => fault = Fault::PowerCut,
            name => match Policy::ALL.into_iter().find(|policy| policy.name() == name) {
                Some(policy) => policies.push(policy),
                None => bail!("{name} is neither a policy nor an option; try --help"),
            },
        }
    }
    for policy in policies {
        println!("{}", durability::run(Launch::new(Peer::Redix)?, fault, policy, rounds, seed)?);
    }
    Ok(())
}
