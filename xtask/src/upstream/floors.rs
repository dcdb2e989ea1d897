//! The expectations of the suite: floors (`upstream/floors/unit.type.string.txt`, one test name per
//! line; those of the other modes in `upstream/floors/normal/` and `…/sentinel/`) and skips
//! (`upstream/skips.txt`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::output::Report;
use super::{Mode, expectations};

/// Tests whose names hold these are named after what a run has chosen at random.
const RANDOM_NAMES: &[&str] = &["PSYNC2: Set #", "PSYNC2: [NEW LAYOUT]", "after load (x = "];

pub(super) struct Floors {
    dir: PathBuf,
}

impl Floors {
    pub(super) fn new(mode: Mode) -> Self {
        let dir = expectations().join("floors");
        let dir = match mode {
            Mode::External => dir,
            Mode::Normal => dir.join("normal"),
            Mode::Sentinel => dir.join("sentinel"),
            Mode::Tls => dir.join("tls"),
        };
        Self { dir }
    }

    /// The files of the suite that have a floor, in order of name.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".txt") {
                files.push(name.replace('.', "/"));
            }
        }
        files.sort();
        Ok(files)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.join(format!("{}.txt", file.replace('/', ".")))
    }

    /// The tests of `file` that must pass.
    pub(super) fn of(&self, file: &str) -> Result<BTreeSet<String>> {
        let path = self.path(file);
        if !path.exists() {
            return Ok(BTreeSet::new());
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Adds passed tests to the floor of `file` and returns by how much it rose. Tests with random
    /// names are left out.
    pub(super) fn raise(&self, file: &str, report: &Report) -> Result<usize> {
        let old = self.of(file)?;
        let new: BTreeSet<String> =
            old.iter().chain(report.passes().filter(|name| !is_random(name))).cloned().collect();
        if new.len() > old.len() {
            fs::create_dir_all(&self.dir)?;
            let lines: String = new.iter().map(|name| format!("{name}\n")).collect();
            fs::write(self.path(file), lines)?;
        }
        Ok(new.len() - old.len())
    }
}

fn is_random(name: &str) -> bool {
    RANDOM_NAMES.iter().any(|part| name.contains(part))
}

/// Skipped tests: `FILE :: NAME :: reason`, where FILE may be `*` and NAME is a whole test name or,
/// after a slash, a regular expression.
pub(super) struct Skips(Vec<Skip>);

struct Skip {
    file: String,
    name: String,
}

impl Skips {
    pub(super) fn load() -> Result<Self> {
        let path = expectations().join("skips.txt");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut skips = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let parts: Vec<&str> = line.split(" :: ").map(str::trim).collect();
            let [file, name, reason] = parts[..] else {
                bail!("upstream/skips.txt: not `FILE :: NAME :: reason`: {line}")
            };
            if reason.is_empty() {
                bail!("upstream/skips.txt: no reason: {line}");
            }
            skips.push(Skip { file: file.to_owned(), name: name.to_owned() });
        }
        Ok(Self(skips))
    }

    /// The names to skip in `file`.
    pub(super) fn of(&self, file: &str) -> Vec<String> {
        let here = self.0.iter().filter(|skip| skip.file == file || skip.file == "*");
        here.map(|skip| skip.name.clone()).collect()
    }
}
