//! Building hashes from files: checked, and in the form that the limits require.

use super::{Hash, Lifetime, Limits};
use crate::listpack::{self, Depth, Element};
use crate::table::KeyHasher;
use crate::value::{Compact, HeapValue};

/// A hash under construction, whose fields may turn out not to be distinct.
pub struct Builder<'h> {
    form: Form,
    limits: Limits,
    hasher: &'h KeyHasher,
    repeated: bool,
}

enum Form {
    Packed(Vec<u8>),
    Large(Box<Hash>),
}

impl<'h> Builder<'h> {
    /// An empty builder for `fields` fields.
    pub fn new(fields: u64, limits: Limits, hasher: &'h KeyHasher) -> Self {
        let is_small = usize::try_from(fields).is_ok_and(|fields| fields <= limits.entries);
        let form = if is_small {
            Form::Packed(listpack::EMPTY.to_vec())
        } else {
            Form::Large(Box::default())
        };
        Builder { form, limits, hasher, repeated: false }
    }

    /// Adds a field and its value.
    pub fn push(&mut self, field: &[u8], value: &[u8]) {
        if let Form::Packed(lp) = &mut self.form {
            let (new_field, new_value) = (Element::of(field), Element::of(value));
            let added = new_field.encoded_len() + new_value.encoded_len();
            let is_short = field.len().max(value.len()) <= self.limits.value;
            if is_short && listpack::has_room(lp.len(), added) {
                let end = listpack::end(lp);
                listpack::insert(lp, end, &[new_field, new_value]);
                return;
            }
        }
        self.push_large(field, value, Lifetime::Endless);
    }

    /// Adds a field with its value and expiry, a Unix time in milliseconds.
    pub fn push_expiring(&mut self, field: &[u8], value: &[u8], expire_at_ms: i64) {
        self.push_large(field, value, Lifetime::Until(expire_at_ms));
    }

    fn push_large(&mut self, field: &[u8], value: &[u8], lifetime: Lifetime) {
        if let Form::Packed(lp) = &self.form {
            let hash = Box::new(Hash::from_listpack(lp, self.hasher));
            self.repeated |= hash.len() != listpack::len(lp) / 2;
            self.form = Form::Large(hash);
        }
        if let Form::Large(hash) = &mut self.form {
            self.repeated |= !hash.set(field, value, lifetime, self.hasher);
        }
    }

    /// The hash; `None` if a field came twice, or there are none.
    pub fn finish(self) -> Option<HeapValue> {
        match self.form {
            Form::Large(hash) => {
                (!self.repeated && !hash.is_empty()).then_some(HeapValue::Hash(hash))
            }
            Form::Packed(lp) => from_packed(lp, self.limits, self.hasher),
        }
    }
}

/// The hash with this listpack; `None` unless it is valid: complete, in pairs, fields distinct, and
/// not empty.
pub fn from_packed(lp: Vec<u8>, limits: Limits, hasher: &KeyHasher) -> Option<HeapValue> {
    if !listpack::validate(&lp, Depth::Elements) {
        return None;
    }
    let mut fields: Vec<_> =
        listpack::iter(&lp).step_by(2).map(|(_, field)| exact(field)).collect();
    let len = fields.len();
    fields.sort_unstable_by_key(|field| order(*field));
    fields.dedup();
    if len == 0 || fields.len() != len || listpack::len(&lp) != 2 * len {
        return None;
    }
    Some(if len > limits.entries {
        HeapValue::Hash(Box::new(Hash::from_listpack(&lp, hasher)))
    } else {
        HeapValue::Packed(Compact::Hash, lp)
    })
}

/// The canonical form of an element: one text has one.
fn exact(element: Element<'_>) -> Element<'_> {
    match element {
        Element::Str(text) => Element::of(text),
        Element::Int(_) => element,
    }
}

/// An ordering in which equal elements are neighbours.
fn order(element: Element<'_>) -> (Option<i64>, &[u8]) {
    match element {
        Element::Int(value) => (Some(value), &[]),
        Element::Str(text) => (None, text),
    }
}
