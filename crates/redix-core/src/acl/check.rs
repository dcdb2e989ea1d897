//! What a user is denied.
//!
//! A command is allowed if one selector allows all of it: the command, its databases, its keys with
//! the access that the command's record states, and its channels.

use redix_types::glob::{self, Case};

use super::selector::{Allowed, Selector, key_access};
use super::user::User;
use crate::command::args::Args;
use crate::command::plan::keys_of_call;
use crate::command::spec::{Channels, CommandSpec, Databases, access, acl, flag};
use crate::command::table::Command;

/// What is denied: of several, the last in this order is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A database.
    Database,
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
}

/// A denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What is denied.
    pub kind: Kind,
    /// The argument that names it; 0: the command.
    pub word: usize,
}

/// A call to be checked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The command.
    pub command: Command,
    /// Its arguments, its name the first.
    pub args: Args<'a>,
    /// The selected database.
    pub db: u32,
    /// How many databases there are.
    pub databases: u32,
}

impl User {
    /// Whether it may make this call.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Denial> {
        let mut denial = Denial { kind: Kind::Database, word: 0 };
        for selector in &self.selectors {
            match selector.check(request) {
                Ok(()) => return Ok(()),
                Err(other) => denial = denial.max(other),
            }
        }
        Err(denial)
    }

    /// Whether it may make this call and the same selector lets it read every key, as SORT needs
    /// for keys that its patterns name.
    pub fn reads_all_keys(&self, request: &Request<'_>) -> bool {
        let reads_all = |selector: &Selector| match &selector.keys {
            Allowed::All => true,
            Allowed::Some(patterns) => patterns
                .iter()
                .any(|known| known.pattern == b"*" && known.access & key_access::READ != 0),
        };
        self.selectors.iter().any(|selector| reads_all(selector) && selector.check(request).is_ok())
    }

    /// The channels that it may use; `None`: all.
    fn channels(&self) -> Option<Vec<&[u8]>> {
        let mut all = Vec::new();
        for selector in &self.selectors {
            match &selector.channels {
                Allowed::All => return None,
                Allowed::Some(patterns) => all.extend(patterns.iter().map(Vec::as_slice)),
            }
        }
        Some(all)
    }

    /// The patterns that subscriptions have to comply with when `self` takes the place of `old`;
    /// `None` if no channel was taken away.
    pub fn narrowed_channels(&self, old: &Self) -> Option<Vec<&[u8]>> {
        let new = self.channels()?;
        let kept = old.channels().is_some_and(|old| old.iter().all(|known| new.contains(known)));
        if kept { None } else { Some(new) }
    }
}

/// Whether one of the patterns allows a channel.
pub fn allows_channel(patterns: &[impl AsRef<[u8]>], channel: &[u8]) -> bool {
    patterns.iter().any(|known| glob::matches(known.as_ref(), channel, Case::Sensitive))
}

/// Whether one of the patterns allows subscribing to a pattern: it is the same.
pub fn allows_pattern(patterns: &[impl AsRef<[u8]>], pattern: &[u8]) -> bool {
    patterns.iter().any(|known| known.as_ref() == pattern)
}

impl Selector {
    fn check(&self, request: &Request<'_>) -> Result<(), Denial> {
        let denied = |kind| move |word| Denial { kind, word };
        self.check_databases(request).map_err(denied(Kind::Database))?;
        if !self.allows_command(request.command, request.args) {
            return Err(Denial { kind: Kind::Command, word: 0 });
        }
        self.check_keys(request).map_err(denied(Kind::Key))?;
        self.check_channels(request).map_err(denied(Kind::Channel))
    }

    fn allows_command(&self, command: Command, args: Args<'_>) -> bool {
        let commands = &self.commands;
        commands.is_all()
            || command.spec.has(flag::NO_AUTH)
            || commands.has(command)
            || args.try_get(1).is_some_and(|first| commands.has_with(command, first))
    }

    /// The error is the argument that names the denied database.
    fn check_databases(&self, request: &Request<'_>) -> Result<(), usize> {
        let Allowed::Some(allowed) = &self.databases else { return Ok(()) };
        let Request { command, args, db, databases } = *request;
        let spec = command.spec;
        let (names, needs_current) = match spec.databases {
            Databases::All => return Err(0),
            Databases::Selected => (None, accesses_keyspace(spec)),
            Databases::Named(names) => (Some(names), false),
            Databases::SelectedAndNamed(names) => (Some(names), true),
        };
        let mut named = Vec::new();
        if names.is_none_or(|names| names(args, databases, &mut named)) {
            for (word, db) in named {
                if !allowed.contains(&db) {
                    return Err(word);
                }
            }
        }
        if needs_current && !allowed.contains(&db) { Err(0) } else { Ok(()) }
    }

    fn check_keys(&self, request: &Request<'_>) -> Result<(), usize> {
        let Allowed::Some(patterns) = &self.keys else { return Ok(()) };
        let Request { command, args, .. } = *request;
        for (word, accesses) in keys_of_call(command.spec, args) {
            let needed = needed_access(accesses);
            let key = args.get(word);
            let is_allowed = accesses & access::NOT_KEY != 0
                || patterns.iter().any(|known| {
                    known.access & needed == needed
                        && glob::matches(&known.pattern, key, Case::Sensitive)
                });
            if !is_allowed {
                return Err(word);
            }
        }
        Ok(())
    }

    fn check_channels(&self, request: &Request<'_>) -> Result<(), usize> {
        let Allowed::Some(patterns) = &self.channels else { return Ok(()) };
        let args = request.args;
        match request.command.spec.channels {
            Channels::None => Ok(()),
            Channels::Published => match args.try_get(1) {
                Some(channel) if !allows_channel(patterns, channel) => Err(1),
                _ => Ok(()),
            },
            Channels::Subscribed => {
                let denied = |word: &usize| !allows_channel(patterns, args.get(*word));
                (1..args.len()).find(denied).map_or(Ok(()), Err)
            }
            Channels::SubscribedPatterns => {
                let denied = |word: &usize| !allows_pattern(patterns, args.get(*word));
                (1..args.len()).find(denied).map_or(Ok(()), Err)
            }
        }
    }
}

/// The access that a user needs for keys of this access of a command; none: any access will do.
fn needed_access(accesses: u32) -> u8 {
    let mut needed = 0;
    if accesses & access::ACCESS != 0 {
        needed |= key_access::READ;
    }
    if accesses & (access::INSERT | access::DELETE | access::UPDATE) != 0 {
        needed |= key_access::WRITE;
    }
    needed
}

/// Whether a command has to do with the data of the selected database.
fn accesses_keyspace(spec: &CommandSpec) -> bool {
    spec.keys.iter().any(|keys| keys.access & access::NOT_KEY == 0)
        || spec.acl & acl::KEYSPACE != 0
        || spec.has(flag::WRITE | flag::READONLY)
}
