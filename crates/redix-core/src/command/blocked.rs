//! A command that waits instead of replying; see [`crate::blocking`] for the whole.

use std::ops::Range;

use redix_resp::reply::Reply;
use redix_types::entry::Kind;

use super::args::{Args, OwnedArgs};
use super::context::{ClientCx, Ctx};
use super::table::Command;
use crate::blocking::{Address, Waiter};
use crate::engine::Engine;
use crate::keyspace::waiters::KeyInterest;
use crate::registry::client_flag;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

/// Writes what a command answers when its time runs out; asked at that time, without locks.
pub type TimeoutReply = Box<dyn FnOnce(&Engine, &mut Reply) + Send>;

/// What a client's worker keeps of the command that waits.
pub struct Blocked {
    /// The wait.
    pub waiter: Arc<Waiter>,
    /// The command.
    pub command: Command,
    /// How long it took until it blocked, in nanoseconds.
    pub ns: u64,
    /// What it answers when its time runs out.
    pub on_timeout: TimeoutReply,
}

/// Which keys a command wants to wait for.
#[derive(Debug, Clone)]
pub struct KeyWait {
    /// The words of the keys.
    pub words: Range<usize>,
    /// What a key must hold to be of use.
    pub kind: Kind,
    /// Unix time in milliseconds when the wait is over; `None`: never.
    pub deadline_ms: Option<i64>,
    /// Writes the answer to a client whose time has run out.
    pub on_timeout: fn(&mut Reply),
}

/// A client that waits for a key.
pub struct KeyWaiter {
    /// Its wait.
    pub waiter: Arc<Waiter>,
    /// The command that runs again when the key is there.
    pub command: Command,
    /// Its words, shared by the waits for its other keys.
    pub args: Arc<OwnedArgs>,
    /// The word of the key.
    pub word: usize,
    /// What the key must hold.
    pub kind: Kind,
    /// Whether reading refreshes the age of keys for it.
    pub touch: bool,
    /// Whether the command touches keys that it does not wait for.
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
    /// Lets the client wait for keys: the handler then returns without having replied, and runs
    /// again as [`Caller::Service`](super::context::Caller::Service) once a key is there. Where
    /// nothing may wait, the time is over at once.
    pub fn wait_for_keys(&mut self, wait: KeyWait) {
        if self.may_block() {
            self.wait = Some(wait);
        } else {
            (wait.on_timeout)(self.reply);
        }
    }
}

impl ClientCx<'_, '_> {
    /// Lets the client wait until the returned waiter is claimed, at the latest until `deadline_ms`
    /// (Unix time; `None`: for ever). Only where [`Ctx::may_block`], by a command that
    /// then returns without having written a reply.
    pub fn block(&mut self, deadline_ms: Option<i64>, on_timeout: TimeoutReply) -> Arc<Waiter> {
        let flags = Arc::clone(&self.shared.flags);
        let waiter = Waiter::new(self.address(), deadline_ms, flags, client_flag::BLOCKED);
        self.begin_wait(waiter, on_timeout)
    }

    /// The same for something that comes to its end whether or not the client waits: nothing but
    /// the end of the connection or a changed role ends the wait before.
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
        let blocked = Blocked { waiter: Arc::clone(&waiter), command, ns, on_timeout };
        *self.blocked = Some(blocked);
        waiter
    }

    /// Begins the wait for keys that the handler has asked for: registers it under the locks that
    /// the command still holds.
    #[cold]
    pub(super) fn begin_key_wait(&mut self, wait: KeyWait, args: Args<'_>) {
        let KeyWait { words, kind, deadline_ms, on_timeout } = wait;
        let waiter = self.block(deadline_ms, Box::new(move |_, reply| on_timeout(reply)));
        let (db, command, touch) = (self.keys.db, self.command, self.keys.touch);
        let kept = Arc::new(args.to_owned());
        let needs_other_keys = self.plan.hashes().count() > words.len();
        for word in words {
            let key = self.key(args, word);
            let (waiter, args) = (Arc::clone(&waiter), Arc::clone(&kept));
            let interest = KeyWaiter { waiter, command, args, word, kind, touch, needs_other_keys };
            self.data.keys.held.shard(key.shard()).wait(db, key.bytes, Arc::new(interest));
        }
    }
}
