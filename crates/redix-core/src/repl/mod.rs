//! Replication: the replication log, and the state of both roles.
//!
//! Reading order: [`log`] (the stream of writes, its offsets and its name), [`primary`] (who
//! follows this server), [`status`] (whom this server follows and the link to it, as others see
//! them; the link itself is [`crate::upstream`]), [`protection`] (which data sets are refused),
//! [`failover`] (how the two change places), [`writable_expiry`] (what a writable replica has
//! beside its primary's data). The state of both roles is in [`Replication`].
//!
//! **Invariants.** The role changes in the world only. A replica never records its own writes: its
//! log holds its primary's bytes, as far as they have been applied.

pub mod failover;
pub mod log;
pub mod primary;
pub mod protection;
pub mod status;
pub mod writable_expiry;

use crate::env::Entropy;
use crate::sync::atomic::{AtomicBool, Ordering};
use failover::Failover;
use log::Log;
use primary::Replicas;
use status::Status;
use writable_expiry::WritableExpiry;

/// The role of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accepts writes.
    Primary,
    /// Follows a primary.
    Replica,
}

impl Role {
    /// Its name in INFO and ROLE.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "master",
            Self::Replica => "slave",
        }
    }

    /// Its name in HELLO, which uses the newer terms.
    pub fn younger_word(self) -> &'static str {
        match self {
            Self::Primary => "master",
            Self::Replica => "replica",
        }
    }
}

/// The state of replication, shared by all threads.
pub struct Replication {
    /// The replication log.
    pub log: Log,
    /// The replicas of this server.
    pub replicas: Replicas,
    /// The primary and the link to it, if this is a replica.
    pub upstream: Status,
    /// The state of a failover.
    pub failover: Failover,
    /// Keys with an expiry that clients of a writable replica wrote.
    pub writable_expiry: WritableExpiry,
    replica: AtomicBool,
}

impl Replication {
    /// A primary without replicas, with a random replication id.
    pub fn new(entropy: &dyn Entropy, workers: usize) -> Self {
        Self {
            log: Log::new(entropy),
            replicas: Replicas::new(workers),
            upstream: Status::default(),
            failover: Failover::default(),
            writable_expiry: WritableExpiry::default(),
            replica: AtomicBool::new(false),
        }
    }

    /// Whether this server is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.replica.load(Ordering::Relaxed)
    }

    /// The role.
    pub fn role(&self) -> Role {
        if self.is_replica() { Role::Replica } else { Role::Primary }
    }

    /// Changes the role; in the world.
    pub(crate) fn set_replica(&self, replica: bool) {
        self.replica.store(replica, Ordering::Relaxed);
    }

    /// Memory, in bytes, of the replication log, and of the stream that is buffered beside a data
    /// set.
    pub fn buffer_bytes(&self) -> (u64, u64) {
        let log = self.log.backlog().map_or(0, |backlog| backlog.memory);
        (log, self.upstream.buffered_bytes().0)
    }

    /// Whether units build records.
    #[inline]
    pub fn recording(&self) -> bool {
        self.log.active() && !self.is_replica()
    }
}
