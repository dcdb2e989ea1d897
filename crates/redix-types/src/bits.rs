//! Strings as arrays of bits: counting, searching, combining, and integers of any width in them.
//!
//! Bit 0 is the highest of byte 0, as the commands count. Loops go over words or blocks and are
//! plain enough for the compiler to vectorise; where the machine has wider vectors than the target
//! that this is compiled for, the same loops are compiled for those too (`with_wide_vectors`).
//! Combining goes block by block, so that a block stays in the first-level cache while all inputs
//! pass over it, and memory is read and written once.
//!
//! **Invariants.** Positions and lengths in bits are 64-bit numbers. Nothing is read beyond a
//! slice: what an integer reaches behind the end counts as zeros.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// Bytes of each input that are combined at a time.
const BLOCK: usize = 8 * 1024;

/// Defines a function that is compiled for the vectors of the target and, on x86-64, for AVX2 too,
/// and picks one by what the processor has.
macro_rules! with_wide_vectors {
    (
        $(#[$doc:meta])*
        $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)? $body:block
    ) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,popcnt")]
            fn wide($($arg: $ty),*) $(-> $result)? {
                plain($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                // SAFETY: the processor has just been found to have what `wide` is compiled for;
                // the tests, which compare with a naive model, would end in an illegal
                // instruction.
                return unsafe { wide($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

with_wide_vectors! {
    /// How many bits are set.
    pub fn count(bytes: &[u8]) -> u64 {
        let (words, tail) = bytes.as_chunks::<8>();
        let ones = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()));
        let last = tail.iter().map(|byte| u64::from(byte.count_ones()));
        // A sum that is checked for overflow, of which there is none, is not vectorised.
        ones.fold(0, u64::wrapping_add) + last.sum::<u64>()
    }
}

/// How many bits are set between two bit positions, which lie within.
pub fn count_between(bytes: &[u8], bits: Range<u64>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = ((bits.start / 8) as usize, ((bits.end - 1) / 8) as usize);
    let before = bytes[first] & !(0xff >> (bits.start % 8));
    let behind = bytes[last] & (0x7f >> ((bits.end - 1) % 8));
    let outside = before.count_ones() + behind.count_ones();
    count(&bytes[first..=last]) - u64::from(outside)
}

with_wide_vectors! {
    /// How many bytes from the start on equal `byte`, in steps of 64 but for the last ones.
    fn run_of(bytes: &[u8], byte: u8) -> usize {
        let (blocks, tail) = bytes.as_chunks::<64>();
        let word = u64::from_ne_bytes([byte; 8]);
        let differs = |block: &[u8; 64]| {
            let (words, _) = block.as_chunks::<8>();
            words.iter().fold(0, |all, bytes| all | (u64::from_ne_bytes(*bytes) ^ word)) != 0
        };
        match blocks.iter().position(differs) {
            Some(block) => 64 * block,
            None => 64 * blocks.len() + tail.iter().take_while(|other| **other == byte).count(),
        }
    }
}

/// The first bit of this value between two bit positions, which lie within.
pub fn find(bytes: &[u8], value: bool, bits: Range<u64>) -> Option<u64> {
    if bits.is_empty() {
        return None;
    }
    // In what is looked at, the bits looked for are set.
    let flip = if value { 0 } else { 0xff };
    let mut at = (bits.start / 8) as usize;
    let end = bits.end.div_ceil(8) as usize;
    let mut byte = (bytes[at] ^ flip) & (0xff >> (bits.start % 8));
    if byte == 0 {
        at += 1;
        at += run_of(&bytes[at..end], flip);
        at += bytes[at..end].iter().take_while(|byte| **byte == flip).count();
        byte = bytes.get(at).filter(|_| at < end)? ^ flip;
    }
    let found = 8 * at as u64 + u64::from(byte.leading_zeros());
    (found < bits.end).then_some(found)
}

/// The bit at a position, counting zeros behind the end.
pub fn get(bytes: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|index| bytes.get(index));
    byte.is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}

/// Sets the bit at a position, which lies within, and returns what it was.
pub fn set(bytes: &mut [u8], at: u64, value: bool) -> bool {
    let (byte, mask) = (&mut bytes[(at / 8) as usize], 0x80 >> (at % 8));
    let old = *byte & mask != 0;
    *byte = if value { *byte | mask } else { *byte & !mask };
    old
}

/// How BITOP combines strings; the shorter ones count as padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Not set in the first, which is the only one.
    Not,
    /// Set in the first and in none of the others.
    Diff,
    /// Set in any but the first, and not in the first.
    Diff1,
    /// Set in the first and in any of the others.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Combines strings, of which there is at least one, and appends the result, as long as the longest
/// of them, to `out`, which has room for it.
pub fn combine(how: Combine, inputs: &[&[u8]], out: &mut Vec<u8>) {
    let len = inputs.iter().map(|input| input.len()).max().unwrap_or(0);
    let mut scratch = if how == Combine::One { vec![0; BLOCK] } else { Vec::new() };
    for start in (0..len).step_by(BLOCK) {
        let end = len.min(start + BLOCK);
        let at = out.len();
        let mut pieces = inputs.iter().map(|input| Piece::of(input, start, end));
        let first = pieces.next().unwrap_or(Piece(&[]));
        let first_of_all = match how {
            // The others come together first.
            Combine::Diff | Combine::Diff1 | Combine::AndOr => pieces.next().unwrap_or(Piece(&[])),
            _ => first,
        };
        out.extend_from_slice(first_of_all.0);
        out.resize(at + (end - start), 0);
        let block = &mut out[at..];
        if how == Combine::One {
            one_of(block, pieces, &mut scratch[..end - start]);
            continue;
        }
        let fold = match how {
            Combine::And => and,
            Combine::Xor => xor,
            _ => or,
        };
        pieces.for_each(|piece| piece.over(block, fold));
        match how {
            Combine::Not => not(block),
            Combine::Diff => first.over(block, and_not),
            Combine::Diff1 => first.over(block, minus),
            Combine::AndOr => first.over(block, and),
            _ => {}
        }
    }
}

/// What an input has of a block; zeros follow.
#[derive(Clone, Copy)]
struct Piece<'a>(&'a [u8]);

impl<'a> Piece<'a> {
    fn of(input: &'a [u8], start: usize, end: usize) -> Self {
        Piece(&input[start.min(input.len())..end.min(input.len())])
    }

    /// Changes a block by this piece.
    fn over(self, block: &mut [u8], change: fn(&mut [u8], &[u8])) {
        let (covered, rest) = block.split_at_mut(self.0.len());
        change(covered, self.0);
        if !rest.is_empty() {
            // Zeros change it too, and their number is small: an input ends in one block only.
            const ZEROS: [u8; BLOCK] = [0; BLOCK];
            change(rest, &ZEROS[..rest.len()]);
        }
    }
}

macro_rules! each_byte {
    ($($name:ident: |$byte:ident, $other:ident| $change:expr;)+) => {
        $(with_wide_vectors! {
            fn $name(block: &mut [u8], others: &[u8]) {
                for ($byte, &$other) in block.iter_mut().zip(others) {
                    *$byte = $change;
                }
            }
        })+
    };
}

each_byte! {
    and: |byte, other| *byte & other;
    or: |byte, other| *byte | other;
    xor: |byte, other| *byte ^ other;
    and_not: |byte, other| !*byte & other;
    minus: |byte, other| *byte & !other;
}

with_wide_vectors! {
    fn not(block: &mut [u8]) {
        for byte in block {
            *byte = !*byte;
        }
    }
}

/// Leaves in `block`, which holds the first input's bits, those set in exactly one input. `twice`
/// is room for as many bytes.
fn one_of<'a>(block: &mut [u8], others: impl Iterator<Item = Piece<'a>>, twice: &mut [u8]) {
    twice.fill(0);
    for Piece(piece) in others {
        let seen = block[..piece.len()].iter_mut().zip(&mut *twice);
        for ((once, twice), &byte) in seen.zip(piece) {
            *twice |= *once & byte;
            *once |= byte;
        }
    }
    minus(block, twice);
}

/// An integer of 1 to 64 bits within a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it begins.
    pub at: u64,
    /// How many bits it has.
    pub width: u32,
}

/// Bytes that a field may touch.
const WINDOW: usize = 9;

impl Field {
    /// The bytes from its first one on, as far as there are any, in the high bytes of a number.
    fn window(self, bytes: &[u8]) -> u128 {
        let start = usize::try_from(self.at / 8).unwrap_or(usize::MAX).min(bytes.len());
        let end = bytes.len().min(start.saturating_add(WINDOW));
        let mut window = [0; 16];
        window[..end - start].copy_from_slice(&bytes[start..end]);
        u128::from_be_bytes(window)
    }

    /// How far its last bit is from the lowest one of the window.
    fn shift(self) -> u32 {
        128 - self.width - (self.at % 8) as u32
    }

    fn mask(self) -> u128 {
        (u128::MAX >> (128 - self.width)) << self.shift()
    }

    /// Its bits, as the low ones of a number.
    pub fn get(self, bytes: &[u8]) -> u64 {
        ((self.window(bytes) & self.mask()) >> self.shift()) as u64
    }

    /// Sets it to the low bits of a number. It lies within the bytes.
    pub fn set(self, bytes: &mut [u8], value: u64) {
        let bits = (u128::from(value) << self.shift()) & self.mask();
        let window = ((self.window(bytes) & !self.mask()) | bits).to_be_bytes();
        let start = (self.at / 8) as usize;
        let end = bytes.len().min(start + WINDOW);
        bytes[start..end].copy_from_slice(&window[..end - start]);
    }
}
