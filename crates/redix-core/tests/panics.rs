//! A panic in the middle of a turn costs the connection whose command it was, and nothing else.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::env::{Clock, Wake};
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::worker::Worker;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

/// A clock that stands still, and panics after a number of readings.
struct Trap(Arc<AtomicI64>);

impl Clock for Trap {
    fn unix_us(&self) -> i64 {
        1_700_000_000_000_000
    }
    fn mono_ns(&self) -> u64 {
        assert_ne!(self.0.fetch_sub(1, Ordering::Relaxed), 0, "the trap");
        0
    }
    fn sleep_us(&self, _: u64) {}
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Commands that each connection sends: more than fit in a group of all of them.
const COMMANDS: usize = 40;

/// Three connections increment keys of their own, with a panic at the given reading of the clock.
/// Returns whether it happened, and how often each of the others incremented.
fn run_with_trap(readings: i64) -> (bool, Vec<String>) {
    let trap = Arc::new(AtomicI64::new(-1));
    let mut env = sim_env(&Arc::new(SimClock::default()), &SimDisk::default(), 1);
    env.clock = Box::new(Trap(Arc::clone(&trap)));
    let engine = Arc::new(Engine::new(env, Config::default(), 1).unwrap());
    let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
    engine.registry.add_worker(Arc::clone(&mailbox));
    let mut worker = Worker::new(Arc::clone(&engine), 0, mailbox);
    let mut tokens = Vec::new();
    for name in NAMES {
        let id = engine.registry.next_id();
        let shared = ClientShared::new(id, name.into(), "here".into(), 0, 0, 0);
        let mut client = Client::new(Arc::new(shared), true);
        // Read commands, since a panic after a write ends the process.
        client.input.push(format!("ECHO {name}\r\n").repeat(COMMANDS).as_bytes());
        let token = worker.insert(client);
        worker.mark_ready(token);
        tokens.push(token);
    }
    trap.store(readings, Ordering::Relaxed);
    let mut panicked = false;
    while worker.has_ready() {
        if catch_unwind(AssertUnwindSafe(|| worker.run())).is_ok() {
            continue;
        }
        panicked = true;
        // The server closes the connection whose command it was.
        if let Some(token) = worker.recover() {
            assert!(worker.remove(token).is_some());
            tokens.retain(|other| *other != token);
        }
    }
    let replies = tokens.iter().map(|&token| {
        let client = worker.client(token).unwrap();
        String::from_utf8(client.reply.as_bytes().to_vec()).unwrap()
    });
    (panicked, replies.collect())
}

#[test]
fn the_others_get_every_reply_once() {
    let whole = |name: &str| format!("$1\r\n{name}\r\n").repeat(COMMANDS);
    let mut panics = 0;
    for readings in 0.. {
        let (panicked, replies) = run_with_trap(readings);
        let expected: Vec<String> = NAMES.iter().map(|name| whole(name)).collect();
        for reply in &replies {
            assert!(expected.contains(reply), "panic at reading {readings}: {reply:?}");
        }
        if !panicked {
            assert_eq!(replies.len(), NAMES.len());
            break;
        }
        panics += 1;
        assert!(replies.len() >= NAMES.len() - 1, "more than one connection was closed");
    }
    assert!(panics > NAMES.len() * COMMANDS / 2, "the trap was hit {panics} times only");
}
