//! A Rust file for tidy: its text, and its code with comments and literals blanked out, so that
//! searches of the code do not match inside strings.

/// The line that exempts the item below it from the limits of size and width.
const TABLE_MARK: &str = "// tidy: table";

pub(super) struct Source {
    /// Path from the root of the repository.
    pub(super) path: String,
    pub(super) text: String,
    /// As `text`, with comments and literals replaced by spaces.
    pub(super) code: String,
    /// First and last line of each item marked as a table.
    tables: Vec<(usize, usize)>,
}

/// A function with a body: its name and the lines from `fn` to the closing brace.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: String) -> Self {
        let code = blank_literals(&text);
        let tables = tables(&text, &code);
        Self { path: path.to_owned(), text, code, tables }
    }

    /// Whether the file is part of a product or tool, not of its tests.
    pub(super) fn is_product(&self) -> bool {
        let test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        self.path.contains("/src/") && !test
    }

    pub(super) fn in_table(&self, line: usize) -> bool {
        self.tables.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// The lines of the file that are not in a table.
    pub(super) fn line_count(&self) -> usize {
        let tables: usize = self.tables.iter().map(|(first, last)| last - first + 1).sum();
        self.text.lines().count().saturating_sub(tables)
    }

    /// The functions that have a body and are no tables.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let name: String = self.code[at + 3..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let first = line_of(&self.code, at);
            let Some(end) = item_end(&self.code, at) else { continue };
            if name.is_empty() || !self.code[at..=end].ends_with('}') || self.in_table(first) {
                continue;
            }
            found.push(Function { name, first, last: line_of(&self.code, end) });
        }
        found
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The end of the item that begins at `from`: its `;`, or the brace that closes its body. A `;` or
/// body inside brackets or parentheses (an array's length) does not count.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let (mut round, mut curly) = (0_i32, 0_i32);
    let is_value = {
        let head = code[from..].trim_start();
        let head = head.find(['=', '{', ';']).map_or(head, |end| &head[..end]);
        head.contains("const ") && !head.contains("fn ") || head.contains("static ")
    };
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            '{' => curly += 1,
            '}' => {
                curly -= 1;
                if curly == 0 && round == 0 && !is_value {
                    return Some(from + at);
                }
                if curly < 0 {
                    return None;
                }
            }
            ';' if round == 0 && curly == 0 => return Some(from + at),
            _ => {}
        }
    }
    None
}

fn tables(text: &str, code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let next = at + line.len() + 1;
        if line.trim_start().starts_with(TABLE_MARK)
            && next < code.len()
            && let Some(end) = item_end(code, next)
        {
            found.push((number, line_of(code, end)));
        }
        at = next;
    }
    found
}

/// `text` with comments, strings and characters replaced by spaces; offsets and lines are
/// preserved.
pub(super) fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at + 1..].starts_with(b"/") => {
                at + bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at)
            }
            b'/' if bytes[at + 1..].starts_with(b"*") => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' if !joined(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'\'' => character_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole characters are turned to spaces")
}

/// Whether the byte at `at` continues a word; `br"…"` is a prefix, not a word.
fn joined(bytes: &[u8], at: usize) -> bool {
    let word = |i: usize| bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_';
    match at {
        0 => false,
        _ if bytes[at - 1] == b'b' => at >= 2 && word(at - 2),
        _ => word(at - 1),
    }
}

fn block_comment_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// `from` is after the opening quote; the result after the closing one.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let fences = bytes[from + 1..].iter().take_while(|b| **b == b'#').count();
    let open = from + 1 + fences;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(fences + 1, b'#');
    let length = bytes[open + 1..].windows(close.len()).position(|w| w == close)?;
    Some(open + 1 + length + close.len())
}

/// A character literal, as opposed to a lifetime.
fn character_end(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.get(from + 1) == Some(&b'\\') {
        let close = bytes[from + 3..].iter().position(|b| *b == b'\'')?;
        return Some(from + 3 + close + 1);
    }
    let text = std::str::from_utf8(&bytes[from + 1..]).ok()?;
    let first = text.chars().next()?;
    let close = from + 1 + first.len_utf8();
    (bytes.get(close) == Some(&b'\'')).then_some(close + 1)
}
