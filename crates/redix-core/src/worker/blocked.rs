//! Blocked connections of a worker; see [`crate::blocking`].
//!
//! The command stays the first parked one until it is replied to: the logs need its arguments.
//!
//! **Invariants.** A connection is halted exactly as long as `Client::blocked` is set. Its
//! deadline, and the time to look at its keys again, are listed at most as long.

use std::collections::BTreeSet;

use super::Worker;
use crate::client::Client;
use crate::command::blocked::{Blocked, LOOK_INTERVAL_MS};
use crate::command::dispatch::{Runner, fail};
use crate::command::spec::flag;
use crate::command::timing::{call_stats, count_calls};
use crate::commandlog::Executed;
use crate::mailbox::WaitEnd;
use crate::registry::client_flag;
use crate::session::ReplyMode;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// Halts a connection whose command has blocked.
#[cold]
pub(super) fn halt(
    client: &mut Client,
    blocked: Option<Blocked>,
    token: usize,
    now_ms: i64,
    deadlines: &mut BTreeSet<(i64, usize)>,
) {
    let Some(blocked) = blocked else { return };
    client.halted = true;
    client.shared.last_active_ms.store(now_ms, Ordering::Relaxed);
    client.shared.last_command.store(blocked.command.id, Ordering::Relaxed);
    deadlines.extend(times_of(&blocked).map(|ms| (ms, token)));
    client.blocked = Some(blocked);
}

/// When the worker is to do something about a wait.
fn times_of(blocked: &Blocked) -> impl Iterator<Item = i64> + use<> {
    let look = blocked.look.as_ref().map(|look| look.at_ms);
    blocked.waiter.deadline_ms().into_iter().chain(look)
}

impl Worker {
    /// The nearest deadline, Unix time in milliseconds.
    #[inline]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Ends the waits whose deadline has passed, and serves those whose keys have become ready by
    /// the passage of time.
    pub fn end_overdue(&mut self, now_ms: i64) {
        while let Some(&(deadline_ms, token)) = self.deadlines.first()
            && deadline_ms <= now_ms
        {
            self.deadlines.remove(&(deadline_ms, token));
            self.end_throttling(token, deadline_ms, now_ms);
            let client = self.clients.get(token).and_then(Option::as_ref);
            let blocked = client.and_then(|client| client.blocked.as_ref());
            let Some(blocked) = blocked else { continue };
            if blocked.waiter.deadline_ms().is_none_or(|deadline_ms| deadline_ms > now_ms) {
                self.look_again(token, now_ms);
            } else if blocked.waiter.claim() {
                self.answer(token, WaitEnd::TimedOut);
            }
        }
    }

    /// Serves a blocked connection if one of its keys is ready by now; otherwise it is looked at
    /// again later.
    fn look_again(&mut self, token: usize, now_ms: i64) {
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else { return };
        let Some(look) = client.blocked.as_mut().and_then(|blocked| blocked.look.as_mut()) else {
            return;
        };
        look.at_ms = now_ms + LOOK_INTERVAL_MS;
        self.deadlines.insert((look.at_ms, token));
        let keys = lock(&client.shared.awaited).clone();
        let engine = Arc::clone(&self.engine);
        if let Some(mut runner) = Runner::try_new(&engine, engine.config(), self.index) {
            runner.serve_matured(&keys, look);
        }
    }

    /// Resumes a connection whose wait another thread has ended; no effect if it was closed.
    pub fn unblocked(&mut self, client: u64, token: usize, end: WaitEnd) {
        if self.client(token).is_some_and(|found| found.shared.id == client) {
            self.answer(token, end);
        }
    }

    /// Removes the wait of a connection that is being closed.
    pub(super) fn forget_wait(&mut self, token: usize, client: &Client) {
        client.shared.abandon_wait();
        self.forget_throttling(token, client);
        for ms in client.blocked.iter().flat_map(times_of) {
            self.deadlines.remove(&(ms, token));
        }
    }

    /// Replies to a connection whose wait is over, with the bookkeeping of dispatch, and resumes
    /// it.
    fn answer(&mut self, token: usize, end: WaitEnd) {
        let stats = self.engine.stats.thread(self.index);
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else { return };
        let Some(blocked) = client.blocked.take() else { return };
        *lock(&client.shared.waiter) = None;
        for ms in times_of(&blocked) {
            self.deadlines.remove(&(ms, token));
        }
        let (command, ns) = (blocked.command, blocked.ns);
        if !matches!(end, WaitEnd::Refused(_)) {
            count_calls(stats, &self.config, command, 1, ns);
        }
        let mark = client.reply.len();
        if matches!(end, WaitEnd::Dismissed(_)) {
            client.session.close_after_reply = true;
            client.shared.set_flag(client_flag::CLOSING, true);
        }
        match end {
            WaitEnd::Served(bytes) => client.reply.raw(&bytes),
            WaitEnd::TimedOut => (blocked.on_timeout)(&self.engine, &mut client.reply),
            WaitEnd::Failed(error) | WaitEnd::Dismissed(error) | WaitEnd::Refused(error) => {
                // As Valkey 9 counts it: the command itself did not fail.
                call_stats(stats, command).rejected.bump();
                fail(&self.engine, stats, &mut client.reply, &error);
            }
        }
        if !command.spec.has(flag::SKIP_SLOWLOG) {
            let executed = Executed {
                session: &client.session,
                client: &client.shared,
                args: client.input.args(0),
                ns,
                reply_bytes: client.reply.len().saturating_sub(mark),
                now_us: self.engine.env.clock.unix_us(),
            };
            self.engine.commandlog.note(&self.config, &executed);
        }
        client.session.secrets.clear();
        if client.session.reply_mode != ReplyMode::On {
            client.reply.truncate(mark);
        }
        client.shared.commands.fetch_add(1, Ordering::Relaxed);
        client.input.executed(1);
        client.metered.paid = client.metered.paid.saturating_sub(1);
        client.halted = false;
        self.mark_ready(token);
    }
}
