//! The append-only file: every write is logged to a file before it is forgotten.
//!
//! What a turn of a worker has logged is written at its end, before its replies are sent, so that
//! it survives the death of the process. Where that might have to wait, because the file is being
//! synced or another thread writes, a thread of the process does so instead
//! ([`crate::engine::Engine::write_aof`]); a second one makes durable what was written, as
//! `appendfsync` says. Under `always` the first thread does both, or a worker while the disk is
//! quick, and a connection's replies are
//! held back until the durable offset covers what it has written or seen ([`Aof::holds_replies`]):
//! one sync serves all connections that wait, and those that have neither written nor read anything
//! new are not held up.
//!
//! A rewrite is a snapshot whose file becomes the base. At its cut, in the world, the writer is
//! ordered to begin a new increment at that offset of the log; when the base is complete, the
//! manifest names it and that increment. Until then the former files, with the new increment behind
//! them, are the data set. Turning the file on at run time works in the same way, but nothing is
//! valid until the first base is complete.
//!
//! **Errors.** What cannot be written is kept in the log and tried again; meanwhile writes are
//! refused. After a failed sync nobody knows what is on the disk: writes are refused until a
//! rewrite has made new files. Under `always` either ends the process.
//!
//! **Invariants.** The writer's mutex is held during I/O, never by a thread in a gate or the world
//! unless it stops the file. Offsets are those of the log; both only grow while the file is on.

pub mod writer;

use std::collections::VecDeque;
use std::sync::OnceLock;

use crate::config::{AppendFsync, Config};
use crate::env::{Syncer, Wake};
use crate::error::ReplyError;
use crate::repl::log::Reader;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use writer::Writer;

/// A worker syncs itself, instead of having a thread do it, where that usually takes no longer.
const QUICK_NS: u64 = 500_000;
/// A longer sync counts as one of this length, so that one alone does not decide.
const SLOW_NS: u64 = 4 * QUICK_NS;
/// The usual time follows each sync by this part of the difference.
const USUAL_SHARE: u64 = 8;
/// The longest that a sync is put off for others to join it.
const GATHER_MAX_NS: u64 = 1_000_000;

/// The state of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It is off.
    Off,
    /// It is to be on: its first rewrite has not begun.
    Wanted,
    /// Its first base is being written.
    Starting,
    /// It is on.
    On,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Off, Self::Wanted, Self::Starting, Self::On];
}

/// What the writer is to do at an offset of the log.
pub enum Order {
    /// Begin a new increment.
    Switch {
        /// The offset.
        at: u64,
        /// The database selected there, if it is known.
        db: Option<u32>,
    },
    /// Begin the first increment of a data set.
    Start {
        /// From here on.
        reader: Reader,
        /// The database selected there, if it is known.
        db: Option<u32>,
    },
}

/// The state of the append-only file, shared by all threads.
#[derive(Default)]
pub struct Aof {
    phase: AtomicU8,
    holds_replies: AtomicBool,
    /// The offset up to which the log is in the file.
    pub written: AtomicU64,
    /// The offset up to which it is on the disk.
    pub durable: AtomicU64,
    /// The end of the last unit that changed data in the world.
    pub world_logged: AtomicU64,
    /// The workers that hold replies back, a bit for each modulo 64.
    pub awaited: AtomicU64,
    /// How many syncs under `always` have begun.
    syncs: AtomicU64,
    /// Connections whose replies were held back since the last sync began, and those of them that
    /// it has not released.
    held: AtomicU64,
    newly_held: AtomicU64,
    /// How many there were when it began, and how long it took in nanoseconds.
    last_held: AtomicU64,
    last_sync_ns: AtomicU64,
    /// How long a sync has usually taken lately; 0: there was none.
    usual_sync_ns: AtomicU64,
    /// The writing thread sleeps.
    parked: AtomicBool,
    thread: OnceLock<Box<dyn Wake>>,
    /// The file being written.
    pub(crate) writer: Mutex<Option<Writer>>,
    pub(crate) orders: Mutex<VecDeque<Order>>,
    /// The present file, for the thread that syncs.
    pub(crate) syncer: Mutex<Option<Arc<dyn Syncer>>>,
    /// Microseconds that each write is delayed (`DEBUG AOF-FLUSH-SLEEP`).
    pub flush_delay_us: AtomicU64,
    /// The numbers for INFO, and what refuses writes.
    pub status: Status,
}

/// The numbers for INFO, and what refuses writes.
#[derive(Default)]
pub struct Status {
    /// The error of the last write, if it failed.
    pub write_error: Mutex<Option<String>>,
    /// The error of the last sync, if it failed and no rewrite has succeeded since.
    pub sync_error: Mutex<Option<String>>,
    /// There is one of these errors.
    pub failed: AtomicBool,
    /// When the oldest file of the history was replaced, Unix time in seconds; 0: not known,
    /// [`u64::MAX`]: there is none.
    pub oldest_history_s: AtomicU64,
    /// When the last error was logged, Unix time in seconds.
    pub complained_s: AtomicI64,
    /// Bytes of the base and the former increments.
    pub settled_bytes: AtomicU64,
    /// Bytes of the present increment.
    pub increment_bytes: AtomicU64,
    /// Bytes of all files after the last rewrite, or at startup.
    pub base_bytes: AtomicU64,
    /// Unix time in seconds when the rewrite under way began; 0: none.
    pub rewriting_since_s: AtomicI64,
    /// The rewrite under way began while the file was off: it makes a base alone.
    pub rewrites_alone: AtomicBool,
    /// A rewrite begins as soon as nothing prevents it.
    pub scheduled: AtomicBool,
    /// Seconds that the last rewrite took, plus one; 0: there was none.
    pub last_rewrite_s: AtomicI64,
    /// Whether the last rewrite failed.
    pub last_rewrite_failed: AtomicBool,
    /// Rewrites begun.
    pub rewrites: AtomicU64,
    /// Rewrites that failed in a row.
    pub failures: AtomicU64,
    /// When the last one failed, Unix time in seconds.
    pub failed_s: AtomicI64,
    /// A sync is under way, since this reading of the monotonic clock; 0: none.
    pub syncing_since_ns: AtomicU64,
    /// A write is under way, or under `always` its sync, since this reading of the monotonic clock;
    /// 0: none.
    pub writing_since_ns: AtomicU64,
    /// Writes that waited for a sync.
    pub delayed: AtomicU64,
}

impl Aof {
    /// The state of the file.
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// The offset up to which the log is on the disk, if the file is on.
    pub fn durable_end(&self) -> Option<u64> {
        (self.phase() == Phase::On).then(|| self.durable.load(Ordering::Acquire))
    }

    /// Whether it is on, or will be.
    pub fn enabled(&self) -> bool {
        self.phase() != Phase::Off
    }

    /// Changes the state; in the world, or while nobody writes.
    pub(crate) fn set_phase(&self, phase: Phase, config: &Config) {
        self.phase.store(phase as u8, Ordering::Release);
        self.follow(config);
    }

    /// Adopts a changed `appendfsync`; in the world.
    pub(crate) fn follow(&self, config: &Config) {
        let holds = self.phase() == Phase::On && config.appendfsync == AppendFsync::Always;
        self.holds_replies.store(holds, Ordering::Release);
    }

    /// Whether replies wait until the writes that they acknowledge or show are durable.
    #[inline]
    pub fn holds_replies(&self) -> bool {
        self.holds_replies.load(Ordering::Relaxed)
    }

    /// Whether replies of a worker that acknowledge or show writes up to this offset of the log may
    /// be sent. If not, the worker is woken when more is durable.
    pub fn may_reply(&self, offset: u64, worker: usize) -> bool {
        if offset <= self.durable.load(Ordering::Acquire) || !self.holds_replies() {
            return true;
        }
        self.awaited.fetch_or(awaiting_bit(worker), Ordering::SeqCst);
        offset <= self.durable.load(Ordering::SeqCst)
    }

    /// Whether a worker is woken when more is durable.
    pub(crate) fn is_awaited_by(&self, worker: usize) -> bool {
        self.awaited.load(Ordering::SeqCst) & awaiting_bit(worker) != 0
    }

    /// A worker need not be woken when more is durable.
    pub(crate) fn note_awake(&self, worker: usize) {
        self.awaited.fetch_and(!awaiting_bit(worker), Ordering::SeqCst);
    }

    /// Counts a connection whose replies are held back. `last`: what this returned for it the last
    /// time, or 0.
    pub fn note_held(&self, last: u64) -> u64 {
        let next = self.syncs.load(Ordering::Relaxed) + 1;
        if last == 0 || last + 1 < next {
            self.newly_held.fetch_add(1, Ordering::Relaxed);
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        next
    }

    /// Connections whose replies are held back.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Tells that a sync under `always` begins, and how long the last one took.
    pub(crate) fn begin_sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.newly_held.store(0, Ordering::Relaxed);
        self.last_held.store(self.held.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Tells how long a sync under `always` has taken.
    pub(crate) fn end_sync(&self, ns: u64) {
        self.last_sync_ns.store(ns, Ordering::Relaxed);
        let ns = ns.clamp(1, SLOW_NS);
        let usual_ns = match self.usual_sync_ns.load(Ordering::Relaxed) {
            0 => ns,
            usual_ns => usual_ns - usual_ns / USUAL_SHARE + ns / USUAL_SHARE,
        };
        self.usual_sync_ns.store(usual_ns, Ordering::Relaxed);
    }

    /// Whether syncs under `always` take less time than handing the next one to a thread is worth.
    pub fn syncs_quickly(&self) -> bool {
        (1..=QUICK_NS).contains(&self.usual_sync_ns.load(Ordering::Relaxed))
    }

    /// How long the next sync may be put off, in nanoseconds, for the connections that the last one
    /// has released to join it: no longer than that took. 0 once they all wait again.
    pub fn gather_ns(&self) -> u64 {
        let newly = self.newly_held.load(Ordering::Relaxed);
        let wanted = self.last_held.load(Ordering::Relaxed) + newly;
        if wanted < 2 || self.held() >= wanted {
            return 0;
        }
        self.last_sync_ns.load(Ordering::Relaxed).min(GATHER_MAX_NS)
    }

    /// Installs the waker of the writing thread; once.
    pub fn set_thread(&self, thread: Box<dyn Wake>) {
        assert!(self.thread.set(thread).is_ok(), "there is one such thread");
    }

    /// Tells that the writing thread is about to sleep; it must look once more for something to
    /// write before it does.
    pub fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
    }

    /// Whether the log, which ends at `end`, has something to write, and writing it may succeed.
    pub fn is_behind(&self, end: u64) -> bool {
        let on = matches!(self.phase(), Phase::Starting | Phase::On);
        on && end != self.written.load(Ordering::SeqCst) && lock(&self.status.write_error).is_none()
    }

    /// Tells that the log has grown.
    // HOT PATH: once a turn.
    #[inline]
    pub fn nudge(&self, end: u64) {
        if end != self.written.load(Ordering::Relaxed) && self.parked.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes the writing thread.
    #[cold]
    pub fn wake(&self) {
        if self.enabled()
            && self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.wake();
        }
    }

    /// Whether writes are refused because of an error.
    #[inline]
    pub fn admit_write(&self) -> Result<(), ReplyError> {
        if !self.status.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refusal()
    }

    #[cold]
    fn refusal(&self) -> Result<(), ReplyError> {
        if let Some(error) = &*lock(&self.status.write_error) {
            let text = format!("MISCONF Errors writing to the AOF file: {error}");
            return Err(ReplyError::Text(text.into_bytes()));
        }
        match &*lock(&self.status.sync_error) {
            Some(error) => {
                let text = format!("MISCONF Errors writing to the AOF file: {error}");
                Err(ReplyError::Text(text.into_bytes()))
            }
            None => Ok(()),
        }
    }
}

fn awaiting_bit(worker: usize) -> u64 {
    1 << (worker % 64)
}

impl Status {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.settled_bytes.load(Ordering::Relaxed) + self.increment_bytes.load(Ordering::Relaxed)
    }

    /// Records the outcome of a write; returns whether that changes whether writes are refused.
    pub(crate) fn note_write(&self, error: Option<String>) -> bool {
        let changed = lock(&self.write_error).is_some() != error.is_some();
        *lock(&self.write_error) = error;
        self.show_failed();
        changed
    }

    /// Records the outcome of a sync, or with `None` that new files are complete.
    pub(crate) fn note_sync(&self, error: Option<String>) {
        *lock(&self.sync_error) = error;
        self.show_failed();
    }

    /// Whether writes are refused until a rewrite has made new files.
    pub(crate) fn needs_files(&self) -> bool {
        lock(&self.sync_error).is_some()
    }

    fn show_failed(&self) {
        let failed = lock(&self.write_error).is_some() || lock(&self.sync_error).is_some();
        self.failed.store(failed, Ordering::Release);
    }
}
