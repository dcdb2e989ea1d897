//! LZF, the compression of long strings in RDB files.
//!
//! A compressed string is a sequence of two kinds of step, told apart by the control byte `c`:
//!
//! | `c` | meaning |
//! |---|---|
//! | `000nnnnn` | the next `n + 1` bytes are literal |
//! | `lllooooo` + 1 byte | copy `l + 2` bytes (3 to 8) from `offset + 1` bytes back |
//! | `111ooooo` + 2 bytes | the same with a length of `9 + first byte` (9 to 264) |
//!
//! An offset has 13 bits: the five of `c`, then the last byte of the step.
//! A copy may overlap its own output: that is how runs are stored.
//!
//! The `lzf` crate reads and writes the same bytes (the tests hold the two against each other), but
//! zeroes a table of 64 K words and allocates its result on every call, which costs more than
//! compressing a typical value does. [`Compressor`] keeps its table from one value to the next:
//! positions are stored relative to a base that only grows, so the entries of earlier values are
//! recognised as stale instead of being erased.
//!
//! Whether a string is compressed at all follows the real servers, as DUMP of Valkey 9.1.2 shows:
//! their compressor asks for a little more room than its output takes, copies nothing from the
//! very first byte and ends with literals, so that short strings are often left as they are.
//!
//! Source: the format of LibLZF by Marc Lehmann, as Redis 2.2 and later use it.

use super::format::{RESERVE_AHEAD_MAX, RdbErrorKind};

type Result<T> = std::result::Result<T, RdbErrorKind>;

const TABLE_BITS_MAX: u32 = 14;
/// Four slots per byte of a short input: fewer collide, and the table stays in the nearest cache.
const SLOTS_PER_BYTE_BITS: u32 = 2;
const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 264;
/// The longest match whose length fits into the control byte.
const MATCH_SHORT_MAX: usize = 8;
/// No step but a literal one begins in the last bytes of the input.
const TAIL: usize = 2;
/// Room that must be left before a copy, and at the end with the control byte of the last literals
/// counted: more than either can take.
const COPY_ROOM: usize = 5;
const END_ROOM: usize = 4;

/// Compresses one string after the other; owns the hash table (64 KB) and the output buffer.
pub struct Compressor {
    /// Hash of three bytes -> `base` + the position where they were last seen.
    table: Box<[u32]>,
    /// Added to the positions of the current input; smaller entries are of earlier inputs.
    base: u32,
    out: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { table: vec![0; 1 << TABLE_BITS_MAX].into_boxed_slice(), base: 1, out: Vec::new() }
    }
}

impl Compressor {
    /// The compressed form of `input` if it takes at most `len_max` bytes; `None` a few bytes early
    /// where the real servers give up.
    ///
    /// The result lives until the next call. Empty inputs and those of 2 GB and more are not
    /// compressed.
    pub fn compress(&mut self, input: &[u8], len_max: usize) -> Option<&[u8]> {
        let input_len = u32::try_from(input.len()).ok().filter(|len| (1..1 << 31).contains(len))?;
        if self.base.checked_add(input_len).is_none() {
            self.table.fill(0);
            self.base = 1;
        }
        self.out.clear();
        let fits = self.compress_steps(input, len_max);
        self.base += input_len;
        fits.then_some(self.out.as_slice())
    }

    // HOT PATH: one pass over every long value of a snapshot.
    fn compress_steps(&mut self, input: &[u8], len_max: usize) -> bool {
        let table_bits = (input.len().ilog2() + 1 + SLOTS_PER_BYTE_BITS).min(TABLE_BITS_MAX);
        let slot = |a, b, c| {
            let word = u32::from_le_bytes([a, b, c, 0]);
            (word.wrapping_mul(0x9E37_79B1) >> (32 - table_bits)) as usize
        };
        let stop = input.len().saturating_sub(TAIL);
        let mut literals_at = 0;
        let mut at = 0;
        while at < stop {
            let &[a, b, c] = input[at..].first_chunk().expect("a tail lies behind `stop`");
            let here = self.base + at as u32;
            let seen = std::mem::replace(&mut self.table[slot(a, b, c)], here);
            let from = seen.checked_sub(self.base).map(|position| position as usize);
            let Some(from) = from.filter(|&from| {
                from > 0 && at - from <= DISTANCE_MAX && input[from..from + MATCH_MIN] == [a, b, c]
            }) else {
                // Stretches without any match are walked in growing steps: data that does not
                // compress should cost little.
                at += 1 + ((at - literals_at) >> 6);
                continue;
            };
            let len = match_len(input, from, at);
            push_literals(&mut self.out, &input[literals_at..at]);
            if self.out.len() + COPY_ROOM > len_max {
                return false;
            }
            push_copy(&mut self.out, at - from, len);
            at += len;
            literals_at = at;
            if at >= stop {
                break;
            }
            // Two positions inside the match are enough to find a repetition of its end.
            for back in [2, 1] {
                if let Some(&[a, b, c]) = input[at - back..].first_chunk() {
                    self.table[slot(a, b, c)] = self.base + (at - back) as u32;
                }
            }
        }
        let walked = stop.saturating_sub(literals_at);
        if self.out.len() + walked + walked / LITERALS_MAX + END_ROOM > len_max {
            return false;
        }
        push_literals(&mut self.out, &input[literals_at..]);
        true
    }
}

/// How many bytes at `at` repeat those at `from`: at least 3, known to be equal, at most 264; the
/// tail is repeated only where it is among the three.
fn match_len(input: &[u8], from: usize, at: usize) -> usize {
    let end = (input.len() - TAIL).min(at + MATCH_MAX);
    let candidates = input[from + MATCH_MIN..].iter().zip(input[at..end].iter().skip(MATCH_MIN));
    MATCH_MIN + candidates.take_while(|(old, new)| old == new).count()
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

fn push_copy(out: &mut Vec<u8>, distance: usize, len: usize) {
    let offset = distance - 1;
    let high = (offset >> 8) as u8;
    if len <= MATCH_SHORT_MAX {
        out.push(((len - 2) << 5) as u8 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((len - MATCH_SHORT_MAX - 1) as u8);
    }
    out.push(offset as u8);
}

/// Decompresses `input` into `out`, to exactly `len` bytes.
///
/// `len` comes from the file: the caller bounds it, and memory is allocated as output appears.
/// Fails with `Corrupt` or `OutOfMemory`; `out` is then undefined.
pub fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    out.reserve(len.min(RESERVE_AHEAD_MAX));
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if control < 1 << 5 {
            let count = usize::from(control) + 1;
            let (literals, after) = rest
                .split_at_checked(count)
                .ok_or(RdbErrorKind::Corrupt("compressed string ends inside literals"))?;
            rest = after;
            make_room(out, count, len)?;
            out.extend_from_slice(literals);
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count > MATCH_SHORT_MAX {
                count += next_in_copy(&mut rest)?;
            }
            let distance = (usize::from(control & 0x1f) << 8 | next_in_copy(&mut rest)?) + 1;
            make_room(out, count, len)?;
            copy_back(out, distance, count)?;
        }
    }
    if out.len() == len {
        Ok(())
    } else {
        Err(RdbErrorKind::Corrupt("compressed string is shorter than it says"))
    }
}

fn next_in_copy(rest: &mut &[u8]) -> Result<usize> {
    let (&byte, after) =
        rest.split_first().ok_or(RdbErrorKind::Corrupt("compressed string ends inside a copy"))?;
    *rest = after;
    Ok(usize::from(byte))
}

fn make_room(out: &mut Vec<u8>, count: usize, len: usize) -> Result<()> {
    if count > len - out.len() {
        return Err(RdbErrorKind::Corrupt("compressed string is longer than it says"));
    }
    out.try_reserve(count).map_err(|_| RdbErrorKind::OutOfMemory)
}

/// Appends `count` bytes that repeat `out` from `distance` bytes before its end.
fn copy_back(out: &mut Vec<u8>, distance: usize, count: usize) -> Result<()> {
    let from = out
        .len()
        .checked_sub(distance)
        .ok_or(RdbErrorKind::Corrupt("compressed string refers before its start"))?;
    let mut left = count;
    while left > 0 {
        // All that follows `from` is whole periods, so each round may copy everything there is.
        let chunk = left.min(out.len() - from);
        out.extend_from_within(from..from + chunk);
        left -= chunk;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
