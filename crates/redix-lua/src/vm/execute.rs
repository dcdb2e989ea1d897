//! The interpreter's loop.
//!
//! HOT PATH: operands are matched by reference; whatever is not plain goes to a function of its
//! own, which keeps the native frame of the loop small. The position is stored in the frame before
//! anything that can fail or call.

use std::sync::Arc;

use super::operand::modulo;
use super::{Engine, Fault, Host, Result};
use crate::heap::Loaded;
use crate::proto::{CONSTANT, Op};
use crate::value::Value;

/// What the loop does after an instruction that changes frames.
enum Switch {
    Enter(Arc<Loaded>),
    Resume(Arc<Loaded>),
    Leave,
}

impl Engine {
    /// Runs the innermost frame, which runs `loaded`, until the frame that leaves returns.
    pub(crate) fn execute(&mut self, host: &mut dyn Host, loaded: Arc<Loaded>) -> Result<()> {
        let mut loaded = loaded;
        let outcome = self.run_frames(host, &mut loaded);
        if let Err(fault) = &outcome {
            let frame = self.thread.frames.last_mut();
            match (fault, frame) {
                (Fault::Yield, Some(frame)) => frame.loaded = Some(loaded),
                _ if self.fault_at.is_some() => {}
                _ => {
                    let place = self.thread.frames.last().map(|frame| self.place_of(frame));
                    self.fault_at = place.flatten();
                }
            }
        }
        outcome
    }

    /// Runs frames; `loaded` is what the innermost one runs.
    fn run_frames(&mut self, host: &mut dyn Host, loaded: &mut Arc<Loaded>) -> Result<()> {
        loop {
            match self.run_frame(host, loaded)? {
                Switch::Leave => return Ok(()),
                Switch::Resume(caller) => *loaded = caller,
                Switch::Enter(callee) => {
                    let caller = std::mem::replace(loaded, callee);
                    let frames = &mut self.thread.frames;
                    if let Some(at) = frames.len().checked_sub(2) {
                        frames[at].loaded = Some(caller);
                    }
                }
            }
        }
    }

    /// Runs instructions of the innermost frame until another one is: an arm for each.
    // tidy: table
    #[inline]
    fn run_frame(&mut self, host: &mut dyn Host, loaded: &Arc<Loaded>) -> Result<Switch> {
        let code = loaded.proto.code.as_slice();
        let constants = &loaded.constants;
        let frame = self.thread.frames.last().expect("a frame runs");
        let (base, end, mut pc) = (frame.base(), frame.end(), frame.pc());
        let function = frame.function;

        macro_rules! reg {
            ($r:expr) => {
                self.thread.stack[base + $r as usize]
            };
        }
        macro_rules! operand {
            ($x:expr) => {{
                let x = $x as usize;
                if x < CONSTANT as usize {
                    &self.thread.stack[base + x]
                } else {
                    &constants[x - CONSTANT as usize]
                }
            }};
        }
        macro_rules! save {
            () => {{
                self.save(pc);
            }};
        }
        macro_rules! arithmetic {
            ($ins:expr, $a:ident, $b:ident, $result:expr) => {{
                let ins = $ins;
                let pair = (operand!(ins.b), operand!(ins.c));
                if let (Value::Number($a), Value::Number($b)) = pair {
                    let result = Value::Number($result);
                    reg!(ins.a) = result;
                } else {
                    let values = [*pair.0, *pair.1];
                    save!();
                    let result = self.arithmetic(host, ins.op, values, [ins.b, ins.c as u16])?;
                    reg!(ins.a) = result;
                }
            }};
        }
        macro_rules! compare {
            ($ins:expr, $a:ident, $b:ident, $plain:expr, $slow:ident) => {{
                let ins = $ins;
                let pair = (operand!(ins.b), operand!(ins.c));
                let holds = if let (Value::Number($a), Value::Number($b)) = pair {
                    $plain
                } else {
                    let (a, b) = (*pair.0, *pair.1);
                    save!();
                    self.$slow(host, a, b)?
                };
                if holds == (ins.a != 0) {
                    jump!(code[pc].c);
                }
                pc += 1;
            }};
        }
        macro_rules! jump {
            ($by:expr) => {{
                let by = $by;
                pc = pc.wrapping_add_signed(by as isize);
                if by < 0 {
                    self.fuel -= 1;
                    if self.fuel < 0 {
                        save!();
                        self.tick(host)?;
                    }
                }
            }};
        }

        loop {
            let ins = &code[pc];
            pc += 1;
            match ins.op {
                Op::Move => reg!(ins.a) = reg!(ins.b),
                Op::LoadK => reg!(ins.a) = constants[ins.c as usize],
                Op::LoadBool => {
                    reg!(ins.a) = Value::Boolean(ins.b != 0);
                    pc += ins.c as usize;
                }
                Op::LoadNil => {
                    self.thread.stack[base + ins.a as usize..=base + ins.b as usize]
                        .fill(Value::Nil);
                }
                Op::GetUpval => {
                    let upvalue = self.upvalue_of(function, ins.b);
                    reg!(ins.a) = self.upvalue(upvalue);
                }
                Op::SetUpval => {
                    let upvalue = self.upvalue_of(function, ins.b);
                    self.set_upvalue(upvalue, reg!(ins.a));
                }
                Op::GetGlobal => {
                    let key = &constants[ins.c as usize];
                    if let Value::String(s) = key
                        && let Some(value) = self.heap.table(self.globals).field(*s)
                    {
                        reg!(ins.a) = *value;
                        continue;
                    }
                    save!();
                    reg!(ins.a) = self.index(host, Value::Table(self.globals), *key, None)?;
                }
                Op::SetGlobal => {
                    save!();
                    let (key, value) = (constants[ins.c as usize], reg!(ins.a));
                    self.set_index(host, Value::Table(self.globals), key, value, None)?;
                }
                Op::GetField => {
                    let key = &constants[ins.c as usize];
                    if let (Value::Table(t), Value::String(s)) = (&reg!(ins.b), key)
                        && let Some(value) = self.heap.table(*t).field(*s)
                    {
                        // From the table to the register without a stop between.
                        reg!(ins.a) = *value;
                        continue;
                    }
                    save!();
                    reg!(ins.a) = self.index(host, reg!(ins.b), *key, Some(ins.b))?;
                }
                Op::GetTable => {
                    let key = operand!(ins.c);
                    if let (Value::Table(t), Value::Number(n)) = (&reg!(ins.b), key)
                        && let Some(value) = self.heap.table(*t).element(*n)
                    {
                        reg!(ins.a) = *value;
                        continue;
                    }
                    let key = *key;
                    save!();
                    reg!(ins.a) = self.index(host, reg!(ins.b), key, Some(ins.b))?;
                }
                Op::SetTable => {
                    let (key, value) = (operand!(ins.b), *operand!(ins.c));
                    let mut done = false;
                    if let Value::Table(t) = &reg!(ins.a) {
                        let table = self.heap.tables.get_mut(t.0);
                        done = !table.readonly && table.replace(key, value, &self.heap.strings);
                    }
                    if !done {
                        let key = *key;
                        save!();
                        self.set_index(host, reg!(ins.a), key, value, Some(u16::from(ins.a)))?;
                    }
                }
                Op::NewTable => {
                    save!();
                    self.new_table_at(base + ins.a as usize, ins)?;
                }
                Op::Method => {
                    let object = reg!(ins.b);
                    let key = *operand!(ins.c);
                    let found = self.method(&object, &key);
                    reg!(ins.a + 1) = object;
                    reg!(ins.a) = match found {
                        Value::Nil => {
                            save!();
                            self.index(host, object, key, Some(ins.b))?
                        }
                        value => value,
                    };
                }
                Op::Add => arithmetic!(ins, a, b, a + b),
                Op::Sub => arithmetic!(ins, a, b, a - b),
                Op::Mul => arithmetic!(ins, a, b, a * b),
                Op::Div => arithmetic!(ins, a, b, a / b),
                Op::Mod => arithmetic!(ins, a, b, modulo(*a, *b)),
                Op::Pow => arithmetic!(ins, a, b, a.powf(*b)),
                Op::Unm => {
                    if let Value::Number(n) = reg!(ins.b) {
                        reg!(ins.a) = Value::Number(-n);
                    } else {
                        save!();
                        let value = reg!(ins.b);
                        let result =
                            self.arithmetic(host, ins.op, [value, value], [ins.b, ins.b])?;
                        reg!(ins.a) = result;
                    }
                }
                Op::Not => reg!(ins.a) = Value::Boolean(!reg!(ins.b).truthy()),
                Op::Len => {
                    save!();
                    let length = self.length_of(reg!(ins.b), ins.b)?;
                    reg!(ins.a) = Value::Number(length);
                }
                Op::Concat => {
                    save!();
                    self.safe_point(end);
                    let joined = self.concat(host, base, ins.b as usize, ins.c as usize)?;
                    reg!(ins.a) = joined;
                }
                Op::Jmp => jump!(ins.c),
                Op::Eq => {
                    let (a, b) = (operand!(ins.b), operand!(ins.c));
                    let holds = if let (Value::Table(_), Value::Table(_)) = (a, b) {
                        let (a, b) = (*a, *b);
                        save!();
                        self.equal(host, a, b)?
                    } else {
                        self.raw_equal(a, b)
                    };
                    if holds == (ins.a != 0) {
                        jump!(code[pc].c);
                    }
                    pc += 1;
                }
                Op::Lt => compare!(ins, a, b, a < b, less_than),
                Op::Le => compare!(ins, a, b, a <= b, less_equal),
                Op::Test => {
                    if reg!(ins.a).truthy() == (ins.b != 0) {
                        jump!(ins.c);
                    }
                }
                Op::TestSet => {
                    let value = reg!(ins.b >> 1);
                    if value.truthy() == (ins.b & 1 != 0) {
                        reg!(ins.a) = value;
                        jump!(ins.c);
                    }
                }
                Op::Call => {
                    save!();
                    let at = base + ins.a as usize;
                    let count = self.argument_count(at, ins.b);
                    let wanted = (ins.c as usize).checked_sub(1);
                    self.called_from_lua = true;
                    if let Some(callee) = self.begin_call(host, at, count, wanted)? {
                        return Ok(Switch::Enter(callee));
                    }
                }
                Op::TailCall => {
                    save!();
                    let at = base + ins.a as usize;
                    let count = self.argument_count(at, ins.b);
                    if self.is_lua(at) {
                        return Ok(Switch::Resume(self.tail_call(host, at, count)?));
                    }
                    self.called_from_lua = true;
                    if let Some(callee) = self.begin_call(host, at, count, None)? {
                        return Ok(Switch::Enter(callee));
                    }
                }
                Op::Return => {
                    return Ok(match self.return_from(base + ins.a as usize, ins.b) {
                        Some(caller) => Switch::Resume(caller),
                        None => Switch::Leave,
                    });
                }
                Op::ForLoop => {
                    let at = base + ins.a as usize;
                    if let [Value::Number(index), Value::Number(limit), Value::Number(step), var] =
                        &mut self.thread.stack[at..at + 4]
                    {
                        let next = *index + *step;
                        let goes_on = if *step > 0.0 { next <= *limit } else { next >= *limit };
                        if goes_on {
                            *index = next;
                            *var = Value::Number(next);
                            jump!(ins.c);
                        }
                    }
                }
                Op::ForPrep => {
                    save!();
                    self.prepare_loop(base + ins.a as usize)?;
                    pc = pc.wrapping_add_signed(ins.c as isize);
                }
                Op::TForLoop => {
                    save!();
                    let at = base + ins.a as usize;
                    self.thread.stack.copy_within(at..at + 3, at + 3);
                    self.called_from_lua = true;
                    let wanted = Some(usize::from(ins.b));
                    if let Some(callee) = self.begin_call(host, at + 3, 2, wanted)? {
                        return Ok(Switch::Enter(callee));
                    }
                }
                Op::TForTest => {
                    let first = reg!(ins.a + 3);
                    if !first.is_nil() {
                        reg!(ins.a + 2) = first;
                        jump!(ins.c);
                    }
                }
                Op::SetList => {
                    save!();
                    self.set_list(base + ins.a as usize, ins)?;
                }
                Op::Close => self.close_upvalues(base + ins.a as usize),
                Op::Closure => {
                    save!();
                    let proto = loaded.children[ins.c as usize];
                    reg!(ins.a) = self.make_closure(function, proto, base)?;
                }
                Op::Vararg => {
                    save!();
                    self.varargs(base + ins.a as usize, ins.b, &loaded.proto)?;
                }
            }
        }
    }

    /// Notes the position in the frame.
    #[inline]
    fn save(&mut self, pc: usize) {
        if let Some(frame) = self.thread.frames.last_mut() {
            frame.pc = pc as u32;
        }
    }
}
