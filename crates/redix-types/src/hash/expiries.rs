//! The expiries of the fields of a hash, in their order.
//!
//! A field is known by the hash of its name, so that an expiry takes 20 bytes however long the name
//! is; names with equal hashes and expiries are counted. The tree is shared by clones of the hash
//! and copied node by node, as its pages are.

use crate::stream::Order;

/// Expiries, each with the hash of its field.
#[derive(Clone, Default)]
pub(super) struct Expiries {
    /// How many fields have this expiry (Unix time in milliseconds) and this hash.
    order: Order<(i64, u64), u32>,
    len: usize,
}

impl Expiries {
    /// Number of fields.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, with this struct.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.order.memory()
    }

    /// Upper bound of what [`Expiries::free_step`] counts.
    pub(super) fn weight(&self) -> usize {
        1 + self.order.len()
    }

    /// Frees about `budget` expiries; returns whether all are gone.
    pub(super) fn free_step(&mut self, budget: usize) -> bool {
        self.order.free_step(budget, &mut |_, _| true)
    }

    /// The earliest expiry.
    pub(super) fn first(&self) -> Option<i64> {
        self.next().map(|(at_ms, _)| at_ms)
    }

    /// The earliest expiry, with the hash of a field that has it.
    pub(super) fn next(&self) -> Option<(i64, u64)> {
        self.order.first().map(|(key, _)| *key)
    }

    /// Number of fields that expire at a time or before. Linear in it.
    pub(super) fn count_until(&self, at_ms: i64) -> usize {
        let until = self.order.iter().take_while(|((at, _), _)| *at <= at_ms);
        until.map(|(_, count)| *count as usize).sum()
    }

    /// Adds the expiry of a field.
    pub(super) fn add(&mut self, at_ms: i64, hash: u64) {
        let key = (at_ms, hash);
        let count = self.order.get(&key).copied().unwrap_or(0);
        self.order.insert(key, count + 1);
        self.len += 1;
    }

    /// Removes the expiry of a field. Panics if it is not there.
    pub(super) fn remove(&mut self, at_ms: i64, hash: u64) {
        let key = (at_ms, hash);
        match self.order.remove(&key).expect("the expiry of a field") {
            1 => {}
            count => drop(self.order.insert(key, count - 1)),
        }
        self.len -= 1;
    }
}
