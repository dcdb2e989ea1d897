//! Persistence: what of the keyspace goes into files and comes back from them.
//!
//! **Invariants.** Nothing here opens a file or asks the time; the bytes themselves are the
//! business of [`crate::rdb`].

pub use crate::rdb::{format as rdb, read as rdb_read, write as rdb_write};
