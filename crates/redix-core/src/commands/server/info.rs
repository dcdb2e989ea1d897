//! INFO: facts and counters for operators and clients.
//!
//! The sections and fields are those of Valkey 8. A field of a missing feature has the value of a
//! server where the feature is unused; docs/info.md lists those with the reason.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::channel::Kind;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::config::{REDIS_VERSION, Shown};
use crate::engine::Engine;
use crate::env::Resident;
use crate::error::CommandResult;
use crate::keyspace::SHARDS;
use crate::pause::Paused;
use crate::registry::{AwaitedKey, ClientShared, client_flag};
use crate::stats::{CallStats, Totals, latency_bucket_end_ns};
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::lock;

/// Command: INFO.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("info", Group::Server, -1, info)
    .flags(flag::LOADING | flag::STALE | flag::SENTINEL)
    .acl(acl::DANGEROUS)
    .walk()
    .doc("Returns facts and statistics about the server.")
    .history(&[("7.0.0", "Several sections may be asked for.")])
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .args(&[ArgSpec::new("section", ArgKind::String).optional().multiple()])];

/// When a section is shown without being named.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// By default.
    Default,
    /// By default, where there are limits of databases or users.
    Limited,
    /// With `all` or `everything`.
    All,
    Never,
}

/// A section: its name, when it is shown, and its writer.
type Section = (&'static str, When, fn(&Facts<'_>, &mut String));

const SECTIONS: &[Section] = &[
    ("Server", When::Default, server),
    ("TLS", When::All, tls),
    ("Clients", When::Default, clients),
    ("Memory", When::Default, memory),
    ("Persistence", When::Default, persistence),
    ("Stats", When::Default, stats),
    ("Replication", When::Default, replication::write),
    ("CPU", When::Default, cpu),
    ("Modules", When::Default, nothing),
    ("Commandstats", When::All, command_stats),
    ("Errorstats", When::Default, error_stats),
    ("Latencystats", When::All, latency_stats),
    ("Cluster", When::Default, cluster),
    ("Keyspace", When::Default, keyspace),
    ("Quotas", When::Limited, quotas::write),
    ("Debug", When::Never, debug),
];

/// What the section writers read.
struct Facts<'a> {
    engine: &'a Engine,
    config: &'a crate::config::Config,
    totals: Totals,
    now_us: i64,
    /// Bytes in use before the command used any.
    used: u64,
    /// Bytes of the tables, without entries; 0 unless the memory section is shown.
    table_bytes: u64,
    /// Mean time to live in milliseconds by database, of a sample; empty unless the keyspace
    /// section is shown.
    avg_ttl_ms: Vec<i64>,
}

/// Appends a line `name:value`.
macro_rules! field {
    ($out:expr, $name:literal, $($value:tt)+) => {
        {
            $out.push_str(concat!($name, ":"));
            // Writing to a string cannot fail.
            write!($out, $($value)+).ok();
            $out.push_str("\r\n");
        }
    };
}

mod quotas;
mod replication;

/// `INFO [section ...]` -> verbatim text. Unknown sections are omitted.
fn info(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let used = cx.engine.env.memory.used_bytes();
    let asked = |name: &str| args.iter_from(1).any(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
    let default = args.len() == 1 || asked("default");
    let all = asked("all") || asked("everything");
    let limited = if quotas::any(cx.engine, cx.config) { When::Default } else { When::Never };
    let is_shown = |name: &str, when: When| {
        let when = if when == When::Limited { limited } else { when };
        (all && when != When::Never) || (default && when == When::Default) || asked(name)
    };
    let shown = |name: &str| is_shown(name, When::Default);
    let table_bytes = if shown("memory") { table_bytes(cx) } else { 0 };
    let avg_ttl_ms = if shown("keyspace") { average_ttls(cx) } else { Vec::new() };
    let facts = Facts {
        engine: cx.engine,
        config: cx.config,
        used,
        totals: cx.engine.stats.totals(),
        now_us: cx.now_us,
        table_bytes,
        avg_ttl_ms,
    };
    let mut out = String::with_capacity(8192);
    for (name, when, write_section) in SECTIONS {
        if is_shown(name, *when) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            out.push_str(&format!("# {name}\r\n"));
            write_section(&facts, &mut out);
        }
    }
    cx.reply.verbatim(b"txt", out.as_bytes());
    Ok(())
}

/// Bytes of the tables of all databases, without entries.
pub fn table_bytes(cx: &mut Ctx<'_, '_>) -> u64 {
    (0..SHARDS)
        .map(|index| {
            let shard = cx.keys.held.shard(index);
            let dbs = (0..shard.db_count()).filter_map(|db| shard.db(db));
            dbs.map(|part| part.table.memory_bytes() as u64).sum::<u64>()
        })
        .sum()
}

/// Keys sampled per database to estimate the time to live.
const TTL_SAMPLES: usize = 64;

/// The mean time to live of a sample of each database's volatile keys.
fn average_ttls(cx: &mut Ctx<'_, '_>) -> Vec<i64> {
    (0..cx.engine.keyspace.databases())
        .map(|db| {
            let mut ttls = Vec::new();
            for index in 0..SHARDS {
                if ttls.len() == TTL_SAMPLES {
                    break;
                }
                if cx.engine.keyspace.expire_count_in(db, index) == 0 {
                    continue;
                }
                let (random, now_ms) = (cx.keys.random(), cx.keys.now_ms);
                let table = cx.keys.held.shard(index).db(db).map(|part| &part.table);
                let at = table
                    .and_then(|table| table.random_marked(random))
                    .and_then(redix_types::EntryRef::expire_at_ms);
                ttls.extend(at.map(|at| (at - now_ms).max(0)));
            }
            ttls.iter().sum::<i64>().checked_div(ttls.len() as i64).unwrap_or(0)
        })
        .collect()
}

fn nothing(_: &Facts<'_>, _: &mut String) {}

/// The text of a directive as CONFIG GET shows it.
fn setting(facts: &Facts<'_>, name: &str) -> String {
    facts.config.get(&[name.as_bytes()]).iter().map(|(_, value)| Shown(value).to_string()).collect()
}

fn server(facts: &Facts<'_>, out: &mut String) {
    let host = facts.engine.env.host.facts();
    let uptime_s = (facts.now_us - facts.engine.started_us) / 1_000_000;
    field!(out, "redis_version", "{REDIS_VERSION}");
    field!(out, "server_name", "redix");
    field!(out, "redix_version", "{}", env!("CARGO_PKG_VERSION"));
    field!(out, "redix_release_stage", "dev");
    field!(out, "redis_git_sha1", "00000000");
    field!(out, "redis_git_dirty", "0");
    field!(out, "redis_build_id", "{}", host.build_id);
    field!(out, "server_mode", "standalone");
    field!(out, "os", "{}", host.os);
    field!(out, "arch_bits", "{}", usize::BITS);
    field!(out, "monotonic_clock", "{}", host.monotonic_clock);
    field!(out, "multiplexing_api", "epoll");
    field!(out, "io_backend", "{}", host.io_backend);
    field!(out, "gcc_version", "0.0.0");
    field!(out, "process_id", "{}", host.pid);
    field!(out, "process_supervised", "{}", setting(facts, "supervised"));
    field!(out, "run_id", "{}", facts.engine.run_id);
    field!(out, "tcp_port", "{}", facts.config.shown_port());
    field!(out, "server_time_usec", "{}", facts.now_us);
    field!(out, "uptime_in_seconds", "{uptime_s}");
    field!(out, "uptime_in_days", "{}", uptime_s / 86_400);
    field!(out, "hz", "{}", facts.config.hz);
    field!(out, "configured_hz", "{}", facts.config.hz);
    field!(out, "clients_hz", "{}", facts.config.hz);
    field!(out, "lru_clock", "{}", (facts.now_us / 1_000_000) & 0x00ff_ffff);
    field!(out, "executable", "{}", host.executable);
    let config_file = facts.engine.config_path().map_or_else(String::new, ToString::to_string);
    field!(out, "config_file", "{config_file}");
    field!(out, "io_threads_active", "{}", u8::from(facts.engine.workers() > 1));
    field!(out, "availability_zone", "{}", facts.config.availability_zone);
    let mut listeners = 0;
    if facts.config.port != 0 {
        field!(out, "listener0", "name=tcp{},port={}", binds(facts), facts.config.port);
        listeners += 1;
    }
    if !facts.config.unixsocket.is_empty() {
        let path = &facts.config.unixsocket;
        write!(out, "listener{listeners}:name=unix,bind={path}\r\n").ok();
        listeners += 1;
    }
    if facts.config.tls_port != 0 {
        let port = facts.config.tls_port;
        write!(out, "listener{listeners}:name=tls{},port={port}\r\n", binds(facts)).ok();
    }
    if let Some(left_ms) = facts.engine.shutdown_in_ms() {
        field!(out, "shutdown_in_milliseconds", "{left_ms}");
    }
}

fn tls(facts: &Facts<'_>, out: &mut String) {
    let used = lock(&facts.engine.certificates).clone();
    let now_s = facts.now_us / 1_000_000;
    for (name, certificate) in
        [("server", used.server), ("client", used.client), ("ca", used.authority)]
    {
        let (serial, left_s) = match certificate {
            Some(shown) => (shown.serial, shown.expires_s - now_s),
            None => ("none".into(), 0),
        };
        write!(out, "tls_{name}_cert_serial:{serial}\r\n").ok();
        write!(out, "tls_{name}_cert_expires_in_seconds:{left_s}\r\n").ok();
    }
}

fn binds(facts: &Facts<'_>) -> String {
    facts.config.bind.iter().map(|address| format!(",bind={address}")).collect()
}

fn clients(facts: &Facts<'_>, out: &mut String) {
    let clients = facts.engine.registry.all();
    let largest = |size: fn(&ClientShared) -> usize| {
        clients.iter().map(|client| size(client)).max().unwrap_or(0)
    };
    let watching = clients.iter().filter(|client| client.watched_keys() > 0).count();
    let watched: u32 = clients.iter().map(|client| client.watched_keys()).sum();
    let blocking = client_flag::HELD | client_flag::BLOCKED;
    let blocked = clients.iter().filter(|client| client.has_flag(blocking)).count();
    let timed = clients.iter().filter(|client| client.waits_until_ms().is_some()).count();
    let replicas = clients.iter().filter(|client| client.has_flag(client_flag::REPLICA)).count();
    let now_ms = facts.now_us / 1000;
    field!(out, "connected_clients", "{}", clients.len() - replicas);
    field!(out, "cluster_connections", "0");
    field!(out, "maxclients", "{}", facts.config.maxclients);
    let recent = facts.engine.recent_buffers.most(facts.now_us / 1_000_000);
    let input = largest(ClientShared::input_memory).max(recent.input);
    field!(out, "client_recent_max_input_buffer", "{input}");
    let output = largest(ClientShared::output_memory).max(recent.output);
    field!(out, "client_recent_max_output_buffer", "{output}");
    field!(out, "blocked_clients", "{blocked}");
    field!(out, "tracking_clients", "{}", facts.engine.tracking.clients());
    let listening = clients.iter().filter(|client| client.has_flag(client_flag::PUBSUB)).count();
    field!(out, "pubsub_clients", "{listening}");
    field!(out, "watching_clients", "{watching}");
    field!(out, "clients_in_timeout_table", "{timed}");
    field!(out, "total_watched_keys", "{watched}");
    let awaited: Vec<AwaitedKey> = clients.iter().flat_map(|one| one.awaited_keys()).collect();
    let keys = |until_gone: bool| {
        let wanted = awaited.iter().filter(|key| !until_gone || key.until_gone);
        wanted.map(|key| (key.db, &key.key)).collect::<BTreeSet<_>>().len()
    };
    field!(out, "total_blocking_keys", "{}", keys(false));
    field!(out, "total_blocking_keys_on_nokey", "{}", keys(true));
    let actions = match facts.engine.pause.at(now_ms) {
        Paused::Nothing => "none",
        Paused::Writes => "write",
        Paused::All => "all",
    };
    let longest = facts.engine.pause.longest(now_ms);
    let (reason, left_ms) = longest.map_or(("none", 0), |(purpose, ms)| (purpose.word(), ms));
    field!(out, "paused_reason", "{reason}");
    field!(out, "paused_actions", "{actions}");
    field!(out, "paused_timeout_milliseconds", "{left_ms}");
}

/// Bytes with a unit, in Redis' format (`1.00M`).
pub fn human(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] =
        &[(1 << 50, "P"), (1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / *unit as f64),
        None => format!("{bytes}B"),
    }
}

/// The memory of the process, as shown by INFO and MEMORY STATS.
#[derive(Default)]
pub struct MemoryFacts {
    /// In use, as counted by the allocator's size classes.
    pub used: u64,
    /// The peak of `used`.
    pub peak: u64,
    /// Resident set size.
    pub resident: u64,
    /// The part of it that is the allocator's.
    pub allocator_resident: u64,
    /// In use after startup.
    pub startup: u64,
    /// In use for connections other than replicas.
    pub clients: u64,
    /// In use for the connections of replicas, apart from the log.
    pub replicas: u64,
    /// In use for tables, entry headers, connections: everything except keys and values.
    pub overhead: u64,
}

impl MemoryFacts {
    /// Reads the present values; `used` was read before the command used memory itself.
    pub fn read(engine: &Engine, used: u64, table_bytes: u64) -> Self {
        let peak = engine.env.memory.peak_bytes().max(used);
        let (mut clients, mut replicas) = (0, 0);
        for client in engine.registry.all() {
            let sum = if client.is_ordinary() { &mut clients } else { &mut replicas };
            *sum += client.memory_bytes() as u64;
        }
        let startup = engine.startup_memory.load(Relaxed);
        let replication = engine.repl.buffer_bytes();
        let overhead = startup + clients + replicas + table_bytes + replication.0 + replication.1;
        let Resident { all: resident, anonymous } = engine.env.host.resident_bytes();
        let sizes = Self { used, peak, resident, allocator_resident: anonymous, ..Self::default() };
        Self { startup, clients, replicas, overhead, ..sizes }
    }

    /// What the allocator has beyond what is in use: a ratio, and bytes.
    pub fn allocator_overhead(&self) -> (f64, i64) {
        compare(self.allocator_resident, self.used)
    }

    /// What is resident beyond what the allocator has: a ratio, and bytes.
    pub fn process_overhead(&self) -> (f64, i64) {
        compare(self.resident, self.allocator_resident)
    }

    /// What is resident beyond what is in use: a ratio, and bytes.
    pub fn fragmentation(&self) -> (f64, i64) {
        compare(self.resident, self.used)
    }

    /// In use for keys and values.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// The data set as a percentage of the memory allocated since startup.
    pub fn dataset_percent(&self) -> f64 {
        let net = self.used.saturating_sub(self.startup).max(1);
        self.dataset() as f64 * 100.0 / net as f64
    }
}

/// Memory of what replicas have not read yet.
pub(super) fn unread_by_replicas(engine: &Engine) -> u64 {
    // Without replicas the log is kept for the append-only file alone.
    let has_replicas = engine.repl.replicas.count() > 0;
    if has_replicas { engine.memory_not_counted() } else { 0 }
}

fn compare(bytes: u64, to: u64) -> (f64, i64) {
    (bytes as f64 / to.max(1) as f64, bytes as i64 - to as i64)
}

fn memory(facts: &Facts<'_>, out: &mut String) {
    let memory = MemoryFacts::read(facts.engine, facts.used, facts.table_bytes);
    let total = facts.engine.env.host.facts().total_memory_bytes;
    let ratio = |a: u64, b: u64| a as f64 / b.max(1) as f64;
    field!(out, "used_memory", "{}", memory.used);
    field!(out, "used_memory_human", "{}", human(memory.used));
    field!(out, "used_memory_rss", "{}", memory.resident);
    field!(out, "used_memory_rss_human", "{}", human(memory.resident));
    field!(out, "used_memory_peak", "{}", memory.peak);
    field!(out, "used_memory_peak_human", "{}", human(memory.peak));
    field!(out, "used_memory_peak_perc", "{:.2}%", ratio(memory.used, memory.peak) * 100.0);
    field!(out, "used_memory_overhead", "{}", memory.overhead);
    field!(out, "used_memory_startup", "{}", memory.startup);
    field!(out, "used_memory_dataset", "{}", memory.dataset());
    field!(out, "used_memory_dataset_perc", "{:.2}%", memory.dataset_percent());
    field!(out, "allocator_allocated", "{}", memory.used);
    field!(out, "allocator_active", "{}", memory.allocator_resident);
    field!(out, "allocator_resident", "{}", memory.allocator_resident);
    field!(out, "allocator_muzzy", "0");
    field!(out, "total_system_memory", "{total}");
    field!(out, "total_system_memory_human", "{}", human(total));
    let scripts = facts.engine.scripting.totals();
    let (machines, sources) = (scripts.machine_bytes, scripts.scripts_bytes as u64);
    field!(out, "used_memory_lua", "{machines}");
    field!(out, "used_memory_vm_eval", "{machines}");
    field!(out, "used_memory_lua_human", "{}", human(machines));
    field!(out, "used_memory_scripts_eval", "{sources}");
    field!(out, "number_of_cached_scripts", "{}", scripts.scripts);
    let functions = facts.engine.scripting.functions.totals();
    let (machines, sources) =
        (machines + functions.machine_bytes as u64, sources + functions.bytes as u64);
    field!(out, "number_of_functions", "{}", functions.functions);
    field!(out, "number_of_libraries", "{}", functions.libraries);
    field!(out, "used_memory_vm_functions", "{}", functions.machine_bytes);
    field!(out, "used_memory_vm_total", "{machines}");
    field!(out, "used_memory_vm_total_human", "{}", human(machines));
    field!(out, "used_memory_functions", "{}", functions.bytes);
    field!(out, "used_memory_scripts", "{sources}");
    field!(out, "used_memory_scripts_human", "{}", human(sources));
    field!(out, "maxmemory", "{}", facts.config.maxmemory);
    field!(out, "maxmemory_human", "{}", human(facts.config.maxmemory));
    field!(out, "maxmemory_policy", "{}", setting(facts, "maxmemory-policy"));
    let (overhead, bytes) = memory.allocator_overhead();
    field!(out, "allocator_frag_ratio", "{overhead:.2}");
    field!(out, "allocator_frag_bytes", "{bytes}");
    field!(out, "allocator_rss_ratio", "1.00");
    field!(out, "allocator_rss_bytes", "0");
    let (overhead, bytes) = memory.process_overhead();
    field!(out, "rss_overhead_ratio", "{overhead:.2}");
    field!(out, "rss_overhead_bytes", "{bytes}");
    let (overhead, bytes) = memory.fragmentation();
    field!(out, "mem_fragmentation_ratio", "{overhead:.2}");
    field!(out, "mem_fragmentation_bytes", "{bytes}");
    field!(out, "mem_not_counted_for_evict", "{}", facts.engine.memory_not_counted());
    let (log_bytes, buffered) = facts.engine.repl.buffer_bytes();
    field!(out, "mem_replication_backlog", "{log_bytes}");
    field!(out, "mem_total_replication_buffers", "{}", log_bytes + buffered);
    field!(out, "mem_replicas_repl_buffer", "{buffered}");
    field!(out, "mem_clients_slaves", "{}", memory.replicas + unread_by_replicas(facts.engine));
    field!(out, "mem_clients_normal", "{}", memory.clients);
    field!(out, "mem_cluster_links", "0");
    field!(out, "mem_cluster_slot_import", "0");
    field!(out, "mem_cluster_slot_export", "0");
    field!(out, "mem_aof_buffer", "{}", facts.engine.aof_pending_bytes());
    field!(out, "mem_allocator", "{}", facts.engine.env.host.facts().allocator);
    field!(out, "mem_overhead_db_hashtable_rehashing", "0");
    field!(out, "active_defrag_running", "0");
    field!(out, "lazyfree_pending_objects", "{}", facts.engine.keyspace.free_list().pending());
    field!(out, "lazyfreed_objects", "{}", facts.totals.lazyfreed_objects);
}

/// Whether the append-only file is written and rewritten.
fn append_only(facts: &Facts<'_>, out: &mut String) {
    let aof = &facts.engine.aof;
    let (status, now_s) = (&aof.status, facts.now_us / 1_000_000);
    let since_s = status.rewriting_since_s.load(Relaxed);
    let ok = |failed: bool| if failed { "err" } else { "ok" };
    field!(out, "aof_enabled", "{}", u8::from(aof.enabled()));
    field!(out, "aof_rewrite_in_progress", "{}", u8::from(since_s != 0));
    field!(out, "aof_rewrite_scheduled", "{}", u8::from(status.scheduled.load(Relaxed)));
    field!(out, "aof_last_rewrite_time_sec", "{}", status.last_rewrite_s.load(Relaxed) - 1);
    let current_s = if since_s == 0 { -1 } else { now_s - since_s };
    field!(out, "aof_current_rewrite_time_sec", "{current_s}");
    field!(out, "aof_last_bgrewrite_status", "{}", ok(status.last_rewrite_failed.load(Relaxed)));
    field!(out, "aof_rewrites", "{}", status.rewrites.load(Relaxed));
    field!(out, "aof_rewrites_consecutive_failures", "{}", status.failures.load(Relaxed));
    field!(out, "aof_last_write_status", "{}", ok(status.failed.load(Relaxed)));
    let queued = facts.engine.saves.last_buffer_peak_bytes.load(Relaxed);
    let queued = if status.rewrites.load(Relaxed) == 0 { 0 } else { queued };
    field!(out, "aof_last_cow_size", "{queued}");
}

/// The sizes of the files, and what is not in them yet.
fn append_only_files(facts: &Facts<'_>, out: &mut String) {
    let status = &facts.engine.aof.status;
    field!(out, "aof_current_size", "{}", status.bytes());
    field!(out, "aof_base_size", "{}", status.base_bytes.load(Relaxed));
    field!(out, "aof_pending_rewrite", "0");
    field!(out, "aof_buffer_length", "{}", facts.engine.aof_pending_bytes());
    let syncing = status.syncing_since_ns.load(Relaxed) != 0;
    field!(out, "aof_pending_bio_fsync", "{}", u8::from(syncing));
    field!(out, "aof_delayed_fsync", "{}", status.delayed.load(Relaxed));
}

fn persistence(facts: &Facts<'_>, out: &mut String) {
    let saves = &facts.engine.saves;
    let loading = facts.engine.loading.load(Relaxed);
    let running = saves.running() && !facts.engine.rewriting_aof();
    let now_s = facts.now_us / 1_000_000;
    let since_s = saves.running_since_s.load(Relaxed);
    let (done, total) = (saves.keys_done.load(Relaxed), saves.keys_total.load(Relaxed));
    field!(out, "loading", "{}", u8::from(loading));
    let beside = facts.engine.repl.upstream.async_loading();
    field!(out, "async_loading", "{}", u8::from(beside));
    field!(out, "current_cow_peak", "{}", saves.buffer_peak_bytes.load(Relaxed));
    field!(out, "current_cow_size", "{}", saves.buffer_bytes.load(Relaxed));
    field!(out, "current_cow_size_age", "0");
    let percent = if running { done as f64 * 100.0 / total.max(1) as f64 } else { 0.0 };
    field!(out, "current_fork_perc", "{percent:.2}");
    field!(out, "current_save_keys_processed", "{}", if running { done } else { 0 });
    field!(out, "current_save_keys_total", "{}", if running { total } else { 0 });
    field!(out, "rdb_changes_since_last_save", "{}", facts.engine.stats.dirty_since_save());
    field!(out, "rdb_bgsave_in_progress", "{}", u8::from(running));
    field!(out, "rdb_last_save_time", "{}", saves.last_save_s.load(Relaxed));
    let status = if saves.last_ok.load(Relaxed) { "ok" } else { "err" };
    field!(out, "rdb_last_bgsave_status", "{status}");
    field!(out, "rdb_last_bgsave_time_sec", "{}", saves.last_duration_s.load(Relaxed));
    let current_s = if running { now_s - since_s } else { -1 };
    field!(out, "rdb_current_bgsave_time_sec", "{current_s}");
    field!(out, "rdb_saves", "{}", saves.started.load(Relaxed));
    field!(out, "rdb_last_cow_size", "{}", saves.last_buffer_peak_bytes.load(Relaxed));
    field!(out, "rdb_last_load_keys_expired", "{}", saves.last_load_expired.load(Relaxed));
    field!(out, "rdb_last_load_keys_loaded", "{}", saves.last_load_keys.load(Relaxed));
    append_only(facts, out);
    field!(out, "module_fork_in_progress", "0");
    field!(out, "module_fork_last_cow_size", "0");
    field!(out, "slot_migration_fork_in_progress", "0");
    if facts.engine.aof.enabled() {
        append_only_files(facts, out);
    }
    if loading {
        loading_progress(facts, out);
    }
}

fn loading_progress(facts: &Facts<'_>, out: &mut String) {
    let saves = &facts.engine.saves;
    let started_s = saves.load_started_s.load(Relaxed);
    let (done, total) = (saves.load_done_bytes.load(Relaxed), saves.load_total_bytes.load(Relaxed));
    let elapsed_s = (facts.now_us / 1_000_000 - started_s).max(0) as u64;
    let eta_s = total.saturating_sub(done) * elapsed_s / done.max(1);
    field!(out, "loading_start_time", "{started_s}");
    field!(out, "loading_total_bytes", "{total}");
    field!(out, "loading_rdb_used_mem", "{}", facts.engine.env.memory.used_bytes());
    field!(out, "loading_loaded_bytes", "{done}");
    field!(out, "loading_loaded_perc", "{:.2}", done as f64 * 100.0 / total.max(1) as f64);
    field!(out, "loading_eta_seconds", "{eta_s}");
}

fn stats(facts: &Facts<'_>, out: &mut String) {
    let totals = &facts.totals;
    let rates = facts.engine.rates.now();
    field!(out, "total_connections_received", "{}", totals.connections);
    field!(out, "total_commands_processed", "{}", totals.commands);
    field!(out, "instantaneous_ops_per_sec", "{:.0}", rates.commands);
    field!(out, "total_net_input_bytes", "{}", totals.all_input_bytes());
    field!(out, "total_net_output_bytes", "{}", totals.all_output_bytes());
    field!(out, "total_net_repl_input_bytes", "{}", totals.net_repl_input_bytes);
    field!(out, "total_net_repl_output_bytes", "{}", totals.net_repl_output_bytes);
    field!(out, "total_net_cluster_slot_import_bytes", "0");
    field!(out, "total_net_cluster_slot_export_bytes", "0");
    field!(out, "instantaneous_input_kbps", "{:.2}", rates.input_bytes / 1024.0);
    field!(out, "instantaneous_output_kbps", "{:.2}", rates.output_bytes / 1024.0);
    let (repl_in, repl_out) = (rates.repl_input_bytes, rates.repl_output_bytes);
    field!(out, "instantaneous_input_repl_kbps", "{:.2}", repl_in / 1024.0);
    field!(out, "instantaneous_output_repl_kbps", "{:.2}", repl_out / 1024.0);
    field!(out, "rejected_connections", "{}", totals.rejected_connections);
    field!(out, "sync_full", "{}", totals.sync_full);
    field!(out, "sync_partial_ok", "{}", totals.sync_partial_ok);
    field!(out, "sync_partial_err", "{}", totals.sync_partial_err);
    field!(out, "expired_keys", "{}", totals.expired_keys);
    let stale = totals.expire_stale as f64 * 100.0 / totals.expire_sampled.max(1) as f64;
    field!(out, "expired_fields", "{}", totals.expired_fields);
    field!(out, "expired_stale_perc", "{stale:.2}");
    field!(out, "expired_keys_with_volatile_items_stale_perc", "0.00");
    field!(out, "expired_time_cap_reached_count", "{}", totals.expire_cycle_limit_reached);
    field!(out, "expire_cycle_cpu_milliseconds", "{}", totals.expire_cycle_ns / 1_000_000);
    field!(out, "evicted_keys", "{}", totals.evicted_keys);
    field!(out, "evicted_clients", "{}", totals.evicted_clients);
    field!(out, "evicted_scripts", "{}", facts.engine.scripting.totals().evicted);
    let (total_ns, current_ns) =
        facts.engine.eviction.exceeded_ns(facts.engine.env.clock.mono_ns());
    field!(out, "total_eviction_exceeded_time", "{}", total_ns / 1_000_000);
    field!(out, "current_eviction_exceeded_time", "{}", current_ns / 1_000_000);
    field!(out, "keyspace_hits", "{}", totals.keyspace_hits);
    field!(out, "keyspace_misses", "{}", totals.keyspace_misses);
    let pubsub = &facts.engine.pubsub;
    field!(out, "pubsub_channels", "{}", pubsub.channel_count(Kind::Plain));
    field!(out, "pubsub_patterns", "{}", pubsub.pattern_count());
    field!(out, "pubsubshard_channels", "{}", pubsub.channel_count(Kind::Shard));
    for zero in ["latest_fork_usec", "total_forks"] {
        write!(out, "{zero}:0\r\n").ok();
    }
    let kept = facts.engine.migrations.kept_connections();
    field!(out, "migrate_cached_sockets", "{kept}");
    field!(out, "slave_expires_tracked_keys", "{}", facts.engine.repl.writable_expiry.count());
    for zero in [
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ] {
        write!(out, "{zero}:0\r\n").ok();
    }
    let cached = facts.engine.keyspace.cached();
    field!(out, "tracking_total_keys", "{}", cached.keys());
    field!(out, "tracking_total_items", "{}", cached.items());
    field!(out, "tracking_total_prefixes", "{}", facts.engine.tracking.prefixes());
    loop_stats(facts, out);
}

/// The rest of the section: errors and event loops.
fn loop_stats(facts: &Facts<'_>, out: &mut String) {
    let totals = &facts.totals;
    let rates = facts.engine.rates.now();
    field!(out, "unexpected_error_replies", "{}", totals.unexpected_error_replies);
    field!(out, "total_error_replies", "{}", totals.error_replies);
    field!(out, "dump_payload_sanitizations", "0");
    field!(out, "total_reads_processed", "{}", totals.reads);
    field!(out, "total_writes_processed", "{}", totals.writes);
    for zero in [
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "io_threaded_freed_objects",
        "io_threaded_accept_processed",
        "io_threaded_poll_processed",
        "io_threaded_total_prefetch_batches",
        "io_threaded_total_prefetch_entries",
    ] {
        write!(out, "{zero}:0\r\n").ok();
    }
    let limits = (totals.query_limit_disconnections, totals.output_limit_disconnections);
    field!(out, "client_query_buffer_limit_disconnections", "{}", limits.0);
    field!(out, "client_output_buffer_limit_disconnections", "{}", limits.1);
    field!(out, "client_handshake_timeouts", "{}", totals.handshake_timeouts);
    field!(out, "reply_buffer_shrinks", "0");
    field!(out, "reply_buffer_expands", "0");
    field!(out, "eventloop_cycles", "{}", totals.turns);
    field!(out, "eventloop_duration_sum", "{}", totals.turn_ns / 1000);
    field!(out, "eventloop_duration_cmd_sum", "{}", totals.command_ns / 1000);
    field!(out, "eventloop_polls", "{}", totals.polls);
    field!(out, "eventloop_sleeps", "{}", totals.sleeps);
    field!(out, "instantaneous_eventloop_cycles_per_sec", "{:.0}", rates.turns);
    let turn_us = if rates.turns > 0.0 { rates.turn_ns / rates.turns / 1000.0 } else { 0.0 };
    field!(out, "instantaneous_eventloop_duration_usec", "{turn_us:.0}");
    field!(out, "acl_access_denied_auth", "{}", totals.acl_denied_auth);
    field!(out, "acl_access_denied_cmd", "{}", totals.acl_denied_command);
    field!(out, "acl_access_denied_key", "{}", totals.acl_denied_key);
    field!(out, "acl_access_denied_channel", "{}", totals.acl_denied_channel);
    field!(out, "acl_access_denied_tls_cert", "{}", totals.acl_denied_certificate);
    field!(out, "acl_access_denied_db", "{}", totals.acl_denied_database);
    let audit = facts.engine.env.audit.counts();
    field!(out, "audit_log_records", "{}", audit.written);
    field!(out, "audit_log_lost", "{}", audit.lost);
}

fn cpu(facts: &Facts<'_>, out: &mut String) {
    let cpu = facts.engine.env.host.cpu();
    let seconds = |us: u64| us as f64 / 1e6;
    field!(out, "used_cpu_sys", "{:.6}", seconds(cpu.system_us));
    field!(out, "used_cpu_user", "{:.6}", seconds(cpu.user_us));
    field!(out, "used_cpu_sys_children", "0.000000");
    field!(out, "used_cpu_user_children", "0.000000");
    field!(out, "used_cpu_sys_main_thread", "{:.6}", seconds(cpu.thread_system_us));
    field!(out, "used_cpu_user_main_thread", "{:.6}", seconds(cpu.thread_user_us));
    let active_us = facts.totals.turn_ns / 1000;
    field!(out, "used_active_time_main_thread", "{:.6}", seconds(active_us));
}

/// The sums over threads of one command's calls.
#[derive(Default)]
pub struct CallTotals {
    /// Calls executed.
    pub calls: u64,
    /// Nanoseconds spent in them.
    pub ns: u64,
    /// Calls refused before execution.
    pub rejected: u64,
    /// Calls that returned an error.
    pub failed: u64,
    /// Durations, by [`crate::stats::latency_bucket`].
    pub latency: Vec<u64>,
}

impl CallTotals {
    /// The totals of the command with this id; `None` if it was never called.
    pub fn of(engine: &Engine, id: usize) -> Option<Self> {
        let mut totals: Option<Self> = None;
        for calls in engine.stats.threads().filter_map(|thread| thread.calls[id].get()) {
            totals.get_or_insert_with(Self::default).add(calls);
        }
        totals.filter(|totals| totals.calls + totals.rejected + totals.failed > 0)
    }

    fn add(&mut self, calls: &CallStats) {
        self.calls += calls.calls.get();
        self.ns += calls.ns.get();
        self.rejected += calls.rejected.get();
        self.failed += calls.failed.get();
        self.latency.resize(calls.latency.len(), 0);
        for (sum, counter) in self.latency.iter_mut().zip(&calls.latency) {
            *sum += counter.get();
        }
    }

    /// Calls that were measured: `latency-tracking` was on.
    pub fn measured(&self) -> u64 {
        self.latency.iter().sum()
    }

    /// The percentile `percent` of those calls' durations, in nanoseconds.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = (self.measured() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.latency.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return latency_bucket_end_ns(bucket);
            }
        }
        0
    }
}

/// Calls `f` with the full name and totals of every command that was called, sorted by name.
pub fn for_each_called(engine: &Engine, mut f: impl FnMut(&str, &CallTotals)) {
    let mut called: Vec<(String, CallTotals)> = engine
        .commands
        .all()
        .iter()
        .filter_map(|command| {
            CallTotals::of(engine, command.id as usize)
                .map(|totals| (engine.commands.full_name(*command), totals))
        })
        .collect();
    called.sort_by(|a, b| a.0.cmp(&b.0));
    called.iter().for_each(|(name, totals)| f(name, totals));
}

fn command_stats(facts: &Facts<'_>, out: &mut String) {
    for_each_called(facts.engine, |name, totals| {
        let us = totals.ns / 1000;
        let each = us as f64 / totals.calls.max(1) as f64;
        write!(
            out,
            "cmdstat_{name}:calls={},usec={us},usec_per_call={each:.2},rejected_calls={},\
             failed_calls={}\r\n",
            totals.calls, totals.rejected, totals.failed
        )
        .ok();
    });
}

fn error_stats(facts: &Facts<'_>, out: &mut String) {
    for (code, count) in facts.engine.errors.all() {
        write!(out, "errorstat_{code}:count={count}\r\n").ok();
    }
}

fn latency_stats(facts: &Facts<'_>, out: &mut String) {
    if !facts.config.latency_tracking {
        return;
    }
    for_each_called(facts.engine, |name, totals| {
        if totals.measured() == 0 {
            return;
        }
        write!(out, "latency_percentiles_usec_{name}:").ok();
        for (index, percent) in facts.config.latency_tracking_info_percentiles.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let us = totals.percentile_ns(*percent) as f64 / 1000.0;
            write!(out, "{separator}p{percent}={us:.3}").ok();
        }
        out.push_str("\r\n");
    });
}

fn cluster(_: &Facts<'_>, out: &mut String) {
    field!(out, "cluster_enabled", "0");
}

fn keyspace(facts: &Facts<'_>, out: &mut String) {
    let keyspace = &facts.engine.keyspace;
    for db in 0..keyspace.databases() {
        let (keys, expires) = (keyspace.key_count(db), keyspace.expire_count(db));
        if keys != 0 {
            let avg_ttl = facts.avg_ttl_ms.get(db as usize).copied().unwrap_or(0);
            let nested = keyspace.nested_count(db);
            write!(out, "db{db}:keys={keys},expires={expires},avg_ttl={avg_ttl}").ok();
            write!(out, ",keys_with_volatile_items={nested}\r\n").ok();
        }
    }
}

fn debug(facts: &Facts<'_>, out: &mut String) {
    let threads = || facts.engine.stats.threads();
    let longest_ns = threads().map(|thread| thread.longest_turn_ns.get()).max().unwrap_or(0);
    let commands = threads().map(|thread| thread.most_turn_commands.get()).max().unwrap_or(0);
    field!(out, "eventloop_duration_aof_sum", "0");
    field!(out, "eventloop_duration_cron_sum", "{}", facts.totals.cron_ns / 1000);
    field!(out, "eventloop_duration_max", "{}", longest_ns / 1000);
    field!(out, "eventloop_cmd_per_cycle_max", "{commands}");
    field!(out, "io_threaded_reads_pending", "0");
    field!(out, "io_threaded_writes_pending", "0");
}
