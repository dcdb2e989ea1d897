//! A command that waits instead of replying; see [`crate::blocking`] for the whole.

use redix_resp::reply::Reply;

use super::dispatch::Ctx;
use super::table::Command;
use crate::blocking::{Address, Waiter};
use crate::engine::Engine;
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

impl Ctx<'_, '_> {
    /// Whether the command may wait: not inside a transaction, nor where it comes from a log. Where
    /// it may not, it answers as if its time had run out.
    pub fn may_block(&self) -> bool {
        !self.queued && !self.session.never_blocks
    }

    /// Lets the client wait until the returned waiter is claimed, at the latest until `deadline_ms`
    /// (Unix time; `None`: for ever). Only where [`Ctx::may_block`], by a command that
    /// then returns without having written a reply.
    pub fn block(&mut self, deadline_ms: Option<i64>, on_timeout: TimeoutReply) -> Arc<Waiter> {
        let registry = &self.engine.registry;
        let address = Address {
            client: self.shared.id,
            token: self.shared.token.load(Ordering::Relaxed),
            mailbox: registry
                .mailbox(self.shared.worker)
                .expect("the worker that runs the command has its mailbox"),
            proto: self.reply.proto,
        };
        let flags = Arc::clone(&self.shared.flags);
        let waiter = Waiter::new(address, deadline_ms, flags, client_flag::BLOCKED);
        *lock(&self.shared.waiter) = Some(Arc::clone(&waiter));
        let (command, ns) = (self.command, 0);
        let blocked = Blocked { waiter: Arc::clone(&waiter), command, ns, on_timeout };
        *self.blocked = Some(blocked);
        waiter
    }
}
