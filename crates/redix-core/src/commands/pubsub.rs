//! PUBLISH and SPUBLISH as far as they can be answered without subscribers: nobody can subscribe
//! here, but the replicas of this server may have subscribers, and its primary may publish.
//!
//! Source: Redis documentation, "Pub/Sub": messages go to replicas through the stream of writes.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;

/// The family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("publish", Group::Pubsub, 3, publish)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .since("2.0.0")
        .complexity("O(1)")
        .doc("Sends a message to a channel.")
        .args(&[
            ArgSpec::new("channel", ArgKind::String),
            ArgSpec::new("message", ArgKind::String),
        ]),
    CommandSpec::plain("spublish", Group::Pubsub, 3, publish)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .keys(const { &[KeySpec::one(1, access::NOT_KEY)] })
        .since("7.0.0")
        .complexity("O(1)")
        .doc("Sends a message to a channel of a slot.")
        .args(&[
            ArgSpec::new("shardchannel", ArgKind::String),
            ArgSpec::new("message", ArgKind::String),
        ]),
];

const FLAGS: u32 = flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST | flag::MAY_REPLICATE;

/// `PUBLISH channel message`, `SPUBLISH channel message` -> how many clients of this server got it:
/// 0.
fn publish(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let db = cx.keys.db;
    cx.keys.effects.log_words(db, args.iter_from(0));
    cx.reply.int(0);
    Ok(())
}
