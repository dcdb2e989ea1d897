//! Pauses: CLIENT PAUSE, and the pauses of shutdown and failover.
//!
//! Each purpose has a pause of its own with its own end; a command is paused if any of them covers
//! it. A pause promises that the data does not change: while there is one, nothing expires.
//!
//! **Invariants.** Only CLIENT PAUSE has a timeout; the end of a pause is announced to the workers.
//! A pause begins in the world, so that no command that it covers is still being executed.

#[cfg(test)]
mod tests;

use crate::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Which commands are paused, in increasing order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// None.
    Nothing,
    /// Those that write.
    Writes,
    /// All commands.
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
    /// The disk does not keep up with the append-only file.
    AppendOnly,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Client, Self::Shutdown, Self::Failover, Self::AppendOnly];

    /// Its name in INFO.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client_pause",
            Self::Shutdown => "shutdown_in_progress",
            Self::Failover => "failover_in_progress",
            Self::AppendOnly => "aof_write_in_progress",
        }
    }
}

/// One purpose's pause.
#[derive(Debug, Default)]
struct Event {
    /// End as Unix time in milliseconds; 0: there is none.
    until_ms: AtomicI64,
    all: AtomicBool,
    /// It began while the server was a primary.
    on_primary: AtomicBool,
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
    /// The commands paused at `now_ms`.
    #[inline]
    pub fn at(&self, now_ms: i64) -> Paused {
        self.events.iter().map(|event| event.at(now_ms)).max().unwrap_or(Paused::Nothing)
    }

    /// Whether any commands are paused at `now_ms`.
    #[inline]
    pub fn any(&self, now_ms: i64) -> bool {
        self.at(now_ms) != Paused::Nothing
    }

    /// Among the pauses of the strongest kind, the longest: its purpose and its remaining
    /// milliseconds.
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

    /// The end of CLIENT PAUSE as Unix time in milliseconds; 0: there is none.
    pub fn client_until_ms(&self) -> i64 {
        self.event(Purpose::Client).until_ms.load(Ordering::Relaxed)
    }

    /// CLIENT PAUSE until `until_ms`, as [`start`](Self::start).
    pub fn start_client(&self, now_ms: i64, until_ms: i64, what: Paused, is_replica: bool) {
        let event = self.event(Purpose::Client);
        if event.at(now_ms) == Paused::Nothing {
            event.on_primary.store(!is_replica, Ordering::Relaxed);
        }
        self.start(Purpose::Client, now_ms, until_ms, what);
    }

    /// Whether CLIENT PAUSE covers `now_ms` and began while the server was a primary.
    pub fn began_on_primary(&self, now_ms: i64) -> bool {
        let event = self.event(Purpose::Client);
        event.at(now_ms) != Paused::Nothing && event.on_primary.load(Ordering::Relaxed)
    }

    /// Pauses until `until_ms`. An earlier pause for the same purpose that is longer or stronger is
    /// kept.
    pub fn start(&self, purpose: Purpose, now_ms: i64, until_ms: i64, what: Paused) {
        let event = self.event(purpose);
        let (old, old_ms) = (event.at(now_ms), event.until_ms.load(Ordering::Relaxed));
        event.all.store(what.max(old) == Paused::All, Ordering::Relaxed);
        event.until_ms.store(until_ms.max(old_ms), Ordering::Relaxed);
    }

    /// Whether there is a pause for this purpose, which has no timeout.
    pub fn is_on(&self, purpose: Purpose) -> bool {
        self.event(purpose).until_ms.load(Ordering::Relaxed) != 0
    }

    /// Ends the pause for one purpose.
    pub fn end(&self, purpose: Purpose) {
        self.event(purpose).until_ms.store(0, Ordering::Relaxed);
    }

    fn event(&self, purpose: Purpose) -> &Event {
        &self.events[purpose as usize]
    }
}
