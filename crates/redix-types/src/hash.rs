//! Hashes with many fields, or with long ones: fields and values in a table of pages.
//!
//! ```text
//! in its page   field length, u8      | expiry, i64 LE, if any | field | value
//! outside       field length, u32 LE  | expiry, i64 LE, if any | field | value
//! ```
//!
//! The top bit of either length says whether the field has an expiry; so fields of more than 127
//! bytes lie outside, as whole elements of more than 254 do. Values have no length: they end where
//! the element does. Small hashes are listpacks of fields and values; a field of these has no
//! expiry.
//!
//! **Expiry.** The fields that have one are listed in their order ([`expiries`]), so that the
//! earliest expiry is known and expired fields are found without a walk. A hash without any has a
//! null pointer instead. Nothing here knows the time: readers hide what has expired by it.
//!
//! **Invariants**: an element begins with the length of its field and is at least that long. It
//! is written by [`with_element`] alone. The list has the expiries of the elements, each once.

use crate::block::PAYLOAD_MAX;
use crate::entry::IntBuf;
use crate::listpack;
use crate::packed::{INLINE_MAX, New, Stored};
use crate::paged::{Element, Paged};
use crate::prefetch::MemberLookup;
use crate::table::KeyHasher;

mod build;
mod expiries;
#[cfg(test)]
mod tests;
mod view;

pub use build::{Builder, from_packed};
use expiries::Expiries;
pub use view::{Before, EMPTY, HashEdit, HashRef, Limits, Pair};

/// Longest field, in bytes, of an element stored in its page.
const INLINE_FIELD_MAX: usize = 0x7f;

/// Longest field in bytes: 31 bits of length.
pub const FIELD_LEN_MAX: usize = 0x7fff_ffff;

/// Longest field and value together, in bytes.
pub const PAIR_LEN_MAX: usize = PAYLOAD_MAX - 4 - EXPIRY_BYTES;

/// An element of a hash.
#[derive(Clone, Copy, Debug)]
struct Field;

impl Element for Field {
    const PAGE: usize = 768;

    #[inline(always)]
    fn key(stored: Stored<'_>) -> &[u8] {
        parts(stored).field
    }
}

/// The bit of a length in a page that says that the field has an expiry.
const EXPIRES_INLINE: u8 = 0x80;

/// The same outside.
const EXPIRES_OUTSIDE: u32 = 0x8000_0000;

/// Bytes of an expiry.
const EXPIRY_BYTES: usize = 8;

/// The parts of an element.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    field: &'a [u8],
    value: &'a [u8],
    /// Milliseconds since the Unix epoch.
    expire_at_ms: Option<i64>,
}

impl Parts<'_> {
    /// Whether the field is still there for a reader who sees nothing that expires until
    /// `horizon_ms`.
    #[inline(always)]
    fn is_visible(&self, horizon_ms: i64) -> bool {
        self.expire_at_ms.is_none_or(|at_ms| at_ms > horizon_ms)
    }
}

/// The parts of an element.
#[inline(always)]
fn parts(stored: Stored<'_>) -> Parts<'_> {
    let (len, expires, rest) = match stored {
        Stored::Inline(bytes) => {
            let (head, rest) = bytes.split_first().expect("the length of a field");
            (usize::from(head & !EXPIRES_INLINE), head & EXPIRES_INLINE != 0, rest)
        }
        Stored::Outside(bytes) => {
            let (head, rest) = bytes.split_first_chunk().expect("the length of a field");
            let head = u32::from_le_bytes(*head);
            ((head & !EXPIRES_OUTSIDE) as usize, head & EXPIRES_OUTSIDE != 0, rest)
        }
    };
    if !expires {
        let (field, value) = rest.split_at(len);
        return Parts { field, value, expire_at_ms: None };
    }
    let (at, rest) = rest.split_first_chunk().expect("the expiry of a field");
    let (field, value) = rest.split_at(len);
    Parts { field, value, expire_at_ms: Some(i64::from_le_bytes(*at)) }
}

/// Calls `f` with the element of this field, value and expiry.
#[inline(always)]
fn with_element<R>(
    field: &[u8],
    value: &[u8],
    expire_at_ms: Option<i64>,
    f: impl FnOnce(New<'_>) -> R,
) -> R {
    let at = expire_at_ms.map(i64::to_le_bytes);
    let at = at.as_ref().map_or(&[][..], |at| at);
    if field.len() <= INLINE_FIELD_MAX && 1 + at.len() + field.len() + value.len() <= INLINE_MAX {
        let mark = if at.is_empty() { 0 } else { EXPIRES_INLINE };
        f(New::Inline(&[&[mark | field.len() as u8], at, field, value]))
    } else {
        assert!(field.len() <= FIELD_LEN_MAX, "a field of {} bytes", field.len());
        let mark = if at.is_empty() { 0 } else { EXPIRES_OUTSIDE };
        let len = (mark | field.len() as u32).to_le_bytes();
        f(New::outside(&[&len, at, field, value]))
    }
}

/// What setting a value does to the expiry of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The field has none afterwards.
    Endless,
    /// It keeps the one that it has.
    Keep,
    /// It expires at this Unix time in milliseconds.
    Until(i64),
}

impl Lifetime {
    /// The expiry of a field that had `old`.
    fn after(self, old: Option<i64>) -> Option<i64> {
        match self {
            Lifetime::Endless => None,
            Lifetime::Keep => old,
            Lifetime::Until(at_ms) => Some(at_ms),
        }
    }
}

/// A hash in a table of pages. `clone` shares all of it until one side writes.
#[derive(Clone, Default)]
pub struct Hash {
    table: Paged<Field>,
    /// The expiries of its fields, if there are any.
    expiries: Option<Box<Expiries>>,
}

impl Hash {
    /// A hash without fields, which owns no memory.
    pub const fn new() -> Self {
        Hash { table: Paged::new(), expiries: None }
    }

    /// As [`Paged::prefetch`].
    #[inline]
    pub fn prefetch(&self, lookup: &MemberLookup) -> bool {
        self.table.prefetch(lookup)
    }

    /// A hash of the alternating fields and values of a listpack, which must be distinct.
    pub fn from_listpack(lp: &[u8], hasher: &KeyHasher) -> Self {
        let mut hash = Hash::new();
        let (mut field_text, mut value_text) = (IntBuf::new(), IntBuf::new());
        let mut elements = listpack::iter(lp).map(|(_, element)| element);
        while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
            let (field, value) = (field.text(&mut field_text), value.text(&mut value_text));
            hash.set(field, value, Lifetime::Endless, hasher);
        }
        hash
    }

    /// Number of fields.
    #[inline]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of memory, without this struct.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.expiries.as_ref().map_or(0, |expiries| expiries.memory())
    }

    /// Upper bound of the allocations that [`Hash::free_step`] frees.
    pub fn weight(&self) -> usize {
        self.table.weight() + self.expiries.as_ref().map_or(0, |expiries| expiries.weight())
    }

    /// Frees about `budget` allocations; returns whether all are freed. The hash must not be used
    /// meanwhile.
    pub fn free_step(&mut self, budget: usize) -> bool {
        if let Some(expiries) = &mut self.expiries {
            if !expiries.free_step(budget) {
                return false;
            }
            self.expiries = None;
        }
        self.table.free_step(budget)
    }

    /// Number of fields that have an expiry.
    #[inline]
    pub fn expiring(&self) -> usize {
        self.expiries.as_ref().map_or(0, |expiries| expiries.len())
    }

    /// The earliest expiry of a field. O(1) but for the depth of a tree of width 64.
    #[inline]
    pub fn first_expiry(&self) -> Option<i64> {
        self.expiries.as_ref().and_then(|expiries| expiries.first())
    }

    /// Number of fields that have expired by a time. Linear in it.
    fn expired_by(&self, now_ms: i64) -> usize {
        self.expiries.as_ref().map_or(0, |expiries| expiries.count_until(now_ms))
    }

    /// The value of a field, and its expiry.
    #[inline]
    pub fn get(&self, field: &[u8], hasher: &KeyHasher) -> Option<(&[u8], Option<i64>)> {
        let (_, element) = self.table.find(hasher.hash(field), field)?;
        let parts = parts(element);
        Some((parts.value, parts.expire_at_ms))
    }

    /// Sets the value of a field and its expiry; returns whether the field is new. Panics if the
    /// field is longer than [`FIELD_LEN_MAX`], or field and value than [`PAIR_LEN_MAX`].
    pub fn set(
        &mut self,
        field: &[u8],
        value: &[u8],
        lifetime: Lifetime,
        hasher: &KeyHasher,
    ) -> bool {
        let hash = hasher.hash(field);
        let Some((pos, element)) = self.table.find(hash, field) else {
            let at_ms = lifetime.after(None);
            with_element(field, value, at_ms, |new| self.table.insert_new(hash, new, hasher));
            self.note_expiry(hash, None, at_ms);
            return true;
        };
        let old = parts(element);
        let (old_len, old_ms) = (old.value.len(), old.expire_at_ms);
        let at_ms = lifetime.after(old_ms);
        if old_len == value.len() && at_ms == old_ms {
            // Consecutive values of a field often have equal length.
            let at = 1 + if at_ms.is_some() { EXPIRY_BYTES } else { 0 } + field.len();
            let edit = |bytes: &mut [u8]| bytes[at..].copy_from_slice(value);
            if self.table.edit_inline(pos, edit).is_some() {
                return false;
            }
        }
        with_element(field, value, at_ms, |new| self.table.replace(pos, new, hasher));
        self.note_expiry(hash, old_ms, at_ms);
        false
    }

    /// Sets or removes the expiry of a field; returns whether the field exists.
    pub fn set_expiry(
        &mut self,
        field: &[u8],
        expire_at_ms: Option<i64>,
        hasher: &KeyHasher,
    ) -> bool {
        let hash = hasher.hash(field);
        let Some((pos, element)) = self.table.find(hash, field) else { return false };
        let old = parts(element);
        let old_ms = old.expire_at_ms;
        if old_ms == expire_at_ms {
            return true;
        }
        let value = old.value.to_vec();
        with_element(field, &value, expire_at_ms, |new| self.table.replace(pos, new, hasher));
        self.note_expiry(hash, old_ms, expire_at_ms);
        true
    }

    /// Removes a field; returns whether it existed.
    pub fn remove(&mut self, field: &[u8], hasher: &KeyHasher) -> bool {
        let hash = hasher.hash(field);
        let Some((pos, element)) = self.table.find(hash, field) else { return false };
        let old_ms = parts(element).expire_at_ms;
        self.table.remove(pos, hasher);
        self.note_expiry(hash, old_ms, None);
        true
    }

    /// Removes the field that expires first, if it has by `now_ms`; returns its name.
    pub fn pop_expired(&mut self, now_ms: i64, hasher: &KeyHasher) -> Option<Vec<u8>> {
        let (at_ms, hash) = self.expiries.as_ref()?.next().filter(|(at, _)| *at <= now_ms)?;
        let found = self.table.find_by(hash, |element| {
            let parts = parts(element);
            parts.expire_at_ms == Some(at_ms) && hasher.hash(parts.field) == hash
        });
        let (pos, element) = found.expect("the field of an expiry");
        let field = parts(element).field.to_vec();
        self.table.remove(pos, hasher);
        self.note_expiry(hash, Some(at_ms), None);
        Some(field)
    }

    /// Enters the change of a field's expiry into the list.
    #[inline]
    fn note_expiry(&mut self, hash: u64, old_ms: Option<i64>, new_ms: Option<i64>) {
        if old_ms != new_ms {
            self.move_expiry(hash, old_ms, new_ms);
        }
    }

    #[cold]
    fn move_expiry(&mut self, hash: u64, old_ms: Option<i64>, new_ms: Option<i64>) {
        let expiries = self.expiries.get_or_insert_default();
        if let Some(at_ms) = old_ms {
            expiries.remove(at_ms, hash);
        }
        if let Some(at_ms) = new_ms {
            expiries.add(at_ms, hash);
        }
        if expiries.is_empty() {
            self.expiries = None;
        }
    }

    /// The parts of the elements, in an order that lasts until the next change.
    fn elements(&self) -> impl Iterator<Item = Parts<'_>> {
        self.table.iter().map(parts)
    }

    /// Fields, values and expiries, in an order that lasts until the next change.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Option<i64>)> {
        self.elements().map(|parts| (parts.field, parts.value, parts.expire_at_ms))
    }

    /// Calls `f` with the parts of about `count` elements from a cursor on; returns the next
    /// cursor, 0 at the end. Fields that exist from cursor 0 to the end are visited.
    fn scan<'a>(&'a self, cursor: u64, count: usize, mut f: impl FnMut(Parts<'a>)) -> u64 {
        self.table.scan(cursor, count, |element| f(parts(element)))
    }

    /// An element chosen by a random number. `None` if the hash is empty.
    fn random(&self, word: u64) -> Option<Parts<'_>> {
        self.table.random(word).map(parts)
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self.elements().map(|parts| {
            (String::from_utf8_lossy(parts.field), String::from_utf8_lossy(parts.value))
        });
        f.debug_map().entries(texts).finish()
    }
}
