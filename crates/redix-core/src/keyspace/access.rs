//! The locked view of the keyspace that handlers work on.
//!
//! The dispatcher has taken the locks of the command's plan; a handler only names keys. The access
//! path is the same for every kind of plan: [`Held::shard`] finds the held lock, or takes it where
//! the plan allows (in the world, or one at a time for commands that walk the keyspace).
//!
//! **Invariants.** An expired key is never visible, except to a primary's stream: an access deletes
//! it (and logs a `DEL`), or hides it where deletion is left to another. Every change goes through
//! [`Access`], which calls the snapshot's hook first, publishes the counts, marks watchers and
//! counts the change.

mod changed;
mod evict;
mod relocate;
mod scan;
mod shortage;
mod sweep;

pub use scan::KeyList;
pub use shortage::Shortage;
pub use sweep::{Found, Swept, SweptFields};

use std::collections::VecDeque;

use redix_types::entry::{EntryBox, EntryRef, HeapValue, Kind, Value};
use redix_types::table::Pos;

use super::shard::{Shard, ShardGuard};
use super::waiters::Waiters;
use super::{Key, Keyspace};
use crate::effects::{Effects, class};
use crate::error::ReplyError;
use crate::stats::Cell;
use changed::{Origin, changed};

/// Which locks a unit may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldKind {
    /// Exactly those of the plan, taken before the handler runs.
    Plan,
    /// One at a time, as the handler asks.
    Walk,
    /// Any, kept until the end of the unit: nothing else runs.
    World,
}

/// The shard locks that a unit holds.
pub struct Held<'k> {
    keyspace: &'k Keyspace,
    kind: HeldKind,
    /// The lock of a plan of one shard, or the current one of a walk.
    one: Option<(usize, ShardGuard<'k>)>,
    /// All other locks, ascending.
    many: Vec<(usize, ShardGuard<'k>)>,
}

impl<'k> Held<'k> {
    /// Holds no lock.
    pub fn nothing(keyspace: &'k Keyspace) -> Self {
        Self { keyspace, kind: HeldKind::Plan, one: None, many: Vec::new() }
    }

    /// Takes the locks of `shards`, which must be ascending and unique. Nothing may be held.
    pub fn lock_plan(&mut self, shards: &[usize]) {
        debug_assert!(self.one.is_none() && self.many.is_empty());
        self.kind = HeldKind::Plan;
        for &shard in shards {
            debug_assert!(self.many.last().is_none_or(|(last, _)| *last < shard));
            self.many.push((shard, self.keyspace.lock(shard)));
        }
    }

    /// Takes one lock; keeps it if it is the one held already.
    #[inline(always)]
    pub fn lock_one(&mut self, shard: usize) {
        self.kind = HeldKind::Plan;
        if self.one.as_ref().is_some_and(|(held, _)| *held == shard) {
            return;
        }
        if !self.many.is_empty() {
            self.many.clear();
        }
        // The old lock is released before the new one is taken.
        self.one = None;
        self.one = Some((shard, self.keyspace.lock(shard)));
    }

    /// Allows the handler to take one lock after another.
    pub fn allow_walk(&mut self) {
        self.kind = HeldKind::Walk;
    }

    /// Allows the handler to take any locks; the caller holds the world.
    pub fn allow_all(&mut self) {
        self.kind = HeldKind::World;
    }

    /// Releases every lock within a unit that holds the world, so that other code can take them.
    pub fn release_in_world(&mut self) {
        assert_eq!(self.kind, HeldKind::World, "only the world may let go of locks and go on");
        self.one = None;
        self.many.clear();
    }

    /// Releases every lock.
    #[inline]
    pub fn release(&mut self) {
        self.one = None;
        self.many.clear();
        self.kind = HeldKind::Plan;
    }

    /// Whether a shard whose lock is held has blocked clients.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        self.one.as_ref().is_some_and(|(_, shard)| shard.has_waiters())
            || self.many.iter().any(|(_, shard)| shard.has_waiters())
    }

    /// Whether a client blocked in a held shard needs other keys to be served.
    #[cold]
    pub fn waiters_need_other_keys(&self) -> bool {
        let held = self.one.iter().chain(&self.many);
        held.filter_map(|(_, shard)| shard.waiters()).any(Waiters::need_other_keys)
    }

    /// Records the end of the log behind a unit that may have changed the held shards; false if it
    /// may have changed others too.
    pub fn note_logged(&mut self, end: u64) -> bool {
        let held = self.one.iter_mut().chain(&mut self.many);
        held.for_each(|(_, shard)| shard.logged_end = end);
        self.kind == HeldKind::Plan
    }

    /// The end of the last unit that changed the held shards; `None` if others may have been read.
    pub fn logged_end(&self) -> Option<u64> {
        let held = self.one.iter().chain(&self.many);
        let end = held.map(|(_, shard)| shard.logged_end).max().unwrap_or(0);
        (self.kind == HeldKind::Plan).then_some(end)
    }

    /// A shard, under its lock.
    #[inline]
    pub fn shard(&mut self, index: usize) -> &mut Shard {
        match &mut self.one {
            // Tested again below: a borrow that is returned from one arm would last through all
            // arms.
            Some((held, _)) if *held == index => {}
            _ => return self.find_shard(index),
        }
        &mut self.one.as_mut().expect("it was just seen").1
    }

    /// A shard whose lock is held, for shared access.
    fn held_shard(&self, index: usize) -> Option<&Shard> {
        if let Some((held, shard)) = &self.one
            && *held == index
        {
            return Some(shard);
        }
        let at = self.many.binary_search_by_key(&index, |(held, _)| *held).ok()?;
        Some(&self.many[at].1)
    }

    fn find_shard(&mut self, index: usize) -> &mut Shard {
        match (self.many.binary_search_by_key(&index, |(held, _)| *held), self.kind) {
            (Ok(at), _) => &mut self.many[at].1,
            (Err(_), HeldKind::Plan) => {
                panic!("shard {index} is not in the plan of the command under way")
            }
            (Err(_), HeldKind::Walk) => {
                self.one = None;
                &mut self.one.insert((index, self.keyspace.lock(index))).1
            }
            (Err(at), HeldKind::World) => {
                self.many.insert(at, (index, self.keyspace.lock(index)));
                &mut self.many[at].1
            }
        }
    }
}

/// How an expired key is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Delete it.
    Delete,
    /// Delete it: on a replica, a key that its own clients wrote and its primary does not know.
    DeleteWritable,
    /// Treat it as missing; the primary or a later sweep deletes it.
    Hide,
    /// Treat it as if it were still to come: what is done was decided elsewhere, at the primary or
    /// at the source of an import.
    Ignore,
}

/// The parameters of LRU and LFU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ageing {
    /// Whether `maxmemory-policy` is one of the LFU kinds.
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`, in minutes.
    pub lfu_decay_minutes: u32,
}

/// The 24-bit access clock: seconds for LRU.
pub const LRU_MASK: u32 = 0x00ff_ffff;
/// Where a new key's LFU counter starts. Source: Redis 7.0, `lfu-log-factor` in its documentation.
pub const LFU_INIT: u32 = 5;

/// Values with a greater [`weight`](HeapValue::weight) are not freed under a shard's lock: freeing
/// so many allocations takes some microseconds. Source of the number: Redis, `LAZYFREE_THRESHOLD`.
const BURIED_WEIGHT_MIN: usize = 64;

/// How a written value treats the key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// Keep what the key has.
    Keep,
    /// Remove it.
    Clear,
    /// Expire at this Unix time in milliseconds.
    At(i64),
}

/// The locked view of one unit.
pub struct Access<'k> {
    /// The keyspace.
    pub keyspace: &'k Keyspace,
    /// The row of this thread in the ledger.
    pub thread: usize,
    /// The locks held.
    pub held: Held<'k>,
    /// The effects of the unit so far.
    pub effects: Effects,
    /// Counters of this thread.
    pub cell: &'k Cell,
    /// The selected database.
    pub db: u32,
    /// Unix time in milliseconds, frozen for the command.
    pub now_ms: i64,
    /// Whether a read updates a key's LRU or LFU field (not under `CLIENT NO-TOUCH`).
    pub touch: bool,
    /// The parameters of LRU and LFU.
    pub ageing: Ageing,
    /// How expired keys are treated.
    pub expiry: Expiry,
    /// The command that logs the deletion of an expired key: `DEL`, or `UNLINK` under
    /// `lazyfree-lazy-expire`.
    pub expired_as: &'static [u8],
    /// A cheap pseudo-random state for sampling and LFU.
    pub rng: u64,
    /// Keys that were created while clients are blocked on them.
    pub ready: Ready,
    /// Whether the list of keys that clients may have cached has grown, so that it may be over its
    /// limit.
    pub cached_grew: bool,
    /// Which limit of memory was exceeded before the command began, where nothing could be freed.
    pub shortage: Shortage,
    /// The database of the client, if it has a limit, and its bytes then.
    pub admitted: Option<(u32, u64)>,
    /// Bytes that the limit of the user left then; the greatest number: there is none.
    pub user_room: u64,
    /// The database whose limit has refused the command while it ran, if it is another.
    pub refused_in: Option<u32>,
}

/// Keys that were created while clients are blocked on them, in order: served at the end of the
/// unit.
pub type Ready = VecDeque<(u32, Box<[u8]>)>;

/// The outcome of an edit of a collection; the number is added to `rdb_changes_since_last_save`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// Nothing: the value is as it was.
    Nothing,
    /// It has changed.
    Changed(u64),
    /// It has lost its last element: the key is deleted.
    Emptied(u64),
}

/// What an edit does where the key does not exist.
#[derive(Debug, Clone)]
pub enum Missing<'v> {
    /// Nothing.
    Skip,
    /// Creates the key with this empty value.
    Create(Value<'v>),
    /// The same with a large one, which is made only if need be.
    Build(fn() -> HeapValue),
}

impl<'k> Access<'k> {
    /// A key of the keyspace.
    #[inline]
    pub fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        self.keyspace.key(bytes)
    }

    /// A cheap pseudorandom number (xorshift), for sampling only.
    #[inline]
    pub fn random(&mut self) -> u64 {
        let mut x = self.rng | 1;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.rng = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Fields of hashes that expire at this time or before are hidden from the unit.
    #[inline]
    pub fn horizon_ms(&self) -> i64 {
        if self.expiry == Expiry::Ignore { i64::MIN } else { self.now_ms }
    }

    fn find(&mut self, key: Key<'_>) -> Option<Pos> {
        self.find_in(self.db, key)
    }

    /// Finds a key, treating an expired one by `expiry`.
    fn find_in(&mut self, db: u32, key: Key<'_>) -> Option<Pos> {
        self.find_aged(db, key).map(|(pos, _)| pos)
    }

    /// As `find_in`, with the key's LRU or LFU field.
    #[inline(always)]
    fn find_aged(&mut self, db: u32, key: Key<'_>) -> Option<(Pos, u32)> {
        #[cfg(debug_assertions)]
        super::trace::note(db, key.bytes, false);
        let shard = self.held.shard(key.shard());
        let (pos, entry) = shard.db(db)?.table.find_item(key.hash, key.bytes)?;
        match entry.expire_at_ms() {
            Some(at) if at <= self.now_ms && self.expiry != Expiry::Ignore => {
                self.expire(db, key, pos);
                None
            }
            _ => Some((pos, entry.lru())),
        }
    }

    #[cold]
    fn expire(&mut self, db: u32, key: Key<'_>, pos: Pos) {
        if !matches!(self.expiry, Expiry::Delete | Expiry::DeleteWritable) {
            return;
        }
        let entry = self.remove_by(Origin::Nobody, db, key, pos);
        self.bury(entry.into_heap());
        self.cell.expired_keys.bump();
        self.effects.log_also(db, &[self.expired_as, key.bytes]);
        self.effects.notify(class::EXPIRED, "expired", db, key.bytes);
    }

    fn remove_at(&mut self, db: u32, key: Key<'_>, pos: Pos) -> EntryBox {
        self.remove_by(Origin::Author, db, key, pos)
    }

    fn remove_by(&mut self, origin: Origin, db: u32, key: Key<'_>, pos: Pos) -> EntryBox {
        let index = key.shard();
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        part.before_write(key.hash, pos);
        let entry = part.table.remove(pos);
        part.note_loss(key.hash, entry.as_ref());
        let is_empty = part.table.is_empty();
        self.keyspace.publish_counts(self.thread, (db, index), part);
        if is_empty {
            shard.drop_unused();
        }
        changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), origin);
        // Who reads for a group of a stream is told that it is gone.
        if entry.as_ref().kind() == Kind::Stream && shard.has_waiters() {
            self.ready.push_back((db, key.bytes.into()));
        }
        entry
    }

    #[inline]
    fn get(&mut self, db: u32, key: Key<'_>, pos: Pos) -> EntryRef<'_> {
        let shard = self.held.shard(key.shard());
        shard.db(db).expect("a position was found in it").table.get(pos)
    }

    /// Looks a key up for a read command: counts a hit or miss, updates its LRU or LFU field.
    #[inline]
    pub fn lookup_read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let Some((pos, age)) = self.find_aged(self.db, key) else {
            self.cell.keyspace_misses.bump();
            self.effects.notify(class::MISS, "keymiss", self.db, key.bytes);
            return None;
        };
        self.cell.keyspace_hits.bump();
        if self.touch {
            self.refresh(key, pos, age);
        }
        Some(self.get(self.db, key, pos))
    }

    /// Looks a key up without side effects on statistics or its LRU or LFU field.
    pub fn peek(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.peek_in(self.db, key)
    }

    /// As [`Access::peek`], in another database.
    pub fn peek_in(&mut self, db: u32, key: Key<'_>) -> Option<EntryRef<'_>> {
        let pos = self.find_in(db, key)?;
        Some(self.get(db, key, pos))
    }

    /// A key that this command has looked up before, by shared reference and without side effects.
    pub fn view(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.view_in(self.db, key)
    }

    /// As [`Access::view`], in another database. An expired key is invisible but not deleted.
    pub fn view_in(&self, db: u32, key: Key<'_>) -> Option<EntryRef<'_>> {
        #[cfg(debug_assertions)]
        super::trace::note(db, key.bytes, false);
        let part = self.held.held_shard(key.shard())?.db(db)?;
        let (_, entry) = part.table.find_item(key.hash, key.bytes)?;
        let is_over = entry.expire_at_ms().is_some_and(|at| at <= self.now_ms);
        (!is_over || self.expiry == Expiry::Ignore).then_some(entry)
    }

    /// As [`Access::lookup_read`], for a value of a given type. Errors: WRONGTYPE.
    #[inline(always)]
    pub fn lookup_kind(
        &mut self,
        key: Key<'_>,
        kind: Kind,
    ) -> Result<Option<EntryRef<'_>>, ReplyError> {
        match self.lookup_read(key) {
            Some(entry) if entry.kind() != kind => Err(ReplyError::WrongType),
            found => Ok(found),
        }
    }

    /// Looks up a value of a given type on behalf of a write: updates its LRU or LFU field, counts
    /// no hit. Errors: WRONGTYPE.
    #[inline]
    pub fn lookup_write(
        &mut self,
        key: Key<'_>,
        kind: Kind,
    ) -> Result<Option<EntryRef<'_>>, ReplyError> {
        let Some((pos, age)) = self.find_aged(self.db, key) else { return Ok(None) };
        if self.touch {
            self.refresh(key, pos, age);
        }
        let entry = self.get(self.db, key, pos);
        if entry.kind() == kind { Ok(Some(entry)) } else { Err(ReplyError::WrongType) }
    }

    /// Whether the key exists.
    pub fn exists(&mut self, key: Key<'_>) -> bool {
        self.find(key).is_some()
    }

    /// Updates a key's LRU or LFU field as a read does; false if the key does not exist.
    pub fn touch_key(&mut self, key: Key<'_>) -> bool {
        let found = self.find_aged(self.db, key);
        if let Some((pos, age)) = found {
            self.refresh(key, pos, age);
        }
        found.is_some()
    }

    /// Updates the LRU or LFU field of a key that is used, if it differs.
    #[inline]
    fn refresh(&mut self, key: Key<'_>, pos: Pos, age: u32) {
        let new = self.next_age(age);
        if new != age {
            self.set_age(key, pos, new);
        }
    }

    fn set_age(&mut self, key: Key<'_>, pos: Pos, age: u32) {
        // Access statistics are not data: a snapshot may have the older or the newer ones.
        let part = self.held.shard(key.shard()).db_mut(self.db);
        part.table.modify(pos, |entry| entry.set_lru(age));
    }

    /// The next LRU or LFU field of a key that is used.
    #[inline]
    fn next_age(&mut self, old: u32) -> u32 {
        if self.ageing.lfu { self.next_lfu_age(old) } else { self.lru_clock() }
    }

    fn next_lfu_age(&mut self, old: u32) -> u32 {
        let counter = lfu_decay(old, self.now_ms, self.ageing.lfu_decay_minutes);
        let random = (self.random() >> 11) as f64 / (1u64 << 53) as f64;
        (lfu_minutes(self.now_ms) << 8) | lfu_increment(counter, random, self.ageing.lfu_log_factor)
    }

    /// The LRU or LFU field of a new key.
    #[inline]
    pub fn new_age(&self) -> u32 {
        if self.ageing.lfu { (lfu_minutes(self.now_ms) << 8) | LFU_INIT } else { self.lru_clock() }
    }

    /// The LRU clock: seconds, 24 bits.
    #[inline]
    pub fn lru_clock(&self) -> u32 {
        (self.now_ms / 1000) as u32 & LRU_MASK
    }

    /// Sets a key to a value, whatever it held before.
    #[inline]
    pub fn set(&mut self, key: Key<'_>, value: Value<'_>, ttl: Ttl) {
        let pos = self.find_aged(self.db, key).map(|(pos, _)| pos);
        self.set_found(key, pos, value, ttl);
    }

    fn set_found(&mut self, key: Key<'_>, pos: Option<Pos>, value: Value<'_>, ttl: Ttl) {
        let (db, age, index) = (self.db, self.new_age(), key.shard());
        let mut freed = None;
        let shard = self.held.shard(index);
        if shard.has_waiters() && (value.kind() != Kind::String || pos.is_some()) {
            self.ready.push_back((db, key.bytes.into()));
        }
        let part = shard.db_mut(db);
        match pos {
            Some(pos) => {
                part.before_write(key.hash, pos);
                let weight = part.weigh(key.hash, pos);
                let old = part.table.modify(pos, |entry| {
                    // The expiry first: with both changing, only one of them may need to reallocate
                    // the entry.
                    match ttl {
                        Ttl::Keep => {}
                        Ttl::Clear if !entry.as_ref().has_expiry() => {}
                        Ttl::Clear => entry.set_expire_at_ms(None),
                        Ttl::At(at) => entry.set_expire_at_ms(Some(at)),
                    }
                    let old = entry.replace_value(value);
                    entry.set_lru(age);
                    old
                });
                part.note_change(weight, pos);
                if old.is_some() {
                    freed = old;
                }
            }
            None => {
                let expire_at_ms = match ttl {
                    Ttl::At(at) => Some(at),
                    Ttl::Keep | Ttl::Clear => None,
                };
                let entry = EntryBox::new(key.bytes, value, expire_at_ms, age);
                let done = part.born_done(key.hash);
                part.note_gain(key.hash, entry.as_ref());
                part.table.insert_new(key.hash, entry, done, self.keyspace.hasher());
                self.effects.notify(class::NEW, "new", db, key.bytes);
            }
        }
        self.keyspace.publish_counts(self.thread, (db, index), part);
        changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), Origin::Author);
        self.effects.add_dirty(1);
        if freed.is_some() {
            self.bury(freed);
        }
    }

    /// Frees a value: at once if that is quick, else in the background.
    pub fn bury(&mut self, value: Option<Box<HeapValue>>) {
        let Some(value) = value else { return };
        self.effects.note_long();
        if value.weight() > BURIED_WEIGHT_MIN {
            self.keyspace.free_list().push_value(*value);
        }
    }

    /// Changes an existing entry in place; `None` if there is none. Counts one change.
    pub fn modify<R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut EntryBox) -> R,
    ) -> Option<R> {
        let pos = self.find(key)?;
        let (db, index) = (self.db, key.shard());
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        part.before_write(key.hash, pos);
        let weight = part.weigh(key.hash, pos);
        let result = part.table.modify(pos, change);
        part.note_change(weight, pos);
        self.keyspace.publish_counts(self.thread, (db, index), part);
        changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), Origin::Author);
        self.effects.add_dirty(1);
        Some(result)
    }

    /// Edits a collection in place, in one lookup: creates the key if `missing` says so, deletes it
    /// with its last element; counts, marks watchers and wakes blocked clients only if it has
    /// changed. `None` if there is no key. Errors: WRONGTYPE. The caller logs and notifies.
    pub fn edit<R>(
        &mut self,
        key: Key<'_>,
        kind: Kind,
        missing: Missing<'_>,
        change: impl FnOnce(&mut EntryBox) -> (R, Edited),
    ) -> Result<Option<R>, ReplyError> {
        let Some((pos, age)) = self.find_aged(self.db, key) else {
            let empty = match missing {
                Missing::Skip => return Ok(None),
                Missing::Create(empty) => empty,
                Missing::Build(build) => Value::Heap(build()),
            };
            return Ok(Some(self.create(key, empty, change)));
        };
        let age = if self.touch { self.next_age(age) } else { age };
        let (db, index) = (self.db, key.shard());
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        if part.table.get(pos).kind() != kind {
            return Err(ReplyError::WrongType);
        }
        part.before_write(key.hash, pos);
        let weight = part.weigh(key.hash, pos);
        let nested = part.table.nested_len();
        let (result, edited) = part.table.modify(pos, |entry| {
            entry.set_lru(age);
            change(entry)
        });
        part.note_change(weight, pos);
        if part.table.nested_len() != nested || part.is_accounted() {
            self.keyspace.publish_counts(self.thread, (db, index), part);
        }
        match edited {
            Edited::Nothing => {}
            Edited::Changed(changes) => {
                changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), Origin::Author);
                self.effects.add_dirty(changes);
                // Who waits for a stream waits for it to change, and one may wait for a list to
                // grow.
                if matches!(kind, Kind::Stream | Kind::List) && shard.has_waiters() {
                    self.ready.push_back((db, key.bytes.into()));
                }
            }
            Edited::Emptied(changes) => {
                let entry = self.remove_at(db, key, pos);
                self.bury(entry.into_heap());
                self.effects.add_dirty(changes);
            }
        }
        Ok(Some(result))
    }

    /// Creates a collection by applying `change` to an empty value; no key if it stays empty.
    fn create<R>(
        &mut self,
        key: Key<'_>,
        empty: Value<'_>,
        change: impl FnOnce(&mut EntryBox) -> (R, Edited),
    ) -> R {
        let mut entry = EntryBox::new(key.bytes, empty, None, self.new_age());
        let (result, edited) = change(&mut entry);
        if let Edited::Changed(changes) = edited {
            self.insert_in(self.db, entry);
            self.effects.add_dirty(changes);
        }
        result
    }

    /// Lists a client with a key that it may cache, having read it.
    pub fn note_cacher(&mut self, key: Key<'_>, client: u64) {
        let totals = self.keyspace.cached();
        self.held.shard(key.shard()).add_cacher(key.bytes, client, totals);
        self.cached_grew = true;
    }

    /// Whether the unit has created keys that clients are blocked on.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the next such key, with its database.
    pub fn next_ready(&mut self) -> Option<(u32, Box<[u8]>)> {
        self.ready.pop_front()
    }

    /// As [`Access::modify`], for a change that may fail: it must then leave the entry as it was,
    /// and nothing is counted.
    pub fn try_modify<R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut EntryBox) -> Result<R, ReplyError>,
    ) -> Result<Option<R>, ReplyError> {
        let Some(pos) = self.find(key) else { return Ok(None) };
        let (db, index) = (self.db, key.shard());
        let shard = self.held.shard(index);
        let part = shard.db_mut(db);
        part.before_write(key.hash, pos);
        let weight = part.weigh(key.hash, pos);
        let result = part.table.modify(pos, change)?;
        part.note_change(weight, pos);
        self.keyspace.publish_counts(self.thread, (db, index), part);
        changed(shard, self.keyspace, &mut self.effects, (db, key.bytes), Origin::Author);
        self.effects.add_dirty(1);
        Ok(Some(result))
    }

    /// Sets or removes the expiry of an existing key; false if there is no such key.
    pub fn set_expire(&mut self, key: Key<'_>, expire_at_ms: Option<i64>) -> bool {
        self.modify(key, |entry| entry.set_expire_at_ms(expire_at_ms)).is_some()
    }

    /// Removes a key and returns what it held. Counts one change.
    pub fn take(&mut self, key: Key<'_>) -> Option<EntryBox> {
        let pos = self.find(key)?;
        self.effects.add_dirty(1);
        Some(self.remove_at(self.db, key, pos))
    }

    /// Deletes a key; false if there was none. Counts one change.
    pub fn delete(&mut self, key: Key<'_>) -> bool {
        let Some(entry) = self.take(key) else { return false };
        self.bury(entry.into_heap());
        true
    }

    /// Deletes a key because it was given an expiry in the past; false if there was none. Counts
    /// one change and announces the event `expired`; the caller logs.
    pub fn delete_expired(&mut self, key: Key<'_>) -> bool {
        let deleted = self.delete(key);
        if deleted {
            self.cell.expired_keys.bump();
            self.effects.notify(class::EXPIRED, "expired", self.db, key.bytes);
        }
        deleted
    }

    /// Whether an expired key of a database still exists, where deletion is left to another.
    pub fn is_stale(&mut self, db: u32, key: Key<'_>) -> bool {
        let Some(part) = self.held.shard(key.shard()).db(db) else { return false };
        let Some(pos) = part.table.find(key.hash, key.bytes) else { return false };
        part.table.get(pos).expire_at_ms().is_some_and(|at| at <= self.now_ms)
    }

    /// Inserts an entry, which carries its key, into database `db`, where the key must not exist.
    /// Counts no change: the caller's removal or write does.
    pub fn insert_in(&mut self, db: u32, entry: EntryBox) {
        let key = self.keyspace.key(entry.as_ref().key());
        let (hash, index) = (key.hash, key.shard());
        let shard = self.held.shard(index);
        let bytes = entry.as_ref().key();
        changed(shard, self.keyspace, &mut self.effects, (db, bytes), Origin::Author);
        if shard.has_waiters() && entry.as_ref().kind() != Kind::String {
            self.ready.push_back((db, entry.as_ref().key().into()));
        }
        let part = shard.db_mut(db);
        let done = part.born_done(hash);
        self.effects.notify(class::NEW, "new", db, entry.as_ref().key());
        part.note_gain(hash, entry.as_ref());
        part.table.insert_new(hash, entry, done, self.keyspace.hasher());
        self.keyspace.publish_counts(self.thread, (db, index), part);
    }
}

/// Minutes since the epoch in 16 bits, the time part of an LFU age.
pub fn lfu_minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}

/// The LFU counter after decay for the elapsed minutes.
pub fn lfu_decay(age: u32, now_ms: i64, decay_minutes: u32) -> u32 {
    let elapsed = lfu_minutes(now_ms).wrapping_sub(age >> 8) & 0xffff;
    let periods = elapsed.checked_div(decay_minutes).unwrap_or(0);
    (age & 0xff).saturating_sub(periods)
}

/// One logarithmic increment of an LFU counter; `random` is in `0..1`.
pub fn lfu_increment(counter: u32, random: f64, log_factor: u32) -> u32 {
    if counter >= 255 {
        return 255;
    }
    let base = f64::from(counter.saturating_sub(LFU_INIT));
    let chance = 1.0 / (base * f64::from(log_factor) + 1.0);
    if random < chance { counter + 1 } else { counter }
}
