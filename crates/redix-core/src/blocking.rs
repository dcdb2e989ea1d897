//! Blocked clients: waiting for replicas, for keys, or for time to pass.
//!
//! A handler that cannot reply yet checks `Ctx::may_block`, calls `Ctx::block` with a deadline and
//! the reply on a timeout, registers the returned [`Waiter`] where a server of the wait will find
//! it, and returns without a reply:
//!
//! ```text
//! let waiter = cx.block(deadline_ms, Box::new(|engine, reply| reply.int(…)));
//! cx.engine.blocking.offsets.wait(&waiter, wanted, |wanted| …);
//! ```
//!
//! From then on the client is halted: commands that it sent later stay parked in its input. The
//! wait ends in one of five ways, and [`Waiter::claim`] decides which: the caller that wins
//! replies, all others do nothing.
//!
//! - *served*: [`Waiter::serve`], in any thread, under the locks of the unit that made the reply
//!   possible. An element is popped inside the closure, which runs only for the winner;
//! - *deadline*: the client's worker, which sleeps no longer than until the nearest one;
//! - *CLIENT UNBLOCK* and *a changed role*: `Registry::unblock`, `Engine::follow`;
//! - *CLIENT KILL* and *disconnection*: the claim alone. Nobody answers.
//!
//! The reply is posted to the client's worker as `Mail::Unblocked`; there the client is resumed.
//! Where a key may become ready by the passage of time, the worker itself looks now and then, and
//! serves as the unit of a command would (`Runner::serve_matured`).
//!
//! Registrations are not removed when a wait ends: one that is over is dropped when it is met, and
//! a [`WaitQueue`] drops all such ones whenever it has doubled.
//!
//! **Invariants.** A waiter is claimed once. After registering, the condition is checked again, and
//! after making it true, registrations are checked, so that no wake-up is lost. A waiter is
//! registered before the locks of its command are released.

use std::collections::VecDeque;

use redix_resp::reply::{Proto, Reply};

use crate::error::ReplyError;
use crate::mailbox::{Mail, Mailbox, WaitEnd};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Queue length from which on a push sweeps out waiters that have ended.
const SWEEP_MIN: usize = 16;

/// The blocked client that a reply is delivered to.
#[derive(Debug, Clone)]
pub struct Address {
    /// The connection's id.
    pub client: u64,
    /// The connection's slot in its worker.
    pub token: usize,
    /// Its worker's mailbox.
    pub mailbox: Arc<Mailbox>,
    /// The protocol version of the client (RESP2 or RESP3).
    pub proto: Proto,
}

/// One wait of one blocked client, shared by everybody who may end it.
#[derive(Debug)]
pub struct Waiter {
    address: Address,
    deadline_ms: Option<i64>,
    /// The client's flags, and the bit among them that marks it as blocked.
    shown: (Arc<AtomicU32>, u32),
    claimed: AtomicBool,
    firm: bool,
}

impl Waiter {
    /// A wait with an optional deadline (`deadline_ms`, Unix time). `bit` is set in `flags` until
    /// the waiter is claimed.
    pub fn new(
        address: Address,
        deadline_ms: Option<i64>,
        flags: Arc<AtomicU32>,
        bit: u32,
    ) -> Arc<Self> {
        Arc::new(Self::begun(address, deadline_ms, flags, bit))
    }

    /// A wait for an operation that completes whether or not the client waits for it: CLIENT
    /// UNBLOCK does not end it.
    pub fn firm(address: Address, flags: Arc<AtomicU32>, bit: u32) -> Arc<Self> {
        Arc::new(Self { firm: true, ..Self::begun(address, None, flags, bit) })
    }

    fn begun(address: Address, deadline_ms: Option<i64>, flags: Arc<AtomicU32>, bit: u32) -> Self {
        flags.fetch_or(bit, Ordering::Relaxed);
        let claimed = AtomicBool::new(false);
        Self { address, deadline_ms, shown: (flags, bit), claimed, firm: false }
    }

    /// Whether CLIENT UNBLOCK must not end this wait.
    pub fn is_firm(&self) -> bool {
        self.firm
    }

    /// The deadline, Unix time in milliseconds; `None`: no deadline.
    pub fn deadline_ms(&self) -> Option<i64> {
        self.deadline_ms
    }

    /// The client's id.
    pub fn client(&self) -> u64 {
        self.address.client
    }

    /// The client's slot in its worker.
    pub fn token(&self) -> usize {
        self.address.token
    }

    /// Whether the wait has ended.
    pub fn is_over(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    /// Claims the right to end the wait: true for one caller only. Clears the client's blocked
    /// flag.
    pub fn claim(&self) -> bool {
        let won =
            self.claimed.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if won {
            let (flags, bit) = &self.shown;
            flags.fetch_and(!bit, Ordering::Relaxed);
        }
        won
    }

    /// Ends the wait with the reply that `write` writes. Returns false, and writes nothing, if it
    /// has ended already.
    pub fn serve(&self, write: impl FnOnce(&mut Reply)) -> bool {
        if !self.claim() {
            return false;
        }
        let mut reply = Reply::new(self.address.proto);
        write(&mut reply);
        self.post(WaitEnd::Served(reply.take()));
        true
    }

    /// Ends the wait without serving it. Returns false if it has ended already.
    pub fn end(&self, end: WaitEnd) -> bool {
        let won = self.claim();
        if won {
            self.post(end);
        }
        won
    }

    fn post(&self, end: WaitEnd) {
        let Address { client, token, mailbox, .. } = &self.address;
        mailbox.post(Mail::Unblocked { client: *client, token: *token, end });
    }
}

/// Waiters for one resource, oldest first, each with its condition.
#[derive(Debug)]
pub struct WaitQueue<W> {
    entries: VecDeque<(Arc<Waiter>, W)>,
    sweep_at: usize,
}

impl<W> Default for WaitQueue<W> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), sweep_at: SWEEP_MIN }
    }
}

impl<W> WaitQueue<W> {
    /// Appends a waiter.
    pub fn push(&mut self, waiter: Arc<Waiter>, wanted: W) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|(waiter, _)| !waiter.is_over());
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_MIN);
        }
        self.entries.push_back((waiter, wanted));
    }

    /// Offers each waiter, oldest first, to `serve`, which returns whether its wait is over.
    /// Waiters that are over are dropped.
    pub fn offer(&mut self, mut serve: impl FnMut(&Arc<Waiter>, &W) -> bool) {
        self.entries.retain(|(waiter, wanted)| !waiter.is_over() && !serve(waiter, wanted));
    }

    /// Number of registrations, including those that are over but not yet swept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The condition of a WAIT or WAITAOF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The replication offset to be acknowledged.
    pub offset: u64,
    /// How many replicas must have acknowledged it.
    pub replicas: i64,
    /// For WAITAOF, how many append-only files of this server must have it: 0 or 1. Those of
    /// replicas must have it too.
    pub files: Option<i64>,
}

/// The error of WAITAOF where this server's append-only file is wanted and off.
pub const FILE_IS_OFF: ReplyError = ReplyError::Static(
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
);

/// Who has acknowledged an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// How many replicas.
    pub replicas: i64,
    /// Whether this server's append-only file: 0 or 1.
    pub files: i64,
}

impl Acknowledgement {
    /// Whether these are enough.
    pub fn is_met_by(&self, by: Acknowledged) -> bool {
        by.replicas >= self.replicas && self.files.is_none_or(|files| by.files >= files)
    }

    /// Replies with what there is.
    pub fn reply(&self, by: Acknowledged, reply: &mut Reply) {
        if self.files.is_some() {
            reply.array(2);
            reply.int(by.files);
        }
        reply.int(by.replicas);
    }
}

/// Clients in WAIT or WAITAOF: blocked until an offset is acknowledged.
#[derive(Debug, Default)]
pub struct Offsets(Mutex<WaitQueue<Acknowledgement>>);

impl Offsets {
    /// Registers a waiter. `acknowledged` counts who has acknowledged what it waits for; it is
    /// called again after registering, so that a concurrent acknowledgement is not missed.
    pub fn wait(
        &self,
        waiter: &Arc<Waiter>,
        wanted: Acknowledgement,
        acknowledged: impl Fn(&Acknowledgement) -> Acknowledged,
    ) {
        lock(&self.0).push(Arc::clone(waiter), wanted);
        serve(waiter, wanted, acknowledged);
    }

    /// Serves the waiters whose condition holds now. To be called after each acknowledgement, once
    /// `acknowledged` counts it.
    pub fn acknowledge(&self, acknowledged: impl Fn(&Acknowledgement) -> Acknowledged) {
        lock(&self.0).offer(|waiter, wanted| serve(waiter, *wanted, &acknowledged));
    }

    /// Replies with an error to those that wait for this server's append-only file, which is off.
    pub fn refuse_files(&self) {
        lock(&self.0).offer(|waiter, wanted| {
            let waits = wanted.files.is_some_and(|files| files > 0);
            if waits {
                waiter.serve(|reply| FILE_IS_OFF.write_to(reply));
            }
            waits
        });
    }

    /// Whether nobody waits; a cheap check before replicas are counted.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// Replies if enough have acknowledged; returns whether the wait is over.
fn serve(
    waiter: &Waiter,
    wanted: Acknowledgement,
    acknowledged: impl Fn(&Acknowledgement) -> Acknowledged,
) -> bool {
    let by = acknowledged(&wanted);
    if !wanted.is_met_by(by) {
        return false;
    }
    waiter.serve(|reply| wanted.reply(by, reply));
    true
}

/// Registries of blocked clients that are not tied to keys.
#[derive(Debug, Default)]
pub struct Blocking {
    /// Clients in WAIT and WAITAOF.
    pub offsets: Offsets,
}

#[cfg(test)]
mod tests;
