//! The ACL file.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Engine;
use crate::acl::{Rules, file};
use crate::config::Config;
use crate::env::{Level, error_text};

impl Engine {
    /// What rules of users refer to.
    pub fn acl_rules(&self) -> Rules<'_> {
        Rules { commands: &self.commands, channels: self.config().acl_pubsub_default }
    }

    /// Replaces all users by those of the ACL file, if one is configured; in the world, or before
    /// any worker runs. The error is what is wrong with it; then nothing has changed.
    pub fn load_users(&self) -> Result<(), Vec<u8>> {
        let config = self.config();
        if config.aclfile.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        let read = self.env.disk.open(&path_of(&config)).and_then(|(mut file, _)| {
            file.read_to_end(&mut text)?;
            Ok(())
        });
        read.map_err(|error| {
            let before = &b"Error loading ACLs, opening file '"[..];
            [before, &config.aclfile, b"': ", error_text(&error).as_bytes()].concat()
        })?;
        self.acl.replace(file::parse(&text, &config.aclfile, &self.acl_rules())?);
        Ok(())
    }

    /// Writes all users to the ACL file, which is replaced atomically; in the world. An error is
    /// logged too.
    pub fn save_users(&self) -> io::Result<()> {
        let path = path_of(&self.config());
        self.replace_file(&path, &self.acl.file_text()).inspect_err(|error| {
            let text = format!("Writing the ACL file {}: {}", path.display(), error_text(error));
            self.env.log(Level::Warning, &text);
        })
    }
}

fn path_of(config: &Config) -> PathBuf {
    Path::new(&config.dir).join(&config.aclfile)
}
