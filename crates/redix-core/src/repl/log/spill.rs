//! The part of the log that is on disk instead of in memory.
//!
//! A replica that is being synchronised over a slow link falls behind by what is written meanwhile.
//! Closing it at its output limit would make it begin again, and fall behind again. Instead, once
//! it alone retains more than half of the limit, a thread moves what it retains to unnamed files,
//! in segments, which go when no reader needs them ([`Log::spill`]).
//!
//! Only readers that *spill* ([`Reader::spills`]) read from there: those of replicas that have not
//! caught up since their synchronisation. Any other reader retains memory, as before.
//!
//! **Invariants.** The segments are consecutive, and memory begins where they end or before. Files
//! are written, read, opened and closed outside of the log's mutex. A reader never waits for a
//! segment that is being written: it is told when more can be read.

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Log, Reader, State};
use crate::env::{Disk, SpillFile};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock, lock_within};

/// Bytes moved at once; the log's mutex is held while they are copied.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes at which a segment is complete, and removed as a whole.
const SEGMENT_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// A file with a part of the stream.
pub(super) struct Segment {
    from: u64,
    /// The offset behind its last byte.
    to: AtomicU64,
    file: Mutex<Box<dyn SpillFile>>,
}

impl Segment {
    fn to(&self) -> u64 {
        self.to.load(Ordering::Acquire)
    }

    /// Appends up to `max` bytes from `offset` on to `out`; 0 while it is being written.
    fn read(&self, offset: u64, max: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let Some(mut file) = lock_within(&self.file, Duration::ZERO) else { return Ok(0) };
        let left = usize::try_from(self.to() - offset).unwrap_or(usize::MAX);
        let before = out.len();
        out.resize(before + max.min(left), 0);
        let mut count = 0;
        while before + count < out.len() {
            match file.read_at(offset - self.from + count as u64, &mut out[before + count..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

/// A piece that is being moved.
struct Move {
    epoch: u64,
    segment: Option<Arc<Segment>>,
    from: u64,
}

impl Log {
    /// Whether [`Log::spill`] has something to do. Cheap.
    #[inline]
    pub fn wants_spill(&self) -> bool {
        self.wants_spill.load(Ordering::Relaxed)
    }

    /// Sets the limit from which on it does, in bytes of memory; `None`: nothing is moved to disk.
    pub fn spill_above(&self, memory: Option<u64>) {
        lock(&self.state).spill_above = memory.unwrap_or(u64::MAX);
    }

    /// Whether spilling works, as far as is known.
    pub fn spill_works(&self) -> bool {
        self.spill_works.load(Ordering::Relaxed)
    }

    /// Records whether it does.
    pub fn note_spill_works(&self, works: bool) {
        self.spill_works.store(works, Ordering::Relaxed);
    }

    /// Bytes on disk.
    pub fn spilled_bytes(&self) -> u64 {
        lock(&self.state).spilled_bytes()
    }

    /// Bytes of memory that a reader retains beside a backlog of this size.
    pub fn retained_by(&self, reader: &Reader, backlog_bytes: u64) -> u64 {
        let backlog_from = self.end().saturating_sub(backlog_bytes);
        backlog_from.saturating_sub(reader.offset().max(self.memory_from()))
    }

    /// Whether a reader retains nothing beside the backlog, in memory or on disk.
    pub(in crate::repl) fn has_caught_up(&self, reader: &Reader) -> bool {
        let state = lock(&self.state);
        reader.offset() >= state.history.end.saturating_sub(state.backlog_bytes)
    }

    /// Closes files that nobody needs, which frees their space on the disk.
    pub(crate) fn close_unneeded(&self) {
        let unneeded = std::mem::take(&mut lock(&self.state).unneeded);
        drop(unneeded);
    }

    /// Moves a piece of the log to disk, if readers that spill retain more than they should. False
    /// if there is nothing to move. `piece` is scratch space.
    /// Errors: those of the file; `StorageFull` at the limit of bytes on disk. What could not be
    /// moved stays in memory.
    pub fn spill(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        disk_bytes_max: u64,
        piece: &mut Vec<u8>,
    ) -> io::Result<bool> {
        piece.clear();
        let begun = {
            let state = lock(&self.state);
            self.wants_spill.store(false, Ordering::Relaxed);
            state.begin_move(disk_bytes_max, piece)
        };
        let Some(Move { epoch, segment, from }) = begun? else { return Ok(false) };
        let segment = match segment {
            Some(segment) => segment,
            None => Arc::new(Segment {
                from,
                to: AtomicU64::new(from),
                file: Mutex::new(disk.spill(dir)?),
            }),
        };
        let written = lock(&segment.file).append(piece);
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return Ok(true);
        }
        if written.is_err() {
            // Some bytes may have been written behind its end.
            state.sealed = true;
        }
        written?;
        state.sealed = false;
        segment.to.store(from + piece.len() as u64, Ordering::Release);
        if !state.spilled.back().is_some_and(|last| Arc::ptr_eq(last, &segment)) {
            state.spilled.push_back(segment);
        }
        state.drop_moved();
        self.note_memory(&state);
        Ok(true)
    }

    /// Reads from a segment, if `reader` is before what is in memory.
    pub(super) fn read_spilled(
        &self,
        reader: &Reader,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Option<io::Result<usize>> {
        let offset = reader.offset();
        let segment = lock(&self.state).segment_at(offset)?;
        let count = segment.read(offset, max, out);
        if let Ok(count) = count {
            reader.advance_to(offset + count as u64);
        }
        Some(count)
    }
}

impl State {
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spilled.iter().map(|segment| segment.to() - segment.from).sum()
    }

    /// The first byte on disk.
    pub(super) fn spilled_from(&self) -> Option<u64> {
        self.spilled.front().map(|segment| segment.from)
    }

    /// The segment that has a byte that is not in memory.
    fn segment_at(&self, offset: u64) -> Option<Arc<Segment>> {
        if offset >= self.memory_from() {
            return None;
        }
        let has = |segment: &&Arc<Segment>| segment.from <= offset && offset < segment.to();
        self.spilled.iter().find(has).cloned()
    }

    /// Whether more than the limit is in memory for readers that spill alone.
    pub(super) fn exceeds_memory(&self) -> bool {
        let backlog_from = self.history.end.saturating_sub(self.backlog_bytes);
        let exceeds = |from: u64| backlog_from.saturating_sub(from) > self.spill_above;
        // Blocks may begin before what is needed of them; readers are only asked if it matters.
        let from = self.memory_from();
        exceeds(from) && exceeds(from.max(self.kept_from())) && self.movable_to() > from
    }

    /// The end of what may be moved: what the backlog, the append-only file or readers that do not
    /// spill need stays in memory, and so does what nobody needs any more.
    fn movable_to(&self) -> u64 {
        let backlog_from = self.history.end.saturating_sub(self.backlog_bytes);
        let alive = self.readers.iter().filter(|reader| Arc::strong_count(reader) > 1);
        let (mut spill_from, mut stay_from) = (u64::MAX, backlog_from);
        for reader in alive {
            if reader.spills() {
                spill_from = spill_from.min(reader.offset());
            } else {
                stay_from = stay_from.min(reader.offset());
            }
        }
        if spill_from < stay_from { stay_from } else { 0 }
    }

    /// Takes the next piece to move.
    fn begin_move(&self, disk_bytes_max: u64, piece: &mut Vec<u8>) -> io::Result<Option<Move>> {
        let last = self.spilled.back();
        let from = last.map_or_else(|| self.memory_from(), |segment| segment.to());
        let left = self.movable_to().saturating_sub(from);
        // Once some of it is on disk, the rest follows.
        let goes_on = last.is_some() && left >= PIECE_BYTES as u64;
        if left == 0 || !(goes_on || self.exceeds_memory()) {
            return Ok(None);
        }
        let room = disk_bytes_max.saturating_sub(self.spilled_bytes());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let max = usize::try_from(left.min(room)).unwrap_or(usize::MAX).min(PIECE_BYTES);
        self.blocks.copy(from, max, piece);
        let has_room =
            |segment: &&Arc<Segment>| segment.to() - segment.from < SEGMENT_BYTES && !self.sealed;
        Ok(Some(Move { epoch: self.epoch, segment: last.filter(has_room).cloned(), from }))
    }

    /// Drops the blocks that are on disk.
    fn drop_moved(&mut self) {
        let Some(to) = self.spilled.back().map(|segment| segment.to()) else { return };
        self.blocks.drop_before(to);
    }

    /// Puts aside the segments before `kept_from`, to be closed elsewhere.
    pub(super) fn trim_spilled(&mut self, kept_from: u64) {
        while self.spilled.front().is_some_and(|segment| segment.to() <= kept_from) {
            self.unneeded.extend(self.spilled.pop_front());
        }
    }
}
