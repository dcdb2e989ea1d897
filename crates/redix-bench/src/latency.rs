//! How long requests wait, in an open loop, before and while something disturbs the server.
//!
//! Requests have a schedule: request `i` is due `i / rate` after the start, whatever the server
//! does. Latency runs from the time a request was due to its reply, so a stall counts for every
//! request that it delayed (no coordinated omission; the method of wrk2). The client sleeps between
//! looks at its sockets, since a spinning client would take the processor that a background saver
//! needs; that adds up to [`Look::INTERVAL`] to every figure, for all servers alike.
//!
//! The second phase begins with the action and ends with the snapshot it started, if any.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use redix_testkit::{Client, Rng, Server};

use crate::contender::{self, Contender, Placement};
use crate::host;
use crate::load::{Load, Until};
use crate::options::Options;
use crate::replica::Replica;
use crate::report::{Figure, Section};
use crate::requests::{Op, Requests};
use crate::stats::median;
use crate::throughput::fill;

/// How often memory and the end of a snapshot are looked at.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(100);
pub(crate) const PHASE_LIMIT: Duration = Duration::from_secs(300);
/// Requests that were due and have no reply: beyond it the rate is above what the server can do.
const BACKLOG_MAX: usize = 2_000_000;
/// The action that is no command.
const ATTACH: &str = "replica";
const PROBE: Duration = Duration::from_secs(2);

/// How the client looks at its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Without sleeping.
    AllTheTime,
    /// Sleeping in between.
    NowAndThen,
}

impl Look {
    /// How long it sleeps.
    pub(crate) const INTERVAL: Duration = Duration::from_micros(100);
}

/// The waiting times of a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Quantiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Quantiles {
        let ms = |micros: u64| micros as f64 / 1e3;
        Quantiles {
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            p999_ms: ms(histogram.value_at_quantile(0.999)),
            max_ms: ms(histogram.max()),
        }
    }

    /// Of each figure the median.
    pub(crate) fn median(all: &[Quantiles]) -> Quantiles {
        let of =
            |figure: fn(&Quantiles) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
        Quantiles {
            p50_ms: of(|q| q.p50_ms),
            p99_ms: of(|q| q.p99_ms),
            p999_ms: of(|q| q.p999_ms),
            max_ms: of(|q| q.max_ms),
        }
    }
}

/// One server's turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    calm: Quantiles,
    disturbed: Option<Quantiles>,
    disturbed_s: f64,
    /// Peak resident memory while disturbed, with what a forked child holds of its own, over that
    /// before.
    rss_growth_percent: f64,
}

/// Measures every contender in turn, several times.
pub(crate) fn run(options: &Options) -> Result<Section> {
    host::pin_self(contender::ALL_CPUS)?;
    let rate = match options.rate {
        Some(rate) => rate,
        None => half_of_the_slowest(options)?,
    };
    let mut turns = vec![Vec::<Turn>::new(); options.contenders.len()];
    for round in 0..options.pairs {
        for turn in 0..options.contenders.len() {
            let who = (turn + round) % options.contenders.len();
            let contender = &options.contenders[who];
            let measured = measure(contender, options, rate);
            turns[who].push(measured.with_context(|| contender.name)?);
        }
        eprintln!("round {} of {} done", round + 1, options.pairs);
    }
    Ok(summarise(options, rate, &turns))
}

/// A fresh server that holds every key of the probes.
pub(crate) fn start_loaded(contender: &Contender, options: &Options) -> Result<Server> {
    let server = contender.start(Placement::Anywhere, &options.with)?;
    fill(&server, Op::Set, options.keys, options.value_len)?;
    Ok(server)
}

/// Half of what the slowest contender answers in a closed loop without pipelining.
pub(crate) fn half_of_the_slowest(options: &Options) -> Result<f64> {
    let mut slowest = f64::INFINITY;
    for contender in &options.contenders {
        let server = start_loaded(contender, options)?;
        let mut requests =
            Requests::uniform(Op::Set, options.keys, options.keys, options.value_len);
        let mut load = Load::connect(server.addr(), options.connections, 1, &mut requests)?;
        load.run(Until::Elapsed(PROBE / 4))?;
        let started = Instant::now();
        let ops = load.run(Until::Elapsed(PROBE))?;
        slowest = slowest.min(ops as f64 / started.elapsed().as_secs_f64());
    }
    Ok((slowest / 2.0).floor())
}

fn measure(contender: &Contender, options: &Options, rate: f64) -> Result<Turn> {
    let server = start_loaded(contender, options)?;
    let mut schedule = Schedule::connect(server.addr(), options, rate)?;
    schedule.run(options.window / 4, || false)?;
    let calm = Quantiles::of(&schedule.run(options.window, || false)?);
    let rss_before_kb = server.rss_kb()?;
    let Some(action) = &options.action else {
        return Ok(Turn { calm, disturbed: None, disturbed_s: 0.0, rss_growth_percent: 0.0 });
    };
    let over = AtomicBool::new(false);
    let started = Instant::now();
    let (histogram, peak_kb) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let watched = disturb(&server, action);
            over.store(true, Ordering::Release);
            watched
        });
        let histogram = schedule.run(PHASE_LIMIT, || over.load(Ordering::Acquire));
        let peak_kb = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        anyhow::Ok((histogram?, peak_kb?))
    })?;
    let growth = peak_kb as f64 / rss_before_kb as f64 - 1.0;
    Ok(Turn {
        calm,
        disturbed: Some(Quantiles::of(&histogram)),
        disturbed_s: started.elapsed().as_secs_f64(),
        rss_growth_percent: 100.0 * growth,
    })
}

/// Carries out the action and watches until the replica is synchronised, if that is it, and the
/// server has no snapshot under way; the peak of its memory in KiB.
fn disturb(server: &Server, action: &[String]) -> Result<u64> {
    let mut client = Client::connect(server.addr())?;
    client.set_timeout(PHASE_LIMIT);
    let replica = if action == [ATTACH] {
        Some(Replica::attach(server.addr())?)
    } else {
        client.must(action)?;
        None
    };
    let mut peak_kb = 0;
    loop {
        peak_kb = peak_kb.max(memory_kb(server)?);
        let info = client.must(&["INFO", "persistence"])?.pretty();
        let saving = ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1"];
        let synced = replica.as_ref().map_or(Ok(true), Replica::is_synced)?;
        if synced && !saving.iter().any(|line| info.contains(line)) {
            return Ok(peak_kb);
        }
        thread::sleep(WATCH_INTERVAL);
    }
}

/// Resident memory with what a forked child holds of its own.
pub(crate) fn memory_kb(server: &Server) -> Result<u64> {
    Ok(server.rss_kb()? + private_kb_of_children(server.pid()))
}

/// What forked children do not share with their parent.
fn private_kb_of_children(pid: u32) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let private_kb = |child: &str| -> u64 {
        // A child may end at any moment; then it holds nothing.
        let rollup = std::fs::read_to_string(format!("/proc/{child}/smaps_rollup"));
        let rollup = rollup.unwrap_or_default();
        let private = rollup.lines().filter(|line| line.starts_with("Private_"));
        private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    children.unwrap_or_default().split_whitespace().map(private_kb).sum()
}

/// Connections whose requests are due at fixed times.
pub(crate) struct Schedule {
    conns: Vec<Conn>,
    gets: Requests,
    sets: Requests,
    sets_percent: usize,
    rng: Rng,
    interval: Duration,
    due: Instant,
    next_conn: usize,
    in_flight: usize,
    look: Look,
}

struct Conn {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// For each unanswered request when it was due, which it is, and whether it is a SET.
    unanswered: VecDeque<(Instant, usize, bool)>,
    received: Vec<u8>,
}

impl Schedule {
    pub(crate) fn connect(addr: SocketAddr, options: &Options, rate: f64) -> Result<Schedule> {
        let conn = |_| -> Result<Conn> {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let (unsent, received) = (Vec::new(), Vec::new());
            Ok(Conn { stream, unsent, unanswered: VecDeque::new(), received })
        };
        let (keys, len) = (options.keys, options.value_len);
        Ok(Schedule {
            conns: (0..options.connections).map(conn).collect::<Result<_>>()?,
            gets: Requests::uniform(Op::Get, keys, keys.min(200_000), len),
            sets: Requests::uniform(Op::Set, keys, keys.min(200_000), len),
            sets_percent: options.sets_percent,
            rng: Rng::new(1),
            interval: Duration::from_secs_f64(1.0 / rate),
            due: Instant::now(),
            next_conn: 0,
            in_flight: 0,
            look: Look::NowAndThen,
        })
    }

    /// How it looks at its sockets from now on.
    pub(crate) fn look(&mut self, look: Look) {
        self.look = look;
    }

    /// Runs until the time is over or the condition holds, and until all replies are there.
    pub(crate) fn run(
        &mut self,
        limit: Duration,
        is_over: impl Fn() -> bool,
    ) -> Result<Histogram<u64>> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
        let started = Instant::now();
        self.due = started;
        loop {
            let now = Instant::now();
            let ending = now - started >= limit || is_over();
            if ending && self.in_flight == 0 {
                return Ok(histogram);
            }
            while !ending && self.due <= now {
                self.enqueue();
            }
            if self.in_flight > BACKLOG_MAX {
                bail!("the server falls behind: choose a lower --rate");
            }
            for index in 0..self.conns.len() {
                self.exchange(index, &mut histogram)?;
            }
            if self.look == Look::NowAndThen {
                thread::sleep(Look::INTERVAL);
            }
        }
    }

    fn enqueue(&mut self) {
        let is_set = self.rng.chance(self.sets_percent);
        let requests = if is_set { &mut self.sets } else { &mut self.gets };
        let number = requests.take(1);
        let conn = &mut self.conns[self.next_conn];
        conn.unsent.extend_from_slice(requests.bytes(number, 1));
        conn.unanswered.push_back((self.due, number, is_set));
        self.next_conn = (self.next_conn + 1) % self.conns.len();
        self.due += self.interval;
        self.in_flight += 1;
    }

    fn exchange(&mut self, index: usize, histogram: &mut Histogram<u64>) -> Result<()> {
        let conn = &mut self.conns[index];
        if conn.unanswered.is_empty() {
            return Ok(());
        }
        if !conn.unsent.is_empty() {
            match conn.stream.write(&conn.unsent) {
                Ok(len) => drop(conn.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("sending requests"),
            }
        }
        let mut buf = [0; 16 * 1024];
        match conn.stream.read(&mut buf) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(len) => conn.received.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("receiving replies"),
        }
        let now = Instant::now();
        let mut used = 0;
        while let Some(&(due, number, is_set)) = conn.unanswered.front() {
            let requests = if is_set { &self.sets } else { &self.gets };
            let Some(reply) = conn.received.get(used..used + requests.reply_len()) else { break };
            if !requests.replies_match(number, 1, reply) {
                bail!("not the expected reply: {:?}", String::from_utf8_lossy(reply));
            }
            used += reply.len();
            conn.unanswered.pop_front();
            self.in_flight -= 1;
            let waited = u64::try_from((now - due).as_micros())?;
            histogram.record(waited.max(1))?;
        }
        conn.received.drain(..used);
        Ok(())
    }
}

fn summarise(options: &Options, rate: f64, turns: &[Vec<Turn>]) -> Section {
    let columns =
        ["server", "phase", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "seconds", "RSS +%"];
    let action = options.action.as_ref().map_or("nothing".to_owned(), |words| words.join(" "));
    let mut section = Section::new(
        "latency",
        &format!(
            "Open loop at {rate} requests/s, {} % SET, {} connections, {} keys with values of {} \
             B, all processors shared; disturbed by {action}; medians of {} turns; figures hold up \
             to {} ms of the client's own.",
            options.sets_percent,
            options.connections,
            options.keys,
            options.value_len,
            options.pairs,
            Look::INTERVAL.as_secs_f64() * 1e3
        ),
        columns.map(str::to_owned).into(),
    );
    for (label, turns) in contender::labels(&options.contenders).iter().zip(turns) {
        let calm: Vec<Quantiles> = turns.iter().map(|turn| turn.calm).collect();
        let row = [Figure::text(label), Figure::text("calm")];
        let none = [Figure::number(options.window.as_secs_f64(), 1), Figure::Nothing];
        section.push(row.into_iter().chain(quantile_figures(&calm)).chain(none));
        let disturbed: Vec<Quantiles> = turns.iter().filter_map(|turn| turn.disturbed).collect();
        if !disturbed.is_empty() {
            let median_of = |f: fn(&Turn) -> f64| median(&turns.iter().map(f).collect::<Vec<_>>());
            let row = [Figure::text(label), Figure::text(action.as_str())];
            let rest = [
                Figure::number(median_of(|turn| turn.disturbed_s), 1),
                Figure::number(median_of(|turn| turn.rss_growth_percent), 1),
            ];
            section.push(row.into_iter().chain(quantile_figures(&disturbed)).chain(rest));
        }
    }
    section
}

fn quantile_figures(turns: &[Quantiles]) -> Vec<Figure> {
    let of: [fn(&Quantiles) -> f64; 4] = [|q| q.p50_ms, |q| q.p99_ms, |q| q.p999_ms, |q| q.max_ms];
    of.iter().map(|f| Figure::number(median(&turns.iter().map(f).collect::<Vec<_>>()), 2)).collect()
}
