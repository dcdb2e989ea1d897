//! Who waits for keys of a shard.
//!
//! Clients that are blocked on a key are listed, the longest waiting first, beside the shard's
//! tables and under its lock, so that none misses a key that comes into being while it registers.
//! What a waiter is made of is the business of whoever serves it; here it is only known whether its
//! wait is over.
//!
//! **Invariants.** A registration is not taken back when a wait ends: whoever meets one that is
//! over drops it, and all such ones are dropped whenever the table has doubled.

use std::any::Any;
use std::collections::{HashMap, VecDeque};

use super::shard::FixedState;
use crate::sync::Arc;

/// Someone who waits for a key.
pub trait KeyInterest: Any + Send + Sync {
    /// Whether the wait has ended.
    fn is_over(&self) -> bool;

    /// Whether serving it takes keys besides the one that it waits for, whose shards must be locked
    /// too.
    fn needs_other_keys(&self) -> bool;
}

/// Those who wait for one key, the longest waiting first.
pub type Queue = VecDeque<Arc<dyn KeyInterest>>;

/// Registrations from which on those that are over are looked for.
const SWEEP_MIN: usize = 64;

/// Who waits for which key of one shard.
#[derive(Default)]
pub struct Waiters {
    queues: HashMap<(u32, Box<[u8]>), Queue, FixedState>,
    registered: usize,
    sweep_at: usize,
}

impl Waiters {
    /// Registers somebody behind those who wait already.
    pub fn push(&mut self, db: u32, key: &[u8], interest: Arc<dyn KeyInterest>) {
        if self.registered >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        self.registered += 1;
        self.queues.entry((db, key.into())).or_default().push_back(interest);
    }

    /// Takes out those who wait for a key.
    pub fn take(&mut self, db: u32, key: &[u8]) -> Option<Queue> {
        let queue = self.queues.remove(&(db, Box::from(key)))?;
        self.registered -= queue.len();
        Some(queue)
    }

    /// Puts those back who could not be served.
    pub fn put_back(&mut self, db: u32, key: &[u8], queue: Queue) {
        self.registered += queue.len();
        self.queues.insert((db, key.into()), queue);
    }

    /// Whether somebody waits here whom it takes other keys to serve.
    pub fn need_other_keys(&self) -> bool {
        let mut all = self.queues.values().flatten();
        all.any(|interest| interest.needs_other_keys() && !interest.is_over())
    }

    /// The keys of a database that somebody waits for.
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
