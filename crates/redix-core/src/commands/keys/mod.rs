//! Generic commands: on keys of any type.
//!
//! - [`basic`]: deleting, counting, listing;
//! - [`scan`]: SCAN;
//! - [`expire`]: setting, reading and removing expiries;
//! - [`copy`]: COPY, MOVE, RENAME;
//! - [`dump`]: DUMP and RESTORE;
//! - [`migrate`]: MIGRATE;
//! - [`object`]: OBJECT;
//! - [`sort`]: SORT;
//! - [`wait`]: WAIT.

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
