//! Generic commands: on keys of any type.
//!
//! - [`basic`]: deleting, counting and listing keys;
//! - [`scan`]: the command SCAN;
//! - [`expire`]: setting, reading and removing expiries;
//! - [`copy`]: COPY, MOVE, RENAME and RENAMENX;
//! - [`dump`]: DUMP and RESTORE;
//! - [`migrate`]: the command MIGRATE;
//! - [`object`]: the command OBJECT;
//! - [`sort`]: SORT and SORT_RO;
//! - [`wait`]: the command WAIT.

pub mod basic;
pub mod copy;
mod docs;
pub mod dump;
pub mod expire;
pub mod migrate;
pub mod object;
pub mod scan;
pub mod sort;
pub mod wait;
