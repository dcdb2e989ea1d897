//! Wipe protection (`replica-protect`): which data sets of its primary a replica refuses.
//!
//! A primary without persistence that is restarted by a supervisor offers an empty data set, and
//! every replica would discard its own for it. So what a link that comes back *by itself* offers is
//! judged before anything is discarded:
//!
//! - It *lacks keys* if it has none and would discard some, or if it has neither keys nor libraries
//!   of functions and would discard libraries. Refused unless the mode is `no`.
//! - It *lacks history* if its offset is lower than that of the data set here, whatever its
//!   replication id: the primary has lost, or never had, what was received from it. Refused in the
//!   mode `strict`. A primary that knows no offsets (SYNC) is not judged by them.
//!
//! By itself: the link has been in sync since the last *consent*, which is any REPLICAOF or
//! FAILOVER, or the data set was loaded at startup from files that state its position in a
//! replication stream. A server that holds nothing refuses nothing.
//!
//! What was refused stays refused under its replication id, although its primary may have written
//! meanwhile: a first write does not make it a replacement. Another id, which a restarted primary
//! has, is judged anew. A partial resynchronisation discards nothing and is never refused.
//!
//! **Invariant.** Consents, judgements and their consequences happen in the world.

#[cfg(test)]
mod tests;

use super::log::ReplId;
use crate::config::ReplicaProtect;
use crate::persist::load::Contents;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};

/// What a refused data set lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Keys, or anything.
    Keys,
    /// A part of the history.
    History,
}

impl Lack {
    /// Its name in INFO.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keys => "empty_dataset",
            Self::History => "less_history",
        }
    }
}

/// A refused data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub lack: Lack,
    /// The replication id that it was offered under.
    pub id: ReplId,
    /// How often data sets have been refused since the last consent.
    pub times: u64,
}

/// A position in a replication stream, as it is offered with a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The replication id.
    pub id: ReplId,
    /// The offset; `None` if the primary does not state it.
    pub end: Option<u64>,
}

/// The state of the protection of one server.
#[derive(Debug, Default)]
pub struct Protection {
    /// The link has been in sync since the last consent.
    armed: AtomicBool,
    refused: Mutex<Option<Refused>>,
}

impl Protection {
    /// Whether what the link offers is judged.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The data set refused last; `None` once the link is in sync again.
    pub fn refused(&self) -> Option<Refused> {
        *lock(&self.refused)
    }

    /// Any data set of the primary is welcome until the link is in sync.
    pub(crate) fn consent(&self) {
        self.armed.store(false, Ordering::Relaxed);
        *lock(&self.refused) = None;
    }

    /// The data set here is the primary's.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        *lock(&self.refused) = None;
    }

    /// Judges an offer before its data set is received. `end` is the offset of the data set here.
    pub(crate) fn judge_history(
        &self,
        mode: ReplicaProtect,
        (here, end): (Contents, u64),
        offer: Offer,
    ) -> Option<Lack> {
        if !self.applies(mode, here) {
            return None;
        }
        let strict = mode == ReplicaProtect::Strict;
        let before = self.refused().filter(|refused| refused.id == offer.id);
        match before.map(|refused| refused.lack) {
            Some(Lack::Keys) => Some(Lack::Keys),
            Some(Lack::History) if strict => Some(Lack::History),
            _ if strict && offer.end.is_some_and(|offered| offered < end) => Some(Lack::History),
            _ => None,
        }
    }

    /// Judges what is in an offered data set.
    pub(crate) fn judge_contents(
        &self,
        mode: ReplicaProtect,
        here: Contents,
        offered: Contents,
    ) -> Option<Lack> {
        let lacks = !offered.keys && (here.keys || offered.is_nothing());
        (lacks && self.applies(mode, here)).then_some(Lack::Keys)
    }

    fn applies(&self, mode: ReplicaProtect, here: Contents) -> bool {
        mode != ReplicaProtect::No && self.is_armed() && !here.is_nothing()
    }

    /// Notes that a data set is refused.
    pub(crate) fn refuse(&self, lack: Lack, id: ReplId) {
        let mut refused = lock(&self.refused);
        let times = refused.map_or(0, |before| before.times) + 1;
        *refused = Some(Refused { lack, id, times });
    }
}
