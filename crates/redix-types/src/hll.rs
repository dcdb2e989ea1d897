//! HyperLogLogs: strings that estimate how many different elements they have been shown.
//!
//! An element's hash chooses one of 16384 registers, which keeps the longest run of zeros, plus
//! one, that the rest of a hash has begun with. The value is a string in the layout of the real
//! servers, so that it travels both ways:
//!
//! ```text
//! bytes 0-3   HYLL
//! byte 4      0: dense, 1: sparse
//! bytes 8-15  the last estimate, little endian; with the highest bit set it is out of date
//! then        dense: 16384 registers of 6 bits, the first in the lowest bits of the first byte
//!             sparse: runs of registers, as opcodes:
//!               00llllll            l + 1 registers are 0
//!               01llllll llllllll   l + 1 registers are 0 (the high bits first)
//!               1vvvvvll            l + 1 registers are v + 1
//! ```
//!
//! A sparse value is edited where it stands, by the same steps as on the real servers, so that
//! equal commands leave equal bytes. The estimator is that of Otmar Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches" (2017), which needs no correction of bias; the
//! hash is MurmurHash64A of Austin Appleby.
//!
//! **Invariant.** Nothing in the bytes is believed: they may have been set as a string. What is no
//! HyperLogLog at all is told by [`encoding`]; runs that do not make up all registers are
//! [`Corrupt`] wherever they are met.

mod dense;
mod estimate;
mod sparse;
#[cfg(test)]
mod tests;

pub use dense::use_vectors;
pub use estimate::{count_registers, self_test};
pub use sparse::decode;

/// Registers of each value.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// An empty value, which has not been counted yet.
pub const EMPTY: [u8; HEADER + 2] =
    [b'H', b'Y', b'L', b'L', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, STALE, 0x7f, 0xff];

const INDEX_BITS: u32 = 14;
const HEADER: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const ESTIMATE_AT: usize = 8;
/// In the last byte of the estimate.
const STALE: u8 = 0x80;
const REGISTER_BITS: usize = 6;
const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
/// Seed of the hash. Source: Redis, `hllPatLen`.
const HASH_SEED: u64 = 0xadc8_3b19;

/// Registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// The runs of a sparse value are not those of all registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How registers are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Dense,
    Sparse,
}

impl Encoding {
    /// The name that PFDEBUG answers.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }
    }
}

/// The layout of a string that is a HyperLogLog by its header and length; None if it is none.
#[inline]
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

fn is_dense(bytes: &[u8]) -> bool {
    encoding(bytes) == Some(Encoding::Dense)
}

/// The estimate that was kept with the value, unless registers have changed since.
#[inline]
pub fn kept_estimate(bytes: &[u8]) -> Option<u64> {
    let estimate = bytes[ESTIMATE_AT..].first_chunk::<8>()?;
    (estimate[7] & STALE == 0).then(|| u64::from_le_bytes(*estimate))
}

/// Keeps an estimate with the value.
pub fn keep_estimate(bytes: &mut [u8], estimate: u64) {
    bytes[ESTIMATE_AT..HEADER].copy_from_slice(&estimate.to_le_bytes());
}

/// States that the kept estimate is out of date.
#[inline]
pub fn forget_estimate(bytes: &mut [u8]) {
    bytes[HEADER - 1] |= STALE;
}

/// An element's register, and what it raises it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    index: usize,
    value: u8,
}

impl Mark {
    /// The mark of an element.
    #[inline]
    pub fn of(element: &[u8]) -> Self {
        let hash = murmur64a(element, HASH_SEED);
        let rest = hash >> INDEX_BITS | 1 << (64 - INDEX_BITS);
        Mark { index: (hash % REGISTERS as u64) as usize, value: rest.trailing_zeros() as u8 + 1 }
    }
}

/// Raises one of unpacked registers.
#[inline]
pub fn raise_register(registers: &mut Registers, mark: Mark) {
    let register = &mut registers[mark.index];
    *register = mark.value.max(*register);
}

/// Raises a register of a value, which becomes dense where a sparse one would take more than
/// `sparse_max` bytes or cannot express the mark. Whether it was lower. The kept estimate stays. A
/// value whose runs are not whole may change and still be found corrupt.
pub fn raise(value: &mut Vec<u8>, mark: Mark, sparse_max: usize) -> Result<bool, Corrupt> {
    if is_dense(value) {
        return Ok(raise_dense(&mut value[HEADER..], mark));
    }
    match sparse::raise(value, mark, sparse_max)? {
        sparse::Raised::Yes => Ok(true),
        sparse::Raised::No => Ok(false),
        sparse::Raised::TooLong => {
            make_dense(value)?;
            Ok(raise_dense(&mut value[HEADER..], mark))
        }
    }
}

/// The same for all registers at once; none may be lower than that of the value.
pub fn raise_all(
    value: &mut Vec<u8>,
    registers: &Registers,
    sparse_max: usize,
) -> Result<(), Corrupt> {
    if is_dense(value) {
        dense::pack(registers, &mut value[HEADER..]);
        return Ok(());
    }
    let raised = registers.iter().enumerate().filter(|(_, value)| **value > 0);
    for (index, &mark) in raised {
        raise(value, Mark { index, value: mark }, sparse_max)?;
    }
    Ok(())
}

#[inline]
fn raise_dense(packed: &mut [u8], mark: Mark) -> bool {
    let (at, shift) = place(mark.index);
    // The last register ends with the last byte, so that no window reaches behind.
    let window = u16::from(packed[at]) | packed.get(at + 1).map_or(0, |high| u16::from(*high) << 8);
    let mask = 0x3f << shift;
    if (window & mask) >> shift >= u16::from(mark.value) {
        return false;
    }
    let [low, high] = (window & !mask | u16::from(mark.value) << shift).to_le_bytes();
    packed[at] = low;
    if let Some(byte) = packed.get_mut(at + 1) {
        *byte = high;
    }
    true
}

/// The byte in which a dense register begins, and at which bit.
#[inline]
fn place(index: usize) -> (usize, usize) {
    let bit = index * REGISTER_BITS;
    (bit / 8, bit % 8)
}

/// Makes a value dense; whether it was sparse. Its kept estimate stays.
pub fn make_dense(value: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if is_dense(value) {
        return Ok(false);
    }
    let mut dense = Vec::with_capacity(DENSE_LEN);
    dense.extend_from_slice(&value[..HEADER]);
    dense[ENCODING_AT] = 0;
    dense.resize(DENSE_LEN, 0);
    dense::pack(&registers(value)?, &mut dense[HEADER..]);
    *value = dense;
    Ok(true)
}

/// Whether a value is not corrupt.
pub fn is_whole(value: &[u8]) -> bool {
    is_dense(value) || sparse::is_whole(value)
}

/// The registers of a value.
pub fn registers(value: &[u8]) -> Result<Registers, Corrupt> {
    let mut registers = [0; REGISTERS];
    if is_dense(value) {
        dense::raise_to(&mut registers, &value[HEADER..]);
    } else {
        sparse::unpack(value, &mut registers)?;
    }
    Ok(registers)
}

/// Raises each register to that of a value.
pub fn merge(into: &mut Registers, value: &[u8]) -> Result<(), Corrupt> {
    if is_dense(value) {
        dense::raise_to(into, &value[HEADER..]);
        return Ok(());
    }
    let others = registers(value)?;
    into.iter_mut().zip(&others).for_each(|(into, other)| *into = (*into).max(*other));
    Ok(())
}

/// How many different elements a value has been shown, about.
pub fn count(value: &[u8]) -> Result<u64, Corrupt> {
    registers(value).map(|registers| count_registers(&registers))
}

/// MurmurHash64A.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> R
}
