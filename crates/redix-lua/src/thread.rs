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

/// A call of a Lua function in progress. Places on the stack have 32 bits: calls are frequent, and
/// a stack of more registers would not fit the memory limit.
pub(crate) struct Frame {
    pub(crate) function: FnRef,
    /// What it runs; the interpreter holds it while the frame is the innermost.
    pub(crate) loaded: Option<Arc<Loaded>>,
    pub(crate) base: u32,
    /// The end of its registers.
    pub(crate) end: u32,
    /// Where the function was, and its results go.
    pub(crate) at: u32,
    pub(crate) pc: u32,
    /// How many results the caller wants; [`ALL`]: up to the top.
    pub(crate) wanted: u32,
    /// How many calls it replaced as tail calls.
    pub(crate) tails: u32,
    /// Returning from it leaves the interpreter's loop.
    pub(crate) leaves: bool,
    /// A library function called it.
    pub(crate) by_native: bool,
}

/// All results are wanted.
pub(crate) const ALL: u32 = u32::MAX;

impl Frame {
    pub(crate) fn base(&self) -> usize {
        self.base as usize
    }

    pub(crate) fn end(&self) -> usize {
        self.end as usize
    }

    pub(crate) fn at(&self) -> usize {
        self.at as usize
    }

    pub(crate) fn pc(&self) -> usize {
        self.pc as usize
    }

    pub(crate) fn wanted(&self) -> Option<usize> {
        (self.wanted != ALL).then_some(self.wanted as usize)
    }
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
        self.frames.last().map_or(0, Frame::end).max(self.top).min(self.stack.len())
    }
}
