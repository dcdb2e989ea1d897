//! MEMORY: introspection of memory use.

use super::info::{MemoryFacts, human, table_bytes, unread_by_replicas};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::SHARDS;

/// Command: MEMORY and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("memory", Group::Server, -2, container)
    .since("4.0.0")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about memory.")
    .subcommands(&[
        CommandSpec::plain("doctor", Group::Server, 2, doctor)
            .walk()
            .since("4.0.0")
            .doc("Judges how memory is used, in words.")
            .tips(OF_ALL_SHARDS),
        CommandSpec::plain("help", Group::Server, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("4.0.0")
            .doc("Lists the subcommands."),
        CommandSpec::plain("malloc-stats", Group::Server, 2, malloc_stats)
            .flags(flag::LOADING)
            .since("4.0.0")
            .complexity("Depends on how much memory is allocated, could be slow")
            .doc("Returns what the allocator says about itself.")
            .tips(OF_ALL_SHARDS),
        CommandSpec::plain("purge", Group::Server, 2, purge)
            .flags(flag::LOADING)
            .since("4.0.0")
            .complexity("Depends on how much memory is allocated, could be slow")
            .doc("Gives memory that is free back to the system.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        CommandSpec::plain("stats", Group::Server, 2, stats)
            .walk()
            .since("4.0.0")
            .doc("Tells what memory is used for.")
            .tips(OF_ALL_SHARDS),
        CommandSpec::read(
            "usage",
            Group::Server,
            -3,
            const { &[KeySpec::one(2, access::RO)] },
            usage,
        )
        .since("4.0.0")
        .complexity("O(N) where N is the number of samples.")
        .doc("Tells how many bytes a key and its value take.")
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("count", ArgKind::Integer).token("SAMPLES").optional(),
        ]),
    ])];

const OF_ALL_SHARDS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// Below this MEMORY DOCTOR gives no diagnosis.
const JUDGED_FROM_BYTES: u64 = 5 << 20;
/// Bytes of an entry's slot in its table: pointer and tag.
const SLOT_BYTES: usize = 9;

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("memory".into()))
}

/// `MEMORY USAGE key [SAMPLES count]` -> bytes, or null. SAMPLES has no effect: sizes are exact.
/// Errors: a negative count or another option.
fn usage(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut options = args.options(3);
    while options.more() {
        let at = options.position() + 1;
        options.eat_value("samples").ok_or(ReplyError::Syntax)?;
        if args.int(at)? < 0 {
            return Err(ReplyError::Syntax);
        }
    }
    match cx.keys.peek(cx.key(args, 2)) {
        Some(entry) => cx.reply.int((entry.memory_usage() + SLOT_BYTES) as i64),
        None => cx.reply.null(),
    }
    Ok(())
}

/// Bytes of the tables of each database, without entries.
fn table_bytes_by_db(cx: &mut Ctx<'_, '_>) -> Vec<(u32, u64)> {
    let mut bytes = vec![0; cx.engine.keyspace.databases() as usize];
    for index in 0..SHARDS {
        let shard = cx.keys.held.shard(index);
        for db in 0..shard.db_count() {
            bytes[db as usize] += shard.db(db).map_or(0, |part| part.table.memory_bytes() as u64);
        }
    }
    (0..).zip(bytes).filter(|(_, bytes)| *bytes > 0).collect()
}

/// `MEMORY STATS` -> map of names to integers, doubles and, for each database, a map.
fn stats(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let used = cx.engine.env.memory.used_bytes();
    let tables = table_bytes_by_db(cx);
    let all_tables: u64 = tables.iter().map(|(_, bytes)| bytes).sum();
    let memory = MemoryFacts::read(cx.engine, used, all_tables);
    let keyspace = &cx.engine.keyspace;
    let keys: u64 = (0..keyspace.databases()).map(|db| keyspace.key_count(db)).sum();
    let map = cx.reply.deferred();
    let mut out = Map { reply: &mut *cx.reply, pairs: 0 };
    out.int("peak.allocated", memory.peak as i64);
    out.int("total.allocated", memory.used as i64);
    out.int("startup.allocated", memory.startup as i64);
    let (backlog, buffered) = cx.engine.repl.buffer_bytes();
    out.int("replication.backlog", backlog as i64);
    out.int("replicas.repl.buffer", buffered as i64);
    out.int("clients.slaves", (memory.replicas + unread_by_replicas(cx.engine)) as i64);
    out.int("clients.normal", memory.clients as i64);
    out.int("cluster.links", 0);
    out.int("cluster.slot_import", 0);
    out.int("cluster.slot_export", 0);
    out.int("aof.buffer", cx.engine.aof_pending_bytes() as i64);
    let scripting = &cx.engine.scripting;
    out.int("lua.caches", scripting.totals().scripts_bytes as i64);
    out.int("functions.caches", scripting.functions.totals().bytes as i64);
    for (db, bytes) in &tables {
        out.name(&format!("db.{db}"));
        out.reply.map(2);
        out.reply.bulk_str("overhead.hashtable.main");
        out.reply.int(*bytes as i64);
        // Expiries are part of the entries.
        out.reply.bulk_str("overhead.hashtable.expires");
        out.reply.int(0);
    }
    out.int("overhead.db.hashtable.lut", all_tables as i64);
    out.int("overhead.db.hashtable.rehashing", 0);
    out.int("overhead.total", memory.overhead as i64);
    out.int("db.dict.rehashing.count", 0);
    out.int("keys.count", keys as i64);
    let net = memory.used.saturating_sub(memory.startup);
    out.int("keys.bytes-per-key", net.checked_div(keys).unwrap_or(0) as i64);
    out.int("dataset.bytes", memory.dataset() as i64);
    out.double("dataset.percentage", memory.dataset_percent());
    out.double("peak.percentage", ratio(memory.used, memory.peak) * 100.0);
    out.int("allocator.allocated", memory.used as i64);
    out.int("allocator.active", memory.allocator_resident as i64);
    out.int("allocator.resident", memory.allocator_resident as i64);
    out.int("allocator.muzzy", 0);
    out.compared("allocator-fragmentation", memory.allocator_overhead());
    out.double("allocator-rss.ratio", 1.0);
    out.int("allocator-rss.bytes", 0);
    out.compared("rss-overhead", memory.process_overhead());
    let (overhead, bytes) = memory.fragmentation();
    out.double("fragmentation", overhead);
    out.int("fragmentation.bytes", bytes);
    let pairs = out.pairs;
    cx.reply.finish_map(map, pairs);
    Ok(())
}

/// A map reply under construction.
struct Map<'a> {
    reply: &'a mut redix_resp::reply::Reply,
    pairs: usize,
}

impl Map<'_> {
    fn name(&mut self, name: &str) {
        self.reply.bulk_str(name);
        self.pairs += 1;
    }
    fn int(&mut self, name: &str, value: i64) {
        self.name(name);
        self.reply.int(value);
    }
    fn compared(&mut self, name: &str, (ratio, bytes): (f64, i64)) {
        self.double(&format!("{name}.ratio"), ratio);
        self.int(&format!("{name}.bytes"), bytes);
    }
    fn double(&mut self, name: &str, value: f64) {
        self.name(name);
        self.reply.double(value);
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

/// `MEMORY DOCTOR` -> verbatim text.
fn doctor(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let used = cx.engine.env.memory.used_bytes();
    let tables = table_bytes(cx);
    let memory = MemoryFacts::read(cx.engine, used, tables);
    let connections = cx.engine.registry.count().max(1) as u64;
    let mut found = String::new();
    if memory.used < JUDGED_FROM_BYTES {
        found.push_str("There is too little data here to say anything about its memory.\n");
    } else {
        if ratio(memory.peak, memory.used) > 1.5 {
            found.push_str(&format!(
                "* Peak: up to {} were in use, {} are now. Much of what was freed may still count \
                 as resident; MEMORY PURGE gives back what can be given back.\n",
                human(memory.peak),
                human(memory.used)
            ));
        }
        if ratio(memory.resident, memory.used) > 1.4 {
            found.push_str(&format!(
                "* Fragmentation: {} are resident for {} in use.\n",
                human(memory.resident),
                human(memory.used)
            ));
        }
        if memory.clients / connections > 200 << 10 {
            found.push_str(&format!(
                "* Clients: their buffers take {}. Some do not read their replies, or send very \
                 large requests: see CLIENT LIST.\n",
                human(memory.clients)
            ));
        }
        if found.is_empty() {
            found.push_str("No problem with the memory of this server was found.\n");
        }
    }
    cx.reply.verbatim(b"txt", found.as_bytes());
    Ok(())
}

/// `MEMORY MALLOC-STATS` -> verbatim text.
fn malloc_stats(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let env = &cx.engine.env;
    let (used, resident) = (env.memory.used_bytes(), env.host.resident_bytes().all);
    let allocator = env.host.facts().allocator;
    let text = format!("{allocator}: {used} bytes in use, {resident} bytes resident\n");
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// `MEMORY PURGE` -> OK.
fn purge(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.env.host.purge_memory();
    cx.reply.ok();
    Ok(())
}

/// `MEMORY HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::help(
        cx,
        "MEMORY",
        &[
            ("DOCTOR", "A judgement of how memory is used."),
            ("MALLOC-STATS", "What the allocator says about itself."),
            ("PURGE", "Give memory that is free back to the system."),
            ("STATS", "What memory is used for."),
            ("USAGE <key> [SAMPLES <count>]", "Bytes that a key and its value take."),
        ],
    )
}
