//! Messages to connections of other threads.
//!
//! **Invariants.** Posting never blocks beyond the mailbox's own lock and never drops a message:
//! the receiver's output limit closes the receiver. The waker is called after the message is
//! visible. Whoever posts quietly announces it afterwards.

use crate::channel::{Delivery, Target};
use crate::env::Wake;
use crate::error::ReplyError;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// How the wait of a blocked client has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitEnd {
    /// Somebody has answered: the reply.
    Served(Vec<u8>),
    /// As if its time had run out: the command says what it answers then.
    TimedOut,
    /// With an error.
    Failed(ReplyError),
    /// With an error, the last that the connection is sent.
    Dismissed(ReplyError),
}

/// What another thread wants a worker to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// Send these bytes to the connection.
    Push {
        /// The connection's id.
        client: u64,
        /// Its place in the worker.
        token: usize,
        /// A whole reply or push message.
        bytes: Arc<Vec<u8>>,
    },
    /// Append a message to the outputs of subscribers.
    Deliver(Delivery),
    /// Close those who would get a message of this number: too much is on its way to them.
    CloseSubscribers(Target),
    /// Close the connection: it was killed.
    Kill {
        /// The connection's id.
        client: u64,
        /// Its place in the worker.
        token: usize,
    },
    /// Let a blocked connection go on: its wait has ended.
    Unblocked {
        /// The connection's id.
        client: u64,
        /// Its place in the worker.
        token: usize,
        /// How.
        end: WaitEnd,
    },
    /// Look after migrations: the target of one that a connection waits for has said all.
    Migrated,
    /// Try held-back commands again: a pause has ended or the configuration has changed.
    Resume,
}

/// The messages to one worker.
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    waiting: AtomicBool,
    waker: Box<dyn Wake>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// An empty mailbox whose worker is woken by `waker`.
    pub fn new(waker: Box<dyn Wake>) -> Self {
        Self { mail: Mutex::new(Vec::new()), waiting: AtomicBool::new(false), waker }
    }

    /// Leaves a message and wakes the worker, unless an earlier message already did.
    pub fn post(&self, mail: Mail) {
        self.post_quietly(mail);
        self.announce();
    }

    /// Leaves a message; [`Mailbox::announce`] must follow, after the last of several.
    pub fn post_quietly(&self, mail: Mail) {
        lock(&self.mail).push(mail);
    }

    /// Wakes the worker because there are messages, unless it already was woken for others.
    pub fn announce(&self) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Lets the worker, whose own thread this is, know that there are messages.
    pub fn announce_here(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    /// Calls `f` for each message that was not taken yet. The mailbox is locked meanwhile.
    pub fn each(&self, f: impl FnMut(&Mail)) {
        lock(&self.mail).iter().for_each(f);
    }

    /// Wakes the worker without a message.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Whether messages have been announced that were not taken yet.
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
