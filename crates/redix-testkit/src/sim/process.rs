//! A server without threads and sockets: an engine, its workers, its background work and its link
//! to a primary, each of which runs a slice when called.
//!
//! The event loop of `redix-server` is imitated here over the simulated network: read, run, write,
//! feed the replicas, deliver messages between workers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redix_core::client::Client;
use redix_core::config::Config;
use redix_core::engine::{Background, Engine, Fatal, Rest, Spiller};
use redix_core::env::{Clock, Env, Level, Log, Wake};
use redix_core::expire::Sweeper;
use redix_core::mailbox::{Mail, Mailbox};
use redix_core::registry::{ClientShared, client_flag};
use redix_core::repl::log::History;
use redix_core::repl::status::Target;
use redix_core::replay::OneThread;
use redix_core::upstream::ahead::{Portions, ReadAhead};
use redix_core::upstream::{Transport, Upstream};
use redix_core::worker::Worker;
use redix_resp::encode_command;
use redix_types::entry::IntBuf;

use super::net::{End, Net};
use crate::ahead::Inline;
use crate::engine::{EPOCH_MS, SimClock, SimDisk, sim_env};

/// The port of node 0; the others follow.
pub(super) const FIRST_PORT: u16 = 7000;
/// Bytes taken from a replica's feed at once.
const FEED_BYTES: usize = 16 * 1024;

/// A client's connection: its worker and its slot there.
pub(super) type Local = (usize, usize);

/// The part of the simulated world that processes share.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) clock: Arc<SimClock>,
    pub(super) net: Rc<RefCell<Net>>,
    pub(super) trace: Trace,
}

/// The trace of events.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    now_us: u64,
    lines: Vec<String>,
}

impl Trace {
    /// Appends an event.
    pub(super) fn note(&self, text: &str) {
        let mut lines = self.0.lock().expect("nobody panics while holding it");
        let now_us = lines.now_us;
        lines.lines.push(format!("{now_us:>9} {text}"));
    }

    /// Sets the time of further events.
    pub(super) fn set_time(&self, now_us: u64) {
        self.0.lock().expect("nobody panics while holding it").now_us = now_us;
    }

    /// All events so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics while holding it").lines.clone()
    }
}

/// A server's log as part of the trace.
struct TraceLog(Trace, usize);

impl Log for TraceLog {
    fn log(&self, _: Level, text: &str) {
        self.0.note(&format!("node {}: {text}", self.1));
    }
}

/// Waking is not needed: every worker is run repeatedly.
struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// A connection accepted from the network.
struct Accepted {
    link: u64,
    unsent: Vec<u8>,
}

/// A worker with its connections, by token.
struct Hosted {
    worker: Worker,
    sweeper: Sweeper,
    next_sweep_ns: u64,
    accepted: BTreeMap<usize, Accepted>,
}

/// Parameters drawn for a server at each start.
pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) workers: usize,
    /// The offset of its clock.
    pub(super) skew_us: i64,
    /// How long a reading of its monotonic clock seems to take.
    pub(super) tick_ns: u64,
}

/// A clock with an offset from simulated time.
struct SkewedClock {
    time: Arc<SimClock>,
    skew_us: i64,
    /// Nanoseconds that each reading of the monotonic clock seems to take. With none, a sync takes
    /// no time, which counts as unknown, so that workers never do it themselves.
    tick_ns: u64,
    ticked_ns: AtomicU64,
}

impl Clock for SkewedClock {
    fn unix_us(&self) -> i64 {
        EPOCH_MS * 1000 + self.time.elapsed_us() as i64 + self.skew_us
    }
    fn mono_ns(&self) -> u64 {
        let ticked_ns = self.ticked_ns.fetch_add(self.tick_ns, Ordering::Relaxed);
        self.time.elapsed_us() * 1000 + ticked_ns
    }
    fn sleep_us(&self, us: u64) {
        self.time.advance_us(us as i64);
    }
}

/// A running server.
pub(super) struct Process {
    pub(super) engine: Arc<Engine>,
    node: usize,
    outside: Outside,
    workers: Vec<Hosted>,
    background: Background,
    spiller: Spiller,
    background_due_ns: u64,
    /// When the append-only file is due to be synced.
    sync_due_ns: u64,
    upstream: Upstream,
    socket: Socket,
    /// Replies to connections of clients.
    replies: BTreeMap<Local, Vec<u8>>,
}

impl Process {
    /// Starts a server on its disk.
    pub(super) fn start(
        node: usize,
        outside: &Outside,
        disk: &SimDisk,
        config: Config,
        life: &Life,
    ) -> Result<Self, String> {
        let log = Box::new(TraceLog(outside.trace.clone(), node));
        let clock = Box::new(SkewedClock {
            time: Arc::clone(&outside.clock),
            skew_us: life.skew_us,
            tick_ns: life.tick_ns,
            ticked_ns: AtomicU64::new(0),
        });
        let env = Env { log, clock, ..sim_env(&outside.clock, disk, life.seed) };
        let engine =
            Arc::new(Engine::new(env, config, life.workers).expect("the settings are valid"));
        let host = |index| {
            let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
            engine.registry.add_worker(Arc::clone(&mailbox));
            let worker = Worker::new(Arc::clone(&engine), index, mailbox);
            let sweeper = Sweeper::new(&engine, index);
            Hosted { worker, sweeper, next_sweep_ns: 0, accepted: BTreeMap::new() }
        };
        let workers = (0..life.workers).map(host).collect();
        if let Some((host, port)) = engine.config().replicaof.clone() {
            let _world = engine.keyspace.gates().world();
            engine.follow(Target { host, port });
        }
        load(&engine)?;
        outside.net.borrow_mut().set_up(node, true);
        let socket = |beside| {
            let net = Rc::clone(&outside.net);
            Socket { node, net, link: None, asked: 0, beside }
        };
        let socket = socket(Some(Box::new(socket(None))));
        Ok(Self {
            upstream: Upstream::new(Arc::clone(&engine)),
            engine,
            node,
            outside: outside.clone(),
            workers,
            background: Background::default(),
            spiller: Spiller::default(),
            background_due_ns: 0,
            sync_due_ns: 0,
            socket,
            replies: BTreeMap::new(),
        })
    }

    /// Opens a client's connection, without the network.
    pub(super) fn open(&mut self, worker: usize) -> Local {
        let client = new_client(&self.engine, "10.0.0.1:1", worker);
        let local = (worker, self.workers[worker].worker.insert(client));
        self.replies.insert(local, Vec::new());
        local
    }

    /// Sends bytes on a client's connection. False if it is closed.
    pub(super) fn send(&mut self, (worker, token): Local, bytes: &[u8]) -> bool {
        if !self.replies.contains_key(&(worker, token)) {
            return false;
        }
        let worker = &mut self.workers[worker].worker;
        let Some(client) = worker.client(token) else { return false };
        client.input.push(bytes);
        worker.mark_ready(token);
        true
    }

    /// The replies on a client's connection since the last call; `None` if it is closed.
    pub(super) fn take_replies(&mut self, local: Local) -> Option<Vec<u8>> {
        self.replies.get_mut(&local).map(std::mem::take)
    }

    /// Executes a command, and returns its immediate reply.
    pub(super) fn ask(&mut self, words: &[&str]) -> Vec<u8> {
        let local = self.open(0);
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        self.send(local, &bytes);
        // Its reply may wait for a sync; where that fails there is none, and the process ends soon.
        let turned = self.turn(local.0).and_then(|()| self.aof());
        turned.and_then(|()| self.turn(local.0)).ok();
        let reply = self.take_replies(local).unwrap_or_default();
        self.close(local.0, local.1);
        reply
    }

    /// Executes a command that must succeed; false while it is refused because data is being
    /// loaded.
    pub(super) fn order(&mut self, words: &[&str]) -> Result<bool, String> {
        let reply = self.ask(words);
        let done = reply.starts_with(b"+OK") || reply.starts_with(b":");
        // It was executed, but could not be made durable: the process is about to end. Or it was
        // refused because the disk has failed before.
        let held = reply.is_empty() && self.engine.aof.holds_replies();
        let ends = done || held || reply.starts_with(b"-MISCONF");
        if ends || reply.starts_with(b"-LOADING") {
            return Ok(ends);
        }
        Err(format!("{words:?} was answered {}", reply.escape_ascii()))
    }

    /// Synchronisations of its replicas: full and partial ones.
    pub(super) fn syncs(&self) -> (u64, u64) {
        let totals = self.engine.stats.totals();
        (totals.sync_full, totals.sync_partial_ok)
    }

    /// Keys evicted since its start.
    pub(super) fn evicted(&self) -> u64 {
        self.engine.stats.totals().evicted_keys
    }

    /// The number of its workers.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// One turn of a worker's loop. The error is the reason why the process ends.
    pub(super) fn turn(&mut self, index: usize) -> Result<(), String> {
        self.take_mail(index);
        let now_ms = self.engine.env.clock.unix_us() / 1000;
        self.workers[index].worker.end_overdue(now_ms);
        self.accept(index);
        self.read(index);
        let worker = &mut self.workers[index].worker;
        let mut touched = worker.ready().to_vec();
        // Saves are carried out by background work, and nobody requests a shutdown.
        drop(worker.run());
        worker.evict();
        let logged = self.engine.write_aof_at_once(index);
        touched.extend_from_slice(worker.fed());
        self.background_due_ns = 0;
        self.write(index, &touched);
        let (host, now_ns) = (&mut self.workers[index], self.engine.env.clock.mono_ns());
        if now_ns >= host.next_sweep_ns {
            host.next_sweep_ns = now_ns + host.sweeper.step(&self.engine);
        }
        logged.map_err(|Fatal(text)| text)
    }

    fn take_mail(&mut self, index: usize) {
        let host = &mut self.workers[index];
        for mail in host.worker.take_mail() {
            match mail {
                Mail::Push { client: id, token, bytes } => {
                    let client = host.worker.client(token).filter(|c| c.shared.id == id);
                    if let Some(client) = client {
                        client.push(&bytes);
                    }
                }
                Mail::Deliver(delivery) => host.worker.deliver(&delivery, |_, _, _| {}),
                Mail::CloseSubscribers(target) => {
                    for token in host.worker.overrun(&target) {
                        host.worker.client(token).into_iter().for_each(|client| {
                            client.shared.killed.store(true, Ordering::Release);
                        });
                    }
                }
                Mail::Kill { client: id, token } => {
                    if host.worker.client(token).is_some_and(|client| client.shared.id == id) {
                        self.close(index, token);
                        return self.take_mail(index);
                    }
                }
                Mail::Unblocked { client, token, end } => {
                    host.worker.unblocked(client, token, end);
                }
                Mail::Invalidate { client, token, redirected, what, excused_bytes } => {
                    host.worker.invalidate((client, token), redirected, &what, excused_bytes);
                }
                Mail::Migrated => host.worker.finish_migrations(),
                Mail::Resume => resume(&mut host.worker),
            }
        }
    }

    fn accept(&mut self, index: usize) {
        // In turn, as the least loaded worker would be chosen.
        if self.socket_count() % self.workers.len() != index {
            return;
        }
        while let Some((link, from)) = self.outside.net.borrow_mut().accept(self.node) {
            let client = new_client(&self.engine, &format!("10.0.0.{from}:{link}"), index);
            let host = &mut self.workers[index];
            let token = host.worker.insert(client);
            host.accepted.insert(token, Accepted { link, unsent: Vec::new() });
        }
    }

    fn socket_count(&self) -> usize {
        self.workers.iter().map(|host| host.accepted.len()).sum()
    }

    fn read(&mut self, index: usize) {
        let host = &mut self.workers[index];
        let mut closed = Vec::new();
        for (&token, accepted) in &host.accepted {
            let Some(client) = host.worker.client(token) else { continue };
            let mut net = self.outside.net.borrow_mut();
            match net.read(accepted.link, End::Far, client.input.space()) {
                Ok(0) => closed.push(token),
                Ok(count) => {
                    client.input.received(count);
                    host.worker.mark_ready(token);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => closed.push(token),
            }
        }
        closed.into_iter().for_each(|token| self.close(index, token));
    }

    /// Sends replies, then the feeds of replicas: of those that were `touched`, and of those whose
    /// connection has become writable.
    fn write(&mut self, index: usize, touched: &[usize]) {
        let engine = Arc::clone(&self.engine);
        let host = &mut self.workers[index];
        let mut closed = Vec::new();
        for (&token, accepted) in &mut host.accepted {
            let Some(client) = host.worker.client(token) else { continue };
            if is_held(&engine, index, client) {
                continue;
            }
            let pending = !accepted.unsent.is_empty();
            accepted.unsent.extend_from_slice(&client.reply.take());
            let closing = client.closing() || client.shared.killed.load(Ordering::Relaxed);
            let mut net = self.outside.net.borrow_mut();
            let replica = client.session.replica.clone();
            let replica = replica
                .filter(|replica| replica.attached() && (pending || touched.contains(&token)));
            let mut stands = send(&mut net, accepted);
            while let Some(replica) = &replica
                && stands
                && accepted.unsent.is_empty()
            {
                let filled = engine.fill_replica(replica, FEED_BYTES, &mut accepted.unsent);
                stands = filled.is_ok() && send(&mut net, accepted);
                if filled.is_ok_and(|bytes| bytes == 0) {
                    break;
                }
            }
            if !stands || (closing && accepted.unsent.is_empty()) {
                closed.push(token);
            }
        }
        for (&(_, token), replies) in self.replies.range_mut((index, 0)..(index + 1, 0)) {
            match host.worker.client(token) {
                Some(client) if !client.shared.killed.load(Ordering::Relaxed) => {
                    if !is_held(&engine, index, client) {
                        replies.extend(client.reply.take());
                    }
                }
                _ => closed.push(token),
            }
        }
        closed.into_iter().for_each(|token| self.close(index, token));
    }

    fn close(&mut self, index: usize, token: usize) {
        let host = &mut self.workers[index];
        if let Some(accepted) = host.accepted.remove(&token) {
            self.outside.net.borrow_mut().close(accepted.link, End::Far);
        }
        self.replies.remove(&(index, token));
        host.worker.remove(token);
    }

    /// Runs background work, if it is due.
    pub(super) fn background(&mut self) {
        self.engine.spill_log(&mut self.spiller);
        if self.engine.env.clock.mono_ns() >= self.background_due_ns {
            self.background_due_ns = match self.background.step(&self.engine) {
                Rest::None => 0,
                Rest::Until(due_ns) => due_ns,
            };
        }
    }

    /// Runs the threads of the append-only file. The error is the reason why the process ends.
    pub(super) fn aof(&mut self) -> Result<(), String> {
        self.engine.write_aof().map_err(|Fatal(text)| text)?;
        if self.engine.env.clock.mono_ns() >= self.sync_due_ns {
            self.sync_due_ns = self.engine.sync_aof();
        }
        Ok(())
    }

    /// Runs the link to the primary.
    pub(super) fn link(&mut self) {
        self.upstream.step(&mut self.socket);
    }

    /// Its replication id and offset, if its log is recorded.
    pub(super) fn history(&self) -> Option<History> {
        let log = &self.engine.repl.log;
        log.active().then(|| log.history())
    }

    /// A digest of every key, value and expiry.
    pub(super) fn digest(&self) -> u64 {
        crate::digest::of(&self.engine)
    }

    /// The string at a key, expired or not.
    pub(super) fn peek(&self, db: u32, key: &[u8]) -> Option<Vec<u8>> {
        let keyspace = &self.engine.keyspace;
        let _gate = keyspace.gates().enter(self.engine.background_thread());
        let key = keyspace.key(key);
        let shard = keyspace.lock(key.shard());
        let table = &shard.db(db)?.table;
        let entry = table.get(table.find(key.hash, key.bytes)?);
        Some(entry.value().string_bytes(&mut IntBuf::new()).to_vec())
    }
}

/// Retries paused commands.
fn resume(worker: &mut Worker) {
    let tokens: Vec<usize> = worker.tokens().collect();
    for token in tokens {
        if let Some(client) = worker.client(token)
            && client.held
        {
            (client.held, client.halted) = (false, false);
            client.shared.set_flag(client_flag::HELD, false);
            worker.mark_ready(token);
        }
    }
}

fn new_client(engine: &Engine, addr: &str, worker: usize) -> Client {
    let now_ms = engine.env.clock.unix_us() / 1000;
    let id = engine.registry.next_id();
    let shared = ClientShared::new(id, addr.into(), "10.0.0.1:1".into(), 7, now_ms, worker);
    Client::new(Arc::new(shared), true)
}

/// Sends pending output of an accepted connection; false if it broke.
fn send(net: &mut Net, accepted: &mut Accepted) -> bool {
    while !accepted.unsent.is_empty() {
        match net.write(accepted.link, End::Far, &accepted.unsent) {
            Ok(count) => drop(accepted.unsent.drain(..count)),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// Loads the data set on disk, as the process does before it serves clients.
fn load(engine: &Arc<Engine>) -> Result<(), String> {
    if engine.config().appendonly {
        let loaded = engine.load_first_aof(engine.background_thread(), &OneThread);
        return loaded.map_err(|error| error.to_string());
    }
    let _world = engine.keyspace.gates().world();
    engine.load_now().map(drop).map_err(|error| error.to_string())
}

/// Whether the output has to wait for a sync of the append-only file.
fn is_held(engine: &Engine, index: usize, client: &mut Client) -> bool {
    let may_reply = |offset| engine.aof.may_reply(offset, index);
    if client.unsent_bytes() == 0 || may_reply(client.session.reply_offset) {
        return false;
    }
    let end = engine.repl.log.end();
    if client.session.reply_offset > end {
        // Of a former stream, before a primary's was adopted.
        client.session.reply_offset = end;
    }
    !may_reply(client.session.reply_offset)
}

/// The socket of a link to a primary.
struct Socket {
    node: usize,
    net: Rc<RefCell<Net>>,
    link: Option<u64>,
    /// How often read-ahead was requested: two of three requests are granted.
    asked: usize,
    /// For a data set that has a connection of its own.
    beside: Option<Box<Socket>>,
}

/// The end of a link that is read from.
struct Reading {
    net: Rc<RefCell<Net>>,
    link: u64,
}

impl io::Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.net.borrow_mut().read(self.link, End::Near, out)
    }
}

impl Socket {
    fn link(&self) -> io::Result<u64> {
        self.link.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Transport for Socket {
    fn beside(&mut self) -> Option<&mut dyn Transport> {
        let beside = self.beside.as_deref_mut()?;
        Some(beside)
    }

    fn connect(&mut self, _: &str, port: u16, _: &str) -> io::Result<()> {
        self.close();
        let to = usize::from(port - FIRST_PORT);
        self.link = Some(self.net.borrow_mut().connect(self.node, to)?);
        Ok(())
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.net.borrow().connected(self.link()?)
    }

    fn names(&self) -> (String, String) {
        ("10.0.0.1:1".into(), "10.0.0.2:1".into())
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let link = self.link()?;
        self.net.borrow_mut().read(link, End::Near, out)
    }

    fn read_ahead(
        &mut self,
        _: usize,
        ahead: Box<ReadAhead>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        self.asked += 1;
        match (self.link, self.asked % 3) {
            (Some(link), at_once @ 1..) => {
                let net = Rc::clone(&self.net);
                Ok(Box::new(Inline::new(*ahead, Reading { net, link }, at_once)))
            }
            _ => Err(ahead),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let link = self.link()?;
        self.net.borrow_mut().write(link, End::Near, bytes)
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            self.net.borrow_mut().close(link, End::Near);
        }
    }
}
