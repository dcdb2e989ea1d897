//! The cost of the engine without a kernel: request bytes into the connections' state machines of
//! one and of two threads, replies discarded; and a primary's stream into a replica's.
//!
//! Usage: `socketless [KEYS] [DEPTH] [VALUE_BYTES]`. Each figure is the best and the median of many
//! short windows, because other load on the machine can only add to it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::env::Wake;
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::repl::log::ReplId;
use redix_core::repl::status::Target;
use redix_core::upstream::ahead::{Next, Portion, Portions, ReadAhead};
use redix_core::upstream::{Transport, Upstream};
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
    let engine = Engine::new(redix_server::env::system("epoll"), Config::default(), 2)
        .expect("nothing is renamed");
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
    let [whole, prepared, executed] = measure_applying(&engine, keys, value);
    println!("SET applied by a replica: best {:.1} median {:.1}", whole.0, whole.1);
    println!("SET read ahead: best {:.1} median {:.1}", prepared.0, prepared.1);
    println!("SET executed then: best {:.1} median {:.1}", executed.0, executed.1);
}

/// A primary that has sent everything already: the replies of the handshake, then the stream.
#[derive(Default)]
struct Sent {
    bytes: Vec<u8>,
    taken: usize,
    reads_ahead: bool,
    /// Present once the stream is read ahead.
    ahead: Option<Box<ReadAhead>>,
    portions: Arc<Mutex<Made>>,
}

/// The portions of a stream that was read ahead.
#[derive(Default)]
struct Made {
    ready: VecDeque<Portion>,
    spent: Vec<Portion>,
}

struct Taking(Arc<Mutex<Made>>);

impl Portions for Taking {
    fn next(&mut self) -> Next {
        let portion = self.0.lock().expect("no panic").ready.pop_front();
        portion.map_or(Next::Nothing, Next::Portion)
    }
    fn give_back(&mut self, spent: Portion) {
        self.0.lock().expect("no panic").spent.push(spent);
    }
    fn waiting_bytes(&self) -> u64 {
        0
    }
}

impl Sent {
    /// Reads ahead all that was sent.
    fn prepare(&mut self) {
        let Some(mut ahead) = self.ahead.take() else { return };
        while self.taken < self.bytes.len() {
            ahead.read(&mut Unread(self)).expect("there is something");
            let mut made = self.portions.lock().expect("no panic");
            let portion = ahead.take(|| made.spent.pop().unwrap_or_default());
            made.ready.extend(portion);
        }
        self.ahead = Some(ahead);
    }
}

struct Unread<'a>(&'a mut Sent);

impl io::Read for Unread<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Transport::read(self.0, out)
    }
}

impl Transport for Sent {
    fn connect(&mut self, _: &str, _: u16, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }
    fn names(&self) -> (String, String) {
        ("127.0.0.1:1".into(), "127.0.0.1:2".into())
    }
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.taken..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn read_ahead(
        &mut self,
        _: usize,
        ahead: Box<ReadAhead>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        if !self.reads_ahead {
            return Err(ahead);
        }
        self.ahead = Some(ahead);
        self.prepare();
        Ok(Box::new(Taking(Arc::clone(&self.portions))))
    }
    fn close(&mut self) {}
}

/// Best and median nanoseconds per command of a primary's stream: read and executed in turn; read
/// ahead; executed after that.
fn measure_applying(engine: &Arc<Engine>, keys: usize, value: usize) -> [(f64, f64); 3] {
    {
        let _world = engine.keyspace.gates().world();
        let id = ReplId::random(&*engine.env.entropy);
        engine.repl.log.adopt(id, 0, engine.config().repl_backlog_size);
        engine.follow(Target { host: "primary".into(), port: 1 });
    }
    let mut upstream = Upstream::new(Arc::clone(engine));
    let greeting = b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+CONTINUE\r\n";
    let mut sent = Sent { bytes: greeting.to_vec(), ..Sent::default() };
    while !engine.repl.upstream.is_up() {
        upstream.step(&mut sent);
    }
    let value = vec![b'z'; value];
    let mut random = 1_u64;
    let mut series: [Vec<f64>; 3] = Default::default();
    while series[2].len() < WINDOWS {
        sent.bytes.clear();
        sent.taken = 0;
        for _ in 0..WINDOW_COMMANDS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            request(&mut sent.bytes, Op::Set, (random >> 33) as usize % keys, &value);
        }
        let end = engine.repl.log.end() + sent.bytes.len() as u64;
        let mut timed = |of: usize, work: &mut dyn FnMut()| {
            let started = Instant::now();
            work();
            series[of].push(started.elapsed().as_nanos() as f64 / WINDOW_COMMANDS as f64);
        };
        let is_ahead = sent.ahead.is_some();
        if is_ahead {
            timed(1, &mut || sent.prepare());
        }
        timed(if is_ahead { 2 } else { 0 }, &mut || {
            while engine.repl.log.end() < end {
                upstream.step(&mut sent);
            }
        });
        // The next window begins in one go and is the last of these.
        sent.reads_ahead = series[0].len() == WINDOWS;
    }
    series.map(|mut windows| {
        windows.sort_by(f64::total_cmp);
        (windows[0], windows[windows.len() / 2])
    })
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
