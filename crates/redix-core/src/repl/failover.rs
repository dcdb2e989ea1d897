//! A failover under way: a primary changes places with one of its replicas, and nothing is lost.
//!
//! ```text
//! None -> Waiting -> InProgress -> None
//! ```
//!
//! While it waits, this server still is the primary, writes are held back, and the replica catches
//! up. In progress, this server is a replica of its former replica, which has yet to learn that it
//! is the primary: the link's PSYNC tells it. [`crate::engine`] goes from one to the next.
//!
//! **Invariants.** The stage changes in the world only. The mutex is a leaf.
//!
//! Source: the FAILOVER command of Redis 6.2, and Valkey 9.1 in action.

use super::status::Target;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, lock};

/// How far a failover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// There is none.
    None,
    /// The replica has yet to catch up.
    Waiting,
    /// The replica has yet to take over.
    InProgress,
}

impl Stage {
    const ALL: [Self; 3] = [Self::None, Self::Waiting, Self::InProgress];

    /// As INFO names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::Waiting => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The replica that is to take over; `None`: the first that has everything.
    pub target: Option<Target>,
    /// Unix time in milliseconds when waiting ends.
    pub deadline_ms: Option<i64>,
    /// Whether the replica is to take over then even if it lacks something.
    pub force: bool,
    /// Whether the replicas were asked how far they are.
    pub asked: bool,
}

/// The failover under way, if there is one.
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

    /// What was asked for; of no meaning where there is no failover.
    pub fn plan(&self) -> Plan {
        lock(&self.plan).clone()
    }

    /// Whether it waits, but not for ever.
    pub fn is_timed(&self) -> bool {
        self.stage() == Stage::Waiting && lock(&self.plan).deadline_ms.is_some()
    }

    /// Goes to a stage; in the world.
    pub(crate) fn set(&self, stage: Stage, plan: Plan) {
        *lock(&self.plan) = plan;
        self.stage.store(stage as u8, Ordering::Release);
    }
}
