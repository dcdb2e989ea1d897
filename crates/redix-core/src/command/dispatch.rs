//! The path of every command: gates, locks, handler, effects.
//!
//! A [`Runner`] belongs to one thread for one group of commands: it holds the thread's gate (or the
//! world) and the locked view. [`Runner::execute`] takes one command of one client through:
//!
//! 1. the gates: does it exist, does the arity fit, is the client authenticated, is the command
//!    allowed in this state, is it to be queued or paused;
//! 2. the locks: those of its plan, a walk, the world, or those of the queue for EXEC;
//! 3. the handler, on a frozen time;
//! 4. statistics, MONITOR and the slow log;
//! 5. the effects, propagated before the locks are released.
//!
//! **Invariants.** No lock is added to a plan that has begun. A world command first releases the
//! thread's gate. An error reply leaves nothing else of the command in the reply buffer.

mod admission;
mod announce;
mod apply;
mod call;
mod evict;
mod gates;
mod http;
mod invalidate;
mod migrated;
mod plain;
mod reply;
mod service;

pub(crate) use apply::STEP;
pub(in crate::command) use invalidate::caches_reads;

use redix_resp::error::ProtocolError;
use redix_resp::reply::Reply;

use super::args::Args;
use super::blocked::Blocked;
use super::context::{Caller, ClientCx, Ctx, discard_transaction};
use super::plan::{Plan, shards_of};
use super::rights::{Call, reads_all_keys};
use super::spec::{CommandSpec, Handler, Locks, flag};
use super::table::Command;
use super::timing::{BRIEF_BYTES_MAX, Stretch, call_stats, count_calls};
use crate::client::Client;
use crate::config::Config;
use crate::effects::Request;
use crate::engine::{Engine, Headroom};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Access, Ageing, Expiry, Found, Held, Shortage, Swept, SweptFields};
use crate::keyspace::gate::{GateGuard, WorldGuard};
use crate::pubsub::ToWake;
use crate::registry::ClientShared;
use crate::repl::writable_expiry::ExpiringKey;
use crate::session::{Queued, Session};
use crate::stats::ThreadStats;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use gates::{Admitted, effective_flags};
use invalidate::Author;

/// Counts and writes an error reply.
pub fn fail(engine: &Engine, stats: &ThreadStats, reply: &mut Reply, error: &ReplyError) {
    count_error(engine, stats, error);
    error.write_to(reply);
}

/// Counts an error reply.
pub fn count_error(engine: &Engine, stats: &ThreadStats, error: &ReplyError) {
    stats.cell.error_replies.bump();
    engine.errors.count(error);
}

/// Counts an error reply whose code a script may have made up.
pub fn count_error_of_script(engine: &Engine, stats: &ThreadStats, error: &ReplyError) {
    stats.cell.error_replies.bump();
    engine.errors.count_of_script(error);
}

/// The outcome of dispatching a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It was executed, queued or refused: continue with the next.
    Next,
    /// It was not executed: keep it, the client is paused.
    Hold,
    /// It blocks, as [`Runner::blocked`] says: keep it, the client is blocked.
    Block,
    /// It was not executed: keep it, the turn is over.
    Again,
}

/// What a script that has run for too long calls now and then, so that its thread serves others.
pub type Attend<'a> = dyn FnMut() + 'a;

/// A command that needs the world could not have it.
struct LockedOut;

/// The state in which a thread runs one group of commands.
pub struct Runner<'k> {
    /// State shared by all threads.
    pub engine: &'k Engine,
    /// The configuration.
    pub config: Arc<Config>,
    /// The locked view.
    pub keys: Access<'k>,
    /// Actions that the server carries out after the locks are released.
    pub requests: Vec<Request>,
    /// The wait that the last command has begun.
    pub blocked: Option<Blocked>,
    /// The turn must end: the gate could not be entered again.
    pub over: bool,
    /// Waits for the gate and the world however long that takes.
    is_patient: bool,
    /// Runs without a gate beside a script that has run for too long: no key may be touched.
    beside_script: bool,
    /// Workers to be woken because messages were sent to them.
    to_wake: ToWake,
    stats: &'k ThreadStats,
    gate: Option<GateGuard<'k>>,
    thread: usize,
    stretch: Stretch,
    /// No gate that depends on the server's state is closed, as of the beginning of the group. A
    /// gate that closes may be noticed one group later, unless it closes in the world.
    calm: bool,
    now_us: i64,
    last_ns: u64,
    started_us: i64,
    started_ns: u64,
}

impl<'k> Runner<'k> {
    /// A runner for thread `thread`, with its gate entered and the time read.
    pub fn new(engine: &'k Engine, config: Arc<Config>, thread: usize) -> Self {
        let gate = engine.keyspace.gates().enter(thread);
        Self { is_patient: true, ..Self::with_gate(engine, config, thread, Some(gate)) }
    }

    /// As [`Runner::new`]; `None` while a script runs for too long. It does not wait for the end of
    /// such a script later either: see [`Runner::over`].
    pub fn try_new(engine: &'k Engine, config: Arc<Config>, thread: usize) -> Option<Self> {
        let gate = engine.keyspace.gates().try_enter(thread)?;
        Some(Self::with_gate(engine, config, thread, Some(gate)))
    }

    /// A runner beside a script that runs for too long: without a gate. It refuses most commands.
    pub fn beside_script(engine: &'k Engine, config: Arc<Config>, thread: usize) -> Self {
        Self { beside_script: true, ..Self::with_gate(engine, config, thread, None) }
    }

    fn with_gate(
        engine: &'k Engine,
        config: Arc<Config>,
        thread: usize,
        gate: Option<GateGuard<'k>>,
    ) -> Self {
        let stats = engine.stats.thread(thread);
        let stretch = Stretch::new(&config);
        let mut runner = Self {
            keys: Access {
                keyspace: &engine.keyspace,
                thread,
                held: Held::nothing(&engine.keyspace),
                effects: crate::effects::Effects::default(),
                cell: &stats.cell,
                db: 0,
                now_ms: 0,
                touch: true,
                ageing: ageing(&config),
                expiry: Expiry::Delete,
                expired_as: expired_as(&config),
                rng: 0,
                ready: crate::keyspace::access::Ready::new(),
                cached_grew: false,
                shortage: Shortage::None,
                admitted: None,
                user_room: u64::MAX,
                refused_in: None,
            },
            config,
            engine,
            requests: Vec::new(),
            blocked: None,
            over: false,
            is_patient: false,
            beside_script: false,
            to_wake: ToWake::new(thread),
            stats,
            gate,
            thread,
            stretch,
            calm: false,
            now_us: 0,
            last_ns: 0,
            started_us: 0,
            started_ns: 0,
        };
        runner.read_time();
        runner.keys.rng = runner.last_ns ^ ((thread as u64) << 32);
        runner
    }

    /// Reads both clocks: at the start of a group.
    fn read_time(&mut self) {
        self.started_us = self.engine.env.clock.unix_us();
        self.started_ns = self.engine.env.clock.mono_ns();
        self.advance_to(self.started_ns);
    }

    /// Reads the monotonic clock and checks whether any gate is closed, before the commands of a
    /// group.
    pub fn begin_group(&mut self) {
        self.advance_to(self.engine.env.clock.mono_ns());
        self.calm = self.is_calm();
    }

    /// Reads the monotonic clock and counts the calls that have not been timed yet.
    pub fn end_stretch(&mut self) {
        if let Some((command, calls)) = self.stretch.take() {
            let ended_ns = self.engine.env.clock.mono_ns();
            count_calls(
                self.stats,
                &self.config,
                command,
                calls,
                ended_ns.saturating_sub(self.last_ns),
            );
            self.advance_to(ended_ns);
        }
    }

    /// Advances the frozen time by the monotonic clock.
    #[inline]
    fn advance_to(&mut self, now_ns: u64) {
        self.last_ns = now_ns;
        self.now_us = self.started_us + (now_ns.saturating_sub(self.started_ns) / 1000) as i64;
        self.keys.now_ms = self.now_us / 1000;
    }

    /// Unix time in milliseconds as last read.
    pub fn now_ms(&self) -> i64 {
        self.keys.now_ms
    }

    /// Whether a thread waits for the world.
    #[inline]
    pub fn world_waiting(&self) -> bool {
        self.engine.keyspace.gates().world_waiting()
    }

    /// Whether keys may be touched.
    #[inline]
    pub fn has_gate(&self) -> bool {
        self.gate.is_some()
    }

    /// Releases all gates and locks while another thread wants the world, then re-enters; see
    /// [`Runner::over`].
    #[inline]
    pub fn yield_to_world(&mut self) {
        if self.has_gate() && self.engine.keyspace.gates().world_waiting() {
            self.end_stretch();
            self.calm = false;
            self.keys.held.release();
            self.gate = None;
            self.enter_again();
        }
    }

    /// Enters the gate after it was released.
    fn enter_again(&mut self) {
        let gates = self.engine.keyspace.gates();
        self.gate = if self.is_patient {
            Some(gates.enter(self.thread))
        } else {
            gates.try_enter(self.thread)
        };
        self.over |= self.gate.is_none();
    }

    /// Dispatches the parked command at position `index` of a client's input.
    #[inline(always)]
    pub fn execute(
        &mut self,
        client: &mut Client,
        index: usize,
        found: Option<Command>,
        plan: &Plan,
    ) -> Flow {
        self.dispatch(client, index, found, plan, None)
    }

    /// As [`Runner::execute`], for a command that may run scripts.
    #[inline(never)]
    pub fn execute_script(
        &mut self,
        client: &mut Client,
        index: usize,
        found: Option<Command>,
        plan: &Plan,
        attend: &mut Attend<'_>,
    ) -> Flow {
        self.dispatch(client, index, found, plan, Some(attend))
    }

    #[inline(always)]
    fn dispatch(
        &mut self,
        client: &mut Client,
        index: usize,
        found: Option<Command>,
        plan: &Plan,
        attend: Option<&mut Attend<'_>>,
    ) -> Flow {
        if client.session.primary_link.is_some() {
            return self.apply(client, index, found, plan, attend);
        }
        let Client { input, reply, session, shared, .. } = client;
        let args = input.args(index);
        self.look_at_memory(shared, session, reply, Headroom::None);
        let mark = reply.len();
        let reply_mode = session.begin_reply();
        let flow = match self.admit(session, shared, args, found) {
            Ok(Admitted::Run(command)) => {
                match self.run_unit(session, shared, reply, args, command, plan, attend) {
                    Ok(world) => self.leave_world(world),
                    Err(LockedOut) => {
                        session.reply_mode = reply_mode;
                        return Flow::Again;
                    }
                }
                if self.blocked.is_some() { Flow::Block } else { Flow::Next }
            }
            Ok(Admitted::Queue(command)) => {
                let flags = self.own_flags(command.spec, args);
                queue(session, shared, command, flags, args);
                self.follow_queued_select(session, command, args);
                session.further_calls -= 1;
                reply.simple("QUEUED");
                Flow::Next
            }
            Ok(Admitted::Hold) => {
                session.reply_mode = reply_mode;
                return Flow::Hold;
            }
            Ok(Admitted::WatchInVain(watch)) => self.watch_in_vain(session, shared, reply, watch),
            Err(_) if found.is_none() && http::is_http(args.get(0)) => {
                self.cut_off_http(shared);
                Flow::Next
            }
            Err(refusal) => {
                let exec = found.is_some_and(|command| command.spec.locks == Locks::Queue);
                let error = match exec {
                    true => self.refuse_exec(session, shared, args, &refusal),
                    false => refusal.clone(),
                };
                session.abort_transaction();
                session.further_calls -= 1;
                if let Some(command) = found {
                    self.count_rejected(command);
                    self.audit_refusal(session, shared, (command, args), &refusal);
                }
                fail(self.engine, self.stats, reply, &error);
                Flow::Next
            }
        };
        self.keep_to_reply_mode(session, reply, mark, args);
        if let Some(tracks) = &mut session.tracks
            && session.multi.is_none()
            && found.is_none_or(|found| self.engine.commands.family(found).name != "client")
        {
            tracks.caching = false;
        }
        flow
    }

    /// Discards the transaction of an EXEC that a gate refused, and shows the EXEC to monitors, for
    /// whom the transaction would not end otherwise. Returns the error to reply.
    #[cold]
    fn refuse_exec(
        &self,
        session: &mut Session,
        shared: &ClientShared,
        args: Args<'_>,
        error: &ReplyError,
    ) -> ReplyError {
        discard_transaction(session, shared);
        let text = error.text();
        if text.starts_with(b"REDIRECT ") {
            return error.clone();
        }
        if self.engine.registry.monitored() {
            let line = crate::monitor::line(self.now_us, session, Some(&shared.addr), args);
            self.engine.registry.feed_monitors(line);
        }
        let reason = text.strip_prefix(b"ERR ").unwrap_or(&text);
        ReplyError::Text([b"EXECABORT Transaction discarded because of: ", reason].concat())
    }

    /// Deletes expired keys from a stretch of one shard's table and propagates the deletions; see
    /// [`Access::sweep`]. The entries are moved to `removed`, to be freed by the caller without a
    /// shard lock.
    pub fn sweep(
        &mut self,
        (db, shard): (u32, usize),
        from: u64,
        buckets: usize,
        found: &mut Found,
    ) -> Swept {
        self.keys.held.release();
        self.keys.held.allow_walk();
        self.keys.effects.begin(self.engine.repl.recording(), self.config.event_classes());
        let swept = self.keys.sweep((db, shard), from, buckets, found);
        // Every deletion is a unit of its own.
        self.finish_unit(false, Author::Nobody);
        if self.keys.has_ready() {
            self.serve_ready();
        }
        self.keys.held.release();
        swept
    }

    /// Removes up to `limit` expired fields of a hash, as a unit.
    pub fn sweep_fields(&mut self, db: u32, key: &[u8], limit: usize) -> SweptFields {
        self.keys.held.release();
        self.keys.held.allow_walk();
        self.keys.effects.begin(self.engine.repl.recording(), self.config.event_classes());
        let key = self.keys.key(key);
        let swept = self.keys.sweep_fields(db, key, limit);
        let multi = self.keys.effects.records().len() > 1;
        self.finish_unit(multi, Author::Nobody);
        self.keys.held.release();
        swept
    }

    /// Deletes the expired ones of `list`, keys that a writable replica's clients wrote. Returns
    /// those that no longer exist or no longer have an expiry.
    pub fn expire_writable(&mut self, list: Vec<ExpiringKey>) -> Vec<ExpiringKey> {
        let mut gone = list;
        gone.retain(|(db, key)| {
            self.keys.held.release();
            self.keys.held.allow_walk();
            self.keys.effects.begin(false, self.config.event_classes());
            self.keys.expiry = Expiry::DeleteWritable;
            let key = self.keys.key(key);
            let entry = self.keys.peek_in(*db, key);
            let expires = entry.is_some_and(|entry| entry.expire_at_ms().is_some());
            self.finish_unit(false, Author::Nobody);
            if self.keys.has_ready() {
                self.serve_ready();
            }
            !expires
        });
        self.keys.held.release();
        gone
    }

    /// Replies with a protocol error and closes the client after it.
    pub fn refuse_protocol(&mut self, client: &mut Client, error: &ProtocolError) {
        client.session.close_after_reply = true;
        let error = ReplyError::quoting("", &error.text(), "");
        fail(self.engine, self.stats, &mut client.reply, &error);
    }

    fn count_rejected(&self, command: Command) {
        call_stats(self.stats, command).rejected.bump();
    }

    /// Takes the locks, runs the handler, propagates the effects. If the world was taken it is
    /// still held; see [`Runner::leave_world`].
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "inlined into its two callers")]
    fn run_unit(
        &mut self,
        session: &mut Session,
        shared: &Arc<ClientShared>,
        reply: &mut Reply,
        args: Args<'_>,
        command: Command,
        plan: &Plan,
        attend: Option<&mut Attend<'_>>,
    ) -> Result<Option<WorldGuard<'k>>, LockedOut> {
        self.keys.db = session.db;
        self.keys.expiry = self.expiry(session, command.spec);
        self.keys.touch = !session.no_touch;
        // What comes from a primary or a file is logged as it came, or not at all.
        let records = self.engine.repl.recording() && session.primary_link.is_none();
        self.keys.effects.begin(records, self.config.event_classes());
        if self.stretch.is_of_another(command) {
            self.end_stretch();
        }
        let timing = self.stretch.timing(command, args, self.last_ns);
        let world = self.take_locks(session, command.spec, args, plan)?;
        let caller = if session.primary_link.is_some() { Caller::Log } else { Caller::Client };
        let reads_all_keys = session.primary_link.is_some()
            || reads_all_keys(
                self.engine,
                &mut session.user,
                &Call { command, args, db: session.db },
            );
        let data = Ctx {
            engine: self.engine,
            config: &self.config,
            keys: &mut self.keys,
            plan,
            reply,
            requests: &mut self.requests,
            command,
            caller,
            listens: session.subscriptions.is_some(),
            wait: None,
            reads_all_keys,
            now_us: self.now_us,
            stats: self.stats,
        };
        let attend = attend.map(|attend| attend as &mut Attend<'_>);
        let mut cx = ClientCx { data, session, shared, blocked: &mut self.blocked, attend };
        match cx.call_timed(args, timing) {
            Some(ended_ns) => {
                self.stretch.forget();
                self.advance_to(ended_ns);
            }
            None => self.stretch.add(command),
        }
        let multi = !command.spec.has(flag::TOUCHES_ARBITRARY_KEYS);
        if let Some(end) = self.finish_unit(multi, Author::Here(shared, session)) {
            session.write_offset = end;
        }
        if self.engine.aof.holds_replies() {
            session.reply_offset = session.reply_offset.max(self.seen());
        }
        if self.keys.has_ready() {
            self.serve_ready();
        }
        Ok(world)
    }

    /// How the unit treats expired keys: deletes or hides them.
    #[inline]
    fn expiry(&self, session: &Session, spec: &CommandSpec) -> Expiry {
        if self.calm {
            return Expiry::Delete;
        }
        // Its time is another one, and whoever sends it says when keys go.
        if session.primary_link.is_some() {
            return Expiry::Ignore;
        }
        if self.engine.repl.is_replica() {
            return self.replica_expiry(session, spec);
        }
        if self.config.import_mode {
            return import_expiry(session, spec);
        }
        // A pause promises that the data does not change.
        if self.engine.pause.any(self.keys.now_ms) { Expiry::Hide } else { Expiry::Delete }
    }

    /// A replica leaves expiry to its primary; only keys that its own clients wrote expire by its
    /// clock.
    fn replica_expiry(&self, session: &Session, spec: &CommandSpec) -> Expiry {
        if !self.config.replica_read_only && effective_flags(spec, session) & flag::WRITE != 0 {
            Expiry::DeleteWritable
        } else {
            Expiry::Hide
        }
    }

    /// Releases the world and re-enters the gate.
    #[inline]
    fn leave_world(&mut self, world: Option<WorldGuard<'k>>) {
        if let Some(world) = world {
            self.back_to_gate(world);
        }
    }

    #[inline(never)]
    fn back_to_gate(&mut self, world: WorldGuard<'k>) {
        self.keys.held.release();
        drop(world);
        self.enter_again();
        self.follow_config();
    }

    /// Adopts a configuration that a command of the group has changed.
    fn follow_config(&mut self) {
        self.config = self.engine.config();
        self.keys.ageing = ageing(&self.config);
        self.keys.expired_as = expired_as(&self.config);
        self.stretch = Stretch::new(&self.config);
        self.calm = self.is_calm();
        self.forget_shortage();
        // The limit may be lower.
        self.keys.cached_grew = true;
    }

    #[inline(always)]
    fn take_locks(
        &mut self,
        session: &Session,
        spec: &CommandSpec,
        args: Args<'_>,
        plan: &Plan,
    ) -> Result<Option<WorldGuard<'k>>, LockedOut> {
        // Nearly all commands: one key.
        if let (Locks::Keys, Some(hash)) = (spec.locks, plan.single()) {
            self.keys.held.lock_one(crate::keyspace::shard_of(hash));
            if self.lacks_locks() && spec.has(flag::WRITE) {
                return self.take_world();
            }
            return Ok(None);
        }
        let world = self.take_many_locks(session, spec, args, plan)?;
        if world.is_none() && self.lacks_locks() {
            return self.take_world();
        }
        Ok(world)
    }

    #[inline(never)]
    fn take_many_locks(
        &mut self,
        session: &Session,
        spec: &CommandSpec,
        args: Args<'_>,
        plan: &Plan,
    ) -> Result<Option<WorldGuard<'k>>, LockedOut> {
        match spec.locks_for(args) {
            Locks::Keys => {
                self.keys.held.release();
                self.keys.held.lock_plan(&shards_of(plan.hashes()));
                Ok(None)
            }
            Locks::Walk => {
                self.keys.held.release();
                self.keys.held.allow_walk();
                Ok(None)
            }
            Locks::World => self.take_world(),
            Locks::Queue => self.take_queue_locks(session),
        }
    }

    /// Takes the world, if it does not have to wait for a script that runs for too long.
    fn take_world(&mut self) -> Result<Option<WorldGuard<'k>>, LockedOut> {
        self.keys.held.release();
        self.gate = None;
        let gates = self.engine.keyspace.gates();
        let world = if self.is_patient { Some(gates.world()) } else { gates.try_world() };
        let Some(world) = world else {
            self.over = true;
            return Err(LockedOut);
        };
        self.keys.held.allow_all();
        Ok(Some(world))
    }

    /// The locks of a transaction: those of its commands' keys and of its watched keys, or the
    /// world.
    fn take_queue_locks(&mut self, session: &Session) -> Result<Option<WorldGuard<'k>>, LockedOut> {
        let keyspace = self.keys.keyspace;
        let queue = session.multi.as_ref().map_or(&[][..], |multi| &multi.queue);
        let needs_keys =
            |queued: &Queued| queued.command.spec.locks_for(queued.args.args()) == Locks::Keys;
        if !queue.iter().all(needs_keys) {
            return self.take_world();
        }
        let mut hashes: Vec<u64> = Vec::new();
        for queued in queue {
            hashes.extend(Plan::of(keyspace, queued.command.spec, queued.args.args()).hashes());
        }
        if let Some(watches) = &session.watches {
            hashes.extend(watches.keys.iter().map(|w| keyspace.hasher().hash(&w.key)));
        }
        self.keys.held.release();
        self.keys.held.lock_plan(&shards_of(hashes.into_iter()));
        Ok(None)
    }

    /// Propagates the effects of the unit while its locks are held. Returns the replication offset
    /// after it, if it was logged.
    #[inline]
    fn finish_unit(&mut self, multi: bool, author: Author<'_>) -> Option<u64> {
        let effects = &mut self.keys.effects;
        if effects.dirty() != 0 {
            self.stats.cell.dirty.add(effects.dirty());
        }
        if !effects.is_pending() {
            return None;
        }
        self.hand_over(multi, author)
    }

    /// Hands over what the unit has to be told to replicas, subscribers and clients that cache
    /// keys.
    #[inline(never)]
    fn hand_over(&mut self, multi: bool, author: Author<'_>) -> Option<u64> {
        if self.keys.effects.invalidates() {
            self.invalidate(author);
        }
        let effects = &mut self.keys.effects;
        if !effects.notices().is_empty() {
            return self.finish_with_notices(multi);
        }
        if effects.records().is_empty() {
            return None;
        }
        let end = self.engine.repl.log.append(effects.records(), multi);
        self.note_logged(end);
        Some(end)
    }

    /// Records the end of the log with what the unit has changed, for those who will read it.
    #[inline]
    fn note_logged(&mut self, end: u64) {
        let aof = &self.engine.aof;
        if aof.holds_replies() && !self.keys.held.note_logged(end) {
            aof.world_logged.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// The end of the log as far as the unit has written or read what it tells of.
    #[cold]
    fn seen(&self) -> u64 {
        match self.keys.held.logged_end() {
            Some(end) => end.max(self.engine.aof.world_logged.load(Ordering::Relaxed)),
            None => self.engine.repl.log.end(),
        }
    }
}

fn ageing(config: &Config) -> Ageing {
    Ageing {
        lfu: config.counts_frequencies(),
        lfu_log_factor: config.lfu_log_factor,
        lfu_decay_minutes: config.lfu_decay_time,
    }
}

/// In import mode the source of the import says when keys go, unless others write to them.
fn import_expiry(session: &Session, spec: &CommandSpec) -> Expiry {
    if session.import_source {
        Expiry::Ignore
    } else if effective_flags(spec, session) & flag::WRITE != 0 {
        Expiry::Delete
    } else {
        Expiry::Hide
    }
}

fn expired_as(config: &Config) -> &'static [u8] {
    if config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" }
}

/// Queues a command for EXEC, which will have its flags.
fn queue(
    session: &mut Session,
    shared: &ClientShared,
    command: Command,
    flags: u32,
    args: Args<'_>,
) {
    let Some(multi) = &mut session.multi else { return };
    // A transaction that EXEC will abort need not be kept, whether or not the client reads the
    // error.
    let changed = session.watches.as_ref().is_some_and(|watches| watches.flag.is_set());
    if multi.aborted || changed {
        return;
    }
    let queued = Queued { command, args: args.to_owned() };
    multi.bytes += queued.args.size() + size_of::<Queued>();
    multi.flags |= flags;
    multi.lacking |= !flags;
    multi.queue.push(queued);
    shared.multi.store(multi.queue.len() as i64, Ordering::Relaxed);
    shared.multi_bytes.store(multi.bytes, Ordering::Relaxed);
}

/// Replies OK: for handlers that only report success.
pub fn done(reply: &mut Reply) -> CommandResult {
    reply.ok();
    Ok(())
}
