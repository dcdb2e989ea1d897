//! Restoring a data set as of an earlier moment, from append-only files and their history.
//!
//! A *generation* is a base with the increments behind it; the present one is what a server loads,
//! the others are what rewrites have replaced (`aof-history-keep`). The data set at any moment is
//! the last base before it, with the units of its increments up to then. So a restore copies a base
//! and the beginning of the increments to another directory, from which any server starts; nothing
//! is loaded, and memory does not depend on the size of the data.
//!
//! The copy has no replication position: it must not look like a point in the history of a primary
//! whose replicas have gone on.
//!
//! **Invariants.** Only whole units are copied. The source is only read. The manifest of the copy
//! is written last: what an interrupted restore leaves is no data set.
//!
//! Reading order: [`Timeline`] (what there is), `choose` (where to stop), `copy`.

mod choose;
mod copy;
#[cfg(test)]
mod tests;
mod timeline;
mod undo;
mod walk;

use std::fmt;
use std::path::PathBuf;

use crate::aof::writer::FileError;
use crate::moment::rfc3339;
use crate::persist::aof::scan::{FaultKind, ScanError};

pub use choose::{Plan, Stop};
pub use copy::Copied;
pub use timeline::{Candidate, Generation, Increment, Span, Timeline};
pub use undo::{Found, Undo};

/// What is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The data set at the end of this second since the Unix epoch.
    Time(i64),
    /// The data set at this replication offset.
    Offset(u64),
    /// What is before this offset of an increment.
    Place(Vec<u8>, u64),
    /// The data set before the last command of a kind.
    Before(Undo),
    /// The data set without the last command of a kind: what was written after it is kept.
    Without(Undo),
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The offset at which it is; `None`: there is no file.
    pub offset: Option<u64>,
    /// What it is.
    pub what: String,
    /// The file is sound, but ends within a unit.
    pub breaks_off: bool,
}

impl Trouble {
    fn of(error: &ScanError) -> Self {
        let what = match &error.fault.kind {
            FaultKind::Io(source) => crate::env::error_text(source),
            kind => kind.to_string(),
        };
        Self { offset: Some(error.offset()), what, breaks_off: error.is_truncation() }
    }

    fn missing() -> Self {
        Self { offset: None, what: "there is no such file".to_owned(), breaks_off: false }
    }
}

impl fmt::Display for Trouble {
    /// For behind the name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) if self.breaks_off => {
                write!(f, "breaks off at offset {offset}: {}", self.what)
            }
            Some(offset) => write!(f, "is damaged at offset {offset}: {}", self.what),
            None => f.write_str("is missing"),
        }
    }
}

/// Why a data set cannot be restored.
#[derive(Debug)]
pub enum RestoreError {
    /// A file operation failed.
    File(FileError),
    /// There is no manifest.
    NoManifest(PathBuf),
    /// That moment is not within what the files cover.
    OutOfRange {
        /// The moment.
        wanted: String,
        /// What can be restored.
        spans: Vec<Span>,
    },
    /// What is wanted may be behind the fault of a file.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its fault.
        trouble: Trouble,
        /// What can be restored.
        spans: Vec<Span>,
    },
    /// It is not known when units were written.
    Untimed {
        /// The file.
        path: PathBuf,
        /// The offset of the first such unit.
        offset: u64,
        /// What can be restored.
        spans: Vec<Span>,
    },
    /// No command of that kind was found.
    NothingToUndo {
        /// The kind.
        undo: Undo,
        /// What can be restored.
        spans: Vec<Span>,
    },
    /// What was written later cannot be kept: this file does not continue the one before it.
    Gap(PathBuf),
}

impl From<FileError> for RestoreError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = match self {
            Self::File(error) => return error.fmt(f),
            Self::NoManifest(path) => return write!(f, "there is no manifest {}", path.display()),
            Self::Gap(path) => {
                return write!(
                    f,
                    "what was written later cannot be kept: {} is not known to continue the file \
                     before it",
                    path.display()
                );
            }
            Self::OutOfRange { wanted, spans } => {
                write!(f, "{wanted} is not within what the files cover")?;
                spans
            }
            Self::Damaged { path, trouble, spans } => {
                write!(f, "{} {trouble}", path.display())?;
                spans
            }
            Self::Untimed { path, offset, spans } => {
                write!(
                    f,
                    "{}: the commands from offset {offset} on have no time (aof-timestamp-enabled)",
                    path.display()
                )?;
                spans
            }
            Self::NothingToUndo { undo, spans } => {
                write!(f, "there is no {undo} in the files")?;
                spans
            }
        };
        f.write_str("; can be restored: ")?;
        write_spans(spans, f)
    }
}

/// What can be restored, in words.
fn write_spans(spans: &[Span], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if spans.is_empty() {
        return f.write_str("nothing");
    }
    for (index, span) in spans.iter().enumerate() {
        write!(f, "{}{span}", if index == 0 { "" } else { ", and " })?;
    }
    Ok(())
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times_s {
            Some((from, to)) => write!(f, "{} to {}", rfc3339(from), rfc3339(to))?,
            None => f.write_str("unknown times")?,
        }
        if let Some((from, to)) = self.offsets {
            write!(f, ", offsets {from} to {to}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}
