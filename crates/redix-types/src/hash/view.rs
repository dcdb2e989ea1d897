//! Hashes as commands use them, in either form.
//!
//! A small hash is a listpack of fields and values in turn. It becomes large when it has more
//! fields, or a longer field or value, than its [`Limits`] allow, and stays large: that is when
//! OBJECT ENCODING of the real servers changes.

use super::Hash;
use crate::entry::EntryBox;
use crate::listpack::{self, Element};
use crate::splice::Splice;
use crate::table::KeyHasher;
use crate::value::{Compact, HeapValue, Value, ValueRef};

/// The limits of a hash that is a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most fields (`hash-max-listpack-entries`).
    pub entries: usize,
    /// Longest field and value in bytes (`hash-max-listpack-value`).
    pub value: usize,
}

/// An empty hash, for a key that is being created.
pub const EMPTY: Value<'static> = Value::Packed(Compact::Hash, &listpack::EMPTY);

/// A borrowed hash. Fields and values are [`Element`]s: an integer in a listpack is one here.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Fields and values in turn.
    Packed(&'a [u8]),
    Large(&'a Hash),
}

/// A field and its value.
pub type Pair<'a> = (Element<'a>, Element<'a>);

impl<'a> HashRef<'a> {
    /// Borrows a value. Panics if it is no hash: callers have checked the type.
    #[inline]
    pub fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Packed(Compact::Hash, bytes) => HashRef::Packed(bytes),
            ValueRef::Large(HeapValue::Hash(hash)) => HashRef::Large(hash),
            _ => panic!("callers check that the key holds a hash"),
        }
    }

    /// Number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Packed(lp) => listpack::len(lp) / 2,
            HashRef::Large(hash) => hash.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8], hasher: &KeyHasher) -> Option<Element<'a>> {
        match self {
            HashRef::Packed(lp) => {
                let at = listpack::find(lp, field, listpack::HEADER, 1)?;
                Some(listpack::read(lp, listpack::next(lp, at)).0)
            }
            HashRef::Large(hash) => hash.get(field, hasher).map(Element::Str),
        }
    }

    /// Fields and values, in an order that lasts until the next change.
    #[inline]
    pub fn for_each(self, mut f: impl FnMut(Pair<'a>)) {
        match self {
            HashRef::Packed(lp) => pairs(lp).for_each(f),
            HashRef::Large(hash) => hash.iter().map(elements).for_each(&mut f),
        }
    }

    /// Calls `f` with about `count` fields and values from a cursor on, or all of a listpack;
    /// returns the next cursor, 0 at the end. Fields that exist from cursor 0 to the end are
    /// visited.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Pair<'a>)) -> u64 {
        match self {
            HashRef::Packed(lp) => {
                pairs(lp).for_each(f);
                0
            }
            HashRef::Large(hash) => hash.scan(cursor, count, |field, value| {
                f(elements((field, value)));
            }),
        }
    }

    /// A field and its value, chosen by a random number. `None` if the hash is empty. O(n) in a
    /// listpack.
    pub fn random(self, word: u64) -> Option<Pair<'a>> {
        match self {
            HashRef::Packed(lp) => {
                let index = (u128::from(word) * self.len() as u128) >> 64;
                pairs(lp).nth(index as usize)
            }
            HashRef::Large(hash) => hash.random(word).map(elements),
        }
    }
}

/// A field and value of a large hash.
fn elements<'a>((field, value): (&'a [u8], &'a [u8])) -> Pair<'a> {
    (Element::Str(field), Element::Str(value))
}

/// The fields and values of a listpack.
fn pairs(lp: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut elements = listpack::iter(lp).map(|(_, element)| element);
    std::iter::from_fn(move || Some((elements.next()?, elements.next()?)))
}

/// A hash in its entry, mutable.
pub struct HashEdit<'e> {
    entry: &'e mut EntryBox,
    limits: Limits,
    hasher: &'e KeyHasher,
}

impl<'e> HashEdit<'e> {
    /// For an entry that holds a hash; the hasher is always the same.
    pub fn new(entry: &'e mut EntryBox, limits: Limits, hasher: &'e KeyHasher) -> Self {
        HashEdit { entry, limits, hasher }
    }

    /// Borrows the hash.
    pub fn as_ref(&self) -> HashRef<'_> {
        HashRef::of(self.entry.as_ref().value())
    }

    /// Announces that this many fields will be set, of which some may exist: if that exceeds the
    /// limit of a listpack, the hash becomes large at once, as in the real servers.
    pub fn expect(&mut self, fields: usize) {
        if fields > self.limits.entries {
            self.enlarge();
        }
    }

    /// Sets the value of a field; returns whether the field is new. Panics if the field is longer
    /// than [`super::FIELD_LEN_MAX`], or field and value than [`super::PAIR_LEN_MAX`].
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if field.len().max(value.len()) > self.limits.value {
            self.enlarge();
        }
        let Some(mut lp) = self.entry.packed_mut() else { return self.set_large(field, value) };
        let (new_field, new_value) = (Element::of(field), Element::of(value));
        let added = new_field.encoded_len() + new_value.encoded_len();
        if !listpack::has_room(lp.bytes().len(), added) {
            return self.set_large(field, value);
        }
        let found = listpack::find(lp.bytes(), field, listpack::HEADER, 1);
        match found {
            Some(at) => {
                let at = listpack::next(lp.bytes(), at);
                listpack::replace(&mut lp, at, new_value);
            }
            None => {
                let end = listpack::end(lp.bytes());
                listpack::insert(&mut lp, end, &[new_field, new_value]);
            }
        }
        if self.as_ref().len() > self.limits.entries {
            self.enlarge();
        }
        found.is_none()
    }

    /// Removes a field; returns whether it existed.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(mut lp) = self.entry.packed_mut() else {
            let hasher = self.hasher;
            return self.enlarge().remove(field, hasher);
        };
        let found = listpack::find(lp.bytes(), field, listpack::HEADER, 1);
        if let Some(at) = found {
            listpack::delete(&mut lp, at, 2);
        }
        found.is_some()
    }

    fn set_large(&mut self, field: &[u8], value: &[u8]) -> bool {
        let hasher = self.hasher;
        self.enlarge().set(field, value, hasher)
    }

    /// The hash in its large form, converted if it is a listpack.
    fn enlarge(&mut self) -> &mut Hash {
        if let HashRef::Packed(lp) = self.as_ref() {
            let hash = Box::new(Hash::from_listpack(lp, self.hasher));
            drop(self.entry.replace_value(Value::Heap(HeapValue::Hash(hash))));
        }
        match self.entry.heap_mut() {
            Some(HeapValue::Hash(hash)) => hash,
            _ => unreachable!("a hash that is no listpack is a large one"),
        }
    }
}
