//! Mailboxes: messages from other threads to a worker and its connections.
//!
//! **Invariants.** Posting never blocks beyond the mailbox's own lock and never drops a message:
//! the receiver's output limit closes the receiver. The waker is called after the message is
//! visible. `post_quietly` must be followed by `announce`.

use std::sync::OnceLock;
use std::thread::ThreadId;

use crate::channel::{Delivery, Target};
use crate::env::Wake;
use crate::error::ReplyError;
use crate::invalidation::Invalidated;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// How the wait of a blocked client has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// Served, with this reply.
    Served(Vec<u8>),
    /// As on a timeout: the command has its own reply for that.
    TimedOut,
    /// With an error.
    Failed(ReplyError),
    /// With an error, as if the command had been refused at once.
    Refused(ReplyError),
    /// With an error, after which the connection is closed.
    Dismissed(ReplyError),
}

/// A message to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// Send these bytes to the connection.
    Push {
        /// The connection's id.
        client: u64,
        /// Its slot in the worker.
        token: usize,
        /// A whole reply or push message.
        bytes: Arc<Vec<u8>>,
    },
    /// Append a message to the outputs of subscribers.
    Deliver(Delivery),
    /// Close the subscribers of this message: they are over their output limit.
    CloseSubscribers(Target),
    /// Close the connection: it was killed.
    Kill {
        /// The connection's id.
        client: u64,
        /// Its slot in the worker.
        token: usize,
    },
    /// Resume a blocked connection: its wait has ended.
    Unblocked {
        /// The connection's id.
        client: u64,
        /// Its slot in the worker.
        token: usize,
        /// How.
        end: WaitEnd,
    },
    /// Tell the connection what has changed among the keys that it, or the client for which it
    /// receives such messages, may have cached.
    Invalidate {
        /// The connection's id.
        client: u64,
        /// Its slot in the worker.
        token: usize,
        /// Whether it receives the message for another.
        redirected: bool,
        /// The message.
        what: Arc<Invalidated>,
        /// Bytes of it that do not count for `maxmemory`: it tells of an eviction.
        excused_bytes: u64,
    },
    /// Finish migrations: a target has sent its last reply.
    Migrated,
    /// Retry paused commands: a pause has ended or the configuration has changed.
    Resume,
}

/// The messages to one worker.
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    waiting: AtomicBool,
    waker: Box<dyn Wake>,
    /// The worker's thread, which looks for messages before it sleeps.
    owner: OnceLock<ThreadId>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// An empty mailbox whose worker is woken by `waker`.
    pub fn new(waker: Box<dyn Wake>) -> Self {
        let (mail, waiting) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        Self { mail, waiting, waker, owner: OnceLock::new() }
    }

    /// Makes the calling thread the worker's: what it posts to itself does not wake it. It must
    /// check [`Mailbox::has_mail`] before it sleeps.
    pub fn adopt(&self) {
        // Of several calls the first counts: the others then wake a worker that is awake.
        let _ = self.owner.set(std::thread::current().id());
    }

    /// Posts a message and wakes the worker, unless it has been woken already.
    pub fn post(&self, mail: Mail) {
        self.post_quietly(mail);
        self.announce();
    }

    /// Posts a message; [`Mailbox::announce`] must follow, after the last of several.
    pub fn post_quietly(&self, mail: Mail) {
        lock(&self.mail).push(mail);
    }

    /// Wakes the worker because there are messages, unless it has been woken already or is the
    /// caller.
    pub fn announce(&self) {
        let is_owner = || self.owner.get() == Some(&std::thread::current().id());
        if !self.waiting.swap(true, Ordering::AcqRel) && !is_owner() {
            self.waker.wake();
        }
    }

    /// Marks the mailbox as announced without waking: for the worker's own thread.
    pub fn announce_here(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    /// Calls `f` for each undelivered message. The mailbox is locked meanwhile.
    pub fn each(&self, f: impl FnMut(&Mail)) {
        lock(&self.mail).iter().for_each(f);
    }

    /// Wakes the worker without a message.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Whether announced messages are waiting.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes all messages, in the order of posting.
    pub fn take(&self) -> Vec<Mail> {
        if !self.waiting.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.mail))
    }
}

#[cfg(test)]
mod tests;
