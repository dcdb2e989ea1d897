//! The cmsgpack library: values to and from MessagePack.
//!
//! Both directions keep their nesting on the heap, not on the native stack.

use crate::engine::{Engine, Host};
use crate::number;
use crate::value::{TableRef, Value};
use crate::vm::{Args, Native, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("pack", pack),
    ("unpack", |e, host, args| unpack_values(e, host, args, 0, 0)),
    ("unpack_limit", unpack_limit),
    ("unpack_one", unpack_one),
];

/// Tables nested deeper are packed as nil.
const NESTING_MAX: usize = 16;

const TOO_MANY: &[u8] = b"stack overflow (too many return values at once; use unpack_one or \
    unpack_limit instead.)";

pub(super) fn open(e: &mut Engine) -> Result<()> {
    let Value::Table(library) = e.raw_get_field(e.globals, b"cmsgpack")? else { return Ok(()) };
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Redis Ltd."),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        let text = e.new_string(text.as_bytes())?;
        e.raw_set_field(library, name.as_bytes(), text)?;
    }
    Ok(())
}

/// A table that is being packed.
enum Open {
    Array { table: TableRef, next: usize, length: usize },
    Map { table: TableRef, cursor: usize, value: Option<Value> },
}

fn pack(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    if args.count == 0 {
        // C says #0.
        let (_, name) = e.callee_name().unwrap_or(("", b"?".to_vec()));
        let start = b"bad argument #0 to '".as_slice();
        let message = [start, &name, b"' (MessagePack pack needs input.)"].concat();
        return Err(e.error_at(1, &message));
    }
    let mut out = Vec::new();
    for at in 0..args.count {
        pack_value(e, host, e.arg(args, at), &mut out)?;
    }
    e.give_vec(out)
}

fn pack_value(e: &mut Engine, host: &mut dyn Host, value: Value, out: &mut Vec<u8>) -> Result<()> {
    let mut open: Vec<Open> = Vec::new();
    let mut value = value;
    loop {
        if let Some(table) = pack_plain(e, value, open.len(), out)? {
            open.push(begin_table(e, host, table, out)?);
        }
        value = loop {
            let Some(innermost) = open.last_mut() else { return Ok(()) };
            match next_of(e, innermost) {
                Some(value) => break value,
                None => drop(open.pop()),
            }
        };
        e.spend(host, 1)?;
        if out.len() > 4096 {
            e.heap.budget.check(out.len())?;
        }
    }
}

/// The next key or value of a table.
fn next_of(e: &Engine, open: &mut Open) -> Option<Value> {
    match open {
        Open::Array { table, next, length } => {
            *next += 1;
            (*next <= *length).then(|| e.raw_get_index(*table, *next))
        }
        Open::Map { table, cursor, value } => {
            if let Some(value) = value.take() {
                return Some(value);
            }
            let (after, key, element) = e.pair_at(*table, *cursor)?;
            (*cursor, *value) = (after, Some(element));
            Some(key)
        }
    }
}

/// Packs a value that is not a table; a table is given back.
fn pack_plain(
    e: &Engine,
    value: Value,
    level: usize,
    out: &mut Vec<u8>,
) -> Result<Option<TableRef>> {
    match value {
        Value::Table(table) if level < NESTING_MAX => return Ok(Some(table)),
        Value::Boolean(b) => out.push(0xC2 + u8::from(b)),
        Value::Number(n) => pack_number(n, out),
        Value::String(s) => {
            let text = e.bytes(s);
            e.heap.budget.check(out.len() + text.len())?;
            match text.len() {
                length @ 0..32 => out.push(0xA0 | length as u8),
                length @ 32..0x100 => out.extend_from_slice(&[0xD9, length as u8]),
                length => push_length(out, [0xDA, 0xDB], length),
            }
            out.extend_from_slice(text);
        }
        _ => out.push(0xC0),
    }
    Ok(None)
}

/// A code for 16 or for 32 bits, and the length.
fn push_length(out: &mut Vec<u8>, codes: [u8; 2], length: usize) {
    match u16::try_from(length) {
        Ok(length) => {
            out.push(codes[0]);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(codes[1]);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

fn pack_number(n: f64, out: &mut Vec<u8>) {
    let whole = number::to_i64(n);
    if whole as f64 != n || !n.is_finite() {
        let short = n as f32;
        if f64::from(short) == n {
            out.push(0xCA);
            out.extend_from_slice(&short.to_be_bytes());
        } else {
            out.push(0xCB);
            out.extend_from_slice(&n.to_be_bytes());
        }
        return;
    }
    let bytes = whole.to_be_bytes();
    match whole {
        -32..=0x7F => out.push(whole as u8),
        0x80..=0xFF => out.extend_from_slice(&[0xCC, bytes[7]]),
        0x100..=0xFFFF => out.extend_from_slice(&[0xCD, bytes[6], bytes[7]]),
        0x1_0000..=0xFFFF_FFFF => {
            out.push(0xCE);
            out.extend_from_slice(&bytes[4..]);
        }
        0x1_0000_0000.. => {
            out.push(0xCF);
            out.extend_from_slice(&bytes);
        }
        -0x80..=-33 => out.extend_from_slice(&[0xD0, bytes[7]]),
        -0x8000..=-0x81 => out.extend_from_slice(&[0xD1, bytes[6], bytes[7]]),
        -0x8000_0000..=-0x8001 => {
            out.push(0xD2);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(0xD3);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Writes the head of a table: an array if its keys are 1 to n without gaps.
fn begin_table(
    e: &mut Engine,
    host: &mut dyn Host,
    table: TableRef,
    out: &mut Vec<u8>,
) -> Result<Open> {
    let (mut count, mut largest, mut is_array) = (0_usize, 0.0_f64, true);
    let mut cursor = 0;
    while let Some((next, key, _)) = e.pair_at(table, cursor) {
        e.spend(host, usize::from(next % 16 == 0))?;
        cursor = next;
        count += 1;
        match key {
            Value::Number(n) if n > 0.0 && crate::vm::floor(n) == n => largest = largest.max(n),
            _ => is_array = false,
        }
    }
    if is_array && largest == count as f64 {
        match count {
            0..16 => out.push(0x90 | count as u8),
            _ => push_length(out, [0xDC, 0xDD], count),
        }
        return Ok(Open::Array { table, next: 0, length: count });
    }
    match count {
        0..16 => out.push(0x80 | count as u8),
        _ => push_length(out, [0xDE, 0xDF], count),
    }
    Ok(Open::Map { table, cursor: 0, value: None })
}

fn unpack_one(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let offset = e.opt_int(args, 1, 0)?;
    e.check_string(args, 0)?;
    unpack_values(e, host, args, 1, offset)
}

fn unpack_limit(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let limit = e.check_int(args, 1)?;
    let offset = e.opt_int(args, 2, 0)?;
    unpack_values(e, host, args, limit, offset)
}

/// What ends the unpacking of a value.
enum Bad {
    Missing,
    Format,
    Fault(crate::engine::Fault),
}

impl From<crate::engine::Fault> for Bad {
    fn from(fault: crate::engine::Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<crate::heap::NoMemory> for Bad {
    fn from(_: crate::heap::NoMemory) -> Self {
        Self::Fault(crate::engine::Fault::Memory)
    }
}

fn unpack_values(
    e: &mut Engine,
    host: &mut dyn Host,
    args: Args,
    limit: i64,
    offset: i64,
) -> Result<usize> {
    let s = e.check_string(args, 0)?;
    let length = e.bytes(s).len();
    if offset < 0 || limit < 0 {
        // C prints them as ints.
        let offset = offset as i32;
        let message =
            format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(e.error_at(1, message.as_bytes()));
    }
    if offset > length as i64 {
        let offset = offset as i32;
        let message = format!("Start offset {offset} greater than input length {length}.");
        return Err(e.error_at(1, message.as_bytes()));
    }
    let all = limit == 0 && offset == 0;
    let limit = if all { usize::MAX } else { limit as usize };
    e.reserve(length)?;
    let first = e.thread.top;
    if !all {
        e.push(Value::Nil)?;
    }
    let data = e.bytes(s)[offset as usize..].to_vec();
    let mut reader = Reader { data: &data, at: 0 };
    let mut count = 0;
    while count < limit && reader.at < data.len() {
        if args.count + count + 1 > super::RESULTS_MAX {
            return Err(e.error_at(1, TOO_MANY));
        }
        match reader.value(e, host) {
            Ok(value) => e.push(value)?,
            Err(Bad::Missing) => return Err(e.error_at(1, b"Missing bytes in input.")),
            Err(Bad::Format) => return Err(e.error_at(1, b"Bad data format in input.")),
            Err(Bad::Fault(fault)) => return Err(fault),
        }
        count += 1;
    }
    if !all {
        let next = if reader.at == data.len() { -1 } else { offset + reader.at as i64 };
        e.thread.stack[first] = Value::Number(next as f64);
    }
    Ok(e.thread.top - first)
}

/// A table that is being filled.
struct Filling {
    table: TableRef,
    /// Elements, or pairs, that are missing.
    left: usize,
    next: usize,
    is_map: bool,
    key: Option<Value>,
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

/// What begins at a position.
enum Item {
    Value(Value),
    Array(usize),
    Map(usize),
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> std::result::Result<&[u8], Bad> {
        let bytes = self.data.get(self.at..).and_then(|rest| rest.get(..count));
        self.at += count;
        bytes.ok_or(Bad::Missing)
    }

    fn unsigned(&mut self, count: usize) -> std::result::Result<u64, Bad> {
        Ok(self.take(count)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn text(&mut self, e: &mut Engine, length: u64) -> std::result::Result<Item, Bad> {
        let bytes = self.take(length as usize)?;
        Ok(Item::Value(Value::String(e.heap.new_str(bytes)?)))
    }

    fn item(&mut self, e: &mut Engine) -> std::result::Result<Item, Bad> {
        let code = self.take(1)?[0];
        let number = |n: f64| Ok(Item::Value(Value::Number(n)));
        match code {
            0..=0x7F => number(f64::from(code)),
            0xE0..=0xFF => number(f64::from(code.cast_signed())),
            0x80..=0x8F => Ok(Item::Map(usize::from(code & 15))),
            0x90..=0x9F => Ok(Item::Array(usize::from(code & 15))),
            0xA0..=0xBF => self.text(e, u64::from(code & 31)),
            0xC0 => Ok(Item::Value(Value::Nil)),
            0xC2 | 0xC3 => Ok(Item::Value(Value::Boolean(code == 0xC3))),
            0xCA => number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xCB => number(f64::from_bits(self.unsigned(8)?)),
            0xCC..=0xCE => number(self.unsigned(1 << (code - 0xCC))? as f64),
            // C pushes it as a signed integer.
            0xCF => number(self.unsigned(8)?.cast_signed() as f64),
            0xD0 => number(f64::from(self.unsigned(1)? as i8)),
            0xD1 => number(f64::from(self.unsigned(2)? as i16)),
            0xD2 => number(f64::from(self.unsigned(4)? as i32)),
            0xD3 => number(self.unsigned(8)?.cast_signed() as f64),
            0xD9..=0xDB => {
                let length = self.unsigned(1 << (code - 0xD9))?;
                self.text(e, length)
            }
            0xDC | 0xDD => Ok(Item::Array(self.unsigned(2 << (code - 0xDC))? as usize)),
            0xDE | 0xDF => Ok(Item::Map(self.unsigned(2 << (code - 0xDE))? as usize)),
            _ => Err(Bad::Format),
        }
    }

    fn value(&mut self, e: &mut Engine, host: &mut dyn Host) -> std::result::Result<Value, Bad> {
        let mut open: Vec<Filling> = Vec::new();
        // The slots of C's stack that the nesting takes: it overflows at some depth.
        let mut slots = 0;
        loop {
            e.spend(host, 1)?;
            let (value, opened) = match self.item(e)? {
                Item::Value(value) => (value, None),
                Item::Array(left) => (self.table(e, left, false)?, Some((left, false))),
                Item::Map(left) => (self.table(e, left, true)?, Some((left, true))),
            };
            if let (Value::Table(table), Some((left, is_map))) = (value, opened)
                && left > 0
            {
                slots += 2;
                if slots + 2 > super::RESULTS_MAX {
                    let message = match is_map {
                        true => TOO_MANY,
                        false => b"stack overflow (in function mp_decode_to_lua_array)",
                    };
                    return Err(Bad::Fault(e.error_at(1, message)));
                }
                open.push(Filling { table, left, next: 1, is_map, key: None });
                continue;
            }
            let mut value = value;
            loop {
                let Some(innermost) = open.last_mut() else { return Ok(value) };
                innermost.store(e, value)?;
                if innermost.left > 0 {
                    break;
                }
                value = Value::Table(innermost.table);
                open.pop();
                slots -= 2;
            }
        }
    }

    /// A table with room for what the rest of the input can hold of it.
    fn table(&self, e: &mut Engine, count: usize, is_map: bool) -> std::result::Result<Value, Bad> {
        let room = count.min(self.data.len().saturating_sub(self.at)).min(1024);
        let (array, fields) = if is_map { (0, room) } else { (room, 0) };
        Ok(Value::Table(e.heap.new_table(array, fields)?))
    }
}

impl Filling {
    fn store(&mut self, e: &mut Engine, value: Value) -> std::result::Result<(), Bad> {
        let key = if self.is_map {
            let Some(key) = self.key.take() else {
                self.key = Some(value);
                return Ok(());
            };
            key
        } else {
            self.next += 1;
            Value::Number((self.next - 1) as f64)
        };
        self.left -= 1;
        match key {
            Value::Nil => Err(Bad::Fault(e.error_text(b"table index is nil"))),
            Value::Number(n) if n.is_nan() => Err(Bad::Fault(e.error_text(b"table index is NaN"))),
            _ => Ok(e.heap.table_set(self.table, &key, value)?),
        }
    }
}
