//! Pauses: commands that are held back for a while, and what for.
//!
//! Each purpose has a pause of its own, so that the end of one says nothing about another. What is
//! held back is what any of them holds back. A pause promises that the data does not change: while
//! there is one, nothing expires.
//!
//! **Invariants.** Only a client's pause runs out by itself; whoever ends one tells the workers.
//! A pause begins in the world, so that nothing that it is to hold back is still under way.

#[cfg(test)]
mod tests;

use crate::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Which commands a pause holds back; the later the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// None.
    Nothing,
    /// Those that write.
    Writes,
    /// All.
    All,
}

/// What a pause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// CLIENT PAUSE.
    Client,
    /// A shutdown that waits for replicas.
    Shutdown,
    /// A failover.
    Failover,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Client, Self::Shutdown, Self::Failover];

    /// As INFO names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client_pause",
            Self::Shutdown => "shutdown_in_progress",
            Self::Failover => "failover_in_progress",
        }
    }
}

/// One purpose's pause.
#[derive(Debug, Default)]
struct Event {
    /// Unix time in milliseconds; 0: there is none.
    until_ms: AtomicI64,
    all: AtomicBool,
}

impl Event {
    #[inline]
    fn at(&self, now_ms: i64) -> Paused {
        if self.until_ms.load(Ordering::Relaxed) <= now_ms {
            return Paused::Nothing;
        }
        if self.all.load(Ordering::Relaxed) { Paused::All } else { Paused::Writes }
    }
}

/// The pauses of all purposes.
#[derive(Debug, Default)]
pub struct Pause {
    events: [Event; Purpose::ALL.len()],
}

impl Pause {
    /// What is held back at `now_ms`.
    #[inline]
    pub fn at(&self, now_ms: i64) -> Paused {
        self.events.iter().map(|event| event.at(now_ms)).max().unwrap_or(Paused::Nothing)
    }

    /// Whether anything is held back at `now_ms`.
    #[inline]
    pub fn any(&self, now_ms: i64) -> bool {
        self.at(now_ms) != Paused::Nothing
    }

    /// Of the pauses that hold back the most, the purpose of the longest and for how many
    /// milliseconds more.
    pub fn longest(&self, now_ms: i64) -> Option<(Purpose, i64)> {
        let most = self.at(now_ms);
        let mut longest: Option<(Purpose, i64)> = None;
        for (purpose, event) in Purpose::ALL.into_iter().zip(&self.events) {
            let left_ms = event.until_ms.load(Ordering::Relaxed).saturating_sub(now_ms);
            if most != Paused::Nothing
                && event.at(now_ms) == most
                && longest.is_none_or(|(_, other_ms)| left_ms > other_ms)
            {
                longest = Some((purpose, left_ms));
            }
        }
        longest
    }

    /// When a client's pause runs out by itself, as Unix time in milliseconds; 0: there is none.
    pub fn client_until_ms(&self) -> i64 {
        self.event(Purpose::Client).until_ms.load(Ordering::Relaxed)
    }

    /// Pauses until `until_ms`. An earlier pause for the same purpose that lasts longer or holds
    /// back more is kept.
    pub fn start(&self, purpose: Purpose, now_ms: i64, until_ms: i64, what: Paused) {
        let event = self.event(purpose);
        let (old, old_ms) = (event.at(now_ms), event.until_ms.load(Ordering::Relaxed));
        event.all.store(what.max(old) == Paused::All, Ordering::Relaxed);
        event.until_ms.store(until_ms.max(old_ms), Ordering::Relaxed);
    }

    /// Ends the pause for one purpose.
    pub fn end(&self, purpose: Purpose) {
        self.event(purpose).until_ms.store(0, Ordering::Relaxed);
    }

    fn event(&self, purpose: Purpose) -> &Event {
        &self.events[purpose as usize]
    }
}
