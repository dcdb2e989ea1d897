//! What a log says of the producers of a stream, as the name of a group that cannot be.
//!
//! ```text
//! start | P | length of the producer's name, 8 bytes | name | identifier
//!       | W | duration, 4 | most identifiers, 4
//!       | C | identifiers ever recorded, 8 | repetitions met, 8
//! ```
//!
//! Numbers are little-endian.

use super::{Stream, StreamId, Window};
use crate::value::HeapValue;

/// What a record says beside an ID.
#[derive(Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// The producer of the entry, and its identifier.
    Entry(&'a [u8], &'a [u8]),
    /// For how long identifiers are known.
    Window(Window),
    /// How many identifiers were ever recorded, and repetitions met.
    Counts(u64, u64),
}

/// How the names of such groups begin, which is no UTF-8, so that nobody has one by chance.
const START: &[u8] = b"\xff\xferedix-idmp\0";

impl<'a> Told<'a> {
    /// The name of the group.
    pub fn group(&self) -> Vec<u8> {
        let mut name = START.to_vec();
        match self {
            Told::Entry(producer, iid) => {
                name.push(b'P');
                name.extend_from_slice(&(producer.len() as u64).to_le_bytes());
                name.extend_from_slice(producer);
                name.extend_from_slice(iid);
            }
            Told::Window(Window { duration_s, max }) => {
                name.push(b'W');
                name.extend_from_slice(&duration_s.to_le_bytes());
                name.extend_from_slice(&max.to_le_bytes());
            }
            Told::Counts(added, duplicates) => {
                name.push(b'C');
                name.extend_from_slice(&added.to_le_bytes());
                name.extend_from_slice(&duplicates.to_le_bytes());
            }
        }
        name
    }

    /// What the name of a group says; None if it is just one.
    pub fn of_group(name: &'a [u8]) -> Option<Self> {
        let (kind, rest) = name.strip_prefix(START)?.split_first()?;
        match kind {
            b'P' => {
                let (len, rest) = rest.split_first_chunk()?;
                let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
                let (producer, iid) = rest.split_at_checked(len)?;
                (len > 0 && !iid.is_empty()).then_some(Told::Entry(producer, iid))
            }
            b'W' => {
                let (duration_s, rest) = rest.split_first_chunk()?;
                let window = Window {
                    duration_s: u32::from_le_bytes(*duration_s),
                    max: u32::from_le_bytes(*rest.first_chunk()?),
                };
                Some(window).filter(|window| window.fits()).map(Told::Window)
            }
            b'C' => {
                let (added, rest) = rest.split_first_chunk()?;
                let duplicates = u64::from_le_bytes(*rest.first_chunk()?);
                Some(Told::Counts(u64::from_le_bytes(*added), duplicates))
            }
            _ => None,
        }
    }

    /// Does what a record says about the entry `id`; what is left to be freed.
    pub fn apply(self, stream: &mut Stream, id: StreamId, now_ms: i64) -> Option<HeapValue> {
        match self {
            Told::Window(window) => return stream.set_window(window),
            Told::Entry(producer, iid) => {
                stream.begin_idempotence().record(producer, iid, id, now_ms);
            }
            Told::Counts(added, duplicates) => {
                let known = stream.begin_idempotence();
                (known.added, known.duplicates) = (added, duplicates);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
