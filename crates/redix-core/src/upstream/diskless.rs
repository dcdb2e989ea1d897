//! Diskless loading: a full synchronisation that is loaded while it is received, without a file
//! (`repl-diskless-load`).
//!
//! Either the old data set is discarded first (`flush-before-load`, or `on-empty-db` where there is
//! none), once the new one was found to begin with a valid header; or the new one is loaded beside
//! it and replaces it at the end (`swapdb`). With `swapdb` clients are served from the old one
//! meanwhile, if it is an earlier state of the same stream; otherwise they get `-LOADING`. If
//! loading fails there, the old data set and its log are unchanged.
//!
//! Where the primary's data set might be refused ([`crate::repl::protection`]), nothing of this
//! begins before its first key, or its end, was found.

use std::path::Path;

use super::transfer::{DATA_SET_NAME, Form, MARK_LEN, Progress, Receiving, SHORTER_TEXT, Stage};
use super::{Broken, NAP_NS, NOT_WANTED, SECOND_NS, Transport, Upstream};
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
    /// What is looked at first, if the data set might be refused.
    preview: Option<Box<Inspection>>,
    /// Loading has begun.
    begun: bool,
    received: u64,
    loaded: bool,
    newline_ns: u64,
    /// `key-load-delay`.
    key_delay_ns: u64,
}

/// The keyspace that it is loaded into.
enum Place {
    /// The old data set's place, which is emptied first.
    Same,
    /// A keyspace of its own beside the old data set.
    Beside(Box<Keyspace>),
}

impl Diskless {
    /// Discards what was loaded; half a data set is not served.
    pub(super) fn abandon(self, engine: &Engine) {
        if !self.begun {
            return;
        }
        let text = format!(
            "Internal error in RDB reading offset {}: it was not received completely, or can't be \
             loaded.",
            self.received
        );
        engine.env.log(Level::Warning, &text);
        let _world = engine.keyspace.gates().world();
        match self.place {
            Place::Same => engine.discard_data(),
            Place::Beside(_) => {}
        }
        engine.end_loading();
    }

    /// Replaces the old data set by the loaded one; in the world. Returns the users that came with
    /// it.
    pub(super) fn install(&mut self, engine: &Engine) -> Option<Vec<u8>> {
        engine.scripting.functions.install(std::mem::take(&mut self.libraries));
        if let Place::Beside(beside) = &self.place {
            engine.abandon_snapshot();
            engine.repl.writable_expiry.clear();
            engine.drop_replicas();
            engine.replace_keys(beside);
        }
        self.loader.take_users()
    }

    /// Pushes received bytes to the loader, as far as they belong to the data set.
    fn push(&mut self, engine: &Engine, inbox: &mut Vec<u8>) -> Result<(), Broken> {
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
        let is_whole = self.form == Form::Sized(0);
        if is_whole {
            self.loader.end_pushing();
        }
        if let Some(preview) = &mut self.preview {
            let mut looked = preview.push(&inbox[..count]);
            if is_whole {
                looked = looked.and_then(|()| preview.end());
            }
            looked.map_err(|error| load_failed(engine, &error))?;
        }
        inbox.drain(..count);
        Ok(())
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
    pub(super) fn begin_diskless(&self, form: Form, now_ns: u64) -> Diskless {
        let (engine, config) = (&self.engine, self.engine.config());
        let place = match config.repl_diskless_load {
            DisklessLoad::SwapDb => Place::Beside(Box::new(engine.keyspace.beside())),
            _ => Place::Same,
        };
        let name = Path::new(DATA_SET_NAME);
        let preview = self.status().protection.is_armed().then(|| {
            let how = self.how_to_load();
            Box::new(Inspection::new(&config, &engine.keyspace, name, how))
        });
        let loader = Loader::pushed(
            &engine.env,
            &config,
            *engine.keyspace.hasher(),
            name,
            self.how_to_load(),
        );
        let key_delay_ns = u64::try_from(config.key_load_delay).unwrap_or(0) * 1000;
        Diskless {
            form,
            loader,
            libraries: Libraries::default(),
            place,
            preview,
            begun: false,
            received: 0,
            loaded: false,
            newline_ns: now_ns,
            key_delay_ns,
        }
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

    /// Begins loading, and empties the keyspace for that, once enough is known of the data set;
    /// false if it is not. `retry`: nothing more may come.
    fn make_room(&self, id: ReplId, diskless: &mut Diskless, retry: bool) -> Result<bool, Broken> {
        if diskless.begun {
            return Ok(true);
        }
        if let Some(preview) = &mut diskless.preview {
            if retry {
                preview.retry().map_err(|error| load_failed(&self.engine, &error))?;
            }
            let Some(contents) = preview.contents() else { return Ok(false) };
            self.check_contents(id, contents)?;
            diskless.preview = None;
        }
        match &diskless.place {
            Place::Same => {
                if !diskless.begins_well(&self.engine, self.how_to_load())? {
                    return Ok(false);
                }
                let world = self.empty_for_loading()?;
                self.show_direct_loading(&diskless.form, false);
                drop(world);
                self.free_old_data();
            }
            Place::Beside(_) => {
                let _world = self.engine.keyspace.gates().world();
                if !self.is_wanted() {
                    return Err(Broken::new(NOT_WANTED));
                }
                let log = &self.engine.repl.log;
                // The old data set is an earlier state of the new one.
                let serves = log.active() && log.history().id == id;
                self.show_direct_loading(&diskless.form, serves);
            }
        }
        diskless.begun = true;
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
        // Beside the data set the stream keeps the link alive.
        if now_ns >= diskless.newline_ns && receiving.beside.is_none() {
            diskless.newline_ns = now_ns + SECOND_NS;
            self.outbox.push(b'\n');
        }
        // The bytes received last may be the end.
        let mut try_anyway = now_ns.saturating_sub(self.heard_ns) >= NAP_NS;
        for _ in 0..ROUNDS_PER_STEP {
            diskless.push(&self.engine, &mut self.inbox)?;
            self.show_received(diskless.received);
            let has_room = self.make_room(receiving.id, diskless, try_anyway)?;
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
        Place::Same => {
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
