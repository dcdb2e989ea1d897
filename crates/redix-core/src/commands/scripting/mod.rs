//! Scripts: EVAL and its kin, SCRIPT; functions: FCALL, FUNCTION.

mod busy_time;
pub mod eval;
pub mod fcall;
pub mod function;
mod host;
pub mod script;
mod values;
