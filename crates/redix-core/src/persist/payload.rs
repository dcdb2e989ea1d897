//! A snapshot streamed to several replicas at once, without a file: diskless synchronisation.
//!
//! The saver appends; each reader takes at its own pace. Bytes are kept until the slowest live
//! reader has taken them, and the saver pauses while those are a full window, so that a slow
//! replica costs [`WINDOW_BYTES`] at most. The framing is that for an unknown length:
//! `$EOF:<mark>\r\n`, the snapshot, the mark again. Source: diskless replication in Redis'
//! replication protocol.
//!
//! **Invariants.** The mutex is a leaf, held for one copy. A dropped reader retains nothing.
//! Readers are created before the first byte is written.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::file::SaveError;
use crate::env::Entropy;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Bytes kept for the slowest reader before the saver pauses. One value may exceed it.
pub const WINDOW_BYTES: u64 = 4 << 20;

/// The outcome of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes; 0: nothing yet.
    Read(usize),
    /// End of the payload.
    Ended,
    /// The snapshot has failed: there will be no end.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Growing,
    Whole,
    Failed,
}

#[derive(Debug)]
struct Window {
    chunks: VecDeque<Vec<u8>>,
    /// The offset of the first chunk's first byte.
    start: u64,
    end: u64,
    fate: Fate,
    readers: Vec<Arc<AtomicU64>>,
}

/// The buffer between one saver and its readers.
#[derive(Debug)]
pub struct Payload {
    mark: [u8; 40],
    window: Mutex<Window>,
}

/// The read position of one receiver.
#[derive(Debug)]
pub struct PayloadReader {
    payload: Arc<Payload>,
    offset: Arc<AtomicU64>,
}

impl Payload {
    /// A payload with a random end mark, so that no snapshot contains it by accident.
    pub fn new(entropy: &dyn Entropy) -> Arc<Self> {
        let mut raw = [0; 20];
        entropy.fill(&mut raw);
        let mut mark = [0; 40];
        for (pair, byte) in mark.chunks_exact_mut(2).zip(raw) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        let window = Window {
            chunks: VecDeque::new(),
            start: 0,
            end: 0,
            fate: Fate::Growing,
            readers: Vec::new(),
        };
        let payload = Self { mark, window: Mutex::new(window) };
        payload.append([b"$EOF:", &mark[..], b"\r\n"].concat());
        Arc::new(payload)
    }

    /// A reader from the beginning; to be created before the saver writes.
    pub fn reader(self: &Arc<Self>) -> PayloadReader {
        let offset = Arc::new(AtomicU64::new(0));
        lock(&self.window).readers.push(Arc::clone(&offset));
        PayloadReader { payload: Arc::clone(self), offset }
    }

    /// Appends a part of the snapshot. Fails if there is no reader any more.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), SaveError> {
        if !self.append(bytes.to_vec()) {
            return Err(SaveError::NoReceiver);
        }
        Ok(())
    }

    fn append(&self, bytes: Vec<u8>) -> bool {
        let mut window = lock(&self.window);
        window.end += bytes.len() as u64;
        window.chunks.push_back(bytes);
        !window.readers.is_empty()
    }

    /// Whether the window is full, so that the saver must wait. Fails if there is no reader any
    /// more.
    pub(super) fn full(&self) -> Result<bool, SaveError> {
        let mut window = lock(&self.window);
        window.trim();
        if window.readers.is_empty() {
            return Err(SaveError::NoReceiver);
        }
        Ok(window.end - window.start >= WINDOW_BYTES)
    }

    /// Ends the payload: the snapshot is complete.
    pub fn finish(&self) {
        self.append(self.mark.to_vec());
        lock(&self.window).fate = Fate::Whole;
    }

    /// Fails the payload.
    pub(super) fn fail(&self) {
        let mut window = lock(&self.window);
        window.fate = Fate::Failed;
        window.chunks.clear();
    }
}

impl Window {
    fn trim(&mut self) {
        self.readers.retain(|reader| Arc::strong_count(reader) > 1);
        let behind = self.readers.iter().map(|reader| reader.load(Ordering::Relaxed)).min();
        let kept_from = behind.unwrap_or(self.end);
        while let Some(chunk) = self.chunks.front()
            && self.start + chunk.len() as u64 <= kept_from
        {
            self.start += chunk.len() as u64;
            self.chunks.pop_front();
        }
    }
}

impl PayloadReader {
    /// Whether it reads `payload`.
    pub fn reads(&self, payload: &Arc<Payload>) -> bool {
        Arc::ptr_eq(&self.payload, payload)
    }

    /// Appends up to `max` bytes to `out` and advances.
    pub fn read(&self, max: usize, out: &mut Vec<u8>) -> Progress {
        let window = lock(&self.payload.window);
        if window.fate == Fate::Failed {
            return Progress::Failed;
        }
        let mut offset = self.offset.load(Ordering::Relaxed);
        if offset == window.end {
            return match window.fate {
                Fate::Whole => Progress::Ended,
                _ => Progress::Read(0),
            };
        }
        let before = out.len();
        let mut start = window.start;
        for chunk in &window.chunks {
            let end = start + chunk.len() as u64;
            if offset < end {
                let from = (offset - start) as usize;
                let count = (chunk.len() - from).min(max - (out.len() - before));
                out.extend_from_slice(&chunk[from..from + count]);
                offset += count as u64;
                if out.len() - before == max {
                    break;
                }
            }
            start = end;
        }
        self.offset.store(offset, Ordering::Relaxed);
        Progress::Read(out.len() - before)
    }
}
