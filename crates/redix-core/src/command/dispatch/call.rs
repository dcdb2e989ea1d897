//! A call of a handler under the locks of its unit, and what is recorded of it.

use super::{Attend, fail};
use crate::acl::log::Context;
use crate::command::args::Args;
use crate::command::audit;
use crate::command::context::{Caller, ClientCx, Ctx};
use crate::command::plan::{Plan, for_each_key};
use crate::command::rights::{Call, reads_all_keys};
use crate::command::spec::{Handler, Locks, LogAs, flag};
use crate::command::table::Command;
use crate::command::timing::{BRIEF_BYTES_MAX, Timing, call_stats, count_calls};
use crate::commandlog::Executed;
use crate::keyspace::access::Expiry;
use crate::latency::event;
use crate::session::{Queued, Session};
use redix_resp::reply::Reply;

impl ClientCx<'_, '_> {
    /// Runs a command of the transaction under the locks that EXEC holds; appends its reply.
    pub fn run_queued(&mut self, queued: &Queued) {
        self.session.further_calls += 1;
        let args = queued.args.args();
        if let Err(error) = self.check_queued(queued.command, args) {
            call_stats(self.stats, queued.command).rejected.bump();
            return fail(self.data.engine, self.data.stats, self.data.reply, &error);
        }
        if queued.command.spec.has(flag::DENYOOM)
            && let Err(error) = self.admit_within_unit(self.session.db)
        {
            call_stats(self.stats, queued.command).failed.bump();
            self.audit_failure(&error, Context::Multi, queued.command);
            return fail(self.data.engine, self.data.stats, self.data.reply, &error);
        }
        let reads_all_keys = self.may_read_all(queued.command, args, self.session.db);
        let plan = Plan::of(self.keys.keyspace, queued.command.spec, args);
        let data = Ctx {
            engine: self.data.engine,
            config: self.data.config,
            keys: &mut *self.data.keys,
            plan: &plan,
            reply: &mut *self.data.reply,
            requests: &mut *self.data.requests,
            command: queued.command,
            caller: if self.data.caller == Caller::Log { Caller::Log } else { Caller::Exec },
            listens: self.session.subscriptions.is_some(),
            wait: None,
            reads_all_keys,
            now_us: self.data.now_us,
            stats: self.data.stats,
        };
        let mut cx = ClientCx {
            data,
            session: &mut *self.session,
            shared: self.shared,
            blocked: &mut *self.blocked,
            attend: self.attend.as_mut().map(|attend| &mut **attend as &mut Attend<'_>),
        };
        cx.call(args);
    }

    /// Runs a command of a script under the locks that the script holds, in a session of its own;
    /// appends its reply. Returns when it ended, by the monotonic clock.
    pub fn run_of_script(
        &mut self,
        command: Command,
        args: Args<'_>,
        session: &mut Session,
        reply: &mut Reply,
    ) -> u64 {
        self.session.further_calls += 1;
        self.session.owed_calls += 1;
        let plan = Plan::of(self.keys.keyspace, command.spec, args);
        let caller = if self.from_primary() { Caller::Log } else { Caller::Script };
        let reads_all_keys = self.may_read_all(command, args, session.db);
        let data = Ctx {
            engine: self.data.engine,
            config: self.data.config,
            keys: &mut *self.data.keys,
            plan: &plan,
            reply,
            requests: &mut *self.data.requests,
            command,
            caller,
            listens: false,
            wait: None,
            reads_all_keys,
            now_us: self.data.now_us,
            stats: self.data.stats,
        };
        let (shared, blocked) = (self.shared, &mut *self.blocked);
        let mut cx = ClientCx { data, session, shared, blocked, attend: None };
        cx.call(args)
    }

    fn may_read_all(&mut self, command: Command, args: Args<'_>, db: u32) -> bool {
        self.from_primary()
            || reads_all_keys(self.data.engine, &mut self.session.user, &Call { command, args, db })
    }

    /// Runs the handler and records statistics, MONITOR, the slow log and the change. Returns when
    /// it ended.
    fn call(&mut self, args: Args<'_>) -> u64 {
        let started_ns = self.engine.env.clock.mono_ns();
        self.call_timed(args, Timing::alone(started_ns)).unwrap_or(started_ns)
    }

    /// Runs the handler and times it as `timing` says. Returns when it ended, unless it is timed
    /// together with the calls after it.
    #[inline(always)]
    pub(super) fn call_timed(&mut self, args: Args<'_>, timing: Timing) -> Option<u64> {
        let spec = self.command.spec;
        let mark = self.reply.len();
        let dirty = self.keys.effects.dirty();
        let db = self.keys.db;
        let outcome = match spec.handler {
            Handler::Data(run) => run(&mut self.data, args),
            Handler::Client(run) => run(self, args),
        };
        if let Some(wait) = self.data.wait.take() {
            self.begin_key_wait(wait, args);
        }
        if self.session.tracks.is_some() {
            self.note_reads(args);
        }
        let brief = timing.may_wait
            && self.reply.len() <= mark + BRIEF_BYTES_MAX
            && !self.keys.effects.is_long();
        let ended_ns = (!brief).then(|| self.engine.env.clock.mono_ns());
        if self.keys.expiry == Expiry::DeleteWritable {
            self.note_own_keys(args);
        }
        let restated = self.keys.effects.take_restated();
        if self.keys.effects.recording()
            && spec.log_as == LogAs::Verbatim
            && !restated
            && self.keys.effects.dirty() != dirty
        {
            self.keys.effects.log_words(db, args.iter_from(0));
        }
        let ns = ended_ns.map_or(0, |ended_ns| ended_ns.saturating_sub(timing.started_ns));
        if ended_ns.is_some() && audit::concerns(spec) {
            self.audit_call(args, outcome.as_ref().err());
        }
        // A command that blocks is counted when its wait is over.
        let blocked = self.blocked.is_some();
        if let Some(blocked) = self.blocked {
            blocked.ns = ns;
        } else {
            if ended_ns.is_some() {
                count_calls(self.stats, self.config, self.command, timing.untimed + 1, ns);
            }
            if let Err(error) = outcome {
                self.reply.truncate(mark);
                self.note_own_failure(&error);
                call_stats(self.stats, self.command).failed.bump();
                fail(self.data.engine, self.data.stats, self.data.reply, &error);
            }
        }
        if self.engine.registry.monitored() {
            self.feed_monitors(args);
        }
        if ended_ns.is_some() && !blocked {
            self.note_duration(args, ns, mark);
        }
        // A blocked command is logged later and needs its secrets (arguments to be redacted) until
        // then.
        if !self.session.secrets.is_empty() && !blocked {
            self.session.secrets.clear();
        }
        ended_ns
    }

    /// Tracks the keys with an expiry that a client of a writable replica has written.
    #[cold]
    fn note_own_keys(&mut self, args: Args<'_>) {
        let own = &self.data.engine.repl.writable_expiry;
        let keys = &mut *self.data.keys;
        for_each_key(self.data.command.spec, args, |index, _| {
            let key = keys.key(args.get(index));
            if keys.peek(key).is_some_and(|entry| entry.expire_at_ms().is_some()) {
                own.insert(keys.db, key.bytes);
            }
        });
    }

    /// Adds the command, whose reply begins at `mark`, to the slow log, the command log and the
    /// latency monitor as their thresholds say.
    pub(super) fn note_duration(&self, args: Args<'_>, ns: u64, mark: usize) {
        let spec = self.command.spec;
        // Of the configuration that CONFIG SET has left behind.
        let changed = (spec.locks == Locks::World).then(|| self.engine.config());
        let config = changed.as_ref().unwrap_or(self.config);
        if !spec.has(flag::SKIP_SLOWLOG) {
            let executed = Executed {
                session: self.session,
                client: self.shared,
                args,
                ns,
                reply_bytes: self.reply.len().saturating_sub(mark),
                now_us: self.now_us,
            };
            self.engine.commandlog.note(config, &executed);
        }
        let threshold_ms = config.latency_monitor_threshold;
        if threshold_ms != 0 {
            let kind = if spec.has(flag::FAST) { event::FAST_COMMAND } else { event::COMMAND };
            let ended_us = self.now_us + (ns / 1000) as i64;
            self.engine.latency.note(threshold_ms, kind, ns, ended_us);
        }
    }

    #[cold]
    fn feed_monitors(&self, args: Args<'_>) {
        if self.command.spec.has(flag::SKIP_MONITOR | flag::ADMIN) {
            return;
        }
        self.show_to_monitors(args);
    }

    /// Shows a command to the clients that monitor.
    pub fn show_to_monitors(&self, args: Args<'_>) {
        if self.engine.registry.monitored() {
            let from = match self.caller {
                Caller::Script => None,
                _ => Some(&self.shared.addr),
            };
            let line = crate::monitor::line(self.now_us, self.session, from, args);
            self.engine.registry.feed_monitors(line);
        }
    }
}
