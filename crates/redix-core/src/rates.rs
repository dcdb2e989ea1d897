//! Rates per second for the `instantaneous_…` fields of INFO.
//!
//! The totals are sampled ten times a second; a rate is the mean over the last [`SAMPLES`] samples.

use crate::stats::Totals;
use crate::sync::{Mutex, lock};

/// Number of samples that are averaged.
const SAMPLES: usize = 16;

/// Rates per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Commands executed.
    pub commands: f64,
    /// Bytes received.
    pub input_bytes: f64,
    /// Bytes sent.
    pub output_bytes: f64,
    /// Bytes received from a primary.
    pub repl_input_bytes: f64,
    /// Bytes sent to replicas.
    pub repl_output_bytes: f64,
    /// Turns of event loops.
    pub turns: f64,
    /// Nanoseconds spent in turns.
    pub turn_ns: f64,
}

impl Rates {
    fn sums(totals: &Totals) -> Self {
        Self {
            commands: totals.commands as f64,
            input_bytes: totals.all_input_bytes() as f64,
            output_bytes: totals.all_output_bytes() as f64,
            repl_input_bytes: totals.net_repl_input_bytes as f64,
            repl_output_bytes: totals.net_repl_output_bytes as f64,
            turns: totals.turns as f64,
            turn_ns: totals.turn_ns as f64,
        }
    }

    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            commands: f(self.commands, other.commands),
            input_bytes: f(self.input_bytes, other.input_bytes),
            output_bytes: f(self.output_bytes, other.output_bytes),
            repl_input_bytes: f(self.repl_input_bytes, other.repl_input_bytes),
            repl_output_bytes: f(self.repl_output_bytes, other.repl_output_bytes),
            turns: f(self.turns, other.turns),
            turn_ns: f(self.turn_ns, other.turn_ns),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    last_ns: u64,
    last: Rates,
    samples: [Rates; SAMPLES],
    next: usize,
}

/// The last samples.
#[derive(Debug, Default)]
pub struct RateSampler {
    state: Mutex<State>,
}

impl RateSampler {
    /// Takes a sample at `now_ns` of the monotonic clock.
    pub fn sample(&self, now_ns: u64, totals: &Totals) {
        let mut state = lock(&self.state);
        let sums = Rates::sums(totals);
        let elapsed_s = now_ns.saturating_sub(state.last_ns) as f64 / 1e9;
        // The first sample has no predecessor; CONFIG RESETSTAT lowers the totals.
        if state.last_ns != 0 && elapsed_s > 0.0 {
            let rates = sums.zip(state.last, |now, then| (now - then).max(0.0) / elapsed_s);
            let next = state.next;
            state.samples[next] = rates;
            state.next = (next + 1) % SAMPLES;
        }
        state.last_ns = now_ns;
        state.last = sums;
    }

    /// The present rates.
    pub fn now(&self) -> Rates {
        let state = lock(&self.state);
        let sum =
            state.samples.iter().fold(Rates::default(), |sum, one| sum.zip(*one, |a, b| a + b));
        sum.zip(sum, |total, _| total / SAMPLES as f64)
    }

    /// Drops all samples.
    pub fn reset(&self) {
        *lock(&self.state) = State::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate() {
        let sampler = RateSampler::default();
        for step in 0..=SAMPLES as u64 {
            let totals = Totals {
                commands: step * 50,
                net_output_bytes: step * 30,
                net_repl_output_bytes: step * 20,
                net_repl_input_bytes: step * 10,
                ..Totals::default()
            };
            sampler.sample(1 + step * 100_000_000, &totals);
        }
        let now = sampler.now();
        assert!((now.commands - 500.0).abs() < 0.001);
        assert!((now.output_bytes - 500.0).abs() < 0.001);
        assert!((now.repl_output_bytes - 200.0).abs() < 0.001);
        assert!((now.repl_input_bytes - 100.0).abs() < 0.001);
        assert!((now.input_bytes - 100.0).abs() < 0.001);
        sampler.reset();
        assert_eq!(sampler.now(), Rates::default());
    }
}
