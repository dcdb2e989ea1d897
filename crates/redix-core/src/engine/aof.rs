//! The append-only file: turned on and off, written, synced and rewritten.

mod history;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Engine;
use super::saving::SnapshotPlan;
use crate::aof::writer::{FileError, Place, Step, Writer};
use crate::aof::{Order, Phase};
use crate::config::{AppendFsync, Config};
use crate::env::{Level, Syncer, error_text};
use crate::pause::{Paused, Purpose};
use crate::persist::aof::manifest::{BaseFormat, Manifest};
use crate::persist::file::SaveError;
use crate::persist::load::to_commands;
use crate::persist::snapshot::Target;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, MutexGuard, lock, lock_within};

/// Interval of syncs under `everysec`, and between two logged errors.
const SECOND_NS: u64 = 1_000_000_000;
/// A write that takes longer holds new writes back, which would be lost in a crash.
const STUCK_NS: u64 = 2 * SECOND_NS;
/// How long the end of a turn waits for another thread that writes.
const TURN_WAIT: Duration = Duration::from_micros(200);
/// Failed rewrites in a row from which on the next automatic one is delayed. Source: Redis,
/// `AOF_REWRITE_LIMITE_THRESHOLD`.
const FAILURES_MAX: u64 = 3;
/// The same while writes are refused until a rewrite succeeds.
const REFUSING_DELAY_S: i64 = 10;
/// The longest such delay. Source: Redis, `AOF_REWRITE_LIMITE_MAX_MINUTES`.
const DELAY_MAX_S: u64 = 3600;

/// The process must end: `appendfsync always` cannot be kept.
#[derive(Debug)]
pub struct Fatal(pub String);

impl Engine {
    /// Where the append-only files are.
    pub fn aof_place(&self) -> Place {
        let config = self.config();
        let dir = Path::new(&config.dir).join(Path::new(&config.appenddirname));
        Place { dir, name: config.appendfilename.as_bytes().to_vec() }
    }

    /// Turns the file on or off as configured; in the world. It is on once its first rewrite has
    /// ended. Inside a transaction that begins later: its base would contain half of it.
    pub(super) fn follow_appendonly(&self, in_transaction: bool) {
        let config = self.config();
        match (config.appendonly, self.aof.enabled()) {
            (true, false) => {
                self.aof.set_phase(Phase::Wanted, &config);
                if in_transaction {
                    self.schedule_rewrite();
                } else {
                    self.rewrite_now_or_soon();
                }
            }
            (false, true) => {
                self.stop_aof(Phase::Off);
                self.aof.status.scheduled.store(false, Ordering::Relaxed);
                self.blocking.offsets.refuse_files();
            }
            _ => {
                // What was written in the world before is not known to be durable.
                self.aof.world_logged.store(self.repl.log.end(), Ordering::Relaxed);
                self.aof.follow(&config);
                self.aof.wake();
            }
        }
    }

    /// Begins a rewrite, or schedules it if another snapshot is under way; in the world.
    pub(super) fn rewrite_now_or_soon(&self) {
        // The former one may not have been forgotten altogether, though its snapshot is.
        if self.rewriting_aof() || self.begin_rewrite().is_err() {
            self.schedule_rewrite();
        }
    }

    fn schedule_rewrite(&self) {
        self.aof.status.scheduled.store(true, Ordering::Relaxed);
        self.env.log(Level::Notice, "AOF background was scheduled");
    }

    /// Starts to append to the files of a data set that has just been loaded from them, or to new
    /// ones; nobody writes yet.
    pub fn open_aof(&self, manifest: Manifest) -> Result<(), FileError> {
        let (disk, place) = (&*self.env.disk, self.aof_place());
        let reader = self.repl.log.start_recording(&*self.env.entropy);
        let at = reader.offset();
        let len_of = |name: &[u8]| disk.open(&place.file(name)).map_or(0, |(_, len)| len);
        // As in the real servers, a base that has just been made for nothing does not count.
        let total = if manifest.increments.is_empty() {
            0
        } else {
            manifest.live().map(|file| len_of(&file.name)).sum()
        };
        let writer = Writer::resume(disk, place.clone(), manifest, reader, self.db_in_log())?;
        let status = &self.aof.status;
        status.settled_bytes.store(total.saturating_sub(writer.file_bytes()), Ordering::Relaxed);
        status.increment_bytes.store(writer.file_bytes(), Ordering::Relaxed);
        status.base_bytes.store(total, Ordering::Relaxed);
        self.aof.written.store(at, Ordering::Release);
        self.aof.durable.store(at, Ordering::Release);
        *lock(&self.aof.syncer) = Some(writer.syncer()?);
        self.note_history(&writer);
        *lock(&self.aof.writer) = Some(writer);
        self.aof.set_phase(Phase::On, &self.config());
        Ok(())
    }

    /// Writes what is pending, makes it durable and closes the file; in the world.
    pub fn stop_aof(&self, phase: Phase) {
        if matches!(self.aof.phase(), Phase::Off | Phase::Wanted) {
            self.aof.set_phase(phase, &self.config());
            return;
        }
        if self.rewriting_aof() {
            self.env.log(Level::Notice, "Killing AOF child: its rewrite is of no use any more");
            self.abandon_snapshot();
        }
        self.close_files(phase);
    }

    /// As [`Engine::stop_aof`], while no rewrite is under way.
    fn close_files(&self, phase: Phase) {
        self.finish_aof();
        lock(&self.aof.orders).clear();
        *lock(&self.aof.syncer) = None;
        if let Some(writer) = lock(&self.aof.writer).take() {
            writer.discard(&*self.env.disk);
        }
        self.aof.status.note_write(None);
        self.aof.status.note_sync(None);
        self.aof.set_phase(phase, &self.config());
        self.repl.log.stop_recording(&*self.env.entropy);
        self.announce_durable();
    }

    /// Closes the file before another data set replaces this one; in the world. It is on again
    /// after [`Engine::restart_aof`]; until then its files are those of the old data set.
    pub(crate) fn suspend_aof(&self) {
        if self.aof.enabled() {
            self.stop_aof(Phase::Wanted);
        }
    }

    /// Makes files of the data set that has replaced another one; in the world.
    pub(crate) fn restart_aof(&self) {
        if self.aof.phase() == Phase::Wanted {
            self.rewrite_now_or_soon();
        }
    }

    /// Writes what is pending and makes it durable. The caller holds the world, or nobody writes.
    pub fn finish_aof(&self) {
        if let Err(Fatal(error)) = self.write_aof() {
            self.env.log(Level::Warning, &error);
        }
        if let Some(writer) = &mut *lock(&self.aof.writer) {
            match writer.sync() {
                Ok(()) => self.aof.durable.store(writer.written(), Ordering::Release),
                Err(error) => self.env.log(Level::Warning, &error.to_string()),
            }
        }
    }

    /// As [`Engine::finish_aof`], before the process ends.
    pub fn close_aof(&self) {
        if self.aof.enabled() {
            self.env.log(Level::Notice, "Calling fsync() on the AOF file.");
            self.finish_aof();
        }
    }

    /// Writes what the log has, so that it survives the death of the process, if that takes no
    /// waiting; else has the writing thread do so. Under `always` it makes it durable too, while
    /// the disk is quick. For the end of a worker's turn, before its replies are sent.
    // HOT PATH: once a turn.
    #[inline]
    pub fn write_aof_at_once(&self, worker: usize) -> Result<(), Fatal> {
        let end = self.repl.log.end();
        if end != self.aof.written.load(Ordering::Relaxed) && self.aof.enabled() {
            return self.write_aof_or_nudge(worker, end);
        }
        Ok(())
    }

    #[inline(never)]
    fn write_aof_or_nudge(&self, worker: usize, end: u64) -> Result<(), Fatal> {
        let (aof, status) = (&self.aof, &self.aof.status);
        let holds = aof.holds_replies();
        // A write to a file that is being synced may have to wait for that.
        // Who syncs wakes this worker, which then sees to what it has logged meanwhile.
        let patience = if holds { Duration::ZERO } else { TURN_WAIT };
        let at_once = (!holds || aof.syncs_quickly())
            && status.syncing_since_ns.load(Ordering::Relaxed) == 0
            && !status.failed.load(Ordering::Relaxed)
            && aof.flush_delay_us.load(Ordering::Relaxed) == 0
            && lock(&aof.orders).is_empty();
        if at_once {
            match lock_within(&aof.writer, patience) {
                Some(slot) if holds => {
                    aof.note_awake(worker);
                    return self.write_durably(slot);
                }
                Some(mut slot) => match self.write_slot(&mut slot) {
                    Ok(_) => return Ok(()),
                    // The thread tries again.
                    Err(error) => drop(self.note_write_error(&error, false)),
                },
                None if holds && aof.is_awaited_by(worker) => return Ok(()),
                None => {}
            }
        }
        aof.nudge(end);
        Ok(())
    }

    /// Writes what the log has; for the writing thread, or before the file is closed.
    pub fn write_aof(&self) -> Result<(), Fatal> {
        self.write_durably(lock(&self.aof.writer))
    }

    /// Writes what the log has, and under `always` makes it durable.
    fn write_durably(&self, mut slot: MutexGuard<'_, Option<Writer>>) -> Result<(), Fatal> {
        let always = self.config().appendfsync == AppendFsync::Always;
        let written = match self.write_slot(&mut slot) {
            Ok(Some(written)) => written,
            Ok(None) => return Ok(()),
            Err(error) => {
                let on = self.aof.phase() == Phase::On;
                return self.note_write_error(&error, always && on);
            }
        };
        let Some(writer) = &mut *slot else { return Ok(()) };
        if always && written != self.aof.durable.load(Ordering::Relaxed) {
            let began_ns = self.env.clock.mono_ns();
            self.aof.begin_sync();
            // It is part of the write: a disk that is stuck in it holds new writes back.
            self.aof.status.writing_since_ns.store(began_ns, Ordering::Relaxed);
            let synced = writer.sync();
            self.aof.status.writing_since_ns.store(0, Ordering::Relaxed);
            self.aof.end_sync(self.env.clock.mono_ns().saturating_sub(began_ns));
            if let Err(error) = synced {
                return Err(Fatal(format!(
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': \
                     {error}. Exiting..."
                )));
            }
            // Before another file can begin, at a lower offset of another stream.
            self.aof.durable.fetch_max(written, Ordering::SeqCst);
        }
        if always {
            // Also if nothing was to be synced: who has found the file taken is to try again.
            drop(slot);
            self.announce_durable();
        }
        Ok(())
    }

    /// Writes up to the end of the log; returns the offset, if the file is on.
    fn write_slot(&self, slot: &mut Option<Writer>) -> Result<Option<u64>, FileError> {
        self.carry_out_orders(slot)?;
        let Some(writer) = slot else { return Ok(None) };
        let written = writer.written();
        self.aof.status.increment_bytes.store(writer.file_bytes(), Ordering::Relaxed);
        self.aof.written.store(written, Ordering::Release);
        let status = &self.aof.status;
        if status.failed.load(Ordering::Relaxed) && status.note_write(None) {
            self.env
                .log(Level::Warning, "AOF write error looks solved. The server can write again.");
        }
        Ok(Some(written))
    }

    /// Writes up to the end of the log, and does on the way what was ordered.
    fn carry_out_orders(&self, slot: &mut Option<Writer>) -> Result<(), FileError> {
        let (disk, log, config) = (&*self.env.disk, &self.repl.log, self.config());
        let end = log.end();
        let timestamp_s = config.aof_timestamp_enabled.then(|| self.unix_s());
        let write = |writer: &mut Writer, until| {
            let since_ns = &self.aof.status.writing_since_ns;
            since_ns.store(self.env.clock.mono_ns(), Ordering::Relaxed);
            let delay_us = self.aof.flush_delay_us.load(Ordering::Relaxed);
            if delay_us > 0 {
                self.env.clock.sleep_us(delay_us);
            }
            let written = writer.write(log, Step { until, timestamp_s });
            since_ns.store(0, Ordering::Relaxed);
            written
        };
        loop {
            let order = lock(&self.aof.orders).pop_front();
            match (order, &mut *slot) {
                (Some(Order::Start { reader, db }), _) => {
                    let place = self.aof_place();
                    let begun = place.read_manifest(disk).and_then(|manifest| {
                        let manifest = manifest.unwrap_or_default();
                        let writer = Writer::start(disk, place, manifest, reader, db)?;
                        Ok((writer.syncer()?, writer))
                    });
                    match begun {
                        Ok((syncer, writer)) => {
                            *lock(&self.aof.syncer) = Some(syncer);
                            self.note_history(&writer);
                            *slot = Some(writer);
                        }
                        // The rewrite fails for want of it.
                        Err(error) => self.env.log(Level::Warning, &error.to_string()),
                    }
                }
                (Some(Order::Switch { at, db }), Some(writer)) => {
                    if let Err(error) = write(writer, at) {
                        lock(&self.aof.orders).push_front(Order::Switch { at, db });
                        return Err(error);
                    }
                    let begun =
                        writer.switch(disk, db, self.retention()).and_then(|()| writer.syncer());
                    match begun {
                        Ok(syncer) => {
                            *lock(&self.aof.syncer) = Some(syncer);
                            self.note_increment(writer);
                            if let Err(error) = writer.place().sync_dir(disk) {
                                self.env.log(Level::Warning, &error.to_string());
                                self.abandon_snapshot();
                            }
                        }
                        Err(error) => {
                            self.env.log(Level::Warning, &error.to_string());
                            self.abandon_snapshot();
                        }
                    }
                }
                (Some(Order::Switch { .. }), None) => {}
                (None, Some(writer)) => return write(writer, end),
                (None, None) => return Ok(()),
            }
        }
    }

    /// The former increment is one of the settled files.
    fn note_increment(&self, writer: &Writer) {
        let status = &self.aof.status;
        let before = status.increment_bytes.swap(writer.file_bytes(), Ordering::Relaxed);
        status.settled_bytes.fetch_add(before, Ordering::Relaxed);
    }

    fn note_write_error(&self, error: &FileError, fatal: bool) -> Result<(), Fatal> {
        let now_s = self.unix_s();
        let status = &self.aof.status;
        // The text of the real servers, for those that look for it in the log.
        let reason = error_text(&error.source);
        let text = format!("Error writing to the AOF file: {reason}");
        if fatal {
            return Err(Fatal(format!(
                "{text}. Can't recover from AOF write error when the AOF fsync policy is \
                 'always'. Exiting..."
            )));
        }
        let first = status.note_write(Some(reason));
        // Not at every attempt.
        if first || now_s - status.complained_s.load(Ordering::Relaxed) > 30 {
            status.complained_s.store(now_s, Ordering::Relaxed);
            self.env.log(Level::Warning, &format!("{text} ({error})"));
        }
        Ok(())
    }

    /// Makes durable what is written, if that is due; for the syncing thread. Returns when to call
    /// again, by the monotonic clock.
    pub fn sync_aof(&self) -> u64 {
        let (now_ns, config) = (self.env.clock.mono_ns(), self.config());
        let next_ns = now_ns + SECOND_NS;
        let paused = config.no_appendfsync_on_rewrite && self.saves.running();
        // After a failed sync the next one succeeds, although what was lost stays lost.
        let failed = lock(&self.aof.status.sync_error).is_some();
        if config.appendfsync != AppendFsync::EverySec || paused || failed {
            return next_ns;
        }
        // In this order: what is in a former file was made durable before the next one.
        let written = self.aof.written.load(Ordering::Acquire);
        let Some(syncer) = lock(&self.aof.syncer).clone() else { return next_ns };
        if written == self.aof.durable.load(Ordering::Relaxed) {
            return next_ns;
        }
        let since_ns = &self.aof.status.syncing_since_ns;
        since_ns.store(now_ns, Ordering::Relaxed);
        let synced = syncer.sync();
        since_ns.store(0, Ordering::Relaxed);
        match synced {
            Ok(()) => self.note_durable(&syncer, written),
            Err(error) => {
                let reason = error_text(&error);
                let text = format!("Fail to fsync the AOF file: {reason}");
                self.env.log(Level::Warning, &text);
                self.aof.status.note_sync(Some(reason));
                // The file is not to be trusted any more.
                self.aof.status.scheduled.store(true, Ordering::Relaxed);
            }
        }
        next_ns
    }

    fn note_durable(&self, syncer: &Arc<dyn Syncer>, offset: u64) {
        let present = lock(&self.aof.syncer);
        // Not if another file has begun meanwhile, maybe at a lower offset of another stream.
        if present.as_ref().is_some_and(|present| Arc::ptr_eq(present, syncer)) {
            self.aof.durable.fetch_max(offset, Ordering::SeqCst);
        }
        drop(present);
        self.announce_durable();
    }

    /// Wakes whoever waits until something is durable.
    fn announce_durable(&self) {
        if self.aof.awaited.load(Ordering::SeqCst) != 0 {
            let awaited = self.aof.awaited.swap(0, Ordering::SeqCst);
            let workers = (0..self.workers()).filter(|worker| awaited >> (worker % 64) & 1 == 1);
            workers.for_each(|worker| self.registry.wake(worker));
        }
        if !self.blocking.offsets.is_empty() {
            self.blocking.offsets.acknowledge(|wanted| self.acknowledged(wanted));
        }
    }

    /// Holds new writes back while the disk takes what was written before for too long; called
    /// periodically.
    pub(super) fn hold_writes_back(&self) {
        let since_ns = self.aof.status.writing_since_ns.load(Ordering::Relaxed);
        let now_ns = self.env.clock.mono_ns();
        let stuck = since_ns != 0 && now_ns.saturating_sub(since_ns) > STUCK_NS;
        let now_ms = self.env.clock.unix_us() / 1000;
        let held = self.pause.is_on(Purpose::AppendOnly);
        if stuck && !held {
            self.aof.status.delayed.fetch_add(1, Ordering::Relaxed);
            self.env.log(
                Level::Notice,
                "Asynchronous AOF fsync is taking too long (disk is busy?). Holding new writes \
                 back until the AOF buffer is written, this may slow down Redis.",
            );
            let _world = self.keyspace.gates().world();
            self.pause.start(Purpose::AppendOnly, now_ms, i64::MAX, Paused::Writes);
        } else if held && !stuck {
            self.end_pause(Purpose::AppendOnly);
        }
    }

    /// Bytes of the log that are not in the file yet.
    pub fn aof_pending_bytes(&self) -> u64 {
        match self.aof.phase() {
            Phase::Off | Phase::Wanted => 0,
            Phase::Starting | Phase::On => {
                self.repl.log.end().saturating_sub(self.aof.written.load(Ordering::Relaxed))
            }
        }
    }

    /// Whether the snapshot under way is a rewrite.
    pub fn rewriting_aof(&self) -> bool {
        self.aof.status.rewriting_since_s.load(Ordering::Relaxed) != 0
    }

    /// The database that is selected at the end of the log; `None`: SELECT comes next.
    pub(super) fn db_in_log(&self) -> Option<u32> {
        let repl = &self.repl;
        if repl.is_replica() { Some(repl.upstream.stream_db()) } else { repl.log.db() }
    }

    /// Takes the cut of a rewrite; in the world, without a shard's lock. Fails if another snapshot
    /// is under way.
    pub fn begin_rewrite(&self) -> Result<(), SaveError> {
        if self.saves.running() {
            return Err(SaveError::InProgress);
        }
        let (config, status, log) = (self.config(), &self.aof.status, &self.repl.log);
        let format = BaseFormat::of(config.aof_use_rdb_preamble);
        let temporary = rewrite_path(&config);
        let db = self.db_in_log();
        match self.aof.phase() {
            Phase::On => {
                let order = Order::Switch { at: log.end(), db };
                lock(&self.aof.orders).push_back(order);
            }
            Phase::Wanted => {
                let reader = log.start_recording(&*self.env.entropy);
                self.aof.written.store(reader.offset(), Ordering::Release);
                self.aof.durable.store(reader.offset(), Ordering::Release);
                lock(&self.aof.orders).push_back(Order::Start { reader, db });
                self.aof.set_phase(Phase::Starting, &config);
            }
            // Another one ends this state, or fails and makes it `Wanted`.
            Phase::Starting => return Err(SaveError::InProgress),
            // A base for nobody: BGREWRITEAOF with the file off makes files all the same.
            Phase::Off => {}
        }
        self.begin_planned(SnapshotPlan {
            config,
            target: Target::AofBase { temporary, format },
            with_keys: true,
            with_functions: true,
            for_replicas: false,
        })?;
        status.scheduled.store(false, Ordering::Relaxed);
        status.rewrites.fetch_add(1, Ordering::Relaxed);
        status.rewrites_alone.store(self.aof.phase() == Phase::Off, Ordering::Relaxed);
        status.rewriting_since_s.store(self.unix_s(), Ordering::Relaxed);
        self.aof.wake();
        self.env.log(Level::Notice, "Background append only file rewriting started");
        Ok(())
    }

    /// Makes the file of a rewrite the base. The caller holds no lock.
    pub(super) fn end_rewrite(
        &self,
        temporary: &Path,
        format: BaseFormat,
        outcome: &Result<(), SaveError>,
    ) {
        let committed = match outcome {
            Ok(()) => self.commit_base(temporary, format).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (status, now_s) = (&self.aof.status, self.unix_s());
        let began_s = status.rewriting_since_s.load(Ordering::Relaxed);
        status.last_rewrite_s.store((now_s - began_s).max(0) + 1, Ordering::Relaxed);
        let cancelled = matches!(outcome, Err(SaveError::Cancelled));
        match committed {
            Ok(()) => {
                self.env.log(Level::Notice, "Background AOF rewrite finished successfully");
                status.last_rewrite_failed.store(false, Ordering::Relaxed);
                status.failures.store(0, Ordering::Relaxed);
                status.note_sync(None);
                let _world = self.keyspace.gates().world();
                if self.aof.phase() == Phase::Starting {
                    self.aof.set_phase(Phase::On, &self.config());
                }
            }
            Err(error) => {
                // Ignored: it may not have been created, or have become the base.
                self.env.disk.remove(temporary).ok();
                if cancelled {
                    self.env.log(Level::Warning, "Background AOF rewrite cancelled");
                } else {
                    let text = format!("Background AOF rewrite terminated with error: {error}");
                    self.env.log(Level::Warning, &text);
                    status.last_rewrite_failed.store(true, Ordering::Relaxed);
                    status.failures.fetch_add(1, Ordering::Relaxed);
                    status.failed_s.store(now_s, Ordering::Relaxed);
                }
                let _world = self.keyspace.gates().world();
                let starting = self.aof.phase() == Phase::Starting;
                if starting {
                    self.close_files(Phase::Wanted);
                }
                if starting || status.needs_files() {
                    status.scheduled.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Ends the time in which a rewrite is under way, unless it was cancelled and another one is to
    /// begin: whoever waits for that one should not see a gap between them.
    pub(super) fn leave_rewrite(&self, outcome: &Result<(), SaveError>) {
        let status = &self.aof.status;
        if matches!(outcome, Err(SaveError::Cancelled))
            && status.scheduled.load(Ordering::Relaxed)
            && !self.loading.load(Ordering::Relaxed)
        {
            let _world = self.keyspace.gates().world();
            if self.begin_rewrite().is_ok() {
                return;
            }
        }
        status.rewriting_since_s.store(0, Ordering::Release);
    }

    fn commit_base(&self, temporary: &Path, format: BaseFormat) -> Result<(), FileError> {
        let (disk, status) = (&*self.env.disk, &self.aof.status);
        if format == BaseFormat::Commands {
            self.convert_base(temporary)?;
        }
        let mut slot = lock(&self.aof.writer);
        // The cut may not have been reached.
        self.carry_out_orders(&mut slot)?;
        let opened = disk.open(temporary).map_err(FileError::of("open", temporary))?;
        let base_bytes = opened.1;
        let Some(writer) = &mut *slot else {
            if !status.rewrites_alone.load(Ordering::Relaxed) {
                let source = io::Error::other("there is no increment behind it");
                return Err(FileError { op: "complete", path: temporary.to_owned(), source });
            }
            // The file is off: a base alone.
            let place = self.aof_place();
            disk.create_dir(&place.dir).map_err(FileError::of("create", &place.dir))?;
            let mut manifest = place.read_manifest(disk)?.unwrap_or_default();
            let to = place.file(&manifest.next_base(&place.name, format).name);
            manifest.retire_all_increments();
            self.retention().date(&mut manifest);
            disk.rename(temporary, &to).map_err(FileError::of("rename to", &to))?;
            return place.write_manifest(disk, &manifest);
        };
        writer.commit(disk, temporary, format, self.retention())?;
        status.settled_bytes.store(base_bytes, Ordering::Relaxed);
        status.base_bytes.store(base_bytes + writer.file_bytes(), Ordering::Relaxed);
        self.note_history(writer);
        drop(slot);
        self.remove_history_if_due();
        Ok(())
    }

    /// Replaces an RDB file by one of commands.
    fn convert_base(&self, path: &Path) -> Result<(), FileError> {
        let (disk, config) = (&*self.env.disk, self.config());
        let commands = path.with_extension("commands");
        let timestamp_s = config.aof_timestamp_enabled.then(|| self.unix_s());
        let written = disk.create(&commands).and_then(|mut file| {
            let how = (&*config, *self.keyspace.hasher());
            to_commands(&self.env, how, path, timestamp_s, &mut *file)?;
            file.sync()
        });
        written.map_err(FileError::of("write to", &commands))?;
        disk.rename(&commands, path).map_err(FileError::of("rename to", path))
    }

    /// Begins a rewrite that is scheduled, or due because the files have grown.
    pub(super) fn rewrite_if_due(&self) {
        let status = &self.aof.status;
        let now_s = self.unix_s();
        if self.saves.running()
            || self.loading.load(Ordering::Relaxed)
            || now_s - status.failed_s.load(Ordering::Relaxed) < self.rewrite_delay_s()
        {
            return;
        }
        if !status.scheduled.load(Ordering::Relaxed) {
            let Some(growth) = self.due_growth() else { return };
            let text = format!("Starting automatic rewriting of AOF on {growth}% growth");
            self.env.log(Level::Notice, &text);
        }
        let _world = self.keyspace.gates().world();
        // A command may have begun a snapshot first: the next time will do.
        self.begin_rewrite().ok();
    }

    /// How far the files have grown, in per cent, if that is enough for a rewrite.
    fn due_growth(&self) -> Option<u64> {
        let (config, status) = (self.config(), &self.aof.status);
        let bytes = status.bytes();
        if self.aof.phase() != Phase::On
            || config.auto_aof_rewrite_percentage == 0
            || bytes <= config.auto_aof_rewrite_min_size
        {
            return None;
        }
        let base = status.base_bytes.load(Ordering::Relaxed).max(1);
        let growth = (u128::from(bytes) * 100 / u128::from(base)).saturating_sub(100);
        let growth = u64::try_from(growth).unwrap_or(u64::MAX);
        (growth >= u64::from(config.auto_aof_rewrite_percentage)).then_some(growth)
    }

    /// How long after a failure the next automatic rewrite may begin.
    fn rewrite_delay_s(&self) -> i64 {
        if self.aof.status.needs_files() {
            return REFUSING_DELAY_S;
        }
        let failures = self.aof.status.failures.load(Ordering::Relaxed);
        if failures < FAILURES_MAX {
            return 0;
        }
        let minutes = 1_u64 << (failures - FAILURES_MAX).min(10);
        i64::try_from((minutes * 60).min(DELAY_MAX_S)).unwrap_or(0)
    }
}

/// The path of the file of a rewrite under way.
fn rewrite_path(config: &Config) -> PathBuf {
    Path::new(&config.dir).join(format!("temp-rewriteaof-bg-{}.aof", std::process::id()))
}
