//! The fencing tokens of locks.
//!
//! A token is greater than every one issued before: the greater of the clock in microseconds and
//! one more than the last token. The last token stays known while the clock is set back, and where
//! a data set goes, since it is in files and in the values of locks, which replicas receive. The
//! clock is what remains where writes are lost: what the lost ones were issued is in the past.
//!
//! A lock's value is the text `lock:TOKEN:OWNER`, a string like any other.
//!
//! **Invariants.** [`Fence::issue`] never gives a token twice, nor one below another that it gave
//! or that [`Fence::raise`] was told of. `docs/decisions/012-fencing-tokens.md` says what that
//! guarantees.

use redix_types::num::parse_i64;

use crate::sync::atomic::{AtomicI64, Ordering};

/// The greatest token that is taken over: far beyond all clocks, and far enough from the largest
/// integer for what is issued after it.
const TAKEN_OVER_MAX: i64 = 1 << 62;

/// The last token issued. Shared by all threads.
#[derive(Debug, Default)]
pub struct Fence(AtomicI64);

impl Fence {
    /// The next token, at a time in microseconds since the Unix epoch.
    pub fn issue(&self, now_us: i64) -> i64 {
        let next = |last: i64| (last + 1).max(now_us);
        // Relaxed suffices: a lock's tokens are issued under the lock of its shard, and of
        // different locks only the order matters, which a single variable has.
        let last =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// Notes that a token was issued, by this server before or by another one.
    pub fn raise(&self, token: i64) {
        self.0.fetch_max(token.min(TAKEN_OVER_MAX), Ordering::Relaxed);
    }

    /// Notes the token in a value that was received, if it is a lock's.
    #[inline]
    pub fn note(&self, value: &[u8]) {
        if let Some(lock) = Lock::parse(value) {
            self.raise(lock.token);
        }
    }

    /// The last token issued; 0 if there was none.
    pub fn last(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A lock that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock<'a> {
    /// Its fencing token.
    pub token: i64,
    /// Whose it is.
    pub owner: &'a [u8],
}

const PREFIX: &[u8] = b"lock:";

impl<'a> Lock<'a> {
    /// The lock in a value; None if it is none.
    #[inline]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let rest = value.strip_prefix(PREFIX)?;
        let colon = memchr::memchr(b':', rest)?;
        let token = parse_i64(&rest[..colon]).filter(|token| *token > 0)?;
        Some(Self { token, owner: &rest[colon + 1..] })
    }

    /// Its value.
    pub fn to_value(self) -> Vec<u8> {
        let token = self.token.to_string();
        [PREFIX, token.as_bytes(), b":", self.owner].concat()
    }
}

#[cfg(test)]
mod tests;
