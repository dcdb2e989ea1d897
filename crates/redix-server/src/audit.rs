//! Writing the audit log: see [`redix_core::command::audit`].
//!
//! Records are written by a thread of their own, so that no worker waits for a disk, and appended
//! in order. The file is opened for each batch, so that a rotated file needs no signal. Nobody but
//! its owner can read a file that is created here.
//!
//! **Invariants.** The records that wait take at most [`WAITING_MAX`] bytes. A record that finds no
//! room, or cannot be written, is counted, and a record of how many were lost follows once writing
//! succeeds again.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use redix_core::config::ByteString;
use redix_core::env::AuditCounts;
use redix_core::moment::rfc3339_ms;

use crate::{log, sys};

/// Bytes of records that may wait to be written.
const WAITING_MAX: usize = 8 * 1024 * 1024;
/// How long the end of the process is held up for records that wait.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines for one file, one after the other.
struct Batch {
    file: ByteString,
    lines: Vec<u8>,
    records: u64,
}

struct State {
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    /// The thread has taken records that it has not written yet.
    is_writing: bool,
    has_thread: bool,
    counts: AuditCounts,
    /// Lost records that no record tells of yet.
    unreported: u64,
}

static STATE: Mutex<State> = Mutex::new(State {
    waiting: Vec::new(),
    waiting_bytes: 0,
    is_writing: false,
    has_thread: false,
    counts: AuditCounts { written: 0, lost: 0 },
    unreported: 0,
});
/// There are records to be written.
static ADDED: Condvar = Condvar::new();
/// Records were written.
static WRITTEN: Condvar = Condvar::new();

impl State {
    fn lose(&mut self, records: u64) {
        self.counts.lost += records;
        self.unreported += records;
    }
}

/// Queues a line for a file.
pub fn write(file: &[u8], line: Vec<u8>) {
    let mut state = STATE.lock();
    if !state.has_thread {
        state.has_thread = thread::Builder::new().name("audit".into()).spawn(run).is_ok();
    }
    if !state.has_thread || state.waiting_bytes + line.len() > WAITING_MAX {
        return state.lose(1);
    }
    state.waiting_bytes += line.len();
    match state.waiting.last_mut() {
        Some(batch) if batch.file.as_bytes() == file => {
            batch.lines.extend_from_slice(&line);
            batch.records += 1;
        }
        _ => state.waiting.push(Batch { file: file.into(), lines: line, records: 1 }),
    }
    ADDED.notify_one();
}

/// What has become of the records.
pub fn counts() -> AuditCounts {
    STATE.lock().counts
}

/// Waits until all records were written, at most [`FLUSH_TIMEOUT`].
pub fn flush() {
    let mut state = STATE.lock();
    while state.is_writing || !state.waiting.is_empty() {
        if WRITTEN.wait_for(&mut state, FLUSH_TIMEOUT).timed_out() {
            return;
        }
    }
}

/// Whether a file can be written; creates it if there is none.
pub fn check(file: &ByteString) -> io::Result<()> {
    if file.is_empty() { Ok(()) } else { open(file).map(drop) }
}

/// Opens a file to be appended to. A pipe without a reader is an error instead of a wait.
fn open(file: &ByteString) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
    options.open(PathBuf::from(file))
}

fn run() {
    loop {
        let (batches, unreported) = {
            let mut state = STATE.lock();
            while state.waiting.is_empty() {
                ADDED.wait(&mut state);
            }
            state.is_writing = true;
            state.waiting_bytes = 0;
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.unreported))
        };
        let mut unreported = unreported;
        for mut batch in batches {
            if unreported > 0 {
                batch.lines.extend_from_slice(&loss(unreported));
            }
            let written = open(&batch.file).and_then(|mut file| file.write_all(&batch.lines));
            let mut state = STATE.lock();
            match written {
                Ok(()) => {
                    state.counts.written += batch.records;
                    unreported = 0;
                }
                Err(error) => {
                    state.lose(batch.records);
                    drop(state);
                    log::warning(&format!(
                        "Can't write {} records to the audit log {}: {}",
                        batch.records,
                        batch.file,
                        sys::error_text(&error)
                    ));
                }
            }
        }
        let mut state = STATE.lock();
        state.unreported += unreported;
        state.is_writing = false;
        WRITTEN.notify_all();
    }
}

/// The record of lost records.
fn loss(records: u64) -> Vec<u8> {
    let time = rfc3339_ms(sys::unix_us() / 1000);
    format!("{{\"time\":\"{time}\",\"event\":\"lost\",\"records\":{records}}}\n").into_bytes()
}
