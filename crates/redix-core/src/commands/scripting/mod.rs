//! Scripts: EVAL and its kin, SCRIPT, FUNCTION.

pub mod eval;
pub mod function;
mod host;
pub mod script;
mod values;
