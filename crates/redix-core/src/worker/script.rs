//! Commands that run scripts.
//!
//! A script that runs for too long has its worker serve the other connections now and then. For
//! that its own connection is taken out of its slot, and the state of the turn is put aside.
//!
//! **Invariant.** When other connections were served, the turn ends after the script: commands that
//! were gathered for it may have been answered since.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{AttendWorker, Worker};
use crate::client::Client;
use crate::command::dispatch::{Flow, Runner};
use crate::command::prepared::Prepared;
use crate::command::spec::{Locks, flag};
use crate::command::table::Command;

/// Whether a command of this connection may run a script.
#[inline]
pub(super) fn runs_scripts(client: &Client, command: Option<Command>) -> bool {
    let Some(command) = command else { return false };
    let of_queue = || client.session.multi.as_ref().map_or(0, |multi| multi.flags);
    command.spec.has(flag::RUNS_SCRIPTS)
        || (command.spec.locks == Locks::Queue && of_queue() & flag::RUNS_SCRIPTS != 0)
}

impl Worker {
    /// Whether something of the turn so far is carried out when it ends: requests of commands, and
    /// messages that clients have published to themselves.
    pub(super) fn owes_others(&self) -> bool {
        !self.turn.asked.is_empty() || !self.awaiting_mail.is_empty()
    }

    /// Executes the parked command at a position of the connection in a slot, which may run a
    /// script.
    pub(super) fn execute_script(
        &mut self,
        runner: &mut Runner<'_>,
        attend: &mut AttendWorker<'_>,
        (token, at): (usize, usize),
        item: &Prepared,
    ) -> Flow {
        let Some(mut client) = self.clients[token].take() else { return Flow::Again };
        let command = item.command(&self.engine.commands);
        let mut attended = false;
        // The connection has to be back in its slot before anything else is done.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            runner.execute_script(&mut client, at, command, &item.plan, &mut || {
                let turn = std::mem::take(&mut self.turn);
                if !std::mem::replace(&mut attended, true) {
                    // What they have sent is to be answered meanwhile, too.
                    turn.ready.iter().for_each(|token| self.mark_ready(*token));
                }
                let outcome = catch_unwind(AssertUnwindSafe(|| attend(self)));
                self.turn = turn;
                outcome.unwrap_or_else(|panic| resume_unwind(panic));
            })
        }));
        self.clients[token] = Some(client);
        runner.over |= attended;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
