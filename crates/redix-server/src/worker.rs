//! A worker thread: an event loop around the engine's worker.
//!
//! One turn: wait; read each ready connection once; run; write once per connection; carry out
//! requests. A wait begins with polling where requests are expected soon. Connections whose read
//! filled the buffer stay on the ready list, because readiness is edge-triggered.
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
mod gather;
mod handshakes;
mod held;
mod polling;
mod receiving;
mod sending;

use std::io;
use std::thread;
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
use crate::ring::Ring;
use connections::Connections;
use gather::Gather;
use polling::{Plan, Polling};

const WAKE: Token = Token(usize::MAX);
/// Readiness events taken per wait.
const EVENTS_MAX: usize = 1024;
/// The longest sleep of a worker with replies that wait for a sync of another thread, which wakes
/// it unless it fails.
const SYNC_WAIT: Duration = Duration::from_millis(1);
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
    polling: Polling,
    gather: Gather,
    /// Workers do not outnumber processors, and the last turn had commands.
    may_poll: bool,
    is_busy: bool,
    /// When periodic work and the next sweep are due, by the monotonic clock.
    next_cron_ns: u64,
    next_sweep_ns: u64,
    engine: Arc<Engine>,
    index: usize,
}

impl EventLoop {
    /// The loop of worker `index`; with a ring, it makes a turn's transfers in batches.
    pub fn new(
        engine: Arc<Engine>,
        index: usize,
        ring: Option<Ring>,
    ) -> io::Result<(Self, Arc<Handle>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let handle =
            Arc::new(Handle { waker, arrivals: Mutex::new(Vec::new()), load: AtomicUsize::new(0) });
        let mailbox = Arc::new(Mailbox::new(Box::new(Waking(Arc::clone(&handle)))));
        engine.registry.add_worker(Arc::clone(&mailbox));
        let worker = Worker::new(Arc::clone(&engine), index, mailbox);
        let this = Self {
            connections: Connections::new(
                poll,
                Arc::clone(&handle),
                Arc::clone(&engine),
                index,
                ring,
            ),
            worker,
            sweeper: Sweeper::new(&engine, index),
            polling: Polling::default(),
            gather: Gather::default(),
            may_poll: engine.workers() <= thread::available_parallelism().map_or(1, usize::from),
            is_busy: false,
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
            self.wait(&mut events, now_ns)?;
            let Self { connections, worker, engine, index, .. } = &mut self;
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
            // Whoever need not wait for a sync is replied to before.
            let syncs = engine.aof.holds_replies();
            if !syncs {
                write_aof(engine, *index);
            }
            connections.list_put_off();
            // Messages that its own connections have published to each other.
            connections.deliver_mail(worker);
            connections.touched.extend(worker.fed());
            connections.flush_all(worker);
            if syncs {
                self.sync();
            } else {
                // What was put off before the policy changed is another thread's now.
                self.gather = Gather::default();
            }
            self.worker.evict();
            now_ns = self.engine.env.clock.mono_ns();
            if now_ns >= self.next_cron_ns.min(self.next_sweep_ns) {
                now_ns = self.periodic(now_ns);
            }
            let stats = self.engine.stats.thread(self.index);
            let commands = stats.cell.commands.get().saturating_sub(commands_before);
            self.is_busy = commands > 0;
            stats.note_turn(now_ns.saturating_sub(began_ns), commands);
        }
    }

    /// Waits until there is something to do: polls as long as that is likely to pay, then sleeps.
    fn wait(&mut self, events: &mut Events, now_ns: u64) -> io::Result<()> {
        let timeout = self.timeout(now_ns);
        let gather_ns = self.gather.look_ns(now_ns);
        let cell = &self.engine.stats.thread(self.index).cell;
        if gather_ns > 0 && !timeout.is_zero() {
            return self.poll(events, now_ns, gather_ns);
        }
        if timeout.is_zero() {
            return look(&mut self.connections, events, timeout);
        }
        let learns = self.is_busy && self.may_poll;
        let mut plan = Plan::SLEEP;
        if learns {
            let max_ns = u64::from(self.worker.config().busy_poll_max_us) * 1000;
            let left_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            plan = self.polling.plan(now_ns, max_ns);
            plan.poll_ns = plan.poll_ns.min(left_ns);
        }
        if plan.poll_ns > 0 {
            cell.polls.bump();
            self.poll(events, now_ns, plan.poll_ns)?;
        } else {
            events.clear();
        }
        if events.is_empty() {
            self.engine.stats.thread(self.index).cell.sleeps.bump();
            look(&mut self.connections, events, timeout)?;
        }
        if learns {
            let waited_ns = self.engine.env.clock.mono_ns().saturating_sub(now_ns);
            self.polling.note_wait(plan, waited_ns);
        }
        Ok(())
    }

    /// Looks for events without sleeping, for so many nanoseconds at most. Others that want the
    /// processor have it in between.
    fn poll(&mut self, events: &mut Events, since_ns: u64, for_ns: u64) -> io::Result<()> {
        let mut now_ns = since_ns;
        loop {
            look(&mut self.connections, events, Duration::ZERO)?;
            if !events.is_empty() || now_ns.saturating_sub(since_ns) >= for_ns {
                return Ok(());
            }
            thread::yield_now();
            let last_ns = now_ns;
            now_ns = self.engine.env.clock.mono_ns();
            self.polling.note_look(now_ns, now_ns.saturating_sub(last_ns));
        }
    }

    /// Makes durable what the turn has written, now or after some more connections have joined it,
    /// and sends the replies that waited for that.
    fn sync(&mut self) {
        let Self { connections, worker, engine, gather, index, .. } = self;
        let aof = &engine.aof;
        let mut limit_ns = 0;
        // Looking costs a lone worker more than it saves.
        if connections.await_sync() && aof.syncs_quickly() && engine.workers() > 1 {
            limit_ns = aof.gather_ns();
        }
        if gather.puts_off(engine.env.clock.mono_ns(), aof.held(), limit_ns) {
            return;
        }
        write_aof(engine, *index);
        if connections.await_sync() {
            connections.list_awaiting_sync();
            connections.flush_all(worker);
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
        let mut until_due = Duration::from_nanos(due_ns.saturating_sub(now_ns));
        if self.connections.await_sync() {
            until_due = until_due.min(SYNC_WAIT);
        }
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

/// Takes the events there are, or the first within `timeout`.
fn look(connections: &mut Connections, events: &mut Events, timeout: Duration) -> io::Result<()> {
    match connections.poll.poll(events, Some(timeout)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        other => other,
    }
}

/// Writes what the log has to the append-only file, or has it written.
fn write_aof(engine: &Engine, worker: usize) {
    if let Err(Fatal(text)) = engine.write_aof_at_once(worker) {
        log::warning(&text);
        std::process::exit(1);
    }
}

/// Ends the waits of blocked clients whose deadline has passed.
fn end_waits(worker: &mut Worker, engine: &Engine) {
    if worker.next_deadline_ms().is_some() {
        worker.end_overdue(engine.env.clock.unix_us() / 1000);
    }
}
