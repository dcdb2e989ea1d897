//! The decimal digits of a double, by Grisu2.
//!
//! The standard library's digits are always the shortest and, among those, the closest. The real
//! servers use Grisu2, whose digits are so for 998 numbers in 1,000 and one digit longer or one
//! unit off for the others; scores must have the same text as theirs.
//!
//! Source: Loitsch, *Printing Floating-Point Numbers Quickly and Accurately with Integers* (2010),
//! with exponents of the scaled number between -60 and -32 and powers of ten eight apart.

/// The most digits of a double.
pub(crate) const DIGITS_MAX: usize = 18;

/// A number as `fraction * 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    fraction: u64,
    exponent: i32,
}

impl Scaled {
    fn normalized(self) -> Scaled {
        let shift = self.fraction.leading_zeros();
        Scaled { fraction: self.fraction << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Scaled) -> Scaled {
        let product = u128::from(self.fraction) * u128::from(other.fraction) + (1 << 63);
        Scaled { fraction: (product >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// Writes the digits of a finite, positive number to `digits`. Returns their number and the power
/// of ten by which they are to be multiplied, taken as an integer.
pub(crate) fn digits_of(value: f64, digits: &mut [u8; DIGITS_MAX]) -> (usize, i32) {
    const HIDDEN_BIT: u64 = 1 << 52;
    let bits = value.to_bits();
    let (biased, low) = ((bits >> 52) as i32 & 0x7ff, bits & (HIDDEN_BIT - 1));
    let exact = if biased == 0 {
        Scaled { fraction: low, exponent: -1074 }
    } else {
        Scaled { fraction: low | HIDDEN_BIT, exponent: biased - 1075 }
    };
    // The bounds lie half way to the neighbours; below a power of two the lower one is nearer.
    let high =
        Scaled { fraction: (exact.fraction << 1) + 1, exponent: exact.exponent - 1 }.normalized();
    let shift = if exact.fraction == HIDDEN_BIT { 2 } else { 1 };
    let low_exponent = exact.exponent - shift;
    let low = Scaled {
        fraction: ((exact.fraction << shift) - 1) << (low_exponent - high.exponent),
        exponent: high.exponent,
    };
    let (power, power_of_ten) = power_for(high.exponent);
    let mut window = Window {
        value: exact.normalized().times(power),
        high: high.times(power),
        low: low.times(power),
    };
    // The products may be off by one: stay safely inside.
    window.low.fraction += 1;
    window.high.fraction -= 1;
    let (count, dropped) = window.generate(digits);
    (count, dropped - power_of_ten)
}

/// The power of ten that brings a number of this exponent near one.
fn power_for(exponent: i32) -> (Scaled, i32) {
    const LOG10_2: f64 = std::f64::consts::LOG10_2;
    let estimate = -f64::from(exponent + POWERS.len() as i32) * LOG10_2;
    let mut index = ((estimate - f64::from(FIRST_POWER)) / f64::from(POWER_STEP)) as usize;
    loop {
        let power_of_ten = FIRST_POWER + POWER_STEP * index as i32;
        // 217706 / 2^16 is close enough to log2(10) for every power in the table.
        let power =
            Scaled { fraction: POWERS[index], exponent: ((power_of_ten * 217_706) >> 16) - 63 };
        match exponent + power.exponent + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, power_of_ten),
        }
    }
}

/// A scaled number between the bounds within which all decimal numbers round to it.
struct Window {
    value: Scaled,
    high: Scaled,
    low: Scaled,
}

impl Window {
    /// Generates digits of the upper bound until the remainder is within the window, then steps
    /// back towards the value. Returns the number of digits, and how many more would follow before
    /// the point.
    fn generate(&self, digits: &mut [u8; DIGITS_MAX]) -> (usize, i32) {
        let mut from_value = self.high.fraction - self.value.fraction;
        let mut width = self.high.fraction - self.low.fraction;
        let shift = self.high.exponent.unsigned_abs();
        let one = 1u64 << shift;
        let (mut whole, mut part) = (self.high.fraction >> shift, self.high.fraction & (one - 1));
        let mut count = 0;
        let mut unit = 1_000_000_000;
        for left in (0..10).rev() {
            let digit = whole / unit;
            whole %= unit;
            if digit > 0 || count > 0 {
                digits[count] = b'0' + digit as u8;
                count += 1;
            }
            let rest = (whole << shift) + part;
            if rest <= width {
                step_back(&mut digits[count - 1], width, rest, unit << shift, from_value);
                return (count, left);
            }
            unit = (unit / 10).max(1);
        }
        let mut left = 0;
        loop {
            part *= 10;
            width *= 10;
            from_value = from_value.wrapping_mul(10);
            left -= 1;
            let digit = part >> shift;
            part &= one - 1;
            if digit > 0 || count > 0 {
                digits[count] = b'0' + digit as u8;
                count += 1;
            }
            if part < width {
                step_back(&mut digits[count - 1], width, part, one, from_value);
                return (count, left);
            }
        }
    }
}

/// Lowers the last digit while that brings the digits closer to the value and stays in the window.
/// All distances are from the upper bound: `rest` that of the digits, `target` that of the value.
fn step_back(last: &mut u8, width: u64, mut rest: u64, unit: u64, target: u64) {
    while rest < target
        && width - rest >= unit
        && (rest + unit < target || target - rest > rest + unit - target)
    {
        *last -= 1;
        rest += unit;
    }
}

const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// 64-bit fractions of 10^-348, 10^-340 ... 10^340, rounded to nearest.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
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
