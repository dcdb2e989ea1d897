//! Active expiry: deleting expired keys that are not accessed, and expired fields of hashes.

use redix_types::entry::{EntryBox, Kind};
use redix_types::hash::{HashEdit, HashRef, Limits};
use redix_types::table::{Sweep, order};

use super::Access;
use super::changed::{Origin, changed};
use crate::effects::class;
use crate::keyspace::Key;
use crate::keyspace::shard::DbShard;

/// The outcome of a sweep over some buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// The position to continue from in this table; `None` at its end.
    pub next: Option<u64>,
    /// Keys with an expiry, and hashes with fields that have one, that were checked.
    pub looked: u64,
    /// Those of the keys that had expired and were removed.
    pub removed: u64,
}

/// What a sweep has found.
#[derive(Default)]
pub struct Found {
    /// Expired keys, removed: their entries are to be freed without the lock.
    pub removed: Vec<EntryBox>,
    /// Hashes with expired fields, which are to be removed next.
    pub hashes: Vec<Box<[u8]>>,
}

impl Access<'_> {
    /// Checks the keys with an expiry in up to `buckets` buckets of one (database, shard) table,
    /// from position `from` on, and removes the expired ones as a lookup would. They are moved to
    /// `found`, so that the caller can free them without the lock, with the names of the hashes
    /// that have expired fields.
    pub fn sweep(
        &mut self,
        (db, index): (u32, usize),
        from: u64,
        buckets: usize,
        found: &mut Found,
    ) -> Swept {
        let Found { removed, hashes } = found;
        let (now_ms, first) = (self.now_ms, removed.len());
        let hasher = self.keyspace.hasher();
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        let DbShard { table, walk, .. } = part;
        let mut looked = 0;
        let next = table.sweep_marked(
            from,
            buckets,
            |entry, done| {
                looked += 1;
                if entry.expire_at_ms().is_none_or(|at| at > now_ms) {
                    if entry.has_expiring_fields()
                        && HashRef::after(entry.value(), now_ms).hides_fields()
                    {
                        hashes.push(entry.key().into());
                    }
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
        if part.is_accounted() {
            for entry in removed[first..].iter().map(EntryBox::as_ref) {
                part.note_loss(hasher.hash(entry.key()), entry);
            }
        }
        self.keyspace.publish_counts(self.thread, (db, index), part);
        if part.table.is_empty() {
            shard.drop_unused();
        }
        for entry in &removed[first..] {
            let key = entry.as_ref().key();
            changed(shard, self.keyspace, &mut self.effects, (db, key), Origin::Nobody);
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

/// The outcome of removing expired fields of one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweptFields {
    /// Fields that were removed.
    pub removed: u64,
    /// Whether more have expired.
    pub more: bool,
}

impl Access<'_> {
    /// Removes up to `limit` expired fields of the hash at a key, and the hash with its last field.
    /// Logged as one `HDEL`, followed by the deletion of the hash. Nothing if the key holds no
    /// hash.
    pub fn sweep_fields(&mut self, db: u32, key: Key<'_>, limit: usize) -> SweptFields {
        let none = SweptFields { removed: 0, more: false };
        let (index, now_ms) = (key.shard(), self.now_ms);
        let hasher = self.keyspace.hasher();
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        let Some(pos) = part.table.find(key.hash, key.bytes) else { return none };
        let entry = part.table.get(pos);
        if entry.kind() != Kind::Hash || entry.expire_at_ms().is_some_and(|at| at <= now_ms) {
            return none;
        }
        part.before_write(key.hash, pos);
        let weight = part.weigh(key.hash, pos);
        let (fields, more, is_empty) = part.table.modify(pos, |entry| {
            // The limits of small hashes do not matter where fields are only removed.
            let limits = Limits { entries: 0, value: 0 };
            let mut hash = HashEdit::new(entry, limits, hasher, now_ms);
            let fields: Vec<_> = std::iter::from_fn(|| hash.pop_hidden()).take(limit).collect();
            let view = hash.as_ref();
            (fields, view.hides_fields(), view.is_empty())
        });
        part.note_change(weight, pos);
        self.keyspace.publish_counts(self.thread, (db, index), part);
        if fields.is_empty() {
            return none;
        }
        changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), Origin::Nobody);
        self.cell.expired_fields.add(fields.len() as u64);
        let mut words = vec![b"HDEL".as_slice(), key.bytes];
        words.extend(fields.iter().map(Vec::as_slice));
        self.effects.log_also(db, &words);
        self.effects.notify(class::EXPIRED, "hexpired", db, key.bytes);
        if is_empty {
            let entry = self.remove_by(Origin::Nobody, db, key, pos);
            self.bury(entry.into_heap());
            self.effects.log_also(db, &[self.expired_as, key.bytes]);
            self.effects.notify(class::GENERIC, "del", db, key.bytes);
        }
        SweptFields { removed: fields.len() as u64, more }
    }
}
