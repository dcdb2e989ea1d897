//! The state of a coroutine: its registers, its calls, its open upvalues.

use std::sync::Arc;

use crate::heap::Loaded;
use crate::value::{FnRef, Handle, Value};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Not started: the function is at the bottom of the stack.
    Fresh,
    Suspended,
    Running,
    /// It resumed another one.
    Normal,
    Dead,
}

/// A call of a Lua function in progress.
pub(crate) struct Frame {
    pub(crate) function: FnRef,
    /// What it runs; the interpreter holds it while the frame is the innermost.
    pub(crate) loaded: Option<Arc<Loaded>>,
    pub(crate) base: usize,
    /// The end of its registers.
    pub(crate) end: usize,
    /// Where the function was, and its results go.
    pub(crate) at: usize,
    pub(crate) pc: usize,
    /// How many results the caller wants; `None`: all, up to the top.
    pub(crate) wanted: Option<usize>,
    /// Returning from it leaves the interpreter's loop.
    pub(crate) leaves: bool,
    /// A library function called it.
    pub(crate) by_native: bool,
    /// How many calls it replaced as tail calls.
    pub(crate) tails: u32,
}

pub(crate) struct Thread {
    pub(crate) stack: Vec<Value>,
    /// The end of a list of values of open length: arguments, results.
    pub(crate) top: usize,
    pub(crate) frames: Vec<Frame>,
    /// Open upvalues with their registers, ascending.
    pub(crate) open: Vec<(u32, Handle)>,
    pub(crate) status: Status,
    /// The depth of native calls at which this coroutine may yield.
    pub(crate) yield_depth: usize,
    /// The call that yielded: where its results go and how many are wanted.
    pub(crate) resume_at: (usize, Option<usize>),
}

impl Thread {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            stack: vec![Value::Nil; size],
            top: 0,
            frames: Vec::new(),
            open: Vec::new(),
            status: Status::Fresh,
            yield_depth: usize::MAX,
            resume_at: (0, None),
        }
    }

    /// The first register that is certainly not in use.
    pub(crate) fn extent(&self) -> usize {
        self.frames.last().map_or(0, |frame| frame.end).max(self.top).min(self.stack.len())
    }
}
