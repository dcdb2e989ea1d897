//! Incremental parser of client requests: multibulk (`*2\r\n$3\r\nGET…`) and inline (`GET k\r\n`).
//!
//! The caller owns the read buffer and shows the parser the slice that starts at the first byte of
//! the command under way. Arguments come back as [`Span`]s into that slice, appended to a vector
//! that the caller reuses, so a whole command costs one pass over its headers, no look at its
//! bodies and no allocation. A parser that hands out slices would borrow the buffer for as long as
//! a batch lives; one that hands out owned bytes would allocate per argument.
//!
//! # Invariants
//! - The caller's `args` holds spans of whole commands only; those of a command under way wait
//!   inside the parser.
//! - A byte is looked at once: what arrives later never makes earlier bytes be scanned again
//!   (but for the length line on which the input broke off).
//! - The result does not depend on how the input was cut into pieces, with two exceptions, as in
//!   the real servers: a command that is broken beyond where the input ends is not refused yet, and
//!   a line may be longer than its limit where its end came together with what passed it.
//! - Counts and lengths reserve nothing. Memory kept for a command under way is in proportion to
//!   the bytes that have arrived.
//!
//! # Deviation from Valkey 9.1.2, with real servers that agree
//! - The byte 0xff in an inline command is kept (Redis 7 and 8; Valkey 9 drops it).
//!
//! HOT PATH: no alloc, no log, no syscall.

use crate::error::ProtocolError;
use redix_num::{IntText, parse_i64};

/// Length limit of a whole command, headers included: spans are 32 bits wide, and the largest
/// offsets stand for detached arguments.
pub const COMMAND_LEN_MAX: usize = u32::MAX as usize - DETACHED_MAX;
/// Arguments of one command that may be detached.
pub const DETACHED_MAX: usize = 64 * 1024;
/// Arguments that a client may send in one command before it has authenticated.
pub const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
/// Bytes that a client may send in one argument before it has authenticated.
pub const UNAUTHENTICATED_BULK_LEN_MAX: i64 = 16 * 1024;
/// Length limit of a whole command before the client has authenticated, headers included.
pub const UNAUTHENTICATED_COMMAND_LEN_MAX: usize = 24 * 1024;
/// Span storage kept between incomplete commands; a larger one is freed.
const SPANS_KEPT_MAX: usize = 1024;

/// One argument: offsets relative to the start of its command (the slice given to
/// [`RequestParser::parse`]), or into the bytes of [`Parsed::Inline`]. Of a detached argument
/// ([`RequestParser::detach_body`]) the offset lies behind any command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// Both numbers are offsets within a slice of at most [`COMMAND_LEN_MAX`] bytes.
    #[inline(always)]
    fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len <= COMMAND_LEN_MAX);
        Self { start: start as u32, len: len as u32 }
    }

    /// The number of the detached argument; `None` if it is not detached.
    #[inline]
    pub fn detached(&self) -> Option<usize> {
        (self.start as usize > COMMAND_LEN_MAX).then(|| (u32::MAX - self.start) as usize)
    }

    /// The argument's bytes; `command` is the slice that was parsed. Panics if it is shorter than
    /// the command that the span came from.
    #[inline(always)]
    pub fn of<'a>(&self, command: &'a [u8]) -> &'a [u8] {
        &command[self.start as usize..][..self.len as usize]
    }
}

/// The limits of requests, as inclusive maxima.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of one command.
    pub multibulk_max: i64,
    /// Bytes of one argument (`proto-max-bulk-len`).
    pub bulk_len_max: i64,
    /// Bytes of an inline command, and of an incomplete `*` or `$` line.
    pub inline_max: usize,
    /// Whether these limits apply, or those of an unauthenticated client as well:
    /// [`UNAUTHENTICATED_ARGS_MAX`], [`UNAUTHENTICATED_BULK_LEN_MAX`] and
    /// [`UNAUTHENTICATED_COMMAND_LEN_MAX`].
    pub authenticated: bool,
}

impl Default for Limits {
    /// The defaults of the real servers, for an authenticated client.
    fn default() -> Self {
        Self { bulk_len_max: 512 * 1024 * 1024, ..Self::TRUSTED }
    }
}

impl Limits {
    /// The limits for a source that decides itself what is too long: the stream of a primary, an
    /// append-only file.
    pub const TRUSTED: Self = Self {
        multibulk_max: i32::MAX as i64,
        bulk_len_max: i64::MAX,
        inline_max: 64 * 1024,
        authenticated: true,
    };

    #[inline(always)]
    fn multibulk_allowed(&self) -> i64 {
        if self.authenticated {
            self.multibulk_max
        } else {
            self.multibulk_max.min(UNAUTHENTICATED_ARGS_MAX)
        }
    }

    #[inline(always)]
    fn bulk_len_allowed(&self) -> i64 {
        if self.authenticated {
            self.bulk_len_max
        } else {
            self.bulk_len_max.min(UNAUTHENTICATED_BULK_LEN_MAX)
        }
    }

    #[inline(always)]
    fn command_len_allowed(&self) -> usize {
        if self.authenticated { COMMAND_LEN_MAX } else { UNAUTHENTICATED_COMMAND_LEN_MAX }
    }

    /// Bytes of a line. Below the limit of a command, so that a longer line is noticed.
    fn line_len_allowed(&self) -> usize {
        self.inline_max.min(self.command_len_allowed() - 1)
    }

    fn bulk_error(&self) -> ProtocolError {
        if self.authenticated {
            ProtocolError::InvalidBulkLength
        } else {
            ProtocolError::UnauthenticatedBulkLength
        }
    }
}

/// Outcome of [`RequestParser::parse`].
#[derive(PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A complete command, whose arguments were appended to `args`. There may be none (`*0`, an
    /// empty line): then there is nothing to run or reply to.
    Command {
        /// Bytes of the slice that belong to the command.
        consumed: usize,
    },
    /// A complete inline command with quotes, whose arguments were appended to `args` as spans into
    /// `bytes`.
    Inline {
        /// Bytes of the slice that belong to the command.
        consumed: usize,
        /// The unquoted arguments, one after the other.
        bytes: Vec<u8>,
    },
    /// More input is needed.
    Incomplete {
        /// Length that the slice must have for the present argument to be complete, 0 where that is
        /// not known yet. It is what the client announced, within the limits: use it to size reads,
        /// but grow the buffer as bytes arrive.
        wanted: usize,
    },
}

/// State of an incomplete command. One per connection.
#[derive(Default, Debug)]
pub struct RequestParser {
    /// Whether a part of a command has been parsed.
    started: bool,
    /// Offset of the first byte that is not parsed yet.
    pos: usize,
    /// Offset up to which the line at `pos` has been searched for its end; not below `pos`.
    scanned: usize,
    /// Arguments of the multibulk command still to be parsed; 0 before its count is known.
    args_left: u64,
    /// Length of the argument whose body starts at `pos`, once its length line was parsed.
    bulk_len: Option<usize>,
    /// The argument whose line end is at `pos`, if its body was detached.
    detached: Option<Span>,
    /// Arguments found so far.
    spans: Vec<Span>,
}

impl RequestParser {
    /// Parses one command. `buf` starts at the first byte of the command under way and holds all
    /// that was received since: after `Incomplete`, call again with the same bytes and more; after
    /// a command, with the slice that follows it.
    ///
    /// # Errors
    /// The request breaks the protocol. Nothing after it can be parsed.
    #[inline]
    pub fn parse(
        &mut self,
        buf: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let whole = &buf[..buf.len().min(limits.command_len_allowed())];
        if !self.started
            && let Some((count, mut pos)) = length_line(whole, 0, b'*')
            && i64::from(count) <= limits.multibulk_allowed()
        {
            let bulk_len_max = limits.bulk_len_allowed();
            let first = args.len();
            let mut args_left = count;
            while args_left > 0 {
                let Some((span, next)) = whole_bulk(whole, pos, bulk_len_max) else {
                    self.spans.extend_from_slice(&args[first..]);
                    args.truncate(first);
                    self.args_left = u64::from(args_left);
                    (self.pos, self.scanned) = (pos, pos);
                    return self.resume(buf, args, limits);
                };
                args.push(span);
                pos = next;
                args_left -= 1;
            }
            return Ok(Parsed::Command { consumed: pos });
        }
        self.resume(buf, args, limits)
    }

    /// Whether there is no incomplete command.
    #[inline]
    pub fn is_idle(&self) -> bool {
        !self.started
    }

    /// The length of the argument whose body it waits for, unless that is detached.
    #[inline]
    pub fn body_len(&self) -> Option<usize> {
        self.bulk_len.filter(|_| self.detached.is_none())
    }

    /// Bytes of the command parsed so far: up to the body of [`RequestParser::body_len`].
    #[inline]
    pub fn understood(&self) -> usize {
        self.pos
    }

    /// Whether the line end after a body that was left to the caller is yet to come.
    #[inline]
    pub fn awaits_line_end(&self) -> bool {
        self.detached.is_some()
    }

    /// Leaves the body that it waits for to the caller, as number `index` (below [`DETACHED_MAX`])
    /// of the command: the slice continues with the line end after the body.
    pub fn detach_body(&mut self, index: usize) {
        debug_assert!(index < DETACHED_MAX && self.detached.is_none());
        if let Some(len) = self.bulk_len.replace(0) {
            self.detached = Some(Span { start: u32::MAX - index as u32, len: len as u32 });
        }
    }

    /// Drops the incomplete command.
    pub fn reset(&mut self) {
        self.started = false;
        (self.pos, self.scanned) = (0, 0);
        self.args_left = 0;
        self.bulk_len = None;
        self.detached = None;
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT_MAX);
    }

    /// The slow path: inline commands, incomplete commands, and diagnosing errors.
    #[cold]
    #[inline(never)]
    fn resume(
        &mut self,
        buf: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let whole = &buf[..buf.len().min(limits.command_len_allowed())];
        let Some(&first) = whole.first() else {
            return Ok(Parsed::Incomplete { wanted: 0 });
        };
        self.started = true;
        if self.args_left == 0 {
            if first != b'*' {
                return self.inline(whole, args, limits);
            }
            match self.multibulk_count(whole, limits)? {
                None => return Ok(Parsed::Incomplete { wanted: 0 }),
                Some(0) => return Ok(self.finish(args)),
                Some(count) => self.args_left = count,
            }
        }
        while self.args_left > 0 {
            if let Some(wanted) = self.bulk(whole, limits)? {
                if buf.len() > whole.len() {
                    return Err(limits.bulk_error());
                }
                return Ok(Parsed::Incomplete { wanted });
            }
            self.args_left -= 1;
        }
        Ok(self.finish(args))
    }

    fn finish(&mut self, args: &mut Vec<Span>) -> Parsed {
        let consumed = self.pos;
        args.append(&mut self.spans);
        self.reset();
        Parsed::Command { consumed }
    }

    /// Parses the `*` line. A count below one means that there is nothing to run.
    fn multibulk_count(
        &mut self,
        buf: &[u8],
        limits: &Limits,
    ) -> Result<Option<u64>, ProtocolError> {
        let Some(line) = self.line(buf, limits, ProtocolError::TooBigMultibulkCount)? else {
            return Ok(None);
        };
        let count = parse_i64(&line[1..])
            .filter(|count| *count <= limits.multibulk_max)
            .ok_or(ProtocolError::InvalidMultibulkLength)?;
        if count > limits.multibulk_allowed() {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        Ok(Some(u64::try_from(count).unwrap_or(0)))
    }

    /// Parses one argument; if it is incomplete, returns the length that `buf` must have for it to
    /// be complete, 0 where that is not known.
    fn bulk(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let len = match self.bulk_len {
            Some(len) => len,
            None => {
                if let Some((span, next)) = whole_bulk(buf, self.pos, limits.bulk_len_allowed()) {
                    self.spans.push(span);
                    (self.pos, self.scanned) = (next, next);
                    return Ok(None);
                }
                let line = match self.line(buf, limits, ProtocolError::TooBigBulkCount) {
                    Ok(Some(line)) => line,
                    Ok(None) => return Ok(Some(0)),
                    Err(ProtocolError::InvalidCrlf) if buf[self.pos] != b'$' => {
                        return Err(ProtocolError::ExpectedDollar(buf[self.pos]));
                    }
                    Err(error) => return Err(error),
                };
                let len = self.bulk_len(line, limits)?;
                self.bulk_len = Some(len);
                len
            }
        };
        let end = self.pos + len;
        match (buf.get(end), buf.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let span = self.detached.take().unwrap_or_else(|| Span::new(self.pos, len));
                self.spans.push(span);
                self.bulk_len = None;
                (self.pos, self.scanned) = (end + 2, end + 2);
                Ok(None)
            }
            (Some(_), Some(_)) => Err(ProtocolError::InvalidCrlf),
            _ => Ok(Some(end + 2)),
        }
    }

    /// Parses the length in a `$` line, bounded so that the body fits a command.
    fn bulk_len(&self, line: &[u8], limits: &Limits) -> Result<usize, ProtocolError> {
        let [b'$', digits @ ..] = line else {
            // On an empty line, the byte in place of the `$` is its CR.
            return Err(ProtocolError::ExpectedDollar(*line.first().unwrap_or(&b'\r')));
        };
        let len = parse_i64(digits)
            .filter(|len| *len <= limits.bulk_len_max)
            .and_then(|len| usize::try_from(len).ok())
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if len as u64 > limits.bulk_len_allowed().unsigned_abs() {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        if len + 2 > limits.command_len_allowed() - self.pos {
            return Err(limits.bulk_error());
        }
        Ok(len)
    }

    /// The line at `pos` without its CR LF, if it is complete; `pos` then moves past it.
    fn line<'a>(
        &mut self,
        buf: &'a [u8],
        limits: &Limits,
        too_big: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let cr = buf[self.scanned..].iter().position(|byte| *byte == b'\r');
        self.scanned = cr.map_or(buf.len(), |offset| self.scanned + offset);
        if cr.is_none() && self.scanned - self.pos > limits.line_len_allowed() {
            return Err(too_big);
        }
        match (cr, buf.get(self.scanned + 1)) {
            (Some(_), Some(b'\n')) => {
                let line = &buf[self.pos..self.scanned];
                self.scanned += 2;
                self.pos = self.scanned;
                Ok(Some(line))
            }
            // As in Valkey 9.1; for Redis and Valkey 8 anything passes for the LF.
            (Some(_), Some(_)) => Err(ProtocolError::InvalidCrlf),
            _ => Ok(None),
        }
    }

    /// Parses an inline command. A NUL hides everything after it, as in the real servers: the
    /// command never ends, and is refused when it exceeds the limit.
    fn inline(
        &mut self,
        buf: &[u8],
        args: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let stop = buf[self.scanned..].iter().position(|byte| matches!(byte, b'\n' | 0));
        self.scanned = stop.map_or(buf.len(), |offset| self.scanned + offset);
        let ends = buf.get(self.scanned) == Some(&b'\n');
        let len = if ends { self.scanned } else { buf.len() };
        if !ends {
            return if len > limits.line_len_allowed() {
                Err(ProtocolError::TooBigInline)
            } else {
                Ok(Parsed::Incomplete { wanted: 0 })
            };
        }
        let consumed = len + 1;
        let line = &buf[..len];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
            let bytes = unquote(line, args)?;
            self.reset();
            return Ok(Parsed::Inline { consumed, bytes });
        }
        split_plain(line, args);
        self.reset();
        Ok(Parsed::Command { consumed })
    }
}

const CRLF: u16 = u16::from_le_bytes(*b"\r\n");

/// Parses `mark`, a number of at most 9 digits and CR LF at `pos`: the number and the offset after
/// it. `None` for anything else, complete or not, valid or not.
#[inline(always)]
fn length_line(buf: &[u8], pos: usize, mark: u8) -> Option<(u32, usize)> {
    let line = buf.get(pos..)?;
    // Nearly all numbers have one or two digits.
    if let Some(&[first, a, b, c, d]) = line.first_chunk()
        && first == mark
    {
        let (high, low) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
        if high <= 9 && u16::from_le_bytes([b, c]) == CRLF {
            return Some((u32::from(high), pos + 4));
        }
        if matches!(high, 1..=9) && low <= 9 && u16::from_le_bytes([c, d]) == CRLF {
            return Some((u32::from(high * 10 + low), pos + 5));
        }
    }
    any_length_line(line, mark).map(|(number, len)| (number, pos + len))
}

/// As `length_line`, at the start of `line`, for a number of any length.
#[inline(never)]
fn any_length_line(line: &[u8], mark: u8) -> Option<(u32, usize)> {
    let [first, digit, rest @ ..] = line else { return None };
    let mut number = u32::from(digit.wrapping_sub(b'0'));
    if *first != mark || number > 9 {
        return None;
    }
    let leading_zero = number == 0;
    let mut at = 0;
    loop {
        let byte = *rest.get(at)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (byte == b'\r' && rest.get(at + 1) == Some(&b'\n')).then_some((number, at + 4));
        }
        if at == 8 || leading_zero {
            return None;
        }
        number = number * 10 + u32::from(digit);
        at += 1;
    }
}

/// Parses one complete, well-formed argument at `pos`; returns it and the offset after it.
#[inline(always)]
fn whole_bulk(buf: &[u8], pos: usize, len_max: i64) -> Option<(Span, usize)> {
    let (len, body) = length_line(buf, pos, b'$')?;
    let end = body + len as usize;
    let [cr, lf] = *buf.get(end..)?.first_chunk()?;
    if i64::from(len) > len_max || u16::from_le_bytes([cr, lf]) != CRLF {
        return None;
    }
    Some((Span::new(body, len as usize), end + 2))
}

/// Whether a byte is a blank before an argument of an inline command. (Between arguments only the
/// four of `ends_word` are.)
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Splits a line without quotes into spans of the line itself.
fn split_plain(line: &[u8], args: &mut Vec<Span>) {
    let mut pos = 0;
    while let Some(start) = next_word(line, pos) {
        let len = line[start..].iter().take_while(|byte| !ends_word(**byte)).count();
        args.push(Span::new(start, len));
        pos = start + len;
    }
}

fn next_word(line: &[u8], pos: usize) -> Option<usize> {
    line[pos..].iter().position(|byte| !is_blank(*byte)).map(|offset| pos + offset)
}

/// Splits a line with quotes: `"…"` with escapes (`\n \r \t \b \a \xHH`, any other byte after a
/// backslash is itself) and `'…'` with `\'` only; a word may have several such sections. Spans
/// point into the returned bytes; on an error `args` is as it was. (Redis and Valkey 8 refuse what
/// touches a closing quote.)
fn unquote(line: &[u8], args: &mut Vec<Span>) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = Vec::with_capacity(line.len());
    let first = args.len();
    let mut pos = 0;
    while let Some(start) = next_word(line, pos) {
        let word = bytes.len();
        let Some(end) = unquote_word(line, start, &mut bytes) else {
            args.truncate(first);
            return Err(ProtocolError::UnbalancedQuotes);
        };
        args.push(Span::new(word, bytes.len() - word));
        pos = end;
    }
    Ok(bytes)
}

/// Appends the argument at `pos` and returns the offset after it; `None` if its quotes do not
/// balance.
fn unquote_word(line: &[u8], mut pos: usize, bytes: &mut Vec<u8>) -> Option<usize> {
    loop {
        match line.get(pos) {
            None => return Some(pos),
            Some(byte) if ends_word(*byte) => return Some(pos),
            Some(quote @ (b'"' | b'\'')) => {
                pos = unquote_section(line, pos + 1, *quote, bytes)?;
            }
            Some(byte) => {
                bytes.push(*byte);
                pos += 1;
            }
        }
    }
}

/// Appends a quoted section that starts at `pos`, behind the opening quote, and returns the offset
/// behind the closing one; None if there is none. Where only one byte follows a backslash, nothing
/// is escaped: the quote in `\"` at the end of the line closes the section.
fn unquote_section(line: &[u8], mut pos: usize, quote: u8, bytes: &mut Vec<u8>) -> Option<usize> {
    loop {
        let (byte, used) = match &line[pos..] {
            [] => return None,
            [byte, ..] if *byte == quote => return Some(pos + 1),
            [b'\\', b'x', high, low, ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex_value(*high) * 16 + hex_value(*low), 4)
            }
            [b'\\', escaped, _, ..] if quote == b'"' => (unescape(*escaped), 2),
            [b'\\', b'\'', _, ..] if quote == b'\'' => (b'\'', 2),
            [byte, ..] => (*byte, 1),
        };
        bytes.push(byte);
        pos += used;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Appends a command as a multibulk request.
pub fn encode_command(out: &mut Vec<u8>, args: &[impl AsRef<[u8]>]) {
    encode_words(out, args.iter());
}

/// As [`encode_command`], for arguments that are not in a slice.
pub fn encode_words<W: AsRef<[u8]>>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = W>) {
    push_length(out, b'*', words.len());
    for arg in words {
        let arg = arg.as_ref();
        push_length(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

// HOT PATH: three or four times per write while the log is recorded. Arrays of a known size are
// stored in place, without a call to copy them; most arguments are short.
#[inline]
fn push_length(out: &mut Vec<u8>, mark: u8, len: usize) {
    match len {
        0..10 => out.extend_from_slice(&[mark, b'0' + len as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (b'0' + (len / 10) as u8, b'0' + (len % 10) as u8);
            out.extend_from_slice(&[mark, tens, ones, b'\r', b'\n']);
        }
        _ => out.extend_from_slice(IntText::unsigned(len as u64).line(mark)),
    }
}

#[cfg(test)]
mod tests;
