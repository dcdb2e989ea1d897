//! The effect of large values on other clients: the open loop of [`crate::latency`] before and
//! while one client does something with millions of elements.
//!
//! The bar: the subject's p99.9 may rise by at most [`ALLOWED_MS`] or half of the rise of the
//! second contender's, whichever is more, and a snapshot may take at most
//! [`MEMORY_ALLOWED_PERCENT`] of the memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redix_testkit::{Client, Rng, Server};

use crate::contender::{self, Contender};
use crate::host;
use crate::latency::{
    PHASE_LIMIT, Quantiles, Schedule, WATCH_INTERVAL, half_of_the_slowest, memory_kb, start_loaded,
};
use crate::load::{Load, Until};
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Requests, push_words};
use crate::stats::median;

/// The rise of other clients' p99.9 that is always allowed.
const ALLOWED_MS: f64 = 2.0;
const MEMORY_ALLOWED_PERCENT: f64 = 10.0;
/// Minimum duration of the second phase: a short stall must be among many requests.
const PHASE_MIN: Duration = Duration::from_secs(2);
const DEPTH: usize = 16;
/// Elements per command where a collection is filled.
const BATCH: usize = 100;
/// Commands made at a time.
const CHUNK: usize = 16_000;

/// One row of the table.
struct Scenario {
    name: &'static str,
    /// What is made of how many.
    count: usize,
    prepare: fn(&Server, usize) -> Result<()>,
    disturb: fn(&Server, usize) -> Result<()>,
    /// The probes only write: what they would read may be deleted.
    only_sets: bool,
    /// Fields of the hash are written as fast as the server takes them, in both phases.
    writer: bool,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "DEL of a sorted set of 10 M",
        count: 10_000_000,
        prepare: sorted_set,
        disturb: |server, _| command(server, &["DEL", "z"]),
        only_sets: false,
        writer: false,
    },
    Scenario {
        name: "FLUSHALL of 10 M keys",
        count: 10_000_000,
        prepare: keys,
        disturb: |server, _| command(server, &["FLUSHALL"]),
        only_sets: true,
        writer: false,
    },
    Scenario {
        name: "SMEMBERS of 1 M",
        count: 1_000_000,
        prepare: set,
        disturb: members,
        only_sets: false,
        writer: false,
    },
    Scenario {
        name: "growth by 19 M keys",
        count: 19_000_000,
        prepare: |_, _| Ok(()),
        disturb: keys,
        only_sets: false,
        writer: false,
    },
    Scenario {
        name: "BGSAVE while a hash of 5 M is written",
        count: 5_000_000,
        prepare: hash,
        disturb: |server, _| command(server, &["BGSAVE"]),
        only_sets: false,
        writer: true,
    },
];

fn member(nth: usize) -> String {
    format!("member:{nth:09}")
}

/// Sends `commands` commands that `make` appends, with replies of one line.
fn send(server: &Server, commands: usize, mut make: impl FnMut(usize, &mut Vec<u8>)) -> Result<()> {
    for first in (0..commands).step_by(CHUNK) {
        let here = CHUNK.min(commands - first);
        let mut requests = Requests::made(here, 1, |_, nth, out| make(first + nth, out));
        let depth = if here.is_multiple_of(DEPTH) { DEPTH } else { 1 };
        Load::connect(server.addr(), 1, depth, &mut requests)?.run(Until::Answered(here))?;
    }
    Ok(())
}

fn collect(
    server: &Server,
    to: [&str; 2],
    count: usize,
    words: fn(&mut Vec<String>, usize),
) -> Result<()> {
    send(server, count / BATCH, |batch, out| {
        let mut all = to.map(str::to_owned).to_vec();
        (batch * BATCH..(batch + 1) * BATCH).for_each(|nth| words(&mut all, nth));
        push_words(out, &all);
    })
}

fn sorted_set(server: &Server, count: usize) -> Result<()> {
    collect(server, ["ZADD", "z"], count, |words, nth| {
        let score = 1_000_000_000 + nth * 2_654_435_761 % 1_000_000_007;
        words.extend([score.to_string(), member(nth)]);
    })
}

fn set(server: &Server, count: usize) -> Result<()> {
    collect(server, ["SADD", "s"], count, |words, nth| words.push(member(nth)))
}

fn hash(server: &Server, count: usize) -> Result<()> {
    collect(server, ["HSET", "h"], count, |words, nth| {
        words.extend([member(nth), "value:0123456789".into()]);
    })
}

fn keys(server: &Server, count: usize) -> Result<()> {
    send(server, count, |nth, out| {
        push_words(out, &["SET", &format!("other:{nth:010}"), "value:0123456789"]);
    })
}

fn command(server: &Server, words: &[&str]) -> Result<()> {
    let mut client = Client::connect(server.addr())?;
    client.set_timeout(PHASE_LIMIT);
    client.must(words).map(|_| ())
}

/// Reads all members, and counts them.
fn members(server: &Server, count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(server.addr())?;
    stream.set_read_timeout(Some(PHASE_LIMIT))?;
    stream.write_all(b"SMEMBERS s\r\n")?;
    let (mut lines, mut buffer) = (0, vec![0; 256 * 1024]);
    while lines < 2 * count + 1 {
        let len = stream.read(&mut buffer)?;
        ensure!(len > 0, "the server closed the connection");
        lines += memchr::memchr_iter(b'\n', &buffer[..len]).count();
    }
    ensure!(lines == 2 * count + 1, "{lines} lines");
    Ok(())
}

/// One server's turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    before: Quantiles,
    during: Quantiles,
    seconds: f64,
    memory_percent: f64,
}

/// Measures all scenarios on all contenders.
pub(crate) fn run(options: &Options) -> Result<Section> {
    ensure!(options.contenders.len() == 2, "--contenders: two, the bar is what the second does");
    let scenarios: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| options.wants(scenario.name)).collect();
    ensure!(!scenarios.is_empty(), "--only: no scenario has such a name");
    host::pin_self(contender::ALL_CPUS)?;
    let rate = match options.rate {
        Some(rate) => rate,
        None => half_of_the_slowest(options)?,
    };
    let mut section = section(options, rate);
    for scenario in scenarios {
        let mut turns = vec![Vec::<Turn>::new(); options.contenders.len()];
        for round in 0..options.pairs {
            for turn in 0..options.contenders.len() {
                let who = (turn + round) % options.contenders.len();
                let contender = &options.contenders[who];
                let measured = measure(contender, scenario, options, rate);
                let named = || format!("{}: {}", contender.name, scenario.name);
                let measured = measured.with_context(named)?;
                // At once: a run takes minutes, and may be cut off.
                eprintln!("{}: {measured:?}", named());
                turns[who].push(measured);
            }
        }
        summarise(&mut section, options, scenario, &turns);
        eprintln!("{} done", scenario.name);
    }
    Ok(section)
}

fn measure(
    contender: &Contender,
    scenario: &Scenario,
    options: &Options,
    rate: f64,
) -> Result<Turn> {
    let count = if options.quick { scenario.count / 10 } else { scenario.count };
    let server = start_loaded(contender, options)?;
    (scenario.prepare)(&server, count)?;
    let sets_percent = if scenario.only_sets { 100 } else { options.sets_percent };
    let options = Options { sets_percent, ..options.clone() };
    let mut schedule = Schedule::connect(server.addr(), &options, rate)?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scenario.writer.then(|| scope.spawn(|| write_hash(&server, count, &ended)));
        let turn = phases(&server, scenario, count, &options, &mut schedule);
        ended.store(true, Ordering::Release);
        if let Some(writer) = writer {
            writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        }
        turn
    })
}

fn phases(
    server: &Server,
    scenario: &Scenario,
    count: usize,
    options: &Options,
    schedule: &mut Schedule,
) -> Result<Turn> {
    schedule.run(options.window / 4, || false)?;
    let before = Quantiles::of(&schedule.run(options.window, || false)?);
    let memory_before_kb = server.rss_kb()?;
    let over = AtomicBool::new(false);
    let started = Instant::now();
    let (histogram, peak_kb) = thread::scope(|scope| {
        let disturber = scope.spawn(|| {
            let peak_kb = disturb(server, scenario, count);
            over.store(true, Ordering::Release);
            peak_kb
        });
        let histogram = schedule.run(PHASE_LIMIT, || over.load(Ordering::Acquire));
        let peak_kb = disturber.join().map_err(|_| anyhow::anyhow!("the disturber panicked"))?;
        anyhow::Ok((histogram?, peak_kb?))
    })?;
    Ok(Turn {
        before,
        during: Quantiles::of(&histogram),
        seconds: started.elapsed().as_secs_f64(),
        memory_percent: 100.0 * (peak_kb as f64 / memory_before_kb as f64 - 1.0),
    })
}

/// Does it and waits until nothing of it goes on in the background; the peak of the memory in KiB.
fn disturb(server: &Server, scenario: &Scenario, count: usize) -> Result<u64> {
    let started = Instant::now();
    let mut watcher = Client::connect(server.addr())?;
    watcher.set_timeout(PHASE_LIMIT);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let doer = scope.spawn(|| {
            let outcome = (scenario.disturb)(server, count);
            done.store(true, Ordering::Release);
            outcome
        });
        let mut peak_kb = 0;
        loop {
            peak_kb = peak_kb.max(memory_kb(server)?);
            if done.load(Ordering::Acquire) && started.elapsed() >= PHASE_MIN {
                let info = watcher.must(&["INFO", "everything"])?.pretty();
                let signs = ["rdb_bgsave_in_progress:0\\r", "lazyfree_pending_objects:0\\r"];
                if signs.iter().all(|sign| info.contains(sign)) {
                    break;
                }
            }
            // Who never comes to rest would never be measured.
            ensure!(started.elapsed() < PHASE_LIMIT, "it goes on for {PHASE_LIMIT:?}");
            thread::sleep(WATCH_INTERVAL);
        }
        doer.join().map_err(|_| anyhow::anyhow!("the disturbing client panicked"))??;
        Ok(peak_kb)
    })
}

/// Writes fields of the hash until the end.
fn write_hash(server: &Server, fields: usize, ended: &AtomicBool) -> Result<()> {
    let make = |rng: &mut Rng, _: usize, out: &mut Vec<u8>| {
        let value = format!("value:{:010}", rng.below(1 << 30));
        push_words(out, &["HSET", "h", &member(rng.below(fields)), &value]);
    };
    let mut requests = Requests::made(400_000, 1, make);
    let mut load = Load::connect(server.addr(), 1, DEPTH, &mut requests)?;
    while !ended.load(Ordering::Acquire) {
        load.run(Until::Elapsed(Duration::from_millis(20)))?;
    }
    Ok(())
}

fn section(options: &Options, rate: f64) -> Section {
    let columns = [
        "scenario",
        "server",
        "p99.9 before",
        "during",
        "rise ms",
        "max",
        "seconds",
        "memory +%",
        "allowed ms",
        "verdict",
    ];
    let note = format!(
        "Open loop at {rate} requests/s, {} connections, {} keys, all processors shared; medians \
         of {} turns; milliseconds. Allowed is the larger of {ALLOWED_MS} ms and half of what the \
         second contender's p99.9 rises by; a snapshot's memory {MEMORY_ALLOWED_PERCENT} %.",
        options.connections, options.keys, options.pairs
    );
    Section::new("pauses", &note, columns.map(str::to_owned).into())
}

fn summarise(section: &mut Section, options: &Options, scenario: &Scenario, turns: &[Vec<Turn>]) {
    let of = |turns: &[Turn], f: fn(&Turn) -> f64| median(&turns.iter().map(f).collect::<Vec<_>>());
    let rise = |turns: &[Turn]| of(turns, |turn| turn.during.p999_ms - turn.before.p999_ms);
    let allowed_ms = (rise(&turns[1]) / 2.0).max(ALLOWED_MS);
    for (index, label) in contender::labels(&options.contenders).iter().enumerate() {
        let turns = &turns[index];
        let memory_percent = of(turns, |turn| turn.memory_percent);
        let mut row = vec![
            Figure::text(scenario.name),
            Figure::text(label),
            Figure::number(of(turns, |turn| turn.before.p999_ms), 2),
            Figure::number(of(turns, |turn| turn.during.p999_ms), 2),
            Figure::number(rise(turns), 2),
            Figure::number(of(turns, |turn| turn.during.max_ms), 1),
            Figure::number(of(turns, |turn| turn.seconds), 1),
            Figure::number(memory_percent, 1),
        ];
        if index == 0 {
            let too_much = scenario.writer && memory_percent > MEMORY_ALLOWED_PERCENT;
            let holds = rise(turns) <= allowed_ms && !too_much;
            row.push(Figure::number(allowed_ms, 2));
            row.push(Figure::text(if holds { "holds" } else { "FAILS" }));
        } else {
            row.extend([Figure::Nothing, Figure::Nothing]);
        }
        section.push(row);
    }
}
