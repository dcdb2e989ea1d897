//! FLUSHALL, FLUSHDB and SWAPDB: emptying and exchanging whole databases.
//!
//! Emptying takes the tables out of their shards at once and frees them in the background: freeing
//! a table of millions of entries with the world held would take seconds. A table that a snapshot
//! has yet to walk goes to the snapshot instead, which frees it after saving it; FLUSHALL cancels
//! the snapshot first (see [`Emptied::All`]).
//!
//! **Invariants.** All of this runs in the world, and takes one shard's lock at a time. A table on
//! the free list is reachable from nowhere else.

use std::collections::VecDeque;
use std::ops::Range;

use super::access::Access;
use super::shard::{DbShard, Entries, Shard};
use super::{Keyspace, SHARDS};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use redix_types::entry::HeapValue;

/// What is emptied, and how a snapshot under way is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptied {
    /// One database; the snapshot continues and contains it as it was at the cut.
    One(u32),
    /// Every database; the snapshot continues (DEBUG RELOAD).
    Each,
    /// Every database; the caller has cancelled the snapshot (FLUSHALL).
    All,
}

/// Who frees the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeing {
    /// The caller, synchronously (`SYNC`).
    AtOnce,
    /// Background steps ([`FreeList::step`]; `ASYNC`).
    InSteps,
}

/// Unreferenced tables and large values, freed in steps.
#[derive(Default)]
pub struct FreeList {
    tables: Mutex<VecDeque<Entries>>,
    /// Each with its size when it was added.
    values: Mutex<VecDeque<(HeapValue, u64)>>,
    pending: AtomicU64,
    value_bytes: AtomicU64,
}

impl FreeList {
    /// Adds a table.
    pub fn push(&self, table: Entries) {
        if !table.is_empty() {
            self.pending.fetch_add(table.len() as u64, Ordering::Relaxed);
            lock(&self.tables).push_back(table);
        }
    }

    /// Adds a value.
    pub fn push_value(&self, value: HeapValue) {
        let bytes = quick_size(&value);
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.value_bytes.fetch_add(bytes, Ordering::Relaxed);
        lock(&self.values).push_back((value, bytes));
    }

    /// The size of the values that wait to be freed, in bytes; tables are not counted.
    #[inline]
    pub fn pending_bytes(&self) -> u64 {
        self.value_bytes.load(Ordering::Relaxed)
    }

    /// Entries that wait to be freed: INFO's `lazyfree_pending_objects`.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Frees about `budget` entries; returns how many; 0: the list is empty. Needs no gate.
    pub fn step(&self, budget: usize) -> u64 {
        // Not in the condition, where the lock would be held until the value is put back.
        let value = pop(&self.values);
        if let Some((mut value, bytes)) = value {
            if !value.free_step(budget) {
                lock(&self.values).push_front((value, bytes));
            } else {
                drop(value);
                self.value_bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.pending.fetch_sub(1, Ordering::Relaxed);
            }
            return 1;
        }
        let Some(mut table) = pop(&self.tables) else { return 0 };
        let before = table.len();
        let empty = table.free_step(budget);
        let freed = (before - table.len()) as u64;
        if !empty {
            lock(&self.tables).push_front(table);
        }
        self.pending.fetch_sub(freed, Ordering::Relaxed);
        // Empty buckets count as progress: only an empty list returns 0.
        freed.max(1)
    }
}

/// Takes the first of a list, and frees the memory of a long one when it is empty.
fn pop<T>(list: &Mutex<VecDeque<T>>) -> Option<T> {
    /// Items for which an empty list keeps memory.
    const KEPT: usize = 16;
    let mut list = lock(list);
    let first = list.pop_front();
    if list.is_empty() && list.capacity() > KEPT {
        *list = VecDeque::new();
    }
    first
}

/// The size of a value in bytes; that of a stream is estimated, since all its groups would have to
/// be asked.
fn quick_size(value: &HeapValue) -> u64 {
    /// Bytes of a piece of a stream, about.
    const PIECE: usize = 1024;
    let bytes = match value {
        HeapValue::Stream(stream) => stream.weight() * PIECE,
        other => other.memory_usage(),
    };
    bytes as u64
}

/// Empties databases; in the world. Marks the watchers of every key that existed, and sets the
/// counts to 0, and notes that clients are to be told. Returns how many keys there were, expired
/// ones included, which is what Redis adds to the count of changes.
///
/// FLUSHALL calls `Engine::abandon_snapshot` before this, and, if save points are configured,
/// `Engine::save_now` after it.
pub fn flush(keys: &mut Access<'_>, what: Emptied, freeing: Freeing) -> u64 {
    keys.held.release_in_world();
    let keyspace = keys.keyspace;
    let dbs = match what {
        Emptied::One(db) => db..db + 1,
        Emptied::Each | Emptied::All => 0..keyspace.databases(),
    };
    keys.effects.note_flushed();
    let mut removed = 0;
    for index in 0..SHARDS {
        removed += flush_shard(keyspace, index, dbs.clone(), what, freeing);
        dbs.clone().for_each(|db| wake_waiters(keys, index, db));
    }
    removed
}

/// Has those who wait for keys of a database look at them again.
fn wake_waiters(keys: &mut Access<'_>, index: usize, db: u32) {
    let shard = keys.keyspace.lock(index);
    if let Some(waiters) = shard.waiters() {
        keys.ready.extend(waiters.keys(db).map(|key| (db, key.into())));
    }
}

/// Empties every database outside of a command, moving the tables to the free list; in the world.
/// The caller has cancelled a snapshot under way. Returns how many keys there were.
pub fn empty_keyspace(keyspace: &Keyspace) -> u64 {
    empty_all(keyspace, Emptied::All)
}

/// As [`empty_keyspace`], but a snapshot under way continues.
pub fn empty_beside_snapshot(keyspace: &Keyspace) -> u64 {
    empty_all(keyspace, Emptied::Each)
}

fn empty_all(keyspace: &Keyspace, what: Emptied) -> u64 {
    let dbs = 0..keyspace.databases();
    let flush = |index| flush_shard(keyspace, index, dbs.clone(), what, Freeing::InSteps);
    (0..SHARDS).map(flush).sum()
}

/// Replaces the tables by those of `new`, which was made [`beside`](Keyspace::beside) this
/// keyspace, and moves the old ones to the free list; in the world. The caller has cancelled a
/// snapshot under way.
pub fn replace_keyspace(keyspace: &Keyspace, new: &Keyspace) {
    keyspace.fence().raise(new.fence().last());
    for index in 0..SHARDS {
        let mut from = new.lock(index);
        let mut shard = keyspace.lock(index);
        shard.forget_cached(keyspace.cached());
        for db in 0..from.db_count().max(shard.db_count()) {
            if from.db(db).is_none() && shard.db(db).is_none() {
                continue;
            }
            let DbShard { table, account, .. } = from.take_db(db);
            let holds = |key: &[u8]| {
                let key = keyspace.key(key);
                table.find(key.hash, key.bytes).is_some()
            };
            shard.touch_all(db, |shard, key| shard.holds(db, keyspace.key(key)) || holds(key));
            keyspace.add_bytes(db, account.as_deref());
            let old = shard.replace_db(db, table, account);
            keyspace.forget_bytes(db, old.account.as_deref());
            keyspace.publish_counts(0, (db, index), shard.db_mut(db));
            keyspace.free_list().push(old.table);
        }
        shard.drop_unused();
    }
    keyspace.count_again();
}

fn flush_shard(
    keyspace: &Keyspace,
    index: usize,
    dbs: Range<u32>,
    what: Emptied,
    freeing: Freeing,
) -> u64 {
    let mut shard = keyspace.lock(index);
    // Of all databases: clients are told that all keys may have changed.
    shard.forget_cached(keyspace.cached());
    let mut removed = 0;
    for db in dbs.start..dbs.end.min(shard.db_count()) {
        if shard.db(db).is_none() {
            continue;
        }
        let holds = |shard: &Shard, key: &[u8]| shard.holds(db, keyspace.key(key));
        shard.touch_all(db, holds);
        let DbShard { table, walk, account } = shard.take_db(db);
        removed += table.len() as u64;
        keyspace.forget_bytes(db, account.as_deref());
        keyspace.publish_counts(0, (db, index), shard.db_mut(db));
        match walk {
            Some(walk) if what != Emptied::All => {
                let hook = Arc::clone(&walk.hook);
                hook.take_over(DbShard { table, walk: Some(walk), account: None });
            }
            _ if freeing == Freeing::AtOnce => drop(table),
            _ => keyspace.free_list().push(table),
        }
    }
    shard.drop_unused();
    removed
}

/// Exchanges two databases, snapshot walks included; in the world. Marks the watchers of keys that
/// exist on either side, except those that have expired.
pub fn swap(keys: &mut Access<'_>, a: u32, b: u32) {
    if a == b {
        return;
    }
    keys.held.release_in_world();
    let (keyspace, now_ms) = (keys.keyspace, keys.now_ms);
    for index in 0..SHARDS {
        let mut shard = keyspace.lock(index);
        if a.min(b) >= shard.db_count() {
            continue;
        }
        for (db, other) in [(a, b), (b, a)] {
            shard.touch_all(db, |shard, key| {
                let key = keyspace.key(key);
                shard.holds(db, key) || shard.holds_alive(other, key, now_ms)
            });
        }
        for (db, other) in [(a, b), (b, a)] {
            let account = shard.db(other).and_then(|part| part.account.as_deref());
            keyspace.add_bytes(db, account);
            keyspace.forget_bytes(other, account);
        }
        shard.swap(a, b);
        for db in [a, b] {
            keyspace.publish_counts(0, (db, index), shard.db_mut(db));
        }
        shard.drop_unused();
        drop(shard);
        [a, b].into_iter().for_each(|db| wake_waiters(keys, index, db));
    }
}
