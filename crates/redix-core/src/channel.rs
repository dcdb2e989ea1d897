//! What travels from a publisher to the subscribers of a worker.
//!
//! [`Subscribers`] are the connections of one worker that listen to one channel or pattern. A
//! [`Message`] is encoded once; a [`Delivery`] carries it to one worker, with the subscribers that
//! it is for. Whoever publishes takes a number from each [`Subscribers`]; a subscriber gets the
//! messages whose number was taken after it had subscribed, so that none arrives that was published
//! before.
//!
//! **Invariants.** The list of subscribers is changed and read by their own worker's thread only;
//! others see how many there are. Bytes that are on their way to one [`Subscribers`] are bounded by
//! the output limit of their class: beyond it they are told to close.

use std::collections::BTreeMap;

use redix_resp::reply::Reply;
use smallvec::SmallVec;

use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// The namespaces of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Channels of SUBSCRIBE and PUBLISH, which patterns match too.
    Plain,
    /// Channels of SSUBSCRIBE and SPUBLISH.
    Shard,
}

/// A message to the subscribers of a channel, in the form in which they receive it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    kind: Kind,
    /// The channel and the text, as two bulk strings: both protocols have them alike.
    body: Vec<u8>,
}

impl Message {
    /// Encodes a message.
    pub fn new(kind: Kind, channel: &[u8], text: &[u8]) -> Self {
        let mut body = Reply::new(redix_resp::Proto::Resp2);
        body.reserve(channel.len() + text.len() + 64);
        body.bulk(channel);
        body.bulk(text);
        Self { kind, body: body.take() }
    }

    /// Bytes that it takes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Appends it as a push; `pattern` is the one that it matched.
    // HOT PATH: once per subscriber and message.
    pub fn write_to(&self, reply: &mut Reply, pattern: Option<&[u8]>) {
        reply.reserve(self.body.len() + 32);
        match (self.kind, pattern) {
            (_, Some(pattern)) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(pattern);
            }
            (Kind::Plain, None) => {
                reply.push(3);
                reply.bulk(b"message");
            }
            (Kind::Shard, None) => {
                reply.push(3);
                reply.bulk(b"smessage");
            }
        }
        reply.raw(&self.body);
    }
}

/// The connections of one worker that listen to one channel or pattern.
#[derive(Debug)]
pub struct Subscribers {
    worker: usize,
    pattern: Option<Arc<[u8]>>,
    /// The place of each in the worker, with the number of the first message that it gets.
    list: Mutex<BTreeMap<usize, u64>>,
    count: AtomicU32,
    /// The number of the next message.
    next: AtomicU64,
    /// Bytes on their way.
    queued: AtomicUsize,
    /// They have been told to close, and are not sent anything further until they have.
    closing: AtomicBool,
}

impl Subscribers {
    /// Nobody, of worker `worker`, to a channel, or to a pattern.
    pub fn new(worker: usize, pattern: Option<Arc<[u8]>>) -> Self {
        Self {
            worker,
            pattern,
            list: Mutex::new(BTreeMap::new()),
            count: AtomicU32::new(0),
            next: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        }
    }

    /// Their worker.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// The pattern that they listen to, if it is one.
    pub fn pattern(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds the connection at a place of the worker; by the worker's thread.
    pub fn insert(&self, token: usize) {
        let first = self.next.load(Ordering::Relaxed);
        let mut list = lock(&self.list);
        list.entry(token).or_insert(first);
        self.count.store(list.len() as u32, Ordering::Relaxed);
    }

    /// Removes a connection; by the worker's thread. Returns how many remain.
    pub fn remove(&self, token: usize) -> u32 {
        let mut list = lock(&self.list);
        list.remove(&token);
        self.count.store(list.len() as u32, Ordering::Relaxed);
        list.len() as u32
    }

    /// The number of the first message that a connection gets, if it is among them.
    pub fn first_of(&self, token: usize) -> Option<u64> {
        lock(&self.list).get(&token).copied()
    }

    /// The places of those who get a message of this number.
    pub fn each(&self, number: u64, mut f: impl FnMut(usize)) {
        let list = lock(&self.list);
        list.iter().filter(|(_, first)| **first <= number).for_each(|(token, _)| f(*token));
    }

    /// Takes a number for a message to them.
    pub fn take_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes bytes that are about to be sent to them, of which at most `limit` (0: any number) may
    /// be on their way.
    pub fn queue(&self, bytes: usize, limit: u64) -> Admission {
        if self.closing.load(Ordering::Acquire) {
            return Admission::Drop;
        }
        let queued = self.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if limit == 0 || queued as u64 <= limit {
            return Admission::Send;
        }
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        if self.closing.swap(true, Ordering::AcqRel) { Admission::Drop } else { Admission::Close }
    }

    /// Takes note that so many bytes have arrived.
    pub fn arrived(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes note that they are being closed.
    pub fn closed(&self) {
        self.closing.store(false, Ordering::Release);
    }
}

/// What is to be done with a message to some subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Send it.
    Send,
    /// More is on its way to them than they may be owed: have them closed instead.
    Close,
    /// Nothing: they have been told to close.
    Drop,
}

/// Subscribers that a message is for, and its number among theirs.
#[derive(Debug, Clone)]
pub struct Target {
    /// The subscribers.
    pub subscribers: Arc<Subscribers>,
    /// The number.
    pub number: u64,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.subscribers, &other.subscribers) && self.number == other.number
    }
}

impl Eq for Target {}

/// A message on its way to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Whom it is for: first the channel's subscribers, then those of patterns.
    pub targets: SmallVec<[Target; 1]>,
}

impl Delivery {
    /// Appends it to the output of the connection at place `token` as often as it gets it from
    /// `subscribers`.
    pub fn write_to_one(&self, subscribers: &Arc<Subscribers>, token: usize, reply: &mut Reply) {
        write_to_one(&self.message, &self.targets, subscribers, token, reply);
    }
}

/// The subscribers that a message is for, by worker.
pub type Deliveries = SmallVec<[(usize, SmallVec<[Target; 1]>); 2]>;

/// A message that is sent when the unit that published it ends.
#[derive(Debug)]
pub struct Outgoing {
    /// The message.
    pub message: Arc<Message>,
    /// Whom it is for.
    pub deliveries: Deliveries,
    /// The number of the lock that orders it among others of its channel.
    pub lock: usize,
}

impl Outgoing {
    /// As [`Delivery::write_to_one`].
    pub fn write_to_one(&self, subscribers: &Arc<Subscribers>, token: usize, reply: &mut Reply) {
        for (_, targets) in &self.deliveries {
            write_to_one(&self.message, targets, subscribers, token, reply);
        }
    }
}

fn write_to_one(
    message: &Message,
    targets: &[Target],
    subscribers: &Arc<Subscribers>,
    token: usize,
    reply: &mut Reply,
) {
    for target in targets {
        if Arc::ptr_eq(&target.subscribers, subscribers)
            && subscribers.first_of(token).is_some_and(|first| first <= target.number)
        {
            message.write_to(reply, subscribers.pattern());
        }
    }
}
