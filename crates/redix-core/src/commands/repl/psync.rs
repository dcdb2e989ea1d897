//! PSYNC and SYNC: a replica asks to be synchronised.
//!
//! Source: Redis' replication protocol. The reply goes through the replica's feed
//! ([`crate::repl::primary`]): a replica receives nothing that is not part of the stream.

use redix_types::num::parse_i64;

use super::replconf::introduced;
use super::replicaof::announce;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::effects::Request;
use crate::engine::{Refusal, Synced, Wish};
use crate::env::Level;
use crate::error::{CommandResult, ReplyError};
use crate::repl::failover::Stage;
use crate::sync::Arc;

/// Commands: PSYNC and SYNC.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("psync", Group::Server, -3, psync)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NO_MULTI | flag::NOSCRIPT)
        .world()
        .since("2.8.0")
        .complexity("")
        .doc("Sends the stream of writes from an offset on; replicas use it.")
        .args(&[
            ArgSpec::new("replicationid", ArgKind::String),
            ArgSpec::new("offset", ArgKind::Integer),
        ]),
    CommandSpec::client("sync", Group::Server, 1, sync)
        .flags(flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NO_MULTI | flag::NOSCRIPT)
        .world()
        .complexity("")
        .doc("Sends a snapshot and the stream of writes behind it; old replicas use it."),
];

/// `PSYNC id offset` -> `CONTINUE [id]` and the stream from byte `offset` on, counted from 1; or
/// `FULLRESYNC id offset`, a snapshot, and the stream from there. `PSYNC ? -1`, and any other
/// argument that begins with `?`, asks for the latter; or `DUALCHANNELSYNC`, upon which a replica
/// that has announced this capability sends SYNC over another connection, and PSYNC anew, for the
/// stream alone. `PSYNC id offset FAILOVER` comes from this
/// server's primary, which hands over to it: it becomes the primary before it replies. Errors of
/// that: this is a primary; it follows another stream.
fn psync(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let Some(next) = parse_i64(args.get(2)) else {
        let name = &cx.shared.addr;
        let text = format!("Replica {name} asks for synchronization but with a wrong offset");
        cx.engine.env.log(Level::Warning, &text);
        return Err(ReplyError::NotInteger);
    };
    let wish = match args.get(1) {
        [b'?', ..] => Wish::Everything,
        id => Wish::From { id, next },
    };
    let asked_by = if args.is(3, "failover") { Some(args.get(1)) } else { None };
    synchronise(cx, wish, asked_by, false)
}

/// `SYNC` -> a snapshot and the stream after it. After `REPLCONF rdb-channel 1`: a line
/// `$ENDOFF:offset id database client`, the place in the stream where the snapshot was cut, and
/// the snapshot.
fn sync(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    synchronise(cx, Wish::Everything, None, true)
}

/// Takes over from the primary whose replication id is `id`.
fn take_over(cx: &ClientCx<'_, '_>, id: &[u8]) -> CommandResult {
    cx.engine.take_over(id).map_err(|refusal| {
        ReplyError::Static(match refusal {
            Refusal::IsPrimary => "ERR PSYNC FAILOVER can't be sent to a master.",
            Refusal::OtherStream => "ERR PSYNC FAILOVER replid must match my replid.",
        })
    })?;
    announce(cx, "PRIMARY MODE enabled", "failover");
    Ok(())
}

/// Synchronises a replica, possibly after taking over from it; `legacy` with SYNC.
fn synchronise(
    cx: &mut ClientCx<'_, '_>,
    wish: Wish<'_>,
    taken_over_from: Option<&[u8]>,
    legacy: bool,
) -> CommandResult {
    // The link to the primary does not send a stream: no worker would feed it.
    if cx.from_primary() {
        return Err(ReplyError::Static("ERR A master can't be synchronised over its own link"));
    }
    let replica = Arc::clone(introduced(cx));
    if replica.attached() {
        return Ok(());
    }
    let repl = &cx.engine.repl;
    if repl.failover.stage() != Stage::None {
        return Err(ReplyError::Static("NOMASTERLINK Can't SYNC while failing over"));
    }
    if let Some(id) = taken_over_from {
        take_over(cx, id)?;
    }
    if repl.is_replica() && !repl.upstream.is_up() {
        return Err(ReplyError::Static(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    let said = replica.announced();
    if (said.wanted.without_data || said.wanted.without_functions) && !said.eof {
        return Err(ReplyError::Static("ERR Filtered replica requires EOF capability"));
    }
    cx.keys.held.release_in_world();
    let synced = cx.engine.synchronise(&replica, wish, legacy);
    if synced == Synced::Partly {
        cx.stats.cell.sync_partial_ok.bump();
    } else if matches!(wish, Wish::From { .. }) {
        cx.stats.cell.sync_partial_err.bump();
    }
    if synced == Synced::Elsewhere {
        cx.reply.simple("DUALCHANNELSYNC");
        return Ok(());
    }
    if synced != Synced::Partly {
        cx.stats.cell.sync_full.bump();
    }
    cx.requests.push(Request::Feed);
    if synced == Synced::Begun {
        cx.requests.push(Request::BgSave);
    }
    Ok(())
}
