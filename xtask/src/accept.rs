//! `cargo xtask accept NAME`: the long checks, which CI has no time for.
//!
//! A check is a list of units, each with one line of result. Passed units are recorded in
//! `target/accept/NAME.txt` for the commit they passed on, so that an interrupted check resumes;
//! `--again` restarts it. The last line is `accept NAME: PASS` or `FAIL`.

mod abuse;
mod access;
mod acl;
mod busy;
mod clients;
mod durability;
mod eviction;
mod fuzz;
mod hostile;
mod kill;
mod mixed;
mod oracle;
mod replication;
mod restarts;
mod restore;
mod sentinel;
mod sim;
mod suite;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{command, no_more, output, take_flag, take_option, target_dir};

/// A check: its name, what it proves, and the function that runs its units.
struct Check(&'static str, &'static str, fn(&mut Progress) -> Result<()>);

const CHECKS: &[Check] = &[
    Check("suite", "the whole upstream suite with 1, 2 and 4 worker threads", suite::run),
    Check("fuzz", "every fuzz target, the minutes shared among them", fuzz::run),
    Check("abuse", "hostile clients, and a hostile primary, one kind after the other", abuse::run),
    Check("access", "a million calls touch no key that is not checked", access::run),
    Check("acl", "50,000 random rules and calls beside Valkey", acl::run),
    Check("busy", "an endless script is reported in time and ended, 20 times", busy::run),
    Check("clients", "programs of others that bring their own Lua", clients::run),
    Check(
        "durability",
        "kill -9 and power cuts under each fsync policy, 100 times",
        durability::run,
    ),
    Check("eviction", "hit ratios of each policy beside real servers", eviction::run),
    Check("hostile", "what a user within its quota costs others", hostile::run),
    Check("kill", "kill -9 during a background save under load, 20 times", kill::run),
    Check("mixed", "clients of every kind on each io-backend: no leak", mixed::run),
    Check("oracle", "500,000 random commands beside Valkey", oracle::run),
    Check(
        "replication",
        "each pair of servers, the link between them cut ten times",
        replication::run,
    ),
    Check(
        "restarts",
        "a primary restarts empty 100 times, and servers resume from append-only files",
        restarts::run,
    ),
    Check("restore", "1,000 random moments restored from kept append-only files", restore::run),
    Check(
        "sentinel",
        "ten failovers by real Sentinels, of Redix and of Redis 7.0.15 in turn",
        sentinel::run,
    ),
    Check("sim", "2,000 simulated seeds of replication", sim::run),
];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let again = take_flag(&mut args, "--again");
    let seeds = take_option(&mut args, "--seeds")?;
    let minutes = take_option(&mut args, "--minutes")?;
    let Some(name) = args.first().cloned() else {
        println!("usage: cargo xtask accept NAME [--seeds A..B] [--minutes N] [--again]");
        for Check(name, about, _) in CHECKS {
            println!("  {name:<11} {about}");
        }
        return Ok(());
    };
    no_more(&args[1..])?;
    let check = CHECKS.iter().find(|check| check.0 == name);
    let check = check.with_context(|| format!("there is no check {name}"))?;
    let mut progress = Progress::open(&name, &commit()?, again)?;
    progress.seeds = seeds.map_or(Ok(1..=100), |text| parse_seeds(&text))?;
    progress.minutes = minutes.map_or(Ok(10), |text| text.parse())?;
    (check.2)(&mut progress)?;
    progress.verdict()
}

/// What identifies the code under test: the commit, and whether the tree differs from it.
fn commit() -> Result<String> {
    let head = output(&mut command("git", &["rev-parse", "HEAD"]))?;
    let changes = output(&mut command("git", &["status", "--porcelain"]))?;
    let changed = if changes.is_empty() { "" } else { " changed" };
    Ok(format!("{}{changed}", head.trim()))
}

/// `A..B`, both included.
fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").context("--seeds wants A..B")?;
    Ok(first.parse()?..=last.parse()?)
}

/// The options of a check and its progress.
pub(crate) struct Progress {
    name: String,
    file: PathBuf,
    done: BTreeSet<String>,
    passed: usize,
    failed: usize,
    /// The seeds to run, for checks that have seeds.
    pub(crate) seeds: RangeInclusive<u64>,
    /// How long to run, for checks without an end of their own.
    pub(crate) minutes: u64,
}

impl Progress {
    fn open(name: &str, commit: &str, again: bool) -> Result<Self> {
        Self::open_in(&target_dir().join("accept"), name, commit, again)
    }

    fn open_in(dir: &Path, name: &str, commit: &str, again: bool) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let file = dir.join(format!("{name}.txt"));
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        let mut done = BTreeSet::new();
        if lines.next() == Some(commit) && !again {
            done = lines.map(str::to_owned).collect();
        } else {
            fs::write(&file, format!("{commit}\n"))?;
        }
        let name = name.to_owned();
        Ok(Self { name, file, done, passed: 0, failed: 0, seeds: 1..=100, minutes: 10 })
    }

    /// Runs one unit, unless it passed on this commit before. `body` returns a summary.
    pub(crate) fn unit(&mut self, unit: &str, body: impl FnOnce() -> Result<String>) -> Result<()> {
        if self.done.contains(unit) {
            println!("accept {}: {unit}: PASS (before)", self.name);
            self.passed += 1;
            return Ok(());
        }
        let start = Instant::now();
        let result = body();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(seen) => {
                println!("accept {}: {unit}: PASS {seen} ({seconds:.1} s)", self.name);
                self.passed += 1;
                writeln!(OpenOptions::new().append(true).open(&self.file)?, "{unit}")?;
            }
            Err(error) => {
                println!("accept {}: {unit}: FAIL {error:#} ({seconds:.1} s)", self.name);
                self.failed += 1;
            }
        }
        Ok(())
    }

    fn verdict(&self) -> Result<()> {
        let word = if self.failed == 0 && self.passed > 0 { "PASS" } else { "FAIL" };
        let (passed, failed) = (self.passed, self.failed);
        println!("accept {}: {word} {passed} passed, {failed} failed", self.name);
        if word == "FAIL" {
            bail!("see the lines above");
        }
        Ok(())
    }
}
