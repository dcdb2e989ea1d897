//! Replication: the log of writes, and what the two roles make of it.
//!
//! Reading order: [`log`] (the stream of writes, its offsets and its name), [`primary`] (who
//! follows this server), [`status`] (whom this server follows and the link to it, as others see
//! them; the link itself is [`crate::upstream`]), [`failover`] (how the two change places),
//! [`writable_expiry`] (what a writable replica has beside its primary's data). The state of both
//! roles is in [`Replication`].
//!
//! **Invariants.** The role changes in the world only. A replica never records what it does itself:
//! its log holds its primary's bytes, as far as they have been applied.

pub mod failover;
pub mod log;
pub mod primary;
pub mod status;
pub mod writable_expiry;

use crate::env::Entropy;
use crate::sync::atomic::{AtomicBool, Ordering};
use failover::Failover;
use log::Log;
use primary::Replicas;
use status::Status;
use writable_expiry::WritableExpiry;

/// Which part a server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows another server.
    Replica,
}

impl Role {
    /// As INFO and ROLE name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "master",
            Self::Replica => "slave",
        }
    }

    /// As HELLO names it, which is younger.
    pub fn younger_word(self) -> &'static str {
        match self {
            Self::Primary => "master",
            Self::Replica => "replica",
        }
    }
}

/// The state of replication, shared by all threads.
pub struct Replication {
    /// What is sent to replicas.
    pub log: Log,
    /// Who follows this server.
    pub replicas: Replicas,
    /// The primary, if this is a replica.
    pub upstream: Status,
    /// The failover under way.
    pub failover: Failover,
    /// What clients of a writable replica wrote.
    pub writable_expiry: WritableExpiry,
    replica: AtomicBool,
}

impl Replication {
    /// A primary without replicas, its history named at random.
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

    /// The same for those who name it.
    pub fn role(&self) -> Role {
        if self.is_replica() { Role::Replica } else { Role::Primary }
    }

    /// How many replicas have acknowledged the stream up to `offset`.
    pub fn acknowledged(&self, offset: u64) -> i64 {
        self.replicas.acknowledged(offset)
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
