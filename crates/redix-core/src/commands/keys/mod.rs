//! Commands on keys, whatever they hold.
//!
//! - [`basic`]: deleting, counting, listing;
//! - [`scan`]: listing in portions;
//! - [`expire`]: setting, asking and removing expiries;
//! - [`copy`]: other names and databases;
//! - [`dump`]: values as bytes;
//! - [`migrate`]: to another server;
//! - [`object`]: how a value is kept;
//! - [`sort`]: elements in another order;
//! - [`wait`]: until replicas have what was written.

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
