//! Loading a file by several threads.
//!
//! Each thread in turn cuts a piece out of the file under a lock, which only finds the ends of
//! records, and decodes and inserts the piece's keys outside of it. Other parts of the file, and
//! keys that are larger than a piece, are read under the lock.
//!
//! **Invariants.** Pieces are decoded in any order, so that a key must not be in the file twice. Of
//! several errors the first one in the file is reported. A round ends when all of its threads have
//! returned; none of them holds a lock then.

use super::place::Placer;
use super::{LoadError, LoadStep, Loader};
use crate::keyspace::Keyspace;
use crate::rdb::read::{Piece, PieceReader, ReadOptions};
use crate::sync::{Mutex, lock};

/// A file being loaded by one thread or several.
pub struct SharedLoader {
    options: ReadOptions,
    state: Mutex<State>,
}

struct State {
    loader: Loader,
    /// Pieces that may still be begun in this round.
    pieces_left: usize,
    is_done: bool,
    /// The first error in the file that has been found.
    failure: Option<LoadError>,
}

/// What a thread does next.
enum Next {
    /// Decode the piece.
    Decode(Box<Placer>),
    /// Ask again: another part was read.
    Again,
    /// Nothing in this round.
    Nothing,
}

impl SharedLoader {
    /// Nothing is read yet.
    pub fn new(loader: Loader) -> Self {
        let options = loader.options;
        let state = State { loader, pieces_left: 0, is_done: false, failure: None };
        Self { options, state: Mutex::new(state) }
    }

    /// Looks at the file, or changes it; no round is under way.
    pub fn with<T>(&self, f: impl FnOnce(&mut Loader) -> T) -> T {
        f(&mut lock(&self.state).loader)
    }

    /// Allows for the decoding of so many pieces in the round that begins.
    pub fn begin_round(&self, pieces: usize) {
        lock(&self.state).pieces_left = pieces;
    }

    /// A thread's part in a round. All of them are under a gate, or the caller holds the world.
    pub fn work(&self, keyspace: &Keyspace) {
        let mut piece = Piece::default();
        loop {
            let next = lock(&self.state).next(&mut piece, keyspace);
            match next {
                Next::Decode(mut placer) => {
                    let mut reader = PieceReader::new(std::mem::take(&mut piece), self.options);
                    let outcome = placer.piece(&mut reader, keyspace);
                    lock(&self.state).finish(&placer, &reader, outcome);
                    piece = reader.into_spare();
                }
                Next::Again => {}
                Next::Nothing => return,
            }
        }
    }

    /// The outcome of a round, whose threads have returned.
    pub fn end_round(&self) -> Result<LoadStep, LoadError> {
        let mut state = lock(&self.state);
        match state.failure.take() {
            Some(error) => Err(error),
            None if state.is_done => Ok(LoadStep::Done),
            None => Ok(LoadStep::More),
        }
    }
}

impl State {
    fn next(&mut self, piece: &mut Piece, keyspace: &Keyspace) -> Next {
        if self.is_done || self.failure.is_some() || self.pieces_left == 0 {
            return Next::Nothing;
        }
        match self.loader.cut(piece) {
            Ok(true) => {
                self.pieces_left -= 1;
                return Next::Decode(Box::new(self.loader.placer.fork()));
            }
            Ok(false) => {}
            Err(error) => {
                self.fail(error);
                return Next::Nothing;
            }
        }
        match self.loader.step(keyspace, 1) {
            Ok(LoadStep::More) => Next::Again,
            Ok(LoadStep::Done | LoadStep::Starved) => {
                self.is_done = true;
                Next::Nothing
            }
            Err(error) => {
                self.fail(error);
                Next::Nothing
            }
        }
    }

    fn finish(&mut self, placer: &Placer, reader: &PieceReader, outcome: Result<(), LoadError>) {
        self.loader.placer.join(placer);
        self.loader.note_empty(reader.empty());
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: LoadError) {
        if self.failure.as_ref().is_none_or(|first| error.offset() < first.offset()) {
            self.failure = Some(error);
        }
    }
}
