//! Blocking commands: what a client's worker and the waiters keep of one; see [`crate::blocking`].

use std::ops::Range;

use redix_resp::reply::Reply;
use redix_types::entry::EntryRef;

use super::args::{Args, OwnedArgs};
use super::context::{ClientCx, Ctx};
use super::dispatch::caches_reads;
use super::spec::flag;
use super::table::Command;
use crate::acl::Identity;
use crate::blocking::{Address, Waiter};
use crate::engine::Engine;
use crate::keyspace::waiters::KeyInterest;
use crate::registry::{AwaitedKey, client_flag};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// Writes the reply of a command whose wait times out; called then, without locks.
pub type TimeoutReply = Box<dyn FnOnce(&Engine, &mut Reply) + Send>;

/// What a client's worker keeps of its blocked command.
pub struct Blocked {
    /// The wait.
    pub waiter: Arc<Waiter>,
    /// The command.
    pub command: Command,
    /// Execution time until it blocked, in nanoseconds.
    pub ns: u64,
    /// The reply when it times out.
    pub on_timeout: TimeoutReply,
    /// How to look whether its keys have become ready by the passage of time; `None`: they cannot.
    pub look: Option<Look>,
}

/// What a worker needs to look at the keys of a blocked command.
pub struct Look {
    /// When to look next, Unix time in milliseconds.
    pub at_ms: i64,
    /// The words of the command.
    pub args: Arc<OwnedArgs>,
    /// Which of them are keys.
    pub words: Range<usize>,
    /// Whether a key is of use.
    pub is_ready: IsReady,
}

/// Says whether a key, at a Unix time in milliseconds, is of use for a command that waits for it.
pub type IsReady = fn(Option<EntryRef<'_>>, Args<'_>, usize, i64) -> bool;

/// How often a worker looks whether a key has become ready by the passage of time, in milliseconds.
pub const LOOK_INTERVAL_MS: i64 = 100;

/// Which keys a command wants to wait for.
#[derive(Debug, Clone)]
pub struct KeyWait {
    /// The arguments that are keys.
    pub words: Range<usize>,
    /// Whether a key, as it is now, is of use for the command with these words, of which this is
    /// its own.
    pub is_ready: IsReady,
    /// The words with which the command runs again, if not its own; the keys are where they were.
    pub args: Option<OwnedArgs>,
    /// Whether a key may become ready by the passage of time alone.
    pub matures: bool,
    /// Unix time in milliseconds when the wait is over; `None`: never.
    pub deadline_ms: Option<i64>,
    /// Writes the reply when the wait times out.
    pub on_timeout: fn(&mut Reply),
}

/// A client that is blocked on a key.
pub struct KeyWaiter {
    /// Its wait.
    pub waiter: Arc<Waiter>,
    /// The client's id.
    pub client: u64,
    /// Who the client was when it blocked.
    pub user: Identity,
    /// Whether it may cache what the command reads.
    pub caches_reads: bool,
    /// The command that runs again when the key is ready.
    pub command: Command,
    /// Its arguments, shared by the waiters for its other keys.
    pub args: Arc<OwnedArgs>,
    /// The argument that is the key.
    pub word: usize,
    /// Whether the key is of use.
    pub is_ready: IsReady,
    /// Whether reading refreshes the age of keys for it.
    pub touch: bool,
    /// Whether the command accesses keys that it does not wait for.
    pub needs_other_keys: bool,
}

impl KeyInterest for KeyWaiter {
    fn is_over(&self) -> bool {
        self.waiter.is_over()
    }

    fn needs_other_keys(&self) -> bool {
        self.needs_other_keys
    }
}

impl Ctx<'_, '_> {
    /// Blocks the client on keys: the handler returns without a reply and runs again as
    /// [`Caller::Service`](super::context::Caller::Service) once a key is ready. Where the caller
    /// may not block, the command times out at once.
    pub fn wait_for_keys(&mut self, wait: KeyWait) {
        if self.may_block() {
            self.wait = Some(wait);
        } else {
            (wait.on_timeout)(self.reply);
        }
    }
}

impl ClientCx<'_, '_> {
    /// Blocks the client until the returned waiter is claimed, at the latest until `deadline_ms`
    /// (Unix time; `None`: no deadline). Only where [`Ctx::may_block`], and the command must return
    /// without a reply.
    pub fn block(&mut self, deadline_ms: Option<i64>, on_timeout: TimeoutReply) -> Arc<Waiter> {
        let flags = Arc::clone(&self.shared.flags);
        let waiter = Waiter::new(self.address(), deadline_ms, flags, client_flag::BLOCKED);
        self.begin_wait(waiter, on_timeout)
    }

    /// Blocks the client on an operation that completes in any case: only a disconnection or a
    /// changed role ends the wait earlier.
    pub fn block_firmly(&mut self) -> Arc<Waiter> {
        let flags = Arc::clone(&self.shared.flags);
        let waiter = Waiter::firm(self.address(), flags, client_flag::BLOCKED);
        self.begin_wait(waiter, Box::new(|_, _| unreachable!("such a wait has no deadline")))
    }

    fn address(&self) -> Address {
        let mailbox = self.engine.registry.mailbox(self.shared.worker);
        Address {
            client: self.shared.id,
            token: self.shared.token.load(Ordering::Relaxed),
            mailbox: mailbox.expect("the worker that runs the command has its mailbox"),
            proto: self.reply.proto,
        }
    }

    fn begin_wait(&mut self, waiter: Arc<Waiter>, on_timeout: TimeoutReply) -> Arc<Waiter> {
        *lock(&self.shared.waiter) = Some(Arc::clone(&waiter));
        let (command, ns) = (self.command, 0);
        let waiting = Arc::clone(&waiter);
        let blocked = Blocked { waiter: waiting, command, ns, on_timeout, look: None };
        *self.blocked = Some(blocked);
        waiter
    }

    /// Registers the wait for keys that the handler has asked for, under the locks that the command
    /// still holds.
    #[cold]
    pub(super) fn begin_key_wait(&mut self, wait: KeyWait, args: Args<'_>) {
        let KeyWait { words, is_ready, args: again, matures, deadline_ms, on_timeout } = wait;
        let waiter = self.block(deadline_ms, Box::new(move |_, reply| on_timeout(reply)));
        let (db, command, touch) = (self.keys.db, self.command, self.keys.touch);
        let kept = Arc::new(again.unwrap_or_else(|| args.to_owned()));
        let now_ms = self.keys.now_ms;
        if let Some(blocked) = self.blocked.as_mut().filter(|_| matures) {
            let (at_ms, args) = (now_ms + LOOK_INTERVAL_MS, Arc::clone(&kept));
            blocked.look = Some(Look { at_ms, args, words: words.clone(), is_ready });
        }
        let needs_other_keys = self.plan.hashes().count() > words.len();
        let client = self.shared.id;
        let caches_reads =
            command.spec.has(flag::READONLY) && caches_reads(self.session, self.shared);
        let mut awaited = Vec::with_capacity(words.len());
        for word in words {
            let key = self.key(args, word);
            let until_gone = is_ready(None, kept.args(), word, now_ms);
            awaited.push(AwaitedKey { db, key: key.bytes.into(), until_gone });
            let (waiter, args) = (Arc::clone(&waiter), Arc::clone(&kept));
            let interest = KeyWaiter {
                waiter,
                client,
                user: self.session.user.clone(),
                caches_reads,
                command,
                args,
                word,
                is_ready,
                touch,
                needs_other_keys,
            };
            self.data.keys.held.shard(key.shard()).wait(db, key.bytes, Arc::new(interest));
        }
        *lock(&self.shared.awaited) = awaited;
    }
}
