//! Checking files without a server: what the check tools find in an RDB file and in the commands of
//! an append-only file.
//!
//! The reports have the lines that scripts look for in those of the real tools: the verdict, the
//! counts and the offsets. Files are opened, asked about and repaired by the server's tools.

pub mod aof;
pub mod rdb;
pub mod stats;
