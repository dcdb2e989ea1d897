//! Caches beside real servers: traces of accesses, and the share of them that finds its key.
//!
//! A client reads a key and writes it if it was missing, as caches are used. Accesses are made at a
//! fixed rate, because idle times are counted in seconds: a server must be no better for being
//! slower.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use redix_resp::Value;

use crate::{Client, Peer, Rng, Server};

/// Which keys are accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A few often and many seldom, with the exponent 1.
    Zipf,
    /// The same, while half of the accesses are to keys used only once.
    Scan,
    /// All in turn, a few more than there is room for.
    Loop,
}

impl Trace {
    /// Every trace.
    pub const ALL: [Trace; 3] = [Trace::Zipf, Trace::Scan, Trace::Loop];
}

/// The policies that evict.
pub const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// Memory for keys, in bytes.
const ROOM_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of a value: about 60,000 keys fit.
const VALUE_BYTES: usize = 64;
/// Distinct keys of the Zipf traces.
const ZIPF_KEYS: usize = 250_000;
/// Distinct keys of the loop.
const LOOP_KEYS: usize = 100_000;
/// Accesses sent together.
const BATCH: usize = 200;
/// Time between two batches.
const BATCH_PAUSE: Duration = Duration::from_millis(2);
/// The part of the accesses after which hits count.
const WARM: usize = 3;

/// What a run has shown.
#[derive(Clone, Copy, Debug)]
pub struct Hits {
    /// Accesses that found their key, in per cent.
    pub percent: f64,
    /// Keys at the end.
    pub keys: i64,
    /// The most bytes in use beyond `maxmemory` that were seen after a batch.
    pub beyond: i64,
}

/// Plays `accesses` accesses of a trace on a server of this kind.
pub fn play(peer: Peer, policy: &str, trace: Trace, accesses: usize, seed: u64) -> Result<Hits> {
    let server = Server::start::<&str>(peer, &[])?;
    let mut client = Client::connect(server.addr())?;
    let limit = number(&mut client, "memory", "used_memory")? as u64 + ROOM_BYTES;
    client.must(&["CONFIG", "SET", "maxmemory-policy", policy])?;
    client.must(&["CONFIG", "SET", "maxmemory", &limit.to_string()])?;
    let mut keys = Keys::new(trace, seed);
    let value = "v".repeat(VALUE_BYTES);
    let (mut hits, mut counted, mut beyond) = (0, 0, i64::MIN);
    let began = Instant::now();
    for batch in 0..accesses / BATCH {
        let names: Vec<String> = (0..BATCH).map(|_| format!("key:{}", keys.next())).collect();
        let gets: Vec<_> = names.iter().map(|name| vec!["GET".to_owned(), name.clone()]).collect();
        let replies = client.pipeline(&gets)?;
        let missing = |reply: &Value| matches!(reply, Value::Null);
        let mut sets = Vec::new();
        for (name, reply) in names.iter().zip(&replies) {
            if missing(reply) {
                let mut set = vec!["SET".to_owned(), name.clone(), value.clone()];
                if policy.starts_with("volatile") {
                    set.extend(["EX".to_owned(), (1000 + keys.rng.below(1000)).to_string()]);
                }
                sets.push(set);
            }
        }
        for reply in client.pipeline(&sets)? {
            ensure!(!matches!(reply, Value::Error(_)), "{}", reply.pretty());
        }
        if batch * WARM >= accesses / BATCH {
            counted += names.len();
            hits += names.len() - sets.len();
        }
        if batch % 64 == 0 {
            let used = number(&mut client, "memory", "used_memory")?;
            beyond = beyond.max(used - limit as i64);
        }
        let due = BATCH_PAUSE * u32::try_from(batch)?;
        sleep(due.saturating_sub(began.elapsed()));
    }
    let Value::Int(keys) = client.must(&["DBSIZE"])? else { anyhow::bail!("no integer") };
    Ok(Hits { percent: hits as f64 * 100.0 / counted as f64, keys, beyond })
}

fn number(client: &mut Client, section: &str, field: &str) -> Result<i64> {
    let info = client.must(&["INFO", section])?;
    let text = match &info {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.pretty(),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("INFO has no {field}"))?.trim().parse()?)
}

/// The keys of a trace, one after the other.
struct Keys {
    trace: Trace,
    rng: Rng,
    /// The cumulated weights of the keys.
    weights: Vec<f64>,
    next: usize,
}

impl Keys {
    fn new(trace: Trace, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=ZIPF_KEYS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { trace, rng: Rng::new(seed), weights: weights.collect(), next: 0 }
    }

    fn next(&mut self) -> usize {
        self.next += 1;
        match self.trace {
            Trace::Zipf => self.zipf(),
            Trace::Scan if self.next.is_multiple_of(2) => ZIPF_KEYS + self.next,
            Trace::Scan => self.zipf(),
            Trace::Loop => self.next % LOOP_KEYS,
        }
    }

    fn zipf(&mut self) -> usize {
        let sum = self.weights[ZIPF_KEYS - 1];
        let place = self.rng.next_u64() as f64 / u64::MAX as f64 * sum;
        self.weights.partition_point(|weight| *weight < place)
    }
}
