//! INFO's section Quotas: the limits of databases and users, and what counts for them.

use std::fmt::Write;

use super::Facts;
use crate::config::Config;
use crate::engine::Engine;
use crate::sync::atomic::Ordering;

/// Whether there are any limits.
pub(super) fn any(engine: &Engine, config: &Config) -> bool {
    !config.db_maxmemory.is_empty() || engine.acl.limits_memory() || engine.acl.limits_rates()
}

pub(super) fn write(facts: &Facts<'_>, out: &mut String) {
    let ledger = facts.engine.keyspace.ledger();
    field!(out, "quota_counting", "{}", u8::from(ledger.is_behind()));
    for limit in facts.config.db_maxmemory.iter() {
        let counts = facts.engine.eviction.db_counts(limit.db);
        // Writing to a string cannot fail.
        write!(
            out,
            "quota_db{}:used_memory={},maxmemory={},policy={},evicted_keys={},refused={}\r\n",
            limit.db,
            ledger.bytes(limit.db),
            limit.bytes,
            facts.config.policy_of(limit).name(),
            counts.evicted,
            counts.refused,
        )
        .ok();
    }
    for user in facts.engine.acl.all().iter().filter(|user| !user.quota.is_none()) {
        let usage = &user.usage.0;
        let bytes = match user.quota.memory {
            0 => 0,
            _ => usage.memory() + facts.engine.bytes_within_reach(user),
        };
        write!(
            out,
            "quota_user_{}:used_memory={bytes},mem={},refused={},rate={},throttled={}\r\n",
            user.name.escape_ascii(),
            user.quota.memory,
            usage.refused.load(Ordering::Relaxed),
            user.quota.rate,
            usage.throttled.load(Ordering::Relaxed),
        )
        .ok();
    }
}
