//! The generator behind `math.random`: the 48-bit linear congruence of POSIX `lrand48`.

pub(crate) struct Rand48(u64);

const MASK: u64 = (1 << 48) - 1;

impl Rand48 {
    pub(crate) fn new() -> Self {
        let mut random = Self(0);
        random.seed(0);
        random
    }

    pub(crate) fn seed(&mut self, seed: i32) {
        self.0 = (u64::from(seed.cast_unsigned()) << 16) | 0x330E;
    }

    /// The next number: `0..2^31`.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        (self.0 >> 17) as u32
    }
}
