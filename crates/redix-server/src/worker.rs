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
//! output ([`TURN_OUTPUT_MAX`]) and input of one connection, then the next.
//!
//! **Invariants.** A connection never moves to another worker. Nothing here accesses the keyspace
//! except through the engine's worker. Every message of the mailbox is taken before the next wait.
//! A connection that may have output is in `touched`; one that may have input is in `readable`, is
//! suspended, or waits for an edge.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use redix_core::channel::Delivery;
use redix_core::client::{Client, READ_MAX, TURN_OUTPUT_MAX};
use redix_core::commands::connection::client;
use redix_core::config::{Config, OutputLimit};
use redix_core::effects::Request;
use redix_core::engine::Engine;
use redix_core::env::{Level, Wake};
use redix_core::error::ReplyError;
use redix_core::expire::Sweeper;
use redix_core::mailbox::{Mail, Mailbox};
use redix_core::recent::Largest;
use redix_core::registry::{ClientShared, client_flag};
use redix_core::repl::primary::{Phase, Replica};
use redix_core::worker::{Asked, Worker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::conn::{Conn, ReadOutcome, Stream, WriteOutcome};
use crate::log;

const WAKE: Token = Token(usize::MAX);
/// The output limit of a client that has never authenticated, in bytes.
const UNAUTHENTICATED_OUTPUT_MAX: u64 = 16 * 1024;
/// Bytes moved from a replica's feed into its output at a time.
const FEED_BYTES: usize = 256 * 1024;
/// Bytes sent to one replica in a turn before others have their turn.
const FEED_TURN_BYTES: usize = 256 * 1024;
/// Readiness events taken per wait.
const EVENTS_MAX: usize = 1024;
/// Bytes of commands that may wait for a later turn, or behind a paused one of a client that has
/// never authenticated.
const WAITING_INPUT_MAX: usize = 1024 * 1024;
/// Freed buffer bytes after which the allocator is asked to return pages to the system.
const FREED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A sweep due within this time after periodic work is done together with it.
const SWEEP_EARLY_NS: u64 = 10_000_000;
/// The buffers of a connection are freed after this time without a command.
const IDLE_MS: i64 = 2000;

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
    poll: Poll,
    handle: Arc<Handle>,
    worker: Worker,
    conns: Vec<Option<Conn>>,
    readable: Vec<usize>,
    touched: Vec<usize>,
    closed: Vec<usize>,
    sweeper: Sweeper,
    /// When periodic work and the next sweep are due, by the monotonic clock.
    next_cron_ns: u64,
    next_sweep_ns: u64,
    /// The connection at which the next round of periodic work begins.
    visited: usize,
    /// Freed buffer bytes since memory was last returned to the system.
    freed_bytes: usize,
    /// The last round in which memory was returned to the system.
    purged: u64,
    /// The end of the last CLIENT PAUSE after which paused commands were retried.
    resumed_after_ms: i64,
    /// The waker was called.
    woken: bool,
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
            poll,
            handle: Arc::clone(&handle),
            worker,
            conns: Vec::new(),
            readable: Vec::new(),
            touched: Vec::new(),
            closed: Vec::new(),
            sweeper: Sweeper::new(&engine, index),
            next_cron_ns: 0,
            next_sweep_ns: 0,
            visited: 0,
            freed_bytes: 0,
            purged: 0,
            resumed_after_ms: 0,
            woken: false,
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
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let began_ns = self.engine.env.clock.mono_ns();
            self.note_events(&events);
            self.take_messages();
            self.resume_after_pause();
            self.end_waits();
            self.read_all();
            self.touched.extend_from_slice(self.worker.ready());
            let commands_before = self.engine.stats.thread(self.index).cell.commands.get();
            self.execute(requests);
            // Messages that its own connections have published to each other.
            self.deliver_mail();
            self.touched.extend_from_slice(self.worker.fed());
            self.flush_all();
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
            self.cron(hz as usize);
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
        if !self.readable.is_empty()
            || !self.touched.is_empty()
            || self.worker.has_ready()
            || self.worker.has_mail()
        {
            return Duration::ZERO;
        }
        let due_ns = self.next_cron_ns.min(self.next_sweep_ns);
        let until_due = Duration::from_nanos(due_ns.saturating_sub(now_ns));
        let pause_end_ms = self.engine.pause.client_until_ms();
        let pause_end_ms = (pause_end_ms != self.resumed_after_ms).then_some(pause_end_ms);
        let Some(due_ms) = pause_end_ms.into_iter().chain(self.worker.next_deadline_ms()).min()
        else {
            return until_due;
        };
        // To the microsecond: waking too early would only cost another wait.
        let left_us = due_ms.saturating_mul(1000).saturating_sub(self.engine.env.clock.unix_us());
        until_due.min(Duration::from_micros(u64::try_from(left_us).unwrap_or(0)))
    }

    /// Ends the waits of blocked clients whose deadline has passed.
    fn end_waits(&mut self) {
        if self.worker.next_deadline_ms().is_some() {
            self.worker.end_overdue(self.engine.env.clock.unix_us() / 1000);
        }
    }

    /// Dispatches the kernel's events.
    fn note_events(&mut self, events: &Events) {
        for event in events {
            if event.token() == WAKE {
                self.woken = true;
                continue;
            }
            let token = event.token().0;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.readable.push(token);
            }
            if event.is_read_closed()
                && let Some(Some(conn)) = self.conns.get_mut(token)
            {
                conn.closing_seen = true;
            }
            if event.is_writable() {
                if let Some(Some(conn)) = self.conns.get_mut(token) {
                    conn.blocked = false;
                }
                self.touched.push(token);
            }
        }
    }

    fn take_messages(&mut self) {
        if std::mem::take(&mut self.woken) {
            let arrivals = std::mem::take(&mut *self.handle.arrivals.lock());
            for arrival in arrivals {
                self.adopt(arrival);
            }
        }
        self.deliver_mail();
    }

    fn deliver_mail(&mut self) {
        if !self.worker.has_mail() {
            return;
        }
        for mail in self.worker.take_mail() {
            match mail {
                Mail::Push { client: id, token, bytes } => {
                    let client = self.worker.client(token).filter(|client| client.shared.id == id);
                    if let Some(client) = client {
                        client.push(&bytes);
                        self.touched.push(token);
                    }
                }
                Mail::Deliver(delivery) => self.deliver(&delivery),
                Mail::CloseSubscribers(target) => {
                    for token in self.worker.overrun(&target) {
                        self.note_over_limit(token);
                        self.close(token);
                    }
                }
                Mail::Kill { client: id, token } => {
                    if self.worker.client(token).is_some_and(|client| client.shared.id == id) {
                        self.close(token);
                    }
                }
                Mail::Unblocked { client, token, end } => {
                    self.worker.unblocked(client, token, end);
                    self.touched.push(token);
                }
                Mail::Invalidate { client, token, redirected, what } => {
                    self.touched.extend(self.worker.invalidate((client, token), redirected, &what));
                }
                Mail::Migrated => self.worker.finish_migrations(),
                Mail::Resume => self.resume(),
            }
        }
    }

    /// Delivers a message to its subscribers. A subscriber over its output limit is closed at once:
    /// the next message may arrive before it is written to.
    fn deliver(&mut self, delivery: &Delivery) {
        let Self { worker, touched, .. } = self;
        let limits = worker.config().client_output_buffer_limit;
        let mut over = Vec::new();
        worker.deliver(delivery, |token, client, owed_before| {
            // A connection with earlier output is listed, or waits for its socket to become
            // writable: until then nothing else publishes the size of its output.
            if owed_before == 0 {
                touched.push(token);
            } else {
                client.publish();
            }
            let most = limits.pubsub.most_bytes();
            if most != 0 && client.unsent_bytes() as u64 > most {
                client.shared.killed.store(true, Ordering::Release);
                over.push(token);
            }
        });
        for token in over {
            self.note_over_limit(token);
            self.close(token);
        }
    }

    fn adopt(&mut self, arrival: Arrival) {
        let mut conn = Conn::new(arrival.stream);
        let client = Client::new(arrival.shared, arrival.authenticated);
        let token = self.worker.insert(client);
        // Bytes received before the registration are reported by it.
        if conn.register(self.poll.registry(), token).is_err() {
            self.worker.remove(token);
            self.handle.load.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.engine.stats.thread(self.index).cell.connections.bump();
        if self.conns.len() <= token {
            self.conns.resize_with(token + 1, || None);
        }
        self.conns[token] = Some(conn);
    }

    /// Retries paused commands once CLIENT PAUSE has timed out.
    fn resume_after_pause(&mut self) {
        let end_ms = self.engine.pause.client_until_ms();
        if end_ms != self.resumed_after_ms && self.engine.env.clock.unix_us() / 1000 >= end_ms {
            self.resumed_after_ms = end_ms;
            self.resume();
        }
    }

    /// Retries paused commands.
    fn resume(&mut self) {
        self.worker.finish_migrations();
        let tokens: Vec<usize> = self.worker.tokens().collect();
        for token in tokens {
            if let Some(client) = self.worker.client(token)
                && client.held
            {
                client.held = false;
                client.halted = false;
                client.shared.set_flag(client_flag::HELD, false);
                self.worker.mark_ready(token);
            }
        }
    }

    fn read_all(&mut self) {
        let limit = self.worker.config().client_query_buffer_limit;
        for token in std::mem::take(&mut self.readable) {
            let (Some(Some(conn)), Some(client)) =
                (self.conns.get_mut(token), self.worker.client(token))
            else {
                continue;
            };
            if conn.ended || client.closing() {
                continue;
            }
            if must_wait(client) {
                conn.suspended = true;
                continue;
            }
            let Some(client) = self.worker.reader(token) else { continue };
            let count = match conn.read(client) {
                ReadOutcome::Broken => {
                    self.closed.push(token);
                    continue;
                }
                ReadOutcome::Ended => {
                    // Earlier requests are still replied to, unless the client is blocked.
                    conn.ended = true;
                    let idle = !client.ready && client.input.parked() == 0;
                    let replica = client.session.replica.as_ref();
                    let fed = replica.is_some_and(|replica| replica.attached());
                    if fed || client.halted || (idle && client.unsent_bytes() == 0) {
                        self.closed.push(token);
                    }
                    continue;
                }
                ReadOutcome::Filled(count) => {
                    self.readable.push(token);
                    count
                }
                ReadOutcome::Drained(count) => {
                    if conn.closing_seen {
                        self.readable.push(token);
                    }
                    count
                }
            };
            // Queued commands are unexecuted requests, like the content of the buffer.
            let queued = client.session.multi.as_ref().map_or(0, |multi| multi.bytes);
            if (client.input.pending_bytes() + queued) as u64 > limit {
                // It may be listed again in this turn, but is closed only once.
                conn.ended = true;
                self.engine.stats.thread(self.index).cell.query_limit_disconnections.bump();
                log::warning(&format!(
                    "Closing client that reached max query buffer length: {}",
                    describe(&self.engine, &client.shared)
                ));
                self.closed.push(token);
                continue;
            }
            if count > 0 {
                self.note_read(token, count);
            } else {
                self.worker.end_read(token);
            }
        }
        self.close_marked();
    }

    fn note_read(&mut self, token: usize, count: usize) {
        let cell = &self.engine.stats.thread(self.index).cell;
        cell.net_input_bytes.add(count as u64);
        cell.reads.bump();
        if let Some(client) = self.worker.client(token) {
            let shared = &client.shared;
            let total = shared.net_in.load(Ordering::Relaxed) + count as u64;
            shared.net_in.store(total, Ordering::Relaxed);
        }
        self.worker.mark_ready(token);
    }

    /// Executes what was read. A panic costs the connection whose command it was.
    fn execute(&mut self, requests: &Requests) {
        let Ok(asked) = catch_unwind(AssertUnwindSafe(|| self.worker.run())) else {
            log::warning("The client whose command panicked is closed.");
            self.worker.recover().into_iter().for_each(|token| self.close(token));
            return;
        };
        for Asked { token, request } in asked {
            let Some(client) = self.worker.client(token) else { continue };
            if request == Request::Feed {
                if let Some(Some(conn)) = self.conns.get(token) {
                    conn.set_nodelay(!self.worker.config().repl_disable_tcp_nodelay);
                }
                continue;
            }
            if request == Request::Overflow {
                self.note_over_limit(token);
                self.close(token);
                continue;
            }
            let shared = Arc::clone(&client.shared);
            if let Err(text) = requests(&request, &shared) {
                self.worker.refuse(token, &ReplyError::Static(text));
                self.touched.push(token);
            }
        }
    }

    /// Flushes in reverse order, as real servers do: clients that a command has served get their
    /// replies before the one that sent it, which is often what wakes whoever waits for them all.
    fn flush_all(&mut self) {
        let config = Arc::clone(self.worker.config());
        for token in std::mem::take(&mut self.touched).into_iter().rev() {
            // At once: it may be listed twice, and its closing must be counted once.
            if self.flush(token, &config) == Fate::Close {
                self.close(token);
            }
        }
    }

    /// Sends pending output, and resumes a connection that was suspended because of it.
    fn flush(&mut self, token: usize, config: &Config) -> Fate {
        let (Some(Some(conn)), Some(client)) =
            (self.conns.get_mut(token), self.worker.client(token))
        else {
            return Fate::Stay;
        };
        if client.shared.killed.load(Ordering::Acquire) {
            return Fate::Close;
        }
        if let Some(replica) = client.session.replica.clone()
            && replica.attached()
        {
            // Its input had ended before it asked to be synchronised: it will acknowledge nothing.
            if conn.ended {
                return Fate::Close;
            }
            return self.flush_replica(token, &replica, config);
        }
        // The limit applies to pending output, whether or not the client would read it. DEBUG
        // counts each reply as a list node, which is more than an unauthenticated client may have
        // pending.
        let listed = self.engine.reply_buffers.listed.load(Ordering::Relaxed);
        let owed = client.unsent_bytes() as u64;
        let limit = output_limit(config, client);
        if (listed && !client.session.known && owed > 0)
            || (limit.hard_bytes != 0 && owed > limit.most_bytes())
        {
            self.note_over_limit(token);
            return Fate::Close;
        }
        conn.stalled |= client.reply.len() > TURN_OUTPUT_MAX;
        // Before it is sent: a client that has its replies must not be seen with pending output.
        client.shared.output_bytes.store(0, Ordering::Relaxed);
        let count = match conn.flush(client) {
            WriteOutcome::Broken => return Fate::Close,
            WriteOutcome::Part(count) => count,
            WriteOutcome::All(count) => {
                // Unparsed commands may follow the ones that were suspended.
                let done = conn.ended && client.input.parked() == 0 && !conn.stalled;
                if client.closing() || done {
                    return Fate::Close;
                }
                count
            }
        };
        if conn.suspended && !must_wait(client) {
            conn.suspended = false;
            self.readable.push(token);
        }
        let go_on = std::mem::take(&mut conn.stalled);
        let unsent = client.unsent_bytes();
        if unsent > 0 {
            client.publish();
        }
        let shared = &client.shared;
        if count > 0 {
            let total = shared.net_out.load(Ordering::Relaxed) + count as u64;
            shared.net_out.store(total, Ordering::Relaxed);
            let cell = &self.engine.stats.thread(self.index).cell;
            cell.net_output_bytes.add(count as u64);
            cell.writes.bump();
        }
        if go_on {
            self.worker.mark_ready(token);
        }
        if unsent > 0 && self.is_over_limit(token, unsent as u64, limit) {
            return Fate::Close;
        }
        Fate::Stay
    }

    /// Sends a replica's feed, as far as its socket accepts it, up to a limit per turn, for
    /// fairness. The rest of the feed counts as its output.
    // HOT PATH: once per turn and replica with pending data.
    fn flush_replica(&mut self, token: usize, replica: &Arc<Replica>, config: &Config) -> Fate {
        let (Some(Some(conn)), Some(client)) =
            (self.conns.get_mut(token), self.worker.client(token))
        else {
            return Fate::Stay;
        };
        let mut total = 0;
        while !conn.blocked {
            let room = FEED_BYTES.saturating_sub(client.unsent_bytes());
            if self.engine.fill_replica(replica, room, client.reply.bytes_mut()).is_err() {
                return Fate::Close;
            }
            if client.unsent_bytes() == 0 {
                break;
            }
            match conn.flush(client) {
                WriteOutcome::Broken => return Fate::Close,
                WriteOutcome::Part(count) => {
                    conn.blocked = true;
                    total += count;
                }
                WriteOutcome::All(count) => total += count,
            }
            if client.closing() {
                return Fate::Close;
            }
            if total >= FEED_TURN_BYTES {
                self.touched.push(token);
                break;
            }
        }
        if client.closing() {
            return Fate::Close;
        }
        if conn.suspended && !must_wait(client) {
            conn.suspended = false;
            self.readable.push(token);
        }
        if replica.phase() == Phase::Served && client.unsent_bytes() == 0 {
            return Fate::Close;
        }
        let unsent = client.unsent_bytes() as u64 + replica.lag(self.engine.repl.log.end());
        replica.note_sending(conn.blocked && total == 0, || self.engine.env.clock.unix_us() / 1000);
        client.shared.output_bytes.store(unsent as usize, Ordering::Relaxed);
        if total > 0 {
            let sent = client.shared.net_out.load(Ordering::Relaxed) + total as u64;
            client.shared.net_out.store(sent, Ordering::Relaxed);
            let cell = &self.engine.stats.thread(self.index).cell;
            cell.net_repl_output_bytes.add(total as u64);
            cell.writes.bump();
        }
        if unsent > 0 && self.is_over_limit(token, unsent, config.replica_output_limit()) {
            return Fate::Close;
        }
        Fate::Stay
    }

    /// Whether a connection must be closed because of its pending output.
    fn is_over_limit(&mut self, token: usize, unsent: u64, limit: OutputLimit) -> bool {
        let (Some(Some(conn)), Some(client)) =
            (self.conns.get_mut(token), self.worker.client(token))
        else {
            return false;
        };
        let over_hard = (limit.hard_bytes != 0 && unsent > limit.hard_bytes)
            || (!client.session.known && unsent > UNAUTHENTICATED_OUTPUT_MAX);
        let over_soft = limit.soft_bytes != 0 && unsent > limit.soft_bytes;
        let mut too_long = false;
        if over_soft {
            let now_ms = self.engine.env.clock.unix_us() / 1000;
            let since_ms = *conn.over_soft_since_ms.get_or_insert(now_ms);
            too_long = now_ms - since_ms > i64::from(limit.soft_seconds) * 1000;
        } else {
            conn.over_soft_since_ms = None;
        }
        if !over_hard && !too_long {
            return false;
        }
        self.note_over_limit(token);
        true
    }

    fn note_over_limit(&mut self, token: usize) {
        self.engine.stats.thread(self.index).cell.output_limit_disconnections.bump();
        if let Some(client) = self.worker.client(token) {
            log::warning(&format!(
                "Client {} closed for overcoming of output buffer limits.",
                describe(&self.engine, &client.shared)
            ));
        }
    }

    fn close_marked(&mut self) {
        for token in std::mem::take(&mut self.closed) {
            self.close(token);
        }
    }

    fn close(&mut self, token: usize) {
        if let Some(mut conn) = self.conns.get_mut(token).and_then(Option::take) {
            conn.deregister(self.poll.registry());
        }
        if let Some(client) = self.worker.remove(token) {
            self.handle.load.fetch_sub(1, Ordering::Relaxed);
            if log::enabled(Level::Verbose) {
                log::verbose(&format!(
                    "Client closed connection {}",
                    describe(&self.engine, &client.shared)
                ));
            }
        }
    }

    /// Periodic work on a part of the connections, so that each is visited about once a second.
    fn cron(&mut self, hz: usize) {
        if self.index == 0 {
            let now_ns = self.engine.env.clock.mono_ns();
            self.engine.rates.sample(now_ns, &self.engine.stats.totals());
            self.engine.spare.note(now_ns, &*self.engine.env.memory);
        }
        if self.engine.cron_paused.load(Ordering::Relaxed) {
            return;
        }
        let config = Arc::clone(self.worker.config());
        let now_ms = self.engine.env.clock.unix_us() / 1000;
        let count = self.conns.len();
        for _ in 0..count.div_ceil(hz) {
            self.visited = if self.visited + 1 < count { self.visited + 1 } else { 0 };
            self.visit(self.visited, &config, now_ms);
        }
        self.freed_bytes += self.worker.trim_buffers();
        if self.engine.spare.is_due(&mut self.purged) || self.freed_bytes > FREED_BYTES_MAX {
            self.freed_bytes = 0;
            self.engine.env.host.purge_memory();
        }
        self.close_marked();
    }

    /// Closes a connection that was idle or over its soft limit for too long; frees idle buffers.
    fn visit(&mut self, token: usize, config: &Config, now_ms: i64) {
        let (Some(Some(conn)), Some(client)) =
            (self.conns.get_mut(token), self.worker.client(token))
        else {
            return;
        };
        let idle_ms = now_ms - client.shared.last_active_ms.load(Ordering::Relaxed);
        let replica = client.session.replica.clone().filter(|replica| replica.attached());
        let exempt = client.halted
            || client.session.monitor
            || client.session.subscriptions.is_some()
            || replica.is_some();
        if config.timeout != 0 && idle_ms > i64::from(config.timeout) * 1000 && !exempt {
            log::verbose("Closing idle client");
            self.closed.push(token);
            return;
        }
        let held = |client: &ClientShared| {
            client.query_free.load(Ordering::Relaxed)
                + client.output_capacity.load(Ordering::Relaxed)
        };
        client.publish();
        let (input, output) = (client.shared.input_memory(), client.shared.output_memory());
        self.engine.recent_buffers.note(now_ms / 1000, Largest { input, output });
        let held_before = held(&client.shared);
        if idle_ms > IDLE_MS {
            client.input.shrink();
        } else {
            client.input.fit();
        }
        let buffers = &self.engine.reply_buffers;
        let peak = buffers.peak_is_over(now_ms - conn.peak_since_ms).then(|| {
            conn.peak_since_ms = now_ms;
            client.shared.output_peak.swap(client.reply.len(), Ordering::Relaxed)
        });
        if client.reply.is_empty() && buffers.resizing.load(Ordering::Relaxed) {
            client.reply.shrink_to(peak.unwrap_or(READ_MAX).min(READ_MAX));
        }
        client.publish();
        self.freed_bytes += held_before.saturating_sub(held(&client.shared));
        let (lag, limit) = match &replica {
            Some(replica) => {
                (replica.lag(self.engine.repl.log.end()), config.replica_output_limit())
            }
            None => (0, output_limit(config, client)),
        };
        let unsent = client.unsent_bytes() as u64 + lag;
        client.shared.output_bytes.store(unsent as usize, Ordering::Relaxed);
        if self.is_over_limit(token, unsent, limit) {
            self.closed.push(token);
        }
    }
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stay,
    Close,
}

/// The output limits of a client that is no replica.
fn output_limit(config: &Config, client: &Client) -> OutputLimit {
    let limits = &config.client_output_buffer_limit;
    if client.session.subscriptions.is_some() { limits.pubsub } else { limits.normal }
}

/// Whether reading from a connection is suspended: its input is executed in later turns anyway, or
/// it has not authenticated.
fn must_wait(client: &Client) -> bool {
    let executed_later = client.input.parked() > 0 && !client.halted;
    let is_stranger = client.halted && !client.session.known;
    (executed_later || is_stranger) && client.input.pending_bytes() > WAITING_INPUT_MAX
}

/// A connection's description for the log.
fn describe(engine: &Engine, client: &ClientShared) -> String {
    client::describe(client, engine, engine.env.clock.unix_us() / 1000)
}
