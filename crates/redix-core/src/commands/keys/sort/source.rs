//! A copy of the elements that SORT sorts.

use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::list::{End, ListRef};
use redix_types::set::SetRef;
use redix_types::zset::ZsetRef;

use super::SortOptions;
use crate::error::ReplyError;

/// Texts in one buffer, some of them missing.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// End of each text, and whether it exists.
    ends: Vec<(usize, bool)>,
    /// LIMIT and DESC have been applied already.
    pub(super) is_cut: bool,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push((self.bytes.len(), true));
    }

    pub(super) fn push_missing(&mut self) {
        self.ends.push((self.bytes.len(), false));
    }

    /// A text; `None` if it is missing. Panics if `index` is out of range.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let (end, is_there) = self.ends[index];
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        is_there.then(|| &self.bytes[start..end])
    }
}

/// The elements of a collection; of a list or sorted set that is not to be sorted, only the part
/// that LIMIT selects. Errors: WRONGTYPE.
pub(super) fn elements(
    entry: EntryRef<'_>,
    options: &SortOptions<'_>,
) -> Result<Texts, ReplyError> {
    let mut texts = Texts { is_cut: options.unsorted, ..Texts::default() };
    let mut buf = IntBuf::new();
    match entry.kind() {
        Kind::List => {
            let list = ListRef::of(entry.value());
            let wanted = if options.unsorted { options.range(list.len()) } else { 0..list.len() };
            let (from, towards) = match options.unsorted && options.descending {
                true => (list.len().saturating_sub(wanted.start + 1), End::Head),
                false => (wanted.start, End::Tail),
            };
            let elements = list.iter(from, towards).take(wanted.len());
            elements.for_each(|element| texts.push(element.text(&mut buf)));
        }
        Kind::Set => {
            texts.is_cut = false;
            let set = SetRef::of(entry.value()).expect("a set by its kind");
            set.for_each_text(&mut |text| texts.push(text));
        }
        Kind::Zset => {
            let zset = ZsetRef::of(entry.value()).expect("a sorted set by its kind");
            let wanted = if options.unsorted { options.range(zset.len()) } else { 0..zset.len() };
            let mut push = |member: redix_types::listpack::Element<'_>| {
                texts.push(member.text(&mut buf));
            };
            if options.unsorted && options.descending {
                let members = zset.range_back(wanted.start, wanted.len());
                members.for_each(|(member, _)| push(member));
            } else {
                zset.range(wanted.start, wanted.len()).for_each(|(member, _)| push(member));
            }
        }
        Kind::String | Kind::Hash | Kind::Stream => return Err(ReplyError::WrongType),
    }
    Ok(texts)
}
