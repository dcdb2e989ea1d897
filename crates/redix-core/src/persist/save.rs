//! Synchronous saving in the world: SAVE, DEBUG RELOAD, FLUSHALL and shutdown.

use std::path::Path;

use super::file::{SaveError, SaveFile, Writer};
use super::record::Ages;
use crate::config::{Config, REDIS_VERSION};
use crate::env::Env;
use crate::keyspace::{Keyspace, SHARDS};
use crate::rdb::write::{FileInfo, RdbEncoder, ReplicationInfo, WriteOptions};
use crate::scripting::functions::Catalogue;
use crate::sync::Arc;

/// Encoded bytes buffered before they are written to the file.
pub(super) const WRITE_BYTES: usize = 256 << 10;
/// Entries visited between two checks of the buffer.
const SCAN_BUDGET: usize = 256;

/// The encoding options that the configuration sets.
pub fn write_options(config: &Config) -> WriteOptions {
    WriteOptions {
        version: config.rdb_version,
        compression: config.rdbcompression,
        checksum: config.rdbchecksum,
    }
}

/// The configuration of a snapshot of this keyspace, which may need a later version than is
/// configured. The caller holds the world.
pub fn able(config: &Arc<Config>, keyspace: &Keyspace) -> Arc<Config> {
    let mut config = Arc::clone(config);
    let expiring = (0..keyspace.databases()).any(|db| keyspace.nested_count(db) > 0);
    let version = config.rdb_version.able(expiring);
    if version != config.rdb_version {
        Arc::make_mut(&mut config).rdb_version = version;
    }
    config
}

/// The minimum duration of writing `keys` keys under `rdb-key-save-delay`: microseconds per key, or
/// if negative keys per microsecond.
pub(super) fn pacing_ns(config: &Config, keys: u64) -> u64 {
    let per = u64::from(config.rdb_key_save_delay.unsigned_abs());
    match config.rdb_key_save_delay {
        0 => 0,
        1.. => keys.saturating_mul(per * 1000),
        _ => keys.saturating_mul(1000) / per,
    }
}

/// The position of a snapshot in a replication stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPosition {
    /// The database selected in the stream.
    pub db: u32,
    /// The replication id.
    pub id: String,
    /// The offset: bytes of the stream that the snapshot contains.
    pub offset: u64,
}

/// The name of the field of a file that holds the last fencing token issued.
pub(super) const FENCE_FIELD: &[u8] = b"redix-fence";

/// The name of the field of a file that holds the users, as the text of an ACL file. Only a replica
/// that has asked for the file looks at it.
pub(super) const USERS_FIELD: &[u8] = b"redix-users";

/// What stands before the keys of a file.
pub struct Preamble<'a> {
    /// When it was made, Unix time in milliseconds.
    pub now_ms: i64,
    /// Bytes in use.
    pub used_memory: u64,
    /// The replication position, if there is one.
    pub position: Option<&'a StreamPosition>,
    /// The last fencing token issued; 0: none.
    pub fence: i64,
    /// The users, if replicas shall have them; see [`USERS_FIELD`].
    pub users: Option<&'a [u8]>,
    /// The libraries of functions.
    pub libraries: &'a Catalogue,
    /// Whether it is a base of the append-only file.
    pub aof_base: bool,
}

impl<'a> Preamble<'a> {
    /// Of a snapshot of this keyspace now; in the world.
    fn of(env: &Env, keyspace: &Keyspace, libraries: &'a Catalogue) -> Self {
        Self {
            now_ms: env.clock.unix_us() / 1000,
            used_memory: env.memory.used_bytes(),
            position: None,
            fence: keyspace.fence().last(),
            users: None,
            libraries,
            aof_base: false,
        }
    }
}

/// Writes the beginning of a file: version, and what the preamble says.
pub fn start_file(config: &Config, preamble: &Preamble<'_>) -> RdbEncoder {
    let mut encoder = RdbEncoder::new(write_options(config));
    encoder.info(&FileInfo {
        server_version: REDIS_VERSION,
        created_at_s: u64::try_from(preamble.now_ms / 1000).unwrap_or(0),
        used_memory: preamble.used_memory,
        replication: preamble.position.map(|position| ReplicationInfo {
            stream_db: position.db,
            id: &position.id,
            offset: i64::try_from(position.offset).unwrap_or(i64::MAX),
        }),
        aof_base: preamble.aof_base,
    });
    if preamble.fence > 0 {
        encoder.aux(FENCE_FIELD, preamble.fence.to_string().as_bytes());
    }
    if let Some(users) = preamble.users {
        encoder.aux(USERS_FIELD, users);
    }
    for library in preamble.libraries.iter() {
        encoder.function(&library.source);
    }
    encoder
}

/// Writes the snapshot file. The caller holds the world and no shard's lock.
pub fn save(
    env: &Env,
    keyspace: &Keyspace,
    libraries: &Catalogue,
    config: &Arc<Config>,
    position: Option<&StreamPosition>,
) -> Result<(), SaveError> {
    let config = able(config, keyspace);
    let file = SaveFile::create(&*env.disk, &config, Writer::Foreground)?;
    let preamble = Preamble { position, ..Preamble::of(env, keyspace, libraries) };
    publish_all(file, env, keyspace, &config, &preamble)
}

/// Writes a base of the append-only file. The caller holds the world and no shard's lock.
pub fn save_base(
    env: &Env,
    keyspace: &Keyspace,
    libraries: &Catalogue,
    config: &Arc<Config>,
    path: &Path,
) -> Result<(), SaveError> {
    let config = able(config, keyspace);
    let file = SaveFile::create_base(&*env.disk, &config, path)?;
    let preamble = Preamble { aof_base: true, ..Preamble::of(env, keyspace, libraries) };
    publish_all(file, env, keyspace, &config, &preamble)
}

fn publish_all(
    mut file: SaveFile,
    env: &Env,
    keyspace: &Keyspace,
    config: &Config,
    preamble: &Preamble<'_>,
) -> Result<(), SaveError> {
    match write_all(&mut file, env, keyspace, config, preamble) {
        Ok(()) => file.publish(&*env.disk),
        Err(error) => {
            file.discard(&*env.disk);
            Err(error)
        }
    }
}

fn write_all(
    file: &mut SaveFile,
    env: &Env,
    keyspace: &Keyspace,
    config: &Config,
    preamble: &Preamble<'_>,
) -> Result<(), SaveError> {
    let ages = Ages::new(config, preamble.now_ms);
    let mut encoder = start_file(config, preamble);
    let mut pause_ns = 0;
    for db in 0..keyspace.databases() {
        let keys = keyspace.key_count(db);
        if keys == 0 {
            continue;
        }
        encoder.select_db(db);
        encoder.resize_db(keys, keyspace.expire_count(db));
        for shard in 0..SHARDS {
            let mut next = Some(0);
            while let Some(from) = next {
                let mut keys = 0;
                {
                    let shard = keyspace.lock(shard);
                    next = shard.db(db).and_then(|part| {
                        part.table.scan(from, SCAN_BUDGET, |entry| {
                            keys += 1;
                            encoder.entry(entry.key(), ages.meta(entry), entry.value());
                        })
                    });
                }
                write_pending(&mut encoder, file, WRITE_BYTES)?;
                pause_ns += pacing_ns(config, keys);
                if pause_ns >= 1000 {
                    env.clock.sleep_us(pause_ns / 1000);
                    pause_ns %= 1000;
                }
            }
        }
    }
    encoder.eof();
    write_pending(&mut encoder, file, 0)
}

/// Moves encoded bytes to the file once there are at least `threshold`.
pub(super) fn write_pending(
    encoder: &mut RdbEncoder,
    file: &mut SaveFile,
    threshold: usize,
) -> Result<(), SaveError> {
    if encoder.pending().len() >= threshold {
        file.write(encoder.pending())?;
        encoder.drain();
    }
    Ok(())
}
