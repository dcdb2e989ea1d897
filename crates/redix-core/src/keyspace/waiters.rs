//! Clients blocked on keys of a shard.
//!
//! They are listed, the longest waiting first, beside the shard's tables and under its lock, so
//! that none misses a key that is created while it registers. Here a waiter is opaque except for
//! whether its wait is over.
//!
//! **Invariants.** A registration is not removed when a wait ends: it is dropped when it is met,
//! and all dead ones are dropped whenever the table has doubled.

use std::any::Any;
use std::collections::{HashMap, VecDeque};

use super::shard::FixedState;
use crate::sync::Arc;

/// A client blocked on a key.
pub trait KeyInterest: Any + Send + Sync {
    /// Whether the wait has ended.
    fn is_over(&self) -> bool;

    /// Whether serving it requires other keys, whose shards must be locked too.
    fn needs_other_keys(&self) -> bool;
}

/// The clients blocked on one key, the longest waiting first.
pub type Queue = VecDeque<Arc<dyn KeyInterest>>;

/// Number of registrations from which on dead ones are swept.
const SWEEP_MIN: usize = 64;

/// The clients blocked on keys of one shard.
#[derive(Default)]
pub struct Waiters {
    queues: HashMap<(u32, Box<[u8]>), Queue, FixedState>,
    registered: usize,
    sweep_at: usize,
}

impl Waiters {
    /// Appends a waiter to a key's queue.
    pub fn push(&mut self, db: u32, key: &[u8], interest: Arc<dyn KeyInterest>) {
        if self.registered >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        self.registered += 1;
        self.queues.entry((db, key.into())).or_default().push_back(interest);
    }

    /// Takes a key's queue.
    pub fn take(&mut self, db: u32, key: &[u8]) -> Option<Queue> {
        let queue = self.queues.remove(&(db, Box::from(key)))?;
        self.registered -= queue.len();
        Some(queue)
    }

    /// Returns the queue of those that could not be served.
    pub fn put_back(&mut self, db: u32, key: &[u8], queue: Queue) {
        self.registered += queue.len();
        self.queues.insert((db, key.into()), queue);
    }

    /// Whether any waiter here requires other keys to be served.
    pub fn need_other_keys(&self) -> bool {
        let mut all = self.queues.values().flatten();
        all.any(|interest| interest.needs_other_keys() && !interest.is_over())
    }

    /// The keys of a database that clients are blocked on.
    pub fn keys(&self, db: u32) -> impl Iterator<Item = &[u8]> {
        self.queues.keys().filter(move |(of, _)| *of == db).map(|(_, key)| &**key)
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn sweep(&mut self) {
        self.queues.retain(|_, queue| {
            queue.retain(|interest| !interest.is_over());
            !queue.is_empty()
        });
        self.registered = self.queues.values().map(VecDeque::len).sum();
        self.sweep_at = self.registered * 2;
    }
}

#[cfg(test)]
mod tests;
