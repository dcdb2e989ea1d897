//! MIGRATE: sending keys to another server, without locks.
//!
//! The command captures its keys under their locks and blocks its client; the [`Migration`] is
//! queued in [`Migrations`]. The process connects to the target and runs [`Migration::converse`].
//! Then the client's worker takes the [`Finished`] one, deletes the keys that the target has
//! accepted, as a unit of its own, and replies.
//!
//! A value that is not small is shared with the keyspace instead of being copied: under the locks
//! that costs a reference per piece, and it is serialised by the thread that talks to the target. A
//! concurrent write copies the piece that it changes.
//!
//! **Invariants.** A key is deleted only if the target has accepted it and nobody has changed it
//! since it was captured: each has a watch of its own. That does not depend on the client, which
//! may have disconnected. A migration that has begun is finished; one that has not is dropped with
//! its client.

use std::collections::VecDeque;
use std::io;

use redix_types::entry::{EntryRef, HeapValue};

use crate::blocking::Waiter;
use crate::command::table::Command;
use crate::config::Config;
use crate::error::ReplyError;
use crate::keyspace::shard::WatchFlag;
use crate::mailbox::Mail;
use crate::rdb::write::RecordEncoder;
use crate::registry::Registry;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Values of at least so many bytes are shared rather than serialised under the locks, which costs
/// about a microsecond per kilobyte.
const SHARE_LEN_MIN: usize = 4096;
/// Serialised bytes that are sent at a time.
const SEND_BYTES: usize = 64 << 10;

/// The server that keys are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name or address.
    pub host: Vec<u8>,
    /// Its port; any number, as parsed.
    pub port: i64,
}

/// The credentials for the target.
#[derive(Debug)]
pub struct Login {
    /// The user; `None`: the default one.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// The options of a MIGRATE.
#[derive(Debug)]
pub struct Order {
    /// The destination.
    pub target: Target,
    /// The destination database.
    pub db: i64,
    /// Timeout of one step of the conversation, in milliseconds.
    pub timeout_ms: u64,
    /// AUTH or AUTH2.
    pub login: Option<Login>,
    /// REPLACE: whether existing keys are overwritten.
    pub replace: bool,
}

/// The captured value of a key.
#[derive(Debug)]
enum Content {
    /// Its DUMP payload.
    Encoded(Vec<u8>),
    /// The value, shared, to be serialised later.
    Shared(HeapValue),
}

/// One key.
#[derive(Debug)]
pub struct Item {
    key: Vec<u8>,
    expire_at_ms: Option<i64>,
    content: Content,
    /// Marked when the key changes; `None` with COPY.
    watch: Option<Arc<WatchFlag>>,
}

impl Item {
    /// Captures a key. `watch` is set if the key is to be deleted.
    pub fn new(
        entry: EntryRef<'_>,
        encoder: &mut RecordEncoder,
        watch: Option<Arc<WatchFlag>>,
    ) -> Self {
        let shared = entry.heap().filter(|value| value.memory_usage() >= SHARE_LEN_MIN);
        let content = match shared {
            Some(value) => Content::Shared(value.clone()),
            None => Content::Encoded(encoder.dump(entry.value())),
        };
        let (key, expire_at_ms) = (entry.key().to_vec(), entry.expire_at_ms());
        Self { key, expire_at_ms, content, watch }
    }

    /// Its name.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether it is to be deleted here (not with COPY).
    pub fn goes(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether it has changed since it was captured.
    pub fn has_changed(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_set())
    }
}

/// The encoder of payloads, as configured.
pub fn encoder(config: &Config) -> RecordEncoder {
    RecordEncoder::new(config.rdb_version, config.rdbcompression)
}

/// The source of a migration.
#[derive(Debug)]
pub struct Origin {
    /// The worker of the client.
    pub worker: usize,
    /// The source database.
    pub db: u32,
    /// Whether this server was a replica then.
    pub was_replica: bool,
    /// The command, for statistics and logs.
    pub command: Command,
}

/// A connection to a target. Each call times out after one step's timeout.
pub trait Wire {
    /// Sends all bytes.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Reads a line into `out`, without its line end.
    fn line(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// The keys of one MIGRATE.
pub struct Migration {
    /// What is done.
    pub order: Order,
    /// The source of the keys.
    pub origin: Origin,
    items: Vec<Item>,
    waiter: Arc<Waiter>,
    encoder: RecordEncoder,
}

impl Migration {
    /// A migration on behalf of a blocked client.
    pub fn new(
        order: Order,
        origin: Origin,
        items: Vec<Item>,
        encoder: RecordEncoder,
        waiter: Arc<Waiter>,
    ) -> Self {
        Self { order, origin, items, waiter, encoder }
    }

    /// Sends the keys to the target and reads its replies. `selected` is the database that the
    /// connection has selected, if known; `now_ms` is Unix time.
    pub fn converse(&mut self, wire: &mut dyn Wire, selected: Option<i64>, now_ms: i64) -> Outcome {
        match self.send(wire, selected, now_ms) {
            Ok(sent) => self.hear(wire, selected, &sent),
            Err(error) => Outcome::broken(Step::Writing, &error),
        }
    }

    /// Returns the indexes of the items that were sent: all but those that have expired meanwhile.
    fn send(
        &mut self,
        wire: &mut dyn Wire,
        selected: Option<i64>,
        now_ms: i64,
    ) -> io::Result<Vec<usize>> {
        let mut out = Vec::new();
        if let Some(Login { user, password }) = &self.order.login {
            push_array(&mut out, 2 + usize::from(user.is_some()));
            push_word(&mut out, b"AUTH");
            user.iter().chain([password]).for_each(|word| push_word(&mut out, word));
        }
        if selected != Some(self.order.db) {
            push_array(&mut out, 2);
            push_word(&mut out, b"SELECT");
            push_word(&mut out, self.order.db.to_string().as_bytes());
        }
        let mut sent = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            let ttl_ms = match item.expire_at_ms {
                None => 0,
                Some(at_ms) if at_ms < now_ms => continue,
                Some(at_ms) => at_ms.saturating_sub(now_ms).max(1),
            };
            let encoded;
            let payload = match &item.content {
                Content::Encoded(payload) => payload,
                Content::Shared(value) => {
                    encoded = self.encoder.dump(value.as_ref());
                    &encoded
                }
            };
            push_array(&mut out, 4 + usize::from(self.order.replace));
            push_word(&mut out, b"RESTORE");
            push_word(&mut out, &item.key);
            push_word(&mut out, ttl_ms.to_string().as_bytes());
            out.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
            if payload.len() >= SEND_BYTES {
                // Sent without a copy.
                wire.send(&out)?;
                out.clear();
                wire.send(payload)?;
            } else {
                out.extend_from_slice(payload);
            }
            out.extend_from_slice(b"\r\n");
            if self.order.replace {
                push_word(&mut out, b"REPLACE");
            }
            if out.len() >= SEND_BYTES {
                wire.send(&out)?;
                out.clear();
            }
            sent.push(place);
        }
        wire.send(&out)?;
        Ok(sent)
    }

    fn hear(&self, wire: &mut dyn Wire, selected: Option<i64>, sent: &[usize]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut line = Vec::new();
        let first = [self.order.login.is_some(), selected != Some(self.order.db)];
        for _ in first.into_iter().filter(|said| *said) {
            if let Err(error) = wire.line(&mut line) {
                return Outcome::broken(Step::Reading, &error);
            }
            outcome.note_refusal(&line);
        }
        // After a failed AUTH or SELECT the keys are not where they belong, whatever the reply to
        // each.
        let is_lost = outcome.refusal.is_some();
        for (nth, place) in sent.iter().enumerate() {
            if let Err(error) = wire.line(&mut line) {
                let broken = Outcome::broken(Step::Reading, &error).broken;
                outcome.broken =
                    broken.map(|broken| Broken { again: broken.again && nth == 0, ..broken });
                break;
            }
            if !outcome.note_refusal(&line) && !is_lost {
                outcome.taken.push(*place);
            }
        }
        outcome
    }
}

fn push_array(out: &mut Vec<u8>, words: usize) {
    out.extend_from_slice(format!("*{words}\r\n").as_bytes());
}

fn push_word(out: &mut Vec<u8>, word: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// The step at which a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connecting to the target.
    Connecting,
    /// Sending.
    Writing,
    /// Waiting for replies.
    Reading,
}

/// A failed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken {
    step: Step,
    /// It was closed, rather than timed out, before any reply about a key: a cached connection may
    /// have been closed long ago, so that a new one is worth a retry.
    again: bool,
}

/// The outcome of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The indexes of the items that the target has accepted.
    taken: Vec<usize>,
    /// The first error reply.
    refusal: Option<Vec<u8>>,
    broken: Option<Broken>,
}

impl Outcome {
    /// No key was accepted: the connection has failed.
    pub fn failed(step: Step) -> Self {
        let broken = Some(Broken { step, again: false });
        Self { taken: Vec::new(), refusal: None, broken }
    }

    fn broken(step: Step, error: &io::Error) -> Self {
        let silent = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        let broken = Some(Broken { step, again: !silent });
        Self { taken: Vec::new(), refusal: None, broken }
    }

    /// Whether the reply is an error; the first one is kept.
    fn note_refusal(&mut self, line: &[u8]) -> bool {
        let Some(text) = line.strip_prefix(b"-") else { return false };
        self.refusal.get_or_insert_with(|| text.to_vec());
        true
    }

    /// Whether a new connection is worth a retry, if this was a cached one.
    pub fn worth_another_try(&self) -> bool {
        self.broken.is_some_and(|broken| broken.again)
    }

    /// The database that the connection has selected now, if known; outer `None`: the connection
    /// cannot be used again.
    pub fn leaves_selected(&self, db: i64) -> Option<Option<i64>> {
        if self.broken.is_some() {
            return None;
        }
        Some(self.refusal.is_none().then_some(db))
    }

    /// The error for the client, unless the deletion changes it.
    fn error(&self) -> Option<ReplyError> {
        if let Some(text) = &self.refusal {
            let text = [b"ERR Target instance replied with error: ", &text[..]].concat();
            return Some(ReplyError::Text(text));
        }
        let text = match self.broken?.step {
            Step::Connecting => "IOERR error or timeout connecting to the client",
            Step::Writing => "IOERR error or timeout writing to target instance",
            Step::Reading => "IOERR error or timeout reading to target instance",
        };
        Some(ReplyError::Static(text))
    }
}

/// The error for a key that was changed during the migration.
const CHANGED: ReplyError = ReplyError::Static(
    "IOERR the key was changed while it was migrated: it stays, and the target instance has it as \
     it was before",
);

/// A migration whose conversation has ended.
pub struct Finished {
    /// The source of the keys.
    pub origin: Origin,
    /// The blocked client.
    pub waiter: Arc<Waiter>,
    /// The keys that the target has accepted.
    pub taken: Vec<Item>,
    error: Option<ReplyError>,
}

impl Finished {
    /// The reply; `changed`: some of the accepted keys had changed and were not deleted.
    pub fn answer(&self, changed: bool) -> Result<(), ReplyError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None if changed => Err(CHANGED),
            None => Ok(()),
        }
    }
}

/// All migrations that are queued or finished; those in progress are held by the process.
#[derive(Default)]
pub struct Migrations {
    waiting: Mutex<VecDeque<Migration>>,
    finished: Mutex<Vec<Finished>>,
    /// Number of cached connections to targets.
    kept_connections: AtomicUsize,
}

impl Migrations {
    /// Queues a migration; `Request::Migrate` has the process start it.
    pub fn begin(&self, migration: Migration) {
        lock(&self.waiting).push_back(migration);
    }

    /// The length of the queue.
    pub fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// The next migration to start. Those whose clients have disconnected are dropped.
    pub fn next(&self) -> Option<Migration> {
        loop {
            let migration = lock(&self.waiting).pop_front()?;
            if !migration.waiter.is_over() {
                return Some(migration);
            }
        }
    }

    /// Hands what has come of one to the worker of its client.
    pub fn finish(&self, registry: &Registry, migration: Migration, outcome: &Outcome) {
        let Migration { items, origin, waiter, .. } = migration;
        let error = outcome.error();
        let mut places = outcome.taken.iter().copied().peekable();
        // Shared values are released here, so that deleting the key moves them to the free list.
        let taken = items.into_iter().enumerate().filter_map(|(place, item)| {
            places.next_if_eq(&place)?;
            Some(Item { content: Content::Encoded(Vec::new()), ..item })
        });
        let taken = taken.collect();
        let worker = origin.worker;
        lock(&self.finished).push(Finished { origin, waiter, taken, error });
        registry.post(worker, Mail::Migrated);
    }

    /// Takes the finished migrations of a worker's clients, oldest first.
    pub fn take_finished(&self, worker: usize) -> Vec<Finished> {
        let mut finished = lock(&self.finished);
        finished.extract_if(.., |finished| finished.origin.worker == worker).collect()
    }

    /// Returns those that have to wait (for a pause to end).
    pub fn put_back(&self, finished: Vec<Finished>) {
        lock(&self.finished).splice(0..0, finished);
    }

    /// Number of cached connections to targets: INFO's `migrate_cached_sockets`.
    pub fn kept_connections(&self) -> usize {
        self.kept_connections.load(Ordering::Relaxed)
    }

    /// Sets the number of cached connections to targets.
    pub fn note_kept(&self, connections: usize) {
        self.kept_connections.store(connections, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
