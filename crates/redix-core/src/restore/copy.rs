//! Copying what a plan consists of to another directory.

use std::io::{self, Read, Write};

use redix_resp::request::encode_command;

use super::choose::Plan;
use super::timeline::{Increment, Timeline};
use super::{RestoreError, Trouble};
use crate::aof::writer::{FileError, Place};
use crate::env::Disk;
use crate::persist::aof::manifest::{BaseFormat, Manifest};
use crate::persist::aof::scan::{Item, Scanner};

/// Bytes written at a time.
const BATCH_BYTES: usize = 256 << 10;
/// Says that the position in a replication stream is not known from here on.
const NO_POSITION: &[u8] = b"#REPL-ID:?\r\n";

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Bytes of all files.
    pub bytes: u64,
    /// Units behind the base.
    pub units: u64,
}

impl Timeline {
    /// Writes the data set of a plan to a directory, which is created and should be empty.
    pub fn copy(&self, disk: &dyn Disk, plan: &Plan, to: &Place) -> Result<Copied, RestoreError> {
        disk.create_dir(&to.dir).map_err(FileError::of("create", &to.dir))?;
        let (mut manifest, mut copied) = (Manifest::default(), Copied::default());
        if let Some(base) = &self.generations[plan.root].base {
            let format = BaseFormat::of(base.is_rdb);
            let name = manifest.next_base(&to.name, format).name.clone();
            let (from, target) = (self.path(&base.name), to.file(&name));
            let (mut source, _) = disk.open(&from).map_err(FileError::of("open", &from))?;
            let mut file = disk.create(&target).map_err(FileError::of("create", &target))?;
            let written = io::copy(&mut source, &mut file);
            copied.bytes += written.map_err(FileError::of("write to", &target))?;
            file.sync().map_err(FileError::of("sync", &target))?;
        }
        let mut parts = Vec::new();
        for generation in plan.root..=plan.stop.generation {
            for (index, file) in self.generations[generation].increments.iter().enumerate() {
                let is_stop = (generation, index) == (plan.stop.generation, plan.stop.increment);
                let until = if is_stop { plan.stop.offset } else { file.len };
                let is_later = generation == plan.stop.generation && index > plan.stop.increment;
                if until > 0 && !is_later {
                    parts.push((generation, index, file, until));
                }
            }
        }
        if parts.is_empty() {
            self.copy_increment(disk, to, &mut manifest, None)?;
        }
        for (generation, index, file, until) in parts {
            let part = Part { plan, generation, index, file, until };
            let more = self.copy_increment(disk, to, &mut manifest, Some(part))?;
            copied = Copied { bytes: copied.bytes + more.bytes, units: copied.units + more.units };
        }
        to.write_manifest(disk, &manifest)?;
        Ok(copied)
    }

    /// Writes an increment: the beginning of one, or none of any.
    fn copy_increment(
        &self,
        disk: &dyn Disk,
        to: &Place,
        manifest: &mut Manifest,
        part: Option<Part<'_>>,
    ) -> Result<Copied, RestoreError> {
        let target = to.file(&manifest.next_increment(&to.name, None).name);
        let mut file = disk.create(&target).map_err(FileError::of("create", &target))?;
        let mut copied = Copied { bytes: NO_POSITION.len() as u64, units: 0 };
        file.write_all(NO_POSITION).map_err(FileError::of("write to", &target))?;
        if let Some(part) = part {
            let path = self.path(&part.file.name);
            let (source, _) = disk.open(&path).map_err(FileError::of("open", &path))?;
            let mut buffer = Vec::new();
            let mut reader = part.reader(source);
            loop {
                let more = reader.fill(&mut buffer);
                let more = more.map_err(|trouble| {
                    let source = io::Error::other(trouble.what);
                    FileError { op: "read", path: path.clone(), source }
                })?;
                file.write_all(&buffer).map_err(FileError::of("write to", &target))?;
                copied.bytes += buffer.len() as u64;
                buffer.clear();
                if !more {
                    break;
                }
            }
            copied.units = reader.units;
        }
        file.sync().map_err(FileError::of("sync", &target))?;
        Ok(copied)
    }
}

/// The wanted part of an increment.
struct Part<'a> {
    plan: &'a Plan,
    generation: usize,
    index: usize,
    file: &'a Increment,
    until: u64,
}

impl Part<'_> {
    fn reader<R: Read>(&self, source: R) -> PartReader<R> {
        let skipped = self.plan.skipped(self.generation, self.index);
        let skipped = skipped.map(|(at, dbs)| Skipped { start: at.start, end: at.end, dbs });
        PartReader {
            scanner: Scanner::new(source, 0),
            until: self.until,
            skipped: skipped.collect::<Vec<_>>().into_iter(),
            skipping: None,
            units: 0,
        }
    }
}

/// A unit that is left out.
struct Skipped {
    start: u64,
    end: u64,
    dbs: (u32, u32),
}

/// Reads the items of a part that are wanted.
struct PartReader<R> {
    scanner: Scanner<R>,
    until: u64,
    skipped: std::vec::IntoIter<Skipped>,
    skipping: Option<Skipped>,
    units: u64,
}

impl<R: Read> PartReader<R> {
    /// Appends wanted items; false at the end.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, Trouble> {
        while out.len() < BATCH_BYTES {
            if self.scanner.offset() >= self.until {
                return Ok(false);
            }
            let item = match self.scanner.next_item() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(false),
                Err(error) => return Err(Trouble::of(&error)),
            };
            match item {
                Item::Annotation(annotation) => {
                    let is_position = annotation.replication_id().is_some()
                        || annotation.replication_offset().is_some();
                    if !is_position {
                        out.extend_from_slice(annotation.line);
                    }
                }
                Item::Command(command) => {
                    let (start, end) = (command.start, command.end);
                    let skipping = self.skipping.take().or_else(|| self.skipped.next());
                    match skipping {
                        Some(unit) if (unit.start..unit.end).contains(&start) => {
                            if end == unit.end {
                                reselect(unit.dbs, out);
                            } else {
                                self.skipping = Some(unit);
                            }
                            continue;
                        }
                        other => self.skipping = other,
                    }
                    out.extend_from_slice(command.bytes);
                    self.units += u64::from(command.place.ends_unit());
                }
            }
        }
        Ok(true)
    }
}

/// What was left out may have selected another database for what comes behind it.
fn reselect((before, behind): (u32, u32), out: &mut Vec<u8>) {
    if before != behind {
        encode_command(out, &[&b"SELECT"[..], behind.to_string().as_bytes()]);
    }
}
