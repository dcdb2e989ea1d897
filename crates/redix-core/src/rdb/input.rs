//! The input buffer of the RDB reader: large blocks, offsets, the checksum.
//!
//! Bytes are pulled from a blocking source, or pushed by a caller that cannot block. When pushed,
//! the bytes of the present event are kept after they are consumed, so that an incomplete event can
//! be decoded again from its start ([`Input::rewind`]).
//!
//! **Invariants.** `block[pos..end]` was read and not consumed. `block[..summed]` is in the
//! checksum, `summed <= pos`: bytes are summed in bulk, when the block is refilled or the sum is
//! asked for. A span returned by [`Input::span`] stays valid until the next call that reads.

use std::io::{self, Read};
use std::ops::Range;

use super::format::{Checksum, ChecksumPolicy, RESERVE_AHEAD_MAX, RdbErrorKind};

/// Bytes per read: large enough for system calls not to matter, small enough for the cache.
pub(super) const BLOCK_LEN: usize = 256 << 10;
/// Longer strings are read into a buffer of their own instead of the block.
const SPAN_LEN_MAX: usize = BLOCK_LEN / 4;

type Result<T> = std::result::Result<T, RdbErrorKind>;

pub(super) struct Input<'s> {
    source: Box<dyn Read + Send + 's>,
    block: Vec<u8>,
    pos: usize,
    end: usize,
    summed: usize,
    /// The offset in the source of the first byte of `block`.
    block_offset: u64,
    /// The offset of the part being decoded.
    part_offset: u64,
    /// The offset to rewind to: pushed bytes from there on are kept.
    event_offset: u64,
    checksum: Option<Checksum>,
    feed: Feed,
}

/// The source of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// Pulled from the source.
    Pulled,
    /// Pushed; decoding can progress once the input reaches this offset.
    Pushed { worth_from: u64 },
    /// Pushed completely.
    Ended,
}

impl<'s> Input<'s> {
    /// Allocates `block_len` bytes at once; at least 16.
    pub(super) fn new(
        source: Box<dyn Read + Send + 's>,
        block_len: usize,
        checksums: ChecksumPolicy,
    ) -> Self {
        Self {
            source,
            block: vec![0; block_len.max(16)],
            pos: 0,
            end: 0,
            summed: 0,
            block_offset: 0,
            part_offset: 0,
            event_offset: 0,
            checksum: (checksums == ChecksumPolicy::Verify).then(Checksum::new),
            feed: Feed::Pulled,
        }
    }

    /// Without a source: for [`Input::push`].
    pub(super) fn pushed(checksums: ChecksumPolicy) -> Self {
        let feed = Feed::Pushed { worth_from: 0 };
        Self { feed, ..Self::new(Box::new(io::empty()), 0, checksums) }
    }

    /// Over bytes that lie in a source from `offset` on; without a checksum.
    pub(super) fn of_bytes(bytes: Vec<u8>, offset: u64) -> Self {
        let end = bytes.len();
        let input = Self {
            block: bytes,
            end,
            block_offset: offset,
            feed: Feed::Ended,
            ..Self::pushed(ChecksumPolicy::Ignore)
        };
        Self { part_offset: offset, event_offset: offset, ..input }
    }

    /// The memory of the bytes, for reuse.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.block
    }

    /// Pushes bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Bytes of the present event are needed again, those before it are not.
        let gap = (self.event_offset - self.block_offset) as usize;
        if let Some(checksum) = &mut self.checksum
            && self.summed < gap
        {
            checksum.update(&self.block[self.summed..gap]);
        }
        self.summed = self.summed.max(gap) - gap;
        self.block.truncate(self.end);
        self.block.drain(..gap);
        self.block.extend_from_slice(bytes);
        self.end = self.block.len();
        self.pos -= gap;
        self.block_offset += gap as u64;
    }

    /// Ends the pushed input.
    pub(super) fn end_pushing(&mut self) {
        self.feed = Feed::Ended;
    }

    /// Whether enough was pushed since an event was found to be incomplete.
    pub(super) fn is_worth_trying(&self) -> bool {
        match self.feed {
            Feed::Pushed { worth_from } => self.block_offset + self.end as u64 >= worth_from,
            Feed::Pulled | Feed::Ended => true,
        }
    }

    /// Marks the present position as the start of an event.
    pub(super) fn start_event(&mut self) {
        self.start_part();
        self.event_offset = self.part_offset;
    }

    /// Rewinds to the start of the present event.
    pub(super) fn rewind(&mut self) {
        self.pos = (self.event_offset - self.block_offset) as usize;
    }

    /// Reads from the source until the block is full or the source ends, and returns what is
    /// buffered.
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        self.make_room();
        while self.end < self.block.len() && self.read_once()? > 0 {}
        Ok(self.rest())
    }

    /// Consumes bytes that are buffered and appends them to `out`.
    pub(super) fn take(&mut self, len: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.block[self.pos..self.pos + len]);
        self.pos += len;
    }

    /// Bytes that were read or pushed and not consumed.
    pub(super) fn rest(&self) -> &[u8] {
        &self.block[self.pos..self.end]
    }

    /// Requires `len` bytes of pushed input.
    fn require_pushed(&mut self, len: u64) -> Result<()> {
        let there = (self.end - self.pos) as u64;
        if self.feed == Feed::Pulled || there >= len {
            return Ok(());
        }
        if self.feed == Feed::Ended {
            return Err(RdbErrorKind::Truncated);
        }
        let end = self.block_offset + self.end as u64;
        // An event of many small pieces is not decoded again for each of them.
        let kept = end - self.event_offset;
        self.feed = Feed::Pushed { worth_from: end.saturating_add((len - there).max(kept / 4)) };
        Err(RdbErrorKind::Io(io::ErrorKind::WouldBlock.into()))
    }

    /// How many bytes were consumed.
    pub(super) fn offset(&self) -> u64 {
        self.block_offset + self.pos as u64
    }

    /// Marks the start of a part, for the offset of errors.
    pub(super) fn start_part(&mut self) {
        self.part_offset = self.offset();
    }

    /// The offset of an error of this kind: the start of the part, or the end of the data.
    pub(super) fn error_offset(&self, kind: &RdbErrorKind) -> u64 {
        match kind {
            RdbErrorKind::Truncated | RdbErrorKind::Io(_) => self.block_offset + self.end as u64,
            _ => self.part_offset,
        }
    }

    /// The checksum of everything consumed, unless checksums are ignored.
    pub(super) fn checksum(&mut self) -> Option<u64> {
        self.sum_consumed();
        self.checksum.as_ref().map(Checksum::value)
    }

    /// Makes sure that `len` bytes are buffered, without consuming them.
    pub(super) fn foresee(&mut self, len: usize) -> Result<()> {
        self.require(len)
    }

    /// Consumes one byte.
    pub(super) fn byte(&mut self) -> Result<u8> {
        self.require(1)?;
        let byte = self.block[self.pos];
        self.pos += 1;
        Ok(byte)
    }

    /// Consumes `N` bytes, at most 16.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        const { assert!(N <= 16, "a block may be as short as that") };
        self.require(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.block[self.pos..self.pos + N]);
        self.pos += N;
        Ok(bytes)
    }

    /// Consumes `len` bytes and returns their range in the block, if they fit it.
    pub(super) fn span(&mut self, len: u64) -> Result<Option<Range<usize>>> {
        let Some(len) = self.short_len(len) else { return Ok(None) };
        self.require(len)?;
        let start = self.pos;
        self.pos += len;
        Ok(Some(start..self.pos))
    }

    /// The bytes of a span.
    pub(super) fn bytes(&self, span: Range<usize>) -> &[u8] {
        &self.block[span]
    }

    /// Replaces `out` by the next `len` bytes, allocating only as they arrive.
    pub(super) fn read_into(&mut self, len: u64, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        self.require_pushed(len)?;
        let mut left = len;
        while left > 0 {
            self.require(1)?;
            let chunk = self.available(left);
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            if out.capacity() - out.len() < chunk {
                let ahead = wanted.min(RESERVE_AHEAD_MAX.max(out.len())).max(chunk);
                out.try_reserve_exact(ahead).map_err(|_| RdbErrorKind::OutOfMemory)?;
            }
            out.extend_from_slice(&self.block[self.pos..self.pos + chunk]);
            self.pos += chunk;
            left -= chunk as u64;
        }
        Ok(())
    }

    /// Skips `len` bytes.
    pub(super) fn skip(&mut self, len: u64) -> Result<()> {
        self.require_pushed(len)?;
        let mut left = len;
        while left > 0 {
            self.require(1)?;
            let chunk = self.available(left);
            self.pos += chunk;
            left -= chunk as u64;
        }
        Ok(())
    }

    fn short_len(&self, len: u64) -> Option<usize> {
        let len_max = SPAN_LEN_MAX.min(self.block.len());
        usize::try_from(len).ok().filter(|&len| len <= len_max)
    }

    /// How many of the next `left` bytes lie in the block.
    fn available(&self, left: u64) -> usize {
        usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.pos)
    }

    // HOT PATH: several times per key; the refill is out of line.
    #[inline]
    fn require(&mut self, len: usize) -> Result<()> {
        if self.end - self.pos >= len { Ok(()) } else { self.refill(len) }
    }

    /// Moves unconsumed bytes to the front and reads until `len <= block.len()` bytes are there.
    #[cold]
    fn refill(&mut self, len: usize) -> Result<()> {
        if self.feed != Feed::Pulled {
            return self.require_pushed(len as u64);
        }
        self.make_room();
        while self.end < len {
            if self.read_once()? == 0 {
                return Err(RdbErrorKind::Truncated);
            }
        }
        Ok(())
    }

    /// Moves unconsumed bytes to the front of the block.
    fn make_room(&mut self) {
        self.sum_consumed();
        self.block.copy_within(self.pos..self.end, 0);
        self.block_offset += self.pos as u64;
        self.end -= self.pos;
        self.pos = 0;
        self.summed = 0;
    }

    /// Reads from the source into the rest of the block; 0 at its end.
    fn read_once(&mut self) -> Result<usize> {
        loop {
            match self.source.read(&mut self.block[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RdbErrorKind::Io(error)),
            }
        }
    }

    fn sum_consumed(&mut self) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.block[self.summed..self.pos]);
        }
        self.summed = self.pos;
    }
}
