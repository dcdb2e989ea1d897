//! Users with a rate have a share of each turn, however much they have saved up.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::env::Wake;
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::worker::Worker;
use redix_testkit::engine::{SimClock, SimDisk, sim_env};

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// Commands of the limited user in a turn: what its rate gives in a millisecond.
const SHARE: usize = 20;
const PIPELINE: usize = 300;

fn worker(engine: &Arc<Engine>) -> Worker {
    let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
    engine.registry.add_worker(Arc::clone(&mailbox));
    Worker::new(Arc::clone(engine), 0, mailbox)
}

/// A connection that sends this, and its replies once it has all of them.
fn connect(worker: &mut Worker, engine: &Engine, input: &str) -> usize {
    let id = engine.registry.next_id();
    let shared = ClientShared::new(id, "them".into(), "here".into(), 0, 0, 0);
    let mut client = Client::new(Arc::new(shared), true);
    client.input.push(input.as_bytes());
    let token = worker.insert(client);
    worker.mark_ready(token);
    while worker.has_ready() {
        worker.run();
    }
    token
}

fn send(worker: &mut Worker, token: usize, input: &str) {
    worker.client(token).unwrap().input.push(input.as_bytes());
    worker.mark_ready(token);
}

/// Replies that a connection has.
fn replies(worker: &mut Worker, token: usize) -> usize {
    let bytes = worker.client(token).unwrap().reply.as_bytes().to_vec();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn what_a_user_has_saved_up_is_executed_in_pieces() {
    let clock = Arc::new(SimClock::default());
    // Long enough for the bucket to be full.
    clock.advance_ms(1000);
    let env = sim_env(&clock, &SimDisk::default(), 1);
    let engine = Arc::new(Engine::new(env, Config::default(), 1).unwrap());
    let mut worker = worker(&engine);
    let rule = "ACL SETUSER mallory on nopass ~* +@all %rate=20000\r\n";
    let other = connect(&mut worker, &engine, rule);
    let login = "AUTH mallory any\r\n";
    let limited = [(); 3].map(|()| connect(&mut worker, &engine, login));
    for token in limited {
        send(&mut worker, token, &"INCR a\r\n".repeat(PIPELINE));
    }
    let (mut done, mut turns) = ([1; 3], 0);
    while done != [1 + PIPELINE; 3] {
        send(&mut worker, other, "INCR b\r\n");
        worker.run();
        turns += 1;
        assert_eq!(replies(&mut worker, other), 1 + turns, "others run in each turn");
        let now = limited.map(|token| replies(&mut worker, token));
        let executed: usize = now.iter().zip(done).map(|(now, before)| now - before).sum();
        assert!((1..=SHARE).contains(&executed), "{executed} in turn {turns}");
        done = now;
        let (most, least) = (done.iter().max().unwrap(), done.iter().min().unwrap());
        assert!(most - least <= 2 * SHARE, "they take turns: {done:?}");
    }
    assert!(turns <= 2 * 3 * PIPELINE / SHARE, "{turns} turns");
    assert!(!worker.has_ready());
}
