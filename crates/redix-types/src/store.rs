//! The spine of a large collection: blocks known by number, in chunks that are shared and copied
//! on write as the blocks are.
//!
//! A chunk is itself a block, with up to [`CHUNK`] links. A clone of the store is a snapshot: it
//! counts the chunks, a 64th of the blocks, and touches no block. The first write to a block
//! afterwards copies its chunk (64 counts) and the block; later ones to the same block copy
//! nothing. One flat array of pointers was rejected: a snapshot would have to count every block.
//!
//! **Invariants** (checked by the model test in `tests.rs`):
//! * S1: block `i` is link `i % CHUNK` of chunk `i / CHUNK`; a number without a block is an empty
//!   link or lies behind the last.
//! * S2: all chunks but the last have `CHUNK` links; the last link of the last chunk is a block.
//! * S3: `memory` is the sum of the sizes of chunks and blocks.

use crate::block::{Block, size_class};

#[cfg(test)]
mod tests;

/// Blocks in a chunk.
pub const CHUNK: usize = 64;

/// Blocks by number. `clone` shares all of them until one side writes.
#[derive(Clone, Default)]
pub struct Store {
    chunks: Vec<Block>,
    memory: usize,
}

impl Store {
    /// A store without blocks, which owns no memory.
    pub const fn new() -> Store {
        Store { chunks: Vec::new(), memory: 0 }
    }

    /// One more than the highest number in use.
    #[inline]
    pub fn end(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.links())
    }

    /// The block of that number, if there is one.
    #[inline(always)]
    pub fn get(&self, number: usize) -> Option<&Block> {
        let chunk = self.chunks.get(number / CHUNK)?;
        let at = number % CHUNK;
        if at < chunk.links() { chunk.link(at) } else { None }
    }

    /// Calls `f` to change the block of that number, after copying it if it is shared. Panics if
    /// there is none.
    #[inline(always)]
    pub fn edit<R>(&mut self, number: usize, f: impl FnOnce(&mut Block) -> R) -> R {
        let chunk = self.chunks.get_mut(number / CHUNK).expect("a block of this number");
        chunk.own();
        let block = chunk.link_mut(number % CHUNK).as_mut().expect("a block of this number");
        block.own();
        let before = block.size();
        let result = f(block);
        self.memory = self.memory + block.size() - before;
        result
    }

    /// Stores a block at a number, replacing the one that may be there. Numbers that are skipped
    /// have no block.
    pub fn put(&mut self, number: usize, block: Block) {
        let at = number % CHUNK;
        while self.chunks.len() <= number / CHUNK {
            if let Some(last) = self.chunks.len().checked_sub(1) {
                self.extend(last, CHUNK);
            }
            self.reserve_chunk();
            let chunk = Block::new(16);
            self.memory += chunk.size();
            self.chunks.push(chunk);
        }
        self.extend(number / CHUNK, at + 1);
        let chunk = &mut self.chunks[number / CHUNK];
        chunk.own();
        self.memory += block.size();
        let old = chunk.link_mut(at).replace(block);
        self.memory -= old.map_or(0, |old| old.size());
    }

    /// Removes the block of that number. Panics if there is none.
    pub fn take(&mut self, number: usize) -> Block {
        let chunk = self.chunks.get_mut(number / CHUNK).expect("a block of this number");
        chunk.own();
        let block = chunk.link_mut(number % CHUNK).take().expect("a block of this number");
        self.memory -= block.size();
        self.trim();
        block
    }

    /// The blocks in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Block)> {
        self.chunks.iter().enumerate().flat_map(|(index, chunk)| {
            let links = 0..chunk.links();
            links.filter_map(move |at| Some((index * CHUNK + at, chunk.link(at)?)))
        })
    }

    /// Bytes of memory: chunks, blocks and the array of chunks, without the blocks that links of
    /// blocks refer to.
    #[inline]
    pub fn memory(&self) -> usize {
        self.memory + size_class(self.chunks.capacity() * size_of::<Block>())
    }

    /// Upper bound of the chunks and blocks to free.
    pub fn weight(&self) -> usize {
        self.chunks.len() + self.end()
    }

    /// Frees blocks from the end until about `budget` blocks and links are freed; returns whether
    /// all are. The rest must not be used otherwise.
    pub fn free_step(&mut self, budget: usize) -> bool {
        let mut spent = 0;
        while spent < budget {
            let Some(last) = self.chunks.last_mut() else { break };
            if last.is_shared() || last.links() == 0 {
                self.memory -= bytes_of(last);
                self.chunks.pop();
                spent += 1;
                continue;
            }
            let block = last.remove_link(last.links() - 1, 0);
            self.memory -= block.as_ref().map_or(0, Block::size);
            spent += 1 + block.map_or(0, |block| if block.is_shared() { 0 } else { block.links() });
        }
        if self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
        self.chunks.is_empty()
    }

    /// Makes sure that a chunk has at least `links` links.
    fn extend(&mut self, chunk: usize, links: usize) {
        let chunk = &mut self.chunks[chunk];
        if chunk.links() < links {
            chunk.own();
            let before = chunk.size();
            while chunk.links() < links {
                chunk.insert_link(chunk.links(), None, 0, 0);
            }
            self.memory = self.memory + chunk.size() - before;
        }
    }

    /// Drops empty links and chunks at the end.
    fn trim(&mut self) {
        while let Some(last) = self.chunks.last_mut() {
            let links = last.links();
            if links == 0 {
                self.memory -= last.size();
                self.chunks.pop();
            } else if last.link(links - 1).is_none() {
                last.own();
                last.remove_link(links - 1, 0);
            } else {
                break;
            }
        }
        if self.chunks.capacity() > 2 * self.chunks.len() {
            self.chunks.shrink_to(self.chunks.len() + self.chunks.len() / 8);
        }
    }

    /// Reserves one more chunk: the array grows by an eighth.
    fn reserve_chunk(&mut self) {
        if self.chunks.len() == self.chunks.capacity() {
            self.chunks.reserve_exact(self.chunks.len() / 8 + 1);
        }
    }
}

/// A chunk's size and that of its blocks.
fn bytes_of(chunk: &Block) -> usize {
    let blocks = (0..chunk.links()).filter_map(|at| chunk.link(at));
    chunk.size() + blocks.map(Block::size).sum::<usize>()
}
