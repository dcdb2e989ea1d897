//! Matching of patterns, by backtracking.
//!
//! Each step spends fuel; the nesting of items is capped at [`DEPTH_MAX`]. As in C, a pattern ends
//! at its first zero byte.

use crate::engine::{Host, Tick};

pub(super) const CAPTURES_MAX: usize = 32;

/// How deep the matcher recurses: once per item that may match in several ways.
const DEPTH_MAX: usize = 220;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Length {
    Open,
    Position,
    Closed(usize),
}

pub(super) enum Failure {
    Message(&'static str),
    Kill,
}

type Found = Result<Option<usize>, Failure>;

/// Start and length of each capture.
pub(crate) type Captures = [(usize, Length); CAPTURES_MAX];

pub(crate) const NO_CAPTURES: Captures = [(0, Length::Open); CAPTURES_MAX];

/// Where the pattern matched, and how many captures it has, which the engine keeps until the next
/// match.
#[derive(Clone, Copy)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) level: usize,
}

pub(super) struct Matcher<'a> {
    source: &'a [u8],
    pattern: &'a [u8],
    fuel: &'a mut i64,
    slice: i64,
    host: &'a mut dyn Host,
    captures: &'a mut Captures,
    level: usize,
    depth: usize,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(
        source: &'a [u8],
        pattern: &'a [u8],
        fuel: &'a mut i64,
        slice: i64,
        host: &'a mut dyn Host,
        captures: &'a mut Captures,
    ) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        let pattern = &pattern[..end];
        Self { source, pattern, fuel, slice, host, captures, level: 0, depth: 0 }
    }

    /// The first match at or after `from`; with `anchored` only there.
    pub(super) fn search(&mut self, from: usize, anchored: bool) -> Result<Option<Match>, Failure> {
        let item = usize::from(anchored);
        for start in from..=self.source.len() {
            self.level = 0;
            self.depth = 0;
            if let Some(end) = self.matches(start, item)? {
                return Ok(Some(Match { start, end, level: self.level }));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<(), Failure> {
        // A step is much less than an instruction.
        *self.fuel -= 1;
        while *self.fuel < 0 {
            *self.fuel += self.slice.max(1);
            if self.host.tick() == Tick::Kill {
                return Err(Failure::Kill);
            }
        }
        Ok(())
    }

    fn matches(&mut self, at: usize, item: usize) -> Found {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Failure::Message("pattern too complex"));
        }
        let found = self.matches_items(at, item);
        self.depth -= 1;
        found
    }

    fn matches_items(&mut self, mut at: usize, mut item: usize) -> Found {
        loop {
            self.step()?;
            let Some(&byte) = self.pattern.get(item) else { return Ok(Some(at)) };
            match (byte, self.pattern.get(item + 1)) {
                (b'(', Some(b')')) => return self.open(at, item + 2, Length::Position),
                (b'(', _) => return self.open(at, item + 1, Length::Open),
                (b')', _) => return self.close(at, item + 1),
                (b'%', Some(b'b')) => match self.balanced(at, item + 2)? {
                    Some(end) => (at, item) = (end, item + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let set = item + 2;
                    if self.pattern.get(set) != Some(&b'[') {
                        return Err(Failure::Message("missing '[' after '%f' in pattern"));
                    }
                    let end = self.item_end(set)?;
                    let before = if at == 0 { 0 } else { self.source[at - 1] };
                    let after = self.source.get(at).copied().unwrap_or(0);
                    if self.in_set(before, set, end - 1) || !self.in_set(after, set, end - 1) {
                        return Ok(None);
                    }
                    item = end;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => match self.back_reference(at, *digit)? {
                    Some(end) => (at, item) = (end, item + 2),
                    None => return Ok(None),
                },
                (b'$', None) => {
                    return Ok(if at == self.source.len() { Some(at) } else { None });
                }
                _ => {
                    let end = self.item_end(item)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.single(at, item, end)
                                && let Some(found) = self.matches(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            item = end + 1;
                        }
                        Some(b'*') => return self.longest(at, item, end, 0),
                        Some(b'+') => return self.longest(at, item, end, 1),
                        Some(b'-') => return self.shortest(at, item, end),
                        _ => {
                            if !self.single(at, item, end) {
                                return Ok(None);
                            }
                            (at, item) = (at + 1, end);
                        }
                    }
                }
            }
        }
    }

    /// The end of the item that begins at a position.
    fn item_end(&self, item: usize) -> Result<usize, Failure> {
        match self.pattern[item] {
            b'%' if item + 1 >= self.pattern.len() => {
                Err(Failure::Message("malformed pattern (ends with '%')"))
            }
            b'%' => Ok(item + 2),
            b'[' => {
                let mut at = item + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                loop {
                    // The first character belongs to the set even if it is a bracket.
                    let byte = self.pattern.get(at);
                    at += 1;
                    match byte {
                        None => break,
                        Some(b'%') => {
                            if at >= self.pattern.len() {
                                break;
                            }
                            at += 1;
                        }
                        Some(_) => {}
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
                Err(Failure::Message("malformed pattern (missing ']')"))
            }
            _ => Ok(item + 1),
        }
    }

    /// Whether the byte at a position matches the item.
    #[inline]
    fn single(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(&byte) = self.source.get(at) else { return false };
        match self.pattern[item] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[item + 1]),
            b'[' => self.in_set(byte, item, end - 1),
            other => other == byte,
        }
    }

    /// Whether a byte is in the set from its opening to its closing bracket.
    fn in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let mut at = open + 1;
        let mut inside = true;
        if self.pattern[at] == b'^' {
            inside = false;
            at += 1;
        }
        while at < close {
            let first = self.pattern[at];
            if first == b'%' {
                at += 1;
                if in_class(byte, self.pattern[at]) {
                    return inside;
                }
            } else if self.pattern[at + 1] == b'-' && at + 2 < close {
                if first <= byte && byte <= self.pattern[at + 2] {
                    return inside;
                }
                at += 2;
            } else if first == byte {
                return inside;
            }
            at += 1;
        }
        !inside
    }

    fn longest(&mut self, at: usize, item: usize, end: usize, least: usize) -> Found {
        let mut count = 0;
        while self.single(at + count, item, end) {
            count += 1;
        }
        *self.fuel -= (count / 16) as i64;
        while count + 1 > least {
            if let Some(found) = self.matches(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                break;
            }
            count -= 1;
        }
        Ok(None)
    }

    fn shortest(&mut self, mut at: usize, item: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.matches(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(at, item, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, at: usize, item: usize, length: Length) -> Found {
        if self.level >= CAPTURES_MAX {
            return Err(Failure::Message("too many captures"));
        }
        self.captures[self.level] = (at, length);
        self.level += 1;
        let found = self.matches(at, item)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, item: usize) -> Found {
        let open = self.captures[..self.level].iter().rposition(|c| c.1 == Length::Open);
        let Some(open) = open else { return Err(Failure::Message("invalid pattern capture")) };
        self.captures[open].1 = Length::Closed(at - self.captures[open].0);
        let found = self.matches(at, item)?;
        if found.is_none() {
            self.captures[open].1 = Length::Open;
        }
        Ok(found)
    }

    fn balanced(&mut self, at: usize, item: usize) -> Found {
        let (Some(&open), Some(&close)) = (self.pattern.get(item), self.pattern.get(item + 1))
        else {
            return Err(Failure::Message("unbalanced pattern"));
        };
        if self.source.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for end in at + 1..self.source.len() {
            if end % 16 == 0 {
                self.step()?;
            }
            let byte = self.source[end];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(end + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn back_reference(&mut self, at: usize, digit: u8) -> Found {
        let capture = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let Some((start, Length::Closed(length))) =
            self.captures[..self.level].get(capture).copied()
        else {
            return Err(Failure::Message("invalid capture index"));
        };
        *self.fuel -= (length / 16) as i64;
        let text = &self.source[start..start + length];
        Ok(self.source[at..].starts_with(text).then_some(at + length))
    }
}

fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}
