//! What operations do when their operands are not plain: metamethods, coercions, errors.

use super::operand::arithmetic;
use super::{Engine, Fault, Host, Result};
use crate::names::Event;
use crate::number;
use crate::proto::Op;
use crate::value::{Str, TableRef, Value};

/// Metamethods `__index` that are tables are followed so far.
const CHAIN_MAX: usize = 100;

pub(crate) const READONLY: &[u8] = b"Attempt to modify a readonly table";

impl Engine {
    #[inline]
    pub(crate) fn meta_of(&self, value: &Value) -> Option<TableRef> {
        match value {
            Value::Table(t) => self.heap.table(*t).meta,
            Value::String(_) => self.string_meta,
            _ => None,
        }
    }

    /// The metamethod of a value; nil if there is none.
    pub(crate) fn metamethod(&mut self, value: &Value, event: Event) -> Value {
        match self.meta_of(value) {
            Some(meta) => self.meta_field(meta, event),
            None => Value::Nil,
        }
    }

    /// A metamethod in a metatable, which remembers that it has none.
    #[inline]
    pub(crate) fn meta_field(&mut self, meta: TableRef, event: Event) -> Value {
        let name = self.names.event(event);
        let table = self.heap.table_mut(meta);
        if table.absent & (1 << event as u32) != 0 {
            return Value::Nil;
        }
        let value = table.get_short(name);
        if value.is_nil() {
            table.absent |= 1 << event as u32;
        }
        value
    }

    /// Calls a metamethod from the Lua function that runs.
    pub(crate) fn call_meta(
        &mut self,
        host: &mut dyn Host,
        function: Value,
        args: &[Value],
    ) -> Result<Value> {
        if self.depth >= super::DEPTH_MAX {
            return Err(self.error_in_lua(b"C stack overflow"));
        }
        let top = self.thread.top;
        // Registers of the frame may be in use up to its end.
        self.thread.top = self.thread.extent();
        let at = self.thread.top;
        let result = self.call_meta_at(host, at, function, args);
        self.thread.top = top;
        result
    }

    fn call_meta_at(
        &mut self,
        host: &mut dyn Host,
        at: usize,
        function: Value,
        args: &[Value],
    ) -> Result<Value> {
        self.push(function)?;
        for arg in args {
            self.push(*arg)?;
        }
        self.call_by(host, at, args.len(), Some(1), false)?;
        Ok(self.thread.stack[at])
    }

    /// `object[key]`. The operand is where the object came from, for the message.
    pub(crate) fn index(
        &mut self,
        host: &mut dyn Host,
        object: Value,
        key: Value,
        operand: Option<u16>,
    ) -> Result<Value> {
        let (mut object, mut operand) = (object, operand);
        for _ in 0..CHAIN_MAX {
            let handler = if let Value::Table(t) = object {
                let value = self.heap.table_get(t, &key);
                let Some(meta) = self.heap.table(t).meta.filter(|_| value.is_nil()) else {
                    return Ok(value);
                };
                let handler = self.meta_field(meta, Event::Index);
                if handler.is_nil() {
                    return Ok(Value::Nil);
                }
                handler
            } else {
                let handler = self.metamethod(&object, Event::Index);
                if handler.is_nil() {
                    return Err(self.type_error("index", object, operand));
                }
                handler
            };
            if is_function(&handler) {
                return self.call_meta(host, handler, &[object, key]);
            }
            (object, operand) = (handler, None);
        }
        Err(self.error_in_lua(b"loop in gettable"))
    }

    /// `object[key] = value`.
    pub(crate) fn set_index(
        &mut self,
        host: &mut dyn Host,
        object: Value,
        key: Value,
        value: Value,
        operand: Option<u16>,
    ) -> Result<()> {
        let (mut object, mut operand) = (object, operand);
        for _ in 0..CHAIN_MAX {
            let handler = if let Value::Table(t) = object {
                self.check_key(&key)?;
                let mut handler = Value::Nil;
                if let Some(meta) = self.heap.table(t).meta
                    && self.heap.table_get(t, &key).is_nil()
                {
                    handler = self.meta_field(meta, Event::NewIndex);
                }
                if handler.is_nil() {
                    return self.set_raw(t, key, value);
                }
                handler
            } else {
                let handler = self.metamethod(&object, Event::NewIndex);
                if handler.is_nil() {
                    return Err(self.type_error("index", object, operand));
                }
                handler
            };
            if is_function(&handler) {
                return self.call_meta(host, handler, &[object, key, value]).map(drop);
            }
            (object, operand) = (handler, None);
        }
        Err(self.error_in_lua(b"loop in settable"))
    }

    fn check_key(&mut self, key: &Value) -> Result<()> {
        match key {
            Value::Nil => Err(self.error_in_lua(b"table index is nil")),
            Value::Number(n) if n.is_nan() => Err(self.error_in_lua(b"table index is NaN")),
            _ => Ok(()),
        }
    }

    /// Stores in a table unless it is read-only. The table, key and value are in registers or on
    /// the stack: if memory is short, garbage is collected first.
    pub(crate) fn set_raw(&mut self, t: TableRef, key: Value, value: Value) -> Result<()> {
        if self.heap.table(t).readonly {
            return Err(self.error_in_lua(READONLY));
        }
        if self.heap.table_set(t, &key, value).is_err() || self.collect_always {
            if !self.collect_if_worth(self.thread.extent()) {
                return Err(Fault::Memory);
            }
            self.heap.table_set(t, &key, value)?;
        }
        Ok(())
    }

    /// The number that an operand of arithmetic is.
    fn operand_number(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(n) => Some(*n),
            Value::String(s) => number::parse(self.heap.strings.bytes(*s)),
            _ => None,
        }
    }

    /// Arithmetic that is not between two numbers; operands tell where they came from.
    #[cold]
    pub(crate) fn arithmetic(
        &mut self,
        host: &mut dyn Host,
        op: Op,
        values: [Value; 2],
        operands: [u16; 2],
    ) -> Result<Value> {
        let [a, b] = values;
        let numbers = (self.operand_number(&a), self.operand_number(&b));
        if let (Some(a), Some(b)) = numbers {
            return Ok(Value::Number(arithmetic(op, a, b)));
        }
        let event = match op {
            Op::Add => Event::Add,
            Op::Sub => Event::Sub,
            Op::Mul => Event::Mul,
            Op::Div => Event::Div,
            Op::Mod => Event::Mod,
            Op::Pow => Event::Pow,
            _ => Event::Unm,
        };
        let handler = self.binary_handler(&a, &b, event);
        if !handler.is_nil() {
            return self.call_meta(host, handler, &[a, b]);
        }
        let wrong = usize::from(numbers.0.is_some());
        Err(self.type_error("perform arithmetic on", values[wrong], Some(operands[wrong])))
    }

    fn binary_handler(&mut self, a: &Value, b: &Value, event: Event) -> Value {
        let handler = self.metamethod(a, event);
        if handler.is_nil() { self.metamethod(b, event) } else { handler }
    }

    /// Equality without metamethods.
    #[inline]
    pub(crate) fn raw_equal(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::String(a), Value::String(b)) => self.heap.strings.equal(*a, *b),
            _ => a.same(b),
        }
    }

    pub(crate) fn equal(&mut self, host: &mut dyn Host, a: Value, b: Value) -> Result<bool> {
        if self.raw_equal(&a, &b) {
            return Ok(true);
        }
        let (Value::Table(_), Value::Table(_)) = (a, b) else { return Ok(false) };
        let handler = self.same_handler(&a, &b, Event::Eq);
        if handler.is_nil() {
            return Ok(false);
        }
        Ok(self.call_meta(host, handler, &[a, b])?.truthy())
    }

    /// The handler that both values have; nil if they differ in it.
    fn same_handler(&mut self, a: &Value, b: &Value, event: Event) -> Value {
        let handler = self.metamethod(a, event);
        if handler.is_nil() {
            return Value::Nil;
        }
        let other = self.metamethod(b, event);
        if self.raw_equal(&handler, &other) { handler } else { Value::Nil }
    }

    /// The order of strings: that of their bytes.
    fn string_order(&self, a: Str, b: Str) -> std::cmp::Ordering {
        self.heap.strings.bytes(a).cmp(self.heap.strings.bytes(b))
    }

    pub(crate) fn less_than(&mut self, host: &mut dyn Host, a: Value, b: Value) -> Result<bool> {
        match self.try_less(host, a, b)? {
            Some(less) => Ok(less),
            None => Err(self.compare_error(&a, &b)),
        }
    }

    /// Whether `a < b`; none if they have no order.
    pub(crate) fn try_less(
        &mut self,
        host: &mut dyn Host,
        a: Value,
        b: Value,
    ) -> Result<Option<bool>> {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => return Ok(Some(a < b)),
            (Value::String(a), Value::String(b)) => {
                return Ok(Some(self.string_order(a, b).is_lt()));
            }
            _ => {}
        }
        if a.type_name() == b.type_name() {
            let handler = self.same_handler(&a, &b, Event::Lt);
            if !handler.is_nil() {
                return Ok(Some(self.call_meta(host, handler, &[a, b])?.truthy()));
            }
        }
        Ok(None)
    }

    pub(crate) fn less_equal(&mut self, host: &mut dyn Host, a: Value, b: Value) -> Result<bool> {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => return Ok(a <= b),
            (Value::String(a), Value::String(b)) => return Ok(self.string_order(a, b).is_le()),
            _ => {}
        }
        if a.type_name() == b.type_name() {
            let handler = self.same_handler(&a, &b, Event::Le);
            if !handler.is_nil() {
                return Ok(self.call_meta(host, handler, &[a, b])?.truthy());
            }
            let handler = self.same_handler(&a, &b, Event::Lt);
            if !handler.is_nil() {
                return Ok(!self.call_meta(host, handler, &[b, a])?.truthy());
            }
        }
        Err(self.compare_error(&a, &b))
    }

    fn compare_error(&mut self, a: &Value, b: &Value) -> Fault {
        self.error_in_lua(compare_message(a, b).as_bytes())
    }

    /// Concatenates the registers `first..=last` of the frame at `base` into the first one.
    pub(crate) fn concat(
        &mut self,
        host: &mut dyn Host,
        base: usize,
        first: usize,
        last: usize,
    ) -> Result<Value> {
        let mut last = base + last;
        let first = base + first;
        while last > first {
            let (a, b) = (self.thread.stack[last - 1], self.thread.stack[last]);
            if !is_text(&a) || !is_text(&b) {
                let handler = self.binary_handler(&a, &b, Event::Concat);
                if handler.is_nil() {
                    let wrong = if is_text(&a) { last } else { last - 1 };
                    let value = self.thread.stack[wrong];
                    let operand = Some((wrong - base) as u16);
                    return Err(self.type_error("concatenate", value, operand));
                }
                self.thread.stack[last - 1] = self.call_meta(host, handler, &[a, b])?;
                last -= 1;
                continue;
            }
            let mut start = last - 1;
            while start > first && is_text(&self.thread.stack[start - 1]) {
                start -= 1;
            }
            let joined = self.join(host, start, last)?;
            self.thread.stack[start] = joined;
            last = start;
        }
        Ok(self.thread.stack[first])
    }

    /// The string of the strings and numbers in the registers `from..=to`.
    fn join(&mut self, host: &mut dyn Host, from: usize, to: usize) -> Result<Value> {
        let mut length = 0_usize;
        for value in &self.thread.stack[from..=to] {
            length = length.saturating_add(match value {
                Value::String(s) => self.heap.strings.bytes(*s).len(),
                _ => 32,
            });
        }
        if length > 4096 {
            self.spend(host, length / 16)?;
            if self.heap.budget.check(length).is_err() {
                self.collect_if_worth(self.thread.extent());
            }
            self.heap.budget.check(length)?;
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        if text.try_reserve(length).is_err() {
            return Err(Fault::Memory);
        }
        for value in &self.thread.stack[from..=to] {
            match value {
                Value::String(s) => text.extend_from_slice(self.heap.strings.bytes(*s)),
                Value::Number(n) => number::push_text(&mut text, *n),
                _ => {}
            }
        }
        let made = match length > 4096 {
            true => self.heap.take_str(std::mem::take(&mut text)),
            false => self.heap.new_str(&text),
        };
        self.scratch = text;
        Ok(Value::String(made?))
    }

    /// The length operator.
    pub(crate) fn length_of(&mut self, value: Value, operand: u16) -> Result<f64> {
        match value {
            Value::Table(t) => Ok(self.heap.table(t).len() as f64),
            Value::String(s) => Ok(self.heap.strings.bytes(s).len() as f64),
            _ => Err(self.type_error("get length of", value, Some(operand))),
        }
    }
}

pub(crate) fn is_function(value: &Value) -> bool {
    matches!(value, Value::Function(_) | Value::Native(_) | Value::Host(_))
}

/// What is wrong with a comparison.
pub(crate) fn compare_message(a: &Value, b: &Value) -> String {
    let (a, b) = (a.type_name(), b.type_name());
    match a == b {
        true => format!("attempt to compare two {a} values"),
        false => format!("attempt to compare {a} with {b}"),
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_))
}
