//! The parameter table: one record for each directive, beside its documentation.
//!
//! A record reads `field: Type = default, "name" => Kind` and then marks: `alias("other")`,
//! `immutable`, `fixed`, `protected`, `sensitive`, `hidden`, `cumulative`, `not_while_loading`,
//! `ignored("why")`, `unsupported_unless_default("what is missing")`. From it come the field of
//! [`Config`], the line of the file, the flag, CONFIG GET, SET and REWRITE, `redix.conf` and the
//! documentation.
//!
//! Names, defaults and bounds are those of Valkey 9 (and of Redis 7.2 where only that knows a
//! directive), read off the running servers. Where a directive has two names, the first is the one
//! that most versions know, so that a rewritten file still starts an older server.

use super::bytes::ByteString;
use super::databases::{DbLimits, DbMemory};
use super::directive::Directive;
use super::kinds::{
    ANY, AOF_DIR_NAME, AOF_FILE_NAME, Addresses, Binary, Bool, Clamped, FILE_NAME, HOST_NAME,
    HostPort, IPV4, IPV6, Int, Kind, Limits, Memory, MemoryFloor, MemoryOrPercent, NODE_ADDRESS,
    NODE_NAME, Notify, Octal, OomValues, Percentiles, SavePoints, ShutdownWords, SignedMemory,
    TITLE, Word,
};
use super::types::{
    AppendFsync, BytesOrPercent, ClusterSave, DisklessLoad, EndpointType, Guard, IoBackend,
    LogFormat, LogLevel, LogTimestamp, MaxmemoryPolicy, OomScoreAdj, OutputLimits,
    PropagationError, PubsubDefault, RdbVersionCheck, ReplicaProtect, SanitizePayload, ShutdownOn,
    Supervised, SyslogFacility, TlsAuthClients, TlsAuthClientsUser, WriteVersion,
};
use super::user::UserLine;

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const ULONG_MAX: u64 = i64::MAX as u64;

const COPIED: &str = "replies are copied";
const NO_ALLOC_TUNING: &str = "it tunes the allocator of another server";
const NO_CLUSTER: &str = "it takes effect only in cluster mode";
const BY_TIME: &str = "handshakes have a budget of time in each turn of a worker instead";
const NO_FINITE_FIELDS: &str = "keys are exchanged over elliptic curves only";
const NOT_OFFERED: &str = "the functions that it would add are not offered";

macro_rules! directives {
    ($( group $group:literal { $(
        $(#[doc = $doc:literal])+
        $field:ident : $type:ty = $default:expr, $name:literal => $kind:expr
        $(, $mark:ident $(($text:expr))? )* ;
    )+ } )+) => {
        /// Every parameter of the server, typed. One value is shared by all threads and replaced
        /// as a whole by CONFIG SET; it is never changed in place.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            /// `rename-command` lines: a command and its new name, which is empty to remove it.
            pub rename_command: Vec<(ByteString, ByteString)>,
            /// `user` lines.
            pub users: Vec<UserLine>,
            $( $( $(#[doc = $doc])+ pub $field: $type, )+ )+
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    rename_command: Vec::new(),
                    users: Vec::new(),
                    $( $( $field: $default, )+ )+
                }
            }
        }

        /// Every directive, in the order of the documentation.
        pub const DIRECTIVES: &[Directive] = &[ $( $(
            Directive::new(
                $name,
                $group,
                &[$($doc),+],
                |config| Kind::<$type>::text(&$kind, &config.$field),
                |config, args| {
                    config.$field = Kind::<$type>::parse(&$kind, args, &config.$field)?;
                    Ok(())
                },
                |config, default| Kind::<$type>::lines(&$kind, &config.$field, &default.$field),
                || Kind::<$type>::describe(&$kind),
            )
            .splits(kind_splits::<$type, _>(&$kind))
            .takes_nul(kind_takes_nul::<$type, _>(&$kind))
            $( .$mark($($text)?) )*,
        )+ )+ ];
    };
}

/// Whether values of this kind are written as several words in one argument.
const fn kind_splits<T, K: Kind<T>>(_: &K) -> bool {
    K::SPLITS
}

/// Whether values of this kind go on behind a NUL byte.
const fn kind_takes_nul<T, K: Kind<T>>(_: &K) -> bool {
    K::TAKES_NUL
}

// tidy: table
directives! {
    group "Network" {
        /// Addresses to listen on. A minus before an address lets the server start without it.
        bind: Vec<ByteString> = vec!["127.0.0.1".into(), "-::1".into()], "bind" => Addresses;
        /// TCP port for clients; 0 for none.
        port: u16 = 6379, "port" => Int(0, 65535);
        /// Without a password, answer only clients of this machine.
        protected_mode: bool = true, "protected-mode" => Bool;
        /// Local address for connections that the server itself opens.
        bind_source_addr: ByteString = ByteString::new(), "bind-source-addr" => ANY;
        /// Connections that the kernel may hold until they are accepted.
        tcp_backlog: u32 = 511, "tcp-backlog" => Int(0, INT_MAX), immutable;
        /// Path of a Unix socket to listen on as well.
        unixsocket: ByteString = ByteString::new(), "unixsocket" => ANY, immutable;
        /// Permissions of the Unix socket; 0 leaves them to the umask.
        unixsocketperm: u32 = 0, "unixsocketperm" => Octal, immutable;
        /// Group that owns the Unix socket.
        unixsocketgroup: ByteString = ByteString::new(), "unixsocketgroup" => ANY, immutable,
            unsupported_unless_default("a way to set the group of the socket");
        /// Close clients that were idle for so many seconds; 0: never.
        timeout: u32 = 0, "timeout" => Int(0, INT_MAX);
        /// Seconds without traffic after which the kernel probes a connection; 0: never.
        tcp_keepalive: u32 = 300, "tcp-keepalive" => Int(0, INT_MAX);
        /// Largest number of clients at a time.
        maxclients: u32 = 10_000, "maxclients" => Int(1, u32::MAX as i64);
        /// Connections accepted in one turn of a worker.
        max_new_connections_per_cycle: u32 = 10, "max-new-connections-per-cycle" => Int(1, 1000);
        /// Mark put on outgoing sockets, for the packet filter; 0: none.
        socket_mark_id: u32 = 0, "socket-mark-id" => Int(0, u32::MAX as i64), immutable,
            unsupported_unless_default("socket marks");
        /// Accept multipath TCP.
        mptcp: bool = false, "mptcp" => Bool, immutable,
            ignored("clients fall back to plain TCP");
        /// Longest bulk string in a request, and the longest string value.
        proto_max_bulk_len: i64 = 512 << 20, "proto-max-bulk-len" => Memory(1 << 20, ULONG_MAX);
        /// Most bytes of a client's requests that wait to be executed.
        client_query_buffer_limit: u64 = 1 << 30,
            "client-query-buffer-limit" => Memory(1 << 20, ULONG_MAX);
        /// When clients that do not read their replies are closed, for each class of client.
        client_output_buffer_limit: OutputLimits = OutputLimits::DEFAULT,
            "client-output-buffer-limit" => Limits;
        /// Memory of all clients together beyond which the largest are closed; 0: no limit.
        maxmemory_clients: BytesOrPercent = BytesOrPercent::Bytes(0),
            "maxmemory-clients" => MemoryOrPercent;
        /// Port for RDMA; 0 for none.
        rdma_port: u16 = 0, "rdma-port" => Int(0, 65535), unsupported_unless_default("RDMA");
        /// Addresses for RDMA.
        rdma_bind: Vec<ByteString> = Vec::new(), "rdma-bind" => Addresses,
            unsupported_unless_default("RDMA");
        /// Receive buffer of an RDMA connection.
        rdma_rx_size: u32 = 1 << 20, "rdma-rx-size" => Int(65536, 16 << 20), immutable,
            ignored("there is no RDMA");
        /// Completion vector of RDMA.
        rdma_completion_vector: i32 = -1, "rdma-completion-vector" => Int(-1, 1024), immutable,
            ignored("there is no RDMA");
    }

    group "General" {
        /// Run in the background.
        daemonize: bool = false, "daemonize" => Bool, immutable;
        /// Tell a supervisor when the server is ready.
        supervised: Supervised = Supervised::No, "supervised" => Word, immutable;
        /// File that holds the process id while the server runs.
        pidfile: ByteString = ByteString::new(), "pidfile" => ANY, immutable;
        /// Least important kind of message that is logged.
        loglevel: LogLevel = LogLevel::Notice, "loglevel" => Word;
        /// File for the log; empty for standard output.
        logfile: ByteString = ByteString::new(), "logfile" => ANY, immutable;
        /// Form of a log line.
        log_format: LogFormat = LogFormat::Legacy, "log-format" => Word;
        /// Form of the time in a log line.
        log_timestamp_format: LogTimestamp = LogTimestamp::Legacy, "log-timestamp-format" => Word;
        /// Leave user data out of the log.
        hide_user_data_from_log: bool = true, "hide-user-data-from-log" => Bool,
            ignored("the log holds no user data");
        /// Also send the log to syslog.
        syslog_enabled: bool = false, "syslog-enabled" => Bool, immutable;
        /// Name of the program in syslog.
        syslog_ident: ByteString = "redix".into(), "syslog-ident" => ANY, immutable;
        /// Facility used in syslog.
        syslog_facility: SyslogFacility = SyslogFacility::Local0,
            "syslog-facility" => Word, immutable;
        /// Write a report to the log when the server crashes.
        crash_log_enabled: bool = true, "crash-log-enabled" => Bool;
        /// Test the memory after a crash.
        crash_memcheck_enabled: bool = true, "crash-memcheck-enabled" => Bool,
            ignored("a crash ends the process at once");
        /// Dump core where the real servers would exit.
        use_exit_on_panic: bool = false, "use-exit-on-panic" => Bool, immutable, hidden,
            ignored("a panic aborts as the failure policy says");
        /// Number of databases.
        databases: u32 = 16, "databases" => Int(1, INT_MAX), immutable;
        /// Show the logo in the log even when it is not a terminal.
        always_show_logo: bool = false, "always-show-logo" => Bool, immutable;
        /// Show what the server does in its process title.
        set_proc_title: bool = true, "set-proc-title" => Bool, immutable;
        /// The process title, with {title}, {listen-addr}, {server-mode}, {port}, {tls-port},
        /// {unixsocket} and {config-file} filled in.
        proc_title_template: ByteString = "{title} {listen-addr} {server-mode}".into(),
            "proc-title-template" => TITLE;
        /// Locale for sorting text with SORT ALPHA.
        locale_collate: ByteString = ByteString::new(), "locale-collate" => ANY,
            unsupported_unless_default("locales");
        /// Warnings that do not stop the start, by name.
        ignore_warnings: ByteString = ByteString::new(), "ignore-warnings" => ANY,
            ignored("no warning stops the start");
        /// Switch transparent huge pages off for the process.
        disable_thp: bool = true, "disable-thp" => Bool, immutable,
            ignored("nothing is copied on write after a fork");
        /// Name of the zone this server runs in, told to clients.
        availability_zone: ByteString = ByteString::new(), "availability-zone" => Binary;
        /// Report as Redis to clients that insist on it.
        extended_redis_compatibility: bool = false, "extended-redis-compatibility" => Bool,
            ignored("Redix always reports a Redis version");
        /// Text that a debugger may look for.
        debug_context: ByteString = ByteString::new(), "debug-context" => ANY, immutable, hidden,
            ignored("it is a note to a debugger");
    }

    group "Threads and timing" {
        /// Worker threads; 0 for as many as there are cores.
        worker_threads: usize = 0, "worker-threads" => Int(0, 256), fixed, alias("io-threads");
        /// How workers read and write sockets: one call for each (epoll), or one for all of a turn
        /// (uring: io_uring). `auto` is uring where the kernel permits it, else epoll.
        io_backend: IoBackend = IoBackend::Auto, "io-backend" => Word, fixed;
        /// Whether further threads read requests.
        io_threads_do_reads: bool = false, "io-threads-do-reads" => Bool, immutable, hidden,
            ignored("every worker reads");
        /// Runs of the periodic work in a second.
        hz: u32 = 10, "hz" => Clamped(1, 500);
        /// Raise the rate of the periodic work with the number of clients.
        dynamic_hz: bool = true, "dynamic-hz" => Bool,
            ignored("periodic work is spread over the workers");
        /// Keys prefetched together.
        prefetch_batch_max_size: u32 = 16, "prefetch-batch-max-size" => Int(0, 128),
            ignored("the batch is as large as what was read");
        /// Threads from which on long replies are not copied.
        min_io_threads_avoid_copy_reply: u32 = 7,
            "min-io-threads-avoid-copy-reply" => Int(0, INT_MAX), hidden, ignored(COPIED);
        /// Strings of so many bytes are not copied into replies.
        min_string_size_avoid_copy_reply: u32 = 16_384,
            "min-string-size-avoid-copy-reply" => Int(0, INT_MAX), hidden, ignored(COPIED);
        /// The same with several threads.
        min_string_size_avoid_copy_reply_threaded: u32 = 65_536,
            "min-string-size-avoid-copy-reply-threaded" => Int(0, INT_MAX), hidden,
            ignored(COPIED);
        /// Let further threads poll even without work.
        io_threads_always_active: bool = false, "io-threads-always-active" => Bool, hidden,
            ignored("every worker is active");
        /// Let idle time go into growing the hash tables.
        activerehashing: bool = true, "activerehashing" => Bool,
            ignored("tables grow one bucket at a time");
        /// Cores for the server's threads.
        server_cpulist: ByteString = ByteString::new(), "server-cpulist" => ANY, immutable,
            alias("server_cpulist"), unsupported_unless_default("pinning to cores");
        /// Cores for background threads.
        bio_cpulist: ByteString = ByteString::new(), "bio-cpulist" => ANY, immutable,
            alias("bio_cpulist"), unsupported_unless_default("pinning to cores");
        /// Cores for the rewrite of the append-only file.
        aof_rewrite_cpulist: ByteString = ByteString::new(), "aof-rewrite-cpulist" => ANY, immutable,
            alias("aof_rewrite_cpulist"), unsupported_unless_default("pinning to cores");
        /// Cores for background saves.
        bgsave_cpulist: ByteString = ByteString::new(), "bgsave-cpulist" => ANY, immutable,
            alias("bgsave_cpulist"), unsupported_unless_default("pinning to cores");
        /// Run the commands of vector sets on one thread, as Redis 8 has it.
        vset_force_single_threaded_execution: bool = false,
            "vset-force-single-threaded-execution" => Bool, ignored("there are no vector sets");
        /// Tell the kernel which process to end first when memory runs out.
        oom_score_adj: OomScoreAdj = OomScoreAdj::No, "oom-score-adj" => Word;
        /// The scores for a primary, a replica and background work.
        oom_score_adj_values: [i32; 3] = [0, 200, 800], "oom-score-adj-values" => OomValues;
        /// Period in milliseconds of a watchdog that logs where the server hangs; 0: none.
        watchdog_period: u32 = 0, "watchdog-period" => Int(0, INT_MAX), hidden,
            ignored("it is a debugging aid");
    }

    group "Snapshots" {
        /// Save in the background after so many seconds with so many changes.
        save: Vec<(u64, u64)> = vec![(3600, 1), (300, 100), (60, 10_000)],
            "save" => SavePoints, cumulative;
        /// Refuse writes after a background save has failed.
        stop_writes_on_bgsave_error: bool = true, "stop-writes-on-bgsave-error" => Bool;
        /// Compress long strings in snapshots.
        rdbcompression: bool = true, "rdbcompression" => Bool;
        /// End snapshots with a checksum, and verify it when loading.
        rdbchecksum: bool = true, "rdbchecksum" => Bool, immutable;
        /// Format of the snapshots written: 11 for Redis 7.2 and Valkey 8, 10 for Redis 7.0, 12 for
        /// Redis 8, 80 for Valkey 9. Fields of hashes that have an expiry need one of the last two: a
        /// snapshot that contains any is written as 80 where an older one is configured.
        rdb_version: WriteVersion = WriteVersion::V11, "rdb-version" => Word;
        /// How strictly the version of a snapshot is taken when loading.
        rdb_version_check: RdbVersionCheck = RdbVersionCheck::Strict, "rdb-version-check" => Word;
        /// Check loaded and restored values in depth.
        sanitize_dump_payload: SanitizePayload = SanitizePayload::No,
            "sanitize-dump-payload" => Word, ignored("every payload is checked");
        /// File name of the snapshot, inside the working directory.
        dbfilename: ByteString = "dump.rdb".into(), "dbfilename" => FILE_NAME, protected;
        /// Working directory: snapshots are written there.
        dir: ByteString = ".".into(), "dir" => ANY, protected, not_while_loading;
        /// Delete snapshots that were used for replication only.
        rdb_del_sync_files: bool = false, "rdb-del-sync-files" => Bool;
        /// Sync snapshots to disk while they are written rather than at the end.
        rdb_save_incremental_fsync: bool = true, "rdb-save-incremental-fsync" => Bool;
        /// Memory for values that change during a snapshot; beyond it they go to a file.
        snapshot_buffer_limit: u64 = 64 << 20,
            "snapshot-buffer-limit" => Memory(1 << 20, ULONG_MAX);
        /// Pause between keys while saving, in microseconds; for tests.
        rdb_key_save_delay: i32 = 0, "rdb-key-save-delay" => Int(-INT_MAX - 1, INT_MAX), hidden;
        /// Pause between keys while loading, in microseconds; for tests.
        key_load_delay: i32 = 0, "key-load-delay" => Int(-INT_MAX - 1, INT_MAX), hidden;
        /// Bytes loaded between two looks at what clients want.
        loading_process_events_interval_bytes: u64 = 2_097_152,
            "loading-process-events-interval-bytes" => Int(1024, INT_MAX), hidden,
            ignored("clients are served beside the loading");
    }

    group "Append-only file" {
        /// Log every write to a file.
        appendonly: bool = false, "appendonly" => Bool, not_while_loading;
        /// Base name of the append-only files.
        appendfilename: ByteString = "appendonly.aof".into(),
            "appendfilename" => AOF_FILE_NAME, immutable;
        /// Directory of the append-only files, inside the working directory.
        appenddirname: ByteString = "appendonlydir".into(), "appenddirname" => AOF_DIR_NAME, immutable;
        /// When the append-only file is synced to disk.
        appendfsync: AppendFsync = AppendFsync::EverySec, "appendfsync" => Word;
        /// Do not sync while a rewrite or snapshot runs.
        no_appendfsync_on_rewrite: bool = false,
            "no-appendfsync-on-rewrite" => Bool;
        /// Growth in per cent after which the append-only file is rewritten; 0: never.
        auto_aof_rewrite_percentage: u32 = 100, "auto-aof-rewrite-percentage" => Int(0, INT_MAX);
        /// Size below which the append-only file is not rewritten.
        auto_aof_rewrite_min_size: u64 = 64 << 20,
            "auto-aof-rewrite-min-size" => Memory(0, ULONG_MAX);
        /// Load an append-only file that ends in the middle of a command.
        aof_load_truncated: bool = true, "aof-load-truncated" => Bool;
        /// Load an append-only file that is damaged in its last bytes, at most this many.
        aof_load_corrupt_tail_max_size: u64 = 0,
            "aof-load-corrupt-tail-max-size" => Memory(0, ULONG_MAX);
        /// Begin the append-only file with a snapshot.
        aof_use_rdb_preamble: bool = true, "aof-use-rdb-preamble" => Bool;
        /// Write times into the append-only file.
        aof_timestamp_enabled: bool = false, "aof-timestamp-enabled" => Bool;
        /// Sync the append-only file while it is rewritten.
        aof_rewrite_incremental_fsync: bool = true, "aof-rewrite-incremental-fsync" => Bool;
        /// Keep append-only files that are no longer needed.
        aof_disable_auto_gc: bool = false, "aof-disable-auto-gc" => Bool;
        /// Seconds for which files are kept that a rewrite has replaced, so that any moment since
        /// then can be restored; 0: they are removed at once.
        aof_history_keep: u64 = 0, "aof-history-keep" => Int(0, INT_MAX);
    }

    group "Memory" {
        /// Memory that the data may take; 0: no limit.
        maxmemory: u64 = 0, "maxmemory" => Memory(0, u64::MAX);
        /// Which keys are evicted at the limit.
        maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction, "maxmemory-policy" => Word;
        /// Keys looked at for each eviction.
        maxmemory_samples: u32 = 5, "maxmemory-samples" => Int(1, 64);
        /// How much delay eviction may cause, from least to most.
        maxmemory_eviction_tenacity: u32 = 10, "maxmemory-eviction-tenacity" => Int(0, 100);
        /// Memory that the keys of single databases may take, and what is evicted from them beyond:
        /// as `maxmemory-policy` says, if nothing is said. A size of 0 is no limit.
        db_maxmemory: DbLimits = DbLimits::default(), "db-maxmemory" => DbMemory;
        /// How slowly access counters saturate.
        lfu_log_factor: u32 = 10, "lfu-log-factor" => Int(0, INT_MAX);
        /// Minutes after which access counters decrease by one; 0: never.
        lfu_decay_time: u32 = 1, "lfu-decay-time" => Int(0, INT_MAX);
        /// How hard expired keys are searched for.
        active_expire_effort: u32 = 1, "active-expire-effort" => Int(1, 10);
        /// Free evicted values in the background.
        lazyfree_lazy_eviction: bool = true, "lazyfree-lazy-eviction" => Bool;
        /// Free expired values in the background.
        lazyfree_lazy_expire: bool = true, "lazyfree-lazy-expire" => Bool;
        /// Free values that commands overwrite in the background.
        lazyfree_lazy_server_del: bool = true, "lazyfree-lazy-server-del" => Bool;
        /// Treat DEL as UNLINK.
        lazyfree_lazy_user_del: bool = true, "lazyfree-lazy-user-del" => Bool;
        /// Let FLUSHALL and FLUSHDB free in the background unless told SYNC.
        lazyfree_lazy_user_flush: bool = true, "lazyfree-lazy-user-flush" => Bool;
        /// Move data to give back fragmented memory.
        activedefrag: bool = false,
            "activedefrag" => Bool, unsupported_unless_default("active defragmentation");
        /// Fragmentation in bytes below which nothing is moved.
        active_defrag_ignore_bytes: u64 = 100 << 20,
            "active-defrag-ignore-bytes" => Memory(1, ULONG_MAX),
            ignored(NO_ALLOC_TUNING);
        /// Fragmentation in per cent at which moving begins.
        active_defrag_threshold_lower: u32 = 10, "active-defrag-threshold-lower" => Int(0, 1000),
            ignored(NO_ALLOC_TUNING);
        /// Fragmentation in per cent at which most effort is made.
        active_defrag_threshold_upper: u32 = 100, "active-defrag-threshold-upper" => Int(0, 1000),
            ignored(NO_ALLOC_TUNING);
        /// Least share of a core for moving.
        active_defrag_cycle_min: u32 = 1, "active-defrag-cycle-min" => Int(1, 99),
            ignored(NO_ALLOC_TUNING);
        /// Largest share of a core for moving.
        active_defrag_cycle_max: u32 = 25, "active-defrag-cycle-max" => Int(1, 99),
            ignored(NO_ALLOC_TUNING);
        /// Microseconds for one round of moving.
        active_defrag_cycle_us: u32 = 500, "active-defrag-cycle-us" => Int(0, 100_000),
            ignored(NO_ALLOC_TUNING);
        /// Fields of a collection that are moved at once.
        active_defrag_max_scan_fields: u64 = 1000,
            "active-defrag-max-scan-fields" => Int(1, LONG_MAX),
            ignored(NO_ALLOC_TUNING);
        /// Let jemalloc purge in a thread of its own.
        jemalloc_bg_thread: bool = true, "jemalloc-bg-thread" => Bool, ignored(NO_ALLOC_TUNING);
        /// Keep expired keys while data is imported, and let `CLIENT IMPORT-SOURCE` see them.
        import_mode: bool = false, "import-mode" => Bool;
        /// Keys remembered for client-side caching; 0: no limit.
        tracking_table_max_keys: u64 = 1_000_000, "tracking-table-max-keys" => Int(0, LONG_MAX);
        /// Seed of the hash function; empty for a random one. Servers with the same seed hand out
        /// cursors that are good for each other, where SCAN, SSCAN and the like are concerned.
        hash_seed: ByteString = ByteString::new(), "hash-seed" => Binary, immutable, sensitive;
    }

    group "Encodings" {
        /// Most fields of a hash in compact form.
        hash_max_listpack_entries: u64 = 512, "hash-max-listpack-entries" => Int(0, LONG_MAX),
            alias("hash-max-ziplist-entries");
        /// Longest field or value of a hash in compact form.
        hash_max_listpack_value: u64 = 64, "hash-max-listpack-value" => Memory(0, ULONG_MAX),
            alias("hash-max-ziplist-value");
        /// Size of a node of a list: entries if positive, -1 to -5 for 4 to 64 kb.
        list_max_listpack_size: i32 = -2, "list-max-listpack-size" => Int(-INT_MAX - 1, INT_MAX),
            alias("list-max-ziplist-size");
        /// Nodes at each end of a list that are not compressed; 0: none is compressed.
        list_compress_depth: u32 = 0, "list-compress-depth" => Int(0, INT_MAX);
        /// Most members of a set of integers in compact form.
        set_max_intset_entries: u64 = 512, "set-max-intset-entries" => Int(0, LONG_MAX);
        /// Most members of a set in compact form.
        set_max_listpack_entries: u64 = 128, "set-max-listpack-entries" => Int(0, LONG_MAX);
        /// Longest member of a set in compact form.
        set_max_listpack_value: u64 = 64, "set-max-listpack-value" => Int(0, LONG_MAX);
        /// Most members of a sorted set in compact form.
        zset_max_listpack_entries: u64 = 128, "zset-max-listpack-entries" => Int(0, LONG_MAX),
            alias("zset-max-ziplist-entries");
        /// Longest member of a sorted set in compact form.
        zset_max_listpack_value: u64 = 64, "zset-max-listpack-value" => Memory(0, ULONG_MAX),
            alias("zset-max-ziplist-value");
        /// Largest sparse HyperLogLog.
        hll_sparse_max_bytes: u64 = 3000, "hll-sparse-max-bytes" => Memory(0, ULONG_MAX);
        /// Largest node of a stream in bytes; 0: no limit.
        stream_node_max_bytes: u64 = 4096, "stream-node-max-bytes" => Memory(0, ULONG_MAX);
        /// Most entries in a node of a stream; 0: no limit.
        stream_node_max_entries: u64 = 100, "stream-node-max-entries" => Int(0, LONG_MAX);
        /// Seconds for which a stream knows the identifiers of producers (IDMP), from its first one
        /// on; XCFGSET changes it.
        stream_idmp_duration: u32 = 100, "stream-idmp-duration" => Int(1, 86_400);
        /// Most identifiers of a producer that a stream knows, from its first one on; XCFGSET
        /// changes it.
        stream_idmp_maxsize: u32 = 100, "stream-idmp-maxsize" => Int(1, 10_000);
    }

    group "Security" {
        /// Password of the default user; empty for none.
        requirepass: ByteString = ByteString::new(), "requirepass" => Binary, sensitive;
        /// File that holds the users.
        aclfile: ByteString = ByteString::new(), "aclfile" => ANY, immutable;
        /// Microseconds for which a busy worker polls for requests before it sleeps, at most; 0: it
        /// does not poll. It polls for as long as requests usually take to come, and not at all where
        /// sleeping costs less.
        busy_poll_max_us: u32 = 50, "busy-poll-max-us" => Int(0, 1000);
        /// Entries that the log of denied commands keeps.
        acllog_max_len: u64 = 128, "acllog-max-len" => Int(0, LONG_MAX);
        /// Milliseconds after which a client is closed that has not authenticated, where it has to, or
        /// has not finished its TLS handshake; 0: never. It is noticed within a second.
        client_handshake_timeout_ms: u32 = 60_000, "client-handshake-timeout-ms" => Int(0, INT_MAX);
        /// Milliseconds that the reply to a failed authentication is held back; until then the
        /// connection is not served. In a transaction it is closed instead.
        auth_fail_delay_ms: u32 = 0, "auth-fail-delay-ms" => Int(0, 60_000);
        /// As a primary send the users, and every change of them, to replicas; as a replica adopt
        /// them. Such a server synchronises fully after a restart.
        acl_replicate: bool = false, "acl-replicate" => Bool;
        /// File that authentications, denied calls and the commands of administrators are appended
        /// to, as lines of JSON; empty for none.
        audit_log_file: ByteString = ByteString::new(), "audit-log-file" => ANY, protected;
        /// Channels that a new user may use.
        acl_pubsub_default: PubsubDefault = PubsubDefault::ResetChannels,
            "acl-pubsub-default" => Word;
        /// Who may set directives that can make the server write files elsewhere.
        enable_protected_configs: Guard = Guard::No, "enable-protected-configs" => Word, immutable;
        /// Who may use DEBUG.
        enable_debug_command: Guard = Guard::No, "enable-debug-command" => Word, immutable;
        /// Check invariants at run time; for tests.
        enable_debug_assert: bool = false, "enable-debug-assert" => Bool, immutable, hidden,
            ignored("the checks are those of another server");
        /// Who may use MODULE.
        enable_module_command: Guard = Guard::No, "enable-module-command" => Word, immutable,
            ignored("there are no modules");
    }

    group "Introspection" {
        /// Microseconds from which a command is logged as slow; 0: all, -1: none.
        slowlog_log_slower_than: i64 = 10_000, "slowlog-log-slower-than" => Int(-1, LONG_MAX),
            alias("commandlog-execution-slower-than");
        /// Entries that the log of slow commands keeps.
        slowlog_max_len: usize = 128, "slowlog-max-len" => Int(0, LONG_MAX),
            alias("commandlog-slow-execution-max-len");
        /// Bytes from which a request is logged as large; -1: none.
        commandlog_request_larger_than: i64 = 1 << 20,
            "commandlog-request-larger-than" => Int(-1, LONG_MAX);
        /// Entries that the log of large requests keeps.
        commandlog_large_request_max_len: usize = 128,
            "commandlog-large-request-max-len" => Int(0, LONG_MAX);
        /// Bytes from which a reply is logged as large; -1: none.
        commandlog_reply_larger_than: i64 = 1 << 20,
            "commandlog-reply-larger-than" => Int(-1, LONG_MAX);
        /// Entries that the log of large replies keeps.
        commandlog_large_reply_max_len: usize = 128,
            "commandlog-large-reply-max-len" => Int(0, LONG_MAX);
        /// Milliseconds from which an event enters LATENCY's history; 0: none.
        latency_monitor_threshold: u64 = 0, "latency-monitor-threshold" => Int(0, LONG_MAX);
        /// Measure the latency of each command.
        latency_tracking: bool = true, "latency-tracking" => Bool;
        /// Percentiles of latency that INFO shows.
        latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],
            "latency-tracking-info-percentiles" => Percentiles;
        /// Classes of events in the keyspace that are published.
        notify_keyspace_events: u32 = 0, "notify-keyspace-events" => Notify;
    }

    group "Shutdown" {
        /// Seconds to wait at shutdown for replicas that lag.
        shutdown_timeout: u32 = 10, "shutdown-timeout" => Int(0, INT_MAX);
        /// How SIGINT shuts the server down.
        shutdown_on_sigint: ShutdownOn = ShutdownOn::default(),
            "shutdown-on-sigint" => ShutdownWords;
        /// How SIGTERM shuts the server down.
        shutdown_on_sigterm: ShutdownOn = ShutdownOn::default(),
            "shutdown-on-sigterm" => ShutdownWords;
    }

    group "Replication" {
        /// Be a replica of this server.
        replicaof: Option<(ByteString, u16)> = None,
            "replicaof" => HostPort, immutable, alias("slaveof");
        /// User name for the primary.
        masteruser: ByteString = ByteString::new(), "masteruser" => ANY, sensitive, alias("primaryuser");
        /// Password for the primary.
        masterauth: ByteString = ByteString::new(), "masterauth" => Binary, sensitive, alias("primaryauth");
        /// Answer from old data while the primary cannot be reached.
        replica_serve_stale_data: bool = true, "replica-serve-stale-data" => Bool,
            alias("slave-serve-stale-data");
        /// Refuse writes on a replica.
        replica_read_only: bool = true, "replica-read-only" => Bool, alias("slave-read-only");
        /// Address that a replica tells its primary.
        replica_announce_ip: ByteString = ByteString::new(), "replica-announce-ip" => ANY,
            alias("slave-announce-ip");
        /// Port that a replica tells its primary.
        replica_announce_port: u16 = 0, "replica-announce-port" => Int(0, 65535),
            alias("slave-announce-port");
        /// Let Sentinel know about this replica.
        replica_announced: bool = true, "replica-announced" => Bool;
        /// Rank for promotion: the lowest first, 0: never.
        replica_priority: u32 = 100, "replica-priority" => Int(0, INT_MAX), alias("slave-priority");
        /// Leave eviction on a replica to its primary.
        replica_ignore_maxmemory: bool = true, "replica-ignore-maxmemory" => Bool,
            alias("slave-ignore-maxmemory");
        /// Whether a replica whose link comes back by itself refuses a data set that would wipe out
        /// its own: an empty one (yes), or one of less history too (strict).
        replica_protect: ReplicaProtect = ReplicaProtect::Yes, "replica-protect" => Word;
        /// Free the old data of a replica in the background before a full synchronisation.
        replica_lazy_flush: bool = true, "replica-lazy-flush" => Bool, alias("slave-lazy-flush");
        /// Let a replica go on where its disk fails.
        replica_ignore_disk_write_errors: bool = false, "replica-ignore-disk-write-errors" => Bool,
            ignored("a replica goes on where its disk fails");
        /// What a replica does when a command of its primary fails.
        propagation_error_behavior: PropagationError = PropagationError::Ignore,
            "propagation-error-behavior" => Word,
            ignored("what cannot be applied is fetched anew");
        /// Bytes of the stream that are kept for replicas that come back.
        repl_backlog_size: u64 = 10 << 20, "repl-backlog-size" => MemoryFloor(16 << 10);
        /// Seconds after the last replica for which the stream is kept; 0: forever.
        repl_backlog_ttl: u64 = 3600, "repl-backlog-ttl" => Int(0, LONG_MAX);
        /// Save bandwidth rather than time on replication links.
        repl_disable_tcp_nodelay: bool = false,
            "repl-disable-tcp-nodelay" => Bool;
        /// Stream a full synchronisation without a file.
        repl_diskless_sync: bool = true, "repl-diskless-sync" => Bool;
        /// Seconds to wait for further replicas before a full synchronisation.
        repl_diskless_sync_delay: u32 = 5, "repl-diskless-sync-delay" => Int(0, INT_MAX);
        /// Replicas at which that wait ends; 0: it does not.
        repl_diskless_sync_max_replicas: u32 = 0,
            "repl-diskless-sync-max-replicas" => Int(0, INT_MAX);
        /// How a replica loads a full synchronisation.
        repl_diskless_load: DisklessLoad = DisklessLoad::Disabled, "repl-diskless-load" => Word,
            not_while_loading;
        /// Send a full synchronisation and the stream over two connections to replicas that can
        /// receive them so; as a replica, receive them so from a primary that can.
        dual_channel_replication_enabled: bool = false, "dual-channel-replication-enabled" => Bool;
        /// What a replica keeps of the stream while it receives and loads a full synchronisation over
        /// two connections, as Redis 8 has it; 0 for the hard output limit of replicas.
        replica_full_sync_buffer_limit: u64 = 0,
            "replica-full-sync-buffer-limit" => Memory(0, ULONG_MAX);
        /// Bytes on disk for what replicas fall behind while they are synchronised, instead of
        /// closing them at their output limit; 0: they are closed.
        repl_spill_max: u64 = 1 << 30, "repl-spill-max" => Memory(0, ULONG_MAX);
        /// Use multipath TCP for replication.
        repl_mptcp: bool = false, "repl-mptcp" => Bool, immutable,
            ignored("links use plain TCP");
        /// Seconds between the pings of a primary.
        repl_ping_replica_period: u32 = 10, "repl-ping-replica-period" => Int(1, INT_MAX),
            alias("repl-ping-slave-period");
        /// Seconds of silence after which a replication link counts as broken.
        repl_timeout: u32 = 60, "repl-timeout" => Int(1, INT_MAX);
        /// Replicas without which writes are refused; 0: none needed.
        min_replicas_to_write: u32 = 0, "min-replicas-to-write" => Int(0, INT_MAX),
            alias("min-slaves-to-write");
        /// Seconds of lag up to which a replica counts for that.
        min_replicas_max_lag: u32 = 10, "min-replicas-max-lag" => Int(0, INT_MAX),
            alias("min-slaves-max-lag");
    }

    group "Scripts" {
        /// Milliseconds after which other clients are told that a script is busy; 0: never.
        busy_reply_threshold: u64 = 5000, "busy-reply-threshold" => Int(0, LONG_MAX),
            alias("lua-time-limit");
        /// Let scripts use functions that are no longer recommended.
        lua_enable_deprecated_api: bool = false,
            "lua-enable-deprecated-api" => Bool, immutable, hidden,
            ignored(NOT_OFFERED);
        /// Let scripts use functions that are not safe.
        lua_enable_insecure_api: bool = false, "lua-enable-insecure-api" => Bool, hidden,
            ignored(NOT_OFFERED);
    }

    group "TLS" {
        /// TLS port for clients; 0 for none.
        tls_port: u16 = 0, "tls-port" => Int(0, 65535);
        /// TLS connections accepted in one turn of a worker.
        max_new_tls_connections_per_cycle: u32 = 1,
            "max-new-tls-connections-per-cycle" => Int(1, 1000), ignored(BY_TIME);
        /// Certificate of the server.
        tls_cert_file: ByteString = ByteString::new(), "tls-cert-file" => ANY;
        /// Key of the server.
        tls_key_file: ByteString = ByteString::new(), "tls-key-file" => ANY;
        /// Password of the key.
        tls_key_file_pass: ByteString = ByteString::new(),
            "tls-key-file-pass" => ANY, sensitive;
        /// Certificate for outgoing connections.
        tls_client_cert_file: ByteString = ByteString::new(),
            "tls-client-cert-file" => ANY;
        /// Key for outgoing connections.
        tls_client_key_file: ByteString = ByteString::new(), "tls-client-key-file" => ANY;
        /// Password of the key for outgoing connections.
        tls_client_key_file_pass: ByteString = ByteString::new(),
            "tls-client-key-file-pass" => ANY, sensitive;
        /// Diffie-Hellman parameters.
        tls_dh_params_file: ByteString = ByteString::new(), "tls-dh-params-file" => ANY, ignored(NO_FINITE_FIELDS);
        /// File of trusted authorities.
        tls_ca_cert_file: ByteString = ByteString::new(), "tls-ca-cert-file" => ANY;
        /// Directory of trusted authorities.
        tls_ca_cert_dir: ByteString = ByteString::new(), "tls-ca-cert-dir" => ANY;
        /// Whether clients must present a certificate.
        tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes,
            "tls-auth-clients" => Word;
        /// Which field of a certificate names the user.
        tls_auth_clients_user: TlsAuthClientsUser = TlsAuthClientsUser::Off,
            "tls-auth-clients-user" => Word;
        /// Use TLS towards the primary.
        tls_replication: bool = false, "tls-replication" => Bool;
        /// Use TLS towards the targets of MIGRATE, and between cluster nodes.
        tls_cluster: bool = false, "tls-cluster" => Bool;
        /// Versions of TLS that are offered.
        tls_protocols: ByteString = ByteString::new(), "tls-protocols" => ANY;
        /// Ciphers up to TLS 1.2.
        tls_ciphers: ByteString = ByteString::new(), "tls-ciphers" => ANY;
        /// Ciphers of TLS 1.3.
        tls_ciphersuites: ByteString = ByteString::new(), "tls-ciphersuites" => ANY;
        /// Prefer the server's order of ciphers.
        tls_prefer_server_ciphers: bool = false,
            "tls-prefer-server-ciphers" => Bool;
        /// Let clients resume sessions.
        tls_session_caching: bool = true, "tls-session-caching" => Bool;
        /// Sessions that are remembered; 0: no limit.
        tls_session_cache_size: u32 = 20 << 10, "tls-session-cache-size" => Int(0, INT_MAX);
        /// Seconds for which a session is remembered.
        tls_session_cache_timeout: u32 = 300, "tls-session-cache-timeout" => Int(0, INT_MAX);
        /// Seconds between looks at changed certificates; 0: never.
        tls_auto_reload_interval: u32 = 0,
            "tls-auto-reload-interval" => Int(0, INT_MAX);
    }

    group "Cluster" {
        /// Be a node of a cluster.
        cluster_enabled: bool = false, "cluster-enabled" => Bool, immutable,
            unsupported_unless_default("cluster mode");
        /// File in which a node keeps its view of the cluster.
        cluster_config_file: ByteString = "nodes.conf".into(), "cluster-config-file" => ANY, immutable,
            ignored(NO_CLUSTER);
        /// What happens when that file cannot be written.
        cluster_config_save_behavior: ClusterSave = ClusterSave::Sync,
            "cluster-config-save-behavior" => Word, ignored(NO_CLUSTER);
        /// Databases in cluster mode.
        cluster_databases: u32 = 1, "cluster-databases" => Int(1, INT_MAX), immutable,
            ignored(NO_CLUSTER);
        /// Milliseconds of silence after which a node counts as failing.
        cluster_node_timeout: u64 = 15_000, "cluster-node-timeout" => Int(0, LONG_MAX),
            ignored(NO_CLUSTER);
        /// Port of the cluster bus; 0: that of the clients plus 10000.
        cluster_port: u16 = 0, "cluster-port" => Int(0, 65535), immutable, ignored(NO_CLUSTER);
        /// Milliseconds between pings on the bus; 0: the built-in pace.
        cluster_ping_interval: u32 = 0, "cluster-ping-interval" => Int(0, INT_MAX), hidden,
            ignored(NO_CLUSTER);
        /// How old a replica's data may be for it to take over.
        cluster_replica_validity_factor: u32 = 10,
            "cluster-replica-validity-factor" => Int(0, INT_MAX),
            alias("cluster-slave-validity-factor"), ignored(NO_CLUSTER);
        /// Replicas that a primary keeps when others migrate.
        cluster_migration_barrier: u32 = 1, "cluster-migration-barrier" => Int(0, INT_MAX),
            ignored(NO_CLUSTER);
        /// Let replicas move to primaries that have none.
        cluster_allow_replica_migration: bool = true, "cluster-allow-replica-migration" => Bool,
            ignored(NO_CLUSTER);
        /// Refuse queries while a slot has no owner.
        cluster_require_full_coverage: bool = true, "cluster-require-full-coverage" => Bool,
            ignored(NO_CLUSTER);
        /// Never take over from a primary without being asked.
        cluster_replica_no_failover: bool = false, "cluster-replica-no-failover" => Bool,
            alias("cluster-slave-no-failover"), ignored(NO_CLUSTER);
        /// Answer reads while the cluster is down.
        cluster_allow_reads_when_down: bool = false, "cluster-allow-reads-when-down" => Bool,
            ignored(NO_CLUSTER);
        /// Deliver sharded messages while the cluster is down.
        cluster_allow_pubsubshard_when_down: bool = true,
            "cluster-allow-pubsubshard-when-down" => Bool,
            ignored(NO_CLUSTER);
        /// Memory for what waits to be sent to one node; 0: no limit.
        cluster_link_sendbuf_limit: u64 = 0, "cluster-link-sendbuf-limit" => Memory(0, ULONG_MAX),
            ignored(NO_CLUSTER);
        /// Address told to other nodes and clients.
        cluster_announce_ip: ByteString = ByteString::new(),
            "cluster-announce-ip" => NODE_ADDRESS, ignored(NO_CLUSTER);
        /// Port told to other nodes and clients.
        cluster_announce_port: u16 = 0,
            "cluster-announce-port" => Int(0, 65535), ignored(NO_CLUSTER);
        /// TLS port told to other nodes and clients.
        cluster_announce_tls_port: u16 = 0, "cluster-announce-tls-port" => Int(0, 65535),
            ignored(NO_CLUSTER);
        /// Bus port told to other nodes.
        cluster_announce_bus_port: u16 = 0, "cluster-announce-bus-port" => Int(0, 65535),
            ignored(NO_CLUSTER);
        /// Port told to clients only.
        cluster_announce_client_port: u16 = 0, "cluster-announce-client-port" => Int(0, 65535),
            ignored(NO_CLUSTER);
        /// TLS port told to clients only.
        cluster_announce_client_tls_port: u16 = 0,
            "cluster-announce-client-tls-port" => Int(0, 65535),
            ignored(NO_CLUSTER);
        /// IPv4 address told to clients only.
        cluster_announce_client_ipv4: ByteString = ByteString::new(),
            "cluster-announce-client-ipv4" => IPV4,
            ignored(NO_CLUSTER);
        /// IPv6 address told to clients only.
        cluster_announce_client_ipv6: ByteString = ByteString::new(),
            "cluster-announce-client-ipv6" => IPV6,
            ignored(NO_CLUSTER);
        /// Host name told to other nodes and clients.
        cluster_announce_hostname: ByteString = ByteString::new(), "cluster-announce-hostname" => HOST_NAME,
            ignored(NO_CLUSTER);
        /// Name of the node in logs.
        cluster_announce_human_nodename: ByteString = ByteString::new(),
            "cluster-announce-human-nodename" => NODE_NAME, ignored(NO_CLUSTER);
        /// What clients are told to connect to.
        cluster_preferred_endpoint_type: EndpointType = EndpointType::Ip,
            "cluster-preferred-endpoint-type" => Word, ignored(NO_CLUSTER);
        /// Seconds for which a forgotten node is not let in again.
        cluster_blacklist_ttl: i64 = 60,
            "cluster-blacklist-ttl" => Int(i64::MIN, LONG_MAX), ignored(NO_CLUSTER);
        /// Milliseconds that a failover by hand may take.
        cluster_manual_failover_timeout: u32 = 5000,
            "cluster-manual-failover-timeout" => Int(1, INT_MAX),
            ignored(NO_CLUSTER);
        /// Keep statistics of each slot.
        cluster_slot_stats_enabled: bool = false, "cluster-slot-stats-enabled" => Bool,
            ignored(NO_CLUSTER);
        /// Share of the commands, in per cent, that Redis 8 checks for what a cluster would refuse.
        cluster_compatibility_sample_ratio: u8 = 0,
            "cluster-compatibility-sample-ratio" => Int(0, 100), ignored(NO_CLUSTER);
        /// Entries that the log of slot migrations keeps.
        cluster_slot_migration_log_max_len: u64 = 1000,
            "cluster-slot-migration-log-max-len" => Int(0, LONG_MAX), ignored(NO_CLUSTER);
        /// Bytes that may be missing when a slot changes its owner.
        slot_migration_max_failover_repl_bytes: i64 = 0,
            "slot-migration-max-failover-repl-bytes" => SignedMemory(-1), ignored(NO_CLUSTER);
    }
}
