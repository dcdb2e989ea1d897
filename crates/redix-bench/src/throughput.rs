//! Operations per second of server processor time, closed loop.
//!
//! A round starts every contender afresh and loads it; then each cell (operation and depth) is
//! measured on one after the other, in an order that turns with every round, so that the two
//! windows of a ratio lie seconds apart. Waiting servers cost next to nothing. A window in which
//! others used the machine is repeated, and if that does not help, the worst share met is reported
//! with the table.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use redix_testkit::Server;

use crate::contender::{self, Contender, Placement};
use crate::host::{self, HostTime};
use crate::load::{Load, Until};
use crate::options::Options;
use crate::replica::Replica;
use crate::report::{Figure, Section};
use crate::requests::{Op, Requests};
use crate::stats::{Ratio, median};

const LOAD_CONNECTIONS: usize = 4;
const LOAD_DEPTH: usize = 50;
const REPEATS_MAX: usize = 5;

/// One window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) ops_per_second: f64,
    user_ns: f64,
    system_ns: f64,
    /// What the request cost the client: above the server's figure, the client is the bottleneck
    /// and the server idles in between, with smaller batches than it could have.
    client_ns: f64,
    pub(crate) foreign_percent: f64,
}

impl Sample {
    pub(crate) fn cpu_ns(&self) -> f64 {
        self.user_ns + self.system_ns
    }
}

/// Measures all cells on all contenders.
pub(crate) fn run(options: &Options) -> Result<Section> {
    // samples[cell][contender][round]
    let mut samples =
        vec![vec![Vec::<Sample>::new(); options.contenders.len()]; options.cells.len()];
    for round in 0..options.pairs {
        host::pin_self(contender::ALL_CPUS)?;
        let servers: Vec<Server> = options
            .contenders
            .iter()
            .map(|contender| start_loaded(contender, options))
            .collect::<Result<_>>()?;
        // The thread of a replica inherits the processors: beside the client.
        host::pin_self(contender::CLIENT_CPUS)?;
        let replicas = options.contenders.iter().zip(&servers);
        let replicas: Vec<Option<Replica>> = replicas
            .map(|(contender, server)| contender.attach_replica(server))
            .collect::<Result<_>>()?;
        for (cell, &(op, depth)) in options.cells.iter().enumerate() {
            let mut requests = Requests::uniform(op, options.keys, options.keys, options.value_len);
            for turn in 0..servers.len() {
                let who = (turn + round) % servers.len();
                host::pin_self(options.contenders[who].client_cpus())?;
                let sample = measure(&servers[who], &mut requests, depth, options)
                    .with_context(|| format!("{} {}", options.contenders[who].name, op.name()))?;
                samples[cell][who].push(sample);
            }
        }
        for replica in replicas.iter().flatten() {
            replica.is_synced().context("what was measured had no replica")?;
        }
        eprintln!("round {} of {} done", round + 1, options.pairs);
    }
    Ok(summarise(options, &samples))
}

/// A fresh server that holds every key.
fn start_loaded(contender: &Contender, options: &Options) -> Result<Server> {
    let server = contender.start(Placement::ByWorkers, &options.with)?;
    fill(&server, Op::Set, options.keys, options.value_len)?;
    Ok(server)
}

/// Sets every key once, in random order.
pub(crate) fn fill(server: &Server, op: Op, keys: usize, value_len: usize) -> Result<()> {
    let mut requests = Requests::each_once(op, keys, value_len);
    let rest = keys % LOAD_DEPTH;
    let mut load = Load::connect(server.addr(), LOAD_CONNECTIONS, LOAD_DEPTH, &mut requests)?;
    load.run(Until::Answered(keys - rest))?;
    drop(load);
    if rest > 0 {
        Load::connect(server.addr(), 1, 1, &mut requests)?.run(Until::Answered(rest))?;
    }
    Ok(())
}

/// One operation at one depth, on a server that holds every key.
pub(crate) fn measure(
    server: &Server,
    requests: &mut Requests,
    depth: usize,
    options: &Options,
) -> Result<Sample> {
    let mut load = Load::connect(server.addr(), options.connections, depth, requests)?;
    load.run(Until::Elapsed(options.window / 4))?;
    let mut best: Option<Sample> = None;
    for _ in 0..=REPEATS_MAX {
        let sample = window(server, &mut load, options.window)?;
        if best.is_none_or(|best| sample.foreign_percent < best.foreign_percent) {
            best = Some(sample);
        }
        if sample.foreign_percent <= options.foreign_percent_max {
            break;
        }
    }
    best.context("no window was measured")
}

fn window(server: &Server, load: &mut Load<'_>, length: Duration) -> Result<Sample> {
    sample(server, || load.run(Until::Elapsed(length)))
}

/// The cost to a server of what `drive` sends; `drive` returns the number of requests.
pub(crate) fn sample(server: &Server, drive: impl FnOnce() -> Result<usize>) -> Result<Sample> {
    let (host_before, own_before) = (HostTime::now()?, host::own_cpu_time()?);
    let (cpu_before, started) = (server.cpu_time()?, Instant::now());
    let ops = drive()?;
    let (elapsed, cpu_after) = (started.elapsed(), server.cpu_time()?);
    let (host_after, own_after) = (HostTime::now()?, host::own_cpu_time()?);
    let own = own_after - own_before;
    let ours = own + cpu_after.total() - cpu_before.total();
    let per_op = |time: Duration| time.as_secs_f64() * 1e9 / (ops.max(1)) as f64;
    Ok(Sample {
        ops_per_second: ops as f64 / elapsed.as_secs_f64(),
        user_ns: per_op(cpu_after.user - cpu_before.user),
        system_ns: per_op(cpu_after.system - cpu_before.system),
        client_ns: per_op(own),
        foreign_percent: host_after.foreign_percent(host_before, ours),
    })
}

fn summarise(options: &Options, samples: &[Vec<Vec<Sample>>]) -> Section {
    let labels = contender::labels(&options.contenders);
    let subject = &labels[0];
    let columns = columns(subject);
    let worst = samples.iter().flatten().flatten().map(|s| s.foreign_percent).fold(0.0, f64::max);
    let mut section = Section::new(
        "throughput",
        &format!(
            "Closed loop, {} connections, {} keys of 16 B, values of {} B, medians of {} pairs of \
             {:?} windows. One-threaded servers on processor 0 and the client on 1, others and \
             their client on both. Others used at most {worst:.1} % of the machine in a window.",
            options.connections, options.keys, options.value_len, options.pairs, options.window
        ),
        columns,
    );
    for (&(op, depth), cell) in options.cells.iter().zip(samples) {
        let name = format!("{} P{depth}", op.name());
        for (label, of_server) in labels.iter().zip(cell) {
            let row = summarise_server(&cell[0], of_server, label == subject);
            section.push([Figure::text(name.as_str()), Figure::text(label)].into_iter().chain(row));
        }
    }
    section
}

/// The columns of a table of samples.
pub(crate) fn columns(subject: &str) -> Vec<String> {
    let mut columns: Vec<String> =
        ["cell", "server", "kops/s", "CPU ns/op", "user", "kernel", "client", "kops/CPU-s"]
            .map(str::to_owned)
            .into();
    columns.push(format!("{subject} / it, ops per CPU-s [95 %]"));
    columns.push(format!("{subject} / it, ops/s"));
    columns
}

pub(crate) fn summarise_server(
    subject: &[Sample],
    server: &[Sample],
    is_subject: bool,
) -> Vec<Figure> {
    let series = |of: &[Sample], f: fn(&Sample) -> f64| of.iter().map(f).collect::<Vec<f64>>();
    let median_of = |f: fn(&Sample) -> f64| median(&series(server, f));
    let per_cpu: fn(&Sample) -> f64 = |sample| 1e9 / sample.cpu_ns();
    let rate: fn(&Sample) -> f64 = |sample| sample.ops_per_second;
    let mut row = vec![
        Figure::number(median_of(rate) / 1e3, 1),
        Figure::number(median_of(Sample::cpu_ns), 0),
        Figure::number(median_of(|sample| sample.user_ns), 0),
        Figure::number(median_of(|sample| sample.system_ns), 0),
        Figure::number(median_of(|sample| sample.client_ns), 0),
        Figure::number(median_of(per_cpu) / 1e3, 1),
    ];
    if is_subject {
        row.extend([Figure::Nothing, Figure::Nothing]);
    } else {
        let ratio = Ratio::of_pairs(&series(subject, per_cpu), &series(server, per_cpu));
        let speed = Ratio::of_pairs(&series(subject, rate), &series(server, rate));
        row.extend([Figure::Ratio(ratio), Figure::number(speed.median, 2)]);
    }
    row
}
