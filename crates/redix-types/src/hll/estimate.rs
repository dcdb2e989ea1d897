//! From registers to an estimate.

use super::{
    Corrupt, EMPTY, INDEX_BITS, Mark, REGISTERS, Registers, count, make_dense, raise, registers,
};

/// The largest value of a register: a hash whose rest is all zeros.
const VALUE_MAX: usize = 64 - INDEX_BITS as usize + 1;
/// 1 / (2 ln 2): the limit of the factor that the harmonic mean is corrected by.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many different elements raise registers to these values, about.
pub fn count_registers(registers: &Registers) -> u64 {
    // Several histograms, so that equal neighbours do not wait for one another.
    let mut histograms = [[0_u32; 64]; 4];
    for group in registers.as_chunks::<4>().0 {
        for (histogram, value) in histograms.iter_mut().zip(group) {
            let count = &mut histogram[usize::from(value & 0x3f)];
            *count = count.wrapping_add(1);
        }
    }
    let of = |value: usize| f64::from(histograms.iter().map(|of| of[value]).sum::<u32>());
    let m = REGISTERS as f64;
    let mut z = m * tau((m - of(VALUE_MAX)) / m);
    for value in (1..VALUE_MAX).rev() {
        z += of(value);
        z *= 0.5;
    }
    z += m * sigma(of(0) / m);
    (ALPHA * m * m / z).round() as u64
}

/// x + the sum of x^(2^k) * 2^(k-1) over all k from 1 on; infinite for 1.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut factor, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k over all k from 1 on; 0 for 0 and 1.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut factor, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - root).powi(2) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// Checks registers and estimates, with elements that `random` makes. Takes some tens of
/// milliseconds. The error says what is wrong.
pub fn self_test(mut random: impl FnMut() -> u64) -> Result<(), String> {
    check_registers(&mut random)?;
    check_estimates(&mut random)
}

/// Registers keep the largest of what they are raised to, dense or sparse.
fn check_registers(random: &mut impl FnMut() -> u64) -> Result<(), String> {
    let wrong = |_: Corrupt| "TESTFAILED a value is corrupt".to_owned();
    for marks in [100, 100_000] {
        let (mut value, mut expected) = (EMPTY.to_vec(), [0; REGISTERS]);
        for _ in 0..marks {
            let bits = random();
            let index = (bits >> 32) as usize % REGISTERS;
            let mark = Mark { index, value: (bits % VALUE_MAX as u64) as u8 + 1 };
            raise(&mut value, mark, usize::MAX).map_err(wrong)?;
            expected[index] = mark.value.max(expected[index]);
        }
        let is_right = |value: &[u8]| registers(value).map(|found| found == expected);
        let right = is_right(&value).map_err(wrong)?;
        make_dense(&mut value).map_err(wrong)?;
        if !right || !is_right(&value).map_err(wrong)? {
            return Err("TESTFAILED a register is not what it was raised to".to_owned());
        }
    }
    Ok(())
}

/// Estimates are within six standard errors.
fn check_estimates(random: &mut impl FnMut() -> u64) -> Result<(), String> {
    const ELEMENTS: u64 = 1_000_000;
    let wrong = |_: Corrupt| "TESTFAILED a value is corrupt".to_owned();
    let (mut value, seed) = (EMPTY.to_vec(), random());
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (seed ^ number).to_le_bytes();
        raise(&mut value, Mark::of(&element), 3000).map_err(wrong)?;
        if number == checkpoint {
            let estimate = count(&value).map_err(wrong)?;
            let error = 1.04 / (REGISTERS as f64).sqrt() * 6.0 * number as f64;
            if estimate.abs_diff(number) as f64 > error.ceil() {
                return Err(format!("TESTFAILED {number} elements are estimated at {estimate}"));
            }
            checkpoint *= 10;
        }
    }
    Ok(())
}
