//! Encoder of replies: the output buffer of one connection, in the protocol that it speaks.
//!
//! Handlers say what a value *is* (map, double, null); the encoder writes the RESP3 type, or what
//! RESP2 has for it. Lengths that are known late are filled in afterwards ([`DeferredLen`]), which
//! moves what was written since by a few bytes; the rejected alternative, a list of buffers, costs
//! every reply for the sake of a rare one.
//!
//! # Invariants
//! - Only [`Reply::raw`] can write something that is not one well-formed reply: CR and LF inside
//!   simple strings and errors become spaces, so no user's text can forge a reply.
//! - Nothing is allocated beyond the growth of the buffer.
//!
//! HOT PATH: no alloc, no log, no syscall.

use redix_num::{INT_TEXT_MAX, IntText, push_f64};

/// Version of the protocol that a connection speaks; it is RESP2 until `HELLO 3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// The protocol of Redis 1.2.
    Resp2,
    /// Adds maps, sets, doubles, booleans, nulls, verbatim strings and pushes.
    Resp3,
}

/// Replies on their way to one client.
#[derive(Debug)]
pub struct Reply {
    /// The protocol of what is appended next; earlier replies are not converted.
    pub proto: Proto,
    buf: Vec<u8>,
}

/// A placeholder for the header of an aggregate whose length is not known yet. It must be passed to
/// one of the `finish_` functions; of several, the last one opened must be finished first.
#[must_use = "an aggregate without its length breaks the protocol"]
#[derive(Debug)]
pub struct DeferredLen {
    at: usize,
}

/// Bytes around a bulk string: the mark, its length and two line ends.
const BULK_FRAME_MAX: usize = 1 + INT_TEXT_MAX + 2 + 2;

/// Placeholder of a deferred header; a length of one digit fits without moving anything.
const DEFERRED_HEADER: &[u8; 4] = b"*0\r\n";

impl Reply {
    /// An empty buffer that owns no memory yet.
    pub fn new(proto: Proto) -> Self {
        Self { proto, buf: Vec::new() }
    }

    /// Bytes of pending output.
    #[inline]
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether there is no pending output.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// The pending output.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Removes everything after the first `len` bytes, a length that [`Reply::len`] returned
    /// before; no effect if there are fewer.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.buf.truncate(len);
    }

    /// Empties the buffer and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.buf.clear();
    }

    /// Bytes of memory that the buffer owns.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// Shrinks the buffer to a capacity of about `capacity` bytes, or to its content if that is
    /// more.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.buf.shrink_to(capacity);
    }

    /// Takes the bytes with their buffer, leaving an empty one.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }

    /// Makes room for `additional` more bytes.
    #[inline]
    pub fn reserve(&mut self, additional: usize) {
        self.buf.reserve(additional);
    }

    /// Appends raw bytes: complete replies that were encoded elsewhere.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// The buffer itself, for appending bytes that are no replies without another copy.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Status reply `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// Status reply.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Error reply; the first word of `text` is the code (`ERR`, `WRONGTYPE`, …). Line ends at
    /// either end of it are dropped, those inside become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let mut text = text.as_ref();
        while let [rest @ .., b'\r' | b'\n'] | [b'\r' | b'\n', rest @ ..] = text {
            text = rest;
        }
        self.line(b'-', text);
    }

    /// Integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        match u64::try_from(n) {
            Ok(n) => self.header(b':', n),
            Err(_) => self.buf.extend_from_slice(IntText::signed(n).line(b':')),
        }
    }

    /// String of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.buf.reserve(bytes.len() + BULK_FRAME_MAX);
        self.header(b'$', bytes.len() as u64);
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// String.
    #[inline]
    pub fn bulk_str(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// String that holds an integer in decimal.
    #[inline]
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(IntText::signed(n).as_bytes());
    }

    /// Null in place of a bulk string.
    #[inline]
    pub fn null(&mut self) {
        match self.proto {
            Proto::Resp2 => self.buf.extend_from_slice(b"$-1\r\n"),
            Proto::Resp3 => self.buf.extend_from_slice(b"_\r\n"),
        }
    }

    /// Null in place of an array.
    #[inline]
    pub fn null_array(&mut self) {
        match self.proto {
            Proto::Resp2 => self.buf.extend_from_slice(b"*-1\r\n"),
            Proto::Resp3 => self.buf.extend_from_slice(b"_\r\n"),
        }
    }

    /// Header of an array; `len` values follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as u64);
    }

    /// Header of a map; `pairs` times a key and a value follow.
    #[inline]
    pub fn map(&mut self, pairs: usize) {
        let (mark, len) = self.map_header(pairs);
        self.header(mark, len);
    }

    /// Header of a set; `len` values follow.
    #[inline]
    pub fn set(&mut self, len: usize) {
        self.header(self.mark(b'~'), len as u64);
    }

    /// Header of a push; `len` values follow.
    #[inline]
    pub fn push(&mut self, len: usize) {
        self.header(self.mark(b'>'), len as u64);
    }

    /// Header of an attribute of the value after it; `pairs` times a key and a value follow. RESP2
    /// has no attributes: false means that nothing was written and nothing may follow.
    #[must_use = "RESP2 has no attributes"]
    pub fn attribute(&mut self, pairs: usize) -> bool {
        if self.proto == Proto::Resp3 {
            self.header(b'|', pairs as u64);
        }
        self.proto == Proto::Resp3
    }

    /// Double, as the text of [`push_f64`].
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(32);
        push_f64(&mut text, value);
        self.double_text(&text);
    }

    /// Double with a text that the caller has formatted.
    #[inline]
    pub fn double_text(&mut self, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => self.line(b',', text),
        }
    }

    /// Boolean.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.buf.extend_from_slice(match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// Integer of any size, as its decimal text.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits.as_ref()),
            Proto::Resp3 => self.line(b'(', digits.as_ref()),
        }
    }

    /// Verbatim string with its format, three letters such as `txt` or `mkd`.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                self.header(b'=', text.len() as u64 + 4);
                self.buf.extend_from_slice(format);
                self.buf.push(b':');
                self.buf.extend_from_slice(text);
                self.buf.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Opens an aggregate whose length is set when it is complete. Costs a move of its bytes by one
    /// to a few places if the length has more than one digit.
    pub fn deferred(&mut self) -> DeferredLen {
        let at = self.buf.len();
        self.buf.extend_from_slice(DEFERRED_HEADER);
        DeferredLen { at }
    }

    /// As [`Reply::deferred`], for an array.
    pub fn deferred_array(&mut self) -> DeferredLen {
        self.deferred()
    }

    /// Completes an array of `len` values.
    pub fn finish_array(&mut self, place: DeferredLen, len: usize) {
        self.finish(place, b'*', len as u64);
    }

    /// Completes a map of `pairs` times a key and a value.
    pub fn finish_map(&mut self, place: DeferredLen, pairs: usize) {
        let (mark, len) = self.map_header(pairs);
        self.finish(place, mark, len);
    }

    /// Completes a set of `len` values.
    pub fn finish_set(&mut self, place: DeferredLen, len: usize) {
        self.finish(place, self.mark(b'~'), len as u64);
    }

    #[expect(clippy::needless_pass_by_value, reason = "a place is filled in once")]
    fn finish(&mut self, place: DeferredLen, mark: u8, len: u64) {
        let text = IntText::unsigned(len);
        let digits = text.as_bytes();
        let digits_at = place.at + 1;
        self.buf[place.at] = mark;
        if let [digit] = digits {
            self.buf[digits_at] = *digit;
        } else {
            self.buf.splice(digits_at..=digits_at, digits.iter().copied());
        }
    }

    /// The RESP3 type byte, or that of an array in RESP2.
    #[inline(always)]
    fn mark(&self, resp3: u8) -> u8 {
        match self.proto {
            Proto::Resp2 => b'*',
            Proto::Resp3 => resp3,
        }
    }

    #[inline(always)]
    fn map_header(&self, pairs: usize) -> (u8, u64) {
        match self.proto {
            Proto::Resp2 => (b'*', pairs as u64 * 2),
            Proto::Resp3 => (b'%', pairs as u64),
        }
    }

    /// A type byte, a number and the line end. Small numbers, nearly all there are, are stores of a
    /// size that the compiler knows.
    #[inline(always)]
    fn header(&mut self, mark: u8, n: u64) {
        if n < 10 {
            self.buf.extend_from_slice(&[mark, b'0' + n as u8, b'\r', b'\n']);
        } else if n < 100 {
            let (tens, ones) = ((n / 10) as u8, (n % 10) as u8);
            self.buf.extend_from_slice(&[mark, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        } else {
            self.header_long(mark, n);
        }
    }

    fn header_long(&mut self, mark: u8, n: u64) {
        self.buf.extend_from_slice(IntText::unsigned(n).line(mark));
    }

    /// A line, in which CR and LF become spaces.
    #[inline]
    fn line(&mut self, mark: u8, text: &[u8]) {
        self.buf.reserve(text.len() + 3);
        self.buf.push(mark);
        let start = self.buf.len();
        self.buf.extend_from_slice(text);
        for byte in &mut self.buf[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.buf.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
