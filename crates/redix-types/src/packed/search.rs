//! Searches through metas, eight at a time, and through 32-bit words, four at a time.
//!
//! A meta is two bytes: a tag, then a length. The payloads passed in consist of whole 16-byte
//! pieces, as those of all blocks do. A piece is searched with SSE2 on x86-64, where every
//! processor has it, and with plain loops elsewhere; the tests compare the two.

#[cfg(not(target_arch = "x86_64"))]
use portable as piece;
#[cfg(target_arch = "x86_64")]
use sse2 as piece;

/// Metas in a piece.
pub(super) const LANES: usize = 8;

/// Calls `f` with the index of each of the first `n` metas that has the tag, until it returns
/// `Some`.
#[inline(always)]
pub(super) fn find<R>(
    metas: &[u8],
    n: usize,
    tag: u8,
    mut f: impl FnMut(usize) -> Option<R>,
) -> Option<R> {
    let pieces = &metas.as_chunks::<16>().0[..n.div_ceil(LANES)];
    for (number, metas) in pieces.iter().enumerate() {
        let mut found = piece::tagged(metas, tag);
        while found != 0 {
            let index = number * LANES + found.trailing_zeros() as usize / 2;
            found &= found - 1;
            if index >= n {
                return None;
            }
            if let Some(answer) = f(index) {
                return Some(answer);
            }
        }
    }
    None
}

/// Which of four little-endian words equal `word`: bit `i` stands for word `i`.
#[inline(always)]
pub(crate) fn equal_words(words: &[u8; 16], word: u32) -> u32 {
    piece::equal_words(words, word)
}

/// The sum of the lengths of the first `n` metas.
#[inline(always)]
pub(super) fn sum_lengths(metas: &[u8], n: usize) -> usize {
    let pieces = metas.as_chunks::<16>().0;
    let whole = pieces[..n / LANES].iter().map(|metas| piece::sum(metas, LANES)).sum();
    match n % LANES {
        0 => whole,
        rest => whole + piece::sum(&pieces[n / LANES], rest),
    }
}

/// How many of the first `n` metas have the length 255.
pub(super) fn count_outside(metas: &[u8], n: usize) -> usize {
    let pieces = &metas.as_chunks::<16>().0[..n.div_ceil(LANES)];
    let counts = pieces.iter().enumerate().map(|(number, metas)| {
        let lanes = (n - number * LANES).min(LANES);
        (piece::outside(metas) & ((1 << (2 * lanes)) - 1)).count_ones() as usize
    });
    counts.sum()
}

/// Plain loops. Bit `2 i` of a mask stands for meta `i`.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) mod portable {
    fn mask(metas: &[u8; 16], mut is: impl FnMut(&[u8; 2]) -> bool) -> u32 {
        let metas = metas.as_chunks::<2>().0.iter().enumerate();
        metas.fold(0, |mask, (lane, meta)| mask | u32::from(is(meta)) << (2 * lane))
    }

    /// Which metas have the tag.
    pub(in super::super) fn tagged(metas: &[u8; 16], tag: u8) -> u32 {
        mask(metas, |meta| meta[0] == tag)
    }

    /// Which metas have the length 255.
    pub(in super::super) fn outside(metas: &[u8; 16]) -> u32 {
        mask(metas, |meta| meta[1] == 255)
    }

    /// Which words equal `word`.
    pub(in super::super) fn equal_words(words: &[u8; 16], word: u32) -> u32 {
        let words = words.as_chunks::<4>().0.iter().enumerate();
        words.fold(0, |mask, (at, bytes)| mask | u32::from(*bytes == word.to_le_bytes()) << at)
    }

    /// The sum of the lengths of the first `count` metas.
    pub(in super::super) fn sum(metas: &[u8; 16], count: usize) -> usize {
        metas.as_chunks::<2>().0[..count].iter().map(|meta| usize::from(meta[1])).sum()
    }
}

/// The same functions with vector instructions.
#[cfg(target_arch = "x86_64")]
pub(super) mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_castsi128_ps, _mm_cmpeq_epi16, _mm_cmpeq_epi32,
        _mm_cmpgt_epi16, _mm_cvtsi128_si64, _mm_movemask_epi8, _mm_movemask_ps, _mm_sad_epu8,
        _mm_set_epi16, _mm_set_epi64x, _mm_set1_epi16, _mm_set1_epi32, _mm_setzero_si128,
        _mm_srli_epi16, _mm_unpackhi_epi64,
    };

    /// One instruction in machine code.
    #[inline(always)]
    fn load(metas: &[u8; 16]) -> __m128i {
        let both = u128::from_le_bytes(*metas);
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_set_epi64x((both >> 64) as i64, both as i64) }
    }

    /// See the portable form.
    #[inline(always)]
    pub(in super::super) fn tagged(metas: &[u8; 16], tag: u8) -> u32 {
        let metas = load(metas);
        // SAFETY: SSE2 is part of x86-64.
        let found = unsafe {
            let tags = _mm_and_si128(metas, _mm_set1_epi16(0xff));
            _mm_movemask_epi8(_mm_cmpeq_epi16(tags, _mm_set1_epi16(i16::from(tag))))
        };
        found as u32 & 0x5555
    }

    /// See the portable form.
    #[inline(always)]
    pub(in super::super) fn outside(metas: &[u8; 16]) -> u32 {
        let metas = load(metas);
        // SAFETY: SSE2 is part of x86-64.
        let found = unsafe {
            let lengths = _mm_srli_epi16::<8>(metas);
            _mm_movemask_epi8(_mm_cmpeq_epi16(lengths, _mm_set1_epi16(0xff)))
        };
        found as u32 & 0x5555
    }

    /// See the portable form.
    #[inline(always)]
    pub(in super::super) fn equal_words(words: &[u8; 16], word: u32) -> u32 {
        let words = load(words);
        // SAFETY: SSE2 is part of x86-64.
        let found = unsafe {
            let equal = _mm_cmpeq_epi32(words, _mm_set1_epi32(word.cast_signed()));
            _mm_movemask_ps(_mm_castsi128_ps(equal))
        };
        found.cast_unsigned()
    }

    /// See the portable form.
    #[inline(always)]
    pub(in super::super) fn sum(metas: &[u8; 16], count: usize) -> usize {
        let metas = load(metas);
        // SAFETY: SSE2 is part of x86-64.
        let sum = unsafe {
            let lanes = _mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0);
            let first = _mm_cmpgt_epi16(_mm_set1_epi16(count as i16), lanes);
            let lengths = _mm_and_si128(_mm_srli_epi16::<8>(metas), first);
            let halves = _mm_sad_epu8(lengths, _mm_setzero_si128());
            _mm_cvtsi128_si64(halves) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(halves, halves))
        };
        sum as usize
    }
}
