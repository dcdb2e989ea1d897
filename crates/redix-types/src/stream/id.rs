//! The IDs of entries.

use std::fmt;
use std::str::FromStr;

use crate::num::parse_i64;

/// Longest text of an ID that is looked at. Source: Valkey 9.1, the buffer that it parses IDs in.
const TEXT_MAX: usize = 127;

/// The ID of an entry: Unix time in milliseconds, and a number within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// The second number of an ID, as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    Given(u64),
    /// `*`: the next one.
    Next,
    /// Not at all.
    Missing,
}

impl StreamId {
    /// Before every entry.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// Behind every entry but one.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The next greater ID.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The next lesser ID.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// The 16 bytes under which files know it.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The ID of such 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// Reads `ms`, `ms-seq` or `ms-*`, with numbers as C's `strtoull` takes them. None if it is no
    /// ID.
    pub fn parse(text: &[u8]) -> Option<(u64, Sequence)> {
        if text.len() > TEXT_MAX {
            return None;
        }
        // The real servers' texts end at a zero byte.
        let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
        let mut parts = text.splitn(2, |byte| *byte == b'-');
        let ms = parse_number(parts.next()?)?;
        let sequence = match parts.next() {
            None => Sequence::Missing,
            Some(b"*") => Sequence::Next,
            Some(text) => Sequence::Given(parse_number(text)?),
        };
        Some((ms, sequence))
    }

    /// The distance to a later ID of the same node, as entries have it.
    pub(super) fn deltas_to(self, later: StreamId) -> (i64, i64) {
        (later.ms.wrapping_sub(self.ms) as i64, later.seq.wrapping_sub(self.seq) as i64)
    }

    /// The ID at such a distance.
    pub(super) fn plus(self, ms: i64, seq: i64) -> StreamId {
        StreamId { ms: self.ms.wrapping_add(ms as u64), seq: self.seq.wrapping_add(seq as u64) }
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    if digits.first() == Some(&b'+') {
        return None;
    }
    let value = u64::from_str(std::str::from_utf8(digits).ok()?).ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Longest text of an ID.
const DISPLAY_MAX: usize = 41;

/// The text of an ID, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; DISPLAY_MAX],
    len: usize,
}

impl IdText {
    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl StreamId {
    /// How it is shown.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [b'-'; DISPLAY_MAX], len: 0 };
        for (number, more) in [(self.ms, 1), (self.seq, 0)] {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(number).as_bytes();
            text.bytes[text.len..text.len + digits.len()].copy_from_slice(digits);
            text.len += digits.len() + more;
        }
        text
    }
}
