//! The engine: the state shared by all threads.

mod aof;
mod background;
mod clients;
mod failover;
mod limits;
mod reconfigure;
mod replicas;
mod role;
mod saving;
mod shutdown;
mod spill;
mod users;

pub use aof::Fatal;
pub use background::{Background, Rest};
pub use failover::Refusal;
pub use limits::Headroom;
pub(crate) use limits::slack;
pub use reconfigure::{Rewrite, RewriteError};
pub use replicas::{Synced, Wish};
pub use saving::Loading;
pub use spill::Spiller;

use std::sync::OnceLock;

use redix_types::KeyHasher;

use crate::acl::{Acl, Rules};
use crate::aof::Aof;
use crate::blocking::{Acknowledged, Acknowledgement, Blocking};
use crate::command::table::CommandTable;
use crate::commandlog::CommandLog;
use crate::config::{Apply, ByteString, Config, ConfigSetError};
use crate::env::{Entropy, Env};
use crate::error::ReplyError;
use crate::errorstats::ErrorStats;
use crate::eviction::Eviction;
use crate::keyspace::Keyspace;
use crate::keyspace::flush::{empty_beside_snapshot, empty_keyspace, replace_keyspace};
use crate::latency::LatencyMonitor;
use crate::mailbox::Mail;
use crate::migration::Migrations;
use crate::pause::{Pause, Paused, Purpose};
use crate::pubsub::PubSub;
use crate::rates::RateSampler;
use crate::recent::RecentBuffers;
use crate::registry::Registry;
use crate::repl::Replication;
use crate::saves::Saves;
use crate::scripting::Scripting;
use crate::scripting::functions::Libraries;
use crate::spare::SpareMemory;
use crate::stats::Stats;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::tls::Certificates;
use crate::tracking::Tracking;

/// How reply buffers are sized and reported; DEBUG changes it.
#[derive(Debug)]
pub struct ReplyBuffers {
    /// Interval in milliseconds after which a buffer is shrunk to its recent peak; negative: never.
    pub peak_reset_ms: AtomicI64,
    /// Whether buffers are ever shrunk.
    pub resizing: AtomicBool,
    /// CLIENT LIST reports all pending output as the reply list.
    pub listed: AtomicBool,
}

/// As [`ReplyBuffers::peak_reset_ms`], unless DEBUG says otherwise.
pub const PEAK_RESET_MS: i64 = 2000;

impl Default for ReplyBuffers {
    fn default() -> Self {
        Self {
            peak_reset_ms: AtomicI64::new(PEAK_RESET_MS),
            resizing: AtomicBool::new(true),
            listed: AtomicBool::new(false),
        }
    }
}

impl ReplyBuffers {
    /// Whether a buffer whose peak has been tracked for `age_ms` is to be shrunk.
    pub fn peak_is_over(&self, age_ms: i64) -> bool {
        let after_ms = self.peak_reset_ms.load(Ordering::Relaxed);
        after_ms >= 0 && age_ms >= after_ms
    }
}

/// The state shared by all threads.
pub struct Engine {
    /// Time, randomness, disk.
    pub env: Env,
    /// The data set.
    pub keyspace: Keyspace,
    /// Commands by name.
    pub commands: CommandTable,
    /// Users.
    pub acl: Acl,
    /// The certificates in use.
    pub certificates: Mutex<Certificates>,
    /// Connections.
    pub registry: Registry,
    /// Counters.
    pub stats: Stats,
    /// Which commands are paused.
    pub pause: Pause,
    /// Blocked clients.
    pub blocking: Blocking,
    /// Keys being sent to other servers by MIGRATE.
    pub migrations: Migrations,
    /// Channels, patterns and their subscribers.
    pub pubsub: PubSub,
    /// Scripts.
    pub scripting: Scripting,
    /// Clients that cache keys.
    pub tracking: Tracking,
    /// Saving.
    pub saves: Saves,
    /// The append-only file.
    pub aof: Aof,
    /// The logs of slow and large commands.
    pub commandlog: CommandLog,
    /// Eviction.
    pub eviction: Eviction,
    /// Latency spikes.
    pub latency: LatencyMonitor,
    /// Error replies by code.
    pub errors: ErrorStats,
    /// Replication.
    pub repl: Replication,
    /// Rates per second, for INFO.
    pub rates: RateSampler,
    /// The largest recent buffers of clients.
    pub recent_buffers: RecentBuffers,
    /// Bytes in use at the end of startup.
    pub startup_memory: AtomicU64,
    /// The data set is being loaded: only commands flagged `loading` run.
    pub loading: AtomicBool,
    /// `DEBUG SET-ACTIVE-EXPIRE 0`.
    pub active_expire: AtomicBool,
    /// `DEBUG PAUSE-CRON 1`: no periodic work.
    pub cron_paused: AtomicBool,
    /// How reply buffers are sized and reported.
    pub reply_buffers: ReplyBuffers,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION 1`.
    pub skip_checksums: AtomicBool,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: an element of at least so many bytes gets a list node of
    /// its own; 0: as configured.
    pub list_plain_from: AtomicU32,
    /// Freed memory that the allocator retains.
    pub spare: SpareMemory,
    /// Unix time in milliseconds of the last warning about an HTTP request.
    pub http_warned_ms: AtomicI64,
    /// A random id of this run, 40 hexadecimal digits.
    pub run_id: String,
    /// Unix time in microseconds of the start.
    pub started_us: i64,
    config_path: OnceLock<ByteString>,
    applier: OnceLock<Arc<dyn Apply>>,
    /// When clients may be evicted again, by the monotonic clock.
    client_eviction_due_ns: Mutex<u64>,
    snapshot: Mutex<saving::Snapshot>,
    shutdown: Mutex<shutdown::ShutdownState>,
    config: Mutex<Arc<Config>>,
    config_version: AtomicU64,
    threads: usize,
}

impl Engine {
    /// An engine for `workers` workers; one more gate and counter cell serves all background work,
    /// and one the link to a primary.
    /// Fails with a message about `rename-command` or a user.
    pub fn new(env: Env, config: Config, workers: usize) -> Result<Self, String> {
        let commands = CommandTable::new(crate::commands::FAMILIES, &config.rename_command)?;
        let acl = Acl::new(commands.all().len());
        acl.set_default_password(&config.requirepass);
        let rules = Rules { commands: &commands, channels: config.acl_pubsub_default };
        acl.declare(&config.users, &rules)
            .map_err(|(line, reason)| line.refused(&reason).to_string())?;
        let threads = workers + 2;
        let hash_key = hash_key(&config.hash_seed, &*env.entropy);
        let mut run_id = [0; 20];
        env.entropy.fill(&mut run_id);
        let started_us = env.clock.unix_us();
        let repl = Replication::new(&*env.entropy, workers);
        repl.upstream.set_born_replica(config.replicaof.is_some());
        let keyspace = Keyspace::new(config.databases, threads, hash_key);
        let this = Self {
            pubsub: PubSub::new(*keyspace.hasher()),
            keyspace,
            stats: Stats::new(threads, commands.all().len()),
            commands,
            acl,
            certificates: Mutex::default(),
            repl,
            env,
            registry: Registry::default(),
            pause: Pause::default(),
            blocking: Blocking::default(),
            migrations: Migrations::default(),
            scripting: Scripting::new(threads),
            tracking: Tracking::default(),
            saves: Saves::new(started_us / 1_000_000),
            aof: Aof::default(),
            commandlog: CommandLog::default(),
            eviction: Eviction::new(threads),
            latency: LatencyMonitor::default(),
            errors: ErrorStats::default(),
            rates: RateSampler::default(),
            recent_buffers: RecentBuffers::default(),
            startup_memory: AtomicU64::new(0),
            loading: AtomicBool::new(false),
            active_expire: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            reply_buffers: ReplyBuffers::default(),
            skip_checksums: AtomicBool::new(false),
            list_plain_from: AtomicU32::new(0),
            spare: SpareMemory::default(),
            http_warned_ms: AtomicI64::new(0),
            run_id: run_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            started_us,
            config_path: OnceLock::new(),
            applier: OnceLock::new(),
            client_eviction_due_ns: Mutex::new(0),
            snapshot: Mutex::new(saving::Snapshot::default()),
            shutdown: Mutex::default(),
            config: Mutex::new(Arc::new(config)),
            config_version: AtomicU64::new(1),
            threads,
        };
        this.follow_client_limit(&this.config());
        this.config().check_databases()?;
        this.follow_quotas(&this.config());
        Ok(this)
    }

    /// The gate and counter cell of background work.
    pub fn background_thread(&self) -> usize {
        self.threads - 2
    }

    /// The gate and counter cell of the link to a primary.
    pub fn link_thread(&self) -> usize {
        self.threads - 1
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.threads - 2
    }

    /// The present configuration.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// A number that grows with every change of the configuration.
    #[inline]
    pub fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Acquire)
    }

    /// Replaces the configuration; in the world.
    pub fn set_config(&self, config: Config) {
        self.commandlog.follow(&config);
        *lock(&self.config) = Arc::new(config);
        self.config_version.fetch_add(1, Ordering::Release);
    }

    /// Installs the hook that applies a changed configuration to the process; once, before any
    /// worker runs.
    pub fn set_applier(&self, applier: Arc<dyn Apply>) {
        assert!(self.applier.set(applier).is_ok(), "the applier is installed once");
    }

    /// Applies a changed configuration: first to the process, which may fail, then for every
    /// thread; in the world, without a shard's lock. `changed` holds the names of the directives
    /// that differ.
    pub fn reconfigure(
        &self,
        mut config: Config,
        changed: &[&'static str],
        in_transaction: bool,
    ) -> Result<(), ConfigSetError> {
        config.check_databases().map_err(|reason| ConfigSetError::Refused {
            name: changed.first().copied().unwrap_or_default().into(),
            reason,
        })?;
        if let Some(applier) = self.applier.get() {
            applier.apply(&self.config(), &mut config, changed)?;
        }
        if changed.contains(&"repl-backlog-size") {
            self.repl.log.set_backlog_bytes(config.repl_backlog_size);
        }
        if changed.contains(&"maxmemory") && config.maxmemory != 0 {
            self.follow_maxmemory(&config);
        }
        if changed.iter().any(|name| matches!(*name, "maxmemory" | "maxmemory-clients")) {
            self.follow_client_limit(&config);
        }
        if changed.contains(&"db-maxmemory") {
            self.follow_quotas(&config);
        }
        if changed.contains(&"requirepass") {
            self.acl.set_default_password(&config.requirepass);
        }
        self.set_config(config);
        if changed.iter().any(|name| matches!(*name, "appendonly" | "appendfsync")) {
            self.follow_appendonly(in_transaction);
        }
        self.count_good_replicas();
        Ok(())
    }

    /// Who has acknowledged what a client waits for.
    pub fn acknowledged(&self, wanted: &Acknowledgement) -> Acknowledged {
        let Acknowledgement { offset, files, .. } = *wanted;
        let replicas = self.repl.replicas.acknowledged(offset, files.is_some());
        let durable = self.aof.enabled() && self.aof.durable.load(Ordering::Acquire) >= offset;
        Acknowledged { replicas, files: i64::from(durable) }
    }

    /// Ends the pause for one purpose. Clients go on if no other pause is as strong: on a server
    /// that has become a replica meanwhile, their writes would be refused.
    pub fn end_pause(&self, purpose: Purpose) {
        let now_ms = self.env.clock.unix_us() / 1000;
        let before = self.pause.at(now_ms);
        self.pause.end(purpose);
        let after = self.pause.at(now_ms);
        // A pause that was over a moment ago may have left clients waiting.
        if after < before || after == Paused::Nothing {
            self.registry.post_all(&Mail::Resume);
        }
    }

    /// Whether writes are refused because what was written could not be saved.
    #[inline]
    pub fn admit_write(&self, config: &Config) -> Result<(), ReplyError> {
        self.saves.admit_write(config)?;
        self.aof.admit_write()
    }

    /// Discards all keys in the background, outside of a command; in the world. The caller has
    /// cancelled a snapshot under way.
    pub fn discard_data(&self) {
        empty_keyspace(&self.keyspace);
        self.scripting.functions.install(Libraries::default());
        self.tracking.tell_flushed(&self.registry);
    }

    /// As [`Engine::discard_data`]; a snapshot under way goes on with what it has to save.
    pub(crate) fn discard_data_beside_snapshot(&self) {
        empty_beside_snapshot(&self.keyspace);
        self.scripting.functions.install(Libraries::default());
        self.tracking.tell_flushed(&self.registry);
    }

    /// Replaces all keys by those of `new`, as [`replace_keyspace`] does.
    pub fn replace_keys(&self, new: &Keyspace) {
        replace_keyspace(&self.keyspace, new);
        self.tracking.tell_flushed(&self.registry);
    }

    /// Sets the absolute path of the configuration file; once, at startup.
    pub fn set_config_path(&self, path: ByteString) {
        assert!(self.config_path.set(path).is_ok(), "the configuration is read once");
    }

    /// The absolute path of the configuration file; `None` if there is none.
    pub fn config_path(&self) -> Option<&ByteString> {
        self.config_path.get()
    }
}

/// The key of the hash function: drawn, or made of every byte of `seed` if there is one.
fn hash_key(seed: &[u8], entropy: &dyn Entropy) -> [u8; 16] {
    let mut key = [0; 16];
    if seed.is_empty() {
        entropy.fill(&mut key);
    } else {
        let halves = [1, 2].map(|half| KeyHasher::new([half; 16]).hash(seed).to_le_bytes());
        key.copy_from_slice(halves.as_flattened());
    }
    key
}
