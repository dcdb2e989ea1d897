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

/// A parser of pushed bytes that discards what it reads. Holds no more of the file than the part
/// that is incomplete and the sources of functions.
pub struct Inspection {
    reader: RdbReader<'static>,
    path: PathBuf,
    databases: u32,
    libraries: Vec<Vec<u8>>,
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

    fn read(&mut self) -> Result<(), LoadError> {
        while !self.is_whole && self.reader.is_worth_trying() {
            match next_event(&mut self.reader, &self.path, self.databases)? {
                Some(Event::Function(source)) => self.libraries.push(source.to_vec()),
                Some(event) => self.is_whole = matches!(event, Event::End(_)),
                None => break,
            }
        }
        Ok(())
    }
}
