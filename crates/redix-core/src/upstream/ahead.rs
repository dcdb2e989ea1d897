//! Reading the stream ahead of its execution, in another thread.
//!
//! A replica that is behind has two things to do for every command: get it out of the socket, take
//! it apart and hash its keys; and execute it. The first needs nothing of the second, so somebody
//! else can do it: [`ReadAhead`] turns bytes into [`Portion`]s, which are executed one after the
//! other in the order of the stream, as if they had been read only then.
//!
//! **Invariants.** A portion holds whole commands. What is no whole command yet stays with the
//! reader and goes in front of the next portion, so that the bytes of all portions and of the rest
//! are the stream, in order and without gap.

use std::io::{self, Read};

pub use crate::client::portion::Portion;
use crate::client::{Input, READ_MAX};
use crate::command::prepared::Prepared;
use crate::command::table::Memo;
use crate::engine::Engine;
use crate::sync::Arc;
use crate::worker::PRIMARY_LIMITS;

/// A spent buffer of more is freed.
const KEPT_MAX: usize = 4 * READ_MAX;

/// The stream on its way from the socket to its execution.
pub struct ReadAhead {
    engine: Arc<Engine>,
    portion: Portion,
    memo: Memo,
    /// The stream breaks the protocol behind what was prepared.
    broken: bool,
}

impl ReadAhead {
    /// Goes on where `input` ends, of which nothing may be parked.
    pub fn new(engine: Arc<Engine>, input: Input) -> Self {
        debug_assert_eq!(input.parked(), 0, "what is parked would have to be prepared");
        let portion = Portion { input, ..Portion::default() };
        Self { engine, portion, memo: Memo::default(), broken: false }
    }

    /// Reads once, at most about [`READ_MAX`] bytes, and prepares what is whole. Returns the number
    /// of bytes. Errors: those of `source`, `UnexpectedEof` at its end, and `InvalidData` once what
    /// was read has broken the protocol.
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
        input.parse(usize::MAX, &PRIMARY_LIMITS);
        prepared.reserve(input.parked() - prepared.len());
        for index in prepared.len()..input.parked() {
            let args = input.args(index);
            prepared.push(Prepared::ahead(&self.engine, args, &mut self.memo));
        }
        self.broken = input.is_broken();
        Ok(count)
    }

    /// What is whole by now, if anything is. `spare` makes a spent portion that can be used again.
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

    /// What was read and was not taken.
    pub fn into_rest(self) -> Portion {
        self.portion
    }
}

/// What comes next of a stream that is read ahead.
pub enum Next {
    /// This is to be executed.
    Portion(Portion),
    /// There is nothing yet.
    Nothing,
    /// Nobody reads ahead any more. The rest is no whole command; the error says why:
    /// `WouldBlock` where everything there was has been read.
    Ended(Portion, io::Error),
}

/// The portions of a stream that somebody reads ahead. Dropping it ends the reading, and loses what
/// was read.
pub trait Portions {
    /// The next portion. Where there is nothing yet, the waker of
    /// [`Status`](crate::repl::status::Status) is called when there is.
    fn next(&mut self) -> Next;
    /// Takes a spent portion back, to be used again.
    fn give_back(&mut self, spent: Portion);
    /// Bytes that were read and that [`Portions::next`] has yet to return.
    fn waiting_bytes(&self) -> u64;
}
