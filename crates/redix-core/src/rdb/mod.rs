//! RDB: the bytes of files, records and DUMP payloads, without files, threads or a clock.
//!
//! Writers append to memory that the caller drains; readers pull from any [`std::io::Read`]. Which
//! file that is, when it is synced and what a failure means is decided by the server. The codec
//! knows nothing of the keyspace, so that the snapshot as well as DUMP and RESTORE stand on it.
//!
//! **Invariants.** Nothing here opens a file or asks the time. Bytes that are read are not trusted:
//! no input panics, and memory is reserved at most [`format::RESERVE_AHEAD_MAX`] bytes (or as much
//! as was already read) ahead of bytes that really arrived.
//!
//! The format as Redix reads and writes it is described in `docs/formats/rdb.md`.

pub mod format;
mod input;
pub mod lzf;
pub mod read;
mod types;
pub mod write;
