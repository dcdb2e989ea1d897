//! Active expiry: deleting expired keys that are not accessed.

use redix_types::entry::{EntryBox, Kind};
use redix_types::table::{Sweep, order};

use super::Access;
use super::changed::{Origin, changed};
use crate::effects::class;
use crate::keyspace::shard::DbShard;

/// The outcome of a sweep over some buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// The position to continue from in this table; `None` at its end.
    pub next: Option<u64>,
    /// Keys with an expiry that were checked.
    pub looked: u64,
    /// Those of them that had expired and were removed.
    pub removed: u64,
}

impl Access<'_> {
    /// Checks the keys with an expiry in up to `buckets` buckets of one (database, shard) table,
    /// from position `from` on, and removes the expired ones as a lookup would. Their entries are
    /// moved to `removed`, so that the caller can free them without the lock.
    pub fn sweep(
        &mut self,
        (db, index): (u32, usize),
        from: u64,
        buckets: usize,
        removed: &mut Vec<EntryBox>,
    ) -> Swept {
        let (now_ms, first) = (self.now_ms, removed.len());
        let hasher = self.keyspace.hasher();
        let shard = self.held.shard(index);
        let DbShard { table, walk } = shard.db_mut(db);
        let mut looked = 0;
        let next = table.sweep_marked(
            from,
            buckets,
            |entry, done| {
                looked += 1;
                if entry.expire_at_ms().is_none_or(|at| at > now_ms) {
                    return Sweep::Keep;
                }
                if let Some(walk) = walk.as_ref()
                    && !done
                    && order(hasher.hash(entry.key())) >= walk.position
                {
                    walk.hook.save(walk.db_at_cut, entry);
                }
                Sweep::Remove
            },
            |entry| removed.push(entry),
        );
        self.keyspace.publish_counts(db, index, table);
        for entry in &removed[first..] {
            let key = entry.as_ref().key();
            changed(shard, self.keyspace, &mut self.effects, (db, key), Origin::Expiry);
            if entry.as_ref().kind() == Kind::Stream && shard.has_waiters() {
                self.ready.push_back((db, key.into()));
            }
            self.cell.expired_keys.bump();
            self.effects.log_also(db, &[self.expired_as, key]);
            self.effects.notify(class::EXPIRED, "expired", db, key);
        }
        Swept { next, looked, removed: (removed.len() - first) as u64 }
    }
}
