//! Requests of connections that wait for each reply, as most applications send them.
//!
//! Three figures decide how such a server feels: requests per second in a closed loop, what a
//! request costs the server, and how long it waits at half of that load. They depend on whether
//! server and client share processors, since one of them wakes the other for each batch: all are
//! measured with the client on a processor of its own, and with everything on all of them. Depth 16
//! stands beside depth 1 to show what the server does itself.
//!
//! Open loop: all servers get the same rate, half of what the slowest does, in turn for a slice of
//! the window each; a quantile is the median of those of the slices. Whatever else runs on the
//! machine for some milliseconds would otherwise decide the 99th percentile of whole windows. The
//! client looks at its sockets without sleeping where it has a processor of its own.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use anyhow::{Context, Result};
use redix_testkit::Server;

use crate::contender::{self, Contender, Placement};
use crate::host;
use crate::latency::{Look, Quantiles, Schedule};
use crate::load::{Load, Until};
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Op, Requests};
use crate::stats::{Ratio, median};
use crate::throughput::{Sample, fill, measure};

const OPS: [Op; 2] = [Op::Get, Op::Set];
const PLACES: [Place; 2] = [Place::Pinned, Place::Free];

/// Slices of a window in an open loop.
const SLICES: u32 = 20;

/// Who may run where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A one-threaded server and the client have a processor each.
    Pinned,
    /// Everything may run everywhere.
    Free,
}

impl Place {
    fn placement(self) -> Placement {
        match self {
            Self::Pinned => Placement::ByWorkers,
            Self::Free => Placement::Anywhere,
        }
    }

    fn client_cpus(self, contender: &Contender) -> &'static str {
        match self {
            Self::Pinned => contender.client_cpus(),
            Self::Free => contender::ALL_CPUS,
        }
    }

    fn look(self, contender: &Contender) -> Look {
        let alone = self.client_cpus(contender) != contender::ALL_CPUS;
        if alone { Look::AllTheTime } else { Look::NowAndThen }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "pinned",
            Self::Free => "unpinned",
        })
    }
}

/// Waiting times, and the share of a processor that the server used.
type Waits = (Quantiles, f64);

/// What is measured of all contenders: one row for each.
struct Row<T> {
    place: Place,
    what: String,
    /// By contender and round.
    samples: Vec<Vec<T>>,
}

impl<T> Row<T> {
    fn new(place: Place, what: String, contenders: usize) -> Self {
        Self { place, what, samples: (0..contenders).map(|_| Vec::new()).collect() }
    }
}

/// Measures everything on all contenders.
pub(crate) fn run(options: &Options) -> Result<Vec<Section>> {
    let count = options.contenders.len();
    let ops = OPS.into_iter().filter(|op| options.cells.iter().any(|cell| cell.0 == *op));
    let ops: Vec<Op> = ops.collect();
    let mut closed = Vec::new();
    let mut open = Vec::new();
    for place in PLACES.into_iter().filter(|place| options.wants_place(&place.to_string())) {
        let cells = options.cells.iter();
        closed.extend(
            cells.map(|(op, depth)| Row::new(place, format!("{} P{depth}", op.name()), count)),
        );
        open.extend(ops.iter().map(|op| Row::new(place, op.name().to_owned(), count)));
    }
    let mut rates = vec![None; open.len()];
    for round in 0..options.pairs {
        for (nth, rows) in closed.chunks_mut(options.cells.len()).enumerate() {
            let place = rows[0].place;
            let servers = start_all(place, options)?;
            let order = |turn: usize| (turn + round) % count;
            for (row, &(op, depth)) in rows.iter_mut().zip(&options.cells) {
                let mut requests =
                    Requests::uniform(op, options.keys, options.keys, options.value_len);
                for who in (0..count).map(order) {
                    let contender = &options.contenders[who];
                    host::pin_self(place.client_cpus(contender))?;
                    let sample = measure(&servers[who], &mut requests, depth, options);
                    row.samples[who].push(sample.with_context(|| contender.name)?);
                }
            }
            for (at, op) in (nth * ops.len()..).zip(&ops) {
                let rate = match (rates[at], options.rate) {
                    (Some(rate), _) | (None, Some(rate)) => rate,
                    (None, None) => half_of_the_slowest(&servers, (*op, place), options)?,
                };
                rates[at] = Some(rate);
                let order: Vec<usize> = (0..count).map(order).collect();
                let waits = waits(&servers, &order, (*op, place), rate, options)?;
                for (samples, waits) in open[at].samples.iter_mut().zip(waits) {
                    samples.push(waits);
                }
            }
        }
        eprintln!("round {} of {} done", round + 1, options.pairs);
    }
    Ok(vec![closed_section(options, &closed), open_section(options, &open, &rates)])
}

fn start_all(place: Place, options: &Options) -> Result<Vec<Server>> {
    host::pin_self(contender::ALL_CPUS)?;
    let start = |contender: &Contender| -> Result<Server> {
        let server = contender.start(place.placement(), &options.with)?;
        fill(&server, Op::Set, options.keys, options.value_len)?;
        Ok(server)
    };
    options.contenders.iter().map(start).collect()
}

/// Half of what the slowest server answers, in requests a second.
fn half_of_the_slowest(
    servers: &[Server],
    (op, place): (Op, Place),
    options: &Options,
) -> Result<f64> {
    let mut slowest = f64::INFINITY;
    for (server, contender) in servers.iter().zip(&options.contenders) {
        host::pin_self(place.client_cpus(contender))?;
        let mut requests = Requests::uniform(op, options.keys, options.keys, options.value_len);
        let mut load = Load::connect(server.addr(), options.connections, 1, &mut requests)?;
        load.run(Until::Elapsed(options.window / 4))?;
        let window = options.window / 2;
        let ops = load.run(Until::Elapsed(window))?;
        slowest = slowest.min(ops as f64 / window.as_secs_f64());
    }
    Ok((slowest / 2.0).floor())
}

/// A window on each server, in slices that take turns in this order.
fn waits(
    servers: &[Server],
    order: &[usize],
    (op, place): (Op, Place),
    rate: f64,
    options: &Options,
) -> Result<Vec<Waits>> {
    let sets_percent = if op == Op::Set { 100 } else { 0 };
    let options = Options { sets_percent, ..options.clone() };
    let mut schedules = Vec::new();
    for (server, contender) in servers.iter().zip(&options.contenders) {
        host::pin_self(place.client_cpus(contender))?;
        let mut schedule = Schedule::connect(server.addr(), &options, rate)?;
        schedule.look(place.look(contender));
        schedule.run(options.window / 4, || false).with_context(|| contender.name)?;
        schedules.push((schedule, Vec::new(), Duration::ZERO));
    }
    for _ in 0..SLICES {
        for &who in order {
            let (server, contender) = (&servers[who], &options.contenders[who]);
            let (schedule, slices, used) = &mut schedules[who];
            host::pin_self(place.client_cpus(contender))?;
            let before = server.cpu_time()?.total();
            let histogram = schedule.run(options.window / SLICES, || false);
            slices.push(Quantiles::of(&histogram.with_context(|| contender.name)?));
            *used += server.cpu_time()?.total().saturating_sub(before);
        }
    }
    let waits = |(_, slices, used): (Schedule, Vec<Quantiles>, Duration)| {
        (Quantiles::median(&slices), used.as_secs_f64() / options.window.as_secs_f64())
    };
    Ok(schedules.into_iter().map(waits).collect())
}

fn closed_section(options: &Options, rows: &[Row<Sample>]) -> Section {
    let labels = contender::labels(&options.contenders);
    let worst = rows.iter().flat_map(|row| row.samples.iter().flatten());
    let worst = worst.map(|sample| sample.foreign_percent).fold(0.0, f64::max);
    let mut section = Section::new(
        "unpipelined",
        &format!(
            "Closed loop, {} connections, {} keys of 16 B, values of {} B, medians of {} pairs of \
             {:?} windows. Others used at most {worst:.1} % of the machine in a window.",
            options.connections, options.keys, options.value_len, options.pairs, options.window
        ),
        columns(
            &["kops/s", "CPU ns/op", "lowest", "highest"],
            &labels[0],
            &["ops/s", "ops per CPU-s"],
        ),
    );
    for row in rows {
        for (who, label) in labels.iter().enumerate() {
            let of = |who: usize, figure: fn(&Sample) -> f64| -> Vec<f64> {
                row.samples[who].iter().map(figure).collect()
            };
            let speed: fn(&Sample) -> f64 = |sample| sample.ops_per_second;
            let thrift: fn(&Sample) -> f64 = |sample| 1e9 / sample.cpu_ns();
            let speeds = of(who, speed);
            let mut figures = vec![
                Figure::text(format!("{} {}", row.place, row.what)),
                Figure::text(label),
                Figure::number(median(&speeds) / 1e3, 1),
                Figure::number(median(&of(who, Sample::cpu_ns)), 0),
                Figure::number(speeds.iter().copied().fold(f64::INFINITY, f64::min) / 1e3, 1),
                Figure::number(speeds.iter().copied().fold(0.0, f64::max) / 1e3, 1),
            ];
            figures.extend([speed, thrift].map(|figure| match who {
                0 => Figure::Nothing,
                _ => Figure::Ratio(Ratio::of_pairs(&of(0, figure), &of(who, figure))),
            }));
            section.push(figures);
        }
    }
    section
}

fn open_section(options: &Options, rows: &[Row<Waits>], rates: &[Option<f64>]) -> Section {
    let labels = contender::labels(&options.contenders);
    let mut section = Section::new(
        "waiting",
        &format!(
            "Open loop, {} connections, depth 1, medians of {} windows of {:?}, quantiles of slices \
             of {:?}; unpinned, the client sleeps {:?} between two looks, and its own time is most \
             of the figures.",
            options.connections,
            options.pairs,
            options.window,
            options.window / SLICES,
            Look::INTERVAL,
        ),
        columns(&["kops/s", "p50 us", "p99 us", "p99.9 us", "CPU %"], &labels[0], &["p50", "p99"]),
    );
    for (row, rate) in rows.iter().zip(rates) {
        for (who, label) in labels.iter().enumerate() {
            let of = |who: usize, figure: fn(&Waits) -> f64| -> Vec<f64> {
                row.samples[who].iter().map(figure).collect()
            };
            let all: [fn(&Waits) -> f64; 4] = [
                |(waits, _)| waits.p50_ms * 1e3,
                |(waits, _)| waits.p99_ms * 1e3,
                |(waits, _)| waits.p999_ms * 1e3,
                |(_, used)| used * 100.0,
            ];
            let mut figures = vec![
                Figure::text(format!("{} {}", row.place, row.what)),
                Figure::text(label),
                Figure::number(rate.unwrap_or(f64::NAN) / 1e3, 1),
            ];
            figures.extend(all.map(|figure| Figure::number(median(&of(who, figure)), 0)));
            figures.extend([all[0], all[1]].map(|figure| match who {
                0 => Figure::Nothing,
                _ => Figure::Ratio(Ratio::of_pairs(&of(0, figure), &of(who, figure))),
            }));
            section.push(figures);
        }
    }
    section
}

fn columns(own: &[&str], subject: &str, ratios: &[&str]) -> Vec<String> {
    let ratios = ratios.iter().map(|name| format!("{subject} / it, {name} [95 %]"));
    let own = ["cell", "server"].iter().chain(own).map(|name| (*name).to_owned());
    own.chain(ratios).collect()
}
