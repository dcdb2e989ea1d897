//! The forkless snapshot: the data set at one instant, written to a file while it changes.
//!
//! **The cut** ([`Cut::take`]) happens in the world: every table that is not empty gets a [`Walk`]
//! at position 0, and the sizes of the databases are recorded. Nothing is copied.
//!
//! **The walk** ([`Saver`]) then visits database by database, shard by shard, each table in *hash
//! order*, a few buckets per lock. Every entry of the cut is saved exactly once:
//!
//! ```text
//! position of the walk ----v
//! before: unconstrained   | at or after: not done -> the walk will save it
//!                         |              done     -> in the queue, or created after the cut
//! ```
//!
//! Before an entry at or after the position that is not done is changed or removed, the writer
//! encodes it into the queue of pre-images ([`PreImages`]) and marks it done; an entry created
//! there is marked done at once. The walk skips and clears done marks, so none is left when it
//! ends. The order does not depend on the number of buckets, so splits and merges move nothing past
//! the position. A table that was empty at the cut has no walk: entries created in it are neither
//! marked nor visited.
//!
//! Whole tables keep their walk when they move: SWAPDB exchanges them, and the saver finds them by
//! the index their database had at the cut; FLUSHDB moves them to the queue, and the saver walks
//! them without a lock, then frees them.
//!
//! **Failure and cancellation** end the same way: the queue is closed and emptied, the temporary
//! file is removed, and the walk continues only to clear marks. Until its end the snapshot counts
//! as under way, so that the next one finds clean tables.
//!
//! **The queue** is drained into the file at every step. When the saver is paced
//! (`rdb-key-save-delay`) it spills to an unlinked file beyond `snapshot-buffer-limit`; when the
//! disk itself stalls, so that the saver cannot even spill, the snapshot fails at twice the limit
//! rather than exhaust memory. Workers never wait for either.
//!
//! Rejected: copying pages by fork (doubles memory under writes, stalls for the page tables), and
//! versioned entries (a word per entry at all times, for something that is rare).
//!
//! **Invariants.** A step ends without a lock or gate. The queue's mutex is a leaf: nothing is
//! locked under it, and the saver encodes and writes nothing under it. Each key of the cut is in
//! the file once.

mod preimages;
mod saver;
#[cfg(test)]
mod tests;

pub use preimages::PreImages;
pub use saver::{Ground, Saver, Turn};

use std::path::PathBuf;

use super::aof::manifest::BaseFormat;
use super::payload::Payload;
use super::record::Ages;
use super::save::StreamPosition;
use crate::config::Config;
use crate::env::Env;
use crate::keyspace::shard::{PreWrite, Walk};
use crate::keyspace::{Keyspace, SHARDS};
use crate::scripting::functions::Catalogue;
use crate::sync::Arc;

/// The size of a database at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbAtCut {
    /// Its index then.
    pub db: u32,
    /// Its keys.
    pub keys: u64,
    /// Those with an expiry.
    pub expires: u64,
}

/// The destination of a snapshot.
#[derive(Debug, Clone, Default)]
pub enum Target {
    /// The snapshot file.
    #[default]
    File,
    /// Replicas.
    Replicas(Arc<Payload>),
    /// A base of the append-only file, which stays under this name.
    AofBase {
        /// The file.
        temporary: PathBuf,
        /// Its format.
        format: BaseFormat,
    },
}

/// The data set at one instant, about to be saved.
pub struct Cut {
    /// The destination.
    pub target: Target,
    /// Its position in the replication stream, if that is recorded.
    pub position: Option<StreamPosition>,
    /// The last fencing token issued.
    pub fence: i64,
    /// The users, if replicas shall have them.
    pub users: Option<Vec<u8>>,
    /// The libraries of functions.
    pub libraries: Arc<Catalogue>,
    /// Receives pre-images of entries that change before the saver reaches them.
    pub pre_images: Arc<PreImages>,
    /// The databases that were not empty, ascending.
    pub dbs: Vec<DbAtCut>,
    /// When it was taken, Unix time in milliseconds.
    pub at_ms: i64,
    /// The count of changes at the cut, as in `Stats`.
    pub dirty: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// The configuration, frozen as in a forked child.
    pub config: Arc<Config>,
    ages: Ages,
}

impl Cut {
    /// Takes the cut. The caller holds the world and no shard's lock, and no walk of an earlier
    /// snapshot remains.
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
        Self {
            target: Target::File,
            position: None,
            fence: keyspace.fence().last(),
            users: None,
            libraries: Arc::default(),
            pre_images,
            dbs,
            at_ms,
            dirty,
            used_memory,
            config,
            ages,
        }
    }

    /// The cut of a snapshot without any keys.
    pub fn without_keys(env: &Env, keyspace: &Keyspace, config: &Arc<Config>) -> Self {
        let at_ms = env.clock.unix_us() / 1000;
        let ages = Ages::new(config, at_ms);
        Self {
            target: Target::File,
            position: None,
            fence: keyspace.fence().last(),
            users: None,
            libraries: Arc::default(),
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
