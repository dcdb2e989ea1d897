//! The units of an increment, with what the file tells about when each of them was written.

use std::io::Read;

use redix_types::num::parse_i64;

use super::Trouble;
use super::undo::{Found, Undo};
use crate::persist::aof::scan::{Annotation, Command, Item, Place, Scanner};

/// A command outside of transactions, or a transaction.
#[derive(Debug)]
pub(super) struct Unit {
    /// The offset in the file behind the unit before.
    pub start: u64,
    /// The offset behind it.
    pub end: u64,
    /// When it was written, in seconds since the Unix epoch, if that is known.
    pub time_s: Option<i64>,
    /// The replication offset before it, if the file states it.
    pub from: Option<u64>,
    /// The replication offset behind it.
    pub to: Option<u64>,
    /// The databases that are selected before and behind it.
    pub dbs: (u32, u32),
    /// The first command in it that is looked for.
    pub found: Option<Found>,
}

/// Reads the units of an increment.
pub(super) struct Walk<'a> {
    scanner: Scanner<Box<dyn Read + Send>>,
    undo: Option<&'a Undo>,
    /// When what comes next was written.
    pub time_s: Option<i64>,
    /// The replication offset of what comes next.
    pub offset: Option<u64>,
    db: u32,
    /// Behind the last unit.
    pub end: u64,
}

impl<'a> Walk<'a> {
    /// Units of this file. What was written before it has this time. Commands to be undone are
    /// looked for.
    pub(super) fn new(
        file: Box<dyn Read + Send>,
        time_s: Option<i64>,
        undo: Option<&'a Undo>,
    ) -> Self {
        Self { scanner: Scanner::new(file, 0), undo, time_s, offset: None, db: 0, end: 0 }
    }

    /// The next unit; `None` at the end of the file.
    pub(super) fn next_unit(&mut self) -> Result<Option<Unit>, Trouble> {
        let (start, db) = (self.end, self.db);
        let (mut from, mut found) = (None, None);
        loop {
            let item = match self.scanner.next_item() {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(None),
                Err(error) => return Err(Trouble::of(&error)),
            };
            match item {
                Item::Annotation(annotation) => {
                    note(&annotation, &mut self.time_s, &mut self.offset)?;
                }
                Item::Command(command) => {
                    if matches!(command.place, Place::Alone | Place::Opens) {
                        from = self.offset;
                    }
                    let len = command.end - command.start;
                    self.offset = self.offset.map(|offset| offset + len);
                    if found.is_none() {
                        found = self.undo.and_then(|undo| undo.find(&command, self.db));
                    }
                    self.db = selected(&command).unwrap_or(self.db);
                    if !command.place.ends_unit() {
                        continue;
                    }
                    self.end = command.end;
                    let (time_s, to, dbs) = (self.time_s, self.offset, (db, self.db));
                    return Ok(Some(Unit { start, end: self.end, time_s, from, to, dbs, found }));
                }
            }
        }
    }
}

/// Takes what an annotation says.
fn note(
    annotation: &Annotation<'_>,
    time_s: &mut Option<i64>,
    offset: &mut Option<u64>,
) -> Result<(), Trouble> {
    match annotation.timestamp() {
        Some(Ok(time)) => *time_s = Some(time),
        Some(Err(_)) => {
            let what = "Invalid timestamp annotation".to_owned();
            return Err(Trouble { offset: Some(annotation.start), what, breaks_off: false });
        }
        None => {}
    }
    if annotation.replication_id().is_some() {
        *offset = None;
    } else if let Some(stated) = annotation.replication_offset() {
        *offset = stated;
    }
    Ok(())
}

/// The database that a command selects.
fn selected(command: &Command<'_>) -> Option<u32> {
    let mut args = command.args();
    let name = args.next()?;
    let db = args.next()?;
    (args.len() == 0 && name.eq_ignore_ascii_case(b"SELECT"))
        .then(|| parse_i64(db).and_then(|db| u32::try_from(db).ok()))?
}
