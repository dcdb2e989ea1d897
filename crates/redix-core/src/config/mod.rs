//! The configuration: text in, typed values out. No file, socket or clock is touched here.
//!
//! One table ([`DIRECTIVES`], in `table.rs`) drives everything: the configuration file and the
//! command line ([`load`], [`CommandLine`]), CONFIG GET ([`Config::get`]), CONFIG SET
//! ([`Config::plan_set`]), CONFIG REWRITE ([`rewrite()`]), `redix.conf` ([`sample_conf`]) and the
//! documentation ([`markdown`]). To add a directive, add a record there.
//!
//! What a change means for sockets, files and limits is the server's affair: it reads the new
//! values, acts, and only then lets everyone see the new [`Config`].
//!
//! **Invariants.** A `Config` is never changed in place once shared. A refused line or CONFIG SET
//! changes nothing. `rewrite` of a file parses to the configuration that was written. A directive
//! that promises what is not there is refused rather than ignored.
//!
//! Behaviour checked against redis-server 7.0.15, Redis 8.2.3 and Valkey 9.1.2.

mod bytes;
mod databases;
mod directive;
mod docs;
mod kinds;
mod parse;
mod rewrite;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod user;

use std::fmt;

use redix_types::glob::{self, Case};
use redix_types::list::Fill;
use redix_types::{hash, set, zset};

pub use bytes::{ByteString, Shown};
pub use databases::{DbLimit, DbLimits};
pub use directive::{Directive, Standing};
pub use docs::{markdown, sample_conf};
pub use kinds::Words;
pub use parse::{CommandLine, ConfigError, ConfigFile, Includes, Loaded, load};
pub use rewrite::{UserText, rewrite, rewrite_all};
pub(crate) use syntax::parse_memory;
pub use syntax::{quote, quote_unless_plain, split_args};
pub use table::{Config, DIRECTIVES};
pub use types::*;
pub use user::UserLine;

/// The version of Redis that this server reports as compatible: in INFO, HELLO and written files.
pub const REDIS_VERSION: &str = "7.2.4";
/// Why CONFIG SET refuses what is settled when the server starts.
const IMMUTABLE: &str = "can't set immutable config";

/// Where a client connects from, for guarded features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPlace {
    /// On a loopback address or a Unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

/// The limits of compact encodings, for each type.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes of a list.
    pub list: Fill,
    /// Sets.
    pub set: set::Limits,
    /// Sorted sets.
    pub zset: zset::Limits,
    /// Hashes.
    pub hash: hash::Limits,
}

impl Guard {
    /// Whether a client at `place` may use what this guards.
    #[must_use]
    pub fn allows(self, place: ClientPlace) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => place == ClientPlace::Local,
        }
    }
}

/// The directive called `name`, in any case, by its first or its other name.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    let is_called = |directive: &&Directive| {
        directive.names().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    DIRECTIVES.iter().find(is_called)
}

/// Why CONFIG SET changed nothing. The text is the error's, without its `ERR ` code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSetError {
    /// There is no such directive.
    Unknown {
        /// The name as it was given.
        name: String,
    },
    /// The directive refuses the value.
    Refused {
        /// The name as it was given.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Applies a changed configuration to sockets, limits and the log.
pub trait Apply: Send + Sync {
    /// Applies the `changed` directives (their names, no aliases) before `new` replaces `old`, and
    /// may normalise values of `new`, such as make a path absolute. On an error everything is as
    /// with `old`.
    fn apply(
        &self,
        old: &Config,
        new: &mut Config,
        changed: &[&'static str],
    ) -> Result<(), ConfigSetError>;

    /// Applies a change of role to replica or primary, as in `config`.
    fn apply_role(&self, config: &Config);
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(f, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Refused { name, reason } => {
                write!(f, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigSetError {}

impl Config {
    /// The limits of compact encodings.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limit = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Limits {
            list: Fill::new(i64::from(self.list_max_listpack_size)),
            set: set::Limits {
                ints: limit(self.set_max_intset_entries),
                entries: limit(self.set_max_listpack_entries),
                value: limit(self.set_max_listpack_value),
            },
            zset: zset::Limits {
                entries: limit(self.zset_max_listpack_entries),
                value: limit(self.zset_max_listpack_value),
            },
            hash: hash::Limits {
                entries: limit(self.hash_max_listpack_entries),
                value: limit(self.hash_max_listpack_value),
            },
        }
    }

    /// The output limit of replicas, raised to the size of the backlog, which is kept anyway.
    #[must_use]
    pub fn replica_output_limit(&self) -> OutputLimit {
        let limit = self.client_output_buffer_limit.replica;
        let at_least_the_backlog = |bytes| match bytes {
            0 => 0,
            bytes => self.repl_backlog_size.max(bytes),
        };
        OutputLimit {
            hard_bytes: at_least_the_backlog(limit.hard_bytes),
            soft_bytes: at_least_the_backlog(limit.soft_bytes),
            ..limit
        }
    }

    /// Bytes of memory that replicas that are being synchronised may retain before they are moved
    /// to disk; `None`: nothing is.
    #[must_use]
    pub fn spill_above(&self) -> Option<u64> {
        let limit = self.replica_output_limit();
        let limits = [limit.hard_bytes, limit.soft_bytes].into_iter().filter(|bytes| *bytes != 0);
        limits.min().filter(|_| self.repl_spill_max != 0).map(|bytes| bytes / 2)
    }

    /// CONFIG GET: names and values for all `patterns` (globs in any case), each name once, in the
    /// order of the table. A pattern without wildcards also finds hidden directives, and is the
    /// name as the answer spells it. A name and its other name are listed separately, as far as a
    /// pattern matches each.
    #[must_use]
    pub fn get<'a>(&self, patterns: &[&'a [u8]]) -> Vec<(&'a [u8], Vec<u8>)> {
        let mut found = Vec::new();
        for directive in DIRECTIVES {
            for name in directive.names() {
                let shown = patterns.iter().find_map(|pattern| {
                    if pattern.iter().any(|byte| b"*?[\\".contains(byte)) {
                        let matches = glob::matches(pattern, name.as_bytes(), Case::Insensitive);
                        (matches && !directive.is_hidden).then_some(name.as_bytes())
                    } else {
                        pattern.eq_ignore_ascii_case(name.as_bytes()).then_some(*pattern)
                    }
                });
                found.extend(shown.map(|shown| (shown, directive.text(self))));
            }
        }
        found
    }

    /// CONFIG SET: the configuration after all `pairs` of name and value, and the names of the
    /// directives that differ (first names, in the order given). Nothing is changed in `self`: the
    /// caller acts on the differences, then puts the new configuration in place.
    ///
    /// Errors: the first name that is unknown; else the first that may not be set, or is given
    /// twice; else the first value that is refused.
    pub fn plan_set(
        &self,
        pairs: &[(&[u8], &[u8])],
        place: ClientPlace,
    ) -> Result<(Self, Vec<&'static str>), ConfigSetError> {
        let mut directives = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let unknown = || ConfigSetError::Unknown { name: Shown(name).to_string() };
            directives.push(find(name).ok_or_else(unknown)?);
        }
        let refusal = |name: &[u8], reason: &str| ConfigSetError::Refused {
            name: Shown(name).to_string(),
            reason: reason.into(),
        };
        let refused = |index: usize, reason: &str| refusal(pairs[index].0, reason);
        for (index, directive) in directives.iter().enumerate() {
            let same_name = |(name, _): &&(&[u8], &[u8])| name.eq_ignore_ascii_case(pairs[index].0);
            if directive.is_immutable {
                return Err(refused(index, IMMUTABLE));
            }
            if directive.is_protected && !self.enable_protected_configs.allows(place) {
                return Err(refused(index, "can't set protected config"));
            }
            if pairs[..index].iter().any(|pair| same_name(&pair)) {
                return Err(refused(index, "duplicate parameter"));
            }
        }
        let mut new = self.clone();
        for (directive, (name, value)) in directives.iter().zip(pairs) {
            // A name is shown as the client spelled it only where its value does not matter.
            directive
                .apply(&mut new, &[(*value).into()])
                .map_err(|reason| refusal(&name.to_ascii_lowercase(), &reason))?;
            if directive.is_fixed && directive.differs(self, &new) {
                return Err(refusal(name, IMMUTABLE));
            }
        }
        let mut changed = Vec::new();
        for directive in directives {
            if directive.differs(self, &new) && !changed.contains(&directive.name) {
                changed.push(directive.name);
            }
        }
        Ok((new, changed))
    }

    /// The classes of keyspace events to be announced, as the bits of [`notify`]: none unless `K`
    /// or `E` is set.
    #[inline]
    pub fn event_classes(&self) -> u32 {
        let classes = self.notify_keyspace_events;
        if classes & (notify::KEYSPACE | notify::KEYEVENT) == 0 { 0 } else { classes }
    }

    /// Whether a client may use the command `name`, if that is one which the configuration guards.
    /// `local`: the client is on a loopback address or a Unix socket.
    #[must_use]
    pub fn protected_command_allowed(&self, name: &str, local: bool) -> bool {
        let place = if local { ClientPlace::Local } else { ClientPlace::Remote };
        match name {
            "debug" => self.enable_debug_command.allows(place),
            "module" => self.enable_module_command.allows(place),
            _ => true,
        }
    }

    /// The port that INFO and the process title show: the plain one, if there is one.
    #[must_use]
    pub fn shown_port(&self) -> u16 {
        if self.port == 0 { self.tls_port } else { self.port }
    }

    /// Whether any connection uses TLS, so that the certificates are loaded.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.tls_port != 0 || self.tls_replication || self.tls_cluster
    }

    /// The number of worker threads on a machine with `cores` cores.
    #[must_use]
    pub fn worker_count(&self, cores: usize) -> usize {
        if self.worker_threads == 0 { cores.max(1) } else { self.worker_threads }
    }
}
