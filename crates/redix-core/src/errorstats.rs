//! Error replies by code, for `INFO errorstats`.

use std::collections::BTreeMap;

use crate::error::ReplyError;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};

/// The most codes that are counted separately; without a bound, faulty scripts would fill the
/// memory.
pub const CODES_MAX: usize = 128;

/// Error counts by code.
#[derive(Debug, Default)]
pub struct ErrorStats {
    counts: Mutex<BTreeMap<String, u64>>,
    overflowed: AtomicBool,
}

impl ErrorStats {
    /// Counts one error reply.
    pub fn count(&self, error: &ReplyError) {
        let code = error.code();
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&code) {
            *count += 1;
        } else if counts.len() < CODES_MAX {
            counts.insert(code, 1);
        } else {
            self.overflowed.store(true, Ordering::Relaxed);
        }
    }

    /// The counts by code, in order of the codes.
    pub fn all(&self) -> Vec<(String, u64)> {
        lock(&self.counts).iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// Whether codes beyond the bound were seen.
    pub fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Resets all counts.
    pub fn reset(&self) {
        lock(&self.counts).clear();
        self.overflowed.store(false, Ordering::Relaxed);
    }
}
