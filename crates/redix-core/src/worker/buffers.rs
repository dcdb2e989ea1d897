//! Read buffers that the connections of a worker share.
//!
//! Input is usually executed completely in the turn that read it. So a buffer is lent for the turn
//! only, and a worker has as many as connections are read in one turn: an idle connection costs
//! none, and buffers in use stay in the caches.
//!
//! **Invariants.** All buffers here have [`READ_MIN`] bytes.

use crate::client::{Input, READ_MIN};

/// The buffers that are not lent.
#[derive(Default)]
pub(super) struct Buffers {
    spare: Vec<Vec<u8>>,
    /// The minimum of spare buffers since the last [`Buffers::trim`].
    least_spare: usize,
}

impl Buffers {
    /// Takes a buffer; its content is arbitrary.
    #[inline]
    pub(super) fn take(&mut self) -> Vec<u8> {
        let buffer = self.spare.pop();
        self.least_spare = self.least_spare.min(self.spare.len());
        buffer.unwrap_or_else(|| vec![0; READ_MIN])
    }

    /// Takes a lent buffer back, unless the connection keeps it.
    #[inline]
    pub(super) fn take_back(&mut self, input: &mut Input) {
        self.spare.extend(input.give_back());
    }

    /// Frees buffers that were spare all the time since the last call. Returns the bytes.
    pub(super) fn trim(&mut self) -> usize {
        let unused = self.least_spare;
        self.spare.truncate(self.spare.len().saturating_sub(unused));
        self.least_spare = self.spare.len();
        unused * READ_MIN
    }
}
