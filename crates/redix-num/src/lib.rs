//! Decimal text of numbers, as the real servers have it: what the protocol sends and what values
//! are kept as must be the same bytes.
//!
//! - `i64`: strict decimal text, the same both ways: no sign but a single `-`, no leading zeros, no
//!   spaces, so that one number has one text.
//! - `f64` (scores, RESP3 doubles): few digits that read back as the same number, found by Grisu2
//!   and laid out as Valkey 8 and 9 and Redis 8 do it (Redis 7.0 prints 17 digits instead).
//!
//! It depends on nothing and knows of no protocol and no value. What is accepted and what comes out
//! was asked of Valkey 9.1.2 and Redis 8.2.3, with tens of thousands of random numbers; `tests.rs`
//! keeps the telling ones.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod double;
mod grisu;
mod integer;

pub use double::{parse_f64, push_f64, push_f64_compact, push_f64_exact};
pub use integer::{INT_TEXT_MAX, IntText, i64_len, parse_i64};

#[cfg(test)]
mod tests;
