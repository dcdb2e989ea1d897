//! `cargo xtask upstream`: the Tcl suite of Valkey 9.1 against Redix.
//!
//! In external mode (the default) each file of the suite runs against a server that this chore
//! starts for it; in normal mode (`--mode normal`) the suite starts its servers itself, through a
//! script in place of its own binary. `--mode sentinel` runs the suite's tests of Sentinel, where
//! the servers are those under test and the Sentinels real ones; `--tls` is the normal mode over
//! TLS, with certificates that the suite makes. The suite is used unmodified, except that an error
//! does not end the whole file.
//!
//! `upstream/floors` lists, per file, the tests that must pass; a floor only rises (`--update`). A
//! floor test that fails is run once more alone, and is reported as flaky if it passes then.
//! `upstream/skips.txt` lists tests that are not run, each with its reason.
//!
//! Without file names, those with a floor are run until the time is up: first those that the change
//! affects, then a part of the rest that rotates daily.

mod floors;
mod output;
mod select;
mod sentinel;
mod suite;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, root, run, take_flag, take_option, target_dir};
use crate::setup;
use floors::{Floors, Skips};
use output::{Outcome, Report};
use suite::{FileRun, Suite, Target};

/// A crashed server fails many tests; at most this many are listed.
const BROKEN_SHOWN_MAX: usize = 20;

const USAGE: &str = "usage: cargo xtask upstream [FILE…] [--all] [--list] [--update] [--verbose]
  [--threads N] [--minutes M] [--mode external|normal|sentinel|tls] [--tls] [--server PATH]
  [--tags TAGS]";

/// How the suite reaches a server.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    External,
    Normal,
    /// The tests of Sentinel.
    Sentinel,
    /// As the normal one, over TLS.
    Tls,
}

struct Options {
    files: Vec<String>,
    all: bool,
    list: bool,
    update: bool,
    verbose: bool,
    threads: u32,
    minutes: u64,
    /// `None`: external for named files, all where floors decide.
    mode: Option<Mode>,
    server: Option<PathBuf>,
    tags: String,
}

fn parse(args: &[String]) -> Result<Options> {
    let mut args = args.to_vec();
    let mode = match take_option(&mut args, "--mode")?.as_deref() {
        None => take_flag(&mut args, "--tls").then_some(Mode::Tls),
        Some("external") => Some(Mode::External),
        Some("normal") => Some(Mode::Normal),
        Some("sentinel") => Some(Mode::Sentinel),
        Some("tls") => Some(Mode::Tls),
        Some(other) => bail!("unknown mode {other}\n{USAGE}"),
    };
    let options = Options {
        all: take_flag(&mut args, "--all"),
        list: take_flag(&mut args, "--list"),
        update: take_flag(&mut args, "--update"),
        verbose: take_flag(&mut args, "--verbose"),
        threads: take_option(&mut args, "--threads")?.map_or(Ok(2), |n| n.parse())?,
        minutes: take_option(&mut args, "--minutes")?.map_or(Ok(10), |n| n.parse())?,
        mode,
        server: take_option(&mut args, "--server")?.map(PathBuf::from),
        tags: take_option(&mut args, "--tags")?.unwrap_or_default(),
        files: Vec::new(),
    };
    if let Some(flag) = args.iter().find(|arg| arg.starts_with('-')) {
        bail!("unknown argument {flag}\n{USAGE}");
    }
    Ok(Options { files: args, ..options })
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let named = !options.files.is_empty() || options.all || options.list;
    let mut total = Total::default();
    if named {
        let mut runner = options.runner(options.mode.unwrap_or(Mode::External))?;
        runner.suite.tags.clone_from(&options.tags);
        let listed = options.all || options.list;
        let files = if listed { runner.suite.list()? } else { options.files.clone() };
        if options.list {
            files.iter().for_each(|file| println!("{file}"));
            return Ok(());
        }
        total.run(&runner, &files, None, &options)?;
    } else {
        let all = vec![Mode::External, Mode::Normal, Mode::Sentinel, Mode::Tls];
        let modes = options.mode.map_or(all, |mode| vec![mode]);
        let mut some = Vec::new();
        for mode in modes {
            if !Floors::new(mode).files()?.is_empty() {
                some.push(mode);
            }
        }
        if some.is_empty() {
            println!("upstream: no floors are recorded yet, so there is nothing to hold");
            return Ok(());
        }
        let share = Duration::from_secs(options.minutes * 60 / some.len() as u64);
        for mode in some {
            let runner = options.runner(mode)?;
            let files = select::for_change(&runner.files()?)?;
            total.run(&runner, &files, Some(share), &options)?;
        }
    }
    total.verdict()
}

impl Options {
    fn runner(&self, mode: Mode) -> Result<Runner> {
        Runner::new(mode, self.server.as_deref(), self.threads)
    }
}

/// The totals of a run.
#[derive(Default)]
struct Total {
    held: usize,
    broken: usize,
    bad_files: usize,
}

impl Total {
    fn run(
        &mut self,
        runner: &Runner,
        files: &[String],
        limit: Option<Duration>,
        options: &Options,
    ) -> Result<()> {
        let start = Instant::now();
        for (done, file) in files.iter().enumerate() {
            if limit.is_some_and(|limit| start.elapsed() > limit) {
                println!("upstream: time is up, not run today: {}", files[done..].join(" "));
                break;
            }
            let verdict = runner.check(file)?;
            verdict.print(file, options.verbose || !options.files.is_empty());
            self.held += verdict.held;
            self.broken += verdict.broken.len();
            self.bad_files += usize::from(!verdict.ok());
            if options.update {
                let raised = runner.floors.raise(file, &verdict.run.report)?;
                println!("  floor raised by {raised}");
            }
        }
        Ok(())
    }

    fn verdict(&self) -> Result<()> {
        println!("upstream: {} passed, {} failed", self.held, self.broken);
        if self.bad_files > 0 {
            let logs = suite::logs();
            bail!("{} files are below their floor; see {}", self.bad_files, logs.display());
        }
        Ok(())
    }
}

/// The suite, a server to run it on, and the expectations.
pub(crate) struct Runner {
    suite: Suite,
    floors: Floors,
    skips: Skips,
}

/// The result of running one file, compared with its floor.
pub(crate) struct Verdict {
    run: FileRun,
    /// Tests of the floor that passed, at the latest in the second run.
    held: usize,
    flaky: Vec<String>,
    broken: Vec<String>,
}

impl Runner {
    /// Builds Redix unless `server` names another program.
    pub(crate) fn new(mode: Mode, server: Option<&std::path::Path>, threads: u32) -> Result<Self> {
        let peers = setup::ensure()?;
        let place =
            peers.get("REDIX_SUITE").context("the suite is missing: see cargo xtask setup")?;
        if !peers.contains_key("REDIX_TCLSH") {
            bail!("tclsh is missing: see cargo xtask setup");
        }
        if mode == Mode::Tls && !peers.contains_key(setup::TCL_TLS) {
            bail!("Tcl's package tls is missing: see cargo xtask setup");
        }
        let target = match server {
            Some(path) => Target { program: std::path::absolute(path)?, worker_threads: None },
            None => {
                run(&mut process::command("cargo", &["build", "--release", "-p", "redix-server"]))?;
                let program = target_dir().join("release/redix");
                Target { program, worker_threads: Some(threads) }
            }
        };
        let suite = Suite::copy(place, mode, target, &peers)?;
        Ok(Self { suite, floors: Floors::new(mode), skips: Skips::load()? })
    }

    /// Files that have a floor.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        self.floors.files()
    }

    /// Runs `file`, and the tests of its floor that failed once more.
    pub(crate) fn check(&self, file: &str) -> Result<Verdict> {
        let skips = self.skips.of(file);
        let floor: BTreeSet<String> = self.floors.of(file)?;
        let mut run = self.suite.run(file, &skips, &[])?;
        let failed = |report: &Report| -> Vec<String> {
            let failing = floor.iter().filter(|name| !report.passed(name));
            failing
                .filter(|name| report.outcome(name) != Some(&Outcome::Skipped))
                .cloned()
                .collect()
        };
        let first = failed(&run.report);
        let mut broken = Vec::new();
        let mut flaky = Vec::new();
        if !first.is_empty() {
            let again = self.suite.run(file, &skips, &first)?;
            (flaky, broken) = first.into_iter().partition(|name| again.report.passed(name));
            if broken.is_empty() {
                // The trouble of the first run did not recur.
                run.trouble = again.trouble;
            }
        }
        let held = floor.iter().filter(|name| run.report.passed(name)).count() + flaky.len();
        Ok(Verdict { run, held, flaky, broken })
    }
}

impl Verdict {
    /// Whether no floor test failed and the server survived.
    pub(crate) fn ok(&self) -> bool {
        self.broken.is_empty() && !self.run.server_died
    }

    fn print(&self, file: &str, verbose: bool) {
        let report = &self.run.report;
        let word = if self.ok() { "ok" } else { "FAILED" };
        println!("{file}: {word}: {} ({:.1} s)", self.summary(), self.run.elapsed.as_secs_f64());
        if let Some(trouble) = &self.run.trouble {
            println!("  {trouble}");
        }
        for name in &self.flaky {
            println!("  flaky (passed alone): {name}");
        }
        for name in self.broken.iter().take(BROKEN_SHOWN_MAX) {
            let message = report.message(name).unwrap_or("did not run");
            println!("  below the floor: {name}: {message}");
        }
        if self.broken.len() > BROKEN_SHOWN_MAX {
            println!("  and {} more below the floor", self.broken.len() - BROKEN_SHOWN_MAX);
        }
        if verbose {
            for (name, message) in report.failures().filter(|(n, _)| !self.broken.contains(n)) {
                println!("  fails: {name}: {message}");
            }
        }
    }

    /// One line of counts.
    pub(crate) fn summary(&self) -> String {
        let (passed, failed, skipped) = self.run.report.counts();
        let floor = self.held + self.broken.len();
        format!("{passed} pass, {failed} fail, {skipped} skipped; floor {}/{floor}", self.held)
    }
}

/// A command that copies a folder with everything in it.
fn copy_tree(from: &std::path::Path, to: &std::path::Path) -> Command {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(from).arg(to);
    copy
}

/// The folder of floors and skips.
fn expectations() -> PathBuf {
    root().join("upstream")
}
