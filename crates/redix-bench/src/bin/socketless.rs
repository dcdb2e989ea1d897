//! What the engine costs without a kernel: request bytes into the connections' state machines of
//! one and of two threads, replies thrown away.
//!
//! Usage: `socketless [KEYS] [DEPTH] [VALUE_BYTES]`. Each figure is the best and the median of many
//! short windows, because everything else on the machine can only add to it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::env::Wake;
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::worker::Worker;

#[global_allocator]
static ALLOCATOR: redix_server::alloc::Counting = redix_server::alloc::Counting;

const CLIENTS: usize = 50;
const WINDOWS: usize = 1500;
const WINDOW_COMMANDS: usize = 6_400;

struct NoWake;
impl Wake for NoWake {
    fn wake(&self) {}
}

#[derive(Clone, Copy)]
enum Op {
    Set,
    Get,
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let keys: usize = args.next().unwrap_or(1_000_000);
    let depth: usize = args.next().unwrap_or(64);
    let value: usize = args.next().unwrap_or(64);
    let engine =
        Engine::new(redix_server::env::system(), Config::default(), 2).expect("nothing is renamed");
    let engine = Arc::new(engine);
    fill(&engine, keys, value);
    println!("{keys} keys, depth {depth}, {value}-byte values; ns per command");
    for op in [Op::Get, Op::Set] {
        let one = measure(&engine, 1, op, keys, depth, value);
        let two = measure(&engine, 2, op, keys, depth, value);
        let name = match op {
            Op::Get => "GET",
            Op::Set => "SET",
        };
        println!(
            "{name}: one thread best {:.1} median {:.1}; two threads each best {:.1} median {:.1}; \
             two do {:.2}x the work of one (medians)",
            one.0,
            one.1,
            two.0,
            two.1,
            2.0 * one.1 / two.1
        );
    }
}

/// A worker with its connections.
fn worker(engine: &Arc<Engine>, index: usize) -> (Worker, Vec<usize>) {
    let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
    let mut worker = Worker::new(Arc::clone(engine), index, mailbox);
    let tokens = (0..CLIENTS)
        .map(|_| {
            let id = engine.registry.next_id();
            let shared =
                ClientShared::new(id, "127.0.0.1:1".into(), "127.0.0.1:2".into(), 0, 0, index);
            worker.insert(Client::new(Arc::new(shared), true))
        })
        .collect();
    (worker, tokens)
}

fn request(out: &mut Vec<u8>, op: Op, key: usize, value: &[u8]) {
    let key = format!("key:{key:012}");
    match op {
        Op::Get => redix_resp::encode_command(out, &[b"GET", key.as_bytes()]),
        Op::Set => redix_resp::encode_command(out, &[b"SET", key.as_bytes(), value]),
    }
}

fn fill(engine: &Arc<Engine>, keys: usize, value: usize) {
    let (mut worker, tokens) = worker(engine, 0);
    let value = vec![b'x'; value];
    for first in (0..keys).step_by(1000) {
        let mut bytes = Vec::new();
        (first..keys.min(first + 1000)).for_each(|key| request(&mut bytes, Op::Set, key, &value));
        let client = worker.client(tokens[0]).expect("it was inserted");
        client.input.push(&bytes);
        worker.mark_ready(tokens[0]);
        while worker.has_ready() {
            worker.run();
        }
        let client = worker.client(tokens[0]).expect("it was inserted");
        client.reply.clear();
    }
}

/// Best and median nanoseconds per command and thread.
fn measure(
    engine: &Arc<Engine>,
    threads: usize,
    op: Op,
    keys: usize,
    depth: usize,
    value: usize,
) -> (f64, f64) {
    let barrier = Barrier::new(threads);
    let running = AtomicUsize::new(threads);
    let mut all: Vec<f64> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (barrier, running) = (&barrier, &running);
                scope
                    .spawn(move || drive(engine, index, op, (keys, depth, value), barrier, running))
            })
            .collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("no panic")).collect()
    });
    all.sort_by(f64::total_cmp);
    (all[0], all[all.len() / 2])
}

fn drive(
    engine: &Arc<Engine>,
    index: usize,
    op: Op,
    (keys, depth, value): (usize, usize, usize),
    barrier: &Barrier,
    running: &AtomicUsize,
) -> Vec<f64> {
    let (mut worker, tokens) = worker(engine, index);
    let value = vec![b'y'; value];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1);
    let batches: Vec<Vec<u8>> = (0..2000.max(20_000 / depth))
        .map(|_| {
            let mut bytes = Vec::new();
            for _ in 0..depth {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                request(&mut bytes, op, (random >> 33) as usize % keys, &value);
            }
            bytes
        })
        .collect();
    let mut next = 0;
    let mut windows = Vec::with_capacity(WINDOWS);
    barrier.wait();
    while windows.len() < WINDOWS || running.load(Ordering::Relaxed) > 0 {
        let started = Instant::now();
        let mut commands = 0;
        while commands < WINDOW_COMMANDS {
            for &token in &tokens {
                let client = worker.client(token).expect("it was inserted");
                client.reply.clear();
                client.input.push(&batches[next % batches.len()]);
                worker.mark_ready(token);
                next += 1;
                commands += depth;
            }
            while worker.has_ready() {
                worker.run();
            }
        }
        windows.push(started.elapsed().as_nanos() as f64 / commands as f64);
        if windows.len() == WINDOWS {
            running.fetch_sub(1, Ordering::Relaxed);
        }
    }
    windows.truncate(WINDOWS);
    windows
}
