//! Output that a socket has not taken yet.
//!
//! Replies are encoded into one buffer. What of it the socket does not take is set aside in pieces
//! as they are, so that a client that writes much before it reads costs the bytes that it is owed,
//! and none of them is moved again: one growing buffer would be copied whenever it doubles.
//!
//! **Invariants.** The pieces come before what is in the reply buffer. `sent` counts bytes of the
//! first of them, or of the reply buffer where there are none.

use std::collections::VecDeque;

use redix_resp::reply::Reply;

use super::Client;

/// Less than this waits in the reply buffer.
const ASIDE_MIN: usize = 64 * 1024;

/// The pieces of output that wait for a socket, and how far the first thing to be sent is sent.
#[derive(Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Vec<u8>>,
    /// The bytes in the pieces, and what their buffers hold.
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
        // A buffer with much spare room stays for the next replies.
        let piece = if spare > reply.len() / 4 { reply.as_bytes().to_vec() } else { reply.take() };
        reply.clear();
        self.bytes += piece.len();
        self.room += piece.capacity();
        self.pieces.push_back(piece);
    }
}

impl Client {
    /// The bytes that its socket is to take next; empty if all output has been sent.
    pub fn unsent(&self) -> &[u8] {
        let first = self.unsent.pieces.front().map_or(self.reply.as_bytes(), Vec::as_slice);
        &first[self.unsent.sent..]
    }

    /// How many bytes of its output have not been sent.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.bytes + self.reply.len() - self.unsent.sent
    }

    /// Takes note that the first `count` bytes of [`Client::unsent`] were sent.
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

    /// Makes room for further replies behind those that its socket did not take.
    pub fn set_unsent_aside(&mut self) {
        if self.reply.len() >= ASIDE_MIN {
            self.unsent.set_aside(&mut self.reply);
        }
    }
}
