//! The largest buffers of any client in the last seconds, for the `client_recent_max_…` fields of
//! INFO.
//!
//! Connections are sampled about once a second. Source: Redis, `clientsCronTrackExpansiveClients`.

use crate::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Seconds that count as recent.
const SECONDS: usize = 8;

/// Bytes of the largest buffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Largest {
    /// The largest query buffer.
    pub input: usize,
    /// The largest pending output of one client.
    pub output: usize,
}

/// The maxima of one second.
#[derive(Debug, Default)]
struct Second {
    /// The second, in Unix time.
    at_s: AtomicI64,
    input: AtomicUsize,
    output: AtomicUsize,
}

/// The maxima of the last seconds.
#[derive(Debug, Default)]
pub struct RecentBuffers([Second; SECONDS]);

impl RecentBuffers {
    /// Records the buffers of a client. A concurrent record may be lost when a second begins; the
    /// client is sampled again a second later.
    pub fn note(&self, now_s: i64, seen: Largest) {
        let second = &self.0[now_s.rem_euclid(SECONDS as i64) as usize];
        if second.at_s.swap(now_s, Ordering::Relaxed) != now_s {
            second.input.store(0, Ordering::Relaxed);
            second.output.store(0, Ordering::Relaxed);
        }
        second.input.fetch_max(seen.input, Ordering::Relaxed);
        second.output.fetch_max(seen.output, Ordering::Relaxed);
    }

    /// The largest of the last seconds.
    pub fn most(&self, now_s: i64) -> Largest {
        let recent = |second: &&Second| {
            let age_s = now_s - second.at_s.load(Ordering::Relaxed);
            (0..SECONDS as i64).contains(&age_s)
        };
        self.0.iter().filter(recent).fold(Largest::default(), |most, second| Largest {
            input: most.input.max(second.input.load(Ordering::Relaxed)),
            output: most.output.max(second.output.load(Ordering::Relaxed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_the_last_seconds_counts() {
        let buffers = RecentBuffers::default();
        let seen = |input, output| Largest { input, output };
        assert_eq!(buffers.most(1000), seen(0, 0));
        buffers.note(1000, seen(5, 1));
        buffers.note(1000, seen(3, 7));
        buffers.note(1002, seen(4, 2));
        assert_eq!(buffers.most(1007), seen(5, 7));
        assert_eq!(buffers.most(1008), seen(4, 2));
        buffers.note(1008, seen(1, 1));
        assert_eq!(buffers.most(1009), seen(4, 2));
        assert_eq!(buffers.most(1010), seen(1, 1));
        // The clock may be set back.
        assert_eq!(buffers.most(900), seen(0, 0));
    }
}
