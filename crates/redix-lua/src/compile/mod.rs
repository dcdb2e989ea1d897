//! The compiler: one pass from source to instructions, no syntax tree.
//!
//! `lex` makes tokens, `parse` follows the grammar, `code` writes instructions. Nesting is bounded
//! at [`parse::LEVELS_MAX`], everything else by the bytes that the result may take.

mod code;
mod lex;
mod parse;

use std::sync::Arc;

use crate::proto::Proto;

/// Why a source is not a program: the message as `loadstring` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    pub message: Vec<u8>,
}

/// What a compilation may allocate when its caller sets no limit.
const ROOM: usize = 256 << 20;

/// Compiles a source. `chunk_name` is `@file`, `=name`, or the source itself, as in Lua; messages
/// show it. Bytecode is no exception: it is a text with an unexpected symbol.
pub fn compile(source: &[u8], chunk_name: &[u8]) -> Result<Arc<Proto>, CompileError> {
    compile_within(source, chunk_name, ROOM, &mut |_| true)
}

/// Compiles with at most `room` bytes. `pay` is asked now and then, with the work done, whether to
/// go on; what is returned after it said no does not matter.
pub(crate) fn compile_within(
    source: &[u8],
    chunk_name: &[u8],
    room: usize,
    pay: &mut dyn FnMut(usize) -> bool,
) -> Result<Arc<Proto>, CompileError> {
    parse::parse(source, chunk_name, room, pay)
}
