//! Limits that writes have to respect.

use super::Engine;
use crate::config::Config;
use crate::error::ReplyError;

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

    /// Whether `maxmemory` is used up. Nothing is evicted, whatever the policy says.
    #[inline]
    pub(crate) fn out_of_memory(&self, config: &Config) -> bool {
        let limit = config.maxmemory;
        let is_ours = || !(self.repl.is_replica() && config.replica_ignore_maxmemory);
        limit != 0 && is_ours() && self.env.memory.uses_more_than(limit)
    }
}
