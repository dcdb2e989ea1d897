//! Groups of consumers, and what was delivered to them but not acknowledged.

use std::sync::Arc;

use super::{Order, StreamId};

/// The name of a group or consumer.
pub type Name = Arc<[u8]>;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last: Unix time in milliseconds.
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

impl Consumer {
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
    numbers: Order<Name, u32>,
    consumers: Order<u32, Consumer>,
    next_number: u32,
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
        self.numbers.insert(name, number);
        self.consumers.insert(number, consumer);
        number
    }

    /// Removes a consumer with all that is pending for it; how much that was.
    pub fn delete_consumer(&mut self, number: u32) -> usize {
        let consumer = self.consumers.remove(&number).expect("T3: the number of a consumer");
        self.numbers.remove(&consumer.name);
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        consumer.pending.len()
    }

    /// Notes a delivery, whoever the entry was delivered to before.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        let old = self.pending.insert(id, pending);
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
        self.consumer_mut(old.consumer).pending.remove(&id);
        true
    }

    /// Bytes of memory behind the group.
    pub fn memory(&self) -> usize {
        let consumers = self.consumers.iter();
        let own = consumers.map(|(_, one)| one.name.len() + 16 + one.pending.memory());
        let maps = self.pending.memory() + self.numbers.memory() + self.consumers.memory();
        maps + own.sum::<usize>()
    }

    /// Pieces of memory to free, about.
    pub fn weight(&self) -> usize {
        // Each pending entry is in two maps, each consumer too, and has a map of its own.
        2 * self.pending.weight() + 3 * self.numbers.len()
    }

    /// Frees about `budget` pieces; whether none are left.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.pending.free_step(budget, &mut |_, _| true)
            && self.numbers.free_step(budget, &mut |_, _| true)
            && self.consumers.free_step(budget, &mut |consumer, budget| {
                consumer.pending.free_step(budget, &mut |_, _| true)
            })
    }
}
