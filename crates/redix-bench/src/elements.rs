//! Resident bytes per element of each type of collection, large and small.
//!
//! A large one is a single key, whose elements are counted; a small one is counted whole, its key
//! included. As [`crate::memory`], the mean over several sizes. Before the first look some of the
//! same has come and gone, so that buffers are not counted; allocators that would take huge pages
//! are told not to, since those round a few megabytes up.

use std::time::Duration;

use anyhow::{Result, ensure};
use redix_testkit::{Client, Server};

use crate::contender::{self, Contender};
use crate::host;
use crate::load::{Load, Until};
use crate::memory::settled_rss_kb;
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{Requests, push_words};

/// Elements per command of a large collection.
const BATCH: usize = 100;
/// Elements of a small collection.
const SMALL: usize = 10;
const DEPTH: usize = 50;
/// Commands made at a time.
const CHUNK: usize = 1000;
/// Commands executed and undone before.
const WARM: usize = 5000;
const SETTLE: Duration = Duration::from_secs(3);

struct Shape {
    name: &'static str,
    command: &'static str,
    /// How many elements one key has; none: all of them.
    small: bool,
    /// Appends the words of an element.
    element: fn(&mut Vec<String>, usize),
}

/// 15 bytes, in no order.
fn member(nth: usize) -> String {
    format!("m{:014}", nth * 7919 % 100_000_000_000_000)
}

/// Ten digits, in no order.
fn score(nth: usize) -> String {
    (1_000_000_000 + nth * 2_654_435_761 % 1_000_000_007).to_string()
}

const SET: fn(&mut Vec<String>, usize) = |words, nth| words.push(member(nth));
const HASH: fn(&mut Vec<String>, usize) =
    |words, nth| words.extend([member(nth), format!("value{:06}", nth % 1_000_000)]);
const ZSET: fn(&mut Vec<String>, usize) = |words, nth| words.extend([score(nth), member(nth)]);
const LIST: fn(&mut Vec<String>, usize) = |words, nth| words.push(format!("{}x", member(nth)));

const SHAPES: &[Shape] = &[
    Shape { name: "hash, 15 B + 11 B", command: "HSET", small: false, element: HASH },
    Shape { name: "set, 15 B", command: "SADD", small: false, element: SET },
    Shape { name: "sorted set, 15 B", command: "ZADD", small: false, element: ZSET },
    Shape { name: "list, 16 B", command: "RPUSH", small: false, element: LIST },
    Shape { name: "key with a hash of 10", command: "HSET", small: true, element: HASH },
    Shape { name: "key with a set of 10", command: "SADD", small: true, element: SET },
    Shape { name: "key with a sorted set of 10", command: "ZADD", small: true, element: ZSET },
    Shape { name: "key with a list of 10", command: "RPUSH", small: true, element: LIST },
    Shape {
        name: "key with a hash of 5 short fields",
        command: "HSET",
        small: true,
        element: RECORD,
    },
];

/// A record's fields, all at its first element.
const RECORD: fn(&mut Vec<String>, usize) = |words, nth| {
    if nth.is_multiple_of(SMALL) {
        let nth = nth / SMALL;
        let pairs = [
            ("name", format!("u{nth:07}")),
            ("age", (10 + nth % 90).to_string()),
            ("city", format!("c{:04}", nth % 1000)),
            ("mail", format!("x{:06}", nth % 1_000_000)),
            ("rank", (nth % 7).to_string()),
        ];
        words.extend(pairs.into_iter().flat_map(|(field, value)| [field.to_owned(), value]));
    }
};

/// Measures every shape and size on every contender.
pub(crate) fn run(options: &Options) -> Result<Section> {
    let labels = contender::labels(&options.contenders);
    let mut columns = vec!["shape".to_owned(), "server".to_owned()];
    columns.extend(options.memory_keys.iter().map(|count| format!("{}k", count / 1000)));
    columns.extend(["mean".to_owned(), format!("{} / it", labels[0])]);
    let note = "Resident bytes per element of one key, or per key with what it holds: (loaded - \
                empty) / number; a fresh server for each number, huge pages off. Small ones are a \
                fifth as many.";
    let mut section = Section::new("elements", note, columns);
    let shapes: Vec<&Shape> = SHAPES.iter().filter(|shape| options.wants(shape.name)).collect();
    ensure!(!shapes.is_empty(), "--only: no shape has such a name");
    for shape in shapes {
        let mut subject_mean = None;
        for (contender, label) in options.contenders.iter().zip(&labels) {
            let figures = options.memory_keys.iter().map(|&count| {
                bytes_each(contender, shape, if shape.small { count / 5 } else { count })
            });
            let figures: Vec<f64> = figures.collect::<Result<_>>()?;
            let mean = figures.iter().sum::<f64>() / figures.len() as f64;
            let subject = *subject_mean.get_or_insert(mean);
            let mut row = vec![Figure::text(shape.name), Figure::text(label)];
            row.extend(figures.iter().map(|&bytes| Figure::number(bytes, 1)));
            row.extend([Figure::number(mean, 1), Figure::number(subject / mean, 3)]);
            section.push(row);
        }
        eprintln!("{} done", shape.name);
    }
    Ok(section)
}

fn bytes_each(contender: &Contender, shape: &Shape, count: usize) -> Result<f64> {
    host::pin_self(contender::ALL_CPUS)?;
    let server = contender.start_with_small_pages()?;
    fill(&server, shape, WARM)?;
    Client::connect(server.addr())?.must(&["FLUSHALL"])?;
    std::thread::sleep(SETTLE);
    let empty_kb = settled_rss_kb(&server)?;
    fill(&server, shape, count)?;
    let loaded_kb = settled_rss_kb(&server)?;
    Ok((loaded_kb as f64 - empty_kb as f64) * 1024.0 / count as f64)
}

/// Makes `count` elements of one key, or as many keys.
fn fill(server: &Server, shape: &Shape, count: usize) -> Result<()> {
    let batch = if shape.small { SMALL } else { BATCH };
    let commands = if shape.small { count } else { count / BATCH };
    for first in (0..commands).step_by(CHUNK) {
        let here = CHUNK.min(commands - first);
        let mut requests = Requests::made(here, 1, |_, nth, out| {
            let command = first + nth;
            let key = if shape.small { format!("key:{command:012}") } else { "k".into() };
            let mut words = vec![shape.command.to_owned(), key];
            let elements = command * batch..(command + 1) * batch;
            elements.for_each(|element| (shape.element)(&mut words, element));
            push_words(out, &words);
        });
        let depth = if here.is_multiple_of(DEPTH) { DEPTH } else { 1 };
        Load::connect(server.addr(), 1, depth, &mut requests)?.run(Until::Answered(here))?;
    }
    Ok(())
}
