//! The threads that send keys to the targets of MIGRATE; the protocol is in
//! [`redix_core::migration`].
//!
//! A thread is started when a migration is queued and no other is idle, up to `THREADS_MAX`;
//! further migrations wait in the queue. A reusable connection is cached for `KEEP`, as the real
//! servers do, and threads end when there is neither work nor a cached connection.
//!
//! **Invariants.** A thread accesses neither the keyspace nor a client: the outcome of a migration
//! is passed to the client's worker. Every step has a timeout. No lock is held while waiting,
//! except for work.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use redix_core::engine::Engine;
use redix_core::migration::{Migration, Outcome, Step, Target, Wire};

use crate::log;
use crate::tls::Tls;
use crate::tls::outgoing::Outgoing;

/// The most concurrent conversations with targets.
const THREADS_MAX: usize = 16;
/// How long an unused connection is cached. Source: Redis, `MIGRATE_SOCKET_CACHE_TTL`.
const KEEP: Duration = Duration::from_secs(10);
/// The most cached connections. Source: Redis, `MIGRATE_SOCKET_CACHE_ITEMS`.
const KEPT_MAX: usize = 64;
/// Bytes sent in one step. Source: Redis, MIGRATE.
const STEP_BYTES: usize = 64 * 1024;
/// The longest reply line; a longer one is not a reply to these commands.
const LINE_MAX: usize = 64 * 1024;
/// Upper bound of timeouts: about 24 days.
const TIMEOUT_MS_MAX: u64 = i32::MAX as u64;

/// The threads.
#[derive(Default)]
pub(crate) struct Migrator {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    threads: usize,
    idle: usize,
    /// Cached connections, the longest unused first.
    kept: Vec<Link>,
}

/// A connection to a target.
struct Link {
    target: Target,
    is_tls: bool,
    stream: Outgoing<TcpStream>,
    /// The database that it has selected, if known.
    selected: Option<i64>,
    used: Instant,
    timeout: Duration,
    /// Bytes read beyond the last line.
    input: Vec<u8>,
}

impl Migrator {
    /// Starts threads for the queued migrations.
    pub(crate) fn work(self: &Arc<Self>, engine: &Arc<Engine>, tls: &Arc<Tls>) {
        let mut state = self.state.lock();
        self.work.notify_one();
        if engine.migrations.waiting() <= state.idle || state.threads == THREADS_MAX {
            return;
        }
        let (this, shared, tls) = (Arc::clone(self), Arc::clone(engine), Arc::clone(tls));
        let spawned =
            thread::Builder::new().name("migrate".into()).spawn(move || this.run(&shared, &tls));
        if spawned.is_ok() {
            state.threads += 1;
            return;
        }
        log::warning("Can't start a thread for MIGRATE.");
        if state.threads == 0 {
            while let Some(migration) = engine.migrations.next() {
                let outcome = Outcome::failed(Step::Connecting);
                engine.migrations.finish(&engine.registry, migration, &outcome);
            }
        }
    }

    fn run(&self, engine: &Engine, tls: &Tls) {
        let mut state = self.state.lock();
        loop {
            state.drop_unused(Instant::now());
            engine.migrations.note_kept(state.kept.len());
            if let Some(migration) = engine.migrations.next() {
                let tls = engine.config().tls_cluster.then_some(tls);
                let link = state.take(&migration.order.target, tls.is_some());
                engine.migrations.note_kept(state.kept.len());
                MutexGuard::unlocked(&mut state, || self.carry_out(engine, migration, link, tls));
                continue;
            }
            let Some(oldest) = state.kept.first() else { break };
            let until = oldest.used + KEEP;
            state.idle += 1;
            self.work.wait_until(&mut state, until);
            state.idle -= 1;
        }
        state.threads -= 1;
    }

    /// Carries out a migration, over TLS if that is given.
    fn carry_out(
        &self,
        engine: &Engine,
        mut migration: Migration,
        link: Option<Link>,
        tls: Option<&Tls>,
    ) {
        let now_ms = engine.env.clock.unix_us() / 1000;
        let spoken = catch_unwind(AssertUnwindSafe(|| speak(&mut migration, link, tls, now_ms)));
        let (outcome, link) = spoken.unwrap_or_else(|_| (Outcome::failed(Step::Reading), None));
        if let Some(link) = link {
            let mut state = self.state.lock();
            state.keep(link);
            engine.migrations.note_kept(state.kept.len());
        }
        engine.migrations.finish(&engine.registry, migration, &outcome);
    }
}

impl State {
    fn take(&mut self, target: &Target, is_tls: bool) -> Option<Link> {
        let is_meant = |link: &Link| link.target == *target && link.is_tls == is_tls;
        let at = self.kept.iter().rposition(is_meant)?;
        Some(self.kept.remove(at))
    }

    fn keep(&mut self, link: Link) {
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(link);
    }

    fn drop_unused(&mut self, now: Instant) {
        self.kept.retain(|link| now.duration_since(link.used) < KEEP);
    }
}

/// Runs the conversation with the target, over a cached connection if there is one, and over a new
/// one if that turns out to be closed. Returns the connection if it can be reused.
fn speak(
    migration: &mut Migration,
    kept: Option<Link>,
    tls: Option<&Tls>,
    now_ms: i64,
) -> (Outcome, Option<Link>) {
    let timeout = Duration::from_millis(migration.order.timeout_ms.min(TIMEOUT_MS_MAX));
    if let Some(mut link) = kept {
        link.timeout = timeout;
        let (outcome, link) = speak_over(migration, link, now_ms);
        if !outcome.worth_another_try() {
            return (outcome, link);
        }
    }
    match Link::open(&migration.order.target, timeout, tls) {
        Ok(link) => speak_over(migration, link, now_ms),
        Err(step) => (Outcome::failed(step), None),
    }
}

fn speak_over(migration: &mut Migration, mut link: Link, now_ms: i64) -> (Outcome, Option<Link>) {
    let selected = link.selected;
    let outcome = migration.converse(&mut link, selected, now_ms);
    let usable = outcome.leaves_selected(migration.order.db).map(|selected| {
        link.selected = selected;
        link.used = Instant::now();
        link
    });
    (outcome, usable)
}

impl Link {
    /// Connects. A refused connection is reported when sending, as in the real servers.
    fn open(target: &Target, timeout: Duration, tls: Option<&Tls>) -> Result<Self, Step> {
        let host = std::str::from_utf8(&target.host).map_err(|_| Step::Connecting)?;
        // As the C library's resolver parses it.
        let port = u32::try_from(target.port).map_err(|_| Step::Connecting)? as u16;
        let mut failed = Step::Connecting;
        for addr in (host, port).to_socket_addrs().map_err(|_| Step::Connecting)? {
            match TcpStream::connect_timeout(&addr, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).ok();
                    let stream = secure(stream, timeout, tls).map_err(|_| Step::Connecting)?;
                    return Ok(Self {
                        target: target.clone(),
                        is_tls: tls.is_some(),
                        stream,
                        selected: None,
                        used: Instant::now(),
                        timeout,
                        input: Vec::new(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(_) => failed = Step::Writing,
            }
        }
        Err(failed)
    }
}

/// Makes a connection of a socket, over TLS if that is given: then with its handshake.
fn secure(
    socket: TcpStream,
    timeout: Duration,
    tls: Option<&Tls>,
) -> io::Result<Outgoing<TcpStream>> {
    let Some(tls) = tls else { return Ok(Outgoing::plain(socket)) };
    let stream = tls.outgoing(socket)?;
    let deadline = Instant::now() + timeout;
    loop {
        stream.socket().set_read_timeout(Some(left(deadline)?))?;
        stream.socket().set_write_timeout(Some(left(deadline)?))?;
        match stream.shake_hands() {
            Ok(true) => return Ok(stream),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The remaining time of a step, at least the shortest timeout that the system accepts.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Wire for Link {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for mut rest in bytes.chunks(STEP_BYTES) {
            let deadline = Instant::now() + self.timeout;
            while !rest.is_empty() {
                self.stream.socket().set_write_timeout(Some(left(deadline)?))?;
                match self.stream.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        let mut seen = 0;
        loop {
            if let Some(end) = self.input[seen..].iter().position(|byte| *byte == b'\n') {
                out.clear();
                out.extend(self.input.drain(..=seen + end));
                out.truncate(out.trim_ascii_end().len());
                return Ok(());
            }
            seen = self.input.len();
            if seen > LINE_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.stream.socket().set_read_timeout(Some(left(deadline)?))?;
            let mut chunk = [0; 4096];
            match self.stream.read_once(&mut chunk) {
                Ok(None) => {}
                Ok(Some(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Some(count)) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
