//! Replication as clients see it: who follows whom, and how far.
//!
//! PSYNC, SYNC and REPLCONF are what replicas say to their primary.

pub mod failover;
pub mod psync;
pub mod redirect;
pub mod replconf;
pub mod replicaof;
pub mod role;
