//! Sorted sets: listpacks, and pairs of members and scores.
//!
//! A listpack is written verbatim, a large set from the highest score to the lowest, as the real
//! servers do. The forms of older servers are read too: ziplists, and scores as text.

use std::cmp::Ordering;

use redix_types::listpack::{self, Depth, Element};
use redix_types::num::parse_f64;
use redix_types::table::KeyHasher;
use redix_types::value::{Compact, HeapValue, IntBuf};
use redix_types::ziplist;
use redix_types::zset::{Change, Limits, Zset, build};

use super::super::format::RdbErrorKind;
use super::super::input::Input;
use super::super::read::{Decoder, corrupt, decode_len};
use super::super::skip::Skip;
use super::super::write::{Flush, RecordEncoder, encode_len, flush_full};

#[cfg(test)]
mod tests;

type Result<T> = std::result::Result<T, RdbErrorKind>;

/// Members with scores as text.
pub(super) const TYPE_TEXT_SCORES: u8 = 3;
/// Members with scores as doubles.
pub(super) const TYPE_SCORES: u8 = 5;
/// A ziplist.
pub(super) const TYPE_ZIPLIST: u8 = 12;
/// A listpack.
pub(super) const TYPE_LISTPACK: u8 = 17;

/// Lengths of a text score that encode NaN and infinities.
mod text_score {
    pub(super) const NAN: u8 = 253;
    pub(super) const INFINITE: u8 = 254;
    pub(super) const NEGATIVE_INFINITE: u8 = 255;
}

/// Appends a large set, from the highest score to the lowest.
pub(super) fn encode(
    encoder: &mut RecordEncoder,
    out: &mut Vec<u8>,
    zset: &Zset,
    flush: &mut Flush<'_>,
) {
    encode_len(out, zset.len() as u64);
    for (member, score) in zset.iter_back_from(0) {
        encoder.string(out, member);
        out.extend_from_slice(&score.to_le_bytes());
        flush_full(out, flush);
    }
}

/// Reads a sorted set, whose type byte was read.
pub(super) fn decode(
    decoder: &mut Decoder,
    input: &mut Input<'_>,
    type_byte: u8,
) -> Result<HeapValue> {
    let mut builder = Builder::new(decoder.options.limits.zset, decoder.options.hasher);
    let mut bytes = Vec::new();
    match type_byte {
        TYPE_LISTPACK => {
            decoder.decode_bytes_into(input, &mut bytes)?;
            if !listpack::validate(&bytes, Depth::Elements) {
                return Err(corrupt("Zset listpack integrity check failed"));
            }
            builder.add_pairs(listpack::iter(&bytes).map(|(_, element)| element))?;
            builder.finish(Some(bytes))
        }
        TYPE_ZIPLIST => {
            decoder.decode_bytes_into(input, &mut bytes)?;
            if !ziplist::validate(&bytes) {
                return Err(corrupt("Zset ziplist integrity check failed"));
            }
            builder.add_pairs(ziplist::iter(&bytes))?;
            builder.finish(None)
        }
        _ => {
            for _ in 0..decode_len(input)? {
                decoder.decode_bytes_into(input, &mut bytes)?;
                let score = match type_byte {
                    TYPE_SCORES => f64::from_le_bytes(input.array()?),
                    _ => decode_text_score(input)?,
                };
                builder.add(&bytes, score)?;
            }
            builder.finish(None)
        }
    }
}

/// Skips the body of [`TYPE_SCORES`].
pub(super) fn skip_scores(skip: &mut Skip<'_>) -> Option<()> {
    skip.elements(|skip| {
        skip.string()?;
        skip.bytes(8)
    })
}

fn decode_text_score(input: &mut Input<'_>) -> Result<f64> {
    match input.byte()? {
        text_score::NAN => Ok(f64::NAN),
        text_score::INFINITE => Ok(f64::INFINITY),
        text_score::NEGATIVE_INFINITE => Ok(f64::NEG_INFINITY),
        len => {
            let mut text = Vec::new();
            input.read_into(u64::from(len), &mut text)?;
            parse_f64(&text).ok_or(corrupt("a score that is no number"))
        }
    }
}

/// Members as they are read: buffered while they are few, then in a large set.
struct Builder {
    limits: Limits,
    hasher: KeyHasher,
    bytes: Vec<u8>,
    /// End of each member in `bytes`, and its score.
    few: Vec<(usize, f64)>,
    many: Option<Box<Zset>>,
}

impl Builder {
    fn new(limits: Limits, hasher: KeyHasher) -> Self {
        Self { limits, hasher, bytes: Vec::new(), few: Vec::new(), many: None }
    }

    /// Adds members, each followed by its score.
    fn add_pairs<'a>(&mut self, mut elements: impl Iterator<Item = Element<'a>>) -> Result<()> {
        while let Some(member) = elements.next() {
            let score = match elements.next() {
                Some(Element::Int(score)) => score as f64,
                Some(Element::Str(text)) => {
                    parse_f64(text).ok_or(corrupt("a score that is no number"))?
                }
                None => return Err(corrupt("a member without a score")),
            };
            self.add(member.text(&mut IntBuf::new()), score)?;
        }
        Ok(())
    }

    fn add(&mut self, member: &[u8], score: f64) -> Result<()> {
        if score.is_nan() {
            return Err(corrupt("Zset with NAN score"));
        }
        if let Some(zset) = &mut self.many {
            return insert(zset, &self.hasher, member, score);
        }
        self.bytes.extend_from_slice(member);
        self.few.push((self.bytes.len(), score));
        if !self.limits.allow(self.few.len(), member.len()) {
            let mut zset = Box::<Zset>::default();
            for (member, score) in self.few() {
                insert(&mut zset, &self.hasher, member, score)?;
            }
            self.many = Some(zset);
            (self.bytes, self.few) = (Vec::new(), Vec::new());
        }
        Ok(())
    }

    fn few(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> {
        let start = |index: usize| index.checked_sub(1).map_or(0, |before| self.few[before].0);
        self.few
            .iter()
            .enumerate()
            .map(move |(index, &(end, score))| (&self.bytes[start(index)..end], score))
    }

    /// The set; `listpack` holds exactly the added elements and becomes the set if it is small and
    /// in order.
    fn finish(self, listpack: Option<Vec<u8>>) -> Result<HeapValue> {
        if let Some(zset) = self.many {
            return Ok(HeapValue::Zset(zset));
        }
        let mut members: Vec<(&[u8], f64)> = self.few().collect();
        members.sort_unstable_by_key(|(member, _)| *member);
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(TWICE);
        }
        let order = |a: &(&[u8], f64), b: &(&[u8], f64)| {
            a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then(a.0.cmp(b.0))
        };
        if let Some(bytes) = listpack {
            // Members out of order could not be found by a search.
            if !self.few().is_sorted_by(|a, b| order(a, b).is_lt()) {
                return Err(corrupt("members out of order"));
            }
            return match members.len() {
                0 => Err(RdbErrorKind::Empty),
                _ => Ok(HeapValue::Packed(Compact::Zset, bytes)),
            };
        }
        members.sort_unstable_by(order);
        build(members.into_iter(), self.limits, &self.hasher).ok_or(RdbErrorKind::Empty)
    }
}

const TWICE: RdbErrorKind = RdbErrorKind::Corrupt("a member twice");

fn insert(zset: &mut Zset, hasher: &KeyHasher, member: &[u8], score: f64) -> Result<()> {
    match zset.insert(hasher, member, score) {
        Change::Added => Ok(()),
        Change::Updated | Change::Nothing => Err(TWICE),
    }
}
