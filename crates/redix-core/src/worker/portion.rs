//! Executing a portion of a primary's stream, whose commands are known beforehand.
//!
//! All keys are known, so the hints for a key are given well before it is needed: its bucket
//! [`BUCKETS_AHEAD`] steps ahead, one step later the entry or the next node of the chain, and so on
//! for [`PREFETCH_LINKS`] nodes. A step has few commands, so that little is asked of memory at
//! once; what a hint reads was asked for a step earlier, so that it need not be waited for.

use super::{HINTS_MAX, PREFETCH_LINKS, Turn};
use crate::client::Client;
use crate::command::dispatch::Runner;
use crate::command::prepared::Prepared;
use crate::keyspace::{Keyspace, shard_of};
use crate::session::PrimaryLink;

/// Commands that are executed between hints.
const STEP: usize = 4;
/// Commands whose bytes enter the log together, and for which the clock is read once.
const GROUP: usize = 16 * STEP;
/// Steps between the hint at a key's bucket and its execution.
const BUCKETS_AHEAD: usize = PREFETCH_LINKS + 1;
/// The same for the first hint at its entry.
const ITEMS_AHEAD: usize = BUCKETS_AHEAD - 1;

/// How far the hints have come.
#[derive(Default)]
pub(super) struct HintsAhead {
    /// Commands, from the next to be executed on, whose buckets were hinted at.
    buckets: usize,
    /// The same of entries.
    items: usize,
    /// Keys whose place has not been found in so many nodes and one.
    lost: [Vec<u64>; PREFETCH_LINKS],
}

impl HintsAhead {
    /// Before the next portion.
    fn restart(&mut self) {
        (self.buckets, self.items) = (0, 0);
        self.lost.iter_mut().for_each(Vec::clear);
    }

    /// Gives the hints that are due before the first of these commands is executed.
    fn give(&mut self, keyspace: &Keyspace, db: u32, commands: &[Prepared]) {
        for link in (1..PREFETCH_LINKS).rev() {
            let (nearer, further) = self.lost.split_at_mut(link);
            for hash in nearer[link - 1].drain(..) {
                if hint_item(keyspace, db, hash, link) {
                    further[0].push(hash);
                }
            }
        }
        let due = take_due(commands, &mut self.buckets, BUCKETS_AHEAD * STEP);
        for_each_key(due, |hash| {
            if let Some(part) = keyspace.lock(shard_of(hash)).db(db) {
                part.table.prefetch_bucket(hash);
            }
        });
        let due = take_due(commands, &mut self.items, ITEMS_AHEAD * STEP);
        for_each_key(due, |hash| {
            if hint_item(keyspace, db, hash, 0) {
                self.lost[0].push(hash);
            }
        });
    }

    /// So many commands have been executed.
    fn advance(&mut self, executed: usize) {
        self.buckets = self.buckets.saturating_sub(executed);
        self.items = self.items.saturating_sub(executed);
    }
}

/// The commands up to `end`, but for the first `done`, which all of them now are.
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

/// Hints at an entry; true if it may lie further down the chain.
#[inline]
fn hint_item(keyspace: &Keyspace, db: u32, hash: u64, link: usize) -> bool {
    let shard = keyspace.lock(shard_of(hash));
    shard.db(db).is_some_and(|part| part.table.prefetch_item(hash, link))
}

impl Turn<'_> {
    /// Whether what the client is to execute came prepared.
    pub(super) fn is_prepared(&self, token: usize) -> bool {
        let client = self.clients.get(token).and_then(Option::as_ref);
        client.is_some_and(|client| !prepared(client).is_empty())
    }

    /// Executes what came prepared, until the client is halted.
    pub(super) fn execute_portion(&mut self, token: usize, runner: &mut Runner<'_>) {
        let Some(link) = self.link(token) else { return };
        // It comes back below; after a panic the link begins anew.
        let commands = std::mem::take(&mut link.prepared);
        let mut begin = link.prepared_begin;
        self.hints_ahead.restart();
        while begin < commands.len() {
            runner.begin_group();
            let end = commands.len().min(begin + GROUP);
            let executed = self.execute_steps(token, runner, &commands[begin..], end - begin);
            self.finish_run(token, &commands[begin..begin + executed]);
            runner.end_stretch();
            begin += executed;
            if begin < end {
                break;
            }
        }
        if let Some(link) = self.link(token) {
            link.prepared = commands;
        }
    }

    /// Executes the first `len` commands, with the hints for those behind them. Returns how many
    /// were executed.
    fn execute_steps(
        &mut self,
        token: usize,
        runner: &mut Runner<'_>,
        commands: &[Prepared],
        len: usize,
    ) -> usize {
        let mut executed = 0;
        while executed < len {
            let Some(Some(client)) = self.clients.get(token) else { break };
            let (keyspace, db) = (runner.keys.keyspace, client.session.db);
            self.hints_ahead.give(keyspace, db, &commands[executed..]);
            let end = len.min(executed + STEP);
            let count = self.execute_run(runner, token, executed, &commands[executed..end]);
            // Hints take locks of their own.
            runner.keys.held.release();
            self.hints_ahead.advance(count);
            executed += count;
            if executed < end {
                break;
            }
        }
        executed
    }

    fn link(&mut self, token: usize) -> Option<&mut PrimaryLink> {
        let client = self.clients.get_mut(token)?.as_mut()?;
        client.session.primary_link.as_deref_mut()
    }
}

/// The commands that are parked, if they came prepared.
fn prepared(client: &Client) -> &[Prepared] {
    client.session.primary_link.as_deref().map_or(&[], PrimaryLink::prepared)
}
