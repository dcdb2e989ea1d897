//! A full synchronisation: the data set is received into a file, which replaces the snapshot file
//! and is then loaded; or it is loaded while it is received ([`diskless`](super::diskless)).
//!
//! It has one of two forms: `$<length>` and so many bytes, or, where the primary does not know the
//! length in advance, `$EOF:<mark>` and bytes up to the 40 bytes of the mark. Empty lines before it
//! are keep-alives while the primary prepares it. An announced length is trusted only as the bytes
//! arrive.
//!
//! **Invariants.** The old data set, the snapshot file, and the log with which the former can be
//! resumed, are kept until the new one has been received completely and every part of it was found
//! to be loadable, unless `repl-diskless-load` waives that. From then until it is loaded the log
//! has an unknown replication id.

use std::path::{Path, PathBuf};

use super::diskless::Diskless;
use super::dual::{Beside, Pairing};
use super::{Broken, NOT_WANTED, Phase, SECOND_NS, Transport, Upstream};
use crate::engine::{Engine, Loading, Rest};
use crate::env::{DiskFile, Level};
use crate::keyspace::gate::WorldGuard;
use crate::persist::file::snapshot_path;
use crate::persist::load::{Duplicates, Expired, Inspection, LoadOptions};
use crate::repl::log::ReplId;
use crate::repl::status::{Length, Transfer};
use crate::sync::Arc;

/// Bytes between two syncs of the file, which keeps the final sync short.
const SYNC_EVERY_BYTES: u64 = 8 << 20;
/// Reads per step.
const READS_PER_STEP: usize = 32;
pub(super) const MARK_LEN: usize = 40;
/// The name of the data set in errors, instead of a path.
pub(super) const DATA_SET_NAME: &str = "the data set of the PRIMARY";

/// A full synchronisation under way.
pub(super) struct Receiving {
    pub(super) id: ReplId,
    /// The offset: bytes of the stream that the data set contains.
    pub(super) end: u64,
    /// The database selected in the stream there.
    pub(super) db: u32,
    pub(super) stage: Stage,
    /// The connection of the data set, if it has one of its own.
    pub(super) beside: Option<Box<Beside>>,
}

pub(super) enum Stage {
    /// The connection of the data set is being made.
    Pairing(Pairing),
    /// The header: the line that announces the form.
    Header,
    Body(Box<Body>),
    Load(Box<Load>),
    /// Loaded while it is received.
    Diskless(Box<Diskless>),
}

pub(super) struct Body {
    form: Form,
    inspection: Inspection,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    written: u64,
    synced: u64,
}

/// How the end is determined.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By length: bytes still to come.
    Sized(u64),
    /// By this mark.
    Marked([u8; MARK_LEN]),
}

pub(super) struct Load {
    loading: Loading,
    /// When the next keep-alive is sent to the primary.
    newline_ns: u64,
}

/// The outcome of a step.
pub(super) enum Progress {
    More(Rest),
    Done,
}

impl Receiving {
    pub(super) fn new(id: ReplId, end: u64) -> Self {
        Self { id, end, db: 0, stage: Stage::Header, beside: None }
    }

    /// Discards what was received.
    pub(super) fn abandon(self, engine: &Engine) {
        match self.stage {
            Stage::Pairing(_) | Stage::Header => {}
            Stage::Diskless(diskless) => diskless.abandon(engine),
            Stage::Body(body) => {
                drop(body.file);
                // Ignored: it may be renamed already.
                engine.env.disk.remove(&body.path).ok();
            }
            // Half a data set is not served.
            Stage::Load(_) => {
                let _world = engine.keyspace.gates().world();
                engine.discard_data();
                engine.end_loading();
            }
        }
    }
}

impl Upstream {
    /// Advances the full synchronisation.
    pub(super) fn synchronise(
        &mut self,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Rest, Broken> {
        let Phase::Sync(mut receiving) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return Ok(Rest::None);
        };
        let progress = match &receiving.beside {
            None => self.receive_data_set(&mut receiving, transport, now_ns),
            Some(_) => self.receive_over_both(&mut receiving, transport, now_ns),
        };
        match progress {
            Ok(Progress::More(rest)) => {
                self.phase = Phase::Sync(receiving);
                Ok(rest)
            }
            Ok(Progress::Done) => match self.finish(&mut receiving, transport, now_ns) {
                Ok(rest) => Ok(rest),
                Err(broken) => self.abandon(*receiving, broken),
            },
            Err(broken) => self.abandon(*receiving, broken),
        }
    }

    /// Receives or loads some of the data set, which comes over `transport`.
    pub(super) fn receive_data_set(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        match &mut receiving.stage {
            Stage::Pairing(_) => Ok(Progress::More(Rest::None)),
            Stage::Header => self.receive_header(receiving, transport, now_ns),
            Stage::Body(_) => self.receive_body(receiving, transport, now_ns),
            Stage::Load(_) => self.load(receiving, now_ns),
            Stage::Diskless(_) => self.load_diskless(receiving, transport, now_ns),
        }
    }

    fn abandon(&self, receiving: Receiving, broken: Broken) -> Result<Rest, Broken> {
        receiving.abandon(&self.engine);
        self.status().set_transfer(None);
        Err(broken)
    }

    fn receive_header(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        // The connection may be closed behind what has been received already.
        let mut received = self.next_line()?;
        if received.is_none() {
            if !self.fill_inbox(transport, now_ns)? {
                return self.wait_for_bulk(now_ns);
            }
            received = self.next_line()?;
        }
        if let Some(line) = received {
            let form = parse_header(&line)?;
            let length = match form {
                Form::Sized(bytes) => Length::Bytes(bytes),
                Form::Marked(_) => Length::Marked,
            };
            let diskless = self.loads_diskless();
            let place = if diskless { "parser" } else { "disk" };
            self.notice(&match length {
                Length::Bytes(bytes) => format!(
                    "PRIMARY <-> REPLICA sync: receiving {bytes} bytes from primary to {place}"
                ),
                _ => format!(
                    "PRIMARY <-> REPLICA sync: receiving streamed RDB from primary with EOF to \
                     {place}"
                ),
            });
            let last_io_ms = self.now_ms();
            self.status().set_transfer(Some(Transfer { length, read_bytes: 0, last_io_ms }));
            receiving.stage = if diskless {
                Stage::Diskless(Box::new(self.begin_diskless(form, now_ns)))
            } else {
                Stage::Body(Box::new(self.create_file(form)?))
            };
        }
        Ok(Progress::More(Rest::None))
    }

    pub(super) fn wait_for_bulk(&self, now_ns: u64) -> Result<Progress, Broken> {
        let config = self.engine.config();
        let rest = self.wait_for_primary(&config, now_ns, || {
            "Timeout receiving bulk data from PRIMARY... If the problem persists try to set the \
             'repl-timeout' parameter in the config file to a larger value."
                .into()
        });
        rest.map(Progress::More)
    }

    fn create_file(&self, form: Form) -> Result<Body, Broken> {
        let (env, config) = (&self.engine.env, self.engine.config());
        let name = format!("temp-{}.{}.rdb", env.clock.unix_us() / 1_000_000, env.host.facts().pid);
        let path = PathBuf::from(&config.dir).join(name);
        let how = self.how_to_load();
        let inspection =
            Inspection::new(&config, &self.engine.keyspace, Path::new(DATA_SET_NAME), how);
        match env.disk.create(&path) {
            Ok(file) => Ok(Body { form, inspection, file, path, written: 0, synced: 0 }),
            Err(error) => Err(Broken::futile(format!(
                "Opening the temp file needed for PRIMARY <-> REPLICA synchronization: {error}"
            ))),
        }
    }

    fn receive_body(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Progress, Broken> {
        let Stage::Body(body) = &mut receiving.stage else {
            return Ok(Progress::More(Rest::None));
        };
        for _ in 0..READS_PER_STEP {
            let whole = body.take(&mut self.inbox)?;
            // Bytes at the end that may be part of the mark are held back.
            let held_bytes = if whole { 0 } else { self.inbox.len() as u64 };
            self.show_received(body.written + held_bytes);
            if whole {
                self.begin_load(receiving, now_ns)?;
                return Ok(Progress::More(Rest::None));
            }
            if !self.fill_inbox(transport, now_ns)? {
                return self.wait_for_bulk(now_ns);
            }
        }
        Ok(Progress::More(Rest::None))
    }

    /// The options of loading the primary's data set.
    pub(super) fn how_to_load(&self) -> LoadOptions {
        LoadOptions {
            duplicates: Duplicates::Refuse,
            expired: Expired::Keep,
            checksums: self.engine.checksum_policy(),
        }
    }

    pub(super) fn show_received(&self, read_bytes: u64) {
        let status = self.status();
        if let Some(transfer) = status.transfer()
            && transfer.read_bytes != read_bytes
        {
            let last_io_ms = self.now_ms();
            status.set_transfer(Some(Transfer { read_bytes, last_io_ms, ..transfer }));
        }
    }

    /// Renames the received file and begins to load it in place of the old data set.
    fn begin_load(&mut self, receiving: &mut Receiving, now_ns: u64) -> Result<(), Broken> {
        let engine = Arc::clone(&self.engine);
        if let Stage::Body(body) = &mut receiving.stage {
            if let Some(contents) = body.inspection.contents() {
                self.check_contents(receiving.id, contents)?;
            }
            body.install(&engine)?;
        }
        let loading = {
            let _world = self.empty_for_loading()?;
            engine.begin_load(Duplicates::Refuse)
        };
        self.free_old_data();
        self.notice("PRIMARY <-> REPLICA sync: Loading DB in memory");
        match loading {
            Ok(Some(loading)) => {
                receiving.stage = Stage::Load(Box::new(Load { loading, newline_ns: now_ns }));
                Ok(())
            }
            Ok(None) => Err(Broken::futile("The file just received is gone.")),
            Err(error) => Err(load_failed(&error)),
        }
    }

    /// Empties the keyspace and everything that depends on it; the world is still held.
    pub(super) fn empty_for_loading(&self) -> Result<WorldGuard<'_>, Broken> {
        self.notice("PRIMARY <-> REPLICA sync: Flushing old data");
        let engine = &self.engine;
        let world = engine.keyspace.gates().world();
        if !self.is_wanted() {
            return Err(Broken::new(NOT_WANTED));
        }
        engine.suspend_aof();
        engine.abandon_snapshot();
        engine.repl.writable_expiry.clear();
        engine.drop_replicas();
        engine.repl.log.stop(&*engine.env.entropy);
        engine.discard_data();
        Ok(world)
    }

    /// Frees the old data set now, unless `replica-lazy-flush` is set: two data sets at once may
    /// exceed the memory.
    pub(super) fn free_old_data(&self) {
        if !self.engine.config().replica_lazy_flush {
            while self.engine.keyspace.free_list().step(FREE_PER_STEP) > 0 {}
        }
    }

    fn load(&mut self, receiving: &mut Receiving, now_ns: u64) -> Result<Progress, Broken> {
        let Stage::Load(load) = &mut receiving.stage else {
            return Ok(Progress::More(Rest::None));
        };
        // Beside the data set the stream keeps the link alive.
        if now_ns >= load.newline_ns && receiving.beside.is_none() {
            load.newline_ns = now_ns + SECOND_NS;
            self.outbox.push(b'\n');
        }
        let engine = &self.engine;
        let step = {
            let _gate = engine.keyspace.gates().enter(engine.link_thread());
            load.loading.step(engine)
        };
        match step {
            Ok(None) if load.loading.delay_us() > 0 => {
                Ok(Progress::More(Rest::Until(now_ns + load.loading.delay_us() * 1000)))
            }
            Ok(None) => Ok(Progress::More(Rest::None)),
            Ok(Some(_)) => {
                receiving.db = load.loading.stream_db(&self.engine);
                Ok(Progress::Done)
            }
            Err(error) => Err(load_failed(&error)),
        }
    }

    /// The data set is loaded: follows its stream from now on.
    fn finish(
        &mut self,
        receiving: &mut Receiving,
        transport: &mut dyn Transport,
        now_ns: u64,
    ) -> Result<Rest, Broken> {
        if let Some(beside) = transport.beside() {
            beside.close();
        }
        let engine = Arc::clone(&self.engine);
        let world = engine.keyspace.gates().world();
        if !self.is_wanted() {
            return Err(Broken::new(NOT_WANTED));
        }
        let users = match &mut receiving.stage {
            Stage::Diskless(diskless) => diskless.install(&engine),
            Stage::Load(load) => load.loading.take_users(),
            _ => None,
        };
        if let Some(users) = users {
            engine.adopt_users(&users);
        }
        engine.suspend_aof();
        let backlog_bytes = engine.config().repl_backlog_size;
        engine.repl.log.adopt(receiving.id, receiving.end, backlog_bytes);
        // A primary that is a replica itself does not state the database that the stream has
        // selected.
        let beside = receiving.beside.as_ref();
        engine.repl.upstream.set_stream_db(beside.and_then(|it| it.db).unwrap_or(receiving.db));
        engine.repl.upstream.protection.arm();
        engine.end_loading();
        engine.restart_aof();
        drop(world);
        if let Stage::Load(_) = &receiving.stage {
            self.remove_file();
        }
        self.notice("PRIMARY <-> REPLICA sync: Finished with success");
        self.begin_stream(transport, now_ns);
        Ok(Rest::None)
    }
}

impl Upstream {
    /// Removes the loaded file if nothing is to be kept on disk (`rdb-del-sync-files`).
    fn remove_file(&self) {
        let (env, config) = (&self.engine.env, self.engine.config());
        if !config.rdb_del_sync_files || !config.save.is_empty() || config.appendonly {
            return;
        }
        self.notice(
            "Removing the RDB file obtained from the primary. This replica has persistence \
             disabled",
        );
        if let Err(error) = env.disk.remove(&snapshot_path(&config)) {
            env.log(Level::Warning, &format!("Can't remove the RDB file: {error}"));
        }
    }
}

pub(super) const SHORTER_TEXT: &str = "The data set is shorter than was announced.";

/// Entries freed per call while the old data set is freed.
const FREE_PER_STEP: usize = 4096;

fn load_failed(error: &dyn std::error::Error) -> Broken {
    Broken::futile(format!(
        "Failed trying to load the PRIMARY synchronization DB from disk: {error}"
    ))
}

impl Body {
    /// Takes bytes of the data set from what was received; true once it is complete.
    fn take(&mut self, inbox: &mut Vec<u8>) -> Result<bool, Broken> {
        let (count, whole, skipped) = match &mut self.form {
            Form::Sized(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(inbox.len());
                *left -= count as u64;
                (count, *left == 0, 0)
            }
            Form::Marked(mark) => match memchr::memmem::find(inbox, mark) {
                Some(at) => (at, true, MARK_LEN),
                // The last bytes may contain the beginning of the mark.
                None => (inbox.len().saturating_sub(MARK_LEN - 1), false, 0),
            },
        };
        self.write(&inbox[..count])?;
        self.inspect(&inbox[..count], whole)?;
        inbox.drain(..count + skipped);
        Ok(whole)
    }

    /// Checks that it can be loaded, before the old data set is discarded.
    fn inspect(&mut self, bytes: &[u8], whole: bool) -> Result<(), Broken> {
        let mut looked = self.inspection.push(bytes);
        if whole {
            looked = looked.and_then(|()| self.inspection.end());
        }
        looked.map_err(|error| load_failed(&error))?;
        if self.inspection.has_surplus() {
            return Err(Broken::futile(SHORTER_TEXT));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.file
            .write_all(bytes)
            .map_err(|error| self.failed("Write error or short write", &error))?;
        self.written += bytes.len() as u64;
        if self.written - self.synced >= SYNC_EVERY_BYTES {
            self.file.sync().map_err(|error| self.failed("Sync error", &error))?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Broken {
        let path = self.path.display();
        Broken::futile(format!(
            "{what} on the DB dump file {path} needed for PRIMARY <-> REPLICA synchronization: \
             {error}"
        ))
    }

    /// Renames the complete file over the snapshot file.
    fn install(&mut self, engine: &Engine) -> Result<(), Broken> {
        self.inspection.check_libraries(&engine.env).map_err(|error| load_failed(&error))?;
        let config = engine.config();
        let path = snapshot_path(&config);
        let flushed = self.file.flush().and_then(|()| self.file.sync());
        flushed.map_err(|error| self.failed("Sync error", &error))?;
        // A save under way would replace it by older data.
        engine.abandon_snapshot();
        let renamed = engine.env.disk.rename(&self.path, &path);
        renamed.map_err(|error| {
            Broken::futile(format!(
                "Failed trying to rename the temp DB into {} in PRIMARY <-> REPLICA \
                 synchronization: {error}",
                config.dbfilename
            ))
        })?;
        if let Err(error) = engine.env.disk.sync_dir(std::path::Path::new(&config.dir)) {
            engine.env.log(Level::Warning, &format!("Can't sync the directory: {error}"));
        }
        Ok(())
    }
}

fn parse_header(line: &str) -> Result<Form, Broken> {
    if let Some(text) = line.strip_prefix('-') {
        let text = format!("PRIMARY aborted replication with an error: {text}");
        return Err(Broken::new(text));
    }
    if let Some(mark) = line.strip_prefix("$EOF:")
        && let Ok(mark) = mark.as_bytes().try_into()
    {
        return Ok(Form::Marked(mark));
    }
    let bytes = line.strip_prefix('$').and_then(|len| len.parse::<u64>().ok());
    match bytes.filter(|bytes| i64::try_from(*bytes).is_ok()) {
        Some(bytes) => Ok(Form::Sized(bytes)),
        None => Err(Broken::futile(format!(
            "Bad protocol from PRIMARY, the first byte is not '$' (we received '{line}'), are you \
             sure the host and port are right?"
        ))),
    }
}
