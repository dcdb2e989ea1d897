//! A file that is replaced atomically.
//!
//! Bytes are written to a temporary beside the final name; when complete it is synced, renamed over
//! the final name, and the directory is synced. A temporary that is not published is removed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use redix_types::num::parse_i64;

use crate::config::Config;
use crate::env::{Disk, DiskFile};

/// Bytes between two syncs under `rdb-save-incremental-fsync`, which keeps the final sync short.
/// Source: Redis, `REDIS_AUTOSYNC_BYTES`.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Why saving failed.
#[derive(Debug)]
pub enum SaveError {
    /// An I/O error.
    Io {
        /// The operation that failed.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Changes came faster than they could be written: this many bytes were queued.
    BufferFull(u64),
    /// Another save is under way.
    InProgress,
    /// It was cancelled.
    Cancelled,
    /// All replicas that it was for have disconnected.
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

/// The writer of a file: concurrent saves must not share a temporary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A command, synchronously.
    Foreground,
    /// The saver.
    Background,
}

/// The path of the snapshot file: `dbfilename` in `dir`.
pub fn snapshot_path(config: &Config) -> PathBuf {
    Path::new(&config.dir).join(&config.dbfilename)
}

/// The path of a snapshot's temporary file.
pub fn temporary_path(config: &Config, writer: Writer) -> PathBuf {
    let pid = std::process::id();
    Path::new(&config.dir).join(match writer {
        Writer::Foreground => format!("temp-{pid}.rdb"),
        Writer::Background => format!("temp-bgsave-{pid}.rdb"),
    })
}

/// The process id of the writer, if `name` is that of a temporary file of this server: of a save,
/// or of a data set received from a primary.
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

/// A snapshot file being written.
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
        Self::create_at(
            disk,
            config,
            temporary,
            snapshot_path(config),
            config.rdb_save_incremental_fsync,
        )
    }

    /// Creates a base of the append-only file under a temporary name.
    pub fn create_base(
        disk: &dyn Disk,
        config: &Config,
        temporary: &Path,
    ) -> Result<Self, SaveError> {
        let to_sync = config.aof_rewrite_incremental_fsync;
        Self::create_at(disk, config, temporary.to_owned(), temporary.to_owned(), to_sync)
    }

    fn create_at(
        disk: &dyn Disk,
        config: &Config,
        temporary: PathBuf,
        path: PathBuf,
        incremental_sync: bool,
    ) -> Result<Self, SaveError> {
        let file = disk.create(&temporary).map_err(|source| SaveError::Io {
            op: "create",
            path: temporary.clone(),
            source,
        })?;
        Ok(Self {
            file,
            temporary,
            dir: PathBuf::from(&config.dir),
            path,
            written: 0,
            synced: 0,
            incremental_sync,
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

    /// Syncs what was written so far.
    pub fn sync(&mut self) -> Result<(), SaveError> {
        self.synced = self.written;
        self.file.sync().map_err(|source| self.error("sync", source))
    }

    /// Renames the temporary to the final name; it must be complete and synced.
    pub fn rename(&mut self, disk: &dyn Disk) -> Result<(), SaveError> {
        disk.rename(&self.temporary, &self.path).map_err(|source| SaveError::Io {
            op: "rename to",
            path: self.path.clone(),
            source,
        })
    }

    /// Syncs the directory, so that the new name is durable.
    pub fn sync_dir(&self, disk: &dyn Disk) -> Result<(), SaveError> {
        let io_error = |source| SaveError::Io { op: "sync", path: self.dir.clone(), source };
        disk.sync_dir(&self.dir).map_err(io_error)
    }

    /// Syncs the file, renames it and syncs the directory. On failure nothing is left.
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
        // Ignored: the error that led here is the one to report.
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
