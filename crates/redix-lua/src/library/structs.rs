//! The struct library: numbers and strings to and from the layout of C structures.

use crate::engine::{Engine, Fault, Host};
use crate::number;
use crate::value::Value;
use crate::vm::{Args, Native, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] =
    &[("pack", pack), ("size", size), ("unpack", unpack)];

/// The most bytes of an integer.
const INTEGER_MAX: usize = 32;

/// The alignment that `!` alone asks for.
const ALIGNMENT: usize = 8;

/// Reads a format, letter by letter.
struct Format {
    text: Vec<u8>,
    at: usize,
    big_endian: bool,
    alignment: usize,
}

impl Format {
    fn new(e: &mut Engine, args: Args) -> Result<Self> {
        let s = e.check_string(args, 0)?;
        // As in C it ends at its first zero byte.
        let text = e.bytes(s).split(|b| *b == 0).next().unwrap_or_default().to_vec();
        Ok(Self { text, at: 0, big_endian: false, alignment: 1 })
    }

    /// The next letter and the size of its item.
    fn next(&mut self, e: &mut Engine) -> Result<Option<(u8, usize)>> {
        let Some(&letter) = self.text.get(self.at) else { return Ok(None) };
        self.at += 1;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(e, 1)?,
            b'i' | b'I' => {
                let size = self.number(e, 4)?;
                if size > INTEGER_MAX {
                    let message =
                        format!("integral size {size} is larger than limit of {INTEGER_MAX}");
                    return Err(e.error_at(1, message.as_bytes()));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((letter, size)))
    }

    fn number(&mut self, e: &mut Engine, default: usize) -> Result<usize> {
        let mut value = None;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            let next = value.unwrap_or(0_i32).checked_mul(10);
            let Some(next) = next.and_then(|next| next.checked_add(i32::from(digit - b'0'))) else {
                return Err(e.error_at(1, b"integral size overflow"));
            };
            value = Some(next);
            self.at += 1;
        }
        Ok(value.map_or(default, |value| value as usize))
    }

    /// How many bytes bring a position to the alignment of an item.
    fn padding(&self, at: usize, letter: u8, size: usize) -> usize {
        if size == 0 || letter == b'c' {
            return 0;
        }
        let size = size.min(self.alignment);
        match size.is_power_of_two() {
            true => at.wrapping_neg() & (size - 1),
            // C's formula, for sizes that are no power of two.
            false => size.wrapping_sub(at & (size - 1)) & (size - 1),
        }
    }

    /// A letter that sets an option, or an error.
    fn control(&mut self, e: &mut Engine, letter: u8) -> Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(e, ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    let message = format!("alignment {alignment} is not a power of 2");
                    return Err(e.error_at(1, message.as_bytes()));
                }
                self.alignment = alignment;
            }
            _ => {
                let message = [b"invalid format option '".as_slice(), &[letter], b"'"].concat();
                return Err(e.argument_error(0, message));
            }
        }
        Ok(())
    }
}

fn append(e: &mut Engine, out: &mut Vec<u8>, bytes: &[u8], big_endian: bool) -> Result<()> {
    e.heap.budget.check(out.len() + bytes.len())?;
    match big_endian {
        true => out.extend(bytes.iter().rev()),
        false => out.extend_from_slice(bytes),
    }
    Ok(())
}

/// A missing argument is nil here: C has put a mark behind the arguments.
fn check_number(e: &mut Engine, args: Args, at: usize) -> Result<f64> {
    match e.number_of(e.arg(args, at)) {
        Some(n) => Ok(n),
        None => Err(expected(e, args, at, "number")),
    }
}

fn expected(e: &mut Engine, args: Args, at: usize, what: &str) -> Fault {
    let got = if at == args.count { "nil" } else { e.arg_type(args, at) };
    e.argument_error(at, format!("{what} expected, got {got}"))
}

fn pack(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let mut format = Format::new(e, args)?;
    e.spend(host, format.text.len() / 4)?;
    let mut out = Vec::new();
    let mut arg = 1;
    while let Some((letter, size)) = format.next(e)? {
        out.resize(out.len() + format.padding(out.len(), letter, size), 0);
        match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = number::to_u64(check_number(e, args, arg)?);
                let mut bytes = [0; INTEGER_MAX];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                append(e, &mut out, &bytes[..size], format.big_endian)?;
                arg += 1;
            }
            b'x' => append(e, &mut out, &[0], false)?,
            b'f' => {
                let value = check_number(e, args, arg)? as f32;
                append(e, &mut out, &value.to_le_bytes(), format.big_endian)?;
                arg += 1;
            }
            b'd' => {
                let value = check_number(e, args, arg)?;
                append(e, &mut out, &value.to_le_bytes(), format.big_endian)?;
                arg += 1;
            }
            b'c' | b's' => {
                if !matches!(e.arg(args, arg), Value::String(_) | Value::Number(_)) {
                    return Err(expected(e, args, arg, "string"));
                }
                let s = e.check_string(args, arg)?;
                arg += 1;
                let length = e.bytes(s).len();
                let size = if size == 0 { length } else { size };
                if length < size {
                    return Err(e.argument_error(arg, "string too short"));
                }
                e.heap.budget.check(out.len() + size + 1)?;
                out.extend_from_slice(&e.bytes(s)[..size]);
                if letter == b's' {
                    out.push(0);
                }
            }
            _ => format.control(e, letter)?,
        }
    }
    e.give_vec(out)
}

fn size(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let mut format = Format::new(e, args)?;
    e.spend(host, format.text.len() / 4)?;
    let mut total = 0_usize;
    while let Some((letter, size)) = format.next(e)? {
        total = total.wrapping_add(format.padding(total, letter, size));
        match (letter, size) {
            (b's', _) => return Err(e.argument_error(0, "option 's' has no fixed size")),
            (b'c', 0) => return Err(e.argument_error(0, "option 'c0' has no fixed size")),
            _ => {}
        }
        if !letter.is_ascii_alphanumeric() {
            format.control(e, letter)?;
        }
        total = total.wrapping_add(size);
    }
    e.give(Value::Number(total as f64))
}

fn unpack(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let mut format = Format::new(e, args)?;
    let data = e.check_string(args, 1)?;
    let length = e.bytes(data).len();
    let start = e.opt_int(args, 2, 1)?;
    if start == 0 {
        return Err(e.argument_error(2, "offset must be 1 or greater"));
    }
    // A negative position is a huge one in C's unsigned arithmetic.
    let mut at = (start as usize).wrapping_sub(1);
    let first = e.thread.top;
    e.spend(host, format.text.len() / 4)?;
    while let Some((letter, size)) = format.next(e)? {
        at = at.wrapping_add(format.padding(at, letter, size));
        let mut size = size;
        check_room(e, at, size, length)?;
        if args.count + (e.thread.top - first) + 2 > super::RESULTS_MAX {
            return Err(e.error_at(1, b"stack overflow (too many results)"));
        }
        let value = match letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' | b'f' | b'd' => {
                let bytes = &e.bytes(data)[at..at + size];
                Value::Number(number_from(letter, bytes, format.big_endian))
            }
            b'c' => {
                if size == 0 {
                    size = previous_size(e, first)?;
                    check_room(e, at, size, length)?;
                }
                let bytes = e.bytes(data)[at..at + size].to_vec();
                e.take_string(bytes)?
            }
            b's' => {
                let Some(rest) = e.bytes(data).get(at..) else {
                    return Err(e.argument_error(1, "data string too short"));
                };
                let Some(zero) = memchr::memchr(0, rest) else {
                    return Err(e.error_at(1, b"unfinished string in data"));
                };
                let bytes = rest[..zero].to_vec();
                size = zero + 1;
                e.take_string(bytes)?
            }
            b'x' => {
                at += size;
                continue;
            }
            _ => {
                format.control(e, letter)?;
                continue;
            }
        };
        e.push(value)?;
        at += size;
    }
    // C pushes it as a signed integer.
    let next = at.wrapping_add(1) as i64;
    e.push(Value::Number(next as f64))?;
    Ok(e.thread.top - first)
}

fn check_room(e: &mut Engine, at: usize, size: usize, length: usize) -> Result<()> {
    match size <= length && at <= length - size {
        true => Ok(()),
        false => Err(e.argument_error(1, "data string too short")),
    }
}

/// Takes the last result as the size of what follows.
fn previous_size(e: &mut Engine, first: usize) -> Result<usize> {
    let last = e.thread.top.checked_sub(1).filter(|last| *last >= first);
    let number = last.and_then(|last| e.number_of(e.thread.stack[last]));
    let Some(number) = number else {
        return Err(e.error_at(1, b"format 'c0' needs a previous size"));
    };
    e.thread.top -= 1;
    Ok(number::to_u64(number) as usize)
}

/// The number that an item of a numeric letter is.
fn number_from(letter: u8, bytes: &[u8], big_endian: bool) -> f64 {
    let bits = integer(bytes, big_endian);
    match letter {
        b'f' => f64::from(f32::from_bits(bits as u32)),
        b'd' => f64::from_bits(bits),
        _ if letter.is_ascii_lowercase() => sign_extended(bits, bytes.len()) as f64,
        _ => bits as f64,
    }
}

fn integer(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    match big_endian {
        true => bytes.iter().fold(0, add),
        false => bytes.iter().rev().fold(0, add),
    }
}

/// The sign of an integer of that many bytes, as C's shifts on x86-64 give it.
fn sign_extended(value: u64, size: usize) -> i64 {
    let mask = u64::MAX.wrapping_shl((size as u32).wrapping_mul(8).wrapping_sub(1));
    (if value & mask == 0 { value } else { value | mask }).cast_signed()
}
