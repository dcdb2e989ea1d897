//! Commands on keys, whatever they hold.
//!
//! - [`basic`]: deleting, counting, listing;
//! - [`scan`]: listing in portions;
//! - [`expire`]: setting, asking and removing expiries;
//! - [`copy`]: other names and databases;
//! - [`dump`]: values as bytes;
//! - [`object`]: how a value is kept;
//! - [`wait`]: until replicas have what was written.

pub mod basic;
pub mod copy;
pub mod dump;
pub mod expire;
pub mod object;
pub mod scan;
pub mod wait;
