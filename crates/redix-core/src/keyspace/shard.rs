//! One shard: its part of every database, behind one lock.
//!
//! **Invariants.** A shard is accessed only under its lock. The first write to it sets `changing`,
//! unlocking clears it: if a panic unwinds through the guard while it is set, the process ends with
//! a crash report, since a half-changed shard must be neither served nor persisted. While a
//! snapshot is under way, an entry of the cut that lies at or after the walk's position and is not
//! *done* is passed to the [`PreWrite`] hook before it changes.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use redix_types::entry::{EntryBox, EntryRef};
use redix_types::table::{Pos, Table, order};

use super::Key;
use super::account::Account;
use super::cached::{CachedKeys, CachedTotals, Cachers};
use super::waiters::{KeyInterest, Queue, Waiters};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, SpinGuard};

/// The table of one database in one shard.
pub type Entries = Table<EntryBox>;

/// Receives entries as they were at the cut, just before they change.
pub trait PreWrite: Send + Sync {
    /// `db` is the number that the database had at the cut. Must neither wait nor lock a shard.
    fn save(&self, db: u32, entry: EntryRef<'_>);

    /// Receives a table that leaves the keyspace before the snapshot has walked it completely; its
    /// `walk` is set. Must neither wait nor lock a shard.
    fn take_over(&self, part: DbShard);
}

/// The state of the snapshot's walk of one (database, shard) table.
#[derive(Clone)]
pub struct Walk {
    /// The number of the database at the cut.
    pub db_at_cut: u32,
    /// All entries before this position in hash order have been saved.
    pub position: u64,
    /// The hook that receives pre-images.
    pub hook: Arc<dyn PreWrite>,
}

/// A database's part in a shard.
#[derive(Default)]
pub struct DbShard {
    /// The entries.
    pub table: Entries,
    /// Present while a snapshot has yet to finish this table.
    pub walk: Option<Box<Walk>>,
    /// Present while bytes are counted.
    pub(super) account: Option<Box<Account>>,
}

/// A session's flag that a watched key has changed.
#[derive(Debug)]
pub struct WatchFlag {
    changed: AtomicBool,
    /// Flags of the client, and the bit among them that shows the change to other threads.
    shown: (Arc<AtomicU32>, u32),
}

impl WatchFlag {
    /// A flag that also sets this bit of these flags.
    pub fn new(flags: Arc<AtomicU32>, bit: u32) -> Self {
        Self { changed: AtomicBool::new(false), shown: (flags, bit) }
    }
    /// A flag that is visible only to its owner.
    pub fn unseen() -> Self {
        Self::new(Arc::default(), 0)
    }
    /// Makes the session's next EXEC fail.
    pub fn set(&self) {
        self.changed.store(true, Ordering::Release);
        self.shown.0.fetch_or(self.shown.1, Ordering::Relaxed);
    }
    /// Whether a watched key has changed.
    pub fn is_set(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }
}

type Watchers = HashMap<(u32, Box<[u8]>), Vec<std::sync::Weak<WatchFlag>>, FixedState>;

/// The hasher of the watcher map: keys are spread over shards by a keyed hash already, and the map
/// is only as large as the number of watched keys.
#[derive(Clone, Copy, Default)]
pub struct FixedState;

impl std::hash::BuildHasher for FixedState {
    type Hasher = std::collections::hash_map::DefaultHasher;
    fn build_hasher(&self) -> Self::Hasher {
        std::collections::hash_map::DefaultHasher::new()
    }
}

/// What the lock of one shard protects.
pub struct Shard {
    changing: bool,
    /// New tables get accounts.
    accounts: bool,
    db0: DbShard,
    /// The parts of other databases that are in use, by database: most shards have one or two.
    others: Vec<(u32, DbShard)>,
    watchers: Option<Box<Watchers>>,
    cached: Option<Box<CachedKeys>>,
    waiters: Option<Box<Waiters>>,
    /// The end in the log of the last unit that changed something here; kept up only under
    /// `appendfsync always`.
    pub logged_end: u64,
}

impl Shard {
    /// A shard of `databases` empty databases. Allocates nothing until it is used.
    pub fn new() -> Self {
        Self {
            changing: false,
            accounts: false,
            db0: DbShard::default(),
            others: Vec::new(),
            watchers: None,
            cached: None,
            waiters: None,
            logged_end: 0,
        }
    }

    /// A database's part, if it was ever used.
    #[inline]
    pub fn db(&self, db: u32) -> Option<&DbShard> {
        if db == 0 {
            return Some(&self.db0);
        }
        let at = self.others.binary_search_by_key(&db, |(db, _)| *db).ok()?;
        Some(&self.others[at].1)
    }

    /// A database's part, for changing it.
    #[inline]
    pub fn db_mut(&mut self, db: u32) -> &mut DbShard {
        self.changing = true;
        if db == 0 {
            return &mut self.db0;
        }
        let at = self.others.binary_search_by_key(&db, |(db, _)| *db).unwrap_or_else(|at| {
            self.others.reserve_exact(1);
            self.others.insert(at, (db, DbShard::empty(self.accounts)));
            at
        });
        &mut self.others[at].1
    }

    /// The number behind the last database that it has a part of.
    pub fn db_count(&self) -> u32 {
        self.others.last().map_or(1, |(db, _)| db + 1)
    }

    /// Frees the parts of databases without keys here: there are many shards.
    pub fn drop_unused(&mut self) {
        self.others.retain(|(_, part)| !part.table.is_empty() || part.walk.is_some());
        self.others.shrink_to_fit();
    }

    /// Whether a database has an entry for the key, expired or not.
    pub fn holds(&self, db: u32, key: Key<'_>) -> bool {
        self.db(db).is_some_and(|part| part.table.find(key.hash, key.bytes).is_some())
    }

    /// Whether a database has an entry for the key that has not expired.
    pub fn holds_alive(&self, db: u32, key: Key<'_>, now_ms: i64) -> bool {
        let Some(part) = self.db(db) else { return false };
        let Some(pos) = part.table.find(key.hash, key.bytes) else { return false };
        part.table.get(pos).expire_at_ms().is_none_or(|at| at > now_ms)
    }

    /// Exchanges two databases.
    pub fn swap(&mut self, a: u32, b: u32) {
        let first = self.take_db(a);
        let second = std::mem::replace(self.db_mut(b), first);
        *self.db_mut(a) = second;
    }

    /// Replaces a database's part by one with these keys. `account` is what is known of them; if
    /// that is nothing and bytes are counted, they have yet to be.
    pub(super) fn replace_db(
        &mut self,
        db: u32,
        table: Entries,
        account: Option<Box<Account>>,
    ) -> DbShard {
        let mut part = DbShard::holding(table, self.accounts);
        if self.accounts && account.is_some() {
            part.account = account;
        }
        std::mem::replace(self.db_mut(db), part)
    }

    /// Takes a database's part, and leaves an empty one.
    pub fn take_db(&mut self, db: u32) -> DbShard {
        let empty = DbShard::empty(self.accounts);
        std::mem::replace(self.db_mut(db), empty)
    }

    /// Gives every part an account of which nothing is counted yet, or none.
    pub(super) fn accounts(&mut self, wanted: bool) {
        self.accounts = wanted;
        let others = self.others.iter_mut().map(|(_, part)| part);
        for part in std::iter::once(&mut self.db0).chain(others) {
            part.account = wanted.then(|| Box::new(Account::of(&part.table)));
        }
    }

    /// Whether clients are blocked on keys of this shard.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        self.waiters.is_some()
    }

    /// The clients blocked on keys of this shard.
    pub fn waiters(&self) -> Option<&Waiters> {
        self.waiters.as_deref()
    }

    /// Registers a client that blocks on a key.
    pub fn wait(&mut self, db: u32, key: &[u8], interest: Arc<dyn KeyInterest>) {
        self.waiters.get_or_insert_default().push(db, key, interest);
    }

    /// Takes the queue of clients blocked on a key.
    pub fn take_waiters(&mut self, db: u32, key: &[u8]) -> Option<Queue> {
        let waiters = self.waiters.as_mut()?;
        let queue = waiters.take(db, key);
        if waiters.is_empty() {
            self.waiters = None;
        }
        queue
    }

    /// Returns the queue of those that could not be served.
    pub fn put_back_waiters(&mut self, db: u32, key: &[u8], queue: Queue) {
        self.waiters.get_or_insert_default().put_back(db, key, queue);
    }

    /// Whether clients may have cached keys of this shard.
    #[inline]
    pub fn has_cached(&self) -> bool {
        self.cached.is_some()
    }

    /// Lists a client with a key that it may cache, having read it.
    pub fn add_cacher(&mut self, key: &[u8], client: u64, totals: &CachedTotals) {
        self.cached.get_or_insert_default().add(key, client, totals);
    }

    /// Takes the clients that may have cached a key.
    pub fn take_cachers(&mut self, key: &[u8], totals: &CachedTotals) -> Cachers {
        let Some(cached) = self.cached.as_mut() else { return Cachers::new() };
        let cachers = cached.take(key, totals);
        self.drop_if_uncached();
        cachers
    }

    /// Takes some key that clients may have cached, with the clients.
    pub fn take_any_cached(&mut self, totals: &CachedTotals) -> Option<(Box<[u8]>, Cachers)> {
        let taken = self.cached.as_mut()?.take_any(totals);
        self.drop_if_uncached();
        taken
    }

    /// Forgets all keys that clients may have cached.
    pub fn forget_cached(&mut self, totals: &CachedTotals) {
        if let Some(mut cached) = self.cached.take() {
            cached.clear(totals);
        }
    }

    fn drop_if_uncached(&mut self) {
        if self.cached.as_ref().is_some_and(|cached| cached.is_empty()) {
            self.cached = None;
        }
    }

    /// Registers a watch on a key.
    pub fn watch(&mut self, db: u32, key: &[u8], flag: &Arc<WatchFlag>) {
        let watchers = self.watchers.get_or_insert_default();
        let flags = watchers.entry((db, key.into())).or_default();
        flags.retain(|other| other.strong_count() > 0);
        flags.push(Arc::downgrade(flag));
        // Sessions drop their flags without unregistering; dead ones are swept when the map has
        // grown to a power of two.
        if watchers.len() >= 64 && watchers.len().is_power_of_two() {
            watchers.retain(|_, flags| {
                flags.retain(|flag| flag.strong_count() > 0);
                !flags.is_empty()
            });
        }
    }

    /// Marks the watchers of a key: it has changed.
    #[inline]
    pub fn touch(&mut self, db: u32, key: &[u8]) {
        if self.watchers.is_some() {
            self.touch_watchers(db, key);
        }
    }

    #[cold]
    fn touch_watchers(&mut self, db: u32, key: &[u8]) {
        let Some(watchers) = self.watchers.as_mut() else { return };
        if let Some(flags) = watchers.remove(&(db, Box::from(key))) {
            flags.iter().filter_map(std::sync::Weak::upgrade).for_each(|flag| flag.set());
        }
        if watchers.is_empty() {
            self.watchers = None;
        }
    }

    /// Marks the watchers of every watched key of a database for which `changed` returns true.
    pub fn touch_all(&mut self, db: u32, changed: impl Fn(&Self, &[u8]) -> bool) {
        let Some(mut watchers) = self.watchers.take() else { return };
        watchers.retain(|(watched_db, key), flags| {
            let hit = *watched_db == db && changed(self, key);
            if hit {
                flags.iter().filter_map(std::sync::Weak::upgrade).for_each(|flag| flag.set());
            }
            !hit
        });
        if !watchers.is_empty() {
            self.watchers = Some(watchers);
        }
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::new()
    }
}

impl DbShard {
    /// A part without keys, with an account or without.
    fn empty(accounts: bool) -> Self {
        Self::holding(Entries::default(), accounts)
    }

    /// A part with these keys, of which nothing is counted yet.
    fn holding(table: Entries, accounts: bool) -> Self {
        let account = accounts.then(|| Box::new(Account::of(&table)));
        Self { table, walk: None, account }
    }

    /// Passes the entry to the snapshot, if one is under way and has not saved it yet. Must be
    /// called before every change or removal of an entry.
    #[inline]
    pub fn before_write(&mut self, hash: u64, pos: Pos) {
        if self.walk.is_some() {
            self.save_pre_image(hash, pos);
        }
    }

    #[cold]
    fn save_pre_image(&mut self, hash: u64, pos: Pos) {
        let Some(walk) = &self.walk else { return };
        if order(hash) < walk.position || self.table.is_done(pos) {
            return;
        }
        walk.hook.save(walk.db_at_cut, self.table.get(pos));
        self.table.set_done(pos, true);
    }

    /// Whether an entry created now must be skipped by the snapshot under way.
    #[inline]
    pub fn born_done(&self, hash: u64) -> bool {
        self.walk.as_ref().is_some_and(|walk| order(hash) >= walk.position)
    }
}

/// The held lock of a shard.
pub struct ShardGuard<'a>(SpinGuard<'a, Shard>);

impl<'a> ShardGuard<'a> {
    pub(super) fn new(guard: SpinGuard<'a, Shard>) -> Self {
        Self(guard)
    }
}

impl Deref for ShardGuard<'_> {
    type Target = Shard;
    #[inline]
    fn deref(&self) -> &Shard {
        &self.0
    }
}

impl DerefMut for ShardGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.0
    }
}

impl Drop for ShardGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.changing {
            if std::thread::panicking() {
                crash();
            }
            self.0.changing = false;
        }
    }
}

/// Aborts the process: a shard was left half changed.
#[cold]
fn crash() -> ! {
    eprintln!("=== REDIX CRASH REPORT: a panic left a shard half changed; see the log above ===");
    std::process::abort()
}
