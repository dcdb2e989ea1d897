//! Compares eviction with real servers: `cargo run -p redix-testkit --bin traces -- --help`.
#![forbid(unsafe_code)]
// This program prints its findings.
#![allow(clippy::print_stdout)]

use anyhow::{Result, ensure};
use redix_testkit::Peer;
use redix_testkit::options::Options;
use redix_testkit::traces::{POLICIES, Trace, play};

const USAGE: &str = "\
usage: traces [OPTIONS]     Zipf, scan and loop traces on REDIX_BIN, else the server built last,
                            and on real servers; fails where these find more keys
  --list         the policies
  --policy NAME  one of maxmemory-policy; all
  --accesses N   of each trace (600000), at 100,000 a second
  --seed N       1
";

/// By how many per cent of the accesses a real server may be better.
const TOLERANCE: f64 = 1.0;

fn main() -> Result<()> {
    let Some(mut options) = Options::of_process() else {
        print!("{USAGE}");
        return Ok(());
    };
    if options.flag("--list") {
        POLICIES.iter().for_each(|policy| println!("{policy}"));
        return Ok(());
    }
    let policy: Option<String> = options.value("--policy", |text| Some(text.to_owned()))?;
    let (accesses, seed) = (options.or("--accesses", 600_000)?, options.or("--seed", 1)?);
    options.end()?;
    let mut worse = Vec::new();
    for name in POLICIES.iter().filter(|name| policy.as_ref().is_none_or(|p| p == *name)) {
        for trace in Trace::ALL {
            let ours = play(Peer::Redix, name, trace, accesses, seed)?;
            print!("{name} {trace:?}: redix {:.2} % ({} keys", ours.percent, ours.keys);
            print!(", at most {} B beyond)", ours.beyond);
            for peer in [Peer::Redis7, Peer::Valkey] {
                let theirs = play(peer, name, trace, accesses, seed)?;
                print!(", {} {:.2} % ({} keys", peer.name(), theirs.percent, theirs.keys);
                print!(", {} B)", theirs.beyond);
                if ours.percent < theirs.percent - TOLERANCE {
                    worse.push(format!("{name} {trace:?} beside {}", peer.name()));
                }
            }
            println!();
        }
    }
    ensure!(worse.is_empty(), "fewer keys are found: {}", worse.join(", "));
    Ok(())
}
