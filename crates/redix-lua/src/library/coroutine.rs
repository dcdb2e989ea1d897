//! The coroutine library.

use crate::engine::{Engine, Fault, Host};
use crate::heap::Function;
use crate::thread::Status;
use crate::value::{ThreadRef, Value};
use crate::vm::{Args, Native, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("create", create),
    ("resume", resume),
    ("running", running),
    ("status", status),
    ("wrap", wrap),
    ("yield", yield_values),
    ("", wrapped),
];

fn new_thread(e: &mut Engine, args: Args) -> Result<Value> {
    let function = match e.arg(args, 0) {
        Value::Function(f) if matches!(e.heap.functions.get(f.0), Function::Lua { .. }) => {
            Value::Function(f)
        }
        _ => return Err(e.argument_error(0, "Lua function expected")),
    };
    Ok(Value::Thread(e.new_coroutine(function)?))
}

fn create(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let thread = new_thread(e, args)?;
    e.give(thread)
}

fn check_thread(e: &mut Engine, args: Args) -> Result<ThreadRef> {
    match e.arg(args, 0) {
        Value::Thread(thread) => Ok(thread),
        _ => Err(e.argument_error(0, "coroutine expected")),
    }
}

fn resume(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let thread = check_thread(e, args)?;
    e.push(Value::Boolean(true))?;
    match e.resume(host, thread, args.base + 1, args.count - 1)? {
        Ok(count) => Ok(count + 1),
        Err(value) => {
            e.push(Value::Boolean(false))?;
            e.push(value)?;
            Ok(2)
        }
    }
}

fn running(e: &mut Engine, _: &mut dyn Host, _: Args) -> Result<usize> {
    let thread = match e.running == e.main {
        true => Value::Nil,
        false => Value::Thread(ThreadRef(e.running)),
    };
    e.give(thread)
}

fn status(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let thread = check_thread(e, args)?;
    let name: &[u8] = match e.status_of(thread) {
        Status::Fresh | Status::Suspended => b"suspended",
        Status::Running => b"running",
        Status::Normal => b"normal",
        Status::Dead => b"dead",
    };
    e.give_bytes(name)
}

fn wrap(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let thread = new_thread(e, args)?;
    let step = super::number(super::COROUTINE, FUNCTIONS.len() - 1);
    let function = e.heap.new_bound(step, Box::new([thread]))?;
    e.give(Value::Function(function))
}

fn wrapped(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let Some(&[Value::Thread(thread)]) = e.bound(args) else { return Ok(0) };
    match e.resume(host, thread, args.base, args.count)? {
        Ok(count) => Ok(count),
        // A message gets the position of the caller before it.
        Err(Value::String(s)) => {
            let message = e.bytes(s).to_vec();
            Err(e.error_at(1, &message))
        }
        Err(value) => Err(Fault::Error(value)),
    }
}

fn yield_values(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    if e.depth != e.thread.yield_depth {
        return Err(e.error_text(b"attempt to yield across metamethod/C-call boundary"));
    }
    e.yielded = (args.base, args.count);
    Err(Fault::Yield)
}
