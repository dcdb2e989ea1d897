//! What is left in the log by a crash, and by a process that seems to be stuck.
//!
//! A fatal signal leaves a line before it ends the process.
//!
//! **Invariants.** What runs in the handler allocates nothing, takes no lock and calls only what a
//! signal handler may call, so the line goes to the file (or to standard output) by itself.
//! Afterwards the signal does what it does without a handler, which leaves a core where the system
//! leaves one.

use std::ffi::CString;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use redix_core::config::Config;

use crate::log;
use crate::startup::VERSION;
use crate::sys;

/// The log file; none is standard output.
static LOG_FILE: OnceLock<Option<CString>> = OnceLock::new();
/// `crash-log-enabled`.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// Has fatal signals reported from now on, as the configuration says.
pub fn report_signals(config: &Config) {
    let file = (!config.logfile.is_empty()).then(|| CString::new(config.logfile.to_vec()).ok());
    LOG_FILE.get_or_init(|| file.flatten());
    follow(config);
    sys::on_fatal_signals(report);
}

/// Does what `crash-log-enabled` now says.
pub fn follow(config: &Config) {
    ENABLED.store(config.crash_log_enabled, Ordering::Relaxed);
}

fn report(signal: i32, code: i32, address: usize) {
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let mut line = [0; 256];
    let mut rest = &mut line[..];
    let pid = std::process::id();
    // It fits.
    writeln!(
        rest,
        "{pid}:M # === REDIX BUG REPORT: Redix {VERSION} crashed by signal: {signal}, code: {code}, \
         address: {address:#x} ==="
    )
    .ok();
    let left = rest.len();
    let text = &line[..line.len() - left];
    sys::append_in_handler(LOG_FILE.get().and_then(Option::as_deref), text);
}

/// Logs what each thread is doing as far as the kernel knows: its name, its state and the ticks
/// that it has run, to be compared with those of another time.
pub fn show_threads() {
    let mut text = String::from("Received SIGALRM. Threads with their states and ticks:");
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((start, rest)) = stat.rsplit_once(") ") else { continue };
        let name = start.split_once('(').map_or("?", |(_, name)| name);
        let fields: Vec<&str> = rest.split(' ').collect();
        // Fields 3, 14 and 15, counted from 1, of which the first two are in `start`.
        if let [state, .., user, system] = fields[..13.min(fields.len())] {
            text.push_str(&format!(" {name}: {state} {user}+{system};"));
        }
    }
    log::from_signal_handler(text.trim_end_matches(';'));
}
