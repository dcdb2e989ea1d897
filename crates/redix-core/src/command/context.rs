//! The context that handlers run in.
//!
//! [`Ctx`] is what a command on data needs: the locked keys, the reply, the configuration, a frozen
//! time. Handlers of data types get nothing else, so that the same handler serves a client, a
//! transaction, a blocked client (on another client's thread) and a primary's stream. [`ClientCx`]
//! adds the connection, for the commands that are about it.

use std::ops::{Deref, DerefMut, Range};

use redix_resp::reply::Reply;
use redix_types::entry::{EntryRef, Kind, Value};

use super::args::Args;
use super::blocked::{Blocked, KeyWait};
use super::dispatch::Attend;
use super::plan::Plan;
use super::table::Command;
use crate::config::Config;
use crate::effects::Request;
use crate::engine::Engine;
use crate::error::ReplyError;
use crate::keyspace::Key;
use crate::keyspace::access::Access;
use crate::keyspace::shard::WatchFlag;
use crate::registry::{ClientShared, client_flag, list};
use crate::session::{Session, Watches};
use crate::stats::ThreadStats;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// On whose behalf a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client that receives the reply.
    Client,
    /// EXEC of a client's transaction.
    Exec,
    /// A script.
    Script,
    /// The replication stream of a primary.
    Log,
    /// A blocked client, for which the key at argument `word` is ready. Only the shards of this key
    /// and of what the command may reach from it are locked.
    Service {
        /// The argument that is the ready key.
        word: usize,
    },
}

/// The context of a command on data.
pub struct Ctx<'a, 'k> {
    /// State shared by all threads.
    pub engine: &'k Engine,
    /// The configuration, frozen for the group.
    pub config: &'a Arc<Config>,
    /// The locked view of the keyspace.
    pub keys: &'a mut Access<'k>,
    /// The command's keys.
    pub plan: &'a Plan,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// Actions that the server carries out after the locks are released.
    pub requests: &'a mut Vec<Request>,
    /// The command itself.
    pub command: Command,
    /// On whose behalf it runs.
    pub caller: Caller,
    /// Whether the client has subscriptions, so that the output limit of the pubsub class applies.
    pub listens: bool,
    /// The wait on keys that the command asks for instead of replying.
    pub wait: Option<KeyWait>,
    /// Whether the caller may read keys that a pattern in the arguments names.
    pub reads_all_keys: bool,
    /// Unix time in microseconds, frozen for the command.
    pub now_us: i64,
    /// Counters of this thread.
    pub stats: &'k ThreadStats,
}

impl Ctx<'_, '_> {
    /// The command's name; `config|get` for a subcommand.
    pub fn command_name(&self) -> String {
        self.engine.commands.full_name(self.command)
    }

    /// The key at argument `index`.
    #[inline]
    pub fn key<'b>(&self, args: Args<'b>, index: usize) -> Key<'b> {
        self.plan.key(self.keys.keyspace, args, index)
    }

    /// Unix time in milliseconds, frozen for the command.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.keys.now_ms
    }

    /// Whether an expiry given now is over at once. Never on a replica, whose primary says so, nor
    /// in import mode.
    pub fn is_past(&self, at_ms: i64) -> bool {
        at_ms <= self.now_ms()
            && self.caller != Caller::Log
            && !self.engine.repl.is_replica()
            && !self.engine.config().import_mode
    }

    /// Whether the limit of a database leaves room for so many bytes that the client has not sent.
    /// Errors: it does not.
    pub fn admit_growth(&mut self, db: u32, bytes: u64) -> Result<(), ReplyError> {
        if !self.has_quotas() || self.from_primary() {
            return Ok(());
        }
        if bytes > self.keys.user_room {
            return Err(ReplyError::OOM_USER);
        }
        self.admit_in(db, bytes)
    }

    fn admit_in(&mut self, db: u32, bytes: u64) -> Result<(), ReplyError> {
        let admitted = self.keys.admitted.filter(|(of, _)| *of == db).map_or(0, |(_, had)| had);
        let outcome = self.engine.admit_growth(self.config, db, bytes, admitted);
        if outcome.is_err() {
            self.keys.refused_in = Some(db);
        }
        outcome
    }

    /// The same for bytes that leave another database, so that the user has no more than before.
    pub fn admit_arrival(&mut self, db: u32, bytes: u64) -> Result<(), ReplyError> {
        if self.from_primary() {
            return Ok(());
        }
        self.admit_in(db, bytes)
    }

    /// Whether the limits leave room for a value that the command has made of others, instead of
    /// what the key holds. Errors: they do not.
    pub fn admit_result(&mut self, key: Key<'_>, value: &Value) -> Result<(), ReplyError> {
        let Value::Heap(value) = value else { return Ok(()) };
        if !self.has_quotas() || self.from_primary() {
            return Ok(());
        }
        let old_bytes = self.keys.peek(key).map_or(0, EntryRef::memory_usage);
        let bytes = value.memory_usage().saturating_sub(old_bytes);
        self.admit_growth(self.keys.db, bytes as u64)
    }

    /// Whether databases or the user have limits of memory.
    pub fn has_quotas(&self) -> bool {
        !self.config.db_maxmemory.is_empty() || self.keys.user_room != u64::MAX
    }

    /// The same for a string that is to grow to so many bytes.
    pub fn admit_length(&mut self, key: Key<'_>, len: usize) -> Result<(), ReplyError> {
        if !self.has_quotas() || self.from_primary() {
            return Ok(());
        }
        let strings = self.keys.peek(key).filter(|entry| entry.kind() == Kind::String);
        let old_len = strings.map_or(0, |entry| entry.value().string_len());
        self.admit_growth(self.keys.db, len.saturating_sub(old_len) as u64)
    }

    /// Whether the command comes from the replication stream of this server's primary.
    pub fn from_primary(&self) -> bool {
        self.caller == Caller::Log
    }

    /// Whether the command may block: not inside a transaction, nor in a replication stream. Where
    /// it may not, it replies as if it had timed out.
    pub fn may_block(&self) -> bool {
        self.caller == Caller::Client
    }

    /// The key arguments that a blocking command may look at now: all of `words` at first, the
    /// ready key alone once it was blocked.
    pub fn ready_words(&self, words: Range<usize>) -> Range<usize> {
        match self.caller {
            Caller::Service { word } => word..word + 1,
            _ => words,
        }
    }
}

/// The context of a command about the connection.
pub struct ClientCx<'a, 'k> {
    /// The context that commands on data have too.
    pub data: Ctx<'a, 'k>,
    /// The client's protocol state.
    pub session: &'a mut Session,
    /// The client's record as other threads see it.
    pub shared: &'a Arc<ClientShared>,
    /// The wait that the command has begun instead of replying.
    pub blocked: &'a mut Option<Blocked>,
    /// What a script that runs for too long calls, so that its thread serves others meanwhile.
    pub attend: Option<&'a mut Attend<'a>>,
}

impl<'a, 'k> Deref for ClientCx<'a, 'k> {
    type Target = Ctx<'a, 'k>;
    #[inline]
    fn deref(&self) -> &Ctx<'a, 'k> {
        &self.data
    }
}

impl DerefMut for ClientCx<'_, '_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.data
    }
}

impl ClientCx<'_, '_> {
    /// Whether a command of a transaction or script may add data to a database. Errors: the limit
    /// of the database, or that of the client's user, is exceeded.
    pub fn admit_within_unit(&mut self, db: u32) -> Result<(), ReplyError> {
        if self.from_primary() {
            return Ok(());
        }
        self.data.admit_growth(db, 0)?;
        self.data.keys.user_room = self.data.engine.admit_user_growth(self.session)?;
        Ok(())
    }

    /// Selects a database for the rest of the session.
    pub fn select(&mut self, db: u32) {
        self.session.db = db;
        self.data.keys.db = db;
        self.shared.db.store(db, Ordering::Relaxed);
    }

    /// Closes the connection once its pending replies are sent; nothing more of it is executed.
    pub fn close_after_reply(&mut self) {
        self.session.close_after_reply = true;
        self.shared.set_flag(client_flag::CLOSING, true);
    }

    /// Discards the transaction and the watched keys, and clears the client's flags.
    pub fn discard_transaction(&mut self) {
        discard_transaction(self.session, self.shared);
    }

    /// Unwatches all keys and clears the client's flag.
    pub fn unwatch(&mut self) {
        self.session.watches = None;
        show_no_watches(self.shared);
    }
}

/// Discards a session's transaction and watched keys, and clears the client's flags.
pub(super) fn discard_transaction(session: &mut Session, shared: &ClientShared) {
    session.discard();
    show_no_watches(shared);
    shared.set_flag(client_flag::MULTI, false);
    shared.multi.store(-1, Ordering::Relaxed);
    shared.multi_bytes.store(0, Ordering::Relaxed);
}

/// The watched keys of a session; none yet if there were none.
pub fn watches<'s>(session: &'s mut Session, shared: &ClientShared) -> &'s mut Watches {
    session.watches.get_or_insert_with(|| Watches {
        flag: Arc::new(WatchFlag::new(Arc::clone(&shared.flags), client_flag::DIRTY)),
        keys: Vec::new(),
    })
}

fn show_no_watches(shared: &ClientShared) {
    shared.set_flag(client_flag::DIRTY, false);
    shared.watched.store(0, Ordering::Relaxed);
    shared.list_bytes[list::WATCHED].store(0, Ordering::Relaxed);
}
