//! CONFIG SET and CONFIG REWRITE on the running engine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Engine;
use crate::acl::User;
use crate::config::{Config, UserText};
use crate::env::Level;

/// Makes the new text of the configuration file from the old one.
pub type Rewrite = fn(&[u8], &Config, &[UserText]) -> Vec<u8>;

/// Why the configuration file was not written. The text is the error's, without its `ERR ` code.
#[derive(Debug)]
pub enum RewriteError {
    /// The server was started without one.
    NoFile,
    /// The file could not be read or written.
    Io(io::Error),
}

impl std::fmt::Display for RewriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFile => f.write_str("The server is running without a config file"),
            Self::Io(error) => write!(f, "Rewriting config file: {error}"),
        }
    }
}

impl std::error::Error for RewriteError {}

impl Engine {
    /// Writes the present configuration to its file, which is replaced atomically; in the world.
    /// `rewrite` makes the new text from the old one: [`rewrite`](crate::config::rewrite) or
    /// [`rewrite_all`](crate::config::rewrite_all).
    pub fn rewrite_config_file(&self, rewrite: Rewrite) -> Result<(), RewriteError> {
        let path = self.config_path().ok_or(RewriteError::NoFile)?;
        let outcome = self.rewrite_file(path.as_ref(), rewrite);
        match &outcome {
            Ok(()) => self.env.log(Level::Notice, "CONFIG REWRITE executed with success."),
            Err(error) => {
                self.env.log(Level::Warning, &format!("CONFIG REWRITE failed: {error}"));
            }
        }
        outcome.map_err(RewriteError::Io)
    }

    fn rewrite_file(&self, path: &Path, rewrite: Rewrite) -> io::Result<()> {
        let disk = &self.env.disk;
        let mut old = Vec::new();
        match disk.open(path) {
            Ok((mut file, _)) => {
                file.read_to_end(&mut old)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let new = rewrite(&old, &self.config(), &self.user_texts());
        self.replace_file(path, &new)
    }

    /// The users as the configuration file has them: none if they are in a file of their own.
    fn user_texts(&self) -> Vec<UserText> {
        let config = self.config();
        if !config.aclfile.is_empty() {
            return Vec::new();
        }
        let implied = User::default_user(self.commands.all().len(), &config.requirepass);
        let users = self.acl.all();
        let text = |user: &User| UserText { line: user.file_line(), is_default: *user == implied };
        users.iter().map(|user| text(user)).collect()
    }

    /// Replaces a file atomically: writes a temporary one beside it, makes it durable and renames
    /// it.
    pub(super) fn replace_file(&self, path: &Path, new: &[u8]) -> io::Result<()> {
        let disk = &self.env.disk;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}.tmp", self.env.entropy.next_u64()));
        let temporary = PathBuf::from(name);
        let written = disk.create(&temporary).and_then(|mut file| {
            file.write_all(new)?;
            file.flush()?;
            file.sync()
        });
        if let Err(error) = written.and_then(|()| disk.rename(&temporary, path)) {
            // The first error is the one to report.
            disk.remove(&temporary).ok();
            return Err(error);
        }
        match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => disk.sync_dir(dir),
            _ => disk.sync_dir(Path::new(".")),
        }
    }
}
