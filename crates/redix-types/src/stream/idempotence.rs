//! Which entries producers have added under which identifiers, so that a repetition adds none.
//!
//! The age of an identifier is that of its entry: the time in its ID. So neither files nor replicas
//! need times.
//!
//! **Invariants** (checked by `Idempotence::check` in the tests):
//! * I1: `ages` holds each identifier of each producer once, with the ID that the producer has for
//!   it, and nothing else; so does the producer's own list.
//! * I2: no producer has more than `Window::max` identifiers, and none has none.

use super::group::{Name, name_memory};
use super::{Order, StreamId};

/// For how long, and how many, identifiers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds.
    pub duration_s: u32,
    /// The most identifiers of one producer.
    pub max: u32,
}

impl Window {
    /// The greatest. Source: the documentation of Redis 8.6.
    pub const MAX: Window = Window { duration_s: 86_400, max: 10_000 };

    /// Whether there may be such a one.
    pub fn fits(self) -> bool {
        (1..=Self::MAX.duration_s).contains(&self.duration_s)
            && (1..=Self::MAX.max).contains(&self.max)
    }
}

impl Default for Window {
    fn default() -> Self {
        Window { duration_s: 100, max: 100 }
    }
}

/// Forgotten at most with each identifier that is recorded.
const FORGET_MAX: usize = 16;

/// What producers have added to a stream. A clone shares all of it until one side writes.
#[derive(Clone, Default)]
pub struct Idempotence {
    window: Window,
    /// How many identifiers were ever recorded.
    pub added: u64,
    /// How many repetitions were met.
    pub duplicates: u64,
    producers: Order<Name, Producer>,
    /// Entry, producer, identifier.
    ages: Order<(StreamId, Name, Name), ()>,
    /// Bytes of the names of producers and identifiers.
    names: usize,
}

/// What one producer has added.
#[derive(Clone, Default)]
struct Producer {
    entries: Order<Name, StreamId>,
    ages: Order<(StreamId, Name), ()>,
}

impl Idempotence {
    /// What is known for how long.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Changes that. If it does change, all identifiers are forgotten: returned to be freed.
    pub fn set_window(&mut self, window: Window) -> Option<Idempotence> {
        if window == self.window {
            return None;
        }
        let Idempotence { added, duplicates, .. } = *self;
        let known = Idempotence { window, added, duplicates, ..Idempotence::default() };
        let before = std::mem::replace(self, known);
        (!before.ages.is_empty()).then_some(before)
    }

    /// The entry that a producer has added under an identifier which is still known.
    pub fn find(&self, producer: &[u8], iid: &[u8], now_ms: i64) -> Option<StreamId> {
        let producer = self.producers.get_by(|other| (**other).cmp(producer))?;
        let id = *producer.entries.get_by(|other| (**other).cmp(iid))?;
        (!self.is_over(id, now_ms)).then_some(id)
    }

    fn is_over(&self, id: StreamId, now_ms: i64) -> bool {
        let until_ms = id.ms.saturating_add(1000 * u64::from(self.window.duration_s));
        u64::try_from(now_ms).is_ok_and(|now_ms| until_ms <= now_ms)
    }

    /// Records that a producer has added an entry; forgets its oldest one if it has too many, and
    /// some that are over.
    pub fn record(&mut self, producer: &[u8], iid: &[u8], id: StreamId, now_ms: i64) {
        self.added += 1;
        for _ in 0..FORGET_MAX {
            let Some(((oldest, pid, iid), ())) = self.ages.first() else { break };
            if !self.is_over(*oldest, now_ms) {
                break;
            }
            let (pid, iid) = (pid.clone(), iid.clone());
            self.forget(&pid, &iid);
        }
        self.restore(producer, iid, id);
    }

    /// The same, of what was recorded before.
    pub fn restore(&mut self, producer: &[u8], iid: &[u8], id: StreamId) {
        let (pid, iid) = (Name::from(producer), Name::from(iid));
        self.forget(&pid, &iid);
        if self.producers.get(&pid).is_none() {
            self.names += name_memory(&pid);
            self.producers.insert(pid.clone(), Producer::default());
        }
        self.names += name_memory(&iid);
        let producer = self.producers.get_mut(&pid).expect("it was just made");
        producer.entries.insert(iid.clone(), id);
        producer.ages.insert((id, iid.clone()), ());
        let excess = producer.entries.len() > self.window.max as usize;
        let oldest = producer.ages.first().filter(|_| excess).map(|((_, iid), ())| iid.clone());
        self.ages.insert((id, pid.clone(), iid), ());
        if let Some(oldest) = oldest {
            self.forget(&pid, &oldest);
        }
    }

    fn forget(&mut self, pid: &Name, iid: &Name) {
        let Some(producer) = self.producers.get_mut(pid) else { return };
        let Some(id) = producer.entries.remove(iid) else { return };
        producer.ages.remove(&(id, iid.clone()));
        let is_empty = producer.entries.is_empty();
        self.names -= name_memory(iid);
        if is_empty {
            self.names -= name_memory(pid);
            self.producers.remove(pid);
        }
        self.ages.remove(&(id, pid.clone(), iid.clone()));
    }

    /// How many producers, and identifiers of all of them, are known. Takes time for each that is
    /// over.
    pub fn counts(&self, now_ms: i64) -> (usize, usize) {
        let over = self.ages.iter().take_while(|((id, ..), ())| self.is_over(*id, now_ms)).count();
        let has_live = |producer: &Producer| {
            producer.ages.last().is_some_and(|((id, _), ())| !self.is_over(*id, now_ms))
        };
        let live = self.producers.iter().filter(|(_, producer)| has_live(producer)).count();
        (live, self.ages.len() - over)
    }

    /// The producers, each with the entries that it has added and their identifiers, oldest first.
    pub fn producers(
        &self,
    ) -> impl Iterator<Item = (&[u8], impl Iterator<Item = (StreamId, &[u8])>)> {
        self.producers.iter().map(|(pid, producer)| {
            (&**pid, producer.ages.iter().map(|((id, iid), ())| (*id, &**iid)))
        })
    }

    /// Bytes of memory, estimated; O(1).
    pub fn memory(&self) -> usize {
        let (producers, entries) = (self.producers.len(), self.ages.len());
        let of_producers = Order::<Name, StreamId>::memory_of_all(producers, entries)
            + Order::<(StreamId, Name), ()>::memory_of_all(producers, entries);
        let own = size_of::<Idempotence>() + self.producers.memory() + self.ages.memory();
        own + self.names + of_producers
    }

    /// Pieces of memory to free, about.
    pub fn weight(&self) -> usize {
        3 * self.ages.len() + self.producers.len()
    }

    /// Frees about `budget` pieces; whether none are left.
    pub fn free_step(&mut self, budget: usize) -> bool {
        self.ages.free_step(budget, &mut |(), _| true)
            && self.producers.free_step(budget, &mut |producer, budget| {
                producer.ages.free_step(budget, &mut |(), _| true)
                    && producer.entries.free_step(budget, &mut |_, _| true)
            })
    }

    /// All invariants.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.ages.check();
        self.producers.check();
        let (mut count, mut names) = (0, 0);
        for (pid, producer) in self.producers.iter() {
            producer.entries.check();
            producer.ages.check();
            let len = producer.entries.len();
            assert!(len > 0 && len <= self.window.max as usize, "I2");
            assert_eq!(producer.ages.len(), len, "I1");
            names += name_memory(pid);
            for (iid, id) in producer.entries.iter() {
                names += name_memory(iid);
                assert!(producer.ages.get(&(*id, iid.clone())).is_some(), "I1");
                assert!(self.ages.get(&(*id, pid.clone(), iid.clone())).is_some(), "I1");
            }
            count += len;
        }
        assert_eq!((self.ages.len(), self.names), (count, names), "I1");
    }
}

#[cfg(test)]
mod tests;
