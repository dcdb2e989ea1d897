//! The sessions that clients may resume, each until a time and up to a number of them.
//!
//! **Invariants.** Sessions are listed in the order in which they expire: all are kept for the same
//! time. A cache belongs to one configuration, so that what a changed one no longer trusts cannot
//! be resumed. Only clients whose handshake has ended have sessions here.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::server::StoresServerSessions;

/// Sessions that are kept where the configuration sets no limit.
const SESSIONS_MAX: usize = 1 << 20;

/// The cache of one configuration.
pub(super) struct SessionCache {
    state: Mutex<State>,
    entries_max: usize,
    keep: Duration,
}

#[derive(Default)]
struct State {
    sessions: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// The keys by age. One that was taken stays listed until its time is over.
    by_age: VecDeque<(Instant, Vec<u8>)>,
}

impl SessionCache {
    /// A cache for `size` sessions (0: [`SESSIONS_MAX`]), each of them for `keep_s` seconds.
    pub(super) fn new(size: u32, keep_s: u32) -> Self {
        let entries_max = match size {
            0 => SESSIONS_MAX,
            size => SESSIONS_MAX.min(size as usize),
        };
        Self { state: Mutex::default(), entries_max, keep: Duration::from_secs(keep_s.into()) }
    }
}

impl State {
    /// Drops the oldest until there is room for one more, and all that have expired.
    fn make_room(&mut self, now: Instant, entries_max: usize) {
        while let Some((until, key)) = self.by_age.front() {
            if *until > now && self.by_age.len() < entries_max {
                break;
            }
            if self.sessions.get(key).is_some_and(|(listed, _)| listed == until) {
                self.sessions.remove(key);
            }
            self.by_age.pop_front();
        }
    }
}

impl StoresServerSessions for SessionCache {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.make_room(now, self.entries_max);
        let until = now + self.keep;
        state.by_age.push_back((until, key.clone()));
        state.sessions.insert(key, (until, value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let (until, value) = state.sessions.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (until, value) = self.state.lock().sessions.remove(key)?;
        (until > Instant::now()).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCache").field("entries_max", &self.entries_max).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Vec<u8> {
        vec![number]
    }

    #[test]
    fn a_full_cache_forgets_the_oldest() {
        let cache = SessionCache::new(2, 300);
        for number in 0..3 {
            assert!(cache.put(key(number), key(number)));
        }
        assert_eq!(cache.get(&key(0)), None);
        assert_eq!(cache.get(&key(1)), Some(key(1)));
        assert_eq!(cache.take(&key(2)), Some(key(2)));
        assert_eq!(cache.take(&key(2)), None);
        assert!(cache.state.lock().by_age.len() <= 2);
    }

    #[test]
    fn an_expired_session_cannot_be_resumed_and_leaves() {
        let cache = SessionCache::new(10, 0);
        assert!(cache.put(key(1), key(1)));
        assert_eq!((cache.get(&key(1)), cache.take(&key(1))), (None, None));
        assert!(cache.put(key(2), key(2)));
        assert_eq!(cache.state.lock().by_age.len(), 1);
    }
}
