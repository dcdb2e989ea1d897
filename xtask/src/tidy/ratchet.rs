//! The ratchet on sizes: long functions and files are listed with their size in `xtask/ratchet.txt`
//! (`fn PATH::NAME LINES` and `file PATH LINES`), and may only shrink.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::source::Source;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;

/// Items over a limit: their key in the file, and their lines.
pub(super) type Sizes = BTreeMap<String, usize>;

pub(super) fn check(
    root: &Path,
    sources: &[Source],
    update: bool,
    accept: bool,
    problems: &mut Vec<String>,
) -> Result<()> {
    let file = root.join("xtask/ratchet.txt");
    let mut listed = parse(&fs::read_to_string(&file).unwrap_or_default());
    let actual = over_limits(sources);
    if update {
        listed = if accept { actual.clone() } else { lowered(&listed, &actual) };
        let lines: String = listed.iter().map(|(key, size)| format!("{key} {size}\n")).collect();
        fs::write(&file, lines)?;
    }
    for (key, size) in &actual {
        let limit = listed.get(key).copied().unwrap_or(0);
        if *size > limit {
            let was = if limit == 0 { "not listed".to_owned() } else { format!("was {limit}") };
            problems.push(format!("{key}: {size} lines, {was} in xtask/ratchet.txt"));
        }
    }
    Ok(())
}

/// The list with each line lowered to the present size, and without items that are now within the
/// limits.
pub(super) fn lowered(listed: &Sizes, actual: &Sizes) -> Sizes {
    let kept = listed.iter().filter_map(|(key, was)| Some((key, was, actual.get(key)?)));
    kept.map(|(key, was, is)| (key.clone(), *was.min(is))).collect()
}

pub(super) fn parse(text: &str) -> Sizes {
    text.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(key, size)| Some((key.to_owned(), size.parse().ok()?)))
        .collect()
}

fn over_limits(sources: &[Source]) -> Sizes {
    let mut sizes = Sizes::new();
    for source in sources.iter().filter(|source| source.is_product()) {
        if source.line_count() > FILE_LINES_MAX {
            sizes.insert(format!("file {}", source.path), source.line_count());
        }
        for function in source.functions() {
            let lines = function.last - function.first + 1;
            if lines > FUNCTION_LINES_MAX {
                let size = sizes.entry(format!("fn {}::{}", source.path, function.name));
                let size = size.or_default();
                *size = lines.max(*size);
            }
        }
    }
    sizes
}
