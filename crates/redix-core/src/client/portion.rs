//! Commands of one connection that were prepared before they are executed.

use super::Input;
use crate::command::prepared::Prepared;

/// Some of the stream: whole commands, looked up and hashed.
#[derive(Default)]
pub struct Portion {
    pub(crate) input: Input,
    pub(crate) prepared: Vec<Prepared>,
    /// Bytes that were read from the primary while it was made: those of the last command may
    /// belong to the next portion.
    pub(crate) received: usize,
}

impl Portion {
    /// Bytes of the stream in it.
    pub fn len(&self) -> u64 {
        self.input.pending_bytes() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
