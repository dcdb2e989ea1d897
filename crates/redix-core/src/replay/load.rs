//! Loading the append-only file, at startup and by DEBUG LOADAOF.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{AofError, FileEnd, Replay, Threads};
use crate::aof::writer::FileError;
use crate::engine::Engine;
use crate::env::Level;
use crate::persist::aof::manifest::{BaseFormat, Manifest};
use crate::persist::load::Origin;
use crate::persist::save;
use crate::rdb::format::{MAGIC_LEN, begins_as_rdb};
use crate::repl::log::Position;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

impl Engine {
    /// Loads the data set at startup, executing on the thread with this gate, and starts to append
    /// to its files. Until then clients are replied to with `-LOADING`.
    pub fn load_first_aof(
        self: &Arc<Self>,
        thread: usize,
        threads: &dyn Threads,
    ) -> Result<(), AofError> {
        let began_ns = self.env.clock.mono_ns();
        let manifest = self.find_aof()?;
        let exists = manifest != Manifest::default();
        let position = self.load_files(&manifest, thread, threads)?;
        if exists {
            let seconds = self.env.clock.mono_ns().saturating_sub(began_ns) as f64 / 1e9;
            let text = format!("DB loaded from append only file: {seconds:.3} seconds");
            self.env.log(Level::Notice, &text);
        }
        let dirty = self.stats.totals().dirty;
        self.stats.dirty_at_save.store(dirty, Ordering::Relaxed);
        if let Some((Position { id, offset }, db)) = position {
            let offset = i64::try_from(offset).unwrap_or(-1);
            let id = id.as_str().as_bytes().to_vec();
            self.resume_stream(Origin { id, offset, db, ..Origin::default() });
        }
        let manifest = if exists { manifest } else { self.make_first_base()? };
        self.open_aof(manifest)?;
        self.end_loading();
        Ok(())
    }

    /// Replaces the data set by that of the files (DEBUG LOADAOF). The caller is outside of its
    /// gate, which has this number.
    pub fn reload_aof(
        self: &Arc<Self>,
        thread: usize,
        threads: &dyn Threads,
    ) -> Result<(), AofError> {
        {
            let _world = self.keyspace.gates().world();
            self.loading.store(true, Ordering::Release);
            self.finish_aof();
            self.discard_data_beside_snapshot();
        }
        let loaded = self.find_aof().and_then(|manifest| {
            if manifest == Manifest::default() {
                return Err(AofError::Missing);
            }
            self.load_files(&manifest, thread, threads)
        });
        self.end_loading();
        let dirty = self.stats.totals().dirty;
        self.stats.dirty_at_save.store(dirty, Ordering::Relaxed);
        loaded.map(drop)
    }

    /// The manifest of the files on disk; an empty one if there are none. A single file of an old
    /// server becomes the base.
    fn find_aof(&self) -> Result<Manifest, AofError> {
        let place = self.aof_place();
        let manifest = place.read_manifest(&*self.env.disk)?.unwrap_or_default();
        let old = self.old_file();
        let is_adopted = manifest == Manifest::adopt(&place.name);
        if !(manifest == Manifest::default()
            || is_adopted && !self.exists(&place.file(&place.name)))
            || !self.exists(&old)
        {
            return Ok(manifest);
        }
        let manifest = Manifest::adopt(&place.name);
        let disk = &*self.env.disk;
        disk.create_dir(&place.dir).map_err(FileError::of("create", &place.dir))?;
        // In this order: a crash in between is mended by the next start.
        place.write_manifest(disk, &manifest)?;
        let to = place.file(&place.name);
        disk.rename(&old, &to).map_err(FileError::of("rename to", &to))?;
        disk.sync_dir(&place.dir).map_err(FileError::of("sync", &place.dir))?;
        self.env.log(
            Level::Notice,
            &format!(
                "Successfully migrated an old-style AOF configuration ({}) into the AOF directory \
                 ({}).",
                place.name.escape_ascii(),
                place.dir.display()
            ),
        );
        Ok(manifest)
    }

    /// The path of the single file of servers before Redis 7.
    fn old_file(&self) -> PathBuf {
        let config = self.config();
        Path::new(&config.dir).join(Path::new(&config.appendfilename))
    }

    fn exists(&self, path: &Path) -> bool {
        self.env.disk.open(path).is_ok()
    }

    /// Loads the files of a manifest. Returns the position in a replication stream and the database
    /// selected there, if the files state it.
    fn load_files(
        self: &Arc<Self>,
        manifest: &Manifest,
        thread: usize,
        threads: &dyn Threads,
    ) -> Result<Option<(Position, u32)>, AofError> {
        let (disk, place) = (&*self.env.disk, self.aof_place());
        let mut files = Vec::new();
        for file in manifest.live() {
            let path = place.file(&file.name);
            match disk.open(&path) {
                Ok((_, len)) => files.push((path, len)),
                Err(source) => return Err(AofError::Open { path, source }),
            }
        }
        self.show_loading(files.iter().map(|(_, len)| len).sum());
        self.loading.store(true, Ordering::Release);
        let mut replay = Replay::new(self, thread);
        let (mut position, mut db) = (None, 0);
        let count = files.len();
        for (index, (path, len)) in files.into_iter().enumerate() {
            let began_ns = self.env.clock.mono_ns();
            let is_base = index == 0 && manifest.base.is_some();
            let mut from = 0;
            if self.is_rdb(&path)? {
                (from, position, db) = self.load_base(&path, thread)?;
            }
            if from < len || !is_base {
                let end = replay.file(threads, &path, from, position)?;
                position = end.position;
                if from < end.unit_end {
                    db = replay.db();
                }
                self.mend_end(&path, len, end, index + 1 == count)?;
            }
            let seconds = self.env.clock.mono_ns().saturating_sub(began_ns) as f64 / 1e9;
            let kind = if is_base { "base" } else { "incr" };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = format!("DB loaded from {kind} file {name}: {seconds:.3} seconds");
            self.env.log(Level::Notice, &text);
        }
        Ok(position.map(|position| (position, db)))
    }

    fn is_rdb(&self, path: &Path) -> Result<bool, AofError> {
        let (file, _) = self.env.disk.open(path).map_err(FileError::of("open", path))?;
        let mut magic = Vec::new();
        let read = file.take(MAGIC_LEN as u64).read_to_end(&mut magic);
        read.map_err(FileError::of("read", path))?;
        Ok(begins_as_rdb(&magic))
    }

    /// Loads an RDB file; returns where it ends, and its position in a replication stream.
    fn load_base(
        self: &Arc<Self>,
        path: &Path,
        thread: usize,
    ) -> Result<(u64, Option<Position>, u32), AofError> {
        self.env.log(Level::Notice, "Reading RDB base file on AOF loading...");
        let Some(mut loading) = self.begin_load_base(path).map_err(AofError::Base)? else {
            return Ok((0, None, 0));
        };
        loop {
            let step = {
                let _gate = self.keyspace.gates().enter(thread);
                loading.step_of_base(self).map_err(AofError::Base)?
            };
            if let Some(loaded) = step {
                return Ok((loaded.bytes, loading.position(), loading.stream_db(self)));
            }
            let delay_us = loading.delay_us();
            if delay_us > 0 {
                self.env.clock.sleep_us(delay_us);
            }
        }
    }

    /// Cuts an incomplete unit off the end of the last file, if the configuration allows that.
    fn mend_end(&self, path: &Path, len: u64, end: FileEnd, is_last: bool) -> Result<(), AofError> {
        let FileEnd { unit_end, error, .. } = end;
        let Some(error) = error else { return Ok(()) };
        let config = self.config();
        let corrupt_max = config.aof_load_corrupt_tail_max_size;
        let shown = path.display();
        let tolerated = if error.is_truncation() {
            config.aof_load_truncated
        } else {
            len - unit_end <= corrupt_max
        };
        if !tolerated {
            return Err(AofError::Content { path: path.to_owned(), source: error });
        }
        if !is_last {
            return Err(AofError::NotTheLast(path.to_owned()));
        }
        let warn = |text: &str| self.env.log(Level::Warning, text);
        warn(&format!("!!! Warning: short read while loading the AOF file {shown}!!!"));
        warn(&format!("Truncating the AOF {shown} at offset {unit_end}: {error}"));
        let opened = self.env.disk.append(path);
        let cut = opened.and_then(|(mut file, _)| {
            file.truncate(unit_end)?;
            file.sync()
        });
        cut.map_err(FileError::of("truncate", path))?;
        warn(&format!("AOF {shown} loaded anyway because aof-load-truncated is enabled"));
        Ok(())
    }

    /// Makes the base of a data set that has no files yet, at startup.
    fn make_first_base(&self) -> Result<Manifest, AofError> {
        let (disk, place, config) = (&*self.env.disk, self.aof_place(), self.config());
        disk.create_dir(&place.dir).map_err(FileError::of("create", &place.dir))?;
        let mut manifest = Manifest::default();
        let format = BaseFormat::of(config.aof_use_rdb_preamble);
        let path = place.file(&manifest.next_base(&place.name, format).name);
        let text = format!("Creating AOF base file {} on server start", path.display());
        self.env.log(Level::Notice, &text);
        match format {
            BaseFormat::Rdb => {
                let libraries = self.scripting.functions.catalogue();
                let made = save::save_base(&self.env, &self.keyspace, &libraries, &config, &path);
                made.map_err(|error| FileError {
                    op: "write",
                    path: path.clone(),
                    source: io::Error::other(error),
                })?;
            }
            // The data set is empty.
            BaseFormat::Commands => {
                let made = disk.create(&path).and_then(|mut file| file.sync());
                made.map_err(FileError::of("create", &path))?;
            }
        }
        Ok(manifest)
    }
}
