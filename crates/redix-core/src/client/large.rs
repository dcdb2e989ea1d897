//! Large arguments, received in buffers of their own.
//!
//! The body of a large argument is read into a buffer sized as announced instead of the input
//! buffer: a command that stores it takes the buffer over and nothing is copied. The input buffer
//! omits the body, and its span holds the body's number among those of the command.
//!
//! **Invariants.** While a body is being received, every byte that arrives belongs to it or to the
//! line end after it. Capacity is reserved only in proportion to what has arrived.

use redix_resp::request::{DETACHED_MAX, RequestParser};

use crate::command::args::Bodies;
use crate::sync::Arc;

/// Arguments of at least this many bytes get a buffer of their own.
pub(super) const LARGE_MIN: usize = 32 * 1024;
/// The most that one turn reads of a large argument.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes reserved at once, and the factor by which capacity may exceed what has arrived; more if
/// that completes the argument, because another step would copy much.
const ROOM_MIN: usize = 1024 * 1024;
const BELIEVED_TIMES: usize = 16;
const BELIEVED_TIMES_MAX: usize = 64;
/// The CRLF after a body is read with it.
const LINE_END: usize = 2;

/// The large arguments of the commands in an input.
#[derive(Default)]
pub(super) struct LargeArgs {
    /// Those of the incomplete command that are complete.
    pub(super) whole: Bodies,
    /// The one that is being received.
    under_way: Option<Body>,
    /// Bytes of all complete ones, those of parked commands included.
    pub(super) whole_bytes: usize,
}

struct Body {
    /// Received bytes up to `received`, then space for the next read.
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

    /// Bytes of the complete arguments of an incomplete command; the last of them is none if the
    /// line end after it is `awaited`.
    #[inline]
    pub(super) fn apart_bytes(&self, awaited: bool) -> usize {
        let is_last_whole = awaited && self.under_way.is_none();
        let count = self.whole.len().saturating_sub(usize::from(is_last_whole));
        self.whole[..count].iter().map(|body| body.len()).sum()
    }

    /// Free space for the argument being received.
    #[inline]
    pub(super) fn free_bytes(&self) -> usize {
        self.under_way.as_ref().map_or(0, |body| body.bytes.capacity() - body.received)
    }

    /// Takes the body of the argument that the parser waits for out of its command; `come` are the
    /// unparsed bytes. Returns how many of them belong to the body.
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

    /// Records that `count` bytes were read into [`LargeArgs::space`]. Returns those that follow
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

    /// Releases the space reserved for bytes that have not arrived.
    pub(super) fn shrink(&mut self) {
        if let Some(body) = &mut self.under_way {
            body.bytes.truncate(body.received);
            body.bytes.shrink_to_fit();
        }
    }
}

impl Body {
    /// Reserves space for `count` more bytes.
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
