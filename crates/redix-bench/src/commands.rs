//! What commands cost a server's processor: collections, several keys, transactions, hand-overs.
//!
//! As [`crate::throughput`], with a fixed number of requests instead of a fixed time: a command
//! that fills or empties its key then does the same work on every server. Such a key begins anew in
//! every window; where memory of the one before is freed in the background, that is waited for.
//!
//! Members, fields, elements and values are of 16 bytes; collections have 100,000 of them unless
//! the name of the cell says otherwise, and are drawn from uniformly.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redix_testkit::{Client, Rng, Server};

use crate::contender::{self, Placement};
use crate::fan_out::{HandOver, Publish};
use crate::host;
use crate::load::{Load, Until};
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Requests, push_words};
use crate::throughput::{Sample, columns, sample, summarise_server};

const DEPTH: usize = 16;
const REPEATS_MAX: usize = 5;
/// Requests that are made before a stream repeats.
const STREAM_MAX: usize = 200_000;
/// Size of a collection, unless the cell says otherwise.
const MEMBERS: usize = 100_000;
/// Members per command where a collection is filled.
const BATCH: usize = 10;
/// Lines of a stream's entry with one field.
const ENTRY_LINES: usize = 8;
const CALM_LIMIT: Duration = Duration::from_secs(60);

type Prepare = fn(&Server) -> Result<()>;
type Request = fn(&mut Rng, &mut Vec<u8>);

enum Work {
    /// Pipelined requests whose replies have so many lines.
    Requests(usize, Request),
    HandOver,
    Publish,
}

/// One row of the table.
struct Cell {
    name: &'static str,
    /// How many requests a window has.
    ops: usize,
    /// What is created before.
    prepare: Prepare,
    /// Each window needs the preparation anew.
    spent: bool,
    work: Work,
}

impl Cell {
    const fn new(
        name: &'static str,
        ops: usize,
        prepare: Prepare,
        lines: usize,
        f: Request,
    ) -> Cell {
        Cell { name, ops, prepare, spent: false, work: Work::Requests(lines, f) }
    }

    /// For a command that fills or empties its key.
    const fn spent(mut self) -> Cell {
        self.spent = true;
        self
    }
}

const CELLS: &[Cell] = &[
    Cell::new("LPUSH", 2_000_000, nothing, 1, |rng, out| push(out, &["LPUSH", "l", &member(rng)]))
        .spent(),
    Cell::new(
        "LPOP",
        2_000_000,
        |server| list(server, 2_000_000),
        2,
        |_, out| {
            push(out, &["LPOP", "l"]);
        },
    )
    .spent(),
    Cell::new(
        "LRANGE 100",
        100_000,
        |server| list(server, MEMBERS),
        201,
        |_, out| {
            push(out, &["LRANGE", "l", "0", "99"]);
        },
    ),
    Cell::new(
        "LINDEX in 1 M",
        200_000,
        |server| list(server, 1_000_000),
        2,
        |rng, out| {
            push(out, &["LINDEX", "l", &six_digits(rng)]);
        },
    ),
    Cell::new("SADD", 1_000_000, nothing, 1, |rng, out| push(out, &["SADD", "s", &member(rng)]))
        .spent(),
    Cell::new(
        "SISMEMBER",
        2_000_000,
        |server| set(server, "s", MEMBERS),
        1,
        |rng, out| {
            push(out, &["SISMEMBER", "s", &member(rng)]);
        },
    ),
    Cell::new(
        "SPOP",
        1_000_000,
        |server| set(server, "s", 1_000_000),
        2,
        |_, out| {
            push(out, &["SPOP", "s"]);
        },
    )
    .spent(),
    Cell::new("SINTER 100 with 100 k", 20_000, two_sets, 201, |_, out| {
        push(out, &["SINTER", "s", "t"]);
    }),
    Cell::new("HSET", 1_000_000, nothing, 1, |rng, out| {
        let field = member(rng);
        push(out, &["HSET", "h", &field, "value:0123456789"]);
    })
    .spent(),
    Cell::new(
        "HGET",
        2_000_000,
        |server| hash(server, MEMBERS),
        2,
        |rng, out| {
            push(out, &["HGET", "h", &member(rng)]);
        },
    ),
    Cell::new(
        "HGETALL of 10",
        300_000,
        |server| hash(server, 10),
        41,
        |_, out| {
            push(out, &["HGETALL", "h"]);
        },
    ),
    Cell::new("ZADD", 1_000_000, nothing, 1, |rng, out| {
        let score = six_digits(rng);
        push(out, &["ZADD", "z", &score, &member(rng)]);
    })
    .spent(),
    Cell::new(
        "ZSCORE",
        2_000_000,
        |server| zset(server, MEMBERS),
        2,
        |rng, out| {
            push(out, &["ZSCORE", "z", &member(rng)]);
        },
    ),
    Cell::new(
        "ZRANK",
        1_000_000,
        |server| zset(server, MEMBERS),
        1,
        |rng, out| {
            push(out, &["ZRANK", "z", &member(rng)]);
        },
    ),
    Cell::new(
        "ZRANGEBYSCORE 100",
        100_000,
        |server| zset(server, MEMBERS),
        201,
        |rng, out| {
            // From the lower half, so that a hundred follow.
            let least = (100_000 + rng.below(400_000)).to_string();
            push(out, &["ZRANGEBYSCORE", "z", &least, "+inf", "LIMIT", "0", "100"]);
        },
    ),
    Cell::new(
        "ZPOPMIN",
        500_000,
        |server| zset(server, 500_000),
        5,
        |_, out| {
            push(out, &["ZPOPMIN", "z"]);
        },
    )
    .spent(),
    Cell::new("MSET 10", 200_000, nothing, 1, |rng, out| {
        let mut words = vec!["MSET".to_owned()];
        for _ in 0..10 {
            words.extend([format!("key:{:012}", rng.below(1_000_000)), "value:0123456789".into()]);
        }
        push_words(out, &words);
    })
    .spent(),
    Cell::new("EXEC of 5 SET", 200_000, nothing, 12, |rng, out| {
        push(out, &["MULTI"]);
        for _ in 0..5 {
            push(out, &["SET", &format!("key:{:012}", rng.below(MEMBERS)), "value:0123456789"]);
        }
        push(out, &["EXEC"]);
    }),
    Cell::new("XADD", 1_000_000, nothing, 2, |rng, out| {
        push(out, &["XADD", "x", "*", "field", &member(rng)]);
    })
    .spent(),
    Cell::new(
        "XREADGROUP of 10",
        20_000,
        |server| {
            stream(server, 300_000)?;
            Client::connect(server.addr())?.must(&["XGROUP", "CREATE", "x", "g", "0"])?;
            Ok(())
        },
        5 + 10 * ENTRY_LINES,
        |_, out| {
            push(out, &["XREADGROUP", "GROUP", "g", "c", "COUNT", "10", "STREAMS", "x", ">"]);
        },
    )
    .spent(),
    Cell::new(
        "XRANGE 100",
        48_000,
        |server| stream(server, MEMBERS),
        1 + 100 * ENTRY_LINES,
        |_, out| push(out, &["XRANGE", "x", "-", "+", "COUNT", "100"]),
    ),
    Cell::new("SETBIT", 2_000_000, nothing, 1, |rng, out| {
        push(out, &["SETBIT", "b", &six_digits(rng), "1"]);
    }),
    Cell::new(
        "BITCOUNT of 64 KB",
        100_000,
        |server| {
            let mut client = Client::connect(server.addr())?;
            client.must(&["SET", "b", &"bits".repeat(16 * 1024)])?;
            Ok(())
        },
        1,
        |_, out| push(out, &["BITCOUNT", "b"]),
    ),
    Cell::new("PFADD", 2_000_000, nothing, 1, |rng, out| push(out, &["PFADD", "p", &member(rng)])),
    Cell::new(
        "PFCOUNT",
        2_000_000,
        |server| loglog(server, "p"),
        1,
        |_, out| push(out, &["PFCOUNT", "p"]),
    ),
    Cell::new(
        "PFCOUNT of 3",
        48_000,
        |server| ["p", "q", "r"].iter().try_for_each(|key| loglog(server, key)),
        1,
        |_, out| push(out, &["PFCOUNT", "p", "q", "r"]),
    ),
    Cell::new(
        "PFMERGE of 2",
        48_000,
        |server| ["p", "q", "r"].iter().try_for_each(|key| loglog(server, key)),
        1,
        |_, out| push(out, &["PFMERGE", "r", "p", "q"]),
    ),
    Cell::new("GEOADD", 1_000_000, nothing, 1, |rng, out| {
        let (longitude, latitude) = position(rng);
        push(out, &["GEOADD", "g", &longitude, &latitude, &member(rng)]);
    })
    .spent(),
    Cell::new(
        "GEOSEARCH 100",
        9_600,
        |server| {
            send(server, MEMBERS, |rng, nth, out| {
                let (longitude, latitude) = position(rng);
                push(out, &["GEOADD", "g", &longitude, &latitude, &nth_member(nth)]);
            })
        },
        201,
        |rng, out| {
            let (longitude, latitude) = position(rng);
            let mut words = vec!["GEOSEARCH", "g", "FROMLONLAT", &longitude, &latitude];
            // More than a hundred are that near, in the corners too.
            words.extend(["BYRADIUS", "4", "km", "COUNT", "100", "ASC"]);
            push(out, &words);
        },
    ),
    Cell::new(
        "HEXPIRE",
        1_000_000,
        |server| hash(server, MEMBERS),
        2,
        |rng, out| push(out, &["HEXPIRE", "h", "10000", "FIELDS", "1", &member(rng)]),
    ),
    Cell::new("HSETEX", 1_000_000, nothing, 1, |rng, out| {
        push(out, &["HSETEX", "h", "EX", "10000", "FIELDS", "1", &member(rng), "value:0123456789"]);
    })
    .spent(),
    Cell::new("EVALSHA of 3 calls", 200_000, load_script, 2, |rng, out| {
        push(out, &["EVALSHA", SCRIPT_SHA, "2", &member(rng), &member(rng), "value:0123456789"]);
    }),
    Cell::new("FCALL of 3 calls", 200_000, load_function, 2, |rng, out| {
        push(out, &["FCALL", "f", "2", &member(rng), &member(rng), "value:0123456789"]);
    }),
    Cell::new("EVAL of 1000 texts", 100_000, nothing, 1, |rng, out| {
        let script = format!("return redis.call('incr', KEYS[1]) -- {:03}", rng.below(1000));
        push(out, &["EVAL", &script, "1", &member(rng)]);
    }),
    Cell::new("9 GET, 9 SET, 2 scripts", 100_000, load_script_and_keys, 31, |rng, out| {
        for at in 0..20 {
            let key = member(rng);
            match at % 10 {
                0 => push(out, &["EVALSHA", SCRIPT_SHA, "2", &key, "counter", "value:0123456789"]),
                1..=4 => push(out, &["GET", &key]),
                5..=8 => push(out, &["SET", &key, "value:0123456789"]),
                _ if at < 10 => push(out, &["GET", &key]),
                _ => push(out, &["SET", &key, "value:0123456789"]),
            }
        }
    }),
    Cell {
        name: "BLPOP hand-over",
        ops: 200_000,
        prepare: nothing,
        spent: false,
        work: Work::HandOver,
    },
    Cell {
        name: "PUBLISH to 50",
        ops: 20_000,
        prepare: nothing,
        spent: false,
        work: Work::Publish,
    },
];

/// A script that makes three calls.
const SCRIPT: &str = "redis.call('set', KEYS[1], ARGV[1]) redis.call('incr', KEYS[2] .. ':n') \
                      return redis.call('get', KEYS[1])";
const SCRIPT_SHA: &str = "080ef32dae4733ac91750235a2df810a5535d6e4";
/// The same as a function.
const LIBRARY: &str = "#!lua name=bench\n\
    redis.register_function('f', function(KEYS, ARGV) \
    redis.call('set', KEYS[1], ARGV[1]) redis.call('incr', KEYS[2] .. ':n') \
    return redis.call('get', KEYS[1]) end)";

fn load_script(server: &Server) -> Result<()> {
    let sha = Client::connect(server.addr())?.must(&["SCRIPT", "LOAD", SCRIPT])?;
    ensure!(sha.pretty().contains(SCRIPT_SHA), "the digest is {}", sha.pretty());
    Ok(())
}

fn load_function(server: &Server) -> Result<()> {
    Client::connect(server.addr())?.must(&["FUNCTION", "LOAD", "REPLACE", LIBRARY])?;
    Ok(())
}

fn load_script_and_keys(server: &Server) -> Result<()> {
    load_script(server)?;
    let mut client = Client::connect(server.addr())?;
    for first in (0..MEMBERS).step_by(1000) {
        let mut words = vec!["MSET".to_owned()];
        for nth in first..first + 1000 {
            words.extend([nth_member(nth), "value:0123456789".to_owned()]);
        }
        client.must(&words)?;
    }
    Ok(())
}

fn push(out: &mut Vec<u8>, words: &[&str]) {
    push_words(out, words);
}

fn nth_member(nth: usize) -> String {
    format!("member:{nth:09}")
}

fn member(rng: &mut Rng) -> String {
    nth_member(rng.below(MEMBERS))
}

/// A number with a fixed number of digits.
fn six_digits(rng: &mut Rng) -> String {
    (100_000 + rng.below(900_000)).to_string()
}

fn nothing(_: &Server) -> Result<()> {
    Ok(())
}

/// Sends `count` requests and waits for their replies, of one line each.
fn send(
    server: &Server,
    count: usize,
    make: impl FnMut(&mut Rng, usize, &mut Vec<u8>),
) -> Result<()> {
    let mut requests = Requests::made(count, 1, make);
    let depth = if count.is_multiple_of(DEPTH) { DEPTH } else { 1 };
    Load::connect(server.addr(), 1, depth, &mut requests)?.run(Until::Answered(count))?;
    Ok(())
}

/// Fills a collection: `words` appends the arguments of one member.
fn collect(
    server: &Server,
    command: [&str; 2],
    members: usize,
    words: fn(&mut Vec<String>, usize),
) -> Result<()> {
    send(server, members / BATCH, |_, batch, out| {
        let mut all = command.map(str::to_owned).to_vec();
        (batch * BATCH..(batch + 1) * BATCH).for_each(|nth| words(&mut all, nth));
        push_words(out, &all);
    })
}

fn list(server: &Server, elements: usize) -> Result<()> {
    collect(server, ["RPUSH", "l"], elements, |words, nth| words.push(nth_member(nth)))
}

fn set(server: &Server, key: &str, members: usize) -> Result<()> {
    collect(server, ["SADD", key], members, |words, nth| words.push(nth_member(nth)))
}

fn two_sets(server: &Server) -> Result<()> {
    set(server, "s", 100)?;
    set(server, "t", MEMBERS)
}

fn hash(server: &Server, fields: usize) -> Result<()> {
    collect(server, ["HSET", "h"], fields, |words, nth| {
        words.extend([nth_member(nth), "value:0123456789".into()]);
    })
}

fn zset(server: &Server, members: usize) -> Result<()> {
    collect(server, ["ZADD", "z"], members, |words, nth| {
        // In no order, and as long as each other.
        words.extend([(100_000 + nth * 7919 % 900_000).to_string(), nth_member(nth)]);
    })
}

/// A stream of entries with one field.
fn stream(server: &Server, entries: usize) -> Result<()> {
    let mut requests = Requests::made(entries, 2, |rng, _, out| {
        push(out, &["XADD", "x", "*", "field", &member(rng)]);
    });
    Load::connect(server.addr(), 1, DEPTH, &mut requests)?.run(Until::Answered(entries))?;
    Ok(())
}

/// A HyperLogLog with many elements of its own, which is dense.
fn loglog(server: &Server, key: &str) -> Result<()> {
    let mut client = Client::connect(server.addr())?;
    let elements = (0..20_000).map(|nth| format!("{key}:{nth}"));
    let args: Vec<String> = ["PFADD".into(), key.into()].into_iter().chain(elements).collect();
    client.must(&args)?;
    Ok(())
}

/// Longitude and latitude within a square of some 110 km.
fn position(rng: &mut Rng) -> (String, String) {
    (format!("13.{}", six_digits(rng)), format!("38.{}", six_digits(rng)))
}

/// Empties a server and waits until everything is freed.
fn empty(server: &Server) -> Result<()> {
    let mut client = Client::connect(server.addr())?;
    client.set_timeout(CALM_LIMIT);
    client.must(&["FLUSHALL"])?;
    let deadline = Instant::now() + CALM_LIMIT;
    while !client.must(&["INFO", "memory"])?.pretty().contains("lazyfree_pending_objects:0\\r") {
        ensure!(Instant::now() < deadline, "something is freed for {CALM_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Measures all cells on all contenders.
pub(crate) fn run(options: &Options) -> Result<Section> {
    let cells: Vec<&Cell> = CELLS.iter().filter(|cell| options.wants(cell.name)).collect();
    ensure!(!cells.is_empty(), "--only: no cell has such a name");
    // samples[cell][contender][round]
    let mut samples = vec![vec![Vec::<Sample>::new(); options.contenders.len()]; cells.len()];
    for round in 0..options.pairs {
        host::pin_self(contender::ALL_CPUS)?;
        let started =
            options.contenders.iter().map(|who| who.start(Placement::ByWorkers, &options.with));
        let servers: Vec<Server> = started.collect::<Result<_>>()?;
        for (cell, samples) in cells.iter().zip(&mut samples) {
            for turn in 0..servers.len() {
                let who = (turn + round) % servers.len();
                let contender = &options.contenders[who];
                host::pin_self(contender.client_cpus())?;
                let sample = measure(&servers[who], cell, options)
                    .with_context(|| format!("{} {}", contender.name, cell.name))?;
                samples[who].push(sample);
                empty(&servers[who])?;
            }
        }
        eprintln!("round {} of {} done", round + 1, options.pairs);
    }
    Ok(summarise(options, &cells, &samples))
}

fn measure(server: &Server, cell: &Cell, options: &Options) -> Result<Sample> {
    let ops = if options.quick { cell.ops / 10 } else { cell.ops };
    match cell.work {
        Work::Requests(lines, request) => {
            let mut requests = Requests::made(STREAM_MAX, lines, |rng, _, out| request(rng, out));
            let mut load = Load::connect(server.addr(), options.connections, DEPTH, &mut requests)?;
            windows(server, cell, options, |ops| load.run(Until::Answered(ops)), ops)
        }
        Work::HandOver => {
            let mut hand_over = HandOver::connect(server.addr(), options.connections)?;
            windows(server, cell, options, |ops| hand_over.run(ops), ops)
        }
        Work::Publish => {
            let mut publish = Publish::connect(server.addr(), 50, DEPTH)?;
            windows(server, cell, options, |ops| publish.run(ops), ops)
        }
    }
}

/// The window with the least foreign load, out of at most as many as may be repeated.
fn windows(
    server: &Server,
    cell: &Cell,
    options: &Options,
    mut drive: impl FnMut(usize) -> Result<usize>,
    ops: usize,
) -> Result<Sample> {
    if !cell.spent {
        (cell.prepare)(server)?;
        drive(ops / 4)?;
    }
    let mut best: Option<Sample> = None;
    for _ in 0..=REPEATS_MAX {
        if cell.spent {
            empty(server)?;
            (cell.prepare)(server)?;
        }
        let sample = sample(server, || drive(ops))?;
        if best.is_none_or(|best| sample.foreign_percent < best.foreign_percent) {
            best = Some(sample);
        }
        if sample.foreign_percent <= options.foreign_percent_max {
            break;
        }
    }
    best.context("no window was measured")
}

fn summarise(options: &Options, cells: &[&Cell], samples: &[Vec<Vec<Sample>>]) -> Section {
    let labels = contender::labels(&options.contenders);
    let worst = samples.iter().flatten().flatten().map(|s| s.foreign_percent).fold(0.0, f64::max);
    let note = format!(
        "Closed loop, {} connections, depth {DEPTH}, medians of {} pairs of windows of a fixed \
         number of requests. One-threaded servers on processor 0 and the client on 1, others and \
         their client on both. A hand-over is an LPUSH that serves a waiting BLPOP, a PUBLISH is \
         one with its deliveries. Others used at most {worst:.1} % of the machine in a window.",
        options.connections, options.pairs
    );
    let mut section = Section::new("commands", &note, columns(&labels[0]));
    for (cell, of_cell) in cells.iter().zip(samples) {
        for (label, of_server) in labels.iter().zip(of_cell) {
            let row = summarise_server(&of_cell[0], of_server, label == &labels[0]);
            section.push([Figure::text(cell.name), Figure::text(label)].into_iter().chain(row));
        }
    }
    section
}

#[cfg(test)]
mod tests;
