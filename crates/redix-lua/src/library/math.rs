//! The math library and `os.clock`.

use crate::engine::{Engine, Host};
use crate::number;
use crate::value::Value;
use crate::vm::{Args, Native, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("abs", |e, _, args| unary(e, args, f64::abs)),
    ("acos", |e, _, args| unary(e, args, f64::acos)),
    ("asin", |e, _, args| unary(e, args, f64::asin)),
    ("atan", |e, _, args| unary(e, args, f64::atan)),
    ("atan2", |e, _, args| binary(e, args, f64::atan2)),
    ("ceil", |e, _, args| unary(e, args, f64::ceil)),
    ("cos", |e, _, args| unary(e, args, f64::cos)),
    ("cosh", |e, _, args| unary(e, args, f64::cosh)),
    ("deg", |e, _, args| unary(e, args, |x| x / (std::f64::consts::PI / 180.0))),
    ("exp", |e, _, args| unary(e, args, f64::exp)),
    ("floor", |e, _, args| unary(e, args, crate::vm::floor)),
    ("fmod", |e, _, args| binary(e, args, |a, b| a % b)),
    ("frexp", frexp),
    ("ldexp", ldexp),
    ("log", |e, _, args| unary(e, args, f64::ln)),
    ("log10", |e, _, args| unary(e, args, f64::log10)),
    ("max", |e, _, args| fold(e, args, |a, b| if b > a { b } else { a })),
    ("min", |e, _, args| fold(e, args, |a, b| if b < a { b } else { a })),
    ("mod", |e, _, args| binary(e, args, |a, b| a % b)),
    ("modf", modf),
    ("pow", |e, _, args| binary(e, args, f64::powf)),
    ("rad", |e, _, args| unary(e, args, |x| x * (std::f64::consts::PI / 180.0))),
    ("random", random),
    ("randomseed", randomseed),
    ("sin", |e, _, args| unary(e, args, f64::sin)),
    ("sinh", |e, _, args| unary(e, args, f64::sinh)),
    ("sqrt", |e, _, args| unary(e, args, f64::sqrt)),
    ("tan", |e, _, args| unary(e, args, f64::tan)),
    ("tanh", |e, _, args| unary(e, args, f64::tanh)),
];

pub(super) const OS: &[(&str, Native)] = &[("clock", clock)];

pub(super) fn open(engine: &mut Engine) -> Result<()> {
    let Value::Table(math) = engine.raw_get_field(engine.globals, b"math")? else {
        return Ok(());
    };
    engine.raw_set_field(math, b"pi", Value::Number(std::f64::consts::PI))?;
    engine.raw_set_field(math, b"huge", Value::Number(f64::INFINITY))
}

fn unary(e: &mut Engine, args: Args, f: impl Fn(f64) -> f64) -> Result<usize> {
    let x = e.check_number(args, 0)?;
    e.give(Value::Number(f(x)))
}

fn binary(e: &mut Engine, args: Args, f: impl Fn(f64, f64) -> f64) -> Result<usize> {
    // C looks at the second one first: it decides which error comes.
    let b = e.check_number(args, 1)?;
    let a = e.check_number(args, 0)?;
    e.give(Value::Number(f(a, b)))
}

fn fold(e: &mut Engine, args: Args, f: impl Fn(f64, f64) -> f64) -> Result<usize> {
    let mut result = e.check_number(args, 0)?;
    for at in 1..args.count {
        result = f(result, e.check_number(args, at)?);
    }
    e.give(Value::Number(result))
}

fn frexp(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let x = e.check_number(args, 0)?;
    let (fraction, exponent) = split(x);
    e.push(Value::Number(fraction))?;
    e.push(Value::Number(f64::from(exponent)))?;
    Ok(2)
}

/// A number as a fraction in `0.5..1` times a power of two.
fn split(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // Numbers below the normal range have no exponent of their own.
    let (x, offset) = if x.is_subnormal() { (x * 2_f64.powi(64), 64) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i32 - 1022;
    (f64::from_bits(bits & !(0x7FF << 52) | 1022 << 52), exponent - offset)
}

fn ldexp(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let exponent = number::to_i32(e.check_number(args, 1)?);
    let x = e.check_number(args, 0)?;
    e.give(Value::Number(number::scale(x, i64::from(exponent))))
}

fn modf(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let x = e.check_number(args, 0)?;
    let whole = x.trunc();
    let fraction = if x.is_infinite() { 0.0_f64.copysign(x) } else { (x - whole).copysign(x) };
    e.push(Value::Number(whole))?;
    e.push(Value::Number(fraction))?;
    Ok(2)
}

fn random(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    // A generator of 31 bits, whose largest number would give 1.
    let max = i32::MAX.unsigned_abs();
    let r = f64::from(e.random.next() % max) / f64::from(max);
    let result = match args.count {
        0 => r,
        1 => {
            let high = number::to_i32(e.check_number(args, 0)?);
            if high < 1 {
                return Err(e.argument_error(0, "interval is empty"));
            }
            (r * f64::from(high)).floor() + 1.0
        }
        2 => {
            let low = number::to_i32(e.check_number(args, 0)?);
            let high = number::to_i32(e.check_number(args, 1)?);
            if low > high {
                return Err(e.argument_error(1, "interval is empty"));
            }
            // C computes the width of the interval in an int.
            let width = high.wrapping_sub(low).wrapping_add(1);
            (r * f64::from(width)).floor() + f64::from(low)
        }
        _ => return Err(e.error_at(1, b"wrong number of arguments")),
    };
    e.give(Value::Number(result))
}

fn randomseed(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let seed = number::to_i32(e.check_number(args, 0)?);
    e.random.seed(seed);
    Ok(0)
}

fn clock(e: &mut Engine, host: &mut dyn Host, _: Args) -> Result<usize> {
    let seconds = host.clock();
    e.give(Value::Number(seconds))
}
