//! What handlers work with.
//!
//! [`Ctx`] is what a command on data needs: the locked keys, the reply, the configuration, a frozen
//! time. Handlers of data types get nothing else, so that the same handler serves a client, a
//! transaction, a client that was blocked (on another client's thread) and a primary's stream.
//! [`ClientCx`] adds what belongs to the connection, for the commands that are about it.

use std::ops::{Deref, DerefMut, Range};

use redix_resp::reply::Reply;

use super::args::Args;
use super::blocked::{Blocked, KeyWait};
use super::plan::Plan;
use super::table::Command;
use crate::config::Config;
use crate::effects::Request;
use crate::engine::Engine;
use crate::keyspace::Key;
use crate::keyspace::access::Access;
use crate::registry::{ClientShared, client_flag};
use crate::session::Session;
use crate::stats::ThreadStats;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// On whose behalf a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client that waits for the reply.
    Client,
    /// EXEC of a client's transaction.
    Exec,
    /// The stream of a primary.
    Log,
    /// A blocked client, for which the key at word `word` has become ready. Only this key's shard
    /// and what the command may reach from it is locked.
    Service {
        /// The word of the ready key.
        word: usize,
    },
}

/// What a handler of a command on data works with.
pub struct Ctx<'a, 'k> {
    /// Everything that threads share.
    pub engine: &'k Engine,
    /// The configuration, frozen for the group.
    pub config: &'a Arc<Config>,
    /// The locked view of the keyspace.
    pub keys: &'a mut Access<'k>,
    /// The command's keys.
    pub plan: &'a Plan,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// What the server is to do once the locks are released.
    pub requests: &'a mut Vec<Request>,
    /// The command itself.
    pub command: Command,
    /// On whose behalf it runs.
    pub caller: Caller,
    /// Whether the client listens to channels, so that the output limit of such clients holds.
    pub listens: bool,
    /// The wait for keys that it wants to begin instead of replying.
    pub wait: Option<KeyWait>,
    /// Unix time in microseconds, frozen for the command.
    pub now_us: i64,
    /// Counters of this thread.
    pub stats: &'k ThreadStats,
}

impl Ctx<'_, '_> {
    /// The key at word `index`.
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
            && !self.engine.repl.is_replica()
            && !self.engine.config().import_mode
    }

    /// Whether the command comes with the stream of this server's primary.
    pub fn from_primary(&self) -> bool {
        self.caller == Caller::Log
    }

    /// Whether the command may wait: not inside a transaction, nor where it comes from a log. Where
    /// it may not, it answers as if its time had run out.
    pub fn may_block(&self) -> bool {
        self.caller == Caller::Client
    }

    /// The words of a blocking command's keys that it may look at now: all of `words`, or, once it
    /// has been blocked, the one that has become ready.
    pub fn ready_words(&self, words: Range<usize>) -> Range<usize> {
        match self.caller {
            Caller::Service { word } => word..word + 1,
            _ => words,
        }
    }
}

/// What a handler of a command about the connection works with.
pub struct ClientCx<'a, 'k> {
    /// What it shares with commands on data.
    pub data: Ctx<'a, 'k>,
    /// The client's protocol state.
    pub session: &'a mut Session,
    /// The client's record as other threads see it.
    pub shared: &'a Arc<ClientShared>,
    /// The wait that it has begun instead of replying.
    pub blocked: &'a mut Option<Blocked>,
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
    /// Selects a database for the rest of the session.
    pub fn select(&mut self, db: u32) {
        self.session.db = db;
        self.data.keys.db = db;
        self.shared.db.store(db, Ordering::Relaxed);
    }

    /// Closes the connection once the replies so far are sent; nothing more of it is executed.
    pub fn close_after_reply(&mut self) {
        self.session.close_after_reply = true;
        self.shared.set_flag(client_flag::CLOSING, true);
    }

    /// Forgets the transaction and the watched keys, and shows so to others.
    pub fn discard_transaction(&mut self) {
        discard_transaction(self.session, self.shared);
    }

    /// Forgets the watched keys, and shows so to others.
    pub fn unwatch(&mut self) {
        self.session.watches = None;
        show_no_watches(self.shared);
    }
}

/// Forgets a session's transaction and watched keys, and shows so to others.
pub(super) fn discard_transaction(session: &mut Session, shared: &ClientShared) {
    session.discard();
    show_no_watches(shared);
    shared.set_flag(client_flag::MULTI, false);
    shared.multi.store(-1, Ordering::Relaxed);
    shared.multi_bytes.store(0, Ordering::Relaxed);
}

fn show_no_watches(shared: &ClientShared) {
    shared.set_flag(client_flag::DIRTY, false);
    shared.watched.store(0, Ordering::Relaxed);
}
