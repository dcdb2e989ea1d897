//! The check of an RDB file: a walk over all of it with the reader that loads it, and a report.

use std::io::{self, Read, Write};

use super::stats::Stats;
use crate::config::RdbVersionCheck;
use crate::rdb::format::{RdbError, RdbErrorKind, RdbString, RdbVersion};
use crate::rdb::read::{ChecksumOutcome, Event, RdbReader, ReadOptions};

/// The line that announces an error.
const ERROR: &str = "--- RDB ERROR DETECTED ---";

/// Counts of a file.
#[derive(Default)]
struct Counts {
    keys: u64,
    expires: u64,
    already_expired: u64,
    functions: u64,
}

/// Reads a whole file from `source` and writes the report to `out`; `name` stands for its path. The
/// result is the length of the file, without what may follow its end marker; `None` if it cannot be
/// loaded. `now_ms` decides which keys have expired; `stats` takes what is in the file.
///
/// Errors: those of `out`.
pub fn check(
    source: impl Read + Send,
    name: &[u8],
    now_ms: i64,
    mut stats: Option<&mut Stats>,
    out: &mut dyn Write,
) -> io::Result<Option<u64>> {
    writeln!(out, "[offset 0] Checking RDB file {}", String::from_utf8_lossy(name))?;
    let options = ReadOptions { versions: RdbVersionCheck::Relaxed, ..ReadOptions::default() };
    let mut reader = RdbReader::new(source, options);
    let mut counts = Counts::default();
    let mut version = RdbVersion::Redis(0);
    loop {
        let event = match reader.next_event() {
            Ok(event) => event,
            Err(error) => {
                // The key whose value is at fault was read.
                counts.keys += u64::from(error.key.is_some());
                report_error(&error, version, &counts, out)?;
                return Ok(None);
            }
        };
        let mut note = None;
        match event {
            Event::Start(found) => {
                version = found;
                note = kind_of(version)
                    .map(|kind| format!("{kind} RDB version {} detected", version.number()));
            }
            Event::Aux { name, value } => {
                let name = String::from_utf8_lossy(name);
                note = Some(format!("AUX FIELD {name} = '{}'", text_of(value)));
            }
            Event::SelectDb(db) => note = Some(format!("Selecting DB ID {db}")),
            Event::Function(_) => counts.functions += 1,
            Event::Key(record) => {
                let expired = record.expire_at_ms.is_some_and(|at| at < now_ms);
                counts.keys += 1;
                counts.expires += u64::from(record.expire_at_ms.is_some());
                counts.already_expired += u64::from(expired);
                if let Some(stats) = stats.as_deref_mut() {
                    stats.add(&record, expired);
                }
            }
            Event::ModuleAux { module } => {
                note = Some(format!("MODULE AUX for: {}", String::from_utf8_lossy(&module)));
            }
            Event::ResizeDb { .. } | Event::SlotInfo { .. } => {}
            Event::End(outcome) => {
                if reader.empty_keys() > 0 {
                    report_empty(&reader, &counts, out)?;
                    return Ok(None);
                }
                report_end(outcome, version, reader.offset(), out)?;
                counts.report(out)?;
                return Ok(Some(reader.offset()));
            }
        }
        if let Some(note) = note {
            writeln!(out, "[offset {}] {note}", reader.offset())?;
        }
    }
}

/// What Valkey calls a version that is not its own, of Redis or its own future.
fn kind_of(version: RdbVersion) -> Option<&'static str> {
    match version.number() {
        12..=79 => Some("Foreign"),
        81.. => Some("Future"),
        _ => None,
    }
}

fn text_of(value: RdbString<'_>) -> String {
    match value {
        RdbString::Int(value) => value.to_string(),
        RdbString::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn report_end(
    outcome: ChecksumOutcome,
    version: RdbVersion,
    offset: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    match outcome {
        ChecksumOutcome::Verified => writeln!(out, "[offset {offset}] Checksum OK")?,
        ChecksumOutcome::Absent if version.has_checksum() => writeln!(
            out,
            "[offset {offset}] RDB file was saved with checksum disabled: no check performed."
        )?,
        ChecksumOutcome::Absent | ChecksumOutcome::Ignored => {}
    }
    let verdict = match kind_of(version) {
        None => "! \\o/",
        Some(_) if version.is_known() => {
            ", but loading requires config 'rdb-version-check relaxed' in Valkey"
        }
        Some(_) => ", but loading requires config 'rdb-version-check relaxed'",
    };
    writeln!(out, "[offset {offset}] \\o/ RDB looks OK{verdict}")
}

/// Reports keys without elements: loading passes them over, but a check is there to tell.
fn report_empty(reader: &RdbReader<'_>, counts: &Counts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{ERROR}")?;
    let (offset, keys) = (reader.offset(), reader.empty_keys());
    writeln!(out, "[offset {offset}] {keys} collections without elements, of the keys:")?;
    for key in reader.first_empty() {
        writeln!(out, "[additional info] '{}'", String::from_utf8_lossy(key))?;
    }
    counts.report(out)
}

fn report_error(
    error: &RdbError,
    version: RdbVersion,
    counts: &Counts,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{ERROR}")?;
    let offset = error.offset;
    match &error.kind {
        RdbErrorKind::Truncated => {
            writeln!(out, "[offset {offset}] Unexpected EOF reading RDB file")?;
        }
        RdbErrorKind::UnknownType { type_byte, version: found } => {
            let number = found.number();
            match kind_of(version) {
                Some(kind) => writeln!(
                    out,
                    "[offset {offset}] Unknown object type {type_byte} in RDB file with {} \
                     version {number}",
                    kind.to_lowercase()
                )?,
                None => writeln!(out, "[offset {offset}] Invalid object type: {type_byte}")?,
            }
        }
        kind => writeln!(out, "[offset {offset}] {kind}")?,
    }
    if let Some(key) = &error.key {
        let key = String::from_utf8_lossy(key);
        writeln!(out, "[additional info] Reading key '{key}'")?;
    }
    counts.report(out)
}

impl Counts {
    fn report(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "[info] {} keys read", self.keys)?;
        writeln!(out, "[info] {} expires", self.expires)?;
        writeln!(out, "[info] {} already expired", self.already_expired)?;
        writeln!(out, "[info] {} functions", self.functions)
    }
}

#[cfg(test)]
mod tests;
