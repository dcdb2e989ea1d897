//! Sparse values: runs of registers, edited where they stand.

use std::fmt::Write;

use arrayvec::ArrayVec;

use super::{Corrupt, HEADER, Mark, REGISTERS, Registers};

/// Most registers that the short opcode of zeros covers.
const ZEROS_MAX: usize = 64;
/// Most registers that an opcode of a value covers.
const VALUES_MAX: usize = 4;
/// The largest value that an opcode has.
const VALUE_MAX: u8 = 32;
/// Opcodes that are looked at for neighbours that have become alike, from the one before the edit
/// on.
const JOINED: usize = 5;

/// One opcode.
#[derive(Clone, Copy)]
struct Run {
    /// The value of its registers.
    value: u8,
    /// How many there are.
    len: usize,
    /// Its bytes.
    size: usize,
}

impl Run {
    /// The opcode at a place, which lies within the bytes.
    #[inline]
    fn at(bytes: &[u8], at: usize) -> Result<Run, Corrupt> {
        match bytes[at] {
            byte @ 0x80.. => {
                Ok(Run { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, size: 1 })
            }
            byte @ 0x40.. => {
                let low = *bytes.get(at + 1).ok_or(Corrupt)?;
                let len = usize::from(u16::from_be_bytes([byte & 0x3f, low])) + 1;
                Ok(Run { value: 0, len, size: 2 })
            }
            byte => Ok(Run { value: 0, len: usize::from(byte) + 1, size: 1 }),
        }
    }
}

/// The opcode of so many registers of a value.
fn value_run(value: u8, len: usize) -> u8 {
    0x80 | ((value - 1) << 2) | (len as u8 - 1)
}

/// Appends the opcode of a run, if it covers anything.
fn push_run(out: &mut ArrayVec<u8, 5>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, ..=ZEROS_MAX) => out.push(len as u8 - 1),
        (0, _) => out.extend(((len as u16 - 1) | 0x4000).to_be_bytes()),
        (value, len) => out.push(value_run(value, len)),
    }
}

/// What became of a mark.
pub(super) enum Raised {
    Yes,
    /// The register was as high already.
    No,
    /// A sparse value cannot have it.
    TooLong,
}

/// Raises a register.
pub(super) fn raise(bytes: &mut Vec<u8>, mark: Mark, bytes_max: usize) -> Result<Raised, Corrupt> {
    if mark.value > VALUE_MAX {
        return Ok(Raised::TooLong);
    }
    let (mut at, mut before, mut first) = (HEADER, HEADER, 0);
    let run = loop {
        if at >= bytes.len() {
            return Err(Corrupt);
        }
        let run = Run::at(bytes, at)?;
        if mark.index < first + run.len {
            break run;
        }
        before = at;
        at += run.size;
        first += run.len;
    };
    if run.value >= mark.value {
        return Ok(Raised::No);
    }
    let mut runs = ArrayVec::new();
    push_run(&mut runs, run.value, mark.index - first);
    push_run(&mut runs, mark.value, 1);
    push_run(&mut runs, run.value, first + run.len - 1 - mark.index);
    if runs.len() > run.size && bytes.len() + runs.len() - run.size > bytes_max {
        return Ok(Raised::TooLong);
    }
    bytes.splice(at..at + run.size, runs);
    join(bytes, before);
    Ok(Raised::Yes)
}

/// Joins neighbours of one value, from a place on.
fn join(bytes: &mut Vec<u8>, from: usize) {
    let mut at = from;
    for _ in 0..JOINED {
        let Some(Ok(run)) = (at < bytes.len()).then(|| Run::at(bytes, at)) else { return };
        let next = at + run.size;
        let like = |other: &Run| {
            run.value > 0 && other.value == run.value && run.len + other.len <= VALUES_MAX
        };
        let other = (next < bytes.len()).then(|| Run::at(bytes, next).ok()).flatten();
        if let Some(other) = other.filter(like) {
            bytes[next] = value_run(run.value, run.len + other.len);
            bytes.remove(at);
        } else {
            at = next;
        }
    }
}

/// Whether the runs are those of all registers.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let (mut at, mut registers) = (HEADER, 0);
    while at < bytes.len() {
        let Ok(run) = Run::at(bytes, at) else { return false };
        registers += run.len;
        at += run.size;
    }
    registers == REGISTERS
}

/// Fills in the registers.
pub(super) fn unpack(bytes: &[u8], registers: &mut Registers) -> Result<(), Corrupt> {
    let (mut at, mut index) = (HEADER, 0);
    while at < bytes.len() {
        let run = Run::at(bytes, at)?;
        let covered = registers.get_mut(index..index + run.len).ok_or(Corrupt)?;
        if run.value > 0 {
            covered.fill(run.value);
        }
        index += run.len;
        at += run.size;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The runs as text: `z:` or, where the long opcode has them, `Z:` and how many zeros; `v:` a value
/// and how often.
pub fn decode(bytes: &[u8]) -> Result<String, Corrupt> {
    let (mut text, mut at) = (String::new(), HEADER);
    while at < bytes.len() {
        let run = Run::at(bytes, at)?;
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = match (run.value, run.size) {
            (0, 1) => write!(text, "{gap}z:{}", run.len),
            (0, _) => write!(text, "{gap}Z:{}", run.len),
            (value, _) => write!(text, "{gap}v:{value},{}", run.len),
        };
        at += run.size;
    }
    Ok(text)
}
