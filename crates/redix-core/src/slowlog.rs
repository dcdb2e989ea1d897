//! The slow log: the last commands that took longer than `slowlog-log-slower-than`.

use std::collections::VecDeque;

use crate::command::args::Args;
use crate::config::Config;
use crate::registry::ClientShared;
use crate::session::Session;
use crate::sync::{Mutex, lock};

/// Words kept of a command.
const ARGS_MAX: usize = 32;
/// Bytes kept of a word.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowEntry {
    /// Its number, counted since the start.
    pub id: u64,
    /// Unix time in seconds.
    pub unix_s: i64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Its words, shortened.
    pub argv: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: Vec<u8>,
}

#[derive(Debug, Default)]
struct Entries {
    newest_first: VecDeque<SlowEntry>,
    next_id: u64,
}

/// The slow log.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: Mutex<Entries>,
}

impl SlowLog {
    /// Adds a command if it was slow.
    #[inline]
    pub fn note(
        &self,
        config: &Config,
        session: &Session,
        client: &ClientShared,
        args: Args<'_>,
        duration_ns: u64,
        now_us: i64,
    ) {
        let limit_us = config.slowlog_log_slower_than;
        if limit_us < 0 || (duration_ns / 1000) < limit_us as u64 {
            return;
        }
        let entry = SlowEntry {
            id: 0,
            unix_s: now_us / 1_000_000,
            duration_us: duration_ns / 1000,
            argv: shortened(args, &session.secrets),
            addr: client.addr.clone(),
            name: lock(&client.texts).name.clone(),
        };
        self.push(entry, config.slowlog_max_len);
    }

    #[cold]
    fn push(&self, mut entry: SlowEntry, max_len: usize) {
        let mut entries = lock(&self.entries);
        entry.id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(entry);
        entries.newest_first.truncate(max_len);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
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

    /// Forgets all entries.
    pub fn reset(&self) {
        lock(&self.entries).newest_first.clear();
    }
}

/// At most [`ARGS_MAX`] words of at most [`ARG_BYTES_MAX`] bytes; what is cut is said.
fn shortened(args: Args<'_>, secrets: &[usize]) -> Vec<Vec<u8>> {
    let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut argv: Vec<Vec<u8>> = (0..shown)
        .map(|index| match args.get(index) {
            _ if secrets.contains(&index) => b"(redacted)".to_vec(),
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
