//! The environment of the engine: time, randomness, disk, the log and the waking of threads.
//!
//! **Invariant.** Nothing in this crate reads a clock, draws a random number, opens a file or wakes
//! a thread except through these traits, so that a simulator can supply all of them from one seed.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The system's words for an I/O error, as `strerror` gives them: without the number that
/// [`io::Error`] appends.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Time. Both readings are taken at the start of a group of commands and frozen for each command.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch.
    fn unix_us(&self) -> i64;
    /// A monotonic clock in nanoseconds; only differences have a meaning.
    fn mono_ns(&self) -> u64;
    /// Sleeps on the calling thread (`DEBUG SLEEP`).
    fn sleep_us(&self, us: u64);
}

/// Randomness fit for keys, ids and sampling.
pub trait Entropy: Send + Sync {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);

    /// An unpredictable 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// A file being written.
pub trait DiskFile: Write + Send {
    /// Makes the bytes written so far durable (`fsync`).
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file down to its first `len` bytes; writing continues there.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// A handle for another thread that makes the file durable while this one writes on.
    fn syncer(&self) -> io::Result<Arc<dyn Syncer>>;
}

/// Makes a file durable.
pub trait Syncer: Send + Sync {
    /// Makes the bytes durable that were written before the call (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// An unnamed temporary file, written at its end and read from its start.
pub trait SpillFile: Send {
    /// Appends `bytes`.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `out.len()` bytes at `offset`; 0 at the end.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
    /// Truncates it to nothing.
    fn reset(&mut self) -> io::Result<()>;
}

/// The file system, as far as persistence needs it.
pub trait Disk: Send + Sync {
    /// Opens a file for reading from its start, with its length in bytes.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)>;
    /// Opens a file for reading from its byte `offset` on.
    fn open_at(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let (mut file, _) = self.open(path)?;
        io::copy(&mut (&mut file).take(offset), &mut io::sink())?;
        Ok(file)
    }
    /// Creates or truncates a file for writing, and locks it if possible, so that other processes
    /// know that it is being written.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to be written at its end, with its length in bytes; creates it if there is
    /// none.
    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)>;
    /// Creates a directory, unless it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file over another, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates an unnamed file in `dir`.
    fn spill(&self, dir: &Path) -> io::Result<Box<dyn SpillFile>>;
}

/// Wakes the thread that runs a worker, from any other thread. Idempotent.
pub trait Wake: Send + Sync {
    /// Makes the worker's next (or present) wait return at once.
    fn wake(&self);
}

/// The severity of a log message. Source: `loglevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For debugging.
    Debug,
    /// Events of single clients.
    Verbose,
    /// Normal operation.
    Notice,
    /// Requires an operator's attention.
    Warning,
}

/// The log.
pub trait Log: Send + Sync {
    /// Writes one line, if its level is logged. May write to a file, so nothing may be logged under
    /// a shard's lock.
    fn log(&self, level: Level, text: &str);
    /// Sets the role shown in further lines, for a log format that has it.
    fn show_role(&self, _replica: bool) {}
}

/// What has become of the records of the audit log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Records written.
    pub written: u64,
    /// Records that were lost: the file could not be written, or not as fast as they came.
    pub lost: u64,
}

/// The audit log; see [`crate::command::audit`].
pub trait AuditLog: Send + Sync {
    /// Writes a line to a file. It may be written later, and waits for no disk.
    fn write(&self, file: &[u8], line: Vec<u8>);
    /// What has become of the records so far.
    fn counts(&self) -> AuditCounts;
}

/// Keeps no audit log.
pub struct NoAuditLog;

impl AuditLog for NoAuditLog {
    fn write(&self, _: &[u8], _: Vec<u8>) {}
    fn counts(&self) -> AuditCounts {
        AuditCounts::default()
    }
}

/// The memory of the process.
pub trait Memory: Send + Sync {
    /// Bytes in use, as the allocator counts them.
    fn used_bytes(&self) -> u64;
    /// Whether more bytes than this are in use. Cheap where the answer is plain.
    fn uses_more_than(&self, bytes: u64) -> bool {
        self.used_bytes() > bytes
    }
    /// The most bytes that were ever in use, however short.
    fn peak_bytes(&self) -> u64;
    /// The peak of bytes in use since the last call. For one caller only.
    fn take_recent_peak_bytes(&self) -> u64;
}

/// Constant facts about the process and its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The process's number.
    pub pid: u32,
    /// Name, release and machine of the operating system.
    pub os: String,
    /// The path of the running program.
    pub executable: String,
    /// Identifies the build: 16 hexadecimal digits.
    pub build_id: String,
    /// The source of the monotonic clock.
    pub monotonic_clock: String,
    /// How sockets are read and written: `epoll` or `uring`.
    pub io_backend: &'static str,
    /// The allocator's name.
    pub allocator: &'static str,
    /// The machine's memory.
    pub total_memory_bytes: u64,
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User time of the process, in microseconds.
    pub user_us: u64,
    /// System time of the process.
    pub system_us: u64,
    /// User time of the calling thread.
    pub thread_user_us: u64,
    /// System time of the calling thread.
    pub thread_system_us: u64,
}

/// Memory of the process that is resident, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub all: u64,
    /// The part that no file is behind: what the allocator has, and the stacks.
    pub anonymous: u64,
}

/// The process as the operating system sees it.
pub trait Host: Send + Sync {
    /// Constant facts.
    fn facts(&self) -> &HostFacts;
    /// Bytes of memory resident.
    fn resident_bytes(&self) -> Resident;
    /// Processor time used so far.
    fn cpu(&self) -> CpuTimes;
    /// Returns unused memory to the operating system.
    fn purge_memory(&self);
    /// Starts so many threads, which end when the crew is dropped; fewer if the system refuses.
    fn crew(&self, _threads: usize) -> Box<dyn Crew> {
        Box::new(Alone)
    }
}

/// Work that several threads do together.
pub type Job = Arc<dyn Fn() + Send + Sync>;

/// Threads that do one job at a time.
pub trait Crew: Send {
    /// Calls `job` on the calling thread and on each of the crew at once, and returns when all
    /// calls have returned.
    fn run(&mut self, job: Job);
}

/// A crew without threads of its own.
pub struct Alone;

impl Crew for Alone {
    fn run(&mut self, job: Job) {
        job();
    }
}

/// The whole environment.
pub struct Env {
    /// Time.
    pub clock: Box<dyn Clock>,
    /// Randomness.
    pub entropy: Box<dyn Entropy>,
    /// Files.
    pub disk: Box<dyn Disk>,
    /// The log.
    pub log: Box<dyn Log>,
    /// The audit log.
    pub audit: Box<dyn AuditLog>,
    /// Memory.
    pub memory: Box<dyn Memory>,
    /// The process.
    pub host: Box<dyn Host>,
}

impl Env {
    /// Writes one line to the log.
    pub fn log(&self, level: Level, text: &str) {
        self.log.log(level, text);
    }
}
