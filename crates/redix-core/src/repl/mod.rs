//! Replication: the log of writes, and what the two roles make of it.
//!
//! Reading order: [`log`] (the stream of writes, its offsets and its name). The state of both roles
//! is in [`Replication`].
//!
//! **Invariants.** The role changes in the world only. A replica never records what it does itself:
//! its log holds its primary's bytes, as far as they have been applied.

pub mod log;

use crate::env::Entropy;
use crate::sync::atomic::{AtomicBool, Ordering};
use log::Log;

/// The state of replication, shared by all threads.
pub struct Replication {
    /// What is sent to replicas.
    pub log: Log,
    replica: AtomicBool,
}

impl Replication {
    /// A primary without replicas, its history named at random.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { log: Log::new(entropy), replica: AtomicBool::new(false) }
    }

    /// Whether this server is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.replica.load(Ordering::Relaxed)
    }

    /// How many replicas have acknowledged the stream up to `offset`: there are none.
    pub fn acknowledged(&self, _offset: u64) -> i64 {
        0
    }

    /// Whether units have to leave records.
    #[inline]
    pub fn recording(&self) -> bool {
        self.log.active() && !self.is_replica()
    }
}
