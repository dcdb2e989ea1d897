//! Runs the differential oracle: `cargo run -p redix-testkit --bin oracle -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use redix_testkit::Peer;
use redix_testkit::oracle::{Family, Plan, run_stream};

const USAGE: &str = "\
usage: oracle [OPTIONS]
  --subject NAME   redix (default) or a real server, which must agree with itself
  --oracle NAME    valkey (default), redis7, redis8
  --family NAME    string list set zset hash fields bitmap hyperloglog geo keys expiry transaction
                   connection pubsub scripts server all; default: each in turn
  --proto N        2 or 3; default: both
  --seed N         1
  --count N        commands of each family under each protocol (10000)
  --epoch N        only this epoch of the stream, to see a difference again
";

fn main() -> Result<ExitCode> {
    let mut subject = Peer::Redix;
    let mut families = Family::EACH.to_vec();
    let mut protos = vec![2, 3];
    let (oracle, epoch) = (Peer::Valkey, None);
    let mut plan = Plan { seed: 1, count: 10_000, family: Family::All, proto: 2, oracle, epoch };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" {
            print!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        let unknown = || format!("{arg}: what is {value:?}?");
        match arg.as_str() {
            "--subject" => subject = Peer::from_name(&value).with_context(unknown)?,
            "--oracle" => plan.oracle = Peer::from_name(&value).with_context(unknown)?,
            "--family" => families = vec![Family::from_name(&value).with_context(unknown)?],
            "--proto" => protos = vec![value.parse().with_context(unknown)?],
            "--seed" => plan.seed = value.parse().with_context(unknown)?,
            "--count" => plan.count = value.parse().with_context(unknown)?,
            "--epoch" => plan.epoch = Some(value.parse().with_context(unknown)?),
            _ => bail!("{arg} is not an option; try --help"),
        }
    }
    let mut failed = false;
    for &family in &families {
        for &proto in &protos {
            let report = run_stream(subject, &Plan { family, proto, ..plan })?;
            println!("{report}");
            failed |= report.check().is_err();
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
