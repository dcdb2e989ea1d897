//! SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites.
//!
//! Each channel or pattern is confirmed by a push of its own, which is sent even where CLIENT REPLY
//! switches replies off.

use redix_resp::Reply;

use super::docs;
use crate::channel::{Kind, Subscribers};
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx};
use crate::command::spec::{Channels, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::effects::Notice;
use crate::error::{CommandResult, ReplyError};
use crate::mailbox::Mailbox;
use crate::pubsub::{Place, Subscriptions, write_pending};
use crate::registry::{client_flag, list};
use crate::session::ReplyMode;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Commands: PSUBSCRIBE, PUNSUBSCRIBE, SSUBSCRIBE, SUBSCRIBE, SUNSUBSCRIBE and UNSUBSCRIBE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("psubscribe", Group::Pubsub, -2, psubscribe)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .channels(Channels::SubscribedPatterns)
        .docs(docs::PSUBSCRIBE),
    CommandSpec::client("punsubscribe", Group::Pubsub, -1, punsubscribe)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .docs(docs::PUNSUBSCRIBE),
    CommandSpec::client("ssubscribe", Group::Pubsub, -2, ssubscribe)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .keys(SHARD_CHANNELS)
        .channels(Channels::Subscribed)
        .docs(docs::SSUBSCRIBE),
    CommandSpec::client("subscribe", Group::Pubsub, -2, subscribe)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .channels(Channels::Subscribed)
        .docs(docs::SUBSCRIBE),
    CommandSpec::client("sunsubscribe", Group::Pubsub, -1, sunsubscribe)
        .flags(FLAGS)
        .acl(acl::PUBSUB)
        .keys(SHARD_CHANNELS)
        .docs(docs::SUNSUBSCRIBE),
    CommandSpec::client("unsubscribe", Group::Pubsub, -1, unsubscribe)
        .flags(FLAGS | flag::SENTINEL)
        .acl(acl::PUBSUB)
        .docs(docs::UNSUBSCRIBE),
];

const FLAGS: u32 = flag::PUBSUB | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SUBSCRIBED;

const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, access::NOT_KEY)];

/// What a subscription is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Channel(Kind),
    Pattern,
}

/// `SUBSCRIBE channel …` -> for each a push: `subscribe`, the channel, the number of channels and
/// patterns that the client now subscribes to.
fn subscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    begin(cx, args, Topic::Channel(Kind::Plain), "subscribe")
}

/// `PSUBSCRIBE pattern …` -> as SUBSCRIBE.
fn psubscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    begin(cx, args, Topic::Pattern, "psubscribe")
}

/// `SSUBSCRIBE shardchannel …` -> as SUBSCRIBE; only shard channels are counted. Errors: inside
/// MULTI.
fn ssubscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if cx.caller == Caller::Exec {
        let text = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
        return Err(ReplyError::Static(text));
    }
    begin(cx, args, Topic::Channel(Kind::Shard), "ssubscribe")
}

/// `UNSUBSCRIBE [channel …]` -> for each a push: `unsubscribe`, the channel (null if there was
/// none), the number of channels and patterns that the client still subscribes to.
fn unsubscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    end(cx, args, Topic::Channel(Kind::Plain), "unsubscribe")
}

/// `PUNSUBSCRIBE [pattern …]` -> as UNSUBSCRIBE.
fn punsubscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    end(cx, args, Topic::Pattern, "punsubscribe")
}

/// `SUNSUBSCRIBE [shardchannel …]` -> as UNSUBSCRIBE; only shard channels are counted.
fn sunsubscribe(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    end(cx, args, Topic::Channel(Kind::Shard), "sunsubscribe")
}

fn place(cx: &ClientCx<'_, '_>) -> Place {
    Place { worker: cx.shared.worker, token: cx.shared.token.load(Ordering::Relaxed) }
}

/// The number of subscriptions that a confirmation for `topic` shows.
fn counted(subscriptions: &Subscriptions, topic: Topic) -> usize {
    match topic {
        Topic::Channel(Kind::Shard) => subscriptions.channels(Kind::Shard).len(),
        _ => subscriptions.channels(Kind::Plain).len() + subscriptions.patterns().len(),
    }
}

fn confirm(reply: &mut Reply, word: &str, name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk_str(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.int(count as i64);
}

fn begin(cx: &mut ClientCx<'_, '_>, args: Args<'_>, topic: Topic, word: &str) -> CommandResult {
    // A primary cannot subscribe through its replication stream.
    if cx.from_primary() {
        return Ok(());
    }
    let (pubsub, place) = (&cx.engine.pubsub, place(cx));
    let mut out = Reply::new(cx.reply.proto);
    let mut subscriptions = cx.session.subscriptions.take().unwrap_or_default();
    for name in args.iter_from(1) {
        match topic {
            Topic::Channel(kind) => pubsub.subscribe(&mut subscriptions, kind, name, place),
            Topic::Pattern => pubsub.subscribe_pattern(&mut subscriptions, name, place),
        }
        confirm(&mut out, word, Some(name), counted(&subscriptions, topic));
    }
    cx.session.subscriptions = Some(subscriptions);
    finish(cx, &out);
    Ok(())
}

fn end(cx: &mut ClientCx<'_, '_>, args: Args<'_>, topic: Topic, word: &str) -> CommandResult {
    let mut subscriptions = cx.session.subscriptions.take().unwrap_or_default();
    let names: Vec<Arc<[u8]>> = match topic {
        _ if args.len() > 1 => args.iter_from(1).map(Arc::from).collect(),
        Topic::Channel(kind) => subscriptions.channels(kind).iter().cloned().collect(),
        Topic::Pattern => subscriptions.patterns().iter().cloned().collect(),
    };
    let mut out = Reply::new(cx.reply.proto);
    let mut late = Reply::new(cx.reply.proto);
    for name in &names {
        // Inside a transaction messages follow the reply to EXEC.
        let pending = if cx.caller == Caller::Exec { &mut late } else { &mut out };
        end_one(cx, &mut subscriptions, topic, name, pending);
        confirm(&mut out, word, Some(name), counted(&subscriptions, topic));
    }
    if names.is_empty() {
        confirm(&mut out, word, None, counted(&subscriptions, topic));
    }
    cx.session.subscriptions = (!subscriptions.is_empty()).then_some(subscriptions);
    finish(cx, &out);
    cx.session.pushes.extend_from_slice(late.as_bytes());
    Ok(())
}

/// Ends one subscription. Messages published earlier that have not reached the client are appended
/// to `pending`.
fn end_one(
    cx: &ClientCx<'_, '_>,
    subscriptions: &mut Subscriptions,
    topic: Topic,
    name: &[u8],
    pending: &mut Reply,
) {
    let (pubsub, place) = (&cx.engine.pubsub, place(cx));
    let mailbox: Option<Arc<Mailbox>> = cx.engine.registry.mailbox(place.worker);
    let unsent = cx.keys.effects.notices().iter().filter_map(|notice| match notice {
        Notice::Message(message) => Some(message),
        Notice::Event(_) => None,
    });
    let before = |subscribers: &Arc<Subscribers>| {
        if let Some(mailbox) = &mailbox {
            write_pending(subscribers, place.token, mailbox, unsent, pending);
        }
    };
    match topic {
        Topic::Channel(kind) => pubsub.unsubscribe(subscriptions, kind, name, place, before),
        Topic::Pattern => pubsub.unsubscribe_pattern(subscriptions, name, place, before),
    };
}

/// Sends confirmations, and publishes the client's number of subscriptions.
fn finish(cx: &mut ClientCx<'_, '_>, confirmations: &Reply) {
    show(cx);
    let silenced = matches!(cx.session.reply_mode, ReplyMode::Off | ReplyMode::Skip);
    if silenced {
        cx.session.pushes.extend_from_slice(confirmations.as_bytes());
    } else {
        cx.reply.raw(confirmations.as_bytes());
    }
}

fn show(cx: &ClientCx<'_, '_>) {
    let counts = match &cx.session.subscriptions {
        None => [0; 3],
        Some(subscriptions) => [
            subscriptions.channels(Kind::Plain).len(),
            subscriptions.patterns().len(),
            subscriptions.channels(Kind::Shard).len(),
        ],
    };
    let bytes = cx.session.subscriptions.as_ref().map_or(0, |all| all.memory_bytes());
    cx.shared.list_bytes[list::SUBSCRIPTIONS].store(bytes, Ordering::Relaxed);
    cx.shared.set_flag(client_flag::PUBSUB, counts != [0; 3]);
    for (shown, count) in cx.shared.subscriptions.iter().zip(counts) {
        shown.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

/// Ends all subscriptions of the client without confirmations.
pub(in crate::commands) fn leave_all(cx: &mut ClientCx<'_, '_>) {
    if let Some(subscriptions) = cx.session.subscriptions.take() {
        cx.engine.pubsub.leave(*subscriptions, place(cx));
        show(cx);
    }
}

/// Sends the messages held back during a transaction, even where replies are switched off.
pub(in crate::commands) fn end_transaction(cx: &mut ClientCx<'_, '_>) {
    if cx.session.reply_mode == ReplyMode::On {
        let pushes = std::mem::take(&mut cx.session.pushes);
        cx.reply.raw(&pushes);
    }
}
