//! The compiler.

use std::sync::Arc;

use crate::proto::Proto;

/// Why a source is not a program: the message as `loadstring` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    pub message: Vec<u8>,
}

/// Compiles a source. `chunk_name` is `@file`, `=name`, or the source itself, as in Lua; messages
/// show it. Bytecode is refused.
pub fn compile(_source: &[u8], _chunk_name: &[u8]) -> Result<Arc<Proto>, CompileError> {
    Err(CompileError { message: b"not yet".to_vec() })
}
