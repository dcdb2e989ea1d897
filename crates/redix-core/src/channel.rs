//! Pub/sub messages on their way from a publisher to the subscribers of a worker.
//!
//! [`Subscribers`] are the connections of one worker that subscribe to one channel or pattern. A
//! [`Message`] is encoded once; a [`Delivery`] carries it to one worker, with the subscribers that
//! it is for. A publisher takes a sequence number from each [`Subscribers`]; a subscriber receives
//! the messages with a number taken after it subscribed, so that it sees none published earlier.
//!
//! **Invariants.** Only the worker's own thread reads and changes the list of subscribers; other
//! threads see its length. Undelivered bytes for one [`Subscribers`] are bounded by the output
//! limit of the pubsub class; beyond it the subscribers are closed.

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
    /// Encodes a message: the channel and the text as bulk strings.
    pub fn new(kind: Kind, channel: &[u8], text: &[u8]) -> Self {
        let mut body = Reply::new(redix_resp::Proto::Resp2);
        body.reserve(channel.len() + text.len() + 64);
        body.bulk(channel);
        body.bulk(text);
        Self { kind, body: body.take() }
    }

    /// Length of the encoded message in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Appends the message as a push; `pattern` is the one that it matched, for `pmessage`.
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

/// The connections of one worker that subscribe to one channel or pattern.
#[derive(Debug)]
pub struct Subscribers {
    worker: usize,
    pattern: Option<Arc<[u8]>>,
    /// Slot in the worker -> sequence number of the first message that the subscriber receives.
    list: Mutex<BTreeMap<usize, u64>>,
    count: AtomicU32,
    /// The sequence number of the next message.
    next: AtomicU64,
    /// Bytes queued in the worker's mailbox and not yet delivered.
    queued: AtomicUsize,
    /// Over the output limit: they are being closed and receive nothing further.
    closing: AtomicBool,
}

impl Subscribers {
    /// An empty list for worker `worker`, of a channel (`None`) or of a pattern.
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

    /// The worker that owns these connections.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// The pattern that they subscribe to; `None` for a channel.
    pub fn pattern(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// Number of subscribers.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds the connection in slot `token`; called by the worker's thread.
    pub fn insert(&self, token: usize) {
        let first = self.next.load(Ordering::Relaxed);
        let mut list = lock(&self.list);
        list.entry(token).or_insert(first);
        self.count.store(list.len() as u32, Ordering::Relaxed);
    }

    /// Removes a connection and returns how many remain; called by the worker's thread.
    pub fn remove(&self, token: usize) -> u32 {
        let mut list = lock(&self.list);
        list.remove(&token);
        self.count.store(list.len() as u32, Ordering::Relaxed);
        list.len() as u32
    }

    /// The first sequence number that the connection receives; `None` if it is no subscriber.
    pub fn first_of(&self, token: usize) -> Option<u64> {
        lock(&self.list).get(&token).copied()
    }

    /// Calls `f` with the slot of every subscriber that receives the message with this number.
    pub fn each(&self, number: u64, mut f: impl FnMut(usize)) {
        let list = lock(&self.list);
        list.iter().filter(|(_, first)| **first <= number).for_each(|(token, _)| f(*token));
    }

    /// Takes the sequence number of a message that is about to be sent.
    pub fn take_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Accounts for bytes about to be queued, of which at most `limit` (0: no limit) may be
    /// undelivered.
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

    /// Accounts for `bytes` that have been delivered.
    pub fn arrived(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Records that the subscribers have been closed.
    pub fn closed(&self) {
        self.closing.store(false, Ordering::Release);
    }
}

/// What to do with a message for some subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Deliver it.
    Send,
    /// They are over their output limit: close them instead.
    Close,
    /// Drop it: they are being closed.
    Drop,
}

/// A recipient list and the sequence number of the message in it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The subscribers.
    pub subscribers: Arc<Subscribers>,
    /// The sequence number.
    pub number: u64,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.subscribers, &other.subscribers) && self.number == other.number
    }
}

impl Eq for Target {}

/// A message addressed to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// Its recipients: first the channel's subscribers, then those of patterns.
    pub targets: SmallVec<[Target; 1]>,
}

impl Delivery {
    /// Appends the message to the output of the connection in slot `token`, once for each of its
    /// subscriptions in `subscribers`.
    pub fn write_to_one(&self, subscribers: &Arc<Subscribers>, token: usize, reply: &mut Reply) {
        write_to_one(&self.message, &self.targets, subscribers, token, reply);
    }
}

/// The recipients of a message, by worker.
pub type Deliveries = SmallVec<[(usize, SmallVec<[Target; 1]>); 2]>;

/// A message that is delivered at the end of the unit that published it.
#[derive(Debug)]
pub struct Outgoing {
    /// The message.
    pub message: Arc<Message>,
    /// Its recipients.
    pub deliveries: Deliveries,
    /// Index of the lock that orders messages of the same channel.
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
