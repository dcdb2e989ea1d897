//! A vector in chunks: growing it copies at most one chunk, and so does writing to it after it has
//! been cloned.

use std::sync::Arc;

/// Elements of a chunk.
const CHUNK: usize = 256;

#[derive(Clone)]
pub(super) struct Chunks<T> {
    /// All but the last are full.
    chunks: Vec<Arc<Vec<T>>>,
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
        self.chunks.last().map(Arc::as_ref)
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> &T {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[at as usize / CHUNK])[at as usize % CHUNK]
    }

    pub(super) fn push(&mut self, element: T) {
        if self.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Arc::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).push(element);
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.chunks.truncate(len.div_ceil(CHUNK));
        if let Some(chunk) = self.chunks.last_mut() {
            let rest = len - (len - 1) / CHUNK * CHUNK;
            let chunk = Arc::make_mut(chunk);
            chunk.truncate(rest);
            chunk.shrink_to(2 * rest);
        }
    }

    /// Bytes of memory, without what the elements own.
    pub(super) fn memory(&self) -> usize {
        let last = self.last().map_or(0, Vec::capacity);
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        self.chunks.len() * 48 + (full + last) * size_of::<T>() + self.chunks.capacity() * 8
    }
}
