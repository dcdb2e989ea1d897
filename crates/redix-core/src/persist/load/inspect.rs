//! Checking whether a file can be loaded, while it is being received.
//!
//! A replica discards its data set for its primary's only after that was found to be complete and
//! loadable in every part, so that a bad one costs nothing.

use std::path::{Path, PathBuf};

use super::{LoadError, LoadOptions, load_libraries, next_event, read_options};
use crate::config::Config;
use crate::env::Env;
use crate::keyspace::Keyspace;
use crate::rdb::read::{Event, RdbReader};

/// What a data set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// At least one key.
    pub keys: bool,
    /// At least one library of functions.
    pub libraries: bool,
}

impl Contents {
    /// Whether there is neither.
    pub fn is_nothing(self) -> bool {
        !self.keys && !self.libraries
    }
}

/// A parser of pushed bytes that discards what it reads. Holds no more of the file than the part
/// that is incomplete and the sources of functions.
pub struct Inspection {
    reader: RdbReader<'static>,
    path: PathBuf,
    databases: u32,
    libraries: Vec<Vec<u8>>,
    has_keys: bool,
    is_whole: bool,
}

impl Inspection {
    /// `name` stands for the path in errors; of `how` only the checksum policy matters.
    pub fn new(config: &Config, keyspace: &Keyspace, name: &Path, how: LoadOptions) -> Self {
        Self {
            reader: RdbReader::pushed(read_options(config, *keyspace.hasher(), how)),
            path: name.to_owned(),
            databases: keyspace.databases(),
            libraries: Vec::new(),
            has_keys: false,
            is_whole: false,
        }
    }

    /// Parses these bytes; the error is that of loading them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.reader.push(bytes);
        self.read()
    }

    /// Ends the input; an error if the file is incomplete.
    pub fn end(&mut self) -> Result<(), LoadError> {
        self.reader.end_pushing();
        self.read()
    }

    /// Runs the code of the libraries of functions; the error is that of loading them.
    pub fn check_libraries(&self, env: &Env) -> Result<(), LoadError> {
        load_libraries(env, &self.libraries, &self.path).map(drop)
    }

    /// Whether bytes were pushed after the end of the file.
    pub fn has_surplus(&self) -> bool {
        self.is_whole && !self.reader.rest().is_empty()
    }

    /// What is in the file; `None` until its first key or its end has been read.
    pub fn contents(&self) -> Option<Contents> {
        let libraries = !self.libraries.is_empty();
        (self.has_keys || self.is_whole).then_some(Contents { keys: self.has_keys, libraries })
    }

    /// Parses as far as possible, even where that has just failed for want of bytes.
    pub fn retry(&mut self) -> Result<(), LoadError> {
        while self.read_event()? {}
        Ok(())
    }

    fn read(&mut self) -> Result<(), LoadError> {
        while self.reader.is_worth_trying() && self.read_event()? {}
        Ok(())
    }

    /// Reads a part; false if there is none, or not yet.
    fn read_event(&mut self) -> Result<bool, LoadError> {
        if self.is_whole {
            return Ok(false);
        }
        match next_event(&mut self.reader, &self.path, self.databases)? {
            Some(Event::Function(source)) => self.libraries.push(source.to_vec()),
            Some(Event::Key(_)) => self.has_keys = true,
            Some(event) => self.is_whole = matches!(event, Event::End(_)),
            None => return Ok(false),
        }
        Ok(true)
    }
}
