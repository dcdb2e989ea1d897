//! The differential oracle: one seeded stream of random commands on Redix and on a real server.
//!
//! A stream is cut into epochs of [`EPOCH_LINES`] lines, each with a seed of its own, on emptied
//! servers and new connections; so a difference can be replayed alone, and what follows from one
//! difference does not hide others. Every reply is compared when it comes (`compare` says how),
//! and at the end of an epoch the keyspace events, and everything about every key. A difference is
//! shrunk to the fewest lines that still show it.
//!
//! **Invariants.** The stream depends on seed, family, protocol and the kind of real server alone
//! (and, for absolute expiries, on the day). Agreement counts only with coverage: the report says
//! for each command and option how often it ran and how often the real server did not answer with
//! an error, and [`Report::check`] fails if an option never succeeded.
//!
//! The proof that the comparison itself is sound: a real server against itself has no difference.

mod compare;
pub mod differs;
mod events;
mod grammar;
mod listener;
mod report;
mod shrink;
mod stream;

pub use grammar::Family;
pub use report::{Mismatch, Report};

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::peer::{Peer, repo_root};
use crate::server::Server;
use differs::Difference;
use grammar::{Grammar, Line, Traits};
use stream::Epoch;

/// Commands on one state before everything is emptied.
pub const EPOCH_LINES: usize = 400;
/// Distinct differences after which the search stops.
const MISMATCHES_MAX: usize = 12;
/// Times are rounded to days, so that absolute expiries do not depend on the second in which a
/// stream began.
const SECONDS_PER_DAY: u64 = 86_400;

/// A stream.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Commands to run.
    pub count: usize,
    pub family: Family,
    /// 2 or 3.
    pub proto: u8,
    /// The kind of real server.
    pub oracle: Peer,
    /// Runs only this epoch, to replay a difference.
    pub epoch: Option<usize>,
}

impl Plan {
    /// The lines of an epoch.
    fn lines(&self, epoch: usize) -> Result<Vec<Line>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let day_s = now.as_secs() / SECONDS_PER_DAY * SECONDS_PER_DAY;
        let traits = Traits {
            family: self.family,
            proto: self.proto,
            oracle: self.oracle,
            // A day ahead: still in the future if the stream runs over midnight.
            now_s: i64::try_from(day_s + SECONDS_PER_DAY)?,
        };
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(epoch as u64);
        let mut grammar = Grammar::new(seed, traits);
        let mut lines = Vec::new();
        while lines.len() < EPOCH_LINES {
            lines.extend(grammar.next_lines());
        }
        Ok(lines)
    }
}

/// Starts both servers and runs the stream. Where Redix is compared with the leader, differences of
/// `golden/DIFFERS.txt` are tolerated, once they are verified.
pub fn run_stream(subject: Peer, plan: &Plan) -> Result<Report> {
    let differences = match (subject, plan.oracle) {
        (Peer::Redix, Peer::Valkey) => differs::load(&repo_root().join("golden/DIFFERS.txt"))?,
        _ => Vec::new(),
    };
    let (subject, oracle) = (start(subject)?, start(plan.oracle)?);
    differs::verify_all(&differences, subject.addr())?;
    run_stream_on(subject.addr(), oracle.addr(), plan, &differences)
}

/// Arguments of servers that are compared: without compression, where an encoder has a choice,
/// which would hide the nodes of a list.
pub const ARGS: [&str; 4] = ["--databases", "16", "--rdbcompression", "no"];

/// Starts a server for the oracle.
pub fn start(peer: Peer) -> Result<Server> {
    Server::start(peer, &ARGS)
}

/// Runs the stream on two servers, which it empties repeatedly.
pub fn run_stream_on(
    subject: SocketAddr,
    oracle: SocketAddr,
    plan: &Plan,
    differences: &[Difference],
) -> Result<Report> {
    let addrs = [subject, oracle];
    let mut report = Report::new(*plan);
    let mut number = plan.epoch.unwrap_or(0);
    while report.commands < plan.count && report.mismatches.len() < MISMATCHES_MAX {
        let lines = plan.lines(number)?;
        let epoch = Epoch::begin(addrs, plan, differences)?;
        if let Some(mut mismatch) = epoch.run(&lines, &mut report)? {
            mismatch.epoch = number;
            if report.is_new(&mismatch) {
                mismatch.script = shrink::shrink(addrs, plan, differences, &lines, &mismatch)?;
            }
            report.add(mismatch);
        }
        number += 1;
        if plan.epoch.is_some() {
            break;
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
