//! Replication as commands see it.

pub mod replicaof;
