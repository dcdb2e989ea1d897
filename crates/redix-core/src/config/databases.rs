//! Memory limits of databases: the directive `db-maxmemory`.

use super::Config;
use super::kinds::{FileLine, Kind, Reason, Words};
use super::syntax::{memory_text, parse_memory};
use super::types::MaxmemoryPolicy;

/// The memory limit of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbLimit {
    /// The database.
    pub db: u32,
    /// The most bytes that its keys may take; not 0.
    pub bytes: u64,
    /// What is evicted beyond; `None`: as `maxmemory-policy` says.
    pub policy: Option<MaxmemoryPolicy>,
}

/// The memory limits of databases, by database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DbLimits(Vec<DbLimit>);

impl DbLimits {
    /// Whether no database has a limit.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits, by database.
    pub fn iter(&self) -> impl Iterator<Item = &DbLimit> {
        self.0.iter()
    }

    /// The limit of a database, if it has one.
    #[inline]
    #[must_use]
    pub fn of(&self, db: u32) -> Option<&DbLimit> {
        let at = self.0.binary_search_by_key(&db, |limit| limit.db).ok()?;
        Some(&self.0[at])
    }

    /// Sets a database's limit; 0 bytes: none.
    pub fn set(&mut self, limit: DbLimit) {
        let at = self.0.binary_search_by_key(&limit.db, |other| other.db);
        match (at, limit.bytes) {
            (Ok(at), 0) => {
                self.0.remove(at);
            }
            (Ok(at), _) => self.0[at] = limit,
            (Err(_), 0) => {}
            (Err(at), _) => self.0.insert(at, limit),
        }
    }
}

/// Database, size and, if not that of the server, policy; and so on.
pub(super) struct DbMemory;

const MALFORMED: &str = "argument must be a database, a memory value and, optionally, a policy";

fn policy_of(word: &[u8]) -> Option<MaxmemoryPolicy> {
    let is_word = |(known, _): &&(&str, _)| word.eq_ignore_ascii_case(known.as_bytes());
    MaxmemoryPolicy::WORDS.iter().find(is_word).map(|(_, policy)| *policy)
}

impl DbLimit {
    fn words(&self, size: &str) -> String {
        let policy = self.policy.map_or(String::new(), |policy| format!(" {}", policy.name()));
        format!("{} {size}{policy}", self.db)
    }
}

impl Kind<DbLimits> for DbMemory {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], current: &DbLimits) -> Result<DbLimits, Reason> {
        if matches!(args, [only] if only.is_empty()) {
            return Ok(DbLimits::default());
        }
        let mut limits = current.clone();
        let mut rest = args;
        while let [db, size, further @ ..] = rest {
            let db = str::from_utf8(db).ok().and_then(|text| text.parse().ok()).ok_or(MALFORMED)?;
            let bytes = parse_memory(size).ok_or(MALFORMED)?;
            let policy = further.first().and_then(|word| policy_of(word));
            limits.set(DbLimit { db, bytes, policy });
            rest = if policy.is_some() { &further[1..] } else { further };
        }
        if rest.is_empty() && !args.is_empty() { Ok(limits) } else { Err(MALFORMED.into()) }
    }

    fn text(&self, value: &DbLimits) -> Vec<u8> {
        let texts = value.iter().map(|limit| limit.words(&limit.bytes.to_string()));
        texts.collect::<Vec<_>>().join(" ").into()
    }

    fn lines(&self, value: &DbLimits, _: &DbLimits) -> Vec<FileLine> {
        let line = |limit: &DbLimit| FileLine {
            args: limit.words(&memory_text(limit.bytes)).into(),
            differs_from_default: true,
        };
        value.iter().map(line).collect()
    }

    fn describe(&self) -> String {
        "database, size and, optionally, a policy as in `maxmemory-policy`; repeated".into()
    }
}

impl Config {
    /// Whether the memory of the server or of a database is limited.
    #[inline]
    #[must_use]
    pub fn has_memory_limits(&self) -> bool {
        self.maxmemory != 0 || !self.db_maxmemory.is_empty()
    }

    /// What is evicted from a database with this limit.
    #[must_use]
    pub fn policy_of(&self, limit: &DbLimit) -> MaxmemoryPolicy {
        limit.policy.unwrap_or(self.maxmemory_policy)
    }

    fn policies(&self) -> impl Iterator<Item = MaxmemoryPolicy> {
        let of_databases = self.db_maxmemory.iter().filter_map(|limit| limit.policy);
        std::iter::once(self.maxmemory_policy).chain(of_databases)
    }

    /// Whether keys carry access frequencies rather than access times.
    #[must_use]
    pub fn counts_frequencies(&self) -> bool {
        self.policies().any(MaxmemoryPolicy::is_lfu)
    }

    /// Whether keys are evicted by access times anywhere.
    #[must_use]
    pub fn goes_by_times(&self) -> bool {
        self.policies().any(MaxmemoryPolicy::is_lru)
    }

    /// Whether the limits of databases can be kept.
    ///
    /// Errors: a database that there is not; policies by access times beside policies by
    /// frequencies, since keys have one field for both.
    pub fn check_databases(&self) -> Result<(), Reason> {
        if let Some(limit) = self.db_maxmemory.iter().find(|limit| limit.db >= self.databases) {
            return Err(format!("there is no database {}", limit.db));
        }
        if self.counts_frequencies() && self.goes_by_times() {
            let text = "policies of the LRU and of the LFU kind can't be used beside each other, \
                        for all databases and maxmemory-policy";
            return Err(text.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
