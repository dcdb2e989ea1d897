//! The log of denials, as ACL LOG shows it: the newest first, equal ones within a minute counted
//! together.

use std::collections::VecDeque;

/// Denials of the same kind are counted together if the last is no older than this.
const GROUPED_MS: i64 = 60_000;
/// How many entries are looked at for one to count with.
const LOOKED_AT: usize = 10;

/// What was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A database.
    Database,
    /// A user name with a password.
    Auth,
    /// The user that a certificate names.
    Certificate,
}

impl Reason {
    /// Its name in ACL LOG.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Database => "database",
            Self::Auth => "auth",
            Self::Certificate => "tls-cert",
        }
    }
}

/// From where the command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A client.
    TopLevel,
    /// A transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// Its name in ACL LOG.
    pub fn word(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Multi => "multi",
            Self::Lua => "lua",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How many denials it stands for.
    pub count: u64,
    /// What was denied.
    pub reason: Reason,
    /// From where the command came.
    pub context: Context,
    /// The name of what was denied.
    pub object: Vec<u8>,
    /// To whom.
    pub user: Vec<u8>,
    /// The connection, as CLIENT LIST shows it.
    pub client: String,
    /// A number that no other entry has.
    pub id: u64,
    /// Unix time in milliseconds of the first.
    pub created_ms: i64,
    /// Unix time in milliseconds of the last.
    pub updated_ms: i64,
}

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl AclLog {
    /// Adds a denial; at most `max` entries are kept.
    pub fn note(&mut self, entry: Entry, max: u64) {
        let is_same = |known: &Entry| {
            known.reason == entry.reason
                && known.context == entry.context
                && entry.updated_ms - known.updated_ms <= GROUPED_MS
                && known.object == entry.object
                && known.user == entry.user
        };
        let mut looked_at = self.entries.iter().take(LOOKED_AT);
        if let Some(mut known) = looked_at.position(is_same).and_then(|at| self.entries.remove(at))
        {
            known.client = entry.client;
            known.updated_ms = entry.updated_ms;
            known.count += 1;
            self.entries.push_front(known);
            return;
        }
        self.entries.push_front(Entry { id: self.next_id, ..entry });
        self.next_id += 1;
        self.entries.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries, the newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }
}
