//! A coordinated failover: a primary changes roles with one of its replicas without losing writes.
//!
//! ```text
//! None -> Waiting -> InProgress -> None
//! ```
//!
//! While it waits, this server still is the primary, writes are paused, and the replica catches up.
//! In progress, this server is a replica of its former replica, which learns from the link's `PSYNC
//! … FAILOVER` that it is the primary now. [`crate::engine`] moves from one stage to the next.
//!
//! **Invariants.** The stage changes in the world only. The mutex is a leaf.
//!
//! Source: the FAILOVER command of Redis 6.2, and the behaviour of Valkey 9.1.

use super::status::Target;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, lock};

/// The stages of a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// There is none.
    None,
    /// Waits until the replica has caught up.
    Waiting,
    /// The replica is taking over.
    InProgress,
}

impl Stage {
    const ALL: [Self; 3] = [Self::None, Self::Waiting, Self::InProgress];

    /// Its name in INFO.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::Waiting => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        }
    }
}

/// The parameters of a failover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The replica that takes over; `None`: the first that has caught up.
    pub target: Option<Target>,
    /// End of the wait, Unix time in milliseconds.
    pub deadline_ms: Option<i64>,
    /// FORCE: the replica takes over at the deadline even if it has not caught up.
    pub force: bool,
    /// Whether a GETACK has been sent to the replicas.
    pub asked: bool,
}

/// The state of the failover.
#[derive(Default)]
pub struct Failover {
    stage: AtomicU8,
    plan: Mutex<Plan>,
}

impl Failover {
    /// How far it is.
    #[inline]
    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Acquire))]
    }

    /// The parameters; meaningless without a failover.
    pub fn plan(&self) -> Plan {
        lock(&self.plan).clone()
    }

    /// Whether it waits with a deadline.
    pub fn is_timed(&self) -> bool {
        self.stage() == Stage::Waiting && lock(&self.plan).deadline_ms.is_some()
    }

    /// Moves to a stage; in the world.
    pub(crate) fn set(&self, stage: Stage, plan: Plan) {
        *lock(&self.plan) = plan;
        self.stage.store(stage as u8, Ordering::Release);
    }
}
