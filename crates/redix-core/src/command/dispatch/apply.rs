//! The road of a primary's command: the stream is applied as it comes.
//!
//! The gates that clients meet are not for it: what the primary has done is done here too. Its
//! replies go nowhere; an error among them means that this data set is not the primary's any more.
//! The bytes of a unit enter the log as they came, those of a transaction when it ends, as a whole.
//! Units that follow one another are appended together.
//!
//! **Invariant.** Whenever the world can be taken, the log ends where the applied stream does: the
//! bytes are appended before the gate, or the unit's world, is let go of.

use super::gates::{Admitted, not_in_multi};
use super::{Flow, Runner, fail, queue};
use crate::client::{Client, Input};
use crate::command::args::Args;
use crate::command::plan::Plan;
use crate::command::spec::{Locks, flag};
use crate::command::table::Command;
use crate::error::ReplyError;
use crate::repl::log::Log;
use crate::session::{PrimaryLink, Session};

impl Runner<'_> {
    /// Applies the parked command `index` places from the front of the link's client.
    pub(super) fn apply(
        &mut self,
        client: &mut Client,
        index: usize,
        found: Option<Command>,
        plan: &Plan,
    ) -> Flow {
        let Client { input, reply, session, shared, .. } = client;
        let args = input.args(index);
        let errors = self.stats.cell.error_replies.get();
        let mut world = None;
        match self.admit_applied(session, args, found) {
            Ok(Some(Admitted::Hold)) => return Flow::Hold,
            Ok(Some(Admitted::Run(command))) => {
                if command.spec.locks != Locks::Keys
                    && let Some(link) = &mut session.primary_link
                {
                    // It may have to let go of the gate to get its locks.
                    link.log(&self.engine.repl.log, input);
                }
                world = self.run_unit(session, shared, reply, args, command, plan);
            }
            Ok(Some(Admitted::Queue(command))) => queue(session, shared, command, args),
            // Words between primary and replica: there is nothing to run.
            Ok(None) => {}
            Err(error) => fail(self.engine, self.stats, reply, &error),
        }
        let applied = self.stats.cell.error_replies.get() == errors;
        let is_whole = session.multi.is_none();
        if let Some(link) = &mut session.primary_link {
            if !applied {
                link.failure = Some(describe(args, reply.as_bytes()));
            } else if is_whole {
                link.whole = index + 1;
            }
            if world.is_some() {
                link.log(&self.engine.repl.log, input);
            }
        }
        reply.clear();
        self.leave_world(world);
        // Nothing is executed behind what could not be.
        if !applied {
            client.halted = true;
        }
        Flow::Next
    }

    /// What becomes of a primary's command; `None` where it is for the link itself.
    fn admit_applied(
        &self,
        session: &mut Session,
        args: Args<'_>,
        found: Option<Command>,
    ) -> Result<Option<Admitted>, ReplyError> {
        let is_admin = found.is_none_or(|command| command.spec.has(flag::ADMIN));
        if is_admin && args.is(0, "REPLCONF") {
            if let Some(link) = &mut session.primary_link {
                link.ack_wanted |= args.is(1, "GETACK");
            }
            return Ok(None);
        }
        let Some(command) = found else {
            return Err(ReplyError::unknown_command(args.get(0), args.iter_from(1)));
        };
        let command = self.resolve(command, args)?;
        if !command.spec.fits(args.len()) {
            return Err(ReplyError::WrongArity(command.full_name().into()));
        }
        if session.multi.is_some() && command.spec.has(flag::NO_MULTI) {
            return Err(not_in_multi(command));
        }
        if self.paused(command.spec.flags) {
            return Ok(Some(Admitted::Hold));
        }
        if session.multi.is_some() && !command.spec.has(flag::RUNS_IN_MULTI) {
            return Ok(Some(Admitted::Queue(command)));
        }
        Ok(Some(Admitted::Run(command)))
    }
}

impl PrimaryLink {
    /// Appends the bytes of what was applied since the last time, up to the last whole unit.
    pub(crate) fn log(&mut self, log: &Log, input: &Input) {
        if self.whole <= self.first {
            return;
        }
        let bytes = input.raw(self.first..self.whole);
        if self.pending.is_empty() {
            log.append_raw(bytes);
        } else {
            self.pending.extend_from_slice(bytes);
            log.append_raw(&self.pending);
            self.pending = Vec::new();
        }
        self.first = self.whole;
    }

    /// The same before the first `executed` commands leave the input: what belongs to a unit that
    /// has yet to end is kept.
    pub(crate) fn log_all(&mut self, log: &Log, input: &Input, executed: usize) {
        self.log(log, input);
        if self.first < executed {
            self.pending.extend_from_slice(input.raw(self.first..executed));
        }
        (self.first, self.whole) = (0, 0);
    }
}

/// The most bytes of a word that the log shows.
const SHOWN_MAX: usize = 64;

/// The command that failed and the first error among its replies.
#[cold]
fn describe(args: Args<'_>, reply: &[u8]) -> String {
    let start = match reply.first() {
        Some(b'-') => Some(1),
        _ => memchr::memmem::find(reply, b"\r\n-").map(|at| at + 3),
    };
    let error = start.map_or(&b"unknown error"[..], |at| &reply[at..]);
    let error = error.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut text = format!("'{}' to", error.escape_ascii());
    for word in args.iter_from(0).take(3) {
        let shown = &word[..word.len().min(SHOWN_MAX)];
        text.push_str(&format!(" '{}'", shown.escape_ascii()));
    }
    text
}
