//! Decoder of replies, RESP2 and RESP3: for links to other servers, and for tests.
//!
//! It owns what it returns and is not on a hot path. [`decode`] starts at the first byte each
//! time; [`ReplyDecoder`] keeps what a socket delivered and does not try again before as many
//! bytes have come as the last try found missing.
//!
//! # Invariants
//! - Nesting is bounded by [`DEPTH_MAX`], lines by [`LINE_LEN_MAX`], strings by [`BULK_LEN_MAX`].
//! - Lengths reserve nothing: an aggregate grows as its elements are decoded.
//! - Streamed strings and aggregates (`$?`) are refused: no Redis or Valkey sends them.

use std::fmt;

use redix_num::parse_i64;

/// Aggregates within aggregates.
pub const DEPTH_MAX: usize = 128;
/// Bytes of a simple string, error, number or length line, without the line end.
pub const LINE_LEN_MAX: usize = 64 * 1024;
/// Bytes of a string.
pub const BULK_LEN_MAX: usize = u32::MAX as usize;
/// Elements of an aggregate.
pub const AGGREGATE_LEN_MAX: usize = u32::MAX as usize;

/// One decoded reply. Doubles and big numbers keep their text, so that comparing two replies
/// compares what was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `+`
    Simple(Vec<u8>),
    /// `-`, and `!` of RESP3: the text with its code.
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, and `_` of RESP3.
    Null,
    /// `*-1`
    NullArray,
    /// `*`
    Array(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `,`: the number's text.
    Double(Vec<u8>),
    /// `#`
    Bool(bool),
    /// `(`: the number's text.
    BigNumber(Vec<u8>),
    /// `=`
    Verbatim {
        /// What the text is: `txt`, `mkd`.
        format: [u8; 3],
        /// The text.
        bytes: Vec<u8>,
    },
    /// `|`: a value with attributes.
    Attribute {
        /// The attributes.
        attributes: Vec<(Value, Value)>,
        /// The value itself.
        value: Box<Value>,
    },
}

/// Why bytes are not a valid reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// No type begins with this byte.
    UnknownType(u8),
    /// A malformed number, length, boolean or null.
    BadLine,
    /// CR LF is missing.
    BadLineEnd,
    /// More than [`DEPTH_MAX`] aggregates within one another.
    TooDeep,
    /// A line, string or aggregate is over its limit.
    TooLong,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => {
                write!(f, "no reply begins with the byte '{}'", byte.escape_ascii())
            }
            Self::BadLine => f.write_str("malformed number or length in a reply"),
            Self::BadLineEnd => f.write_str("missing CR LF in a reply"),
            Self::TooDeep => write!(f, "reply nested deeper than {DEPTH_MAX}"),
            Self::TooLong => f.write_str("line, string or aggregate of a reply over its limit"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the reply at the start of `buf`: the value and the bytes that it took, or None if more
/// must come first.
///
/// # Errors
/// The bytes are not RESP, or are over a limit of this module.
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut cursor = Cursor { buf, pos: 0 };
    match cursor.value(DEPTH_MAX) {
        Ok(value) => Ok(Some((value, cursor.pos))),
        Err(Stop::Short { .. }) => Ok(None),
        Err(Stop::Broken(error)) => Err(error),
    }
}

/// Decodes replies from a stream of bytes.
#[derive(Default, Debug)]
pub struct ReplyDecoder {
    buf: Vec<u8>,
    /// Bytes of `buf` that have been decoded.
    consumed: usize,
    /// The number of undecoded bytes below which another attempt cannot succeed.
    needed: usize,
}

impl ReplyDecoder {
    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buf.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next complete reply, or `None` if more must be fed first.
    ///
    /// # Errors As [`decode`]. The same error returns until [`ReplyDecoder::take_rest`].
    pub fn next_reply(&mut self) -> Result<Option<Value>, DecodeError> {
        let buf = &self.buf[self.consumed..];
        if buf.len() < self.needed {
            return Ok(None);
        }
        let mut cursor = Cursor { buf, pos: 0 };
        match cursor.value(DEPTH_MAX) {
            Ok(value) => {
                self.consumed += cursor.pos;
                self.needed = 0;
                Ok(Some(value))
            }
            Err(Stop::Short { needed }) => {
                self.needed = needed;
                Ok(None)
            }
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    /// Bytes that were fed and not decoded.
    pub fn pending(&self) -> usize {
        self.buf.len() - self.consumed
    }

    /// Takes the bytes that were fed and not decoded: for links on which something other than
    /// replies follows.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buf.split_off(self.consumed);
        *self = Self::default();
        rest
    }
}

enum Stop {
    /// The reply is incomplete; it needs at least `needed` bytes.
    Short {
        needed: usize,
    },
    Broken(DecodeError),
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Broken(error)
    }
}

struct Cursor<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Value, Stop> {
        let Some(&mark) = self.buf.get(self.pos) else {
            return Err(Stop::Short { needed: self.pos + 1 });
        };
        if !b"+-:$*%~>,#(=!|_".contains(&mark) {
            return Err(DecodeError::UnknownType(mark).into());
        }
        self.pos += 1;
        let line = self.line()?;
        match mark {
            b'+' => Ok(Value::Simple(line.to_vec())),
            b'-' => Ok(Value::Error(line.to_vec())),
            b':' => Ok(Value::Int(integer(line)?)),
            b',' => Ok(Value::Double(line.to_vec())),
            b'(' => Ok(Value::BigNumber(line.to_vec())),
            b'#' => match line {
                b"t" => Ok(Value::Bool(true)),
                b"f" => Ok(Value::Bool(false)),
                _ => Err(DecodeError::BadLine.into()),
            },
            b'_' if line.is_empty() => Ok(Value::Null),
            b'_' => Err(DecodeError::BadLine.into()),
            b'$' if line == b"-1" => Ok(Value::Null),
            b'*' if line == b"-1" => Ok(Value::NullArray),
            b'$' => Ok(Value::Bulk(self.body(line)?.to_vec())),
            b'!' => Ok(Value::Error(self.body(line)?.to_vec())),
            b'=' => verbatim(self.body(line)?),
            _ => self.aggregate(mark, line, depth_left),
        }
    }

    fn aggregate(&mut self, mark: u8, line: &[u8], depth_left: usize) -> Result<Value, Stop> {
        let depth_left = depth_left.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let len = length(line, AGGREGATE_LEN_MAX)?;
        match mark {
            b'%' => Ok(Value::Map(self.pairs(len, depth_left)?)),
            b'~' => Ok(Value::Set(self.values(len, depth_left)?)),
            b'>' => Ok(Value::Push(self.values(len, depth_left)?)),
            b'|' => Ok(Value::Attribute {
                attributes: self.pairs(len, depth_left)?,
                value: Box::new(self.value(depth_left)?),
            }),
            _ => Ok(Value::Array(self.values(len, depth_left)?)),
        }
    }

    fn values(&mut self, len: usize, depth_left: usize) -> Result<Vec<Value>, Stop> {
        let mut values = Vec::new();
        for _ in 0..len {
            values.push(self.value(depth_left)?);
        }
        Ok(values)
    }

    fn pairs(&mut self, len: usize, depth_left: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let mut pairs = Vec::new();
        for _ in 0..len {
            pairs.push((self.value(depth_left)?, self.value(depth_left)?));
        }
        Ok(pairs)
    }

    /// The rest of the line, without CR LF.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.buf[self.pos..];
        let cr = rest.iter().take(LINE_LEN_MAX + 1).position(|byte| *byte == b'\r');
        let Some(cr) = cr else {
            if rest.len() > LINE_LEN_MAX {
                return Err(DecodeError::TooLong.into());
            }
            return Err(Stop::Short { needed: self.buf.len() + 1 });
        };
        match rest.get(cr + 1) {
            Some(b'\n') => {
                self.pos += cr + 2;
                Ok(&rest[..cr])
            }
            Some(_) => Err(DecodeError::BadLineEnd.into()),
            None => Err(Stop::Short { needed: self.buf.len() + 1 }),
        }
    }

    /// The string behind its length line.
    fn body(&mut self, line: &[u8]) -> Result<&'a [u8], Stop> {
        let len = length(line, BULK_LEN_MAX)?;
        let end = self.pos + len;
        let Some(body) = self.buf.get(self.pos..end + 2) else {
            return Err(Stop::Short { needed: end + 2 });
        };
        let (body, line_end) = body.split_at(len);
        if line_end != b"\r\n" {
            return Err(DecodeError::BadLineEnd.into());
        }
        self.pos = end + 2;
        Ok(body)
    }
}

fn integer(line: &[u8]) -> Result<i64, DecodeError> {
    parse_i64(line.strip_prefix(b"+").unwrap_or(line)).ok_or(DecodeError::BadLine)
}

fn length(line: &[u8], max: usize) -> Result<usize, DecodeError> {
    let len = parse_i64(line).ok_or(DecodeError::BadLine)?;
    let len = usize::try_from(len).map_err(|_| DecodeError::BadLine)?;
    if len > max { Err(DecodeError::TooLong) } else { Ok(len) }
}

fn verbatim(body: &[u8]) -> Result<Value, Stop> {
    match body {
        [a, b, c, b':', bytes @ ..] => {
            Ok(Value::Verbatim { format: [*a, *b, *c], bytes: bytes.to_vec() })
        }
        _ => Err(DecodeError::BadLine.into()),
    }
}

impl Value {
    /// A human-readable form, nested as redis-cli shows it, with one notation per type: `+OK`,
    /// `-ERR …`, `(integer) 1`, `"text"`, `(null)`, `(null array)`, `(empty array)`, `1) …` for
    /// arrays, `1# key => value` for maps, `1~ …` for sets, `1> …` for pushes.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.pretty_into(&mut out, 0);
        out
    }

    fn pretty_into(&self, out: &mut String, indent: usize) {
        match self {
            Self::Simple(text) => *out += &format!("+{}", text.escape_ascii()),
            // Quotes are part of well-known error texts: only bytes that are not text are escaped.
            Self::Error(text) => *out += &format!("-{}", String::from_utf8_lossy(text)),
            Self::Int(n) => *out += &format!("(integer) {n}"),
            Self::Bulk(bytes) => *out += &quoted(bytes),
            Self::Null => *out += "(null)",
            Self::NullArray => *out += "(null array)",
            Self::Double(text) => *out += &format!("(double) {}", text.escape_ascii()),
            Self::Bool(value) => *out += &format!("({value})"),
            Self::BigNumber(text) => *out += &format!("(big number) {}", text.escape_ascii()),
            Self::Verbatim { format, bytes } => {
                *out += &format!("({}) {}", format.escape_ascii(), quoted(bytes));
            }
            Self::Array(values) => pretty_values(out, indent, "array", ')', values),
            Self::Set(values) => pretty_values(out, indent, "set", '~', values),
            Self::Push(values) => pretty_values(out, indent, "push", '>', values),
            Self::Map(pairs) => pretty_pairs(out, indent, "map", '#', pairs),
            Self::Attribute { attributes, value } => {
                pretty_pairs(out, indent, "attribute", '|', attributes);
                new_line(out, indent);
                value.pretty_into(out, indent);
            }
        }
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b'\n' => out += "\\n",
            b'\r' => out += "\\r",
            b'\t' => out += "\\t",
            0x07 => out += "\\a",
            0x08 => out += "\\b",
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => out += &format!("\\x{byte:02x}"),
        }
    }
    out.push('"');
    out
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn pretty_values(out: &mut String, indent: usize, name: &str, mark: char, values: &[Value]) {
    pretty_items(out, indent, name, mark, values, |out, indent, value| {
        value.pretty_into(out, indent);
    });
}

fn pretty_pairs(out: &mut String, indent: usize, name: &str, mark: char, pairs: &[(Value, Value)]) {
    pretty_items(out, indent, name, mark, pairs, |out, indent, (key, value)| {
        key.pretty_into(out, indent);
        *out += " => ";
        value.pretty_into(out, indent);
    });
}

fn pretty_items<T>(
    out: &mut String,
    indent: usize,
    name: &str,
    mark: char,
    items: &[T],
    item_into: impl Fn(&mut String, usize, &T),
) {
    if items.is_empty() {
        *out += &format!("(empty {name})");
    }
    let width = items.len().to_string().len();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            new_line(out, indent);
        }
        *out += &format!("{:width$}{mark} ", index + 1);
        item_into(out, indent + width + 2, item);
    }
}

#[cfg(test)]
mod tests;
