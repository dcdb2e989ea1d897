//! DBSIZE, FLUSHALL, FLUSHDB and SWAPDB.

use crate::command::args::{Args, name_databases, parse_i32, to_db};
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Databases, Group, LogAs, acl, flag};
use crate::effects::Request;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::flush::{Emptied, Freeing, flush, swap};
use crate::sync::atomic::Ordering;

/// Commands: DBSIZE, FLUSHALL, FLUSHDB and SWAPDB.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("dbsize", Group::Server, 1, const { &[] }, dbsize)
        .flags(flag::FAST)
        .acl(acl::KEYSPACE)
        .doc("Counts the keys of the selected database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    CommandSpec::write("flushall", Group::Server, -1, const { &[] }, flushall)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .databases(Databases::All)
        .world()
        .log_as(LogAs::Effect)
        .complexity("O(N) where N is the total number of keys in all databases")
        .doc("Removes every key of every database.")
        .history(FLUSH_HISTORY)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(FLUSH_ARGS),
    CommandSpec::write("flushdb", Group::Server, -1, const { &[] }, flushdb)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .world()
        .log_as(LogAs::Effect)
        .complexity("O(N) where N is the number of keys in the selected database")
        .doc("Removes every key of the selected database.")
        .history(FLUSH_HISTORY)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(FLUSH_ARGS),
    CommandSpec::write("swapdb", Group::Server, 3, const { &[] }, swapdb)
        .flags(flag::FAST)
        .databases(Databases::Named(swapped_databases))
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .world()
        .since("4.0.0")
        .complexity("O(N) where N is the number of clients that watch or wait for keys of either")
        .doc("Exchanges the contents of two databases.")
        .args(&[
            ArgSpec::new("index1", ArgKind::Integer),
            ArgSpec::new("index2", ArgKind::Integer),
        ]),
];

const FLUSH_HISTORY: &[(&str, &str)] =
    &[("4.0.0", "The word `ASYNC`."), ("6.2.0", "The word `SYNC`.")];

const FLUSH_ARGS: &[ArgSpec] = &[ArgSpec::new(
    "flush-type",
    ArgKind::OneOf(&[
        ArgSpec::word("async", "ASYNC").since("4.0.0"),
        ArgSpec::word("sync", "SYNC").since("6.2.0"),
    ]),
)
.optional()];

/// `DBSIZE` -> integer.
fn dbsize(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(cx.engine.keyspace.key_count(cx.keys.db) as i64);
    Ok(())
}

/// How flushed values are freed: `SYNC`, `ASYNC` or as configured.
fn freeing(cx: &Ctx<'_, '_>, args: Args<'_>) -> Result<Freeing, ReplyError> {
    match args.len() {
        1 if cx.config.lazyfree_lazy_user_flush => Ok(Freeing::InSteps),
        1 => Ok(Freeing::AtOnce),
        2 if args.is(1, "async") => Ok(Freeing::InSteps),
        2 if args.is(1, "sync") => Ok(Freeing::AtOnce),
        _ => Err(ReplyError::Syntax),
    }
}

/// Counts each removed key as a change. A flush that removed nothing is logged too: replicas may
/// have keys.
fn note_flush(cx: &mut Ctx<'_, '_>, args: Args<'_>, removed: u64) {
    cx.keys.effects.add_dirty(removed);
    cx.keys.effects.log_words(cx.keys.db, args.iter_from(0));
}

/// `FLUSHALL [ASYNC | SYNC]` -> OK. Cancels a background save; with save points configured, saves
/// the empty data set, so that a restart does not restore the old one.
fn flushall(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let freeing = freeing(cx, args)?;
    let what = if cx.engine.rewriting_aof() {
        // The flush is in the increment behind the base that is being made.
        Emptied::Each
    } else {
        if cx.engine.abandon_snapshot() {
            cx.requests.push(Request::BgSave);
        }
        Emptied::All
    };
    let removed = flush(cx.keys, what, freeing);
    note_flush(cx, args, removed);
    // A failure is logged and shown in the saving status; the data set is empty all the same.
    if !cx.config.save.is_empty() && cx.engine.save_now().is_ok() {
        // This unit's changes are counted when it ends, but are saved already.
        cx.engine.stats.dirty_at_save.fetch_add(cx.keys.effects.dirty(), Ordering::Relaxed);
    }
    cx.reply.ok();
    Ok(())
}

/// `FLUSHDB [ASYNC | SYNC]` -> OK.
fn flushdb(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let freeing = freeing(cx, args)?;
    let removed = flush(cx.keys, Emptied::One(cx.keys.db), freeing);
    note_flush(cx, args, removed);
    cx.reply.ok();
    Ok(())
}

/// The databases that SWAPDB names.
fn swapped_databases(args: Args<'_>, count: u32, out: &mut Vec<(usize, u32)>) -> bool {
    name_databases(args, [1, 2], count, out)
}

/// `SWAPDB index1 index2` -> OK. Errors: an index is no number or out of range.
fn swapdb(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let index = |at: usize, text| parse_i32(args.get(at)).map_err(|_| ReplyError::Static(text));
    let first = index(1, "ERR invalid first DB index")?;
    let second = index(2, "ERR invalid second DB index")?;
    let databases = cx.engine.keyspace.databases();
    swap(cx.keys, to_db(first, databases)?, to_db(second, databases)?);
    cx.keys.effects.add_dirty(1);
    cx.reply.ok();
    Ok(())
}
