//! Sorted sets in entries, in either form, for reading and editing.

use std::iter::Take;

use super::{Change, Cut, Iter, IterBack, Zset, small};
use crate::entry::EntryBox;
use crate::listpack::{self, Element};
use crate::table::KeyHasher;
use crate::value::{Compact, HeapValue, IntBuf, Value, ValueRef};

/// The limits of compact sorted sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most members.
    pub entries: usize,
    /// Longest member, in bytes.
    pub value: usize,
}

impl Limits {
    /// Whether a set of `len` members, the longest of `longest` bytes, is compact.
    pub fn allow(&self, len: usize, longest: usize) -> bool {
        len <= self.entries && longest <= self.value
    }
}

/// A borrowed sorted set.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    Small(&'a [u8]),
    Large(&'a Zset),
}

impl<'a> ZsetRef<'a> {
    /// Borrows a value. `None` if it is no sorted set.
    pub fn of(value: ValueRef<'a>) -> Option<Self> {
        match value {
            ValueRef::Packed(Compact::Zset, bytes) => Some(ZsetRef::Small(bytes)),
            ValueRef::Large(HeapValue::Zset(zset)) => Some(ZsetRef::Large(zset)),
            _ => None,
        }
    }

    /// Number of members.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "no key holds an empty one")]
    pub fn len(self) -> usize {
        match self {
            ZsetRef::Small(lp) => small::len(lp),
            ZsetRef::Large(zset) => zset.len(),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, hasher: &KeyHasher, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Small(lp) => small::find(lp, member).map(|(_, score)| score),
            ZsetRef::Large(zset) => zset.score(hasher, member),
        }
    }

    /// The rank of a member, and its score.
    pub fn rank(self, hasher: &KeyHasher, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZsetRef::Small(lp) => small::rank(lp, member),
            ZsetRef::Large(zset) => zset.rank(hasher, member),
        }
    }

    /// Number of members before a cut.
    pub fn count_before(self, cut: Cut<'_>) -> usize {
        match self {
            ZsetRef::Small(lp) => small::count_before(lp, cut),
            ZsetRef::Large(zset) => zset.count_before(cut),
        }
    }

    /// Up to `count` members from a rank on.
    pub fn range(self, rank: usize, count: usize) -> Range<'a> {
        match self {
            ZsetRef::Small(lp) => {
                let end = rank.saturating_add(count).min(small::len(lp));
                Range(Walk::Small(small::pairs_between(lp, rank, end)))
            }
            ZsetRef::Large(zset) => Range(Walk::Large(zset.iter_from(rank).take(count))),
        }
    }

    /// All members.
    pub fn iter(self) -> Range<'a> {
        self.range(0, usize::MAX)
    }

    /// Up to `count` members in descending order, starting at a rank counted from the end.
    pub fn range_back(self, back_rank: usize, count: usize) -> RangeBack<'a> {
        match self {
            ZsetRef::Small(lp) => {
                let end = small::len(lp).saturating_sub(back_rank);
                RangeBack(Walk::Small(small::pairs_between(lp, end.saturating_sub(count), end)))
            }
            ZsetRef::Large(zset) => {
                RangeBack(Walk::Large(zset.iter_back_from(back_rank).take(count)))
            }
        }
    }

    /// The member of a rank.
    pub fn at(self, rank: usize) -> Option<(Element<'a>, f64)> {
        self.range(rank, 1).next()
    }

    /// Visits about `count` members at a cursor; see [`Zset::scan`]. A compact set is visited in
    /// one call.
    pub fn scan(
        self,
        hasher: &KeyHasher,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], f64),
    ) -> u64 {
        match self {
            ZsetRef::Small(lp) => {
                for (_, member, score) in small::pairs(lp) {
                    visit(member.text(&mut IntBuf::new()), score);
                }
                0
            }
            ZsetRef::Large(zset) => zset.scan(hasher, cursor, count, visit),
        }
    }
}

/// Members in order.
pub struct Range<'a>(Walk<'a, Iter<'a>>);

/// Members in descending order.
pub struct RangeBack<'a>(Walk<'a, IterBack<'a>>);

/// Members of either form; compact ones are taken from the end that the order requires.
enum Walk<'a, L> {
    Small(small::Pairs<'a>),
    Large(Take<L>),
}

impl<'a> Iterator for Range<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Small(pairs) => pairs.next().map(|(_, member, score)| (member, score)),
            Walk::Large(iter) => iter.next().map(|(member, score)| (Element::Str(member), score)),
        }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = (Element<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Small(pairs) => pairs.next_back().map(|(_, member, score)| (member, score)),
            Walk::Large(iter) => iter.next().map(|(member, score)| (Element::Str(member), score)),
        }
    }
}

/// A sorted set in its entry, mutable.
pub struct ZsetEdit<'e> {
    entry: &'e mut EntryBox,
    limits: Limits,
    hasher: &'e KeyHasher,
}

impl<'e> ZsetEdit<'e> {
    /// The sorted set of an entry, which must hold one.
    pub fn new(entry: &'e mut EntryBox, limits: Limits, hasher: &'e KeyHasher) -> Self {
        debug_assert!(ZsetRef::of(entry.as_ref().value()).is_some(), "an entry of a sorted set");
        ZsetEdit { entry, limits, hasher }
    }

    /// Borrows the set.
    pub fn as_ref(&self) -> ZsetRef<'_> {
        ZsetRef::of(self.entry.as_ref().value()).expect("an entry of a sorted set")
    }

    fn large(&mut self) -> Option<&mut Zset> {
        match self.entry.heap_mut() {
            Some(HeapValue::Zset(zset)) => Some(zset),
            _ => None,
        }
    }

    /// Prepares for adding `members` members, the longest of `longest` bytes: a set that would
    /// exceed the limits with them is converted.
    pub fn reserve(&mut self, members: usize, longest: usize) {
        if !self.limits.allow(members, longest) {
            self.enlarge();
        }
    }

    /// Sets the score of a member to the result of `decide`, which gets the present one, `None` if
    /// the member does not exist; `None` leaves it unchanged.
    pub fn update(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Change {
        let hasher = self.hasher;
        if let Some(zset) = self.large() {
            return zset.update(hasher, member, decide);
        }
        let lp = self.small_bytes();
        let (found, len, bytes) = (small::find(lp, member), small::len(lp), lp.len());
        let old = found.map(|(_, score)| score);
        let Some(score) = decide(old) else { return Change::Nothing };
        if old == Some(score) {
            return Change::Nothing;
        }
        let room = listpack::has_room(bytes, small::encoded_len(member, score));
        if let Some((at, _)) = found {
            if let Some(mut lp) = self.entry.packed_mut() {
                small::remove(&mut lp, at, 1);
                small::insert(&mut lp, member, score);
            }
            return Change::Updated;
        }
        if !self.limits.allow(len + 1, member.len()) || !room {
            self.enlarge();
        }
        match self.entry.packed_mut() {
            Some(mut lp) => small::insert(&mut lp, member, score),
            None => {
                let zset = self.large().expect("a set that is not compact");
                zset.insert(hasher, member, score);
            }
        }
        Change::Added
    }

    /// Removes a member; returns whether it existed.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hasher = self.hasher;
        if let Some(zset) = self.large() {
            return zset.remove(hasher, member).is_some();
        }
        let found = small::find(self.small_bytes(), member);
        if let (Some((at, _)), Some(mut lp)) = (found, self.entry.packed_mut()) {
            small::remove(&mut lp, at, 1);
        }
        found.is_some()
    }

    /// Removes the `count` members from a rank on, which must exist.
    pub fn remove_range(&mut self, rank: usize, count: usize) {
        let hasher = self.hasher;
        if let Some(zset) = self.large() {
            for _ in 0..count {
                zset.remove_at(hasher, rank, |_, _| ());
            }
        } else if let Some(mut lp) = self.entry.packed_mut() {
            let at = listpack::seek(crate::Splice::bytes(&lp), 2 * rank);
            small::remove(&mut lp, at.expect("a rank below the length"), count);
        }
    }

    fn small_bytes(&self) -> &[u8] {
        match self.as_ref() {
            ZsetRef::Small(lp) => lp,
            ZsetRef::Large(_) => unreachable!("the large form has been dealt with"),
        }
    }

    /// Converts a compact set to the large form.
    fn enlarge(&mut self) {
        let ZsetRef::Small(lp) = self.as_ref() else { return };
        let mut zset = Zset::new();
        for (_, member, score) in small::pairs(lp) {
            zset.insert(self.hasher, member.text(&mut IntBuf::new()), score);
        }
        drop(self.entry.replace_value(Value::Heap(HeapValue::Zset(Box::new(zset)))));
    }
}

/// Builds a sorted set of distinct members in order, in the form that the limits allow. `None` if
/// there are none.
pub fn build<'a>(
    members: impl ExactSizeIterator<Item = (&'a [u8], f64)> + Clone,
    limits: Limits,
    hasher: &KeyHasher,
) -> Option<HeapValue> {
    let lengths = members.clone().map(|(member, _)| member.len());
    let longest = lengths.max()?;
    let bytes = |(member, score)| small::encoded_len(member, score);
    if limits.allow(members.len(), longest)
        && listpack::has_room(0, members.clone().map(bytes).sum())
    {
        let mut lp = listpack::EMPTY.to_vec();
        for (member, score) in members {
            small::append(&mut lp, member, score);
        }
        return Some(HeapValue::Packed(Compact::Zset, lp));
    }
    let mut zset = Zset::new();
    for (member, score) in members {
        zset.insert(hasher, member, score);
    }
    Some(HeapValue::Zset(Box::new(zset)))
}
