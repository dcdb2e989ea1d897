//! Executing a portion of a primary's stream, whose commands were prepared.
//!
//! All keys are known, so they are prefetched well before they are needed: the bucket
//! [`BUCKETS_AHEAD`] steps ahead, one step later the entry or the next node of the chain, and so on
//! for [`PREFETCH_LINKS`] nodes. A step has few commands, so that few lines are requested at once;
//! what a prefetch has to read was itself prefetched a step earlier, so that it does not stall.

use std::ops::Range;

use super::{AttendWorker, HINTS_MAX, PREFETCH_LINKS, Worker, goes_on};
use crate::client::Client;
use crate::command::dispatch::{Runner, STEP};
use crate::command::prepared::Prepared;
use crate::keyspace::{Keyspace, shard_of};
use crate::session::PrimaryLink;

/// Commands whose bytes are appended to the log together, with one clock reading.
const GROUP: usize = 16 * STEP;
/// Steps between prefetching a key's bucket and its execution.
const BUCKETS_AHEAD: usize = PREFETCH_LINKS + 1;
/// Steps between the first prefetch of its entry and its execution.
const ITEMS_AHEAD: usize = BUCKETS_AHEAD - 1;

/// The progress of prefetching.
#[derive(Default)]
pub(super) struct HintsAhead {
    /// The first command of the portion whose bucket has not been prefetched.
    buckets: usize,
    /// The first command whose entry has not been prefetched.
    items: usize,
    /// `lost[i]`: hashes absent from the first i + 1 nodes of their chains.
    lost: [Vec<u64>; PREFETCH_LINKS],
}

impl HintsAhead {
    /// Restarts before the portion is executed from its command `at` on.
    fn restart(&mut self, at: usize) {
        (self.buckets, self.items) = (at, at);
        self.lost.iter_mut().for_each(Vec::clear);
    }

    /// Issues the prefetches that are due before the command `at` of a portion is executed.
    #[inline]
    fn give(&mut self, keyspace: &Keyspace, db: u32, commands: &[Prepared], at: usize) {
        for link in (1..PREFETCH_LINKS).rev() {
            let (nearer, further) = self.lost.split_at_mut(link);
            for hash in nearer[link - 1].drain(..) {
                if hint_item(keyspace, db, hash, link) {
                    further[0].push(hash);
                }
            }
        }
        let due = take_due(commands, &mut self.buckets, at + BUCKETS_AHEAD * STEP);
        for_each_key(due, |hash| {
            if let Some(shard) = keyspace.try_lock(shard_of(hash))
                && let Some(part) = shard.db(db)
            {
                part.table.prefetch_bucket(hash);
            }
        });
        let due = take_due(commands, &mut self.items, at + ITEMS_AHEAD * STEP);
        for_each_key(due, |hash| {
            if hint_item(keyspace, db, hash, 0) {
                self.lost[0].push(hash);
            }
        });
    }
}

/// The commands from `done` up to `end`; advances `done`.
#[inline]
fn take_due<'a>(commands: &'a [Prepared], done: &mut usize, end: usize) -> &'a [Prepared] {
    let end = end.min(commands.len());
    let from = std::mem::replace(done, end).min(end);
    &commands[from..end]
}

/// Calls `f` with the hash of each key.
#[inline(always)]
fn for_each_key(commands: &[Prepared], mut f: impl FnMut(u64)) {
    for command in commands {
        match command.plan.single() {
            Some(hash) => f(hash),
            None => command.plan.hashes().take(HINTS_MAX).for_each(&mut f),
        }
    }
}

/// Prefetches an entry; true if it may be further down the chain.
#[inline]
fn hint_item(keyspace: &Keyspace, db: u32, hash: u64, link: usize) -> bool {
    let shard = keyspace.try_lock(shard_of(hash));
    shard
        .as_ref()
        .and_then(|shard| shard.db(db))
        .is_some_and(|part| part.table.prefetch_item(hash, link))
}

impl Worker {
    /// Whether the client's next commands were prepared.
    pub(super) fn is_prepared(&self, token: usize) -> bool {
        let client = self.clients.get(token).and_then(Option::as_ref);
        client.is_some_and(|client| !prepared(client).is_empty())
    }

    /// Executes prepared commands, until the client is halted.
    pub(super) fn execute_portion(
        &mut self,
        token: usize,
        runner: &mut Runner<'_>,
        attend: &mut AttendWorker<'_>,
    ) {
        let Some(link) = self.link(token) else { return };
        // Put back below; after a panic the link starts anew.
        let commands = std::mem::take(&mut link.prepared);
        let mut at = link.prepared_begin;
        self.turn.hints_ahead.restart(at);
        while at < commands.len() {
            runner.begin_group();
            let end = commands.len().min(at + GROUP);
            let executed = self.execute_group(token, (runner, attend), &commands, at..end);
            self.finish_run(token, &commands[at..at + executed]);
            runner.end_stretch();
            at += executed;
            if at < end {
                break;
            }
        }
        if let Some(link) = self.link(token) {
            link.prepared = commands;
        }
    }

    /// Executes some commands of a portion, which begins with the first parked one, and prefetches
    /// those after them. Returns how many were executed.
    fn execute_group(
        &mut self,
        token: usize,
        (runner, attend): (&mut Runner<'_>, &mut AttendWorker<'_>),
        commands: &[Prepared],
        group: Range<usize>,
    ) -> usize {
        let mut at = group.start;
        while at < group.end {
            let parked = at - group.start;
            let applied = self.apply_plain(token, runner, commands, at..group.end, parked);
            at += applied;
            if applied != 0 {
                continue;
            }
            let Some(Some(client)) = self.clients.get(token) else { break };
            self.turn.hints_ahead.give(runner.keys.keyspace, client.session.db, commands, at);
            let executed = self.execute_run(runner, attend, (token, parked), &commands[at..=at]);
            runner.keys.held.release();
            if executed == 0 {
                break;
            }
            at += executed;
        }
        at - group.start
    }

    /// Applies as many of these commands as are plain and the same command.
    #[inline]
    fn apply_plain(
        &mut self,
        token: usize,
        runner: &mut Runner<'_>,
        commands: &[Prepared],
        group: Range<usize>,
        parked: usize,
    ) -> usize {
        let Some(Some(client)) = self.clients.get_mut(token) else { return 0 };
        if commands[group.start].as_plain().is_none() || !goes_on(client, runner, &self.engine) {
            return 0;
        }
        self.turn.running = Some(token);
        let (keyspace, db, hints_ahead) =
            (runner.keys.keyspace, client.session.db, &mut self.turn.hints_ahead);
        let applied = runner.apply_plain(client, parked, &commands[group.clone()], |applied| {
            hints_ahead.give(keyspace, db, commands, group.start + applied);
        });
        runner.keys.held.release();
        applied
    }

    fn link(&mut self, token: usize) -> Option<&mut PrimaryLink> {
        let client = self.clients.get_mut(token)?.as_mut()?;
        client.session.primary_link.as_deref_mut()
    }
}

/// The parked commands, if they were prepared.
fn prepared(client: &Client) -> &[Prepared] {
    client.session.primary_link.as_deref().map_or(&[], PrimaryLink::prepared)
}
