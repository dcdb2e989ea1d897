//! Read-ahead: parsing the replication stream in another thread, ahead of its execution.
//!
//! A lagging replica does two things for every command: it reads and parses it and hashes its keys;
//! and it executes it. The first does not depend on the second: [`ReadAhead`] turns bytes into
//! [`Portion`]s, which are executed one after the other in stream order, as if they had been read
//! only then.
//!
//! **Invariants.** A portion holds complete commands. An incomplete command stays with the reader
//! and begins the next portion, so that the bytes of all portions and of the rest are the stream,
//! in order and without gap.

use std::io::{self, Read};

use redix_resp::Limits;

pub use crate::client::portion::Portion;
use crate::client::{Input, READ_MAX};
use crate::command::prepared::Prepared;
use crate::command::table::Memo;
use crate::engine::Engine;
use crate::sync::Arc;

/// A larger buffer is freed when it is consumed.
const KEPT_MAX: usize = 4 * READ_MAX;

/// The reader of the stream.
pub struct ReadAhead {
    engine: Arc<Engine>,
    portion: Portion,
    memo: Memo,
    /// The stream violates the protocol after the prepared commands.
    broken: bool,
}

impl ReadAhead {
    /// Continues at the end of `input`, which must have no parked commands.
    pub fn new(engine: Arc<Engine>, input: Input) -> Self {
        debug_assert_eq!(input.parked(), 0, "what is parked would have to be prepared");
        let portion = Portion { input, ..Portion::default() };
        Self { engine, portion, memo: Memo::default(), broken: false }
    }

    /// Reads once, at most about [`READ_MAX`] bytes, and prepares complete commands. Returns the
    /// number of bytes. Errors: those of `source`, `UnexpectedEof` at its end, and `InvalidData`
    /// once the stream has violated the protocol.
    pub fn read(&mut self, source: &mut dyn Read) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Portion { input, prepared, received } = &mut self.portion;
        let count = source.read(input.space_of(READ_MAX))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        input.received(count);
        *received += count;
        input.parse(usize::MAX, &Limits::TRUSTED);
        prepared.reserve(input.parked() - prepared.len());
        for index in prepared.len()..input.parked() {
            let args = input.args(index);
            prepared.push(Prepared::of_primary(&self.engine, args, &mut self.memo));
        }
        self.broken = input.is_broken();
        Ok(count)
    }

    /// Takes the complete commands, if there are any. `spare` provides a consumed portion for
    /// reuse.
    pub fn take(&mut self, spare: impl FnOnce() -> Portion) -> Option<Portion> {
        if self.portion.input.parked() == 0 && !self.portion.input.is_broken() {
            return None;
        }
        let mut next = spare();
        if next.input.free_bytes() > KEPT_MAX {
            next = Portion::default();
        }
        next.received = 0;
        next.prepared.clear();
        self.portion.input.hand_on_rest(&mut next.input);
        Some(std::mem::replace(&mut self.portion, next))
    }

    /// Bytes of the stream that were read and not taken.
    pub fn waiting_bytes(&self) -> u64 {
        self.portion.len()
    }

    /// Bytes that were read and not taken, an incomplete command at most.
    pub fn into_rest(self) -> Portion {
        self.portion
    }
}

/// The next item of a stream that is read ahead.
pub enum Next {
    /// A portion to execute.
    Portion(Portion),
    /// There is nothing yet.
    Nothing,
    /// Reading ahead has ended. The rest is no complete command; the error says why: `WouldBlock`
    /// where all available bytes have been read.
    Ended(Portion, io::Error),
}

/// The portions of a stream that another thread reads ahead. Dropping it ends the reading, and
/// discards what was read.
pub trait Portions {
    /// The next portion. If there is none yet, the waker of [`Status`](crate::repl::status::Status)
    /// is called when there is.
    fn next(&mut self) -> Next;
    /// Returns a consumed portion for reuse.
    fn give_back(&mut self, spent: Portion);
    /// Bytes that were read and not yet returned by [`Portions::next`].
    fn waiting_bytes(&self) -> u64;
}
