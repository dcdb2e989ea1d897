//! Runs the differential oracle: `cargo run -p redix-testkit --bin oracle -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use anyhow::Result;
use redix_testkit::Peer;
use redix_testkit::options::Options;
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
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let subject = options.value("--subject", Peer::from_name)?.unwrap_or(Peer::Redix);
    let family = options.value("--family", Family::from_name)?;
    let families = family.map_or(Family::EACH.to_vec(), |family| vec![family]);
    let proto = options.value("--proto", |text| text.parse().ok())?;
    let protos = proto.map_or(vec![2, 3], |proto| vec![proto]);
    let plan = Plan {
        seed: options.or("--seed", 1)?,
        count: options.or("--count", 10_000)?,
        family: Family::All,
        proto: 2,
        oracle: options.value("--oracle", Peer::from_name)?.unwrap_or(Peer::Valkey),
        epoch: options.value("--epoch", |text| text.parse().ok())?,
    };
    options.end()?;
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
