//! A shutdown that waits for replicas.
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
use crate::sync::{Arc, lock};

/// A shutdown that waits.
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
        let mut pending = lock(&self.ending);
        if let Some(pending) = &mut *pending {
            pending.waiters.extend(waiter);
            return;
        }
        self.env.log(Level::Notice, "Waiting for replicas before shutting down.");
        let timeout_ms = i64::from(self.config().shutdown_timeout) * 1000;
        let deadline_ms = now_ms.saturating_add(timeout_ms);
        *pending = Some(Pending { how, deadline_ms, waiters: waiter.into_iter().collect() });
        self.pause.start(Purpose::Shutdown, now_ms, i64::MAX, Paused::Writes);
    }

    /// Whether a shutdown waits, and for how many milliseconds more at most.
    pub fn shutdown_in_ms(&self) -> Option<i64> {
        let now_ms = self.env.clock.unix_us() / 1000;
        lock(&self.ending).as_ref().map(|pending| (pending.deadline_ms - now_ms).max(0))
    }

    /// The shutdown that has waited long enough.
    pub fn due_shutdown(&self) -> Option<Shutdown> {
        let how = lock(&self.ending).as_ref().map(|pending| pending.how)?;
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
        let Some(pending) = lock(&self.ending).take() else { return false };
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
