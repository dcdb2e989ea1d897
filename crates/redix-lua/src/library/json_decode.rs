//! `cjson.decode`: a parser of JSON, with the messages of the C library.

use super::json::{NULL, Setting, setting};
use crate::engine::{Engine, Fault, Host};
use crate::number;
use crate::value::{TableRef, Value};
use crate::vm::{Args, Result};

#[derive(Clone, Copy)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    End,
    Null,
    Boolean(bool),
    Number(f64),
    String(Value),
    Bad(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Null => "T_NULL",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Number(_) => "T_NUMBER",
            Self::String(_) => "T_STRING",
            Self::Bad(what) => what,
        }
    }
}

/// A table that is being filled.
struct Open {
    table: TableRef,
    /// The key of the next value; an array has none.
    key: Option<Value>,
    next: usize,
}

struct Decoder<'a> {
    e: &'a mut Engine,
    data: &'a [u8],
    at: usize,
    /// Where the last token begins, or what is wrong with it.
    token_at: usize,
    invalid_numbers: bool,
    depth_max: usize,
    /// The slots of C's stack that the nesting takes.
    slots: usize,
}

pub(super) fn decode(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    if args.count != 1 {
        return Err(e.argument_error(0, "expected 1 argument"));
    }
    let s = e.check_string(args, 0)?;
    let data = e.bytes(s).to_vec();
    e.spend(host, data.len() / 16)?;
    e.reserve(data.len().saturating_mul(2))?;
    if let [0, _, ..] | [_, 0, ..] = data.as_slice() {
        return Err(e.error_at(1, b"JSON parser does not support UTF-16 or UTF-32"));
    }
    let invalid_numbers = setting(e, args, Setting::DecodeInvalid) != 0.0;
    let depth_max = setting(e, args, Setting::DecodeDepth) as usize;
    let mut decoder =
        Decoder { e, data: &data, at: 0, token_at: 0, invalid_numbers, depth_max, slots: 1 };
    let value = decoder.document(host)?;
    e.give(value)
}

impl Decoder<'_> {
    fn expected(&mut self, what: &str, found: Token) -> Fault {
        let (found, at) = (found.name(), self.token_at + 1);
        let message = format!("Expected {what} but found {found} at character {at}");
        self.e.error_at(1, message.as_bytes())
    }

    fn document(&mut self, host: &mut dyn Host) -> Result<Value> {
        let mut open: Vec<Open> = Vec::new();
        let mut token = self.token()?;
        let root = loop {
            self.e.spend(host, 1)?;
            let mut value = match token {
                Token::String(value) => value,
                Token::Number(n) => Value::Number(n),
                Token::Boolean(b) => Value::Boolean(b),
                Token::Null => NULL,
                Token::ObjectBegin | Token::ArrayBegin => {
                    let is_object = matches!(token, Token::ObjectBegin);
                    self.descend(open.len() + 1, is_object)?;
                    let table = self.e.new_table(0, 0)?;
                    token = self.token()?;
                    match (is_object, token) {
                        (true, Token::ObjectEnd) | (false, Token::ArrayEnd) => {
                            self.slots -= 1 + usize::from(is_object);
                            Value::Table(table)
                        }
                        (true, _) => {
                            let key = Some(self.key(token)?);
                            open.push(Open { table, key, next: 0 });
                            token = self.token()?;
                            continue;
                        }
                        (false, _) => {
                            open.push(Open { table, key: None, next: 1 });
                            continue;
                        }
                    }
                }
                _ => return Err(self.expected("value", token)),
            };
            // Stores the value, and closes what ends after it.
            while let Some(innermost) = open.last_mut() {
                innermost.store(self.e, value)?;
                token = self.token()?;
                match (innermost.key, token) {
                    (Some(_), Token::ObjectEnd) | (None, Token::ArrayEnd) => {
                        value = Value::Table(innermost.table);
                        self.slots -= 1 + usize::from(innermost.key.is_some());
                        open.pop();
                        continue;
                    }
                    (Some(_), Token::Comma) => {
                        token = self.token()?;
                        innermost.key = Some(self.key(token)?);
                        token = self.token()?;
                    }
                    (None, Token::Comma) => token = self.token()?,
                    (Some(_), _) => return Err(self.expected("comma or object end", token)),
                    (None, _) => return Err(self.expected("comma or array end", token)),
                }
                break;
            }
            if open.is_empty() {
                break value;
            }
        };
        match self.token()? {
            Token::End => Ok(root),
            token => Err(self.expected("the end", token)),
        }
    }

    fn descend(&mut self, depth: usize, is_object: bool) -> Result<()> {
        if depth > self.depth_max || self.slots + 2 > super::RESULTS_MAX {
            let at = self.at;
            let message =
                format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(self.e.error_at(1, message.as_bytes()));
        }
        self.slots += 1 + usize::from(is_object);
        Ok(())
    }

    /// A key, and the colon after it.
    fn key(&mut self, token: Token) -> Result<Value> {
        let Token::String(key) = token else {
            return Err(self.expected("object key string", token));
        };
        match self.token()? {
            Token::Colon => Ok(key),
            token => Err(self.expected("colon", token)),
        }
    }

    fn token(&mut self) -> Result<Token> {
        while matches!(self.data.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.token_at = self.at;
        let byte = self.data.get(self.at).copied().unwrap_or(0);
        let simple = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return Ok(Token::End),
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' if self.invalid_numbers || !self.is_invalid_number() => {
                return Ok(self.number());
            }
            b'-' | b'0'..=b'9' => return Ok(Token::Bad("invalid number")),
            _ => return Ok(self.word()),
        };
        self.at += 1;
        Ok(simple)
    }

    fn word(&mut self) -> Token {
        let words: [(&[u8], Token); 3] = [
            (b"true", Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        let rest = &self.data[self.at..];
        if let Some((word, token)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return token;
        }
        match self.invalid_numbers && self.is_invalid_number() {
            true => self.number(),
            false => Token::Bad("invalid token"),
        }
    }

    /// Whether a number that C reads begins here which is none in JSON.
    fn is_invalid_number(&self) -> bool {
        let rest = &self.data[self.at..];
        if rest.first() == Some(&b'+') {
            return true;
        }
        let digits = rest.strip_prefix(b"-").unwrap_or(rest);
        match digits {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [b'0'..=b'9', ..] => false,
            _ => digits.get(..3).is_some_and(|word| {
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }),
        }
    }

    fn number(&mut self) -> Token {
        match number::parse_prefix(&self.data[self.at..]) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Bad("invalid number"),
        }
    }

    fn bad(&mut self, what: &'static str) -> Result<Token> {
        self.token_at = self.at;
        Ok(Token::Bad(what))
    }

    fn string(&mut self) -> Result<Token> {
        self.at += 1;
        let start = self.at;
        // Most strings have no escapes.
        let rest = &self.data[start..];
        let plain = memchr::memchr3(b'"', b'\\', 0, rest);
        if let Some(length) = plain
            && rest[length] == b'"'
        {
            self.at = start + length + 1;
            return Ok(Token::String(Value::String(self.e.heap.new_str(&rest[..length])?)));
        }
        let mut text = Vec::new();
        loop {
            match self.data.get(self.at).copied().unwrap_or(0) {
                0 => return self.bad("unexpected end of string"),
                b'"' => {
                    self.at += 1;
                    return Ok(Token::String(Value::String(self.e.heap.take_str(text)?)));
                }
                b'\\' => {
                    if let Err(what) = self.escape(&mut text) {
                        return self.bad(what);
                    }
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
        let byte = match self.data.get(self.at + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (point, length) = self.code_point().ok_or("invalid unicode escape code")?;
                text.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += length;
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        };
        text.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of a `\u` escape, or of two that are a pair, and their length.
    fn code_point(&self) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.data.get(at..at + 6)?.strip_prefix(b"\\u")?;
            digits
                .iter()
                .try_fold(0, |value, digit| Some(value * 16 + (*digit as char).to_digit(16)?))
        };
        let first = unit(self.at)?;
        if !(0xD800..0xE000).contains(&first) {
            return Some((char::from_u32(first)?, 6));
        }
        let second = unit(self.at + 6).filter(|unit| (0xDC00..0xE000).contains(unit))?;
        if first >= 0xDC00 {
            return None;
        }
        let point = 0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF);
        Some((char::from_u32(point)?, 12))
    }
}

impl Open {
    fn store(&mut self, e: &mut Engine, value: Value) -> Result<()> {
        match self.key {
            Some(key) => Ok(e.heap.table_set(self.table, &key, value)?),
            None => {
                let key = Value::Number(self.next as f64);
                self.next += 1;
                Ok(e.heap.table_set(self.table, &key, value)?)
            }
        }
    }
}
