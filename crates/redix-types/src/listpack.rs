//! Listpacks: many short strings and integers in one run of bytes, as Redis lays them out.
//!
//! ```text
//! header      bytes in all, u32 LE, header and end included | elements, u16 LE; 65535: count them
//! element     encoding byte, maybe more of the value or of its length | data | back length
//! end         0xff
//!
//! 0xxxxxxx                  0..=127               10xxxxxx            string of up to 63 bytes
//! 110xxxxx x                13 bits, signed       1110xxxx x          string of up to 4095 bytes
//! 11110001 .. 11110100      16, 24, 32, 64 bits   11110000 xxxx (LE)  longer string
//! ```
//!
//! The back length is that of encoding and data, seven bits a byte, the most significant byte
//! first, all but the first marked with 0x80, so that it can be read from its end. Lengths of
//! 2^14 - 1, 2^21 - 1 and 2^28 - 1 have two forms: with a leading zero (Redis, Valkey 8, ours) and
//! without (Valkey 9.1); both are read.
//!
//! These are the bytes that RDB files and DUMP carry. A text that is exactly how an `i64` prints is
//! kept as that integer, so one element has one encoding when we write it; readers take any valid
//! one. Source: `listpack.c` of Redis 7.0 and the payloads of its DUMP.
//!
//! **Invariant**: all functions but [`validate`] expect bytes that it accepts, and edits keep them
//! so. Bytes that break this make functions panic, never read elsewhere.

use crate::entry::IntBuf;
use crate::num::parse_i64;
use crate::splice::Splice;

#[cfg(test)]
mod tests;

/// A listpack without elements.
pub const EMPTY: [u8; 7] = [7, 0, 0, 0, 0, 0, END];

/// Most bytes that a listpack may have (Redis' safety limit); see [`has_room`].
pub const BYTES_MAX: usize = 1 << 30;

/// Where the first element begins.
pub const HEADER: usize = 6;

const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Longest text of an `i64`, with its sign.
const INT_TEXT_MAX: usize = 20;
/// The most elements that one splice inserts.
const CHUNK: usize = 4;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    Int(i64),
    Str(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element for `text`: an integer if its text is the canonical one.
    #[inline]
    pub fn of(text: &'a [u8]) -> Self {
        if text.len() <= INT_TEXT_MAX
            && let Some(value) = parse_i64(text)
        {
            return Element::Int(value);
        }
        Element::Str(text)
    }

    /// The text; an integer is written into `buf` first.
    pub fn text<'b>(self, buf: &'b mut IntBuf) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Element::Int(value) => buf.format(value),
            Element::Str(text) => text,
        }
    }

    /// Length of the text in bytes.
    pub fn text_len(self) -> usize {
        match self {
            Element::Int(value) => crate::num::i64_len(value),
            Element::Str(text) => text.len(),
        }
    }

    /// Bytes of the element in a listpack.
    pub fn encoded_len(self) -> usize {
        Encoded::of(self).len()
    }
}

/// Longest string that is written together with its head and back length.
const SHORT_MAX: usize = 63;

/// An element, encoded: all of it in `start` if it is short, otherwise its head, the text and the
/// back length.
struct Encoded<'a> {
    start: [u8; SHORT_MAX + 2],
    start_len: usize,
    text: &'a [u8],
    back: [u8; 5],
    back_len: usize,
}

impl<'a> Encoded<'a> {
    #[inline]
    fn of(element: Element<'a>) -> Self {
        let mut start = [0; SHORT_MAX + 2];
        let (text, len) = match element {
            Element::Str(text) if text.len() > SHORT_MAX => {
                let (head, len) = str_head(text.len());
                start[..head.len()].copy_from_slice(&head);
                let back_len = back_len(len + text.len());
                let back = back_bytes(len + text.len(), back_len);
                return Encoded { start, start_len: len, text, back, back_len };
            }
            Element::Str(text) => {
                start[0] = 0x80 | text.len() as u8;
                start[1..=text.len()].copy_from_slice(text);
                (&[][..], 1 + text.len())
            }
            Element::Int(value) => {
                let (head, len) = int_head(value);
                start[..head.len()].copy_from_slice(&head);
                (&[][..], len)
            }
        };
        start[len] = len as u8;
        Encoded { start, start_len: len + 1, text, back: [0; 5], back_len: 0 }
    }

    fn len(&self) -> usize {
        self.start_len + self.text.len() + self.back_len
    }

    fn pieces(&self) -> [&[u8]; 3] {
        [&self.start[..self.start_len], self.text, &self.back[..self.back_len]]
    }
}

fn int_head(value: i64) -> ([u8; 9], usize) {
    let mut head = [0; 9];
    let bytes = value.to_le_bytes();
    let data = match value {
        0..=127 => {
            head[0] = bytes[0];
            return (head, 1);
        }
        -4096..=4095 => {
            head[0] = 0xc0 | (bytes[1] & 0x1f);
            head[1] = bytes[0];
            return (head, 2);
        }
        -0x8000..=0x7fff => 2,
        -0x80_0000..=0x7f_ffff => 3,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    };
    head[0] = if data == 8 { 0xf4 } else { 0xef + data as u8 };
    head[1..=data].copy_from_slice(&bytes[..data]);
    (head, 1 + data)
}

/// The head of a string that is not short.
fn str_head(len: usize) -> ([u8; 5], usize) {
    let [b0, b1, b2, b3] = u32::try_from(len).expect("a listpack is at most 1 GB").to_le_bytes();
    if len <= 4095 { ([0xe0 | b1, b0, 0, 0, 0], 2) } else { ([0xf0, b0, b1, b2, b3], 5) }
}

/// Length of the back length field for `len`, as we write it. The steps are those of Redis and of
/// Valkey 8, which are one early from the second on.
fn back_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16383 => 2,
        16383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Length of the back length field that begins `back`, for `len`. Valkey 9 writes the greatest
/// length of each step without the leading zero that [`back_len`] gives it.
#[inline]
fn back_len_in(back: &[u8], len: usize) -> usize {
    match len {
        0..=127 => 1,
        16383 | 2_097_151 | 268_435_455 if back.first() != Some(&0) => back_len(len) - 1,
        _ => back_len(len),
    }
}

fn back_bytes(len: usize, count: usize) -> [u8; 5] {
    let mut bytes = [0; 5];
    for (i, byte) in bytes[..count].iter_mut().enumerate() {
        let shifted = len >> (7 * (count - 1 - i));
        *byte = (shifted & 0x7f) as u8 | if i == 0 { 0 } else { 0x80 };
    }
    bytes
}

/// Length of encoding and data of the element that begins `bytes`. `None` if it is truncated or
/// invalid.
#[inline]
fn body_len(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    Some(match first {
        0..=0x7f => 1,
        0x80..=0xbf => 1 + usize::from(first & 0x3f),
        0xc0..=0xdf => 2,
        0xe0..=0xef => 2 + (usize::from(first & 0x0f) << 8 | usize::from(*bytes.get(1)?)),
        0xf0 => {
            let len = bytes.get(1..5)?.try_into().expect("four bytes");
            usize::try_from(u32::from_le_bytes(len)).ok()?.checked_add(5)?
        }
        0xf1 => 3,
        0xf2 => 4,
        0xf3 => 5,
        0xf4 => 9,
        _ => return None,
    })
}

/// Whether `bytes` are a complete listpack. `Depth::Header` looks at the size and the end alone.
pub fn validate(bytes: &[u8], depth: Depth) -> bool {
    let Some((&END, rest)) = bytes.split_last() else { return false };
    if rest.len() < HEADER || total_of(bytes) != bytes.len() {
        return false;
    }
    if depth == Depth::Header {
        return true;
    }
    let mut at = HEADER;
    let mut count = 0usize;
    while at < rest.len() {
        let Some(len) = body_len(&rest[at..]) else { return false };
        let Some(back) = rest.get(at + len..) else { return false };
        let back_len = back_len_in(back, len);
        if back.get(..back_len) != Some(&back_bytes(len, back_len)[..back_len]) {
            return false;
        }
        at += len + back_len;
        count += 1;
    }
    let stated = stated_count(bytes);
    stated == COUNT_UNKNOWN || usize::from(stated) == count
}

/// How much of a listpack [`validate`] checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Header,
    Elements,
}

fn total_of(lp: &[u8]) -> usize {
    u32::from_le_bytes([lp[0], lp[1], lp[2], lp[3]]) as usize
}

fn stated_count(lp: &[u8]) -> u16 {
    u16::from_le_bytes([lp[4], lp[5]])
}

/// Number of elements; O(1) below 65535.
pub fn len(lp: &[u8]) -> usize {
    match stated_count(lp) {
        COUNT_UNKNOWN => iter(lp).count(),
        count => usize::from(count),
    }
}

/// Whether `added` more bytes keep a listpack of `bytes` bytes below [`BYTES_MAX`].
pub fn has_room(bytes: usize, added: usize) -> bool {
    bytes.checked_add(added).is_some_and(|sum| sum <= BYTES_MAX)
}

/// The element at the offset `at`, and the offset of the next one (or of the end).
#[inline]
pub fn read(lp: &[u8], at: usize) -> (Element<'_>, usize) {
    let bytes = &lp[at..lp.len() - 1];
    let len = body_len(bytes).expect("an offset of a valid listpack leads to an element");
    let element = match bytes[0] {
        first @ 0..=0x7f => Element::Int(i64::from(first)),
        0x80..=0xbf => Element::Str(&bytes[1..len]),
        // Thirteen bits, shifted up so that their sign is the integer's.
        first @ 0xc0..=0xdf => {
            let bits = u16::from(first & 0x1f) << 8 | u16::from(bytes[1]);
            Element::Int(i64::from((bits << 3) as i16 >> 3))
        }
        0xe0..=0xef => Element::Str(&bytes[2..len]),
        0xf0 => Element::Str(&bytes[5..len]),
        _ => Element::Int(signed(&bytes[1..len])),
    };
    (element, at + len + back_len_in(&bytes[len..], len))
}

/// A little-endian integer of up to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    let unused = 8 - bytes.len();
    wide[unused..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (8 * unused)
}

/// The offset after the element at `at`.
#[inline]
pub fn next(lp: &[u8], at: usize) -> usize {
    let len = body_len(&lp[at..]).expect("an offset of a valid listpack leads to an element");
    at + len + back_len_in(&lp[at + len..], len)
}

/// The offset of the element before the one at `at`, or before the end. `at` is not the first.
#[inline]
pub fn prev(lp: &[u8], at: usize) -> usize {
    let mut len = 0;
    let mut count = 0;
    loop {
        let byte = lp[at - 1 - count];
        len |= usize::from(byte & 0x7f) << (7 * count);
        count += 1;
        if byte & 0x80 == 0 {
            return at - count - len;
        }
    }
}

/// The offset of the end, where an insertion appends.
pub fn end(lp: &[u8]) -> usize {
    lp.len() - 1
}

/// The offset of the element `index`, counted from 0; that of the end for `len`. None beyond.
pub fn seek(lp: &[u8], index: usize) -> Option<usize> {
    let len = stated_count(lp);
    if len != COUNT_UNKNOWN && index > usize::from(len) / 2 {
        let behind = usize::from(len).checked_sub(index)?;
        return Some((0..behind).fold(end(lp), |at, _| prev(lp, at)));
    }
    let mut at = HEADER;
    for _ in 0..index {
        if at == end(lp) {
            return None;
        }
        at = next(lp, at);
    }
    Some(at)
}

/// The element `index`, counted from 0.
pub fn get(lp: &[u8], index: usize) -> Option<Element<'_>> {
    let at = seek(lp, index)?;
    (at < end(lp)).then(|| read(lp, at).0)
}

/// The offset of the first element with this text, among those at `from` and then after each `skip`
/// others: with `skip` 1 only the fields of a hash.
pub fn find(lp: &[u8], text: &[u8], from: usize, skip: usize) -> Option<usize> {
    let needle = Needle::new(text);
    let mut at = from;
    let end = end(lp);
    while at < end {
        let (element, after) = read(lp, at);
        if needle.is(element) {
            return Some(at);
        }
        at = after;
        for _ in 0..skip {
            if at >= end {
                return None;
            }
            at = next(lp, at);
        }
    }
    None
}

/// A text for comparison with elements.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    text: &'a [u8],
    element: Element<'a>,
}

impl<'a> Needle<'a> {
    /// Prepares the comparison.
    pub fn new(text: &'a [u8]) -> Self {
        Needle { text, element: Element::of(text) }
    }

    /// Whether the element has this text.
    #[inline]
    pub fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Str(text) => text == self.text,
            Element::Int(_) => element == self.element,
        }
    }
}

/// Elements with their offsets, from both ends.
pub fn iter(lp: &[u8]) -> Iter<'_> {
    iter_between(lp, HEADER, end(lp))
}

/// Elements with their offsets, from the one at `from` to the one before `to`; both are offsets of
/// elements or the end.
pub fn iter_between(lp: &[u8], from: usize, to: usize) -> Iter<'_> {
    Iter { lp, front: from, back: to }
}

/// Iterator over elements and their offsets.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    lp: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (usize, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let at = self.front;
        let (element, after) = read(self.lp, at);
        self.front = after;
        Some((at, element))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = prev(self.lp, self.back);
        Some((self.back, read(self.lp, self.back).0))
    }
}

/// Adds an element at the end.
pub fn append(lp: &mut impl Splice, element: Element<'_>) {
    let at = end(lp.bytes());
    replace_at(lp, at, 0, 0, &[element]);
}

/// Adds an element at the start.
pub fn prepend(lp: &mut impl Splice, element: Element<'_>) {
    replace_at(lp, HEADER, 0, 0, &[element]);
}

/// Inserts elements before the offset `at`, which is that of an element or the end.
pub fn insert(lp: &mut impl Splice, at: usize, elements: &[Element<'_>]) {
    let mut at = at;
    for some in elements.chunks(CHUNK) {
        at += replace_at(lp, at, 0, 0, some);
    }
}

/// Replaces the element at the offset `at`.
pub fn replace(lp: &mut impl Splice, at: usize, element: Element<'_>) {
    let old = next(lp.bytes(), at) - at;
    replace_at(lp, at, old, 1, &[element]);
}

/// Appends `count` encoded elements of another listpack.
pub fn extend(lp: &mut impl Splice, elements: &[u8], count: usize) {
    let at = end(lp.bytes());
    lp.splice(at, 0, &[elements]);
    recount(lp, count, 0);
}

/// Deletes up to `count` elements from the offset `at` on. Returns how many.
pub fn delete(lp: &mut impl Splice, at: usize, count: usize) -> usize {
    let bytes = lp.bytes();
    let mut to = at;
    let mut deleted = 0;
    while deleted < count && to < end(bytes) {
        to = next(bytes, to);
        deleted += 1;
    }
    replace_at(lp, at, to - at, deleted, &[]);
    deleted
}

/// Replaces the `old` elements in `bytes` bytes at `at` by up to `CHUNK` others; returns their
/// encoded length. Panics if the listpack would exceed 4 GB; callers check [`has_room`].
fn replace_at(
    lp: &mut impl Splice,
    at: usize,
    bytes: usize,
    old: usize,
    new: &[Element<'_>],
) -> usize {
    let added = match new {
        [element] => {
            let encoded = Encoded::of(*element);
            match encoded.text {
                [] => lp.splice(at, bytes, &[&encoded.start[..encoded.start_len]]),
                _ => lp.splice(at, bytes, &encoded.pieces()),
            }
            encoded.len()
        }
        _ => {
            let encoded: [_; CHUNK] = std::array::from_fn(|i| new.get(i).copied().map(Encoded::of));
            let mut pieces = [&[][..]; 3 * CHUNK];
            for (to, encoded) in pieces.chunks_mut(3).zip(encoded.iter().flatten()) {
                to.copy_from_slice(&encoded.pieces());
            }
            lp.splice(at, bytes, &pieces[..3 * new.len()]);
            encoded.iter().flatten().map(Encoded::len).sum()
        }
    };
    recount(lp, new.len(), old);
    added
}

/// Updates the header after `new` elements have replaced `old` ones.
#[inline]
fn recount(lp: &mut impl Splice, new: usize, old: usize) {
    let bytes = lp.bytes_mut();
    let total = u32::try_from(bytes.len()).expect("a listpack is at most 1 GB");
    let stated = stated_count(bytes);
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    if stated != COUNT_UNKNOWN {
        let count = u16::try_from(usize::from(stated) + new - old).unwrap_or(COUNT_UNKNOWN);
        bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}
