//! Numbers as Redis reads and writes them.
//!
//! * `i64` and `f64`: the text that the protocol has too, from `redix-num`.
//! * [`LongDouble`] (INCRBYFLOAT, HINCRBYFLOAT): the 80-bit numbers of x87, which are what the
//!   servers compute with on x86-64, emulated, so that results are theirs to the last digit on
//!   every machine.
//!
//! What is accepted and what comes out was asked of Valkey 9.1.2, Redis 7.0.15 and 8.2.3, with
//! tens of thousands of random numbers; `tests.rs` keeps the telling ones.

#[cfg(test)]
mod tests;

mod long_double;

pub use long_double::LongDouble;
pub use redix_num::{i64_len, parse_f64, parse_i64, push_f64, push_f64_compact, push_f64_exact};
