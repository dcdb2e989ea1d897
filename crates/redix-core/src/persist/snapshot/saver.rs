//! The saver: walks the keyspace of a cut and writes the file, step by step.

use std::path::PathBuf;
use std::sync::Arc;

use redix_types::entry::EntryRef;

use super::preimages::{Batch, Shared};
use super::{Cut, DbAtCut, Target};
use crate::env::{Env, SpillFile};
use crate::keyspace::shard::{DbShard, Shard};
use crate::keyspace::{Keyspace, SHARDS};
use crate::persist::file::{SaveError, SaveFile, Writer};
use crate::persist::payload::Payload;
use crate::persist::record::Ages;
use crate::persist::save::{
    Preamble, WRITE_BYTES, pacing_ns, start_file, write_options, write_pending,
};
use crate::rdb::write::{RdbEncoder, RecordEncoder, encode_select_db};

/// Target duration of holding a shard's lock, in nanoseconds; the budget of a hold is adapted to
/// what the last one took.
const HOLD_NS: u64 = 20_000;
/// The largest budget of one hold, in entries or buckets.
const HOLD_BUDGET_MAX: usize = 64;
/// Entries of a table outside the keyspace visited per step, or marks cleared per step.
const UNLOCKED_BUDGET: usize = 256;
/// Delay between checks while a replica is a full window behind.
const WINDOW_WAIT_NS: u64 = 1_000_000;
/// Bytes read back from the spill file at a time.
const SPILL_READ_BYTES: usize = 256 << 10;

/// The context of a step.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// Time and files.
    pub env: &'a Env,
    /// The data.
    pub keyspace: &'a Keyspace,
    /// The thread whose gate is entered.
    pub thread: usize,
}

/// The outcome of a step.
#[derive(Debug)]
pub enum Turn {
    /// There is more to do at once.
    More,
    /// Nothing to do before this reading of `Clock::mono_ns`, unless it is cancelled.
    Until(u64),
    /// Finished: no walk or mark remains in the keyspace.
    Done(Result<(), SaveError>),
}

enum Stage {
    /// Creates the file, if the destination is one.
    Open,
    /// Walks shard `shard` of database `cut.dbs[index]`.
    Walk {
        index: usize,
        shard: usize,
    },
    /// All walks are finished: writes the queue, in memory and spilled, then the end.
    Finish {
        spill_offset: u64,
    },
    /// Syncs and renames the file, or ends the payload for the replicas.
    Publish,
    /// Clears the marks of a snapshot that has failed.
    Clear {
        shard: usize,
        error: SaveError,
    },
    Over,
}

/// A snapshot being saved.
pub struct Saver {
    cut: Cut,
    stage: Stage,
    out: Option<Output>,
    encoder: RdbEncoder,
    /// The database selected at the end of the file.
    selected: Option<u32>,
    shared: Vec<Shared>,
    /// Tables that left the keyspace.
    tables: Vec<DbShard>,
    spill: Option<Spill>,
    hold_budget: usize,
    keys_written: u64,
    /// Pacing: nothing is written before this time.
    due_ns: u64,
}

/// The destination of encoded bytes.
enum Output {
    File(SaveFile),
    Replicas(Arc<Payload>),
}

/// Queued bytes that exceeded the memory limit.
struct Spill {
    file: Box<dyn SpillFile>,
    keys: u64,
    encoder: RecordEncoder,
}

impl Saver {
    /// A saver for a cut that was just taken.
    pub fn new(cut: Cut) -> Self {
        let position = cut.position.as_ref();
        let Cut { config, at_ms, used_memory, fence, users, libraries, target, .. } = &cut;
        let preamble = Preamble {
            now_ms: *at_ms,
            used_memory: *used_memory,
            position,
            fence: *fence,
            users: users.as_deref(),
            libraries,
            aof_base: matches!(target, Target::AofBase { .. }),
        };
        let encoder = start_file(config, &preamble);
        Self {
            cut,
            stage: Stage::Open,
            out: None,
            encoder,
            selected: None,
            shared: Vec::new(),
            tables: Vec::new(),
            spill: None,
            hold_budget: HOLD_BUDGET_MAX / 4,
            keys_written: 0,
            due_ns: 0,
        }
    }

    /// What it saves.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Keys written so far.
    pub fn keys_written(&self) -> u64 {
        self.keys_written
    }

    /// Does a slice of work: up to `holds` holds of a shard's lock, a few buckets each, and the
    /// queue.
    pub fn step(&mut self, ground: Ground<'_>, holds: usize) -> Turn {
        if !matches!(self.stage, Stage::Clear { .. } | Stage::Over)
            && let Err(error) = self.write_step(ground, holds)
        {
            self.fail(ground, error);
            return Turn::More;
        }
        match &self.stage {
            Stage::Clear { .. } => self.clear_step(ground, holds),
            Stage::Over => Turn::Done(Ok(())),
            _ if self.due_ns > ground.env.clock.mono_ns() => Turn::Until(self.due_ns),
            _ => Turn::More,
        }
    }

    fn write_step(&mut self, ground: Ground<'_>, holds: usize) -> Result<(), SaveError> {
        if self.cut.pre_images.is_cancelled() {
            return Err(SaveError::Cancelled);
        }
        if let Some(bytes) = self.cut.pre_images.overrun() {
            return Err(SaveError::BufferFull(bytes));
        }
        self.wait_for_receivers(ground.env)?;
        if self.due_ns > ground.env.clock.mono_ns() {
            return if self.cut.pre_images.over_limit() { self.spill(ground.env) } else { Ok(()) };
        }
        let before = self.keys_written;
        self.collect()?;
        if self.tables.is_empty() {
            for _ in 0..holds {
                self.advance(ground)?;
                if self.is_paced() {
                    break;
                }
            }
        } else {
            self.walk_table(ground);
        }
        self.write_shared()?;
        self.write(WRITE_BYTES)?;
        self.pace(ground.env, self.keys_written - before);
        Ok(())
    }

    /// Advances by one unit of work: one hold of a shard's lock, or a part of the final phases.
    fn advance(&mut self, ground: Ground<'_>) -> Result<(), SaveError> {
        match self.stage {
            Stage::Open => {
                let (disk, cut) = (&*ground.env.disk, &self.cut);
                let create = || match &cut.target {
                    Target::AofBase { temporary, .. } => {
                        SaveFile::create_base(disk, &cut.config, temporary)
                    }
                    _ => SaveFile::create(disk, &cut.config, Writer::Background),
                };
                self.out = Some(match &cut.target {
                    Target::File | Target::AofBase { .. } => {
                        Output::File(cut.pre_images.unless_cancelled(create)?)
                    }
                    Target::Replicas(payload) => Output::Replicas(Arc::clone(payload)),
                });
                self.enter(0, 0);
            }
            Stage::Walk { index, shard } => {
                self.walk_shard(ground, index, shard);
                self.write_shared()?;
                self.write(WRITE_BYTES)?;
            }
            Stage::Finish { spill_offset } => self.finish(spill_offset)?,
            Stage::Publish => self.publish(ground.env)?,
            Stage::Clear { .. } | Stage::Over => {}
        }
        Ok(())
    }

    /// Publishes the file or payload. If it fails early, `out` stays to be discarded.
    fn publish(&mut self, env: &Env) -> Result<(), SaveError> {
        let disk = &*env.disk;
        match self.out.as_mut() {
            None => {}
            Some(Output::Replicas(payload)) => payload.finish(),
            Some(Output::File(file)) => {
                file.sync()?;
                if matches!(self.cut.target, Target::AofBase { .. }) {
                    self.stage = Stage::Over;
                    self.out = None;
                    return Ok(());
                }
                self.cut.pre_images.unless_cancelled(|| file.rename(disk))?;
            }
        }
        self.stage = Stage::Over;
        match self.out.take() {
            Some(Output::File(file)) => file.sync_dir(disk),
            _ => Ok(()),
        }
    }

    /// Moves to a shard of a database, or to the final phase.
    fn enter(&mut self, index: usize, shard: usize) {
        let (index, shard) = if shard == SHARDS { (index + 1, 0) } else { (index, shard) };
        let Some(&DbAtCut { db, keys, expires }) = self.cut.dbs.get(index) else {
            self.stage = Stage::Finish { spill_offset: 0 };
            return;
        };
        if shard == 0 {
            self.encoder.select_db(db);
            self.encoder.resize_db(keys, expires);
            self.selected = Some(db);
        }
        self.stage = Stage::Walk { index, shard };
    }

    /// Walks a few buckets of a shard's table under its lock.
    fn walk_shard(&mut self, ground: Ground<'_>, index: usize, shard: usize) {
        let db = self.cut.dbs[index].db;
        if self.selected != Some(db) {
            self.encoder.select_db(db);
            self.selected = Some(db);
        }
        let (budget, ages) = (self.hold_budget, self.cut.ages);
        let (finished, held_ns) = {
            let _gate = ground.keyspace.gates().enter(ground.thread);
            let mut guard = ground.keyspace.lock(shard);
            let began_ns = ground.env.clock.mono_ns();
            let finished = match find_walk(&guard, db) {
                None => true,
                Some(now_db) => {
                    let mut sink = Sink {
                        db,
                        ages,
                        encoder: &mut self.encoder,
                        shared: &mut self.shared,
                        keys: &mut self.keys_written,
                    };
                    let part = guard.db_mut(now_db);
                    walk_part(part, ground.keyspace, budget, |entry| sink.take(entry))
                }
            };
            (finished, ground.env.clock.mono_ns().saturating_sub(began_ns))
        };
        self.hold_budget = if self.is_paced() {
            1
        } else if held_ns > HOLD_NS {
            (budget / 2).max(1)
        } else {
            (budget + 1).min(HOLD_BUDGET_MAX)
        };
        if finished {
            self.enter(index, shard + 1);
        }
    }

    /// Writes the queued pre-images.
    fn collect(&mut self) -> Result<(), SaveError> {
        let Batch { chunks, keys, shared, tables } = self.cut.pre_images.take();
        self.shared.extend(shared);
        self.tables.extend(tables);
        self.keys_written += keys;
        for chunk in chunks {
            self.encoder.records(&chunk);
            self.selected = None;
            self.write(WRITE_BYTES)?;
        }
        Ok(())
    }

    /// Walks a part of a table that has left the keyspace; moves it to the free list at its end.
    fn walk_table(&mut self, ground: Ground<'_>) {
        let Some(mut part) = self.tables.pop() else { return };
        let Some(walk) = &part.walk else { return };
        let db = walk.db_at_cut;
        if self.selected != Some(db) {
            self.encoder.select_db(db);
            self.selected = Some(db);
        }
        let mut sink = Sink {
            db,
            ages: self.cut.ages,
            encoder: &mut self.encoder,
            shared: &mut self.shared,
            keys: &mut self.keys_written,
        };
        let budget = if self.cut.config.rdb_key_save_delay > 0 { 1 } else { UNLOCKED_BUDGET };
        if walk_part(&mut part, ground.keyspace, budget, |entry| sink.take(entry)) {
            ground.keyspace.free_list().push(part.table);
        } else {
            self.tables.push(part);
        }
    }

    /// Writes the values that were shared under a lock.
    fn write_shared(&mut self) -> Result<(), SaveError> {
        for shared in self.shared.drain(..) {
            if self.selected != Some(shared.db) {
                self.encoder.select_db(shared.db);
                self.selected = Some(shared.db);
            }
            let out = &mut self.out;
            self.encoder.long_entry(
                &shared.key,
                shared.meta,
                shared.value(),
                |bytes| match out {
                    Some(Output::File(file)) => file.write(bytes),
                    Some(Output::Replicas(payload)) => payload.write(bytes),
                    None => Ok(()),
                },
            )?;
            self.keys_written += 1;
        }
        Ok(())
    }

    /// After all walks, when the queue cannot grow any more: copies the spill file, then writes the
    /// end.
    fn finish(&mut self, spill_offset: u64) -> Result<(), SaveError> {
        self.collect()?;
        if !self.tables.is_empty() {
            return Ok(());
        }
        self.write_shared()?;
        if let Some(spill) = &mut self.spill {
            let mut chunk = vec![0; SPILL_READ_BYTES];
            let count = spill
                .file
                .read_at(spill_offset, &mut chunk)
                .map_err(|source| spill_error("read from", &self.cut, source))?;
            if count > 0 {
                self.encoder.records(&chunk[..count]);
                self.stage = Stage::Finish { spill_offset: spill_offset + count as u64 };
                return self.write(WRITE_BYTES);
            }
            self.keys_written += spill.keys;
            self.spill = None;
        }
        self.encoder.eof();
        self.write(0)?;
        self.stage = Stage::Publish;
        Ok(())
    }

    fn write(&mut self, threshold: usize) -> Result<(), SaveError> {
        match &mut self.out {
            Some(Output::File(file)) => write_pending(&mut self.encoder, file, threshold),
            Some(Output::Replicas(payload)) if self.encoder.pending().len() >= threshold => {
                payload.write(self.encoder.pending())?;
                self.encoder.drain();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Waits while the slowest replica is a full window behind.
    fn wait_for_receivers(&mut self, env: &Env) -> Result<(), SaveError> {
        if let Some(Output::Replicas(payload)) = &self.out
            && payload.full()?
        {
            self.due_ns = self.due_ns.max(env.clock.mono_ns() + WINDOW_WAIT_NS);
        }
        Ok(())
    }

    /// Moves the queued bytes to the spill file.
    fn spill(&mut self, env: &Env) -> Result<(), SaveError> {
        let cut = &self.cut;
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => {
                let file = env.disk.spill(&PathBuf::from(&cut.config.dir));
                let file = file.map_err(|source| spill_error("create", cut, source))?;
                let encoder = RecordEncoder::of(write_options(&cut.config));
                none.insert(Spill { file, keys: 0, encoder })
            }
        };
        let Batch { chunks, keys, shared, tables } = cut.pre_images.take();
        spill.keys += keys + shared.len() as u64;
        for shared in shared {
            let (mut record, mut outcome) = (Vec::new(), Ok(()));
            let Spill { file, encoder, .. } = &mut *spill;
            let mut append = |bytes: &mut Vec<u8>| {
                if outcome.is_ok() {
                    outcome = file.append(bytes);
                }
                bytes.clear();
            };
            encode_select_db(&mut record, shared.db);
            let (key, meta) = (&shared.key, shared.meta);
            encoder.long_entry(&mut record, key, meta, shared.value(), &mut append);
            append(&mut record);
            outcome.map_err(|source| spill_error("write to", cut, source))?;
        }
        for chunk in chunks {
            spill.file.append(&chunk).map_err(|source| spill_error("write to", cut, source))?;
        }
        self.tables.extend(tables);
        Ok(())
    }

    fn is_paced(&self) -> bool {
        self.cut.config.rdb_key_save_delay > 0
    }

    /// Delays the next step by the duration that `keys` keys must take.
    fn pace(&mut self, env: &Env, keys: u64) {
        let pause_ns = pacing_ns(&self.cut.config, keys);
        if pause_ns != 0 {
            self.due_ns = self.due_ns.max(env.clock.mono_ns()).saturating_add(pause_ns);
        }
    }

    /// Fails the snapshot: from here on only marks are cleared.
    fn fail(&mut self, ground: Ground<'_>, error: SaveError) {
        match self.out.take() {
            Some(Output::File(file)) => file.discard(&*ground.env.disk),
            Some(Output::Replicas(payload)) => payload.fail(),
            None => {
                if let Target::Replicas(payload) = &self.cut.target {
                    payload.fail();
                }
            }
        }
        self.cut.pre_images.close();
        self.spill = None;
        self.shared.clear();
        self.encoder.drain();
        self.stage = Stage::Clear { shard: 0, error };
    }

    fn clear_step(&mut self, ground: Ground<'_>, holds: usize) -> Turn {
        for table in self.tables.drain(..) {
            ground.keyspace.free_list().push(table.table);
        }
        for _ in 0..holds {
            let Stage::Clear { shard, .. } = &mut self.stage else { break };
            if *shard == SHARDS {
                break;
            }
            let _gate = ground.keyspace.gates().enter(ground.thread);
            let mut guard = ground.keyspace.lock(*shard);
            let ours = |guard: &Shard| {
                let mut dbs = 0..guard.db_count();
                dbs.find(|db| guard.db(*db).is_some_and(|part| part.walk.is_some()))
            };
            match ours(&guard) {
                Some(db) => {
                    walk_part(guard.db_mut(db), ground.keyspace, HOLD_BUDGET_MAX, |_| {});
                }
                None => *shard += 1,
            }
        }
        let Stage::Clear { shard: SHARDS, .. } = self.stage else { return Turn::More };
        // Tables may have left the keyspace while their marks were being cleared.
        for table in self.cut.pre_images.take().tables {
            ground.keyspace.free_list().push(table.table);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Clear { error, .. } => Turn::Done(Err(error)),
            _ => Turn::Done(Ok(())),
        }
    }
}

/// Receives walked entries: writes them to the file, or shares large values for later.
struct Sink<'a> {
    db: u32,
    ages: Ages,
    encoder: &'a mut RdbEncoder,
    shared: &'a mut Vec<Shared>,
    keys: &'a mut u64,
}

impl Sink<'_> {
    // HOT PATH: once per key, under a shard's lock.
    fn take(&mut self, entry: EntryRef<'_>) {
        match Shared::of(self.db, entry, self.ages) {
            Some(shared) => self.shared.push(shared),
            None => {
                self.encoder.entry(entry.key(), self.ages.meta(entry), entry.value());
                *self.keys += 1;
            }
        }
    }
}

/// The database in which a shard now has the table that was `db` at the cut, if its walk is not
/// finished.
fn find_walk(shard: &Shard, db: u32) -> Option<u32> {
    let is_it = |now: &u32| {
        let walk = shard.db(*now).and_then(|part| part.walk.as_ref());
        walk.is_some_and(|walk| walk.db_at_cut == db)
    };
    if is_it(&db) {
        return Some(db);
    }
    (0..shard.db_count()).find(is_it)
}

/// Continues the walk of a table; removes the walk at its end and returns whether it did.
fn walk_part(
    part: &mut DbShard,
    keyspace: &Keyspace,
    budget: usize,
    take: impl FnMut(EntryRef<'_>),
) -> bool {
    let Some(walk) = &mut part.walk else { return true };
    match part.table.walk(walk.position, budget, keyspace.hasher(), take) {
        Some(next) => {
            walk.position = next;
            false
        }
        None => {
            part.walk = None;
            true
        }
    }
}

fn spill_error(op: &'static str, cut: &Cut, source: std::io::Error) -> SaveError {
    SaveError::Io { op, path: PathBuf::from(&cut.config.dir).join("(spill file)"), source }
}
