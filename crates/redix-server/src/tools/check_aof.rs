//! `check-aof`: the check of an append-only file, in one part or several, and its repair: whatever
//! is behind the last whole unit, or behind a point in time, is cut away.
//!
//! **Invariants.** Only the last file of a data set is ever cut, and only where everything before
//! the cut was found to be sound. A cut is synced before it is reported.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use redix_core::persist::aof::manifest::Manifest;
use redix_core::persist::aof::scan::FaultKind;
use redix_core::persist::check::aof::{Analysis, Stop, analyse};
use redix_core::persist::check::rdb;
use redix_core::rdb::format::{MAGIC_LEN, begins_as_rdb};

use super::{Console, Failure};
use crate::sys;

pub(super) const USAGE: &str =
    "[--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>";

/// What is done besides the check.
#[derive(Clone, Copy)]
enum Mode {
    /// Nothing.
    Check,
    /// What is unsound is cut away, if the user agrees.
    Fix,
    /// What was run after this time, in seconds since the Unix epoch, is cut away.
    TruncateTo(i64),
}

/// A file as found.
enum Verdict {
    /// It has no bytes.
    Empty,
    /// It is sound.
    Valid,
    /// It was cut.
    Truncated,
}

pub(super) fn run(args: &[Vec<u8>], console: &mut Console<'_>) -> Result<(), Failure> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let (mode, file) = match args[..] {
        [file] => (Mode::Check, file),
        [b"--fix", file] => (Mode::Fix, file),
        [b"--truncate-to-timestamp", time, file] => match parse_time(time) {
            Some(0) => (Mode::Check, file),
            Some(time) => (Mode::TruncateTo(time), file),
            None => return console.fail("Invalid timestamp, aborting..."),
        },
        _ => return Err(Failure::Usage),
    };
    let path = Path::new(OsStr::from_bytes(file));
    let shown = path.display();
    let mut opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) => {
            let text = sys::error_text(&error);
            return console.fail(&format!("Cannot open file {shown}: {text}"));
        }
    };
    let Ok(is_manifest) = begins_as_manifest(&mut opened) else {
        return console.fail(&format!("Cannot read file: {shown}"));
    };
    let mut check = Check { mode, line: 1, console };
    if is_manifest { check.parts(path) } else { check.single(path) }
}

/// Parses seconds as the C library's `strtol` does a whole argument: an empty one is zero.
fn parse_time(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    if text.is_empty() { Some(0) } else { text.trim_start().parse().ok() }
}

/// Whether the first line that is no comment begins with `file`. No command and no RDB file does.
fn begins_as_manifest(file: &mut File) -> io::Result<bool> {
    let mut reader = io::BufReader::new(file);
    let mut line = [0; 4];
    loop {
        let len = read_up_to(&mut reader, &mut line)?;
        if line[..len].first() != Some(&b'#') {
            return Ok(line[..len] == *b"file");
        }
        if let Some(end) = line[..len].iter().position(|byte| *byte == b'\n') {
            reader.seek_relative(end as i64 + 1 - len as i64)?;
        } else {
            io::BufRead::skip_until(&mut reader, b'\n')?;
        }
    }
}

/// Fills `out` as far as the file goes.
fn read_up_to(reader: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match reader.read(&mut out[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Whether an RDB file comes first.
fn file_begins_as_rdb(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; MAGIC_LEN];
    let len = read_up_to(file, &mut magic)?;
    file.rewind()?;
    Ok(begins_as_rdb(&magic[..len]))
}

/// A file of the data set.
struct Part<'a> {
    path: &'a Path,
    /// The name in the report.
    name: &'a str,
    /// Whether an RDB file may come first.
    may_be_rdb: bool,
    is_last: bool,
}

/// A run of the tool.
struct Check<'a, 'c> {
    mode: Mode,
    /// Lines of commands read so far, from 1 on.
    line: u64,
    console: &'a mut Console<'c>,
}

impl Check<'_, '_> {
    /// Checks a data set in a single file.
    fn single(&mut self, path: &Path) -> Result<(), Failure> {
        writeln!(self.console.out, "Start checking Old-Style AOF")?;
        let name = path.display().to_string();
        let part = Part { path, name: &name, may_be_rdb: true, is_last: true };
        let (mut file, size) = self.open(&part)?;
        match self.part(&part, &mut file, size)? {
            Verdict::Empty => writeln!(self.console.out, "AOF {name} is empty")?,
            Verdict::Valid => writeln!(self.console.out, "AOF {name} is valid")?,
            Verdict::Truncated => {}
        }
        Ok(())
    }

    /// Checks the files of a manifest.
    fn parts(&mut self, path: &Path) -> Result<(), Failure> {
        writeln!(self.console.out, "Start checking Multi Part AOF")?;
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                let (shown, text) = (path.display(), sys::error_text(&error));
                return self.console.fail(&format!("Cannot read file {shown}: {text}"));
            }
        };
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(error) => return self.console.fail(error.to_string().trim_end()),
        };
        let dir = path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
        let mut left = manifest.live().count();
        for (kind, files) in
            [("BASE", manifest.base.as_slice()), ("INCR", manifest.increments.as_slice())]
        {
            for (index, file) in files.iter().enumerate() {
                left -= 1;
                let path: PathBuf = dir.join(OsStr::from_bytes(&file.name));
                let name = String::from_utf8_lossy(&file.name);
                let may_be_rdb = kind == "BASE";
                let part = Part { path: &path, name: &name, may_be_rdb, is_last: left == 0 };
                if !may_be_rdb && index == 0 {
                    writeln!(self.console.out, "Start to check INCR files.")?;
                }
                let (mut opened, size) = self.open(&part)?;
                if may_be_rdb {
                    let form = if self.is_rdb(&part, &mut opened)? { "RDB" } else { "RESP" };
                    writeln!(self.console.out, "Start to check BASE AOF ({form} format).")?;
                }
                match self.part(&part, &mut opened, size)? {
                    Verdict::Empty => writeln!(self.console.out, "{kind} AOF {name} is empty")?,
                    Verdict::Valid => writeln!(self.console.out, "{kind} AOF {name} is valid")?,
                    Verdict::Truncated => {}
                }
            }
        }
        Ok(writeln!(self.console.out, "All AOF files and manifest are valid")?)
    }

    /// Opens a file, for writing only if it may be cut.
    fn open(&mut self, part: &Part<'_>) -> Result<(File, u64), Failure> {
        let write = part.is_last && !matches!(self.mode, Mode::Check);
        let opened = OpenOptions::new().read(true).write(write).open(part.path);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => Ok((file, size)),
            Err(error) => {
                let (shown, text) = (part.path.display(), sys::error_text(&error));
                let end = if part.may_be_rdb { "" } else { ", aborting..." };
                self.console.fail(&format!("Cannot open file {shown}: {text}{end}"))
            }
        }
    }

    fn is_rdb(&mut self, part: &Part<'_>, file: &mut File) -> Result<bool, Failure> {
        if !part.may_be_rdb {
            return Ok(false);
        }
        file_begins_as_rdb(file).or_else(|error| {
            let (shown, text) = (part.path.display(), sys::error_text(&error));
            self.console.fail(&format!("Cannot read file {shown}: {text}"))
        })
    }

    /// Checks a file and cuts it if that was asked for.
    fn part(&mut self, part: &Part<'_>, file: &mut File, size: u64) -> Result<Verdict, Failure> {
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let start = if self.is_rdb(part, file)? { self.preamble(part, file)? } else { 0 };
        let until = match self.mode {
            Mode::TruncateTo(time) => Some(time),
            Mode::Check | Mode::Fix => None,
        };
        let found = analyse(&mut *file, start, until, &mut self.line);
        match (&found.stop, self.mode) {
            (Stop::Later, Mode::TruncateTo(time)) => {
                return self.truncate_to(time, part, file, found.sound);
            }
            (Stop::BadTimestamp, _) => return self.console.fail("Invalid timestamp annotation"),
            (Stop::End, Mode::TruncateTo(time)) => {
                let name = part.name;
                writeln!(self.console.out, "Truncate nothing in AOF {name} to timestamp {time}")?;
                return Ok(Verdict::Valid);
            }
            _ => {}
        }
        self.report(part, size, &found)?;
        match (found.stop, self.mode) {
            (Stop::Fault(error), _) if matches!(error.fault.kind, FaultKind::Io(_)) => {
                Err(Failure::Reported)
            }
            (Stop::Fault(_), Mode::Fix) => self.fix(part, file, size, found.sound),
            (Stop::Fault(_), _) => self.console.fail(&format!(
                "AOF {} is not valid. Use the --fix option to try fixing it.",
                part.name
            )),
            _ => Ok(Verdict::Valid),
        }
    }

    /// Checks the RDB file that comes first; moves behind it and returns its length.
    fn preamble(&mut self, part: &Part<'_>, file: &mut File) -> Result<u64, Failure> {
        let now_ms = sys::unix_us() / 1000;
        let name = part.path.as_os_str().as_bytes();
        let len = rdb::check(&mut *file, name, now_ms, None, self.console.out)?;
        let Some(len) = len else {
            return self.console.fail("RDB preamble of AOF file is not sane, aborting.");
        };
        writeln!(self.console.out, "RDB preamble is OK, proceeding with AOF tail...")?;
        match file.seek(SeekFrom::Start(len)) {
            Ok(_) => Ok(len),
            Err(error) => self.cannot("read", part, &error),
        }
    }

    fn report(&mut self, part: &Part<'_>, size: u64, found: &Analysis) -> io::Result<()> {
        let (out, name, sound, line) = (&mut self.console.out, part.name, found.sound, self.line);
        if let Stop::Fault(error) = &found.stop {
            let (at, kind) = (error.offset(), &error.fault.kind);
            match kind {
                FaultKind::NotACommand => writeln!(out, "AOF {name} format error")?,
                FaultKind::NestedMulti | FaultKind::StrayExec => {
                    writeln!(out, "0x{at:16x}: {kind} in AOF {name}")?;
                }
                _ => writeln!(out, "0x{at:16x}: {kind}")?,
            }
        }
        writeln!(
            out,
            "AOF analyzed: filename={name}, size={size}, ok_up_to={sound}, ok_up_to_line={line}, \
             diff={}",
            size.saturating_sub(sound)
        )
    }

    /// Cuts away what is not sound.
    fn fix(
        &mut self,
        part: &Part<'_>,
        file: &mut File,
        size: u64,
        sound: u64,
    ) -> Result<Verdict, Failure> {
        let name = part.name;
        if !part.is_last {
            return self
                .console
                .fail(&format!("Failed to truncate AOF {name} because it is not the last file"));
        }
        let diff = size.saturating_sub(sound);
        writeln!(
            self.console.out,
            "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {sound} bytes"
        )?;
        write!(self.console.out, "Continue? [y/N]: ")?;
        self.console.out.flush()?;
        let mut answer = Vec::new();
        self.console.input.read_until(b'\n', &mut answer)?;
        if !answer.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'y')) {
            return self.console.fail("Aborting...");
        }
        self.cut(part, file, sound)?;
        writeln!(self.console.out, "Successfully truncated AOF {name}")?;
        Ok(Verdict::Truncated)
    }

    /// Cuts away what is later than `time` and begins at `offset`.
    fn truncate_to(
        &mut self,
        time: i64,
        part: &Part<'_>,
        file: &mut File,
        offset: u64,
    ) -> Result<Verdict, Failure> {
        let path = part.path.display();
        if offset == 0 {
            return self
                .console
                .fail(&format!("AOF {path} has nothing before timestamp {time}, aborting..."));
        }
        if !part.is_last {
            return self.console.fail(&format!(
                "Failed to truncate AOF {path} to timestamp {time} to offset {offset} because it \
                 is not the last file.\nIf you insist, please delete all files after this file \
                 according to the manifest file and delete the corresponding records in manifest \
                 file manually. Then re-run check-aof."
            ));
        }
        self.cut(part, file, offset)?;
        writeln!(self.console.out, "Successfully truncated AOF {} to timestamp {time}", part.name)?;
        Ok(Verdict::Truncated)
    }

    fn cut(&mut self, part: &Part<'_>, file: &File, len: u64) -> Result<(), Failure> {
        match file.set_len(len).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(()),
            Err(error) => self.cannot("truncate", part, &error),
        }
    }

    fn cannot<T>(&mut self, op: &str, part: &Part<'_>, error: &io::Error) -> Result<T, Failure> {
        let (shown, text) = (part.path.display(), sys::error_text(error));
        self.console.fail(&format!("Cannot {op} file {shown}: {text}"))
    }
}
