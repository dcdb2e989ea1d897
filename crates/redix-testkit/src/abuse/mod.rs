//! Abuse: hostile clients, and a hostile primary, against a real server.
//!
//! A unit is one kind of abuse. During it another client sends PING continuously, and no reply may
//! be late. Afterwards the server still runs and serves new connections, has not panicked, and has
//! every one of a set of keys that nobody was to touch; killed, it starts again from what it has
//! left on disk.
//!
//! **Invariants.** The seed determines what is sent; only the timing is the machine's. The server
//! is started for the unit, and ends with it.

mod crowd;
mod load;
mod mixed;
mod noise;
mod primary;
mod wire;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redix_resp::Value;

use crate::{Client, Launch, Rng, Server};

/// The extent of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds, on a server without optimisation beside other tests.
    Short,
    /// For the optimised server.
    Long,
    /// The same, and units without an end of their own last so long.
    Lasting(Duration),
}

/// One kind of abuse.
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// Arguments of the server.
    args: &'static [&'static str],
    body: fn(&mut Scene) -> Result<String>,
}

impl Unit {
    const fn new(name: &'static str, body: fn(&mut Scene) -> Result<String>) -> Self {
        Self { name, args: &[], body }
    }

    const fn with(mut self, args: &'static [&'static str]) -> Self {
        self.args = args;
        self
    }
}

/// An output limit below the pending output at which the server stops reading from a client.
const LIMITED: &[&str] = &["--client-output-buffer-limit", "normal", "500000", "0", "0"];

/// All units.
pub const UNITS: &[Unit] = &[
    Unit::new("empty-arrays", wire::empty_arrays),
    Unit::new("bare-words", wire::bare_words),
    Unit::new("byte-by-byte", wire::byte_by_byte),
    Unit::new("half-commands", wire::half_commands),
    Unit::new("inline", wire::inline),
    Unit::new("announcements", load::announcements),
    Unit::new("pipelines", load::pipelines),
    Unit::new("transactions", load::transactions),
    Unit::new("patterns", load::patterns),
    Unit::new("idle", crowd::idle).with(&["--maxclients", "10100", "--tcp-backlog", "4096"]),
    Unit::new("never-reads-limited", crowd::never_reads_limited).with(LIMITED),
    Unit::new("never-reads", crowd::never_reads),
    Unit::new("connections", crowd::connections),
    Unit::new("mixed", mixed::mixed).with(&["--unixsocket", mixed::SOCKET]),
    Unit::new("random-bytes", noise::random_bytes),
    Unit::new("mutated-streams", noise::mutated_streams),
    Unit::new("replication-words", noise::replication_words),
    Unit::new("fake-primary", primary::fake_primary),
];

/// The unit of that name.
pub fn unit(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.name == name)
}

/// Runs a unit against a server that is started for it; returns a summary.
pub fn run(unit: &Unit, launch: Launch, scale: Scale, seed: u64) -> Result<String> {
    let launch = launch.args(&["--worker-threads", "2"]).args(unit.args);
    let server = launch.clone().start()?;
    let mut scene = Scene { launch, server, rng: Rng::new(seed), scale };
    plant(&mut scene.connect()?, "ours")?;
    let watch = Watch::start(&scene)?;
    let seen = (unit.body)(&mut scene);
    let slowest = watch.stop().with_context(|| tail(&scene.server.log()))?;
    let seen = seen.with_context(|| tail(&scene.server.log()))?;
    scene.check_alive()?;
    check_planted(&mut scene.connect()?, "ours")?;
    // What is on disk at this moment is a valid data set.
    scene.server.kill9()?;
    scene.server.restart().context("starting again on what was left on disk")?;
    Ok(format!("{seen}; PING within {} ms", slowest.as_millis()))
}

/// A server under abuse.
struct Scene {
    /// How it was started.
    launch: Launch,
    server: Server,
    rng: Rng,
    scale: Scale,
}

impl Scene {
    fn connect(&self) -> Result<Client> {
        Client::connect(self.server.addr())
    }

    /// A connection with read and write timeouts.
    fn raw(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.server.addr())?;
        stream.set_read_timeout(Some(self.patience()))?;
        stream.set_write_timeout(Some(self.patience()))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The timeout of replies.
    fn patience(&self) -> Duration {
        match self.scale {
            Scale::Short => Duration::from_secs(20),
            Scale::Long | Scale::Lasting(_) => Duration::from_secs(2),
        }
    }

    /// How long a unit lasts that has no end of its own.
    fn window(&self) -> Duration {
        match self.scale {
            Scale::Short => Duration::from_secs(1),
            Scale::Long => Duration::from_secs(8),
            Scale::Lasting(window) => window,
        }
    }

    /// One number or the other, by scale.
    fn scaled(&self, short: usize, long: usize) -> usize {
        match self.scale {
            Scale::Short => short,
            Scale::Long | Scale::Lasting(_) => long,
        }
    }

    /// The server runs, replies to a new connection and has not panicked.
    fn check_alive(&mut self) -> Result<()> {
        ensure!(self.server.is_running(), "the server ended: {}", tail(&self.server.log()));
        let pong = self.connect()?.must(&["PING"])?;
        ensure!(pong == Value::Simple(b"PONG".to_vec()), "PING: {}", pong.pretty());
        let log = self.server.log();
        match log.find("panic") {
            Some(at) => bail!("a panic: {:.3000}", &log[log[..at].rfind('\n').unwrap_or(0)..]),
            None => Ok(()),
        }
    }

    /// The growth of resident memory in KiB; an error above the limit.
    fn check_grown(&self, before_kb: u64, limit_kb: u64) -> Result<u64> {
        let grown_kb = self.server.rss_kb()?.saturating_sub(before_kb);
        ensure!(grown_kb <= limit_kb, "{grown_kb} KiB more resident, {limit_kb} are allowed");
        Ok(grown_kb)
    }

    /// Waits until only `count` connections are left besides the one that asks.
    fn wait_for_clients(&self, count: u64) -> Result<()> {
        let mut client = self.connect()?;
        eventually("closed connections are gone", || {
            Ok(info(&mut client, "connected_clients")? <= count + 1)
        })
    }
}

/// A client that sends PING until it is stopped, on an old connection and on new ones.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Duration>>>,
}

impl Watch {
    fn start(scene: &Scene) -> Result<Self> {
        let (addr, patience) = (scene.server.addr(), scene.patience());
        let ended = Arc::<AtomicBool>::default();
        let mark = Arc::clone(&ended);
        let mut old = scene.connect()?;
        old.set_timeout(patience);
        let watch = move || {
            let mut slowest = Duration::ZERO;
            while !mark.load(Ordering::Acquire) {
                let asked = Instant::now();
                answered(&mut old).context("a client that does no harm")?;
                slowest = slowest.max(asked.elapsed());
                let asked = Instant::now();
                let mut new = Client::connect(addr)?;
                new.set_timeout(patience);
                answered(&mut new).context("a new client that does no harm")?;
                slowest = slowest.max(asked.elapsed());
                std::thread::sleep(Duration::from_millis(10));
            }
            ensure!(slowest <= patience, "PING took {slowest:?}, {patience:?} are allowed");
            Ok(slowest)
        };
        Ok(Self { ended, thread: Some(std::thread::spawn(watch)) })
    }

    /// Stops it; returns the longest time that a PING took.
    fn stop(mut self) -> Result<Duration> {
        self.ended.store(true, Ordering::Release);
        let thread = self.thread.take().context("it is stopped once")?;
        thread.join().map_err(|_| anyhow::anyhow!("the client that does no harm panicked"))?
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// Sends PING, which is refused while a data set is loaded.
fn answered(client: &mut Client) -> Result<()> {
    match client.cmd(&["PING"])? {
        Value::Simple(text) if text == b"PONG" => Ok(()),
        Value::Error(text) if text.starts_with(b"LOADING") => Ok(()),
        other => bail!("PING was answered {}", other.pretty()),
    }
}

/// Number of keys that nobody is to touch.
const PLANTED: usize = 500;
const PLANTED_DBS: [&str; 2] = ["0", "9"];

fn planted(name: &str, index: usize) -> Vec<String> {
    let value = format!("{index}:").repeat(1 + index % 40);
    vec!["SET".into(), format!("{name}:{index}"), value]
}

/// Sets the keys that must survive.
fn plant(client: &mut Client, name: &str) -> Result<()> {
    for db in PLANTED_DBS {
        client.must(&["SELECT", db])?;
        let commands: Vec<_> = (0..PLANTED).map(|index| planted(name, index)).collect();
        for reply in client.pipeline(&commands)? {
            ensure!(reply == Value::Simple(b"OK".to_vec()), "planting: {}", reply.pretty());
        }
    }
    Ok(())
}

/// Checks that all of them exist, unchanged.
fn check_planted(client: &mut Client, name: &str) -> Result<()> {
    for db in PLANTED_DBS {
        client.must(&["SELECT", db])?;
        let names: Vec<_> =
            (0..PLANTED).map(|index| vec!["GET".to_owned(), format!("{name}:{index}")]).collect();
        for (index, reply) in client.pipeline(&names)?.into_iter().enumerate() {
            let expected = planted(name, index).remove(2).into_bytes();
            let found = reply == Value::Bulk(expected);
            ensure!(found, "database {db}: {name}:{index} is {:.100}", reply.pretty());
        }
    }
    Ok(())
}

/// A numeric field of INFO.
fn info(client: &mut Client, field: &str) -> Result<u64> {
    let Value::Bulk(text) = client.must(&["INFO", "all"])? else { bail!("INFO is no text") };
    let text = String::from_utf8(text)?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("INFO has no {field}"))?.parse()?)
}

/// Waits until a condition holds; fails after 20 s.
fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds()? {
        ensure!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
