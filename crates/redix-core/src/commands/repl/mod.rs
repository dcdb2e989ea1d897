//! Replication commands.
//!
//! PSYNC, SYNC and REPLCONF come from replicas; REPLICAOF, FAILOVER, ROLE and WAIT from clients.

pub mod failover;
pub mod psync;
pub mod redirect;
pub mod replconf;
pub mod replicaof;
pub mod role;
