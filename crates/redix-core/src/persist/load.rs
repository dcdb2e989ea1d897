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

mod crew;
mod inspect;
mod place;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use redix_types::KeyHasher;
use redix_types::entry::EntryBox;
use redix_types::num::parse_i64;
use redix_types::stream::Idempotence;
use redix_types::value::HeapValue;

use redix_resp::request::encode_command;

use super::aof::commands::push_entry;
use super::record::{Ages, entry_of};
use super::save::WRITE_BYTES;
use super::save::{FENCE_FIELD, USERS_FIELD};
use crate::config::Config;
use crate::effects::Records;
use crate::env::{DiskFile, Env};
use crate::error::ReplyError;
use crate::keyspace::Keyspace;
pub use crate::rdb::format::ChecksumPolicy;
use crate::rdb::format::{RdbError, RdbString};
use crate::rdb::idempotence;
use crate::rdb::read::{Event, FIRST_EMPTY_MAX, Piece, RdbReader, ReadOptions};
use crate::scripting::functions::{Libraries, TRUSTED_LIMIT_NS};
pub use crew::SharedLoader;
pub use inspect::{Contents, Inspection};
use place::Placer;

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

impl LoadError {
    /// Where in the file it is; the errors without a place count as the last ones.
    fn offset(&self) -> u64 {
        match self {
            Self::Content { source, .. } => source.offset,
            _ => u64::MAX,
        }
    }
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
    options: ReadOptions,
    path: PathBuf,
    file_bytes: u64,
    placer: Placer,
    origin: Option<Origin>,
    /// The first of the keys that other threads passed over because their collections are empty.
    first_empty: Vec<Vec<u8>>,
    /// The users that the file states.
    users: Option<Vec<u8>>,
    /// The sources of libraries of functions.
    libraries: Vec<Vec<u8>>,
    /// What fields have said of the producers of the next key, which is a stream.
    producers: Option<Box<Idempotence>>,
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
        let options = read_options(config, hasher, how);
        let reader = RdbReader::new(source, options);
        Ok(Some(Self::of((reader, options), env, config, (path, file_bytes), how)))
    }

    /// A loader of pushed bytes, see [`Loader::push`]; `name` stands for the path in errors.
    pub fn pushed(
        env: &Env,
        config: &Config,
        hasher: KeyHasher,
        name: &Path,
        how: LoadOptions,
    ) -> Self {
        let options = read_options(config, hasher, how);
        Self::of((RdbReader::pushed(options), options), env, config, (name, 0), how)
    }

    fn of(
        (reader, options): (RdbReader<'static>, ReadOptions),
        env: &Env,
        config: &Config,
        (path, file_bytes): (&Path, u64),
        how: LoadOptions,
    ) -> Self {
        Self {
            reader,
            options,
            path: path.to_owned(),
            file_bytes,
            placer: Placer::new(config, env.clock.unix_us() / 1000, path, how),
            origin: None,
            first_empty: Vec::new(),
            users: None,
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
        let Loaded { empty, .. } = self.placer.loaded;
        let empty = empty + self.reader.empty_keys();
        Loaded { bytes: self.reader.offset(), empty, ..self.placer.loaded }
    }

    /// The first keys passed over because their collections are empty.
    pub fn first_empty(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.reader.first_empty().iter().chain(&self.first_empty).take(FIRST_EMPTY_MAX)
    }

    /// The libraries of functions in the file so far, loaded.
    pub fn libraries(&self, env: &Env) -> Result<Libraries, LoadError> {
        load_libraries(env, &self.libraries, &self.path)
    }

    /// Takes the users that the file states, as the text of an ACL file.
    pub fn take_users(&mut self) -> Option<Vec<u8>> {
        self.users.take()
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
        let origin = self.origin.take().filter(|origin| origin.offset >= 0)?;
        Some(Origin { deletions: self.placer.take_deletions()?, ..origin })
    }

    /// Loads about `budget` keys. The caller holds a gate or the world, and no shard's lock.
    pub fn step(&mut self, keyspace: &Keyspace, budget: usize) -> Result<LoadStep, LoadError> {
        for _ in 0..budget {
            match self.read_part(keyspace)? {
                LoadStep::More => {}
                end => {
                    self.placer.finish(keyspace)?;
                    return Ok(end);
                }
            }
        }
        self.placer.finish(keyspace)?;
        Ok(LoadStep::More)
    }

    /// Cuts out the next keys for a thread to decode; `false` where another part of the file, or a
    /// key that has to be read here, is next.
    fn cut(&mut self, piece: &mut Piece) -> Result<bool, LoadError> {
        if self.producers.is_some() {
            return Ok(false);
        }
        let content = |source| LoadError::Content { path: self.path.clone(), source };
        self.reader.cut(piece).map_err(content)
    }

    /// Notes the keys of a piece that were passed over because their collections are empty.
    fn note_empty(&mut self, (count, first): (u64, &[Vec<u8>])) {
        self.placer.loaded.empty += count;
        let missing = FIRST_EMPTY_MAX.saturating_sub(self.first_empty.len());
        self.first_empty.extend(first.iter().take(missing).cloned());
    }

    /// Reads one part of the file.
    fn read_part(&mut self, keyspace: &Keyspace) -> Result<LoadStep, LoadError> {
        let Some(event) = next_event(&mut self.reader, &self.path, keyspace.databases())? else {
            return Ok(LoadStep::Starved);
        };
        match event {
            Event::End(_) => return Ok(LoadStep::Done),
            Event::Key(record) => {
                self.placer.key(record, self.producers.take(), keyspace)?;
            }
            Event::Aux { name: FENCE_FIELD, value } => {
                keyspace.fence().raise(number_of(value).unwrap_or(0));
            }
            Event::Aux { name: USERS_FIELD, value } => {
                if let RdbString::Bytes(users) = value {
                    self.users = Some(users.to_vec());
                }
            }
            Event::Aux { name: idempotence::FIELD, value } => {
                idempotence::decode(&mut self.producers, value);
            }
            Event::Aux { name, value } => {
                note_aux(&mut self.origin, name, value);
                self.placer.records_deletions = self.origin.is_some();
            }
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
