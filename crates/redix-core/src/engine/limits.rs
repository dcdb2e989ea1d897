//! Limits that writes have to respect.

use super::Engine;
use crate::config::Config;
use crate::env::Level;
use crate::error::ReplyError;
use crate::sync::atomic::Ordering;

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
    fn bytes(self, limit: u64) -> u64 {
        let whole = Self::MAX.min(limit / Self::PART);
        match self {
            Self::None => 0,
            Self::Half => whole / 2,
            Self::Whole => whole,
        }
    }
}

impl Engine {
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
