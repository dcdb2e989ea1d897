//! Putting decoded keys into the keyspace.

use std::path::{Path, PathBuf};

use redix_types::entry::EntryBox;
use redix_types::hash::{HashEdit, Limits};
use redix_types::stream::Idempotence;

use super::{Duplicates, Expired, LoadError, LoadOptions, Loaded, give_producers};
use crate::config::Config;
use crate::effects::Records;
use crate::keyspace::{Keyspace, shard_of};
use crate::persist::record::{Ages, entry_of};
use crate::rdb::format::{RdbError, RdbErrorKind, RdbString, RdbValue};
use crate::rdb::read::{KeyRecord, PieceReader};

/// Entries inserted together.
const GROUP: usize = 32;

/// Decides what becomes of the keys of a file, inserts them and counts.
pub(super) struct Placer {
    path: PathBuf,
    ages: Ages,
    now_ms: i64,
    how: LoadOptions,
    group: Vec<Arrival>,
    /// The totals, without the bytes.
    pub(super) loaded: Loaded,
    /// Whether deletions of what has expired are recorded.
    pub(super) records_deletions: bool,
    deletions: Records,
    deletions_bytes_max: usize,
}

/// A decoded entry that has not been inserted yet.
struct Arrival {
    db: u32,
    hash: u64,
    entry: EntryBox,
    /// The offset of the end of its record in the file.
    offset: u64,
}

impl Placer {
    /// `now_ms` decides what has expired; `path` is for errors.
    pub(super) fn new(config: &Config, now_ms: i64, path: &Path, how: LoadOptions) -> Self {
        Self {
            path: path.to_owned(),
            ages: Ages::new(config, now_ms),
            now_ms,
            how,
            group: Vec::with_capacity(GROUP),
            loaded: Loaded::default(),
            records_deletions: false,
            deletions: Records::default(),
            deletions_bytes_max: usize::try_from(config.repl_backlog_size).unwrap_or(usize::MAX),
        }
    }

    /// Another one for the same file, which has counted nothing.
    pub(super) fn fork(&self) -> Self {
        Self {
            path: self.path.clone(),
            group: Vec::with_capacity(GROUP),
            loaded: Loaded::default(),
            deletions: Records::default(),
            ..*self
        }
    }

    /// Takes over what a fork has counted and recorded.
    pub(super) fn join(&mut self, fork: &Self) {
        let Loaded { keys, expired, hashes_expired, empty, bytes: _ } = fork.loaded;
        self.loaded.keys += keys;
        self.loaded.expired += expired;
        self.loaded.hashes_expired += hashes_expired;
        self.loaded.empty += empty;
        if self.may_record() {
            self.deletions.extend(&fork.deletions);
        }
    }

    /// The deletions of what has expired; `None` if they would not fit into a backlog.
    pub(super) fn take_deletions(&mut self) -> Option<Records> {
        self.may_record().then(|| std::mem::take(&mut self.deletions))
    }

    fn may_record(&self) -> bool {
        self.deletions.bytes().len() <= self.deletions_bytes_max
    }

    fn record_deletion(&mut self, db: u32, argv: &[&[u8]]) {
        if self.records_deletions && self.may_record() {
            self.deletions.push(db, argv);
        }
    }

    /// Accepts a key, unless it has expired, with what the file has said of its producers.
    /// [`Placer::finish`] inserts the last ones.
    pub(super) fn key(
        &mut self,
        record: KeyRecord<'_>,
        producers: Option<Box<Idempotence>>,
        keyspace: &Keyspace,
    ) -> Result<(), LoadError> {
        note_lock(keyspace, &record);
        let passes_over = self.how.expired == Expired::PassOver;
        if passes_over && record.expire_at_ms.is_some_and(|at| at < self.now_ms) {
            self.loaded.expired += 1;
            self.record_deletion(record.db, &[b"DEL", record.key]);
            return Ok(());
        }
        let hash = keyspace.hasher().hash(record.key);
        keyspace.prefetch_shard(shard_of(hash));
        let (db, offset) = (record.db, record.end);
        let mut entry = entry_of(record, self.ages);
        give_producers(&mut entry, producers);
        if passes_over
            && entry.as_ref().has_expiring_fields()
            && self.drop_expired_fields(db, &mut entry, keyspace)
        {
            self.loaded.hashes_expired += 1;
            return Ok(());
        }
        self.group.push(Arrival { db, hash, entry, offset });
        if self.group.len() == GROUP { self.finish(keyspace) } else { Ok(()) }
    }

    /// Removes the fields that have expired; returns whether none are left.
    fn drop_expired_fields(&mut self, db: u32, entry: &mut EntryBox, keyspace: &Keyspace) -> bool {
        // The limits of small hashes do not matter where fields are only removed.
        let limits = Limits { entries: 0, value: 0 };
        let mut hash = HashEdit::new(entry, limits, keyspace.hasher(), self.now_ms);
        let fields: Vec<_> = std::iter::from_fn(|| hash.pop_hidden()).collect();
        let is_empty = hash.as_ref().is_empty();
        if !fields.is_empty() {
            let mut argv = vec![&b"HDEL"[..], entry.as_ref().key()];
            argv.extend(fields.iter().map(Vec::as_slice));
            self.record_deletion(db, &argv);
        }
        is_empty
    }

    /// Puts the keys of a piece into the keyspace.
    pub(super) fn piece(
        &mut self,
        reader: &mut PieceReader,
        keyspace: &Keyspace,
    ) -> Result<(), LoadError> {
        loop {
            match reader.next_key() {
                Ok(Some(record)) => self.key(record, None, keyspace)?,
                Ok(None) => return self.finish(keyspace),
                Err(source) => {
                    return Err(LoadError::Content { path: self.path.clone(), source });
                }
            }
        }
    }

    /// Inserts what has been accepted so far.
    pub(super) fn finish(&mut self, keyspace: &Keyspace) -> Result<(), LoadError> {
        for arrival in &self.group {
            let shard = keyspace.lock(shard_of(arrival.hash));
            if let Some(part) = shard.db(arrival.db) {
                part.table.prefetch_bucket(arrival.hash);
            }
        }
        let mut group = std::mem::take(&mut self.group);
        for arrival in group.drain(..) {
            self.place(keyspace, arrival)?;
        }
        self.group = group;
        Ok(())
    }

    fn place(&mut self, keyspace: &Keyspace, arrival: Arrival) -> Result<(), LoadError> {
        let Arrival { db, hash, entry, offset } = arrival;
        let index = shard_of(hash);
        let mut shard = keyspace.lock(index);
        if let Some(pos) = shard.db_mut(db).table.find(hash, entry.as_ref().key()) {
            if self.how.duplicates == Duplicates::Refuse {
                let key = Some(entry.as_ref().key().to_vec());
                let kind = RdbErrorKind::Corrupt("the key is in the file twice");
                let source = RdbError { offset, key, kind };
                return Err(LoadError::Content { path: self.path.clone(), source });
            }
            shard.touch(db, entry.as_ref().key());
            let part = shard.db_mut(db);
            part.before_write(hash, pos);
            let old = part.table.remove(pos);
            part.note_loss(hash, old.as_ref());
        }
        let part = shard.db_mut(db);
        let done = part.born_done(hash);
        part.note_gain(hash, entry.as_ref());
        part.table.insert_new(hash, entry, done, keyspace.hasher());
        keyspace.publish_counts(index, (db, index), part);
        self.loaded.keys += 1;
        Ok(())
    }
}

/// Notes the fencing token of a lock, which may be from a server that keeps no other record of it.
fn note_lock(keyspace: &Keyspace, record: &KeyRecord<'_>) {
    if let (Some(_), RdbValue::Str(RdbString::Bytes(value))) = (record.expire_at_ms, &record.value)
    {
        keyspace.fence().note(value);
    }
}
