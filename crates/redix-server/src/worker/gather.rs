//! When a worker syncs the append-only file under `appendfsync always`.
//!
//! A sync takes as long for one connection as for fifty, and clients that wait for their replies
//! write again once the last sync has released them: they come one after the other, since their
//! machine needs time for each. So a worker that could sync looks for them for a moment, which its
//! other clients do not notice: it serves them meanwhile. A lone worker does not: it finds most of
//! them in its next turn, and looking costs more processor time than the syncs that it saves.
//!
//! **Invariants.** Without I/O and clock: time is passed in. A sync is put off for at most as long
//! as the last one took.

#[cfg(test)]
mod tests;

/// Connections that come at longer intervals are not waited for.
const PAUSE_NS: u64 = 30_000;

/// A sync that is put off.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Since when, by the monotonic clock, and when one more connection was seen to wait for it.
    since_ns: Option<(u64, u64)>,
    held: u64,
}

impl Gather {
    /// Whether to put the sync off further. `held`: connections that wait for it; `limit_ns`: how
    /// long it may be put off in all.
    pub(super) fn puts_off(&mut self, now_ns: u64, held: u64, limit_ns: u64) -> bool {
        let (since_ns, mut grown_ns) = self.since_ns.unwrap_or((now_ns, now_ns));
        if held != self.held {
            grown_ns = now_ns;
        }
        let goes_on = limit_ns > 0
            && now_ns.saturating_sub(since_ns) < limit_ns
            && now_ns.saturating_sub(grown_ns) < PAUSE_NS;
        self.since_ns = goes_on.then_some((since_ns, grown_ns));
        self.held = held;
        goes_on
    }

    /// How long to look for further requests; 0 if no sync is put off.
    pub(super) fn look_ns(&self, now_ns: u64) -> u64 {
        self.since_ns.map_or(0, |(_, grown_ns)| (grown_ns + PAUSE_NS).saturating_sub(now_ns).max(1))
    }
}
