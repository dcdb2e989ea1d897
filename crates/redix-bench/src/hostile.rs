//! What a hostile user that keeps within its quota costs others.
//!
//! Others have connections that send a GET each, one at a time. Meanwhile a user with a rate writes
//! large values to a full database of its own: in pipelines without end, or all that it has saved
//! up in a tenth of a second at once. Its load generator takes processor time and wakes up, which
//! delays others on a machine with few processors whatever the server does. So the same load goes
//! to another server on this machine in turn, and the bar is on the ratio of the two.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use redix_testkit::{Client, Rng, Server};

use crate::contender::{self, Placement};
use crate::host;
use crate::latency::Quantiles;
use crate::load::{Load, Until};
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Op, Requests, push_words};
use crate::stats::{Ratio, median};
use crate::throughput::fill;

/// What others' p99 may rise by.
const ALLOWED: f64 = 1.2;
const RATE: usize = 20_000;
const CONNECTIONS: usize = 20;
const VALUE_LEN: usize = 500;
/// Requests that fill the database, and that are made before they repeat.
const FILL: usize = 200_000;
const STREAM: usize = 100_000;
const LIMIT: &str = "1 50mb allkeys-lru";
const BURST_INTERVAL: Duration = Duration::from_millis(100);

/// How the hostile user sends.
struct Pattern {
    name: &'static str,
    depth: usize,
    /// So many, then nothing for the rest of a tenth of a second.
    burst: Option<usize>,
}

const PATTERNS: [Pattern; 3] = [
    Pattern { name: "pipelines of 16", depth: 16, burst: None },
    Pattern { name: "pipelines of 250", depth: 250, burst: None },
    Pattern { name: "bursts of 2000", depth: 100, burst: Some(RATE / 10) },
];

/// Where it sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Nowhere,
    OtherServer,
    SameServer,
}

const TARGETS: [Target; 3] = [Target::Nowhere, Target::OtherServer, Target::SameServer];

/// Measures all patterns on the first contender.
pub(crate) fn run(options: &Options) -> Result<Section> {
    host::pin_self(contender::ALL_CPUS)?;
    let (same, other) = (start(options)?, start(options)?);
    let patterns: Vec<&Pattern> =
        PATTERNS.iter().filter(|pattern| options.wants(pattern.name)).collect();
    ensure!(!patterns.is_empty(), "--only: no pattern has such a name");
    let mut gets = Requests::uniform(Op::Get, options.keys, options.keys, options.value_len);
    let mut section = section(options);
    for pattern in patterns {
        let mut waits: [Vec<Quantiles>; 3] = Default::default();
        for round in 0..options.pairs {
            for turn in 0..TARGETS.len() {
                let at = (turn + round) % TARGETS.len();
                let server = match TARGETS[at] {
                    Target::Nowhere => None,
                    Target::OtherServer => Some(&other),
                    Target::SameServer => Some(&same),
                };
                waits[at].push(measure(&same, server, pattern, &mut gets, options)?);
            }
            eprintln!("{}: round {} of {} done", pattern.name, round + 1, options.pairs);
        }
        summarise(&mut section, pattern, &waits);
    }
    Ok(section)
}

/// A server with the others' keys, a full database and a user confined to it.
fn start(options: &Options) -> Result<Server> {
    let args = ["--db-maxmemory".to_owned(), LIMIT.to_owned()];
    let args = [&args[..], &options.with].concat();
    let server = options.contenders[0].start(Placement::Anywhere, &args)?;
    fill(&server, Op::Set, options.keys, options.value_len)?;
    let mut operator = Client::connect(server.addr())?;
    let rules = "on >secret ~* db=1 +@all -@admin -@dangerous -@scripting %mem=100mb";
    let set_user = |operator: &mut Client, rules: &str| -> Result<()> {
        let words = ["ACL", "SETUSER", "mallory"].into_iter().chain(rules.split(' '));
        operator.must(&words.collect::<Vec<_>>()).map(|_| ())
    };
    set_user(&mut operator, rules)?;
    let mut requests = writes();
    let mut load = connect(&server, PATTERNS[0].depth, &mut requests)?;
    load.run(Until::Answered(FILL))?;
    set_user(&mut operator, &format!("%rate={RATE}"))?;
    Ok(server)
}

/// SETs of many keys.
fn writes() -> Requests {
    let value = "v".repeat(VALUE_LEN);
    Requests::made(STREAM, 1, |rng: &mut Rng, _, out| {
        push_words(out, &["SET", &format!("key:{:012}", rng.below(10_000_000)), &value]);
    })
}

fn connect<'a>(server: &Server, depth: usize, requests: &'a mut Requests) -> Result<Load<'a>> {
    let mut greeting = Vec::new();
    push_words(&mut greeting, &["AUTH", "mallory", "secret"]);
    push_words(&mut greeting, &["SELECT", "1"]);
    Load::connect_with(server.addr(), CONNECTIONS, depth, requests, (&greeting, b"+OK\r\n+OK\r\n"))
}

/// How long the others of `server` wait while the user sends to `target`.
fn measure(
    server: &Server,
    target: Option<&Server>,
    pattern: &Pattern,
    gets: &mut Requests,
    options: &Options,
) -> Result<Quantiles> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = target.map(|target| scope.spawn(|| send(target, pattern, &over)));
        let waits = others(server, gets, options);
        over.store(true, Ordering::Release);
        if let Some(sender) = sender {
            sender.join().map_err(|_| anyhow!("the hostile client panicked"))??;
        }
        waits
    })
}

fn others(server: &Server, gets: &mut Requests, options: &Options) -> Result<Quantiles> {
    let mut load = Load::connect(server.addr(), options.connections, 1, gets)?;
    // The user's bucket is full at first.
    load.run(Until::Elapsed(options.window / 4))?;
    load.record_waits()?;
    load.run(Until::Elapsed(options.window))?;
    load.waits().map(Quantiles::of).ok_or_else(|| anyhow!("nothing was recorded"))
}

/// Sends until it is over.
fn send(server: &Server, pattern: &Pattern, over: &AtomicBool) -> Result<()> {
    let mut requests = writes();
    let mut load = connect(server, pattern.depth, &mut requests)?;
    let mut due = Instant::now();
    while !over.load(Ordering::Acquire) {
        let Some(burst) = pattern.burst else {
            load.run(Until::Elapsed(Duration::from_millis(20)))?;
            continue;
        };
        load.run(Until::Answered(burst))?;
        due = (due + BURST_INTERVAL).max(Instant::now());
        thread::sleep(due - Instant::now());
    }
    Ok(())
}

fn section(options: &Options) -> Section {
    let columns = [
        "user sends",
        "p50 ms alone",
        "elsewhere",
        "here",
        "p99 ms alone",
        "elsewhere",
        "here",
        "p99 here / elsewhere [95 %]",
        "verdict",
    ];
    let note = format!(
        "{} connections of others send a GET at a time; a user with %rate={RATE} has \
         {CONNECTIONS} connections that SET {VALUE_LEN} B in a full database of its own, on \
         another server or on this one; all processors shared; medians of {} rounds of {:?}. \
         Allowed is a median ratio of {ALLOWED}.",
        options.connections, options.pairs, options.window
    );
    Section::new("hostile", &note, columns.map(str::to_owned).into())
}

fn summarise(section: &mut Section, pattern: &Pattern, waits: &[Vec<Quantiles>; 3]) {
    let series = |of: &[Quantiles], f: fn(&Quantiles) -> f64| of.iter().map(f).collect::<Vec<_>>();
    let p99: fn(&Quantiles) -> f64 = |waits| waits.p99_ms;
    let mut row = vec![Figure::text(pattern.name)];
    for quantile in [|waits: &Quantiles| waits.p50_ms, p99] {
        row.extend(waits.iter().map(|of| Figure::number(median(&series(of, quantile)), 3)));
    }
    let ratio = Ratio::of_pairs(&series(&waits[2], p99), &series(&waits[1], p99));
    row.push(Figure::Ratio(ratio));
    row.push(Figure::text(if ratio.median <= ALLOWED { "holds" } else { "FAILS" }));
    section.push(row);
}
