//! The log: lines in the format of Redis, which tools and test suites parse.
//!
//! A line is `pid:role day month year time level text`; Valkey's `logfmt` and `json` formats exist
//! too (`log-format`, `log-timestamp-format`). Lines go to standard output or to `logfile`, and to
//! syslog as well if that is enabled. The file is opened for each line, so that a rotated file
//! needs no signal, and each line is one write, so that lines of several threads do not mix.
//!
//! There is one log for the process, as there is one standard output: it works before there is a
//! configuration, and a panic can write to it.
//!
//! **Invariants.** A line that cannot be written is dropped: logging never fails. Line breaks
//! inside a text are kept in the legacy format only.
//!
//! Source: the lines that Redis 7.0.15, Redis 8.2.3 and Valkey 9.1.2 print.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;
use redix_core::config::{ByteString, Config, LogFormat, LogLevel, LogTimestamp, SyslogFacility};
use redix_core::env::Level;

use crate::sys;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The lowest level that is written, as [`rank`] numbers it.
static LEAST: AtomicU8 = AtomicU8::new(rank(Level::Notice));
/// Whether the role in lines is that of a replica.
static REPLICA: AtomicBool = AtomicBool::new(false);
static SETTINGS: Mutex<Settings> = Mutex::new(Settings {
    file: ByteString::new(),
    syslog: false,
    form: LogFormat::Legacy,
    time: LogTimestamp::Legacy,
});

struct Settings {
    file: ByteString,
    syslog: bool,
    form: LogFormat,
    time: LogTimestamp,
}

const fn rank(level: Level) -> u8 {
    level as u8
}

/// Applies the configuration. Syslog is opened once it is first enabled.
pub fn configure(config: &Config) {
    let least = match config.loglevel {
        LogLevel::Debug => rank(Level::Debug),
        LogLevel::Verbose => rank(Level::Verbose),
        LogLevel::Notice => rank(Level::Notice),
        LogLevel::Warning => rank(Level::Warning),
        LogLevel::Nothing => rank(Level::Warning) + 1,
    };
    LEAST.store(least, Ordering::Relaxed);
    set_replica(config.replicaof.is_some());
    let mut settings = SETTINGS.lock();
    if config.syslog_enabled && !settings.syslog {
        sys::open_syslog(&config.syslog_ident, facility(config.syslog_facility));
    }
    settings.file.clone_from(&config.logfile);
    settings.syslog = config.syslog_enabled;
    settings.form = config.log_format;
    settings.time = config.log_timestamp_format;
}

/// Sets the role in further lines.
pub fn set_replica(replica: bool) {
    REPLICA.store(replica, Ordering::Relaxed);
}

fn facility(name: SyslogFacility) -> libc::c_int {
    match name {
        SyslogFacility::User => libc::LOG_USER,
        SyslogFacility::Local0 => libc::LOG_LOCAL0,
        SyslogFacility::Local1 => libc::LOG_LOCAL1,
        SyslogFacility::Local2 => libc::LOG_LOCAL2,
        SyslogFacility::Local3 => libc::LOG_LOCAL3,
        SyslogFacility::Local4 => libc::LOG_LOCAL4,
        SyslogFacility::Local5 => libc::LOG_LOCAL5,
        SyslogFacility::Local6 => libc::LOG_LOCAL6,
        SyslogFacility::Local7 => libc::LOG_LOCAL7,
    }
}

/// Whether lines of this level are written.
#[inline]
pub fn enabled(level: Level) -> bool {
    rank(level) >= LEAST.load(Ordering::Relaxed)
}

/// Writes one line.
pub fn write(level: Level, text: &str) {
    if enabled(level) {
        let unix_us = sys::unix_us();
        let stamp = Stamp {
            unix_ms: unix_us / 1000,
            pid: std::process::id(),
            replica: REPLICA.load(Ordering::Relaxed),
            level,
        };
        send(&SETTINGS.lock(), &stamp, text);
    }
}

/// Writes a line at level debug.
pub fn debug(text: &str) {
    write(Level::Debug, text);
}

/// Writes a line at level verbose: about a single client.
pub fn verbose(text: &str) {
    write(Level::Verbose, text);
}

/// Writes a line at level notice: normal operation.
pub fn notice(text: &str) {
    write(Level::Notice, text);
}

/// Writes a line at level warning: requires an operator's attention.
pub fn warning(text: &str) {
    write(Level::Warning, text);
}

/// Writes raw text at any level: the startup banner and the report of a panic.
pub fn write_raw(text: &str) {
    append(&SETTINGS.lock().file, text);
}

/// Writes the line about a signal, in the format of the real servers' signal handlers.
pub fn from_signal_handler(text: &str) {
    if enabled(Level::Warning) {
        let now_s = sys::unix_us() / 1_000_000;
        write_raw(&format!("{}:signal-handler ({now_s}) {text}\n", std::process::id()));
    }
}

fn send(settings: &Settings, stamp: &Stamp, text: &str) {
    append(&settings.file, &line(settings.form, settings.time, stamp, text));
    if settings.syslog {
        let priority = match stamp.level {
            Level::Debug => libc::LOG_DEBUG,
            Level::Verbose => libc::LOG_INFO,
            Level::Notice => libc::LOG_NOTICE,
            Level::Warning => libc::LOG_WARNING,
        };
        sys::syslog(priority, text);
    }
}

fn append(file: &ByteString, text: &str) {
    if file.is_empty() {
        std::io::stdout().write_all(text.as_bytes()).ok();
        std::io::stdout().flush().ok();
    } else if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
        file.write_all(text.as_bytes()).ok();
    }
}

/// The process id, role and time of a line.
struct Stamp {
    unix_ms: i64,
    pid: u32,
    replica: bool,
    level: Level,
}

/// A complete line with its line end.
fn line(form: LogFormat, time: LogTimestamp, stamp: &Stamp, text: &str) -> String {
    let Stamp { unix_ms, pid, replica, level } = stamp;
    let (letter, role) = if *replica { ('S', "replica") } else { ('M', "primary") };
    let time = timestamp(time, *unix_ms);
    let (mark, word) = match level {
        Level::Debug => ('.', "debug"),
        Level::Verbose => ('-', "verbose"),
        Level::Notice => ('*', "notice"),
        Level::Warning => ('#', "warning"),
    };
    match form {
        LogFormat::Legacy => format!("{pid}:{letter} {time} {mark} {text}\n"),
        LogFormat::Logfmt => {
            let text = escape(text);
            format!("pid={pid} role={role} timestamp=\"{time}\" level={word} message=\"{text}\"\n")
        }
        LogFormat::Json => {
            let text = escape(text);
            format!(
                "{{\"pid\":{pid},\"role\":\"{role}\",\"timestamp\":\"{time}\",\
                 \"level\":\"{word}\",\"message\":\"{text}\"}}\n"
            )
        }
    }
}

fn timestamp(form: LogTimestamp, unix_ms: i64) -> String {
    let (year, month, day, hour, minute, second, zone_s) = sys::local_time(unix_ms / 1000);
    let milli = unix_ms % 1000;
    match form {
        LogTimestamp::Legacy => {
            let month = MONTHS[(month as usize - 1) % 12];
            format!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{milli:03}")
        }
        LogTimestamp::Iso8601 => {
            let sign = if zone_s < 0 { '-' } else { '+' };
            let (zone_h, zone_m) = (zone_s.abs() / 3600, zone_s.abs() / 60 % 60);
            format!(
                "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}\
                 {sign}{zone_h:02}:{zone_m:02}"
            )
        }
        LogTimestamp::Milliseconds => unix_ms.to_string(),
    }
}

/// The text as the inside of a JSON string.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes everything");
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
