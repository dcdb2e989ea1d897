//! One connection's state machine: bytes in, commands out, replies out. No socket.
//!
//! **Invariants.** Bytes before `start` have been executed and are dropped by [`Input::compact`].
//! Parsed commands stay in the buffer until they are executed, so that a connection that is paused
//! or blocked loses nothing. After a protocol error nothing more is parsed; the error is replied
//! after the replies to the commands before it.

mod large;
pub(crate) mod portion;
mod unsent;

use std::collections::VecDeque;

use redix_resp::error::ProtocolError;
use redix_resp::reply::{Proto, Reply};
use redix_resp::request::{Limits, Parsed, RequestParser, Span};

use crate::command::args::{Args, Bodies};
use crate::command::blocked::Blocked;
use crate::registry::{ClientShared, Registry, WORKER_PART};
use crate::repl::log::Log;
use crate::session::{ReplyMode, Session};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use large::LargeArgs;
use portion::Portion;
use unsent::Unsent;

/// The least space offered to one read.
pub const READ_MIN: usize = 16 * 1024;
/// A buffer larger than this is shrunk to what the connection needs, even while it is in use.
const KEPT_MAX: usize = 32 * 1024;
/// The most that one turn reads from a connection.
pub const READ_MAX: usize = 64 * 1024;
/// The most bytes of replies that one connection may collect in a turn before they are sent.
pub const TURN_OUTPUT_MAX: usize = 1024 * 1024;
/// Room that is made at once for a command whose length is known.
const ROOM_MAX: usize = 1024 * 1024;

/// Spans of executed commands are dropped once there are this many in front of unexecuted ones;
/// capacity for as many is kept.
const SPANS_SPENT_MAX: usize = 1024;

/// A parsed command that is not executed yet. Half a cache line.
#[derive(Debug)]
struct Parked {
    /// End of the command in the input buffer (exclusive).
    end: usize,
    /// Boxed to one pointer, because few commands have any.
    apart: Option<Box<Apart>>,
    /// Its first span in `Input::spans`, which has far fewer than 2^32: a span stands for at least
    /// six bytes of a buffer that holds little more than one command of at most 4 GiB.
    first_span: u32,
    /// Number of its spans.
    span_count: u32,
    /// Its length in bytes, without a blank line before it.
    len: u32,
}

const _: () = assert!(size_of::<Parked>() <= 32);

/// The parts of a command that are not in the input buffer.
#[derive(Debug)]
enum Apart {
    /// The unescaped arguments of an inline command.
    Inline(Box<[u8]>),
    /// Large arguments, each in a buffer of its own.
    Bodies(Bodies),
}

/// The incoming side of a connection.
///
/// Between turns most connections have no pending input and own no buffer: one is lent to them for
/// the turn ([`Input::lend`]), and kept only if an incomplete command stays in it.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// The buffer is lent, and returned if nothing stays in it.
    lent: bool,
    /// Peak use of the buffer in bytes since it was last fitted.
    peak: usize,
    filled: usize,
    start: usize,
    parsed: usize,
    parser: RequestParser,
    spans: Vec<Span>,
    parked: VecDeque<Parked>,
    large: LargeArgs,
    error: Option<ProtocolError>,
    wanted: usize,
    keeps_blanks: bool,
}

impl Input {
    /// Makes [`Input::raw`] include blank lines and empty multibulks, as part of the command after
    /// them.
    pub fn keep_blanks(&mut self) {
        self.keeps_blanks = true;
    }

    /// The raw bytes of a non-empty range of the parked commands, as received.
    pub fn raw(&self, commands: std::ops::Range<usize>) -> &[u8] {
        let before = commands.start.checked_sub(1);
        let start = before.map_or(self.start, |before| self.parked[before].end);
        &self.bytes[start..self.parked[commands.end - 1].end]
    }

    /// Whether it has no buffer.
    pub fn lacks_buffer(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Lends it a buffer of [`READ_MIN`] bytes, which it must lack, until [`Input::give_back`].
    pub fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(self.lacks_buffer() && buffer.len() == READ_MIN);
        self.bytes = buffer;
        self.lent = true;
    }

    /// Returns the lent buffer, unless input remains in it: then the connection keeps it. Of a
    /// command whose large argument is being received elsewhere, it keeps what precedes that.
    pub fn give_back(&mut self) -> Option<Vec<u8>> {
        let lent = std::mem::take(&mut self.lent);
        if !lent || self.bytes.len() != READ_MIN || !self.parked.is_empty() {
            return None;
        }
        if self.large.is_receiving() {
            self.compact();
            let head = self.bytes[..self.filled].to_vec();
            return Some(std::mem::replace(&mut self.bytes, head));
        }
        let unused = self.filled == 0 && self.parser.is_idle();
        unused.then(|| std::mem::take(&mut self.bytes))
    }

    /// Space for the next read, at least [`READ_MIN`] bytes; what was read is then announced by
    /// [`Input::received`].
    pub fn space(&mut self) -> &mut [u8] {
        if self.large.is_receiving() {
            return self.large.space().expect("one is being received");
        }
        self.space_of(READ_MIN)
    }

    /// Space for the next read, at least `least` bytes.
    pub fn space_of(&mut self, least: usize) -> &mut [u8] {
        let pending = self.filled - self.parsed;
        let missing = self.wanted.saturating_sub(pending);
        // An announced length beyond that is believed only in proportion to what has been received.
        let ahead = if self.wanted <= ROOM_MAX { missing } else { missing.min(pending) };
        let want = least.max(ahead.min(ROOM_MAX));
        if self.bytes.len() - self.filled < want {
            self.compact();
            // Doubling keeps the copying of a large argument linear; the last step makes exactly
            // the room for it and its line end.
            let doubled = (self.bytes.len() * 2).min(self.parsed + self.wanted);
            let need = (self.filled + want).max(doubled);
            if self.bytes.len() < need {
                self.bytes.resize(need, 0);
            }
        }
        &mut self.bytes[self.filled..]
    }

    /// Records that `count` bytes were read into [`Input::space`].
    pub fn received(&mut self, count: usize) {
        if self.large.is_receiving() {
            let rest = self.large.received(count);
            self.space_of(rest.len())[..rest.len()].copy_from_slice(&rest);
            self.filled += rest.len();
            return;
        }
        self.filled += count;
        self.peak = self.peak.max(self.filled);
        debug_assert!(self.filled <= self.bytes.len());
    }

    /// Copies bytes in, as a read would. A buffer that has room for them does not grow.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = match self.large.is_receiving() {
                true => self.space(),
                false => self.space_of(rest.len().min(READ_MIN)),
            };
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            self.received(count);
            rest = &rest[count..];
        }
    }

    /// Bytes received and not yet executed.
    pub fn pending_bytes(&self) -> usize {
        self.filled - self.start + self.large.pending_bytes()
    }

    /// Of the pending bytes, those of complete arguments of an incomplete command.
    pub fn understood_bytes(&self) -> usize {
        self.parser.understood() + self.large.apart_bytes(self.parser.awaits_line_end())
    }

    /// Bytes that the buffer could still take without growing; none if it is lent.
    pub fn free_bytes(&self) -> usize {
        let free = if self.lent { 0 } else { self.bytes.len() - self.filled };
        free + self.large.free_bytes()
    }

    /// Commands parsed and not yet executed.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Parses further commands, until `limit` are parked. Blank lines and empty multibulks are
    /// skipped.
    pub fn parse(&mut self, limit: usize, limits: &Limits) {
        if self.large.is_receiving() {
            return;
        }
        while self.parked.len() < limit && self.error.is_none() && self.parsed < self.filled {
            let first_span = self.spans.len();
            let rest = &self.bytes[self.parsed..self.filled];
            match self.parser.parse(rest, &mut self.spans, limits) {
                Ok(Parsed::Command { consumed }) => {
                    let bodies = std::mem::take(&mut self.large.whole);
                    let apart = (!bodies.is_empty()).then(|| Box::new(Apart::Bodies(bodies)));
                    self.park(first_span, consumed, apart);
                }
                Ok(Parsed::Inline { consumed, bytes }) => {
                    let words = Apart::Inline(bytes.into_boxed_slice());
                    self.park(first_span, consumed, Some(Box::new(words)));
                }
                Ok(Parsed::Incomplete { wanted }) => {
                    self.wanted = wanted;
                    self.detach_large();
                    break;
                }
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Receives the argument being parsed in a buffer of its own if it is large. Not for a
    /// primary's stream, whose bytes are also needed in one piece.
    fn detach_large(&mut self) {
        if self.keeps_blanks {
            return;
        }
        let body = self.parsed + self.parser.understood();
        let come = &self.bytes[body.min(self.filled)..self.filled];
        let taken = self.large.take_from(&mut self.parser, come);
        if self.large.is_receiving() || taken > 0 {
            self.bytes.copy_within(body + taken..self.filled, body);
            self.filled -= taken;
            self.wanted = 0;
        }
        if self.large.is_receiving() && !self.lent {
            // Nothing is read into it meanwhile.
            self.bytes.truncate(self.filled);
            self.bytes.shrink_to_fit();
        }
    }

    fn park(&mut self, first_span: usize, consumed: usize, apart: Option<Box<Apart>>) {
        self.parsed += consumed;
        self.wanted = 0;
        let span_count = self.spans.len() - first_span;
        if span_count == 0 {
            if self.parked.is_empty() && !self.keeps_blanks {
                self.start = self.parsed;
            }
            return;
        }
        self.parked.push_back(Parked {
            end: self.parsed,
            apart,
            first_span: first_span as u32,
            span_count: span_count as u32,
            len: consumed as u32,
        });
    }

    /// The arguments of the parked command at position `index`.
    #[inline]
    pub fn args(&self, index: usize) -> Args<'_> {
        let parked = &self.parked[index];
        let spans = &self.spans[parked.first_span as usize..][..parked.span_count as usize];
        let bytes = &self.bytes[parked.end - parked.len as usize..parked.end];
        match parked.apart.as_deref() {
            None => Args::new(bytes, spans),
            Some(Apart::Inline(words)) => Args::new(words, spans),
            Some(Apart::Bodies(bodies)) => Args::with_bodies(bytes, spans, bodies),
        }
    }

    /// Drops the first `count` parked commands: they have been executed.
    pub fn executed(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1) {
            self.start = self.parked[last].end;
            if self.large.whole_bytes > 0 {
                self.forget_large(count);
            }
            self.parked.drain(..count);
            self.drop_spent_spans();
        }
        if self.parked.is_empty() {
            if !self.keeps_blanks {
                self.start = self.parsed;
            }
            self.spans.clear();
            if self.start == self.filled && self.parser.is_idle() {
                self.filled = 0;
                self.parsed = 0;
                self.start = 0;
            }
        }
    }

    #[cold]
    fn forget_large(&mut self, count: usize) {
        for parked in self.parked.range(..count) {
            if let Some(Apart::Bodies(bodies)) = parked.apart.as_deref() {
                self.large.whole_bytes -= bodies.iter().map(|body| body.len()).sum::<usize>();
            }
        }
    }

    /// A connection that is paused again and again always has a parked command, so that its spans
    /// are never all dropped at once.
    #[inline]
    fn drop_spent_spans(&mut self) {
        let Some(first) = self.parked.front() else { return };
        let spent = first.first_span as usize;
        if spent >= SPANS_SPENT_MAX && spent >= self.spans.len() / 2 {
            self.spans.drain(..spent);
            self.parked.iter_mut().for_each(|parked| parked.first_span -= spent as u32);
        }
    }

    /// Moves an incomplete command to `next`, which must be empty, so that parsing goes on there. A
    /// protocol error stays here.
    pub(crate) fn hand_on_rest(&mut self, next: &mut Self) {
        debug_assert!(next.pending_bytes() == 0 && next.parked() == 0 && next.parser.is_idle());
        let end = self.parked.back().map_or(self.start, |last| last.end);
        let rest = &self.bytes[end..self.filled];
        let space = next.space_of(rest.len().max(READ_MIN));
        space[..rest.len()].copy_from_slice(rest);
        next.received(rest.len());
        next.parsed = self.parsed - end;
        next.parser = std::mem::take(&mut self.parser);
        next.wanted = std::mem::take(&mut self.wanted);
        next.keeps_blanks = self.keeps_blanks;
        self.filled = end;
        self.parsed = end;
    }

    /// Whether a protocol error follows the parked commands.
    pub(crate) fn is_broken(&self) -> bool {
        self.error.is_some()
    }

    /// The protocol error that follows the parked commands; taken if none is parked.
    pub fn take_error(&mut self) -> Option<ProtocolError> {
        if self.parked.is_empty() { self.error.take() } else { None }
    }

    /// Moves unexecuted bytes to the front of the buffer.
    pub fn compact(&mut self) {
        let gap = self.start;
        if gap == 0 {
            return;
        }
        self.bytes.copy_within(gap..self.filled, 0);
        self.filled -= gap;
        self.parsed -= gap;
        self.start = 0;
        for parked in &mut self.parked {
            parked.end -= gap;
        }
    }

    /// Releases memory that pending input does not use: the full size of an announced argument is
    /// not reserved while its bytes do not arrive.
    pub fn shrink(&mut self) {
        if self.filled == self.start && self.parked.is_empty() && self.parser.is_idle() {
            *self = Self {
                error: self.error.take(),
                keeps_blanks: self.keeps_blanks,
                ..Self::default()
            };
        } else {
            self.compact();
            self.bytes.truncate(self.filled);
            self.bytes.shrink_to_fit();
            self.large.shrink();
        }
    }

    /// Releases memory of a large buffer of which less than half was used since the last call, and
    /// that of the spans of commands with many arguments.
    pub fn fit(&mut self) {
        if self.parked.is_empty() {
            self.spans.shrink_to(SPANS_SPENT_MAX);
        }
        let peak = std::mem::replace(&mut self.peak, self.filled);
        if self.bytes.len() > KEPT_MAX && self.bytes.len() / 2 > peak && self.parser.is_idle() {
            self.compact();
            self.bytes.truncate(peak.max(READ_MIN));
            self.bytes.shrink_to_fit();
        }
    }
}

/// One connection.
pub struct Client {
    /// Incoming bytes and parsed commands.
    pub input: Input,
    /// The reply buffer, behind the output that was set aside.
    pub reply: Reply,
    unsent: Unsent,
    /// Protocol state.
    pub session: Session,
    /// The record that other threads see.
    pub shared: Arc<ClientShared>,
    /// Execution is suspended for this turn: paused, blocked, closing or killed.
    pub halted: bool,
    /// Listed by its worker as having input to parse or execute.
    pub ready: bool,
    /// Held back by CLIENT PAUSE or the like: retried when the pause ends.
    pub held: bool,
    /// The wait of its first parked command, which is blocked.
    pub blocked: Option<Blocked>,
    /// Of its user's limits.
    pub(crate) metered: Metered,
}

/// How a connection stands with its user's limits.
#[derive(Debug, Default)]
pub(crate) struct Metered {
    /// Parked commands, the first ones, that are paid for.
    pub paid: usize,
    /// Nothing is executed before it has ended.
    pub wait: Option<Throttle>,
}

/// The wait of a connection for its next commands to be paid for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throttle {
    /// When they are, and when the connection looks whether its user still has this rate, in Unix
    /// milliseconds.
    pub due_ms: i64,
    pub wake_ms: i64,
    /// How many they are.
    pub count: usize,
    /// The rate that they are to be paid at.
    pub rate: u64,
}

const _: () = assert!(size_of::<Client>() <= WORKER_PART);

impl Client {
    /// Whether it waits for its next commands, because of its user's `%rate`.
    pub fn is_throttled(&self) -> bool {
        self.metered.wait.is_some()
    }

    /// A new connection.
    pub fn new(shared: Arc<ClientShared>, authenticated: bool) -> Self {
        Self {
            input: Input::default(),
            reply: Reply::new(Proto::Resp2),
            unsent: Unsent::default(),
            session: Session { authenticated, known: authenticated, ..Session::default() },
            shared,
            halted: false,
            ready: false,
            held: false,
            blocked: None,
            metered: Metered::default(),
        }
    }

    /// Appends the part of the primary's stream that it has applied to the replication log.
    #[inline]
    pub fn log_applied(&mut self, log: &Log) {
        if let Some(link) = &mut self.session.primary_link {
            link.log(log, &self.input);
        }
    }

    /// Drops the first `count` parked commands, which have been executed. What they applied of a
    /// primary's stream is appended to the log first.
    #[inline]
    pub fn executed(&mut self, count: usize, log: &Log) {
        if let Some(link) = &mut self.session.primary_link {
            link.log_all(log, &self.input, count);
            link.prepared_begin += count;
        }
        self.input.executed(count);
    }

    /// Starts on the next portion of the primary's stream and returns the last one, which must have
    /// been consumed.
    pub(crate) fn begin_portion(&mut self, mut portion: Portion) -> Portion {
        debug_assert_eq!(self.input.pending_bytes(), 0, "it would be lost");
        let total = self.shared.net_in.load(Ordering::Relaxed) + portion.received as u64;
        self.shared.net_in.store(total, Ordering::Relaxed);
        std::mem::swap(&mut self.input, &mut portion.input);
        if let Some(link) = &mut self.session.primary_link {
            std::mem::swap(&mut link.prepared, &mut portion.prepared);
            link.prepared_begin = 0;
        }
        portion
    }

    /// Publishes the sizes of its buffers for other threads.
    pub fn publish(&self, registry: &Registry) {
        let shared = &self.shared;
        let understood = self.input.understood_bytes();
        shared.argv_bytes.store(understood, Ordering::Relaxed);
        let rest = self.input.pending_bytes().saturating_sub(understood);
        shared.query_bytes.store(rest, Ordering::Relaxed);
        shared.query_free.store(self.input.free_bytes(), Ordering::Relaxed);
        shared.output_bytes.store(self.unsent_bytes(), Ordering::Relaxed);
        shared.output_capacity.store(self.output_capacity(), Ordering::Relaxed);
        let output = self.reply.len();
        if output > shared.output_peak.load(Ordering::Relaxed) {
            shared.output_peak.store(output, Ordering::Relaxed);
        }
        registry.note_memory(shared);
    }

    /// Memory of the output buffers, in bytes.
    pub fn output_capacity(&self) -> usize {
        self.reply.capacity() + self.unsent.capacity()
    }

    /// Sends out-of-band bytes, such as a push, unless CLIENT REPLY is off.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.session.reply_mode != ReplyMode::Off {
            self.reply.raw(bytes);
        }
    }

    /// Whether it is to be closed as soon as its output is sent.
    pub fn closing(&self) -> bool {
        self.session.close_after_reply
    }
}

#[cfg(test)]
mod tests;
