//! A worker: the connections of one thread, and the turn in which their commands run.
//!
//! One turn: the server has read into the inputs of the ready connections and calls
//! [`Worker::run`], which parses, executes in groups of up to [`GROUP_MAX`] commands and leaves
//! replies in the outputs. A group goes through passes: hash the keys and prefetch their shards;
//! take each shard's lock briefly to prefetch buckets and entries; execute in order. The prefetches
//! hide the latency of memory, on which a lookup in a large keyspace spends most of its time.
//!
//! **Invariants.** Commands of one connection run in order. No table memory is read without its
//! lock. A wrong prefetch (after SELECT, inside MULTI) costs time only.

mod blocked;
mod buffers;
mod certificate;
mod mail;
mod migrated;
mod portion;
mod rate;
mod script;

use std::collections::BTreeSet;

use redix_resp::request::Limits;
use redix_types::entry::EntryRef;
use redix_types::prefetch::MemberLookup;

use crate::client::{Client, TURN_OUTPUT_MAX};
use crate::command::dispatch::{Flow, Runner, fail};
use crate::command::prepared::Prepared;
use crate::command::table::Memo;
use crate::config::Config;
use crate::effects::Request;
use crate::engine::Engine;
use crate::error::ReplyError;
use crate::keyspace::{Keyspace, shard_of};
use crate::mailbox::Mailbox;
use crate::pubsub::Place;
use crate::registry::client_flag;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use buffers::Buffers;
use mail::await_mail;
use portion::HintsAhead;
use rate::Shares;
use script::runs_scripts;

/// The most commands that go through the passes together: enough for the first prefetch to complete
/// before its result is used, few enough for all prefetched lines to fit a first-level cache of 32
/// KB.
pub const GROUP_MAX: usize = 24;
/// Nodes of a bucket's chain that are prefetched.
const PREFETCH_LINKS: usize = 3;
/// The most keys of a command that are prefetched: more would evict each other from the caches.
const HINTS_MAX: usize = 64;

/// Consecutive commands of one connection within the group.
#[derive(Clone, Copy)]
struct Run {
    /// The connection's slot in the worker.
    token: usize,
    /// The first command's position among the client's parked commands.
    parked: usize,
    /// The first command's position in the group.
    first: usize,
    len: usize,
}

/// A key that the group will look up, to be prefetched.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hint {
    db: u32,
    hash: u64,
}

/// A member or field that the group will look up, to be prefetched.
#[derive(Clone, Copy)]
struct MemberHint {
    key: Hint,
    member: MemberLookup,
}

/// A request of a connection's command to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The connection's slot in the worker.
    pub token: usize,
    /// The request.
    pub request: Request,
}

/// Commands that go through the passes together.
#[derive(Default)]
struct Group {
    items: Vec<Prepared>,
    /// The connections that they belong to, in order.
    runs: Vec<Run>,
    /// Their keys.
    hints: Vec<Hint>,
    /// The members and fields that they will look up.
    members: Vec<MemberHint>,
    memo: Memo,
}

impl Group {
    /// Adds a key that will be looked up, and prefetches its shard. Consecutive commands often use
    /// the same key: it is added once.
    #[inline]
    fn hint(&mut self, keyspace: &Keyspace, key: Hint) {
        if self.hints.last() != Some(&key) {
            keyspace.prefetch_shard(shard_of(key.hash));
            self.hints.push(key);
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.runs.clear();
        self.hints.clear();
        self.members.clear();
    }
}

/// Serves the other connections of a worker while one of them runs a script for too long.
pub type AttendWorker<'a> = dyn FnMut(&mut Worker) + 'a;

/// The state of one turn.
#[derive(Default)]
struct Turn {
    /// The connections that it serves.
    ready: Vec<usize>,
    group: Group,
    hints_ahead: HintsAhead,
    /// The connection that is running.
    running: Option<usize>,
    asked: Vec<Asked>,
    /// Of users with rates.
    shares: Shares,
}

/// One thread's connections.
pub struct Worker {
    engine: Arc<Engine>,
    index: usize,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    ready: Vec<usize>,
    turn: Turn,
    /// Deadlines of blocked connections, in Unix milliseconds, with their slots.
    deadlines: BTreeSet<(i64, usize)>,
    /// The replicas among the connections.
    feeding: Vec<usize>,
    /// Connections that are halted until the mail has been delivered.
    awaiting_mail: Vec<usize>,
    buffers: Buffers,
    /// The end of the log when replicas were last fed.
    fed_end: u64,
    config: Arc<Config>,
    config_version: u64,
    mailbox: Arc<Mailbox>,
    /// Of delivered messages, bytes that do not count for `maxmemory` until they are sent.
    excused_bytes: u64,
}

impl Worker {
    /// The worker `index` (`0..engine.workers()`), without connections.
    pub fn new(engine: Arc<Engine>, index: usize, mailbox: Arc<Mailbox>) -> Self {
        let config = engine.config();
        let config_version = engine.config_version();
        Self {
            engine,
            index,
            clients: Vec::new(),
            free: Vec::new(),
            ready: Vec::new(),
            turn: Turn::default(),
            deadlines: BTreeSet::new(),
            feeding: Vec::new(),
            awaiting_mail: Vec::new(),
            buffers: Buffers::default(),
            fed_end: 0,
            config,
            config_version,
            mailbox,
            excused_bytes: 0,
        }
    }

    /// Adds a connection and returns its slot.
    pub fn insert(&mut self, client: Client) -> usize {
        let token = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        client.shared.token.store(token, Ordering::Relaxed);
        self.engine.registry.insert(Arc::clone(&client.shared));
        self.clients[token] = Some(client);
        token
    }

    /// Removes a connection.
    pub fn remove(&mut self, token: usize) -> Option<Client> {
        let mut client = self.clients.get_mut(token)?.take()?;
        self.free.push(token);
        self.forget_wait(token, &client);
        self.feeding.retain(|other| *other != token);
        self.engine.registry.remove(client.shared.id);
        if let Some(replica) = &client.session.replica {
            self.engine.forget_replica(replica);
        }
        self.awaiting_mail.retain(|other| *other != token);
        if let Some(tracks) = client.session.tracks.take() {
            let prefixes = tracks.prefixes.iter().map(|prefix| &**prefix);
            let totals = self.engine.keyspace.cached();
            self.engine.tracking.end(&client.shared, prefixes, totals);
        }
        if let Some(subscriptions) = client.session.subscriptions.take() {
            let place = Place { worker: self.index, token };
            self.engine.pubsub.leave(*subscriptions, place);
        }
        Some(client)
    }

    /// A connection.
    pub fn client(&mut self, token: usize) -> Option<&mut Client> {
        self.clients.get_mut(token)?.as_mut()
    }

    /// A connection, to look at.
    pub fn peek(&self, token: usize) -> Option<&Client> {
        self.clients.get(token)?.as_ref()
    }

    /// The connections in these slots, which must ascend: `None` for an empty slot, and for one
    /// that does not.
    pub fn clients_at(
        &mut self,
        ascending: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = Option<&mut Client>> {
        let mut rest = self.clients.iter_mut();
        let mut next = 0;
        ascending.map(move |token| {
            let skipped = token.checked_sub(std::mem::replace(&mut next, token + 1))?;
            rest.nth(skipped)?.as_mut()
        })
    }

    /// The slots of all connections.
    pub fn tokens(&self) -> impl Iterator<Item = usize> {
        self.clients.iter().enumerate().filter(|(_, client)| client.is_some()).map(|(at, _)| at)
    }

    /// The configuration as of the last turn.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Marks a connection as having input to parse or execute.
    pub fn mark_ready(&mut self, token: usize) {
        if let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut)
            && !std::mem::replace(&mut client.ready, true)
        {
            self.ready.push(token);
        }
    }

    /// The connection in a slot, with a buffer to read into.
    // HOT PATH: once per read.
    pub fn reader(&mut self, token: usize) -> Option<&mut Client> {
        let client = self.clients.get_mut(token)?.as_mut()?;
        if client.input.lacks_buffer() {
            client.input.lend(self.buffers.take());
        }
        Some(client)
    }

    /// Takes back the buffer of a connection for which nothing was read. One that the turn is to
    /// execute keeps it until then.
    pub fn end_read(&mut self, token: usize) {
        let client = self.clients.get_mut(token).and_then(Option::as_mut);
        if let Some(client) = client.filter(|client| !client.ready) {
            self.buffers.take_back(&mut client.input);
        }
    }

    /// Frees the buffers that no turn since the last call has needed. Returns their bytes.
    pub fn trim_buffers(&mut self) -> usize {
        self.buffers.trim()
    }

    /// The connections that the next [`Worker::run`] will process.
    pub fn ready(&self) -> &[usize] {
        &self.ready
    }

    /// The replicas among the connections, if there may be something new to send to them; notifies
    /// other workers of theirs. To be called once a turn, after [`Worker::run`].
    pub fn fed(&mut self) -> &[usize] {
        self.engine.advance_failover();
        let repl = &self.engine.repl;
        if repl.replicas.count() == 0 {
            return &[];
        }
        self.engine.ask_for_acks(self.index);
        if repl.log.wants_spill() {
            repl.replicas.wake_spiller();
        }
        let told = repl.replicas.take_told(self.index);
        let end = repl.log.end();
        repl.replicas.tell_of(end, &self.engine.registry, Some(self.index));
        let grown = std::mem::replace(&mut self.fed_end, end) != end;
        if told || grown { &self.feeding } else { &[] }
    }

    /// Executes what the ready connections have sent. Returns the requests to the server.
    /// Connections with more to execute stay ready for the next turn. One that requests a shutdown
    /// stays halted until [`Worker::refuse`].
    ///
    /// After a panic, [`Worker::recover`] must be called before anything else.
    pub fn run(&mut self) -> Vec<Asked> {
        let (engine, config) = self.begin_turn();
        if self.ready.is_empty() {
            return Vec::new();
        }
        self.run_with(Runner::new(&engine, config, self.index), &mut |_| {})
    }

    /// As [`Worker::run`], for a thread that waits for no script that runs for too long: while
    /// another thread runs one, what is sent is mostly refused; when a connection of this worker
    /// runs one, `attend` is called now and then, to serve the other connections.
    pub fn run_attending(&mut self, attend: &mut AttendWorker<'_>) -> Vec<Asked> {
        let (engine, config) = self.begin_turn();
        if self.ready.is_empty() {
            return Vec::new();
        }
        let runner = Runner::try_new(&engine, Arc::clone(&config), self.index)
            .unwrap_or_else(|| Runner::beside_script(&engine, config, self.index));
        self.run_with(runner, attend)
    }

    fn begin_turn(&mut self) -> (Arc<Engine>, Arc<Config>) {
        if self.engine.config_version() != self.config_version {
            self.config_version = self.engine.config_version();
            self.config = self.engine.config();
        }
        (Arc::clone(&self.engine), Arc::clone(&self.config))
    }

    fn run_with(&mut self, mut runner: Runner<'_>, attend: &mut AttendWorker<'_>) -> Vec<Asked> {
        let mut ready = std::mem::take(&mut self.ready);
        drop_doubles(&mut ready, &mut self.clients);
        self.turn.ready = ready;
        self.run_ready(&mut runner, attend);
        let mut again = Vec::new();
        let ready = std::mem::take(&mut self.turn.ready);
        for &token in &ready {
            if self.settle(token, &mut runner) {
                again.push(token);
            }
        }
        self.turn.running = None;
        drop(runner);
        // Its memory is used again.
        let added = std::mem::replace(&mut self.ready, ready);
        self.ready.clear();
        self.ready.extend_from_slice(&added);
        let mut shares = std::mem::take(&mut self.turn.shares);
        shares.restart().for_each(|token| self.mark_ready(token));
        self.turn.shares = shares;
        again.into_iter().for_each(|token| self.mark_ready(token));
        std::mem::take(&mut self.turn.asked)
    }

    fn run_ready(&mut self, runner: &mut Runner<'_>, attend: &mut AttendWorker<'_>) {
        for at in 0..self.turn.ready.len() {
            let token = self.turn.ready[at];
            if self.is_prepared(token) {
                self.execute_portion(token, runner, attend);
                continue;
            }
            let mut taken = 0;
            while !runner.over && self.gather(token, &mut taken, runner.now_ms()) {
                // The group is full in the middle of a connection's commands.
                self.prefetch(runner);
                self.execute(runner, attend);
                taken = 0;
            }
        }
        self.prefetch(runner);
        self.execute(runner, attend);
    }

    /// Recovers after a panic in a turn: the rest of the turn is retried, except for the
    /// connection that was running. That one is returned; its command may have been executed in
    /// part, and the server must close it.
    pub fn recover(&mut self) -> Option<usize> {
        let Turn { ready, running, .. } = std::mem::take(&mut self.turn);
        for token in ready {
            self.mark_ready(token);
        }
        running
    }

    /// Replies to a command whose request the server has refused, and resumes its connection.
    pub fn refuse(&mut self, token: usize, error: &ReplyError) {
        let stats = self.engine.stats.thread(self.index);
        if let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) {
            client.halted = false;
            fail(&self.engine, stats, &mut client.reply, error);
            self.mark_ready(token);
        }
    }

    /// Replies OK to a command whose request the server has carried out, and resumes its
    /// connection.
    pub fn accept(&mut self, token: usize) {
        if let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) {
            client.halted = false;
            client.reply.ok();
            self.mark_ready(token);
        }
    }

    /// Evicts keys between two turns, if that is wanted.
    #[inline]
    pub fn evict(&mut self) {
        if self.engine.eviction.is_wanted() {
            match Runner::try_new(&self.engine, self.engine.config(), self.index) {
                Some(mut runner) => runner.evict_between_turns(),
                // A script runs for too long; the next command looks again.
                None => self.engine.eviction.want(false),
            }
        }
    }

    /// Whether a connection has more to execute.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

impl Worker {
    /// Adds a connection's commands to the group; true if the group is full and there may be more.
    /// `taken` counts the connection's commands in the group.
    fn gather(&mut self, token: usize, taken: &mut usize, now_ms: i64) -> bool {
        self.turn.running = Some(token);
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else {
            return false;
        };
        if client.halted || client.closing() || client.reply.len() > TURN_OUTPUT_MAX {
            return false;
        }
        if client.is_throttled() {
            return false;
        }
        if *taken == 0
            && let Some(replica) = &client.session.replica
        {
            // Even an empty line is a sign of life.
            replica.heard(now_ms);
        }
        let limits = match client.session.primary_link {
            None => {
                let session = &client.session;
                limits(&self.config, session.authenticated || self.engine.acl.default_is_open())
            }
            Some(_) => Limits::TRUSTED,
        };
        // Authentication changes how the next command is parsed.
        let ahead = if limits.authenticated { GROUP_MAX } else { 1 };
        client.input.parse(ahead.max(*taken), &limits);
        let first = self.turn.group.items.len();
        let parked = *taken;
        let mut count = (client.input.parked() - parked).min(GROUP_MAX - first);
        if self.engine.acl.limits_rates() {
            let end = parked + count;
            let meters = (&mut self.turn.shares, &mut self.deadlines);
            let may = rate::pay(&self.engine, client, (parked, end), (token, now_ms), meters);
            count = may - parked;
        }
        let db = client.session.db;
        for index in parked..parked + count {
            let args = client.input.args(index);
            let memo = &mut self.turn.group.memo;
            let item = match client.session.primary_link {
                None => Prepared::new(&self.engine, args, memo),
                Some(_) => Prepared::of_primary(&self.engine, args, memo),
            };
            match item.plan.single() {
                Some(hash) => {
                    let key = Hint { db, hash };
                    self.turn.group.hint(&self.engine.keyspace, key);
                    if let Some(name) = item.member(args) {
                        let hash = self.engine.keyspace.hasher().hash(name);
                        let member = MemberLookup::new(hash);
                        self.turn.group.members.push(MemberHint { key, member });
                    }
                }
                None => {
                    for hash in item.plan.hashes().take(HINTS_MAX) {
                        self.turn.group.hint(&self.engine.keyspace, Hint { db, hash });
                    }
                }
            }
            self.turn.group.items.push(item);
        }
        if count > 0 {
            self.turn.group.runs.push(Run { token, parked, first, len: count });
        }
        *taken += count;
        self.turn.group.items.len() == GROUP_MAX || (!limits.authenticated && count > 0)
    }

    /// Runs the group and drops its commands from the inputs.
    fn execute(&mut self, runner: &mut Runner<'_>, attend: &mut AttendWorker<'_>) {
        runner.begin_group();
        let items = std::mem::take(&mut self.turn.group.items);
        for index in 0..self.turn.group.runs.len() {
            let Run { token, parked, first, len } = self.turn.group.runs[index];
            let items = &items[first..first + len];
            let executed = self.execute_run(runner, attend, (token, parked), items);
            self.finish_run(token, &items[..executed]);
        }
        self.turn.group.items = items;
        runner.end_stretch();
        runner.keys.held.release();
        if runner.keys.cached_grew && runner.has_gate() {
            runner.trim_cached();
        }
        self.turn.group.clear();
    }

    /// Runs parked commands of the connection in a slot, from a position on, until it is halted.
    /// Returns how many.
    fn execute_run(
        &mut self,
        runner: &mut Runner<'_>,
        attend: &mut AttendWorker<'_>,
        (token, parked): (usize, usize),
        items: &[Prepared],
    ) -> usize {
        self.turn.running = Some(token);
        let mut executed = 0;
        while let Some(client) = &mut self.clients[token]
            && let Some(item) = items.get(executed)
            && goes_on(client, runner, &self.engine)
        {
            let plain = runner.execute_plain(client, parked + executed, &items[executed..]);
            executed += plain;
            if plain == 0 {
                let command = item.command(&self.engine.commands);
                let at = parked + executed;
                let flow = if runs_scripts(client, command) {
                    if self.owes_others() {
                        // Others must not wait for the end of the script.
                        runner.over = true;
                        break;
                    }
                    self.execute_script(runner, attend, (token, at), item)
                } else {
                    runner.execute(client, at, command, &item.plan)
                };
                executed += usize::from(flow == Flow::Next);
                self.follow(token, runner, flow);
            }
            if !runner.requests.is_empty() {
                self.take_requests(token, runner);
            }
        }
        executed
    }

    /// Halts a connection whose command was not executed.
    #[inline]
    fn follow(&mut self, token: usize, runner: &mut Runner<'_>, flow: Flow) {
        match flow {
            Flow::Next | Flow::Again => {}
            Flow::Hold => {
                let Some(client) = &mut self.clients[token] else { return };
                client.halted = true;
                client.held = true;
                client.shared.set_flag(client_flag::HELD, true);
            }
            Flow::Block => {
                let Some(client) = &mut self.clients[token] else { return };
                let blocked = runner.blocked.take();
                blocked::halt(client, blocked, token, runner.now_ms(), &mut self.deadlines);
            }
        }
    }

    /// Takes the requests of a connection's command.
    fn take_requests(&mut self, token: usize, runner: &mut Runner<'_>) {
        let Some(client) = &mut self.clients[token] else { return };
        for request in runner.requests.drain(..) {
            client.halted |=
                matches!(request, Request::Shutdown(_) | Request::LoadAof | Request::Overflow);
            match request {
                Request::Deliver => await_mail(client, token, &mut self.awaiting_mail),
                Request::Feed => {
                    self.feeding.push(token);
                    self.turn.asked.push(Asked { token, request });
                }
                _ => self.turn.asked.push(Asked { token, request }),
            }
        }
    }

    /// Records that these commands, the first parked ones, have been executed.
    fn finish_run(&mut self, token: usize, executed: &[Prepared]) {
        let (Some(client), Some(last)) = (self.clients[token].as_mut(), executed.last()) else {
            return;
        };
        if self.engine.acl.limits_rates() {
            rate::settle(&self.engine, client, executed.len());
        }
        count_commands(client, executed.len());
        client.shared.last_command.store(last.named_id(), Ordering::Relaxed);
        client.executed(executed.len(), &self.engine.repl.log);
        if self.engine.registry.limits_memory() {
            client.publish(&self.engine.registry);
        }
    }

    /// The prefetch passes: buckets first, then entries, each under a brief lock; skipped while the
    /// lock is held. Where an entry is further down its bucket's chain, the chain is followed one
    /// node per pass.
    fn prefetch(&mut self, runner: &Runner<'_>) {
        if self.turn.group.items.len() < 2 || !runner.has_gate() {
            return;
        }
        let keyspace = runner.keys.keyspace;
        let hints = &mut self.turn.group.hints;
        for &Hint { db, hash } in hints.iter() {
            if let Some(shard) = keyspace.try_lock(shard_of(hash))
                && let Some(part) = shard.db(db)
            {
                part.table.prefetch_bucket(hash);
            }
        }
        for link in 0..PREFETCH_LINKS {
            hints.retain(|&Hint { db, hash }| {
                let shard = keyspace.try_lock(shard_of(hash));
                let part = shard.as_ref().and_then(|shard| shard.db(db));
                part.is_some_and(|part| part.table.prefetch_item(hash, link))
            });
        }
        let members = &mut self.turn.group.members;
        while !members.is_empty() {
            hint_members(keyspace, members);
        }
    }

    /// After the groups: replies with a protocol error, publishes sizes. True if there is more to
    /// run.
    fn settle(&mut self, token: usize, runner: &mut Runner<'_>) -> bool {
        self.turn.running = Some(token);
        let Some(client) = self.clients.get_mut(token).and_then(Option::as_mut) else {
            return false;
        };
        if !client.halted
            && !client.closing()
            && let Some(error) = client.input.take_error()
        {
            runner.refuse_protocol(client, &error);
        }
        // Sending part of a command is activity too.
        client.shared.last_active_ms.store(runner.now_ms(), Ordering::Relaxed);
        self.buffers.take_back(&mut client.input);
        client.publish(&self.engine.registry);
        if client.halted || client.closing() || client.is_throttled() {
            return false;
        }
        // With its output full it waits until the server has sent some of it.
        let goes_on = client.input.parked() > 0 && client.reply.len() <= TURN_OUTPUT_MAX;
        goes_on || runner.over
    }
}

/// Prefetches the next step of lookups in large collections; keeps those that have another step.
/// Consecutive lookups in one collection look its key up once.
fn hint_members(keyspace: &Keyspace, members: &mut Vec<MemberHint>) {
    let (mut begin, mut kept) = (0, 0);
    while let Some(&MemberHint { key, .. }) = members.get(begin) {
        let of_key = |member: &&MemberHint| member.key == key;
        let end = begin + members[begin..].iter().take_while(of_key).count();
        let shard = keyspace.try_lock(shard_of(key.hash));
        let part = shard.as_ref().and_then(|shard| shard.db(key.db));
        let entry = part.and_then(|part| part.table.probable(key.hash));
        if let Some(heap) = entry.and_then(EntryRef::heap) {
            for at in begin..end {
                if heap.prefetch_member(&mut members[at].member) {
                    members[kept] = members[at];
                    kept += 1;
                }
            }
        }
        begin = end;
    }
    members.truncate(kept);
}

/// A slot may be listed twice if a connection was closed and another took the slot; commands
/// gathered twice would run twice.
fn drop_doubles(ready: &mut Vec<usize>, clients: &mut [Option<Client>]) {
    ready.retain(|&token| {
        let client = clients.get_mut(token).and_then(Option::as_mut);
        client.is_some_and(|client| std::mem::take(&mut client.ready))
    });
}

/// Releases the gate briefly if another thread waits for the world. False if nothing more of this
/// connection may be executed in this turn.
#[inline]
fn goes_on(client: &mut Client, runner: &mut Runner<'_>, engine: &Engine) -> bool {
    if runner.world_waiting() {
        client.log_applied(&engine.repl.log);
        runner.yield_to_world();
    }
    if runner.over {
        return false;
    }
    // Replies only grow during a turn, so a connection that is skipped once is skipped for the rest
    // of it.
    if client.halted || client.closing() || client.reply.len() > TURN_OUTPUT_MAX {
        return false;
    }
    if client.shared.killed.load(Ordering::Acquire) {
        client.halted = true;
        return false;
    }
    true
}

/// The request limits for a client.
fn limits(config: &Config, authenticated: bool) -> Limits {
    Limits { bulk_len_max: config.proto_max_bulk_len, authenticated, ..Limits::TRUSTED }
}

/// Counts the commands that were called: those of transactions and scripts as well, none that was
/// only queued or refused.
fn count_commands(client: &mut Client, commands: usize) {
    let calls = commands as i64 + std::mem::take(&mut client.session.further_calls);
    let total = &client.shared.commands;
    total.store(total.load(Ordering::Relaxed).wrapping_add_signed(calls), Ordering::Relaxed);
}
