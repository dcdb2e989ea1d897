//! A list in its entry: a listpack, or nodes.
//!
//! Conversions follow Redis: before elements are added, the size of the listpack with them is
//! checked against the limit ([`ListEdit::make_room`]), whether they are added or not; after
//! elements were removed, a single node below half of it becomes a listpack ([`ListEdit::settle`]).

use super::edit::matching_offsets;
use super::{End, Fill, Iter, List, Side};
use crate::entry::{EntryBox, PackedMut};
use crate::listpack::{self, Element, Needle};
use crate::splice::Splice;
use crate::value::{Compact, HeapValue, Value, ValueRef};

/// A borrowed list.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// A listpack.
    Packed(&'a [u8]),
    /// Nodes.
    Large(&'a List),
}

impl<'a> ListRef<'a> {
    /// The list of a value. Panics if it is no list: callers check the type.
    #[inline]
    pub fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Packed(Compact::List, bytes) => ListRef::Packed(bytes),
            ValueRef::Large(HeapValue::List(list)) => ListRef::Large(list),
            _ => not_a_list(),
        }
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(bytes) => listpack::len(bytes),
            ListRef::Large(list) => list.len(),
        }
    }

    /// Whether there are no elements, as in a list under construction only.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, counted from the head.
    pub fn get(self, index: usize) -> Option<Element<'a>> {
        match self {
            ListRef::Packed(bytes) => listpack::get(bytes, index),
            ListRef::Large(list) => list.get(index),
        }
    }

    /// The element at an end.
    #[inline]
    pub fn peek(self, end: End) -> Option<Element<'a>> {
        match (self, end) {
            (ListRef::Large(list), end) => list.peek(end),
            (ListRef::Packed(bytes), _) if bytes.len() == listpack::EMPTY.len() => None,
            (ListRef::Packed(bytes), End::Head) => Some(listpack::read(bytes, listpack::HEADER).0),
            (ListRef::Packed(bytes), End::Tail) => {
                Some(listpack::read(bytes, listpack::prev(bytes, listpack::end(bytes))).0)
            }
        }
    }

    /// Elements from `index` on, counted from the head, towards one end.
    pub fn iter(self, index: usize, towards: End) -> Iter<'a> {
        match self {
            ListRef::Packed(bytes) => Iter::of_listpack(bytes, index, towards),
            ListRef::Large(list) => Iter::of_list(list, index, towards),
        }
    }

    /// All elements, from the head.
    pub fn iter_all(self) -> Iter<'a> {
        self.iter(0, End::Tail)
    }

    /// The index of the first element with this text.
    pub fn position(self, text: &[u8]) -> Option<usize> {
        let needle = Needle::new(text);
        self.iter_all().position(|element| needle.is(element))
    }
}

impl List {
    /// The stored value: a listpack if it is within the limit.
    pub fn compacted(self) -> HeapValue {
        match self.only_listpack() {
            Some(bytes) if self.fill().is_met_by(bytes.len(), self.len()) => {
                HeapValue::Packed(Compact::List, bytes.to_vec())
            }
            _ => HeapValue::List(Box::new(self)),
        }
    }
}

/// A mutable list. Callers delete the key once it is empty.
pub struct ListEdit<'e> {
    entry: &'e mut EntryBox,
    fill: Fill,
}

impl<'e> ListEdit<'e> {
    /// The list of an entry. Panics if it holds none: callers check the type.
    #[inline]
    pub fn of(entry: &'e mut EntryBox, fill: Fill) -> Self {
        ListEdit { entry, fill }
    }

    /// Borrows the list.
    #[inline]
    pub fn as_ref(&self) -> ListRef<'_> {
        ListRef::of(self.entry.as_ref().value())
    }

    /// Converts a listpack to nodes if it would be too large with `count` more elements of `bytes`
    /// bytes together.
    #[inline]
    pub fn make_room(&mut self, bytes: usize, count: usize) {
        if let ListRef::Packed(listpack) = self.as_ref()
            && self.fill.is_exceeded_by(listpack.len() + bytes, listpack::len(listpack) + count)
        {
            let mut list = List::new(self.fill);
            list.append_listpack(listpack);
            self.entry.replace_value(Value::Heap(HeapValue::List(Box::new(list))));
        }
    }

    /// Converts a list to a listpack if it has shrunk to a single node below half the limit.
    pub fn settle(&mut self) {
        let ListRef::Large(list) = self.as_ref() else { return };
        if let Some(bytes) = list.only_listpack()
            && self.fill.is_half_met_by(bytes.len(), list.len())
        {
            let bytes = bytes.to_vec();
            self.entry.replace_value(Value::Packed(Compact::List, &bytes));
        }
    }

    /// Adds an element at an end; [`ListEdit::make_room`] was called.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8]) {
        match self.form() {
            Form::Large(list) => list.push(end, text),
            Form::Packed(mut packed) => match end {
                End::Head => listpack::prepend(&mut packed, Element::of(text)),
                End::Tail => listpack::append(&mut packed, Element::of(text)),
            },
        }
    }

    /// Inserts an element beside the element at `index`; [`ListEdit::make_room`] was called. Panics
    /// if there is none.
    pub fn insert(&mut self, index: usize, side: Side, text: &[u8]) {
        match self.form() {
            Form::Large(list) => list.insert(index, side, text),
            Form::Packed(mut packed) => {
                let index = index + usize::from(side == Side::After);
                let at = offset(packed.bytes(), index);
                listpack::insert(&mut packed, at, &[Element::of(text)]);
            }
        }
    }

    /// Replaces the element at `index`; [`ListEdit::make_room`] was called. Panics if there is
    /// none.
    pub fn set(&mut self, index: usize, text: &[u8]) {
        match self.form() {
            Form::Large(list) => list.set(index, text),
            Form::Packed(mut packed) => {
                let at = offset(packed.bytes(), index);
                listpack::replace(&mut packed, at, Element::of(text));
            }
        }
    }

    /// Removes the element at an end, which must exist.
    #[inline]
    pub fn pop(&mut self, end: End) {
        match self.form() {
            Form::Large(list) => drop(list.pop(end)),
            Form::Packed(mut packed) => {
                let bytes = packed.bytes();
                let at = match end {
                    End::Head => listpack::HEADER,
                    End::Tail => listpack::prev(bytes, listpack::end(bytes)),
                };
                listpack::delete(&mut packed, at, 1);
            }
        }
    }

    /// Removes up to `count` elements from index `start` on.
    pub fn delete_range(&mut self, start: usize, count: usize) {
        match self.form() {
            _ if count == 0 => {}
            Form::Large(list) => list.delete_range(start, count),
            Form::Packed(mut packed) => {
                let at = offset(packed.bytes(), start);
                listpack::delete(&mut packed, at, count);
            }
        }
    }

    /// Removes up to `limit` elements with this text, the nearest to `from` first. Returns how
    /// many.
    pub fn remove_matching(&mut self, text: &[u8], limit: usize, from: End) -> usize {
        match self.form() {
            Form::Large(list) => list.remove_matching(text, limit, from),
            Form::Packed(mut packed) => {
                let offsets = matching_offsets(packed.bytes(), &Needle::new(text), limit, from);
                for &offset in &offsets {
                    listpack::delete(&mut packed, offset, 1);
                }
                offsets.len()
            }
        }
    }

    fn form(&mut self) -> Form<'_> {
        match self.entry.as_ref().value() {
            ValueRef::Packed(Compact::List, _) => {
                Form::Packed(self.entry.packed_mut().expect("a compact form was just seen"))
            }
            _ => match self.entry.heap_mut() {
                Some(HeapValue::List(list)) => {
                    // A list keeps the limits with which it became one, except for this one.
                    list.fill = list.fill.with_plain_as(self.fill);
                    Form::Large(list)
                }
                _ => not_a_list(),
            },
        }
    }
}

enum Form<'a> {
    Packed(PackedMut<'a>),
    Large(&'a mut List),
}

fn offset(listpack: &[u8], index: usize) -> usize {
    listpack::seek(listpack, index).expect("an index of the list")
}

#[cold]
fn not_a_list() -> ! {
    panic!("callers check that the key holds a list")
}

#[cfg(test)]
mod tests;
