//! Errors with their positions, and the names of the values that they are about.

use std::sync::Arc;

use super::{Engine, Fault};
use crate::heap::{Function, Loaded};
use crate::names::{ID_MAX_RUN, chunk_id};
use crate::proto::{CONSTANT, Constant, Ins, Op, Proto};
use crate::thread::Frame;
use crate::value::Value;

impl Engine {
    /// An error whose value is a string.
    #[cold]
    pub(crate) fn error_text(&mut self, message: &[u8]) -> Fault {
        match self.heap.new_str(message) {
            Ok(s) => Fault::Error(Value::String(s)),
            Err(_) => Fault::Memory,
        }
    }

    /// An error with the position of a caller: level 1 called the library function that runs.
    #[cold]
    pub(crate) fn error_at(&mut self, level: usize, message: &[u8]) -> Fault {
        let mut text = self.position(level);
        text.extend_from_slice(message);
        self.error_text(&text)
    }

    /// An error of the Lua function that runs.
    #[cold]
    pub(crate) fn error_in_lua(&mut self, message: &[u8]) -> Fault {
        let position = self.thread.frames.last().map(|frame| self.frame_position(frame));
        let text = [position.unwrap_or_default().as_slice(), message].concat();
        self.error_text(&text)
    }

    pub(crate) fn loaded_of(&self, frame: &Frame) -> Option<&Arc<Loaded>> {
        match self.heap.functions.get(frame.function.0) {
            Function::Lua { proto, .. } => Some(self.heap.loaded.get(*proto)),
            Function::Bound { .. } => None,
        }
    }

    /// The chunk and line where a frame is.
    pub(crate) fn place_of(&self, frame: &Frame) -> Option<(Arc<[u8]>, u32)> {
        let proto = &self.loaded_of(frame)?.proto;
        let line = proto.lines.get(frame.pc().saturating_sub(1)).copied().unwrap_or(0);
        Some((Arc::clone(&proto.chunk), line))
    }

    fn frame_position(&self, frame: &Frame) -> Vec<u8> {
        let Some((chunk, line)) = self.place_of(frame) else { return Vec::new() };
        let mut text = chunk_id(&chunk, ID_MAX_RUN);
        text.extend_from_slice(format!(":{line}: ").as_bytes());
        text
    }

    /// `chunk:line: ` of the function at a level; empty for a library function or none.
    pub(crate) fn position(&self, level: usize) -> Vec<u8> {
        let Some(mut left) = level.checked_sub(1) else { return Vec::new() };
        // Between a library function and the innermost Lua function is none but at level 1.
        if !self.called_from_lua {
            let Some(rest) = left.checked_sub(1) else { return Vec::new() };
            left = rest;
        }
        for frame in self.thread.frames.iter().rev() {
            if left == 0 {
                return self.frame_position(frame);
            }
            left -= 1;
            // Calls that were replaced, and the library function that called back, count too.
            let hidden = frame.tails as usize + usize::from(frame.by_native);
            if left < hidden {
                break;
            }
            left -= hidden;
        }
        Vec::new()
    }

    /// `attempt to {action} ...` for the value in an operand of the current instruction.
    #[cold]
    pub(crate) fn type_error(&mut self, action: &str, value: Value, operand: Option<u16>) -> Fault {
        let name = operand.filter(|operand| *operand < CONSTANT).and_then(|register| {
            let frame = self.thread.frames.last()?;
            let proto = &self.loaded_of(frame)?.proto;
            name_of(proto, frame.pc().checked_sub(1)?, register as u8)
        });
        let kind = value.type_name();
        let message = match name {
            Some((what, name)) => {
                [format!("attempt to {action} {what} '").as_bytes(), &name, b"' (a "].concat()
            }
            None => format!("attempt to {action} a ").into_bytes(),
        };
        let end = if message.ends_with(b"(a ") { " value)" } else { " value" };
        self.error_in_lua(&[&message, kind.as_bytes(), end.as_bytes()].concat())
    }

    /// The error that a value at a place on the stack cannot be called.
    #[cold]
    pub(crate) fn call_error(&mut self, at: usize, value: Value) -> Fault {
        if !self.called_from_lua {
            let message = format!("attempt to call a {} value", value.type_name());
            return self.error_at(1, message.as_bytes());
        }
        let base = self.thread.frames.last().map_or(0, Frame::base);
        let register = at.checked_sub(base).and_then(|r| u16::try_from(r).ok());
        self.type_error("call", value, register)
    }

    /// How the function that runs was called: `global`, `method` and so on, with its name.
    pub(crate) fn callee_name(&self) -> Option<(&'static str, Vec<u8>)> {
        if !self.called_from_lua {
            return None;
        }
        let frame = self.thread.frames.last()?;
        let proto = &self.loaded_of(frame)?.proto;
        let at = frame.pc().checked_sub(1)?;
        let ins = proto.code.get(at)?;
        match ins.op {
            Op::Call | Op::TailCall | Op::TForLoop => name_of(proto, at, ins.a),
            _ => None,
        }
    }

    /// `bad argument #1 to 'name' (message)`, the argument counted from 0.
    #[cold]
    pub(crate) fn argument_error(&mut self, at: usize, message: impl AsRef<[u8]>) -> Fault {
        let message = message.as_ref();
        let mut number = at + 1;
        let (kind, name) = self.callee_name().unwrap_or(("", b"?".to_vec()));
        if kind == "method" {
            number -= 1;
            if number == 0 {
                let text = [b"calling '", name.as_slice(), b"' on bad self (", message, b")"];
                return self.error_at(1, &text.concat());
            }
        }
        let start = format!("bad argument #{number} to '");
        let text = [start.as_bytes(), &name, b"' (", message, b")"].concat();
        self.error_at(1, &text)
    }
}

/// The name of what is in a register at a position, from the instruction that put it there.
fn name_of(proto: &Proto, pc: usize, register: u8) -> Option<(&'static str, Vec<u8>)> {
    let active =
        |local: &&crate::proto::LocalName| (local.from as usize) <= pc && pc < local.to as usize;
    if let Some(local) = proto.locals.iter().filter(active).nth(usize::from(register)) {
        return Some(("local", local.name.to_vec()));
    }
    let ins = last_write(proto, pc, register)?;
    let constant = |at: usize| match proto.constants.get(at) {
        Some(Constant::String(text)) => text.to_vec(),
        _ => b"?".to_vec(),
    };
    let key = |operand: i32| match operand >= i32::from(CONSTANT) {
        true => constant((operand - i32::from(CONSTANT)) as usize),
        false => b"?".to_vec(),
    };
    match ins.op {
        Op::Move if ins.b < u16::from(ins.a) => name_of(proto, pc, ins.b as u8),
        Op::GetGlobal => Some(("global", constant(ins.c as usize))),
        Op::GetField => Some(("field", constant(ins.c as usize))),
        Op::GetTable => Some(("field", key(ins.c))),
        Op::Method => Some(("method", key(ins.c))),
        Op::GetUpval => {
            let name = proto.upvalue_names.get(usize::from(ins.b))?;
            Some(("upvalue", name.to_vec()))
        }
        _ => None,
    }
}

/// The last instruction before `end` that certainly wrote a register, following jumps forward.
fn last_write(proto: &Proto, end: usize, register: u8) -> Option<Ins> {
    let mut found = None;
    let mut pc = 0;
    while pc < end {
        let ins = proto.code[pc];
        let first = ins.a;
        let writes = match ins.op {
            Op::LoadNil => first <= register && u16::from(register) <= ins.b,
            Op::Method => register == first || register == first + 1,
            Op::Call | Op::TailCall => register >= first,
            Op::TForLoop => register >= first + 3,
            Op::Vararg => register >= first,
            Op::Jmp => {
                let target = pc as i64 + 1 + i64::from(ins.c);
                if target > pc as i64 && target <= end as i64 {
                    pc = target as usize;
                    continue;
                }
                false
            }
            Op::SetUpval
            | Op::SetGlobal
            | Op::SetTable
            | Op::Eq
            | Op::Lt
            | Op::Le
            | Op::Test
            | Op::Return
            | Op::SetList
            | Op::TForTest
            | Op::Close => false,
            _ => first == register,
        };
        if writes {
            found = Some(ins);
        }
        pc += 1;
    }
    found
}
