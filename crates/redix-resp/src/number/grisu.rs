//! Short decimal digits of a double: Grisu2, after Florian Loitsch, "Printing Floating-Point
//! Numbers Quickly and Accurately with Integers" (PLDI 2010).
//!
//! The real servers find the digits of scores in this way, and they are part of what clients see:
//! for about one number in a thousand they are not the very shortest, and the last of 17 digits is
//! not always the nearest, so an exact algorithm (that of Rust's formatting) would answer
//! otherwise. What they always do is read back as the same double.

/// Digits at most: 17 tell any two doubles apart, one more is the algorithm's slack.
const DIGITS_MAX: usize = 18;
/// Bits of a double's fraction.
const FRACTION_BITS: u32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
/// The scaled upper boundary has its binary exponent in this range, so that its integral part fits
/// 32 bits and its fraction leaves room to be multiplied by ten.
const SCALED_EXP: std::ops::RangeInclusive<i32> = -60..=-32;

/// `frac × 2^exp`
#[derive(Clone, Copy)]
struct Float {
    frac: u64,
    exp: i32,
}

impl Float {
    fn normalized(self) -> Self {
        let shift = self.frac.leading_zeros();
        Self { frac: self.frac << shift, exp: self.exp - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.frac) * u128::from(other.frac);
        Self { frac: ((product + (1 << 63)) >> 64) as u64, exp: self.exp + other.exp + 64 }
    }
}

/// The digits of a positive finite double, without leading zeros.
pub(super) struct Digits {
    bytes: [u8; DIGITS_MAX],
    len: usize,
    /// The value is the digits, read as an integer, times ten to this power.
    pub(super) exp10: i32,
}

impl Digits {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Digits of `value`, which must be finite and above zero.
    pub(super) fn of(value: f64) -> Self {
        let exact = unpack(value);
        // Anything strictly between the boundaries reads back as `value`.
        let upper = Float { frac: exact.frac * 2 + 1, exp: exact.exp - 1 }.normalized();
        // Below a power of two the neighbour is only half as far.
        let shift = if exact.frac == HIDDEN_BIT { 2 } else { 1 };
        let lower = Float { frac: (exact.frac << shift) - 1, exp: exact.exp - shift };
        let lower = Float { frac: lower.frac << (lower.exp - upper.exp), exp: upper.exp };

        let (power, exp10) = power_for(upper.exp);
        let exact = exact.normalized().times(power);
        let mut upper = upper.times(power);
        let mut lower = lower.times(power);
        // The products may be off by one unit: stay inside.
        upper.frac -= 1;
        lower.frac += 1;
        let mut digits = Self { bytes: [0; DIGITS_MAX], len: 0, exp10: -exp10 };
        digits.generate(exact, upper, upper.frac - lower.frac);
        digits
    }

    /// Produces digits of `upper` until what is left is less than `slack`, the width of the
    /// interval; then moves the last digit towards `exact`.
    fn generate(&mut self, exact: Float, upper: Float, mut slack: u64) {
        let point = upper.exp.unsigned_abs();
        let one = 1u64 << point;
        let mut whole = upper.frac >> point;
        let mut fraction = upper.frac & (one - 1);
        let mut distance = upper.frac - exact.frac;
        for kappa in (0..10).rev() {
            let unit = 10u64.pow(kappa);
            self.push(whole / unit);
            whole %= unit;
            let rest = (whole << point) + fraction;
            if rest <= slack {
                self.exp10 += kappa as i32;
                self.approach(slack, rest, unit << point, distance);
                return;
            }
        }
        loop {
            fraction *= 10;
            slack *= 10;
            distance *= 10;
            self.exp10 -= 1;
            self.push(fraction >> point);
            fraction &= one - 1;
            if fraction < slack {
                self.approach(slack, fraction, one, distance);
                return;
            }
        }
    }

    /// Lowers the last digit while that comes closer to the exact value, which lies `distance`
    /// below the upper boundary; `rest` is how far below it the digits stand, `unit` what one in
    /// the last digit is worth.
    fn approach(&mut self, slack: u64, mut rest: u64, unit: u64, distance: u64) {
        while rest < distance
            && slack - rest >= unit
            && (rest + unit < distance || distance - rest > rest + unit - distance)
        {
            self.bytes[self.len - 1] -= 1;
            rest += unit;
        }
    }

    fn push(&mut self, digit: u64) {
        if (digit > 0 || self.len > 0) && self.len < DIGITS_MAX {
            self.bytes[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }
}

fn unpack(value: f64) -> Float {
    let bits = value.to_bits();
    let frac = bits & (HIDDEN_BIT - 1);
    match (bits >> FRACTION_BITS) as i32 & 0x7ff {
        0 => Float { frac, exp: 1 - 1075 },
        exp => Float { frac: frac | HIDDEN_BIT, exp: exp - 1075 },
    }
}

/// The power of ten that brings a number with binary exponent `exp` into [`SCALED_EXP`], and its
/// decimal exponent. Of several, the one that is met first from an estimate by logarithm: another
/// may give other digits.
fn power_for(exp: i32) -> (Float, i32) {
    let estimate = (f64::from(-(exp + POWERS.len() as i32)) * std::f64::consts::LOG10_2) as i32;
    let mut index = (estimate - POWERS_FIRST) / POWERS_STEP;
    loop {
        let exp10 = POWERS_FIRST + index * POWERS_STEP;
        // floor(exp10 × log2(10)) - 63, exact over the range of the table.
        let power_exp = ((exp10 * 217_706) >> 16) - 63;
        let scaled = exp + power_exp + 64;
        if scaled < *SCALED_EXP.start() {
            index += 1;
        } else if scaled > *SCALED_EXP.end() {
            index -= 1;
        } else {
            return (Float { frac: POWERS[index as usize], exp: power_exp }, exp10);
        }
    }
}

const POWERS_FIRST: i32 = -348;
const POWERS_STEP: i32 = 8;

/// 10^-348, 10^-340, … 10^340 as 64-bit fractions, rounded to nearest.
#[rustfmt::skip]
static POWERS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea,
    0x9a6b_b0aa_5565_3b2d, 0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c, 0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57, 0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584, 0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053, 0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf, 0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000, 0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70, 0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db, 0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3, 0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5, 0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410, 0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9, 0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];
