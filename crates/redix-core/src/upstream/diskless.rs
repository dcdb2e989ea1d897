//! Diskless loading: a full synchronisation that is loaded while it is received, without a file
//! (`repl-diskless-load`).
//!
//! Either the old data set is discarded first (`flush-before-load`, or `on-empty-db` where there is
//! none), once the new one was found to begin with a valid header; or the new one is loaded beside
//! it and replaces it at the end (`swapdb`). With `swapdb` clients are served from the old one
//! meanwhile, if it is an earlier state of the same stream; otherwise they get `-LOADING`. If
//! loading fails there, the old data set and its log are unchanged.

use std::path::Path;

use super::transfer::{DATA_SET_NAME, Form, MARK_LEN, Progress, Receiving, SHORTER_TEXT, Stage};
use super::{Broken, NAP_NS, SECOND_NS, Transport, Upstream};
use crate::config::DisklessLoad;
use crate::engine::{Engine, Rest};
use crate::env::Level;
use crate::keyspace::Keyspace;
use crate::persist::load::{Inspection, LoadError, LoadOptions, LoadStep, Loader};
use crate::repl::log::ReplId;
use crate::scripting::functions::Libraries;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Rounds of reading and loading per step.
const ROUNDS_PER_STEP: usize = 32;
/// Length of the magic and version of an RDB file.
const HEAD_LEN: usize = 9;
/// Keys loaded between two checks of the world.
const KEYS_PER_ROUND: usize = 1024;

/// A data set that is loaded while it is received.
pub(super) struct Diskless {
    form: Form,
    loader: Loader,
    /// Those of the data set, once it is loaded.
    libraries: Libraries,
    place: Place,
    received: u64,
    loaded: bool,
    newline_ns: u64,
    /// `key-load-delay`.
    key_delay_ns: u64,
}

/// The keyspace that it is loaded into.
enum Place {
    /// The old data set's place, not emptied yet.
    Occupied,
    /// The old data set's place, emptied.
    Emptied,
    /// A keyspace of its own beside the old data set.
    Beside(Box<Keyspace>),
}

impl Diskless {
    /// Discards what was loaded; half a data set is not served.
    pub(super) fn abandon(self, engine: &Engine) {
        let _world = engine.keyspace.gates().world();
        match self.place {
            Place::Occupied => return,
            Place::Emptied => engine.discard_data(),
            Place::Beside(_) => {}
        }
        engine.end_loading();
    }

    /// Replaces the old data set by the loaded one; in the world.
    pub(super) fn install(&mut self, engine: &Engine) {
        engine.scripting.functions.install(std::mem::take(&mut self.libraries));
        if let Place::Beside(beside) = &self.place {
            engine.abandon_snapshot();
            engine.repl.writable_expiry.clear();
            engine.drop_replicas();
            engine.replace_keys(beside);
        }
    }

    /// Pushes received bytes to the loader, as far as they belong to the data set.
    fn push(&mut self, inbox: &mut Vec<u8>) {
        let count = match &mut self.form {
            Form::Sized(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(inbox.len());
                *left -= count as u64;
                count
            }
            // The end is found by parsing.
            Form::Marked(_) => inbox.len(),
        };
        self.received += count as u64;
        self.loader.push(&inbox[..count]);
        inbox.drain(..count);
        if self.form == Form::Sized(0) {
            self.loader.end_pushing();
        }
    }

    /// Whether it begins with a valid header; false if that is not known yet.
    fn begins_well(&self, engine: &Engine, how: LoadOptions) -> Result<bool, Broken> {
        let head = self.loader.rest();
        let is_cut = head.len() < HEAD_LEN;
        if is_cut && self.form != Form::Sized(0) {
            return Ok(false);
        }
        let name = Path::new(DATA_SET_NAME);
        let mut inspection = Inspection::new(&engine.config(), &engine.keyspace, name, how);
        let head = &head[..head.len().min(HEAD_LEN)];
        let looked =
            inspection.push(head).and_then(|()| if is_cut { inspection.end() } else { Ok(()) });
        looked.map_err(|error| load_failed(engine, &error))?;
        Ok(true)
    }

    /// Checks the mark that follows the data set; `None` if it has not been received yet. Bytes
    /// after it stay in `inbox`.
    fn check_end(&self, inbox: &mut Vec<u8>) -> Result<Option<()>, Broken> {
        let rest = self.loader.rest();
        match &self.form {
            Form::Sized(0) if rest.is_empty() => Ok(Some(())),
            Form::Sized(_) => Err(Broken::futile(SHORTER_TEXT)),
            Form::Marked(_) if rest.len() < MARK_LEN => Ok(None),
            Form::Marked(mark) if rest[..MARK_LEN] == mark[..] => {
                inbox.splice(..0, rest[MARK_LEN..].iter().copied());
                Ok(Some(()))
            }
            Form::Marked(_) => Err(Broken::futile("Replication stream EOF marker is broken")),
        }
    }
}

impl Upstream {
    /// Whether a full synchronisation is loaded diskless.
    pub(super) fn loads_diskless(&self) -> bool {
        let keyspace = &self.engine.keyspace;
        match self.engine.config().repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::SwapDb | DisklessLoad::FlushBeforeLoad => true,
            DisklessLoad::OnEmptyDb => {
                (0..keyspace.databases()).all(|db| keyspace.key_count(db) == 0)
            }
        }
    }

    /// Prepares for it; discards nothing yet.
    pub(super) fn begin_diskless(
        &self,
        id: ReplId,
        form: Form,
        now_ns: u64,
    ) -> Result<Diskless, Broken> {
        let (engine, config) = (&self.engine, self.engine.config());
        let place = if config.repl_diskless_load == DisklessLoad::SwapDb {
            let place = Place::Beside(Box::new(engine.keyspace.beside()));
            let world = engine.keyspace.gates().world();
            if !self.is_wanted() {
                return Err(Broken::new("The PRIMARY is no longer the one to follow."));
            }
            let log = &engine.repl.log;
            // The old data set is an earlier state of the new one.
            self.show_direct_loading(&form, log.active() && log.history().id == id);
            drop(world);
            place
        } else {
            Place::Occupied
        };
        let name = Path::new(DATA_SET_NAME);
        let loader = Loader::pushed(
            &engine.env,
            &config,
            *engine.keyspace.hasher(),
            name,
            self.how_to_load(),
        );
        let key_delay_ns = u64::try_from(config.key_load_delay).unwrap_or(0) * 1000;
        Ok(Diskless {
            form,
            loader,
            libraries: Libraries::default(),
            place,
            received: 0,
            loaded: false,
            newline_ns: now_ns,
            key_delay_ns,
        })
    }

    /// Publishes that loading begins, and whether clients are served meanwhile; in the world.
    fn show_direct_loading(&self, form: &Form, serves: bool) {
        let engine = &self.engine;
        engine.repl.upstream.set_async_loading(serves);
        engine.loading.store(!serves, Ordering::Release);
        self.notice("PRIMARY <-> REPLICA sync: Loading DB in memory");
        engine.show_loading(match form {
            Form::Sized(bytes) => *bytes,
            Form::Marked(_) => 0,
        });
    }

    /// Empties the keyspace once that is due; false if the header is not known yet.
    fn make_room(&self, diskless: &mut Diskless) -> Result<bool, Broken> {
        if !matches!(diskless.place, Place::Occupied) {
            return Ok(true);
        }
        if !diskless.begins_well(&self.engine, self.how_to_load())? {
            return Ok(false);
        }
        let world = self.empty_for_loading()?;
        diskless.place = Place::Emptied;
        self.show_direct_loading(&diskless.form, false);
        drop(world);
        self.free_old_data();
        Ok(true)
    }

    /// Reads and loads a slice.
    pub(super) fn load_diskless(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        let Stage::Diskless(diskless) = &mut receiving.stage else {
            return Ok(Progress::More(Rest::None));
        };
        if now_ns >= diskless.newline_ns {
            diskless.newline_ns = now_ns + SECOND_NS;
            self.outbox.push(b'\n');
        }
        // The bytes received last may be the end.
        let mut try_anyway = now_ns.saturating_sub(self.heard_ns) >= NAP_NS;
        for _ in 0..ROUNDS_PER_STEP {
            diskless.push(&mut self.inbox);
            self.show_received(diskless.received);
            let has_room = self.make_room(diskless)?;
            if has_room && !diskless.loaded && (try_anyway || diskless.loader.is_worth_trying()) {
                try_anyway = false;
                match load_some(&self.engine, diskless)? {
                    LoadStep::More if diskless.key_delay_ns > 0 => {
                        return Ok(Progress::More(Rest::Until(now_ns + diskless.key_delay_ns)));
                    }
                    LoadStep::More => continue,
                    LoadStep::Starved => {}
                    LoadStep::Done => {
                        let libraries = diskless.loader.libraries(&self.engine.env);
                        diskless.libraries =
                            libraries.map_err(|error| load_failed(&self.engine, &error))?;
                        diskless.loaded = true;
                        self.engine.log_loaded(&diskless.loader);
                    }
                }
            }
            if diskless.loaded && diskless.check_end(&mut self.inbox)?.is_some() {
                receiving.db = diskless.loader.stream_db(&self.engine.keyspace);
                return Ok(Progress::Done);
            }
            if !self.fill_inbox(transport, now_ns)? {
                return self.wait_for_bulk(now_ns);
            }
        }
        Ok(Progress::More(Rest::None))
    }
}

/// Loads a slice of what was pushed.
fn load_some(engine: &Arc<Engine>, diskless: &mut Diskless) -> Result<LoadStep, Broken> {
    let budget = if diskless.key_delay_ns > 0 { 1 } else { KEYS_PER_ROUND };
    let step = match &diskless.place {
        Place::Beside(beside) => diskless.loader.step(beside, budget),
        Place::Occupied | Place::Emptied => {
            let _gate = engine.keyspace.gates().enter(engine.link_thread());
            diskless.loader.step(&engine.keyspace, budget)
        }
    };
    engine.show_loaded(diskless.loader.loaded());
    step.map_err(|error| load_failed(engine, &error))
}

fn load_failed(engine: &Engine, error: &LoadError) -> Broken {
    engine.env.log(Level::Warning, &error.to_string());
    Broken::futile("Failed trying to load the PRIMARY synchronization DB from socket, see above.")
}
