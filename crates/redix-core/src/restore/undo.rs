//! The commands that can be undone: FLUSHALL, FLUSHDB, and deletions of keys that match a pattern.

use std::fmt;

use redix_types::glob::{self, Case};

use crate::persist::aof::scan::{Command, Place};

/// A kind of command to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// FLUSHALL.
    FlushAll,
    /// FLUSHDB, of this database or any.
    FlushDb(Option<u32>),
    /// DEL or UNLINK of a key that matches this pattern.
    Delete(Vec<u8>),
    /// FLUSHALL or FLUSHDB.
    AnyFlush,
}

/// A command that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its text, shortened.
    pub text: String,
    /// The database that it was run in.
    pub db: u32,
    /// It is part of a transaction or of what a script has written.
    pub in_transaction: bool,
}

/// The longest text of a command that is shown.
const SHOWN_MAX: usize = 60;

impl Undo {
    /// Parses `FLUSHALL`, `FLUSHDB`, `FLUSHDB n` and `DEL pattern`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
        match words[..] {
            [name] if is(name, "FLUSHALL") => Some(Self::FlushAll),
            [name] if is(name, "FLUSHDB") => Some(Self::FlushDb(None)),
            [name, db] if is(name, "FLUSHDB") => Some(Self::FlushDb(Some(db.parse().ok()?))),
            [name, pattern] if is(name, "DEL") || is(name, "UNLINK") => {
                Some(Self::Delete(pattern.as_bytes().to_vec()))
            }
            _ => None,
        }
    }

    /// What there is to say of a command that is run in this database, if it is one of them.
    pub(super) fn find(&self, command: &Command<'_>, db: u32) -> Option<Found> {
        self.matches(command, db).then(|| Found {
            text: shown(command),
            db,
            in_transaction: command.place != Place::Alone,
        })
    }

    fn matches(&self, command: &Command<'_>, db: u32) -> bool {
        let mut args = command.args();
        let Some(name) = args.next() else { return false };
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match self {
            Self::FlushAll => is(b"FLUSHALL"),
            Self::FlushDb(only) => is(b"FLUSHDB") && only.is_none_or(|only| only == db),
            Self::AnyFlush => is(b"FLUSHALL") || is(b"FLUSHDB"),
            Self::Delete(pattern) => {
                (is(b"DEL") || is(b"UNLINK"))
                    && args.any(|key| glob::matches(pattern, key, Case::Sensitive))
            }
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlushAll => f.write_str("FLUSHALL"),
            Self::FlushDb(None) => f.write_str("FLUSHDB"),
            Self::FlushDb(Some(db)) => write!(f, "FLUSHDB of database {db}"),
            Self::AnyFlush => f.write_str("FLUSHALL or FLUSHDB"),
            Self::Delete(pattern) => write!(f, "DEL of '{}'", pattern.escape_ascii()),
        }
    }
}

fn shown(command: &Command<'_>) -> String {
    let mut text = String::new();
    for (index, arg) in command.args().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&arg[..arg.len().min(SHOWN_MAX)].escape_ascii().to_string());
        if text.len() > SHOWN_MAX {
            // It is ASCII.
            text.truncate(SHOWN_MAX);
            text.push_str("...");
            break;
        }
    }
    text
}
