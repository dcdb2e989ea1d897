//! kill -9 and power cuts at random moments under each policy of the append-only file, beside
//! writers that keep a log of what was acknowledged to them, and readers that keep one of what they
//! saw.
//!
//! A power cut is a kill -9 after which the files are what was synced, with a part of the rest
//! ([`crate::powercut`]). After each restart:
//!
//! - no transaction is torn, and nothing is there that nobody has sent;
//! - what WAITAOF confirmed is there, under every policy;
//! - under `always` nothing acknowledged is lost, and nothing that a reader saw has vanished;
//! - under `everysec` nothing is lost that was acknowledged a second and [`MARGIN`] before the
//!   kill.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::Value;

use crate::client::Client;
use crate::powercut::PowerCutDir;
use crate::rng::Rng;
use crate::server::{Launch, Server};

/// How much older than a second what `everysec` loses may be: the sync itself, and the threads that
/// wait for a processor.
pub const MARGIN: Duration = Duration::from_millis(500);
/// What `everysec` promises.
const SECOND: Duration = Duration::from_secs(1);
/// Clients that count with INCR, each with a reader; clients that count in transactions; and those
/// that wait for the disk after each write.
const COUNTERS: usize = 3;
const TRANSACTIONS: usize = 2;
const CONFIRMED: usize = 3;
/// The longest time between start and kill, in milliseconds; and where a second has to pass.
const LIFE_MS_MAX: usize = 400;
const LONG_LIFE_MS_MAX: usize = 2500;
/// Keys that a rewrite takes a while for.
const KEYS: &str = "2000";
/// Microseconds that it takes for each.
const KEY_DELAY_US: &str = "100";
/// When in a life under `no` the file is synced all the same, and for how many commands.
const SYNCED_FROM: f64 = 0.5;
const SYNCED_COMMANDS: usize = 5;
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
const NAP: Duration = Duration::from_millis(1);

/// `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Always,
    EverySec,
    No,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::EverySec, Self::No];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySec => "everysec",
            Self::No => "no",
        }
    }
}

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its process is killed: what it has written is there.
    Kill,
    /// The power is cut: what it has synced is there. Takes FUSE and the right to mount.
    PowerCut,
}

/// What several rounds have seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Kills or power cuts.
    pub rounds: usize,
    /// Of those, during or after a rewrite.
    pub rewrites: usize,
    /// Writes and transactions acknowledged.
    pub acknowledged: u64,
    /// Acknowledged and lost.
    pub lost: u64,
    /// How long before the kill the oldest of those was acknowledged.
    pub oldest_lost: Duration,
    /// Reads of a new value.
    pub read: u64,
    /// Writes confirmed by WAITAOF.
    pub confirmed: u64,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rounds, rewrites, acknowledged, lost, oldest_lost, read, confirmed } = self;
        write!(
            f,
            "{rounds} times, {rewrites} with a rewrite; {acknowledged} acknowledged, {lost} of them \
             lost, the oldest {} ms before the end; {read} values read, {confirmed} confirmed by \
             WAITAOF",
            oldest_lost.as_millis()
        )
    }
}

/// A count that one client raises, and what is known of it.
#[derive(Default)]
struct Counter {
    key: String,
    /// The last value that was sent for.
    sent: AtomicI64,
    /// Values with the time of their acknowledgement.
    acknowledged: Mutex<Vec<(i64, Instant)>>,
    /// The last value that a reader saw.
    seen: AtomicI64,
    reads: AtomicU64,
    /// The last value that WAITAOF confirmed.
    confirmed: AtomicI64,
    confirmations: AtomicU64,
}

impl Counter {
    fn acknowledge(&self, value: i64) {
        let mut log = self.acknowledged.lock().expect("nobody panics while holding it");
        log.push((value, Instant::now()));
    }

    /// The last value acknowledged at this time.
    fn acknowledged_at(&self, at: Instant) -> i64 {
        let log = self.acknowledged.lock().expect("nobody panics while holding it");
        log.iter().rev().find(|(_, when)| *when <= at).map_or(0, |(value, _)| *value)
    }

    /// Acknowledgements of values above this, and the time of the first.
    fn beyond(&self, value: i64) -> (u64, Option<Instant>) {
        let log = self.acknowledged.lock().expect("nobody panics while holding it");
        let lost = log.iter().filter(|(acknowledged, _)| *acknowledged > value);
        (lost.clone().count() as u64, lost.map(|(_, when)| *when).min())
    }

    fn acknowledgements(&self) -> u64 {
        self.acknowledged.lock().expect("nobody panics while holding it").len() as u64
    }
}

/// The counters of a round.
struct Round {
    counters: Vec<Counter>,
    transactions: Vec<Counter>,
    confirmed: Vec<Counter>,
    stop: AtomicBool,
}

impl Round {
    fn new(number: usize) -> Self {
        let counter = |kind: &str, index: usize| Counter {
            key: format!("{kind}:{number}:{index}"),
            ..Counter::default()
        };
        Self {
            counters: (0..COUNTERS).map(|index| counter("count", index)).collect(),
            transactions: (0..TRANSACTIONS).map(|index| counter("transaction", index)).collect(),
            confirmed: (0..CONFIRMED).map(|index| counter("confirmed", index)).collect(),
            stop: AtomicBool::new(false),
        }
    }
}

/// Ends a server so many times. The error says what was violated.
pub fn run(launch: Launch, fault: Fault, policy: Policy, rounds: usize, seed: u64) -> Result<Seen> {
    let mut rng = Rng::new(seed ^ policy as u64);
    let mut disk = match fault {
        Fault::Kill => None,
        Fault::PowerCut => Some(PowerCutDir::mount(&mut rng)?),
    };
    let mut launch = launch.args(&["--appendonly", "yes", "--appendfsync", policy.name()]).args(&[
        "--enable-debug-command",
        "yes",
        "--worker-threads",
        "2",
    ]);
    if let Some(disk) = &disk {
        let dir = disk.path().to_string_lossy();
        // The end of a file may be zeros.
        launch = launch.args(&["--dir", &dir, "--aof-load-corrupt-tail-max-size", "1gb"]);
    }
    let mut server = launch.start()?;
    let mut client = loaded(&server)?;
    client.must(&["DEBUG", "POPULATE", KEYS])?;
    let mut seen = Seen::default();
    for number in 0..rounds {
        let round = Round::new(number);
        let rewrites = rng.chance(33);
        let killed = one_life(&mut server, &round, (policy, rewrites), &mut rng)?;
        if let Some(disk) = &mut disk {
            disk.cut_power(&mut rng)?;
        }
        let what = || format!("{fault:?} {} seed {seed}, round {number}", policy.name());
        server.restart().with_context(what)?;
        client = loaded(&server)?;
        check(&mut client, &round, policy, killed, &mut seen).with_context(what)?;
        seen.rounds += 1;
        seen.rewrites += usize::from(rewrites);
    }
    Ok(seen)
}

/// A connection to a server that has loaded its data.
fn loaded(server: &Server) -> Result<Client> {
    let deadline = Instant::now() + LOAD_DEADLINE;
    let mut client = Client::connect(server.addr())?;
    while client.must(&["PING"]).is_err() {
        ensure!(Instant::now() < deadline, "it does not load its data");
        std::thread::sleep(NAP);
    }
    Ok(client)
}

/// Lets clients write and read until the server is killed; returns when that was.
fn one_life(
    server: &mut Server,
    round: &Round,
    (policy, rewrites): (Policy, bool),
    rng: &mut Rng,
) -> Result<Instant> {
    let addr = server.addr();
    let life_ms = match policy {
        Policy::EverySec => LONG_LIFE_MS_MAX,
        Policy::Always | Policy::No => LIFE_MS_MAX,
    };
    let life = Duration::from_millis(20 + rng.below(life_ms) as u64);
    let rewrite_after = life.mul_f64(rng.below(100) as f64 / 100.0);
    let depths: Vec<usize> = round.counters.iter().map(|_| 1 + rng.below(4)).collect();
    std::thread::scope(|scope| {
        for (counter, depth) in round.counters.iter().zip(depths) {
            scope.spawn(move || count(addr, counter, depth));
            scope.spawn(move || read(addr, counter, &round.stop));
        }
        for counter in &round.transactions {
            scope.spawn(move || transact(addr, counter));
        }
        for counter in &round.confirmed {
            scope.spawn(move || confirm(addr, counter));
        }
        let began = Instant::now();
        let wait_until = |elapsed| {
            while began.elapsed() < elapsed {
                std::thread::sleep(NAP);
            }
        };
        let mut asked = Ok(());
        if rewrites {
            wait_until(rewrite_after);
            asked = rewrite(addr);
        }
        if policy == Policy::No {
            wait_until(life.mul_f64(SYNCED_FROM));
            asked = asked.and_then(|()| sync_for_a_while(addr));
        }
        wait_until(life);
        // In this order: what was read before is not acknowledged later than this.
        let killed = Instant::now();
        let kill = server.kill9();
        round.stop.store(true, Ordering::Relaxed);
        asked?;
        kill?;
        Ok(killed)
    })
}

/// Has a server that does not sync by itself do so for some commands, which WAITAOF then confirms.
fn sync_for_a_while(addr: SocketAddr) -> Result<()> {
    let mut client = Client::connect(addr)?;
    client.must(&["CONFIG", "SET", "appendfsync", "always"])?;
    for _ in 0..SYNCED_COMMANDS {
        client.must(&["INCR", "synced"])?;
    }
    client.must(&["CONFIG", "SET", "appendfsync", "no"])?;
    Ok(())
}

/// Begins a rewrite that takes a while.
fn rewrite(addr: SocketAddr) -> Result<()> {
    let mut client = Client::connect(addr)?;
    client.must(&["CONFIG", "SET", "rdb-key-save-delay", KEY_DELAY_US])?;
    client.must(&["BGREWRITEAOF"])?;
    Ok(())
}

/// Counts in pipelines of this depth until the connection ends.
fn count(addr: SocketAddr, counter: &Counter, depth: usize) {
    let Ok(mut client) = Client::connect(addr) else { return };
    let pipeline = vec![vec!["INCR", counter.key.as_str()]; depth];
    loop {
        counter.sent.fetch_add(depth as i64, Ordering::Relaxed);
        let Ok(replies) = client.pipeline(&pipeline) else { return };
        for reply in replies {
            if let Value::Int(value) = reply {
                counter.acknowledge(value);
            }
        }
    }
}

/// Reads a count until the connection ends.
fn read(addr: SocketAddr, counter: &Counter, stop: &AtomicBool) {
    let Ok(mut client) = Client::connect(addr) else { return };
    while !stop.load(Ordering::Relaxed) {
        let Ok(reply) = client.cmd(&["GET", &counter.key]) else { return };
        let value = number_of(&reply);
        if counter.seen.fetch_max(value, Ordering::Relaxed) < value {
            counter.reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Raises two counts and sets a third, in transactions, until the connection ends.
fn transact(addr: SocketAddr, counter: &Counter) {
    let Ok(mut client) = Client::connect(addr) else { return };
    let keys = keys_of(counter);
    for value in 1.. {
        let text = value.to_string();
        let commands = [
            vec!["MULTI"],
            vec!["INCR", &keys[0]],
            vec!["SET", &keys[1], &text],
            vec!["INCR", &keys[2]],
            vec!["EXEC"],
        ];
        counter.sent.store(value, Ordering::Relaxed);
        let Ok(replies) = client.pipeline(&commands) else { return };
        if let Some(Value::Array(replies)) = replies.last()
            && let [Value::Int(first), ..] = replies[..]
        {
            counter.acknowledge(first);
        }
    }
}

/// The keys of a transaction, in different shards.
fn keys_of(counter: &Counter) -> [String; 3] {
    ["first", "second", "third"].map(|name| format!("{}:{name}", counter.key))
}

/// Writes and waits until the disk has it, until the connection ends.
fn confirm(addr: SocketAddr, counter: &Counter) {
    let Ok(mut client) = Client::connect(addr) else { return };
    loop {
        counter.sent.fetch_add(1, Ordering::Relaxed);
        let Ok(Value::Int(value)) = client.cmd(&["INCR", &counter.key]) else { return };
        counter.acknowledge(value);
        let Ok(reply) = client.cmd(&["WAITAOF", "1", "0", "1500"]) else { return };
        if let Value::Array(counts) = reply
            && counts.first() == Some(&Value::Int(1))
        {
            counter.confirmed.store(value, Ordering::Relaxed);
            counter.confirmations.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn number_of(value: &Value) -> i64 {
    match value {
        Value::Bulk(text) => String::from_utf8_lossy(text).parse().unwrap_or(0),
        _ => 0,
    }
}

/// Compares what is there after the restart with the logs.
fn check(
    client: &mut Client,
    round: &Round,
    policy: Policy,
    killed: Instant,
    seen: &mut Seen,
) -> Result<()> {
    for counter in round.counters.iter().chain(&round.confirmed) {
        let found = number_of(&client.must(&["GET", &counter.key])?);
        check_counter(counter, found, policy, killed, seen)?;
    }
    for counter in &round.transactions {
        let keys = keys_of(counter);
        let Value::Array(values) = client.must(&["MGET", &keys[0], &keys[1], &keys[2]])? else {
            bail!("MGET has no array");
        };
        let values: Vec<i64> = values.iter().map(number_of).collect();
        ensure!(
            values.iter().all(|value| *value == values[0]),
            "a transaction is torn: {values:?}"
        );
        check_counter(counter, values[0], policy, killed, seen)?;
    }
    Ok(())
}

fn check_counter(
    counter: &Counter,
    found: i64,
    policy: Policy,
    killed: Instant,
    seen: &mut Seen,
) -> Result<()> {
    let key = &counter.key;
    let sent = counter.sent.load(Ordering::Relaxed);
    ensure!(found <= sent, "{key} is {found}, but only {sent} were sent");
    let confirmed = counter.confirmed.load(Ordering::Relaxed);
    ensure!(found >= confirmed, "{key} is {found}, but WAITAOF confirmed {confirmed}");
    let (lost, first_lost) = counter.beyond(found);
    match policy {
        Policy::Always => {
            let was_seen = counter.seen.load(Ordering::Relaxed);
            ensure!(lost == 0, "{key} is {found}, but {lost} more were acknowledged");
            ensure!(found >= was_seen, "{key} is {found}, but a reader saw {was_seen}");
        }
        Policy::EverySec => {
            let promised = killed.checked_sub(SECOND + MARGIN);
            let promised = promised.map_or(0, |at| counter.acknowledged_at(at));
            ensure!(
                found >= promised,
                "{key} is {found}, but {promised} was acknowledged {:?} before the kill",
                SECOND + MARGIN
            );
        }
        Policy::No => {}
    }
    seen.acknowledged += counter.acknowledgements();
    seen.lost += lost;
    let age = first_lost.map_or(Duration::ZERO, |at| killed.saturating_duration_since(at));
    seen.oldest_lost = seen.oldest_lost.max(age);
    seen.read += counter.reads.load(Ordering::Relaxed);
    seen.confirmed += counter.confirmations.load(Ordering::Relaxed);
    Ok(())
}
