//! A simulated engine inside the test: no socket, thread, file or wall clock.
//!
//! [`SimEngine`] is one worker over simulated time, randomness and disk, all from one seed; its
//! replication log is recorded. It is also a target of golden scripts, for which it exposes the log
//! and advances time instead of waiting.
//!
//! **Invariants.** The same seed and the same calls give the same replies. Time only advances by
//! [`SimClock::advance_ms`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};
use redix_core::client::{Client, Input, READ_MAX};
use redix_core::config::Config;
use redix_core::effects::Records;
use redix_core::engine::Engine;
use redix_core::env::{
    Clock, CpuTimes, Entropy, Env, Host, HostFacts, Level, Log, Memory, NoAuditLog, Resident, Wake,
};
use redix_core::mailbox::{Mail, Mailbox};
use redix_core::registry::{ClientShared, client_flag};
use redix_core::repl::log::Reader;
use redix_core::replay::OneThread;
use redix_core::worker::Worker;
use redix_resp::request::Limits;
use redix_resp::{Proto, ReplyDecoder, Value, encode_command};

pub use crate::disk::SimDisk;
use crate::rng::Rng;
use crate::script::{Command, ScriptTarget};

/// When simulated time begins: 2023-11-14, in milliseconds since the Unix epoch.
pub const EPOCH_MS: i64 = 1_700_000_000_000;
/// Turns of the worker after which a command counts as never replied to.
const TURNS_MAX: usize = 1000;

/// Time that only advances when told to.
pub struct SimClock(AtomicI64);

impl SimClock {
    /// Advances time.
    pub fn advance_ms(&self, ms: i64) {
        self.advance_us(ms * 1000);
    }

    /// As [`SimClock::advance_ms`], in microseconds.
    pub fn advance_us(&self, us: i64) {
        self.0.fetch_add(us, Ordering::Relaxed);
    }

    /// Time since [`EPOCH_MS`].
    pub fn elapsed_us(&self) -> u64 {
        (self.0.load(Ordering::Relaxed) - EPOCH_MS * 1000).unsigned_abs()
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self(AtomicI64::new(EPOCH_MS * 1000))
    }
}

/// A simulated clock as the engine's own.
struct SharedClock(Arc<SimClock>);

impl Clock for SharedClock {
    fn unix_us(&self) -> i64 {
        self.0.0.load(Ordering::Relaxed)
    }
    fn mono_ns(&self) -> u64 {
        (self.unix_us() - EPOCH_MS * 1000).unsigned_abs() * 1000
    }
    fn sleep_us(&self, us: u64) {
        self.0.0.fetch_add(us as i64, Ordering::Relaxed);
    }
}

/// Randomness from a seed.
pub struct SimEntropy(Mutex<Rng>);

impl SimEntropy {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::new(seed)))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut rng = locked(&self.0);
        for chunk in out.chunks_mut(8) {
            let word = rng.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// A record that makes the log select database 0.
fn selecting_db_0() -> Records {
    let mut records = Records::default();
    records.push(0, &[b"PING"]);
    records
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

struct NoLog;

impl Log for NoLog {
    fn log(&self, _: Level, _: &str) {}
}

/// No measurement: memory in use is always 0.
struct NoMemory;

impl Memory for NoMemory {
    fn used_bytes(&self) -> u64 {
        0
    }
    fn peak_bytes(&self) -> u64 {
        0
    }
    fn take_recent_peak_bytes(&self) -> u64 {
        0
    }
}

/// A process without facts.
#[derive(Default)]
struct NoHost(HostFacts);

impl Host for NoHost {
    fn facts(&self) -> &HostFacts {
        &self.0
    }
    fn resident_bytes(&self) -> Resident {
        Resident::default()
    }
    fn cpu(&self) -> CpuTimes {
        CpuTimes::default()
    }
    fn purge_memory(&self) {}
}

/// A simulated environment around a clock and a disk, its randomness from a seed.
pub fn sim_env(clock: &Arc<SimClock>, disk: &SimDisk, seed: u64) -> Env {
    Env {
        clock: Box::new(SharedClock(Arc::clone(clock))),
        entropy: Box::new(SimEntropy::new(seed)),
        disk: Box::new(disk.clone()),
        log: Box::new(NoLog),
        audit: Box::new(NoAuditLog),
        memory: Box::new(NoMemory),
        host: Box::new(NoHost::default()),
    }
}

/// One connection of a [`SimEngine`].
struct Conn {
    token: usize,
    decoder: ReplyDecoder,
    pushes: VecDeque<Value>,
}

/// An engine with one worker, in this thread.
pub struct SimEngine {
    engine: Arc<Engine>,
    worker: Worker,
    clock: Arc<SimClock>,
    disk: SimDisk,
    log: Option<Reader>,
    conns: HashMap<u8, Conn>,
    proto: u8,
}

impl SimEngine {
    /// An empty engine whose randomness depends on the seed alone.
    pub fn new(config: Config, seed: u64) -> Result<Self> {
        let (clock, disk) = (Arc::new(SimClock::default()), SimDisk::default());
        let mut sim = Self::on(clock, disk, config, seed)?;
        let log = &sim.engine.repl.log;
        log.start(u64::MAX, &SimEntropy::new(seed));
        // Readers of the log start in database 0.
        let end = log.append(&mut selecting_db_0(), false);
        sim.log = Some(log.reader(end).map_err(|_| anyhow!("the log is recorded"))?);
        Ok(sim)
    }

    /// An empty engine on this clock and disk. It does not tell what it logs.
    pub fn on(clock: Arc<SimClock>, disk: SimDisk, config: Config, seed: u64) -> Result<Self> {
        let env = sim_env(&clock, &disk, seed);
        let engine = Arc::new(Engine::new(env, config, 1).map_err(anyhow::Error::msg)?);
        let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
        engine.registry.add_worker(Arc::clone(&mailbox));
        let worker = Worker::new(Arc::clone(&engine), 0, mailbox);
        Ok(Self { engine, worker, clock, disk, log: None, conns: HashMap::new(), proto: 2 })
    }

    /// Loads the data set of its append-only files and goes on writing to them.
    pub fn load_aof(&mut self) -> Result<()> {
        let gate = 0;
        self.engine.load_first_aof(gate, &OneThread).map_err(|error| anyhow!("{error}"))
    }

    /// The shared state of the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The shared state, as a counted reference.
    pub fn share(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// Its clock.
    pub fn clock(&self) -> &SimClock {
        &self.clock
    }

    /// Its disk.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Executes a command on a connection, which is created when first named.
    pub fn execute<W: AsRef<[u8]>>(&mut self, conn: u8, args: &[W]) -> Result<Value> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args);
        let token = self.conn(conn)?;
        self.client(token)?.input.push(&bytes);
        self.worker.mark_ready(token);
        for _ in 0..TURNS_MAX {
            // Requests to the process are dropped: a script only sees the reply.
            drop(self.worker.run());
            self.deliver();
            if let Some(reply) = self.next_reply(conn, token)? {
                return Ok(reply);
            }
            if !self.worker.has_ready() && !self.end_pause(token)? && !self.end_wait(token)? {
                break;
            }
        }
        bail!("no reply: the command is held back or its reply is switched off")
    }

    /// Sends a command without waiting for its reply, and runs the engine as far as possible
    /// without advancing time.
    pub fn send<W: AsRef<[u8]>>(&mut self, conn: u8, args: &[W]) -> Result<()> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args);
        let token = self.conn(conn)?;
        self.client(token)?.input.push(&bytes);
        self.worker.mark_ready(token);
        self.settle()
    }

    /// The next reply that a connection has received, without advancing time.
    pub fn take_reply(&mut self, conn: u8) -> Result<Option<Value>> {
        let token = self.conn(conn)?;
        self.next_reply(conn, token)
    }

    /// Advances time; everything that became due happens at its end.
    pub fn pass_ms(&mut self, ms: i64) -> Result<()> {
        self.clock.advance_ms(ms);
        self.worker.end_overdue(self.clock.0.load(Ordering::Relaxed) / 1000);
        self.settle()
    }

    /// Closes a connection.
    pub fn close(&mut self, conn: u8) {
        if let Some(conn) = self.conns.remove(&conn) {
            self.worker.remove(conn.token);
        }
    }

    /// Runs until nothing is left to do without advancing time.
    fn settle(&mut self) -> Result<()> {
        for _ in 0..TURNS_MAX {
            self.deliver();
            if !self.worker.has_ready() {
                return Ok(());
            }
            drop(self.worker.run());
        }
        bail!("the engine does not come to rest")
    }

    /// Advances time until a pause that covers a connection is over; false if none does.
    fn end_pause(&mut self, token: usize) -> Result<bool> {
        let now_ms = self.clock.0.load(Ordering::Relaxed) / 1000;
        let left_ms = self.engine.pause.client_until_ms() - now_ms;
        let client = self.client(token)?;
        if !client.held {
            return Ok(false);
        }
        (client.held, client.halted) = (false, false);
        client.shared.set_flag(client_flag::HELD, false);
        self.clock.advance_ms(left_ms.max(0));
        self.worker.finish_migrations();
        self.worker.mark_ready(token);
        Ok(true)
    }

    /// Advances time until the wait of a blocked connection times out; false if it is not blocked
    /// or has no deadline.
    fn end_wait(&mut self, token: usize) -> Result<bool> {
        let Some(deadline_ms) = self.client(token)?.shared.waits_until_ms() else {
            return Ok(false);
        };
        let now_ms = self.clock.0.load(Ordering::Relaxed) / 1000;
        self.clock.advance_ms((deadline_ms - now_ms).max(0));
        self.worker.end_overdue(deadline_ms);
        Ok(true)
    }

    /// Delivers the messages of other connections.
    fn deliver(&mut self) {
        for mail in self.worker.take_mail() {
            match mail {
                Mail::Unblocked { client, token, end } => self.worker.unblocked(client, token, end),
                Mail::Deliver(delivery) => self.worker.deliver(&delivery, |_, _, _| {}),
                Mail::Invalidate { client, token, redirected, what, excused_bytes } => {
                    self.worker.invalidate((client, token), redirected, &what, excused_bytes);
                }
                Mail::Migrated => self.worker.finish_migrations(),
                _ => {}
            }
        }
    }

    /// The oldest push that a connection received and that was not yet taken.
    pub fn take_push(&mut self, conn: u8) -> Option<Value> {
        self.conns.get_mut(&conn)?.pushes.pop_front()
    }

    /// The commands logged since the last call, in the form a replica receives.
    fn take_records(&mut self) -> Vec<Command> {
        let mut input = Input::default();
        let mut bytes = Vec::new();
        let log = self.log.iter();
        log.for_each(|log| {
            while self.engine.repl.log.read(log, READ_MAX, &mut bytes).is_ok_and(|count| count > 0)
            {
            }
        });
        input.push(&bytes);
        input.parse(usize::MAX, &Limits::default());
        let words = |index| input.args(index).iter_from(0).map(<[u8]>::to_vec).collect();
        (0..input.parked()).map(words).collect()
    }

    /// When a key of database 0 expires, in milliseconds since the Unix epoch.
    pub fn expire_at_ms(&self, key: &[u8]) -> Option<i64> {
        let keyspace = &self.engine.keyspace;
        let _gate = keyspace.gates().enter(self.engine.background_thread());
        let key = keyspace.key(key);
        let shard = keyspace.lock(key.shard());
        let table = &shard.db(0)?.table;
        table.get(table.find(key.hash, key.bytes)?).expire_at_ms()
    }

    fn conn(&mut self, conn: u8) -> Result<usize> {
        if let Some(conn) = self.conns.get(&conn) {
            return Ok(conn.token);
        }
        let (id, port) = (self.engine.registry.next_id(), 50_000 + u16::from(conn));
        let addr = format!("127.0.0.1:{port}");
        let now_ms = self.clock.0.load(Ordering::Relaxed) / 1000;
        let shared = ClientShared::new(id, addr, "127.0.0.1:6379".into(), 7, now_ms, 0);
        let token = self.worker.insert(Client::new(Arc::new(shared), true));
        self.conns.insert(
            conn,
            Conn { token, decoder: ReplyDecoder::default(), pushes: VecDeque::new() },
        );
        self.speak(token)?;
        Ok(token)
    }

    fn client(&mut self, token: usize) -> Result<&mut Client> {
        self.worker.client(token).context("the connection is closed")
    }

    /// Switches a connection to the present protocol, as HELLO would.
    fn speak(&mut self, token: usize) -> Result<()> {
        let number = self.proto;
        let client = self.client(token)?;
        client.reply.proto = if number == 3 { Proto::Resp3 } else { Proto::Resp2 };
        client.shared.resp.store(number, Ordering::Relaxed);
        Ok(())
    }

    fn next_reply(&mut self, conn: u8, token: usize) -> Result<Option<Value>> {
        let client = self.client(token)?;
        let bytes = client.reply.take();
        client.shared.output_bytes.store(0, Ordering::Relaxed);
        let conn = self.conns.get_mut(&conn).context("the connection was just used")?;
        conn.decoder.feed(&bytes);
        while let Some(value) = conn.decoder.next_reply()? {
            match value {
                push @ Value::Push(_) => conn.pushes.push_back(push),
                reply => return Ok(Some(reply)),
            }
        }
        Ok(None)
    }
}

/// Steps of a script's wait for the deadline of a blocked connection.
const AWAITED_STEPS: usize = 20;
const AWAITED_STEP_MS: i64 = 10;

impl ScriptTarget for SimEngine {
    fn set_proto(&mut self, proto: u8) -> Result<()> {
        self.proto = proto;
        let tokens: Vec<usize> = self.conns.values().map(|conn| conn.token).collect();
        tokens.into_iter().try_for_each(|token| self.speak(token))
    }

    fn command(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<Value> {
        self.execute(conn, args)
    }

    fn block(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()> {
        SimEngine::send(self, conn, args)?;
        let reply = self.take_reply(conn)?;
        ensure!(
            reply.is_none(),
            "it is not blocked but answers {}",
            reply.unwrap_or(Value::Null).pretty()
        );
        Ok(())
    }

    fn send(&mut self, conn: u8, args: &[Vec<u8>]) -> Result<()> {
        SimEngine::send(self, conn, args)
    }

    fn awaited(&mut self, conn: u8) -> Result<Value> {
        // Only a deadline can produce a reply now.
        for _ in 0..AWAITED_STEPS {
            if let Some(push) = self.take_push(conn) {
                return Ok(push);
            }
            let reply = self.take_reply(conn)?;
            if let Some(received) = reply.or_else(|| self.take_push(conn)) {
                return Ok(received);
            }
            self.pass_ms(AWAITED_STEP_MS)?;
        }
        bail!("no reply has come")
    }

    fn wait_expired(&mut self, key: &[u8]) -> Result<()> {
        let at_ms = self.expire_at_ms(key).context("the key has no expiry")?;
        let now_ms = self.clock.0.load(Ordering::Relaxed) / 1000;
        self.clock.advance_ms((at_ms - now_ms).max(0) + 1);
        // The lookup deletes an expired key, as where a script waits by polling.
        let exists = self.execute(1, &[b"EXISTS", key])?;
        ensure!(exists == Value::Int(0), "{} does not expire", String::from_utf8_lossy(key));
        Ok(())
    }

    fn take_log(&mut self) -> Option<Vec<Command>> {
        Some(self.take_records())
    }
}

/// Locks a mutex, ignoring poisoning.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
