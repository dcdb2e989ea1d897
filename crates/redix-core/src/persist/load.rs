//! Loading an RDB file into the keyspace.
//!
//! [`Loader::step`] is called repeatedly, so that the caller can serve clients, report progress and
//! pace itself between steps. Entries are decoded one by one and inserted in groups, with the
//! shards and then the buckets of a group prefetched: that hides most of the two cache misses of an
//! insertion into a large table.
//!
//! **Invariants.** The file is only read. A step takes one shard's lock at a time and holds none at
//! its end. Content that cannot be loaded is an error with path, offset, key and reason; keys
//! loaded before it stay in the keyspace, and the caller decides. An [`Inspection`] finds the same
//! errors except duplicate keys, and loads nothing.

mod inspect;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use redix_types::KeyHasher;
use redix_types::entry::EntryBox;
use redix_types::hash::{HashEdit, Limits};
use redix_types::num::parse_i64;
use redix_types::stream::Idempotence;
use redix_types::value::HeapValue;

use redix_resp::request::encode_command;

use super::aof::commands::push_entry;
use super::record::{Ages, entry_of};
use super::save::FENCE_FIELD;
use super::save::WRITE_BYTES;
use crate::config::Config;
use crate::effects::Records;
use crate::env::{DiskFile, Env};
use crate::error::ReplyError;
use crate::keyspace::{Keyspace, shard_of};
pub use crate::rdb::format::ChecksumPolicy;
use crate::rdb::format::{RdbError, RdbErrorKind, RdbString, RdbValue};
use crate::rdb::idempotence;
use crate::rdb::read::{Event, KeyRecord, RdbReader, ReadOptions};
use crate::scripting::functions::{Libraries, TRUSTED_LIMIT_NS};
pub use inspect::{Contents, Inspection};

/// Entries inserted together.
const GROUP: usize = 32;

/// How a key that exists already is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// As an error.
    Refuse,
    /// It is replaced (DEBUG RELOAD NOFLUSH MERGE).
    Replace,
}

/// How an expired key is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// Skipped and counted.
    PassOver,
    /// Loaded: its deletion is left to another (the primary).
    Keep,
}

/// How a file is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Keys that exist already.
    pub duplicates: Duplicates,
    /// Expired keys.
    pub expired: Expired,
    /// Whether the checksum is verified.
    pub checksums: ChecksumPolicy,
}

/// Why a file could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// It cannot be opened.
    Open {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Its content cannot be loaded.
    Content {
        /// Its path.
        path: PathBuf,
        /// Offset, key and error.
        source: RdbError,
    },
    /// It has more databases than are configured.
    TooManyDatabases {
        /// Its path.
        path: PathBuf,
        /// The number of databases configured.
        databases: u32,
    },
    /// It has a library of functions that cannot be loaded.
    Library {
        /// Its path.
        path: PathBuf,
        /// Why not.
        error: ReplyError,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            Self::Content { path, source } => write!(f, "cannot load {} {source}", path.display()),
            Self::TooManyDatabases { path, databases } => write!(
                f,
                "FATAL: Data file was created with a Redis server configured to handle more than \
                 {databases} databases: {}",
                path.display()
            ),
            Self::Library { path, error } => write!(
                f,
                "cannot load {}: library of functions: {}",
                path.display(),
                String::from_utf8_lossy(&error.text())
            ),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } => Some(source),
            Self::Content { source, .. } => Some(source),
            Self::TooManyDatabases { .. } | Self::Library { .. } => None,
        }
    }
}

/// The position of a file's data set in a replication stream.
#[derive(Debug, Default)]
pub struct Origin {
    /// The replication id.
    pub id: Vec<u8>,
    /// The offset: bytes of the stream that the data set contains; negative if the file does not
    /// state it.
    pub offset: i64,
    /// The database selected in the stream there.
    pub db: u32,
    /// Deletions of the expired keys that were skipped, to be appended to the log.
    pub deletions: Records,
}

/// Totals of a load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Keys put into the keyspace.
    pub keys: u64,
    /// Expired keys of the file that were skipped.
    pub expired: u64,
    /// Hashes of the file that were skipped because all of their fields had expired.
    pub hashes_expired: u64,
    /// Keys of the file passed over because their collections are empty.
    pub empty: u64,
    /// Bytes of the file consumed.
    pub bytes: u64,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadStep {
    /// There is more.
    More,
    /// More bytes must be pushed first.
    Starved,
    /// The end of the file.
    Done,
}

/// A file being loaded.
pub struct Loader {
    reader: RdbReader<'static>,
    path: PathBuf,
    file_bytes: u64,
    ages: Ages,
    now_ms: i64,
    how: LoadOptions,
    group: Vec<Arrival>,
    loaded: Loaded,
    origin: Option<Origin>,
    deletions_bytes_max: usize,
    /// The sources of libraries of functions.
    libraries: Vec<Vec<u8>>,
    /// What fields have said of the producers of the next key, which is a stream.
    producers: Option<Box<Idempotence>>,
}

/// A decoded entry that has not been inserted yet.
struct Arrival {
    db: u32,
    hash: u64,
    entry: EntryBox,
    /// The offset of the end of its record in the file.
    offset: u64,
}

impl Loader {
    /// Opens the file; `None` if there is none. `hasher` is that of the keyspace.
    pub fn open(
        env: &Env,
        config: &Config,
        hasher: KeyHasher,
        path: &Path,
        how: LoadOptions,
    ) -> Result<Option<Self>, LoadError> {
        let (source, file_bytes): (Box<dyn Read + Send>, u64) = match env.disk.open(path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoadError::Open { path: path.to_owned(), source }),
        };
        let reader = RdbReader::new(source, read_options(config, hasher, how));
        Ok(Some(Self::of(reader, env, config, (path, file_bytes), how)))
    }

    /// A loader of pushed bytes, see [`Loader::push`]; `name` stands for the path in errors.
    pub fn pushed(
        env: &Env,
        config: &Config,
        hasher: KeyHasher,
        name: &Path,
        how: LoadOptions,
    ) -> Self {
        let reader = RdbReader::pushed(read_options(config, hasher, how));
        Self::of(reader, env, config, (name, 0), how)
    }

    fn of(
        reader: RdbReader<'static>,
        env: &Env,
        config: &Config,
        (path, file_bytes): (&Path, u64),
        how: LoadOptions,
    ) -> Self {
        let now_ms = env.clock.unix_us() / 1000;
        Self {
            reader,
            path: path.to_owned(),
            file_bytes,
            ages: Ages::new(config, now_ms),
            now_ms,
            how,
            group: Vec::with_capacity(GROUP),
            loaded: Loaded::default(),
            origin: None,
            deletions_bytes_max: usize::try_from(config.repl_backlog_size).unwrap_or(usize::MAX),
            libraries: Vec::new(),
            producers: None,
        }
    }

    /// Pushes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// Ends the input.
    pub fn end_pushing(&mut self) {
        self.reader.end_pushing();
    }

    /// Whether enough was pushed for a step to make progress.
    pub fn is_worth_trying(&self) -> bool {
        self.reader.is_worth_trying()
    }

    /// Bytes pushed after the end of the file.
    pub fn rest(&self) -> &[u8] {
        self.reader.rest()
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The totals so far.
    pub fn loaded(&self) -> Loaded {
        Loaded { bytes: self.reader.offset(), empty: self.reader.empty_keys(), ..self.loaded }
    }

    /// The first keys passed over because their collections are empty.
    pub fn first_empty(&self) -> &[Vec<u8>] {
        self.reader.first_empty()
    }

    /// The libraries of functions in the file so far, loaded.
    pub fn libraries(&self, env: &Env) -> Result<Libraries, LoadError> {
        load_libraries(env, &self.libraries, &self.path)
    }

    /// The database selected in the replication stream; 0 if the file does not state it.
    pub fn stream_db(&self, keyspace: &Keyspace) -> u32 {
        let db = self.origin.as_ref().map_or(0, |origin| origin.db);
        if db < keyspace.databases() { db } else { 0 }
    }

    /// The replication position that the file states, without that of a database.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref().filter(|origin| origin.offset >= 0)
    }

    /// Takes the replication position that the file states. `None` if it states none, or if so many
    /// keys had expired that their deletions would not fit into a backlog.
    pub fn take_origin(&mut self) -> Option<Origin> {
        let origin = self.origin.take()?;
        (origin.offset >= 0 && origin.deletions.bytes().len() <= self.deletions_bytes_max)
            .then_some(origin)
    }

    /// Loads about `budget` keys. The caller holds a gate or the world, and no shard's lock.
    pub fn step(&mut self, keyspace: &Keyspace, budget: usize) -> Result<LoadStep, LoadError> {
        for _ in 0..budget {
            match self.read_part(keyspace)? {
                LoadStep::More => {}
                end => {
                    self.place_group(keyspace)?;
                    return Ok(end);
                }
            }
            if self.group.len() == GROUP {
                self.place_group(keyspace)?;
            }
        }
        self.place_group(keyspace)?;
        Ok(LoadStep::More)
    }

    /// Reads one part of the file.
    fn read_part(&mut self, keyspace: &Keyspace) -> Result<LoadStep, LoadError> {
        let Some(event) = next_event(&mut self.reader, &self.path, keyspace.databases())? else {
            return Ok(LoadStep::Starved);
        };
        if let Event::Key(record) = &event {
            note_lock(keyspace, record);
        }
        match event {
            Event::End(_) => return Ok(LoadStep::Done),
            Event::Key(record)
                if self.how.expired == Expired::PassOver
                    && record.expire_at_ms.is_some_and(|at| at < self.now_ms) =>
            {
                self.loaded.expired += 1;
                self.producers = None;
                if let Some(origin) = &mut self.origin
                    && origin.deletions.bytes().len() <= self.deletions_bytes_max
                {
                    origin.deletions.push(record.db, &[&b"DEL"[..], record.key]);
                }
            }
            Event::Key(record) => {
                let known = self.producers.take();
                let hash = keyspace.hasher().hash(record.key);
                keyspace.prefetch_shard(shard_of(hash));
                let (db, mut entry) = (record.db, entry_of(record, self.ages));
                give_producers(&mut entry, known);
                self.arrive(Arrival { db, hash, entry, offset: self.reader.offset() }, keyspace);
            }
            Event::Aux { name: FENCE_FIELD, value } => {
                keyspace.fence().raise(number_of(value).unwrap_or(0));
            }
            Event::Aux { name: idempotence::FIELD, value } => {
                idempotence::decode(&mut self.producers, value);
            }
            Event::Aux { name, value } => note_aux(&mut self.origin, name, value),
            Event::Function(source) => self.libraries.push(source.to_vec()),
            // Metadata, size hints that are not trusted, and parts that the reader has checked.
            Event::Start(_)
            | Event::SelectDb(_)
            | Event::ResizeDb { .. }
            | Event::SlotInfo { .. }
            | Event::ModuleAux { .. } => {}
        }
        Ok(LoadStep::More)
    }

    /// Accepts an entry, without the fields that have expired where expired keys are passed over.
    fn arrive(&mut self, mut arrival: Arrival, keyspace: &Keyspace) {
        let entry = &mut arrival.entry;
        if self.how.expired == Expired::PassOver && entry.as_ref().has_expiring_fields() {
            // The limits of small hashes do not matter where fields are only removed.
            let limits = Limits { entries: 0, value: 0 };
            let mut hash = HashEdit::new(entry, limits, keyspace.hasher(), self.now_ms);
            let fields: Vec<_> = std::iter::from_fn(|| hash.pop_hidden()).collect();
            let is_empty = hash.as_ref().is_empty();
            if let Some(origin) = &mut self.origin
                && !fields.is_empty()
                && origin.deletions.bytes().len() <= self.deletions_bytes_max
            {
                let mut words = vec![&b"HDEL"[..], entry.as_ref().key()];
                words.extend(fields.iter().map(Vec::as_slice));
                origin.deletions.push(arrival.db, &words);
            }
            if is_empty {
                self.loaded.hashes_expired += 1;
                return;
            }
        }
        self.group.push(arrival);
    }

    fn place_group(&mut self, keyspace: &Keyspace) -> Result<(), LoadError> {
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
            part.table.remove(pos);
        }
        let part = shard.db_mut(db);
        let done = part.born_done(hash);
        part.table.insert_new(hash, entry, done, keyspace.hasher());
        keyspace.publish_counts(db, index, &part.table);
        self.loaded.keys += 1;
        Ok(())
    }
}

/// The next part of a file, or an error if it cannot be loaded here; `None` if its bytes have not
/// been pushed yet.
fn next_event<'r>(
    reader: &'r mut RdbReader<'_>,
    path: &Path,
    databases: u32,
) -> Result<Option<Event<'r>>, LoadError> {
    let content = |source| LoadError::Content { path: path.to_owned(), source };
    match reader.next_event() {
        Err(error) if error.is_starved() => Ok(None),
        Err(source) => Err(content(source)),
        Ok(Event::SelectDb(db)) if db >= databases => {
            Err(LoadError::TooManyDatabases { path: path.to_owned(), databases })
        }
        Ok(event) => Ok(Some(event)),
    }
}

/// Runs the code of libraries.
fn load_libraries(env: &Env, sources: &[Vec<u8>], path: &Path) -> Result<Libraries, LoadError> {
    let mut libraries = Libraries::default();
    for source in sources {
        let loaded = libraries.load(env, source, false, TRUSTED_LIMIT_NS);
        loaded.map_err(|error| LoadError::Library { path: path.to_owned(), error })?;
    }
    Ok(libraries)
}

/// Writes the data set of an RDB file that this server has made as commands, behind an annotation
/// with this time, if there is one.
pub fn to_commands(
    env: &Env,
    (config, hasher): (&Config, KeyHasher),
    path: &Path,
    timestamp_s: Option<i64>,
    file: &mut dyn DiskFile,
) -> io::Result<()> {
    let (source, _) = env.disk.open(path)?;
    let mut reader = RdbReader::new(source, ReadOptions::new(config, hasher));
    let ages = Ages::new(config, env.clock.unix_us() / 1000);
    let (mut out, mut outcome) = (Vec::new(), Ok(()));
    if let Some(now_s) = timestamp_s {
        out.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
    }
    let (mut selected, mut producers) = (None, None);
    loop {
        let mut flush = |out: &mut Vec<u8>| {
            if out.len() >= WRITE_BYTES && outcome.is_ok() {
                outcome = file.write_all(out);
                out.clear();
            }
        };
        match reader.next_event().map_err(io::Error::other)? {
            Event::End(_) => break,
            Event::Function(source) => {
                encode_command(&mut out, &[b"FUNCTION".as_slice(), b"LOAD", source]);
            }
            Event::Key(record) => {
                let db = record.db;
                if selected != Some(db) {
                    selected = Some(db);
                    encode_command(&mut out, &[b"SELECT", db.to_string().as_bytes()]);
                }
                let mut entry = entry_of(record, ages);
                give_producers(&mut entry, producers.take());
                push_entry(&mut out, entry.as_ref(), &mut flush);
                flush(&mut out);
            }
            Event::Aux { name: idempotence::FIELD, value } => {
                idempotence::decode(&mut producers, value);
            }
            _ => {}
        }
        std::mem::replace(&mut outcome, Ok(()))?;
    }
    file.write_all(&out)
}

fn read_options(config: &Config, hasher: KeyHasher, how: LoadOptions) -> ReadOptions {
    ReadOptions { checksums: how.checksums, ..ReadOptions::new(config, hasher) }
}

fn number_of(value: RdbString<'_>) -> Option<i64> {
    match value {
        RdbString::Int(value) => Some(value),
        RdbString::Bytes(bytes) => parse_i64(bytes),
    }
}

/// Notes the fencing token of a lock, which may be from a server that keeps no other record of it.
fn note_lock(keyspace: &Keyspace, record: &KeyRecord<'_>) {
    if let (Some(_), RdbValue::Str(RdbString::Bytes(value))) = (record.expire_at_ms, &record.value)
    {
        keyspace.fence().note(value);
    }
}

/// Gives the stream of an entry what the fields before it have said of its producers.
fn give_producers(entry: &mut EntryBox, known: Option<Box<Idempotence>>) {
    if let Some(known) = known
        && let Some(HeapValue::Stream(stream)) = entry.heap_mut()
    {
        *stream.begin_idempotence() = *known;
    }
}

fn note_aux(origin: &mut Option<Origin>, name: &[u8], value: RdbString<'_>) {
    let number = number_of(value);
    let start = || Origin { offset: -1, ..Origin::default() };
    match (name, value, number) {
        (b"repl-id", RdbString::Bytes(id), _) => {
            origin.get_or_insert_with(start).id = id.to_vec();
        }
        (b"repl-offset", _, Some(offset)) => origin.get_or_insert_with(start).offset = offset,
        (b"repl-stream-db", _, Some(db)) => {
            origin.get_or_insert_with(start).db = u32::try_from(db).unwrap_or(0);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
