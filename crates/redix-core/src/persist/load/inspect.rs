//! Looking whether a file could be loaded, while it is still on its way.
//!
//! A replica gives up what it has for what its primary sends. It does so only for a data set that
//! was found to be whole and known in every part, so that one it cannot load costs nothing.

use std::path::{Path, PathBuf};

use super::{LoadError, LoadOptions, next_event, read_options};
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::rdb::read::{Event, RdbReader};

/// A file that is read as its bytes are handed in, and goes nowhere. Holds no more of it than the
/// part that is not complete yet.
pub struct Inspection {
    reader: RdbReader<'static>,
    path: PathBuf,
    databases: u32,
    is_whole: bool,
}

impl Inspection {
    /// `name` stands for the path in errors; of `how` only the checksum policy matters.
    pub fn new(config: &Config, keyspace: &Keyspace, name: &Path, how: LoadOptions) -> Self {
        Self {
            reader: RdbReader::pushed(read_options(config, *keyspace.hasher(), how)),
            path: name.to_owned(),
            databases: keyspace.databases(),
            is_whole: false,
        }
    }

    /// Reads on with these bytes; an error as loading them would give.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.reader.push(bytes);
        self.read()
    }

    /// States that there is no more; an error if there should be.
    pub fn end(&mut self) -> Result<(), LoadError> {
        self.reader.end_pushing();
        self.read()
    }

    /// Whether more was handed in than the file.
    pub fn has_surplus(&self) -> bool {
        self.is_whole && !self.reader.rest().is_empty()
    }

    fn read(&mut self) -> Result<(), LoadError> {
        while !self.is_whole && self.reader.is_worth_trying() {
            match next_event(&mut self.reader, &self.path, self.databases)? {
                Some(event) => self.is_whole = matches!(event, Event::End(_)),
                None => break,
            }
        }
        Ok(())
    }
}
