//! Scripts, the cache that keeps them, and libraries of functions.
//!
//! A script is text made from the templates of `scripts/templates.rs`, whose holes are filled with
//! keys, values, calls of commands of other families, and further templates.
//!
//! **Invariant.** What a script replies does not depend on an order or an address that a server may
//! choose: replies without an order are sorted, and of those with times only the type is used.

mod functions;
mod templates;

use std::fmt::Write;

use redix_types::sha1::sha1;

use super::{Compare, Family, Grammar, Line, Rule, hash, list, set, stream, string, zset};
use templates::{DATA, DENIED, ERRORS, EXPRESSIONS, NUMBERS, SHEBANGS, STATEMENTS, VALUES, WRONG};

pub(super) const RULES: &[Rule] = &[
    populate, eval, eval, eval, eval, eval, eval, eval, eval, eval_fails, wrong_call, by_sha,
    by_sha, load, exists, show, flush, in_multi, library, library, library, library,
];

/// Scripts that EVALSHA and SCRIPT may name.
const RECENT_MAX: usize = 12;
/// Templates inside templates.
const DEPTH_MAX: usize = 3;
/// Arguments of a call in its text; more come by ARGV, since a call has too few registers.
const CALL_ARGS_MAX: usize = 40;

/// A script that is being made.
#[derive(Default)]
struct Draft {
    text: Vec<u8>,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
    /// It has asked for replies of RESP3, in which maps have no order.
    is_resp3: bool,
}

impl Draft {
    fn push(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
    }

    /// The argument as an element of ARGV.
    fn push_arg(&mut self, arg: &[u8]) {
        self.args.push(arg.to_vec());
        let text = format!("ARGV[{}]", self.args.len());
        self.push(text);
    }

    /// The key as an element of KEYS.
    fn push_key(&mut self, key: &[u8]) {
        let found = self.keys.iter().position(|other| other == key);
        let at = found.unwrap_or_else(|| {
            self.keys.push(key.to_vec());
            self.keys.len() - 1
        });
        self.push(format!("KEYS[{}]", at + 1));
    }

    /// A string constant.
    fn push_quoted(&mut self, bytes: &[u8]) {
        self.push("\"");
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.push([b'\\', byte]),
                0..b' ' | 127 => self.push(format!("\\{byte:03}")),
                _ => self.push([byte]),
            }
        }
        self.push("\"");
    }
}

fn populate(g: &mut Grammar) -> Vec<Line> {
    let add = [string::set, list::push, set::add, zset::add, hash::set, stream::add];
    g.rng.pick(&add)(g)
}

/// The family of a command that a script calls.
fn family(g: &mut Grammar) -> Family {
    const FAMILIES: [Family; 15] = [
        Family::String,
        Family::String,
        Family::String,
        Family::List,
        Family::List,
        Family::Set,
        Family::Set,
        Family::Zset,
        Family::Zset,
        Family::Hash,
        Family::Hash,
        Family::Bitmap,
        Family::Geo,
        Family::Stream,
        Family::Keys,
    ];
    *g.rng.pick(&FAMILIES)
}

fn eval(g: &mut Grammar) -> Vec<Line> {
    let draft = script(g, &[]);
    vec![run(g, &draft, false)]
}

fn eval_fails(g: &mut Grammar) -> Vec<Line> {
    let templates = *g.rng.pick(&[ERRORS, ERRORS, DENIED, WRONG]);
    let draft = script(g, templates);
    vec![run(g, &draft, true)]
}

/// A script of these templates, or of any.
fn script(g: &mut Grammar, templates: &[&str]) -> Draft {
    let mut draft = Draft::default();
    if g.rng.chance(10) {
        let shebang = g.one_of(SHEBANGS);
        draft.push(shebang);
    }
    fill_body(g, &mut draft, templates);
    if g.scripts.len() == RECENT_MAX {
        g.scripts.remove(0);
    }
    g.scripts.push(draft.text.clone());
    draft
}

/// The body of a function, of these templates or of any.
fn body(g: &mut Grammar, templates: &[&str]) -> Vec<u8> {
    let mut draft = Draft::default();
    fill_body(g, &mut draft, templates);
    draft.text
}

fn fill_body(g: &mut Grammar, draft: &mut Draft, templates: &[&str]) {
    if g.rng.chance(15) {
        draft.push("redis.setresp(3) ");
        draft.is_resp3 = true;
    }
    for _ in 0..g.rng.below(4) {
        let statement = g.one_of(STATEMENTS);
        fill(g, draft, statement, 0);
        let end = g.one_of(&[" ", "\n", "\n\n", "; "]);
        draft.push(end);
    }
    if !templates.is_empty() {
        let last = *g.rng.pick(templates);
        fill(g, draft, last, 0);
    } else if g.rng.chance(95) {
        draft.push("return ");
        expression(g, draft, 0);
    }
}

fn library(g: &mut Grammar) -> Vec<Line> {
    let rule = *g.rng.pick(functions::RULES);
    rule(g)
}

/// A call of the script, by its text.
fn run(g: &mut Grammar, draft: &Draft, fails: bool) -> Line {
    let name = if g.rng.chance(85) { "EVAL" } else { "EVAL_RO" };
    let line = Line::new(name).arg(&draft.text);
    let line = if fails { line.note("!fails") } else { line };
    line.arg(draft.keys.len().to_string()).args(&draft.keys).args(&draft.args)
}

/// Wrong numbers of keys, or too few arguments.
fn wrong_call(g: &mut Grammar) -> Vec<Line> {
    let draft = script(g, &[]);
    let name = g.one_of(&["EVAL", "EVAL_RO"]);
    let line = Line::new(name).arg(&draft.text).note("!numkeys");
    let count = g.one_of(&["-1", "99", "abc", "", "1.5", "2", "1", "9223372036854775808"]);
    vec![if g.rng.chance(90) { line.arg(count).args(&draft.keys).args(&draft.args) } else { line }]
}

/// The digest of a script of late, or of none.
fn sha(g: &mut Grammar) -> Vec<u8> {
    if g.scripts.is_empty() || g.rng.chance(10) {
        const NONE: [&str; 5] =
            ["", "abc", "ffffffffffffffffffffffffffffffffffffffff", "é", "no such script"];
        return (*g.rng.pick(&NONE)).into();
    }
    let text = g.rng.pick(&g.scripts).clone();
    let mut digits = String::new();
    for byte in sha1(&text) {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    if g.rng.chance(15) {
        digits.make_ascii_uppercase();
    }
    digits.into_bytes()
}

/// Keys and arguments that the script does not expect: it runs all the same, and may fail.
fn by_sha(g: &mut Grammar) -> Vec<Line> {
    let name = g.one_of(&["EVALSHA", "EVALSHA", "EVALSHA_RO"]);
    let line = Line::new(name).arg(sha(g));
    let keys = g.some_keys();
    let line = line.arg(keys.len().to_string()).args(&keys);
    let args: Vec<Vec<u8>> = (0..g.rng.below(4)).map(|_| g.value()).collect();
    vec![line.args(&args)]
}

fn load(g: &mut Grammar) -> Vec<Line> {
    let wrong = g.rng.chance(20);
    let draft = script(g, if wrong { WRONG } else { &[] });
    let line = Line::new("SCRIPT LOAD").arg(draft.text);
    vec![if wrong { line.note("!syntax") } else { line }]
}

fn exists(g: &mut Grammar) -> Vec<Line> {
    let shas: Vec<Vec<u8>> = (0..=g.rng.below(4)).map(|_| sha(g)).collect();
    vec![Line::new("SCRIPT EXISTS").args(&shas)]
}

fn show(g: &mut Grammar) -> Vec<Line> {
    vec![Line::new("SCRIPT SHOW").arg(sha(g))]
}

fn flush(g: &mut Grammar) -> Vec<Line> {
    if !g.rng.chance(15) {
        return by_sha(g);
    }
    let line = Line::new("SCRIPT FLUSH");
    vec![match g.rng.below(4) {
        0 => line.option("SYNC"),
        1 => line.option("ASYNC"),
        2 => line.arg("NOW").note("!option"),
        _ => line,
    }]
}

fn in_multi(g: &mut Grammar) -> Vec<Line> {
    let mut lines = vec![Line::new("MULTI").fixed()];
    for _ in 0..=g.rng.below(3) {
        let rule = *g.rng.pick(&[eval, eval, eval_fails, by_sha, load, exists, populate]);
        lines.extend(rule(g));
    }
    lines.push(Line::new("EXEC").fixed());
    lines
}

fn expression(g: &mut Grammar, draft: &mut Draft, depth: usize) {
    let templates = if depth < DEPTH_MAX && g.rng.chance(60) { EXPRESSIONS } else { VALUES };
    let template = g.one_of(templates);
    fill(g, draft, template, depth);
}

/// Adds the template, its holes filled; `templates.rs` tells what they are.
fn fill(g: &mut Grammar, draft: &mut Draft, template: &str, depth: usize) {
    let mut rest = template;
    while let Some((text, hole)) = rest.split_once('@') {
        draft.push(text);
        match hole.as_bytes().first() {
            Some(b'k') => {
                let key = g.key();
                key_or_text(g, draft, &key);
            }
            Some(b's') => {
                let text = g.value();
                draft.push_quoted(&text);
            }
            Some(b'v') => {
                let value = g.value();
                argument(g, draft, &value);
            }
            Some(b'n') => draft.push(g.one_of(NUMBERS)),
            Some(b'i') => draft.push(format!("({})", g.rng.between(-6, 12))),
            Some(b'e') => expression(g, draft, depth + 1),
            Some(b'd') => {
                let data = if depth < DEPTH_MAX { g.one_of(DATA) } else { "@v" };
                fill(g, draft, data, depth + 1);
            }
            Some(b'c') => call(g, draft, "redis.call"),
            Some(b'p') => call(g, draft, "redis.pcall"),
            _ => unreachable!("no such hole in {template}"),
        }
        rest = &hole[1..];
    }
    draft.push(rest);
}

fn key_or_text(g: &mut Grammar, draft: &mut Draft, key: &[u8]) {
    if g.rng.chance(60) { draft.push_key(key) } else { draft.push_quoted(key) }
}

/// An argument of a command: by ARGV, as a string, or as the number that it looks like.
fn argument(g: &mut Grammar, draft: &mut Draft, arg: &[u8]) {
    let is_number = arg.first().is_some_and(u8::is_ascii_digit)
        && arg.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && arg.iter().filter(|byte| **byte == b'.').count() < 2;
    match g.rng.below(3) {
        0 => draft.push_arg(arg),
        1 if is_number => draft.push(arg),
        _ => draft.push_quoted(arg),
    }
}

/// A call of a command, as an expression that has one reply on all servers.
fn call(g: &mut Grammar, draft: &mut Draft, function: &str) {
    let family = family(g);
    // Those that draw leave servers with different data.
    let draws = |line: &Line| line.compare == Compare::Count || line.name == "SPOP";
    let usable =
        |line: &Line| line.payload_at.is_none() && line.wait_expired.is_none() && !draws(line);
    let line = g.lines_of(family).into_iter().find(usable);
    let Some(line) = line else { return draft.push("redis.call('PING')") };
    let has_map = ["XINFO", "XREAD", "LCS"].iter().any(|name| line.name.starts_with(name));
    let (before, after) = match line.compare {
        Compare::Exact if draft.is_resp3 && has_map => ("type(", ")"),
        // Not all servers store an integer of a script as such.
        Compare::Exact if line.name == "OBJECT ENCODING" => ("type(", ")"),
        Compare::Exact => ("", ""),
        Compare::Unordered | Compare::Pairs => {
            ("(function(t) if type(t) == 'table' then table.sort(t) end return t end)(", ")")
        }
        _ => ("type(", ")"),
    };
    draft.push(before);
    draft.push(function);
    draft.push("(");
    if line.args.len() > CALL_ARGS_MAX {
        let first = draft.args.len() + 1;
        draft.args.extend(line.args);
        draft.push(format!("unpack(ARGV, {first}, {})", draft.args.len()));
    } else {
        for (at, arg) in line.args.iter().enumerate() {
            draft.push(if at > 0 { ", " } else { "" });
            match (at, line.name.starts_with("XADD")) {
                (0, _) => draft.push_quoted(arg),
                (1, _) => key_or_text(g, draft, arg),
                _ => argument(g, draft, arg),
            }
        }
    }
    draft.push(")");
    draft.push(after);
}
