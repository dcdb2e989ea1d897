//! Arithmetic as C compiles it on x86-64.

use crate::proto::Op;

/// The largest integer not above a number, without a library call.
#[inline]
pub(crate) fn floor(x: f64) -> f64 {
    // Beyond 2^52 every double is whole; NaN stays.
    if x.is_nan() || x.abs() >= 4_503_599_627_370_496.0 || x == 0.0 {
        return x;
    }
    let whole = x as i64 as f64;
    if whole > x { whole - 1.0 } else { whole }
}

/// `a % b` of Lua 5.1: with the sign of `b`.
#[inline]
pub(crate) fn modulo(a: f64, b: f64) -> f64 {
    a - floor(a / b) * b
}

/// The result of an arithmetic instruction.
pub(super) fn arithmetic(op: Op, a: f64, b: f64) -> f64 {
    match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Mod => modulo(a, b),
        Op::Pow => a.powf(b),
        _ => -a,
    }
}
