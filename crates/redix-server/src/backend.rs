//! How workers read and write sockets: the choice at the start.

use redix_core::config::IoBackend;

use crate::ring::Ring;
use crate::{log, sys};

/// What each worker reads and writes sockets with.
pub(crate) struct Backend {
    /// A ring for each worker, or none: then each transfer is a system call.
    rings: Vec<Ring>,
}

impl Backend {
    /// What a configuration asks for, for so many workers. Fails if it insists on what the kernel
    /// refuses.
    pub(crate) fn choose(wanted: IoBackend, workers: usize) -> Result<Self, String> {
        if wanted == IoBackend::Epoll {
            return Ok(Self { rings: Vec::new() });
        }
        match (0..workers).map(|_| Ring::new()).collect() {
            Ok(rings) => Ok(Self { rings }),
            Err(error) if wanted == IoBackend::Uring => Err(format!(
                "Can't use io_uring, which io-backend asks for: {}",
                sys::error_text(&error)
            )),
            Err(error) => {
                log::notice(&format!(
                    "Without io_uring, which is refused: {}",
                    sys::error_text(&error)
                ));
                Ok(Self { rings: Vec::new() })
            }
        }
    }

    /// Its name, as INFO shows it.
    pub(crate) fn name(&self) -> &'static str {
        if self.rings.is_empty() { "epoll" } else { "uring" }
    }

    /// The ring of the next worker, if they have any.
    pub(crate) fn take_ring(&mut self) -> Option<Ring> {
        self.rings.pop()
    }
}
