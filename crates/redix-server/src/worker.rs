//! A worker thread: an event loop around the engine's worker.
//!
//! One turn: wait; read each ready connection once; run; write once per connection; carry out
//! requests. Connections whose read filled the buffer stay on the ready list, because readiness is
//! edge-triggered.
//!
//! A client's commands are read and executed whether or not it reads its replies: clients write
//! whole pipelines before they read, and would deadlock. Pending output is bounded by
//! `client-output-buffer-limit`, pending input by `client-query-buffer-limit`, and both by small
//! constants before the client has authenticated. Fairness comes from the turn: a bounded amount of
//! output ([`redix_core::client::TURN_OUTPUT_MAX`]) and input of one connection, then the next.
//!
//! **Invariants.** A connection never moves to another worker. Nothing here accesses the keyspace
//! except through the engine's worker. Every message of the mailbox is taken before the next wait.

mod connections;
mod handshakes;

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use redix_core::effects::Request;
use redix_core::engine::{Engine, Fatal};
use redix_core::env::Wake;
use redix_core::expire::Sweeper;
use redix_core::mailbox::Mailbox;
use redix_core::registry::ClientShared;
use redix_core::worker::Worker;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::conn::Stream;
use crate::log;
use connections::Connections;

const WAKE: Token = Token(usize::MAX);
/// Readiness events taken per wait.
const EVENTS_MAX: usize = 1024;
/// A sweep due within this time after periodic work is done together with it.
const SWEEP_EARLY_NS: u64 = 10_000_000;

/// Carries out a command's request to the process. The error is the reply to the client whose
/// request was refused.
pub type Requests = dyn Fn(&Request, &ClientShared) -> Result<(), &'static str>;

/// A new connection for a worker.
pub struct Arrival {
    /// Its socket, non-blocking.
    pub stream: Stream,
    /// Its record.
    pub shared: Arc<ClientShared>,
    /// Whether it may run commands without AUTH.
    pub authenticated: bool,
    /// What it is told after its handshake, before it is closed.
    pub refusal: Option<&'static str>,
}

/// The handle of a worker for other threads.
pub struct Handle {
    waker: Arc<Waker>,
    arrivals: Mutex<Vec<Arrival>>,
    /// Number of its connections, those on their way included.
    pub load: AtomicUsize,
}

impl Handle {
    /// Passes a connection to the worker.
    pub fn hand_over(&self, arrival: Arrival) {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.arrivals.lock().push(arrival);
        self.wake();
    }
}

impl Wake for Handle {
    fn wake(&self) {
        // Ignored: it only fails if the event counter is full, and then the worker is being woken
        // anyway.
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
    connections: Connections,
    worker: Worker,
    sweeper: Sweeper,
    /// When periodic work and the next sweep are due, by the monotonic clock.
    next_cron_ns: u64,
    next_sweep_ns: u64,
    engine: Arc<Engine>,
    index: usize,
}

impl EventLoop {
    /// The loop of worker `index`.
    pub fn new(engine: Arc<Engine>, index: usize) -> io::Result<(Self, Arc<Handle>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let handle =
            Arc::new(Handle { waker, arrivals: Mutex::new(Vec::new()), load: AtomicUsize::new(0) });
        let mailbox = Arc::new(Mailbox::new(Box::new(Waking(Arc::clone(&handle)))));
        engine.registry.add_worker(Arc::clone(&mailbox));
        let worker = Worker::new(Arc::clone(&engine), index, mailbox);
        let this = Self {
            connections: Connections::new(poll, Arc::clone(&handle), Arc::clone(&engine), index),
            worker,
            sweeper: Sweeper::new(&engine, index),
            next_cron_ns: 0,
            next_sweep_ns: 0,
            engine,
            index,
        };
        Ok((this, handle))
    }

    /// Runs for the life of the process.
    pub fn run(mut self, requests: &Requests) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.worker.adopt_mailbox();
        let mut now_ns = self.engine.env.clock.mono_ns();
        loop {
            let timeout = self.timeout(now_ns);
            let Self { connections, worker, engine, index, .. } = &mut self;
            match connections.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let began_ns = engine.env.clock.mono_ns();
            connections.note_events(&events);
            connections.list_awaiting_sync();
            connections.take_arrivals(worker);
            connections.deliver_mail(worker);
            connections.resume_after_pause(worker);
            end_waits(worker, engine);
            connections.read_all(worker);
            connections.shake_hands(worker);
            connections.touched.extend_from_slice(worker.ready());
            let commands_before = engine.stats.thread(*index).cell.commands.get();
            connections.execute(worker, requests);
            if let Err(Fatal(text)) = engine.write_aof_at_once() {
                log::warning(&text);
                std::process::exit(1);
            }
            connections.list_put_off();
            // Messages that its own connections have published to each other.
            connections.deliver_mail(worker);
            connections.touched.extend(worker.fed());
            connections.flush_all(worker);
            self.worker.evict();
            now_ns = self.engine.env.clock.mono_ns();
            if now_ns >= self.next_cron_ns.min(self.next_sweep_ns) {
                now_ns = self.periodic(now_ns);
            }
            let stats = self.engine.stats.thread(self.index);
            let commands = stats.cell.commands.get().saturating_sub(commands_before);
            stats.note_turn(now_ns.saturating_sub(began_ns), commands);
        }
    }

    /// Does the periodic work that is due, and returns the time when it is done.
    fn periodic(&mut self, now_ns: u64) -> u64 {
        if now_ns >= self.next_cron_ns {
            let hz = u64::from(self.worker.config().hz.max(1));
            self.next_cron_ns = now_ns + 1_000_000_000 / hz;
            self.connections.cron(&mut self.worker, hz as usize);
        }
        // Now rather than in a turn of its own.
        if now_ns + SWEEP_EARLY_NS >= self.next_sweep_ns {
            self.next_sweep_ns = now_ns + self.sweeper.step(&self.engine);
        }
        let ended_ns = self.engine.env.clock.mono_ns();
        let cell = &self.engine.stats.thread(self.index).cell;
        cell.cron_ns.add(ended_ns.saturating_sub(now_ns));
        ended_ns
    }

    /// How long to wait for events.
    fn timeout(&self, now_ns: u64) -> Duration {
        if !self.connections.readable.is_empty()
            || !self.connections.touched.is_empty()
            || self.connections.has_handshakes()
            || self.worker.has_ready()
            || self.worker.has_mail()
            || self.engine.eviction.is_wanted()
        {
            return Duration::ZERO;
        }
        let due_ns = self.next_cron_ns.min(self.next_sweep_ns);
        let until_due = Duration::from_nanos(due_ns.saturating_sub(now_ns));
        let pause_end_ms = self.engine.pause.client_until_ms();
        let pause_end_ms =
            (pause_end_ms != self.connections.resumed_after_ms).then_some(pause_end_ms);
        let Some(due_ms) = pause_end_ms.into_iter().chain(self.worker.next_deadline_ms()).min()
        else {
            return until_due;
        };
        // To the microsecond: waking too early would only cost another wait.
        let left_us = due_ms.saturating_mul(1000).saturating_sub(self.engine.env.clock.unix_us());
        until_due.min(Duration::from_micros(u64::try_from(left_us).unwrap_or(0)))
    }
}

/// Ends the waits of blocked clients whose deadline has passed.
fn end_waits(worker: &mut Worker, engine: &Engine) {
    if worker.next_deadline_ms().is_some() {
        worker.end_overdue(engine.env.clock.unix_us() / 1000);
    }
}
