//! Parsing of score and member ranges.

use std::ops::Range;

use redix_types::zset::{Cut, ZsetRef};

use crate::error::ReplyError;

const NOT_A_FLOAT: ReplyError = ReplyError::Static("ERR min or max is not a float");
const NOT_A_STRING_RANGE: ReplyError =
    ReplyError::Static("ERR min or max not valid string range item");

/// A range of members in the order of the set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    from: End<'a>,
    to: End<'a>,
}

#[derive(Clone, Copy, Debug)]
enum End<'a> {
    Start,
    Stop,
    At(Cut<'a>),
}

impl<'a> Span<'a> {
    /// A score range: numbers, `inf` and `-inf`, exclusive behind a `(`.
    pub(super) fn of_scores(min: &'a [u8], max: &'a [u8]) -> Result<Self, ReplyError> {
        let from = match parse_score(min)? {
            (score, true) => Cut::AfterScore(score),
            (score, false) => Cut::Score(score),
        };
        let to = match parse_score(max)? {
            (score, true) => Cut::Score(score),
            (score, false) => Cut::AfterScore(score),
        };
        Ok(Span { from: End::At(from), to: End::At(to) })
    }

    /// A lexicographical range: `[` inclusive, `(` exclusive, `-` and `+` the ends.
    pub(super) fn of_members(min: &'a [u8], max: &'a [u8]) -> Result<Self, ReplyError> {
        let from = match min {
            b"-" => End::Start,
            b"+" => End::Stop,
            [b'[', member @ ..] => End::At(Cut::Member(member)),
            [b'(', member @ ..] => End::At(Cut::AfterMember(member)),
            _ => return Err(NOT_A_STRING_RANGE),
        };
        let to = match max {
            b"-" => End::Start,
            b"+" => End::Stop,
            [b'[', member @ ..] => End::At(Cut::AfterMember(member)),
            [b'(', member @ ..] => End::At(Cut::Member(member)),
            _ => return Err(NOT_A_STRING_RANGE),
        };
        Ok(Span { from, to })
    }

    /// The range as ranks in a set.
    pub(super) fn ranks(self, set: ZsetRef<'_>) -> Range<usize> {
        let rank = |end: End<'_>| match end {
            End::Start => 0,
            End::Stop => set.len(),
            End::At(cut) => set.count_before(cut),
        };
        let from = rank(self.from);
        from..rank(self.to).max(from)
    }
}

/// Parses a score bound and whether it is exclusive. The text ends at a zero byte; overflow is
/// infinite, underflow and an empty text are 0.
fn parse_score(word: &[u8]) -> Result<(f64, bool), ReplyError> {
    let word = word.split(|byte| *byte == 0).next().unwrap_or(word);
    let (text, exclusive) = match word {
        [b'(', rest @ ..] => (rest, true),
        _ => (word, false),
    };
    if text.is_empty() {
        return Ok((0.0, exclusive));
    }
    let score = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let score = score.filter(|score| !score.is_nan()).ok_or(NOT_A_FLOAT)?;
    Ok((score, exclusive))
}

/// The ranks from `start` to `stop`, where negative ones count from the end, in a set of `len`
/// members.
pub(super) fn ranks_between(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let absolute = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let from = absolute(start).max(0);
    let to = absolute(stop).min(len - 1);
    if from > to { 0..0 } else { from as usize..to as usize + 1 }
}
