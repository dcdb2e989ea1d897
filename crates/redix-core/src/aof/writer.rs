//! Writing the increments of the append-only file, and the manifest.
//!
//! A step writes what the log has up to its end, which is always the end of a unit. Only then is
//! the reader of the log advanced: after an error the file is cut down to the last whole unit and
//! the rest is written again, so that a transaction is whole in the file or absent from it.
//!
//! Besides commands the file has annotations, lines that begin with `#` and that real servers skip:
//! `#TS:` with the Unix time in seconds (`aof-timestamp-enabled`), and, while a backlog is kept,
//! `#REPL-ID:` and `#REPL-OFFSET:` wherever the replication offset does not follow from the length
//! of the commands before, so that a restarted server can continue the stream.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use redix_resp::request::encode_command;

use crate::env::{Disk, DiskFile, Syncer, error_text};
use crate::persist::aof::manifest::{BaseFormat, MANIFEST_SUFFIX, Manifest};
use crate::repl::log::{Log, Piece, Reader, ReplId};
use crate::sync::Arc;

/// Bytes written at a time.
const BATCH_BYTES: usize = 256 << 10;

/// An error with the operation and the file.
#[derive(Debug)]
pub struct FileError {
    /// The operation that failed.
    pub op: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The error.
    pub source: io::Error,
}

impl FileError {
    /// For an operation on a file, to be used with `map_err`.
    pub fn of(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { op, path: path.to_owned(), source }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {} {}: {}", self.op, self.path.display(), error_text(&self.source))
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Where the files are.
#[derive(Debug, Clone)]
pub struct Place {
    /// `appenddirname` in `dir`.
    pub dir: PathBuf,
    /// `appendfilename`.
    pub name: Vec<u8>,
}

impl Place {
    /// The path of a file of the manifest.
    pub fn file(&self, name: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.dir.join(std::ffi::OsStr::from_bytes(name))
    }

    /// The path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        self.file(&[&self.name[..], MANIFEST_SUFFIX.as_bytes()].concat())
    }

    /// The path of a file that is not in the manifest yet.
    pub fn temporary(&self, ending: &str) -> PathBuf {
        self.file(&[b"temp-", &self.name[..], ending.as_bytes()].concat())
    }

    /// The manifest on disk; `None` if there is none.
    pub fn read_manifest(&self, disk: &dyn Disk) -> Result<Option<Manifest>, FileError> {
        let path = self.manifest();
        let mut text = Vec::new();
        match disk.open(&path) {
            Ok((mut file, _)) => {
                file.read_to_end(&mut text).map_err(FileError::of("read", &path))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FileError { op: "open", path, source }),
        };
        let parsed = Manifest::parse(&text).map_err(io::Error::other);
        parsed.map(Some).map_err(FileError::of("read", &path))
    }

    /// Replaces the manifest, durably.
    pub fn write_manifest(&self, disk: &dyn Disk, manifest: &Manifest) -> Result<(), FileError> {
        self.replace_manifest(disk, manifest)?;
        self.sync_dir(disk)
    }

    /// Replaces the manifest; after an error the old one is still there.
    fn replace_manifest(&self, disk: &dyn Disk, manifest: &Manifest) -> Result<(), FileError> {
        let (path, temporary) = (self.manifest(), self.temporary(MANIFEST_SUFFIX));
        let written = disk.create(&temporary).and_then(|mut file| {
            file.write_all(&manifest.to_bytes())?;
            file.sync()
        });
        written.map_err(FileError::of("write", &temporary))?;
        disk.rename(&temporary, &path).map_err(FileError::of("rename to", &path))
    }

    /// Makes durable which files there are and what they are called.
    pub fn sync_dir(&self, disk: &dyn Disk) -> Result<(), FileError> {
        disk.sync_dir(&self.dir).map_err(FileError::of("sync", &self.dir))
    }
}

/// How the bytes of a step are written.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The offset of the log to write up to: the end of a unit.
    pub until: u64,
    /// The time for annotations, if there are any: Unix time in seconds.
    pub timestamp_s: Option<i64>,
}

/// What is done about files that are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// They go at once, or are kept without a limit (`aof-disable-auto-gc`).
    None,
    /// They are kept for a time, for which the manifest has to say when they were replaced and what
    /// follows on what. The present time, in seconds since the Unix epoch.
    Kept(u64),
}

impl Retention {
    /// Records in a manifest what its files need that have just become history.
    pub fn date(self, manifest: &mut Manifest) -> bool {
        match self {
            Self::None => false,
            Self::Kept(now_s) => manifest.date_history(now_s),
        }
    }
}

/// The file that commands are appended to.
pub struct Writer {
    place: Place,
    /// The manifest on disk.
    manifest: Manifest,
    /// Before its manifest is written: the increment has a temporary name.
    is_temporary: bool,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// The length of what is whole in the file.
    len: u64,
    /// The file may be longer.
    is_torn: bool,
    /// The database of the first record, selected before whatever is written to an empty file.
    first_db: Option<u32>,
    /// The increment was begun for the rewrite under way, and may stand behind its base.
    is_fresh: bool,
    /// The next offset of the log.
    reader: Reader,
    /// The replication id of the last annotation, and the offset that follows from it.
    named: Option<(ReplId, u64)>,
    /// The time of the last annotation.
    stamped_s: i64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Continues the last increment of a manifest, which has been loaded, or begins one. Its first
    /// record may need this database.
    pub fn resume(
        disk: &dyn Disk,
        place: Place,
        mut manifest: Manifest,
        reader: Reader,
        db: Option<u32>,
    ) -> Result<Self, FileError> {
        if manifest.increments.is_empty() {
            manifest.next_increment(&place.name, None);
        }
        let name = manifest.increments.last().map_or(&[][..], |file| &file.name);
        let path = place.file(name);
        let (file, len) = disk.append(&path).map_err(FileError::of("open", &path))?;
        place.write_manifest(disk, &manifest)?;
        let mut writer = Self::of(place, manifest, false, (path, file, len), reader);
        // A file begins in database 0.
        writer.first_db = db.filter(|db| *db != 0);
        Ok(writer)
    }

    /// Begins an increment of a data set whose base is being made: until [`Writer::commit`] the
    /// manifest on disk, if there is one, describes another data set.
    pub fn start(
        disk: &dyn Disk,
        place: Place,
        manifest: Manifest,
        reader: Reader,
        db: Option<u32>,
    ) -> Result<Self, FileError> {
        disk.create_dir(&place.dir).map_err(FileError::of("create", &place.dir))?;
        let path = place.temporary(".incr");
        let file = disk.create(&path).map_err(FileError::of("create", &path))?;
        let mut writer = Self::of(place, manifest, true, (path, file, 0), reader);
        (writer.first_db, writer.is_fresh) = (db, true);
        Ok(writer)
    }

    fn of(
        place: Place,
        manifest: Manifest,
        is_temporary: bool,
        (path, file, len): (PathBuf, Box<dyn DiskFile>, u64),
        reader: Reader,
    ) -> Self {
        Self {
            place,
            manifest,
            is_temporary,
            path,
            file,
            len,
            is_torn: false,
            first_db: None,
            is_fresh: false,
            reader,
            named: None,
            stamped_s: 0,
            buffer: Vec::new(),
        }
    }

    /// The offset of the log up to which everything is in the file.
    pub fn written(&self) -> u64 {
        self.reader.offset()
    }

    /// The length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.len
    }

    /// The name of the present increment.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Syncs from another thread.
    pub fn syncer(&self) -> Result<Arc<dyn Syncer>, FileError> {
        self.file.syncer().map_err(FileError::of("sync", &self.path))
    }

    /// Writes what is in the log up to a place. After an error it can be called again.
    pub fn write(&mut self, log: &Log, step: Step) -> Result<(), FileError> {
        if self.is_torn {
            let cut = self.file.truncate(self.len);
            cut.map_err(FileError::of("truncate", &self.path))?;
            self.is_torn = false;
        }
        let (mut named, mut stamped_s) = (self.named, self.stamped_s);
        let (mut offset, mut len) = (self.reader.offset(), self.len);
        let mut has_inserted = false;
        let id = log.has_backlog().then(|| log.history().id);
        loop {
            self.buffer.clear();
            while offset < step.until && self.buffer.len() < BATCH_BYTES {
                let mark = self.buffer.len();
                let max = usize::try_from(step.until - offset).unwrap_or(usize::MAX);
                let max = max.min(BATCH_BYTES);
                let piece = log.read_records(offset, has_inserted, max, &mut self.buffer);
                has_inserted = piece == Piece::FileOnly;
                let count = match piece {
                    Piece::Records(0) => break,
                    Piece::Records(count) => count as u64,
                    Piece::ReplicasOnly(count) => {
                        offset += count;
                        continue;
                    }
                    Piece::FileOnly => 0,
                };
                let mut notes = Vec::new();
                let at_start = len == 0 && mark == 0;
                stamp(&mut stamped_s, step.timestamp_s, &mut notes);
                if at_start {
                    select(self.first_db, &mut notes);
                }
                name_place(&mut named, id, offset, &mut notes);
                self.buffer.splice(mark..mark, notes);
                offset += count;
                // What was inserted does not count: the place is named again behind it.
                let behind = if has_inserted { u64::MAX } else { offset };
                named = named.map(|(id, _)| (id, behind));
            }
            if offset == step.until && named != id.map(|id| (id, offset)) {
                if len == 0 && self.buffer.is_empty() {
                    stamp(&mut stamped_s, step.timestamp_s, &mut self.buffer);
                    select(self.first_db, &mut self.buffer);
                }
                name_place(&mut named, id, offset, &mut self.buffer);
            }
            if self.buffer.is_empty() {
                break;
            }
            self.is_torn = true;
            self.file.write_all(&self.buffer).map_err(FileError::of("write to", &self.path))?;
            len += self.buffer.len() as u64;
        }
        self.is_torn = false;
        (self.named, self.stamped_s, self.len) = (named, stamped_s, len);
        self.reader.advance_to(offset);
        log.forget_written(offset);
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&mut self) -> Result<(), FileError> {
        let synced = self.file.syncer().and_then(|syncer| syncer.sync());
        synced.map_err(FileError::of("sync", &self.path))
    }

    /// Begins a new increment here, whose first record may need this database; the old one is
    /// durable then. On failure the old one is still the present one.
    pub fn switch(
        &mut self,
        disk: &dyn Disk,
        db: Option<u32>,
        retention: Retention,
    ) -> Result<(), FileError> {
        self.is_fresh = false;
        self.sync()?;
        let mut manifest = self.manifest.clone();
        let path = self.place.file(&manifest.next_increment(&self.place.name, None).name);
        if retention != Retention::None {
            manifest.note_continuation();
        }
        let file = disk.create(&path).map_err(FileError::of("create", &path))?;
        if let Err(error) = self.place.replace_manifest(disk, &manifest) {
            // Ignored: it is empty, and in no manifest.
            disk.remove(&path).ok();
            return Err(error);
        }
        self.manifest = manifest;
        (self.path, self.file, self.len) = (path, file, 0);
        (self.first_db, self.named, self.is_fresh) = (db, None, true);
        // Each file tells by itself when its commands were written.
        self.stamped_s = 0;
        Ok(())
    }

    /// Makes a complete, synced file the base of the present increment, durably: what was before
    /// becomes history. On failure the manifest is as before, or the new one if only the directory
    /// cannot be synced.
    pub fn commit(
        &mut self,
        disk: &dyn Disk,
        base: &Path,
        format: BaseFormat,
        retention: Retention,
    ) -> Result<(), FileError> {
        if !std::mem::take(&mut self.is_fresh) {
            // Its commands would be applied to a base that has them.
            let source = io::Error::other("no increment was begun for it");
            return Err(FileError { op: "use", path: base.to_owned(), source });
        }
        let mut manifest = self.manifest.clone();
        if self.is_temporary {
            self.sync()?;
            manifest.next_increment(&self.place.name, None);
        }
        let to = self.place.file(&manifest.next_base(&self.place.name, format).name);
        manifest.retire_increments();
        retention.date(&mut manifest);
        disk.rename(base, &to).map_err(FileError::of("rename to", &to))?;
        let mut path = self.path.clone();
        if self.is_temporary {
            let name = manifest.increments.last().map_or(&[][..], |file| &file.name);
            path = self.place.file(name);
            disk.rename(&self.path, &path).map_err(FileError::of("rename to", &path))?;
        }
        if let Err(error) = self.place.replace_manifest(disk, &manifest) {
            if self.is_temporary {
                // Ignored: a later attempt will fail as well.
                disk.rename(&path, &self.path).ok();
            }
            disk.remove(&to).ok();
            return Err(error);
        }
        (self.path, self.manifest, self.is_temporary) = (path, manifest, false);
        self.place.sync_dir(disk)
    }

    /// Removes the history that is of no use to anyone who looks back to `since_s`; all of it
    /// without such a time. Returns the errors of files that could not be removed.
    pub fn remove_history(
        &mut self,
        disk: &dyn Disk,
        since_s: Option<u64>,
    ) -> Result<Vec<FileError>, FileError> {
        let mut manifest = self.manifest.clone();
        let outdated = manifest.take_history(since_s);
        if outdated.is_empty() {
            return Ok(Vec::new());
        }
        let mut failed = Vec::new();
        for file in outdated {
            let path = self.place.file(&file.name);
            match disk.remove(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => failed.push(FileError { op: "remove", path, source }),
            }
        }
        self.place.write_manifest(disk, &manifest)?;
        self.manifest = manifest;
        Ok(failed)
    }

    /// Records when the history of which that is not known was replaced: now.
    pub fn date_history(&mut self, disk: &dyn Disk, now_s: u64) -> Result<(), FileError> {
        let mut manifest = self.manifest.clone();
        if manifest.date_history(now_s) {
            self.place.write_manifest(disk, &manifest)?;
            self.manifest = manifest;
        }
        Ok(())
    }

    /// Removes the increment if it is in no manifest.
    pub fn discard(self, disk: &dyn Disk) {
        if self.is_temporary {
            // Ignored: the next one has the same name.
            disk.remove(&self.path).ok();
        }
    }

    /// The manifest on disk.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// Annotates the time, if it has changed.
fn stamp(stamped_s: &mut i64, timestamp_s: Option<i64>, out: &mut Vec<u8>) {
    if let Some(now_s) = timestamp_s.filter(|now_s| *now_s > *stamped_s) {
        *stamped_s = now_s;
        out.extend_from_slice(format!("#TS:{now_s}\r\n").as_bytes());
    }
}

/// Selects the database of the first record of a file.
fn select(db: Option<u32>, out: &mut Vec<u8>) {
    if let Some(db) = db {
        encode_command(out, &[&b"SELECT"[..], db.to_string().as_bytes()]);
    }
}

/// Annotates the replication id and offset where they do not follow from what was written.
fn name_place(
    named: &mut Option<(ReplId, u64)>,
    id: Option<ReplId>,
    offset: u64,
    out: &mut Vec<u8>,
) {
    let Some(id) = id else { return };
    if *named == Some((id, offset)) {
        return;
    }
    if named.is_none_or(|(before, _)| before != id) {
        out.extend_from_slice(format!("#REPL-ID:{}\r\n", id.as_str()).as_bytes());
    }
    out.extend_from_slice(format!("#REPL-OFFSET:{offset}\r\n").as_bytes());
    *named = Some((id, offset));
}
