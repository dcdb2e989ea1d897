//! PUBSUB: introspection of subscriptions.

use super::docs;
use crate::channel::Kind;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: PUBSUB and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("pubsub", Group::Pubsub, -2, container)
    .docs(docs::PUBSUB)
    .subcommands(SUBCOMMANDS)];

const FLAGS: u32 = flag::PUBSUB | flag::LOADING | flag::STALE;

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("channels", Group::Pubsub, -2, channels)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .docs(docs::CHANNELS),
    CommandSpec::plain("help", Group::Pubsub, 2, help)
        .flags(flag::LOADING | flag::STALE)
        .docs(docs::HELP),
    CommandSpec::plain("numpat", Group::Pubsub, 2, numpat)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .docs(docs::NUMPAT),
    CommandSpec::plain("numsub", Group::Pubsub, -2, numsub)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .docs(docs::NUMSUB),
    CommandSpec::plain("shardchannels", Group::Pubsub, -2, shardchannels)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .docs(docs::SHARDCHANNELS),
    CommandSpec::plain("shardnumsub", Group::Pubsub, -2, shardnumsub)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .docs(docs::SHARDNUMSUB),
];

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("pubsub".into()))
}

/// `PUBSUB CHANNELS [pattern]` -> array of names, in no order. Errors: more arguments.
fn channels(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    list(cx, args, Kind::Plain)
}

/// `PUBSUB SHARDCHANNELS [pattern]` -> as PUBSUB CHANNELS.
fn shardchannels(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    list(cx, args, Kind::Shard)
}

fn list(cx: &mut Ctx<'_, '_>, args: Args<'_>, kind: Kind) -> CommandResult {
    if args.len() > 3 {
        let reason = "unknown subcommand or wrong number of arguments for '";
        return Err(ReplyError::quoting(reason, args.get(1), "'. Try PUBSUB HELP."));
    }
    let names = cx.engine.pubsub.channels(kind, args.try_get(2));
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name));
    Ok(())
}

/// `PUBSUB NUMPAT` -> integer. A pattern counts once, however many clients subscribe to it.
fn numpat(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(cx.engine.pubsub.pattern_count() as i64);
    Ok(())
}

/// `PUBSUB NUMSUB [channel …]` -> array of each name and the number of its subscribers, patterns
/// not counted.
fn numsub(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    count(cx, args, Kind::Plain)
}

/// `PUBSUB SHARDNUMSUB [shardchannel …]` -> as PUBSUB NUMSUB.
fn shardnumsub(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    count(cx, args, Kind::Shard)
}

fn count(cx: &mut Ctx<'_, '_>, args: Args<'_>, kind: Kind) -> CommandResult {
    cx.reply.array((args.len() - 2) * 2);
    for name in args.iter_from(2) {
        cx.reply.bulk(name);
        cx.reply.int(cx.engine.pubsub.subscribers(kind, name) as i64);
    }
    Ok(())
}

/// `PUBSUB HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    crate::commands::server::help(
        cx,
        "PUBSUB",
        &[
            ("CHANNELS [<pattern>]", "The channels that have subscribers."),
            ("NUMPAT", "The number of different patterns that have subscribers."),
            ("NUMSUB [<channel> ...]", "The number of subscribers of channels."),
            ("SHARDCHANNELS [<pattern>]", "The shard channels that have subscribers."),
            ("SHARDNUMSUB [<shardchannel> ...]", "The number of subscribers of shard channels."),
        ],
    )
}
