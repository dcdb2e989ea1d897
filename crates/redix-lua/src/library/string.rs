//! The string library.

use super::pattern::{Failure, Length, Match, Matcher};
use crate::engine::{Engine, Fault, Host};
use crate::number;
use crate::value::{Str, Value};
use crate::vm::{Args, Native, Result, is_function};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("byte", byte),
    ("char", char_of),
    ("dump", dump),
    ("find", find),
    ("format", super::format::format),
    ("gfind", gmatch),
    ("gmatch", gmatch),
    ("gsub", gsub),
    ("len", len),
    ("lower", lower),
    ("match", match_of),
    ("rep", rep),
    ("reverse", reverse),
    ("sub", sub),
    ("upper", upper),
    ("", gmatch_step),
];

/// Characters that make a search need the matcher.
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Gives strings their metatable.
pub(super) fn open(engine: &mut Engine) -> Result<()> {
    let meta = engine.new_table(0, 1)?;
    let strings = engine.raw_get_field(engine.globals, b"string")?;
    engine.raw_set_field(meta, b"__index", strings)?;
    engine.string_meta = Some(meta);
    Ok(())
}

/// A position counted from 1, from the end if negative, as one counted from 1.
fn from_end(at: i64, length: usize) -> i64 {
    let at = if at < 0 { at.saturating_add(length as i64 + 1) } else { at };
    at.max(0)
}

/// The part of a string from `first` to `last`, as `sub` and `byte` cut it.
fn range(first: i64, last: i64, length: usize) -> std::ops::Range<usize> {
    let first = from_end(first, length).max(1);
    let last = from_end(last, length).min(length as i64);
    match first <= last {
        true => (first - 1) as usize..last as usize,
        false => 0..0,
    }
}

fn len(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let length = e.bytes(s).len();
    e.give(Value::Number(length as f64))
}

fn sub(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let first = e.check_int(args, 1)?;
    let last = e.opt_int(args, 2, -1)?;
    let part = range(first, last, e.bytes(s).len());
    if part.len() == e.bytes(s).len() {
        return e.give(Value::String(s));
    }
    e.spend(host, part.len() / 256)?;
    e.reserve(part.len())?;
    let part = e.heap.part(s, part)?;
    e.give(Value::String(part))
}

fn map(
    e: &mut Engine,
    host: &mut dyn Host,
    args: Args,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let length = e.bytes(s).len();
    e.spend(host, length / 64)?;
    e.reserve(length)?;
    let mut text = e.bytes(s).to_vec();
    change(&mut text);
    e.give_vec(text)
}

fn reverse(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    map(e, host, args, |text| text.reverse())
}

fn lower(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    map(e, host, args, |text| text.make_ascii_lowercase())
}

fn upper(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    map(e, host, args, |text| text.make_ascii_uppercase())
}

fn rep(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let count = i64::from(number::to_i32(e.check_number(args, 1)?));
    let length = e.bytes(s).len();
    if count <= 0 || length == 0 {
        return e.give_bytes(b"");
    }
    let total = length.checked_mul(count as usize).ok_or(Fault::Memory)?;
    e.reserve(total)?;
    e.spend(host, total / 256)?;
    let mut text = Vec::new();
    text.try_reserve_exact(total)?;
    let piece = e.bytes(s);
    text.extend_from_slice(piece);
    while text.len() * 2 <= total {
        text.extend_from_within(..);
    }
    text.extend_from_within(..total - text.len());
    e.give_vec(text)
}

fn byte(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let first = e.opt_int(args, 1, 1)?;
    let last = e.opt_int(args, 2, from_end(first, e.bytes(s).len()))?;
    let part = range(first, last, e.bytes(s).len());
    let count = part.len();
    if args.count + count > super::RESULTS_MAX {
        return Err(e.error_at(1, b"stack overflow (string slice too long)"));
    }
    e.spend(host, count / 16)?;
    for at in part {
        let byte = e.bytes(s)[at];
        e.push(Value::Number(f64::from(byte)))?;
    }
    Ok(count)
}

fn char_of(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let mut text = Vec::with_capacity(args.count);
    for at in 0..args.count {
        let code = number::to_i32(e.check_number(args, at)?);
        let Ok(byte) = u8::try_from(code) else {
            return Err(e.argument_error(at, "invalid value"));
        };
        text.push(byte);
    }
    e.give_vec(text)
}

/// There is no bytecode.
fn dump(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    e.check_function(args, 0)?;
    Err(e.error_at(1, b"unable to dump given function"))
}

/// Searches a string for a pattern from a position.
fn search(
    e: &mut Engine,
    host: &mut dyn Host,
    (s, pattern): (Str, Str),
    from: usize,
    anchored: bool,
) -> Result<Option<Match>> {
    let strings = &e.heap.strings;
    let (source, pattern) = (strings.bytes(s), strings.bytes(pattern));
    let mut matcher = Matcher::new(source, pattern, &mut e.fuel, e.slice, host, &mut e.captures);
    match matcher.search(from, anchored) {
        Ok(found) => Ok(found),
        Err(Failure::Kill) => Err(Fault::Kill),
        Err(Failure::Message(message)) => Err(e.error_at(1, message.as_bytes())),
    }
}

/// The value of a capture; without captures number 0 is the whole match.
fn capture(e: &mut Engine, s: Str, found: &Match, at: usize) -> Result<Value> {
    let (start, length) = match at {
        0 if found.level == 0 => (found.start, Length::Closed(found.end - found.start)),
        _ if at >= found.level => return Err(e.error_at(1, b"invalid capture index")),
        _ => e.captures[at],
    };
    match length {
        Length::Open => Err(e.error_at(1, b"unfinished capture")),
        Length::Position => Ok(Value::Number((start + 1) as f64)),
        Length::Closed(length) => Ok(Value::String(e.heap.part(s, start..start + length)?)),
    }
}

/// Pushes all captures, or the whole match if there are none.
fn push_captures(e: &mut Engine, s: Str, found: &Match) -> Result<usize> {
    let count = found.level.max(1);
    for at in 0..count {
        let value = capture(e, s, found, at)?;
        e.push(value)?;
    }
    Ok(count)
}

/// Where a search begins, from the optional argument; none past the end.
fn start(e: &mut Engine, args: Args, length: usize) -> Result<usize> {
    let at = from_end(e.opt_int(args, 2, 1)?, length) - 1;
    Ok((at.max(0) as usize).min(length))
}

fn find(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let (s, pattern) = (e.check_string(args, 0)?, e.check_string(args, 1)?);
    let from = start(e, args, e.bytes(s).len())?;
    let text = e.bytes(pattern);
    // C looks for special characters up to the first zero byte.
    let visible = text.split(|b| *b == 0).next().unwrap_or(text);
    if e.arg(args, 3).truthy() || !visible.iter().any(|b| SPECIAL.contains(b)) {
        let found = memchr::memmem::find(&e.bytes(s)[from..], text);
        let (length, work) = (text.len(), e.bytes(s).len() - from);
        e.spend(host, found.unwrap_or(work) / 64)?;
        let Some(at) = found else { return e.give(Value::Nil) };
        e.push(Value::Number((from + at + 1) as f64))?;
        e.push(Value::Number((from + at + length) as f64))?;
        return Ok(2);
    }
    let anchored = text.first() == Some(&b'^');
    let Some(found) = search(e, host, (s, pattern), from, anchored)? else {
        return e.give(Value::Nil);
    };
    e.push(Value::Number((found.start + 1) as f64))?;
    e.push(Value::Number(found.end as f64))?;
    if found.level == 0 {
        return Ok(2);
    }
    Ok(2 + push_captures(e, s, &found)?)
}

fn match_of(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let (s, pattern) = (e.check_string(args, 0)?, e.check_string(args, 1)?);
    let from = start(e, args, e.bytes(s).len())?;
    let anchored = e.bytes(pattern).first() == Some(&b'^');
    match search(e, host, (s, pattern), from, anchored)? {
        Some(found) => push_captures(e, s, &found),
        None => e.give(Value::Nil),
    }
}

fn gmatch(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let (s, pattern) = (e.check_string(args, 0)?, e.check_string(args, 1)?);
    let values = [Value::String(s), Value::String(pattern), Value::Number(0.0)];
    let step = super::number(super::STRING, FUNCTIONS.len() - 1);
    let function = e.heap.new_bound(step, Box::new(values))?;
    e.give(Value::Function(function))
}

fn gmatch_step(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let Some(&[Value::String(s), Value::String(pattern), Value::Number(from)]) = e.bound(args)
    else {
        return Ok(0);
    };
    let from = from as usize;
    if from > e.bytes(s).len() {
        return e.give(Value::Nil);
    }
    let Some(found) = search(e, host, (s, pattern), from, false)? else {
        return e.give(Value::Nil);
    };
    // An empty match moves on by one.
    let next = if found.end == found.start { found.end + 1 } else { found.end };
    e.set_bound(args, 2, Value::Number(next as f64));
    push_captures(e, s, &found)
}

fn gsub(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let (s, pattern) = (e.check_string(args, 0)?, e.check_string(args, 1)?);
    match e.arg(args, 2) {
        Value::Number(_) => drop(e.check_string(args, 2)?),
        Value::String(_) | Value::Table(_) => {}
        value if is_function(&value) => {}
        _ => return Err(e.argument_error(2, "string/function/table expected")),
    }
    let length = e.bytes(s).len();
    let limit = e.opt_int(args, 3, length as i64 + 1)?;
    let anchored = e.bytes(pattern).first() == Some(&b'^');
    let mut out = Vec::new();
    let (mut at, mut count) = (0, 0_i64);
    let top = e.thread.top;
    while count < limit {
        // Only at this position: what is skipped is copied.
        let found = if anchored {
            search(e, host, (s, pattern), at, true)?
        } else {
            search(e, host, (s, pattern), at, false)?
        };
        let Some(found) = found else { break };
        count += 1;
        let before = out.len();
        out.extend_from_slice(&e.bytes(s)[at..found.start]);
        replace(e, host, s, e.arg(args, 2), &found, &mut out)?;
        e.thread.top = top;
        e.reserve(out.len())?;
        e.spend(host, (out.len() - before) / 64)?;
        if found.end > found.start {
            at = found.end;
        } else if found.start < length {
            out.push(e.bytes(s)[found.start]);
            at = found.start + 1;
        } else {
            at = length + 1;
        }
        if at > length || anchored {
            break;
        }
    }
    if at < length {
        out.extend_from_slice(&e.bytes(s)[at..]);
    }
    e.spend(host, length / 64)?;
    e.give_vec(out)?;
    e.push(Value::Number(count as f64))?;
    Ok(2)
}

/// Appends what replaces a match.
fn replace(
    e: &mut Engine,
    host: &mut dyn Host,
    s: Str,
    replacement: Value,
    found: &Match,
    out: &mut Vec<u8>,
) -> Result<()> {
    let value = match replacement {
        Value::String(text) => return expand(e, s, text, found, out),
        Value::Table(_) => {
            let key = capture(e, s, found, 0)?;
            e.push(key)?;
            e.index(host, replacement, key, None)?
        }
        function => {
            let at = e.thread.top;
            e.push(function)?;
            let count = push_captures(e, s, found)?;
            e.call_at(host, at, count, Some(1))?;
            e.thread.stack[at]
        }
    };
    match value {
        Value::Nil | Value::Boolean(false) => {
            out.extend_from_slice(&e.bytes(s)[found.start..found.end]);
        }
        Value::String(text) => out.extend_from_slice(e.bytes(text)),
        Value::Number(n) => number::push_text(out, n),
        other => {
            let message = format!("invalid replacement value (a {})", other.type_name());
            return Err(e.error_at(1, message.as_bytes()));
        }
    }
    Ok(())
}

/// Appends a replacement string, with captures for `%1` and the like.
fn expand(e: &mut Engine, s: Str, text: Str, found: &Match, out: &mut Vec<u8>) -> Result<()> {
    let mut at = 0;
    while let Some(&byte) = e.bytes(text).get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        // At the end C finds the zero byte behind the string.
        let next = e.bytes(text).get(at).copied().unwrap_or(0);
        at += 1;
        match next {
            b'0' => out.extend_from_slice(&e.bytes(s)[found.start..found.end]),
            b'1'..=b'9' => {
                let value = capture(e, s, found, usize::from(next - b'1'))?;
                match value {
                    Value::String(text) => out.extend_from_slice(e.bytes(text)),
                    Value::Number(n) => number::push_text(out, n),
                    _ => {}
                }
            }
            other => out.push(other),
        }
    }
    Ok(())
}
