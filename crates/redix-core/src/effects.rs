//! The effects of a command besides its reply.
//!
//! A handler that changes data records its effects in the form that Redis would replicate (`SET …
//! PXAT`, `DEL` for an expiry, …), with keyspace events and requests that only the server can carry
//! out. The dispatcher appends the records to the replication log while the unit's locks are held,
//! so that the order of records is the order of changes.
//!
//! **Invariants.** Nothing here blocks. No record is built unless the log is recorded.

use redix_resp::request::{encode_command, encode_words};
use smallvec::SmallVec;

use crate::channel::Outgoing;

/// Write commands as replicas and the append-only file receive them: each an array of bulk strings,
/// encoded one behind the other.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// Who receives a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audience {
    /// Replicas and the append-only file.
    #[default]
    All,
    /// Replicas.
    Replicas,
    /// The append-only file.
    File,
}

/// The end of a record, its database, and who receives it.
#[derive(Debug, Clone, Copy)]
struct Frame {
    db: u32,
    audience: Audience,
    end: usize,
}

/// One write command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// Its database.
    pub db: u32,
    /// Who receives it.
    pub audience: Audience,
    /// The encoded command.
    pub bytes: &'r [u8],
}

/// The most memory kept for the next unit's records.
const KEPT_BYTES_MAX: usize = 64 * 1024;

impl Records {
    /// Appends a command.
    pub fn push(&mut self, db: u32, argv: &[impl AsRef<[u8]>]) {
        encode_command(&mut self.bytes, argv);
        self.frames.push(Frame { db, audience: Audience::All, end: self.bytes.len() });
    }

    /// Appends a command as received.
    // HOT PATH: once per write while the log is recorded; allocates only to grow.
    pub fn push_words<'a>(&mut self, db: u32, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        encode_words(&mut self.bytes, words);
        self.frames.push(Frame { db, audience: Audience::All, end: self.bytes.len() });
    }

    /// Sets who receives the last command.
    #[inline]
    pub fn set_audience(&mut self, audience: Audience) {
        if let Some(frame) = self.frames.last_mut() {
            frame.audience = audience;
        }
    }

    /// Appends the records of another.
    pub fn extend(&mut self, other: &Records) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let frames = other.frames.iter();
        self.frames.extend(frames.map(|frame| Frame { end: start + frame.end, ..*frame }));
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are no records.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Each record.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let starts = std::iter::once(0).chain(self.frames.iter().map(|frame| frame.end));
        self.frames.iter().zip(starts).map(|(frame, start)| {
            let Frame { db, audience, end } = *frame;
            Record { db, audience, bytes: &self.bytes[start..end] }
        })
    }

    /// All records, concatenated.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes without a copy; leaves none.
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

/// The classes of keyspace events.
pub use crate::config::notify as class;

/// A keyspace event to be announced.
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

/// What a unit publishes to subscribers.
#[derive(Debug)]
pub enum Notice {
    /// A keyspace event.
    Event(Event),
    /// A message of PUBLISH.
    Message(Outgoing),
}

/// A change of a key of which clients that cache keys are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Box<[u8]>,
    /// The ids of the clients that have read it.
    pub cachers: SmallVec<[u64; 2]>,
    /// Whether the unit's client has made it: a key that expires changes by itself.
    pub by_author: bool,
}

/// An action of the server, carried out by the worker after the command's locks are released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Wake the saver: a background save has begun or is to be cancelled.
    BgSave,
    /// Start sending the connection's feed: it has become a replica.
    Feed,
    /// Deliver the worker's own mail before executing more of the connection's commands: it may
    /// have published to itself.
    Deliver,
    /// Replace the data set by that of the append-only file; the connection waits.
    LoadAof,
    /// Start the pending migrations; the connection is blocked until its own has ended.
    Migrate,
    /// Close the connection and discard its pending output: a reply was cut short because it
    /// exceeds the output limit.
    Overflow,
    /// Log a warning.
    Warn(String),
    /// Stop the process.
    Shutdown(Shutdown),
}

/// Options of a shutdown; source: the options of the SHUTDOWN command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// `SAVE` (`Some(true)`), `NOSAVE` (`Some(false)`) or as configured.
    pub save: Option<bool>,
    /// `NOW`: do not wait for replicas.
    pub now: bool,
    /// `FORCE`: exit even if saving fails.
    pub force: bool,
}

/// The effects of the present unit so far.
#[derive(Debug, Default)]
pub struct Effects {
    recording: bool,
    /// Who receives further records.
    audience: Audience,
    event_mask: u32,
    /// Whether the unit has records, notices or changes to hand over.
    pending: bool,
    records: Records,
    notices: Vec<Notice>,
    changes: Vec<Change>,
    flushed: bool,
    restated: bool,
    long: bool,
    dirty: u64,
}

impl Effects {
    /// Begins a unit: whether it records, and the event classes to be announced.
    #[inline(always)]
    pub fn begin(&mut self, recording: bool, event_mask: u32) {
        self.recording = recording;
        self.audience = Audience::All;
        self.event_mask = event_mask;
        if std::mem::take(&mut self.pending) {
            self.records.clear();
            self.notices.clear();
            self.changes.clear();
            self.flushed = false;
        }
        self.restated = false;
        self.long = false;
        self.dirty = 0;
    }

    /// Whether records are built.
    #[inline]
    pub fn recording(&self) -> bool {
        self.recording
    }

    /// Begins or ends recording within a unit, for these.
    pub fn set_recording(&mut self, recording: bool, audience: Audience) {
        (self.recording, self.audience) = (recording, audience);
    }

    /// Adds to the count of changes, `rdb_changes_since_last_save`.
    #[inline]
    pub fn add_dirty(&mut self, changes: u64) {
        self.dirty += changes;
    }

    /// Notes that the unit takes long, for example because it frees a value that is not small.
    #[inline]
    pub fn note_long(&mut self) {
        self.long = true;
    }

    /// Whether the unit is known to take long.
    #[inline]
    pub fn is_long(&self) -> bool {
        self.long
    }

    /// Changes counted so far.
    #[inline]
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// Logs the current command in this form instead of verbatim.
    pub fn log(&mut self, db: u32, argv: &[&[u8]]) {
        self.restated = true;
        self.log_also(db, argv);
    }

    /// Logs a side effect of the command, such as the deletion of an expired key.
    pub fn log_also(&mut self, db: u32, argv: &[&[u8]]) {
        if self.recording {
            self.pending = true;
            self.records.push(db, argv);
            self.address();
        }
    }

    /// Addresses the last record, unless it is for all.
    #[inline]
    fn address(&mut self) {
        if self.audience != Audience::All {
            self.records.set_audience(self.audience);
        }
    }

    /// Logs the current command verbatim.
    pub fn log_words<'a>(&mut self, db: u32, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.recording {
            self.pending = true;
            self.records.push_words(db, words);
            self.address();
        }
    }

    /// Logs a command that is for replicas and not for the append-only file.
    pub fn log_for_replicas<'a>(
        &mut self,
        db: u32,
        words: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        if self.recording && self.audience != Audience::File {
            self.pending = true;
            self.records.push_words(db, words);
            self.records.set_audience(Audience::Replicas);
        }
    }

    /// Does not log the current command, whatever it changed.
    pub fn log_nothing(&mut self) {
        self.restated = true;
    }

    /// Whether the current command was logged by its handler; resets that.
    pub fn take_restated(&mut self) -> bool {
        std::mem::take(&mut self.restated)
    }

    /// Records a keyspace event if its class is announced.
    #[inline]
    pub fn notify(&mut self, class: u32, name: &'static str, db: u32, key: &[u8]) {
        if self.event_mask & class != 0 {
            self.pending = true;
            self.notices.push(Notice::Event(Event { class, name, db, key: key.to_vec() }));
        }
    }

    /// Queues a message that is sent when the unit ends.
    pub fn publish(&mut self, message: Outgoing) {
        self.pending = true;
        self.notices.push(Notice::Message(message));
    }

    /// The records so far.
    #[inline]
    pub fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    /// Events and messages of the unit, in order.
    #[inline]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Records a change of which clients that cache keys are to be told.
    pub fn note_change(&mut self, change: Change) {
        self.pending = true;
        self.changes.push(change);
    }

    /// Records that all keys may have changed.
    pub fn note_flushed(&mut self) {
        self.pending = true;
        self.flushed = true;
    }

    /// Whether the unit may have records, notices or changes to hand over.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// Whether clients that cache keys may have to be told something.
    #[inline]
    pub fn invalidates(&self) -> bool {
        self.flushed || !self.changes.is_empty()
    }

    /// Takes the changes recorded for clients that cache keys, and whether all keys may have
    /// changed; leaves none.
    pub fn take_changes(&mut self) -> (Vec<Change>, bool) {
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.flushed))
    }

    /// Takes events and messages of the unit; leaves none.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}
