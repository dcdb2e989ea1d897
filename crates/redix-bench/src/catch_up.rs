//! How fast a replica applies, against how fast its primary produces.
//!
//! Primary and replica are of the same kind and hold every key. The replica is stopped (SIGSTOP)
//! while the primary takes overwriting SETs as fast as it can; then it goes on, and is timed until
//! it has applied all of them. The primary has processor 0, the replica all of them: it may use
//! several for one stream. The client has processor 1 while it produces. Nothing is dropped
//! meanwhile: neither output limit nor timeout ends the link, which is checked.
//!
//! The processor time that counts is that of the threads that do the work: the primary's only
//! worker and the replica's link in Redix, the whole process elsewhere. To a stopped replica the
//! primary sends nothing; what it produces for a second of processor time while the replica follows
//! is measured before ("followed").

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::Value;
use redix_testkit::{Client, Server};

use crate::contender::{self, CLIENT_CPUS, Contender, SERVER_CPUS};
use crate::host::{self, HostTime};
use crate::load::{Load, Until};
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Op, Requests};
use crate::stats::{Ratio, median};
use crate::throughput::fill;

const DEPTH: usize = 64;
/// Polling interval while the replica catches up.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);
const LIMIT: Duration = Duration::from_secs(300);
const REPEATS_MAX: usize = 5;
/// An upper bound of a command's bytes in the stream besides its value.
const COMMAND_BYTES: usize = 60;
/// Arguments of both servers: nothing ends the link while one of them is stopped.
const ARGS: &[&str] = &[
    "--client-output-buffer-limit",
    "replica",
    "0",
    "0",
    "0",
    "--repl-timeout",
    "3600",
    "--repl-diskless-sync-delay",
    "0",
];

/// A number of commands, the time that it took, and the processor time.
#[derive(Clone, Copy, Debug)]
struct Work {
    per_second: f64,
    per_cpu_second: f64,
}

impl Work {
    fn new(ops: usize, elapsed: Duration, cpu: Duration) -> Work {
        let ops = ops as f64;
        Work {
            per_second: ops / elapsed.as_secs_f64(),
            per_cpu_second: ops / cpu.as_secs_f64().max(1e-9),
        }
    }
}

/// One turn of a pair.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// While the replica follows, so that the primary also sends.
    followed: Work,
    /// While the replica is stopped.
    produced: Work,
    applied: Work,
    /// Processor time of the whole replica for a command applied.
    process_ns: f64,
    foreign_percent: f64,
}

/// A primary and its replica.
struct Pair {
    primary: Server,
    replica: Server,
    asking: [Client; 2],
}

/// Measures every contender in turn.
pub(crate) fn run(options: &Options) -> Result<Section> {
    let mut requests =
        Requests::uniform(Op::Set, options.keys, 2 * options.keys, options.value_len);
    let mut turns = Vec::new();
    for contender in &options.contenders {
        let measured = measure(contender, options, &mut requests);
        turns.push(measured.with_context(|| contender.name)?);
    }
    Ok(summarise(options, &turns))
}

fn measure(contender: &Contender, options: &Options, requests: &mut Requests) -> Result<Vec<Turn>> {
    let mut pair = Pair::start(contender, options)?;
    pair.turn(requests)?;
    let mut turns = Vec::new();
    for round in 0..options.pairs {
        let mut best: Option<Turn> = None;
        for _ in 0..=REPEATS_MAX {
            let turn = pair.turn(requests)?;
            if best.is_none_or(|best| turn.foreign_percent < best.foreign_percent) {
                best = Some(turn);
            }
            if turn.foreign_percent <= options.foreign_percent_max {
                break;
            }
        }
        turns.push(best.context("no turn was measured")?);
        eprintln!("{}: round {} of {} done", contender.name, round + 1, options.pairs);
    }
    Ok(turns)
}

impl Pair {
    fn start(contender: &Contender, options: &Options) -> Result<Pair> {
        host::pin_self(contender::ALL_CPUS)?;
        let missed = 2 * options.keys * (options.value_len + COMMAND_BYTES);
        let backlog = ["--repl-backlog-size", &missed.to_string()];
        let primary = contender.start_on(SERVER_CPUS, &[ARGS, &backlog].concat())?;
        let replica = contender.start_on(contender::ALL_CPUS, ARGS)?;
        fill(&primary, Op::Set, options.keys, options.value_len)?;
        let asking = [Client::connect(primary.addr())?, Client::connect(replica.addr())?];
        let mut pair = Pair { primary, replica, asking };
        let port = pair.primary.port().to_string();
        pair.asking[1].must(&["REPLICAOF", "127.0.0.1", &port])?;
        pair.wait_until("synchronised", |pair| {
            Ok(field(&mut pair.asking[1], "replication", "master_link_status")? == "up")
        })?;
        Ok(pair)
    }

    fn turn(&mut self, requests: &mut Requests) -> Result<Turn> {
        host::pin_self(CLIENT_CPUS)?;
        let (host, cpus) = (HostTime::now()?, self.all_cpu()?);
        let (followed, _) = self.produce(requests)?;
        self.wait_until_applied()?;
        signal(&self.replica, "STOP")?;
        let (produced, ops) = self.produce(requests)?;
        let (cpu, process) = (work_cpu(&self.replica, "link")?, self.replica.cpu_time()?.total());
        let began = Instant::now();
        signal(&self.replica, "CONT")?;
        self.wait_until_applied()?;
        let elapsed = began.elapsed();
        let cpu = work_cpu(&self.replica, "link")? - cpu;
        let process = self.replica.cpu_time()?.total() - process;
        let foreign_percent =
            HostTime::now()?.foreign_percent(host, self.all_cpu()?.saturating_sub(cpus));
        ensure!(field(&mut self.asking[0], "stats", "sync_full")? == "1", "the link was made anew");
        Ok(Turn {
            followed,
            produced,
            applied: Work::new(ops, elapsed, cpu),
            process_ns: process.as_secs_f64() * 1e9 / ops as f64,
            foreign_percent,
        })
    }

    /// Makes the primary execute every request once.
    fn produce(&self, requests: &mut Requests) -> Result<(Work, usize)> {
        let count = requests.count() / DEPTH * DEPTH;
        let mut load = Load::connect(self.primary.addr(), 50, DEPTH, requests)?;
        let (began, cpu) = (Instant::now(), work_cpu(&self.primary, "worker-0")?);
        let ops = load.run(Until::Answered(count))?;
        let elapsed = began.elapsed();
        let cpu = work_cpu(&self.primary, "worker-0")? - cpu;
        Ok((Work::new(ops, elapsed, cpu), ops))
    }

    /// The replication offset of the primary (0) or the replica (1).
    fn offset(&mut self, who: usize) -> Result<u64> {
        Ok(field(&mut self.asking[who], "replication", "master_repl_offset")?.parse()?)
    }

    /// Waits until the replica has caught up.
    fn wait_until_applied(&mut self) -> Result<()> {
        let target = self.offset(0)?;
        self.wait_until("applied", |pair| Ok(pair.offset(1)? >= target))
    }

    fn wait_until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Pair) -> Result<bool>,
    ) -> Result<()> {
        let began = Instant::now();
        while !holds(self)? {
            ensure!(began.elapsed() < LIMIT, "not {what} in {LIMIT:?}");
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Of the two servers and this process.
    fn all_cpu(&self) -> Result<Duration> {
        let servers = self.primary.cpu_time()?.total() + self.replica.cpu_time()?.total();
        Ok(servers + host::own_cpu_time()?)
    }
}

fn field(client: &mut Client, section: &str, name: &str) -> Result<String> {
    let Value::Bulk(text) = client.must(&["INFO", section])? else { bail!("INFO is no text") };
    let text = String::from_utf8(text)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("INFO has no {name}"))?.to_owned())
}

fn signal(server: &Server, name: &str) -> Result<()> {
    let pid = server.pid().to_string();
    let status = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
    ensure!(status.success(), "kill -{name} {pid}: {status}");
    Ok(())
}

/// Processor time of the threads whose names begin so, else of all threads of the process.
fn work_cpu(server: &Server, thread: &str) -> Result<Duration> {
    let (mut all, mut named) = (0, 0);
    for task in fs::read_dir(format!("/proc/{}/task", server.pid()))? {
        let task = task?.path();
        // Nanoseconds on a processor come first; see the kernel's sched-stats.rst.
        let text = fs::read_to_string(task.join("schedstat"))?;
        let ns: u64 = text.split_whitespace().next().context("an empty schedstat")?.parse()?;
        all += ns;
        if fs::read_to_string(task.join("comm"))?.starts_with(thread) {
            named += ns;
        }
    }
    Ok(Duration::from_nanos(if named == 0 { all } else { named }))
}

fn summarise(options: &Options, turns: &[Vec<Turn>]) -> Section {
    let columns = [
        "server",
        "produced kops/s",
        "per CPU-s",
        "followed, per CPU-s",
        "applied kops/s",
        "per CPU-s",
        "replica CPU ns/op",
        "applied / produced, ops/s [95 %]",
        "ops per CPU-s [95 %]",
        "applied / followed, ops per CPU-s [95 %]",
    ];
    let worst = turns.iter().flatten().map(|turn| turn.foreign_percent).fold(0.0, f64::max);
    let note = format!(
        "{} SETs at pipeline {DEPTH} over 50 connections, {} keys of 16 B that are there, values \
         of {} B, medians of {} rounds. The primary with one worker on processor 0, the client on 1, \
         the replica on both. Others used at most {worst:.1} % of the machine in a round.",
        2 * options.keys,
        options.keys,
        options.value_len,
        options.pairs
    );
    let mut section = Section::new("catch-up", &note, columns.map(str::to_owned).into());
    let labels = contender::labels(&options.contenders);
    for (label, turns) in labels.iter().zip(turns) {
        let series = |f: fn(&Turn) -> f64| turns.iter().map(f).collect::<Vec<f64>>();
        let produced = series(|turn| turn.produced.per_second);
        let produced_cpu = series(|turn| turn.produced.per_cpu_second);
        let followed_cpu = series(|turn| turn.followed.per_cpu_second);
        let applied = series(|turn| turn.applied.per_second);
        let applied_cpu = series(|turn| turn.applied.per_cpu_second);
        section.push([
            Figure::text(label),
            Figure::number(median(&produced) / 1e3, 1),
            Figure::number(median(&produced_cpu) / 1e3, 1),
            Figure::number(median(&followed_cpu) / 1e3, 1),
            Figure::number(median(&applied) / 1e3, 1),
            Figure::number(median(&applied_cpu) / 1e3, 1),
            Figure::number(median(&series(|turn| turn.process_ns)), 0),
            Figure::Ratio(Ratio::of_pairs(&applied, &produced)),
            Figure::Ratio(Ratio::of_pairs(&applied_cpu, &produced_cpu)),
            Figure::Ratio(Ratio::of_pairs(&applied_cpu, &followed_cpu)),
        ]);
    }
    section
}
