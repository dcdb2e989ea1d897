//! The snapshot without fork: the data set as it was at one instant, written while it changes.
//!
//! **The cut** ([`Cut::take`]) happens in the world: every table that holds anything gets a
//! [`Walk`] at position 0, and the sizes of the databases are noted. Nothing is copied.
//!
//! **The walk** ([`Saver`]) then visits database by database, shard by shard, each table in *hash
//! order*, a few buckets per lock. An entry is handed over exactly once:
//!
//! ```text
//! position of the walk ----v
//! | before: as it likes    | at or after: not done -> the walk will take it
//! |                        |              done     -> in the queue, or born after the cut
//! ```
//!
//! Before an entry at or after the position that is not done changes or goes, the writer encodes it
//! into the queue ([`PreImages`]) and marks it done; an entry born there is marked done at birth.
//! The walk skips and clears done marks, so none is left when it ends. Order does not depend on the
//! number of buckets, so splits and merges move nothing past the position. A table that was empty
//! at the cut has no walk: what is born in it is neither marked nor visited.
//!
//! Whole tables keep their walk wherever they go: SWAPDB moves them, and the saver finds them by
//! the number their database had at the cut; FLUSHDB hands them to the queue, and the saver walks
//! them without a lock, then frees them.
//!
//! **Failure and cancelling** end the same way: the queue is closed and emptied, the temporary is
//! removed, and the walk goes on to its end only to clear marks. Until then the snapshot counts as
//! under way, so that the next one meets clean tables.
//!
//! **The queue** is drained into the file at every step. When the saver is paced
//! (`rdb-key-save-delay`) it spills to an unlinked file beyond `snapshot-buffer-limit`; when the
//! disk itself is stalled, so that the saver cannot even spill, the snapshot fails at twice the
//! limit rather than take all memory. Workers never wait for either.
//!
//! Rejected: copying pages by fork (doubles memory under writes, stalls for the page tables), and
//! versioned entries (a word per entry at all times, for something that is rare).
//!
//! **Invariants.** A step ends without a lock or gate. The queue's mutex is a leaf: nothing is
//! locked under it, and nothing is encoded or written under it by the saver. Each key of the cut is
//! in the file once.

mod preimages;
mod saver;
#[cfg(test)]
mod tests;

pub use preimages::PreImages;
pub use saver::{Ground, Saver, Turn};

use super::payload::Payload;
use super::record::Ages;
use super::save::StreamPosition;
use crate::config::Config;
use crate::env::Env;
use crate::keyspace::shard::{PreWrite, Walk};
use crate::keyspace::{Keyspace, SHARDS};
use crate::sync::Arc;

/// How large a database was at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbAtCut {
    /// Its number then.
    pub db: u32,
    /// Its keys.
    pub keys: u64,
    /// Those with an expiry.
    pub expires: u64,
}

/// Where a snapshot goes.
#[derive(Debug, Clone, Default)]
pub enum Target {
    /// Into the snapshot file.
    #[default]
    File,
    /// To replicas.
    Replicas(Arc<Payload>),
}

/// One instant of the data set, about to be saved.
pub struct Cut {
    /// Where it goes.
    pub target: Target,
    /// Where it stands in the replication stream, if that is recorded.
    pub position: Option<StreamPosition>,
    /// Receives what changes before the saver gets there.
    pub pre_images: Arc<PreImages>,
    /// The databases that were not empty, ascending.
    pub dbs: Vec<DbAtCut>,
    /// When it was taken, Unix time in milliseconds.
    pub at_ms: i64,
    /// Changes to the data up to here, as `Stats` counts them.
    pub dirty: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// The configuration, frozen for this snapshot as a forked child's would be.
    pub config: Arc<Config>,
    ages: Ages,
}

impl Cut {
    /// Takes the cut. The caller holds the world and no shard's lock, and no walk is left of an
    /// earlier snapshot.
    pub fn take(env: &Env, keyspace: &Keyspace, config: &Arc<Config>, dirty: u64) -> Self {
        let at_ms = env.clock.unix_us() / 1000;
        let ages = Ages::new(config, at_ms);
        let pre_images = Arc::new(PreImages::new(config, ages));
        for index in 0..SHARDS {
            let mut shard = keyspace.lock(index);
            for db in 0..shard.db_count() {
                if keyspace.key_count_in(db, index) == 0 {
                    continue;
                }
                let part = shard.db_mut(db);
                debug_assert!(part.walk.is_none(), "an earlier snapshot has ended");
                let hook = Arc::clone(&pre_images) as Arc<dyn PreWrite>;
                part.walk = Some(Box::new(Walk { db_at_cut: db, position: 0, hook }));
            }
        }
        let dbs = (0..keyspace.databases())
            .map(|db| DbAtCut {
                db,
                keys: keyspace.key_count(db),
                expires: keyspace.expire_count(db),
            })
            .filter(|size| size.keys > 0)
            .collect();
        let config = Arc::clone(config);
        let used_memory = env.memory.used_bytes();
        let (target, position) = (Target::File, None);
        Self { target, position, pre_images, dbs, at_ms, dirty, used_memory, config, ages }
    }

    /// The cut of a snapshot without any keys.
    pub fn without_keys(env: &Env, config: &Arc<Config>) -> Self {
        let at_ms = env.clock.unix_us() / 1000;
        let ages = Ages::new(config, at_ms);
        Self {
            target: Target::File,
            position: None,
            pre_images: Arc::new(PreImages::new(config, ages)),
            dbs: Vec::new(),
            at_ms,
            dirty: 0,
            used_memory: env.memory.used_bytes(),
            config: Arc::clone(config),
            ages,
        }
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.dbs.iter().map(|size| size.keys).sum()
    }
}
