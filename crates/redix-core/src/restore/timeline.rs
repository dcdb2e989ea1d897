//! What the files of a directory cover: generations, and what is known of each.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use redix_types::num::parse_i64;

use super::undo::{Found, Undo};
use super::walk::Walk;
use super::{RestoreError, Trouble};
use crate::aof::writer::{FileError, Place};
use crate::config::Config;
use crate::env::Disk;
use crate::persist::aof::manifest::{AofFile, FileKind, Manifest};
use crate::persist::aof::scan::{Item, Scanner};
use crate::rdb::format::{MAGIC_LEN, RdbString, begins_as_rdb};
use crate::rdb::read::{Event, RdbReader, ReadOptions};

/// How much later than the last time before it a base may say it was made, for commands without a
/// time behind it to be of that second: Redis does not repeat a time in the next file, and makes
/// the base by another clock.
const MADE_LATER_S: i64 = 1;

/// The files of a directory, the oldest generation first.
pub struct Timeline {
    /// Where they are.
    pub place: Place,
    /// The generations.
    pub generations: Vec<Generation>,
}

/// A base with the increments behind it.
#[derive(Debug)]
pub struct Generation {
    /// The base; `None` where the increments begin with the first command of all.
    pub base: Option<Base>,
    /// The increments in the order of their commands.
    pub increments: Vec<Increment>,
    /// Its base is the data set at the end of the generation before.
    pub continues: bool,
    /// When it begins, in seconds since the Unix epoch, as far as that is known.
    pub starts_s: Option<i64>,
}

/// The base of a generation.
#[derive(Debug)]
pub struct Base {
    /// Its name.
    pub name: Vec<u8>,
    /// It begins as an RDB file.
    pub is_rdb: bool,
    /// When it was made, in seconds since the Unix epoch, if it says so.
    pub made_s: Option<i64>,
    /// Its replication offset, if it says so.
    pub offset: Option<u64>,
    /// Why it cannot be used.
    pub trouble: Option<Trouble>,
    /// All of it was looked at.
    is_checked: bool,
}

/// An increment.
#[derive(Debug)]
pub struct Increment {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number.
    pub sequence: u64,
    /// The number of the increment that it is known to continue.
    pub follows: Option<u64>,
    /// The length of its whole units.
    pub len: u64,
    /// Whole units, SELECT included.
    pub units: u64,
    /// When what comes before it was written, in seconds since the Unix epoch.
    pub before_s: Option<i64>,
    /// When its first and last unit were written, as far as that is known.
    pub times_s: Option<(i64, i64)>,
    /// The first and the last replication offset in it.
    pub offsets: Option<(u64, u64)>,
    /// Why it goes no further.
    pub trouble: Option<Trouble>,
}

/// A stretch without a gap that can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first and the last second, since the Unix epoch.
    pub times_s: Option<(i64, i64)>,
    /// The first and the last replication offset.
    pub offsets: Option<(u64, u64)>,
}

/// A unit that can be undone.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its generation.
    pub generation: usize,
    /// The increment within it.
    pub increment: usize,
    /// The name of that.
    pub name: Vec<u8>,
    /// Where it is in the file.
    pub at: Range<u64>,
    /// When it was written.
    pub time_s: Option<i64>,
    /// The command.
    pub found: Found,
    /// The databases selected before and behind the unit.
    pub dbs: (u32, u32),
    /// Number of the unit in its increment.
    pub number: u64,
}

impl Timeline {
    /// Reads the manifest and all increments of a directory, and the beginning of each base.
    pub fn read(disk: &dyn Disk, place: Place) -> Result<Self, RestoreError> {
        let manifest = place.read_manifest(disk)?;
        let manifest = manifest.ok_or_else(|| RestoreError::NoManifest(place.manifest()))?;
        let mut generations: Vec<Generation> = Vec::new();
        // What has a time has it from the last annotation, which may be in an earlier file.
        let mut time_s = None;
        let mut last_s = None;
        for (base, files) in group(manifest) {
            let base = base.map(|file| Base::read(disk, &place, file)).transpose()?;
            let made_s = base.as_ref().and_then(|base| base.made_s);
            if let Some(made_s) = made_s {
                time_s = time_s.filter(|time_s| time_s + MADE_LATER_S >= made_s);
            }
            let mut increments = Vec::new();
            for file in files {
                let increment = Increment::read(disk, &place, file, time_s)?;
                time_s = match (&increment.trouble, increment.times_s) {
                    (Some(_), _) => None,
                    (None, Some((_, last_s))) => Some(last_s),
                    (None, None) => time_s,
                };
                increments.push(increment);
            }
            let times_s = |file: &Increment| file.times_s;
            // The base tells when it was written, a moment after it was cut.
            let first_s = increments.iter().find_map(times_s).map(|times| times.0);
            let starts_s = made_s.into_iter().chain(first_s).min();
            let former = generations.last().and_then(|former| former.increments.last());
            let first = increments.first().and_then(|first| first.follows);
            let continues = first.is_some() && first == former.map(|former| former.sequence);
            // By a clock that lags it may tell of a second in which the files before it go on.
            let starts_s = starts_s.max(last_s.filter(|_| starts_s.is_some()));
            last_s = increments.iter().filter_map(times_s).map(|times| times.1).max().max(last_s);
            generations.push(Generation { base, increments, continues, starts_s });
        }
        Ok(Self { place, generations })
    }

    /// The path of a file.
    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        self.place.file(name)
    }

    /// The generation whose base a moment of this one is restored from: its own, or an earlier one
    /// where that is of no use and the increments since are whole.
    pub(super) fn root_of(&self, mut index: usize) -> Option<usize> {
        loop {
            let generation = &self.generations[index];
            if generation.base_is_sound() {
                return Some(index);
            }
            let former = index.checked_sub(1)?;
            if !generation.continues || !self.generations[former].is_whole() {
                return None;
            }
            index = former;
        }
    }

    /// What can be restored.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut goes_on = false;
        for (index, generation) in self.generations.iter().enumerate() {
            if self.root_of(index).is_none() {
                goes_on = false;
                continue;
            }
            let mut own = generation.span();
            // More of the last second may be behind the fault.
            let faulty =
                (0..generation.increments.len()).any(|number| self.is_faulty(index, number));
            if let Some((from_s, to_s)) = own.times_s.filter(|_| faulty) {
                own.times_s = Some((from_s, (to_s - 1).max(from_s)));
            }
            match spans.last_mut() {
                Some(last) if goes_on && generation.continues => {
                    last.times_s = join(last.times_s, own.times_s);
                    last.offsets = join(last.offsets, own.offsets);
                }
                _ => spans.push(own),
            }
            goes_on = generation.is_whole();
        }
        spans
    }

    /// Looks at all of each base.
    pub fn check_bases(&mut self, disk: &dyn Disk) -> Result<(), RestoreError> {
        (0..self.generations.len()).try_for_each(|index| Ok(self.check_base(disk, index)?))
    }

    /// Looks at all of the base of a generation, unless that was done.
    pub(super) fn check_base(&mut self, disk: &dyn Disk, index: usize) -> Result<(), FileError> {
        let place = &self.place;
        match &mut self.generations[index].base {
            Some(base) if base.trouble.is_none() && !base.is_checked => {
                base.trouble = base.check(disk, place)?;
                base.is_checked = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The last units with commands of a kind, at most so many, in the order in which they were
    /// run.
    pub fn candidates(
        &self,
        disk: &dyn Disk,
        undo: &Undo,
        count_max: usize,
    ) -> Result<Vec<Candidate>, RestoreError> {
        let mut candidates = VecDeque::new();
        for index in 0..self.generations.len() {
            self.each_candidate(disk, undo, index, |candidate| {
                if candidates.len() == count_max {
                    candidates.pop_front();
                }
                candidates.push_back(candidate);
            })?;
        }
        Ok(candidates.into())
    }

    /// Passes on the units of a generation with commands of a kind.
    pub(super) fn each_candidate(
        &self,
        disk: &dyn Disk,
        undo: &Undo,
        generation: usize,
        mut each: impl FnMut(Candidate),
    ) -> Result<(), RestoreError> {
        for (increment, file) in self.generations[generation].increments.iter().enumerate() {
            let mut number = 0;
            self.each_unit(disk, file, Some(undo), |unit| {
                number += 1;
                if let Some(found) = unit.found {
                    each(Candidate {
                        generation,
                        increment,
                        name: file.name.clone(),
                        at: unit.start..unit.end,
                        time_s: unit.time_s,
                        found,
                        dbs: unit.dbs,
                        number,
                    });
                }
                true
            })?;
        }
        Ok(())
    }

    /// Passes on the whole units of an increment while `each` returns true.
    pub(super) fn each_unit(
        &self,
        disk: &dyn Disk,
        file: &Increment,
        undo: Option<&Undo>,
        mut each: impl FnMut(super::walk::Unit) -> bool,
    ) -> Result<(), RestoreError> {
        if file.len == 0 {
            return Ok(());
        }
        let path = self.path(&file.name);
        let (opened, _) = disk.open(&path).map_err(FileError::of("open", &path))?;
        let mut walk = Walk::new(opened, file.before_s, undo);
        // What comes behind a fault was found before.
        while let Ok(Some(unit)) = walk.next_unit() {
            if !each(unit) {
                break;
            }
        }
        Ok(())
    }
}

/// The files by generation, the oldest first.
fn group(manifest: Manifest) -> Vec<(Option<AofFile>, Vec<AofFile>)> {
    let mut groups = vec![(manifest.base, manifest.increments)];
    let mut increments: Vec<AofFile> = Vec::new();
    for file in manifest.history {
        debug_assert_eq!(file.kind, FileKind::History);
        if is_base(&file) {
            groups.push((Some(file), std::mem::take(&mut increments)));
            continue;
        }
        if increments.last().is_some_and(|last| last.sequence >= file.sequence) {
            groups.push((None, std::mem::take(&mut increments)));
        }
        increments.push(file);
    }
    if !increments.is_empty() {
        groups.push((None, increments));
    }
    groups.reverse();
    groups
}

/// History does not say what a file was; its name does. An adopted single file is a base.
fn is_base(file: &AofFile) -> bool {
    !file.name.ends_with(b".incr.aof")
}

/// The stretch from the start of one to the end of the other.
fn join<T: Ord + Copy>(one: Option<(T, T)>, other: Option<(T, T)>) -> Option<(T, T)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

impl Generation {
    fn base_is_sound(&self) -> bool {
        self.base.as_ref().is_none_or(|base| base.trouble.is_none())
    }

    /// All increments are sound to their ends.
    pub(super) fn is_whole(&self) -> bool {
        self.increments.iter().all(|file| file.trouble.is_none())
    }

    /// The first and the last replication offset that are known.
    pub(super) fn offsets(&self) -> Option<(u64, u64)> {
        let base = self.base.as_ref().and_then(|base| base.offset).map(|offset| (offset, offset));
        self.sound().fold(base, |all, file| join(all, file.offsets))
    }

    /// The increments up to the one with a fault.
    pub(super) fn sound(&self) -> impl Iterator<Item = &Increment> {
        let faulty = self.increments.iter().position(|file| file.trouble.is_some());
        self.increments.iter().take(faulty.map_or(usize::MAX, |index| index + 1))
    }

    fn span(&self) -> Span {
        let starts_s = self.starts_s.map(|start_s| (start_s, start_s));
        let times_s = self.sound().fold(starts_s, |all, file| join(all, file.times_s));
        Span { times_s, offsets: self.offsets() }
    }
}

impl Base {
    fn read(disk: &dyn Disk, place: &Place, file: AofFile) -> Result<Self, FileError> {
        let (path, name) = (place.file(&file.name), file.name);
        let mut base = Self {
            name,
            is_rdb: false,
            made_s: None,
            offset: None,
            trouble: None,
            is_checked: false,
        };
        match disk.open(&path) {
            Ok((mut opened, _)) => {
                let mut magic = Vec::new();
                let read = (&mut opened).take(MAGIC_LEN as u64).read_to_end(&mut magic);
                read.map_err(FileError::of("read", &path))?;
                base.is_rdb = begins_as_rdb(&magic);
                let source = io::Cursor::new(magic).chain(opened);
                if base.is_rdb { base.read_rdb(source) } else { base.read_commands(source) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                base.trouble = Some(Trouble::missing());
            }
            Err(source) => return Err(FileError { op: "open", path, source }),
        }
        Ok(base)
    }

    fn read_rdb(&mut self, source: impl Read + Send) {
        let mut reader = RdbReader::new(source, ReadOptions::default());
        loop {
            match reader.next_event() {
                Ok(Event::Start(_)) => {}
                Ok(Event::Aux { name, value }) => match name {
                    b"ctime" => self.made_s = number_of(value),
                    b"repl-offset" => {
                        self.offset = number_of(value).and_then(|number| number.try_into().ok());
                    }
                    _ => {}
                },
                Ok(_) => break,
                Err(error) => {
                    self.trouble = Some(rdb_trouble(&error));
                    break;
                }
            }
        }
    }

    fn read_commands(&mut self, source: impl Read) {
        let mut scanner = Scanner::new(source, 0);
        if let Ok(Some(Item::Annotation(annotation))) = scanner.next_item() {
            self.made_s = annotation.timestamp().and_then(Result::ok);
        }
    }

    /// Looks for a fault in the whole file.
    fn check(&self, disk: &dyn Disk, place: &Place) -> Result<Option<Trouble>, FileError> {
        let path = place.file(&self.name);
        let (opened, _) = disk.open(&path).map_err(FileError::of("open", &path))?;
        let mut commands: Box<dyn Read + Send> = opened;
        let mut from = 0;
        if self.is_rdb {
            let options = ReadOptions::new(&Config::default(), ReadOptions::default().hasher);
            let mut reader = RdbReader::new(commands, options);
            loop {
                match reader.next_event() {
                    Ok(Event::End(_)) => break,
                    Ok(_) => {}
                    Err(error) => return Ok(Some(rdb_trouble(&error))),
                }
            }
            from = reader.offset();
            commands = disk.open_at(&path, from).map_err(FileError::of("open", &path))?;
        }
        let mut scanner = Scanner::new(commands, from);
        loop {
            match scanner.next_item() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(Trouble::of(&error))),
            }
        }
    }
}

fn rdb_trouble(error: &crate::rdb::format::RdbError) -> Trouble {
    Trouble { offset: Some(error.offset), what: error.kind.to_string(), breaks_off: false }
}

fn number_of(value: RdbString<'_>) -> Option<i64> {
    match value {
        RdbString::Int(value) => Some(value),
        RdbString::Bytes(bytes) => parse_i64(bytes),
    }
}

impl Increment {
    fn read(
        disk: &dyn Disk,
        place: &Place,
        file: AofFile,
        before_s: Option<i64>,
    ) -> Result<Self, FileError> {
        let path = place.file(&file.name);
        let AofFile { name, sequence, follows, .. } = file;
        let (len, units, times_s, offsets, trouble) = (0, 0, None, None, None);
        let mut found =
            Self { name, sequence, follows, len, units, before_s, times_s, offsets, trouble };
        let opened = match disk.open(&path) {
            Ok((opened, _)) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                found.trouble = Some(Trouble::missing());
                return Ok(found);
            }
            Err(source) => return Err(FileError { op: "open", path, source }),
        };
        let mut walk = Walk::new(opened, before_s, None);
        loop {
            match walk.next_unit() {
                Ok(Some(unit)) => {
                    found.units += 1;
                    let times_s = unit.time_s.map(|time_s| (time_s, time_s));
                    found.times_s = join(found.times_s, times_s);
                    for offset in unit.from.into_iter().chain(unit.to) {
                        found.offsets = join(found.offsets, Some((offset, offset)));
                    }
                }
                Ok(None) => break,
                Err(trouble) => {
                    found.trouble = Some(trouble);
                    break;
                }
            }
        }
        // An annotation at the end tells of bytes that only replicas got.
        if found.trouble.is_none() {
            let last = walk.offset.map(|offset| (offset, offset));
            found.offsets = join(found.offsets, last);
        }
        found.len = walk.end;
        Ok(found)
    }
}
