//! Statements.

use super::{Kind, LOCALS_MAX, Parser, Result, T};
use crate::compile::code::{Block, Exp, Func};
use crate::proto::Op;

impl<'a> Parser<'a, '_> {
    pub(super) fn chunk(&mut self) -> Result<()> {
        self.enter()?;
        let mut is_last = false;
        while !is_last && !self.at_block_end() {
            is_last = self.statement()?;
            self.accept(T::Char(b';'))?;
            self.f().free_temporaries();
        }
        self.leave();
        Ok(())
    }

    fn at_block_end(&self) -> bool {
        matches!(self.kind(), T::Else | T::Elseif | T::End | T::Until | T::Eof)
    }

    /// A statement; true if it must be the last of its block.
    fn statement(&mut self) -> Result<bool> {
        let line = self.lex.line;
        match self.kind() {
            T::If => self.if_statement(line)?,
            T::While => self.while_statement(line)?,
            T::Do => {
                self.advance()?;
                self.block()?;
                self.expect_match(T::End, T::Do, line)?;
            }
            T::For => self.for_statement(line)?,
            T::Repeat => self.repeat_statement(line)?,
            T::Function => self.function_statement(line)?,
            T::Local => {
                self.advance()?;
                match self.accept(T::Function)? {
                    true => self.local_function()?,
                    false => self.local_statement()?,
                }
            }
            T::Return => {
                self.return_statement()?;
                return Ok(true);
            }
            T::Break => {
                self.advance()?;
                self.break_statement()?;
                return Ok(true);
            }
            _ => self.expression_statement()?,
        }
        Ok(false)
    }

    fn open_block(&mut self, is_loop: bool) {
        let f = self.f();
        let active = f.active.len();
        f.blocks.push(Block { active, is_loop, captured: false, breaks: Vec::new() });
    }

    fn close_block(&mut self) -> Result<()> {
        self.gen_code(|f| {
            let block = f.blocks.pop().expect("a block is open");
            f.drop_locals(block.active);
            if block.captured {
                f.emit(Op::Close, block.active as u8, 0, 0)?;
            }
            f.free_temporaries();
            if !block.breaks.is_empty() {
                f.patch_here(&block.breaks);
            }
            Ok(())
        })
    }

    fn block(&mut self) -> Result<()> {
        self.open_block(false);
        self.chunk()?;
        self.close_block()
    }

    /// A condition: the jumps taken when it is false.
    fn condition(&mut self) -> Result<Vec<usize>> {
        let mut e = self.expression()?;
        if e.kind == Kind::Nil {
            e.kind = Kind::False;
        }
        self.gen_code(|f| {
            f.go_if_true(&mut e)?;
            Ok(f.take_false(&mut e))
        })
    }

    fn if_statement(&mut self, line: u32) -> Result<()> {
        let mut ends = Vec::new();
        let mut when_false = self.then_block()?;
        loop {
            let is_elseif = self.kind() == T::Elseif;
            if !is_elseif && self.kind() != T::Else {
                break;
            }
            ends.push(self.gen_code(Func::jump)?);
            self.f().patch_here(&when_false);
            when_false = Vec::new();
            if is_elseif {
                when_false = self.then_block()?;
                continue;
            }
            self.advance()?;
            self.block()?;
            break;
        }
        ends.append(&mut when_false);
        self.f().patch_here(&ends);
        self.expect_match(T::End, T::If, line)
    }

    /// `if` or `elseif`, condition and block.
    fn then_block(&mut self) -> Result<Vec<usize>> {
        self.advance()?;
        let when_false = self.condition()?;
        self.expect(T::Then)?;
        self.block()?;
        Ok(when_false)
    }

    fn while_statement(&mut self, line: u32) -> Result<()> {
        self.advance()?;
        let start = self.f().label();
        let exits = self.condition()?;
        self.open_block(true);
        self.expect(T::Do)?;
        self.block()?;
        self.gen_code(|f| {
            let back = f.jump()?;
            f.patch(back, start);
            Ok(())
        })?;
        self.expect_match(T::End, T::While, line)?;
        self.close_block()?;
        self.f().patch_here(&exits);
        Ok(())
    }

    fn repeat_statement(&mut self, line: u32) -> Result<()> {
        let start = self.f().label();
        self.open_block(true);
        self.open_block(false);
        self.advance()?;
        self.chunk()?;
        self.expect_match(T::Until, T::Repeat, line)?;
        // The condition sees the locals of the block.
        let repeats = self.condition()?;
        if self.f().blocks.last().is_some_and(|block| block.captured) {
            // Both ways out of the block close its upvalues.
            self.break_statement()?;
            self.f().patch_here(&repeats);
            self.close_block()?;
            self.gen_code(|f| {
                let back = f.jump()?;
                f.patch(back, start);
                Ok(())
            })?;
        } else {
            self.close_block()?;
            self.f().patch_all(&repeats, start);
        }
        self.close_block()
    }

    fn break_statement(&mut self) -> Result<()> {
        let f = self.f();
        let Some(at) = f.blocks.iter().rposition(|block| block.is_loop) else {
            return Err(self.lex.error_here("no loop to break"));
        };
        let captured = f.blocks[at + 1..].iter().any(|block| block.captured);
        let active = f.blocks[at].active as u8;
        self.gen_code(|f| {
            if captured {
                f.emit(Op::Close, active, 0, 0)?;
            }
            let jump = f.jump()?;
            f.blocks[at].breaks.push(jump);
            Ok(())
        })
    }

    fn for_statement(&mut self, line: u32) -> Result<()> {
        self.open_block(true);
        self.advance()?;
        let name = self.name()?;
        match self.kind() {
            T::Char(b'=') => self.numeric_for(name, line)?,
            T::Char(b',') | T::In => self.generic_for(name, line)?,
            _ => return Err(self.lex.error_here("'=' or 'in' expected")),
        }
        self.expect_match(T::End, T::For, line)?;
        self.close_block()
    }

    fn hidden(&mut self, names: [&'static str; 3]) -> Result<()> {
        for name in names {
            self.declare(name.as_bytes())?;
        }
        Ok(())
    }

    fn next_expression(&mut self) -> Result<()> {
        let mut e = self.expression()?;
        self.gen_code(|f| f.put_next(&mut e))
    }

    fn numeric_for(&mut self, name: &'a [u8], line: u32) -> Result<()> {
        let base = self.f().free_register();
        self.hidden(["(for index)", "(for limit)", "(for step)"])?;
        self.declare(name)?;
        let name = self.pending.split_off(3);
        self.expect(T::Char(b'='))?;
        let hidden = std::mem::take(&mut self.pending);
        self.next_expression()?;
        self.expect(T::Char(b','))?;
        self.next_expression()?;
        if self.accept(T::Char(b','))? {
            self.next_expression()?;
        } else {
            self.gen_code(|f| f.put_next(&mut Exp::new(Kind::Number(1.0))))?;
        }
        self.pending = hidden;
        self.activate()?;
        self.pending = name;
        self.expect(T::Do)?;
        let prepare = self.gen_code(|f| f.emit(Op::ForPrep, base, 0, 0))?;
        self.for_block(1)?;
        self.gen_code(|f| {
            let here = f.label();
            f.patch(prepare, here);
            let end = f.emit(Op::ForLoop, base, 0, 0)?;
            f.fix_line(line);
            f.patch(end, prepare + 1);
            Ok(())
        })
    }

    fn generic_for(&mut self, first: &'a [u8], line: u32) -> Result<()> {
        let base = self.f().free_register();
        self.hidden(["(for generator)", "(for state)", "(for control)"])?;
        self.declare(first)?;
        while self.accept(T::Char(b','))? {
            let name = self.name()?;
            self.declare(name)?;
        }
        self.expect(T::In)?;
        let names = self.pending.split_off(3);
        let hidden = std::mem::take(&mut self.pending);
        let (count, e) = self.expressions()?;
        self.adjust(3, count, e)?;
        self.gen_code(|f| f.check_registers(3))?;
        self.pending = hidden;
        self.activate()?;
        let count = names.len();
        self.pending = names;
        self.expect(T::Do)?;
        let prepare = self.gen_code(Func::jump)?;
        self.for_block(count)?;
        self.gen_code(|f| {
            f.patch_here(&[prepare]);
            f.emit(Op::TForLoop, base, count as u16, 0)?;
            f.fix_line(line);
            let back = f.emit(Op::TForTest, base, 0, 0)?;
            f.patch(back, prepare + 1);
            Ok(())
        })
    }

    /// The body of a loop, with its declared variables.
    fn for_block(&mut self, count: usize) -> Result<()> {
        self.open_block(false);
        self.activate()?;
        self.gen_code(|f| f.reserve(count as u8))?;
        self.block()?;
        self.close_block()
    }

    fn function_statement(&mut self, line: u32) -> Result<()> {
        self.advance()?;
        let name = self.name()?;
        let mut variable = self.variable(name)?;
        while self.kind() == T::Char(b'.') {
            self.field(&mut variable)?;
        }
        let method = self.kind() == T::Char(b':');
        if method {
            self.field(&mut variable)?;
        }
        let body = self.body(method, line)?;
        self.gen_code(|f| {
            f.store(&variable, body)?;
            f.fix_line(line);
            Ok(())
        })
    }

    fn local_function(&mut self) -> Result<()> {
        let name = self.name()?;
        self.declare(name)?;
        let register = self.f().free_register();
        self.gen_code(|f| f.reserve(1))?;
        self.activate()?;
        let line = self.lex.line;
        let body = self.body(false, line)?;
        self.gen_code(|f| f.store(&Exp::new(Kind::Local(register)), body))
    }

    fn local_statement(&mut self) -> Result<()> {
        loop {
            let name = self.name()?;
            self.declare(name)?;
            if !self.accept(T::Char(b','))? {
                break;
            }
        }
        let names = std::mem::take(&mut self.pending);
        let (count, e) = match self.accept(T::Char(b'='))? {
            true => self.expressions()?,
            false => (0, Exp::new(Kind::Void)),
        };
        self.adjust(names.len(), count, e)?;
        self.pending = names;
        self.activate()
    }

    /// Makes the values of `count` expressions, the last still open, `wanted` ones.
    fn adjust(&mut self, wanted: usize, count: usize, mut e: Exp) -> Result<()> {
        self.gen_code(|f| {
            if e.is_multiple() {
                // The call itself gives one of them.
                let results = (wanted + 1).saturating_sub(count);
                f.set_results(&e, Some(results))?;
                if results > 1 {
                    f.reserve(results as u8 - 1)?;
                }
                return Ok(());
            }
            if e.kind != Kind::Void {
                f.put_next(&mut e)?;
            }
            if wanted > count {
                let register = f.free_register();
                let missing = (wanted - count) as u8;
                f.reserve(missing)?;
                f.nils(register, missing)?;
            }
            Ok(())
        })
    }

    fn expression_statement(&mut self) -> Result<()> {
        let e = self.primary()?;
        if let Kind::Call(at) = e.kind {
            self.f().code[at].c = 1;
            return Ok(());
        }
        self.assignment(e)
    }

    fn assignment(&mut self, first: Exp) -> Result<()> {
        let mut targets = vec![first];
        loop {
            let is_variable = matches!(
                targets.last().map(|target| target.kind),
                Some(Kind::Local(_) | Kind::Upvalue(_) | Kind::Global(_) | Kind::Index(..))
            );
            if !is_variable {
                return Err(self.lex.error_here("syntax error"));
            }
            if !self.accept(T::Char(b','))? {
                break;
            }
            let target = self.primary()?;
            if let Kind::Local(register) = target.kind {
                self.keep_indexed(&mut targets, register)?;
            }
            targets.push(target);
            if targets.len() > LOCALS_MAX {
                return Err(self.too_many(LOCALS_MAX, "variables in assignment"));
            }
        }
        self.expect(T::Char(b'='))?;
        let (count, mut e) = self.expressions()?;
        let wanted = targets.len();
        if count == wanted {
            let last = targets.pop().expect("there is a target");
            self.gen_code(|f| {
                f.one_result(&mut e);
                f.store(&last, e)
            })?;
        } else {
            self.adjust(wanted, count, e)?;
            if count > wanted {
                let f = self.f();
                f.set_free(f.free_register() - (count - wanted) as u8);
            }
        }
        while let Some(target) = targets.pop() {
            self.gen_code(|f| {
                let value = Exp::new(Kind::Register(f.free_register() - 1));
                f.store(&target, value)
            })?;
        }
        Ok(())
    }

    /// Copies a local that is about to be assigned if earlier targets are indexed with it.
    fn keep_indexed(&mut self, targets: &mut [Exp], register: u8) -> Result<()> {
        let copy = self.f().free_register();
        let mut is_used = false;
        for target in targets {
            if let Kind::Index(table, key) = &mut target.kind {
                if *table == register {
                    *table = copy;
                    is_used = true;
                }
                if *key == u16::from(register) {
                    *key = u16::from(copy);
                    is_used = true;
                }
            }
        }
        if is_used {
            self.gen_code(|f| {
                f.emit(Op::Move, copy, u16::from(register), 0)?;
                f.reserve(1)
            })?;
        }
        Ok(())
    }

    fn return_statement(&mut self) -> Result<()> {
        self.advance()?;
        if self.at_block_end() || self.kind() == T::Char(b';') {
            self.gen_code(|f| f.emit(Op::Return, 0, 1, 0))?;
            return Ok(());
        }
        let (count, mut e) = self.expressions()?;
        self.gen_code(|f| {
            let locals = f.active.len() as u8;
            if e.is_multiple() {
                f.set_results(&e, None)?;
                if let (Kind::Call(at), 1) = (e.kind, count) {
                    f.code[at].op = Op::TailCall;
                }
                f.emit(Op::Return, locals, 0, 0)?;
            } else if count == 1 {
                let register = f.put_any(&mut e)?;
                f.emit(Op::Return, register, 2, 0)?;
            } else {
                f.put_next(&mut e)?;
                f.emit(Op::Return, locals, count as u16 + 1, 0)?;
            }
            Ok(())
        })
    }
}
