//! Output that a socket has not accepted yet.
//!
//! Replies are encoded into one buffer. What the socket does not accept is set aside as a list of
//! buffers, so that a client that is slow to read costs the bytes of its pending output and none of
//! them is moved again: one growing buffer would be copied whenever it doubles.
//!
//! **Invariants.** The buffers that were set aside precede the reply buffer. `sent` counts bytes of
//! the first of them, or of the reply buffer if there are none.

use std::collections::VecDeque;

use redix_resp::reply::Reply;

use super::Client;

/// Less pending output than this stays in the reply buffer.
const ASIDE_MIN: usize = 64 * 1024;

/// Pending output: buffers that were set aside, and how much of the first has been sent.
#[derive(Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes in the buffers, and their capacity.
    bytes: usize,
    room: usize,
    sent: usize,
}

impl Unsent {
    pub(super) fn capacity(&self) -> usize {
        self.room
    }

    fn set_aside(&mut self, reply: &mut Reply) {
        let spare = reply.capacity() - reply.len();
        // A buffer with much spare capacity is kept for the next replies.
        let piece = if spare > reply.len() / 4 { reply.as_bytes().to_vec() } else { reply.take() };
        reply.clear();
        self.bytes += piece.len();
        self.room += piece.capacity();
        self.pieces.push_back(piece);
    }
}

impl Client {
    /// The bytes to be sent next; empty if all output has been sent.
    pub fn unsent(&self) -> &[u8] {
        let first = self.unsent.pieces.front().map_or(self.reply.as_bytes(), Vec::as_slice);
        &first[self.unsent.sent..]
    }

    /// Bytes of pending output.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.bytes + self.reply.len() - self.unsent.sent
    }

    /// Records that the first `count` bytes of [`Client::unsent`] were sent.
    pub fn note_sent(&mut self, count: usize) {
        self.unsent.sent += count;
        if let Some(first) = self.unsent.pieces.front() {
            if self.unsent.sent == first.len() {
                self.unsent.bytes -= first.len();
                self.unsent.room -= first.capacity();
                self.unsent.pieces.pop_front();
                self.unsent.sent = 0;
            }
        } else if self.unsent.sent == self.reply.len() {
            self.reply.clear();
            self.unsent.sent = 0;
        }
    }

    /// Sets pending output aside, so that the reply buffer is free for further replies.
    pub fn set_unsent_aside(&mut self) {
        if self.reply.len() >= ASIDE_MIN {
            self.unsent.set_aside(&mut self.reply);
        }
    }
}
