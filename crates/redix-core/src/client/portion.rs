//! A batch of commands of one connection, prepared (looked up and hashed) before execution.

use super::Input;
use crate::command::prepared::Prepared;

/// A part of the stream: complete commands, looked up and hashed.
#[derive(Default)]
pub struct Portion {
    pub(crate) input: Input,
    pub(crate) prepared: Vec<Prepared>,
    /// Bytes that were read from the primary while the portion was made; the last of them may
    /// belong to the next portion.
    pub(crate) received: usize,
}

impl Portion {
    /// Bytes of the stream in it.
    pub fn len(&self) -> u64 {
        self.input.pending_bytes() as u64
    }

    /// Whether it has no commands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
