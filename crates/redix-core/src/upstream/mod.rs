//! The link to a primary: a replica's half of the replication protocol, without a socket.
//!
//! **How to drive it.** Make one [`Upstream`] for an engine, and call [`Upstream::step`] with a
//! [`Transport`] repeatedly:
//!
//! - at once, if it returned [`Rest::None`];
//! - if it returned [`Rest::Until`], at that reading of `Clock::mono_ns`, or earlier as soon as the
//!   transport is readable, writable or connected, or the waker of [`Status`] was called.
//!
//! Calling it more often is harmless. Everything else (time, randomness, files, the log) comes from
//! the engine's [`Env`](crate::env::Env), so the same environment and the same bytes give the same
//! run. The primary is set by [`Engine::follow`] and [`Engine::stop_following`], in the world,
//! which REPLICAOF calls.
//!
//! **What it does.** Connects; sends PING, AUTH, `REPLCONF`; asks with `PSYNC` for the stream from
//! the end of the log, if the log is part of one; receives the data set of a full synchronisation
//! ([`transfer`]); then feeds the stream ([`stream`]) to an ordinary client of a [`Worker`] of its
//! own, so that commands run in groups with prefetching. Applied bytes are appended to the log as
//! received (`Runner::apply`), so `log.end()` is the applied offset whenever the world can be
//! taken. It is acknowledged each second, and when the primary asks.
//!
//! **On failure** the connection is closed and made again, with a partial resynchronisation if the
//! log still is what the primary sent. A command that cannot be applied is never skipped: it ends
//! the log's history, and a full synchronisation follows, with a longer delay each time in a row.
//! So does the next attempt where the primary's data set is refused ([`crate::repl::protection`]).
//!
//! **Invariants.** No step ends while holding a lock, a gate or the world. Changes of the role, the
//! replication id or the data set happen in the world, after checking that the primary is still the
//! target.
//!
//! Source: Redis documentation, "Replication"; the handshake as Redis 7.0 and Valkey 9 send it.

pub mod ahead;
mod diskless;
mod dual;
mod handshake;
mod protect;
mod stream;
mod transfer;

use std::io;

use crate::config::Config;
use crate::engine::{Engine, Rest};
use crate::env::{Level, Wake};
use crate::mailbox::Mailbox;
use crate::repl::failover::Stage;
use crate::repl::log::ReplId;
use crate::repl::status::{Length, LinkState, Status, Target, Transfer};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::worker::Worker;
use ahead::{Portions, ReadAhead};
use dual::Buffered;
use handshake::{Answer, Handshake};
use transfer::Receiving;

/// Interval of attempts to connect, and of acknowledgements.
const SECOND_NS: u64 = 1_000_000_000;
/// Interval of attempts to connect to the target of a failover.
const FAILOVER_RETRY_NS: u64 = 100_000_000;
/// The log message if another primary was set meanwhile.
const NOT_WANTED: &str = "The PRIMARY is no longer the one to follow.";
/// The longest delay after failed synchronisations.
const BACK_OFF_MAX_NS: u64 = 32 * SECOND_NS;
/// The longest wait without checking whether the link was killed.
const NAP_NS: u64 = 100_000_000;
/// Bytes per read outside the stream.
const READ_BYTES: usize = 64 * 1024;

/// A byte transport to the primary: one connection at a time, and perhaps one beside it.
pub trait Transport {
    /// The transport of a second connection; `None` if there can only be one.
    fn beside(&mut self) -> Option<&mut dyn Transport> {
        None
    }
    /// Begins to connect, from the local address `from` unless it is empty. An earlier connection
    /// is closed.
    fn connect(&mut self, host: &str, port: u16, from: &str) -> io::Result<()>;
    /// Whether the connection is established; false: not yet. Errors: connecting has failed.
    fn connected(&mut self) -> io::Result<bool>;
    /// The addresses of the peer and of this end, as CLIENT LIST shows them.
    fn names(&self) -> (String, String);
    /// The file descriptor, as CLIENT LIST shows it; -1 where there is none.
    fn fd(&self) -> i32 {
        -1
    }
    /// Reads some bytes; 0 at the end, `WouldBlock` where there are none yet.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize>;
    /// Writes some bytes; `WouldBlock` where none are accepted now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Reads ahead in another thread from now on, until nothing is available. `Err` where that is
    /// impossible, or not worthwhile: `read` bytes have just been read without exhausting the
    /// input.
    fn read_ahead(
        &mut self,
        read: usize,
        ahead: Box<ReadAhead>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        let _ = read;
        Err(ahead)
    }
    /// Closes the connection, if there is one.
    fn close(&mut self);
}

/// The state of the link.
enum Phase {
    /// There is no primary.
    Idle,
    /// The next attempt is due at this time.
    Waiting(u64),
    /// The connection is being made.
    Connecting,
    /// The handshake.
    Handshake(Handshake),
    /// A full synchronisation is received or loaded.
    Sync(Box<Receiving>),
    /// The stream is applied by the client in this slot of the worker.
    Stream(usize),
}

/// Why the connection is closed.
#[derive(Debug)]
struct Broken {
    /// The log message.
    text: String,
    /// Whether the received data was of no use, so that retrying at once would not help.
    futile: bool,
}

impl Broken {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), futile: false }
    }

    fn futile(text: impl Into<String>) -> Self {
        Self { text: text.into(), futile: true }
    }
}

/// The link of one engine.
pub struct Upstream {
    engine: Arc<Engine>,
    worker: Worker,
    phase: Phase,
    /// The thread that reads the stream ahead, if there is one.
    ahead: Option<Box<dyn Portions>>,
    /// The generation of the target that is followed.
    generation: u64,
    target: Option<Target>,
    /// Bytes that were read and not consumed by any phase yet.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    buffer: Vec<u8>,
    /// The stream that has arrived beside the data set and is to be applied before what is read.
    buffered: Buffered,
    /// When the primary was last heard from.
    heard_ns: u64,
    next_ack_ns: u64,
    /// The primary only knows SYNC, and would reply to acknowledgements in its stream.
    is_nameless: bool,
    /// When the stream was first followed.
    up_since_ns: u64,
    /// The offset at which it was, and how often in a row.
    up_from: (u64, u32),
    /// The last round in which memory was returned to the system.
    purged: u64,
    /// Synchronisations in a row that failed, or led to a stream that soon could not be applied.
    failures: u32,
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Upstream {
    /// The link of an engine; idle until a target is set.
    pub fn new(engine: Arc<Engine>) -> Self {
        // Nobody posts to it: the link checks by itself whether its client was killed.
        let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
        let worker = Worker::new(Arc::clone(&engine), engine.link_thread(), mailbox);
        Self {
            engine,
            worker,
            phase: Phase::Idle,
            ahead: None,
            generation: 0,
            target: None,
            inbox: Vec::new(),
            outbox: Vec::new(),
            buffer: Vec::new(),
            buffered: Buffered::default(),
            heard_ns: 0,
            next_ack_ns: 0,
            is_nameless: false,
            up_since_ns: 0,
            up_from: (0, 0),
            purged: 0,
            failures: 0,
        }
    }

    /// Does a slice of the pending work; returns when to call again.
    pub fn step(&mut self, transport: &mut dyn Transport) -> Rest {
        let now_ns = self.engine.env.clock.mono_ns();
        self.follow_target(transport, now_ns);
        let outcome = match &mut self.phase {
            Phase::Idle => return Rest::Until(now_ns + SECOND_NS),
            Phase::Waiting(due_ns) if now_ns < *due_ns => return Rest::Until(*due_ns),
            Phase::Waiting(_) => self.connect(transport, now_ns),
            Phase::Connecting => self.greet(transport, now_ns),
            Phase::Handshake(_) => self.shake_hands(transport, now_ns),
            Phase::Sync(_) => self.synchronise(transport, now_ns),
            Phase::Stream(token) => {
                let token = *token;
                self.follow_stream(transport, token, now_ns)
            }
        };
        let outcome = outcome.and_then(|rest| {
            self.send(transport)?;
            Ok(rest)
        });
        match outcome {
            Ok(rest) => rest,
            Err(broken) => self.give_up(transport, &broken, now_ns),
        }
    }

    /// Recovers after a panic in [`Upstream::step`]: the command that was being applied may be
    /// incomplete, so a full synchronisation follows.
    pub fn recover(&mut self, transport: &mut dyn Transport) -> Rest {
        self.worker.recover();
        let now_ns = self.engine.env.clock.mono_ns();
        self.forget_history();
        self.give_up(transport, &Broken::futile("The link to the PRIMARY is made anew."), now_ns)
    }

    /// Ends the log's history: the data set has diverged from the primary's.
    fn forget_history(&self) {
        let _world = self.engine.keyspace.gates().world();
        if self.is_wanted() {
            self.engine.drop_replicas();
            self.engine.repl.log.stop(&*self.engine.env.entropy);
        }
    }

    /// Drops the connection to a primary that is no longer the target.
    fn follow_target(&mut self, transport: &mut dyn Transport, now_ns: u64) {
        let status = &self.engine.repl.upstream;
        let generation = status.generation();
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        self.target = status.target();
        self.drop_connection(transport);
        self.failures = 0;
        self.phase = if self.target.is_some() { Phase::Waiting(now_ns) } else { Phase::Idle };
    }

    /// Whether the primary is still the target; asked in the world.
    fn is_wanted(&self) -> bool {
        self.engine.repl.upstream.generation() == self.generation
    }

    fn status(&self) -> &Status {
        &self.engine.repl.upstream
    }

    fn notice(&self, text: &str) {
        self.engine.env.log(Level::Notice, text);
    }

    fn now_ms(&self) -> i64 {
        self.engine.env.clock.unix_us() / 1000
    }

    fn timeout_ns(&self, config: &Config) -> u64 {
        u64::from(config.repl_timeout) * SECOND_NS
    }

    fn connect(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<Rest, Broken> {
        // The data set is loaded first, and determines the offset.
        if self.engine.loading.load(Ordering::Acquire) {
            return Ok(Rest::Until(now_ns + NAP_NS));
        }
        let Some(Target { host, port }) = self.target.clone() else { return Ok(Rest::None) };
        // A server that is stopped (DEBUG SLEEP) does not reconnect meanwhile.
        drop(self.engine.keyspace.gates().enter(self.engine.link_thread()));
        self.notice(&format!("Connecting to PRIMARY {host}:{port}"));
        let from = &self.engine.config().bind_source_addr;
        let connected = match (host.as_str(), from.as_str()) {
            (Some(host), Some(from)) => transport.connect(host, port, from),
            _ => Err(io::Error::other("an address is not UTF-8")),
        };
        if let Err(error) = connected {
            let text = format!("Unable to connect to PRIMARY: {error}");
            return Err(Broken::new(text));
        }
        self.notice("PRIMARY <-> REPLICA sync started");
        self.heard_ns = now_ns;
        self.phase = Phase::Connecting;
        self.status().set_state(LinkState::Connecting);
        Ok(Rest::None)
    }

    fn greet(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<Rest, Broken> {
        let config = self.engine.config();
        match transport.connected() {
            Ok(true) => {}
            Ok(false) => {
                return self.wait_for_primary(&config, now_ns, || {
                    "Timeout connecting to the PRIMARY...".into()
                });
            }
            Err(error) => {
                return Err(Broken::new(format!("Error condition on socket for SYNC: {error}")));
            }
        }
        self.notice("Non blocking connect for SYNC fired the event.");
        self.heard_ns = now_ns;
        self.is_nameless = false;
        self.phase = Phase::Handshake(Handshake::begin(&mut self.outbox));
        self.status().set_state(LinkState::Handshake);
        Ok(Rest::None)
    }

    /// Waits for the primary, unless it has timed out.
    fn wait_for_primary(
        &self,
        config: &Config,
        now_ns: u64,
        words: impl FnOnce() -> String,
    ) -> Result<Rest, Broken> {
        let due_ns = self.heard_ns + self.timeout_ns(config);
        if now_ns >= due_ns {
            return Err(Broken::new(words()));
        }
        Ok(Rest::Until(due_ns.min(now_ns + NAP_NS)))
    }

    /// Reads into the inbox; false if nothing was available.
    fn fill_inbox(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<bool, Broken> {
        self.fill_inbox_within(transport, READ_BYTES, now_ns)
    }

    /// As [`Upstream::fill_inbox`], at most `max` bytes, which is not 0.
    fn fill_inbox_within(
        &mut self,
        transport: &mut dyn Transport,
        max: usize,
        now_ns: u64,
    ) -> Result<bool, Broken> {
        self.buffer.resize(READ_BYTES, 0);
        match transport.read(&mut self.buffer[..max.min(READ_BYTES)]) {
            Ok(0) => Err(Broken::new("I/O error reading from the PRIMARY: connection lost")),
            Ok(count) => {
                self.inbox.extend_from_slice(&self.buffer[..count]);
                self.note_received(count, now_ns);
                Ok(true)
            }
            Err(error) if is_transient(&error) => Ok(false),
            Err(error) => Err(Broken::new(format!("I/O error reading from the PRIMARY: {error}"))),
        }
    }

    fn note_received(&mut self, count: usize, now_ns: u64) {
        self.heard_ns = now_ns;
        self.status().note_read(self.now_ms());
        let cell = &self.engine.stats.thread(self.engine.link_thread()).cell;
        cell.net_repl_input_bytes.add(count as u64);
    }

    fn shake_hands(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<Rest, Broken> {
        let config = self.engine.config();
        let read = match self.hear_answers(transport, &config, now_ns) {
            Ok(read) => read,
            Err(broken) => {
                if matches!(&self.phase, Phase::Handshake(handshake) if handshake.has_asked()) {
                    self.abort_failover("Failover target rejected psync request");
                }
                return Err(broken);
            }
        };
        if read || !matches!(self.phase, Phase::Handshake(_)) {
            return Ok(Rest::None);
        }
        self.wait_for_primary(&config, now_ns, || "Timeout connecting to the PRIMARY...".into())
    }

    /// Reads, and acts on the primary's lines; false if nothing was available.
    fn hear_answers(
        &mut self,
        transport: &mut dyn Transport,
        config: &Config,
        now_ns: u64,
    ) -> Result<bool, Broken> {
        let read = self.fill_inbox(transport, now_ns)?;
        while let Phase::Handshake(handshake) = &mut self.phase
            && let Some(answer) = handshake.next(&mut self.inbox, &self.engine.env, config)?
        {
            match answer {
                Answer::Alive => {
                    let dual =
                        config.dual_channel_replication_enabled && transport.beside().is_some();
                    handshake.introduce(config, dual, &mut self.outbox);
                }
                Answer::Ready => self.ask(),
                Answer::Full { id, end } => self.begin_receiving(id, end)?,
                Answer::Continue(id) => self.resume(transport, id, now_ns)?,
                Answer::TwoChannels => self.begin_pairing(transport, now_ns)?,
                Answer::Refused(text) if self.is_failing_over() => return Err(Broken::new(text)),
                Answer::Refused(text) => self.fall_back(&text),
            }
        }
        Ok(read)
    }

    /// Aborts the failover in progress, if this link is part of one: its target will not take over.
    fn abort_failover(&self, why: &str) {
        let _world = self.engine.keyspace.gates().world();
        if self.is_wanted() && self.is_failing_over() {
            self.engine.abort_failover(why);
        }
    }

    fn is_failing_over(&self) -> bool {
        self.engine.repl.failover.stage() == Stage::InProgress
    }

    /// Sends PSYNC.
    fn ask(&mut self) {
        let failover = self.is_failing_over();
        let Phase::Handshake(handshake) = &mut self.phase else { return };
        let log = &self.engine.repl.log;
        let from = log.active().then(|| log.history()).map(|history| (history.id, history.end));
        handshake.ask(from, failover, &mut self.outbox);
        let text = match from {
            Some((id, end)) => {
                let id = id.as_str();
                format!("Trying a partial resynchronization (request {id}:{}).", end + 1)
            }
            None => "Partial resynchronization not possible (no cached primary)".into(),
        };
        self.notice(&text);
    }

    fn begin_receiving(&mut self, id: ReplId, end: u64) -> Result<(), Broken> {
        self.accept(id, end)?;
        self.receive(id, end);
        Ok(())
    }

    /// Checks a full synchronisation that the primary offers; what it offers is not received yet.
    fn accept(&self, id: ReplId, end: u64) -> Result<(), Broken> {
        let _world = self.engine.keyspace.gates().world();
        if !self.is_wanted() {
            return Err(Broken::new(NOT_WANTED));
        }
        self.check_history(id, end)?;
        if self.is_failing_over() {
            self.engine.complete_failover();
        }
        self.notice(&format!("Full resync from primary: {}:{end}", id.as_str()));
        Ok(())
    }

    /// Falls back to SYNC, for servers before 2.8, whose streams have no ids and offsets: the
    /// stream can be followed but not resumed. A random id is made up for this server's own
    /// replicas.
    fn fall_back(&mut self, why: &str) {
        self.notice(why);
        self.notice("Retrying with SYNC...");
        self.outbox.extend_from_slice(b"SYNC\r\n");
        self.is_nameless = true;
        self.receive(ReplId::random(&*self.engine.env.entropy), 0);
    }

    fn receive(&mut self, id: ReplId, end: u64) {
        self.phase = Phase::Sync(Box::new(Receiving::new(id, end)));
        self.show_sync();
    }

    /// Publishes that a data set is awaited.
    fn show_sync(&self) {
        let (length, last_io_ms) = (Length::Awaited, self.now_ms());
        self.status().set_transfer(Some(Transfer { length, read_bytes: 0, last_io_ms }));
        self.status().set_state(LinkState::Sync);
    }

    /// A partial resynchronisation: the primary continues at the end of the log, perhaps under a
    /// new id.
    fn resume(
        &mut self,
        transport: &dyn Transport,
        id: Option<ReplId>,
        now_ns: u64,
    ) -> Result<(), Broken> {
        self.notice("Successful partial resynchronization with primary.");
        let engine = Arc::clone(&self.engine);
        let world = engine.keyspace.gates().world();
        if !self.is_wanted() {
            return Err(Broken::new(NOT_WANTED));
        }
        let log = &engine.repl.log;
        if !log.active() {
            return Err(Broken::futile(
                "The PRIMARY goes on with a stream that is not known here.",
            ));
        }
        let renamed = id.filter(|id| *id != log.history().id);
        if let Some(id) = renamed {
            log.rename(id);
            // They learn the new replication id when they reconnect.
            engine.drop_replicas();
        }
        if self.is_failing_over() {
            engine.complete_failover();
        }
        self.status().protection.arm();
        drop(world);
        if let Some(id) = renamed {
            self.notice(&format!("Primary replication ID changed to {}", id.as_str()));
        }
        self.notice("PRIMARY <-> REPLICA sync: Primary accepted a Partial Resynchronization.");
        self.begin_stream(transport, now_ns);
        Ok(())
    }

    fn send(&mut self, transport: &mut dyn Transport) -> Result<(), Broken> {
        let mut sent = 0;
        while sent < self.outbox.len() {
            match transport.write(&self.outbox[sent..]) {
                Ok(0) => return Err(Broken::new("Connection with primary lost.")),
                Ok(count) => sent += count,
                Err(error) if is_transient(&error) => break,
                Err(error) => {
                    if matches!(&self.phase, Phase::Handshake(handshake) if handshake.has_asked()) {
                        self.abort_failover("Write error to failover target");
                    }
                    let text = format!("I/O error writing to the PRIMARY: {error}");
                    return Err(Broken::new(text));
                }
            }
        }
        self.outbox.drain(..sent);
        if sent != 0
            && let Some(client) = self.status().client()
        {
            client.net_out.fetch_add(sent as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Closes the connection and schedules the next attempt.
    fn give_up(&mut self, transport: &mut dyn Transport, broken: &Broken, now_ns: u64) -> Rest {
        self.engine.env.log(Level::Warning, &broken.text);
        let was_up = matches!(self.phase, Phase::Stream(_));
        self.drop_connection(transport);
        if was_up && now_ns - self.up_since_ns > BACK_OFF_MAX_NS {
            self.failures = 0;
        }
        let rest_ns = if broken.futile {
            let rest_ns = (SECOND_NS << self.failures.min(5)).min(BACK_OFF_MAX_NS);
            self.failures += 1;
            rest_ns
        } else if was_up && !self.is_stuck(now_ns) {
            // The sooner the link is back, the likelier the backlog still covers the gap.
            0
        } else if self.is_failing_over() {
            // Writes are paused meanwhile.
            FAILOVER_RETRY_NS
        } else {
            SECOND_NS
        };
        self.phase = Phase::Waiting(now_ns + rest_ns);
        if self.is_wanted() {
            self.status().set_state(LinkState::Connect);
        }
        Rest::Until(now_ns + rest_ns)
    }

    /// Whether the stream has ended right where it had begun, and not for the first time: the next
    /// attempt may well end the same way.
    fn is_stuck(&self, now_ns: u64) -> bool {
        let (from, times) = self.up_from;
        let brief = now_ns - self.up_since_ns < SECOND_NS;
        times > 1 && brief && self.engine.repl.log.end() == from
    }

    /// Closes the connection and drops what was received but not applied.
    fn drop_connection(&mut self, transport: &mut dyn Transport) {
        self.ahead = None;
        transport.close();
        if let Some(beside) = transport.beside() {
            beside.close();
        }
        self.discard_buffered();
        self.inbox.clear();
        self.outbox.clear();
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Stream(token) => {
                self.worker.remove(token);
                let (status, now_ms) = (self.status(), self.now_ms());
                status.set_client(None);
                status.set_unapplied(0);
                if self.is_wanted() {
                    status.set_down(now_ms);
                    self.notice("Caching the disconnected primary state.");
                }
            }
            Phase::Sync(receiving) => {
                receiving.abandon(&self.engine);
                self.status().set_transfer(None);
            }
            _ => {}
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
