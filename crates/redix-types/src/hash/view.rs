//! Hashes as commands use them, in either form.
//!
//! A small hash is a listpack of fields and values in turn. It becomes large when it has more
//! fields, or a longer field or value, than its [`Limits`] allow, and stays large: that is when
//! OBJECT ENCODING of the real servers changes. It also becomes large with the first expiry of a
//! field, as in Valkey.
//!
//! A reader names a *horizon*: fields that expire at that time or before are hidden from it. They
//! stay in the hash, and in its length, until they are removed.

use super::{Hash, Lifetime, Parts};
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
    /// A large form, and the horizon.
    Large(&'a Hash, i64),
}

/// A field and its value.
pub type Pair<'a> = (Element<'a>, Element<'a>);

/// Draws of a random field that has not expired, before all of them are listed.
const DRAWS_MAX: usize = 16;

impl<'a> HashRef<'a> {
    /// Borrows a value, with all its fields. Panics if it is no hash: callers have checked the
    /// type.
    #[inline]
    pub fn of(value: ValueRef<'a>) -> Self {
        Self::after(value, i64::MIN)
    }

    /// Borrows a value, without the fields that expire at `horizon_ms` or before. Panics if it is
    /// no hash.
    #[inline]
    pub fn after(value: ValueRef<'a>, horizon_ms: i64) -> Self {
        match value {
            ValueRef::Packed(Compact::Hash, bytes) => HashRef::Packed(bytes),
            ValueRef::Large(HeapValue::Hash(hash)) => HashRef::Large(hash, horizon_ms),
            _ => panic!("callers check that the key holds a hash"),
        }
    }

    /// Number of fields, hidden ones included.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Packed(lp) => listpack::len(lp) / 2,
            HashRef::Large(hash, _) => hash.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of fields that are not hidden. Linear in the number of hidden ones.
    pub fn visible_len(self) -> usize {
        match self {
            HashRef::Packed(_) => self.len(),
            HashRef::Large(hash, horizon_ms) => hash.len() - hash.expired_by(horizon_ms),
        }
    }

    /// Whether fields are hidden.
    pub fn hides_fields(self) -> bool {
        match self {
            HashRef::Packed(_) => false,
            HashRef::Large(hash, horizon_ms) => {
                hash.first_expiry().is_some_and(|at_ms| at_ms <= horizon_ms)
            }
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8], hasher: &KeyHasher) -> Option<Element<'a>> {
        self.get_expiring(field, hasher).map(|(value, _)| value)
    }

    /// The value of a field and its expiry, a Unix time in milliseconds.
    #[inline]
    pub fn get_expiring(
        self,
        field: &[u8],
        hasher: &KeyHasher,
    ) -> Option<(Element<'a>, Option<i64>)> {
        match self {
            HashRef::Packed(lp) => {
                let at = listpack::find(lp, field, listpack::HEADER, 1)?;
                Some((listpack::read(lp, listpack::next(lp, at)).0, None))
            }
            HashRef::Large(hash, horizon_ms) => {
                let (value, at_ms) = hash.get(field, hasher)?;
                let is_hidden = at_ms.is_some_and(|at_ms| at_ms <= horizon_ms);
                (!is_hidden).then_some((Element::Str(value), at_ms))
            }
        }
    }

    /// Fields and values, in an order that lasts until the next change.
    #[inline]
    pub fn for_each(self, mut f: impl FnMut(Pair<'a>)) {
        match self {
            HashRef::Packed(lp) => pairs(lp).for_each(f),
            HashRef::Large(hash, horizon_ms) if self.hides_fields() => {
                let visible = hash.elements().filter(|parts| parts.is_visible(horizon_ms));
                visible.map(Pair::from).for_each(&mut f);
            }
            HashRef::Large(hash, _) => hash.elements().map(Pair::from).for_each(&mut f),
        }
    }

    /// As [`HashRef::for_each`], with the expiry of each field, a Unix time in milliseconds.
    pub fn for_each_expiring(self, mut f: impl FnMut(Pair<'a>, Option<i64>)) {
        match self {
            HashRef::Packed(lp) => pairs(lp).for_each(|pair| f(pair, None)),
            HashRef::Large(hash, horizon_ms) => {
                let visible = hash.elements().filter(|parts| parts.is_visible(horizon_ms));
                visible.for_each(|parts| f(parts.into(), parts.expire_at_ms));
            }
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
            HashRef::Large(hash, horizon_ms) => hash.scan(cursor, count, |parts| {
                if parts.is_visible(horizon_ms) {
                    f(parts.into());
                }
            }),
        }
    }

    /// A field and its value, chosen by a random number. `None` if there are none that are not
    /// hidden. O(n) in a listpack, or if most are hidden.
    pub fn random(self, word: u64) -> Option<Pair<'a>> {
        let (hash, horizon_ms) = match self {
            HashRef::Packed(lp) => return pairs(lp).nth(below(word, self.len())),
            HashRef::Large(hash, horizon_ms) => (hash, horizon_ms),
        };
        let mut word = word;
        for _ in 0..DRAWS_MAX {
            let parts = hash.random(word)?;
            if parts.is_visible(horizon_ms) {
                return Some(parts.into());
            }
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        }
        let visible = self.visible_len();
        let mut rest = hash.elements().filter(|parts| parts.is_visible(horizon_ms));
        rest.nth(below(word, visible)).map(Pair::from)
    }
}

/// A number below `n`, from a random 64-bit number.
fn below(word: u64, n: usize) -> usize {
    ((u128::from(word) * n as u128) >> 64) as usize
}

impl<'a> From<Parts<'a>> for Pair<'a> {
    fn from(parts: Parts<'a>) -> Self {
        (Element::Str(parts.field), Element::Str(parts.value))
    }
}

/// The fields and values of a listpack.
fn pairs(lp: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut elements = listpack::iter(lp).map(|(_, element)| element);
    std::iter::from_fn(move || Some((elements.next()?, elements.next()?)))
}

/// What a field was before it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It did not exist.
    Missing,
    /// It was hidden: it had expired.
    Expired,
    /// It existed.
    Present,
}

/// A hash in its entry, mutable.
pub struct HashEdit<'e> {
    entry: &'e mut EntryBox,
    limits: Limits,
    hasher: &'e KeyHasher,
    horizon_ms: i64,
}

impl<'e> HashEdit<'e> {
    /// For an entry that holds a hash; the hasher is always the same. Fields that expire at
    /// `horizon_ms` or before are treated as missing, but stay until they are set.
    pub fn new(
        entry: &'e mut EntryBox,
        limits: Limits,
        hasher: &'e KeyHasher,
        horizon_ms: i64,
    ) -> Self {
        HashEdit { entry, limits, hasher, horizon_ms }
    }

    /// Borrows the hash, without the hidden fields.
    pub fn as_ref(&self) -> HashRef<'_> {
        HashRef::after(self.entry.as_ref().value(), self.horizon_ms)
    }

    /// Announces that this many fields will be set, of which some may exist: if that exceeds the
    /// limit of a listpack, the hash becomes large at once, as in the real servers.
    pub fn expect(&mut self, fields: usize) {
        if fields > self.limits.entries {
            self.enlarge();
        }
    }

    /// Sets the value of a field and its expiry: a hidden field has none that could be kept.
    /// Returns what it was. Panics if the field is longer than [`super::FIELD_LEN_MAX`], or field
    /// and value than [`super::PAIR_LEN_MAX`].
    pub fn set(&mut self, field: &[u8], value: &[u8], lifetime: Lifetime) -> Before {
        let is_long = field.len().max(value.len()) > self.limits.value;
        if is_long || matches!(lifetime, Lifetime::Until(_)) {
            self.enlarge();
        }
        let Some(mut lp) = self.entry.packed_mut() else {
            return self.set_large(field, value, lifetime);
        };
        let (new_field, new_value) = (Element::of(field), Element::of(value));
        let added = new_field.encoded_len() + new_value.encoded_len();
        if !listpack::has_room(lp.bytes().len(), added) {
            return self.set_large(field, value, lifetime);
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
        if found.is_none() { Before::Missing } else { Before::Present }
    }

    /// Sets or removes the expiry of a field; returns whether it exists and is not hidden.
    pub fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) -> bool {
        let hasher = self.hasher;
        let Some((_, old_ms)) = self.as_ref().get_expiring(field, hasher) else { return false };
        if old_ms == expire_at_ms {
            return true;
        }
        self.enlarge().set_expiry(field, expire_at_ms, hasher)
    }

    /// Removes a field; returns whether it existed and was not hidden. A hidden one stays.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let Some(mut lp) = self.entry.packed_mut() else { return self.remove_large(field) };
        let found = listpack::find(lp.bytes(), field, listpack::HEADER, 1);
        if let Some(at) = found {
            listpack::delete(&mut lp, at, 2);
        }
        found.is_some()
    }

    /// Removes the field that expires first, if it is hidden; returns its name.
    pub fn pop_hidden(&mut self) -> Option<Vec<u8>> {
        let (hasher, horizon_ms) = (self.hasher, self.horizon_ms);
        if !self.as_ref().hides_fields() {
            return None;
        }
        self.enlarge().pop_expired(horizon_ms, hasher)
    }

    fn remove_large(&mut self, field: &[u8]) -> bool {
        let (hasher, horizon_ms) = (self.hasher, self.horizon_ms);
        let hash = self.enlarge();
        if hash.first_expiry().is_some_and(|at_ms| at_ms <= horizon_ms) {
            let expiry = hash.get(field, hasher).and_then(|(_, at_ms)| at_ms);
            if expiry.is_some_and(|at_ms| at_ms <= horizon_ms) {
                return false;
            }
        }
        hash.remove(field, hasher)
    }

    fn set_large(&mut self, field: &[u8], value: &[u8], lifetime: Lifetime) -> Before {
        let (hasher, horizon_ms) = (self.hasher, self.horizon_ms);
        let hash = self.enlarge();
        let mut lifetime = lifetime;
        let mut was_hidden = false;
        if hash.first_expiry().is_some_and(|at_ms| at_ms <= horizon_ms) {
            let expiry = hash.get(field, hasher).and_then(|(_, at_ms)| at_ms);
            was_hidden = expiry.is_some_and(|at_ms| at_ms <= horizon_ms);
            if was_hidden && lifetime == Lifetime::Keep {
                lifetime = Lifetime::Endless;
            }
        }
        match (hash.set(field, value, lifetime, hasher), was_hidden) {
            (true, _) => Before::Missing,
            (false, true) => Before::Expired,
            (false, false) => Before::Present,
        }
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
