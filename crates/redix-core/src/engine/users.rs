//! The users of the server: the ACL file, what a primary says of them, and the connections that
//! lose their rights.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Engine;
use crate::acl::check::{allows_channel, allows_pattern};
use crate::acl::{Rules, User, file};
use crate::command::context::ClientCx;
use crate::config::Config;
use crate::env::{Level, error_text};
use crate::pubsub::Topic;
use crate::registry::{ClientShared, client_flag};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

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
        self.follow_quotas(&config);
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

    /// All users as replicas get them with a data set (`acl-replicate`), as the text of an ACL
    /// file.
    pub(super) fn users_to_replicate(&self) -> Option<Vec<u8>> {
        self.config().acl_replicate.then(|| self.acl.file_text())
    }

    /// Replaces all users by those that came with a primary's data set, if that is wanted; in the
    /// world.
    pub(crate) fn adopt_users(&self, text: &[u8]) {
        if !self.config().acl_replicate {
            return;
        }
        let old = self.acl.all();
        match file::parse(text, b"users of the primary", &self.acl_rules()) {
            Ok(users) => {
                self.acl.replace(users);
                self.follow_quotas(&self.config());
            }
            Err(error) => {
                let text = format!("The primary's users are not adopted: {}", error.escape_ascii());
                return self.env.log(Level::Warning, &text);
            }
        }
        for client in self.connections_without_rights(&old) {
            self.registry.kill(&client);
        }
    }

    /// The connections that have authenticated as a user.
    pub(crate) fn connections_of(&self, name: &[u8]) -> Vec<Arc<ClientShared>> {
        let mut all = self.registry.all();
        all.retain(|client| {
            !client.has_flag(client_flag::PRIMARY) && lock(&client.texts).user == name
        });
        all
    }

    /// The connections that must be closed because these users, all there were, were replaced.
    pub(crate) fn connections_without_rights(&self, old: &[Arc<User>]) -> Vec<Arc<ClientShared>> {
        old.iter()
            .flat_map(|old| match self.acl.get(&old.name) {
                Some(new) => self.narrowed_connections(old, &new),
                None => self.connections_of(&old.name),
            })
            .collect()
    }

    /// The connections of a user that subscribe to what it may no longer.
    pub(crate) fn narrowed_connections(&self, old: &User, new: &User) -> Vec<Arc<ClientShared>> {
        let Some(allowed) = new.narrowed_channels(old) else { return Vec::new() };
        let mut listeners: HashMap<_, _> = self
            .connections_of(&new.name)
            .into_iter()
            .filter(|client| client.has_flag(client_flag::PUBSUB))
            .map(|client| ((client.worker, client.token.load(Ordering::Relaxed)), client))
            .collect();
        let mut denied = Vec::new();
        if listeners.is_empty() {
            return denied;
        }
        let is_denied = |topic: Topic, name: &[u8]| match topic {
            Topic::Channel => !allows_channel(&allowed, name),
            Topic::Pattern => !allows_pattern(&allowed, name),
        };
        self.pubsub.each_subscriber(is_denied, |place| {
            denied.extend(listeners.remove(&(place.worker, place.token)));
        });
        denied
    }
}

impl ClientCx<'_, '_> {
    /// Sends what users of these names are now to replicas (`acl-replicate`): their rules from
    /// scratch, passwords as digests, or that they are gone.
    pub(crate) fn replicate_users<'n>(&mut self, names: impl IntoIterator<Item = &'n [u8]>) {
        if !self.engine.config().acl_replicate {
            return;
        }
        let db = self.keys.db;
        for name in names.into_iter().collect::<BTreeSet<_>>() {
            let user = self.engine.acl.get(name);
            let line = user.as_ref().map(|user| user.file_line());
            let words = match &line {
                Some(line) => {
                    // Behind `user NAME`.
                    let rules = line[b"user ".len() + name.len() + 1..].split(|byte| *byte == b' ');
                    let head: [&[u8]; 4] = [b"ACL", b"SETUSER", name, b"reset"];
                    head.into_iter().chain(rules).collect()
                }
                None => vec![&b"ACL"[..], b"DELUSER", name],
            };
            self.keys.effects.log_for_replicas(db, words.into_iter());
        }
    }
}

fn path_of(config: &Config) -> PathBuf {
    Path::new(&config.dir).join(&config.aclfile)
}
