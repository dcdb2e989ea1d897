//! Connection commands.
//!
//! [`auth`] authenticates a client and negotiates the protocol, [`client`] is the CLIENT container;
//! the rest is here.

pub mod auth;
pub mod client;

use redix_resp::reply::Proto;

use crate::acl::DEFAULT_USER;
use crate::command::args::{Args, name_databases, parse_db};
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Databases, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::registry::client_flag;
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// Commands: ECHO, PING, QUIT, RESET and SELECT.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("echo", Group::Connection, 2, echo)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::CONNECTION)
        .doc("Returns its argument.")
        .args(&[ArgSpec::new("message", ArgKind::String)]),
    CommandSpec::client("ping", Group::Connection, -1, ping)
        .flags(flag::FAST | flag::SENTINEL | flag::DENY_UNSAVED | flag::SUBSCRIBED)
        .acl(acl::CONNECTION)
        .doc("Tests whether the server answers.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[ArgSpec::new("message", ArgKind::String).optional()]),
    CommandSpec::client("quit", Group::Connection, -1, quit)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY
                | flag::RUNS_IN_MULTI
                | flag::SUBSCRIBED,
        )
        .acl(acl::CONNECTION)
        .doc("Ends the connection once its replies are sent."),
    CommandSpec::client("reset", Group::Connection, 1, reset)
        .flags(
            flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::FAST
                | flag::NO_AUTH
                | flag::ALLOW_BUSY
                | flag::RUNS_IN_MULTI
                | flag::SUBSCRIBED,
        )
        .acl(acl::CONNECTION)
        .since("6.2.0")
        .doc("Puts the connection back into the state of a new one."),
    CommandSpec::client("select", Group::Connection, 2, select)
        .flags(flag::LOADING | flag::STALE | flag::FAST | flag::ALLOW_BUSY)
        .acl(acl::CONNECTION)
        .databases(Databases::Named(select_databases))
        .doc("Changes the selected database.")
        .args(&[ArgSpec::new("index", ArgKind::Integer)]),
];

/// `ECHO message` -> bulk.
fn echo(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.bulk(args.get(1));
    Ok(())
}

/// `PING [message]` -> `PONG` or the message; to a RESP2 client with subscriptions, whose replies
/// all look like messages, an array of `pong` and the message.
fn ping(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        1 | 2 if cx.session.subscriptions.is_some() && cx.reply.proto == Proto::Resp2 => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(args.try_get(1).unwrap_or_default());
        }
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(args.get(1)),
        _ => return Err(ReplyError::WrongArity("ping".into())),
    }
    Ok(())
}

/// `QUIT` -> OK; then the connection is closed.
fn quit(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.close_after_reply();
    cx.reply.ok();
    Ok(())
}

/// `RESET` -> `RESET`. The client's library information and capabilities are kept.
fn reset(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let is_replica = cx.session.replica.as_ref().is_some_and(|replica| replica.attached());
    if is_replica || cx.from_primary() {
        return Err(ReplyError::Static("ERR can only reset normal client connections"));
    }
    cx.discard_transaction();
    cx.engine.registry.remove_monitor(cx.shared.id);
    super::pubsub::leave_all(cx);
    client::stop_tracking(cx);
    cx.session.reset(cx.engine.acl.default_is_open());
    cx.select(0);
    set_proto(cx, Proto::Resp2);
    let state = client_flag::MONITOR
        | client_flag::NO_EVICT
        | client_flag::NO_TOUCH
        | client_flag::IMPORT_SOURCE
        | client_flag::READONLY;
    cx.shared.set_flag(state, false);
    let mut texts = lock(&cx.shared.texts);
    texts.name.clear();
    texts.user = DEFAULT_USER.to_vec();
    drop(texts);
    cx.reply.simple("RESET");
    Ok(())
}

/// The database that SELECT names.
fn select_databases(args: Args<'_>, count: u32, out: &mut Vec<(usize, u32)>) -> bool {
    name_databases(args, [1], count, out)
}

/// `SELECT index` -> OK.
fn select(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.select(parse_db(args.get(1), cx.engine.keyspace.databases())?);
    cx.reply.ok();
    Ok(())
}

/// Replies in another protocol version from here on.
fn set_proto(cx: &mut ClientCx<'_, '_>, proto: Proto) {
    cx.reply.proto = proto;
    let version = match proto {
        Proto::Resp2 => 2,
        Proto::Resp3 => 3,
    };
    cx.shared.resp.store(version, Ordering::Relaxed);
}

/// Whether a client name, library or version is valid: printable ASCII without blanks. As on the
/// real servers, it ends at a zero byte.
fn is_plain_word(word: &[u8]) -> bool {
    word.iter().take_while(|byte| **byte != 0).all(u8::is_ascii_graphic)
}

const BAD_NAME: ReplyError =
    ReplyError::Static("ERR Client names cannot contain spaces, newlines or special characters.");
