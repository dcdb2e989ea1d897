//! Background work: background saves, save points, the freeing of flushed tables.
//!
//! One thread drives [`Background::step`]; in a simulation the scheduler does. No step ends with a
//! lock, a gate or the world held.

use super::Engine;
use super::replicas::ReplicationCron;
use super::saving::Snapshot;
use crate::env::Level;
use crate::persist::file::SaveError;
use crate::persist::snapshot::{Ground, Saver, Target, Turn};
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// Interval of checks for save points and scheduled saves.
const CRON_NS: u64 = 100_000_000;
/// The longest sleep of a paced saver between checks of its queue.
const PACED_NAP_NS: u64 = 20_000_000;
/// Lock holds of the saver per step.
const HOLDS_PER_STEP: usize = 32;
/// Entries freed per step.
const FREE_PER_STEP: usize = 4096;
/// Keys whose bytes are counted under one hold of a shard's lock, and such holds per step.
const COUNT_PER_HOLD: usize = 64;
const COUNTS_PER_STEP: usize = 64;
/// Delay before the next automatic background save after a failed one. Source: Redis,
/// `CONFIG_BGSAVE_RETRY_DELAY`.
const RETRY_DELAY_S: i64 = 5;

/// When the next step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// At once.
    None,
    /// At this reading of `Clock::mono_ns`, or when a request arrives.
    Until(u64),
}

/// The state of background work.
#[derive(Default)]
pub struct Background {
    saver: Option<Saver>,
    next_cron_ns: u64,
    replication: ReplicationCron,
    /// The last round in which memory was returned to the system.
    purged: u64,
}

impl Background {
    /// Does a slice of the pending work.
    pub fn step(&mut self, engine: &Engine) -> Rest {
        let now_ns = engine.env.clock.mono_ns();
        if now_ns >= self.next_cron_ns {
            self.next_cron_ns = now_ns + CRON_NS;
            if engine.spare.is_due(&mut self.purged) {
                engine.env.host.purge_memory();
            }
            if !engine.cron_paused.load(Ordering::Relaxed) {
                engine.advance_failover();
                self.replication.step(engine, now_ns);
                engine.save_if_due();
                engine.rewrite_if_due();
                engine.remove_history_if_due();
            }
            engine.look_at_databases(&engine.config());
            engine.look_at_users();
            engine.hold_writes_back();
        }
        let freed = engine.keyspace.free_list().step(FREE_PER_STEP);
        if freed > 0 {
            let cell = &engine.stats.thread(engine.background_thread()).cell;
            cell.lazyfreed_objects.add(freed);
        }
        let counted = engine.count_keys();
        let saving = self.save_step(engine);
        match saving {
            Rest::Until(due_ns) if freed == 0 && !counted => {
                Rest::Until(due_ns.min(self.next_cron_ns))
            }
            _ => Rest::None,
        }
    }

    fn save_step(&mut self, engine: &Engine) -> Rest {
        if self.saver.is_none() {
            let Some(cut) = lock(&engine.snapshot).cut.take() else {
                return Rest::Until(self.next_cron_ns);
            };
            match cut.target {
                Target::File => engine.env.log(Level::Notice, "Background saving started"),
                Target::Replicas(_) => {
                    engine.env.log(Level::Notice, "Background RDB transfer started");
                }
                Target::AofBase { .. } => {}
            }
            self.saver = Some(Saver::new(cut));
        }
        let Some(saver) = &mut self.saver else { return Rest::None };
        let ground = Ground {
            env: &engine.env,
            keyspace: &engine.keyspace,
            thread: engine.background_thread(),
        };
        let turn = saver.step(ground, HOLDS_PER_STEP);
        engine.note_progress(saver);
        if matches!(saver.cut().target, Target::Replicas(_)) {
            engine.repl.replicas.tell(&engine.registry, None);
        }
        match turn {
            Turn::More => Rest::None,
            Turn::Until(due_ns) => {
                Rest::Until(due_ns.min(engine.env.clock.mono_ns() + PACED_NAP_NS))
            }
            Turn::Done(outcome) => {
                engine.end_snapshot(saver, &outcome);
                self.saver = None;
                Rest::None
            }
        }
    }
}

impl Engine {
    /// Counts the bytes of some keys, if they have yet to be; whether there may be more.
    fn count_keys(&self) -> bool {
        let keyspace = &self.keyspace;
        if !keyspace.ledger().is_behind() {
            return false;
        }
        let thread = self.background_thread();
        let _gate = keyspace.gates().enter(thread);
        (0..COUNTS_PER_STEP).all(|_| keyspace.count_step(thread, COUNT_PER_HOLD))
    }

    fn note_progress(&self, saver: &Saver) {
        let (saves, pre_images) = (&self.saves, &saver.cut().pre_images);
        saves.keys_done.store(saver.keys_written(), Ordering::Relaxed);
        saves.buffer_bytes.store(pre_images.waiting_bytes(), Ordering::Relaxed);
        saves.buffer_peak_bytes.store(pre_images.peak_bytes(), Ordering::Relaxed);
    }

    /// Records the outcome of a background save.
    fn end_snapshot(&self, saver: &Saver, outcome: &Result<(), SaveError>) {
        if let Target::AofBase { temporary, format } = &saver.cut().target {
            self.end_rewrite(temporary, *format, outcome);
            self.forget_snapshot(saver);
            self.saves.running_since_s.store(0, Ordering::Relaxed);
            self.leave_rewrite(outcome);
            return;
        }
        let (saves, now_s) = (&self.saves, self.unix_s());
        let to_file = matches!(saver.cut().target, Target::File);
        match outcome {
            Ok(()) if !to_file => {
                saves.last_ok.store(true, Ordering::Relaxed);
                self.env.log(Level::Notice, "Background RDB transfer terminated with success");
            }
            // The disk is not at fault.
            Err(error) if !to_file => {
                self.env.log(Level::Warning, &format!("Background RDB transfer error: {error}"));
            }
            Ok(()) => {
                self.stats.dirty_at_save.store(saver.cut().dirty, Ordering::Relaxed);
                saves.last_save_s.store(now_s, Ordering::Relaxed);
                saves.last_ok.store(true, Ordering::Relaxed);
                self.env.log(Level::Notice, "Background saving terminated with success");
            }
            // The status is unchanged, as after a child that Redis kills itself.
            Err(SaveError::Cancelled) => {
                self.env.log(Level::Warning, "Background saving cancelled");
            }
            Err(error) => {
                saves.last_ok.store(false, Ordering::Relaxed);
                self.env.log(Level::Warning, &format!("Background saving error: {error}"));
            }
        }
        let since_s = saves.running_since_s.load(Ordering::Relaxed);
        saves.last_duration_s.store((now_s - since_s).max(0), Ordering::Relaxed);
        self.forget_snapshot(saver);
        self.end_sync(saver.cut(), outcome);
        saves.running_since_s.store(0, Ordering::Relaxed);
    }

    /// Clears what shows the progress of a snapshot.
    fn forget_snapshot(&self, saver: &Saver) {
        let saves = &self.saves;
        saves.last_buffer_peak_bytes.store(saver.cut().pre_images.peak_bytes(), Ordering::Relaxed);
        for counter in
            [&saves.keys_done, &saves.keys_total, &saves.buffer_bytes, &saves.buffer_peak_bytes]
        {
            counter.store(0, Ordering::Relaxed);
        }
        *lock(&self.snapshot) = Snapshot::default();
    }

    /// Begins a background save that is scheduled or due by a save point.
    fn save_if_due(&self) {
        let saves = &self.saves;
        if saves.running() || self.loading.load(Ordering::Relaxed) {
            return;
        }
        let now_s = self.unix_s();
        let retry = saves.last_ok.load(Ordering::Relaxed)
            || now_s - saves.last_try_s.load(Ordering::Relaxed) > RETRY_DELAY_S;
        if !retry {
            return;
        }
        let scheduled = saves.scheduled.load(Ordering::Relaxed);
        if !scheduled {
            let Some((seconds, changes)) = self.due_save_point(now_s) else { return };
            self.env
                .log(Level::Notice, &format!("{changes} changes in {seconds} seconds. Saving..."));
        }
        let _world = self.keyspace.gates().world();
        // A command may have begun one first; it serves the schedule too.
        if self.begin_snapshot().is_ok() && scheduled {
            saves.scheduled.store(false, Ordering::Relaxed);
        }
    }

    fn due_save_point(&self, now_s: i64) -> Option<(u64, u64)> {
        let elapsed_s = now_s - self.saves.last_save_s.load(Ordering::Relaxed);
        let elapsed_s = u64::try_from(elapsed_s).unwrap_or(0);
        let dirty = self.stats.dirty_since_save();
        let config = self.config();
        let mut points = config.save.iter().copied();
        points.find(|(seconds, changes)| dirty >= *changes && elapsed_s > *seconds)
    }
}
