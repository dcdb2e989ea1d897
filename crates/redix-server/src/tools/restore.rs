//! `restore`: the data set of an earlier moment, from append-only files with their history.
//!
//! **Invariants.** The directory that is read is not changed. The result goes to a directory that
//! did not exist before, and has a manifest only if it is complete.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use redix_core::aof::writer::Place;
use redix_core::env::Disk;
use redix_core::moment::{parse_rfc3339, rfc3339};
use redix_core::persist::aof::manifest::MANIFEST_SUFFIX;
use redix_core::restore::{Candidate, Generation, Plan, Target, Timeline, Undo};

use super::{Console, Failure};
use crate::{env, sys};

pub(super) const USAGE: &str = "--to TIME|OFFSET --output NEWDIR DIR
       redix restore --undo-last COMMAND [--keep-later] --output NEWDIR DIR
       redix restore --list DIR

DIR is the directory with the append-only files and their manifest (appenddirname), of a server
that is stopped, or a copy of it; it is only read. NEWDIR is created.

  --to TIME       the data set at the end of this second: Unix time in seconds (1796067000), in
                  milliseconds (1796067000500ms), or RFC 3339 (2026-11-30T19:30:00Z, +01:00)
  --to OFFSET     the data set at a replication offset (offset:123456), or before an offset of a
                  file (appendonly.aof.3.incr.aof:4711)
  --undo-last COMMAND
                  the data set just before the last FLUSHALL, FLUSHDB, 'FLUSHDB 3' (of database 3)
                  or 'DEL user:*' (of keys that match a pattern; one soon after the other count as
                  one); a transaction or script that has it is undone as a whole
  --keep-later    with what was written after it
  --list          what can be restored, and what can be undone";

/// Candidates that are listed.
const LISTED_MAX: usize = 20;

/// The arguments.
#[derive(Default)]
struct Wish {
    to: Option<String>,
    undo: Option<Undo>,
    keep_later: bool,
    list: bool,
    output: Option<PathBuf>,
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &[Vec<u8>], console: &mut Console<'_>) -> Result<(), Failure> {
    if args.iter().any(|arg| matches!(arg.as_slice(), b"-h" | b"--help")) {
        return Ok(writeln!(console.out, "Usage: redix restore {USAGE}")?);
    }
    let wish = Wish::parse(args)?;
    let Some(dir) = &wish.dir else { return Err(Failure::Usage) };
    let disk = env::disk();
    let place = find(dir).or_else(|text| console.fail(&text))?;
    let timeline = Timeline::read(&*disk, place);
    let mut timeline =
        timeline.or_else(|error| console.fail(&format!("Cannot restore: {error}")))?;
    if wish.list {
        let checked = timeline.check_bases(&*disk);
        checked.or_else(|error| console.fail(&format!("Cannot read: {error}")))?;
        return list(&*disk, &timeline, console);
    }
    let (Some(target), Some(output)) = (wish.target(&timeline)?, &wish.output) else {
        return Err(Failure::Usage);
    };
    if fs::symlink_metadata(output).is_ok() {
        return console.fail(&format!("Cannot restore: {} exists already", output.display()));
    }
    let to = Place { dir: output.clone(), name: timeline.place.name.clone() };
    let cannot = |error| format!("Cannot restore: {error}");
    let plan = timeline.plan(&*disk, &target);
    let plan = plan.or_else(|error| console.fail(&cannot(error)))?;
    if let Err(error) = fs::create_dir(output) {
        let (shown, text) = (output.display(), sys::error_text(&error));
        return console.fail(&format!("Cannot create {shown}: {text}"));
    }
    let copied = timeline.copy(&*disk, &plan, &to).or_else(|error| {
        // It was made here. Ignored: what is left has no manifest.
        fs::remove_dir_all(output).ok();
        console.fail(&cannot(error))
    })?;
    report(&timeline, &plan, console)?;
    let (units, bytes) = (copied.units, copied.bytes);
    writeln!(
        console.out,
        "Written to {}: {bytes} bytes, {units} units behind the base",
        output.display()
    )?;
    let absolute = std::path::absolute(output).unwrap_or_else(|_| output.clone());
    let parent = absolute.parent().unwrap_or(Path::new("/")).display().to_string();
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = String::from_utf8_lossy(&to.name).into_owned();
    let file =
        if file == "appendonly.aof" { String::new() } else { format!(" --appendfilename {file}") };
    writeln!(
        console.out,
        "Start a server with --appendonly yes --dir {parent} --appenddirname {name}{file}"
    )?;
    Ok(())
}

impl Wish {
    fn parse(args: &[Vec<u8>]) -> Result<Self, Failure> {
        let mut wish = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut text = || {
                let value = args.next().ok_or(Failure::Usage)?;
                String::from_utf8(value.clone()).map_err(|_| Failure::Usage)
            };
            match arg.as_slice() {
                b"--to" => wish.to = Some(text()?),
                b"--undo-last" => wish.undo = Some(Undo::parse(&text()?).ok_or(Failure::Usage)?),
                b"--keep-later" => wish.keep_later = true,
                b"--list" => wish.list = true,
                b"--output" => {
                    let value = args.next().ok_or(Failure::Usage)?;
                    wish.output = Some(OsStr::from_bytes(value).into());
                }
                option if option.starts_with(b"--") => return Err(Failure::Usage),
                dir if wish.dir.is_none() => wish.dir = Some(OsStr::from_bytes(dir).into()),
                _ => return Err(Failure::Usage),
            }
        }
        let aims = usize::from(wish.to.is_some()) + usize::from(wish.undo.is_some());
        let is_sound = if wish.list { aims == 0 && wish.output.is_none() } else { aims == 1 };
        if is_sound && (!wish.keep_later || wish.undo.is_some()) {
            return Ok(wish);
        }
        Err(Failure::Usage)
    }

    fn target(&self, timeline: &Timeline) -> Result<Option<Target>, Failure> {
        if let Some(undo) = &self.undo {
            let undo = undo.clone();
            let target = if self.keep_later { Target::Without(undo) } else { Target::Before(undo) };
            return Ok(Some(target));
        }
        let Some(text) = &self.to else { return Ok(None) };
        parse_moment(text, timeline).map(Some).ok_or(Failure::Usage)
    }
}

/// A time, a replication offset, or a place in one of the files.
fn parse_moment(text: &str, timeline: &Timeline) -> Option<Target> {
    if let Ok(time_s) = text.parse() {
        return Some(Target::Time(time_s));
    }
    if let Some(ms) = text.strip_suffix("ms") {
        return Some(Target::Time(ms.parse::<i64>().ok()?.div_euclid(1000)));
    }
    if let Some(offset) = text.strip_prefix("offset:") {
        return Some(Target::Offset(offset.parse().ok()?));
    }
    if let Some(time_s) = parse_rfc3339(text) {
        return Some(Target::Time(time_s));
    }
    let (name, offset) = text.rsplit_once(':')?;
    let files = timeline.generations.iter().flat_map(|one| &one.increments);
    let is_file = files.into_iter().any(|file| file.name == name.as_bytes());
    is_file.then_some(())?;
    Some(Target::Place(name.as_bytes().to_vec(), offset.parse().ok()?))
}

/// The files of a directory, or those that a manifest names.
fn find(dir: &Path) -> Result<Place, String> {
    let of_manifest = |path: &Path| {
        let name = path.file_name()?.as_bytes().strip_suffix(MANIFEST_SUFFIX.as_bytes())?.to_vec();
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        Some(Place { dir: parent.unwrap_or(Path::new(".")).to_owned(), name })
    };
    if dir.is_file()
        && let Some(place) = of_manifest(dir)
    {
        return Ok(place);
    }
    let entries = fs::read_dir(dir)
        .map_err(|error| format!("Cannot read {}: {}", dir.display(), sys::error_text(&error)))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().into_vec()));
    let is_manifest =
        |name: &Vec<u8>| name.ends_with(MANIFEST_SUFFIX.as_bytes()) && !name.starts_with(b"temp-");
    let mut names: Vec<Vec<u8>> = names.filter(is_manifest).collect();
    match (names.pop(), names.pop()) {
        (Some(name), None) => {
            of_manifest(&dir.join(OsStr::from_bytes(&name))).ok_or_else(|| "no name".to_owned())
        }
        (None, _) => Err(format!("There is no manifest in {}", dir.display())),
        _ => Err(format!("There are several manifests in {}: name one", dir.display())),
    }
}

fn list(disk: &dyn Disk, timeline: &Timeline, console: &mut Console<'_>) -> Result<(), Failure> {
    for (number, generation) in timeline.generations.iter().enumerate() {
        console.out.write_all(describe(number + 1, generation).as_bytes())?;
    }
    let spans = timeline.spans();
    if spans.is_empty() {
        writeln!(console.out, "Can be restored: nothing")?;
    }
    for span in spans {
        writeln!(console.out, "Can be restored: {span}")?;
    }
    let found = timeline.candidates(disk, &Undo::AnyFlush, LISTED_MAX);
    let found = found.or_else(|error| console.fail(&format!("Cannot read: {error}")))?;
    for candidate in &found {
        let place = place_of(candidate);
        writeln!(console.out, "Can be undone: {}: --to {place}", show(candidate))?;
    }
    Ok(())
}

fn describe(number: usize, generation: &Generation) -> String {
    let mut text = format!("Generation {number}");
    let end = if generation.continues { ", continues the one before" } else { "" };
    writeln!(text, "{end}").expect("a string takes everything");
    if let Some(base) = &generation.base {
        let name = base.name.escape_ascii();
        let made = base.made_s.map_or_else(|| "unknown time".to_owned(), rfc3339);
        let offset = base.offset.map_or_else(String::new, |offset| format!(", offset {offset}"));
        write!(text, "  base {name}: {made}{offset}").expect("a string takes everything");
        if let Some(trouble) = &base.trouble {
            write!(text, "; it {trouble}").expect("a string takes everything");
        }
        text.push('\n');
    }
    for file in &generation.increments {
        let (name, units, len) = (file.name.escape_ascii(), file.units, file.len);
        write!(text, "  increment {name}: {units} units, {len} bytes")
            .expect("a string takes everything");
        if let Some((from, to)) = file.times_s {
            write!(text, ", {} to {}", rfc3339(from), rfc3339(to))
                .expect("a string takes everything");
        }
        if let Some((from, to)) = file.offsets {
            write!(text, ", offsets {from} to {to}").expect("a string takes everything");
        }
        if let Some(trouble) = &file.trouble {
            write!(text, "; it {trouble}").expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

fn show(candidate: &Candidate) -> String {
    let Candidate { time_s, found, .. } = candidate;
    let time = time_s.map_or_else(|| "at an unknown time".to_owned(), rfc3339);
    let inside = if found.in_transaction { ", in a transaction" } else { "" };
    let (text, db) = (&found.text, found.db);
    format!("{text} (database {db}{inside}), {time}")
}

fn place_of(candidate: &Candidate) -> String {
    format!("{}:{}", candidate.name.escape_ascii(), candidate.at.start)
}

/// Says what was restored.
fn report(timeline: &Timeline, plan: &Plan, console: &mut Console<'_>) -> io::Result<()> {
    if let Some(undone) = &plan.at {
        writeln!(console.out, "Undone: {}, {}", show(undone), place_of(undone))?;
        let more = plan.undone.len().saturating_sub(1);
        if more > 0 {
            writeln!(console.out, "  and {more} more soon after it")?;
        }
    }
    let files = &timeline.generations[plan.stop.generation].increments;
    let time = plan.time_s.map_or_else(|| "at an unknown time".to_owned(), rfc3339);
    match files.get(plan.stop.increment) {
        Some(file) if plan.stop.offset > 0 => {
            let (name, offset) = (file.name.escape_ascii(), plan.stop.offset);
            writeln!(console.out, "Restored up to {name}:{offset}, written {time}")
        }
        _ => writeln!(console.out, "Restored: the base of the files, without later commands"),
    }
}
