//! One key and its value in one allocation.
//!
//! ```text
//! byte 0      kind (low 4 bits) | encoding (high 4 bits)
//! bytes 1-3   24 bits of LRU clock or LFU counter, little endian
//! byte 4      flags: has expiry | form of the value | width of key length | width of value length
//! then        key length (1, 2 or 4 bytes), value length (likewise, only if the value is inline),
//!             expire_at_ms (8 bytes, only with an expiry), key,
//!             value: its bytes | an i64 | a pointer to a boxed `HeapValue`
//! ```
//!
//! So a 16-byte key with a 64-byte value and an expiry is 5+1+1+8+16+64 = 95 bytes, one block of
//! 96. Nothing is aligned: fields are read and written with the unaligned accessors. Block sizes
//! are multiples of 16, the classes of the allocators in use, so a change that keeps the rounded
//! size happens in place. The rejected alternative, a second table for expiries, costs a second
//! lookup per read and 40 bytes per volatile key.
//!
//! **Invariants** (what the `unsafe` below stands on; the model test in `tests.rs` drives all of
//! them through random changes):
//! * E1: a raw entry pointer leads to a live block allocated with [`layout_of`] of `Shape::block`,
//!   and the shape is recomputed from the block's own bytes.
//! * E2: the form in the flags says what the value bytes are; `Heap` means they hold a pointer from
//!   `Box::into_raw` that this entry alone owns.
//! * E3: an [`EntryRef`] borrows from an [`EntryBox`] (or from a table that owns one), so no write
//!   happens while it lives.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::block::size_class;
use crate::table::Item;
use crate::value::round16;
pub use crate::value::{Compact, Encoding, HeapValue, IntBuf, Kind, Value, ValueRef};
pub use packed::PackedMut;

mod packed;
#[cfg(test)]
mod tests;

/// Longest string, in bytes, kept inside the entry. Longer ones live in a [`HeapValue::Str`].
pub const INLINE_MAX: usize = 512;

/// Longest compact form, in bytes, kept inside the entry. Longer ones live in a
/// [`HeapValue::Packed`], whose edits do not move the key.
pub const PACKED_MAX: usize = 1024;

/// Longest key in bytes.
pub const KEY_LEN_MAX: usize = u32::MAX as usize;

const HEADER: usize = 5;
const HAS_EXPIRY: u8 = 1;
const FORM_SHIFT: u32 = 1;
const KEY_WIDTH_SHIFT: u32 = 3;
const VALUE_WIDTH_SHIFT: u32 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Inline = 0,
    Int = 1,
    Heap = 2,
}

fn layout_of(block: usize) -> Layout {
    Layout::from_size_align(block, 8).expect("an entry is at most 4 GB and a few bytes")
}

/// The layout of an entry.
#[derive(Clone, Copy)]
struct Shape {
    form: Form,
    has_expiry: bool,
    key_len: usize,
    /// Bytes of an inline value; 8 for the other forms.
    value_len: usize,
}

/// The code (0, 1, 2 for 1, 2, 4 bytes) of the narrowest width that holds `len`.
const fn width_code(len: usize) -> u8 {
    if len <= 0xff {
        0
    } else if len <= 0xffff {
        1
    } else {
        2
    }
}

impl Shape {
    #[inline]
    fn key_width(self) -> usize {
        1 << width_code(self.key_len)
    }

    #[inline]
    fn value_width(self) -> usize {
        if self.form == Form::Inline { 1 << width_code(self.value_len) } else { 0 }
    }

    #[inline]
    fn expiry_at(self) -> usize {
        HEADER + self.key_width() + self.value_width()
    }

    #[inline]
    fn key_at(self) -> usize {
        self.expiry_at() + if self.has_expiry { 8 } else { 0 }
    }

    #[inline]
    fn value_at(self) -> usize {
        self.key_at() + self.key_len
    }

    /// Size of the block in bytes, a multiple of 16.
    #[inline]
    fn block(self) -> usize {
        round16(self.value_at() + self.value_len)
    }

    fn flags(self) -> u8 {
        let value_width = if self.form == Form::Inline { width_code(self.value_len) } else { 0 };
        u8::from(self.has_expiry)
            | (self.form as u8) << FORM_SHIFT
            | width_code(self.key_len) << KEY_WIDTH_SHIFT
            | value_width << VALUE_WIDTH_SHIFT
    }

    /// Reads the shape of an entry from its block.
    ///
    /// # Safety
    /// E1 holds for `entry`.
    #[inline]
    unsafe fn read(entry: *const u8) -> Shape {
        // SAFETY: E1: the block holds at least the header and the lengths its flags announce.
        unsafe {
            let flags = *entry.add(4);
            let key_code = (flags >> KEY_WIDTH_SHIFT) & 3;
            let key_len = read_len(entry.add(HEADER), key_code);
            let form = match (flags >> FORM_SHIFT) & 3 {
                0 => Form::Inline,
                1 => Form::Int,
                _ => Form::Heap,
            };
            let value_len = match form {
                Form::Inline => {
                    read_len(entry.add(HEADER + (1 << key_code)), (flags >> VALUE_WIDTH_SHIFT) & 3)
                }
                _ => 8,
            };
            Shape { form, has_expiry: flags & HAS_EXPIRY != 0, key_len, value_len }
        }
    }

    /// Writes flags and lengths.
    ///
    /// # Safety
    /// `entry` leads to at least `self.block()` writable bytes.
    unsafe fn write(self, entry: *mut u8) {
        // SAFETY: header and lengths lie within the block by the definition of `block`.
        unsafe {
            *entry.add(4) = self.flags();
            write_len(entry.add(HEADER), self.key_len);
            if self.form == Form::Inline {
                write_len(entry.add(HEADER + self.key_width()), self.value_len);
            }
        }
    }
}

/// # Safety
/// `at` leads to as many readable bytes as the width code says.
#[inline]
unsafe fn read_len(at: *const u8, code: u8) -> usize {
    // SAFETY: as the caller promises; the reads are unaligned ones.
    unsafe {
        match code {
            0 => usize::from(*at),
            1 => usize::from(at.cast::<u16>().read_unaligned()),
            _ => at.cast::<u32>().read_unaligned() as usize,
        }
    }
}

/// # Safety
/// `at` leads to as many writable bytes as the width of `len` needs; `len` fits 32 bits.
unsafe fn write_len(at: *mut u8, len: usize) {
    // SAFETY: as the caller promises; the writes are unaligned ones.
    unsafe {
        match width_code(len) {
            0 => *at = len as u8,
            1 => at.cast::<u16>().write_unaligned(len as u16),
            _ => at.cast::<u32>().write_unaligned(len as u32),
        }
    }
}

/// The value of an entry about to be written, its size known.
enum Payload<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    /// Bytes that the entry takes in, their buffer being given up.
    Moved(Vec<u8>),
    Heap(Box<HeapValue>),
}

impl<'a> From<Value<'a>> for Payload<'a> {
    fn from(value: Value<'a>) -> Self {
        match value {
            Value::Int(value) => Payload::Int(value),
            Value::Str(bytes) | Value::Raw(bytes) if bytes.len() <= INLINE_MAX => {
                Payload::Bytes(bytes)
            }
            Value::Str(bytes) | Value::Raw(bytes) => {
                Payload::Heap(Box::new(HeapValue::Str(Arc::new(bytes.to_vec()))))
            }
            Value::Packed(_, bytes) if bytes.len() <= PACKED_MAX => Payload::Bytes(bytes),
            Value::Packed(compact, bytes) => {
                Payload::Heap(Box::new(HeapValue::Packed(compact, bytes.to_vec())))
            }
            Value::Heap(HeapValue::Packed(_, bytes)) if bytes.len() <= PACKED_MAX => {
                Payload::Moved(bytes)
            }
            Value::Heap(value) => Payload::Heap(Box::new(value)),
        }
    }
}

impl Payload<'_> {
    fn form_and_len(&self) -> (Form, usize) {
        match self {
            Payload::Int(_) => (Form::Int, 8),
            Payload::Bytes(bytes) => (Form::Inline, bytes.len()),
            Payload::Moved(bytes) => (Form::Inline, bytes.len()),
            Payload::Heap(_) => (Form::Heap, 8),
        }
    }

    /// # Safety
    /// `at` leads to as many writable bytes as `form_and_len` says.
    unsafe fn write(self, at: *mut u8) {
        // SAFETY: as the caller promises; the bytes of `self` are borrowed from elsewhere, so the
        // copy does not overlap.
        unsafe {
            match self {
                Payload::Int(value) => at.cast::<i64>().write_unaligned(value),
                Payload::Bytes(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()),
                Payload::Moved(bytes) => ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()),
                Payload::Heap(value) => {
                    at.cast::<*mut HeapValue>().write_unaligned(Box::into_raw(value));
                }
            }
        }
    }
}

fn allocate(block: usize) -> NonNull<u8> {
    let layout = layout_of(block);
    // SAFETY: every entry has at least its header, so the size is not zero.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// An owned entry.
pub struct EntryBox(NonNull<u8>);

// SAFETY: an entry owns its block and its heap value (E1, E2), whose parts are all `Send`; the
// threads of the table's model test would be the ones to notice, under a sanitizer.
unsafe impl Send for EntryBox {}

impl EntryBox {
    /// Builds an entry: one allocation, two more if the value goes to the heap. `lru` keeps its
    /// low 24 bits. Panics if the key is longer than [`KEY_LEN_MAX`].
    pub fn new(key: &[u8], value: Value<'_>, expire_at_ms: Option<i64>, lru: u32) -> EntryBox {
        assert!(key.len() <= KEY_LEN_MAX, "callers bound the length of a key");
        let (kind, encoding) = (value.kind(), value.encoding());
        let payload = Payload::from(value);
        let (form, value_len) = payload.form_and_len();
        let shape =
            Shape { form, has_expiry: expire_at_ms.is_some(), key_len: key.len(), value_len };
        let block = allocate(shape.block());
        let entry = block.as_ptr();
        // SAFETY: the block was just allocated with the size of this shape, and every part is
        // written within it, which establishes E1 and E2.
        unsafe {
            write_head(entry, kind, encoding, lru);
            shape.write(entry);
            if let Some(at_ms) = expire_at_ms {
                entry.add(shape.expiry_at()).cast::<i64>().write_unaligned(at_ms);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), entry.add(shape.key_at()), key.len());
            payload.write(entry.add(shape.value_at()));
        }
        EntryBox(block)
    }

    /// Borrows the entry.
    #[inline]
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { entry: self.0, owner: PhantomData }
    }

    /// Replaces the LRU clock or LFU counter (low 24 bits).
    #[inline]
    pub fn set_lru(&mut self, lru: u32) {
        // SAFETY: E1: bytes 1 to 3 are in the header.
        unsafe {
            let bytes = lru.to_le_bytes();
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(1), 3);
        }
    }

    /// Sets or removes the expiry (milliseconds since the Unix epoch). In place unless that
    /// changes the rounded size.
    pub fn set_expire_at_ms(&mut self, expire_at_ms: Option<i64>) {
        let old = self.shape();
        let new = Shape { has_expiry: expire_at_ms.is_some(), ..old };
        let tail_len = old.key_len + old.value_len;
        if old.has_expiry != new.has_expiry {
            if old.block() == new.block() {
                let entry = self.0.as_ptr();
                // SAFETY: both shapes fit the block, so the overlapping move stays inside it (E1).
                unsafe {
                    ptr::copy(entry.add(old.key_at()), entry.add(new.key_at()), tail_len);
                    *entry.add(4) = new.flags();
                }
            } else {
                let to = allocate(new.block());
                let (from, entry) = (self.0.as_ptr(), to.as_ptr());
                // SAFETY: `from` has the old shape, `entry` is a fresh block of the new one. The
                // value's bytes move with their ownership (E2), and the old block is freed with
                // the layout it was allocated with (E1).
                unsafe {
                    ptr::copy_nonoverlapping(from, entry, old.expiry_at());
                    *entry.add(4) = new.flags();
                    let tail = from.add(old.key_at());
                    ptr::copy_nonoverlapping(tail, entry.add(new.key_at()), tail_len);
                    dealloc(from, layout_of(old.block()));
                }
                self.0 = to;
            }
        }
        if let Some(at_ms) = expire_at_ms {
            // SAFETY: the entry now has the new shape, with room for an expiry.
            unsafe {
                let at = self.0.as_ptr().add(new.expiry_at());
                at.cast::<i64>().write_unaligned(at_ms);
            }
        }
    }

    /// Replaces the value, and with it type and encoding; key, expiry and LRU are kept. In place
    /// unless that changes the rounded size. Returns the previous heap value, for the caller to
    /// free.
    #[inline]
    pub fn replace_value(&mut self, value: Value<'_>) -> Option<Box<HeapValue>> {
        if let Value::Str(bytes) = &value
            && let Some(place) = self.inline_bytes_mut()
            && place.len() == bytes.len()
        {
            // Consecutive values of a key often have equal length.
            place.copy_from_slice(bytes);
            self.set_head(Kind::String, value.encoding());
            return None;
        }
        self.reshape(value)
    }

    /// Replaces the value by one of another length or form.
    #[inline(never)]
    fn reshape(&mut self, value: Value<'_>) -> Option<Box<HeapValue>> {
        let (kind, encoding) = (value.kind(), value.encoding());
        let payload = Payload::from(value);
        let (form, value_len) = payload.form_and_len();
        let old = self.shape();
        let new = Shape { form, value_len, ..old };
        let old_heap = self.heap_ptr();
        // Expiry and key move together when the width of the value's length changes.
        let middle_len = old.value_at() - old.expiry_at();
        if old.block() == new.block() {
            let entry = self.0.as_ptr();
            // SAFETY: both shapes fit the block (E1), so the overlapping move and the writes stay
            // inside it.
            unsafe {
                if old.expiry_at() != new.expiry_at() {
                    ptr::copy(entry.add(old.expiry_at()), entry.add(new.expiry_at()), middle_len);
                }
                new.write(entry);
                payload.write(entry.add(new.value_at()));
            }
        } else {
            let to = allocate(new.block());
            let (from, entry) = (self.0.as_ptr(), to.as_ptr());
            // SAFETY: `from` has the old shape, `entry` is a fresh block of the new one; the old
            // block is freed with its own layout (E1).
            unsafe {
                ptr::copy_nonoverlapping(from, entry, HEADER);
                new.write(entry);
                let middle = from.add(old.expiry_at());
                ptr::copy_nonoverlapping(middle, entry.add(new.expiry_at()), middle_len);
                payload.write(entry.add(new.value_at()));
                dealloc(from, layout_of(old.block()));
            }
            self.0 = to;
        }
        self.set_head(kind, encoding);
        // SAFETY: E2: the entry owned it, and its pointer has just been overwritten.
        old_heap.map(|heap| unsafe { Box::from_raw(heap) })
    }

    /// The entry under another key: value, expiry and LRU are kept, and a heap value is moved.
    pub fn with_key(mut self, key: &[u8]) -> EntryBox {
        let moved = self
            .heap_mut()
            .map(|heap| Value::Heap(std::mem::replace(heap, HeapValue::Str(Arc::default()))));
        let entry = self.as_ref();
        let value = moved.unwrap_or_else(|| entry.to_value());
        EntryBox::new(key, value, entry.expire_at_ms(), entry.lru())
    }

    /// Replaces `remove` bytes of the inline value at `at` by the pieces of `insert`. In place
    /// unless that changes the rounded size.
    fn splice_inline(&mut self, at: usize, remove: usize, insert: &[&[u8]]) {
        let old = self.shape();
        let added: usize = insert.iter().map(|piece| piece.len()).sum();
        assert!(
            old.form == Form::Inline && remove <= old.value_len && at <= old.value_len - remove
        );
        let new = Shape { value_len: old.value_len - remove + added, ..old };
        let (from, tail) = (old.value_at() + at + remove, old.value_len - at - remove);
        let to_at = new.value_at() + at;
        if old.block() == new.block() && old.value_at() == new.value_at() {
            let entry = self.0.as_ptr();
            // SAFETY: both shapes fit the block (E1), so the tail's overlapping move, the pieces
            // (borrowed from elsewhere) and the lengths stay inside it.
            unsafe {
                ptr::copy(entry.add(from), entry.add(to_at + added), tail);
                new.write(entry);
                write_pieces(entry.add(to_at), insert);
            }
            return;
        }
        let to = allocate(new.block());
        let (old_entry, entry) = (self.0.as_ptr(), to.as_ptr());
        // Expiry, key and the head of the value move together behind the lengths.
        let middle_len = old.value_at() + at - old.expiry_at();
        // SAFETY: `old_entry` has the old shape, `entry` is a fresh block of the new one; the old
        // block is freed with its own layout (E1).
        unsafe {
            ptr::copy_nonoverlapping(old_entry, entry, HEADER);
            new.write(entry);
            let middle = old_entry.add(old.expiry_at());
            ptr::copy_nonoverlapping(middle, entry.add(new.expiry_at()), middle_len);
            write_pieces(entry.add(to_at), insert);
            ptr::copy_nonoverlapping(old_entry.add(from), entry.add(to_at + added), tail);
            dealloc(old_entry, layout_of(old.block()));
        }
        self.0 = to;
    }

    #[inline]
    fn set_head(&mut self, kind: Kind, encoding: Encoding) {
        // SAFETY: E1: byte 0 is in the header.
        unsafe { *self.0.as_ptr() = kind as u8 | (encoding as u8) << 4 };
    }

    /// Sets the encoding for OBJECT ENCODING, for a value edited in place.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        // SAFETY: E1: byte 0 is in the header.
        unsafe {
            let head = self.0.as_ptr();
            *head = (*head & 0x0f) | (encoding as u8) << 4;
        }
    }

    /// The bytes of an inline value, mutable.
    #[inline]
    pub fn inline_bytes_mut(&mut self) -> Option<&mut [u8]> {
        let shape = self.shape();
        // SAFETY: E1: the value's bytes are in the block, and the borrow of `self` is unique.
        (shape.form == Form::Inline).then(|| unsafe {
            let at = self.0.as_ptr().add(shape.value_at());
            std::slice::from_raw_parts_mut(at, shape.value_len)
        })
    }

    /// The value on the heap, mutable.
    pub fn heap_mut(&mut self) -> Option<&mut HeapValue> {
        // SAFETY: E2: the pointer is live and owned by this entry, which is borrowed uniquely.
        self.heap_ptr().map(|heap| unsafe { &mut *heap })
    }

    fn shape(&self) -> Shape {
        // SAFETY: E1 holds for every `EntryBox`.
        unsafe { Shape::read(self.0.as_ptr()) }
    }

    fn heap_ptr(&self) -> Option<*mut HeapValue> {
        let shape = self.shape();
        // SAFETY: E2: the form says that the value's bytes are such a pointer.
        (shape.form == Form::Heap).then(|| unsafe {
            self.0.as_ptr().add(shape.value_at()).cast::<*mut HeapValue>().read_unaligned()
        })
    }
}

/// # Safety
/// `at` leads to as many writable bytes as the pieces have together, none of which overlaps them.
unsafe fn write_pieces(mut at: *mut u8, pieces: &[&[u8]]) {
    for piece in pieces {
        // SAFETY: as the caller promises.
        unsafe {
            ptr::copy_nonoverlapping(piece.as_ptr(), at, piece.len());
            at = at.add(piece.len());
        }
    }
}

/// # Safety
/// `entry` leads to at least the header's writable bytes.
unsafe fn write_head(entry: *mut u8, kind: Kind, encoding: Encoding, lru: u32) {
    let bytes = lru.to_le_bytes();
    // SAFETY: as the caller promises.
    unsafe {
        *entry = kind as u8 | (encoding as u8) << 4;
        ptr::copy_nonoverlapping(bytes.as_ptr(), entry.add(1), 3);
    }
}

impl EntryBox {
    /// Frees the entry except for its heap value, which is returned for the caller to free.
    pub fn into_heap(mut self) -> Option<Box<HeapValue>> {
        self.heap_ptr()?;
        self.reshape(Value::Int(0))
    }
}

impl Drop for EntryBox {
    fn drop(&mut self) {
        let heap = self.heap_ptr();
        let layout = layout_of(self.shape().block());
        // SAFETY: E1 and E2: block and heap value are owned here and freed once, with the layouts
        // they were allocated with; miri and the model test would notice.
        unsafe {
            dealloc(self.0.as_ptr(), layout);
            if let Some(heap) = heap {
                drop(Box::from_raw(heap));
            }
        }
    }
}

impl fmt::Debug for EntryBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A borrowed entry, as cheap to pass as a pointer.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    entry: NonNull<u8>,
    owner: PhantomData<&'a EntryBox>,
}

impl<'a> EntryRef<'a> {
    #[inline]
    fn shape(self) -> Shape {
        // SAFETY: E3: the entry is alive and unchanged for 'a, and E1 holds for it.
        unsafe { Shape::read(self.entry.as_ptr()) }
    }

    #[inline]
    fn head(self) -> [u8; HEADER] {
        // SAFETY: E1 and E3: the header is in the block.
        unsafe { self.entry.as_ptr().cast::<[u8; HEADER]>().read() }
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let shape = self.shape();
        // SAFETY: E1 and E3: the key's bytes are in the block, alive and unchanged for 'a.
        unsafe {
            let at = self.entry.as_ptr().add(shape.key_at());
            std::slice::from_raw_parts(at, shape.key_len)
        }
    }

    /// The type of the value.
    #[inline]
    pub fn kind(self) -> Kind {
        Kind::from_bits(self.head()[0] & 0x0f)
    }

    /// Its encoding.
    #[inline]
    pub fn encoding(self) -> Encoding {
        Encoding::from_bits(self.head()[0] >> 4)
    }

    /// The 24 bits of LRU clock or LFU counter.
    #[inline]
    pub fn lru(self) -> u32 {
        let head = self.head();
        u32::from_le_bytes([head[1], head[2], head[3], 0])
    }

    /// Whether the key has an expiry.
    #[inline]
    pub fn has_expiry(self) -> bool {
        self.head()[4] & HAS_EXPIRY != 0
    }

    /// Whether the value is on the heap, as long ones are.
    #[inline]
    pub fn is_on_heap(self) -> bool {
        (self.head()[4] >> FORM_SHIFT) & 3 == Form::Heap as u8
    }

    /// When the key expires, in milliseconds since the Unix epoch.
    #[inline]
    pub fn expire_at_ms(self) -> Option<i64> {
        let shape = self.shape();
        // SAFETY: E1 and E3: with the flag set, the block has an expiry where the shape says.
        shape.has_expiry.then(|| unsafe {
            self.entry.as_ptr().add(shape.expiry_at()).cast::<i64>().read_unaligned()
        })
    }

    /// The value.
    #[inline(always)]
    pub fn value(self) -> ValueRef<'a> {
        let shape = self.shape();
        // SAFETY: E1, E2 and E3: the value's bytes are in the block and are what the form says;
        // they and the heap value are alive and unchanged for 'a.
        unsafe {
            let at = self.entry.as_ptr().add(shape.value_at());
            match shape.form {
                Form::Inline => {
                    let bytes = std::slice::from_raw_parts(at, shape.value_len);
                    match self.compact() {
                        None => ValueRef::Str(bytes),
                        Some(compact) => ValueRef::Packed(compact, bytes),
                    }
                }
                Form::Int => ValueRef::Int(at.cast::<i64>().read_unaligned()),
                Form::Heap => (*at.cast::<*const HeapValue>().read_unaligned()).as_ref(),
            }
        }
    }

    /// The value on the heap, if it is there.
    #[inline]
    pub fn heap(self) -> Option<&'a HeapValue> {
        let shape = self.shape();
        // SAFETY: E1, E2 and E3: the form says that the value's bytes are such a pointer, alive and
        // unchanged for 'a.
        (shape.form == Form::Heap).then(|| unsafe {
            let at = self.entry.as_ptr().add(shape.value_at());
            &*at.cast::<*const HeapValue>().read_unaligned()
        })
    }

    /// A copy of the value for another entry. Large values are shared until one of the two is
    /// written to.
    pub fn to_value(self) -> Value<'a> {
        if let Some(heap) = self.heap() {
            return Value::Heap(heap.clone());
        }
        match self.value() {
            ValueRef::Int(value) => Value::Int(value),
            ValueRef::Str(bytes) if self.encoding() == Encoding::Raw => Value::Raw(bytes),
            ValueRef::Str(bytes) => Value::Str(bytes),
            ValueRef::Packed(compact, bytes) => Value::Packed(compact, bytes),
            ValueRef::Large(heap) => Value::Heap(heap.clone()),
        }
    }

    /// The compact form named by the header, if the value is one.
    #[inline]
    fn compact(self) -> Option<Compact> {
        match (self.kind(), self.encoding()) {
            (Kind::String, _) => None,
            (Kind::List, Encoding::Listpack) => Some(Compact::List),
            (Kind::Set, Encoding::Listpack) => Some(Compact::Set),
            (Kind::Set, Encoding::Intset) => Some(Compact::SetOfInts),
            (Kind::Zset, Encoding::Listpack) => Some(Compact::Zset),
            (Kind::Hash, Encoding::Listpack) => Some(Compact::Hash),
            _ => None,
        }
    }

    /// Whether it is a hash with fields that have an expiry.
    pub fn has_expiring_fields(self) -> bool {
        matches!(self.heap(), Some(HeapValue::Hash(hash)) if hash.expiring() > 0)
    }

    /// Memory of this entry in bytes, by the allocator's classes: its block and its heap value.
    pub fn memory_usage(self) -> usize {
        size_class(self.shape().block()) + self.heap().map_or(0, HeapValue::memory_usage)
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("kind", &self.kind())
            .field("encoding", &self.encoding())
            .field("lru", &self.lru())
            .field("expire_at_ms", &self.expire_at_ms())
            .field("value", &self.value())
            .finish()
    }
}

// SAFETY: an `EntryBox` is its pointer: `into_raw` gives up ownership without freeing, `from_raw`
// takes it back, and a view made from the pointer reads exactly what `as_ref` would. A block has
// a non-zero size, so live entries have distinct addresses.
unsafe impl Item for EntryBox {
    type Ref<'a> = EntryRef<'a>;

    #[inline]
    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        EntryBox(raw)
    }

    #[inline]
    unsafe fn ref_from_raw<'a>(raw: NonNull<u8>) -> EntryRef<'a> {
        EntryRef { entry: raw, owner: PhantomData }
    }

    #[inline]
    fn key<'a>(item: Self::Ref<'a>) -> &'a [u8] {
        item.key()
    }

    #[inline]
    fn is_marked(item: EntryRef<'_>) -> bool {
        item.has_expiry()
    }

    #[inline]
    fn is_nested(item: EntryRef<'_>) -> bool {
        item.kind() == Kind::Hash && item.has_expiring_fields()
    }
}
