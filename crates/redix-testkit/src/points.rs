//! Random moments of a history of writes, each restored from the files and compared.
//!
//! An engine writes its append-only file while random commands of all types run, through rewrites
//! whose former files are kept, a restart, transactions, scripts and expiries. The digest of its
//! data is noted after every turn. Then random ones of these moments are restored, by their
//! replication offset or by their second, into engines that have to come to the same digest.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use redix_core::aof::writer::Place;
use redix_core::config::{ByteString, Config};
use redix_core::engine::Background;
use redix_core::env::Disk;
use redix_core::expire::Sweeper;
use redix_core::restore::{Target, Timeline};

use crate::digest;
use crate::engine::{SimClock, SimDisk, SimEngine};
use crate::rng::Rng;
use crate::writes;

const DIR: &str = "/data";
/// Clients that write.
const CLIENTS: usize = 3;
/// Steps of background work in a turn.
const STEPS_MAX: usize = 60;

/// Turns after which a rewrite begins in any case; others begin at random.
const REWRITE_EVERY: usize = 150;

/// A moment, and what the data was then.
struct Point {
    offset: u64,
    time_s: i64,
    /// Nothing was written later in this second.
    ends_second: bool,
    digest: u64,
}

/// What a run has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Moments restored by an offset, and by a time.
    pub offsets: usize,
    /// The same by a time.
    pub times: usize,
    /// Different digests among them.
    pub states: usize,
    /// Rewrites.
    pub rewrites: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} offsets and {} times restored, {} different data sets, {} rewrites",
            self.offsets, self.times, self.states, self.rewrites
        )
    }
}

fn config(dirname: &str, preamble: bool) -> Config {
    Config {
        dir: DIR.into(),
        appendonly: true,
        appenddirname: ByteString::from(dirname),
        aof_timestamp_enabled: true,
        aof_history_keep: 1_000_000,
        save: Vec::new(),
        aof_use_rdb_preamble: preamble,
        ..Config::default()
    }
}

/// The engine that writes.
struct History {
    clock: Arc<SimClock>,
    disk: SimDisk,
    engine: SimEngine,
    background: Background,
    sweeper: Sweeper,
    rng: Rng,
    seed: u64,
    points: Vec<Point>,
    turns: usize,
    rewrites: usize,
}

impl History {
    fn new(seed: u64) -> Result<Self> {
        let (clock, disk) = (Arc::new(SimClock::default()), SimDisk::default());
        let mut engine =
            SimEngine::on(Arc::clone(&clock), disk.clone(), config("aof", true), seed)?;
        engine.engine().repl.log.start(1 << 20, &*engine.engine().env.entropy);
        engine.load_aof()?;
        let (background, sweeper) = (Background::default(), Sweeper::new(engine.engine(), 0));
        let (rng, points) = (Rng::new(seed), Vec::new());
        let (turns, rewrites) = (0, 0);
        Ok(Self { clock, disk, engine, background, sweeper, rng, seed, points, turns, rewrites })
    }

    /// Some writes, background work, and a note of what came of them.
    fn turn(&mut self) -> Result<()> {
        let client = 1 + self.rng.below(CLIENTS) as u8;
        for command in writes::batch(&mut self.rng, 6) {
            self.engine.execute(client, &command)?;
        }
        self.sweeper.step(self.engine.engine());
        if self.turns % REWRITE_EVERY == REWRITE_EVERY / 2 || self.rng.chance(1) {
            self.begin_rewrite();
        }
        self.turns += 1;
        for _ in 0..self.rng.below(STEPS_MAX + 1) {
            self.background.step(self.engine.engine());
        }
        self.engine.engine().write_aof().map_err(|fatal| anyhow!("{fatal:?}"))?;
        self.note();
        self.clock.advance_ms(self.rng.between(0, 700));
        Ok(())
    }

    fn note(&mut self) {
        let engine = self.engine.engine();
        let time_s = engine.env.clock.unix_us() / 1_000_000;
        let (offset, digest) = (engine.repl.log.end(), digest::of(engine));
        if let Some(last) = self.points.last_mut() {
            last.ends_second = last.time_s != time_s;
        }
        self.points.push(Point { offset, time_s, ends_second: true, digest });
    }

    fn begin_rewrite(&mut self) {
        let engine = self.engine.engine();
        let _world = engine.keyspace.gates().world();
        // One may be under way.
        self.rewrites += usize::from(engine.begin_rewrite().is_ok());
    }

    /// The server ends, and another one goes on with its files.
    fn restart(&mut self, preamble: bool) -> Result<()> {
        self.engine.engine().close_aof();
        let (clock, disk) = (Arc::clone(&self.clock), self.disk.clone());
        let before = digest::of(self.engine.engine());
        self.engine = SimEngine::on(clock, disk, config("aof", preamble), self.seed + 1)?;
        self.background = Background::default();
        self.sweeper = Sweeper::new(self.engine.engine(), 0);
        self.engine.load_aof()?;
        ensure!(digest::of(self.engine.engine()) == before, "the restart has lost something");
        ensure!(self.engine.engine().repl.log.has_backlog(), "the stream goes on");
        Ok(())
    }
}

/// Makes a history of so many turns from a seed and restores so many of its moments.
pub fn run(seed: u64, turns: usize, moments: usize) -> Result<Seen> {
    let mut history = History::new(seed)?;
    for part in 0..3 {
        if part > 0 {
            history.restart(part == 1)?;
        }
        for _ in 0..turns / 3 {
            history.turn()?;
        }
    }
    let History { clock, disk, engine, mut rng, points, rewrites, .. } = history;
    engine.engine().close_aof();
    drop(engine);
    let place = Place { dir: Path::new(DIR).join("aof"), name: b"appendonly.aof".to_vec() };
    let mut timeline = Timeline::read(&disk, place)?;
    let mut seen = Seen { rewrites, ..Seen::default() };
    let mut states = std::collections::BTreeSet::new();
    let last_of_second: Vec<&Point> = points.iter().filter(|point| point.ends_second).collect();
    for number in 0..moments {
        // Only what a second ended with can be asked for by a time.
        let by_time = number % 4 == 3;
        let point = if by_time { rng.pick(&last_of_second) } else { rng.pick(&points) };
        let target = match by_time {
            true => Target::Time(point.time_s),
            false => Target::Offset(point.offset),
        };
        let name = format!("restored-{number}");
        let what = || format!("seed {seed}: {target:?}");
        let restored =
            restore(&mut timeline, &clock, &disk, (&target, &name)).with_context(what)?;
        ensure!(restored == point.digest, "{}: another data set", what());
        states.insert(restored);
        *(if by_time { &mut seen.times } else { &mut seen.offsets }) += 1;
    }
    seen.states = states.len();
    Ok(seen)
}

/// Restores a moment into a directory of this name, and returns the digest of an engine that starts
/// from it.
fn restore(
    timeline: &mut Timeline,
    clock: &Arc<SimClock>,
    disk: &SimDisk,
    (target, name): (&Target, &str),
) -> Result<u64> {
    let dir = Path::new(DIR).join(name);
    let plan = timeline.plan(disk, target)?;
    let place = Place { dir: dir.clone(), name: b"appendonly.aof".to_vec() };
    timeline.copy(disk, &plan, &place)?;
    let mut engine = SimEngine::on(Arc::clone(clock), disk.clone(), config(name, true), 1)?;
    engine.load_aof()?;
    let log = &engine.engine().repl.log;
    ensure!(!log.has_backlog(), "it does not continue the stream");
    let digest = digest::of(engine.engine());
    drop(engine);
    for file in disk.names().iter().filter(|file| file.starts_with(&dir)) {
        disk.remove(file)?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests;
