//! Brief commands share clock readings, and the statistics stay exact.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::env::{Clock, Wake};
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::stats::Counter;
use redix_core::worker::Worker;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// A clock on which every reading takes a microsecond.
struct Slow(Arc<AtomicU64>);

impl Clock for Slow {
    fn unix_us(&self) -> i64 {
        1_000_000
    }
    fn mono_ns(&self) -> u64 {
        1000 * (1 + self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn sleep_us(&self, _us: u64) {}
}

struct NoWake;
impl Wake for NoWake {
    fn wake(&self) {}
}

/// Runs the commands in one batch; returns the engine and how often the clock was read.
fn run(config: Config, commands: &str) -> (Arc<Engine>, u64) {
    let readings = Arc::new(AtomicU64::new(0));
    let mut env = sim_env(&Arc::new(SimClock::default()), &SimDisk::default(), 1);
    env.clock = Box::new(Slow(Arc::clone(&readings)));
    let engine = Arc::new(Engine::new(env, config, 1).unwrap());
    let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
    engine.registry.add_worker(Arc::clone(&mailbox));
    let mut worker = Worker::new(Arc::clone(&engine), 0, mailbox);
    let shared = ClientShared::new(engine.registry.next_id(), "a".into(), "b".into(), 0, 0, 0);
    let mut client = Client::new(Arc::new(shared), true);
    client.input.push(commands.as_bytes());
    let token = worker.insert(client);
    worker.mark_ready(token);
    let before = readings.load(Ordering::Relaxed);
    while worker.has_ready() {
        worker.run();
    }
    let read = readings.load(Ordering::Relaxed) - before;
    (engine, read)
}

/// Calls and nanoseconds of a command, and the calls in its histogram.
fn counted(engine: &Engine, name: &str) -> (u64, u64, u64) {
    let id = engine.commands.find(name.as_bytes()).unwrap().id;
    let calls = engine.stats.thread(0).calls[id as usize].get().unwrap();
    (calls.calls.get(), calls.ns.get(), calls.latency.iter().map(Counter::get).sum())
}

#[test]
fn short_commands_are_timed_together() {
    let commands = "SET k v\r\n".repeat(20) + &"GET k\r\n".repeat(40);
    let (engine, readings) = run(Config::default(), &commands);
    let (calls, _, in_histogram) = counted(&engine, "set");
    assert_eq!((calls, in_histogram), (20, 20));
    let (calls, ns, in_histogram) = counted(&engine, "get");
    // In three groups, of 24 commands at most, with one reading after each.
    assert_eq!((calls, ns, in_histogram), (40, 3000, 40));
    assert_eq!(engine.stats.totals().commands, 60);
    assert!(readings < 12, "the clock was read {readings} times for 60 commands");
}

#[test]
fn what_may_be_long_is_timed_by_itself() {
    let config = Config { slowlog_log_slower_than: 1000, ..Config::default() };
    let value = "v".repeat(20_000);
    let commands = format!("SET k {value}\r\nGET k\r\nGET k\r\nSET k v\r\nGET k\r\nGET k\r\n");
    let (engine, readings) = run(config, &commands);
    assert_eq!(counted(&engine, "get").0, 4);
    assert_eq!(counted(&engine, "set").0, 2);
    // Each of the first four by itself: long arguments, long replies twice, a long value freed.
    let (_, for_short_ones) = run(Config::default(), "GET k\r\nGET k\r\n");
    assert_eq!(readings, for_short_ones + 4);
}

#[test]
fn a_log_of_everything_times_everything() {
    let config = Config { slowlog_log_slower_than: 0, ..Config::default() };
    let (engine, _) = run(config, &"GET k\r\n".repeat(40));
    assert_eq!(engine.commandlog.slow.len(), 40);
    assert_eq!(counted(&engine, "get").0, 40);
}
