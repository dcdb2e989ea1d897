//! Instructions that are more than a few lines.

use std::sync::Arc;

use super::{Engine, Fault, Host, Result};
use crate::heap::{Function, Loaded};
use crate::names::Event;
use crate::number;
use crate::proto::{Capture, Ins, Proto};
use crate::thread::Frame;
use crate::value::{FnRef, Handle, Value};

impl Engine {
    pub(super) fn upvalue_of(&self, function: FnRef, at: u16) -> Handle {
        match self.heap.functions.get(function.0) {
            Function::Lua { upvalues, .. } => upvalues[usize::from(at)],
            Function::Bound { .. } => unreachable!("a frame runs a Lua function"),
        }
    }

    /// A method, if it is in the object or in the table of its metatable's `__index`.
    #[inline]
    pub(super) fn method(&mut self, object: &Value, key: &Value) -> Value {
        let Value::String(name) = key else { return Value::Nil };
        if name.is_long() {
            return Value::Nil;
        }
        if let Value::Table(t) = object {
            let found = self.heap.table(*t).get_short(*name);
            if !found.is_nil() {
                return found;
            }
        }
        let Some(meta) = self.meta_of(object) else { return Value::Nil };
        match self.meta_field(meta, Event::Index) {
            Value::Table(class) => self.heap.table(class).get_short(*name),
            _ => Value::Nil,
        }
    }

    /// Whether a Lua function is at a place on the stack.
    pub(super) fn is_lua(&self, at: usize) -> bool {
        match self.thread.stack[at] {
            Value::Function(f) => {
                matches!(self.heap.functions.get(f.0), Function::Lua { .. })
            }
            _ => false,
        }
    }

    #[inline]
    pub(super) fn argument_count(&self, at: usize, operand: u16) -> usize {
        match usize::from(operand).checked_sub(1) {
            Some(count) => count,
            None => self.thread.top - at - 1,
        }
    }

    /// Replaces the frame that runs by a call of the Lua function at `at`.
    pub(super) fn tail_call(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        count: usize,
    ) -> Result<Arc<Loaded>> {
        let frame = self.thread.frames.pop().expect("a frame runs");
        self.close_upvalues(frame.base());
        self.thread.stack.copy_within(at..=at + count, frame.at());
        let Value::Function(function) = self.thread.stack[frame.at()] else {
            unreachable!("the caller has looked")
        };
        let Function::Lua { proto, .. } = self.heap.functions.get(function.0) else {
            unreachable!("the caller has looked")
        };
        let loaded = Arc::clone(self.heap.loaded.get(*proto));
        self.thread.top = frame.at() + 1 + count;
        self.enter(host, function, &loaded, frame.at(), count, frame.wanted())?;
        if let Some(callee) = self.thread.frames.last_mut() {
            callee.leaves = frame.leaves;
            callee.by_native = frame.by_native;
            callee.tails = frame.tails + 1;
        }
        Ok(loaded)
    }

    /// Returns from the frame that runs: what its caller runs, unless the loop is left.
    #[inline]
    pub(super) fn return_from(&mut self, first: usize, operand: u16) -> Option<Arc<Loaded>> {
        let count = match usize::from(operand).checked_sub(1) {
            Some(count) => count,
            None => self.thread.top - first,
        };
        let frame = self.thread.frames.pop().expect("a frame runs");
        self.close_upvalues(frame.base());
        self.place(first, count, frame.at(), frame.wanted());
        if frame.leaves {
            return None;
        }
        let caller = self.thread.frames.last_mut().expect("a frame called this one");
        Some(caller.loaded.take().expect("it was put there at the call"))
    }

    pub(super) fn new_table_at(&mut self, at: usize, ins: &Ins) -> Result<()> {
        let end = self.thread.frames.last().map_or(0, Frame::end);
        self.fuel -= 2;
        self.safe_point(end);
        let table = self.heap.new_table(usize::from(ins.b), ins.c as usize)?;
        self.thread.stack[at] = Value::Table(table);
        Ok(())
    }

    pub(super) fn make_closure(
        &mut self,
        function: FnRef,
        proto: Handle,
        base: usize,
    ) -> Result<Value> {
        let end = self.thread.frames.last().map_or(0, Frame::end);
        self.fuel -= 2;
        self.safe_point(end);
        let loaded = Arc::clone(self.heap.loaded.get(proto));
        let mut upvalues = Vec::with_capacity(loaded.proto.captures.len());
        for capture in &loaded.proto.captures {
            upvalues.push(match capture {
                Capture::Local(register) => self.open_upvalue(base + usize::from(*register))?,
                Capture::Upvalue(at) => self.upvalue_of(function, u16::from(*at)),
            });
        }
        Ok(Value::Function(self.heap.new_lua(proto, upvalues.into())?))
    }

    /// Copies varargs: as many as the operand says, or all.
    pub(super) fn varargs(&mut self, to: usize, operand: u16, proto: &Proto) -> Result<()> {
        let frame = self.thread.frames.last().expect("a frame runs");
        let first = frame.at() + 1 + usize::from(proto.params);
        let count = frame.base().saturating_sub(first);
        let wanted = match usize::from(operand).checked_sub(1) {
            Some(wanted) => wanted,
            None => {
                self.ensure_stack(to + count)?;
                self.thread.top = to + count;
                count
            }
        };
        let kept = count.min(wanted);
        self.thread.stack.copy_within(first..first + kept, to);
        self.thread.stack[to + kept..to + wanted].fill(Value::Nil);
        Ok(())
    }

    /// Stores the elements of a constructor that are in the registers after its table.
    pub(super) fn set_list(&mut self, at: usize, ins: &Ins) -> Result<()> {
        let count = match ins.b {
            0 => self.thread.top - at - 1,
            count => usize::from(count),
        };
        let Value::Table(t) = self.thread.stack[at] else {
            unreachable!("the constructor made a table")
        };
        let start = ins.c as usize - 1;
        for i in 0..count {
            let value = self.thread.stack[at + 1 + i];
            let table = self.heap.tables.get_mut(t.0);
            table.set_listed(start + i, value, &self.heap.strings, &mut self.heap.budget)?;
        }
        Ok(())
    }

    /// Checks the numbers of a loop, and steps back so that the first step comes to its start.
    pub(super) fn prepare_loop(&mut self, at: usize) -> Result<()> {
        for (i, what) in ["initial value", "limit", "step"].into_iter().enumerate() {
            let number = match self.thread.stack[at + i] {
                Value::Number(n) => Some(n),
                Value::String(s) => number::parse(self.heap.strings.bytes(s)),
                _ => None,
            };
            let Some(number) = number else {
                let message = format!("'for' {what} must be a number");
                return Err(self.error_in_lua(message.as_bytes()));
            };
            self.thread.stack[at + i] = Value::Number(number);
        }
        if let (Value::Number(start), Value::Number(step)) =
            (self.thread.stack[at], self.thread.stack[at + 2])
        {
            self.thread.stack[at] = Value::Number(start - step);
        }
        Ok(())
    }
}

impl From<std::collections::TryReserveError> for Fault {
    fn from(_: std::collections::TryReserveError) -> Self {
        Self::Memory
    }
}
