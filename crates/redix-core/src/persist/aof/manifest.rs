//! The manifest of a multi-part append-only file: which files it has, and their order.
//!
//! One file a line, as pairs of a key and a value: `file appendonly.aof.1.incr.aof seq 1 type i`.
//! The type is `b` (base), `h` (history: no longer needed) or `i` (increment). Redis 8.2 adds the
//! replication offsets at which an increment starts and ends, `startoffset` and `endoffset`; other
//! servers ignore them, as they do any key that they do not know. A `#` in the first column starts
//! a comment.
//!
//! Where history is kept (`aof-history-keep`) two more keys are written: `until`, on a line of the
//! history, is when the file was replaced, and `follows`, on that of an increment, the sequence
//! number of the increment that it continues without a gap.
//!
//! **Invariants.** A name is that of a file in the directory of the manifest, never a path. There
//! is one base at most, and the sequence numbers of the increments ascend. What
//! [`Manifest::to_bytes`] writes is what [`Manifest::parse`] reads, here and in the real servers,
//! unless a line of it is longer than [`LINE_LEN_MAX`].
//!
//! Checked against redis-server 7.0.15, Redis 8.2.3 and Valkey 9.1.2. Deviations, in manifests that
//! no server writes: a negative sequence number is refused, a negative offset ignored, and the
//! names `.`, `..` and the empty one are refused here instead of when the file is opened. A name
//! with a `'` is quoted: the real servers write it plain, which they do not read back.

use std::fmt;

use crate::config::{quote_unless_plain, split_args};

/// The longest line, in bytes, with its end.
pub const LINE_LEN_MAX: usize = 1024;
/// What the name of a manifest ends with, after `appendfilename`.
pub const MANIFEST_SUFFIX: &str = ".manifest";

/// What a file is to the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The data set as of its last rewrite.
    Base,
    /// A former base or increment, to be removed when it is old enough.
    History,
    /// Commands run since the base was made.
    Increment,
}

impl FileKind {
    /// By its character in the manifest.
    fn of(byte: u8) -> Option<Self> {
        [Self::Base, Self::History, Self::Increment].into_iter().find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Base => b'b',
            Self::History => b'h',
            Self::Increment => b'i',
        }
    }
}

/// The format of a base file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseFormat {
    /// An RDB file (`aof-use-rdb-preamble yes`).
    Rdb,
    /// Commands.
    Commands,
}

impl BaseFormat {
    /// By `aof-use-rdb-preamble`.
    pub fn of(rdb_preamble: bool) -> Self {
        if rdb_preamble { Self::Rdb } else { Self::Commands }
    }
}

/// A file of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AofFile {
    /// Its name, without a directory.
    pub name: Vec<u8>,
    /// Its number among the bases, or among the increments; from 1 on.
    pub sequence: u64,
    /// What it is to the data set.
    pub kind: FileKind,
    /// The replication offset before its first command, if it is known.
    pub start_offset: Option<u64>,
    /// The replication offset after its last command, if it is known and the file is complete.
    pub end_offset: Option<u64>,
    /// When it became history, in seconds since the Unix epoch, if that was recorded.
    pub until_s: Option<u64>,
    /// The sequence number of the increment whose commands come right before its own, if that was
    /// recorded.
    pub follows: Option<u64>,
}

impl AofFile {
    fn new(name: Vec<u8>, sequence: u64, kind: FileKind) -> Self {
        let (start_offset, end_offset, until_s, follows) = (None, None, None, None);
        Self { name, sequence, kind, start_offset, end_offset, until_s, follows }
    }

    fn retired(self) -> Self {
        Self { kind: FileKind::History, ..self }
    }

    /// Whether it is history of no use to anyone who looks back to `since_s`.
    fn is_outdated(&self, since_s: u64) -> bool {
        self.until_s.is_some_and(|until_s| until_s <= since_s)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"file ");
        out.extend_from_slice(&quote_unless_plain(&self.name));
        let kind = char::from(self.kind.byte());
        out.extend_from_slice(format!(" seq {} type {kind}", self.sequence).as_bytes());
        for (key, number) in [
            ("startoffset", self.start_offset),
            ("endoffset", self.end_offset),
            ("until", self.until_s),
            ("follows", self.follows),
        ] {
            if let Some(number) = number {
                out.extend_from_slice(format!(" {key} {number}").as_bytes());
            }
        }
        out.push(b'\n');
    }
}

/// The files of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base. A data set recorded from its first command on may have none.
    pub base: Option<AofFile>,
    /// Files that are no longer loaded. What one rewrite has replaced stands together, increments
    /// in the order of their load before their base; what was replaced last comes first.
    pub history: Vec<AofFile>,
    /// The increments in the order in which they are loaded; the last is the one written to.
    pub increments: Vec<AofFile>,
}

impl Manifest {
    /// Parses the text of a manifest.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        if text.is_empty() {
            return Err(ManifestError { line: None, reason: Reason::Empty });
        }
        let mut manifest = Self::default();
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let line;
            (line, rest) = rest.split_at(line_len(rest));
            if line.starts_with(b"#") {
                continue;
            }
            // For the real servers a NUL ends the text.
            if !line.ends_with(b"\n") || line.contains(&0) {
                return Err(ManifestError { line: None, reason: Reason::LineTooLong });
            }
            let line = trim(line);
            manifest.add(line).map_err(|reason| ManifestError {
                line: Some(ManifestLine { number, text: line.to_vec() }),
                reason,
            })?;
        }
        Ok(manifest)
    }

    /// The manifest of a data set in a single file, as Redis before version 7 wrote it: the file
    /// becomes the base.
    pub fn adopt(name: &[u8]) -> Self {
        let base = AofFile::new(name.to_vec(), 1, FileKind::Base);
        Self { base: Some(base), ..Self::default() }
    }

    /// The text of the manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for file in self.base.iter().chain(&self.history).chain(&self.increments) {
            file.write_to(&mut out);
        }
        out
    }

    /// The files to be loaded, in this order.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &AofFile> {
        self.base.iter().chain(&self.increments)
    }

    /// Adds the next base, named after `appendfilename`; the previous one becomes history.
    pub fn next_base(&mut self, appendfilename: &[u8], format: BaseFormat) -> &AofFile {
        let ending = match format {
            BaseFormat::Rdb => "rdb",
            BaseFormat::Commands => "aof",
        };
        let after = self.base.as_ref().map_or(0, |base| base.sequence);
        let (name, sequence) = self.unused(after, |sequence| {
            [appendfilename, format!(".{sequence}.base.{ending}").as_bytes()].concat()
        });
        if let Some(base) = self.base.take() {
            self.history.insert(0, base.retired());
        }
        self.base.insert(AofFile::new(name, sequence, FileKind::Base))
    }

    /// Adds the next increment, named after `appendfilename`. `start_offset` is the replication
    /// offset before its first command, if there is one to be recorded.
    pub fn next_increment(
        &mut self,
        appendfilename: &[u8],
        start_offset: Option<u64>,
    ) -> &mut AofFile {
        let after = self.increments.last().map_or(0, |last| last.sequence);
        let (name, sequence) = self.unused(after, |sequence| {
            [appendfilename, format!(".{sequence}.incr.aof").as_bytes()].concat()
        });
        let file = AofFile::new(name, sequence, FileKind::Increment);
        self.increments.push_mut(AofFile { start_offset, ..file })
    }

    /// The first name with a sequence number above `after` that no file of the history has.
    fn unused(&self, after: u64, name: impl Fn(u64) -> Vec<u8>) -> (Vec<u8>, u64) {
        let mut sequence = after.saturating_add(1);
        let is_history = |name: &[u8]| self.history.iter().any(|file| file.name == name);
        while sequence < u64::MAX && is_history(&name(sequence)) {
            sequence += 1;
        }
        (name(sequence), sequence)
    }

    /// Records that the last increment continues the one before it.
    pub fn note_continuation(&mut self) {
        if let [.., before, last] = &mut self.increments[..] {
            last.follows = Some(before.sequence);
        }
    }

    /// Records when the history of which that is not known was replaced: now. Returns whether there
    /// was any.
    pub fn date_history(&mut self, now_s: u64) -> bool {
        let undated = self.history.iter_mut().filter(|file| file.until_s.is_none());
        undated.map(|file| file.until_s = Some(now_s)).count() > 0
    }

    /// Takes the history out that is of no use to anyone who looks back to `since_s`; all of it
    /// without such a time.
    pub fn take_history(&mut self, since_s: Option<u64>) -> Vec<AofFile> {
        match since_s {
            Some(since_s) => {
                self.history.extract_if(.., |file| file.is_outdated(since_s)).collect()
            }
            None => std::mem::take(&mut self.history),
        }
    }

    /// When the file of the history that was replaced first was, in seconds since the Unix epoch:
    /// 0 if that is not known. `None` without history.
    pub fn oldest_history_s(&self) -> Option<u64> {
        self.history.iter().map(|file| file.until_s.unwrap_or(0)).min()
    }

    /// Makes history of all increments but the last.
    pub fn retire_increments(&mut self) {
        let retired = self.increments.len().saturating_sub(1);
        let retired = self.increments.drain(..retired).map(AofFile::retired);
        self.history.splice(..0, retired);
    }

    /// Makes history of all increments.
    pub fn retire_all_increments(&mut self) {
        let retired = self.increments.drain(..).map(AofFile::retired);
        self.history.splice(..0, retired);
    }

    /// Adds the file that a line names.
    fn add(&mut self, line: &[u8]) -> Result<(), Reason> {
        let file = parse_line(line)?;
        match file.kind {
            FileKind::Base if self.base.is_some() => return Err(Reason::DuplicateBase),
            FileKind::Base => self.base = Some(file),
            FileKind::History => self.history.push(file),
            FileKind::Increment => {
                if self.increments.last().is_some_and(|last| last.sequence >= file.sequence) {
                    return Err(Reason::NotMonotonic);
                }
                self.increments.push(file);
            }
        }
        Ok(())
    }
}

/// The bytes of the first line with its end, or as many as a line may have.
fn line_len(text: &[u8]) -> usize {
    let window = &text[..text.len().min(LINE_LEN_MAX)];
    memchr::memchr(b'\n', window).map_or(window.len(), |end| end + 1)
}

fn trim(mut line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    while let [first, rest @ ..] = line
        && is_blank(first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_blank(last)
    {
        line = rest;
    }
    line
}

/// Parses a line: an even number of words, six at least. Of a key given twice the last one counts.
fn parse_line(line: &[u8]) -> Result<AofFile, Reason> {
    let words = split_args(line).ok_or(Reason::Format)?;
    let (pairs, []) = words.as_chunks::<2>() else { return Err(Reason::Format) };
    if pairs.len() < 3 {
        return Err(Reason::Format);
    }
    let (mut name, mut sequence, mut kind) = (None, 0, None);
    let (mut start_offset, mut end_offset, mut until_s, mut follows) = (None, None, None, None);
    for [key, value] in pairs {
        match key.to_ascii_lowercase().as_slice() {
            b"file" if !is_base_name(value) => return Err(Reason::Path),
            b"file" => name = Some(value),
            b"seq" => sequence = leading_number(value).unwrap_or(0),
            b"type" => kind = value.first(),
            b"startoffset" => start_offset = leading_number(value),
            b"endoffset" => end_offset = leading_number(value),
            b"until" => until_s = leading_number(value),
            b"follows" => follows = leading_number(value),
            _ => {}
        }
    }
    match (name, sequence, kind) {
        (Some(name), 1.., Some(byte)) => {
            let kind = FileKind::of(*byte).ok_or(Reason::UnknownType)?;
            let name = name.clone();
            Ok(AofFile { name, sequence, kind, start_offset, end_offset, until_s, follows })
        }
        _ => Err(Reason::Format),
    }
}

fn is_base_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// The number at the start of `text` as the C library's `atoll` reads it: blanks and a plus before
/// it and anything after it are ignored, no digits are zero, and too large a number is the largest
/// one of 63 bits. `None` if it is negative.
fn leading_number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let largest = i64::MAX.unsigned_abs();
    let number = digits
        .iter()
        .map_while(|byte| char::from(*byte).to_digit(10))
        .fold(0_u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit)).min(largest)
        });
    (!negative || number == 0).then_some(number)
}

/// A line of a manifest, without the blanks around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestLine {
    /// Its number, from 1 on.
    pub number: usize,
    /// Its text.
    pub text: Vec<u8>,
}

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The line at fault, where the real servers name one.
    pub line: Option<ManifestLine>,
    /// The reason.
    pub reason: Reason,
}

/// What a manifest can be refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has no lines.
    Empty,
    /// A line is longer than [`LINE_LEN_MAX`], does not end, or has a NUL.
    LineTooLong,
    /// A line is blank, or its words are not pairs that name file, sequence and type.
    Format,
    /// A name is a path.
    Path,
    /// The type is none that is known.
    UnknownType,
    /// There is a second base.
    DuplicateBase,
    /// The sequence number of an increment is not above that of the one before.
    NotMonotonic,
}

impl fmt::Display for Reason {
    /// The text of the real servers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Found an empty AOF manifest",
            Self::LineTooLong => "The AOF manifest file contains too long line",
            Self::Format => "Invalid AOF manifest file format",
            Self::Path => "File can't be a path, just a filename",
            Self::UnknownType => "Unknown AOF file type",
            Self::DuplicateBase => "Found duplicate base file information",
            Self::NotMonotonic => "Found a non-monotonic sequence number",
        })
    }
}

impl fmt::Display for ManifestError {
    /// The lines that the real servers log, each ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n*** FATAL AOF MANIFEST FILE ERROR ***\n")?;
        if let Some(ManifestLine { number, text }) = &self.line {
            writeln!(f, "Reading the manifest file, at line {number}")?;
            writeln!(f, ">>> '{}'", String::from_utf8_lossy(text))?;
        }
        writeln!(f, "{}", self.reason)
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
mod tests;
