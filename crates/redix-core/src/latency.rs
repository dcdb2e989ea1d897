//! The latency monitor: events that took at least `latency-monitor-threshold` milliseconds.
//!
//! Each event has a series of at most [`SAMPLES_MAX`] samples, one per second: of several in the
//! same second the longest. Source: LATENCY of Redis 7.0 and Valkey 9.1.

use std::collections::BTreeMap;

use crate::sync::{Mutex, lock};

/// Samples kept of an event.
pub const SAMPLES_MAX: usize = 160;

/// The events.
pub mod event {
    /// A command that is not flagged as fast.
    pub const COMMAND: &str = "command";
    /// A command flagged as fast.
    pub const FAST_COMMAND: &str = "fast-command";
    /// A step of the expiry sweep.
    pub const EXPIRE_CYCLE: &str = "expire-cycle";
    /// An attempt to get below `maxmemory`.
    pub const EVICTION_CYCLE: &str = "eviction-cycle";
    /// The eviction of one key.
    pub const EVICTION_DEL: &str = "eviction-del";
}

/// One spike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Unix time in seconds.
    pub unix_s: i64,
    /// How long it took.
    pub ms: u64,
}

/// The statistics of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// The spikes, oldest first.
    pub samples: Vec<Sample>,
    /// The maximum.
    pub max_ms: u64,
    /// The sum.
    pub sum_ms: u64,
    /// The number of spikes.
    pub count: u64,
}

impl Series {
    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.ms);
        self.sum_ms += sample.ms;
        self.count += 1;
        match self.samples.last_mut() {
            Some(last) if last.unix_s == sample.unix_s => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.remove(0);
                }
                self.samples.push(sample);
            }
        }
    }
}

/// All events.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyMonitor {
    /// Records an event that took `ns` nanoseconds and ended at `now_us`, if that reaches the
    /// threshold; 0: never.
    #[inline]
    pub fn note(&self, threshold_ms: u64, event: &'static str, ns: u64, now_us: i64) {
        let ms = ns / 1_000_000;
        if threshold_ms != 0 && ms >= threshold_ms {
            self.add(event, Sample { unix_s: now_us / 1_000_000, ms });
        }
    }

    #[cold]
    fn add(&self, event: &'static str, sample: Sample) {
        lock(&self.events).entry(event).or_default().add(sample);
    }

    /// Every event that has occurred, by name.
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        lock(&self.events).iter().map(|(name, series)| (*name, series.clone())).collect()
    }

    /// One event.
    pub fn get(&self, event: &[u8]) -> Option<Series> {
        let events = lock(&self.events);
        events.iter().find(|(name, _)| name.as_bytes() == event).map(|(_, series)| series.clone())
    }

    /// Removes the events for which `chosen` returns true; returns how many.
    pub fn reset(&self, chosen: impl Fn(&str) -> bool) -> usize {
        let mut events = lock(&self.events);
        let before = events.len();
        events.retain(|name, _| !chosen(name));
        before - events.len()
    }
}

#[cfg(test)]
mod tests;
