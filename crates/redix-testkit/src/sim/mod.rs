//! Servers, the network between them and their disks, under one seed in one thread.
//!
//! A run has a primary and one to three replicas, some of them replicas of replicas. Clients write
//! to the primary, some of whose databases may be full, and wait for replicas; links are late,
//! silent and cut at any byte; servers crash and come back with what their disk has kept; replicas
//! are promoted, or change places with the primary. Which server does some of its work next, and
//! how much time passes meanwhile, is drawn at random. At the end everything heals, and all must
//! come to hold the same.
//!
//! **What is checked**, after every step:
//! - who is at the same offset of the same stream holds the same (this also finds a replica that
//!   went on where it should have started anew);
//! - no offset goes back while the stream keeps its name;
//! - WAIT that answered `n` was true: `n` replicas had applied the write;
//! - who takes over from a primary, unless forced to, has all that it had;
//! - what was acknowledged or shown under `appendfsync always`, and what WAITAOF or the durable
//!   offset said is durable, is there after a power cut;
//! - after everything has healed, all servers hold the same, within a bounded time.
//!
//! **Invariants.** The seed decides everything: the same seed gives the same trace. Only the core
//! is driven: what threads and sockets add is tested with processes.

mod client;
mod durable;
mod history;
mod net;
mod process;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use process::Trace;
use world::World;

/// Lines of the trace shown for a failure.
const TAIL_LINES: usize = 80;

/// Coverage of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Commands replied to without an error.
    pub written: u64,
    /// Calls of WAIT with at least one replica.
    pub waits: u64,
    /// Links cut.
    pub cuts: u64,
    /// Servers that crashed.
    pub crashes: u64,
    /// Replicas promoted.
    pub promotions: u64,
    /// Coordinated failovers.
    pub failovers: u64,
    /// Data sets flushed or swapped, mostly while a replica received them.
    pub sweeps: u64,
    /// Data sets that a replica refused, and then was told to accept.
    pub consents: u64,
    /// Calls of WAITAOF that confirmed.
    pub waits_aof: u64,
    /// Probes checked to have survived a crash.
    pub checked: u64,
    /// Offsets at which two servers were compared.
    pub compared: u64,
    /// Partial resynchronisations.
    pub partial: u64,
    /// Full synchronisations.
    pub full: u64,
    /// Keys evicted from databases with limits.
    pub evicted: u64,
}

impl Seen {
    /// The sum.
    pub fn plus(self, other: Seen) -> Seen {
        Seen {
            written: self.written + other.written,
            waits: self.waits + other.waits,
            cuts: self.cuts + other.cuts,
            crashes: self.crashes + other.crashes,
            promotions: self.promotions + other.promotions,
            failovers: self.failovers + other.failovers,
            sweeps: self.sweeps + other.sweeps,
            consents: self.consents + other.consents,
            waits_aof: self.waits_aof + other.waits_aof,
            checked: self.checked + other.checked,
            compared: self.compared + other.compared,
            partial: self.partial + other.partial,
            full: self.full + other.full,
            evicted: self.evicted + other.evicted,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { written, waits, cuts, crashes, promotions, .. } = self;
        let Seen { failovers, sweeps, consents, compared, partial, full, .. } = self;
        let Seen { waits_aof, checked, evicted, .. } = self;
        write!(
            f,
            "{written} commands, {waits} waits, {cuts} cuts, {crashes} crashes, {promotions} \
             promotions, {failovers} failovers, {sweeps} sweeps, {consents} consents, {partial} partial \
             and {full} full synchronisations, {waits_aof} writes confirmed as durable, {checked} \
             found after a crash, {evicted} keys evicted, {compared} places compared"
        )
    }
}

/// A run without a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The trace of events.
    pub trace: Vec<String>,
    /// The digest of the servers' data sets at the end.
    pub digest: u64,
    /// Its coverage.
    pub seen: Seen,
}

/// A violation, or a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that reproduces it.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// The trace of events.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = &self.trace[self.trace.len().saturating_sub(TAIL_LINES)..];
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        tail.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Failure {}

/// Runs one seed.
pub fn run(seed: u64) -> Result<Report, Failure> {
    let trace = Trace::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace.clone()).run()));
    let what = match outcome {
        Ok(Ok((digest, seen))) => return Ok(Report { trace: trace.lines(), digest, seen }),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a panic: {}", text.unwrap_or("of unknown words"))
        }
    };
    Err(Failure { seed, what, trace: trace.lines() })
}
