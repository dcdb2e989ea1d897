//! Scripts: EVAL and its kin, SCRIPT, FUNCTION.

mod busy_time;
pub mod eval;
pub mod function;
mod host;
pub mod script;
mod values;
