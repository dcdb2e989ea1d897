//! Replication: the log of writes, and what the two roles make of it.
//!
//! Reading order: [`log`] (the stream of writes, its offsets and its name), [`status`] (the primary
//! and the link to it, as others see them; the link itself is [`crate::upstream`]). The state of
//! both roles is in [`Replication`].
//!
//! **Invariants.** The role changes in the world only. A replica never records what it does itself:
//! its log holds its primary's bytes, as far as they have been applied.

pub mod log;
pub mod status;

use crate::env::Entropy;
use crate::sync::atomic::{AtomicBool, Ordering};
use log::Log;
use status::Status;

/// The state of replication, shared by all threads.
pub struct Replication {
    /// What is sent to replicas.
    pub log: Log,
    /// The primary, if this is a replica.
    pub upstream: Status,
    replica: AtomicBool,
}

impl Replication {
    /// A primary without replicas, its history named at random.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self {
            log: Log::new(entropy),
            upstream: Status::default(),
            replica: AtomicBool::new(false),
        }
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

    /// Changes the role; in the world.
    pub(crate) fn set_replica(&self, replica: bool) {
        self.replica.store(replica, Ordering::Relaxed);
    }

    /// Whether units have to leave records.
    #[inline]
    pub fn recording(&self) -> bool {
        self.log.active() && !self.is_replica()
    }
}
