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

use crate::table::Item;

#[cfg(test)]
mod tests;

/// Longest string, in bytes, kept inside the entry. Longer ones live in a [`HeapValue::Str`].
pub const INLINE_MAX: usize = 512;

/// Longest key in bytes.
pub const KEY_LEN_MAX: usize = u32::MAX as usize;

/// What a key holds. The numbers are part of the entry's layout, not of any file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    String = 0,
    List = 1,
    Set = 2,
    Zset = 3,
    Hash = 4,
    Stream = 6,
}

impl Kind {
    /// The name that TYPE answers.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }

    const fn from_bits(bits: u8) -> Kind {
        match bits {
            0 => Kind::String,
            1 => Kind::List,
            2 => Kind::Set,
            3 => Kind::Zset,
            4 => Kind::Hash,
            6 => Kind::Stream,
            _ => panic!("an entry's kind is only ever written from a Kind"),
        }
    }
}

/// How a value is represented, as OBJECT ENCODING reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    Int = 0,
    Embstr = 1,
    Raw = 2,
}

impl Encoding {
    /// The name that OBJECT ENCODING answers.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
        }
    }

    const fn from_bits(bits: u8) -> Encoding {
        match bits {
            0 => Encoding::Int,
            1 => Encoding::Embstr,
            2 => Encoding::Raw,
            _ => panic!("an entry's encoding is only ever written from an Encoding"),
        }
    }
}

/// A value too large, or too structured, to live inside its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeapValue {
    /// A string over [`INLINE_MAX`] bytes. Grows amortised; a snapshot shares it by its count and
    /// a writer then copies it once (`Arc::make_mut`).
    Str(Arc<Vec<u8>>),
}

impl HeapValue {
    /// Bytes of memory behind the pointer, the box itself included, by the allocator's classes.
    pub fn memory_usage(&self) -> usize {
        let boxed = round16(size_of::<HeapValue>());
        match self {
            HeapValue::Str(bytes) => {
                boxed + round16(size_of::<Vec<u8>>() + 16) + round16(bytes.capacity())
            }
        }
    }
}

/// A value on its way into an entry.
#[derive(Clone, Debug)]
pub enum NewValue<'a> {
    Int(i64),
    /// Copied into the entry, or into a [`HeapValue::Str`] if longer than [`INLINE_MAX`].
    Bytes(&'a [u8]),
    Heap(HeapValue),
}

/// A value as it lies in its entry.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Heap(&'a HeapValue),
}

/// Room for the decimal text of one `i64`.
#[derive(Default)]
pub struct IntBuf(itoa::Buffer);

impl IntBuf {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The decimal text of `value`.
    pub fn format(&mut self, value: i64) -> &[u8] {
        self.0.format(value).as_bytes()
    }
}

impl<'a> ValueRef<'a> {
    /// The bytes of a string value; an integer is written into `buf` first.
    pub fn string_bytes<'b>(self, buf: &'b mut IntBuf) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            ValueRef::Int(value) => buf.format(value),
            ValueRef::Bytes(bytes) => bytes,
            ValueRef::Heap(HeapValue::Str(bytes)) => bytes,
        }
    }

    /// The value again, for another entry. What lies on the heap is shared until one of the two is
    /// written to.
    pub fn to_new(self) -> NewValue<'a> {
        match self {
            ValueRef::Int(value) => NewValue::Int(value),
            ValueRef::Bytes(bytes) => NewValue::Bytes(bytes),
            ValueRef::Heap(heap) => NewValue::Heap(heap.clone()),
        }
    }

    /// The length in bytes of a string value, without formatting an integer.
    pub fn string_len(self) -> usize {
        match self {
            ValueRef::Int(value) => crate::num::i64_len(value),
            ValueRef::Bytes(bytes) => bytes.len(),
            ValueRef::Heap(HeapValue::Str(bytes)) => bytes.len(),
        }
    }
}

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

const fn round16(bytes: usize) -> usize {
    (bytes + 15) & !15
}

fn layout_of(block: usize) -> Layout {
    Layout::from_size_align(block, 8).expect("an entry is at most 4 GB and a few bytes")
}

/// Where the parts of an entry lie.
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
    Heap(Box<HeapValue>),
}

impl<'a> From<NewValue<'a>> for Payload<'a> {
    fn from(value: NewValue<'a>) -> Self {
        match value {
            NewValue::Int(value) => Payload::Int(value),
            NewValue::Bytes(bytes) if bytes.len() <= INLINE_MAX => Payload::Bytes(bytes),
            NewValue::Bytes(bytes) => {
                Payload::Heap(Box::new(HeapValue::Str(Arc::new(bytes.to_vec()))))
            }
            NewValue::Heap(value) => Payload::Heap(Box::new(value)),
        }
    }
}

impl Payload<'_> {
    fn form_and_len(&self) -> (Form, usize) {
        match self {
            Payload::Int(_) => (Form::Int, 8),
            Payload::Bytes(bytes) => (Form::Inline, bytes.len()),
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
    pub fn new(
        key: &[u8],
        kind: Kind,
        encoding: Encoding,
        value: NewValue<'_>,
        expire_at_ms: Option<i64>,
        lru: u32,
    ) -> EntryBox {
        assert!(key.len() <= KEY_LEN_MAX, "callers bound the length of a key");
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

    /// A view of the entry.
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

    /// Replaces the value, and with it kind and encoding; key, expiry and LRU stay. In place
    /// unless that changes the rounded size.
    #[inline]
    pub fn replace_value(&mut self, kind: Kind, encoding: Encoding, value: NewValue<'_>) {
        if let NewValue::Bytes(bytes) = &value
            && let Some(place) = self.inline_bytes_mut()
            && place.len() == bytes.len()
        {
            // Values of one key are often of one length.
            place.copy_from_slice(bytes);
            self.set_head(kind, encoding);
            return;
        }
        self.reshape(kind, encoding, value);
    }

    /// Replaces the value by one of another length or form.
    #[inline(never)]
    fn reshape(&mut self, kind: Kind, encoding: Encoding, value: NewValue<'_>) {
        let payload = Payload::from(value);
        let (form, value_len) = payload.form_and_len();
        let old = self.shape();
        let new = Shape { form, value_len, ..old };
        let old_heap = self.heap_ptr();
        // Expiry and key move as one piece, when the width of the value's length changes.
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
        if let Some(heap) = old_heap {
            // SAFETY: E2: the entry owned it, and its pointer has just been overwritten.
            drop(unsafe { Box::from_raw(heap) });
        }
    }

    /// The same entry under another key: value, expiry and LRU stay, and a heap value is moved.
    pub fn with_key(mut self, key: &[u8]) -> EntryBox {
        let moved = self
            .heap_mut()
            .map(|heap| NewValue::Heap(std::mem::replace(heap, HeapValue::Str(Arc::default()))));
        let entry = self.as_ref();
        let value = moved.unwrap_or_else(|| entry.value().to_new());
        let (kind, encoding) = (entry.kind(), entry.encoding());
        EntryBox::new(key, kind, encoding, value, entry.expire_at_ms(), entry.lru())
    }

    #[inline]
    fn set_head(&mut self, kind: Kind, encoding: Encoding) {
        // SAFETY: E1: byte 0 is in the header.
        unsafe { *self.0.as_ptr() = kind as u8 | (encoding as u8) << 4 };
    }

    /// Changes what OBJECT ENCODING reports, for a value edited in place.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        // SAFETY: E1: byte 0 is in the header.
        unsafe {
            let head = self.0.as_ptr();
            *head = (*head & 0x0f) | (encoding as u8) << 4;
        }
    }

    /// The bytes of an inline value, to change in place.
    #[inline]
    pub fn inline_bytes_mut(&mut self) -> Option<&mut [u8]> {
        let shape = self.shape();
        // SAFETY: E1: the value's bytes are in the block, and the borrow of `self` is unique.
        (shape.form == Form::Inline).then(|| unsafe {
            let at = self.0.as_ptr().add(shape.value_at());
            std::slice::from_raw_parts_mut(at, shape.value_len)
        })
    }

    /// The value on the heap, to change in place.
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
/// `entry` leads to at least the header's writable bytes.
unsafe fn write_head(entry: *mut u8, kind: Kind, encoding: Encoding, lru: u32) {
    let bytes = lru.to_le_bytes();
    // SAFETY: as the caller promises.
    unsafe {
        *entry = kind as u8 | (encoding as u8) << 4;
        ptr::copy_nonoverlapping(bytes.as_ptr(), entry.add(1), 3);
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

/// A view of an entry, as cheap to pass as a pointer.
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

    /// What the key holds.
    #[inline]
    pub fn kind(self) -> Kind {
        Kind::from_bits(self.head()[0] & 0x0f)
    }

    /// How it is represented.
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

    /// Whether the value lies behind a pointer, as long ones do.
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
    #[inline]
    pub fn value(self) -> ValueRef<'a> {
        let shape = self.shape();
        // SAFETY: E1, E2 and E3: the value's bytes are in the block and are what the form says;
        // they and the heap value are alive and unchanged for 'a.
        unsafe {
            let at = self.entry.as_ptr().add(shape.value_at());
            match shape.form {
                Form::Inline => ValueRef::Bytes(std::slice::from_raw_parts(at, shape.value_len)),
                Form::Int => ValueRef::Int(at.cast::<i64>().read_unaligned()),
                Form::Heap => ValueRef::Heap(&*at.cast::<*const HeapValue>().read_unaligned()),
            }
        }
    }

    /// Bytes of memory this entry takes: its block and, behind it, the heap value.
    pub fn memory_usage(self) -> usize {
        let heap = match self.value() {
            ValueRef::Heap(heap) => heap.memory_usage(),
            _ => 0,
        };
        self.shape().block() + heap
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
}
