//! Keys on their way to another server: what MIGRATE leaves to be done without locks.
//!
//! The command takes hold of its keys under their locks and blocks its client; what it holds, a
//! [`Migration`], waits in [`Migrations`]. The process connects to the target and lets
//! [`Migration::converse`] speak to it. Then the client's worker finds the [`Finished`] one,
//! deletes what the target has taken, as a unit of its own, and answers.
//!
//! A value that is not small is shared with the keyspace instead of being copied: under the locks
//! that costs a reference per piece, and it is serialised by whoever speaks to the target. Who
//! writes to it meanwhile copies the piece that it changes.
//!
//! **Invariants.** A key is deleted only if the target has said that it took it and nobody has
//! changed it since it was taken hold of: each has a watch of its own. That does not depend on the
//! client, which may be gone by then. Whatever has been begun comes to its end; what has not, goes
//! with its client.

use std::collections::VecDeque;
use std::io;

use redix_types::entry::{EntryRef, HeapValue};

use crate::blocking::Waiter;
use crate::command::table::Command;
use crate::config::Config;
use crate::error::ReplyError;
use crate::keyspace::shard::WatchFlag;
use crate::mailbox::Mail;
use crate::rdb::format::WriteVersion;
use crate::rdb::write::RecordEncoder;
use crate::registry::Registry;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Values that take at least so many bytes are shared rather than serialised under the locks, which
/// costs about a microsecond per kilobyte.
const SHARE_LEN_MIN: usize = 4096;
/// When what is to be sent is handed on.
const SEND_BYTES: usize = 64 << 10;

/// The server that keys go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name or address.
    pub host: Vec<u8>,
    /// Its port, as far as it is a number.
    pub port: i64,
}

/// Who this server is to the target.
#[derive(Debug)]
pub struct Login {
    /// The user; none: the default one.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// What is done with the keys.
#[derive(Debug)]
pub struct Order {
    /// Where they go.
    pub target: Target,
    /// The database there.
    pub db: i64,
    /// How many milliseconds one step of the conversation may take.
    pub timeout_ms: u64,
    /// What is said first.
    pub login: Option<Login>,
    /// Whether they take the place of keys of the same name.
    pub replace: bool,
}

/// What is sent of a value.
#[derive(Debug)]
enum Content {
    /// Its payload.
    Encoded(Vec<u8>),
    /// The value, to be encoded.
    Shared(HeapValue),
}

/// One key.
#[derive(Debug)]
pub struct Item {
    key: Vec<u8>,
    expire_at_ms: Option<i64>,
    content: Content,
    /// Set by whoever changes the key; none if it is to stay.
    watch: Option<Arc<WatchFlag>>,
}

impl Item {
    /// Takes hold of a key. `watch` is that of a key that is to be deleted.
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

    /// Whether it is to be deleted here.
    pub fn goes(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether somebody has changed it.
    pub fn has_changed(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_set())
    }
}

/// What encodes the payloads that a configuration asks for.
pub fn encoder(config: &Config) -> RecordEncoder {
    let version = if config.rdb_version < 11 { WriteVersion::V10 } else { WriteVersion::V11 };
    RecordEncoder::new(version, config.rdbcompression)
}

/// Where keys come from.
#[derive(Debug)]
pub struct Origin {
    /// The worker of the client that has asked.
    pub worker: usize,
    /// The database here.
    pub db: u32,
    /// Whether this server was a replica.
    pub was_replica: bool,
    /// The command, under the name that it has.
    pub command: Command,
}

/// A connection to a target. Each call takes as long as one step may take.
pub trait Wire {
    /// Sends all of it.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Reads a line into `out`, without its end.
    fn line(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Keys on their way.
pub struct Migration {
    /// What is done.
    pub order: Order,
    /// Where they come from.
    pub origin: Origin,
    items: Vec<Item>,
    waiter: Arc<Waiter>,
    encoder: RecordEncoder,
}

impl Migration {
    /// Keys on their way on behalf of a client that waits.
    pub fn new(
        order: Order,
        origin: Origin,
        items: Vec<Item>,
        encoder: RecordEncoder,
        waiter: Arc<Waiter>,
    ) -> Self {
        Self { order, origin, items, waiter, encoder }
    }

    /// Sends the keys to the target and hears what it says. `selected` is the database that the
    /// connection has selected, as far as that is known; `now_ms` is Unix time.
    pub fn converse(&mut self, wire: &mut dyn Wire, selected: Option<i64>, now_ms: i64) -> Outcome {
        match self.send(wire, selected, now_ms) {
            Ok(sent) => self.hear(wire, selected, &sent),
            Err(error) => Outcome::broken(Step::Writing, &error),
        }
    }

    /// Returns the places of the items that were sent: not those that have expired meanwhile.
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
                // Not copied.
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
        // Who was not let in, or is in another database, has not brought the keys where they
        // belong, whatever is said about each.
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

/// What this server was about when a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding the target.
    Connecting,
    /// Sending.
    Writing,
    /// Waiting for replies.
    Reading,
}

/// How a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken {
    step: Step,
    /// It was closed, not silent, before the target had said anything about a key: it may have been
    /// closed long ago, so that another is worth a try.
    again: bool,
}

/// What has come of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The places of the items that the target has taken.
    taken: Vec<usize>,
    /// The first error that it has replied.
    refusal: Option<Vec<u8>>,
    broken: Option<Broken>,
}

impl Outcome {
    /// Nothing: the connection has failed.
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

    /// Whether another connection is worth a try, if this was not a new one.
    pub fn worth_another_try(&self) -> bool {
        self.broken.is_some_and(|broken| broken.again)
    }

    /// The database that the connection has selected now, as far as that is known, if the
    /// connection can be used again.
    pub fn leaves_selected(&self, db: i64) -> Option<Option<i64>> {
        if self.broken.is_some() {
            return None;
        }
        Some(self.refusal.is_none().then_some(db))
    }

    /// What the client is told if nothing happens here.
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

/// What is told about a key that was changed while it was on its way.
const CHANGED: ReplyError = ReplyError::Static(
    "IOERR the key was changed while it was migrated: it stays, and the target instance has it as \
     it was before",
);

/// A migration whose target has said all that it will say.
pub struct Finished {
    /// Where the keys come from.
    pub origin: Origin,
    /// Who waits for the answer.
    pub waiter: Arc<Waiter>,
    /// What the target has taken.
    pub taken: Vec<Item>,
    error: Option<ReplyError>,
}

impl Finished {
    /// The answer, where `changed` says that some of what was taken had changed.
    pub fn answer(&self, changed: bool) -> Result<(), ReplyError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None if changed => Err(CHANGED),
            None => Ok(()),
        }
    }
}

/// All migrations under way but those in the hands of who speaks to a target.
#[derive(Default)]
pub struct Migrations {
    waiting: Mutex<VecDeque<Migration>>,
    finished: Mutex<Vec<Finished>>,
    /// Connections to targets that are kept open.
    kept_connections: AtomicUsize,
}

impl Migrations {
    /// Leaves one to be carried out; `Request::Migrate` has somebody look.
    pub fn begin(&self, migration: Migration) {
        lock(&self.waiting).push_back(migration);
    }

    /// How many wait to be carried out.
    pub fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// The next one to carry out. Those whose clients are gone are dropped.
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
        // What was shared is let go of here: deleting it then leaves it to the free list.
        let taken = items.into_iter().enumerate().filter_map(|(place, item)| {
            places.next_if_eq(&place)?;
            Some(Item { content: Content::Encoded(Vec::new()), ..item })
        });
        let taken = taken.collect();
        let worker = origin.worker;
        lock(&self.finished).push(Finished { origin, waiter, taken, error });
        registry.post(worker, Mail::Migrated);
    }

    /// Takes out those of a worker's clients, in the order in which they have finished.
    pub fn take_finished(&self, worker: usize) -> Vec<Finished> {
        let mut finished = lock(&self.finished);
        finished.extract_if(.., |finished| finished.origin.worker == worker).collect()
    }

    /// Puts those back for which it is not the time.
    pub fn put_back(&self, finished: Vec<Finished>) {
        lock(&self.finished).splice(0..0, finished);
    }

    /// How many connections to targets are kept open: INFO's `migrate_cached_sockets`.
    pub fn kept_connections(&self) -> usize {
        self.kept_connections.load(Ordering::Relaxed)
    }

    /// Notes how many connections to targets are kept open.
    pub fn note_kept(&self, connections: usize) {
        self.kept_connections.store(connections, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
