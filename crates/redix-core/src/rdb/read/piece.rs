//! Pieces of a file: whole records of keys, which other threads can decode.

use super::super::input::Input;
use super::super::skip;
use super::{
    KeyRecord, Part, PendingMeta, RdbError, RdbReader, RdbVersion, ReadOptions, State, corrupt,
};

impl RdbReader<'_> {
    /// Cuts out the records of keys that the buffer holds from here on, as far as they are whole;
    /// `false` if there are none: then the next event must be read. Not for pushed bytes.
    pub fn cut(&mut self, piece: &mut Piece) -> std::result::Result<bool, RdbError> {
        piece.bytes.clear();
        let begins = matches!(self.state, State::Body | State::Record);
        if !begins || self.pending != PendingMeta::default() {
            return Ok(false);
        }
        let version = self.decoder.version;
        let len = match self.input.fill() {
            Ok(bytes) => skip::records_len(bytes, version),
            Err(kind) => return Err(self.error(kind)),
        };
        (piece.offset, piece.db, piece.version) = (self.input.offset(), self.db, version);
        self.input.take(len, &mut piece.bytes);
        Ok(len > 0)
    }
}

/// Consecutive records of keys of one database, cut out of a file by [`RdbReader::cut`].
#[derive(Default)]
pub struct Piece {
    bytes: Vec<u8>,
    /// Where they lie in the file.
    offset: u64,
    db: u32,
    version: RdbVersion,
}

/// Reads the keys of a piece.
pub struct PieceReader(RdbReader<'static>);

impl PieceReader {
    /// A reader of `piece`, with the options of the reader of the file.
    pub fn new(piece: Piece, options: ReadOptions) -> Self {
        let Piece { bytes, offset, db, version } = piece;
        let mut reader = RdbReader::over(Input::of_bytes(bytes, offset), options);
        reader.decoder.version = version;
        reader.state = State::Body;
        Self(RdbReader { db, ..reader })
    }

    /// The next key; `None` at the end.
    pub fn next_key(&mut self) -> std::result::Result<Option<KeyRecord<'_>>, RdbError> {
        let reader = &mut self.0;
        reader.state = State::Body;
        while !reader.input.rest().is_empty() {
            match reader.next_body_part() {
                Ok(Some(Part::Key(meta, value))) => {
                    return Ok(Some(self.0.key_record(meta, value)));
                }
                // Metadata of the key, or one whose collection is empty.
                Ok(None) => {}
                Ok(Some(_)) => return Err(reader.error(corrupt("a record without a key"))),
                Err(kind) => return Err(reader.error(kind)),
            }
        }
        Ok(None)
    }

    /// The offset in the file.
    pub fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// The keys passed over because their collections are empty, and the first of them.
    pub fn empty(&self) -> (u64, &[Vec<u8>]) {
        (self.0.empty_keys, &self.0.first_empty)
    }

    /// The piece's memory, for the next one.
    pub fn into_spare(self) -> Piece {
        Piece { bytes: self.0.input.into_bytes(), ..Piece::default() }
    }
}
