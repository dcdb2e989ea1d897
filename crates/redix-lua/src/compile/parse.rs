//! The parser: expressions, and what functions share. Statements are in `statement`.

use std::sync::Arc;

use super::CompileError;
use super::code::{Binary, Block, Exp, Func, Kind, Limit};
use super::lex::{Lexer, T};
use crate::proto::{Capture, Op, Proto};

mod statement;

/// How deep blocks and expressions may nest.
pub(super) const LEVELS_MAX: usize = 200;

const LOCALS_MAX: usize = 200;

const UPVALUES_MAX: usize = 60;

/// Elements of a constructor that wait in registers before they are stored.
const FLUSH: usize = 50;

/// Binds tighter than all binary operators but `^`.
const UNARY_PRIORITY: u8 = 8;

pub(super) type Result<T> = std::result::Result<T, CompileError>;

pub(super) struct Parser<'a, 'p> {
    lex: Lexer<'a>,
    /// The functions that are open, outermost first.
    funcs: Vec<Func>,
    /// Locals that are declared but not active yet.
    pending: Vec<&'a [u8]>,
    level: usize,
    /// Pays for tokens; false: stop.
    pay: &'p mut dyn FnMut(usize) -> bool,
    tokens: usize,
}

/// How many tokens are paid for at once.
const TOKENS: usize = 1024;

/// Compiles a source to its main function. `pay` is asked for each [`TOKENS`] tokens whether to go
/// on.
pub(super) fn parse(
    source: &[u8],
    chunk: &[u8],
    room: usize,
    pay: &mut dyn FnMut(usize) -> bool,
) -> Result<Arc<Proto>> {
    let lex = Lexer::new(source, chunk)?;
    let chunk: Arc<[u8]> = chunk.into();
    let mut main = Func::new(chunk, 0, room);
    main.vararg = true;
    main.blocks.push(Block { active: 0, is_loop: false, captured: false, breaks: Vec::new() });
    let mut parser =
        Parser { lex, funcs: vec![main], pending: Vec::new(), level: 0, pay, tokens: 0 };
    parser.chunk()?;
    parser.expect(T::Eof)?;
    let main = parser.close_function()?;
    Ok(Arc::new(main.finish()))
}

/// A binary operator with its left and right priorities.
type Operator = (Binary, u8, u8);

/// Where a name was found.
enum Place {
    Local(u8),
    Upvalue(u8),
    Global,
}

impl<'a> Parser<'a, '_> {
    fn f(&mut self) -> &mut Func {
        self.funcs.last_mut().expect("the main function stays open")
    }

    /// Runs a step of the generator and words its failure.
    fn gen_code<R>(
        &mut self,
        step: impl FnOnce(&mut Func) -> std::result::Result<R, Limit>,
    ) -> Result<R> {
        step(self.f()).map_err(|limit| match limit {
            Limit::Registers => self.lex.error_here("function or expression too complex"),
            Limit::Memory => CompileError { message: b"not enough memory".to_vec() },
        })
    }

    // Tokens.

    fn kind(&self) -> T {
        self.lex.token.kind
    }

    fn advance(&mut self) -> Result<super::lex::Token> {
        let token = self.lex.advance()?;
        self.tokens += 1;
        if self.tokens.is_multiple_of(TOKENS) && !(self.pay)(TOKENS) {
            return Err(CompileError { message: b"stopped".to_vec() });
        }
        let line = self.lex.last_line;
        self.f().line = line;
        Ok(token)
    }

    fn accept(&mut self, kind: T) -> Result<bool> {
        let found = self.kind() == kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expected(&self, kind: T) -> CompileError {
        let text = String::from_utf8_lossy(&kind.text()).into_owned();
        self.lex.error_here(&format!("'{text}' expected"))
    }

    fn check(&self, kind: T) -> Result<()> {
        if self.kind() == kind { Ok(()) } else { Err(self.expected(kind)) }
    }

    fn expect(&mut self, kind: T) -> Result<()> {
        self.check(kind)?;
        if kind != T::Eof {
            self.advance()?;
        }
        Ok(())
    }

    /// Expects what closes `opener` of the line `line`.
    fn expect_match(&mut self, kind: T, opener: T, line: u32) -> Result<()> {
        if self.accept(kind)? {
            return Ok(());
        }
        if line == self.lex.line {
            return Err(self.expected(kind));
        }
        let (close, open) = (kind.text(), opener.text());
        Err(self.lex.error_here(&format!(
            "'{}' expected (to close '{}' at line {line})",
            String::from_utf8_lossy(&close),
            String::from_utf8_lossy(&open),
        )))
    }

    fn name(&mut self) -> Result<&'a [u8]> {
        self.check(T::Name)?;
        let token = self.advance()?;
        Ok(&self.lex.source[token.range])
    }

    fn enter(&mut self) -> Result<()> {
        self.level += 1;
        match self.level > LEVELS_MAX {
            true => Err(self.lex.error(b"chunk has too many syntax levels")),
            false => Ok(()),
        }
    }

    fn leave(&mut self) {
        self.level -= 1;
    }

    /// The error that a function has too many of something.
    fn too_many(&mut self, limit: usize, what: &str) -> CompileError {
        let message = match self.f().line_defined {
            0 => format!("main function has more than {limit} {what}"),
            line => format!("function at line {line} has more than {limit} {what}"),
        };
        self.lex.error(message.as_bytes())
    }

    // Variables.

    fn declare(&mut self, name: &'a [u8]) -> Result<()> {
        if self.f().active.len() + self.pending.len() + 1 > LOCALS_MAX {
            return Err(self.too_many(LOCALS_MAX, "local variables"));
        }
        self.pending.push(name);
        Ok(())
    }

    /// Makes the declared locals visible.
    fn activate(&mut self) -> Result<()> {
        for name in std::mem::take(&mut self.pending) {
            self.gen_code(|f| f.add_local(name))?;
        }
        Ok(())
    }

    fn find(&mut self, level: usize, name: &[u8], innermost: bool) -> Result<Place> {
        if let Some(register) = self.funcs[level].find_local(name) {
            if !innermost {
                self.funcs[level].mark_captured(register);
            }
            return Ok(Place::Local(register));
        }
        if let Some(at) = self.funcs[level].upvalue_names.iter().position(|n| **n == *name) {
            return Ok(Place::Upvalue(at as u8));
        }
        if level == 0 {
            return Ok(Place::Global);
        }
        let capture = match self.find(level - 1, name, false)? {
            Place::Local(register) => Capture::Local(register),
            Place::Upvalue(at) => Capture::Upvalue(at),
            Place::Global => return Ok(Place::Global),
        };
        let func = &mut self.funcs[level];
        if func.captures.len() == UPVALUES_MAX {
            let message = match func.line_defined {
                0 => format!("main function has more than {UPVALUES_MAX} upvalues"),
                line => format!("function at line {line} has more than {UPVALUES_MAX} upvalues"),
            };
            return Err(self.lex.error(message.as_bytes()));
        }
        func.captures.push(capture);
        func.upvalue_names.push(name.into());
        Ok(Place::Upvalue(func.captures.len() as u8 - 1))
    }

    fn variable(&mut self, name: &[u8]) -> Result<Exp> {
        let kind = match self.find(self.funcs.len() - 1, name, true)? {
            Place::Local(register) => Kind::Local(register),
            Place::Upvalue(at) => Kind::Upvalue(at),
            Place::Global => Kind::Global(self.gen_code(|f| f.string(name))?),
        };
        Ok(Exp::new(kind))
    }

    // Functions.

    /// The rest of a function after its name.
    fn body(&mut self, method: bool, line: u32) -> Result<Exp> {
        let parent = self.f();
        let func = Func::new(Arc::clone(&parent.chunk), line, parent.room);
        self.funcs.push(func);
        self.f().blocks.push(Block {
            active: 0,
            is_loop: false,
            captured: false,
            breaks: Vec::new(),
        });
        let outer_pending = std::mem::take(&mut self.pending);
        self.expect(T::Char(b'('))?;
        if method {
            self.declare(b"self")?;
        }
        self.parameters()?;
        self.expect(T::Char(b')'))?;
        self.chunk()?;
        self.expect_match(T::End, T::Function, line)?;
        let func = self.close_function()?;
        self.pending = outer_pending;
        let last_line = self.lex.last_line;
        let parent = self.f();
        parent.room = func.room;
        parent.line = last_line;
        parent.protos.push(Arc::new(func.finish()));
        let at = parent.protos.len() - 1;
        let at = self.gen_code(|f| f.emit(Op::Closure, 0, 0, at as i32))?;
        Ok(Exp::new(Kind::Open(at)))
    }

    fn parameters(&mut self) -> Result<()> {
        let mut vararg = false;
        if self.kind() != T::Char(b')') {
            loop {
                match self.kind() {
                    T::Name => {
                        let name = self.name()?;
                        self.declare(name)?;
                    }
                    T::Dots => {
                        self.advance()?;
                        vararg = true;
                    }
                    _ => return Err(self.lex.error_here("<name> or '...' expected")),
                }
                if vararg || !self.accept(T::Char(b','))? {
                    break;
                }
            }
        }
        let params = self.pending.len() as u8;
        if vararg {
            self.declare(b"arg")?;
        }
        self.activate()?;
        let f = self.f();
        f.params = params;
        f.vararg = vararg;
        f.arg_table = vararg;
        let registers = f.active.len() as u8;
        self.gen_code(|f| f.reserve(registers))
    }

    fn close_function(&mut self) -> Result<Func> {
        self.gen_code(|f| f.emit(Op::Return, 0, 1, 0))?;
        self.f().drop_locals(0);
        Ok(self.funcs.pop().expect("a function is open"))
    }

    // Expressions.

    fn expression(&mut self) -> Result<Exp> {
        Ok(self.subexpression(0)?.0)
    }

    /// Expressions with commas between: how many, and the last, which is still open.
    fn expressions(&mut self) -> Result<(usize, Exp)> {
        let mut count = 1;
        let mut e = self.expression()?;
        while self.accept(T::Char(b','))? {
            self.gen_code(|f| f.put_next(&mut e))?;
            e = self.expression()?;
            count += 1;
        }
        Ok((count, e))
    }

    /// An expression of operators that bind tighter than `limit`, and the operator that follows.
    fn subexpression(&mut self, limit: u8) -> Result<(Exp, Option<Operator>)> {
        self.enter()?;
        let unary = match self.kind() {
            T::Not => Some(Op::Not),
            T::Char(b'-') => Some(Op::Unm),
            T::Char(b'#') => Some(Op::Len),
            _ => None,
        };
        let mut e = if let Some(op) = unary {
            self.advance()?;
            let mut e = self.subexpression(UNARY_PRIORITY)?.0;
            self.gen_code(|f| f.unary(op, &mut e))?;
            e
        } else {
            self.simple()?
        };
        let mut next = binary(self.kind());
        while let Some((op, left, right)) = next {
            if left <= limit {
                break;
            }
            self.advance()?;
            self.gen_code(|f| f.infix(op, &mut e))?;
            let (operand, following) = self.subexpression(right)?;
            e = self.gen_code(|f| f.binary(op, e, operand))?;
            next = following;
        }
        self.leave();
        Ok((e, next))
    }

    fn simple(&mut self) -> Result<Exp> {
        let kind = match self.kind() {
            T::Number => Kind::Number(self.lex.token.number),
            T::String => {
                let text = std::mem::take(&mut self.lex.token.string);
                Kind::Constant(self.gen_code(|f| f.string(&text))?)
            }
            T::Nil => Kind::Nil,
            T::True => Kind::True,
            T::False => Kind::False,
            T::Dots => {
                if !self.f().vararg {
                    let message = "cannot use '...' outside a vararg function";
                    return Err(self.lex.error_here(message));
                }
                self.f().arg_table = false;
                Kind::Vararg(self.gen_code(|f| f.emit(Op::Vararg, 0, 1, 0))?)
            }
            T::Char(b'{') => return self.constructor(),
            T::Function => {
                self.advance()?;
                let line = self.lex.line;
                return self.body(false, line);
            }
            _ => return self.primary(),
        };
        self.advance()?;
        Ok(Exp::new(kind))
    }

    fn prefix(&mut self) -> Result<Exp> {
        match self.kind() {
            T::Name => {
                let name = self.name()?;
                self.variable(name)
            }
            T::Char(b'(') => {
                let line = self.lex.line;
                self.advance()?;
                let mut e = self.expression()?;
                self.expect_match(T::Char(b')'), T::Char(b'('), line)?;
                self.gen_code(|f| f.settle(&mut e))?;
                Ok(e)
            }
            _ => Err(self.lex.error_here("unexpected symbol")),
        }
    }

    /// A variable, a call, or an expression in parentheses.
    fn primary(&mut self) -> Result<Exp> {
        let mut e = self.prefix()?;
        loop {
            match self.kind() {
                T::Char(b'.') => self.field(&mut e)?,
                T::Char(b'[') => {
                    self.gen_code(|f| f.put_any(&mut e))?;
                    let mut key = self.key()?;
                    self.gen_code(|f| f.index(&mut e, &mut key))?;
                }
                T::Char(b':') => {
                    self.advance()?;
                    let name = self.name()?;
                    self.gen_code(|f| {
                        let mut key = Exp::new(Kind::Constant(f.string(name)?));
                        f.method(&mut e, &mut key)
                    })?;
                    self.arguments(&mut e)?;
                }
                T::Char(b'(' | b'{') | T::String => {
                    self.gen_code(|f| f.put_next(&mut e))?;
                    self.arguments(&mut e)?;
                }
                _ => return Ok(e),
            }
        }
    }

    /// `.name` or `:name`
    fn field(&mut self, e: &mut Exp) -> Result<()> {
        self.gen_code(|f| f.put_any(e))?;
        self.advance()?;
        let name = self.name()?;
        self.gen_code(|f| {
            let mut key = Exp::new(Kind::Constant(f.string(name)?));
            f.index(e, &mut key)
        })
    }

    /// `[expression]`
    fn key(&mut self) -> Result<Exp> {
        self.advance()?;
        let mut e = self.expression()?;
        self.gen_code(|f| f.settle(&mut e))?;
        self.expect(T::Char(b']'))?;
        Ok(e)
    }

    fn arguments(&mut self, e: &mut Exp) -> Result<()> {
        let line = self.lex.line;
        let mut args = match self.kind() {
            T::Char(b'(') => {
                if line != self.lex.last_line {
                    let message = "ambiguous syntax (function call x new statement)";
                    return Err(self.lex.error_here(message));
                }
                self.advance()?;
                let args = match self.kind() {
                    T::Char(b')') => Exp::new(Kind::Void),
                    _ => {
                        let args = self.expressions()?.1;
                        self.gen_code(|f| f.set_results(&args, None))?;
                        args
                    }
                };
                self.expect_match(T::Char(b')'), T::Char(b'('), line)?;
                args
            }
            T::Char(b'{') => self.constructor()?,
            T::String => {
                let text = self.advance()?.string;
                Exp::new(Kind::Constant(self.gen_code(|f| f.string(&text))?))
            }
            _ => return Err(self.lex.error_here("function arguments expected")),
        };
        let Kind::Register(base) = e.kind else { return Ok(()) };
        let at = self.gen_code(|f| {
            let count = if args.is_multiple() {
                0
            } else {
                if args.kind != Kind::Void {
                    f.put_next(&mut args)?;
                }
                u16::from(f.free_register() - base)
            };
            let at = f.emit(Op::Call, base, count, 2)?;
            f.fix_line(line);
            f.set_free(base + 1);
            Ok(at)
        })?;
        *e = Exp::new(Kind::Call(at));
        Ok(())
    }

    fn constructor(&mut self) -> Result<Exp> {
        let line = self.lex.line;
        let at = self.gen_code(|f| f.emit(Op::NewTable, 0, 0, 0))?;
        let mut table = Exp::new(Kind::Open(at));
        self.gen_code(|f| f.put_next(&mut table))?;
        let Kind::Register(register) = table.kind else { return Ok(table) };
        // Elements stored, elements waiting in registers, fields.
        let (mut stored, mut waiting, mut fields) = (0_usize, 0_usize, 0_usize);
        let mut last = Exp::new(Kind::Void);
        self.expect(T::Char(b'{'))?;
        while self.kind() != T::Char(b'}') {
            if last.kind != Kind::Void {
                self.gen_code(|f| f.put_next(&mut last))?;
                last = Exp::new(Kind::Void);
                if waiting == FLUSH {
                    self.flush(register, &mut stored, &mut waiting)?;
                }
            }
            let is_field = match self.kind() {
                T::Name => self.lex.peek()? == T::Char(b'='),
                kind => kind == T::Char(b'['),
            };
            if is_field {
                self.record_field(register)?;
                fields += 1;
            } else {
                last = self.expression()?;
                waiting += 1;
            }
            if !self.accept(T::Char(b','))? && !self.accept(T::Char(b';'))? {
                break;
            }
        }
        self.expect_match(T::Char(b'}'), T::Char(b'{'), line)?;
        if last.is_multiple() {
            self.gen_code(|f| {
                f.set_results(&last, None)?;
                f.emit(Op::SetList, register, 0, stored as i32 + 1)?;
                f.set_free(register + 1);
                Ok(())
            })?;
            stored += waiting - 1;
        } else {
            if last.kind != Kind::Void {
                self.gen_code(|f| f.put_next(&mut last))?;
            }
            if waiting > 0 {
                self.flush(register, &mut stored, &mut waiting)?;
            }
        }
        let code = &mut self.f().code[at];
        code.b = stored.min(usize::from(u16::MAX)) as u16;
        code.c = fields.min(1 << 20) as i32;
        Ok(table)
    }

    /// Stores the elements that wait in registers.
    fn flush(&mut self, table: u8, stored: &mut usize, waiting: &mut usize) -> Result<()> {
        self.gen_code(|f| {
            f.emit(Op::SetList, table, *waiting as u16, *stored as i32 + 1)?;
            f.set_free(table + 1);
            Ok(())
        })?;
        *stored += *waiting;
        *waiting = 0;
        Ok(())
    }

    fn record_field(&mut self, table: u8) -> Result<()> {
        let free = self.f().free_register();
        let mut key = match self.kind() {
            T::Name => {
                let name = self.name()?;
                Exp::new(Kind::Constant(self.gen_code(|f| f.string(name))?))
            }
            _ => self.key()?,
        };
        self.expect(T::Char(b'='))?;
        let key = self.gen_code(|f| f.operand(&mut key))?;
        let mut value = self.expression()?;
        self.gen_code(|f| {
            let value = f.operand(&mut value)?;
            f.emit(Op::SetTable, table, key, i32::from(value))?;
            f.set_free(free);
            Ok(())
        })
    }
}

fn binary(kind: T) -> Option<Operator> {
    let compare = |op, truth, swap| Binary::Compare { op, truth, swap };
    Some(match kind {
        T::Or => (Binary::Or, 1, 1),
        T::And => (Binary::And, 2, 2),
        T::Char(b'<') => (compare(Op::Lt, true, false), 3, 3),
        T::Char(b'>') => (compare(Op::Lt, true, true), 3, 3),
        T::LessEqual => (compare(Op::Le, true, false), 3, 3),
        T::GreaterEqual => (compare(Op::Le, true, true), 3, 3),
        T::NotEqual => (compare(Op::Eq, false, false), 3, 3),
        T::Equal => (compare(Op::Eq, true, false), 3, 3),
        T::Concat => (Binary::Concat, 5, 4),
        T::Char(b'+') => (Binary::Arithmetic(Op::Add), 6, 6),
        T::Char(b'-') => (Binary::Arithmetic(Op::Sub), 6, 6),
        T::Char(b'*') => (Binary::Arithmetic(Op::Mul), 7, 7),
        T::Char(b'/') => (Binary::Arithmetic(Op::Div), 7, 7),
        T::Char(b'%') => (Binary::Arithmetic(Op::Mod), 7, 7),
        T::Char(b'^') => (Binary::Arithmetic(Op::Pow), 10, 9),
        _ => return None,
    })
}
