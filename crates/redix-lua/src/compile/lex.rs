//! The scanner: source bytes to tokens, with lines and the texts that messages quote.

use std::ops::Range;

use super::CompileError;
use crate::names::{ID_MAX_COMPILE, chunk_id};
use crate::number;

/// The kinds of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum T {
    Eof,
    Name,
    Number,
    String,
    And,
    Break,
    Do,
    Else,
    Elseif,
    End,
    False,
    For,
    Function,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
    Concat,
    Dots,
    Equal,
    GreaterEqual,
    LessEqual,
    NotEqual,
    /// A character that is a token of its own, or that no token begins with.
    Char(u8),
}

const WORDS: [(&str, T); 21] = [
    ("and", T::And),
    ("break", T::Break),
    ("do", T::Do),
    ("else", T::Else),
    ("elseif", T::Elseif),
    ("end", T::End),
    ("false", T::False),
    ("for", T::For),
    ("function", T::Function),
    ("if", T::If),
    ("in", T::In),
    ("local", T::Local),
    ("nil", T::Nil),
    ("not", T::Not),
    ("or", T::Or),
    ("repeat", T::Repeat),
    ("return", T::Return),
    ("then", T::Then),
    ("true", T::True),
    ("until", T::Until),
    ("while", T::While),
];

impl T {
    /// The kind as messages name it.
    pub(super) fn text(self) -> Vec<u8> {
        let fixed = match self {
            Self::Eof => "<eof>",
            Self::Name => "<name>",
            Self::Number => "<number>",
            Self::String => "<string>",
            Self::Concat => "..",
            Self::Dots => "...",
            Self::Equal => "==",
            Self::GreaterEqual => ">=",
            Self::LessEqual => "<=",
            Self::NotEqual => "~=",
            Self::Char(byte) if byte.is_ascii_control() => {
                return format!("char({byte})").into_bytes();
            }
            Self::Char(byte) => return vec![byte],
            word => WORDS.iter().find(|(_, kind)| *kind == word).map_or("", |(text, _)| text),
        };
        fixed.as_bytes().to_vec()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: T,
    /// Its bytes in the source.
    pub(super) range: Range<usize>,
    /// The content of a string.
    pub(super) string: Vec<u8>,
    pub(super) number: f64,
}

pub(super) struct Lexer<'a> {
    pub(super) source: &'a [u8],
    chunk: &'a [u8],
    at: usize,
    /// The line of the current token (of the one ahead, once it was looked at).
    pub(super) line: u32,
    /// The line of the token before.
    pub(super) last_line: u32,
    pub(super) token: Token,
    ahead: Option<Token>,
}

type Result<T> = std::result::Result<T, CompileError>;

impl<'a> Lexer<'a> {
    /// A scanner whose current token is the first.
    pub(super) fn new(source: &'a [u8], chunk: &'a [u8]) -> Result<Self> {
        let empty = Token { kind: T::Eof, range: 0..0, string: Vec::new(), number: 0.0 };
        let mut lexer =
            Self { source, chunk, at: 0, line: 1, last_line: 1, token: empty, ahead: None };
        // The first line of a script file may name its interpreter: C skips it for files only, so
        // it is not skipped here.
        lexer.token = lexer.scan()?;
        Ok(lexer)
    }

    /// Moves on to the next token and gives the current one.
    pub(super) fn advance(&mut self) -> Result<Token> {
        self.last_line = self.line;
        let next = match self.ahead.take() {
            Some(token) => token,
            None => self.scan()?,
        };
        Ok(std::mem::replace(&mut self.token, next))
    }

    /// The kind of the token after the current one.
    pub(super) fn peek(&mut self) -> Result<T> {
        if self.ahead.is_none() {
            self.ahead = Some(self.scan()?);
        }
        Ok(self.ahead.as_ref().map_or(T::Eof, |token| token.kind))
    }

    /// An error at the current line, without a token.
    pub(super) fn error(&self, message: &[u8]) -> CompileError {
        let mut text = chunk_id(self.chunk, ID_MAX_COMPILE);
        text.extend_from_slice(format!(":{}: ", self.line).as_bytes());
        text.extend_from_slice(message);
        CompileError { message: text }
    }

    fn error_near(&self, message: &str, near: &[u8]) -> CompileError {
        // C stops at the first zero byte.
        let near = near.split(|byte| *byte == 0).next().unwrap_or(near);
        self.error(&[message.as_bytes(), b" near '", near, b"'"].concat())
    }

    /// An error at the current token.
    pub(super) fn error_here(&self, message: &str) -> CompileError {
        let token = &self.token;
        let raw = &self.source[token.range.clone()];
        match token.kind {
            T::Name | T::Number => self.error_near(message, raw),
            T::String if raw[0] != b'[' => {
                let quote = &raw[..1];
                self.error_near(message, &[quote, &token.string, quote].concat())
            }
            T::String => self.error_near(message, raw),
            // C takes a zero byte for no token.
            T::Char(0) => self.error(message.as_bytes()),
            kind => self.error_near(message, &kind.text()),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// Steps over an end of line: one or two characters.
    fn newline(&mut self) {
        let first = self.byte();
        self.at += 1;
        if matches!(self.byte(), Some(b'\n' | b'\r')) && self.byte() != first {
            self.at += 1;
        }
        self.line += 1;
    }

    fn scan(&mut self) -> Result<Token> {
        loop {
            let start = self.at;
            let Some(byte) = self.byte() else { return Ok(self.make(T::Eof, start)) };
            match byte {
                b'\n' | b'\r' => self.newline(),
                b' ' | b'\t' | 0x0B | 0x0C => self.at += 1,
                b'-' if self.source.get(start + 1) == Some(&b'-') => self.comment()?,
                b'"' | b'\'' => return self.string(byte),
                b'[' => match self.bracket_level() {
                    Ok(level) => return self.long_string(level, start),
                    Err(0) => return Ok(self.symbol(T::Char(b'['), 1)),
                    Err(length) => {
                        let near = &self.source[start..start + length];
                        return Err(self.error_near("invalid long string delimiter", near));
                    }
                },
                b'0'..=b'9' => return self.numeral(),
                b'.' => match &self.source[start..] {
                    [_, b'.', b'.', ..] => return Ok(self.symbol(T::Dots, 3)),
                    [_, b'.', ..] => return Ok(self.symbol(T::Concat, 2)),
                    [_, b'0'..=b'9', ..] => return self.numeral(),
                    _ => return Ok(self.symbol(T::Char(b'.'), 1)),
                },
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => return Ok(self.name()),
                _ => return Ok(self.operator(byte)),
            }
        }
    }

    fn operator(&mut self, byte: u8) -> Token {
        let followed = self.source.get(self.at + 1) == Some(&b'=');
        match byte {
            b'=' if followed => self.symbol(T::Equal, 2),
            b'<' if followed => self.symbol(T::LessEqual, 2),
            b'>' if followed => self.symbol(T::GreaterEqual, 2),
            b'~' if followed => self.symbol(T::NotEqual, 2),
            _ => self.symbol(T::Char(byte), 1),
        }
    }

    fn make(&self, kind: T, start: usize) -> Token {
        Token { kind, range: start..self.at, string: Vec::new(), number: 0.0 }
    }

    fn symbol(&mut self, kind: T, length: usize) -> Token {
        let start = self.at;
        self.at += length;
        self.make(kind, start)
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        let text = &self.source[start..self.at];
        let word = WORDS.iter().find(|(word, _)| word.as_bytes() == text);
        self.make(word.map_or(T::Name, |(_, kind)| *kind), start)
    }

    fn numeral(&mut self) -> Result<Token> {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_digit() || b == b'.') {
            self.at += 1;
        }
        // C looks for the byte in a string, where it finds a zero byte too.
        if matches!(self.byte(), Some(b'e' | b'E' | 0)) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-' | 0)) {
                self.at += 1;
            }
        }
        while self.byte().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        let text = &self.source[start..self.at];
        let Some(number) = number::parse(text) else {
            return Err(self.error_near("malformed number", text));
        };
        Ok(Token { number, ..self.make(T::Number, start) })
    }

    /// The level of a long bracket that begins here; or how long what looks like one is, 0 for a
    /// bracket alone.
    fn bracket_level(&self) -> std::result::Result<usize, usize> {
        let rest = &self.source[self.at + 1..];
        let level = rest.iter().take_while(|b| **b == b'=').count();
        match rest.get(level) {
            Some(b'[') => Ok(level),
            _ if level == 0 => Err(0),
            _ => Err(level + 1),
        }
    }

    fn comment(&mut self) -> Result<()> {
        let start = self.at;
        self.at += 2;
        if self.byte() == Some(b'[')
            && let Ok(level) = self.bracket_level()
        {
            return match self.long_text(level) {
                Some(_) => Ok(()),
                None => Err(self.error_near("unfinished long comment", b"<eof>")),
            };
        }
        while self.byte().is_some_and(|b| b != b'\n' && b != b'\r') {
            self.at += 1;
        }
        debug_assert!(self.at > start);
        Ok(())
    }

    fn long_string(&mut self, level: usize, start: usize) -> Result<Token> {
        match self.long_text(level) {
            Some(string) => Ok(Token { string, ..self.make(T::String, start) }),
            None => Err(self.error_near("unfinished long string", b"<eof>")),
        }
    }

    /// The text between long brackets; none if it does not end.
    fn long_text(&mut self, level: usize) -> Option<Vec<u8>> {
        self.at += level + 2;
        let mut text = Vec::new();
        if matches!(self.byte(), Some(b'\n' | b'\r')) {
            self.newline();
        }
        loop {
            match self.byte()? {
                b']' => {
                    let rest = &self.source[self.at + 1..];
                    let equals = rest.iter().take(level).take_while(|b| **b == b'=').count();
                    if equals == level && rest.get(level) == Some(&b']') {
                        self.at += level + 2;
                        return Some(text);
                    }
                    text.push(b']');
                    self.at += 1;
                }
                b'\n' | b'\r' => {
                    self.newline();
                    text.push(b'\n');
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn string(&mut self, quote: u8) -> Result<Token> {
        let start = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.byte() {
                None => return Err(self.error_near("unfinished string", b"<eof>")),
                Some(b'\n' | b'\r') => {
                    let near = [&[quote], text.as_slice()].concat();
                    return Err(self.error_near("unfinished string", &near));
                }
                Some(b'\\') => self.escape(quote, &mut text)?,
                Some(byte) => {
                    self.at += 1;
                    if byte == quote {
                        return Ok(Token { string: text, ..self.make(T::String, start) });
                    }
                    text.push(byte);
                }
            }
        }
    }

    fn escape(&mut self, quote: u8, text: &mut Vec<u8>) -> Result<()> {
        self.at += 1;
        let Some(byte) = self.byte() else { return Ok(()) };
        match byte {
            b'\n' | b'\r' => {
                self.newline();
                text.push(b'\n');
                return Ok(());
            }
            b'0'..=b'9' => {
                let digits = self.source[self.at..].iter().take(3);
                let digits: Vec<u8> = digits.copied().take_while(u8::is_ascii_digit).collect();
                let code = digits.iter().fold(0, |code, d| code * 10 + u32::from(d - b'0'));
                self.at += digits.len();
                let Ok(code) = u8::try_from(code) else {
                    let near = [&[quote], text.as_slice()].concat();
                    return Err(self.error_near("escape sequence too large", &near));
                };
                text.push(code);
                return Ok(());
            }
            _ => text.push(match byte {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => other,
            }),
        }
        self.at += 1;
        Ok(())
    }
}
