//! The command log: the latest commands that were slow, large, or had large replies.
//!
//! A log of length 0 takes nothing in and keeps what it has, as in Valkey 9.1 (Redis empties it).
//!
//! Source: COMMANDLOG of Valkey 9.1; its log of slow commands is the one that SLOWLOG shows.

use std::collections::VecDeque;

use crate::command::args::Args;
use crate::config::Config;
use crate::registry::ClientShared;
use crate::session::Session;
use crate::sync::{Mutex, lock};

/// Arguments kept of a command.
const ARGS_MAX: usize = 32;
/// Bytes kept of an argument.
const ARG_BYTES_MAX: usize = 128;

/// One logged command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number, counted since the start.
    pub id: u64,
    /// Unix time in seconds.
    pub unix_s: i64,
    /// The value that was logged: a duration in microseconds, or a size in bytes.
    pub amount: u64,
    /// Its arguments, truncated.
    pub argv: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: Vec<u8>,
}

#[derive(Debug, Default)]
struct Entries {
    newest_first: VecDeque<LogEntry>,
    next_id: u64,
}

/// The log of one kind.
#[derive(Debug, Default)]
pub struct Log {
    entries: Mutex<Entries>,
}

impl Log {
    #[cold]
    fn push(&self, mut entry: LogEntry, max_len: usize) {
        if max_len == 0 {
            return;
        }
        let mut entries = lock(&self.entries);
        entry.id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(entry);
        entries.newest_first.truncate(max_len);
    }

    /// Drops what has become too much, where anything is logged at all.
    fn fit(&self, limit: i64, max_len: usize) {
        if limit >= 0 && max_len > 0 {
            lock(&self.entries).newest_first.truncate(max_len);
        }
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<LogEntry> {
        lock(&self.entries).newest_first.iter().take(count).cloned().collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        lock(&self.entries).newest_first.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries.
    pub fn reset(&self) {
        lock(&self.entries).newest_first.clear();
    }
}

/// A command that has been executed, with the values that may exceed a threshold.
pub struct Executed<'a> {
    /// The client's protocol state.
    pub session: &'a Session,
    /// The client's record.
    pub client: &'a ClientShared,
    /// Its arguments.
    pub args: Args<'a>,
    /// How long it took.
    pub ns: u64,
    /// The length of its reply.
    pub reply_bytes: usize,
    /// Unix time in microseconds.
    pub now_us: i64,
}

/// The logs of all kinds.
#[derive(Debug, Default)]
pub struct CommandLog {
    /// Commands that took longer than `commandlog-execution-slower-than` microseconds.
    pub slow: Log,
    /// Requests of more than `commandlog-request-larger-than` bytes.
    pub large_request: Log,
    /// Replies of more than `commandlog-reply-larger-than` bytes.
    pub large_reply: Log,
}

impl CommandLog {
    /// Drops what a changed configuration leaves no room for.
    pub fn follow(&self, config: &Config) {
        self.slow.fit(config.slowlog_log_slower_than, config.slowlog_max_len);
        self.large_request
            .fit(config.commandlog_request_larger_than, config.commandlog_large_request_max_len);
        self.large_reply
            .fit(config.commandlog_reply_larger_than, config.commandlog_large_reply_max_len);
    }

    /// Adds a command to each log whose threshold it reaches.
    #[inline]
    pub fn note(&self, config: &Config, command: &Executed<'_>) {
        let us = command.ns / 1000;
        if reaches(us, config.slowlog_log_slower_than) {
            self.slow.push(command.entry(us), config.slowlog_max_len);
        }
        let limit = config.commandlog_request_larger_than;
        if reaches(command.args.request_bytes_max() as u64, limit) {
            let bytes = command.args.request_bytes() as u64;
            if reaches(bytes, limit) {
                let max_len = config.commandlog_large_request_max_len;
                self.large_request.push(command.entry(bytes), max_len);
            }
        }
        let bytes = command.reply_bytes as u64;
        if reaches(bytes, config.commandlog_reply_larger_than) {
            self.large_reply.push(command.entry(bytes), config.commandlog_large_reply_max_len);
        }
    }
}

/// Whether an amount reaches the threshold; a negative threshold disables the log.
#[inline]
fn reaches(amount: u64, limit: i64) -> bool {
    u64::try_from(limit).is_ok_and(|limit| amount >= limit)
}

impl Executed<'_> {
    #[cold]
    fn entry(&self, amount: u64) -> LogEntry {
        LogEntry {
            id: 0,
            unix_s: self.now_us / 1_000_000,
            amount,
            argv: shortened(self.args, |index| self.session.secrets.contains(index)),
            addr: self.client.addr.clone(),
            name: lock(&self.client.texts).name.clone(),
        }
    }
}

/// At most [`ARGS_MAX`] arguments of at most [`ARG_BYTES_MAX`] bytes, with a note on what was cut.
/// Secret ones are redacted.
pub fn shortened(args: Args<'_>, is_secret: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut argv: Vec<Vec<u8>> = (0..shown)
        .map(|index| match args.get(index) {
            _ if is_secret(index) => b"(redacted)".to_vec(),
            word if word.len() > ARG_BYTES_MAX => {
                let mut cut = word[..ARG_BYTES_MAX].to_vec();
                let more = word.len() - ARG_BYTES_MAX;
                cut.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                cut
            }
            word => word.to_vec(),
        })
        .collect();
    if shown < args.len() {
        argv.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    argv
}
