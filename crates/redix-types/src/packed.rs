//! Elements packed into a block.
//!
//! ```text
//! n x meta | n x W bytes of column | free | data of element n-1 .. 1, 0
//! meta = tag (8 bits of the element's hash) | length << 8, little endian
//! ```
//!
//! Metas grow up and data grows down, so that appending moves nothing when there is no column. A
//! sorted set keeps its scores in the column (`W = 8`); sets and hashes have none (`W = 0`). Where
//! an element lies is a sum of lengths, taken 8 at a time by the same instructions that look for a
//! tag; a table of offsets was rejected, since it costs two bytes an element to save a nanosecond.
//!
//! An element that is longer than [`INLINE_MAX`], or that its owner wants out of the way, lies in
//! a block of its own: its meta has the length 255, it has no data here, and its block is the link
//! of the same rank among the elements that lie outside. Copies of a page share such blocks.
//!
//! **Invariants**, for every block that these functions have written (`check` in `tests.rs`):
//! * P1: `n` is the number of elements, `used` the sum of the lengths of those that lie inside, and
//!   `n * (2 + W) + used` is at most the payload.
//! * P2: there are as many links as lengths of 255, none empty, in the order of the elements.
//!
//! A block that breaks them makes an index fail, no more: all access is by slices.

use crate::block::{Block, HEAD, size_class};
use crate::prefetch as hint;

pub(crate) mod search;
#[cfg(test)]
mod tests;

/// Longest element, in bytes, that may lie in the page itself.
pub const INLINE_MAX: usize = 254;

/// The length in the meta of an element that lies outside.
const OUTSIDE: u8 = 255;

/// Bytes that an element takes in its page beside its data: the meta.
pub const META: usize = 2;

/// Bytes that an element outside takes in its page beside the meta: the link.
pub const LINK: usize = 8;

/// A stored element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    Inline(&'a [u8]),
    Outside(&'a [u8]),
}

impl<'a> Stored<'a> {
    /// The bytes of the element.
    #[inline(always)]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Stored::Inline(bytes) | Stored::Outside(bytes) => bytes,
        }
    }

    /// Bytes that it takes in its page, including the meta, without the column.
    #[inline(always)]
    pub fn weight(self) -> usize {
        match self {
            Stored::Inline(bytes) => META + bytes.len(),
            Stored::Outside(_) => META + LINK,
        }
    }
}

/// An element to be stored.
pub enum New<'a> {
    /// The parts of an element of at most [`INLINE_MAX`] bytes, one after the other.
    Inline(&'a [&'a [u8]]),
    /// An element in a block of its own, as [`Block::from_parts`] makes it.
    Outside(Block),
}

impl<'a> New<'a> {
    /// An element of these parts, inside or outside as its length requires.
    #[inline]
    pub fn of(parts: &'a [&'a [u8]]) -> New<'a> {
        let new = New::Inline(parts);
        if new.inline_len() > INLINE_MAX { New::outside(parts) } else { new }
    }

    /// An element of these parts that is stored outside, whatever its length.
    #[inline(never)]
    pub fn outside(parts: &[&[u8]]) -> New<'a> {
        New::Outside(Block::from_parts(parts))
    }

    fn meta_len(&self) -> u8 {
        match self {
            New::Inline(_) => {
                let len = self.inline_len();
                assert!(len <= INLINE_MAX, "an element of {len} bytes lies outside");
                len as u8
            }
            New::Outside(_) => OUTSIDE,
        }
    }

    fn inline_len(&self) -> usize {
        match self {
            New::Inline(parts) => parts.iter().map(|part| part.len()).sum(),
            New::Outside(_) => 0,
        }
    }

    /// Bytes that it will take in its page, including the meta, without the column.
    #[inline]
    pub fn weight(&self) -> usize {
        match self {
            New::Inline(_) => META + self.inline_len(),
            New::Outside(_) => META + LINK,
        }
    }
}

/// Bytes of metas and columns of `n` elements.
#[inline(always)]
const fn front<const W: usize>(n: usize) -> usize {
    n * (META + W)
}

/// Bytes of the content of a page, including header and links: decides about splits and merges of
/// sorted leaves.
#[inline]
pub fn weight<const W: usize>(page: &Block) -> usize {
    HEAD + front::<W>(page.n()) + page.used() + LINK * page.links()
}

#[inline(always)]
fn meta(payload: &[u8], index: usize) -> (u8, u8) {
    (payload[META * index], payload[META * index + 1])
}

/// Data bytes and links of the elements before `index`.
#[inline(always)]
fn before(page: &Block, index: usize) -> (usize, usize) {
    let sum = search::sum_lengths(page.payload(), index);
    if page.links() == 0 {
        return (sum, 0);
    }
    let outside = search::count_outside(page.payload(), index);
    (sum - usize::from(OUTSIDE) * outside, outside)
}

/// The element behind `bytes` of data and `links` of links.
#[inline(always)]
fn stored_at(page: &Block, len: u8, bytes: usize, links: usize) -> Stored<'_> {
    if len == OUTSIDE {
        return Stored::Outside(outside_bytes(page, links));
    }
    let payload = page.payload();
    let end = payload.len() - bytes;
    Stored::Inline(&payload[end - usize::from(len)..end])
}

#[inline(never)]
fn outside_bytes(page: &Block, link: usize) -> &[u8] {
    let block = page.link(link).expect("the block of an element that lies outside");
    &block.payload()[..block.used()]
}

/// The element at an index. Panics if there is none.
#[inline(always)]
pub fn get(page: &Block, index: usize) -> Stored<'_> {
    assert!(index < page.n(), "a page has no element {index}");
    let (bytes, links) = before(page, index);
    stored_at(page, meta(page.payload(), index).1, bytes, links)
}

/// The tag of the element at an index. Panics if there is none.
#[inline(always)]
pub fn tag(page: &Block, index: usize) -> u8 {
    assert!(index < page.n(), "a page has no element {index}");
    meta(page.payload(), index).0
}

/// The first element with the tag for which `same` is true, and its index.
#[inline(always)]
pub fn find<'a>(
    page: &'a Block,
    tag: u8,
    mut same: impl FnMut(Stored<'a>) -> bool,
) -> Option<(usize, Stored<'a>)> {
    search::find(page.payload(), page.n(), tag, |index| {
        let element = get(page, index);
        same(element).then_some((index, element))
    })
}

/// Prefetches the data of the first element with the tag, which is probably the one that [`find`]
/// finds, and its column.
#[inline(always)]
pub fn prefetch<const W: usize>(page: &Block, tag: u8) {
    let payload = page.payload();
    let Some(index) = search::find(payload, page.n(), tag, Some) else { return };
    let end = payload.len() - before(page, index).0.min(payload.len());
    let begin = end.saturating_sub(usize::from(meta(payload, index).1));
    hint::prefetch(&raw const payload[begin]);
    hint::prefetch(&raw const payload[end.saturating_sub(1)]);
    if W > 0 {
        hint::prefetch(&raw const payload[META * page.n() + W * index]);
    }
}

/// The elements in order, each with its tag.
#[inline]
pub fn iter(page: &Block) -> Iter<'_> {
    Iter { page, index: 0, bytes: 0, links: 0 }
}

/// The elements from an index on.
#[inline]
pub fn iter_from(page: &Block, index: usize) -> Iter<'_> {
    let index = index.min(page.n());
    let (bytes, links) = before(page, index);
    Iter { page, index, bytes, links }
}

/// See [`iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    page: &'a Block,
    index: usize,
    bytes: usize,
    links: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u8, Stored<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<(u8, Stored<'a>)> {
        if self.index >= self.page.n() {
            return None;
        }
        let (tag, len) = meta(self.page.payload(), self.index);
        let element = stored_at(self.page, len, self.bytes, self.links);
        match element {
            Stored::Inline(bytes) => self.bytes += bytes.len(),
            Stored::Outside(_) => self.links += 1,
        }
        self.index += 1;
        Some((tag, element))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.page.n() - self.index;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The column of the element at an index. Panics if there is none.
#[inline(always)]
pub fn column<const W: usize>(page: &Block, index: usize) -> [u8; W] {
    let n = page.n();
    assert!(index < n, "a page has no element {index}");
    let at = META * n + W * index;
    page.payload()[at..at + W].try_into().expect("W bytes")
}

/// Sets the column. Panics if there is none, or if the page is shared.
#[inline(always)]
pub fn set_column<const W: usize>(page: &mut Block, index: usize, column: [u8; W]) {
    let n = page.n();
    assert!(index < n, "a page has no element {index}");
    let at = META * n + W * index;
    page.payload_mut()[at..at + W].copy_from_slice(&column);
}

/// Makes room for `bytes` more bytes.
#[inline(always)]
fn reserve<const W: usize>(page: &mut Block, bytes: usize) {
    let (front, used) = (front::<W>(page.n()), page.used());
    if front + used + bytes > page.payload().len() {
        page.relocate(front + used + bytes, front, used);
    }
}

/// Moves the content to a smaller block if that saves an eighth. Spare room of an eighth is kept,
/// so that adding and removing an element in turns does not move a page each time.
#[inline]
fn shrink<const W: usize>(page: &mut Block) {
    let (front, used) = (front::<W>(page.n()), page.used());
    let fixed = page.size() - page.payload().len();
    let ample = front + used + (front + used) / 8;
    if size_class(fixed + ample) < page.size() {
        page.relocate(front + used, front, used);
    }
}

/// Appends an element. Panics if the page is shared.
#[inline]
pub fn push<const W: usize>(page: &mut Block, tag: u8, column: [u8; W], new: New<'_>) {
    insert(page, page.n(), tag, column, new);
}

/// Inserts an element before the one at an index, or after the last. Panics if the index is out of
/// range, or if the page is shared.
#[inline]
pub fn insert<const W: usize>(
    page: &mut Block,
    index: usize,
    tag: u8,
    column: [u8; W],
    new: New<'_>,
) {
    let n = page.n();
    assert!(index <= n, "an element at {index} of {n}");
    let (len, meta_len) = (new.inline_len(), new.meta_len());
    let (bytes, links) = if index == n { (page.used(), page.links()) } else { before(page, index) };
    let parts = match new {
        New::Inline(parts) => parts,
        New::Outside(block) => {
            page.insert_link(links, Some(block), front::<W>(n), page.used());
            &[]
        }
    };
    reserve::<W>(page, META + W + len);
    insert_data(page, bytes, 0, parts);
    let payload = page.payload_mut();
    if W > 0 {
        let columns = META * n;
        payload.copy_within(columns + W * index..columns + W * n, columns + META + W * (index + 1));
        payload.copy_within(columns..columns + W * index, columns + META);
        payload[columns + META + W * index..][..W].copy_from_slice(&column);
    }
    payload.copy_within(META * index..META * n, META * (index + 1));
    payload[META * index..][..META].copy_from_slice(&[tag, meta_len]);
    page.set_n(n + 1);
}

/// Replaces `old` bytes of data after the first `before` bytes by the parts. There is room.
#[inline(always)]
fn insert_data(page: &mut Block, before: usize, old: usize, parts: &[&[u8]]) {
    let used = page.used();
    let payload = page.payload_mut();
    let (end, mut at) = (payload.len(), payload.len() - before);
    let new = parts.iter().map(|part| part.len()).sum::<usize>();
    payload.copy_within(end - used..at - old, end - used + old - new);
    at -= new;
    for part in parts {
        payload[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    page.set_used(used - old + new);
}

/// Removes an element; returns its block if it was stored outside. Panics if there is none, or if
/// the page is shared.
pub fn remove<const W: usize>(page: &mut Block, index: usize) -> Option<Block> {
    let n = page.n();
    assert!(index < n, "a page has no element {index}");
    let (bytes, links) = before(page, index);
    let (_, len) = meta(page.payload(), index);
    if len != OUTSIDE {
        insert_data(page, bytes, usize::from(len), &[]);
    }
    let payload = page.payload_mut();
    payload.copy_within(META * (index + 1)..META * n, META * index);
    if W > 0 {
        let columns = META * n;
        payload.copy_within(columns..columns + W * index, columns - META);
        payload.copy_within(columns + W * (index + 1)..columns + W * n, columns - META + W * index);
    }
    page.set_n(n - 1);
    let outside = (len == OUTSIDE)
        .then(|| page.remove_link(links, front::<W>(n - 1)).expect("the block of an element"));
    shrink::<W>(page);
    outside
}

/// Replaces an element, keeping tag and column; returns the old block if it was stored outside.
/// Panics if there is none, or if the page is shared.
pub fn replace<const W: usize>(page: &mut Block, index: usize, new: New<'_>) -> Option<Block> {
    let n = page.n();
    assert!(index < n, "a page has no element {index}");
    let (bytes, links) = before(page, index);
    let (_, len) = meta(page.payload(), index);
    let (new_len, meta_len) = (new.inline_len(), new.meta_len());
    let old = if len == OUTSIDE { 0 } else { usize::from(len) };
    let outside = match new {
        New::Inline(parts) => {
            reserve::<W>(page, new_len.saturating_sub(old));
            insert_data(page, bytes, old, parts);
            (len == OUTSIDE)
                .then(|| page.remove_link(links, front::<W>(n)).expect("the block of an element"))
        }
        New::Outside(block) if len == OUTSIDE => page.link_mut(links).replace(block),
        New::Outside(block) => {
            insert_data(page, bytes, old, &[]);
            page.insert_link(links, Some(block), front::<W>(n), page.used());
            None
        }
    };
    page.payload_mut()[META * index + 1] = meta_len;
    if new_len < old {
        shrink::<W>(page);
    }
    outside
}

/// The bytes of an element stored in the page, mutable; `None` if it is outside. Panics if there is
/// none, or if the page is shared.
pub fn inline_mut(page: &mut Block, index: usize) -> Option<&mut [u8]> {
    assert!(index < page.n(), "a page has no element {index}");
    let (bytes, _) = before(page, index);
    let (_, len) = meta(page.payload(), index);
    let payload = page.payload_mut();
    let end = payload.len() - bytes;
    (len != OUTSIDE).then(|| &mut payload[end - usize::from(len)..end])
}

/// Appends elements `from..to` of another page. Blocks outside are shared. Panics if the range is
/// out of bounds, or if the page is shared.
pub fn append_range<const W: usize>(page: &mut Block, other: &Block, from: usize, to: usize) {
    assert!(from <= to && to <= other.n(), "a page has no elements {from} to {to}");
    let (n, added) = (page.n(), to - from);
    let (bytes, links) = before(other, from);
    let (bytes_to, links_to) =
        if to == other.n() { (other.used(), other.links()) } else { before(other, to) };
    for link in links..links_to {
        page.insert_link(page.links(), other.link(link).cloned(), front::<W>(n), page.used());
    }
    let data = other.payload();
    let data = &data[data.len() - bytes_to..data.len() - bytes];
    reserve::<W>(page, front::<W>(added) + data.len());
    insert_data(page, page.used(), 0, &[data]);
    let (payload, source) = (page.payload_mut(), other.payload());
    let (columns, source_columns) = (META * n, META * other.n());
    payload.copy_within(columns..columns + W * n, META * (n + added));
    payload[META * (n + added) + W * n..][..W * added]
        .copy_from_slice(&source[source_columns + W * from..source_columns + W * to]);
    payload[META * n..META * (n + added)].copy_from_slice(&source[META * from..META * to]);
    page.set_n(n + added);
}

/// Appends all elements of another page.
pub fn append_all<const W: usize>(page: &mut Block, other: &Block) {
    append_range::<W>(page, other, 0, other.n());
}

/// A new page for elements `from..to` of another, of the size that they need.
fn part<const W: usize>(page: &Block, from: usize, to: usize) -> Block {
    let (first, last) = (before(page, from).0, before(page, to).0);
    let mut new = Block::new(front::<W>(to - from) + last - first);
    append_range::<W>(&mut new, page, from, to);
    new
}

/// Two pages: the elements before an index, and the others. Panics if the index is out of range.
pub fn split_at<const W: usize>(page: &Block, index: usize) -> (Block, Block) {
    (part::<W>(page, 0, index), part::<W>(page, index, page.n()))
}

/// Two pages: the elements for which `goes` is false, and those for which it is true.
pub fn split_by(page: &Block, mut goes: impl FnMut(Stored<'_>) -> bool) -> (Block, Block) {
    let sides: Vec<bool> = iter(page).map(|(_, element)| goes(element)).collect();
    let mut need = [0; 2];
    for ((_, element), &side) in iter(page).zip(&sides) {
        need[usize::from(side)] += META + element_bytes(element);
    }
    let mut pages = need.map(Block::new);
    let mut from = 0;
    for run in sides.chunk_by(|a, b| a == b) {
        append_range::<0>(&mut pages[usize::from(run[0])], page, from, from + run.len());
        from += run.len();
    }
    let [stay, go] = pages;
    (stay, go)
}

/// Bytes of data in the page for an element.
fn element_bytes(element: Stored<'_>) -> usize {
    match element {
        Stored::Inline(bytes) => bytes.len(),
        Stored::Outside(_) => 0,
    }
}
