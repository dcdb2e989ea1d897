//! How a replica asks to be synchronised.
//!
//! Source: Redis' replication protocol. The answer goes through the connection's feed
//! ([`crate::repl::primary`]): a replica gets nothing that is not part of the stream.

use redix_types::num::parse_i64;

use super::replconf::introduced;
use crate::command::args::Args;
use crate::command::dispatch::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::effects::Request;
use crate::engine::{Synced, Wish};
use crate::error::{CommandResult, ReplyError};
use crate::sync::Arc;

/// The family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("psync", Group::Server, -3, psync)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NO_MULTI | flag::NOSCRIPT)
        .world()
        .since("2.8.0")
        .complexity("")
        .doc("Sends the stream of writes from an offset on; replicas use it.")
        .args(&[
            ArgSpec::new("replicationid", ArgKind::String),
            ArgSpec::new("offset", ArgKind::Integer),
        ]),
    CommandSpec::plain("sync", Group::Server, 1, sync)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NO_MULTI | flag::NOSCRIPT)
        .world()
        .complexity("")
        .doc("Sends a snapshot and the stream of writes behind it; old replicas use it."),
];

/// `PSYNC id offset` -> `CONTINUE [id]` and the stream from byte `offset` on, counted from 1; or
/// `FULLRESYNC id offset`, a snapshot, and the stream from there. `PSYNC ? -1` asks for the latter.
fn psync(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 && args.is(3, "failover") {
        return Err(ReplyError::Static("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    let wish = match args.get(1) {
        b"?" => Wish::Everything,
        id => Wish::From { id, next: parse_i64(args.get(2)) },
    };
    synchronise(cx, wish, false)
}

/// `SYNC` -> a snapshot and the stream behind it.
fn sync(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    synchronise(cx, Wish::Everything, true)
}

fn synchronise(cx: &mut Ctx<'_, '_>, wish: Wish<'_>, legacy: bool) -> CommandResult {
    // The link to it only listens: no worker would feed it.
    if cx.session.primary_link.is_some() {
        return Err(ReplyError::Static("ERR A master can't be synchronised over its own link"));
    }
    let replica = Arc::clone(introduced(cx));
    if replica.attached() {
        return Ok(());
    }
    let repl = &cx.engine.repl;
    if repl.is_replica() && !repl.upstream.is_up() {
        return Err(ReplyError::Static(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    let said = replica.announced();
    if (said.wanted.without_data || said.wanted.without_functions) && !said.eof {
        return Err(ReplyError::Static(
            "ERR Invalid replica requirements: a filtered snapshot needs the capability eof",
        ));
    }
    cx.keys.held.release_in_world();
    let synced = cx.engine.synchronise(&replica, wish, legacy);
    if synced == Synced::Partly {
        cx.stats.cell.sync_partial_ok.bump();
    } else {
        cx.stats.cell.sync_full.bump();
        if matches!(wish, Wish::From { .. }) {
            cx.stats.cell.sync_partial_err.bump();
        }
    }
    cx.requests.push(Request::Feed);
    if synced == Synced::Begun {
        cx.requests.push(Request::BgSave);
    }
    Ok(())
}
