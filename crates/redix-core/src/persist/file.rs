//! A file that appears whole or not at all.
//!
//! Bytes go to a temporary beside the final name; when all are there it is synced, renamed over the
//! final name, and the directory is synced. A temporary that is dropped before is removed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use redix_types::num::parse_i64;

use crate::config::Config;
use crate::env::{Disk, DiskFile};

/// Bytes between two syncs under `rdb-save-incremental-fsync`, so that the last sync has little to
/// do. Source: Redis, `REDIS_AUTOSYNC_BYTES`.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Why saving failed.
#[derive(Debug)]
pub enum SaveError {
    /// The disk refused.
    Io {
        /// What was tried.
        op: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// Changes came faster than they could be written: so many bytes were waiting.
    BufferFull(u64),
    /// Another save is under way.
    InProgress,
    /// It was given up on request.
    Cancelled,
    /// All replicas that it was for are gone.
    NoReceiver,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "cannot {op} {}: {source}", path.display()),
            Self::BufferFull(bytes) => write!(
                f,
                "{bytes} bytes of changed values wait to be written, twice the \
                 snapshot-buffer-limit"
            ),
            Self::InProgress => f.write_str("another save is in progress"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NoReceiver => f.write_str("no replica is left to receive it"),
        }
    }
}

impl std::error::Error for SaveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Who writes a file: two saves at once must not share a temporary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A command that waits for it.
    Foreground,
    /// The saver.
    Background,
}

/// Where the snapshot lies: `dbfilename` in `dir`.
pub fn snapshot_path(config: &Config) -> PathBuf {
    Path::new(&config.dir).join(&config.dbfilename)
}

/// Where a snapshot lies until it is whole.
pub fn temporary_path(config: &Config, writer: Writer) -> PathBuf {
    let pid = std::process::id();
    Path::new(&config.dir).join(match writer {
        Writer::Foreground => format!("temp-{pid}.rdb"),
        Writer::Background => format!("temp-bgsave-{pid}.rdb"),
    })
}

/// The number of the process that writes, or wrote, a file if that is called like a temporary of
/// this server: of a save, or of a data set that a primary sends.
pub fn temporary_writer(name: &[u8]) -> Option<u32> {
    let middle = name.strip_prefix(b"temp-")?.strip_suffix(b".rdb")?;
    let digits = match middle.strip_prefix(b"bgsave-") {
        Some(digits) => digits,
        None => match memchr::memchr(b'.', middle) {
            Some(at) => {
                parse_i64(&middle[..at])?;
                &middle[at + 1..]
            }
            None => middle,
        },
    };
    u32::try_from(parse_i64(digits)?).ok()
}

/// A snapshot on its way to its name.
pub struct SaveFile {
    file: Box<dyn DiskFile>,
    temporary: PathBuf,
    dir: PathBuf,
    path: PathBuf,
    written: u64,
    synced: u64,
    incremental_sync: bool,
}

impl SaveFile {
    /// Creates the temporary.
    pub fn create(disk: &dyn Disk, config: &Config, writer: Writer) -> Result<Self, SaveError> {
        let temporary = temporary_path(config, writer);
        let file = disk.create(&temporary).map_err(|source| SaveError::Io {
            op: "create",
            path: temporary.clone(),
            source,
        })?;
        Ok(Self {
            file,
            temporary,
            dir: PathBuf::from(&config.dir),
            path: snapshot_path(config),
            written: 0,
            synced: 0,
            incremental_sync: config.rdb_save_incremental_fsync,
        })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        self.file.write_all(bytes).map_err(|source| self.error("write to", source))?;
        self.written += bytes.len() as u64;
        if self.incremental_sync && self.written - self.synced >= SYNC_EVERY_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes what was written so far durable.
    pub fn sync(&mut self) -> Result<(), SaveError> {
        self.synced = self.written;
        self.file.sync().map_err(|source| self.error("sync", source))
    }

    /// Gives the file its name; it must be whole and synced.
    pub fn rename(&mut self, disk: &dyn Disk) -> Result<(), SaveError> {
        disk.rename(&self.temporary, &self.path).map_err(|source| SaveError::Io {
            op: "rename to",
            path: self.path.clone(),
            source,
        })
    }

    /// Makes the new name durable.
    pub fn sync_dir(&self, disk: &dyn Disk) -> Result<(), SaveError> {
        let io_error = |source| SaveError::Io { op: "sync", path: self.dir.clone(), source };
        disk.sync_dir(&self.dir).map_err(io_error)
    }

    /// Syncs the whole file, gives it its name and makes that durable. On failure nothing is left.
    pub fn publish(mut self, disk: &dyn Disk) -> Result<(), SaveError> {
        match self.sync().and_then(|()| self.rename(disk)) {
            Ok(()) => self.sync_dir(disk),
            Err(error) => {
                self.discard(disk);
                Err(error)
            }
        }
    }

    /// Removes the temporary.
    pub fn discard(self, disk: &dyn Disk) {
        drop(self.file);
        // Whatever keeps it from being removed, the failure behind the discarding is what counts.
        disk.remove(&self.temporary).ok();
    }

    fn error(&self, op: &'static str, source: io::Error) -> SaveError {
        SaveError::Io { op, path: self.temporary.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_are_known_by_their_names() {
        let config = Config::default();
        for writer in [Writer::Foreground, Writer::Background] {
            let path = temporary_path(&config, writer);
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            assert_eq!(temporary_writer(name), Some(std::process::id()));
        }
        assert_eq!(temporary_writer(b"temp-1700000000.77.rdb"), Some(77));
        for other in ["dump.rdb", "temp-.rdb", "temp-x.rdb", "temp-1", "temp-bgsave-1.2.rdb"] {
            assert_eq!(temporary_writer(other.as_bytes()), None, "{other}");
        }
    }
}
