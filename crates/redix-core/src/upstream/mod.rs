//! The link to a primary: a replica's half of the replication protocol, without a socket.
//!
//! **How to drive it.** Make one [`Upstream`] for an engine, and call [`Upstream::step`] with
//! something that carries bytes ([`Transport`]), again and again:
//!
//! - at once, if it answered [`Rest::None`];
//! - if it answered [`Rest::Until`], at that reading of `Clock::mono_ns`, or earlier as soon as the
//!   transport can be read, written or has connected, or the waker of [`Status`] was called.
//!
//! Calling it more often is harmless. Everything else (time, randomness, files, the log) comes from
//! the engine's [`Env`](crate::env::Env), so the same environment and the same bytes give the same
//! run. Whom to follow is told by [`Engine::follow`] and [`Engine::stop_following`], in the world,
//! which REPLICAOF calls.
//!
//! **What it does.** Connects; PING, AUTH, `REPLCONF`; asks with `PSYNC` for the stream from where
//! the log ends, if the log is part of one; receives the data set where the primary sends it whole
//! ([`transfer`]); then feeds the stream ([`stream`]) to an ordinary client of a [`Worker`] of its
//! own, so that commands run in groups with all their hints. What was applied is appended to the
//! log as it came (`Runner::apply`), so `log.end()` is the number of bytes applied whenever the
//! world can be taken. It is acknowledged each second, and when the primary asks.
//!
//! **When something goes wrong** the connection is dropped and made again, with a partial
//! resynchronisation where the log still is what the primary sent. A command that cannot be applied
//! is never passed over: it ends the log's history, and everything is fetched anew, each time in a
//! row after a longer rest.
//!
//! **Invariants.** No step ends while holding a lock, a gate or the world. Whatever changes the
//! role, the log's name or the data set is done in the world, after looking whether the primary is
//! still the one to follow.
//!
//! Source: Redis documentation, "Replication"; the handshake as Redis 7.0 and Valkey 9 send it.

pub mod ahead;
mod diskless;
mod handshake;
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
use handshake::{Answer, Handshake};
use transfer::Receiving;

/// Between two tries to connect, and two acknowledgements.
const SECOND_NS: u64 = 1_000_000_000;
/// Between two tries to connect to the target of a failover.
const FAILOVER_RETRY_NS: u64 = 100_000_000;
/// What is logged where another primary was named meanwhile.
const NOT_WANTED: &str = "The PRIMARY is no longer the one to follow.";
/// The longest rest after synchronisations that came to nothing.
const BACK_OFF_MAX_NS: u64 = 32 * SECOND_NS;
/// How long a step may be waited for without looking whether the link was killed.
const NAP_NS: u64 = 100_000_000;
/// What one read outside the stream may bring.
const READ_BYTES: usize = 64 * 1024;

/// What carries bytes to and from the primary. At most one connection at a time.
pub trait Transport {
    /// Begins to connect, from the address `from` unless it is empty. An earlier connection is
    /// closed.
    fn connect(&mut self, host: &str, port: u16, from: &str) -> io::Result<()>;
    /// Whether the connection stands; false: not yet. The error is why it never will.
    fn connected(&mut self) -> io::Result<bool>;
    /// The addresses of the peer and of this end, as CLIENT LIST shows them.
    fn names(&self) -> (String, String);
    /// The descriptor, as CLIENT LIST shows it; -1 where connections have none.
    fn fd(&self) -> i32 {
        -1
    }
    /// Reads some bytes; 0 at the end, `WouldBlock` where there are none yet.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize>;
    /// Writes some bytes; `WouldBlock` where none are taken now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Has somebody else read what comes from now on, until there is nothing to be read. `Err`
    /// where nobody can, or it is not worth while: `read` bytes have just been read without coming
    /// to an end.
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

/// What the link is doing.
enum Phase {
    /// There is no primary.
    Idle,
    /// The next try is due at this time.
    Waiting(u64),
    /// The connection is being made.
    Connecting,
    /// What is to follow is being agreed on.
    Handshake(Handshake),
    /// The data set is being received or loaded.
    Sync(Box<Receiving>),
    /// The stream is followed by this client of the worker.
    Stream(usize),
}

/// Why the connection is given up.
#[derive(Debug)]
struct Broken {
    /// What the log says.
    text: String,
    /// Whether what was received is of no use, so that trying again at once would not help.
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
    /// Who reads the stream ahead, if somebody does.
    ahead: Option<Box<dyn Portions>>,
    /// The generation of the target that is followed.
    generation: u64,
    target: Option<Target>,
    /// Bytes read that no phase has taken yet.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    buffer: Vec<u8>,
    /// When the primary was last heard of.
    heard_ns: u64,
    next_ack_ns: u64,
    /// The primary knows SYNC only, and no acknowledgements, which it would answer in its stream.
    is_nameless: bool,
    /// When the stream began to be followed.
    up_since_ns: u64,
    /// And from where on, as often in a row.
    up_from: (u64, u32),
    /// The last round of giving memory back.
    purged: u64,
    /// Synchronisations in a row that came to nothing, or to a stream that soon could not be
    /// applied.
    failures: u32,
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Upstream {
    /// The link of an engine; it does nothing until the engine is told to follow.
    pub fn new(engine: Arc<Engine>) -> Self {
        // Nobody leaves messages for it: it looks for itself whether its client was killed.
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
            heard_ns: 0,
            next_ack_ns: 0,
            is_nameless: false,
            up_since_ns: 0,
            up_from: (0, 0),
            purged: 0,
            failures: 0,
        }
    }

    /// Does some of whatever there is to do, and says when to be called again.
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

    /// Puts everything in order after [`Upstream::step`] has panicked: what was being applied is
    /// not known to be whole, so everything is fetched anew.
    pub fn recover(&mut self, transport: &mut dyn Transport) -> Rest {
        self.worker.recover();
        let now_ns = self.engine.env.clock.mono_ns();
        self.forget_history();
        self.give_up(transport, &Broken::futile("The link to the PRIMARY is made anew."), now_ns)
    }

    /// Ends the log's history: what the data set holds is not what the primary's has.
    fn forget_history(&self) {
        let _world = self.engine.keyspace.gates().world();
        if self.is_wanted() {
            self.engine.drop_replicas();
            self.engine.repl.log.stop(&*self.engine.env.entropy);
        }
    }

    /// Drops what belongs to another primary than the one to follow.
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

    /// Whether the primary is still the one to follow; asked in the world.
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
        // The data set is loaded first, and says from where the stream is wanted.
        if self.engine.loading.load(Ordering::Acquire) {
            return Ok(Rest::Until(now_ns + NAP_NS));
        }
        let Some(Target { host, port }) = self.target.clone() else { return Ok(Rest::None) };
        // A server that stands still (DEBUG SLEEP) does not come back to its primary meanwhile.
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

    /// Rests until the primary is heard of, unless it has been silent for too long.
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

    /// Reads into the inbox; false if there was nothing.
    fn fill_inbox(&mut self, transport: &mut dyn Transport, now_ns: u64) -> Result<bool, Broken> {
        self.buffer.resize(READ_BYTES, 0);
        match transport.read(&mut self.buffer) {
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

    /// Reads, and does what the primary's lines lead to; false if there was nothing to read.
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
                Answer::Alive => handshake.introduce(config, &mut self.outbox),
                Answer::Ready => self.ask(),
                Answer::Full { id, end } => self.begin_receiving(id, end)?,
                Answer::Continue(id) => self.resume(transport, id, now_ns)?,
                Answer::Refused(text) if self.is_failing_over() => return Err(Broken::new(text)),
                Answer::Refused(text) => self.fall_back(&text),
            }
        }
        Ok(read)
    }

    /// Gives up the failover in progress, if this link is part of one: its target will not take
    /// over.
    fn abort_failover(&self, why: &str) {
        let _world = self.engine.keyspace.gates().world();
        if self.is_wanted() && self.is_failing_over() {
            self.engine.abort_failover(why);
        }
    }

    fn is_failing_over(&self) -> bool {
        self.engine.repl.failover.stage() == Stage::InProgress
    }

    /// Asks for the stream.
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
        {
            let engine = &self.engine;
            let _world = engine.keyspace.gates().world();
            if !self.is_wanted() {
                return Err(Broken::new(NOT_WANTED));
            }
            if self.is_failing_over() {
                engine.complete_failover();
            }
        }
        self.notice(&format!("Full resync from primary: {}:{end}", id.as_str()));
        self.receive(id, end);
        Ok(())
    }

    /// Asks in the way of servers before 2.8, whose streams have no names and no places: what
    /// comes can be followed but not resumed. The name is for this server's own replicas.
    fn fall_back(&mut self, why: &str) {
        self.notice(why);
        self.notice("Retrying with SYNC...");
        self.outbox.extend_from_slice(b"SYNC\r\n");
        self.is_nameless = true;
        self.receive(ReplId::random(&*self.engine.env.entropy), 0);
    }

    fn receive(&mut self, id: ReplId, end: u64) {
        self.phase = Phase::Sync(Box::new(Receiving::new(id, end)));
        let (length, last_io_ms) = (Length::Awaited, self.now_ms());
        self.status().set_transfer(Some(Transfer { length, read_bytes: 0, last_io_ms }));
        self.status().set_state(LinkState::Sync);
    }

    /// The primary goes on where the log ends, perhaps under a new name.
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
            // They learn the new name when they come back.
            engine.drop_replicas();
        }
        if self.is_failing_over() {
            engine.complete_failover();
        }
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

    /// Closes the connection and decides when to try again.
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
            // The sooner it is back, the likelier the primary still has what it missed.
            0
        } else if self.is_failing_over() {
            // Writes are held back meanwhile.
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

    /// Whether the stream has ended at once where it had begun, and not for the first time: the
    /// next try may well end the same way.
    fn is_stuck(&self, now_ns: u64) -> bool {
        let (from, times) = self.up_from;
        let brief = now_ns - self.up_since_ns < SECOND_NS;
        times > 1 && brief && self.engine.repl.log.end() == from
    }

    /// Closes the connection and forgets what was received but not applied.
    fn drop_connection(&mut self, transport: &mut dyn Transport) {
        self.ahead = None;
        transport.close();
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
