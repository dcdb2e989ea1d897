//! The base library, without what reaches files, environments of other functions or bytecode.

use crate::compile;
use crate::engine::{Engine, Fault, Host};
use crate::names::Event;
use crate::number;
use crate::value::Value;
use crate::vm::{Args, Native, READONLY, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("assert", assert),
    ("collectgarbage", collectgarbage),
    ("error", error),
    ("gcinfo", gcinfo),
    ("getmetatable", getmetatable),
    ("ipairs", ipairs),
    ("load", load),
    ("loadstring", loadstring),
    ("next", next),
    ("pairs", pairs),
    ("pcall", pcall),
    ("rawequal", rawequal),
    ("rawget", rawget),
    ("rawset", rawset),
    ("select", select),
    ("setmetatable", setmetatable),
    ("tonumber", tonumber),
    ("tostring", tostring),
    ("type", type_of),
    ("unpack", unpack),
    ("xpcall", xpcall),
    ("", ipairs_step),
];

pub(super) fn open(engine: &mut Engine) -> Result<()> {
    let globals = engine.globals;
    engine.raw_set_field(globals, b"_G", Value::Table(globals))?;
    let version = engine.new_string(b"Lua 5.1")?;
    engine.raw_set_field(globals, b"_VERSION", version)
}

fn place(name: &str) -> Value {
    let at = FUNCTIONS.iter().position(|(other, _)| *other == name).unwrap_or(0);
    Value::Native(super::number(super::BASE, at))
}

fn assert(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    if e.check_any(args, 0)?.truthy() {
        return Ok(args.count);
    }
    let message = match e.arg(args, 1) {
        Value::Nil => b"assertion failed!".to_vec(),
        _ => {
            let s = e.check_string(args, 1)?;
            e.bytes(s).to_vec()
        }
    };
    Err(e.error_at(1, &message))
}

fn error(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let level = e.opt_int(args, 1, 1)? as i32;
    match e.arg(args, 0) {
        Value::String(_) | Value::Number(_) if level > 0 => {
            let s = e.check_string(args, 0)?;
            let message = e.bytes(s).to_vec();
            Err(e.error_at(level.unsigned_abs() as usize, &message))
        }
        value => Err(Fault::Error(value)),
    }
}

fn pcall(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    if args.count == 0 && e.unwrap_errors {
        // The real servers put their result before the function and call that.
        e.push(Value::Boolean(false))?;
        e.give_bytes(b"attempt to call a boolean value")?;
        return Ok(2);
    }
    e.check_any(args, 0)?;
    match e.protected_call(host, args.base, args.count - 1)? {
        Ok(()) => {
            let count = e.thread.top - args.base;
            e.push(Value::Nil)?;
            e.thread.stack.copy_within(args.base..args.base + count, args.base + 1);
            e.thread.stack[args.base] = Value::Boolean(true);
            Ok(count + 1)
        }
        Err(value) => {
            e.push(Value::Boolean(false))?;
            e.push(value)?;
            if let (Value::Table(_), true) = (value, e.unwrap_errors) {
                let name = e.new_string(b"err")?;
                let error = e.index(host, value, name, None)?;
                if !error.is_nil() {
                    let last = e.thread.top - 1;
                    e.thread.stack[last] = error;
                }
            }
            Ok(2)
        }
    }
}

fn xpcall(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    e.check_any(args, 1)?;
    let (function, handler) = (e.arg(args, 0), e.arg(args, 1));
    let at = e.thread.top;
    e.push(function)?;
    let outcome = match e.protected_call(host, at, 0)? {
        Ok(()) => {
            let count = e.thread.top - at;
            e.push(Value::Nil)?;
            e.thread.stack.copy_within(at..at + count, at + 1);
            e.thread.stack[at] = Value::Boolean(true);
            return Ok(count + 1);
        }
        Err(value) => value,
    };
    e.push(Value::Boolean(false))?;
    let at = e.thread.top;
    e.push(handler)?;
    e.push(outcome)?;
    match e.protected_call(host, at, 1)? {
        Ok(()) => {
            let count = e.thread.top - at;
            if count == 0 {
                e.push(Value::Nil)?;
            }
            e.thread.top = at + 1;
        }
        Err(_) => drop(e.give_bytes(b"error in error handling")?),
    }
    Ok(2)
}

fn select(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    if let Value::String(s) = e.arg(args, 0)
        && e.bytes(s).first() == Some(&b'#')
    {
        return e.give(Value::Number((args.count - 1) as f64));
    }
    let count = args.count as i64;
    let at = match i64::from(number::to_i32(e.check_number(args, 0)?)) {
        at if at < 0 => count + at,
        at => at.min(count),
    };
    if at < 1 {
        return Err(e.argument_error(0, "index out of range"));
    }
    Ok((count - at) as usize)
}

fn tonumber(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let base = e.opt_int(args, 1, 10)? as i32;
    if base == 10 {
        let value = e.check_any(args, 0)?;
        let number = e.number_of(value);
        return e.give(number.map_or(Value::Nil, Value::Number));
    }
    let s = e.check_string(args, 0)?;
    if !(2..=36).contains(&base) {
        return Err(e.argument_error(1, "base out of range"));
    }
    let number = parse_in_base(e.bytes(s), base.unsigned_abs());
    e.give(number.map_or(Value::Nil, Value::Number))
}

/// What C's `strtoul` reads, if only blanks follow.
fn parse_in_base(text: &[u8], base: u32) -> Option<f64> {
    let text = text.split(|b| *b == 0).next().unwrap_or(text).trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = match digits {
        [b'0', b'x' | b'X', rest @ ..] if base == 16 => rest,
        _ => digits,
    };
    let length = digits.iter().take_while(|b| (**b as char).is_digit(base)).count();
    if length == 0 || !digits[length..].trim_ascii_start().is_empty() {
        return None;
    }
    let mut value = Some(0_u64);
    for byte in &digits[..length] {
        let digit = u64::from((*byte as char).to_digit(base)?);
        value = value.and_then(|v| v.checked_mul(u64::from(base))?.checked_add(digit));
    }
    Some(match value {
        None => u64::MAX as f64,
        Some(value) if negative => value.wrapping_neg() as f64,
        Some(value) => value as f64,
    })
}

/// The text of any value, without metamethods.
pub(super) fn push_plain_text(e: &Engine, value: Value, out: &mut Vec<u8>) {
    let address = match value {
        Value::Nil => return out.extend_from_slice(b"nil"),
        Value::Boolean(true) => return out.extend_from_slice(b"true"),
        Value::Boolean(false) => return out.extend_from_slice(b"false"),
        Value::Number(n) => return number::push_text(out, n),
        Value::String(s) => return out.extend_from_slice(e.bytes(s)),
        Value::Pointer(0) => return out.extend_from_slice(b"userdata: (nil)"),
        Value::Pointer(p) => u64::from(p),
        Value::Table(t) => u64::from(t.0.index) << 6 | 1 << 40,
        Value::Function(f) => u64::from(f.0.index) << 6 | 2 << 40,
        Value::Thread(t) => u64::from(t.0.index) << 6 | 3 << 40,
        Value::Native(f) => u64::from(f.0) << 4 | 4 << 40,
        Value::Host(f) => u64::from(f.0) << 4 | 5 << 40,
    };
    out.extend_from_slice(format!("{}: 0x{address:x}", value.type_name()).as_bytes());
}

/// The value that `tostring` gives.
pub(crate) fn to_text(e: &mut Engine, host: &mut dyn Host, value: Value) -> Result<Value> {
    let handler = e.metamethod(&value, Event::ToString);
    if !handler.is_nil() {
        return e.call_value(host, handler, &[value]);
    }
    if let Value::String(_) = value {
        return Ok(value);
    }
    let mut text = Vec::new();
    push_plain_text(e, value, &mut text);
    e.new_string(&text)
}

fn tostring(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let value = e.check_any(args, 0)?;
    let text = to_text(e, host, value)?;
    e.give(text)
}

fn type_of(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let name = e.check_any(args, 0)?.type_name();
    e.give_bytes(name.as_bytes())
}

fn rawequal(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let (a, b) = (e.check_any(args, 0)?, e.check_any(args, 1)?);
    let equal = e.raw_equal(&a, &b);
    e.give(Value::Boolean(equal))
}

fn rawget(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    let key = e.check_any(args, 1)?;
    let value = e.raw_get(table, key);
    e.give(value)
}

fn rawset(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    let (key, value) = (e.check_any(args, 1)?, e.check_any(args, 2)?);
    match key {
        Value::Nil => return Err(e.error_text(b"table index is nil")),
        Value::Number(n) if n.is_nan() => return Err(e.error_text(b"table index is NaN")),
        _ => {}
    }
    if e.is_readonly(table) {
        return Err(e.error_text(READONLY));
    }
    e.heap.table_set(table, &key, value)?;
    e.give(Value::Table(table))
}

fn getmetatable(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let value = e.check_any(args, 0)?;
    let Some(meta) = e.meta_of(&value) else { return e.give(Value::Nil) };
    let protected = e.meta_field(meta, Event::Metatable);
    e.give(if protected.is_nil() { Value::Table(meta) } else { protected })
}

fn setmetatable(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    let meta = match e.arg(args, 1) {
        Value::Nil if args.count > 1 => None,
        Value::Table(meta) => Some(meta),
        _ => return Err(e.argument_error(1, "nil or table expected")),
    };
    if let Some(old) = e.heap.table(table).meta
        && !e.meta_field(old, Event::Metatable).is_nil()
    {
        return Err(e.error_at(1, b"cannot change a protected metatable"));
    }
    if e.is_readonly(table) {
        return Err(e.error_text(READONLY));
    }
    e.heap.table_mut(table).meta = meta;
    e.give(Value::Table(table))
}

fn next(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    let key = e.arg(args, 1);
    let t = e.heap.table(table);
    let Some(cursor) = t.cursor_after(&key, &e.heap.strings) else {
        return Err(e.error_at(1, b"invalid key to 'next'"));
    };
    let Some((at, key, value)) = t.pair_at(cursor) else {
        let skipped = t.slot_count().saturating_sub(cursor);
        e.spend(host, skipped / 16)?;
        return e.give(Value::Nil);
    };
    e.spend(host, (at - cursor) / 16)?;
    e.push(key)?;
    e.push(value)?;
    Ok(2)
}

fn pairs(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    e.push(place("next"))?;
    e.push(Value::Table(table))?;
    e.push(Value::Nil)?;
    Ok(3)
}

fn ipairs(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    e.push(place(""))?;
    e.push(Value::Table(table))?;
    e.push(Value::Number(0.0))?;
    Ok(3)
}

fn ipairs_step(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let at = e.check_int(args, 1)?.wrapping_add(1);
    let table = e.check_table(args, 0)?;
    let value = e.raw_get(table, Value::Number(at as f64));
    if value.is_nil() {
        return e.give(Value::Nil);
    }
    e.push(Value::Number(at as f64))?;
    e.push(value)?;
    Ok(2)
}

fn unpack(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let table = e.check_table(args, 0)?;
    let first = i64::from(number::to_i32(match e.arg(args, 1) {
        Value::Nil => 1.0,
        _ => e.check_number(args, 1)?,
    }));
    let last = match e.arg(args, 2) {
        Value::Nil => e.length(table) as i64,
        _ => i64::from(number::to_i32(e.check_number(args, 2)?)),
    };
    if first > last {
        return Ok(0);
    }
    let count = last - first + 1;
    if args.count as i64 + count > super::RESULTS_MAX as i64 {
        return Err(e.error_at(1, b"too many results to unpack"));
    }
    for at in first..=last {
        let value = match usize::try_from(at) {
            Ok(at) => e.raw_get_index(table, at),
            Err(_) => e.raw_get(table, Value::Number(at as f64)),
        };
        e.push(value)?;
    }
    Ok(count as usize)
}

fn collectgarbage(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let option = match e.arg(args, 0) {
        Value::Nil => b"collect".to_vec(),
        _ => {
            let s = e.check_string(args, 0)?;
            e.bytes(s).to_vec()
        }
    };
    e.opt_int(args, 1, 0)?;
    let result = match option.as_slice() {
        b"stop" | b"restart" => Value::Number(0.0),
        b"collect" => {
            e.collect_to(e.thread.top);
            Value::Number(0.0)
        }
        b"count" => Value::Number(e.memory_bytes() as f64 / 1024.0),
        b"step" => {
            e.collect_to(e.thread.top);
            Value::Boolean(true)
        }
        // The collector has no such parameters: their defaults.
        b"setpause" | b"setstepmul" => Value::Number(200.0),
        other => {
            let message = format!("invalid option '{}'", String::from_utf8_lossy(other));
            return Err(e.argument_error(0, &message));
        }
    };
    e.give(result)
}

fn gcinfo(e: &mut Engine, _: &mut dyn Host, _: Args) -> Result<usize> {
    let kilobytes = (e.memory_bytes() / 1024) as f64;
    e.give(Value::Number(kilobytes))
}

/// Compiles and gives the function, or nil and the message.
fn load_source(e: &mut Engine, host: &mut dyn Host, source: &[u8], name: &[u8]) -> Result<usize> {
    e.spend(host, source.len() / 64)?;
    e.reserve(source.len())?;
    let room = e.heap.budget.limit.saturating_sub(e.heap.budget.used);
    let mut stopped = None;
    let mut pay = |tokens| match e.spend(host, tokens * 4) {
        Ok(()) => true,
        Err(fault) => {
            stopped = Some(fault);
            false
        }
    };
    let compiled = compile::compile_within(source, name, room, &mut pay);
    if let Some(fault) = stopped {
        return Err(fault);
    }
    match compiled {
        Ok(proto) => {
            e.reserve(proto.memory_bytes())?;
            let loaded = e.heap.load(&proto)?;
            let function = e.heap.new_lua(loaded, Box::default())?;
            e.give(Value::Function(function))
        }
        Err(error) => {
            e.push(Value::Nil)?;
            e.give_bytes(&error.message)?;
            Ok(2)
        }
    }
}

fn loadstring(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let source = e.bytes(s).to_vec();
    let name = match e.arg(args, 1) {
        Value::Nil => source.clone(),
        _ => {
            let s = e.check_string(args, 1)?;
            e.bytes(s).to_vec()
        }
    };
    load_source(e, host, &source, &name)
}

fn load(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let name = match e.arg(args, 1) {
        Value::Nil => b"=(load)".to_vec(),
        _ => {
            let s = e.check_string(args, 1)?;
            e.bytes(s).to_vec()
        }
    };
    let function = e.check_function(args, 0)?;
    let mut source = Vec::new();
    loop {
        let top = e.thread.top;
        e.push(function)?;
        let piece = match e.protected_call(host, top, 0)? {
            Ok(()) if e.thread.top > top => e.thread.stack[top],
            Ok(()) => Value::Nil,
            Err(value) => {
                e.thread.top = top;
                e.push(Value::Nil)?;
                e.push(value)?;
                return Ok(2);
            }
        };
        e.thread.top = top;
        let mut text = Vec::new();
        match piece {
            Value::Nil => break,
            Value::String(_) | Value::Number(_) => push_plain_text(e, piece, &mut text),
            _ => {
                e.push(Value::Nil)?;
                let message = b"reader function must return a string";
                let message = [e.position(1).as_slice(), message].concat();
                e.give_bytes(&message)?;
                return Ok(2);
            }
        }
        if text.is_empty() {
            break;
        }
        e.reserve(source.len() + text.len())?;
        e.spend(host, text.len() / 16)?;
        source.extend_from_slice(&text);
    }
    load_source(e, host, &source, &name)
}
