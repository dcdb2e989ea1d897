//! Limits that writes have to respect.

use super::Engine;
use crate::acl::User;
use crate::command::line::describe;
use crate::config::{Config, DbLimit, MaxmemoryPolicy};
use crate::env::Level;
use crate::error::ReplyError;
use crate::keyspace::access::Shortage;
use crate::session::Session;
use crate::sync::atomic::Ordering;

/// The part of its limit by which a database may exceed it within a transaction or a script.
const SLACK_PART: u64 = 16;
/// The part of a user's limit that its connections may take even if the databases are full.
const CONNECTIONS_PART: u64 = 8;

/// Memory below `maxmemory` that is kept free, so that a group of commands rarely exceeds the limit
/// and room is made for all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headroom {
    /// Nothing.
    None,
    /// Half of it: where room is made early.
    Half,
    /// All: what eviction aims at.
    Whole,
}

impl Headroom {
    /// The most that is kept free, in bytes.
    const MAX: u64 = 64 * 1024;
    /// The part of the limit that is kept free.
    const PART: u64 = 1024;

    #[inline]
    pub(crate) fn bytes(self, limit: u64) -> u64 {
        let whole = Self::MAX.min(limit / Self::PART);
        match self {
            Self::None => 0,
            Self::Half => whole / 2,
            Self::Whole => whole,
        }
    }
}

/// How far a limit may be exceeded within a transaction or a script.
pub(crate) fn slack(limit: u64) -> u64 {
    limit.saturating_add(limit / SLACK_PART)
}

impl Engine {
    /// The limit of a session's user, if it has one, and what counts for it, in bytes.
    pub(crate) fn user_memory(&self, session: &mut Session) -> Option<(u64, u64)> {
        if !self.acl.limits_memory() || session.primary_link.is_some() {
            return None;
        }
        let user = self.acl.user_of(&mut session.user)?;
        let limit = user.quota.memory;
        (limit != 0).then(|| (limit, user.usage.0.memory() + self.bytes_within_reach(user)))
    }

    /// Bytes of the keys in all databases that a user may use.
    pub(crate) fn bytes_within_reach(&self, user: &User) -> u64 {
        let ledger = self.keyspace.ledger();
        match user.databases() {
            None => ledger.bytes_of_all(),
            Some(databases) => {
                let existing = databases.filter(|db| *db < self.keyspace.databases());
                existing.map(|db| ledger.bytes(db)).sum()
            }
        }
    }

    /// The bytes that a transaction or script of this session's user may go on to add.
    ///
    /// Errors: the limit of the user is exceeded by more than a little.
    pub(crate) fn admit_user_growth(&self, session: &mut Session) -> Result<u64, ReplyError> {
        match self.user_memory(session) {
            Some((limit, used)) if used > slack(limit) => {
                self.note_refusal(Shortage::User, session);
                Err(ReplyError::OOM_USER)
            }
            Some((limit, used)) => Ok(slack(limit) - used),
            None => Ok(u64::MAX),
        }
    }

    /// Counts what the connections of users take whose memory is limited, and closes the largest of
    /// a user who has too many: what its databases leave of the limit, but an eighth at least, is
    /// theirs.
    pub(super) fn look_at_users(&self) {
        if !self.acl.limits_memory() {
            return;
        }
        for user in self.acl.all().iter().filter(|user| user.quota.memory != 0) {
            let mut clients = self.connections_of(&user.name);
            clients.retain(|client| client.is_ordinary() && !client.killed.load(Ordering::Acquire));
            clients.sort_by_cached_key(|client| client.memory_bytes());
            let mut bytes: u64 = clients.iter().map(|client| client.memory_bytes() as u64).sum();
            let limit = user.quota.memory;
            let left = limit.saturating_sub(self.bytes_within_reach(user));
            while bytes > left.max(limit / CONNECTIONS_PART)
                && let Some(client) = clients.pop()
            {
                bytes = bytes.saturating_sub(client.memory_bytes() as u64);
                let line = describe(&client, self, self.env.clock.unix_us() / 1000);
                let text = format!("Closing client of a user with too much memory: {line}");
                self.env.log(Level::Notice, &text);
                let cell = &self.stats.thread(self.background_thread()).cell;
                cell.evicted_clients.bump();
                self.registry.evict(&client);
            }
            user.usage.0.set_memory(bytes);
        }
    }

    /// Whether `min-replicas-to-write` is satisfied.
    pub(crate) fn enough_replicas(&self, config: &Config) -> Result<(), ReplyError> {
        let needed = config.min_replicas_to_write as usize;
        if needed == 0
            || config.min_replicas_max_lag == 0
            || self.repl.is_replica()
            || self.repl.replicas.good() >= needed
        {
            return Ok(());
        }
        Err(ReplyError::Static("NOREPLICAS Not enough good replicas to write."))
    }

    /// Whether more memory is in use than `maxmemory`, which is not 0, leaves with so much kept
    /// free.
    #[inline]
    pub(crate) fn exceeds_memory(&self, config: &Config, headroom: Headroom) -> bool {
        let limit = config.maxmemory - headroom.bytes(config.maxmemory);
        let excused = self.memory_excused();
        self.env.memory.uses_more_than(limit.saturating_add(excused))
    }

    /// Whether the keys of a database take more bytes than its limit leaves with so much kept free.
    #[inline]
    pub(crate) fn exceeds_limit(&self, limit: &DbLimit, headroom: Headroom) -> bool {
        let bytes = limit.bytes - headroom.bytes(limit.bytes);
        self.keyspace.ledger().bytes(limit.db) > bytes
    }

    /// Whether the limit of the server, or that of a database, is exceeded.
    pub(crate) fn exceeds_any(&self, config: &Config, db: u32) -> bool {
        config.maxmemory != 0 && self.exceeds_memory(config, Headroom::None)
            || config
                .db_maxmemory
                .of(db)
                .is_some_and(|limit| self.exceeds_limit(limit, Headroom::None))
    }

    /// Whether so many bytes may be added to a database by a command that was not sent them, or
    /// that is part of a transaction or script. Nothing is evicted within those, so that the limit
    /// may be exceeded a little; likewise the bytes that it `had` when the command was admitted,
    /// which are more than the limit while keys are being evicted.
    ///
    /// Errors: it would be exceeded by more.
    pub(crate) fn admit_growth(
        &self,
        config: &Config,
        db: u32,
        bytes: u64,
        had: u64,
    ) -> Result<(), ReplyError> {
        let Some(limit) = config.db_maxmemory.of(db) else { return Ok(()) };
        let used = self.keyspace.ledger().bytes(db).saturating_add(bytes);
        let is_left_to_primary = config.replica_ignore_maxmemory && self.repl.is_replica();
        if is_left_to_primary
            || used <= slack(limit.bytes).max(had.saturating_add(limit.bytes / SLACK_PART))
        {
            return Ok(());
        }
        self.eviction.note_refused(db);
        Err(ReplyError::OOM_DATABASE)
    }

    /// Counts a command that is refused for want of memory. Returns the error.
    #[cold]
    pub(crate) fn refuse_growth(&self, shortage: Shortage, session: &Session) -> ReplyError {
        self.note_refusal(shortage, session);
        shortage.error()
    }

    /// Counts a command that is refused with the error of this shortage.
    pub(crate) fn note_refusal(&self, shortage: Shortage, session: &Session) {
        match shortage {
            Shortage::None | Shortage::Server => {}
            Shortage::Database => self.eviction.note_refused(session.db),
            Shortage::User => {
                if let Some(user) = self.acl.get(session.user.name()) {
                    user.usage.0.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Begins or ends the counting of what databases take, as limits require; in the world.
    pub(crate) fn follow_quotas(&self, config: &Config) {
        if config.db_maxmemory.is_empty() && !self.acl.limits_memory() {
            self.keyspace.end_accounts();
        } else {
            self.keyspace.begin_accounts(self.threads);
        }
    }

    /// Has keys evicted from databases whose limit is exceeded without a command of theirs.
    pub(super) fn look_at_databases(&self, config: &Config) {
        let evicts = |limit: &DbLimit| {
            config.policy_of(limit) != MaxmemoryPolicy::NoEviction
                && self.exceeds_limit(limit, Headroom::None)
        };
        if !self.repl.is_replica() && config.db_maxmemory.iter().any(evicts) {
            self.eviction.want_in_databases(true);
        }
    }

    /// Bytes to be freed until all of the headroom is free again.
    pub(crate) fn memory_excess(&self, config: &Config) -> u64 {
        let limit = config.maxmemory - Headroom::Whole.bytes(config.maxmemory);
        let excused = self.memory_excused();
        self.env.memory.used_bytes().saturating_sub(limit.saturating_add(excused))
    }

    /// Has eviction begin without waiting for a command, if a new `maxmemory` is exceeded.
    pub(super) fn follow_maxmemory(&self, config: &Config) {
        if self.exceeds_memory(config, Headroom::None) {
            let (limit, used) = (config.maxmemory, self.env.memory.used_bytes());
            self.env.log(
                Level::Warning,
                &format!(
                    "maxmemory is set to {limit} bytes, but {used} are in use: keys will be \
                     evicted or writes refused, as maxmemory-policy says"
                ),
            );
            self.eviction.want(true);
        }
    }

    /// Bytes in use that do not count for `maxmemory`: what replicas and the append-only file have
    /// yet to receive, since eviction is logged and would cause more of it, and what a snapshot has
    /// yet to write of the past.
    #[inline]
    pub fn memory_not_counted(&self) -> u64 {
        self.repl.log.memory_beyond_backlog()
            + self.repl.replicas.buffer_bytes()
            + self.saves.buffer_bytes.load(Ordering::Relaxed)
    }

    /// The same, and bytes that are about to be freed anyway.
    #[inline]
    fn memory_excused(&self) -> u64 {
        self.memory_not_counted()
            + self.keyspace.free_list().pending_bytes()
            + self.eviction.told_bytes()
            + self.registry.closing_bytes()
    }
}
