//! The cjson library: settings and the encoder. The decoder is in `json_decode`.
//!
//! The settings of an instance (`cjson`, or what `cjson.new` gives) are an array that is bound to
//! its functions. Nesting is kept on the heap, not on the native stack.

use super::json_decode::decode;
use crate::engine::{Engine, Fault, Host};
use crate::number;
use crate::value::{TableRef, Value};
use crate::vm::{Args, Native, Result, floor};

/// What is bound: none of these has a name in the table of libraries.
pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("", decode),
    ("", decode_invalid_numbers),
    ("", decode_max_depth),
    ("", encode),
    ("", encode_invalid_numbers),
    ("", encode_keep_buffer),
    ("", encode_max_depth),
    ("", encode_number_precision),
    ("", encode_sparse_array),
    ("", new),
];

const NAMES: [&str; 10] = [
    "decode",
    "decode_invalid_numbers",
    "decode_max_depth",
    "encode",
    "encode_invalid_numbers",
    "encode_keep_buffer",
    "encode_max_depth",
    "encode_number_precision",
    "encode_sparse_array",
    "new",
];

/// A setting: its place in the array.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    SparseConvert = 1,
    SparseRatio,
    SparseSafe,
    EncodeDepth,
    DecodeDepth,
    Precision,
    KeepBuffer,
    EncodeInvalid,
    DecodeInvalid,
}

const DEFAULTS: [f64; 9] = [0.0, 2.0, 10.0, 1000.0, 1000.0, 14.0, 1.0, 0.0, 1.0];

/// Values of [`Setting::EncodeInvalid`] besides 0, an error.
const AS_TEXT: f64 = 1.0;
const AS_NULL: f64 = 2.0;

/// `cjson.null`
pub(super) const NULL: Value = Value::Pointer(0);

pub(super) fn open(e: &mut Engine) -> Result<()> {
    let Value::Table(library) = e.raw_get_field(e.globals, b"cjson")? else { return Ok(()) };
    fill(e, library)
}

/// Makes a table an instance of the library.
fn fill(e: &mut Engine, library: TableRef) -> Result<()> {
    let settings = e.new_table(DEFAULTS.len(), 0)?;
    for value in DEFAULTS {
        e.append(settings, Value::Number(value))?;
    }
    for (at, name) in NAMES.into_iter().enumerate() {
        let native = super::number(super::JSON, at);
        let function = e.heap.new_bound(native, Box::new([Value::Table(settings)]))?;
        e.raw_set_field(library, name.as_bytes(), Value::Function(function))?;
    }
    e.raw_set_field(library, b"null", NULL)?;
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        let text = e.new_string(text.as_bytes())?;
        e.raw_set_field(library, name.as_bytes(), text)?;
    }
    Ok(())
}

fn new(e: &mut Engine, _: &mut dyn Host, _: Args) -> Result<usize> {
    let library = e.new_table(0, 16)?;
    fill(e, library)?;
    e.give(Value::Table(library))
}

fn settings(e: &Engine, args: Args) -> Option<TableRef> {
    match e.bound(args) {
        Some([Value::Table(settings)]) => Some(*settings),
        _ => None,
    }
}

pub(super) fn setting(e: &Engine, args: Args, which: Setting) -> f64 {
    let value = settings(e, args).map(|t| e.raw_get_index(t, which as usize));
    match value {
        Some(Value::Number(n)) => n,
        _ => DEFAULTS[which as usize - 1],
    }
}

fn set(e: &mut Engine, args: Args, which: Setting, value: f64) -> Result<()> {
    match settings(e, args) {
        Some(t) => e.raw_set(t, Value::Number(which as usize as f64), Value::Number(value)),
        None => Ok(()),
    }
}

fn at_most(e: &mut Engine, args: Args, count: usize) -> Result<()> {
    match args.count > count {
        true => Err(e.argument_error(count, "found too many arguments")),
        false => Ok(()),
    }
}

/// Sets an integer if there is an argument; pushes its value.
fn integer_option(
    e: &mut Engine,
    args: Args,
    at: usize,
    which: Setting,
    (low, high): (i64, i64),
) -> Result<()> {
    if !e.arg(args, at).is_nil() {
        let value = e.check_int(args, at)?;
        if value < low || value > high {
            let message = format!("expected integer between {low} and {high}");
            return Err(e.argument_error(0, &message));
        }
        set(e, args, which, value as f64)?;
    }
    let value = setting(e, args, which);
    e.push(Value::Number(value))
}

/// Sets a switch if there is an argument; pushes its value. `words` are for the values from 0.
fn word_option(
    e: &mut Engine,
    args: Args,
    at: usize,
    which: Setting,
    words: &[&str],
) -> Result<()> {
    match e.arg(args, at) {
        Value::Nil => {}
        Value::Boolean(b) => set(e, args, which, f64::from(u8::from(b)))?,
        _ => {
            let s = e.check_string(args, at)?;
            let text = e.bytes(s);
            match words.iter().position(|word| word.as_bytes() == text) {
                Some(value) => set(e, args, which, value as f64)?,
                None => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Err(e.argument_error(at, format!("invalid option '{text}'")));
                }
            }
        }
    }
    let value = match setting(e, args, which) {
        value if value <= 1.0 => Value::Boolean(value == 1.0),
        value => e.new_string(words[value as usize].as_bytes())?,
    };
    e.push(value)
}

const DEPTHS: (i64, i64) = (1, i32::MAX as i64);

fn encode_max_depth(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    integer_option(e, args, 0, Setting::EncodeDepth, DEPTHS)?;
    Ok(1)
}

fn decode_max_depth(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    integer_option(e, args, 0, Setting::DecodeDepth, DEPTHS)?;
    Ok(1)
}

fn encode_number_precision(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    integer_option(e, args, 0, Setting::Precision, (1, 14))?;
    Ok(1)
}

fn encode_keep_buffer(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    word_option(e, args, 0, Setting::KeepBuffer, &["off", "on"])?;
    Ok(1)
}

fn encode_invalid_numbers(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    word_option(e, args, 0, Setting::EncodeInvalid, &["off", "on", "null"])?;
    Ok(1)
}

fn decode_invalid_numbers(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 1)?;
    word_option(e, args, 0, Setting::DecodeInvalid, &["off", "on"])?;
    Ok(1)
}

fn encode_sparse_array(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    at_most(e, args, 3)?;
    word_option(e, args, 0, Setting::SparseConvert, &["off", "on"])?;
    integer_option(e, args, 1, Setting::SparseRatio, (0, i64::from(i32::MAX)))?;
    integer_option(e, args, 2, Setting::SparseSafe, (0, i64::from(i32::MAX)))?;
    Ok(3)
}

/// A table that is being encoded.
enum Open {
    Array { table: TableRef, next: usize, length: usize },
    Object { table: TableRef, cursor: usize, is_first: bool },
}

struct Encoder<'a> {
    e: &'a mut Engine,
    host: &'a mut dyn Host,
    args: Args,
    out: Vec<u8>,
    open: Vec<Open>,
    /// The slots of C's stack that the nesting takes.
    slots: usize,
    precision: usize,
    invalid: f64,
}

fn encode(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    if args.count != 1 {
        return Err(e.argument_error(0, "expected 1 argument"));
    }
    let precision = setting(e, args, Setting::Precision) as usize;
    let invalid = setting(e, args, Setting::EncodeInvalid);
    let value = e.arg(args, 0);
    let (out, open) = (Vec::new(), Vec::new());
    let mut encoder = Encoder { e, host, args, out, open, slots: 1, precision, invalid };
    encoder.value(value)?;
    while !encoder.open.is_empty() {
        encoder.step()?;
    }
    let out = encoder.out;
    e.spend(host, out.len() / 64)?;
    e.give_vec(out)
}

impl Encoder<'_> {
    /// Writes the next element of the innermost table, or closes it.
    fn step(&mut self) -> Result<()> {
        self.e.spend(self.host, 1)?;
        if self.out.len() > 4096 {
            self.e.heap.budget.check(self.out.len())?;
        }
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let value = match open {
            Open::Array { table, next, length } => {
                if *next == *length {
                    self.out.push(b']');
                    self.open.pop();
                    self.slots -= 1;
                    return Ok(());
                }
                *next += 1;
                if *next > 1 {
                    self.out.push(b',');
                }
                self.e.raw_get_index(*table, *next)
            }
            Open::Object { table, cursor, is_first } => {
                let Some((after, key, value)) = self.e.pair_at(*table, *cursor) else {
                    self.out.push(b'}');
                    self.open.pop();
                    self.slots -= 2;
                    return Ok(());
                };
                *cursor = after;
                if !std::mem::replace(is_first, false) {
                    self.out.push(b',');
                }
                self.key(key)?;
                value
            }
        };
        self.value(value)
    }

    fn error(&mut self, what: &str, why: &str) -> Fault {
        self.e.error_at(1, format!("Cannot serialise {what}: {why}").as_bytes())
    }

    fn key(&mut self, key: Value) -> Result<()> {
        match key {
            Value::Number(n) => {
                self.out.push(b'"');
                self.number(n)?;
                self.out.push(b'"');
            }
            Value::String(s) => push_string(&mut self.out, self.e.bytes(s)),
            _ => {
                let kind = key.type_name();
                return Err(self.error(kind, "table key must be a number or string"));
            }
        }
        self.out.push(b':');
        Ok(())
    }

    fn value(&mut self, value: Value) -> Result<()> {
        match value {
            Value::String(s) => {
                let text = self.e.bytes(s);
                self.e.heap.budget.check(self.out.len() + text.len())?;
                push_string(&mut self.out, text);
            }
            Value::Number(n) => return self.number(n),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil | Value::Pointer(0) => self.out.extend_from_slice(b"null"),
            Value::Table(table) => return self.begin(table),
            _ => return Err(self.error(value.type_name(), "type not supported")),
        }
        Ok(())
    }

    fn number(&mut self, n: f64) -> Result<()> {
        if !n.is_finite() {
            if self.invalid == AS_NULL {
                self.out.extend_from_slice(b"null");
                return Ok(());
            }
            if self.invalid != AS_TEXT {
                return Err(self.error("number", "must not be NaN or Inf"));
            }
            if n.is_nan() {
                self.out.extend_from_slice(b"nan");
                return Ok(());
            }
        }
        match self.precision {
            14 => number::push_text(&mut self.out, n),
            precision => number::push_general(&mut self.out, n, precision, false),
        }
        Ok(())
    }

    fn begin(&mut self, table: TableRef) -> Result<()> {
        let depth = self.open.len() + 1;
        let max = setting(self.e, self.args, Setting::EncodeDepth) as usize;
        if depth > max || self.slots + 3 > super::RESULTS_MAX {
            let message = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(self.e.error_at(1, message.as_bytes()));
        }
        match self.array_length(table)? {
            Some(length) if length > 0 => {
                self.slots += 1;
                self.out.push(b'[');
                self.open.push(Open::Array { table, next: 0, length });
            }
            _ => {
                self.slots += 2;
                self.out.push(b'{');
                self.open.push(Open::Object { table, cursor: 0, is_first: true });
            }
        }
        Ok(())
    }

    /// The largest key, if all keys are positive integers and not too few for it.
    fn array_length(&mut self, table: TableRef) -> Result<Option<usize>> {
        // C keeps them in ints.
        let (mut largest, mut count) = (0_i32, 0_i32);
        let mut cursor = 0;
        while let Some((next, key, _)) = self.e.pair_at(table, cursor) {
            cursor = next;
            self.e.spend(self.host, usize::from(next % 16 == 0))?;
            match key {
                Value::Number(n) if n >= 1.0 && floor(n) == n => {
                    if n > f64::from(largest) {
                        largest = number::to_c_int(n);
                    }
                    count = count.wrapping_add(1);
                }
                _ => return Ok(None),
            }
        }
        let ratio = setting(self.e, self.args, Setting::SparseRatio);
        let safe = setting(self.e, self.args, Setting::SparseSafe);
        let (wide, items) = (f64::from(largest), f64::from(count));
        if ratio > 0.0 && wide > items * ratio && wide > safe {
            if setting(self.e, self.args, Setting::SparseConvert) == 0.0 {
                return Err(self.error("table", "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(largest.max(0) as usize))
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| needs_escape(*b)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\' | b'/') => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 32 || matches!(byte, b'"' | b'\\' | b'/' | 127)
}
