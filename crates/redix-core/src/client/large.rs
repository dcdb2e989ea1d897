//! Large arguments, received where they will live.
//!
//! The body of a large argument is read into a buffer of its own, sized as announced, instead of
//! the input's: a command that keeps it as a value takes the buffer over and nothing is copied. In
//! the input the body is left out, and its span says which of the bodies of the command it is.
//!
//! **Invariants.** While a body is under way, every byte that comes belongs to it or to the line
//! end behind it. Room is believed in only in proportion to what has come.

use redix_resp::request::{DETACHED_MAX, RequestParser};

use crate::command::args::Bodies;
use crate::sync::Arc;

/// Arguments from so many bytes on are received by themselves.
pub(super) const LARGE_MIN: usize = 32 * 1024;
/// The most that one turn reads of a large argument.
const CHUNK_BYTES: usize = 256 * 1024;
/// Room that is made at once, and how many times what has come is believed beyond that; more where
/// that makes room for all of it, because another step would have much to copy.
const ROOM_MIN: usize = 1024 * 1024;
const BELIEVED_TIMES: usize = 16;
const BELIEVED_TIMES_MAX: usize = 64;
/// The line end behind a body is read with it.
const LINE_END: usize = 2;

/// The large arguments of an input's commands.
#[derive(Default)]
pub(super) struct LargeArgs {
    /// Those of the command under way that are whole.
    pub(super) whole: Bodies,
    /// The one that is being received.
    under_way: Option<Body>,
    /// Bytes of all whole ones, of parked commands too.
    pub(super) whole_bytes: usize,
}

struct Body {
    /// What has come, then room for the next read: up to `received`.
    bytes: Vec<u8>,
    received: usize,
    len: usize,
}

impl LargeArgs {
    /// Whether an argument is being received.
    #[inline]
    pub(super) fn is_receiving(&self) -> bool {
        self.under_way.is_some()
    }

    /// Bytes received and not yet executed.
    #[inline]
    pub(super) fn pending_bytes(&self) -> usize {
        self.whole_bytes + self.under_way.as_ref().map_or(0, |body| body.received)
    }

    /// Room for more of the argument under way.
    #[inline]
    pub(super) fn free_bytes(&self) -> usize {
        self.under_way.as_ref().map_or(0, |body| body.bytes.capacity() - body.received)
    }

    /// Takes the body of the argument that the parser waits for out of its command, of which
    /// `come` are the bytes behind those that it has understood. Returns how many it took.
    pub(super) fn take_from(&mut self, parser: &mut RequestParser, come: &[u8]) -> usize {
        let Some(len) = parser.body_len().filter(|len| *len >= LARGE_MIN) else { return 0 };
        if self.whole.len() == DETACHED_MAX {
            return 0;
        }
        parser.detach_body(self.whole.len());
        let taken = come.len().min(len);
        let mut body = Body { bytes: Vec::new(), received: 0, len };
        body.make_room(taken);
        body.bytes.extend_from_slice(&come[..taken]);
        body.received = taken;
        if taken == len {
            self.finish(body);
        } else {
            self.under_way = Some(body);
        }
        taken
    }

    /// Space for the next read, if an argument is being received.
    pub(super) fn space(&mut self) -> Option<&mut [u8]> {
        let body = self.under_way.as_mut()?;
        let chunk = CHUNK_BYTES.min(body.len + LINE_END - body.received);
        body.make_room(chunk);
        body.bytes.resize(body.received + chunk, 0);
        Some(&mut body.bytes[body.received..])
    }

    /// Takes note of `count` bytes read into [`LargeArgs::space`]. Returns those that belong behind
    /// the argument.
    pub(super) fn received(&mut self, count: usize) -> Vec<u8> {
        let Some(mut body) = self.under_way.take() else { return Vec::new() };
        body.received += count;
        if body.received < body.len {
            self.under_way = Some(body);
            return Vec::new();
        }
        body.bytes.truncate(body.received);
        let rest = body.bytes.split_off(body.len);
        self.finish(body);
        rest
    }

    fn finish(&mut self, body: Body) {
        let Body { mut bytes, len, .. } = body;
        bytes.truncate(len);
        bytes.shrink_to_fit();
        self.whole_bytes += len;
        self.whole.push(Arc::new(bytes));
    }

    /// Gives back the room for what has not come.
    pub(super) fn shrink(&mut self) {
        if let Some(body) = &mut self.under_way {
            body.bytes.truncate(body.received);
            body.bytes.shrink_to_fit();
        }
    }
}

impl Body {
    /// Makes room for `count` bytes behind those that have come.
    fn make_room(&mut self, count: usize) {
        let need = self.received + count;
        if self.bytes.capacity() < need {
            let whole = self.len + LINE_END;
            let believed = if self.received >= whole / BELIEVED_TIMES_MAX {
                whole
            } else {
                whole.min((self.received * BELIEVED_TIMES).max(ROOM_MIN))
            };
            let room = need.max(believed);
            self.bytes.truncate(self.received);
            self.bytes.reserve_exact(room - self.received);
        }
    }
}
