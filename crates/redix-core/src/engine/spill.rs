//! Moving to disk what replicas that are being synchronised retain of the replication log.
//!
//! A thread of its own calls [`Engine::spill_log`]; the workers wake it. See
//! [`crate::repl::log`] for what is moved.

use std::io;
use std::path::Path;

use super::{Engine, Rest};
use crate::env::Level;

/// The longest rest.
const NAP_NS: u64 = 1_000_000_000;
/// The rest after a failure.
const RETRY_NS: u64 = 10_000_000_000;
/// Pieces moved per call.
const PIECES_PER_STEP: usize = 16;

/// The state of that thread.
#[derive(Default)]
pub struct Spiller {
    piece: Vec<u8>,
    /// When the next attempt is due, after a failure.
    retry_ns: u64,
}

impl Engine {
    /// Moves some of the log to disk, if there is something to move, and closes files that nobody
    /// needs. A failure is logged; the replicas concerned are closed at their output limit.
    pub fn spill_log(&self, spiller: &mut Spiller) -> Rest {
        let (log, config, now_ns) = (&self.repl.log, self.config(), self.env.clock.mono_ns());
        log.spill_above(config.spill_above());
        log.close_unneeded();
        if now_ns < spiller.retry_ns {
            return Rest::Until(spiller.retry_ns.min(now_ns + NAP_NS));
        }
        let dir = Path::new(&config.dir);
        for _ in 0..PIECES_PER_STEP {
            let moved = log.spill(&*self.env.disk, dir, config.repl_spill_max, &mut spiller.piece);
            match moved {
                Ok(true) => {
                    log.note_spill_works(true);
                    // A reader may have found the file busy.
                    self.repl.replicas.tell(&self.registry, None);
                }
                Ok(false) => {
                    log.note_spill_works(true);
                    spiller.piece = Vec::new();
                    return Rest::Until(now_ns + NAP_NS);
                }
                Err(error) => {
                    spiller.retry_ns = now_ns + RETRY_NS;
                    log.note_spill_works(false);
                    self.report_spill(&error, config.repl_spill_max);
                    return Rest::Until(now_ns + NAP_NS);
                }
            }
        }
        Rest::None
    }

    fn report_spill(&self, error: &io::Error, disk_bytes_max: u64) {
        let full = error.kind() == io::ErrorKind::StorageFull
            && self.repl.log.spilled_bytes() >= disk_bytes_max;
        let why = if full { "repl-spill-max is reached".into() } else { error.to_string() };
        self.env.log(
            Level::Warning,
            &format!(
                "The stream of replicas that are being synchronised can't be moved to disk: {why}. \
                 They are closed at their output limit."
            ),
        );
    }
}
