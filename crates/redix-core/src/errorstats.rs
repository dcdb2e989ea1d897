//! Error replies by code, for `INFO errorstats`.
//!
//! **Invariant.** The codes are bounded: those of the server by their number, those that scripts
//! make up by [`CODES_MAX`].

use std::collections::BTreeMap;

use crate::error::ReplyError;
use crate::sync::{Mutex, lock};

/// The number of codes from which on scripts add no more; without a bound, faulty ones would fill
/// the memory.
pub const CODES_MAX: usize = 128;

/// What the errors of scripts are counted under whose codes are not.
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// Error counts by code.
#[derive(Debug, Default)]
pub struct ErrorStats {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl ErrorStats {
    /// Counts one error reply.
    pub fn count(&self, error: &ReplyError) {
        *lock(&self.counts).entry(error.code()).or_default() += 1;
    }

    /// Counts one error reply whose code a script may have made up.
    pub fn count_of_script(&self, error: &ReplyError) {
        let mut counts = lock(&self.counts);
        let code = error.code();
        let is_counted = counts.len() < CODES_MAX || counts.contains_key(&code);
        *counts.entry(if is_counted { code } else { OVERFLOW.into() }).or_default() += 1;
    }

    /// The counts by code, in order of the codes.
    pub fn all(&self) -> Vec<(String, u64)> {
        lock(&self.counts).iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// Resets all counts.
    pub fn reset(&self) {
        lock(&self.counts).clear();
    }
}
