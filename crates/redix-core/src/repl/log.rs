//! The replication log: the stream of writes that replicas follow.
//!
//! Every unit that changed data is appended whole, under its shard locks, in the form in which a
//! replica receives it: commands as arrays of bulk strings, `SELECT` where the database changes,
//! `MULTI` and `EXEC` around a transaction. The bytes have *offsets*: `end` counts all bytes ever
//! produced, so a replica that has applied `n` bytes wants the one at offset `n` next (on the wire,
//! `PSYNC` names it `n + 1`).
//!
//! The bytes are in blocks behind one mutex that is held for one copy. The last `repl-backlog-size`
//! bytes are kept, and whatever a [`Reader`] has not read yet. Trimming drops whole blocks, and a
//! large unit is one block: the part of it beyond the backlog is not offered to new readers, who
//! would exceed the output limit of replicas. Nobody waits for a reader: its owner closes one that
//! lags too far.
//!
//! The stream has a name, the *replication id*. It changes whenever bytes may have gone unrecorded,
//! and when a replica becomes a primary, which keeps its former primary's id as second id, valid up
//! to the offset of the change. Source: Redis documentation, "Replication", and the fields of `INFO
//! replication`.
//!
//! The append-only file is written from the same bytes ([`Log::read_records`]), without those that
//! only concern replicas: PING, GETACK, messages of PUBLISH, which are not recorded without a
//! backlog. What only concerns the file (`redis.set_repl`) has no offsets and is kept apart, with
//! the place where it is inserted; a PING follows it where the stream would not grow otherwise, so
//! that the end of the log still tells whether the file lacks something. Without a backlog it is
//! part of the stream. While the file is on, the stream is recorded without replicas too; only for
//! replicas is a backlog kept.
//!
//! What replicas that are being synchronised retain beyond a limit is moved to disk ([`spill`]).
//!
//! Rejected: a ring of fixed size, which would have to be as large as the slowest replica's lag;
//! and a buffer for each replica, which copies every write once for each.
//!
//! **Invariants.** The mutex is a leaf. The end never decreases while the id stays. Recording
//! starts and stops in the world, so every unit sees one answer to [`Log::active`].

mod audience;
mod blocks;
mod spill;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use redix_resp::request::encode_command;

use crate::effects::{Audience, Record, Records};
use crate::env::Entropy;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use blocks::{BLOCK_BYTES, Blocks};
use spill::Segment;

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A replication id: 40 hexadecimal digits, in either case.
#[derive(Debug, Clone, Copy)]
pub struct ReplId([u8; 40]);

impl PartialEq for ReplId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ReplId {}

impl ReplId {
    /// The id that stands for none.
    pub const NONE: Self = Self([b'0'; 40]);

    /// A new random id.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut raw = [0; 20];
        entropy.fill(&mut raw);
        let mut text = [0; 40];
        for (pair, byte) in text.chunks_exact_mut(2).zip(raw) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// Parses an id from the wire or a file: any 40 visible characters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; 40] = text.try_into().ok()?;
        text.iter().all(u8::is_ascii_graphic).then_some(Self(text))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it was made of ASCII")
    }
}

/// A position in a replication stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The replication id.
    pub id: ReplId,
    /// The offset.
    pub offset: u64,
}

/// The replication ids of a stream and their offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The present id.
    pub id: ReplId,
    /// The former primary's id, [`ReplId::NONE`] if there was none.
    pub id2: ReplId,
    /// The offset up to which the second id is valid: the end of the stream when it was replaced.
    pub id2_end: u64,
    /// Bytes ever produced under these ids: `master_repl_offset`.
    pub end: u64,
}

impl History {
    /// `second_repl_offset` of INFO: the first offset that the second id does not cover, -1 without
    /// a second id.
    pub fn second_offset(&self) -> i64 {
        if self.id2 == ReplId::NONE { -1 } else { self.id2_end as i64 + 1 }
    }
}

/// The extent of the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The offset of the first byte kept.
    pub start: u64,
    /// Bytes kept: `repl_backlog_histlen`.
    pub len: u64,
    /// Memory that they take, in bytes.
    pub memory: u64,
}

/// The offset is not in the log: no longer, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfReach;

/// Why a partial resynchronisation is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotResume {
    /// The replication id is unknown.
    UnknownId,
    /// The offset is beyond the end of the second id.
    BeyondId2,
    /// The offset is not in the log: no longer, or not yet.
    OutOfReach,
    /// The replica lags by more than its output limit: it would be closed at once.
    BeyondLimit,
}

impl From<OutOfReach> for CannotResume {
    fn from(_: OutOfReach) -> Self {
        Self::OutOfReach
    }
}

/// The stream of writes.
pub struct Log {
    active: AtomicBool,
    /// A backlog is kept: there are replicas, or were lately.
    backlog: AtomicBool,
    /// The end as of the last append, readable without the lock.
    end: AtomicU64,
    /// The first byte in memory, as of the last change, readable without the lock.
    memory_from: AtomicU64,
    /// Memory beyond the size of the backlog, in bytes, as of the last change.
    beyond_backlog: AtomicU64,
    /// Readers retain more memory than they should.
    wants_spill: AtomicBool,
    /// The last attempt to move something to disk has succeeded, or there was none.
    spill_works: AtomicBool,
    state: Mutex<State>,
}

struct State {
    history: History,
    blocks: Blocks,
    backlog_bytes: u64,
    /// The database selected at the end of the stream; `None`: SELECT comes next.
    db: Option<u32>,
    readers: Vec<Arc<Place>>,
    /// Whether the append-only file is written from it.
    recorded: bool,
    /// Bytes that are not for the append-only file, which has not read past them.
    replicas_only: VecDeque<Range<u64>>,
    /// What is for the append-only file alone, by the offset before which it is inserted there.
    file_only: VecDeque<(u64, Vec<u8>)>,
    /// What is on disk, before what is in memory.
    spilled: VecDeque<Arc<Segment>>,
    /// Segments that nobody needs, to be closed outside of the mutex.
    unneeded: Vec<Arc<Segment>>,
    /// The last segment is not to be continued.
    sealed: bool,
    /// Bytes of memory, beside the backlog, from which on readers spill.
    spill_above: u64,
    /// A number that changes when the stream begins anew.
    epoch: u64,
}

/// What [`Log::read_records`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes.
    Records(usize),
    /// This many bytes that are not for the append-only file.
    ReplicasOnly(u64),
    /// Bytes for the append-only file alone, which do not count.
    FileOnly,
}

/// A position in the stream: bytes from there on are kept while it lives.
#[derive(Debug)]
pub struct Reader {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    offset: AtomicU64,
    spills: AtomicBool,
}

impl Place {
    fn at(offset: u64) -> Arc<Self> {
        Arc::new(Self { offset: AtomicU64::new(offset), spills: AtomicBool::new(false) })
    }

    fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    fn spills(&self) -> bool {
        self.spills.load(Ordering::Relaxed)
    }
}

impl Reader {
    /// The offset of the next byte to read.
    pub fn offset(&self) -> u64 {
        self.place.offset()
    }

    /// Declares the bytes before `offset` read.
    pub fn advance_to(&self, offset: u64) {
        self.place.offset.store(offset, Ordering::Relaxed);
    }

    /// Whether what it retains may be moved to disk.
    pub fn spills(&self) -> bool {
        self.place.spills()
    }

    /// Sets whether what it retains may be moved to disk. What is there already stays readable.
    pub fn set_spills(&self, spills: bool) {
        self.place.spills.store(spills, Ordering::Relaxed);
    }
}

impl Log {
    /// A stream that is not recorded yet.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let history =
            History { id: ReplId::random(entropy), id2: ReplId::NONE, id2_end: 0, end: 0 };
        Self {
            active: AtomicBool::new(false),
            backlog: AtomicBool::new(false),
            end: AtomicU64::new(0),
            memory_from: AtomicU64::new(0),
            beyond_backlog: AtomicU64::new(0),
            wants_spill: AtomicBool::new(false),
            spill_works: AtomicBool::new(true),
            state: Mutex::new(State {
                history,
                blocks: Blocks::default(),
                backlog_bytes: 0,
                db: None,
                readers: Vec::new(),
                recorded: false,
                replicas_only: VecDeque::new(),
                file_only: VecDeque::new(),
                spilled: VecDeque::new(),
                unneeded: Vec::new(),
                sealed: false,
                spill_above: u64::MAX,
                epoch: 0,
            }),
        }
    }

    /// Whether the stream is recorded.
    #[inline]
    pub fn active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Bytes ever produced: `master_repl_offset`.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The first byte in memory.
    #[inline]
    fn memory_from(&self) -> u64 {
        self.memory_from.load(Ordering::Acquire)
    }

    fn note_memory(&self, state: &State) {
        let from = state.memory_from();
        self.memory_from.store(from, Ordering::Release);
        let beyond = state.blocks.memory().saturating_sub(state.backlog_bytes);
        self.beyond_backlog.store(beyond, Ordering::Relaxed);
    }

    /// Memory that is kept for readers beyond the size of the backlog, in bytes.
    #[inline]
    pub fn memory_beyond_backlog(&self) -> u64 {
        self.beyond_backlog.load(Ordering::Relaxed)
    }

    /// Bytes that a reader has not read and that are in memory.
    pub fn unread_in_memory(&self, reader: &Reader) -> u64 {
        self.end().saturating_sub(reader.offset().max(self.memory_from()))
    }

    /// The replication ids.
    pub fn history(&self) -> History {
        lock(&self.state).history
    }

    /// Whether a backlog is kept.
    #[inline]
    pub fn has_backlog(&self) -> bool {
        self.backlog.load(Ordering::Relaxed)
    }

    /// The extent of the backlog; `None` while none is kept.
    pub fn backlog(&self) -> Option<Backlog> {
        if !self.has_backlog() {
            return None;
        }
        let state = lock(&self.state);
        let start = state.memory_from().max(state.kept_from());
        Some(Backlog { start, len: state.history.end - start, memory: state.blocks.memory() })
    }

    /// Starts keeping a backlog; in the world. Unless the stream is recorded already, earlier
    /// writes were not, so it gets a new id.
    pub fn start(&self, backlog_bytes: u64, entropy: &dyn Entropy) {
        let mut state = lock(&self.state);
        if self.active() {
            state.backlog_bytes = backlog_bytes;
        } else {
            state.begin(backlog_bytes, ReplId::random(entropy));
        }
        self.backlog.store(true, Ordering::Release);
        self.active.store(true, Ordering::Release);
    }

    /// Starts recording for the append-only file, from here on; in the world.
    pub fn start_recording(&self, entropy: &dyn Entropy) -> Reader {
        let mut state = lock(&self.state);
        if !self.active() {
            state.begin(0, ReplId::random(entropy));
            self.active.store(true, Ordering::Release);
        }
        state.recorded = true;
        let end = state.history.end;
        state.new_reader(end)
    }

    /// Ends recording for the append-only file; in the world, or while nobody writes. Without a
    /// backlog nothing is recorded any more.
    pub fn stop_recording(&self, entropy: &dyn Entropy) {
        let mut state = lock(&self.state);
        state.recorded = false;
        state.replicas_only.clear();
        state.file_only.clear();
        if self.has_backlog() {
            state.trim();
        } else {
            self.active.store(false, Ordering::Release);
            state.forget(entropy);
        }
        self.note_memory(&state);
    }

    /// Continues a primary's stream from `end` on, under its id; in the world. The append-only file
    /// is not written from it at this time.
    pub fn adopt(&self, id: ReplId, end: u64, backlog_bytes: u64) {
        let mut state = lock(&self.state);
        debug_assert!(!state.recorded, "what was not written yet would be lost");
        state.history.end = end;
        state.begin(backlog_bytes, id);
        self.end.store(end, Ordering::Release);
        self.backlog.store(true, Ordering::Release);
        self.active.store(true, Ordering::Release);
    }

    /// Adopts the primary's new id and keeps the old one as second id; in the world. The stream
    /// itself is the same up to here.
    pub fn rename(&self, id: ReplId) {
        let mut state = lock(&self.state);
        state.history.id2 = state.history.id;
        state.history.id2_end = state.history.end;
        state.history.id = id;
    }

    /// Continues under a new unknown id, so that nobody can resume from before; in the world.
    pub fn disown(&self, entropy: &dyn Entropy) {
        let history = &mut lock(&self.state).history;
        history.id = ReplId::random(entropy);
        history.id2 = ReplId::NONE;
    }

    /// Continues the former primary's stream as a primary; in the world.
    pub fn take_over(&self, entropy: &dyn Entropy) {
        self.rename(ReplId::random(entropy));
        lock(&self.state).db = None;
    }

    /// Drops the backlog and the ids; in the world. Unless the append-only file is written from it,
    /// further writes are not recorded.
    pub fn stop(&self, entropy: &dyn Entropy) {
        let mut state = lock(&self.state);
        self.backlog.store(false, Ordering::Release);
        state.backlog_bytes = 0;
        if state.recorded {
            state.history.id = ReplId::random(entropy);
            state.history.id2 = ReplId::NONE;
            state.trim();
        } else {
            self.active.store(false, Ordering::Release);
            state.forget(entropy);
        }
        self.note_memory(&state);
    }

    /// Sets the size of the backlog.
    pub fn set_backlog_bytes(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.backlog_bytes = bytes;
        state.trim();
        self.note_memory(&state);
    }

    /// Drops bytes that were kept for readers that no longer exist.
    pub fn trim(&self) {
        let mut state = lock(&self.state);
        state.trim();
        self.note_memory(&state);
        self.note_pressure(&state);
    }

    /// Records whether there is something to move to disk, or to close there.
    fn note_pressure(&self, state: &State) {
        if state.exceeds_memory() || !state.unneeded.is_empty() {
            self.wants_spill.store(true, Ordering::Relaxed);
        }
    }

    /// Makes SELECT precede the next record: for readers that begin at the end.
    pub fn forget_db(&self) {
        lock(&self.state).db = None;
    }

    /// The database selected at the end of the stream, if known.
    pub fn db(&self) -> Option<u32> {
        lock(&self.state).db
    }

    /// Appends the records of one unit, under the unit's locks. `multi`: several records form one
    /// transaction. Returns the new end.
    pub fn append(&self, records: &mut Records, multi: bool) -> u64 {
        let (mut state, backlog) = (lock(&self.state), self.has_backlog());
        let multi = multi && records.len() > 1;
        let first = records.iter().next().map(|Record { db, audience, .. }| (db, audience));
        if records.len() == 1
            && records.bytes().len() >= BLOCK_BYTES
            && let Some((db, audience)) = first.filter(|(_, audience)| *audience != Audience::File)
        {
            let bytes = records.take_bytes();
            if audience == Audience::All || backlog {
                state.select(db);
                let begin = state.history.end;
                state.put_block(bytes);
                if audience == Audience::Replicas {
                    state.note_replicas_only(begin);
                }
            }
        } else if backlog && records.iter().all(|record| record.audience == Audience::File) {
            state.insert(records.iter(), multi);
        } else {
            if multi {
                state.put(MULTI);
            }
            for record in records.iter() {
                state.put_record(record, backlog);
            }
            if multi {
                state.put(EXEC);
            }
        }
        if state.file_only.back().is_some_and(|(at, _)| *at == state.history.end) {
            let begin = state.history.end;
            state.put(PING);
            state.note_replicas_only(begin);
        }
        self.finish(state)
    }

    /// Appends raw bytes of a primary's stream. Returns the new end.
    pub fn append_raw(&self, bytes: &[u8]) -> u64 {
        let mut state = lock(&self.state);
        state.put(bytes);
        self.finish(state)
    }

    /// Appends raw bytes that only concern replicas: PING, GETACK. Returns the new end.
    pub fn append_for_replicas(&self, bytes: &[u8]) -> u64 {
        let mut state = lock(&self.state);
        let begin = state.history.end;
        state.put(bytes);
        state.note_replicas_only(begin);
        self.finish(state)
    }

    fn finish(&self, mut state: crate::sync::MutexGuard<'_, State>) -> u64 {
        state.trim();
        let end = state.history.end;
        self.end.store(end, Ordering::Release);
        self.note_memory(&state);
        self.note_pressure(&state);
        end
    }

    /// A reader from `offset` on.
    pub fn reader(&self, offset: u64) -> Result<Reader, OutOfReach> {
        let mut state = lock(&self.state);
        if offset < state.start() || offset > state.history.end {
            return Err(OutOfReach);
        }
        let reader = state.new_reader(offset);
        reader.set_spills(offset < state.memory_from());
        Ok(reader)
    }

    /// A reader for a replica that has applied `offset` bytes of the stream `id`.
    pub fn resume(&self, id: ReplId, offset: u64) -> Result<Reader, CannotResume> {
        let history = self.history();
        if id != history.id {
            if id != history.id2 || id == ReplId::NONE {
                return Err(CannotResume::UnknownId);
            }
            if offset > history.id2_end {
                return Err(CannotResume::BeyondId2);
            }
        }
        if self.active() { Ok(self.reader(offset)?) } else { Err(CannotResume::OutOfReach) }
    }

    /// Appends up to about `max` bytes (at most the rest of a block more) from the reader's
    /// position to `out` and advances it. Returns how many: 0 too while the next ones are being
    /// moved to disk. Errors: they are on disk and cannot be read.
    pub fn read(&self, reader: &Reader, max: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        if reader.offset() < self.memory_from()
            && let Some(count) = self.read_spilled(reader, max, out)
        {
            return count;
        }
        let state = lock(&self.state);
        let count = state.blocks.copy(reader.offset(), max, out);
        reader.place.offset.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Appends what is next for the append-only file to `out`: what is inserted before `offset`,
    /// unless it `has_inserted` that already, or up to `max` bytes from there on, but not past
    /// bytes that are not for the file. A reader must be at `offset` or before it.
    pub fn read_records(
        &self,
        offset: u64,
        has_inserted: bool,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Piece {
        let state = lock(&self.state);
        let here = if has_inserted { offset + 1 } else { offset };
        let next = state.file_only.partition_point(|(at, _)| *at < here);
        let until_inserted = match state.file_only.get(next) {
            Some((at, bytes)) if *at == offset => {
                out.extend_from_slice(bytes);
                return Piece::FileOnly;
            }
            Some((at, _)) => at - offset,
            None => u64::MAX,
        };
        let at = state.replicas_only.partition_point(|range| range.end <= offset);
        let until_replicas_only = match state.replicas_only.get(at) {
            Some(range) if range.start <= offset => {
                return Piece::ReplicasOnly((range.end - offset).min(until_inserted));
            }
            Some(range) => range.start - offset,
            None => u64::MAX,
        };
        let until = until_replicas_only.min(until_inserted);
        let max = usize::try_from(until).unwrap_or(usize::MAX).min(max);
        Piece::Records(state.blocks.copy(offset, max, out))
    }

    /// Forgets which bytes before `offset` are not for the append-only file, and what was to be
    /// inserted before them: it will not ask.
    pub fn forget_written(&self, offset: u64) {
        let mut state = lock(&self.state);
        while state.replicas_only.front().is_some_and(|range| range.end <= offset) {
            state.replicas_only.pop_front();
        }
        while state.file_only.front().is_some_and(|(at, _)| *at < offset) {
            state.file_only.pop_front();
        }
    }
}

fn encode_select(db: u32, out: &mut Vec<u8>) {
    encode_command(out, &[&b"SELECT"[..], db.to_string().as_bytes()]);
}

impl State {
    /// Begins a stream under this id.
    fn begin(&mut self, backlog_bytes: u64, id: ReplId) {
        (self.history.id, self.history.id2, self.history.id2_end) = (id, ReplId::NONE, 0);
        self.clear();
        self.readers.clear();
        self.replicas_only.clear();
        self.file_only.clear();
        self.backlog_bytes = backlog_bytes;
        self.db = None;
    }

    /// Drops the bytes and the ids.
    fn forget(&mut self, entropy: &dyn Entropy) {
        self.history.id = ReplId::random(entropy);
        self.history.id2 = ReplId::NONE;
        self.clear();
    }

    /// Drops the bytes.
    fn clear(&mut self) {
        self.blocks.clear();
        self.unneeded.extend(self.spilled.drain(..));
        self.epoch += 1;
    }

    fn new_reader(&mut self, offset: u64) -> Reader {
        let place = Place::at(offset);
        self.readers.push(Arc::clone(&place));
        Reader { place }
    }

    /// What was put since `begin` is not for the append-only file.
    fn note_replicas_only(&mut self, begin: u64) {
        if !self.recorded {
            return;
        }
        let end = self.history.end;
        match self.replicas_only.back_mut() {
            Some(last) if last.end == begin => last.end = end,
            _ => self.replicas_only.push_back(begin..end),
        }
    }

    /// The first byte that a new reader may start from.
    fn start(&self) -> u64 {
        self.spilled_from().unwrap_or_else(|| self.memory_from()).max(self.kept_from())
    }

    /// The first byte in memory.
    fn memory_from(&self) -> u64 {
        self.blocks.start().unwrap_or(self.history.end)
    }

    /// The first byte that the backlog or a reader needs.
    fn kept_from(&self) -> u64 {
        let kept_from = self.history.end.saturating_sub(self.backlog_bytes);
        let alive = |reader: &&Arc<Place>| Arc::strong_count(reader) > 1;
        let offsets = self.readers.iter().filter(alive).map(|reader| reader.offset());
        offsets.min().map_or(kept_from, |behind| behind.min(kept_from))
    }

    fn select(&mut self, db: u32) {
        if self.db == Some(db) {
            return;
        }
        self.db = Some(db);
        let mut bytes = Vec::new();
        encode_select(db, &mut bytes);
        self.put(&bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.blocks.put(self.history.end, bytes);
        self.history.end += bytes.len() as u64;
    }

    fn put_block(&mut self, bytes: Vec<u8>) {
        let len = bytes.len() as u64;
        self.blocks.put_block(self.history.end, bytes);
        self.history.end += len;
    }

    /// Drops blocks that neither the backlog nor a reader needs.
    fn trim(&mut self) {
        if !self.spilled.is_empty() {
            self.readers.retain(|reader| Arc::strong_count(reader) > 1);
            self.trim_spilled(self.kept_from());
        }
        let backlog_from = self.history.end.saturating_sub(self.backlog_bytes);
        if !self.blocks.first_ends_before(backlog_from) {
            return;
        }
        self.readers.retain(|reader| Arc::strong_count(reader) > 1);
        self.blocks.drop_before(self.kept_from());
    }
}
