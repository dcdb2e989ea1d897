//! Checks of arguments, counted from 0, with the messages of Lua's C library.

use crate::engine::{Engine, Fault};
use crate::heap::Function;
use crate::number;
use crate::value::{Str, TableRef, Value};
use crate::vm::{Args, Result};

impl Engine {
    #[inline]
    pub(crate) fn arg(&self, args: Args, at: usize) -> Value {
        match at < args.count {
            true => self.thread.stack[args.base + at],
            false => Value::Nil,
        }
    }

    /// The name of an argument's type: `no value` if there is none.
    pub(crate) fn arg_type(&self, args: Args, at: usize) -> &'static str {
        if at < args.count { self.arg(args, at).type_name() } else { "no value" }
    }

    pub(crate) fn type_expected(&mut self, args: Args, at: usize, expected: &str) -> Fault {
        let got = self.arg_type(args, at);
        self.argument_error(at, format!("{expected} expected, got {got}"))
    }

    pub(crate) fn check_any(&mut self, args: Args, at: usize) -> Result<Value> {
        match at < args.count {
            true => Ok(self.arg(args, at)),
            false => Err(self.argument_error(at, "value expected")),
        }
    }

    pub(crate) fn check_table(&mut self, args: Args, at: usize) -> Result<TableRef> {
        match self.arg(args, at) {
            Value::Table(t) => Ok(t),
            _ => Err(self.type_expected(args, at, "table")),
        }
    }

    pub(crate) fn check_function(&mut self, args: Args, at: usize) -> Result<Value> {
        match self.arg(args, at) {
            value if value.type_name() == "function" => Ok(value),
            _ => Err(self.type_expected(args, at, "function")),
        }
    }

    pub(crate) fn check_number(&mut self, args: Args, at: usize) -> Result<f64> {
        match self.number_of(self.arg(args, at)) {
            Some(n) => Ok(n),
            None => Err(self.type_expected(args, at, "number")),
        }
    }

    /// A number as C casts it to an integer.
    pub(crate) fn check_int(&mut self, args: Args, at: usize) -> Result<i64> {
        Ok(number::to_i64(self.check_number(args, at)?))
    }

    /// An integer, or `default` if there is no argument or nil.
    pub(crate) fn opt_int(&mut self, args: Args, at: usize, default: i64) -> Result<i64> {
        match self.arg(args, at) {
            Value::Nil => Ok(default),
            _ => self.check_int(args, at),
        }
    }

    /// A string; a number becomes one, in its place on the stack.
    pub(crate) fn check_string(&mut self, args: Args, at: usize) -> Result<Str> {
        match self.arg(args, at) {
            Value::String(s) => Ok(s),
            Value::Number(n) => {
                let mut text = Vec::new();
                number::push_text(&mut text, n);
                let s = self.heap.new_str(&text)?;
                self.thread.stack[args.base + at] = Value::String(s);
                Ok(s)
            }
            _ => Err(self.type_expected(args, at, "string")),
        }
    }

    /// One result.
    pub(crate) fn give(&mut self, value: Value) -> Result<usize> {
        self.push(value)?;
        Ok(1)
    }

    /// A string of these bytes as the only result.
    pub(crate) fn give_bytes(&mut self, bytes: &[u8]) -> Result<usize> {
        self.reserve(bytes.len())?;
        let s = self.heap.new_str(bytes)?;
        self.give(Value::String(s))
    }

    /// As [`Self::give_bytes`], without a copy if it is long.
    pub(crate) fn give_vec(&mut self, bytes: Vec<u8>) -> Result<usize> {
        self.reserve(bytes.len())?;
        let s = self.heap.take_str(bytes)?;
        self.give(Value::String(s))
    }

    /// The values bound to the function that runs.
    pub(crate) fn bound(&self, args: Args) -> Option<&[Value]> {
        let Value::Function(f) = args.callee else { return None };
        match self.heap.functions.get(f.0) {
            Function::Bound { values, .. } => Some(values),
            Function::Lua { .. } => None,
        }
    }

    pub(crate) fn set_bound(&mut self, args: Args, at: usize, value: Value) {
        let Value::Function(f) = args.callee else { return };
        if let Function::Bound { values, .. } = self.heap.functions.get_mut(f.0) {
            values[at] = value;
        }
    }
}
