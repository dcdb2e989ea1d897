//! Sorted sets of integers in one piece of bytes: the form of a small set of numbers.
//!
//! ```text
//! 0  width   u32 LE: 2, 4 or 8 bytes an element
//! 4  count   u32 LE
//! 8  elements, signed, little endian, strictly ascending
//! ```
//! These are the bytes that RDB files and DUMP payloads of Redis hold, so they go there as they
//! are. All elements have one width, that of the widest that was ever among them: an element that
//! needs more widens all, a removal narrows none. Looking up is a binary search, O(log n); a change
//! moves the bytes behind it, so a set is kept like this only up to some hundred elements.
//!
//! **Invariant:** the functions below take bytes that [`validate`] accepts, or [`EMPTY`], and leave
//! such bytes. Others give wrong answers or a panic, but are never read past their end.
//!
//! Source: the layout of `intset.c` of Redis 2.2 to 8.

use crate::splice::Splice;

#[cfg(test)]
mod tests;

/// The set without elements, in the narrowest width.
pub const EMPTY: [u8; HEADER] = [2, 0, 0, 0, 0, 0, 0, 0];

const HEADER: usize = 8;

/// Bytes an element takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    /// The narrowest width for `value`.
    fn of(value: i64) -> Width {
        if i16::try_from(value).is_ok() {
            Width::Two
        } else if i32::try_from(value).is_ok() {
            Width::Four
        } else {
            Width::Eight
        }
    }

    const fn bytes(self) -> usize {
        self as usize
    }

    /// The first bytes of `value` as an element of this width; `value` fits.
    fn encode(self, value: &[u8; 8]) -> &[u8] {
        &value[..self.bytes()]
    }
}

/// Whether these bytes are an intset: a known width, exactly as many bytes as the count says, and
/// the elements strictly ascending. A set without elements passes, and so does one whose elements
/// would fit a narrower width. O(n).
pub fn validate(bytes: &[u8]) -> bool {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else { return false };
    let [w0, w1, w2, w3, c0, c1, c2, c3] = *header;
    let count = u64::from(u32::from_le_bytes([c0, c1, c2, c3]));
    let width = u32::from_le_bytes([w0, w1, w2, w3]);
    if !matches!(width, 2 | 4 | 8) || count * u64::from(width) != body.len() as u64 {
        return false;
    }
    Intset::new(bytes).iter().is_sorted_by(|one, next| one < next)
}

/// A borrowed intset, as cheap to pass as a slice.
#[derive(Clone, Copy, Debug)]
pub struct Intset<'a> {
    width: Width,
    bytes: &'a [u8],
}

impl<'a> Intset<'a> {
    /// Borrows bytes that [`validate`] accepts.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Intset<'a> {
        let width = match bytes[0] {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        };
        Intset { width, bytes }
    }

    /// All its bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    fn body(self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    /// How many elements.
    #[inline]
    pub fn len(self) -> usize {
        self.body().len() / self.width.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.body().is_empty()
    }

    /// The element at a rank, the smallest at 0. Panics if the rank is out of range.
    #[inline]
    pub fn at(self, rank: usize) -> i64 {
        match self.width {
            Width::Two => i64::from(i16::from_le_bytes(chunk(self.body(), rank))),
            Width::Four => i64::from(i32::from_le_bytes(chunk(self.body(), rank))),
            Width::Eight => i64::from_le_bytes(chunk(self.body(), rank)),
        }
    }

    /// The rank of `value`, or the rank where it would be inserted. O(log n).
    pub fn find(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Numbers are often added in ascending order.
        if high > 0 && value > self.at(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(&value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether `value` is an element. O(log n).
    pub fn contains(self, value: i64) -> bool {
        self.find(value).is_ok()
    }

    /// The elements, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + 'a {
        (0..self.len()).map(move |rank| self.at(rank))
    }
}

#[inline]
fn chunk<const N: usize>(body: &[u8], rank: usize) -> [u8; N] {
    body.as_chunks::<N>().0[rank]
}

/// Adds an element; returns whether it was missing. O(n).
pub fn insert(set: &mut impl Splice, value: i64) -> bool {
    let view = Intset::new(set.bytes());
    let width = view.width;
    if Width::of(value) > width {
        widen(set, value);
        return true;
    }
    let Err(rank) = view.find(value) else { return false };
    let count = view.len() + 1;
    let at = HEADER + rank * width.bytes();
    set.splice(at, 0, &[width.encode(&value.to_le_bytes())]);
    set_count(set, count);
    true
}

/// Adds an element that needs a wider width: it becomes the smallest or the largest.
fn widen(set: &mut impl Splice, value: i64) {
    let view = Intset::new(set.bytes());
    let (width, count) = (Width::of(value), view.len() + 1);
    let mut wide = Vec::with_capacity(HEADER + count * width.bytes());
    wide.extend((width as u32).to_le_bytes());
    wide.extend([0; 4]);
    let (below, above) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
    for element in below.into_iter().chain(view.iter()).chain(above) {
        wide.extend(width.encode(&element.to_le_bytes()));
    }
    let old_len = set.bytes().len();
    set.splice(0, old_len, &[&wide]);
    set_count(set, count);
}

/// Removes an element; returns whether it existed. O(n).
pub fn remove(set: &mut impl Splice, value: i64) -> bool {
    let view = Intset::new(set.bytes());
    let Ok(rank) = view.find(value) else { return false };
    remove_at(set, rank);
    true
}

/// Removes the element at a rank. Panics if the rank is out of range. O(n).
pub fn remove_at(set: &mut impl Splice, rank: usize) {
    let view = Intset::new(set.bytes());
    let (width, count) = (view.width.bytes(), view.len());
    assert!(rank < count, "callers pass the rank of an element");
    set.splice(HEADER + rank * width, width, &[]);
    set_count(set, count - 1);
}

/// Keeps the elements for which `keep`, called in ascending order, returns true. O(n).
pub fn retain(set: &mut impl Splice, mut keep: impl FnMut(i64) -> bool) {
    let old_len = set.bytes().len();
    let (width, count) = {
        let view = Intset::new(set.bytes());
        (view.width.bytes(), view.len())
    };
    let mut kept = 0;
    for rank in 0..count {
        if keep(Intset::new(set.bytes()).at(rank)) {
            let from = HEADER + rank * width;
            set.bytes_mut().copy_within(from..from + width, HEADER + kept * width);
            kept += 1;
        }
    }
    let len = HEADER + kept * width;
    set.splice(len, old_len - len, &[]);
    set_count(set, kept);
}

fn set_count(set: &mut impl Splice, count: usize) {
    let count = u32::try_from(count).expect("a set of 2^32 elements is kept in another form");
    set.bytes_mut()[4..HEADER].copy_from_slice(&count.to_le_bytes());
}
