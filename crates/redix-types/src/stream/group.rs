//! Groups of consumers, and what was delivered to them but not acknowledged.

use std::sync::Arc;

use super::{Order, StreamId};
use crate::block::size_class;

/// The name of a group or consumer.
pub type Name = Arc<[u8]>;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last: Unix time in milliseconds. Less than [`RELEASED_MS`] if it was
    /// released.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub count: u64,
    /// The number of the consumer that it was delivered to.
    pub consumer: u32,
}

/// A reader within a group.
#[derive(Clone)]
pub struct Consumer {
    /// Its name.
    pub name: Name,
    /// When it asked for something last: Unix time in milliseconds.
    pub seen_ms: i64,
    /// When it got something last; -1: never.
    pub active_ms: i64,
    pending: Order<StreamId, ()>,
}

impl Pending {
    /// The number of deliveries after one more.
    pub fn counted(&self) -> u64 {
        if self.count < COUNT_MAX { self.count + 1 } else { self.count }
    }
}

/// Entries that were released have times of delivery before this one, which are the numbers of
/// their releases. No clock shows such a time.
pub const RELEASED_MS: i64 = 1_000_000_000;

/// When a consumer was seen that only stands for nobody.
const NEVER_MS: i64 = 0;

/// No delivery is counted beyond this number, which stands for an entry that nobody can process.
pub const COUNT_MAX: u64 = i64::MAX as u64;

impl Consumer {
    /// Whether it only holds what was released: it has the empty name, under which no client has
    /// asked for something.
    pub fn is_nobody(&self) -> bool {
        self.name.is_empty() && self.seen_ms == NEVER_MS
    }

    /// The IDs of what was delivered to it and not acknowledged.
    pub fn pending(&self) -> &Order<StreamId, ()> {
        &self.pending
    }
}

/// Consumers that share the reading of a stream.
#[derive(Clone, Default)]
pub struct Group {
    /// The last entry that was delivered to one of them.
    pub last_id: StreamId,
    /// How many entries of the stream were read up to there; None: not known.
    pub entries_read: Option<i64>,
    pending: Order<StreamId, Pending>,
    /// The same by the time of the delivery, from the first time on that it is asked for.
    pub(super) by_time: Option<Order<(i64, StreamId), ()>>,
    numbers: Order<Name, u32>,
    consumers: Order<u32, Consumer>,
    /// Bytes of the consumers' names.
    pub(super) names: usize,
    next_number: u32,
}

/// Bytes of a name.
pub(super) fn name_memory(name: &[u8]) -> usize {
    /// The counts of references before it.
    const COUNTS: usize = 16;
    size_class(COUNTS + name.len())
}

impl Group {
    /// A group that reads on behind `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    /// What was delivered and not acknowledged.
    pub fn pending(&self) -> &Order<StreamId, Pending> {
        &self.pending
    }

    /// What was delivered and not acknowledged, from what was delivered longest ago on. The first
    /// call orders it, which takes O(n log n); from then on the order is kept.
    pub fn by_delivery(&mut self) -> impl Iterator<Item = (StreamId, Pending)> {
        let pending = &self.pending;
        let by_time = self.by_time.get_or_insert_with(|| order_by_time(pending));
        by_time.iter().map(|((_, id), ())| (*id, *pending.get(id).expect("T4: a pending entry")))
    }

    /// The IDs of what was delivered at `latest_ms` or before, in the order of the deliveries if
    /// that is known.
    pub fn delivered_until(&self, latest_ms: i64) -> impl Iterator<Item = StreamId> {
        let known = self.by_time.iter().flat_map(Order::iter).map(|((ms, id), ())| (*ms, *id));
        let all = self.by_time.is_none().then(|| self.pending.iter());
        let all = all.into_iter().flatten().map(|(id, one)| (one.delivered_ms, *id));
        let known = known.take_while(move |(ms, _)| *ms <= latest_ms);
        known.chain(all.filter(move |(ms, _)| *ms <= latest_ms)).map(|(_, id)| id)
    }

    /// Takes a pending entry, or another one, from its consumer, behind all that were released
    /// before; what is known of it then. It gets a number of deliveries.
    pub fn release(&mut self, id: StreamId, count: u64) -> Pending {
        let consumer = self.nobody();
        let by_time = self.by_time.get_or_insert_with(|| order_by_time(&self.pending));
        let last = by_time.iter_back_from(&(RELEASED_MS - 1, StreamId::MAX)).next();
        let delivered_ms = last.map_or(0, |((ms, _), ())| (ms + 1).clamp(0, RELEASED_MS - 1));
        let pending = Pending { delivered_ms, count, consumer };
        self.assign(id, pending);
        pending
    }

    /// The number of the consumer that stands for nobody, or of the one with the empty name.
    pub fn nobody(&mut self) -> u32 {
        match self.find_consumer(b"") {
            Some(number) => number,
            None => self.create_consumer(b"", NEVER_MS, -1),
        }
    }

    /// Whether a pending entry was released, and belongs to nobody since.
    pub fn is_released(&self, pending: &Pending) -> bool {
        pending.delivered_ms < RELEASED_MS && self.consumer(pending.consumer).name.is_empty()
    }

    /// How many pending entries belong to nobody. Takes time for each.
    pub fn released_count(&self) -> usize {
        let Some(number) = self.find_consumer(b"") else { return 0 };
        let ids = self.consumer(number).pending.iter();
        let of = |id| self.pending.get(id).expect("T3: what is pending for a consumer");
        ids.filter(|(id, ())| self.is_released(of(id))).count()
    }

    /// The consumers by name, without the one that stands for nobody.
    pub fn shown_consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers().filter(|consumer| !consumer.is_nobody())
    }

    /// Number of them.
    pub fn shown_count(&self) -> usize {
        self.consumer_count() - usize::from(self.find_consumer(b"") != self.find_shown(b""))
    }

    /// The number of one of them.
    pub fn find_shown(&self, name: &[u8]) -> Option<u32> {
        self.find_consumer(name).filter(|number| !self.consumer(*number).is_nobody())
    }

    /// The consumers by name.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.numbers.iter().map(|(_, number)| self.consumer(*number))
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a consumer.
    pub fn find_consumer(&self, name: &[u8]) -> Option<u32> {
        self.numbers.get_by(|other| (**other).cmp(name)).copied()
    }

    /// A consumer by its number. Panics if there is none.
    pub fn consumer(&self, number: u32) -> &Consumer {
        self.consumers.get(&number).expect("T3: the number of a consumer")
    }

    /// The same, to change.
    pub fn consumer_mut(&mut self, number: u32) -> &mut Consumer {
        self.consumers.get_mut(&number).expect("T3: the number of a consumer")
    }

    /// Adds a consumer, which must not exist; its number.
    pub fn create_consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: i64) -> u32 {
        let name = Name::from(name);
        let number = self.next_number;
        self.next_number += 1;
        let pending = Order::default();
        let consumer = Consumer { name: name.clone(), seen_ms, active_ms, pending };
        self.names += name_memory(&name);
        self.numbers.insert(name, number);
        self.consumers.insert(number, consumer);
        number
    }

    /// Removes a consumer with all that is pending for it; how much that was.
    pub fn delete_consumer(&mut self, number: u32) -> usize {
        let consumer = self.consumers.remove(&number).expect("T3: the number of a consumer");
        self.numbers.remove(&consumer.name);
        self.names -= name_memory(&consumer.name);
        for (id, ()) in consumer.pending.iter() {
            let old = self.pending.remove(id).expect("T3: what is pending for a consumer");
            if let Some(by_time) = &mut self.by_time {
                by_time.remove(&(old.delivered_ms, *id));
            }
        }
        consumer.pending.len()
    }

    /// Notes a delivery, whoever the entry was delivered to before.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        let old = self.pending.insert(id, pending);
        if let Some(by_time) = &mut self.by_time {
            if let Some(old) = old {
                by_time.remove(&(old.delivered_ms, id));
            }
            by_time.insert((pending.delivered_ms, id), ());
        }
        let old = old.map(|old| old.consumer);
        if old == Some(pending.consumer) {
            return;
        }
        if let Some(old) = old {
            self.consumer_mut(old).pending.remove(&id);
        }
        self.consumer_mut(pending.consumer).pending.insert(id, ());
    }

    /// Drops an entry from what is pending; whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(old) = self.pending.remove(&id) else { return false };
        if let Some(by_time) = &mut self.by_time {
            by_time.remove(&(old.delivered_ms, id));
        }
        self.consumer_mut(old.consumer).pending.remove(&id);
        true
    }

    /// Bytes of memory behind the group, estimated; O(1).
    pub fn memory(&self) -> usize {
        let maps = self.pending.memory() + self.numbers.memory() + self.consumers.memory();
        let maps = maps + self.by_time.as_ref().map_or(0, Order::memory);
        // Each pending entry is in the map of one consumer.
        let (consumers, pending) = (self.consumers.len(), self.pending.len());
        maps + self.names + Order::<StreamId, ()>::memory_of_all(consumers, pending)
    }

    /// Pieces of memory to free, about.
    pub fn weight(&self) -> usize {
        // Each pending entry is in two maps, each consumer too, and has a map of its own.
        let by_time = self.by_time.as_ref().map_or(0, Order::weight);
        2 * self.pending.weight() + by_time + 3 * self.numbers.len()
    }

    /// Frees about `budget` pieces; whether none are left.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.pending.free_step(budget, &mut |_, _| true)
            && self
                .by_time
                .as_mut()
                .is_none_or(|by_time| by_time.free_step(budget, &mut |_, _| true))
            && self.numbers.free_step(budget, &mut |_, _| true)
            && self.consumers.free_step(budget, &mut |consumer, budget| {
                consumer.pending.free_step(budget, &mut |_, _| true)
            })
    }
}

/// Pending entries by the time of their delivery.
fn order_by_time(pending: &Order<StreamId, Pending>) -> Order<(i64, StreamId), ()> {
    let times = pending.iter().map(|(id, one)| (one.delivered_ms, *id));
    let mut times: Vec<(i64, StreamId)> = times.collect();
    times.sort_unstable();
    let mut order = Order::default();
    for time in times {
        order.insert(time, ());
    }
    order
}
