//! Hashes with many fields, or with long ones: fields and values in a table of pages.
//!
//! ```text
//! in its page   field length, u8      | field | value
//! outside       field length, u32 LE  | field | value
//! ```
//!
//! The top bit of either length is kept free, for fields that have a time of their own; so fields
//! of more than 127 bytes lie outside, as whole elements of more than 254 do. Values have no
//! length: they end where the element does. Small hashes are listpacks of fields and values.
//!
//! **Invariant**: an element begins with the length of its field and is at least that long. It
//! is written by [`with_element`] alone.

use crate::block::PAYLOAD_MAX;
use crate::entry::IntBuf;
use crate::listpack;
use crate::packed::{INLINE_MAX, New, Stored};
use crate::paged::{Element, Paged};
use crate::prefetch::MemberLookup;
use crate::table::KeyHasher;

mod build;
#[cfg(test)]
mod tests;
mod view;

pub use build::{Builder, from_packed};
pub use view::{EMPTY, HashEdit, HashRef, Limits, Pair};

/// Longest field, in bytes, of an element stored in its page.
const INLINE_FIELD_MAX: usize = 0x7f;

/// Longest field in bytes: 31 bits of length.
pub const FIELD_LEN_MAX: usize = 0x7fff_ffff;

/// Longest field and value together, in bytes.
pub const PAIR_LEN_MAX: usize = PAYLOAD_MAX - 4;

/// An element of a hash.
#[derive(Clone, Copy, Debug)]
struct Field;

impl Element for Field {
    const PAGE: usize = 768;

    #[inline(always)]
    fn key(stored: Stored<'_>) -> &[u8] {
        parts(stored).0
    }
}

/// Field and value of an element.
#[inline(always)]
fn parts(stored: Stored<'_>) -> (&[u8], &[u8]) {
    match stored {
        Stored::Inline(bytes) => bytes[1..].split_at(usize::from(bytes[0])),
        Stored::Outside(bytes) => {
            let (len, rest) = bytes.split_first_chunk().expect("the length of a field");
            rest.split_at(u32::from_le_bytes(*len) as usize)
        }
    }
}

/// Calls `f` with the element of this field and value.
#[inline(always)]
fn with_element<R>(field: &[u8], value: &[u8], f: impl FnOnce(New<'_>) -> R) -> R {
    if field.len() <= INLINE_FIELD_MAX && 1 + field.len() + value.len() <= INLINE_MAX {
        f(New::Inline(&[&[field.len() as u8], field, value]))
    } else {
        assert!(field.len() <= FIELD_LEN_MAX, "a field of {} bytes", field.len());
        let len = (field.len() as u32).to_le_bytes();
        f(New::outside(&[&len, field, value]))
    }
}

/// A hash in a table of pages. `clone` shares all of it until one side writes.
#[derive(Clone, Default)]
pub struct Hash {
    table: Paged<Field>,
}

impl Hash {
    /// A hash without fields, which owns no memory.
    pub const fn new() -> Self {
        Hash { table: Paged::new() }
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
            hash.set(field.text(&mut field_text), value.text(&mut value_text), hasher);
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
        self.table.memory()
    }

    /// Upper bound of the allocations that [`Hash::free_step`] frees.
    pub fn weight(&self) -> usize {
        self.table.weight()
    }

    /// Frees about `budget` allocations; returns whether all are freed. The hash must not be used
    /// meanwhile.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.table.free_step(budget)
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8], hasher: &KeyHasher) -> Option<&[u8]> {
        let (_, element) = self.table.find(hasher.hash(field), field)?;
        Some(parts(element).1)
    }

    /// Sets the value of a field; returns whether the field is new. Panics if the field is longer
    /// than [`FIELD_LEN_MAX`], or field and value than [`PAIR_LEN_MAX`].
    pub fn set(&mut self, field: &[u8], value: &[u8], hasher: &KeyHasher) -> bool {
        let hash = hasher.hash(field);
        let Some((pos, element)) = self.table.find(hash, field) else {
            with_element(field, value, |new| self.table.insert_new(hash, new, hasher));
            return true;
        };
        if parts(element).1.len() == value.len() {
            // Consecutive values of a field often have equal length.
            let at = 1 + field.len();
            let edit = |bytes: &mut [u8]| bytes[at..].copy_from_slice(value);
            if self.table.edit_inline(pos, edit).is_some() {
                return false;
            }
        }
        with_element(field, value, |new| self.table.replace(pos, new, hasher));
        false
    }

    /// Removes a field; returns whether it existed.
    pub fn remove(&mut self, field: &[u8], hasher: &KeyHasher) -> bool {
        let found = self.table.find(hasher.hash(field), field).map(|(pos, _)| pos);
        if let Some(pos) = found {
            self.table.remove(pos, hasher);
        }
        found.is_some()
    }

    /// Fields and values, in an order that lasts until the next change.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.iter().map(parts)
    }

    /// Calls `f` with about `count` fields and values from a cursor on; returns the next cursor, 0
    /// at the end. Fields that exist from cursor 0 to the end are visited.
    pub fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        mut f: impl FnMut(&'a [u8], &'a [u8]),
    ) -> u64 {
        self.table.scan(cursor, count, |element| {
            let (field, value) = parts(element);
            f(field, value);
        })
    }

    /// A field and its value, chosen by a random number. `None` if the hash is empty.
    pub fn random(&self, word: u64) -> Option<(&[u8], &[u8])> {
        self.table.random(word).map(parts)
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text =
            |(field, value)| (String::from_utf8_lossy(field), String::from_utf8_lossy(value));
        f.debug_map().entries(self.iter().map(text)).finish()
    }
}
