//! The path of a primary's command: applying the replication stream.
//!
//! It bypasses the gates for clients: what the primary has done is done here too. Replies are
//! discarded; an error among them means that the data sets have diverged. The raw bytes of a unit
//! are appended to the log as received, a transaction as a whole when it ends. Adjacent units are
//! appended together.
//!
//! **Invariant.** Whenever the world can be taken, the log ends where the applied stream does: the
//! bytes are appended before the gate, or the unit's world, is released.

use super::gates::{Admitted, not_in_multi};
use super::invalidate::Author;
use super::plain::{Ran, run_plain};
use super::{Attend, Flow, LockedOut, Runner, fail, queue};
use crate::client::{Client, Input};
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx, Ctx};
use crate::command::plan::Plan;
use crate::command::prepared::Prepared;
use crate::command::spec::{Group, Locks, flag};
use crate::command::table::Command;
use crate::error::ReplyError;
use crate::keyspace::access::Expiry;
use crate::repl::log::Log;
use crate::session::{PrimaryLink, Session};

/// Plain commands applied between two calls of `before_step`.
pub(crate) const STEP: usize = 4;

impl Runner<'_> {
    /// Applies the parked command at position `index` of the link's client.
    pub(super) fn apply(
        &mut self,
        client: &mut Client,
        index: usize,
        found: Option<Command>,
        plan: &Plan,
        attend: Option<&mut Attend<'_>>,
    ) -> Flow {
        let Client { input, reply, session, shared, .. } = client;
        let args = input.args(index);
        self.look_at_memory_of_replica();
        let errors = self.stats.cell.error_replies.get();
        let mut world = None;
        // What only concerns replicas is not for the append-only file.
        let mut replicas_only = false;
        match self.admit_applied(session, args, found) {
            Ok(Some(Admitted::Hold | Admitted::WatchInVain(_))) => return Flow::Hold,
            Ok(Some(Admitted::Run(command))) => {
                if command.spec.locks != Locks::Keys
                    && let Some(link) = &mut session.primary_link
                {
                    // Taking its locks may require releasing the gate.
                    link.log(&self.engine.repl.log, input);
                }
                let name = command.spec.name;
                replicas_only = command.spec.group == Group::Pubsub
                    || name == "ping"
                    || self.engine.commands.family(command).name == "acl";
                match self.run_unit(session, shared, reply, args, command, plan, attend) {
                    Ok(taken) => world = taken,
                    Err(LockedOut) => return Flow::Again,
                }
            }
            Ok(Some(Admitted::Queue(command))) => {
                queue(session, shared, command, command.spec.flags, args);
            }
            // A command between primary and replica: nothing to run.
            Ok(None) => replicas_only = true,
            Err(error) => {
                if let Some(link) = &mut session.primary_link {
                    link.refusal = Some(error.text().into_owned());
                }
                fail(self.engine, self.stats, reply, &error);
            }
        }
        let applied = self.stats.cell.error_replies.get() == errors;
        let is_whole = session.multi.is_none();
        if let Some(link) = &mut session.primary_link {
            if !applied {
                link.failure = Some(describe(args, reply.as_bytes()));
            } else if is_whole {
                if replicas_only {
                    link.log_for_replicas(&self.engine.repl.log, input, index);
                }
                link.whole = index + 1;
            }
            if world.is_some() {
                link.log(&self.engine.repl.log, input);
            }
        }
        reply.clear();
        self.leave_world(world);
        // Nothing is executed behind a command that failed.
        if !applied {
            client.halted = true;
        }
        Flow::Next
    }

    /// Applies parked commands from position `first` on, as long as they are plain, of the same
    /// command, and no gate has to be checked before each. Returns how many; the next one must go
    /// through `execute`. Calls `before_step` before each [`STEP`] of them, with the number of
    /// those applied and no lock held.
    // HOT PATH: once for each command of a primary that is ahead.
    pub(crate) fn apply_plain(
        &mut self,
        client: &mut Client,
        first: usize,
        commands: &[Prepared],
        mut before_step: impl FnMut(usize),
    ) -> usize {
        let Client { input, reply, session, shared, halted, .. } = client;
        let Some((id, _)) = commands.first().and_then(Prepared::as_plain) else { return 0 };
        let kind = self.engine.commands.by_id(id);
        if !self.applies_plainly(session) {
            return 0;
        }
        if self.stretch.is_of_another(kind) {
            self.end_stretch();
        }
        self.look_at_memory_of_replica();
        self.keys.db = session.db;
        self.keys.expiry = Expiry::Ignore;
        self.keys.touch = !session.no_touch;
        // No keyspace events are announced, and a replica builds no records.
        self.keys.effects.begin(false, 0);
        let data = Ctx {
            engine: self.engine,
            config: &self.config,
            keys: &mut self.keys,
            plan: &commands[0].plan,
            reply,
            requests: &mut self.requests,
            command: kind,
            caller: Caller::Log,
            listens: false,
            wait: None,
            reads_all_keys: true,
            now_us: self.now_us,
            stats: self.stats,
        };
        let mut cx = ClientCx { data, session, shared, blocked: &mut self.blocked, attend: None };
        let Ran { count, last } = run_plain(&mut cx.data, input, first, commands, |cx, applied| {
            cx.reply.clear();
            if applied % STEP == 0 {
                cx.keys.held.release();
                before_step(applied);
            }
            true
        });
        let ended_ns = last.as_ref().and_then(|last| {
            cx.end_last(last, self.stretch.untimed() + count as u64, self.last_ns)
        });
        let failed = last.filter(|last| last.outcome.is_err());
        *halted |= failed.is_some();
        if let Some(link) = &mut cx.session.primary_link {
            link.whole = first + count - usize::from(failed.is_some());
            link.failure = failed.map(|last| describe(last.args, cx.data.reply.as_bytes()));
        }
        cx.reply.clear();
        self.end_run(kind, count, ended_ns);
        self.finish_unit(false, Author::Nobody);
        if self.keys.has_ready() {
            self.serve_ready();
        }
        count
    }

    /// Whether plain commands of this session may run without checking the gates before each.
    fn applies_plainly(&self, session: &Session) -> bool {
        session.multi.is_none()
            && session.primary_link.is_some()
            && self.stretch.is_allowed()
            && self.config.notify_keyspace_events == 0
            && !self.engine.registry.monitored()
            && !self.engine.repl.recording()
            && !self.engine.pause.any(self.keys.now_ms)
    }

    /// How a primary's command is treated; `None` if it is addressed to the link itself.
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
            return Err(ReplyError::WrongArity(self.engine.commands.full_name(command).into()));
        }
        if session.multi.is_some() && command.spec.has(flag::NO_MULTI) {
            return Err(not_in_multi(&self.engine.commands.full_name(command)));
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
    /// The prepared commands of the portion, if there is one.
    #[inline]
    pub(crate) fn prepared(&self) -> &[Prepared] {
        self.prepared.get(self.prepared_begin..).unwrap_or_default()
    }

    /// Appends the bytes that were applied since the last call, up to the last complete unit.
    pub(crate) fn log(&mut self, log: &Log, input: &Input) {
        if self.whole <= self.first || self.replays {
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

    /// Appends the bytes of a command that only concerns replicas, behind those before it.
    fn log_for_replicas(&mut self, log: &Log, input: &Input, index: usize) {
        self.log(log, input);
        if self.first == index && self.pending.is_empty() && !self.replays {
            log.append_for_replicas(input.raw(index..index + 1));
            self.first = index + 1;
        }
    }

    /// As `log`, before the first `executed` commands leave the input: the bytes of an incomplete
    /// unit are kept.
    pub(crate) fn log_all(&mut self, log: &Log, input: &Input, executed: usize) {
        self.log(log, input);
        if self.first < executed && !self.replays {
            self.pending.extend_from_slice(input.raw(self.first..executed));
        }
        (self.first, self.whole) = (0, 0);
    }
}

/// The most bytes of an argument that the log shows.
const SHOWN_MAX: usize = 64;

/// Text for the log: the command that failed and the first error among its replies.
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
