//! Finding where the records of keys end, without decoding them.
//!
//! A file is cut into pieces of whole records that several threads decode. Nothing is validated
//! here beyond what finding the end requires.
//!
//! **Invariants.** No input panics, and none takes longer than its bytes: an element takes at least
//! one. Where a record is whole and can be decoded, its end is where the decoder ends. A record
//! that is cut off, damaged or of a rare type has no end here: it is left to the decoder, which
//! reads on from its start.

use super::format::{RdbVersion, TYPE_STRING, encoding, opcode};
use super::types;

/// The length of the whole records of keys at the start of `bytes`.
pub(super) fn records_len(bytes: &[u8], version: RdbVersion) -> usize {
    let mut skip = Skip { rest: bytes };
    loop {
        let len = bytes.len() - skip.rest.len();
        if skip.record(version).is_none() {
            return len;
        }
    }
}

/// A position in bytes; each function moves it forward, or returns `None` where it cannot.
pub(super) struct Skip<'b> {
    rest: &'b [u8],
}

impl Skip<'_> {
    /// A key with its value and what precedes them.
    fn record(&mut self, version: RdbVersion) -> Option<()> {
        let type_byte = loop {
            match self.byte()? {
                opcode::EXPIRETIME_MS => self.bytes(8)?,
                opcode::EXPIRETIME => self.bytes(4)?,
                opcode::IDLE => drop(self.len()?),
                opcode::FREQ => self.bytes(1)?,
                byte => break byte,
            }
        };
        self.string()?;
        match type_byte {
            TYPE_STRING => self.string(),
            _ => types::skip(self, type_byte, version),
        }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    pub(super) fn bytes(&mut self, len: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(len).ok()?..)?;
        Some(())
    }

    /// A length.
    pub(super) fn len(&mut self) -> Option<u64> {
        let first = self.byte()?;
        self.len_after(first)
    }

    fn len_after(&mut self, first: u8) -> Option<u64> {
        match first >> 6 {
            encoding::LEN_6 => Some(u64::from(first)),
            encoding::LEN_14 => Some(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            _ => match first {
                encoding::LEN_32 => self.array().map(u32::from_be_bytes).map(u64::from),
                encoding::LEN_64 => self.array().map(u64::from_be_bytes),
                _ => None,
            },
        }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    /// A string in any encoding.
    pub(super) fn string(&mut self) -> Option<()> {
        match self.byte()? {
            encoding::INT_8 => self.bytes(1),
            encoding::INT_16 => self.bytes(2),
            encoding::INT_32 => self.bytes(4),
            encoding::LZF => {
                let len = self.len()?;
                self.len()?;
                self.bytes(len)
            }
            first => {
                let len = self.len_after(first)?;
                self.bytes(len)
            }
        }
    }

    /// A number of elements and each of them.
    pub(super) fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        (0..self.len()?).try_for_each(|_| element(self))
    }
}

#[cfg(test)]
pub(super) mod tests;
