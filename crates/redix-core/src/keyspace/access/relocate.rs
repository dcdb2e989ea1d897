//! Operations on whole entries of any type: reading, moving and copying them.

use redix_types::entry::{EntryBox, EntryRef, Value};
use redix_types::hash::{HashEdit, Limits};

use super::Access;
use crate::keyspace::Key;

impl Access<'_> {
    /// As [`Access::lookup_read`], but keeps the LRU or LFU field.
    pub fn lookup_untouched(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let touch = std::mem::replace(&mut self.touch, false);
        let found = self.lookup_read(key).is_some();
        self.touch = touch;
        if found { self.peek(key) } else { None }
    }

    /// Looks a key up for introspection: counts a hit or miss, keeps the LRU or LFU field and
    /// announces no miss.
    pub fn lookup_unnoticed(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let Some(pos) = self.find(key) else {
            self.cell.keyspace_misses.bump();
            return None;
        };
        self.cell.keyspace_hits.bump();
        Some(self.get(self.db, key, pos))
    }

    /// Looks a key of any type up on behalf of a write: updates its LRU or LFU field, counts no
    /// hit.
    pub fn lookup_any_write(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let (pos, age) = self.find_aged(self.db, key)?;
        if self.touch {
            self.refresh(key, pos, age);
        }
        Some(self.get(self.db, key, pos))
    }

    /// Whether a key of another database exists.
    pub fn exists_in(&mut self, db: u32, key: Key<'_>) -> bool {
        self.find_in(db, key).is_some()
    }

    /// Renames the entry of `from` to `to`, replacing what `to` held; false if `from` does not
    /// exist. Counts one change.
    pub fn relocate(&mut self, from: Key<'_>, to: Key<'_>) -> bool {
        let Some(pos) = self.find(from) else { return false };
        let mut entry = self.remove_at(self.db, from, pos).with_key(to.bytes);
        entry.set_lru(self.new_age());
        self.replace_in(self.db, to, entry);
        true
    }

    /// Copies the entry of `from` to key `to` of database `db`, replacing what that held; `None` if
    /// `from` does not exist. Returns the fields of a hash that have expired and are not copied:
    /// none if nothing else would be copied. They take time each, whereas what is copied takes
    /// none: the length of the copy shows whether they are there. Counts one change.
    pub fn copy_to(&mut self, from: Key<'_>, db: u32, to: Key<'_>) -> Option<Vec<Vec<u8>>> {
        let (age, horizon_ms, hasher) = (self.new_age(), self.horizon_ms(), self.keyspace.hasher());
        let entry = self.peek(from)?;
        let copied = || EntryBox::new(to.bytes, entry.to_value(), entry.expire_at_ms(), age);
        let mut copy = copied();
        let mut left_out = Vec::new();
        if entry.has_expiring_fields() {
            // The limits of small hashes do not matter where fields are only removed.
            let limits = Limits { entries: 0, value: 0 };
            let mut hash = HashEdit::new(&mut copy, limits, hasher, horizon_ms);
            left_out.extend(std::iter::from_fn(|| hash.pop_hidden()));
            if hash.as_ref().is_empty() {
                left_out.clear();
                copy = copied();
            }
        }
        self.replace_in(db, to, copy);
        Some(left_out)
    }

    /// Moves a key to database `db`, where it must not exist; false if it does not exist here.
    /// Counts one change.
    pub fn move_to(&mut self, key: Key<'_>, db: u32) -> bool {
        let Some(pos) = self.find(key) else { return false };
        let mut entry = self.remove_at(self.db, key, pos);
        entry.set_lru(self.new_age());
        self.replace_in(db, key, entry);
        true
    }

    /// Sets a key to a value with an expiry and an LRU or LFU field, replacing what it held. Counts
    /// one change.
    pub fn put(&mut self, key: Key<'_>, value: Value<'_>, expire_at_ms: Option<i64>, age: u32) {
        let entry = EntryBox::new(key.bytes, value, expire_at_ms, age);
        self.replace_in(self.db, key, entry);
    }

    /// `entry` carries `key`.
    fn replace_in(&mut self, db: u32, key: Key<'_>, entry: EntryBox) {
        if let Some(pos) = self.find_in(db, key) {
            let old = self.remove_at(db, key, pos);
            self.bury(old.into_heap());
        }
        self.insert_in(db, entry);
        self.effects.add_dirty(1);
    }
}
