//! The libraries: their functions and how they get into the globals.
//!
//! A library function takes its arguments from the stack (`args`) and pushes its results. Helpers
//! to check arguments word the errors as C does.

mod args;
mod base;
mod bit;
mod coroutine;
mod format;
mod json;
mod json_decode;
mod math;
mod msgpack;
mod pattern;
mod string;
mod structs;
mod table;

pub(crate) use base::to_text;
pub(crate) use pattern::{Captures, NO_CAPTURES};

use crate::engine::{Engine, Fault};
use crate::value::{NativeFn, Value};
use crate::vm::Native;

/// Each library with its functions, `""` for the globals.
const LIBRARIES: &[(&str, &[(&str, Native)])] = &[
    ("", base::FUNCTIONS),
    ("string", string::FUNCTIONS),
    ("coroutine", coroutine::FUNCTIONS),
    ("cjson", json::FUNCTIONS),
    ("table", table::FUNCTIONS),
    ("math", math::FUNCTIONS),
    ("os", math::OS),
    ("bit", bit::FUNCTIONS),
    ("cmsgpack", msgpack::FUNCTIONS),
    ("struct", structs::FUNCTIONS),
];

/// The places of libraries in that table.
const BASE: usize = 0;
const STRING: usize = 1;
const COROUTINE: usize = 2;
const JSON: usize = 3;

/// The most results that a function gives: what C's stack takes.
const RESULTS_MAX: usize = 8000;

/// The function with a number: libraries in their order.
#[inline]
pub(crate) fn native(number: NativeFn) -> Native {
    let NativeFn(number) = number;
    LIBRARIES[usize::from(number >> 8)].1[usize::from(number & 255)].1
}

/// The number of a function.
const fn number(library: usize, function: usize) -> NativeFn {
    NativeFn((library as u16) << 8 | function as u16)
}

/// Puts the libraries into the globals.
pub(crate) fn open(engine: &mut Engine) -> Result<(), Fault> {
    for (library, (name, functions)) in LIBRARIES.iter().enumerate() {
        let table = match *name {
            "" => engine.globals,
            name => {
                let table = engine.new_table(0, functions.len())?;
                engine.raw_set_field(engine.globals, name.as_bytes(), Value::Table(table))?;
                table
            }
        };
        for (function, (name, _)) in functions.iter().enumerate() {
            // What only bound functions use has no name.
            if !name.is_empty() {
                let value = Value::Native(number(library, function));
                engine.raw_set_field(table, name.as_bytes(), value)?;
            }
        }
    }
    base::open(engine)?;
    string::open(engine)?;
    math::open(engine)?;
    msgpack::open(engine)?;
    json::open(engine)
}
