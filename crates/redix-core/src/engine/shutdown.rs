//! A shutdown that waits: for periodic work to go on, or for replicas.
//!
//! A signal is acted on by periodic work, so DEBUG PAUSE-CRON holds it back.
//!
//! Unless told otherwise the end of a primary waits, up to `shutdown-timeout`, until its replicas
//! have acknowledged everything; writes are held back meanwhile. The background thread asks
//! [`Engine::due_shutdown`] and carries the end out; SHUTDOWN ABORT, or a save that fails, gives it
//! up. Source: SHUTDOWN of Redis 7.0.

use super::Engine;
use crate::blocking::Waiter;
use crate::effects::Shutdown;
use crate::env::Level;
use crate::mailbox::Mail;
use crate::pause::{Paused, Purpose};
use crate::repl::primary::{Phase, Replica};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// Whether the process is to end.
#[derive(Default)]
pub(super) enum ShutdownState {
    /// It is not.
    #[default]
    No,
    /// Once periodic work goes on.
    Scheduled(Shutdown),
    /// Once the replicas have what they lack.
    Waiting(Pending),
}

/// A shutdown that waits for replicas.
pub(super) struct Pending {
    how: Shutdown,
    deadline_ms: i64,
    waiters: Vec<Arc<Waiter>>,
}

impl Engine {
    /// Whether the end has to wait for replicas.
    pub fn shutdown_waits(&self, how: &Shutdown) -> bool {
        let lagging = || {
            let end = self.repl.log.end();
            self.repl.replicas.all().iter().any(|replica| is_lagging(replica, end))
        };
        !how.now && self.config().shutdown_timeout != 0 && !self.repl.is_replica() && lagging()
    }

    /// Begins to wait; `waiter` is the client that asked. Where a shutdown waits already, the
    /// client waits with it.
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

    /// Leaves a shutdown for [`Engine::take_scheduled_shutdown`], unless one waits already.
    pub fn schedule_shutdown(&self, how: Shutdown) {
        let mut state = lock(&self.shutdown);
        if matches!(*state, ShutdownState::No) {
            *state = ShutdownState::Scheduled(how);
        }
    }

    /// The shutdown that was left for periodic work, if that goes on.
    pub fn take_scheduled_shutdown(&self) -> Option<Shutdown> {
        let mut state = lock(&self.shutdown);
        let ShutdownState::Scheduled(how) = *state else { return None };
        if self.cron_paused.load(Ordering::Relaxed) {
            return None;
        }
        *state = ShutdownState::No;
        Some(how)
    }

    /// Whether a shutdown waits for anything.
    pub fn is_ending(&self) -> bool {
        !matches!(*lock(&self.shutdown), ShutdownState::No)
    }

    /// Whether a shutdown waits for replicas, and for how many milliseconds more at most.
    pub fn shutdown_in_ms(&self) -> Option<i64> {
        let now_ms = self.env.clock.unix_us() / 1000;
        match &*lock(&self.shutdown) {
            ShutdownState::Waiting(pending) => Some((pending.deadline_ms - now_ms).max(0)),
            _ => None,
        }
    }

    /// The shutdown that has waited long enough.
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

    /// Gives a waiting shutdown up: clients go on, and those that asked for it are told. False if
    /// none waits.
    pub fn give_up_shutdown(&self) -> bool {
        let pending = match std::mem::take(&mut *lock(&self.shutdown)) {
            ShutdownState::No => return false,
            ShutdownState::Scheduled(_) => return true,
            ShutdownState::Waiting(pending) => pending,
        };
        for waiter in pending.waiters {
            waiter.serve(|reply| reply.error("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        self.pause.end(Purpose::Shutdown);
        self.registry.post_all(&Mail::Resume);
        true
    }
}

fn is_lagging(replica: &Replica, end: u64) -> bool {
    replica.phase() != Phase::Served && replica.acked() != end
}
