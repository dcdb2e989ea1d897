//! The kernel's score for who is killed when memory runs out: `oom-score-adj`.
//!
//! **Invariants.** While the directive is off the score is not touched, whoever changes it. What
//! stood there when it was switched on is the base of relative scores, and is put back when it is
//! switched off. Of its values one is that of primaries and one that of replicas.

use std::io;

use parking_lot::Mutex;
use redix_core::config::{Config, OomScoreAdj};

use crate::{log, sys};

const PATH: &str = "/proc/self/oom_score_adj";

/// The score of this process.
#[derive(Debug, Default)]
pub struct OomScore {
    /// What it was when the directive was switched on.
    base: Mutex<Option<i32>>,
}

impl OomScore {
    /// Sets it as the configuration says. Errors are also logged; the score is then as it was.
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
