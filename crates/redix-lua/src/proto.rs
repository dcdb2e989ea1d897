//! Compiled functions: instructions, constants and what error messages need.
//!
//! A prototype belongs to no engine and is shared by all; an engine makes its constants into
//! values of its own when it loads it.

use std::sync::Arc;

/// Operands from here on are constants, below it registers.
pub(crate) const CONSTANT: u16 = 256;

/// What an instruction does. `R` is a register, `K` a constant, `RK` either; `a`, `b`, `c` are the
/// operands. Jumps are relative to the next instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    /// `R[a] = R[b]`
    Move,
    /// `R[a] = K[c]`
    LoadK,
    /// `R[a] = (b != 0)`; skips the next instruction if `c != 0`.
    LoadBool,
    /// `R[a..=b] = nil`
    LoadNil,
    /// `R[a] = U[b]`
    GetUpval,
    /// `U[b] = R[a]`
    SetUpval,
    /// `R[a] = G[K[c]]`
    GetGlobal,
    /// `G[K[c]] = R[a]`
    SetGlobal,
    /// `R[a] = R[b][RK[c]]`
    GetTable,
    /// `R[a] = R[b][K[c]]`, the key a short string
    GetField,
    /// `R[a][RK[b]] = RK[c]`
    SetTable,
    /// `R[a] = {}` with room for `b` elements and `c` fields
    NewTable,
    /// `R[a + 1] = R[b]; R[a] = R[b][RK[c]]`
    Method,
    /// `R[a] = RK[b] + RK[c]`, and so on
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    /// `R[a] = -R[b]`
    Unm,
    Not,
    Len,
    /// `R[a] = R[b] .. ... .. R[c]`
    Concat,
    /// Jumps by `c`.
    Jmp,
    /// Skips the next instruction, a jump, unless `(RK[b] == RK[c]) == (a != 0)`.
    Eq,
    Lt,
    Le,
    /// Jumps by `c` if the truth of `R[a]` is `b != 0`.
    Test,
    /// As `Test` on `R[b >> 1]` with truth `b & 1`, and then `R[a] = R[b >> 1]`.
    TestSet,
    /// Calls `R[a]` with `b - 1` arguments for `c - 1` results; 0: up to the top.
    Call,
    TailCall,
    /// Returns `b - 1` values from `R[a]`.
    Return,
    /// Steps the loop at `R[a]` and jumps by `c` unless it is over.
    ForLoop,
    ForPrep,
    /// Calls the iterator at `R[a]` for `b` values, to `R[a + 3]` and on.
    TForLoop,
    /// Unless `R[a + 3]` is nil, makes it the control variable and jumps by `c`.
    TForTest,
    /// Appends `b` values after `R[a]` to the table there, from index `c`.
    SetList,
    /// Closes the upvalues from `R[a]`.
    Close,
    /// `R[a]` = a closure of the inner function `c`.
    Closure,
    /// `R[a]..` = `b - 1` varargs
    Vararg,
}

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ins {
    pub(crate) op: Op,
    pub(crate) a: u8,
    pub(crate) b: u16,
    pub(crate) c: i32,
}

#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Number(f64),
    String(Arc<[u8]>),
}

/// Where a closure finds an upvalue when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Capture {
    /// A register of the enclosing function.
    Local(u8),
    /// An upvalue of the enclosing function.
    Upvalue(u8),
}

/// A local variable, for messages: its register is its rank among those active at a position.
#[derive(Clone, Debug)]
pub(crate) struct LocalName {
    pub(crate) name: Arc<[u8]>,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// A compiled function. Shared between engines and threads.
#[derive(Debug)]
pub struct Proto {
    pub(crate) chunk: Arc<[u8]>,
    pub(crate) code: Vec<Ins>,
    pub(crate) lines: Vec<u32>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) protos: Vec<Arc<Proto>>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) upvalue_names: Vec<Arc<[u8]>>,
    pub(crate) locals: Vec<LocalName>,
    pub(crate) params: u8,
    pub(crate) vararg: bool,
    /// The function has a parameter `arg` that is a table of the varargs.
    pub(crate) arg_table: bool,
    pub(crate) registers: u8,
    /// Bytes of this prototype and those in it.
    pub(crate) size: usize,
}

impl Proto {
    /// The bytes that the prototype takes, with the functions in it.
    pub fn memory_bytes(&self) -> usize {
        self.size
    }

    /// The name given to [`crate::compile()`].
    pub fn chunk_name(&self) -> &[u8] {
        &self.chunk
    }
}
