//! Number text as Redis reads and writes it.
//!
//! - `i64` and `f64`: the text of the protocol, from `redix-num`.
//! - [`LongDouble`] (INCRBYFLOAT, HINCRBYFLOAT): the 80-bit numbers of x87, with which the servers
//!   compute on x86-64, emulated, so that results equal theirs to the last digit on every machine.
//!
//! Accepted and formatted text was checked on Valkey 9.1.2, Redis 7.0.15 and 8.2.3, with tens of
//! thousands of random numbers; `tests.rs` keeps the interesting ones.

#[cfg(test)]
mod tests;

mod long_double;

pub use long_double::LongDouble;
pub use redix_num::{i64_len, parse_f64, parse_i64, push_f64, push_f64_compact, push_f64_exact};
