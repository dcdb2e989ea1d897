//! `cargo xtask tidy`: style rules that the compiler does not know. It is also a test.
//!
//! Sizes are a ratchet: items over the limits are listed in `xtask/ratchet.txt` with their size,
//! and may only shrink. `--update` lowers those lines; `--update --accept` also adds and raises. A
//! homogeneous table is exempt by a line `// tidy: table` above its item.

mod imports;
mod ratchet;
mod source;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{command, no_more, output, root, take_flag};
use source::Source;

const COLUMNS_MAX: usize = 100;

/// Files that may contain `unsafe`, besides the folders that end in `/`.
const UNSAFE_ALLOWED: &[&str] = &[
    "crates/redix-types/src/",
    "crates/redix-server/src/sys.rs",
    "crates/redix-server/src/ring.rs",
    "crates/redix-server/src/alloc.rs",
];

/// Written in two halves, so that this file does not violate its own rule.
const BANNED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("for", " now"),
    concat!("ha", "ck"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/wt"),
    concat!("/tm", "p/target"),
    concat!("/tm", "p/peers"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let update = take_flag(&mut args, "--update");
    let accept = take_flag(&mut args, "--accept");
    no_more(&args)?;
    let root = root();
    let problems = check(&root, update, accept)?;
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    bail!("{} problems", problems.len())
}

/// Every violation in the repository at `root`, as `path:line: what`.
fn check(root: &Path, update: bool, accept: bool) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let paths = tracked_files(root)?;
    let mut sources = Vec::new();
    for path in &paths {
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        banned_words(path, &text, &mut problems);
        if path.ends_with(".rs") {
            sources.push(Source::new(path, text));
        }
    }
    for source in &sources {
        module_doc(source, &mut problems);
        columns(source, &mut problems);
        unsafe_code(source, &mut problems);
    }
    orphans(&sources, &mut problems);
    imports::check(&sources, &mut problems);
    named_paths(root, &mut problems);
    ratchet::check(root, &sources, update, accept, &mut problems)?;
    Ok(problems)
}

/// The files that git tracks or would track, by path from the root.
fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let mut git = command("git", &["ls-files", "-co", "--exclude-standard"]);
    Ok(output(git.current_dir(root))?.lines().map(str::to_owned).collect())
}

fn banned_words(path: &str, text: &str, problems: &mut Vec<String>) {
    let checked = [".rs", ".md", ".toml", ".conf", ".ci/run"];
    if !checked.iter().any(|end| path.ends_with(end)) {
        return;
    }
    for (number, line) in (1..).zip(text.lines()) {
        let lower = line.to_lowercase();
        for word in BANNED {
            // Upper-case words are exempt: `xxx` is a valid key in a test.
            let shouted = word.chars().all(char::is_uppercase);
            if has_word(if shouted { line } else { &lower }, word) {
                problems.push(format!("{path}:{number}: says {word:?}"));
            }
        }
    }
}

/// Whether `word` occurs in `line` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        match word.starts_with('/') {
            // A path matches as a prefix.
            true => !joins(before) && before != Some('.'),
            false => !joins(before) && !joins(after),
        }
    })
}

fn module_doc(source: &Source, problems: &mut Vec<String>) {
    if source.is_product() && !source.text.starts_with("//!") {
        problems.push(format!("{}:1: does not begin with a module doc (//!)", source.path));
    }
}

/// A long line inside a string literal is exempt, as in rustfmt.
fn columns(source: &Source, problems: &mut Vec<String>) {
    let lines = source.text.lines().zip(source.code.lines());
    for (number, (line, code)) in (1..).zip(lines) {
        let shown = if line.contains("//") { line } else { code.trim_end() };
        if shown.chars().count() > COLUMNS_MAX && !source.in_table(number) {
            problems.push(format!("{}:{number}: over {COLUMNS_MAX} columns", source.path));
        }
    }
}

fn unsafe_code(source: &Source, problems: &mut Vec<String>) {
    if UNSAFE_ALLOWED.iter().any(|place| source.path.starts_with(place)) {
        return;
    }
    for (number, line) in (1..).zip(source.code.lines()) {
        if has_word(line, "unsafe") {
            problems.push(format!("{}:{number}: unsafe is not allowed here", source.path));
        }
    }
}

/// Files below `src` that no `mod` line reaches are not compiled.
fn orphans(sources: &[Source], problems: &mut Vec<String>) {
    for source in sources {
        let Some((krate, inner)) = source.path.split_once("/src/") else { continue };
        let top = ["lib.rs", "main.rs"].contains(&inner) || inner.starts_with("bin/");
        if top {
            continue;
        }
        let whole = inner.strip_suffix("/mod.rs").or(inner.strip_suffix(".rs")).unwrap_or(inner);
        let (folder, name) = whole.rsplit_once('/').unwrap_or(("", whole));
        let parents = match folder {
            "" => vec![format!("{krate}/src/lib.rs"), format!("{krate}/src/main.rs")],
            _ => vec![format!("{krate}/src/{folder}.rs"), format!("{krate}/src/{folder}/mod.rs")],
        };
        let line = format!("mod {name};");
        let declared = sources
            .iter()
            .any(|s| parents.contains(&s.path) && s.code.lines().any(|l| l.ends_with(&line)));
        if !declared {
            problems.push(format!("{}:1: no `{line}` reaches this file", source.path));
        }
    }
}

/// Every path in backticks in ARCHITECTURE.md exists, from the root or from a crate's `src`.
fn named_paths(root: &Path, problems: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(root.join("ARCHITECTURE.md")) else { return };
    let mut bases = vec![root.to_path_buf()];
    if let Ok(crates) = fs::read_dir(root.join("crates")) {
        bases.extend(crates.filter_map(|entry| Some(entry.ok()?.path().join("src"))));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for path in paths_in(line) {
            if !bases.iter().any(|base| base.join(path).exists()) {
                problems.push(format!("ARCHITECTURE.md:{number}: there is no {path}"));
            }
        }
    }
}

/// The words in backticks that look like the path of a file or folder of the repository.
fn paths_in(line: &str) -> impl Iterator<Item = &str> {
    const ENDS: &[&str] = &[".rs", ".md", ".toml", ".txt", ".conf", "/"];
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.map(|word| word.split("::").next().unwrap_or(word)).filter(|word| {
        let plain = !word.contains([' ', '*', '<', '{', '$', '|']) && !word.starts_with('/');
        plain && word.len() > 1 && ENDS.iter().any(|end| word.ends_with(end))
    })
}
