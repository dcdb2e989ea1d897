//! PUBLISH and SPUBLISH.

use super::docs;
use crate::channel::Kind;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{Channels, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;

/// Commands: PUBLISH and SPUBLISH.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("publish", Group::Pubsub, 3, publish)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .channels(Channels::Published)
        .docs(docs::PUBLISH),
    CommandSpec::plain("spublish", Group::Pubsub, 3, spublish)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .channels(Channels::Published)
        .keys(const { &[KeySpec::one(1, access::NOT_KEY)] })
        .docs(docs::SPUBLISH),
];

const FLAGS: u32 = flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST | flag::MAY_REPLICATE;

/// `PUBLISH channel message` -> number of matching subscriptions of this server's clients. Logged
/// verbatim, for replicas only.
fn publish(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    send(cx, args, Kind::Plain)
}

/// `SPUBLISH shardchannel message` -> number of this server's clients that received it. Logged as
/// PUBLISH.
fn spublish(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    send(cx, args, Kind::Shard)
}

fn send(cx: &mut Ctx<'_, '_>, args: Args<'_>, kind: Kind) -> CommandResult {
    let (receivers, message) = cx.engine.pubsub.prepare(kind, args.get(1), args.get(2));
    if let Some(message) = message {
        cx.keys.effects.publish(message);
    }
    let db = cx.keys.db;
    cx.keys.effects.log_for_replicas(db, args.iter_from(0));
    cx.reply.int(receivers as i64);
    Ok(())
}
