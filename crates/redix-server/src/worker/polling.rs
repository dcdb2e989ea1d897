//! How long a worker polls before it sleeps.
//!
//! To sleep and be woken costs a worker and whoever wakes it some microseconds, and the request
//! that ends the sleep waits for the worker to run again. A worker that expects the next request
//! sooner asks for readiness without sleeping instead. It expects what it has seen: now and then a
//! wait polls for as long as may be, and tells how long the gap was; the limit for all others is
//! the one that would have made those waits cheapest. After requests that come too late for it, and
//! after none, it sleeps at once.
//!
//! Polling is a loss where somebody else wants the processor. A worker gives it away between two
//! looks, and a look that took long tells that somebody took it: then it sleeps for a while, longer
//! each time.
//!
//! **Invariants.** Without I/O and clock: time is passed in. On average a wait polls for less than
//! sleeping is taken to cost, but for the probes.
//!
//! Source: the limit is the optimum of the rent-or-buy problem for the distribution seen (Karlin et
//! al., "Competitive randomized algorithms for nonuniform problems", 1994).

#[cfg(test)]
mod tests;

/// What sleeping costs: 3 us of the worker's processor time and about as much of its waker's, on a
/// virtual machine whose idle processors do not halt at once.
const SLEEP_COST_NS: u64 = 6_000;
/// The limits to choose from: the longest allowed one halved so many times.
const LIMITS: usize = 6;
/// A probe in so many waits.
const PROBE_INTERVAL: u32 = 32;
/// Probes known before a limit is chosen; older ones count half after [`PROBES_MAX`].
const PROBES_MIN: u32 = 8;
const PROBES_MAX: u32 = 64;
/// Waits in a row without a request in reach after which none is expected.
const MISSES_MAX: u32 = 6;
/// A look that takes longer was interrupted by somebody who wanted the processor.
const LOOK_LONG_NS: u64 = 30_000;
/// A long look weighs as much as so many waits without one.
const STRAIN_OF_LOOK: u32 = 16;
const STRAIN_MAX: u32 = 48;
/// How long the worker does not poll after strain: at first, and at most.
const REST_MIN_NS: u64 = 20_000_000;
const REST_MAX_NS: u64 = 2_000_000_000;

/// How a wait begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Nanoseconds to poll for before sleeping; 0: none.
    pub(super) poll_ns: u64,
    is_probe: bool,
}

impl Plan {
    /// To sleep at once.
    pub(super) const SLEEP: Self = Self { poll_ns: 0, is_probe: false };
}

/// What a worker knows about the gaps between its requests.
#[derive(Debug, Default)]
pub(super) struct Polling {
    /// `busy-poll-max-us` in nanoseconds.
    max_ns: u64,
    /// The gaps of probes that ended within each limit, the shortest first; then the longer ones.
    gaps: [u32; LIMITS + 1],
    /// How long to poll.
    limit_ns: u64,
    /// Waits until the next probe.
    until_probe: u32,
    misses: u32,
    strain: u32,
    rest_ns: u64,
    rest_until_ns: u64,
}

impl Polling {
    /// Plans a wait that follows a turn with commands. `max_ns`: the longest time to poll.
    // HOT PATH: once per turn.
    pub(super) fn plan(&mut self, now_ns: u64, max_ns: u64) -> Plan {
        if max_ns != self.max_ns {
            *self = Self { max_ns, rest_ns: self.rest_ns, ..Self::default() };
        }
        if max_ns == 0 || now_ns < self.rest_until_ns {
            return Plan::SLEEP;
        }
        if self.misses >= MISSES_MAX {
            return Plan::SLEEP;
        }
        if self.until_probe == 0 {
            self.until_probe = PROBE_INTERVAL;
            return Plan { poll_ns: max_ns, is_probe: true };
        }
        self.until_probe -= 1;
        Plan { poll_ns: self.limit_ns, is_probe: false }
    }

    /// Learns from a wait for `waited_ns` that has ended with something to do.
    pub(super) fn note_wait(&mut self, plan: Plan, waited_ns: u64) {
        self.strain = self.strain.saturating_sub(1);
        // A sleep ends later than the gap, by what waking takes.
        let reach_ns = if plan.poll_ns == 0 { self.max_ns * 2 } else { plan.poll_ns };
        if waited_ns > reach_ns {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            if self.misses == MISSES_MAX && self.limit_ns > 0 {
                self.forget();
            }
        } else {
            self.misses = 0;
        }
        if plan.is_probe {
            let limits = (0..LIMITS).map(|nth| self.limit(nth));
            let nth = limits.take_while(|limit| waited_ns > *limit).count();
            self.gaps[nth] += 1;
            self.choose();
        }
    }

    /// Learns how long a look for readiness took, with the time that others had the processor.
    pub(super) fn note_look(&mut self, now_ns: u64, took_ns: u64) {
        if took_ns <= LOOK_LONG_NS {
            return;
        }
        self.strain += STRAIN_OF_LOOK;
        if self.strain > STRAIN_MAX {
            let rested_long_ago = now_ns.saturating_sub(self.rest_until_ns) > REST_MAX_NS;
            let longer_ns = if rested_long_ago { 0 } else { self.rest_ns * 2 };
            self.rest_ns = longer_ns.clamp(REST_MIN_NS, REST_MAX_NS);
            self.rest_until_ns = now_ns + self.rest_ns;
            self.strain = 0;
            self.forget();
        }
    }

    fn forget(&mut self) {
        (self.limit_ns, self.gaps) = (0, [0; LIMITS + 1]);
    }

    fn limit(&self, nth: usize) -> u64 {
        self.max_ns >> (LIMITS - 1 - nth)
    }

    /// Chooses the limit under which the probes would have cost least.
    fn choose(&mut self) {
        let count: u32 = self.gaps.iter().sum();
        if count < PROBES_MIN {
            return;
        }
        let total = u64::from(count);
        let mut best = (total * SLEEP_COST_NS, 0);
        let (mut met, mut polled_ns) = (0, 0);
        for nth in 0..LIMITS {
            let limit_ns = self.limit(nth);
            let here = u64::from(self.gaps[nth]);
            met += here;
            // In the middle between two limits.
            polled_ns += here * limit_ns * 3 / 4;
            let cost_ns = polled_ns + (total - met) * (limit_ns + SLEEP_COST_NS);
            best = best.min((cost_ns, limit_ns));
        }
        self.limit_ns = best.1;
        if count >= PROBES_MAX {
            self.gaps.iter_mut().for_each(|count| *count /= 2);
        }
    }
}
