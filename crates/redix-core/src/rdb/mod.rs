//! The RDB codec: files, records and DUMP payloads, without files, threads or a clock.
//!
//! Writers append to memory that the caller drains; readers pull from any [`std::io::Read`] or are
//! pushed bytes. Which file that is, when it is synced and how a failure is handled is decided by
//! the caller. The codec does not know the keyspace, so that the snapshot as well as DUMP and
//! RESTORE can use it.
//!
//! **Invariants.** Nothing here opens a file or reads a clock. Input is not trusted: none panics,
//! and memory is reserved at most [`format::RESERVE_AHEAD_MAX`] bytes (or as much as was already
//! read) ahead of bytes that really arrived.
//!
//! The format as Redix reads and writes it is described in `docs/formats/rdb.md`.

pub mod format;
pub mod idempotence;
mod input;
pub mod lzf;
pub mod read;
mod skip;
mod types;
pub mod write;
