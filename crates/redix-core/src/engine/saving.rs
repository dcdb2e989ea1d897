//! Saving and loading for the engine and the server: plans, bookkeeping and log messages.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Engine;
use crate::aof::Phase;
use crate::config::{Config, WriteVersion};
use crate::effects::Shutdown;
use crate::env::{Crew, Level};
use crate::persist::file::{self, SaveError, snapshot_path};
use crate::persist::load::{
    ChecksumPolicy, Duplicates, Expired, Inspection, LoadError, LoadOptions, LoadStep, Loaded,
    Loader, Origin, SharedLoader,
};
use crate::persist::payload::Payload;
use crate::persist::save::{self, StreamPosition};
use crate::persist::snapshot::{Cut, PreImages, Target};
use crate::repl::log::{Position, ReplId};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// The snapshot under way, if there is one.
#[derive(Default)]
pub(super) struct Snapshot {
    /// A cut that the saver has not started on yet.
    pub(super) cut: Option<Cut>,
    /// The queue of pre-images; present while the snapshot is under way.
    pub(super) pre_images: Option<Arc<PreImages>>,
    /// The version of its file format.
    pub(super) rdb_version: Option<WriteVersion>,
    /// Whether only replicas want it.
    pub(super) for_replicas: bool,
    /// The payload, if it goes through sockets.
    pub(super) payload: Option<Arc<Payload>>,
}

/// A snapshot to be begun.
pub(super) struct SnapshotPlan {
    /// The configuration, frozen.
    pub(super) config: Arc<Config>,
    /// The destination.
    pub(super) target: Target,
    /// Whether it contains keys (not for a replica's filter without data).
    pub(super) with_keys: bool,
    /// Whether it contains the libraries of functions.
    pub(super) with_functions: bool,
    /// Whether only replicas want it.
    pub(super) for_replicas: bool,
}

/// Bytes per read of an inspection.
const INSPECT_BYTES: usize = 256 << 10;
/// Pieces of a file that each thread decodes in a step of loading, about: a few milliseconds.
const PIECES_PER_THREAD: usize = 4;
/// Files from this length on are loaded by as many threads as there are workers.
const SHARED_FROM_BYTES: u64 = 1 << 20;

impl Engine {
    /// Writes the snapshot file while the caller holds the world and no shard's lock (see
    /// `Held::release_in_world`). Records and logs the outcome. Ignores a background save under
    /// way: each has a temporary file of its own.
    pub fn save_now(&self) -> Result<(), SaveError> {
        let saves = &self.saves;
        saves.started.fetch_add(1, Ordering::Relaxed);
        let dirty = self.stats.totals().dirty;
        let position = self.stream_position();
        let libraries = self.scripting.functions.catalogue();
        let saved =
            save::save(&self.env, &self.keyspace, &libraries, &self.config(), position.as_ref());
        match &saved {
            Ok(()) => {
                self.repl.replicas.note_file(false);
                self.stats.dirty_at_save.store(dirty, Ordering::Relaxed);
                saves.last_save_s.store(self.unix_s(), Ordering::Relaxed);
                saves.last_ok.store(true, Ordering::Relaxed);
                self.env.log(Level::Notice, "DB saved on disk");
            }
            Err(error) => {
                self.env.log(Level::Warning, &format!("Error saving DB on disk: {error}"));
            }
        }
        saved
    }

    /// Takes the cut of a background save; [`super::Background`] then carries it out. The caller
    /// holds the world and no shard's lock. Fails if a background save is under way.
    pub fn begin_snapshot(&self) -> Result<(), SaveError> {
        let config = self.config();
        self.begin_planned(SnapshotPlan {
            config,
            target: Target::File,
            with_keys: true,
            with_functions: true,
            for_replicas: false,
        })
    }

    /// As [`Engine::begin_snapshot`], for any plan.
    pub(super) fn begin_planned(&self, plan: SnapshotPlan) -> Result<(), SaveError> {
        let saves = &self.saves;
        if saves.running() {
            return Err(SaveError::InProgress);
        }
        let is_rewrite = matches!(plan.target, Target::AofBase { .. });
        if !is_rewrite {
            saves.started.fetch_add(1, Ordering::Relaxed);
        }
        let dirty = self.stats.totals().dirty;
        let mut cut = if plan.with_keys {
            let config = save::able(&plan.config, &self.keyspace);
            Cut::take(&self.env, &self.keyspace, &config, dirty)
        } else {
            Cut::without_keys(&self.env, &self.keyspace, &plan.config)
        };
        if plan.with_functions {
            cut.libraries = self.scripting.functions.catalogue();
        }
        if !is_rewrite {
            cut.users = self.users_to_replicate();
        }
        cut.position = self.stream_position();
        let now_s = cut.at_ms / 1000;
        if !is_rewrite {
            saves.last_try_s.store(now_s, Ordering::Relaxed);
        }
        saves.keys_done.store(0, Ordering::Relaxed);
        saves.keys_total.store(cut.keys(), Ordering::Relaxed);
        saves.running_since_s.store(now_s, Ordering::Relaxed);
        let mut snapshot = lock(&self.snapshot);
        snapshot.pre_images = Some(Arc::clone(&cut.pre_images));
        snapshot.rdb_version = Some(cut.config.rdb_version);
        snapshot.for_replicas = plan.for_replicas;
        snapshot.payload = match &plan.target {
            Target::Replicas(payload) => Some(Arc::clone(payload)),
            Target::File | Target::AofBase { .. } => None,
        };
        cut.target = plan.target;
        snapshot.cut = Some(cut);
        Ok(())
    }

    /// The version of the file format of the snapshot under way.
    pub(super) fn snapshot_rdb_version(&self) -> Option<WriteVersion> {
        lock(&self.snapshot).rdb_version
    }

    /// Whether the snapshot under way goes through sockets.
    pub(super) fn snapshot_to_sockets(&self) -> bool {
        lock(&self.snapshot).payload.is_some()
    }

    /// Whether the snapshot under way goes to a file that only replicas want.
    pub(super) fn snapshot_for_replicas_file(&self) -> bool {
        let snapshot = lock(&self.snapshot);
        snapshot.pre_images.is_some() && snapshot.for_replicas && snapshot.payload.is_none()
    }

    /// The data set's position in the replication stream, if it is recorded; in the world.
    fn stream_position(&self) -> Option<StreamPosition> {
        let log = &self.repl.log;
        log.has_backlog().then(|| {
            let history = log.history();
            StreamPosition {
                db: if self.repl.is_replica() {
                    self.repl.upstream.stream_db()
                } else {
                    log.db().unwrap_or(0)
                },
                id: history.id.as_str().to_owned(),
                offset: history.end,
            }
        })
    }

    /// Whether the snapshot under way was cancelled, and ends as soon as its marks are cleared.
    pub fn snapshot_is_cancelled(&self) -> bool {
        let snapshot = lock(&self.snapshot);
        snapshot.pre_images.as_ref().is_some_and(|pre_images| pre_images.is_cancelled())
    }

    /// Cancels the background save under way; returns whether there was one. It counts as under way
    /// until its marks are cleared from the keyspace. FLUSHALL calls this before it flushes.
    pub fn abandon_snapshot(&self) -> bool {
        let snapshot = lock(&self.snapshot);
        let Some(pre_images) = &snapshot.pre_images else { return false };
        pre_images.cancel();
        true
    }

    /// Saves before shutdown, if the options or else the save points say so. On an error the
    /// process must not exit, unless forced. The caller holds the world and no shard's lock, and
    /// keeps the world if it exits. A background save under way is cancelled. Nor must the process
    /// exit while the first base of the append-only file is made.
    pub fn shutdown_save(&self, how: &Shutdown) -> Result<(), SaveError> {
        if self.aof.phase() == Phase::Starting {
            // The wording of the real servers.
            let next = if how.force { ". Exit anyway." } else { ", can't exit." };
            self.env.log(Level::Warning, &format!("Writing initial AOF{next}"));
            if !how.force {
                return Err(SaveError::InProgress);
            }
        }
        if self.abandon_snapshot() {
            self.env.log(Level::Warning, "A background save is in progress. Abandoning it!");
            let temporary = file::temporary_path(&self.config(), file::Writer::Background);
            // Ignored: the saver may have removed it already or not created it yet.
            self.env.disk.remove(&temporary).ok();
        }
        let wanted = how.save.unwrap_or_else(|| !self.config().save.is_empty());
        // While the data set is being loaded, the file is more complete.
        if !wanted || self.loading.load(Ordering::Acquire) {
            return Ok(());
        }
        self.env.log(Level::Notice, "Saving the final RDB snapshot before exiting.");
        let saved = self.save_now();
        if saved.is_err() {
            // The wording of the real servers.
            let next = if how.force { ". Exit anyway." } else { ", can't exit." };
            self.env.log(Level::Warning, &format!("Error trying to save the DB{next}"));
        }
        saved
    }

    /// Begins loading the snapshot file at startup: the server continues the replication stream at
    /// the position that the file states.
    pub fn begin_first_load(&self) -> Result<Option<Loading>, LoadError> {
        let loading = self.begin_load(Duplicates::Refuse)?;
        Ok(loading.map(|loading| Loading { resumes: true, ..loading }))
    }

    /// Continues a replication stream. Nobody writes while the data set is being loaded, so this
    /// needs no world. A primary continues under a new id and keeps the old one for replicas that
    /// have not got past the file's offset. With `acl-replicate` it does not: its users are those
    /// of its configuration again, and others have to synchronise with them fully.
    pub(crate) fn resume_stream(&self, mut origin: Origin) {
        let (repl, config) = (&self.repl, self.config());
        if config.acl_replicate {
            if repl.is_replica() {
                repl.upstream.protection.arm();
            }
            return;
        }
        let Some((id, end)) = ReplId::parse(&origin.id).zip(u64::try_from(origin.offset).ok())
        else {
            return;
        };
        repl.log.adopt(id, end, config.repl_backlog_size);
        repl.upstream.set_stream_db(origin.db);
        if repl.is_replica() {
            repl.upstream.protection.arm();
        } else {
            repl.log.take_over(&*self.env.entropy);
            if !origin.deletions.is_empty() {
                repl.log.append(&mut origin.deletions, false);
            }
        }
    }

    /// Checks that the snapshot file exists and can be loaded completely, so that no data is
    /// discarded for a file that cannot.
    pub fn inspect_file(&self) -> Result<(), LoadError> {
        let config = self.config();
        let path = snapshot_path(&config);
        let failed = |source| LoadError::Open { path: path.clone(), source };
        let (mut file, _) = self.env.disk.open(&path).map_err(failed)?;
        let how = LoadOptions {
            duplicates: Duplicates::Refuse,
            expired: Expired::PassOver,
            checksums: self.checksum_policy(),
        };
        let mut inspection = Inspection::new(&config, &self.keyspace, &path, how);
        let mut bytes = vec![0; INSPECT_BYTES];
        loop {
            match file.read(&mut bytes) {
                Ok(0) => {
                    inspection.end()?;
                    return inspection.check_libraries(&self.env);
                }
                Ok(count) => inspection.push(&bytes[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Begins loading the snapshot file; `None` if there is none, which is an empty data set. From
    /// here until [`Loading::step`] ends, INFO and `-LOADING` show clients that the server loads.
    pub fn begin_load(&self, duplicates: Duplicates) -> Result<Option<Loading>, LoadError> {
        // A replica leaves expiry to its primary.
        let expired = if self.repl.is_replica() { Expired::Keep } else { Expired::PassOver };
        let path = snapshot_path(&self.config());
        let loading = self.begin_load_of(path, duplicates, expired)?;
        if let Some(loading) = &loading {
            self.show_loading(loading.loader.with(|loader| loader.file_bytes()));
            self.loading.store(true, Ordering::Release);
        }
        Ok(loading)
    }

    /// Begins loading a base of the append-only file, in which what has expired may be needed by
    /// the commands behind it.
    pub(crate) fn begin_load_base(&self, path: &Path) -> Result<Option<Loading>, LoadError> {
        self.begin_load_of(path.to_owned(), Duplicates::Refuse, Expired::Keep)
    }

    fn begin_load_of(
        &self,
        path: PathBuf,
        duplicates: Duplicates,
        expired: Expired,
    ) -> Result<Option<Loading>, LoadError> {
        let config = self.config();
        let how = LoadOptions { duplicates, expired, checksums: self.checksum_policy() };
        let opened = Loader::open(&self.env, &config, *self.keyspace.hasher(), &path, how)?;
        let began_ns = self.env.clock.mono_ns();
        let key_delay = config.key_load_delay;
        Ok(opened.map(|loader| {
            let is_large = loader.file_bytes() >= SHARED_FROM_BYTES;
            let threads = if is_large && key_delay == 0 { self.workers() } else { 1 };
            let crew = (threads > 1).then(|| self.env.host.crew(threads - 1));
            let loader = Arc::new(SharedLoader::new(loader));
            let pieces = threads * PIECES_PER_THREAD;
            Loading { loader, crew, pieces, path, began_ns, key_delay, duplicates, resumes: false }
        }))
    }

    /// Whether the checksum of loaded data is verified.
    pub(crate) fn checksum_policy(&self) -> ChecksumPolicy {
        let skips = self.skip_checksums.load(Ordering::Relaxed);
        if self.config().rdbchecksum && !skips {
            ChecksumPolicy::Verify
        } else {
            ChecksumPolicy::Ignore
        }
    }

    /// Publishes that loading of `total_bytes` begins.
    pub(crate) fn show_loading(&self, total_bytes: u64) {
        let saves = &self.saves;
        saves.load_started_s.store(self.unix_s(), Ordering::Relaxed);
        saves.load_total_bytes.store(total_bytes, Ordering::Relaxed);
        saves.load_done_bytes.store(0, Ordering::Relaxed);
    }

    /// Publishes the progress of loading.
    pub(crate) fn show_loaded(&self, loaded: Loaded) {
        let saves = &self.saves;
        saves.load_done_bytes.store(loaded.bytes, Ordering::Relaxed);
        saves.last_load_keys.store(loaded.keys, Ordering::Relaxed);
        saves.last_load_expired.store(loaded.expired, Ordering::Relaxed);
    }

    /// Logs what was loaded.
    pub(crate) fn log_loaded(&self, loader: &Loader) {
        let Loaded { keys, expired, hashes_expired, empty, .. } = loader.loaded();
        for key in loader.first_empty() {
            let text = format!("Loading RDB, skipping empty key: {}", key.escape_ascii());
            self.env.log(Level::Notice, &text);
        }
        let text = format!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, all fields expired \
             hashes: {hashes_expired}, empty keys skipped: {empty}."
        );
        self.env.log(Level::Notice, &text);
    }

    /// Ends loading: clients are served again.
    pub fn end_loading(&self) {
        self.loading.store(false, Ordering::Release);
        self.repl.upstream.set_async_loading(false);
    }

    /// Loads the snapshot file at once; the caller holds the world and no shard's lock. Without a
    /// file nothing is loaded. A key that exists already is an error. After an error the keys
    /// before it in the file stay loaded.
    pub fn load_now(&self) -> Result<Loaded, LoadError> {
        self.load_at_once(Duplicates::Refuse)
    }

    /// As [`Engine::load_now`], but keys of the file replace existing ones.
    pub fn merge_now(&self) -> Result<Loaded, LoadError> {
        self.load_at_once(Duplicates::Replace)
    }

    fn load_at_once(&self, duplicates: Duplicates) -> Result<Loaded, LoadError> {
        let Some(mut loading) = self.begin_load(duplicates)? else { return Ok(Loaded::default()) };
        loop {
            match loading.step_alone(self) {
                Ok(None) => {}
                Ok(Some(loaded)) => return Ok(loaded),
                Err(error) => {
                    self.end_loading();
                    return Err(error);
                }
            }
        }
    }

    pub(super) fn unix_s(&self) -> i64 {
        self.env.clock.unix_us() / 1_000_000
    }
}

/// Loading of the snapshot file in steps.
pub struct Loading {
    loader: Arc<SharedLoader>,
    /// The threads that load it besides the caller's.
    crew: Option<Box<dyn Crew>>,
    /// Pieces of the file decoded in a step.
    pieces: usize,
    path: PathBuf,
    began_ns: u64,
    key_delay: i32,
    duplicates: Duplicates,
    resumes: bool,
}

impl Loading {
    /// Loads a slice; returns the totals once the file has ended. The caller holds a gate or the
    /// world, and no shard's lock. After an error the engine still replies `-LOADING`: the process
    /// must exit, or the caller decide otherwise.
    pub fn step(&mut self, engine: &Arc<Engine>) -> Result<Option<Loaded>, LoadError> {
        let loaded = self.step_of_base(engine)?;
        Ok(loaded.inspect(|_| self.end(engine)))
    }

    /// As [`Loading::step`], by the calling thread alone.
    fn step_alone(&mut self, engine: &Engine) -> Result<Option<Loaded>, LoadError> {
        let loaded = self.step_of_base_alone(engine)?;
        Ok(loaded.inspect(|_| self.end(engine)))
    }

    fn end(&self, engine: &Engine) {
        let db = self.stream_db(engine);
        if self.resumes
            && let Some(origin) = self.loader.with(Loader::take_origin)
        {
            engine.resume_stream(Origin { db, ..origin });
        }
        engine.loading.store(false, Ordering::Release);
        let seconds = engine.env.clock.mono_ns().saturating_sub(self.began_ns) as f64 / 1e9;
        self.loader.with(|loader| engine.log_loaded(loader));
        let path = self.path.display();
        engine
            .env
            .log(Level::Notice, &format!("DB loaded from disk: {seconds:.3} seconds ({path})"));
    }

    /// As [`Loading::step`], but loading goes on behind the file.
    pub(crate) fn step_of_base(
        &mut self,
        engine: &Arc<Engine>,
    ) -> Result<Option<Loaded>, LoadError> {
        let Some(crew) = &mut self.crew else { return self.step_of_base_alone(engine) };
        self.loader.begin_round(self.pieces);
        let (loader, shared) = (Arc::clone(&self.loader), Arc::clone(engine));
        crew.run(Arc::new(move || loader.work(&shared.keyspace)));
        let step = self.loader.end_round()?;
        self.after_step(step, engine)
    }

    fn step_of_base_alone(&mut self, engine: &Engine) -> Result<Option<Loaded>, LoadError> {
        let keyspace = &engine.keyspace;
        let step = if self.key_delay > 0 {
            self.loader.with(|loader| loader.step(keyspace, 1))
        } else {
            self.loader.begin_round(self.pieces);
            self.loader.work(keyspace);
            self.loader.end_round()
        };
        self.after_step(step?, engine)
    }

    /// Publishes the progress; the totals if the file has ended.
    fn after_step(&self, step: LoadStep, engine: &Engine) -> Result<Option<Loaded>, LoadError> {
        let loaded = self.loader.with(|loader| loader.loaded());
        engine.show_loaded(loaded);
        if step != LoadStep::Done {
            return Ok(None);
        }
        let libraries = self.loader.with(|loader| loader.libraries(&engine.env))?;
        let replaces = self.duplicates == Duplicates::Replace;
        let joined = engine.scripting.functions.join(&engine.env, libraries, replaces);
        joined.map_err(|error| LoadError::Library { path: self.path.clone(), error })?;
        Ok(Some(loaded))
    }

    /// Takes the users that the file states.
    pub(crate) fn take_users(&self) -> Option<Vec<u8>> {
        self.loader.with(Loader::take_users)
    }

    /// The replication position that the file states.
    pub(crate) fn position(&self) -> Option<Position> {
        self.loader.with(|loader| {
            let origin = loader.origin()?;
            let id = ReplId::parse(&origin.id)?;
            Some(Position { id, offset: u64::try_from(origin.offset).ok()? })
        })
    }

    /// The database that the file states as selected in the replication stream; 0 if it states
    /// none.
    pub fn stream_db(&self, engine: &Engine) -> u32 {
        self.loader.with(|loader| loader.stream_db(&engine.keyspace))
    }

    /// Microseconds to wait before the next step (`key-load-delay`).
    pub fn delay_us(&self) -> u64 {
        u64::try_from(self.key_delay).unwrap_or(0)
    }
}
