//! Crash reports: the log line of a fatal signal, and of a process that seems to hang.
//!
//! **Invariants.** The signal handler allocates nothing, takes no lock and calls only
//! async-signal-safe functions, so it writes the line to the file (or to standard output) itself.
//! Afterwards the signal has its default effect, which dumps core where the system allows it.

use std::ffi::CString;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use redix_core::config::Config;

use crate::log;
use crate::startup::VERSION;
use crate::sys;

/// The path of the log file; `None`: standard output.
static LOG_FILE: OnceLock<Option<CString>> = OnceLock::new();
/// `crash-log-enabled`.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// Installs the handler of fatal signals, as the configuration says.
pub fn report_signals(config: &Config) {
    let file = (!config.logfile.is_empty()).then(|| CString::new(config.logfile.to_vec()).ok());
    LOG_FILE.get_or_init(|| file.flatten());
    follow(config);
    sys::on_fatal_signals(report);
}

/// Adopts `crash-log-enabled`.
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
    // Cannot fail: the buffer is large enough.
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

/// Logs the state of each thread as the kernel shows it: its name, its state and the ticks that it
/// has run, for comparison with another report.
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
