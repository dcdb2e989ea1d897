//! A streaming reader of the commands in an append-only file.
//!
//! The file is a sequence of commands as a client would send them, and of *annotations*: lines that
//! begin with `#`, of which `#TS:1700000000` says when what follows was run. A transaction, MULTI
//! to EXEC, is one unit: it counts only as a whole. [`Scanner::unit_end`] is where the last whole
//! unit ends: what comes behind it when the file breaks off or is damaged can be cut away.
//!
//! An RDB file in front of the commands is not read here; the scanner starts behind it.
//!
//! # Invariants
//! - No input panics, and none makes it reserve more than about twice what it has received.
//! - Every error names the item at fault, and `unit_end` is never behind it.
//! - After an error the scanner is not used again.
//!
//! # Deviations
//! From the loaders and check tools of redis-server 7.0.15, Redis 8.2.3 and Valkey 9.1.2. All but
//! the first are about files that no server writes:
//! - An annotation whose line has not ended is a broken end. The real servers keep it, and append
//!   the next command to that line, where they do not find it again.
//! - An annotation longer than [`ANNOTATION_LEN_MAX`] is an error. They take the rest of the line
//!   for a command.
//! - Numbers have neither sign nor leading blanks or zeros; a command has one argument at least;
//!   EXEC without MULTI and MULTI in a transaction are errors. Of these the check tools and the
//!   loaders do not refuse the same.

use std::fmt;
use std::io::{self, Read};

use redix_resp::request::COMMAND_LEN_MAX;
use redix_resp::{Limits, Parsed, RequestParser, Span};
use redix_types::num::parse_i64;

/// The longest annotation, in bytes, with the end of its line.
pub const ANNOTATION_LEN_MAX: usize = 1024;
/// Bytes asked of the source at once, at least.
const BLOCK_LEN: usize = 256 << 10;
/// Bytes of a line that are looked at for a number.
const NUMBER_LINE_MAX: usize = 128;

/// A part of the file.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A command.
    Command(Command<'a>),
    /// A line that is not a command.
    Annotation(Annotation<'a>),
}

/// A command of the file.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The offset of its first byte.
    pub start: u64,
    /// The offset behind its last byte.
    pub end: u64,
    /// Its place in a transaction.
    pub place: Place,
    /// Its bytes, as they are in the file.
    pub bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Command<'a> {
    /// The arguments, one at least; the first is the name.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| span.of(bytes))
    }
}

/// The place of a command in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is in none.
    Alone,
    /// It is the MULTI that opens one.
    Opens,
    /// It is inside one.
    Inside,
    /// It is the EXEC that closes one.
    Closes,
}

impl Place {
    /// Whether a unit ends with a command in this place.
    pub fn ends_unit(self) -> bool {
        matches!(self, Self::Alone | Self::Closes)
    }
}

/// A line that begins with `#`.
#[derive(Debug, Clone, Copy)]
pub struct Annotation<'a> {
    /// The offset of its first byte.
    pub start: u64,
    /// The offset behind its last byte.
    pub end: u64,
    /// The line with its end.
    pub line: &'a [u8],
}

impl Annotation<'_> {
    /// Seconds since the Unix epoch, if this is the annotation of a time; an error if it should be,
    /// but is malformed.
    pub fn timestamp(&self) -> Option<Result<i64, BadTimestamp>> {
        let text = self.line.strip_prefix(b"#TS:")?;
        Some(text.strip_suffix(b"\r\n").and_then(parse_i64).ok_or(BadTimestamp))
    }

    /// The text of a replication id, if this is the annotation of one.
    pub fn replication_id(&self) -> Option<&[u8]> {
        Some(self.line.strip_prefix(b"#REPL-ID:")?.trim_ascii_end())
    }

    /// If this is the annotation of the replication offset before the next command: the offset,
    /// unless it is malformed.
    pub fn replication_offset(&self) -> Option<Option<u64>> {
        let text = self.line.strip_prefix(b"#REPL-OFFSET:")?.trim_ascii_end();
        Some(parse_i64(text).and_then(|offset| u64::try_from(offset).ok()))
    }
}

/// An annotation `#TS:` without a number or a proper line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadTimestamp;

/// Reads the items of a file.
pub struct Scanner<R> {
    source: R,
    block: Vec<u8>,
    /// `block[pos..end]` was read and belongs to no item yet.
    pos: usize,
    end: usize,
    at_end: bool,
    /// The offset in the file of `block[pos]`.
    offset: u64,
    unit_end: u64,
    in_transaction: bool,
    parser: RequestParser,
    spans: Vec<Span>,
}

impl<R: Read> Scanner<R> {
    /// A scanner of `source`, whose first byte is at `offset` of the file. It is read in large
    /// blocks and must block.
    pub fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            block: Vec::new(),
            pos: 0,
            end: 0,
            at_end: false,
            offset,
            unit_end: offset,
            in_transaction: false,
            parser: RequestParser::default(),
            spans: Vec::new(),
        }
    }

    /// The offset behind the last item.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset behind the last item that ended while no transaction was open.
    pub fn unit_end(&self) -> u64 {
        self.unit_end
    }

    /// The next item; `None` at the end of the file, if that is not within a unit.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, ScanError> {
        match self.find() {
            Ok(None) => Ok(None),
            Ok(Some((len, place))) => Ok(Some(self.take(len, place))),
            Err(fault) => Err(ScanError { start: self.offset, fault }),
        }
    }

    /// The length of the next item, and its place in a transaction if it is a command, whose spans
    /// are then in `spans`.
    fn find(&mut self) -> Result<Option<(usize, Option<Place>)>, Fault> {
        if self.pos == self.end && !self.fill(0)? {
            return match self.in_transaction {
                true => Err(Fault::short(Missing::Exec)),
                false => Ok(None),
            };
        }
        match self.block[self.pos] {
            b'#' => Ok(Some((self.find_line_end()?, None))),
            b'*' => {
                let len = self.find_command()?;
                Ok(Some((len, Some(self.place(len)?))))
            }
            _ => Err(Fault { offset: 0, parts: 0, kind: FaultKind::NotACommand }),
        }
    }

    fn find_line_end(&mut self) -> Result<usize, Fault> {
        let mut searched = 0;
        loop {
            let line = &self.block[self.pos..self.end];
            let line = &line[..line.len().min(ANNOTATION_LEN_MAX)];
            if let Some(end) = memchr::memchr(b'\n', &line[searched..]) {
                return Ok(searched + end + 1);
            }
            searched = line.len();
            if searched == ANNOTATION_LEN_MAX {
                return Err(Fault { offset: 0, parts: 0, kind: FaultKind::LongAnnotation });
            }
            if !self.fill(0)? {
                return Err(Fault::short(Missing::LineEnd));
            }
        }
    }

    fn find_command(&mut self) -> Result<usize, Fault> {
        self.spans.clear();
        loop {
            let bytes = &self.block[self.pos..self.end];
            match self.parser.parse(bytes, &mut self.spans, &Limits::TRUSTED) {
                Ok(Parsed::Command { consumed }) if !self.spans.is_empty() => return Ok(consumed),
                Ok(Parsed::Incomplete { wanted }) => {
                    if !self.fill(wanted)? {
                        return Err(diagnose(&self.block[self.pos..self.end]));
                    }
                }
                Ok(Parsed::Command { .. } | Parsed::Inline { .. }) | Err(_) => {
                    return Err(diagnose(bytes));
                }
            }
        }
    }

    /// The place of the command found at `pos`.
    fn place(&self, len: usize) -> Result<Place, Fault> {
        let name = self.spans[0].of(&self.block[self.pos..][..len]);
        let kind = if name.eq_ignore_ascii_case(b"MULTI") {
            match self.in_transaction {
                false => return Ok(Place::Opens),
                true => FaultKind::NestedMulti,
            }
        } else if name.eq_ignore_ascii_case(b"EXEC") {
            match self.in_transaction {
                true => return Ok(Place::Closes),
                false => FaultKind::StrayExec,
            }
        } else {
            return Ok(if self.in_transaction { Place::Inside } else { Place::Alone });
        };
        Err(Fault { offset: 0, parts: parts(self.spans.len()), kind })
    }

    /// Lends the item that was found and moves behind it.
    fn take(&mut self, len: usize, place: Option<Place>) -> Item<'_> {
        let bytes = &self.block[self.pos..][..len];
        let start = self.offset;
        let end = start + len as u64;
        (self.pos, self.offset) = (self.pos + len, end);
        match place {
            Some(Place::Opens) => self.in_transaction = true,
            Some(Place::Closes) => self.in_transaction = false,
            _ => {}
        }
        if !self.in_transaction {
            self.unit_end = end;
        }
        match place {
            Some(place) => Item::Command(Command { start, end, place, bytes, spans: &self.spans }),
            None => Item::Annotation(Annotation { start, end, line: bytes }),
        }
    }

    /// Reads more of the source, with room for `wanted` bytes from `pos` on if that is at most
    /// twice what is there. False at the end of the source.
    fn fill(&mut self, wanted: usize) -> Result<bool, Fault> {
        let held = self.end - self.pos;
        let room = wanted.min(held * 2).max(held + BLOCK_LEN / 4).max(BLOCK_LEN);
        if self.block.len() - self.pos < room {
            self.block.copy_within(self.pos..self.end, 0);
            (self.pos, self.end) = (0, held);
            if self.block.len() < room {
                self.block.resize(room, 0);
            }
        }
        while !self.at_end {
            match self.source.read(&mut self.block[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => {
                    self.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = held as u64;
                    return Err(Fault { offset, parts: 0, kind: FaultKind::Io(error) });
                }
            }
        }
        Ok(false)
    }
}

/// The parts of a command with this many arguments: its count, and a length and a body for each.
pub fn parts(args: usize) -> u64 {
    1 + 2 * args as u64
}

/// Where and why reading stopped.
#[derive(Debug)]
pub struct ScanError {
    /// The offset of the item at fault.
    pub start: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an item.
#[derive(Debug)]
pub struct Fault {
    /// The offset, within the item, of the part at fault: a line or the body of an argument.
    pub offset: u64,
    /// The parts of the item before that one, see [`parts`].
    pub parts: u64,
    /// What it is.
    pub kind: FaultKind,
}

/// The kinds of fault.
#[derive(Debug)]
pub enum FaultKind {
    /// The file breaks off.
    Short(Missing),
    /// The item is neither a command nor an annotation.
    NotACommand,
    /// The annotation is longer than [`ANNOTATION_LEN_MAX`].
    LongAnnotation,
    /// The command has no arguments, or more than a command may have.
    Count(i64),
    /// An argument begins with this byte instead of `$`.
    Prefix(u8),
    /// The length of an argument is out of range.
    Length(i64),
    /// What should be a number is none, or is too large.
    NotANumber,
    /// The command is longer than [`COMMAND_LEN_MAX`].
    TooLong,
    /// These two bytes are in the place of a line end; 0 where the file ends.
    LineEnd([u8; 2]),
    /// MULTI inside a transaction.
    NestedMulti,
    /// EXEC without MULTI.
    StrayExec,
    /// The source cannot be read.
    Io(io::Error),
}

/// What is missing where a file breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The end of a line; behind what should be a number are these two bytes, 0 where there is
    /// none.
    NumberEnd([u8; 2]),
    /// The end of an annotation.
    LineEnd,
    /// The next argument.
    Argument,
    /// A part of an argument and its line end.
    Body {
        /// Bytes that it should have.
        wanted: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The EXEC of an open transaction.
    Exec,
}

impl Fault {
    fn short(missing: Missing) -> Self {
        Self { offset: 0, parts: 0, kind: FaultKind::Short(missing) }
    }
}

impl ScanError {
    /// Whether the file breaks off within a unit, and is sound up to there.
    pub fn is_truncation(&self) -> bool {
        matches!(self.fault.kind, FaultKind::Short(_))
    }

    /// The offset in the file of the part at fault.
    pub fn offset(&self) -> u64 {
        self.start + self.fault.offset
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset(), self.fault.kind)
    }
}

impl std::error::Error for ScanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault.kind {
            FaultKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(Missing::NumberEnd(found)) | Self::LineEnd(found) => {
                write!(f, "Expected \\r\\n, got: {:02x}{:02x}", found[0], found[1])
            }
            Self::Short(Missing::LineEnd) => f.write_str("Reached EOF inside an annotation"),
            Self::Short(Missing::Argument) => f.write_str("Reached EOF before an argument"),
            Self::Short(Missing::Body { wanted, found }) => {
                write!(f, "Expected to read {wanted} bytes, got {found} bytes")
            }
            Self::Short(Missing::Exec) => f.write_str("Reached EOF before reading EXEC for MULTI"),
            Self::NotACommand => f.write_str("neither a command nor an annotation"),
            Self::LongAnnotation => write!(f, "annotation over {ANNOTATION_LEN_MAX} bytes"),
            Self::Count(count) => write!(f, "a command of {count} arguments"),
            Self::Prefix(byte) => {
                write!(f, "Expected prefix '$', got: '{}'", byte.escape_ascii())
            }
            Self::Length(len) => write!(
                f,
                "Expected to read string of {len} bytes, which is not in the suitable range"
            ),
            Self::NotANumber => f.write_str("Expected a number"),
            Self::TooLong => write!(f, "a command of over {COMMAND_LEN_MAX} bytes"),
            Self::NestedMulti => f.write_str("Unexpected MULTI"),
            Self::StrayExec => f.write_str("Unexpected EXEC"),
            Self::Io(error) => write!(f, "read error: {error}"),
        }
    }
}

/// Finds the fault of the command that `bytes` begin with, where the parser lacks more or refused
/// it.
fn diagnose(bytes: &[u8]) -> Fault {
    let mut walk = Walk { bytes, at: 0, parts: 0 };
    // Where it finds none, it is the length of the whole.
    let kind = walk.command().err().unwrap_or(FaultKind::TooLong);
    Fault { offset: walk.at as u64, parts: walk.parts, kind }
}

/// A walk over the sound parts of a command.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: u64,
}

impl Walk<'_> {
    /// The fault of the first part that is not sound.
    fn command(&mut self) -> Result<(), FaultKind> {
        let count = self.number()?;
        if !(1..=Limits::TRUSTED.multibulk_max).contains(&count) {
            return Err(FaultKind::Count(count));
        }
        self.pass(number_line_len(count));
        for _ in 0..count {
            match self.bytes.get(self.at) {
                None => return Err(FaultKind::Short(Missing::Argument)),
                Some(b'$') => self.argument()?,
                Some(byte) => return Err(FaultKind::Prefix(*byte)),
            }
        }
        Ok(())
    }

    fn argument(&mut self) -> Result<(), FaultKind> {
        let number = self.number()?;
        let Ok(len) = usize::try_from(number) else {
            // The line itself is sound.
            self.parts += 1;
            return Err(FaultKind::Length(number));
        };
        self.pass(number_line_len(number));
        if len > COMMAND_LEN_MAX - 2 - self.at.min(COMMAND_LEN_MAX - 2) {
            return Err(FaultKind::TooLong);
        }
        let body = &self.bytes[self.at..];
        match body.get(len..).and_then(<[u8]>::first_chunk) {
            Some(b"\r\n") => self.pass(len + 2),
            Some(other) => return Err(FaultKind::LineEnd(*other)),
            None => {
                let (wanted, found) = (len as u64 + 2, body.len() as u64);
                return Err(FaultKind::Short(Missing::Body { wanted, found }));
            }
        }
        Ok(())
    }

    fn pass(&mut self, len: usize) {
        self.at += len;
        self.parts += 1;
    }

    /// The number in the line at hand, behind its mark.
    fn number(&self) -> Result<i64, FaultKind> {
        let text = self.bytes.get(self.at + 1..).unwrap_or_default();
        let text = &text[..text.len().min(NUMBER_LINE_MAX)];
        let sign = usize::from(text.starts_with(b"-"));
        let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = text.split_at(if digits == 0 { 0 } else { sign + digits });
        let at = |index: usize| rest.get(index).copied().unwrap_or(0);
        match (parse_i64(digits), rest) {
            (Some(number), [b'\r', b'\n', ..]) => Ok(number),
            (_, [] | [b'\r']) if text.len() < NUMBER_LINE_MAX => {
                Err(FaultKind::Short(Missing::NumberEnd([at(0), at(1)])))
            }
            (None, [b'\r', b'\n', ..]) => Err(FaultKind::NotANumber),
            _ => Err(FaultKind::LineEnd([at(0), at(1)])),
        }
    }
}

/// The length of the line of a number, with mark and line end.
fn number_line_len(number: i64) -> usize {
    itoa::Buffer::new().format(number).len() + 3
}

#[cfg(test)]
mod tests;
