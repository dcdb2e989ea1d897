//! Value structures of the keyspace: entries, hash tables, number text and patterns.
//!
//! Nothing here knows a clock, a command or the wire, or takes a lock: callers bring the time, hold
//! the lock of whatever they pass in, and bound lengths before they get here. This is one of the
//! few places where `unsafe` is allowed; every block names the invariant it stands on.

pub mod entry;
pub mod glob;
pub mod num;
pub mod prefetch;
pub mod sha1;
pub mod spin;
pub mod table;

pub use entry::{
    Encoding, EntryBox, EntryRef, HeapValue, INLINE_MAX, IntBuf, Kind, NewValue, ValueRef,
};
pub use table::{Item, KeyHasher, Pos, Sweep, Table, TableStats};
