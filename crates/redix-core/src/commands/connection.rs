//! Commands about the connection itself.

use crate::command::args::Args;
use crate::command::dispatch::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// The family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("echo", Group::Connection, 2, echo)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::CONNECTION)
        .doc("Returns its argument.")
        .args(&[ArgSpec::new("message", ArgKind::String)]),
    CommandSpec::plain("ping", Group::Connection, -1, ping)
        .flags(flag::FAST | flag::SENTINEL)
        .acl(acl::CONNECTION)
        .doc("Tests whether the server answers.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[ArgSpec::new("message", ArgKind::String).optional()]),
    CommandSpec::plain("select", Group::Connection, 2, select)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::CONNECTION)
        .doc("Changes the selected database.")
        .args(&[ArgSpec::new("index", ArgKind::Integer)]),
];

/// `ECHO message` -> bulk.
fn echo(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.bulk(args.get(1));
    Ok(())
}

/// `PING [message]` -> `PONG` or the message.
fn ping(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(args.get(1)),
        _ => return Err(ReplyError::WrongArity("ping".into())),
    }
    Ok(())
}

/// `SELECT index` -> OK.
fn select(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let index = args.int(1)?;
    let db = u32::try_from(index).ok().filter(|db| *db < cx.engine.keyspace.databases());
    cx.select(db.ok_or(ReplyError::Static("ERR DB index is out of range"))?);
    cx.reply.ok();
    Ok(())
}
