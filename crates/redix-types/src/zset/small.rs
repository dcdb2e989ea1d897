//! Small sorted sets: a listpack of members, each followed by its score, in order.
//!
//! Scores that are integers of moderate size are stored as such, others as their shortest text, as
//! Valkey 8 and 9 and Redis 8 do.

use redix_num::{parse_f64, push_f64};

use super::Cut;
use crate::listpack::{self, Element, HEADER};

use crate::splice::Splice;
use crate::value::IntBuf;

/// Integers up to this magnitude are stored as such.
const INTEGER_MAX: f64 = 4_611_686_018_427_387_904.0;

/// The score of an element. `None` if it is no number.
pub(super) fn score_of(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Int(value) => Some(value as f64),
        Element::Str(text) => parse_f64(text),
    }
}

/// Calls `write` with the element for a score.
fn with_score<R>(score: f64, write: impl FnOnce(Element<'_>) -> R) -> R {
    if score.abs() <= INTEGER_MAX && score.trunc() == score {
        return write(Element::Int(score as i64));
    }
    let mut text = Vec::with_capacity(32);
    push_f64(&mut text, score);
    write(Element::of(&text))
}

/// Bytes of a member and its score in the listpack.
pub(super) fn encoded_len(member: &[u8], score: f64) -> usize {
    let mut len = Element::of(member).encoded_len();
    with_score(score, |text| len += text.encoded_len());
    len
}

/// The members in order, each with its score and offset.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a>(listpack::Iter<'a>);

/// The pairs of a listpack.
pub(super) fn pairs(lp: &[u8]) -> Pairs<'_> {
    Pairs(listpack::iter(lp))
}

/// The pairs from rank `from` to rank `to`, whose offsets are searched for.
pub(super) fn pairs_between(lp: &[u8], from: usize, to: usize) -> Pairs<'_> {
    let offset = |rank: usize| listpack::seek(lp, 2 * rank).unwrap_or(listpack::end(lp));
    Pairs(listpack::iter_between(lp, offset(from), offset(to)))
}

fn valid(score: Element<'_>) -> f64 {
    score_of(score).expect("a sorted set has only numbers as scores")
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (usize, Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (at, member) = self.0.next()?;
        let (_, score) = self.0.next()?;
        Some((at, member, valid(score)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let (_, score) = self.0.next_back()?;
        let (at, member) = self.0.next_back()?;
        Some((at, member, valid(score)))
    }
}

/// Number of members.
pub(super) fn len(lp: &[u8]) -> usize {
    listpack::len(lp) / 2
}

/// Finds a member: its offset and score.
pub(super) fn find(lp: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let at = listpack::find(lp, member, HEADER, 1)?;
    let (score, _) = listpack::read(lp, listpack::next(lp, at));
    Some((at, valid(score)))
}

/// Finds a member: its rank and score.
pub(super) fn rank(lp: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let needle = listpack::Needle::new(member);
    let mut pairs = pairs(lp).enumerate();
    pairs.find_map(|(rank, (_, element, score))| needle.is(element).then_some((rank, score)))
}

/// Whether the pair is before the cut.
fn is_before(member: Element<'_>, score: f64, cut: Cut<'_>) -> bool {
    let mut buf = IntBuf::new();
    let text = &mut buf;
    cut.is_behind(score, move || member.text(text))
}

/// Number of members before a cut.
pub(super) fn count_before(lp: &[u8], cut: Cut<'_>) -> usize {
    pairs(lp).take_while(|&(_, member, score)| is_before(member, score, cut)).count()
}

/// Inserts a member that does not exist.
pub(super) fn insert(lp: &mut impl Splice, member: &[u8], score: f64) {
    let bytes = lp.bytes();
    let cut = Cut::Key(score, member);
    let behind = |&(_, member, score): &(usize, Element<'_>, f64)| !is_before(member, score, cut);
    let at = pairs(bytes).find(behind).map_or(listpack::end(bytes), |(at, _, _)| at);
    insert_at(lp, at, member, score);
}

/// Appends a member that is greater than all others.
pub(super) fn append(lp: &mut impl Splice, member: &[u8], score: f64) {
    let at = listpack::end(lp.bytes());
    insert_at(lp, at, member, score);
}

fn insert_at(lp: &mut impl Splice, at: usize, member: &[u8], score: f64) {
    with_score(score, |score| listpack::insert(lp, at, &[Element::of(member), score]));
}

/// Removes `count` members, the first of which is at offset `at`.
pub(super) fn remove(lp: &mut impl Splice, at: usize, count: usize) {
    listpack::delete(lp, at, 2 * count);
}
