//! Persistence in RDB files: synchronous saves, the forkless snapshot, loading.
//!
//! The encoding is in [`crate::rdb`]. This module decides which entries are written, to which file,
//! and how a failure is handled. Files are opened through [`crate::env::Disk`].
//!
//! **Invariants.** The file of the last successful save is replaced only by a complete, synced one
//! ([`file::SaveFile`]). A file that is loaded is never written to. Nothing is omitted silently. No
//! file is read or written under a shard's lock.

pub mod aof;
pub mod check;
pub mod file;
pub mod load;
pub mod payload;
pub mod record;
pub mod save;
#[cfg(test)]
pub(crate) mod sim;
pub mod snapshot;
