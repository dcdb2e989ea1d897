//! A shutdown that is delayed: until periodic work runs, or until replicas have caught up.
//!
//! A signal is handled by periodic work, so DEBUG PAUSE-CRON delays it.
//!
//! A primary waits, unless NOW is given, up to `shutdown-timeout` until its replicas have
//! acknowledged everything; writes are paused meanwhile. The background thread polls
//! [`Engine::due_shutdown`] and carries the shutdown out; SHUTDOWN ABORT, or a save that fails,
//! cancels it. Source: SHUTDOWN of Redis 7.0.

use super::Engine;
use crate::blocking::Waiter;
use crate::effects::Shutdown;
use crate::env::Level;
use crate::pause::{Paused, Purpose};
use crate::repl::primary::{Phase, Replica};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// The state of a delayed shutdown.
#[derive(Default)]
pub(super) enum ShutdownState {
    /// There is none.
    #[default]
    No,
    /// Begins with the next periodic work.
    Scheduled(Shutdown),
    /// Waits until the replicas have caught up.
    Waiting(Pending),
}

/// A shutdown that waits for replicas.
pub(super) struct Pending {
    how: Shutdown,
    deadline_ms: i64,
    waiters: Vec<Arc<Waiter>>,
}

impl Engine {
    /// Whether the shutdown has to wait for replicas.
    pub fn shutdown_waits(&self, how: &Shutdown) -> bool {
        let lagging = || {
            let end = self.repl.log.end();
            self.repl.replicas.all().iter().any(|replica| is_lagging(replica, end))
        };
        !how.now && self.config().shutdown_timeout != 0 && !self.repl.is_replica() && lagging()
    }

    /// Begins to wait for replicas; `waiter` is the client that asked. If a shutdown waits already,
    /// the client waits with it.
    pub fn begin_shutdown(&self, how: Shutdown, waiter: Option<Arc<Waiter>>) {
        let now_ms = self.env.clock.unix_us() / 1000;
        let mut state = lock(&self.shutdown);
        if let ShutdownState::Waiting(pending) = &mut *state {
            pending.waiters.extend(waiter);
            return;
        }
        self.env.log(Level::Notice, "Waiting for replicas before shutting down.");
        let timeout_ms = i64::from(self.config().shutdown_timeout) * 1000;
        let deadline_ms = now_ms.saturating_add(timeout_ms);
        let waiters = waiter.into_iter().collect();
        *state = ShutdownState::Waiting(Pending { how, deadline_ms, waiters });
        self.pause.start(Purpose::Shutdown, now_ms, i64::MAX, Paused::Writes);
    }

    /// Schedules a shutdown for [`Engine::take_scheduled_shutdown`], unless one is pending already.
    pub fn schedule_shutdown(&self, how: Shutdown) {
        let mut state = lock(&self.shutdown);
        if matches!(*state, ShutdownState::No) {
            *state = ShutdownState::Scheduled(how);
        }
    }

    /// Takes the scheduled shutdown, unless periodic work is paused.
    pub fn take_scheduled_shutdown(&self) -> Option<Shutdown> {
        let mut state = lock(&self.shutdown);
        let ShutdownState::Scheduled(how) = *state else { return None };
        if self.cron_paused.load(Ordering::Relaxed) {
            return None;
        }
        *state = ShutdownState::No;
        Some(how)
    }

    /// Whether a shutdown is pending.
    pub fn is_ending(&self) -> bool {
        !matches!(*lock(&self.shutdown), ShutdownState::No)
    }

    /// Milliseconds until a shutdown stops waiting for replicas; `None` if none waits.
    pub fn shutdown_in_ms(&self) -> Option<i64> {
        let now_ms = self.env.clock.unix_us() / 1000;
        match &*lock(&self.shutdown) {
            ShutdownState::Waiting(pending) => Some((pending.deadline_ms - now_ms).max(0)),
            _ => None,
        }
    }

    /// The shutdown to carry out now: replicas have caught up, or the timeout has passed.
    pub fn due_shutdown(&self) -> Option<Shutdown> {
        let how = match &*lock(&self.shutdown) {
            ShutdownState::Waiting(pending) => pending.how,
            _ => return None,
        };
        let late = self.shutdown_in_ms() == Some(0);
        if !late && self.shutdown_waits(&how) {
            return None;
        }
        let (end, all) = (self.repl.log.end(), self.repl.replicas.all());
        let (lagging, synced): (Vec<_>, Vec<_>) =
            all.iter().partition(|replica| is_lagging(replica, end));
        let now_ms = self.env.clock.unix_us() / 1000;
        for replica in lagging {
            let text = format!(
                "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                replica.name(),
                end - replica.acked().min(end),
                (now_ms - replica.acked_ms()).max(0) / 1000,
                replica.phase().word(),
            );
            self.env.log(Level::Notice, &text);
        }
        if !all.is_empty() {
            let (synced, all) = (synced.len(), all.len());
            let text = format!("{synced} of {all} replicas are in sync when shutting down.");
            self.env.log(Level::Notice, &text);
        }
        Some(how)
    }

    /// Cancels a waiting shutdown: clients are unpaused, and those that asked for it get an error.
    /// False if none waits.
    pub fn give_up_shutdown(&self) -> bool {
        let pending = match std::mem::take(&mut *lock(&self.shutdown)) {
            ShutdownState::No => return false,
            ShutdownState::Scheduled(_) => return true,
            ShutdownState::Waiting(pending) => pending,
        };
        for waiter in pending.waiters {
            waiter.serve(|reply| reply.error("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        self.end_pause(Purpose::Shutdown);
        true
    }
}

fn is_lagging(replica: &Replica, end: u64) -> bool {
    replica.phase() != Phase::Served && replica.acked() != end
}
