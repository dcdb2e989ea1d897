//! Pub/sub: the tables of channels and patterns, and the delivery of messages.
//!
//! Channels are no keys. They are in a table of their own, partitioned by the hash of their name,
//! each part behind a lock. A channel or pattern has one [`Subscribers`] for each worker with
//! subscribers to it. Publishing has two steps: [`PubSub::prepare`] finds the recipients of a
//! message and encodes it once; [`PubSub::send`], when the unit ends, posts one [`Delivery`] to
//! each worker concerned. The worker appends it to the outputs of its connections.
//!
//! Between the two steps the unit's records are appended to the replication log. [`PubSub::order`]
//! holds the locks of the channels from before that until the messages are posted, so that all
//! workers and replicas receive the messages of a channel in one order.
//!
//! Patterns are few and every message has to be matched against all of them: publishers share an
//! immutable list, which is rebuilt after a change.
//!
//! Rejected: a list of receivers in each delivery, which would be built for each message and
//! checked again by the worker, since a receiver may have unsubscribed meanwhile.
//!
//! **Invariants.** Locks come after those of the keyspace and before those of mailboxes and the
//! log: parts of channels ascending, then the patterns. A session's [`Subscriptions`] name exactly
//! the [`Subscribers`] that its connection is in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use redix_resp::reply::Reply;
use redix_types::KeyHasher;
use redix_types::glob::{self, Case};
use smallvec::SmallVec;

use crate::channel::{
    Admission, Deliveries, Delivery, Kind, Message, Outgoing, Subscribers, Target,
};
use crate::mailbox::{Mail, Mailbox};
use crate::registry::{Registry, list};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, Padded, lock};

/// Parts of a table of channels: far more than threads.
const PARTS: usize = 64;

/// The subscriptions of one connection.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Arc<[u8]>>,
    shard_channels: BTreeSet<Arc<[u8]>>,
    patterns: BTreeSet<Arc<[u8]>>,
    /// Bytes of all names.
    name_bytes: usize,
}

impl Subscriptions {
    /// Memory of all subscriptions, about; names are counted for each subscriber.
    pub fn memory_bytes(&self) -> usize {
        let count = self.channels.len() + self.shard_channels.len() + self.patterns.len();
        self.name_bytes + count * list::ITEM_BYTES
    }

    /// Channels, or shard channels.
    pub fn channels(&self, kind: Kind) -> &BTreeSet<Arc<[u8]>> {
        match kind {
            Kind::Plain => &self.channels,
            Kind::Shard => &self.shard_channels,
        }
    }

    /// Patterns.
    pub fn patterns(&self) -> &BTreeSet<Arc<[u8]>> {
        &self.patterns
    }

    /// Whether there are no subscriptions.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.shard_channels.is_empty() && self.patterns.is_empty()
    }

    fn channels_mut(&mut self, kind: Kind) -> &mut BTreeSet<Arc<[u8]>> {
        match kind {
            Kind::Plain => &mut self.channels,
            Kind::Shard => &mut self.shard_channels,
        }
    }
}

/// What a subscription is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A channel or shard channel.
    Channel,
    /// A pattern.
    Pattern,
}

/// A connection that subscribes.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its worker.
    pub worker: usize,
    /// Its slot in the worker.
    pub token: usize,
}

/// The subscribers of a channel or pattern, by worker.
type ByWorker = SmallVec<[Arc<Subscribers>; 2]>;

/// Adds a connection to the list of its worker.
fn join(groups: &mut ByWorker, place: Place, pattern: Option<&Arc<[u8]>>) {
    let found = groups.iter().find(|group| group.worker() == place.worker);
    if let Some(group) = found {
        group.insert(place.token);
        return;
    }
    let group = Arc::new(Subscribers::new(place.worker, pattern.cloned()));
    group.insert(place.token);
    groups.push(group);
}

/// Removes a connection from the list of its worker, which is returned.
fn leave(groups: &mut ByWorker, place: Place) -> Option<Arc<Subscribers>> {
    let at = groups.iter().position(|group| group.worker() == place.worker)?;
    let group = Arc::clone(&groups[at]);
    if group.remove(place.token) == 0 {
        groups.swap_remove(at);
    }
    Some(group)
}

fn count(groups: &ByWorker) -> u64 {
    groups.iter().map(|group| u64::from(group.count())).sum()
}

/// Adds the recipients in `groups` to the deliveries of a message. Returns their number.
fn address(groups: &ByWorker, deliveries: &mut Deliveries) -> u64 {
    let mut receivers = 0;
    for group in groups {
        receivers += u64::from(group.count());
        let target = Target { subscribers: Arc::clone(group), number: group.take_number() };
        match deliveries.iter_mut().find(|(worker, _)| *worker == group.worker()) {
            Some((_, targets)) => targets.push(target),
            None => deliveries.push((group.worker(), SmallVec::from_buf([target]))),
        }
    }
    receivers
}

#[derive(Debug)]
struct Channel {
    name: Arc<[u8]>,
    groups: ByWorker,
}

/// The channels with one hash: nearly always one.
type Bucket = SmallVec<[Channel; 1]>;

/// Keyed hashes need no further hashing.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// One part of a table of channels.
#[derive(Debug, Default)]
pub struct Part(HashMap<u64, Bucket, BuildHasherDefault<Identity>>);

impl Part {
    fn find(&self, hash: u64, name: &[u8]) -> Option<&Channel> {
        self.0.get(&hash)?.iter().find(|channel| *channel.name == *name)
    }
}

/// The channels of one namespace.
#[derive(Debug)]
struct Table {
    parts: Box<[Padded<Mutex<Part>>]>,
    channels: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        let parts = (0..PARTS).map(|_| Padded::default()).collect();
        Self { parts, channels: AtomicUsize::new(0) }
    }
}

/// The part of a channel; chosen by other bits of the hash than its place in the part.
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Table {
    fn part(&self, hash: u64) -> MutexGuard<'_, Part> {
        lock(&self.parts[part_of(hash)].0)
    }

    /// Adds a connection to a channel's subscribers; returns the channel's name as shared by the
    /// table.
    fn join(&self, hash: u64, name: &[u8], place: Place) -> Arc<[u8]> {
        let mut part = self.part(hash);
        let bucket = part.0.entry(hash).or_default();
        let at = bucket.iter().position(|channel| *channel.name == *name).unwrap_or_else(|| {
            self.channels.fetch_add(1, Ordering::Relaxed);
            bucket.push(Channel { name: name.into(), groups: ByWorker::new() });
            bucket.len() - 1
        });
        join(&mut bucket[at].groups, place, None);
        Arc::clone(&bucket[at].name)
    }

    /// Removes a connection from a channel's subscribers. `before` is called with the list while
    /// the connection is still in it and nothing can be published to the channel.
    fn leave(&self, hash: u64, name: &[u8], place: Place, before: impl FnOnce(&Arc<Subscribers>)) {
        let mut part = self.part(hash);
        let Some(bucket) = part.0.get_mut(&hash) else { return };
        let Some(at) = bucket.iter().position(|channel| *channel.name == *name) else { return };
        let groups = &mut bucket[at].groups;
        if let Some(group) = groups.iter().find(|group| group.worker() == place.worker) {
            before(group);
        }
        leave(groups, place);
        if groups.is_empty() {
            self.channels.fetch_sub(1, Ordering::Relaxed);
            bucket.swap_remove(at);
            if bucket.is_empty() {
                part.0.remove(&hash);
            }
        }
    }
}

/// A pattern with its subscribers.
#[derive(Debug)]
struct Pattern {
    text: Arc<[u8]>,
    groups: Mutex<ByWorker>,
}

#[derive(Debug, Default)]
struct Patterns {
    all: BTreeMap<Arc<[u8]>, Arc<Pattern>>,
    /// A copy of all patterns for publishers; `None` after a change.
    list: Option<Arc<[Arc<Pattern>]>>,
}

/// The held locks that order the messages of some channels.
pub struct Order<'a>(
    #[expect(dead_code, reason = "held, not looked at")] SmallVec<[MutexGuard<'a, Part>; 2]>,
);

/// All channels and patterns.
pub struct PubSub {
    hasher: KeyHasher,
    plain: Table,
    shard: Table,
    patterns: Mutex<Patterns>,
    pattern_count: AtomicUsize,
}

impl std::fmt::Debug for PubSub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PubSub").finish_non_exhaustive()
    }
}

impl PubSub {
    /// Empty tables. `hasher` has a secret key.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            hasher,
            plain: Table::default(),
            shard: Table::default(),
            patterns: Mutex::default(),
            pattern_count: AtomicUsize::new(0),
        }
    }

    fn table(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Plain => &self.plain,
            Kind::Shard => &self.shard,
        }
    }

    /// Whether there is any subscriber of a channel (SUBSCRIBE) or of a pattern.
    #[inline]
    pub fn has_plain_subscribers(&self) -> bool {
        self.plain.channels.load(Ordering::Relaxed) != 0
            || self.pattern_count.load(Ordering::Relaxed) != 0
    }

    /// Subscribes a connection to a channel; no effect if it is subscribed.
    pub fn subscribe(
        &self,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
        place: Place,
    ) {
        let mine = subscriptions.channels_mut(kind);
        if !mine.contains(name) {
            mine.insert(self.table(kind).join(self.hasher.hash(name), name, place));
            subscriptions.name_bytes += name.len();
        }
    }

    /// Unsubscribes a connection from a channel; false if it was not subscribed. `before` is called
    /// with the channel's subscribers while the connection is still among them.
    pub fn unsubscribe(
        &self,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
        place: Place,
        before: impl FnOnce(&Arc<Subscribers>),
    ) -> bool {
        let had = subscriptions.channels_mut(kind).remove(name);
        if had {
            subscriptions.name_bytes -= name.len();
            self.table(kind).leave(self.hasher.hash(name), name, place, before);
        }
        had
    }

    /// Subscribes a connection to a pattern; no effect if it is subscribed.
    pub fn subscribe_pattern(&self, subscriptions: &mut Subscriptions, text: &[u8], place: Place) {
        if subscriptions.patterns.contains(text) {
            return;
        }
        let mut patterns = lock(&self.patterns);
        let pattern = match patterns.all.get(text) {
            Some(pattern) => Arc::clone(pattern),
            None => {
                let text: Arc<[u8]> = text.into();
                let pattern =
                    Arc::new(Pattern { text: Arc::clone(&text), groups: Mutex::default() });
                patterns.all.insert(text, Arc::clone(&pattern));
                patterns.list = None;
                self.pattern_count.store(patterns.all.len(), Ordering::Relaxed);
                pattern
            }
        };
        join(&mut lock(&pattern.groups), place, Some(&pattern.text));
        subscriptions.name_bytes += text.len();
        subscriptions.patterns.insert(Arc::clone(&pattern.text));
    }

    /// Unsubscribes a connection from a pattern; otherwise as [`PubSub::unsubscribe`].
    pub fn unsubscribe_pattern(
        &self,
        subscriptions: &mut Subscriptions,
        text: &[u8],
        place: Place,
        before: impl FnOnce(&Arc<Subscribers>),
    ) -> bool {
        if !subscriptions.patterns.remove(text) {
            return false;
        }
        subscriptions.name_bytes -= text.len();
        let mut patterns = lock(&self.patterns);
        let Some(pattern) = patterns.all.get(text).cloned() else { return true };
        let mut groups = lock(&pattern.groups);
        if let Some(group) = groups.iter().find(|group| group.worker() == place.worker) {
            before(group);
        }
        leave(&mut groups, place);
        if groups.is_empty() {
            patterns.all.remove(text);
            patterns.list = None;
            self.pattern_count.store(patterns.all.len(), Ordering::Relaxed);
        }
        true
    }

    /// Ends all subscriptions of a connection.
    pub fn leave(&self, mut subscriptions: Subscriptions, place: Place) {
        for kind in [Kind::Plain, Kind::Shard] {
            for name in std::mem::take(subscriptions.channels_mut(kind)) {
                self.table(kind).leave(self.hasher.hash(&name), &name, place, |_| {});
            }
        }
        while let Some(text) = subscriptions.patterns.first().cloned() {
            self.unsubscribe_pattern(&mut subscriptions, &text, place, |_| {});
        }
    }

    /// Finds the recipients of a message. Returns their number, each counted once for every
    /// matching subscription, and the encoded message if there are any.
    pub fn prepare(&self, kind: Kind, channel: &[u8], text: &[u8]) -> (u64, Option<Outgoing>) {
        let hash = self.hasher.hash(channel);
        let table = self.table(kind);
        let mut deliveries = Deliveries::new();
        let mut receivers = 0;
        if table.channels.load(Ordering::Relaxed) != 0
            && let Some(found) = table.part(hash).find(hash, channel)
        {
            receivers += address(&found.groups, &mut deliveries);
        }
        if kind == Kind::Plain && self.pattern_count.load(Ordering::Relaxed) != 0 {
            for pattern in &*self.pattern_list() {
                if glob::matches(&pattern.text, channel, Case::Sensitive) {
                    receivers += address(&lock(&pattern.groups), &mut deliveries);
                }
            }
        }
        let outgoing = (!deliveries.is_empty()).then(|| Outgoing {
            message: Arc::new(Message::new(kind, channel, text)),
            deliveries,
            lock: kind as usize * PARTS + part_of(hash),
        });
        (receivers, outgoing)
    }

    fn pattern_list(&self) -> Arc<[Arc<Pattern>]> {
        let Patterns { all, list } = &mut *lock(&self.patterns);
        Arc::clone(list.get_or_insert_with(|| all.values().cloned().collect()))
    }

    /// Takes the locks that order these messages.
    pub fn order<'m>(&self, messages: impl Iterator<Item = &'m Outgoing>) -> Order<'_> {
        let mut locks: SmallVec<[usize; 2]> = messages.map(|message| message.lock).collect();
        locks.sort_unstable();
        locks.dedup();
        let tables = [&self.plain, &self.shard];
        let part = |index: usize| &tables[index / PARTS].parts[index % PARTS];
        Order(locks.into_iter().map(|index| lock(&part(index).0)).collect())
    }

    /// Posts a message under the lock that orders it. Of undelivered bytes for one connection at
    /// most `limit` (0: no limit) are accepted; beyond it the connection is closed. Workers are not
    /// woken: `to_wake` collects them. True if the publishing worker itself has mail.
    pub fn send(registry: &Registry, outgoing: Outgoing, limit: u64, to_wake: &mut ToWake) -> bool {
        let mut here = false;
        let Outgoing { message, deliveries, lock: _ } = outgoing;
        for (worker, mut targets) in deliveries {
            let Some(mailbox) = registry.mailbox(worker) else { continue };
            targets.retain(|target| {
                let admission = target.subscribers.queue(message.len(), limit);
                if admission == Admission::Close {
                    mailbox.post_quietly(Mail::CloseSubscribers(target.clone()));
                }
                admission == Admission::Send
            });
            if !targets.is_empty() {
                let message = Arc::clone(&message);
                mailbox.post_quietly(Mail::Deliver(Delivery { message, targets }));
            }
            here |= to_wake.add(worker, mailbox);
        }
        here
    }

    /// The names of channels with subscribers that match a pattern.
    pub fn channels(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let wanted = |name: &[u8]| {
            pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Sensitive))
        };
        let mut names = Vec::new();
        for part in &*self.table(kind).parts {
            let part = lock(&part.0);
            let channels = part.0.values().flatten();
            names
                .extend(channels.map(|channel| &channel.name).filter(|name| wanted(name)).cloned());
        }
        names
    }

    /// Calls `f` with every subscriber, in any order, of the channels and patterns that are
    /// `wanted`. In the world, where no command subscribes.
    pub fn each_subscriber(&self, wanted: impl Fn(Topic, &[u8]) -> bool, mut f: impl FnMut(Place)) {
        let mut visit = |groups: &ByWorker| {
            for group in groups {
                group.each(u64::MAX, |token| f(Place { worker: group.worker(), token }));
            }
        };
        for part in [&self.plain, &self.shard].iter().flat_map(|table| &*table.parts) {
            let part = lock(&part.0);
            let channels = part.0.values().flatten();
            channels
                .filter(|channel| wanted(Topic::Channel, &channel.name))
                .for_each(|channel| visit(&channel.groups));
        }
        for pattern in lock(&self.patterns).all.values() {
            if wanted(Topic::Pattern, &pattern.text) {
                visit(&lock(&pattern.groups));
            }
        }
    }

    /// The number of subscribers of a channel.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> u64 {
        let hash = self.hasher.hash(name);
        let part = self.table(kind).part(hash);
        part.find(hash, name).map_or(0, |channel| count(&channel.groups))
    }

    /// The number of channels with subscribers.
    pub fn channel_count(&self, kind: Kind) -> usize {
        self.table(kind).channels.load(Ordering::Relaxed)
    }

    /// The number of distinct patterns with subscribers.
    pub fn pattern_count(&self) -> usize {
        self.pattern_count.load(Ordering::Relaxed)
    }
}

/// Appends the undelivered messages of `subscribers` for the connection in slot `token` to its
/// output: first those in its worker's mailbox, then those that the present unit is about to send.
pub fn write_pending<'m>(
    subscribers: &Arc<Subscribers>,
    token: usize,
    mailbox: &Mailbox,
    unsent: impl Iterator<Item = &'m Outgoing>,
    reply: &mut Reply,
) {
    mailbox.each(|mail| {
        if let Mail::Deliver(delivery) = mail {
            delivery.write_to_one(subscribers, token, reply);
        }
    });
    unsent.for_each(|outgoing| outgoing.write_to_one(subscribers, token, reply));
}

/// Workers that have unannounced mail; they are woken when this is dropped.
#[derive(Debug)]
pub struct ToWake {
    own: usize,
    others: SmallVec<[(usize, Arc<Mailbox>); 2]>,
}

impl ToWake {
    /// For thread `own`, which checks its own mailbox before it sleeps.
    pub fn new(own: usize) -> Self {
        Self { own, others: SmallVec::new() }
    }

    /// Adds a worker. True if it is the thread's own.
    pub fn add(&mut self, worker: usize, mailbox: Arc<Mailbox>) -> bool {
        if worker == self.own {
            mailbox.announce_here();
        } else if self.others.iter().all(|(other, _)| *other != worker) {
            self.others.push((worker, mailbox));
        }
        worker == self.own
    }
}

impl Drop for ToWake {
    fn drop(&mut self) {
        self.others.drain(..).for_each(|(_, mailbox)| mailbox.announce());
    }
}

#[cfg(test)]
mod tests;
