//! How many bytes the keys of each database take, counted while a limit depends on it.
//!
//! Each (database, shard) table has an [`Account`] under its shard's lock: the sizes of its entries
//! and of the table itself. What an access changes is added when it publishes the table's counts,
//! also to the [`Ledger`], where every thread has a row of its own: nothing that threads share is
//! written. The bytes of a database are the sum over the rows. Sizes are those of
//! [`EntryRef::memory_usage`], by the allocator's classes, so that the sum can be checked against
//! the entries at any time and no error adds up.
//!
//! Without a limit there are no accounts, and an access finds a null pointer beside the table. When
//! counting begins, in the world, every table gets an account; what is there already is counted in
//! slices ([`Keyspace::count_step`]) in hash order: entries before [`Account::counted_to`] are
//! counted, and only their changes are noted.
//!
//! **Invariants.** An account's `entries` is the sum of the sizes of the counted entries, whenever
//! the shard's lock is free; the rows' sum for a database is the sum of its accounts' `published`,
//! whenever no thread is within an access. A value that waits to be freed is counted no more, nor
//! is the table of a database that was flushed.

use std::sync::OnceLock;

use redix_types::entry::EntryRef;
use redix_types::table::{Pos, order};

use super::shard::{DbShard, Entries};
use super::{Keyspace, SHARDS};
use crate::sync::Padded;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

/// Position behind every entry.
const END: u64 = u64::MAX;

/// The bytes of one (database, shard) table.
#[derive(Debug)]
pub struct Account {
    /// Entries before this position in hash order are counted.
    counted_to: u64,
    /// Bytes of the counted entries.
    entries: u64,
    /// What the ledger has been told of.
    published: u64,
}

impl Account {
    /// The account of a table of which nothing is counted yet.
    pub(super) fn of(table: &Entries) -> Self {
        let counted_to = if table.is_empty() { END } else { 0 };
        Self { counted_to, entries: 0, published: 0 }
    }

    fn counts(&self, hash: u64) -> bool {
        order(hash) < self.counted_to
    }
}

/// Bytes of an entry before a change; `None`: it is not counted.
#[derive(Debug, Clone, Copy)]
pub struct Weight(Option<u64>);

impl DbShard {
    /// The weight of the entry at a position, to be handed to [`DbShard::note_change`].
    #[inline]
    pub fn weigh(&self, hash: u64, pos: Pos) -> Weight {
        if self.account.is_none() { Weight(None) } else { self.weigh_counted(hash, pos) }
    }

    #[cold]
    fn weigh_counted(&self, hash: u64, pos: Pos) -> Weight {
        let counts = self.account.as_ref().is_some_and(|account| account.counts(hash));
        Weight(counts.then(|| self.table.get(pos).memory_usage() as u64))
    }

    /// Notes that an entry has changed, and is at this position now.
    #[inline]
    pub fn note_change(&mut self, before: Weight, pos: Pos) {
        if let Weight(Some(before)) = before {
            self.note_new_weight(before, pos);
        }
    }

    #[cold]
    fn note_new_weight(&mut self, before: u64, pos: Pos) {
        let after = self.table.get(pos).memory_usage() as u64;
        if let Some(account) = &mut self.account {
            account.entries = (account.entries + after).saturating_sub(before);
        }
    }

    /// Notes an entry that is about to be inserted.
    #[inline]
    pub fn note_gain(&mut self, hash: u64, entry: EntryRef<'_>) {
        if let Some(account) = &mut self.account
            && account.counts(hash)
        {
            account.entries += entry.memory_usage() as u64;
        }
    }

    /// Notes an entry that was removed.
    #[inline]
    pub fn note_loss(&mut self, hash: u64, entry: EntryRef<'_>) {
        if let Some(account) = &mut self.account
            && account.counts(hash)
        {
            let bytes = entry.memory_usage() as u64;
            account.entries = account.entries.saturating_sub(bytes);
        }
    }

    /// Whether its bytes are counted.
    #[inline]
    pub fn is_accounted(&self) -> bool {
        self.account.is_some()
    }

    /// Tells the ledger what has changed; called by [`Keyspace::publish_counts`].
    #[cold]
    pub(super) fn publish_bytes(&mut self, ledger: &Ledger, thread: usize, db: u32) {
        let Some(account) = &mut self.account else { return };
        let bytes = account.entries + self.table.memory_bytes() as u64;
        ledger.add(thread, db, bytes as i64 - account.published as i64);
        account.published = bytes;
    }

    /// Counts some more of its entries. Returns false if all are counted.
    fn count_slice(&mut self, budget: usize, hash: impl Fn(&[u8]) -> u64) -> bool {
        let Some(account) = &mut self.account else { return false };
        let from = account.counted_to;
        if from == END {
            return false;
        }
        let mut bytes = 0;
        let next = self.table.scan(from, budget, |entry| {
            // A merge may have put an entry that is counted into the bucket.
            if order(hash(entry.key())) >= from {
                bytes += entry.memory_usage() as u64;
            }
        });
        account.entries += bytes;
        account.counted_to = next.unwrap_or(END);
        true
    }
}

/// One thread's part of the bytes of each database, and last of all of them; of one part another
/// one may have freed more than it has seen added.
type Row = Box<[AtomicI64]>;

/// The bytes of each database.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: OnceLock<Box<[Padded<Row>]>>,
    on: AtomicBool,
    /// The shard that [`Keyspace::count_step`] is at; [`SHARDS`]: all is counted.
    counting: AtomicUsize,
}

impl Ledger {
    fn add(&self, thread: usize, db: u32, bytes: i64) {
        if bytes != 0
            && self.is_on()
            && let Some(rows) = self.rows.get()
        {
            let row = &rows[thread % rows.len()];
            row[db as usize].fetch_add(bytes, Ordering::Relaxed);
            row[row.len() - 1].fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes of the keys of a database, as far as they are counted.
    #[inline]
    pub fn bytes(&self, db: u32) -> u64 {
        self.sum(|row| &row[db as usize])
    }

    /// Bytes of the keys of all databases, as far as they are counted.
    pub fn bytes_of_all(&self) -> u64 {
        self.sum(|row| &row[row.len() - 1])
    }

    fn sum(&self, cell: impl Fn(&Row) -> &AtomicI64) -> u64 {
        let Some(rows) = self.rows.get() else { return 0 };
        let of_thread = |row: &Padded<Row>| cell(row).load(Ordering::Relaxed);
        u64::try_from(rows.iter().map(of_thread).sum::<i64>()).unwrap_or(0)
    }

    /// Whether bytes are counted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Whether keys that were there when counting began have yet to be counted.
    pub fn is_behind(&self) -> bool {
        self.is_on() && self.counting.load(Ordering::Relaxed) < SHARDS
    }
}

impl Keyspace {
    /// Begins to count the bytes of all databases, if they are not counted; in the world.
    pub fn begin_accounts(&self, threads: usize) {
        if self.ledger.is_on() {
            return;
        }
        let row = || (0..=self.databases()).map(|_| AtomicI64::new(0)).collect();
        self.ledger.rows.get_or_init(|| (0..threads.max(1)).map(|_| Padded(row())).collect());
        self.ledger.on.store(true, Ordering::Relaxed);
        let mut behind = false;
        for index in 0..SHARDS {
            let mut shard = self.lock(index);
            shard.accounts(true);
            for db in 0..shard.db_count() {
                if shard.db(db).is_some() {
                    let part = shard.db_mut(db);
                    behind |= !part.table.is_empty();
                    part.publish_bytes(&self.ledger, 0, db);
                }
            }
        }
        self.ledger.counting.store(if behind { 0 } else { SHARDS }, Ordering::Relaxed);
    }

    /// Ends it; in the world.
    pub fn end_accounts(&self) {
        if !self.ledger.is_on() {
            return;
        }
        self.ledger.on.store(false, Ordering::Relaxed);
        (0..SHARDS).for_each(|index| self.lock(index).accounts(false));
        for row in self.ledger.rows.get().into_iter().flatten() {
            row.iter().for_each(|bytes| bytes.store(0, Ordering::Relaxed));
        }
    }

    /// Counts about `budget` keys that were there when counting began, of one shard under its lock;
    /// the caller holds the gate of `thread`. Returns false if there are none left.
    pub fn count_step(&self, thread: usize, budget: usize) -> bool {
        if !self.ledger.is_behind() {
            return false;
        }
        let index = self.ledger.counting.load(Ordering::Relaxed);
        let mut shard = self.lock(index);
        for db in 0..shard.db_count() {
            if shard.db(db).is_none() {
                continue;
            }
            let part = shard.db_mut(db);
            if part.count_slice(budget, |key| self.hasher().hash(key)) {
                part.publish_bytes(&self.ledger, thread, db);
                return true;
            }
        }
        self.ledger.counting.store(index + 1, Ordering::Relaxed);
        true
    }

    /// Counts once more what may have come without an account.
    pub(super) fn count_again(&self) {
        if self.ledger.is_on() {
            self.ledger.counting.store(0, Ordering::Relaxed);
        }
    }

    /// Takes a table that leaves the keyspace out of the ledger; `account` is its own.
    pub(super) fn forget_bytes(&self, db: u32, account: Option<&Account>) {
        if let Some(account) = account {
            self.ledger.add(0, db, -(account.published as i64));
        }
    }

    /// Adds a table that has come with what its account has published elsewhere.
    pub(super) fn add_bytes(&self, db: u32, account: Option<&Account>) {
        if let Some(account) = account {
            self.ledger.add(0, db, account.published as i64);
        }
    }
}

#[cfg(test)]
mod tests;
