//! Value structures of the keyspace: entries, hash tables, number text and patterns.
//!
//! Nothing here knows a clock, a command or the protocol, or takes a lock: callers supply the time,
//! hold the lock of what they pass in, and bound lengths beforehand. This is one of the few places
//! where `unsafe` is allowed; every block names the invariant that it relies on.

pub mod bits;
pub mod block;
pub mod entry;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hll;
mod index;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod num;
pub mod packed;
pub mod paged;
pub mod prefetch;
pub mod set;
pub mod sha1;
pub mod shared;
mod shares;
pub mod spin;
pub mod splice;
pub mod store;
pub mod stream;
pub mod table;
mod tree;
pub mod value;
pub mod xxh3;
pub mod ziplist;
pub mod zipmap;
pub mod zset;

pub use entry::{EntryBox, EntryRef, INLINE_MAX, PACKED_MAX};
pub use splice::Splice;
pub use table::{Item, KeyHasher, Pos, Sweep, Table, TableStats};
pub use value::{Compact, Encoding, HeapValue, IntBuf, Kind, Value, ValueRef};
