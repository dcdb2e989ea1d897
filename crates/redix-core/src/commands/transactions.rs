//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Between MULTI and EXEC the dispatcher queues commands instead of running them. EXEC runs with
//! the locks of all queued and watched keys, or in the world, so that the check of the watched keys
//! and the queue are one atomic unit, which has one set of effects.
//!
//! A watch is a weak reference registered with the key's shard: every change of the key marks it.
//! An expiry counts as a change only if it happens after the WATCH.

use crate::command::args::Args;
use crate::command::context::{ClientCx, watches};
use crate::command::dispatch::done;
use crate::command::spec::{ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::registry::{client_flag, list};
use crate::session::{Multi, Watched};
use crate::sync::atomic::Ordering;

/// Commands: MULTI, EXEC, DISCARD, WATCH and UNWATCH.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("multi", Group::Transactions, 1, multi)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_MULTI
                | flag::ALLOW_BUSY,
        )
        .acl(acl::TRANSACTION)
        .since("1.2.0")
        .doc("Opens a transaction: what follows is queued."),
    CommandSpec::client("exec", Group::Transactions, 1, exec)
        .flags(
            flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SKIP_SLOWLOG | flag::RUNS_IN_MULTI,
        )
        .acl(acl::TRANSACTION)
        .queue()
        .since("1.2.0")
        .complexity("That of the queued commands")
        .doc("Runs the queued commands as one."),
    CommandSpec::client("discard", Group::Transactions, 1, discard)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::ALLOW_BUSY
                | flag::RUNS_IN_MULTI,
        )
        .acl(acl::TRANSACTION)
        .since("2.0.0")
        .complexity("O(N) where N is how many commands are queued")
        .doc("Throws the queued commands away."),
    CommandSpec::client("watch", Group::Transactions, -2, watch)
        .keys(const { &[KeySpec::range(1, -1, 1, access::RO)] })
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_MULTI
                | flag::ALLOW_BUSY,
        )
        .acl(acl::TRANSACTION)
        .since("2.2.0")
        .complexity("O(1) for each key.")
        .doc("Makes the next EXEC depend on keys staying as they are.")
        .args(&[ArgSpec::key("key").multiple()]),
    CommandSpec::client("unwatch", Group::Transactions, 1, unwatch)
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY)
        .acl(acl::TRANSACTION)
        .since("2.2.0")
        .doc("Forgets all watched keys."),
];

/// `MULTI` -> OK. The dispatcher refuses it inside a transaction.
fn multi(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.session.multi = Some(Multi::default());
    cx.shared.set_flag(client_flag::MULTI, true);
    cx.shared.multi.store(0, Ordering::Relaxed);
    done(cx.reply)
}

/// `DISCARD` -> OK. Errors: no transaction.
fn discard(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    if cx.session.multi.is_none() {
        return Err(ReplyError::Static("ERR DISCARD without MULTI"));
    }
    cx.discard_transaction();
    done(cx.reply)
}

/// `EXEC` -> array of the replies, errors among them; null array if a watched key has changed.
/// Errors: no transaction; EXECABORT if a command was refused while queueing.
fn exec(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let Some(multi) = cx.session.multi.take() else {
        return Err(ReplyError::Static("ERR EXEC without MULTI"));
    };
    let changed = watched_key_changed(cx);
    // Before the commands run: their own changes must not mark the watches.
    cx.unwatch();
    let outcome = if multi.aborted {
        Err(ReplyError::Static("EXECABORT Transaction discarded because of previous errors."))
    } else if changed {
        cx.reply.null_array();
        Ok(())
    } else {
        cx.reply.array(multi.queue.len());
        multi.queue.iter().for_each(|queued| cx.run_queued(queued));
        super::pubsub::end_transaction(cx);
        Ok(())
    };
    // After they ran: a CLIENT INFO among them shows the transaction.
    cx.discard_transaction();
    outcome
}

fn watched_key_changed(cx: &mut ClientCx<'_, '_>) -> bool {
    let Some(watches) = &cx.session.watches else { return false };
    let keys = &mut *cx.data.keys;
    watches.flag.is_set()
        || watches.keys.iter().any(|watched| {
            let key = keys.keyspace.key(&watched.key);
            watched.was_alive && keys.is_stale(watched.db, key)
        })
}

/// `WATCH key …` -> OK. The dispatcher refuses it inside a transaction.
fn watch(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    for index in 1..args.len() {
        let key = cx.key(args, index);
        watch_key(cx, key);
    }
    let watched = cx.session.watches.as_ref().map_or(0, |watches| watches.keys.len());
    cx.shared.watched.store(u32::try_from(watched).unwrap_or(u32::MAX), Ordering::Relaxed);
    done(cx.reply)
}

fn watch_key(cx: &mut ClientCx<'_, '_>, key: Key<'_>) {
    // Expire the key before watching it, where this server deletes expired keys, so that its expiry
    // does not fail EXEC.
    let was_alive = cx.keys.exists(key);
    let db = cx.keys.db;
    let watches = watches(cx.session, cx.shared);
    if watches.keys.iter().any(|other| other.db == db && *other.key == *key.bytes) {
        return;
    }
    let bytes = 2 * key.bytes.len() + list::ITEM_BYTES;
    cx.shared.list_bytes[list::WATCHED].fetch_add(bytes, Ordering::Relaxed);
    watches.keys.push(Watched { db, key: key.bytes.into(), was_alive });
    cx.data.keys.held.shard(key.shard()).watch(db, key.bytes, &watches.flag);
}

/// `UNWATCH` -> OK.
fn unwatch(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.unwatch();
    done(cx.reply)
}
