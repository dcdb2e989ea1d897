//! A vector in chunks: growing it copies at most one chunk, as does writing to it after it has been
//! cloned.

use crate::block::size_class;
use crate::shared::Shared;

/// Elements of a chunk.
const CHUNK: usize = 256;

#[derive(Clone)]
pub(super) struct Chunks<T> {
    /// All but the last are full.
    chunks: Vec<Shared<Vec<T>>>,
}

impl<T: Clone> Chunks<T> {
    pub(super) const fn new() -> Self {
        Chunks { chunks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        full + self.last().map_or(0, Vec::len)
    }

    fn last(&self) -> Option<&Vec<T>> {
        self.chunks.last().map(|chunk| &**chunk)
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> &T {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> &mut T {
        &mut self.chunks[at as usize / CHUNK].make_mut()[at as usize % CHUNK]
    }

    pub(super) fn push(&mut self, element: T) {
        if self.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Shared::new(Vec::new()));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.make_mut().push(element);
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.chunks.truncate(len.div_ceil(CHUNK));
        if let Some(chunk) = self.chunks.last_mut() {
            let rest = len - (len - 1) / CHUNK * CHUNK;
            let chunk = chunk.make_mut();
            chunk.truncate(rest);
            chunk.shrink_to(2 * rest);
        }
    }

    /// Frees the last chunk of an unused vector. True when none is left.
    pub(super) fn free_last(&mut self) -> bool {
        self.chunks.pop();
        self.chunks.is_empty()
    }

    /// Bytes of memory, by the allocator's classes, without what the elements own.
    pub(super) fn memory(&self) -> usize {
        let last = self.last().map_or(0, Vec::capacity);
        let full = self.chunks.len().saturating_sub(1);
        self.chunks.len() * size_class(Shared::<Vec<T>>::allocation())
            + full * size_class(CHUNK * size_of::<T>())
            + size_class(last * size_of::<T>())
            + size_class(self.chunks.capacity() * size_of::<Shared<Vec<T>>>())
    }
}
