//! The value of a key: the owning [`Value`] for storing into an entry, and the view of a stored
//! one.
//!
//! A value is an integer, a string, the *compact form* of a collection (the bytes of a listpack or
//! an intset) or a *large form* on the heap. Type and encoding follow from the value, so they
//! cannot disagree; an entry caches them in its header.

use std::sync::Arc;

use crate::block::size_class;
use crate::hash::Hash;
use crate::list::List;
use crate::prefetch::MemberLookup;
use crate::set;
use crate::stream::Stream;
use crate::zset::Zset;

#[cfg(test)]
mod tests;

/// The type of a value. The numbers are part of the entry's layout, not of any file format.
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
    /// The name in TYPE.
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

    pub(crate) const fn from_bits(bits: u8) -> Kind {
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

/// The encoding of a value, as OBJECT ENCODING reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    Int = 0,
    Embstr = 1,
    Raw = 2,
    Listpack = 3,
    Intset = 4,
    Hashtable = 5,
    Quicklist = 6,
    Skiplist = 7,
    Stream = 8,
}

impl Encoding {
    /// The name in OBJECT ENCODING.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::Intset => "intset",
            Encoding::Hashtable => "hashtable",
            Encoding::Quicklist => "quicklist",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }

    pub(crate) const fn from_bits(bits: u8) -> Encoding {
        match bits {
            0 => Encoding::Int,
            1 => Encoding::Embstr,
            2 => Encoding::Raw,
            3 => Encoding::Listpack,
            4 => Encoding::Intset,
            5 => Encoding::Hashtable,
            6 => Encoding::Quicklist,
            7 => Encoding::Skiplist,
            8 => Encoding::Stream,
            _ => panic!("an entry's encoding is only ever written from an Encoding"),
        }
    }
}

/// Bytes of one allocation whose return to the system costs as much as freeing a small one.
const BYTES_PER_WEIGHT: usize = 64 * 1024;

/// The longest string, in bytes, that OBJECT ENCODING calls `embstr`. Source: Redis,
/// `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`.
pub const EMBSTR_MAX: usize = 44;

/// The compact form of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compact {
    List,
    SetOfInts,
    Set,
    Zset,
    Hash,
}

impl Compact {
    /// The type of the collection.
    pub const fn kind(self) -> Kind {
        match self {
            Compact::List => Kind::List,
            Compact::SetOfInts | Compact::Set => Kind::Set,
            Compact::Zset => Kind::Zset,
            Compact::Hash => Kind::Hash,
        }
    }

    /// The encoding of its bytes.
    pub const fn encoding(self) -> Encoding {
        match self {
            Compact::SetOfInts => Encoding::Intset,
            _ => Encoding::Listpack,
        }
    }
}

/// A value too large, or too structured, to be stored inside its entry. A clone shares large parts
/// with the original until one of the two is written to: that is how a snapshot captures a value.
#[derive(Clone, Debug)]
pub enum HeapValue {
    /// A string over [`INLINE_MAX`](crate::entry::INLINE_MAX) bytes, which grows amortised.
    Str(Arc<Vec<u8>>),
    /// A compact form over [`PACKED_MAX`](crate::entry::PACKED_MAX) bytes.
    Packed(Compact, Vec<u8>),
    /// A large list.
    List(Box<List>),
    /// A large set.
    Set(Box<set::Table>),
    /// A large sorted set.
    Zset(Box<Zset>),
    /// A large hash.
    Hash(Box<Hash>),
    /// A stream, of any size.
    Stream(Box<Stream>),
}

impl HeapValue {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            HeapValue::Str(_) => Kind::String,
            HeapValue::Packed(compact, _) => compact.kind(),
            HeapValue::List(_) => Kind::List,
            HeapValue::Set(_) => Kind::Set,
            HeapValue::Zset(_) => Kind::Zset,
            HeapValue::Hash(_) => Kind::Hash,
            HeapValue::Stream(_) => Kind::Stream,
        }
    }

    /// Its encoding.
    pub fn encoding(&self) -> Encoding {
        match self {
            HeapValue::Str(_) => Encoding::Raw,
            HeapValue::Packed(compact, _) => compact.encoding(),
            HeapValue::List(_) => Encoding::Quicklist,
            HeapValue::Set(_) | HeapValue::Hash(_) => Encoding::Hashtable,
            HeapValue::Zset(_) => Encoding::Skiplist,
            HeapValue::Stream(_) => Encoding::Stream,
        }
    }

    /// Prefetches what the next step of a lookup will read; true if there is another step.
    #[inline]
    pub fn prefetch_member(&self, lookup: &mut MemberLookup) -> bool {
        let is_next = match self {
            HeapValue::Set(members) => members.prefetch(lookup),
            HeapValue::Hash(fields) => fields.prefetch(lookup),
            HeapValue::Zset(zset) => zset.prefetch(lookup),
            HeapValue::Str(_)
            | HeapValue::Packed(..)
            | HeapValue::List(_)
            | HeapValue::Stream(_) => false,
        };
        lookup.step += 1;
        is_next
    }

    /// Bytes of memory on the heap, including the box, by the allocator's classes; O(1), but for
    /// the groups of a stream.
    pub fn memory_usage(&self) -> usize {
        let boxed = size_class(size_of::<HeapValue>());
        boxed
            + match self {
                HeapValue::Str(bytes) => {
                    size_class(size_of::<Vec<u8>>() + 16) + size_class(bytes.capacity())
                }
                HeapValue::Packed(_, bytes) => size_class(bytes.capacity()),
                HeapValue::List(list) => size_class(size_of::<List>()) + list.memory(),
                HeapValue::Set(table) => size_class(size_of::<set::Table>()) + table.memory(),
                HeapValue::Zset(zset) => size_class(size_of::<Zset>()) + zset.memory(),
                HeapValue::Hash(hash) => size_class(size_of::<Hash>()) + hash.memory(),
                HeapValue::Stream(stream) => size_class(size_of::<Stream>()) + stream.memory(),
            }
    }

    /// Bytes that a clone takes by itself, or may soon own alone: all of a string, but of a large
    /// form only the references to its pieces, which stay shared until each is written.
    pub fn share_cost(&self) -> usize {
        match self {
            HeapValue::Str(bytes) => bytes.capacity(),
            HeapValue::Packed(_, bytes) => bytes.capacity(),
            HeapValue::List(_)
            | HeapValue::Set(_)
            | HeapValue::Zset(_)
            | HeapValue::Hash(_)
            | HeapValue::Stream(_) => self.weight() * size_of::<usize>(),
        }
    }

    /// The view that an entry returns.
    #[inline]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            HeapValue::Str(bytes) => ValueRef::Str(bytes),
            HeapValue::Packed(compact, bytes) => ValueRef::Packed(*compact, bytes),
            HeapValue::List(_)
            | HeapValue::Set(_)
            | HeapValue::Zset(_)
            | HeapValue::Hash(_)
            | HeapValue::Stream(_) => ValueRef::Large(self),
        }
    }

    /// Upper bound of the allocations that dropping it frees, or the equivalent cost: the delay for
    /// those who wait for the lock under which it is dropped.
    pub fn weight(&self) -> usize {
        match self {
            HeapValue::Str(bytes) => 1 + bytes.capacity() / BYTES_PER_WEIGHT,
            HeapValue::Packed(..) => 1,
            HeapValue::List(list) => 1 + list.weight(),
            HeapValue::Set(table) => 1 + table.weight(),
            HeapValue::Zset(zset) => 1 + zset.weight(),
            HeapValue::Hash(hash) => 1 + hash.weight(),
            HeapValue::Stream(stream) => 1 + stream.weight(),
        }
    }

    /// Frees about `budget` allocations; returns whether all are freed.
    pub fn free_step(&mut self, budget: usize) -> bool {
        match self {
            HeapValue::Str(_) | HeapValue::Packed(..) => true,
            HeapValue::List(list) => list.free_step(budget),
            HeapValue::Set(table) => table.free_step(budget),
            HeapValue::Zset(zset) => zset.free_step(budget),
            HeapValue::Hash(hash) => hash.free_step(budget),
            HeapValue::Stream(stream) => stream.free_step(budget),
        }
    }
}

// Every long string pays for this size.
const _: () = assert!(size_of::<HeapValue>() <= 32);

/// A value to be stored in an entry.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Int(i64),
    /// A string, `embstr` or `raw` by its length. Copied into the entry, or to the heap.
    Str(&'a [u8]),
    /// A string that is `raw` whatever its length, as an edited one is. Copied.
    Raw(&'a [u8]),
    /// The bytes of a compact form. Copied.
    Packed(Compact, &'a [u8]),
    Heap(HeapValue),
}

impl Value<'_> {
    /// Its type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Value::Int(_) | Value::Str(_) | Value::Raw(_) => Kind::String,
            Value::Packed(compact, _) => compact.kind(),
            Value::Heap(heap) => heap.kind(),
        }
    }

    /// Its encoding.
    #[inline]
    pub fn encoding(&self) -> Encoding {
        match self {
            Value::Int(_) => Encoding::Int,
            Value::Str(bytes) if bytes.len() <= EMBSTR_MAX => Encoding::Embstr,
            Value::Str(_) | Value::Raw(_) => Encoding::Raw,
            Value::Packed(compact, _) => compact.encoding(),
            Value::Heap(heap) => heap.encoding(),
        }
    }
}

/// A value as stored in its entry.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Int(i64),
    /// A string, inline or on the heap.
    Str(&'a [u8]),
    /// A compact form, inline or on the heap.
    Packed(Compact, &'a [u8]),
    /// The large form of a collection.
    Large(&'a HeapValue),
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
    /// The bytes of a string value; an integer is written into `buf` first. Callers have checked
    /// the type.
    #[inline]
    pub fn string_bytes<'b>(self, buf: &'b mut IntBuf) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            ValueRef::Int(value) => buf.format(value),
            ValueRef::Str(bytes) => bytes,
            ValueRef::Packed(..) | ValueRef::Large(_) => not_a_string(),
        }
    }

    /// The length in bytes of a string value, without formatting an integer. Callers have checked
    /// the type.
    #[inline]
    pub fn string_len(self) -> usize {
        match self {
            ValueRef::Int(value) => crate::num::i64_len(value),
            ValueRef::Str(bytes) => bytes.len(),
            ValueRef::Packed(..) | ValueRef::Large(_) => not_a_string(),
        }
    }
}

#[cold]
fn not_a_string() -> ! {
    panic!("callers check that the key holds a string")
}

/// The size of an allocation of `bytes` bytes: allocators have classes of 16.
pub(crate) const fn round16(bytes: usize) -> usize {
    (bytes + 15) & !15
}
