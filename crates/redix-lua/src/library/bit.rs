//! The bit library: operations on the low 32 bits of numbers, results signed.

use crate::engine::{Engine, Host};
use crate::value::Value;
use crate::vm::{Args, Native, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("arshift", |e, _, args| shift(e, args, |a, n| (a.cast_signed() >> n).cast_unsigned())),
    ("band", |e, _, args| fold(e, args, |a, b| a & b)),
    ("bnot", |e, _, args| unary(e, args, |a| !a)),
    ("bor", |e, _, args| fold(e, args, |a, b| a | b)),
    ("bswap", |e, _, args| unary(e, args, u32::swap_bytes)),
    ("bxor", |e, _, args| fold(e, args, |a, b| a ^ b)),
    ("lshift", |e, _, args| shift(e, args, |a, n| a << n)),
    ("rol", |e, _, args| shift(e, args, u32::rotate_left)),
    ("ror", |e, _, args| shift(e, args, u32::rotate_right)),
    ("rshift", |e, _, args| shift(e, args, |a, n| a >> n)),
    ("tobit", |e, _, args| unary(e, args, |a| a)),
    ("tohex", tohex),
];

/// The low bits of a number rounded to an integer: adding this constant moves them to the end of
/// the mantissa.
const MAGIC: f64 = 6_755_399_441_055_744.0;

fn check_bits(e: &mut Engine, args: Args, at: usize) -> Result<u32> {
    Ok((e.check_number(args, at)? + MAGIC).to_bits() as u32)
}

fn give(e: &mut Engine, bits: u32) -> Result<usize> {
    e.give(Value::Number(f64::from(bits.cast_signed())))
}

fn unary(e: &mut Engine, args: Args, f: impl Fn(u32) -> u32) -> Result<usize> {
    let a = check_bits(e, args, 0)?;
    give(e, f(a))
}

fn shift(e: &mut Engine, args: Args, f: impl Fn(u32, u32) -> u32) -> Result<usize> {
    let a = check_bits(e, args, 0)?;
    let n = check_bits(e, args, 1)?;
    give(e, f(a, n & 31))
}

fn fold(e: &mut Engine, args: Args, f: impl Fn(u32, u32) -> u32) -> Result<usize> {
    let mut result = check_bits(e, args, 0)?;
    // The last argument is looked at first: it decides which error comes.
    for at in (1..args.count).rev() {
        result = f(result, check_bits(e, args, at)?);
    }
    give(e, result)
}

fn tohex(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let bits = check_bits(e, args, 0)?;
    let digits = if args.count > 1 { check_bits(e, args, 1)?.cast_signed() } else { 8 };
    let mut text = format!("{bits:08x}");
    if digits < 0 {
        text.make_ascii_uppercase();
    }
    let skipped = 8 - (digits.unsigned_abs() as usize).min(8);
    e.give_bytes(&text.as_bytes()[skipped..])
}
