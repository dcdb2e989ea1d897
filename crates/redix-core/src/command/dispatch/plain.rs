//! Runs of plain commands: consecutive calls of one command, each of one key and of little work.
//!
//! What the general path checks and records for each command is checked and recorded here once for
//! the run, which halves the cost of dispatching.
//!
//! **Invariants.** A run ends before a command that may need more than the lock of its own key, and
//! behind one that has an effect besides its reply and its change of the key, that fails, or that
//! is not brief after all: what it has left is handed over before the next one runs.

use super::gates::Admitted;
use super::invalidate::Author;
use super::{BRIEF_BYTES_MAX, Runner, fail};
use crate::client::{Client, Input, TURN_OUTPUT_MAX};
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx, Ctx};
use crate::command::prepared::Prepared;
use crate::command::spec::{CommandSpec, Handler, flag};
use crate::command::table::Command;
use crate::command::timing::{call_stats, count_calls};
use crate::engine::Headroom;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Expiry;
use crate::keyspace::shard_of;
use crate::session::Session;
use crate::sync::atomic::Ordering;

/// What a run has done.
pub(super) struct Ran<'b> {
    /// The number of commands.
    pub count: usize,
    /// The last one, if something of it has to be looked after.
    pub last: Option<Last<'b>>,
}

/// The last command of a run.
pub(super) struct Last<'b> {
    pub args: Args<'b>,
    pub outcome: CommandResult,
    /// Where its reply begins.
    mark: usize,
    is_brief: bool,
}

impl Runner<'_> {
    /// Executes parked commands of a client from position `first` on, as long as they are plain, of
    /// the same command, and neither the client nor the server is in a state in which more has to
    /// be checked. Returns how many; the next one must go through [`Runner::execute`].
    // HOT PATH: once for each run of commands.
    #[inline]
    pub(crate) fn execute_plain(
        &mut self,
        client: &mut Client,
        first: usize,
        commands: &[Prepared],
    ) -> usize {
        let Some((id, _)) = commands.first().and_then(Prepared::as_plain) else { return 0 };
        let kind = self.engine.commands.by_id(id);
        let Client { input, reply, session, shared, .. } = client;
        if !self.executes_plainly(session, kind.spec) {
            return 0;
        }
        if self.stretch.is_of_another(kind) {
            self.end_stretch();
        }
        self.look_at_memory(shared, session, reply, Headroom::Half);
        if self.keys.shortage.is_any() && kind.spec.has(flag::DENYOOM) {
            return 0;
        }
        self.keys.db = session.db;
        self.keys.expiry = Expiry::Delete;
        self.keys.touch = !session.no_touch;
        self.keys.effects.begin(self.engine.repl.recording(), self.config.event_classes());
        debug_assert!(
            matches!(
                self.admit(session, shared, input.args(first), Some(kind)),
                Ok(Admitted::Run(_)) | Err(ReplyError::Oom)
            ) || !self.is_calm(),
            "the gates are open"
        );
        let (engine, config, db) = (self.engine, &self.config, session.db);
        let limited = config.has_memory_limits() && kind.spec.has(flag::DENYOOM);
        let data = Ctx {
            engine: self.engine,
            config: &self.config,
            keys: &mut self.keys,
            plan: &commands[0].plan,
            reply,
            requests: &mut self.requests,
            command: kind,
            caller: Caller::Client,
            listens: false,
            wait: None,
            reads_all_keys: true,
            now_us: self.now_us,
            stats: self.stats,
        };
        let mut cx = ClientCx { data, session, shared, blocked: &mut self.blocked, attend: None };
        let Ran { count, last } = run_plain(&mut cx.data, input, first, commands, |cx, _| {
            cx.reply.len() <= TURN_OUTPUT_MAX
                && !shared.killed.load(Ordering::Acquire)
                && !(limited && engine.exceeds_any(config, db))
        });
        let ended_ns = last.and_then(|last| {
            let calls = self.stretch.untimed() + count as u64;
            cx.end_last(&last, calls, self.last_ns)
        });
        self.end_run(kind, count, ended_ns);
        let multi = !kind.spec.has(flag::TOUCHES_ARBITRARY_KEYS);
        if let Some(end) = self.finish_unit(multi, Author::Here(shared, session)) {
            session.write_offset = end;
        }
        if self.keys.has_ready() {
            self.serve_ready();
        }
        count
    }

    /// Whether plain calls of a command by this client may run without further checks: no gate is
    /// closed, and nothing follows a command but its reply.
    #[inline]
    fn executes_plainly(&self, session: &Session, spec: &CommandSpec) -> bool {
        self.calm
            && session.is_plain(self.engine.acl.version())
            && session.only_replies()
            && self.stretch.is_allowed()
            && !self.engine.registry.monitored()
            && !(spec.has(flag::WRITE) && self.engine.repl.recording())
    }

    /// Counts the calls of a run: later, with those of the stretch, where it has not been timed.
    #[inline]
    pub(super) fn end_run(&mut self, kind: Command, count: usize, ended_ns: Option<u64>) {
        match ended_ns {
            Some(ended_ns) => {
                self.stretch.forget();
                self.advance_to(ended_ns);
            }
            None => self.stretch.add_calls(kind, count as u64),
        }
    }
}

impl ClientCx<'_, '_> {
    /// Looks after the last command of a run: replaces its reply by its error, and counts `calls`
    /// calls since `started_ns` if it was not brief. Returns the time if that was read.
    #[cold]
    pub(super) fn end_last(&mut self, last: &Last<'_>, calls: u64, started_ns: u64) -> Option<u64> {
        let ended_ns = (!last.is_brief).then(|| self.engine.env.clock.mono_ns());
        let ns = ended_ns.map_or(0, |ended_ns| ended_ns.saturating_sub(started_ns));
        if ended_ns.is_some() {
            count_calls(self.stats, self.config, self.command, calls, ns);
        }
        if let Err(error) = &last.outcome {
            self.reply.truncate(last.mark);
            call_stats(self.stats, self.command).failed.bump();
            fail(self.data.engine, self.data.stats, self.data.reply, error);
        }
        if ended_ns.is_some() {
            self.note_duration(last.args, ns, last.mark);
        }
        ended_ns
    }
}

/// Runs plain commands of the kind of `cx.command`, as long as `goes_on` says so, which is asked
/// before each with the number of those that have run.
#[inline(always)]
pub(super) fn run_plain<'b>(
    cx: &mut Ctx<'b, '_>,
    input: &'b Input,
    first: usize,
    commands: &'b [Prepared],
    mut goes_on: impl FnMut(&mut Ctx<'b, '_>, usize) -> bool,
) -> Ran<'b> {
    let gates = cx.engine.keyspace.gates();
    let mut count = 0;
    let Handler::Data(handler) = cx.command.spec.handler else { return Ran { count, last: None } };
    let writes = cx.command.spec.has(flag::WRITE);
    for prepared in commands {
        let Some((id, hash)) = prepared.as_plain() else { break };
        if id != cx.command.id || gates.world_waiting() || !goes_on(cx, count) {
            break;
        }
        cx.keys.held.lock_one(shard_of(hash));
        if writes && cx.keys.held.has_waiters() {
            break;
        }
        let args = input.args(first + count);
        cx.plan = &prepared.plan;
        let mark = cx.reply.len();
        let outcome = handler(cx, args);
        count += 1;
        let effects = &cx.keys.effects;
        let is_brief = cx.reply.len() <= mark + BRIEF_BYTES_MAX && !effects.is_long();
        let leaves_nothing =
            !effects.is_pending() && !cx.keys.has_ready() && cx.requests.is_empty();
        if outcome.is_err() || !is_brief || !leaves_nothing {
            return Ran { count, last: Some(Last { args, outcome, mark, is_brief }) };
        }
    }
    Ran { count, last: None }
}
