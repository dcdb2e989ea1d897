//! Conversion between entries and RDB records.

use redix_types::entry::{EntryBox, EntryRef};

use crate::config::Config;
use crate::keyspace::access::{LFU_INIT, LRU_MASK, lfu_decay, lfu_minutes};
use crate::rdb::read::KeyRecord;
use crate::rdb::write::{EntryMeta, IdleOrFreq};

/// The LRU or LFU data in files, as `maxmemory-policy` decides.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    policy: AgePolicy,
    now_ms: i64,
    lfu_decay_minutes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AgePolicy {
    /// None in the file; entries carry the LRU clock.
    Clock,
    Lru,
    Lfu,
}

impl Ages {
    /// Relative to `now_ms`, Unix time in milliseconds.
    pub fn new(config: &Config, now_ms: i64) -> Self {
        let policy = if config.counts_frequencies() {
            AgePolicy::Lfu
        } else if config.goes_by_times() {
            AgePolicy::Lru
        } else {
            AgePolicy::Clock
        };
        Self { policy, now_ms, lfu_decay_minutes: config.lfu_decay_time }
    }

    fn lru_clock(self) -> u32 {
        (self.now_ms / 1000) as u32 & LRU_MASK
    }

    /// The metadata that a file stores with an entry.
    #[inline]
    pub fn meta(self, entry: EntryRef<'_>) -> EntryMeta {
        let lru = match self.policy {
            AgePolicy::Clock => None,
            AgePolicy::Lru => {
                let idle = self.lru_clock().wrapping_sub(entry.lru()) & LRU_MASK;
                Some(IdleOrFreq::IdleSeconds(u64::from(idle)))
            }
            AgePolicy::Lfu => {
                let counter = lfu_decay(entry.lru(), self.now_ms, self.lfu_decay_minutes);
                Some(IdleOrFreq::Freq(u8::try_from(counter).unwrap_or(u8::MAX)))
            }
        };
        EntryMeta { expire_at_ms: entry.expire_at_ms(), lru }
    }

    /// The LRU or LFU field of a loaded entry. Source: Redis 7.0, `objectSetLRUOrLFU`.
    fn loaded(self, record: &KeyRecord<'_>) -> u32 {
        if self.policy == AgePolicy::Lfu {
            let counter = record.freq.map_or(LFU_INIT, u32::from);
            return (lfu_minutes(self.now_ms) << 8) | counter;
        }
        let idle = record.idle_s.map_or(0, |idle| idle.min(u64::from(LRU_MASK)) as u32);
        self.lru_clock().wrapping_sub(idle) & LRU_MASK
    }
}

/// The entry of a record.
pub fn entry_of(record: KeyRecord<'_>, ages: Ages) -> EntryBox {
    let age = ages.loaded(&record);
    EntryBox::new(record.key, record.value.into_value(), record.expire_at_ms, age)
}
