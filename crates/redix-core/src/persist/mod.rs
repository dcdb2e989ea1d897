//! The bytes of the persistent formats, without files, threads or a clock.
//!
//! Writers append to memory that the caller drains; readers pull from any [`std::io::Read`]. Which
//! file that is, when it is synced and what a failure means is decided by the server.
//!
//! **Invariants.** Nothing here opens a file or asks the time. Bytes that are read are not trusted:
//! no input panics, and memory is reserved at most [`rdb::RESERVE_AHEAD_MAX`] bytes (or as much as
//! was already read) ahead of bytes that really arrived.
//!
//! The RDB format as Redix reads and writes it is described in `docs/formats/rdb.md`.

pub mod lzf;
pub mod rdb;
mod rdb_input;
pub mod rdb_read;
pub mod rdb_write;
