//! One worker thread: an event loop around the engine's worker.
//!
//! One turn: wait; read each ready connection once; run; write once per connection; carry out
//! requests. Connections whose read filled the buffer stay on the ready list, because readiness is
//! reported by edges.
//!
//! **Invariants.** A connection never moves to another worker. Nothing here touches the keyspace
//! but through the engine's worker. Every message of the mailbox is taken before the next wait.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use redix_core::client::Client;
use redix_core::effects::Request;
use redix_core::engine::Engine;
use redix_core::env::Wake;
use redix_core::expire::Sweeper;
use redix_core::mailbox::{Mail, Mailbox};
use redix_core::registry::ClientShared;
use redix_core::worker::Worker;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::conn::{Conn, ReadOutcome, Stream, WriteOutcome};

const WAKE: Token = Token(usize::MAX);
/// Readiness events taken per wait.
const EVENTS_MAX: usize = 1024;
/// Between two rounds of timeouts and shrinking.
const CRON_MS: u64 = 100;

/// A connection on its way to a worker.
pub struct Arrival {
    /// Its socket, non-blocking.
    pub stream: Stream,
    /// Its record.
    pub shared: Arc<ClientShared>,
    /// Whether it may run commands without AUTH.
    pub authenticated: bool,
}

/// What the rest of the process holds of a worker.
pub struct Handle {
    waker: Arc<Waker>,
    arrivals: Mutex<Vec<Arrival>>,
    /// Connections that it has or is about to get.
    pub load: AtomicUsize,
}

impl Handle {
    /// Hands a connection over.
    pub fn hand_over(&self, arrival: Arrival) {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.arrivals.lock().push(arrival);
        self.wake();
    }
}

impl Wake for Handle {
    fn wake(&self) {
        // The only failure is a full event counter, and then the worker is being woken anyway.
        self.waker.wake().ok();
    }
}

struct Waking(Arc<Handle>);

impl Wake for Waking {
    fn wake(&self) {
        self.0.wake();
    }
}

/// An event loop ready to be run by a thread.
pub struct EventLoop {
    poll: Poll,
    handle: Arc<Handle>,
    worker: Worker,
    conns: Vec<Option<Conn>>,
    readable: Vec<usize>,
    touched: Vec<usize>,
    sweeper: Sweeper,
    engine: Arc<Engine>,
    index: usize,
}

impl EventLoop {
    /// The loop of worker `index`
    pub fn new(engine: Arc<Engine>, index: usize) -> io::Result<(Self, Arc<Handle>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let handle =
            Arc::new(Handle { waker, arrivals: Mutex::new(Vec::new()), load: AtomicUsize::new(0) });
        let mailbox = Arc::new(Mailbox::new(Box::new(Waking(Arc::clone(&handle)))));
        engine.registry.add_worker(Arc::clone(&mailbox));
        let worker = Worker::new(Arc::clone(&engine), index, mailbox);
        let this = Self {
            poll,
            handle: Arc::clone(&handle),
            worker,
            conns: Vec::new(),
            readable: Vec::new(),
            touched: Vec::new(),
            sweeper: Sweeper::new(&engine, index),
            engine,
            index,
        };
        Ok((this, handle))
    }

    /// Runs for the life of the process; `requests` carries out what only the process can do.
    pub fn run(mut self, requests: &dyn Fn(Request)) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let (mut next_cron_ns, mut next_sweep_ns) = (0, 0);
        let mut idle = Duration::ZERO;
        loop {
            let busy = !self.readable.is_empty() || self.worker.has_ready();
            let timeout = if busy { Duration::ZERO } else { idle };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let mut woken = false;
            for event in &events {
                if event.token() == WAKE {
                    woken = true;
                    continue;
                }
                let token = event.token().0;
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.readable.push(token);
                }
                if event.is_writable() {
                    self.touched.push(token);
                }
            }
            if woken {
                self.take_messages();
            }
            self.read_all();
            for request in self.worker.run() {
                requests(request);
            }
            self.flush_all();
            let now_ns = self.engine.env.clock.mono_ns();
            if now_ns >= next_cron_ns {
                next_cron_ns = now_ns + CRON_MS * 1_000_000;
                self.cron();
            }
            if now_ns >= next_sweep_ns {
                next_sweep_ns = now_ns + self.sweeper.step(&self.engine);
            }
            idle = Duration::from_nanos(next_cron_ns.min(next_sweep_ns).saturating_sub(now_ns));
        }
    }

    fn take_messages(&mut self) {
        let arrivals = std::mem::take(&mut *self.handle.arrivals.lock());
        for arrival in arrivals {
            self.adopt(arrival);
        }
        for mail in self.worker.take_mail() {
            match mail {
                Mail::Push { client: id, token, bytes } => {
                    if let Some(client) = self.worker.client(token)
                        && client.shared.id == id
                    {
                        client.reply.raw(&bytes);
                        self.touched.push(token);
                    }
                }
                Mail::Kill { client: id, token } => {
                    if self.worker.client(token).is_some_and(|client| client.shared.id == id) {
                        self.close(token);
                    }
                }
                Mail::Resume => self.resume(),
            }
        }
    }

    fn adopt(&mut self, arrival: Arrival) {
        let mut conn = Conn::new(arrival.stream);
        let client = Client::new(arrival.shared, arrival.authenticated);
        let token = self.worker.insert(client);
        if conn.register(self.poll.registry(), token).is_err() {
            self.worker.remove(token);
            return;
        }
        if self.conns.len() <= token {
            self.conns.resize_with(token + 1, || None);
        }
        self.conns[token] = Some(conn);
        // Bytes may have come before the registration.
        self.readable.push(token);
    }

    /// Tries the held-back commands again.
    fn resume(&mut self) {
        let tokens: Vec<usize> = self.worker.tokens().collect();
        for token in tokens {
            if let Some(client) = self.worker.client(token)
                && client.held
            {
                client.held = false;
                client.halted = false;
                self.worker.mark_ready(token);
                self.touched.push(token);
            }
        }
    }

    fn read_all(&mut self) {
        let mut again = Vec::new();
        let cell = &self.engine.stats.thread(self.index).cell;
        let mut closed = Vec::new();
        for token in std::mem::take(&mut self.readable) {
            let (Some(Some(conn)), Some(client)) =
                (self.conns.get_mut(token), self.worker.client(token))
            else {
                continue;
            };
            let count = match conn.read(client) {
                ReadOutcome::Closed => {
                    closed.push(token);
                    continue;
                }
                ReadOutcome::Filled(count) => {
                    again.push(token);
                    count
                }
                ReadOutcome::Drained(count) => count,
            };
            if count > 0 {
                cell.net_input_bytes.add(count as u64);
                cell.reads.bump();
                let shared = &client.shared;
                let total = shared.net_in.load(Ordering::Relaxed) + count as u64;
                shared.net_in.store(total, Ordering::Relaxed);
                self.worker.mark_ready(token);
                self.touched.push(token);
            }
        }
        self.readable = again;
        closed.into_iter().for_each(|token| self.close(token));
    }

    fn flush_all(&mut self) {
        let cell = &self.engine.stats.thread(self.index).cell;
        let mut closed = Vec::new();
        for token in std::mem::take(&mut self.touched) {
            let (Some(Some(conn)), Some(client)) =
                (self.conns.get_mut(token), self.worker.client(token))
            else {
                continue;
            };
            if client.shared.killed.load(Ordering::Acquire) {
                closed.push(token);
                continue;
            }
            let count = match conn.flush(client) {
                WriteOutcome::Closed => {
                    closed.push(token);
                    continue;
                }
                WriteOutcome::All(count) => {
                    if client.closing() {
                        closed.push(token);
                    } else if client.input.pending_bytes() > 0 && !client.halted {
                        self.worker.mark_ready(token);
                    }
                    count
                }
                WriteOutcome::Part(count) => count,
            };
            if count > 0 {
                cell.net_output_bytes.add(count as u64);
                cell.writes.bump();
            }
        }
        closed.into_iter().for_each(|token| self.close(token));
    }

    fn close(&mut self, token: usize) {
        if let Some(mut conn) = self.conns.get_mut(token).and_then(Option::take) {
            conn.deregister(self.poll.registry());
        }
        if self.worker.remove(token).is_some() {
            self.handle.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn cron(&mut self) {
        if self.index == 0 {
            let now_ns = self.engine.env.clock.mono_ns();
            self.engine.rates.sample(now_ns, &self.engine.stats.totals());
        }
        let now_ms = self.engine.env.clock.unix_us() / 1000;
        let tokens: Vec<usize> = self.worker.tokens().collect();
        for token in tokens {
            let Some(client) = self.worker.client(token) else { continue };
            let idle_ms = now_ms - client.shared.last_active_ms.load(Ordering::Relaxed);
            if idle_ms > 2000 {
                client.input.shrink();
            }
        }
    }
}
