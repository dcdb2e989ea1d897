//! Eviction: looking at keys for it, and removing them.

use redix_types::entry::{EntryBox, EntryRef};
use redix_types::table::Wanted;

use super::Access;
use super::changed::Origin;
use crate::keyspace::Key;

impl Access<'_> {
    /// Visits keys of one (database, shard) table as [`redix_types::table::Table::sample`] does,
    /// under its lock, which is kept.
    pub fn sample(
        &mut self,
        (db, index): (u32, usize),
        from: u64,
        wanted: Wanted,
        limits: (usize, usize),
        mut f: impl FnMut(EntryRef<'_>),
    ) -> Option<u64> {
        self.held.shard(index).db(db)?.table.sample(from, wanted, limits, &mut f)
    }

    /// The entry at a key, expired or not, without any effect.
    pub fn entry_at(&mut self, db: u32, key: Key<'_>) -> Option<EntryRef<'_>> {
        let part = self.held.shard(key.shard()).db(db)?;
        part.table.find_item(key.hash, key.bytes).map(|(_, entry)| entry)
    }

    /// Removes a key, expired or not, on nobody's behalf; counts no change. The caller logs,
    /// announces and frees.
    pub fn evict(&mut self, db: u32, key: Key<'_>) -> Option<EntryBox> {
        let pos = self.held.shard(key.shard()).db(db)?.table.find(key.hash, key.bytes)?;
        Some(self.remove_by(Origin::Nobody, db, key, pos))
    }
}
