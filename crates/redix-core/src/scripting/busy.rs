//! The script that runs for too long.
//!
//! A script holds the world, so that nobody else can ask for it. Once it has run for
//! `busy-reply-threshold` milliseconds it is recorded here: other connections are then told that
//! the server is busy, and may end the script.
//!
//! **Invariants.** At most one script is recorded. Whether it has written and whether it was killed
//! is one state: a script that was killed writes nothing more, and one that has written is not
//! killed.

use super::Scripting;
use crate::error::ReplyError;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, lock};

/// What runs: a script of EVAL or a function of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Script,
    Function,
}

impl Kind {
    /// The command that ends it.
    pub fn kill_command(self) -> &'static str {
        match self {
            Self::Script => "SCRIPT KILL",
            Self::Function => "FUNCTION KILL",
        }
    }

    /// The reply to whom it makes wait.
    fn busy_error(self) -> ReplyError {
        ReplyError::Static(match self {
            Self::Script => {
                "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE."
            }
            Self::Function => {
                "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                 NOSAVE."
            }
        })
    }
}

/// States of a script that runs for too long.
mod state {
    pub(super) const HAS_READ: u8 = 0;
    pub(super) const HAS_WRITTEN: u8 = 1;
    pub(super) const KILLED: u8 = 2;
}

/// A script that runs for too long.
#[derive(Debug)]
pub struct Busy {
    /// What it is.
    pub kind: Kind,
    /// The digest of a script, or the name of a function.
    pub name: Vec<u8>,
    /// The command that runs it.
    pub command: Vec<Vec<u8>>,
    /// When it began, by the monotonic clock.
    pub started_ns: u64,
    /// It came with the stream of a primary.
    pub from_primary: bool,
    state: AtomicU8,
}

impl Busy {
    /// A script that runs; `has_written`: it has called a command that writes.
    pub fn new(
        kind: Kind,
        name: Vec<u8>,
        command: Vec<Vec<u8>>,
        started_ns: u64,
        (from_primary, has_written): (bool, bool),
    ) -> Self {
        let state = if has_written { state::HAS_WRITTEN } else { state::HAS_READ };
        Self { kind, name, command, started_ns, from_primary, state: AtomicU8::new(state) }
    }

    /// Whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.state.load(Ordering::Acquire) == state::KILLED
    }

    /// Notes that it is about to write; false if it was killed.
    pub fn may_write(&self) -> bool {
        self.advance(state::HAS_WRITTEN) != state::KILLED
    }

    /// Advances from reading only; returns the state afterwards.
    fn advance(&self, to: u8) -> u8 {
        let (order, from) = (Ordering::AcqRel, state::HAS_READ);
        match self.state.compare_exchange(from, to, order, Ordering::Acquire) {
            Ok(_) => to,
            Err(other) => other,
        }
    }
}

impl Scripting {
    /// Records the script that runs for too long, or that none does any more.
    pub fn set_busy(&self, script: Option<Arc<Busy>>) {
        *lock(&self.busy) = script;
    }

    /// The script that runs for too long.
    pub fn busy(&self) -> Option<Arc<Busy>> {
        lock(&self.busy).clone()
    }

    /// The reply to whom a script makes wait.
    pub fn busy_error(&self) -> ReplyError {
        // It may have ended just now.
        self.busy().map_or(Kind::Script, |script| script.kind).busy_error()
    }

    /// Ends the script that runs for too long, for the command that ends those of one kind. Errors:
    /// NOTBUSY; UNKILLABLE if it has written or came from a primary; BUSY if it is of the other
    /// kind.
    pub fn kill(&self, kind: Kind) -> Result<(), ReplyError> {
        let script = self.busy();
        let script =
            script.ok_or(ReplyError::Static("NOTBUSY No scripts in execution right now."))?;
        if script.from_primary {
            return Err(ReplyError::Static(
                "UNKILLABLE The busy script was sent by a master instance in the context of \
                 replication and cannot be killed.",
            ));
        }
        let has_written = script.state.load(Ordering::Acquire) == state::HAS_WRITTEN;
        if !has_written && script.kind != kind {
            return Err(script.kind.busy_error());
        }
        if has_written || script.advance(state::KILLED) == state::HAS_WRITTEN {
            return Err(ReplyError::Static(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command.",
            ));
        }
        Ok(())
    }
}
