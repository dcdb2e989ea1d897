//! `oom-score-adj`: the kernel's score for choosing a process to kill when memory is exhausted.
//!
//! **Invariants.** While the directive is off the score is not touched. The score found when it was
//! switched on is the base of relative scores, and is restored when it is switched off. One of its
//! values is for primaries and one for replicas.

use std::io;

use parking_lot::Mutex;
use redix_core::config::{Config, OomScoreAdj};

use crate::{log, sys};

const PATH: &str = "/proc/self/oom_score_adj";

/// The score of this process.
#[derive(Debug, Default)]
pub struct OomScore {
    /// The score when the directive was switched on.
    base: Mutex<Option<i32>>,
}

impl OomScore {
    /// Applies the configuration. Errors are also logged; the score is then unchanged.
    pub fn follow(&self, config: &Config) -> io::Result<()> {
        let mut base = self.base.lock();
        let done = match (config.oom_score_adj, *base) {
            (OomScoreAdj::No, None) => Ok(()),
            (OomScoreAdj::No, Some(score)) => {
                *base = None;
                write(score)
            }
            (mode, known) => known.map_or_else(read, Ok).and_then(|known| {
                let own = config.oom_score_adj_values[usize::from(config.replicaof.is_some())];
                write(wanted(mode, own, known))?;
                *base = Some(known);
                Ok(())
            }),
        };
        if let Err(error) = &done {
            log::warning(&format!("Unable to write oom_score_adj: {}", sys::error_text(error)));
        }
        done
    }
}

fn wanted(mode: OomScoreAdj, own: i32, base: i32) -> i32 {
    match mode {
        OomScoreAdj::No => base,
        OomScoreAdj::Relative => base.saturating_add(own),
        OomScoreAdj::Absolute => own,
    }
}

fn read() -> io::Result<i32> {
    let text = std::fs::read_to_string(PATH)?;
    text.trim().parse().map_err(io::Error::other)
}

fn write(score: i32) -> io::Result<()> {
    std::fs::write(PATH, score.clamp(-1000, 1000).to_string())
}
