//! Blocked connections of a worker; see [`crate::blocking`].
//!
//! The command stays the first parked one until it is replied to: the logs need its arguments.
//!
//! **Invariants.** A connection is halted exactly as long as `Client::blocked` is set. Its deadline
//! is listed at most as long.

use std::collections::BTreeSet;

use super::Worker;
use crate::client::Client;
use crate::command::blocked::Blocked;
use crate::command::dispatch::fail;
use crate::command::spec::flag;
use crate::command::timing::{call_stats, count_calls};
use crate::commandlog::Executed;
use crate::mailbox::WaitEnd;
use crate::registry::client_flag;
use crate::session::ReplyMode;
use crate::sync::atomic::Ordering;
use crate::sync::lock;

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
    if let Some(deadline_ms) = blocked.waiter.deadline_ms() {
        deadlines.insert((deadline_ms, token));
    }
    client.blocked = Some(blocked);
}

impl Worker {
    /// The nearest deadline, Unix time in milliseconds.
    #[inline]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Ends the waits whose deadline has passed.
    pub fn end_overdue(&mut self, now_ms: i64) {
        while let Some(&(deadline_ms, token)) = self.deadlines.first()
            && deadline_ms <= now_ms
        {
            self.deadlines.remove(&(deadline_ms, token));
            let client = self.clients.get(token).and_then(Option::as_ref);
            let blocked = client.and_then(|client| client.blocked.as_ref());
            if blocked.is_some_and(|blocked| blocked.waiter.claim()) {
                self.answer(token, WaitEnd::TimedOut);
            }
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
        if let Some(deadline_ms) = client.blocked.as_ref().and_then(|b| b.waiter.deadline_ms()) {
            self.deadlines.remove(&(deadline_ms, token));
        }
    }

    /// Replies to a connection whose wait is over, with the bookkeeping of dispatch, and resumes
    /// it.
    fn answer(&mut self, token: usize, end: WaitEnd) {
        let stats = self.engine.stats.thread(self.index);
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else { return };
        let Some(blocked) = client.blocked.take() else { return };
        *lock(&client.shared.waiter) = None;
        if let Some(deadline_ms) = blocked.waiter.deadline_ms() {
            self.deadlines.remove(&(deadline_ms, token));
        }
        let (command, ns) = (blocked.command, blocked.ns);
        count_calls(stats, &self.config, command, 1, ns);
        let mark = client.reply.len();
        if matches!(end, WaitEnd::Dismissed(_)) {
            client.session.close_after_reply = true;
            client.shared.set_flag(client_flag::CLOSING, true);
        }
        match end {
            WaitEnd::Served(bytes) => client.reply.raw(&bytes),
            WaitEnd::TimedOut => (blocked.on_timeout)(&self.engine, &mut client.reply),
            WaitEnd::Failed(error) | WaitEnd::Dismissed(error) => {
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
        client.halted = false;
        self.mark_ready(token);
    }
}
