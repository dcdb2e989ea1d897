//! Clients that wait: for replicas, for keys, for time to pass.
//!
//! A handler that has nothing to answer yet asks `Ctx::may_block`, calls `Ctx::block` with a
//! deadline and with what to answer when it passes, registers the [`Waiter`] it gets where whoever
//! can serve it will look, and returns without having replied:
//!
//! ```text
//! let waiter = cx.block(deadline_ms, Box::new(|engine, reply| reply.int(…)));
//! cx.engine.blocking.offsets.wait(&waiter, Acknowledgement { offset, replicas }, |offset| …);
//! ```
//!
//! From then on the client is halted: what it sent behind the command stays parked in its input.
//! The wait ends in one of five ways, and [`Waiter::claim`] decides which: the caller that wins
//! answers, all others leave the client alone.
//!
//! - *served*: [`Waiter::serve`], in any thread, under the locks of the unit that made the answer
//!   possible. What takes something away (a list's element) does so inside the closure, which runs
//!   only for the winner;
//! - *deadline*: the client's worker, which sleeps no longer than until the nearest one;
//! - *CLIENT UNBLOCK* and *a changed role*: `Registry::unblock`, `Engine::follow`;
//! - *CLIENT KILL* and *disconnection*: the claim alone. Nobody answers.
//!
//! The reply travels to the client's worker as `Mail::Unblocked`; there the client goes on with
//! what it sent meanwhile.
//!
//! Registrations are not taken back when a wait ends: whoever meets one that is over drops it, and
//! a [`WaitQueue`] drops all such ones whenever it has doubled.
//!
//! **Invariants.** A waiter is claimed once. Whoever registers looks again afterwards whether the
//! answer is possible by now, and whoever makes it possible looks for registrations afterwards, so
//! that no wake-up is lost. A waiter is registered before the locks of its command are released.

use std::collections::VecDeque;

use redix_resp::reply::{Proto, Reply};

use crate::mailbox::{Mail, Mailbox, WaitEnd};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Registrations from which on a queue looks for those that are over.
const SWEEP_MIN: usize = 16;

/// Where the reply to a blocked client goes.
#[derive(Debug, Clone)]
pub struct Address {
    /// The connection's id.
    pub client: u64,
    /// Its place in its worker.
    pub token: usize,
    /// Its worker's mailbox.
    pub mailbox: Arc<Mailbox>,
    /// The protocol that it speaks.
    pub proto: Proto,
}

/// One wait of one client, shared by all who may end it.
#[derive(Debug)]
pub struct Waiter {
    address: Address,
    deadline_ms: Option<i64>,
    /// The client's flags, and which of them says that it is blocked.
    shown: (Arc<AtomicU32>, u32),
    claimed: AtomicBool,
    firm: bool,
}

impl Waiter {
    /// A wait that ends at `deadline_ms` (Unix time) if nothing else ends it. `bit` is set in
    /// `flags` until it is claimed.
    pub fn new(
        address: Address,
        deadline_ms: Option<i64>,
        flags: Arc<AtomicU32>,
        bit: u32,
    ) -> Arc<Self> {
        Arc::new(Self::begun(address, deadline_ms, flags, bit))
    }

    /// A wait for something that is under way and comes to its end whether or not anybody waits:
    /// CLIENT UNBLOCK does not end it.
    pub fn firm(address: Address, flags: Arc<AtomicU32>, bit: u32) -> Arc<Self> {
        Arc::new(Self { firm: true, ..Self::begun(address, None, flags, bit) })
    }

    fn begun(address: Address, deadline_ms: Option<i64>, flags: Arc<AtomicU32>, bit: u32) -> Self {
        flags.fetch_or(bit, Ordering::Relaxed);
        let claimed = AtomicBool::new(false);
        Self { address, deadline_ms, shown: (flags, bit), claimed, firm: false }
    }

    /// Whether CLIENT UNBLOCK must leave it alone.
    pub fn is_firm(&self) -> bool {
        self.firm
    }

    /// Unix time in milliseconds when it ends by itself.
    pub fn deadline_ms(&self) -> Option<i64> {
        self.deadline_ms
    }

    /// The client's id.
    pub fn client(&self) -> u64 {
        self.address.client
    }

    /// The client's place in its worker.
    pub fn token(&self) -> usize {
        self.address.token
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    /// The right to end it: true for one caller only. The client no longer counts as blocked.
    pub fn claim(&self) -> bool {
        let won =
            self.claimed.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if won {
            let (flags, bit) = &self.shown;
            flags.fetch_and(!bit, Ordering::Relaxed);
        }
        won
    }

    /// Ends it with the reply that `write` writes; false, and nothing is written, if it is over.
    pub fn serve(&self, write: impl FnOnce(&mut Reply)) -> bool {
        if !self.claim() {
            return false;
        }
        let mut reply = Reply::new(self.address.proto);
        write(&mut reply);
        self.post(WaitEnd::Served(reply.take()));
        true
    }

    /// Ends it without serving it; false if it is over.
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

/// Waiters for one thing, the longest waiting first, each with what it wants of it.
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
    /// Registers a waiter behind the others.
    pub fn push(&mut self, waiter: Arc<Waiter>, wanted: W) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|(waiter, _)| !waiter.is_over());
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_MIN);
        }
        self.entries.push_back((waiter, wanted));
    }

    /// Offers each waiter, in order, to `serve`, which says whether its wait is over; such ones,
    /// and those that were over before, are dropped.
    pub fn offer(&mut self, mut serve: impl FnMut(&Arc<Waiter>, &W) -> bool) {
        self.entries.retain(|(waiter, wanted)| !waiter.is_over() && !serve(waiter, wanted));
    }

    /// Registrations, those that are over and not yet dropped included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What WAIT waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The offset of the replication stream that replicas are to reach.
    pub offset: u64,
    /// How many of them.
    pub replicas: i64,
}

/// Clients that wait until replicas have acknowledged an offset.
#[derive(Debug, Default)]
pub struct Offsets(Mutex<WaitQueue<Acknowledgement>>);

impl Offsets {
    /// Registers a waiter. `acknowledged(offset)` counts the replicas that have reached an offset;
    /// it is asked once more, so that an acknowledgement that comes meanwhile is not missed.
    pub fn wait(
        &self,
        waiter: &Arc<Waiter>,
        wanted: Acknowledgement,
        acknowledged: impl Fn(u64) -> i64,
    ) {
        lock(&self.0).push(Arc::clone(waiter), wanted);
        serve(waiter, wanted, acknowledged);
    }

    /// Serves those whose replicas have reached their offset; to be called after each
    /// acknowledgement, once `acknowledged(offset)` counts it.
    pub fn acknowledge(&self, acknowledged: impl Fn(u64) -> i64) {
        lock(&self.0).offer(|waiter, wanted| serve(waiter, *wanted, &acknowledged));
    }

    /// Whether nobody waits; a cheap question before counting.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// Answers the number of replicas if they are enough; whether the wait is over.
fn serve(waiter: &Waiter, wanted: Acknowledgement, acknowledged: impl Fn(u64) -> i64) -> bool {
    let count = acknowledged(wanted.offset);
    if count < wanted.replicas {
        return false;
    }
    waiter.serve(|reply| reply.int(count));
    true
}

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Blocking {
    /// For replicas.
    pub offsets: Offsets,
}

#[cfg(test)]
mod tests;
