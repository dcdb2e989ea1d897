//! What a command leaves behind besides its reply.
//!
//! A handler that changes data records effects in the form that Redis would replicate (`SET …
//! PXAT`, `DEL` for an expiry, …), with the keyspace events that subscribers may want and the
//! requests that only the server can carry out. The dispatcher hands the records to the
//! replication log while the unit's locks are still held, so that the order of records is the order
//! of changes.
//!
//! **Invariants.** Nothing here blocks. Unless someone records, no record is built.

use redix_resp::request::{encode_command, encode_words};

use crate::channel::Outgoing;

/// Writes in the form in which replicas and the append-only file receive them: each an array of
/// bulk strings, encoded one behind the other.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// Where a record ends, and the database it applies to.
#[derive(Debug, Clone, Copy)]
struct Frame {
    db: u32,
    end: usize,
}

/// The most memory that is kept for the next unit's records.
const KEPT_BYTES_MAX: usize = 64 * 1024;

impl Records {
    /// Adds a command and its arguments.
    pub fn push(&mut self, db: u32, argv: &[impl AsRef<[u8]>]) {
        encode_command(&mut self.bytes, argv);
        self.frames.push(Frame { db, end: self.bytes.len() });
    }

    /// Adds a command in its own words.
    // HOT PATH: once per write while somebody records; allocates only to grow.
    pub fn push_words<'a>(&mut self, db: u32, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        encode_words(&mut self.bytes, words);
        self.frames.push(Frame { db, end: self.bytes.len() });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Each record's database and bytes.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let starts = std::iter::once(0).chain(self.frames.iter().map(|frame| frame.end));
        let frames = self.frames.iter().zip(starts);
        frames.map(|(frame, start)| (frame.db, &self.bytes[start..frame.end]))
    }

    /// All bytes, one record behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes, so that they need not be copied; nothing is left.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.frames.clear();
        std::mem::take(&mut self.bytes)
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}

/// Classes of keyspace events.
pub use crate::config::notify as class;

/// A keyspace event that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its class, one of [`class`].
    pub class: u32,
    /// Its name, for example `set`.
    pub name: &'static str,
    /// The database.
    pub db: u32,
    /// The key.
    pub key: Vec<u8>,
}

/// What the subscribers of channels are told of a unit.
#[derive(Debug)]
pub enum Notice {
    /// A keyspace event.
    Event(Event),
    /// A message that it has published.
    Message(Outgoing),
}

/// What only the server can do; it is done by the worker once the command's locks are released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Wake the saver: a background save has begun or is to be given up.
    BgSave,
    /// Send what the connection's feed holds, from now on: it has become a replica.
    Feed,
    /// Deliver the worker's own mail before anything else is executed for the connection: it may
    /// have published to itself.
    Deliver,
    /// Carry out the migrations that wait: the connection is blocked until one has ended.
    Migrate,
    /// Close the connection without sending what it is owed: a reply was given up because it is
    /// more than the client may be owed.
    Overflow,
    /// Stop the process.
    Shutdown(Shutdown),
}

/// How to shut down; source: the options of the SHUTDOWN command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// `SAVE` (`Some(true)`), `NOSAVE` (`Some(false)`) or as configured.
    pub save: Option<bool>,
    /// `NOW`: do not wait for replicas.
    pub now: bool,
    /// `FORCE`: go on where saving fails.
    pub force: bool,
}

/// What the unit under way has left behind so far.
#[derive(Debug, Default)]
pub struct Effects {
    recording: bool,
    event_mask: u32,
    records: Records,
    notices: Vec<Notice>,
    restated: bool,
    freed_long: bool,
    dirty: u64,
}

impl Effects {
    /// Prepares for a unit: whether records are wanted, and which event classes somebody asked for.
    #[inline]
    pub fn begin(&mut self, recording: bool, event_mask: u32) {
        self.recording = recording;
        self.event_mask = event_mask;
        if !self.records.is_empty() || !self.notices.is_empty() {
            self.records.clear();
            self.notices.clear();
        }
        self.restated = false;
        self.freed_long = false;
        self.dirty = 0;
    }

    /// Whether records are wanted.
    #[inline]
    pub fn recording(&self) -> bool {
        self.recording
    }

    /// Counts a change to the data, as `rdb_changes_since_last_save` does.
    #[inline]
    pub fn add_dirty(&mut self, changes: u64) {
        self.dirty += changes;
    }

    /// States that the unit frees a value that is not small.
    #[inline]
    pub fn note_freed_long(&mut self) {
        self.freed_long = true;
    }

    /// Whether the unit freed a value that is not small.
    #[inline]
    pub fn freed_long(&self) -> bool {
        self.freed_long
    }

    /// Changes counted so far.
    #[inline]
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// States the form in which the command under way is logged, instead of its own words.
    pub fn log(&mut self, db: u32, argv: &[&[u8]]) {
        self.restated = true;
        self.log_also(db, argv);
    }

    /// Logs something that the command did besides itself, such as the deletion of an expired key.
    pub fn log_also(&mut self, db: u32, argv: &[&[u8]]) {
        if self.recording {
            self.records.push(db, argv);
        }
    }

    /// Logs the command under way in its own words.
    pub fn log_words<'a>(&mut self, db: u32, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.recording {
            self.records.push_words(db, words);
        }
    }

    /// States that the command under way leaves no record of itself, whatever it changed.
    pub fn log_nothing(&mut self) {
        self.restated = true;
    }

    /// Whether the command under way stated its own form; asking resets the statement.
    pub fn take_restated(&mut self) -> bool {
        std::mem::take(&mut self.restated)
    }

    /// Notes a keyspace event.
    #[inline]
    pub fn notify(&mut self, class: u32, name: &'static str, db: u32, key: &[u8]) {
        if self.event_mask & class != 0 {
            self.notices.push(Notice::Event(Event { class, name, db, key: key.to_vec() }));
        }
    }

    /// Sends a message when the unit ends.
    pub fn publish(&mut self, message: Outgoing) {
        self.notices.push(Notice::Message(message));
    }

    /// The records so far, to be handed on.
    #[inline]
    pub fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    /// What subscribers are to be told, in the order in which it happened.
    #[inline]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Takes what subscribers are to be told; nothing is left.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}
