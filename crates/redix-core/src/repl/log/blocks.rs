//! The bytes of the log that are in memory: consecutive blocks.
//!
//! **Invariants.** Blocks follow each other without a gap, and only the last one has room that is
//! still going to be used: a record goes on in the next block. `memory` is the sum of what the
//! blocks occupy.

use std::collections::VecDeque;

/// Size of a block; a unit of at least this size becomes a block of its own without a copy.
pub(super) const BLOCK_BYTES: usize = 16 * 1024;

struct Block {
    start: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}

/// Consecutive bytes of a stream.
#[derive(Default)]
pub(super) struct Blocks {
    blocks: VecDeque<Block>,
    /// Bytes that the blocks occupy, their unused ends included.
    memory: u64,
}

impl Blocks {
    /// Memory that they occupy, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    /// The offset of the first byte.
    pub(super) fn start(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.start)
    }

    /// Drops all bytes.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.memory = 0;
    }

    /// Drops the blocks that end at `offset` or before it.
    pub(super) fn drop_before(&mut self, offset: u64) {
        while self.first_ends_before(offset) {
            let dropped = self.blocks.pop_front().map_or(0, |block| block.bytes.capacity());
            self.memory -= dropped as u64;
        }
    }

    /// Whether there is a block that ends at `offset` or before it.
    pub(super) fn first_ends_before(&self, offset: u64) -> bool {
        self.blocks.front().is_some_and(|block| block.end() <= offset)
    }

    /// Appends a copy of `bytes`, which begin at `offset`.
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) {
        let room = self.blocks.back().map_or(0, Block::room);
        let (now, rest) = bytes.split_at(room.min(bytes.len()));
        if let Some(last) = self.blocks.back_mut() {
            last.bytes.extend_from_slice(now);
        }
        if !rest.is_empty() {
            let mut bytes = Vec::with_capacity(BLOCK_BYTES.max(rest.len()));
            bytes.extend_from_slice(rest);
            self.push(offset + now.len() as u64, bytes);
        }
    }

    /// Appends `bytes`, which begin at `offset`, as a block of their own.
    pub(super) fn put_block(&mut self, offset: u64, bytes: Vec<u8>) {
        if let Some(last) = self.blocks.back_mut().filter(|last| last.room() > BLOCK_BYTES / 8) {
            self.memory -= last.bytes.capacity() as u64;
            last.bytes.shrink_to_fit();
            self.memory += last.bytes.capacity() as u64;
        }
        self.push(offset, bytes);
    }

    fn push(&mut self, start: u64, bytes: Vec<u8>) {
        self.memory += bytes.capacity() as u64;
        self.blocks.push_back(Block { start, bytes });
    }

    /// Appends up to `max` bytes from `offset` on to `out`; returns how many.
    pub(super) fn copy(&self, mut offset: u64, max: usize, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        let at = self.blocks.partition_point(|block| block.end() <= offset);
        for block in self.blocks.range(at..) {
            // After a restart of the stream, the bytes that an old reader wants no longer exist.
            let Some(from) = offset.checked_sub(block.start) else { break };
            let from = from as usize;
            let count = (block.bytes.len() - from).min(max - (out.len() - before));
            out.extend_from_slice(&block.bytes[from..from + count]);
            offset += count as u64;
            if out.len() - before >= max {
                break;
            }
        }
        out.len() - before
    }
}
