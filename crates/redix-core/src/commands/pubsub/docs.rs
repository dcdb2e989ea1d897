//! COMMAND DOCS entries of the pub/sub commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

const CHANNEL: ArgSpec = ArgSpec::new("channel", ArgKind::String);
const SHARD_CHANNEL: ArgSpec = ArgSpec::new("shardchannel", ArgKind::String);
const PATTERN: ArgSpec = ArgSpec::new("pattern", ArgKind::Pattern);
const MESSAGE: ArgSpec = ArgSpec::new("message", ArgKind::String);

const PER_CHANNEL: &str = "O(N), N being the number of channels.";
const PER_PATTERN: &str = "O(N), N being the number of patterns.";

pub(super) const PUBLISH: Docs = Docs::new(
    "2.0.0",
    "O(N+M), N being the number of the channel's subscribers and M that of all patterns.",
    "Sends a message to a channel.",
)
.args(&[CHANNEL, MESSAGE]);

pub(super) const SPUBLISH: Docs = Docs::new(
    "7.0.0",
    "O(N), N being the number of the channel's subscribers.",
    "Sends a message to a shard channel.",
)
.args(&[SHARD_CHANNEL, MESSAGE]);

pub(super) const SUBSCRIBE: Docs =
    Docs::new("2.0.0", PER_CHANNEL, "Listens to channels.").args(&[CHANNEL.multiple()]);

pub(super) const SSUBSCRIBE: Docs =
    Docs::new("7.0.0", PER_CHANNEL, "Listens to shard channels.").args(&[SHARD_CHANNEL.multiple()]);

pub(super) const PSUBSCRIBE: Docs =
    Docs::new("2.0.0", PER_PATTERN, "Listens to the channels whose names match patterns.")
        .args(&[PATTERN.multiple()]);

pub(super) const UNSUBSCRIBE: Docs =
    Docs::new("2.0.0", PER_CHANNEL, "Listens to channels no longer, without arguments to none.")
        .args(&[CHANNEL.optional().multiple()]);

pub(super) const SUNSUBSCRIBE: Docs = Docs::new(
    "7.0.0",
    PER_CHANNEL,
    "Listens to shard channels no longer, without arguments to none.",
)
.args(&[SHARD_CHANNEL.optional().multiple()]);

pub(super) const PUNSUBSCRIBE: Docs =
    Docs::new("2.0.0", PER_PATTERN, "Listens to patterns no longer, without arguments to none.")
        .args(&[PATTERN.optional().multiple()]);

pub(super) const PUBSUB: Docs =
    Docs::new("2.8.0", "Depends on subcommand.", "Groups the commands about subscriptions.");

pub(super) const CHANNELS: Docs = Docs::new(
    "2.8.0",
    "O(N), N being the number of channels that have subscribers.",
    "Lists the channels that have subscribers.",
)
.args(&[PATTERN.optional()]);

pub(super) const HELP: Docs = Docs::new("6.2.0", "O(1)", "Describes the subcommands.");

pub(super) const NUMPAT: Docs =
    Docs::new("2.8.0", "O(1)", "Counts the different patterns that have subscribers.");

pub(super) const NUMSUB: Docs = Docs::new("2.8.0", PER_CHANNEL, "Counts subscribers of channels.")
    .args(&[CHANNEL.optional().multiple()]);

pub(super) const SHARDCHANNELS: Docs = Docs::new(
    "7.0.0",
    "O(N), N being the number of shard channels that have subscribers.",
    "Lists the shard channels that have subscribers.",
)
.args(&[PATTERN.optional()]);

pub(super) const SHARDNUMSUB: Docs =
    Docs::new("7.0.0", PER_CHANNEL, "Counts subscribers of shard channels.")
        .args(&[SHARD_CHANNEL.optional().multiple()]);
