//! The connections of a worker: arrivals, mail, execution, periodic work and closing. `receiving`
//! reads from them and `sending` writes to them.
//!
//! **Invariants.** A connection that may have output is in `touched`; one that may have input is in
//! `readable`, is suspended, or waits for an edge. A connection without a client in the engine's
//! worker is the one whose script has run for so long that the others are served meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll};
use redix_core::channel::Delivery;
use redix_core::client::{Client, READ_MAX};
use redix_core::commands::connection::client;
use redix_core::config::Config;
use redix_core::effects::Request;
use redix_core::engine::Engine;
use redix_core::env::Level;
use redix_core::error::ReplyError;
use redix_core::mailbox::Mail;
use redix_core::recent::Largest;
use redix_core::registry::{ClientShared, client_flag};
use redix_core::repl::primary::Owed;
use redix_core::worker::{Asked, Worker};

use super::handshakes::Handshakes;
use super::held::{Extent, Held};
use super::sending::output_limit;
use super::{Arrival, Handle, Requests, WAKE};
use crate::conn::Conn;
use crate::log;
use crate::ring::Ring;

/// Freed buffer bytes after which the allocator is asked to return pages to the system.
const FREED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The buffers of a connection are freed after this time without a command.
const IDLE_MS: i64 = 2000;
/// Readiness events taken per look at the others while a script runs for too long.
const ATTEND_EVENTS_MAX: usize = 64;

/// The connections of a worker.
pub(super) struct Connections {
    pub(super) poll: Poll,
    handle: Arc<Handle>,
    pub(super) conns: Vec<Option<Conn>>,
    pub(super) readable: Vec<usize>,
    pub(super) touched: Vec<usize>,
    pub(super) closed: Vec<usize>,
    pub(super) handshakes: Handshakes,
    /// Were to be read from or written to while their script ran.
    pub(super) put_off: Vec<usize>,
    /// Have replies that wait for a sync of the append-only file.
    pub(super) awaiting_sync: Held,
    /// The connection at which the next round of periodic work begins.
    visited: usize,
    /// Freed buffer bytes since memory was last returned to the system.
    freed_bytes: usize,
    /// The last round in which memory was returned to the system.
    purged: u64,
    /// The end of the last CLIENT PAUSE after which paused commands were retried.
    pub(super) resumed_after_ms: i64,
    /// The waker was called.
    woken: bool,
    pub(super) engine: Arc<Engine>,
    pub(super) index: usize,
    /// Makes transfers in batches, where there is one.
    pub(super) ring: Option<Ring>,
}

impl Connections {
    /// None yet.
    pub(super) fn new(
        poll: Poll,
        handle: Arc<Handle>,
        engine: Arc<Engine>,
        index: usize,
        ring: Option<Ring>,
    ) -> Self {
        Self {
            poll,
            handle,
            conns: Vec::new(),
            readable: Vec::new(),
            touched: Vec::new(),
            closed: Vec::new(),
            handshakes: Handshakes::default(),
            put_off: Vec::new(),
            awaiting_sync: Held::default(),
            visited: 0,
            freed_bytes: 0,
            purged: 0,
            resumed_after_ms: 0,
            woken: false,
            engine,
            index,
            ring,
        }
    }

    /// Lists the connections again that were passed over while their script ran.
    pub(super) fn list_put_off(&mut self) {
        self.touched.extend_from_slice(&self.put_off);
        self.readable.append(&mut self.put_off);
    }

    /// Lists the connections again whose replies waited for a sync, if they may be sent now.
    pub(super) fn list_awaiting_sync(&mut self) {
        if !self.awaiting_sync.is_empty() {
            self.awaiting_sync.take(&mut self.touched, Extent::of(&self.engine));
        }
    }

    /// Whether there are any.
    pub(super) fn await_sync(&self) -> bool {
        !self.awaiting_sync.is_empty()
    }

    /// Dispatches the kernel's events.
    pub(super) fn note_events(&mut self, events: &Events) {
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

    /// Takes the new connections.
    pub(super) fn take_arrivals(&mut self, worker: &mut Worker) {
        if std::mem::take(&mut self.woken) {
            let arrivals = std::mem::take(&mut *self.handle.arrivals.lock());
            for arrival in arrivals {
                self.adopt(worker, arrival);
            }
        }
    }

    pub(super) fn deliver_mail(&mut self, worker: &mut Worker) {
        if !worker.has_mail() {
            return;
        }
        let before = self.touched.len();
        for mail in worker.take_mail() {
            match mail {
                Mail::Push { client: id, token, bytes } => {
                    let client = worker.client(token).filter(|client| client.shared.id == id);
                    if let Some(client) = client {
                        client.push(&bytes);
                        self.touched.push(token);
                    }
                }
                Mail::Deliver(delivery) => self.deliver(worker, &delivery),
                Mail::CloseSubscribers(target) => {
                    for token in worker.overrun(&target) {
                        self.note_over_limit(worker, token);
                        self.close(worker, token);
                    }
                }
                Mail::Kill { client: id, token } => {
                    if worker.client(token).is_some_and(|client| client.shared.id == id) {
                        self.close(worker, token);
                    }
                }
                Mail::Unblocked { client, token, end } => {
                    worker.unblocked(client, token, end);
                    self.touched.push(token);
                }
                Mail::Invalidate { client, token, redirected, what, excused_bytes } => {
                    self.touched.extend(worker.invalidate(
                        (client, token),
                        redirected,
                        &what,
                        excused_bytes,
                    ));
                }
                Mail::Migrated => worker.finish_migrations(),
                Mail::Resume => self.resume(worker),
            }
        }
        if self.engine.aof.holds_replies() {
            let end = self.engine.repl.log.end();
            for &token in &self.touched[before..] {
                if let Some(client) = worker.client(token) {
                    client.session.reply_offset = end;
                }
            }
        }
    }

    /// Delivers a message to its subscribers. A subscriber over its output limit is closed at once:
    /// the next message may arrive before it is written to.
    fn deliver(&mut self, worker: &mut Worker, delivery: &Delivery) {
        let Self { touched, engine, .. } = self;
        let end = engine.aof.holds_replies().then(|| engine.repl.log.end());
        let limits = worker.config().client_output_buffer_limit;
        let mut over = Vec::new();
        worker.deliver(delivery, |token, client, owed_before| {
            if let Some(end) = end {
                client.session.reply_offset = end;
            }
            // A connection with earlier output is listed, or waits for its socket to become
            // writable: until then nothing else publishes the size of its output.
            if owed_before == 0 {
                touched.push(token);
            } else {
                client.publish(&engine.registry);
            }
            let most = limits.pubsub.most_bytes();
            if most != 0 && client.unsent_bytes() as u64 > most {
                client.shared.killed.store(true, Ordering::Release);
                over.push(token);
            }
        });
        for token in over {
            self.note_over_limit(worker, token);
            self.close(worker, token);
        }
    }

    fn adopt(&mut self, worker: &mut Worker, arrival: Arrival) {
        let mut conn = Conn::new(arrival.stream);
        conn.refusal = arrival.refusal;
        let client = Client::new(arrival.shared, arrival.authenticated);
        let token = worker.insert(client);
        // Bytes received before the registration are reported by it.
        if conn.register(self.poll.registry(), token).is_err() {
            worker.remove(token);
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
    pub(super) fn resume_after_pause(&mut self, worker: &mut Worker) {
        let end_ms = self.engine.pause.client_until_ms();
        if end_ms != self.resumed_after_ms && self.engine.env.clock.unix_us() / 1000 >= end_ms {
            self.resumed_after_ms = end_ms;
            self.resume(worker);
        }
    }

    /// Retries paused commands.
    fn resume(&mut self, worker: &mut Worker) {
        worker.finish_migrations();
        let tokens: Vec<usize> = worker.tokens().collect();
        for token in tokens {
            if let Some(client) = worker.client(token)
                && client.held
            {
                client.held = false;
                client.halted = false;
                client.shared.set_flag(client_flag::HELD, false);
                worker.mark_ready(token);
            }
        }
    }

    /// Serves the other connections while one of them runs a script for too long. Mail is left
    /// until it is over: it may be for that connection.
    fn attend(&mut self, worker: &mut Worker, requests: &Requests) {
        let mut events = Events::with_capacity(ATTEND_EVENTS_MAX);
        // Ignored: the next turn reports it.
        self.poll.poll(&mut events, Some(Duration::ZERO)).ok();
        self.note_events(&events);
        self.list_awaiting_sync();
        self.take_arrivals(worker);
        self.read_all(worker);
        self.shake_hands(worker);
        self.touched.extend_from_slice(worker.ready());
        self.execute(worker, requests);
        if self.engine.aof.holds_replies() {
            // The thread syncs: this one holds a gate.
            self.engine.aof.nudge(self.engine.repl.log.end());
        }
        self.touched.extend(worker.fed());
        self.flush_all(worker);
    }

    /// Executes what was read. A panic costs the connection whose command it was.
    pub(super) fn execute(&mut self, worker: &mut Worker, requests: &Requests) {
        let attend = &mut |worker: &mut Worker| self.attend(worker, requests);
        let Ok(asked) = catch_unwind(AssertUnwindSafe(|| worker.run_attending(attend))) else {
            log::warning("The client whose command panicked is closed.");
            worker.recover().into_iter().for_each(|token| self.close(worker, token));
            return;
        };
        for Asked { token, request } in asked {
            let Some(client) = worker.client(token) else { continue };
            if request == Request::Feed {
                if let Some(Some(conn)) = self.conns.get(token) {
                    conn.set_nodelay(!worker.config().repl_disable_tcp_nodelay);
                }
                continue;
            }
            if request == Request::Overflow {
                self.note_over_limit(worker, token);
                self.close(worker, token);
                continue;
            }
            let shared = Arc::clone(&client.shared);
            let outcome = requests(&request, &shared);
            if let Err(text) = outcome {
                worker.refuse(token, &ReplyError::Static(text));
            } else if request == Request::LoadAof {
                worker.accept(token);
            } else {
                continue;
            }
            self.touched.push(token);
        }
    }

    pub(super) fn close_marked(&mut self, worker: &mut Worker) {
        for token in std::mem::take(&mut self.closed) {
            self.close(worker, token);
        }
    }

    pub(super) fn close(&mut self, worker: &mut Worker, token: usize) {
        let mut conn = self.conns.get_mut(token).and_then(Option::take);
        if let Some(conn) = &mut conn {
            conn.deregister(self.poll.registry());
        }
        if let Some(client) = worker.remove(token) {
            self.handle.load.fetch_sub(1, Ordering::Relaxed);
            if log::enabled(Level::Verbose) {
                log::verbose(&format!(
                    "Client closed connection {}",
                    describe(&self.engine, &client.shared)
                ));
            }
            let shared = Arc::clone(&client.shared);
            drop(client);
            self.engine.registry.note_closed(&shared);
        }
        // Last: whoever sees it closed is no longer counted, and its place is free.
        drop(conn);
    }

    /// Periodic work on a part of the connections, so that each is visited about once a second.
    pub(super) fn cron(&mut self, worker: &mut Worker, hz: usize) {
        if self.index == 0 {
            let now_ns = self.engine.env.clock.mono_ns();
            self.engine.rates.sample(now_ns, &self.engine.stats.totals());
            self.engine.spare.note(now_ns, &*self.engine.env.memory);
        }
        if self.engine.cron_paused.load(Ordering::Relaxed) {
            return;
        }
        let config = Arc::clone(worker.config());
        let now_ms = self.engine.env.clock.unix_us() / 1000;
        let count = self.conns.len();
        for _ in 0..count.div_ceil(hz) {
            self.visited = if self.visited + 1 < count { self.visited + 1 } else { 0 };
            self.visit(worker, self.visited, &config, now_ms);
        }
        self.freed_bytes += worker.trim_buffers();
        if self.engine.spare.is_due(&mut self.purged) || self.freed_bytes > FREED_BYTES_MAX {
            self.freed_bytes = 0;
            self.engine.env.host.purge_memory();
        }
        self.close_marked(worker);
    }

    /// Closes a connection that was idle or over its soft limit for too long; frees idle buffers.
    fn visit(&mut self, worker: &mut Worker, token: usize, config: &Config, now_ms: i64) {
        let (Some(Some(conn)), Some(client)) = (self.conns.get_mut(token), worker.client(token))
        else {
            return;
        };
        let idle_ms = now_ms - client.shared.last_active_ms.load(Ordering::Relaxed);
        let replica = client.session.replica.clone().filter(|replica| replica.attached());
        let exempt = client.halted
            || client.is_throttled()
            || client.session.monitor
            || client.session.subscriptions.is_some()
            || replica.is_some();
        if config.timeout != 0 && idle_ms > i64::from(config.timeout) * 1000 && !exempt {
            log::verbose("Closing idle client");
            self.closed.push(token);
            return;
        }
        let age_ms = now_ms - client.shared.created_ms;
        let timeout_ms = i64::from(config.client_handshake_timeout_ms);
        let is_stranger = !client.session.known && !self.engine.acl.default_is_open();
        // Whom the server itself keeps waiting is not late.
        let is_late = (is_stranger && !client.halted) || conn.is_handshaking();
        if timeout_ms != 0 && age_ms > timeout_ms && is_late {
            self.engine.stats.thread(self.index).cell.handshake_timeouts.bump();
            log::verbose("Closing client that has not introduced itself in time");
            self.closed.push(token);
            return;
        }
        let held = |client: &ClientShared| {
            client.query_free.load(Ordering::Relaxed)
                + client.output_capacity.load(Ordering::Relaxed)
        };
        client.publish(&self.engine.registry);
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
        client.publish(&self.engine.registry);
        self.freed_bytes += held_before.saturating_sub(held(&client.shared));
        let unsent = client.unsent_bytes() as u64;
        let owed = match &replica {
            Some(replica) => replica.owed(&self.engine.repl.log, config, unsent),
            None => Owed { memory: unsent, counted: unsent, limit: output_limit(config, client) },
        };
        client.shared.output_bytes.store(owed.memory as usize, Ordering::Relaxed);
        if self.is_over_limit(worker, token, owed.counted, owed.limit) {
            self.closed.push(token);
        }
    }
}

/// A connection's description for the log.
pub(super) fn describe(engine: &Engine, client: &ClientShared) -> String {
    client::describe(client, engine, engine.env.clock.unix_us() / 1000)
}
