//! The generator: expressions to instructions of one function.
//!
//! An expression is described before it is put anywhere ([`Exp`]), so that constants, fields and
//! comparisons reach the instruction that uses them without a register between. Registers are used
//! as a stack: locals first, temporaries above. The jumps that leave an expression early are kept
//! as lists of positions, joined short to long: a chain of `and`s costs linear time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::proto::{CONSTANT, Capture, Constant, Ins, LocalName, Op, Proto};
use crate::strings::SHORT_MAX;

/// More would not fit the operands of an instruction, with room for a call.
const REGISTERS_MAX: u8 = 250;

/// No register yet.
const NO_REGISTER: u8 = 255;

/// The largest constant that an operand of 16 bits can name.
const OPERAND_CONSTANTS: u32 = (u16::MAX - CONSTANT) as u32;

/// Where the value of an expression is, or how to get it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    Void,
    Nil,
    True,
    False,
    Number(f64),
    Constant(u32),
    Local(u8),
    Upvalue(u8),
    Global(u32),
    /// A table's register and a key: register or constant.
    Index(u8, u16),
    /// A comparison, whose jump is at this position.
    Jump(usize),
    /// An instruction whose target register is open.
    Open(usize),
    Register(u8),
    Call(usize),
    Vararg(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Exp {
    pub(super) kind: Kind,
    /// Jumps taken when the expression is true, and when it is false.
    when_true: Vec<usize>,
    when_false: Vec<usize>,
}

impl Exp {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, when_true: Vec::new(), when_false: Vec::new() }
    }

    fn has_jumps(&self) -> bool {
        !self.when_true.is_empty() || !self.when_false.is_empty()
    }

    fn numeral(&self) -> Option<f64> {
        match self.kind {
            Kind::Number(n) if !self.has_jumps() => Some(n),
            _ => None,
        }
    }

    /// Whether it may have more than one value.
    pub(super) fn is_multiple(&self) -> bool {
        matches!(self.kind, Kind::Call(_) | Kind::Vararg(_))
    }
}

/// What cannot be compiled because of a limit.
#[derive(Debug)]
pub(super) enum Limit {
    Registers,
    Memory,
}

type Result<T> = std::result::Result<T, Limit>;

pub(super) struct Block {
    /// Active locals outside it.
    pub(super) active: usize,
    pub(super) is_loop: bool,
    /// A local in it is an upvalue of some closure.
    pub(super) captured: bool,
    pub(super) breaks: Vec<usize>,
}

/// A function while it is compiled.
pub(super) struct Func {
    pub(super) chunk: Arc<[u8]>,
    pub(super) code: Vec<Ins>,
    lines: Vec<u32>,
    constants: Vec<Constant>,
    numbers: HashMap<u64, u32>,
    strings: HashMap<Arc<[u8]>, u32>,
    pub(super) protos: Vec<Arc<Proto>>,
    pub(super) captures: Vec<Capture>,
    pub(super) upvalue_names: Vec<Arc<[u8]>>,
    locals: Vec<LocalName>,
    /// The active locals: places in `locals`; the rank is the register.
    pub(super) active: Vec<usize>,
    pub(super) blocks: Vec<Block>,
    free: u8,
    registers: u8,
    pub(super) params: u8,
    pub(super) vararg: bool,
    pub(super) arg_table: bool,
    pub(super) line_defined: u32,
    /// The line of the last token: what new instructions are marked with.
    pub(super) line: u32,
    /// No instruction before this position may be changed any more: a jump leads here.
    target: usize,
    /// Bytes that the whole compilation may still use.
    pub(super) room: usize,
}

impl Func {
    pub(super) fn new(chunk: Arc<[u8]>, line_defined: u32, room: usize) -> Self {
        Self {
            chunk,
            code: Vec::new(),
            lines: Vec::new(),
            constants: Vec::new(),
            numbers: HashMap::new(),
            strings: HashMap::new(),
            protos: Vec::new(),
            captures: Vec::new(),
            upvalue_names: Vec::new(),
            locals: Vec::new(),
            active: Vec::new(),
            blocks: Vec::new(),
            free: 0,
            registers: 2,
            params: 0,
            vararg: false,
            arg_table: false,
            line_defined,
            line: line_defined,
            target: 0,
            room,
        }
    }

    pub(super) fn finish(self) -> Proto {
        let inner: usize = self.protos.iter().map(|proto| proto.size).sum();
        let texts: usize = self.strings.keys().map(|text| text.len() + 32).sum();
        let size = size_of::<Proto>()
            + self.code.len() * (size_of::<Ins>() + 4)
            + self.constants.len() * size_of::<Constant>()
            + self.locals.len() * size_of::<LocalName>()
            + texts
            + inner;
        Proto {
            chunk: self.chunk,
            code: self.code,
            lines: self.lines,
            constants: self.constants,
            protos: self.protos,
            captures: self.captures,
            upvalue_names: self.upvalue_names,
            locals: self.locals,
            params: self.params,
            vararg: self.vararg,
            arg_table: self.arg_table,
            registers: self.registers,
            size,
        }
    }

    /// Takes `bytes` of what the compilation may use.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.room = self.room.checked_sub(bytes).ok_or(Limit::Memory)?;
        Ok(())
    }

    // Locals.

    pub(super) fn add_local(&mut self, name: &[u8]) -> Result<()> {
        self.charge(size_of::<LocalName>())?;
        let from = self.code.len() as u32;
        self.active.push(self.locals.len());
        self.locals.push(LocalName { name: name.into(), from, to: u32::MAX });
        Ok(())
    }

    /// Ends the locals from rank `keep` on.
    pub(super) fn drop_locals(&mut self, keep: usize) {
        let to = self.code.len() as u32;
        for place in self.active.drain(keep..) {
            self.locals[place].to = to;
        }
    }

    /// The register of the innermost active local of that name.
    pub(super) fn find_local(&self, name: &[u8]) -> Option<u8> {
        let found = self.active.iter().rposition(|place| &*self.locals[*place].name == name)?;
        Some(found as u8)
    }

    /// Notes that a local is captured, in the block that it belongs to.
    pub(super) fn mark_captured(&mut self, register: u8) {
        let block = self.blocks.iter_mut().rev().find(|b| b.active <= usize::from(register));
        if let Some(block) = block {
            block.captured = true;
        }
    }

    // Constants.

    pub(super) fn string(&mut self, text: &[u8]) -> Result<u32> {
        if let Some(at) = self.strings.get(text) {
            return Ok(*at);
        }
        self.charge(text.len() * 2 + 96)?;
        let text: Arc<[u8]> = text.into();
        self.constants.push(Constant::String(Arc::clone(&text)));
        let at = self.constants.len() as u32 - 1;
        self.strings.insert(text, at);
        Ok(at)
    }

    fn number(&mut self, number: f64) -> Result<u32> {
        // 0 and -0 are one constant: the first that occurs.
        let bits = if number == 0.0 { 0 } else { number.to_bits() };
        if let Some(at) = self.numbers.get(&bits) {
            return Ok(*at);
        }
        self.charge(64)?;
        self.constants.push(Constant::Number(number));
        let at = self.constants.len() as u32 - 1;
        self.numbers.insert(bits, at);
        Ok(at)
    }

    // Registers.

    pub(super) fn free_register(&self) -> u8 {
        self.free
    }

    /// Lets go of the temporaries above the locals.
    pub(super) fn free_temporaries(&mut self) {
        self.free = self.active.len() as u8;
    }

    pub(super) fn set_free(&mut self, register: u8) {
        self.free = register;
    }

    pub(super) fn check_registers(&mut self, more: u8) -> Result<()> {
        match self.free.checked_add(more).filter(|total| *total < REGISTERS_MAX) {
            Some(total) => {
                self.registers = self.registers.max(total);
                Ok(())
            }
            None => Err(Limit::Registers),
        }
    }

    pub(super) fn reserve(&mut self, more: u8) -> Result<()> {
        self.check_registers(more)?;
        self.free += more;
        Ok(())
    }

    fn release(&mut self, register: u16) {
        if register < CONSTANT && usize::from(register) >= self.active.len() {
            self.free -= 1;
            debug_assert_eq!(u16::from(self.free), register);
        }
    }

    fn release_exp(&mut self, e: &Exp) {
        if let Kind::Register(r) = e.kind {
            self.release(u16::from(r));
        }
    }

    // Instructions and jumps.

    pub(super) fn emit(&mut self, op: Op, a: u8, b: u16, c: i32) -> Result<usize> {
        self.charge(size_of::<Ins>() + 4)?;
        self.code.push(Ins { op, a, b, c });
        self.lines.push(self.line);
        Ok(self.code.len() - 1)
    }

    /// Marks the last instruction with a line.
    pub(super) fn fix_line(&mut self, line: u32) {
        if let Some(last) = self.lines.last_mut() {
            *last = line;
        }
    }

    /// A jump to be patched.
    pub(super) fn jump(&mut self) -> Result<usize> {
        self.emit(Op::Jmp, 0, 0, 0)
    }

    /// The next position, as the target of a jump.
    pub(super) fn label(&mut self) -> usize {
        self.target = self.code.len();
        self.target
    }

    pub(super) fn patch(&mut self, jump: usize, target: usize) {
        self.code[jump].c = target as i32 - jump as i32 - 1;
    }

    pub(super) fn patch_here(&mut self, jumps: &[usize]) {
        let here = self.label();
        self.patch_all(jumps, here);
    }

    /// Patches jumps that need no value.
    pub(super) fn patch_all(&mut self, jumps: &[usize], target: usize) {
        for jump in jumps {
            self.without_value(*jump);
            self.patch(*jump, target);
        }
    }

    /// Makes a test that would keep its value into one that does not.
    fn without_value(&mut self, jump: usize) {
        let Ins { op, b, c, .. } = self.code[jump];
        if op == Op::TestSet {
            self.code[jump] = Ins { op: Op::Test, a: (b >> 1) as u8, b: b & 1, c };
        }
    }

    pub(super) fn nils(&mut self, from: u8, count: u8) -> Result<()> {
        if self.code.len() > self.target
            && let Some(last) = self.code.last_mut()
            && last.op == Op::LoadNil
            && last.b + 1 == u16::from(from)
        {
            last.b = u16::from(from) + u16::from(count) - 1;
            return Ok(());
        }
        self.emit(Op::LoadNil, from, u16::from(from) + u16::from(count) - 1, 0)?;
        Ok(())
    }

    // Expressions.

    /// Asks a call or `...` for a number of values; none: as many as there are.
    pub(super) fn set_results(&mut self, e: &Exp, count: Option<usize>) -> Result<()> {
        let operand = count.map_or(0, |count| count + 1);
        match e.kind {
            Kind::Call(at) => self.code[at].c = operand as i32,
            Kind::Vararg(at) => {
                self.code[at].b = operand as u16;
                self.code[at].a = self.free;
                self.reserve(1)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// One value of what may have many.
    pub(super) fn one_result(&mut self, e: &mut Exp) {
        match e.kind {
            Kind::Call(at) => e.kind = Kind::Register(self.code[at].a),
            Kind::Vararg(at) => {
                self.code[at].b = 2;
                e.kind = Kind::Open(at);
            }
            _ => {}
        }
    }

    /// Reads a variable.
    fn read(&mut self, e: &mut Exp) -> Result<()> {
        e.kind = match e.kind {
            Kind::Local(r) => Kind::Register(r),
            Kind::Upvalue(u) => Kind::Open(self.emit(Op::GetUpval, 0, u16::from(u), 0)?),
            Kind::Global(name) => Kind::Open(self.emit(Op::GetGlobal, 0, 0, name as i32)?),
            Kind::Index(table, key) => {
                self.release(key);
                self.release(u16::from(table));
                Kind::Open(self.get_index(table, key)?)
            }
            Kind::Call(_) | Kind::Vararg(_) => {
                self.one_result(e);
                e.kind
            }
            kind => kind,
        };
        Ok(())
    }

    fn get_index(&mut self, table: u8, key: u16) -> Result<usize> {
        if key >= CONSTANT
            && let Constant::String(text) = &self.constants[usize::from(key - CONSTANT)]
            && text.len() <= SHORT_MAX
        {
            return self.emit(Op::GetField, 0, u16::from(table), i32::from(key - CONSTANT));
        }
        self.emit(Op::GetTable, 0, u16::from(table), i32::from(key))
    }

    /// Puts the value, apart from its jumps, into a register.
    fn value_in(&mut self, e: &mut Exp, register: u8) -> Result<()> {
        self.read(e)?;
        match e.kind {
            Kind::Nil => self.nils(register, 1)?,
            Kind::True => drop(self.emit(Op::LoadBool, register, 1, 0)?),
            Kind::False => drop(self.emit(Op::LoadBool, register, 0, 0)?),
            Kind::Constant(k) => drop(self.emit(Op::LoadK, register, 0, k as i32)?),
            Kind::Number(n) => {
                let k = self.number(n)?;
                self.emit(Op::LoadK, register, 0, k as i32)?;
            }
            Kind::Open(at) => self.code[at].a = register,
            Kind::Register(r) if r != register => {
                self.emit(Op::Move, register, u16::from(r), 0)?;
            }
            Kind::Register(_) => {}
            _ => return Ok(()),
        }
        e.kind = Kind::Register(register);
        Ok(())
    }

    fn value_in_any(&mut self, e: &mut Exp) -> Result<()> {
        if !matches!(e.kind, Kind::Register(_)) {
            self.reserve(1)?;
            self.value_in(e, self.free - 1)?;
        }
        Ok(())
    }

    /// Puts an expression into a register, with what its jumps bring there.
    fn put_in(&mut self, e: &mut Exp, register: u8) -> Result<()> {
        self.value_in(e, register)?;
        if let Kind::Jump(at) = e.kind {
            e.when_true.push(at);
        }
        if e.has_jumps() {
            let mut jumps = [std::mem::take(&mut e.when_true), std::mem::take(&mut e.when_false)];
            let needs_value = jumps.iter().flatten().any(|jump| self.code[*jump].op != Op::TestSet);
            let mut loads = [0; 2];
            if needs_value {
                let over = match e.kind {
                    Kind::Jump(_) => None,
                    _ => Some(self.jump()?),
                };
                self.label();
                loads[1] = self.emit(Op::LoadBool, register, 0, 1)?;
                self.label();
                loads[0] = self.emit(Op::LoadBool, register, 1, 0)?;
                if let Some(over) = over {
                    self.patch_here(&[over]);
                }
            }
            let end = self.label();
            for (list, load) in jumps.iter_mut().zip(loads) {
                for jump in list.drain(..) {
                    let keeps = self.code[jump].op == Op::TestSet;
                    if keeps && self.code[jump].b >> 1 != u16::from(register) {
                        self.code[jump].a = register;
                    } else {
                        self.without_value(jump);
                    }
                    self.patch(jump, if keeps { end } else { load });
                }
            }
        }
        *e = Exp::new(Kind::Register(register));
        Ok(())
    }

    /// Puts an expression into the next free register.
    pub(super) fn put_next(&mut self, e: &mut Exp) -> Result<()> {
        self.read(e)?;
        self.release_exp(e);
        self.reserve(1)?;
        self.put_in(e, self.free - 1)
    }

    /// Puts an expression into some register.
    pub(super) fn put_any(&mut self, e: &mut Exp) -> Result<u8> {
        self.read(e)?;
        if let Kind::Register(r) = e.kind {
            if !e.has_jumps() {
                return Ok(r);
            }
            if usize::from(r) >= self.active.len() {
                self.put_in(e, r)?;
                return Ok(r);
            }
        }
        self.put_next(e)?;
        Ok(self.free - 1)
    }

    pub(super) fn settle(&mut self, e: &mut Exp) -> Result<()> {
        match e.has_jumps() {
            true => drop(self.put_any(e)?),
            false => self.read(e)?,
        }
        Ok(())
    }

    /// An operand: a constant or a register.
    pub(super) fn operand(&mut self, e: &mut Exp) -> Result<u16> {
        self.settle(e)?;
        if !e.has_jumps() {
            let constant = match e.kind {
                Kind::Number(n) => Some(self.number(n)?),
                Kind::Constant(k) => Some(k),
                _ => None,
            };
            if let Some(k) = constant.filter(|k| *k <= OPERAND_CONSTANTS) {
                e.kind = Kind::Constant(k);
                return Ok(CONSTANT + k as u16);
            }
        }
        Ok(u16::from(self.put_any(e)?))
    }

    /// Stores an expression in a variable.
    pub(super) fn store(&mut self, variable: &Exp, mut e: Exp) -> Result<()> {
        match variable.kind {
            Kind::Local(r) => {
                self.read(&mut e)?;
                self.release_exp(&e);
                return self.put_in(&mut e, r);
            }
            Kind::Upvalue(u) => {
                let r = self.put_any(&mut e)?;
                self.emit(Op::SetUpval, r, u16::from(u), 0)?;
            }
            Kind::Global(name) => {
                let r = self.put_any(&mut e)?;
                self.emit(Op::SetGlobal, r, 0, name as i32)?;
            }
            Kind::Index(table, key) => {
                let value = self.operand(&mut e)?;
                self.emit(Op::SetTable, table, key, i32::from(value))?;
            }
            _ => {}
        }
        self.release_exp(&e);
        Ok(())
    }

    /// `e:key`: the function and the object in two registers.
    pub(super) fn method(&mut self, e: &mut Exp, key: &mut Exp) -> Result<()> {
        let object = self.put_any(e)?;
        self.release_exp(e);
        let function = self.free;
        self.reserve(2)?;
        let key_operand = self.operand(key)?;
        self.emit(Op::Method, function, u16::from(object), i32::from(key_operand))?;
        self.release_exp(key);
        e.kind = Kind::Register(function);
        Ok(())
    }

    /// Makes `e` the field `key` of what it was.
    pub(super) fn index(&mut self, e: &mut Exp, key: &mut Exp) -> Result<()> {
        if let Kind::Register(table) = e.kind {
            e.kind = Kind::Index(table, self.operand(key)?);
        } else if let Kind::Local(table) = e.kind {
            e.kind = Kind::Index(table, self.operand(key)?);
        }
        Ok(())
    }

    // Conditions.

    fn invert(&mut self, jump: usize) {
        self.code[jump - 1].a ^= 1;
    }

    fn jump_if(&mut self, e: &mut Exp, truth: bool) -> Result<usize> {
        if let Kind::Open(at) = e.kind {
            let Ins { op, b, .. } = self.code[at];
            // Nothing but the last instruction can be open to this change.
            if op == Op::Not && at + 1 == self.code.len() {
                self.code.pop();
                self.lines.pop();
                return self.emit(Op::Test, b as u8, u16::from(!truth), 0);
            }
        }
        self.value_in_any(e)?;
        self.release_exp(e);
        let Kind::Register(r) = e.kind else { return Ok(0) };
        self.emit(Op::TestSet, NO_REGISTER, u16::from(r) << 1 | u16::from(truth), 0)
    }

    /// Goes on if the expression is true; else jumps (its list `when_false`).
    pub(super) fn go_if_true(&mut self, e: &mut Exp) -> Result<()> {
        self.read(e)?;
        let jump = match e.kind {
            Kind::Constant(_) | Kind::Number(_) | Kind::True => None,
            Kind::Jump(at) => {
                self.invert(at);
                Some(at)
            }
            Kind::False if !e.has_jumps() => Some(self.jump()?),
            _ => Some(self.jump_if(e, false)?),
        };
        e.when_false.extend(jump);
        let jumps = std::mem::take(&mut e.when_true);
        self.patch_here_keeping(&jumps);
        Ok(())
    }

    /// Goes on if the expression is false; else jumps (its list `when_true`).
    pub(super) fn go_if_false(&mut self, e: &mut Exp) -> Result<()> {
        self.read(e)?;
        let jump = match e.kind {
            Kind::Nil | Kind::False => None,
            Kind::Jump(at) => Some(at),
            Kind::True if !e.has_jumps() => Some(self.jump()?),
            _ => Some(self.jump_if(e, true)?),
        };
        e.when_true.extend(jump);
        let jumps = std::mem::take(&mut e.when_false);
        self.patch_here_keeping(&jumps);
        Ok(())
    }

    fn patch_here_keeping(&mut self, jumps: &[usize]) {
        if !jumps.is_empty() {
            self.patch_here(jumps);
        }
    }

    /// The jumps taken when a condition is false.
    pub(super) fn take_false(&mut self, e: &mut Exp) -> Vec<usize> {
        std::mem::take(&mut e.when_false)
    }

    fn negate(&mut self, e: &mut Exp) -> Result<()> {
        self.read(e)?;
        match e.kind {
            Kind::Nil | Kind::False => e.kind = Kind::True,
            Kind::Constant(_) | Kind::Number(_) | Kind::True => e.kind = Kind::False,
            Kind::Jump(at) => self.invert(at),
            _ => {
                self.value_in_any(e)?;
                self.release_exp(e);
                let Kind::Register(r) = e.kind else { return Ok(()) };
                e.kind = Kind::Open(self.emit(Op::Not, 0, u16::from(r), 0)?);
            }
        }
        std::mem::swap(&mut e.when_true, &mut e.when_false);
        let jumps = e.when_true.iter().chain(&e.when_false).copied().collect::<Vec<_>>();
        for jump in jumps {
            self.without_value(jump);
        }
        Ok(())
    }

    // Operators.

    pub(super) fn unary(&mut self, op: Op, e: &mut Exp) -> Result<()> {
        if op == Op::Not {
            return self.negate(e);
        }
        if op == Op::Unm
            && let Some(n) = e.numeral()
        {
            e.kind = Kind::Number(-n);
            return Ok(());
        }
        let r = self.put_any(e)?;
        self.release_exp(e);
        *e = Exp::new(Kind::Open(self.emit(op, 0, u16::from(r), 0)?));
        Ok(())
    }

    /// Prepares the left operand before the right one is read.
    pub(super) fn infix(&mut self, op: Binary, e: &mut Exp) -> Result<()> {
        match op {
            Binary::And => self.go_if_true(e),
            Binary::Or => self.go_if_false(e),
            Binary::Concat => self.put_next(e),
            Binary::Arithmetic(_) if e.numeral().is_some() => Ok(()),
            _ => self.operand(e).map(drop),
        }
    }

    pub(super) fn binary(&mut self, op: Binary, left: Exp, mut right: Exp) -> Result<Exp> {
        match op {
            Binary::And => {
                self.read(&mut right)?;
                right.when_false = join(left.when_false, right.when_false);
                Ok(right)
            }
            Binary::Or => {
                self.read(&mut right)?;
                right.when_true = join(left.when_true, right.when_true);
                Ok(right)
            }
            Binary::Concat => self.concat(&left, right),
            Binary::Arithmetic(op) => self.arithmetic(op, left, right),
            Binary::Compare { op, truth, swap } => {
                let (mut left, mut right) = (left, right);
                let mut l = self.operand(&mut left)?;
                let mut r = self.operand(&mut right)?;
                self.release_both(&left, &right);
                if swap {
                    std::mem::swap(&mut l, &mut r);
                }
                self.emit(op, u8::from(truth), l, i32::from(r))?;
                Ok(Exp::new(Kind::Jump(self.jump()?)))
            }
        }
    }

    fn release_both(&mut self, left: &Exp, right: &Exp) {
        let rank = |e: &Exp| if let Kind::Register(r) = e.kind { i16::from(r) } else { -1 };
        let (first, second) = if rank(left) > rank(right) { (left, right) } else { (right, left) };
        self.release_exp(first);
        self.release_exp(second);
    }

    fn concat(&mut self, left: &Exp, mut right: Exp) -> Result<Exp> {
        self.settle(&mut right)?;
        let Kind::Register(l) = left.kind else { return Ok(right) };
        if let Kind::Open(at) = right.kind
            && self.code[at].op == Op::Concat
            && self.code[at].b == u16::from(l) + 1
        {
            // A chain from the right is one instruction.
            self.release_exp(left);
            self.code[at].b = u16::from(l);
            return Ok(right);
        }
        self.put_next(&mut right)?;
        let Kind::Register(r) = right.kind else { return Ok(right) };
        self.release_both(left, &right);
        Ok(Exp::new(Kind::Open(self.emit(Op::Concat, 0, u16::from(l), i32::from(r))?)))
    }

    fn arithmetic(&mut self, op: Op, mut left: Exp, mut right: Exp) -> Result<Exp> {
        if let (Some(l), Some(r)) = (left.numeral(), right.numeral())
            && let Some(result) = fold(op, l, r)
        {
            return Ok(Exp::new(Kind::Number(result)));
        }
        let r = self.operand(&mut right)?;
        let l = self.operand(&mut left)?;
        self.release_both(&left, &right);
        Ok(Exp::new(Kind::Open(self.emit(op, 0, l, i32::from(r))?)))
    }
}

/// Joins two lists, the shorter to the longer.
fn join(mut a: Vec<usize>, mut b: Vec<usize>) -> Vec<usize> {
    if a.len() < b.len() {
        std::mem::swap(&mut a, &mut b);
    }
    a.append(&mut b);
    a
}

fn fold(op: Op, l: f64, r: f64) -> Option<f64> {
    let result = match op {
        Op::Add => l + r,
        Op::Sub => l - r,
        Op::Mul => l * r,
        Op::Div | Op::Mod if r == 0.0 => return None,
        Op::Div => l / r,
        Op::Mod => crate::vm::modulo(l, r),
        Op::Pow => l.powf(r),
        _ => return None,
    };
    Some(result).filter(|result| !result.is_nan())
}

/// An operator with two operands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Binary {
    And,
    Or,
    Concat,
    Arithmetic(Op),
    Compare { op: Op, truth: bool, swap: bool },
}
