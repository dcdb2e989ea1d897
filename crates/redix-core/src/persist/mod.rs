//! From the keyspace to RDB files and back: saving at once, the forkless snapshot, loading.
//!
//! The bytes are the business of [`crate::rdb`]. Here is decided which entries they hold, which
//! file they go to and what a failure means. Files come from [`crate::env::Disk`].
//!
//! **Invariants.** The file of the last successful save is replaced only by a whole, synced one
//! ([`file::SaveFile`]). A file that is loaded is never written to. Nothing is left out silently.
//! Nothing is read from or written to a file under a shard's lock.

pub mod file;
pub mod load;
pub mod payload;
pub mod record;
pub mod save;
#[cfg(test)]
mod sim;
pub mod snapshot;
