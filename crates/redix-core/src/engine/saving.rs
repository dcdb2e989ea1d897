//! Saving and loading as the rest of the engine and the server ask for them: what is written, what
//! is noted about it, and what the log says.

use std::path::PathBuf;

use super::Engine;
use crate::env::Level;
use crate::persist::file::{SaveError, snapshot_path};
use crate::persist::load::{Duplicates, LoadError, LoadStep, Loaded, Loader};
use crate::persist::save;
use crate::sync::atomic::Ordering;

/// Keys loaded between two looks at the world and the clock.
const LOAD_STEP_KEYS: usize = 1024;

impl Engine {
    /// Writes the snapshot file while the caller holds the world and no shard's lock (see
    /// `Held::release_in_world`). Notes and logs the outcome. Does not look whether a background
    /// save is under way: each has a temporary of its own.
    pub fn save_now(&self) -> Result<(), SaveError> {
        let saves = &self.saves;
        saves.started.fetch_add(1, Ordering::Relaxed);
        let dirty = self.stats.totals().dirty;
        let saved = save::save(&self.env, &self.keyspace, &self.config());
        match &saved {
            Ok(()) => {
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

    /// Begins loading the snapshot file; `None` if there is none, which is an empty data set.
    /// Loading clients' view (INFO, `-LOADING`) begins here and ends with [`Loading::step`].
    pub fn begin_load(&self, duplicates: Duplicates) -> Result<Option<Loading>, LoadError> {
        let config = self.config();
        let path = snapshot_path(&config);
        let Some(loader) = Loader::open(&self.env, &config, &path, duplicates)? else {
            return Ok(None);
        };
        let saves = &self.saves;
        saves.load_started_s.store(self.unix_s(), Ordering::Relaxed);
        saves.load_total_bytes.store(loader.file_bytes(), Ordering::Relaxed);
        saves.load_done_bytes.store(0, Ordering::Relaxed);
        self.loading.store(true, Ordering::Release);
        let began_ns = self.env.clock.mono_ns();
        Ok(Some(Loading { loader, path, began_ns, key_delay: config.key_load_delay }))
    }

    /// Loads the snapshot file at once; the caller holds the world and no shard's lock. No file:
    /// nothing is loaded.
    pub fn load_now(&self, duplicates: Duplicates) -> Result<Loaded, LoadError> {
        let Some(mut loading) = self.begin_load(duplicates)? else { return Ok(Loaded::default()) };
        loop {
            if let Some(loaded) = loading.step(self)? {
                return Ok(loaded);
            }
        }
    }

    fn unix_s(&self) -> i64 {
        self.env.clock.unix_us() / 1_000_000
    }
}

/// The snapshot file on its way into the keyspace.
pub struct Loading {
    loader: Loader,
    path: PathBuf,
    began_ns: u64,
    key_delay: i32,
}

impl Loading {
    /// Loads some more; what was loaded once the file has ended. The caller holds a gate or the
    /// world, and no shard's lock. After an error the engine still answers `-LOADING`: the process
    /// is to end, or the caller decides otherwise.
    pub fn step(&mut self, engine: &Engine) -> Result<Option<Loaded>, LoadError> {
        let budget = if self.key_delay > 0 { 1 } else { LOAD_STEP_KEYS };
        let step = self.loader.step(&engine.keyspace, budget)?;
        let loaded = self.loader.loaded();
        let saves = &engine.saves;
        saves.load_done_bytes.store(loaded.bytes, Ordering::Relaxed);
        saves.last_load_keys.store(loaded.keys, Ordering::Relaxed);
        saves.last_load_expired.store(loaded.expired, Ordering::Relaxed);
        if step == LoadStep::More {
            return Ok(None);
        }
        engine.loading.store(false, Ordering::Release);
        let seconds = engine.env.clock.mono_ns().saturating_sub(self.began_ns) as f64 / 1e9;
        let (keys, expired) = (loaded.keys, loaded.expired);
        engine.env.log(
            Level::Notice,
            &format!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}."),
        );
        let path = self.path.display();
        engine
            .env
            .log(Level::Notice, &format!("DB loaded from disk: {seconds:.3} seconds ({path})"));
        Ok(Some(loaded))
    }

    /// Microseconds to wait before the next step (`key-load-delay`).
    pub fn delay_us(&self) -> u64 {
        u64::try_from(self.key_delay).unwrap_or(0)
    }
}
