//! Loading the append-only file: the base, then the commands of the increments.
//!
//! Commands are applied as those of a primary's stream are: by a client of a worker of its own,
//! prepared in portions ahead of their execution. Reading and preparing ([`UnitReader`]) can be
//! done by another thread than executing ([`Replay`]). Only whole units leave the reader, so that a
//! transaction without its EXEC has no effect.
//!
//! An error reply is no reason to stop: the server that wrote the file ignored it too.

mod load;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::aof::writer::FileError;
use crate::client::{Client, Input};
use crate::engine::Engine;
use crate::env::{Level, Wake, error_text};
use crate::mailbox::Mailbox;
use crate::persist::aof::scan::{Annotation, Item, ScanError, Scanner};
use crate::persist::load::LoadError;
use crate::registry::ClientShared;
use crate::repl::log::{Position, ReplId};
use crate::session::PrimaryLink;
use crate::sync::Arc;
use crate::upstream::ahead::{Portion, ReadAhead};
use crate::worker::Worker;

/// Bytes of whole units that are handed on at a time, at least.
const CHUNK_BYTES: usize = 64 << 10;
/// Errors of commands that are logged.
const ERRORS_SHOWN: u64 = 10;

/// Why the data set could not be loaded.
#[derive(Debug)]
pub enum AofError {
    /// There is none.
    Missing,
    /// A file of the manifest cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Another file operation failed.
    File(FileError),
    /// The base cannot be loaded.
    Base(LoadError),
    /// An increment, or a base of commands, breaks off or is damaged.
    Content {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        source: ScanError,
    },
    /// A file that is not the last one breaks off.
    NotTheLast(PathBuf),
    /// There is no such command here, or it has other arguments.
    Refused {
        /// The file.
        path: PathBuf,
        /// The error, without its code.
        error: Vec<u8>,
    },
}

impl std::fmt::Display for AofError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("There is no append only file to load"),
            Self::Open { path, source } => write!(
                f,
                "Fatal error: can't open the append log file {} for reading: {}",
                path.display(),
                error_text(source)
            ),
            Self::File(error) => error.fmt(f),
            Self::Base(error) => error.fmt(f),
            Self::Content { path, source } if source.is_truncation() => write!(
                f,
                "Unexpected end of file reading the append only file {} ({source}). You can: 1) \
                 Make a backup of your AOF file, then use ./redis-check-aof --fix \
                 <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' \
                 configuration option to yes and restart the server.",
                path.display()
            ),
            Self::Content { path, source } => write!(
                f,
                "Bad file format reading the append only file {} ({source}): make a backup of \
                 your AOF file, then use ./redis-check-aof --fix <filename.manifest>",
                path.display()
            ),
            Self::NotTheLast(path) => {
                write!(f, "Fatal error: the truncated file {} is not the last file", path.display())
            }
            Self::Refused { path, error } => write!(
                f,
                "Error reading the append only file {}, error: {}",
                path.display(),
                String::from_utf8_lossy(error)
            ),
        }
    }
}

impl std::error::Error for AofError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } => Some(source),
            Self::File(error) => Some(error),
            Self::Base(error) => Some(error),
            Self::Content { source, .. } => Some(source),
            Self::Missing | Self::NotTheLast(_) | Self::Refused { .. } => None,
        }
    }
}

impl From<FileError> for AofError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Where to stop in a file, and what was found there.
#[derive(Debug)]
pub struct FileEnd {
    /// The length of what is whole.
    pub unit_end: u64,
    /// Why reading stopped before the end of the file.
    pub error: Option<ScanError>,
    /// The position behind the last unit, if the file states one.
    pub position: Option<Position>,
}

/// The whole units of a file, as a stream of bytes.
struct Units {
    scanner: Scanner<Box<dyn Read + Send>>,
    /// Bytes of whole units, and of the open transaction behind them.
    bytes: Vec<u8>,
    /// `bytes[read..whole]` can be read.
    read: usize,
    whole: usize,
    position: Option<Position>,
    /// The file has stated a position: from there on every byte of a command counts. Before, there
    /// may be a SELECT of the writer's own.
    stated: bool,
    /// The id of the last annotation.
    id: Option<ReplId>,
    /// The position behind the last whole unit.
    whole_position: Option<Position>,
    ended: bool,
    error: Option<ScanError>,
}

impl Units {
    fn new(file: Box<dyn Read + Send>, from: u64, position: Option<Position>) -> Self {
        Self {
            scanner: Scanner::new(file, from),
            bytes: Vec::new(),
            read: 0,
            whole: 0,
            id: position.map(|position| position.id),
            position,
            stated: false,
            whole_position: position,
            ended: false,
            error: None,
        }
    }

    /// Reads units until there are enough, or the file ends.
    fn fill(&mut self) {
        self.bytes.drain(..self.read);
        self.whole -= self.read;
        self.read = 0;
        while !self.ended && self.whole < CHUNK_BYTES {
            match self.scanner.next_item() {
                Ok(Some(Item::Command(command))) => {
                    self.bytes.extend_from_slice(command.bytes);
                    match &mut self.position {
                        Some(position) if self.stated => {
                            position.offset += command.bytes.len() as u64;
                        }
                        position => *position = None,
                    }
                    if command.place.ends_unit() {
                        self.whole = self.bytes.len();
                        self.whole_position = self.position;
                    }
                }
                Ok(Some(Item::Annotation(annotation))) => {
                    self.stated |= note(&annotation, &mut self.id, &mut self.position);
                    if self.whole == self.bytes.len() {
                        self.whole_position = self.position;
                    }
                }
                Ok(None) => self.ended = true,
                Err(error) => (self.ended, self.error) = (true, Some(error)),
            }
        }
    }
}

impl Read for Units {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.whole {
            self.fill();
        }
        let count = (self.whole - self.read).min(out.len());
        out[..count].copy_from_slice(&self.bytes[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

/// Takes the replication id or offset of an annotation; returns whether it states an offset.
fn note(
    annotation: &Annotation<'_>,
    id: &mut Option<ReplId>,
    position: &mut Option<Position>,
) -> bool {
    if let Some(text) = annotation.replication_id() {
        *id = ReplId::parse(text);
        *position = None;
    } else if let Some(offset) = annotation.replication_offset() {
        *position = id.zip(offset).map(|(id, offset)| Position { id, offset });
        return true;
    }
    false
}

/// Reads the commands of a file and prepares them.
pub struct UnitReader {
    ahead: ReadAhead,
    units: Units,
}

impl UnitReader {
    fn new(
        engine: &Arc<Engine>,
        file: Box<dyn Read + Send>,
        from: u64,
        position: Option<Position>,
    ) -> Self {
        let mut input = Input::default();
        input.keep_blanks();
        let units = Units::new(file, from, position);
        Self { ahead: ReadAhead::new(Arc::clone(engine), input), units }
    }

    /// The next commands; `None` at the end of what is whole. `spare` provides an executed portion
    /// for reuse.
    pub fn next(&mut self, mut spare: impl FnMut() -> Portion) -> Option<Portion> {
        loop {
            match self.ahead.read(&mut self.units) {
                Ok(_) => {
                    if let Some(portion) = self.ahead.take(&mut spare) {
                        return Some(portion);
                    }
                }
                Err(_) => return None,
            }
        }
    }

    /// Bytes of the file that were read.
    pub fn offset(&self) -> u64 {
        self.units.scanner.offset()
    }

    fn end(self) -> FileEnd {
        let units = self.units;
        FileEnd {
            unit_end: units.scanner.unit_end(),
            error: units.error,
            position: units.whole_position,
        }
    }
}

/// How a file is read and executed: by one thread or two.
pub trait Threads {
    /// Has `reader` read to its end, and every portion executed in order; returns the reader.
    /// `execute` returns the executed portion for reuse, or `None` to stop.
    fn run(
        &self,
        reader: UnitReader,
        execute: &mut dyn FnMut(Portion) -> Option<Portion>,
    ) -> UnitReader;
}

/// One thread reads and executes in turns.
pub struct OneThread;

impl Threads for OneThread {
    fn run(
        &self,
        mut reader: UnitReader,
        execute: &mut dyn FnMut(Portion) -> Option<Portion>,
    ) -> UnitReader {
        let mut spare = Some(Portion::default());
        while let Some(portion) = reader.next(|| spare.take().unwrap_or_default()) {
            spare = execute(portion);
            if spare.is_none() {
                break;
            }
        }
        reader
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

/// Executes commands of files.
pub struct Replay {
    engine: Arc<Engine>,
    worker: Worker,
    token: usize,
    errors: u64,
}

impl Replay {
    /// Executes on the thread with this gate, which is outside of it.
    pub fn new(engine: &Arc<Engine>, thread: usize) -> Self {
        let mailbox = Arc::new(Mailbox::new(Box::new(NoWake)));
        let mut worker = Worker::new(Arc::clone(engine), thread, mailbox);
        let id = engine.registry.next_id();
        let now_ms = engine.env.clock.unix_us() / 1000;
        let shared = ClientShared::new(id, String::new(), String::new(), -1, now_ms, thread);
        let mut client = Client::new(Arc::new(shared), true);
        let link = PrimaryLink { replays: true, ..PrimaryLink::default() };
        client.session.primary_link = Some(Box::new(link));
        client.input.keep_blanks();
        let token = worker.insert(client);
        // It is nobody's connection.
        engine.registry.remove(id);
        Self { engine: Arc::clone(engine), worker, token, errors: 0 }
    }

    /// The database that is selected.
    pub fn db(&mut self) -> u32 {
        self.worker.client(self.token).map_or(0, |client| client.session.db)
    }

    /// Begins a file: it selects its databases itself.
    fn begin_file(&mut self) {
        if let Some(client) = self.worker.client(self.token) {
            client.session.db = 0;
        }
    }

    /// Executes a file's commands from an offset on, those of whole units.
    pub fn file(
        &mut self,
        threads: &dyn Threads,
        path: &Path,
        from: u64,
        position: Option<Position>,
    ) -> Result<FileEnd, AofError> {
        let engine = Arc::clone(&self.engine);
        let opened = engine.env.disk.open_at(path, from);
        let file = opened.map_err(FileError::of("open", path))?;
        self.begin_file();
        let reader = UnitReader::new(&engine, file, from, position);
        let mut refused = None;
        let mut execute = |portion: Portion| match self.execute(portion) {
            Ok(spent) => Some(spent),
            Err(error) => {
                refused = Some(error);
                None
            }
        };
        let reader = threads.run(reader, &mut execute);
        if let Some(error) = refused {
            return Err(AofError::Refused { path: path.to_owned(), error });
        }
        Ok(reader.end())
    }

    /// Executes a portion. The error says why a command cannot be run.
    fn execute(&mut self, portion: Portion) -> Result<Portion, Vec<u8>> {
        let bytes = portion.len();
        let Some(client) = self.worker.client(self.token) else { return Ok(portion) };
        let spent = client.begin_portion(portion);
        loop {
            self.worker.mark_ready(self.token);
            // It has no requests for the process.
            drop(self.worker.run());
            let Some(client) = self.worker.client(self.token) else { break };
            if let Some(link) = client.session.primary_link.as_deref_mut()
                && let Some(failure) = link.failure.take()
            {
                if let Some(error) = link.refusal.take() {
                    return Err(error.strip_prefix(b"ERR ").unwrap_or(&error).to_vec());
                }
                self.errors += 1;
                if self.errors <= ERRORS_SHOWN {
                    let text = format!("A command of the append only file failed: {failure}");
                    self.engine.env.log(Level::Warning, &text);
                }
            }
            client.halted = false;
            // There is no connection that QUIT could close.
            client.session.close_after_reply = false;
            if client.input.parked() == 0 {
                break;
            }
        }
        self.engine.saves.load_done_bytes.fetch_add(bytes, crate::sync::atomic::Ordering::Relaxed);
        Ok(spent)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.worker.remove(self.token);
    }
}
