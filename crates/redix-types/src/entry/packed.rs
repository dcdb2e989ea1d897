//! Editing the compact form of a collection in place, in its entry or on the heap.
//!
//! **Invariant.** A form of at most [`PACKED_MAX`] bytes may be in either place, a longer one is on
//! the heap, one of at most [`PACKED_BACK`] in its entry.

use super::{EntryBox, HeapValue, PACKED_MAX, Value, ValueRef};
use crate::splice::Splice;
use crate::value::Compact;

/// A compact form moves back into its entry once it is no longer than this: well below
/// [`PACKED_MAX`], so that adding and removing an element in turns moves nothing.
pub(super) const PACKED_BACK: usize = 768;

impl EntryBox {
    /// The compact form of a collection, for editing in place; `None` for any other value.
    pub fn packed_mut(&mut self) -> Option<PackedMut<'_>> {
        let compact = self.as_ref().compact()?;
        Some(PackedMut { entry: self, compact })
    }
}

/// The compact form of a collection in its entry, or on the heap if it is long.
pub struct PackedMut<'e> {
    entry: &'e mut EntryBox,
    compact: Compact,
}

impl Splice for PackedMut<'_> {
    fn bytes(&self) -> &[u8] {
        match self.entry.as_ref().value() {
            ValueRef::Packed(_, bytes) => bytes,
            _ => unreachable!("a view is made of a compact form only and keeps it one"),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        if self.entry.as_ref().is_on_heap() {
            return self.heap_bytes();
        }
        self.entry.inline_bytes_mut().expect("a compact form lies inline or on the heap")
    }

    fn splice(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        let added: usize = insert.iter().map(|piece| piece.len()).sum();
        let len = self.bytes().len() - remove + added;
        if self.entry.as_ref().is_on_heap() {
            Splice::splice(self.heap_bytes(), at, remove, insert);
            if len <= PACKED_BACK {
                let bytes = std::mem::take(self.heap_bytes());
                drop(self.entry.reshape(Value::Packed(self.compact, &bytes)));
            }
        } else if len <= PACKED_MAX {
            self.entry.splice_inline(at, remove, insert);
        } else {
            let mut bytes = Vec::with_capacity(len + len / 8);
            bytes.extend_from_slice(self.bytes());
            Splice::splice(&mut bytes, at, remove, insert);
            drop(self.entry.reshape(Value::Heap(HeapValue::Packed(self.compact, bytes))));
        }
    }
}

impl PackedMut<'_> {
    fn heap_bytes(&mut self) -> &mut Vec<u8> {
        match self.entry.heap_mut() {
            Some(HeapValue::Packed(_, bytes)) => bytes,
            _ => unreachable!("asked for only where the compact form is on the heap"),
        }
    }
}
