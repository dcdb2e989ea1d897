//! Dense registers: six bits each, the first in the lowest bits of the first byte.
//!
//! Both directions are written for any processor and for AVX2, where 32 registers, which take 24
//! bytes, are handled at once: with loops that the compiler vectorises, PFMERGE of two dense values
//! took 2.5 times as long.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{REGISTER_BITS, REGISTERS, Registers};

/// Registers that are handled at once.
const BLOCK: usize = 32;
/// Bytes of a packed block.
const BLOCK_BYTES: usize = BLOCK * REGISTER_BITS / 8;
/// Bytes of all packed registers.
pub(super) const PACKED_LEN: usize = REGISTERS * REGISTER_BITS / 8;

/// Whether vectors are used where the processor has them.
static VECTORS: AtomicBool = AtomicBool::new(true);

/// Chooses whether dense registers are handled with vectors, where the processor has them, or one
/// by one: for tests that compare the two.
pub fn use_vectors(on: bool) {
    VECTORS.store(on, Ordering::Relaxed);
}

#[cfg(target_arch = "x86_64")]
fn has_vectors() -> bool {
    VECTORS.load(Ordering::Relaxed) && is_x86_feature_detected!("avx2")
}

/// Raises each register to a packed one. Panics unless there are [`PACKED_LEN`] bytes.
pub(super) fn raise_to(registers: &mut Registers, packed: &[u8]) {
    assert_eq!(packed.len(), PACKED_LEN, "all registers");
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: the processor has just been found to have AVX2; the tests, which compare with
        // the plain form, would end in an illegal instruction.
        unsafe { avx2::raise_to(registers, packed) };
        return;
    }
    for (registers, packed) in registers.as_chunks_mut::<4>().0.iter_mut().zip(packed.as_chunks().0)
    {
        let [a, b, c] = *packed;
        let values = [a, a >> 6 | b << 2, b >> 4 | c << 4, c >> 2];
        for (register, value) in registers.iter_mut().zip(values) {
            *register = (value & 0x3f).max(*register);
        }
    }
}

/// Packs registers. Panics unless there is room for [`PACKED_LEN`] bytes.
pub(super) fn pack(registers: &Registers, packed: &mut [u8]) {
    assert_eq!(packed.len(), PACKED_LEN, "all registers");
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: as above.
        unsafe { avx2::pack(registers, packed) };
        return;
    }
    for (registers, packed) in registers.as_chunks().0.iter().zip(packed.as_chunks_mut::<3>().0) {
        let [a, b, c, d] = *registers;
        *packed = [a | b << 6, b >> 2 | c << 4, c >> 4 | d << 2];
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm_or_si128, _mm_srli_si128, _mm_storel_epi64,
        _mm_storeu_si128, _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256,
        _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epu8,
        _mm256_or_si256, _mm256_set_m128i, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8,
        _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_storeu_si256,
    };

    use super::{BLOCK, BLOCK_BYTES, Registers};

    #[target_feature(enable = "avx2")]
    pub(super) fn raise_to(registers: &mut Registers, packed: &[u8]) {
        // Three bytes, four registers, to each 32 bits. The upper half was loaded from byte 8 on.
        #[rustfmt::skip]
        let apart = _mm256_setr_epi8(
            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
            4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1,
        );
        let blocks = registers.as_chunks_mut::<BLOCK>().0.iter_mut();
        for (block, packed) in blocks.zip(packed.as_chunks::<BLOCK_BYTES>().0) {
            // SAFETY: 16 of the 24 bytes from byte 0 and from byte 8 on; and 32 bytes of 32.
            let (low, high, old) = unsafe {
                (
                    _mm_loadu_si128(packed.as_ptr().cast::<__m128i>()),
                    _mm_loadu_si128(packed.as_ptr().add(8).cast::<__m128i>()),
                    _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()),
                )
            };
            let bits = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), apart);
            let first = _mm256_and_si256(bits, _mm256_set1_epi32(0x3f));
            let second =
                _mm256_and_si256(_mm256_slli_epi32::<2>(bits), _mm256_set1_epi32(0x3f << 8));
            let third =
                _mm256_and_si256(_mm256_slli_epi32::<4>(bits), _mm256_set1_epi32(0x3f << 16));
            let fourth =
                _mm256_and_si256(_mm256_slli_epi32::<6>(bits), _mm256_set1_epi32(0x3f << 24));
            let values =
                _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
            let raised = _mm256_max_epu8(values, old);
            // SAFETY: 32 bytes of 32.
            unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast::<__m256i>(), raised) };
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn pack(registers: &Registers, packed: &mut [u8]) {
        // The lower three bytes of each 32 bits together: in the lower half from byte 0 on, in the
        // upper one from byte 4 on.
        #[rustfmt::skip]
        let together = _mm256_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
            -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14,
        );
        let blocks = registers.as_chunks::<BLOCK>().0.iter();
        for (block, packed) in blocks.zip(packed.as_chunks_mut::<BLOCK_BYTES>().0) {
            // SAFETY: 32 bytes of 32.
            let registers = unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) };
            // Of each pair the second times 64, then of each pair of those the second times 4096.
            let pairs = _mm256_maddubs_epi16(registers, _mm256_set1_epi16(0x4001));
            let bits = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x1000_0001));
            let bytes = _mm256_shuffle_epi8(bits, together);
            let low = _mm256_castsi256_si128(bytes);
            let high = _mm256_extracti128_si256::<1>(bytes);
            let rest = _mm_or_si128(high, _mm_srli_si128::<8>(low));
            // SAFETY: bytes 0 to 7 and 8 to 23 of 24.
            unsafe {
                _mm_storel_epi64(packed.as_mut_ptr().cast::<__m128i>(), low);
                _mm_storeu_si128(packed.as_mut_ptr().add(8).cast::<__m128i>(), rest);
            }
        }
    }
}
