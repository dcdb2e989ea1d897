//! XINFO.

use redix_resp::reply::Reply;
use redix_types::stream::{Consumer, Entry, Group as Readers, Idempotence, Stream, StreamId};

use super::{docs, no_group_of_key, read, reply_entry, reply_id};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::plain("xinfo", Group::Stream, -2, container).docs(docs::XINFO).subcommands(&[
        CommandSpec::read(
            "consumers",
            Group::Stream,
            4,
            const { &[KeySpec::one(2, access::RO | access::ACCESS)] },
            consumers,
        )
        .acl(acl::STREAM)
        .docs(docs::XINFO_CONSUMERS),
        CommandSpec::read(
            "groups",
            Group::Stream,
            3,
            const { &[KeySpec::one(2, access::RO | access::ACCESS)] },
            groups,
        )
        .acl(acl::STREAM)
        .docs(docs::XINFO_GROUPS),
        CommandSpec::plain("help", Group::Stream, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .acl(acl::STREAM)
            .docs(docs::XINFO_HELP),
        CommandSpec::read(
            "stream",
            Group::Stream,
            -3,
            const { &[KeySpec::one(2, access::RO | access::ACCESS)] },
            stream,
        )
        .acl(acl::STREAM)
        .docs(docs::XINFO_STREAM),
    ])];

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Print this help.",
];

/// Entries that XINFO STREAM FULL shows of each list unless told otherwise.
const FULL_COUNT: i64 = 10;

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("xinfo".into()))
}

/// `XINFO HELP` -> lines.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.array(HELP.len());
    HELP.iter().for_each(|line| cx.reply.simple(line));
    Ok(())
}

/// The stream at a key and where the reply goes. Errors: no such key, WRONGTYPE.
fn find<'a>(
    cx: &'a mut Ctx<'_, '_>,
    key: Key<'_>,
) -> Result<(&'a Stream, &'a mut Reply), ReplyError> {
    read(cx, key)?;
    let Ctx { keys, reply, .. } = cx;
    let stream = keys.view(key).and_then(|entry| Stream::of(entry.value()));
    Ok((stream.ok_or(ReplyError::NoSuchKey)?, reply))
}

/// `XINFO CONSUMERS key group` -> array of maps: name, pending, idle and inactive in milliseconds.
/// Errors: no such key, NOGROUP, WRONGTYPE.
fn consumers(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name, now_ms) = (cx.key(args, 2), args.get(3), cx.now_ms());
    let (stream, reply) = find(cx, key)?;
    let Some(group) = stream.group(name) else {
        return Err(no_group_of_key(key, name));
    };
    reply.array(group.shown_count());
    for consumer in group.shown_consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(&consumer.name);
        reply.bulk(b"pending");
        reply.int(consumer.pending().len() as i64);
        reply.bulk(b"idle");
        reply.int((now_ms - consumer.seen_ms).max(0));
        reply.bulk(b"inactive");
        reply.int(match consumer.active_ms {
            -1 => -1,
            active_ms => (now_ms - active_ms).max(0),
        });
    }
    Ok(())
}

/// `XINFO GROUPS key` -> array of maps: name, consumers, pending, last-delivered-id, entries-read
/// and lag. Errors: no such key, WRONGTYPE.
fn groups(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 2);
    let (stream, reply) = find(cx, key)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.int(group.shown_count() as i64);
        reply.bulk(b"pending");
        reply.int(group.pending().len() as i64);
        reply_progress(reply, stream, group);
    }
    Ok(())
}

/// Writes how far a group has got.
fn reply_progress(reply: &mut Reply, stream: &Stream, group: &Readers) {
    reply.bulk(b"last-delivered-id");
    reply_id(reply, group.last_id);
    for (name, number) in [("entries-read", group.entries_read), ("lag", stream.lag(group))] {
        reply.bulk_str(name);
        match number {
            Some(number) => reply.int(number),
            None => reply.null(),
        }
    }
}

/// `XINFO STREAM key [FULL [COUNT count]]` -> map. Errors: the grammar's, no such key, WRONGTYPE.
fn stream(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, now_ms) = (cx.key(args, 2), cx.now_ms());
    let (stream, reply) = find(cx, key)?;
    let mut most = FULL_COUNT;
    let is_full = match args.len() {
        3 => false,
        4 if args.is(3, "FULL") => true,
        6 if args.is(3, "FULL") && args.is(4, "COUNT") => {
            most = args.int(5)?;
            true
        }
        _ => {
            return Err(ReplyError::Static(
                "ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
            ));
        }
    };
    // 0 is all, as a negative one is taken for the default.
    let most = match usize::try_from(most) {
        Ok(0) => usize::MAX,
        Ok(most) => most,
        Err(_) => FULL_COUNT as usize,
    };
    let more = if stream.idempotence().is_some() { PRODUCER_FIELDS } else { 0 };
    reply.map(more + if is_full { 9 } else { 10 });
    reply_state(reply, stream);
    if let Some(known) = stream.idempotence() {
        reply_producers(reply, known, now_ms);
    }
    if is_full {
        reply_full(reply, stream, most);
    } else {
        reply.bulk(b"groups");
        reply.int(stream.groups().len() as i64);
        let all = (StreamId::MIN, StreamId::MAX);
        let edges = [
            ("first-entry", stream.range(all.0, all.1).next()),
            ("last-entry", stream.range_back(all.0, all.1).next()),
        ];
        for (name, entry) in edges {
            reply.bulk_str(name);
            match entry {
                Some(entry) => reply_entry(reply, entry),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

/// Writes what both forms of XINFO STREAM have.
fn reply_state(reply: &mut Reply, stream: &Stream) {
    let numbers = [
        ("length", stream.len()),
        ("radix-tree-keys", stream.node_count() as u64),
        ("radix-tree-nodes", stream.radix_nodes()),
    ];
    for (name, number) in numbers {
        reply.bulk_str(name);
        reply.int(number as i64);
    }
    let ids = [
        ("last-generated-id", stream.last_id()),
        ("max-deleted-entry-id", stream.max_deleted_id()),
    ];
    for (name, id) in ids {
        reply.bulk_str(name);
        reply_id(reply, id);
    }
    reply.bulk(b"entries-added");
    reply.int(stream.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, stream.first_id());
}

/// Fields that a stream has since a producer has added an entry under an identifier.
const PRODUCER_FIELDS: usize = 6;

fn reply_producers(reply: &mut Reply, known: &Idempotence, now_ms: i64) {
    let (producers, iids) = known.counts(now_ms);
    let window = known.window();
    let numbers: [(&str, u64); PRODUCER_FIELDS] = [
        ("idmp-duration", window.duration_s.into()),
        ("idmp-maxsize", window.max.into()),
        ("pids-tracked", producers as u64),
        ("iids-tracked", iids as u64),
        ("iids-added", known.added),
        ("iids-duplicates", known.duplicates),
    ];
    for (name, number) in numbers {
        reply.bulk_str(name);
        reply.int(number as i64);
    }
}

fn reply_full(reply: &mut Reply, stream: &Stream, most: usize) {
    reply.bulk(b"entries");
    let place = reply.deferred_array();
    let entries = stream.range(StreamId::MIN, StreamId::MAX).take(most);
    let count = entries.map(|entry: Entry<'_>| reply_entry(reply, entry)).count();
    reply.finish_array(place, count);
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        let released = group.released_count();
        reply.map(if released == 0 { 7 } else { 8 });
        reply.bulk(b"name");
        reply.bulk(name);
        reply_progress(reply, stream, group);
        reply.bulk(b"pel-count");
        reply.int(group.pending().len() as i64);
        reply.bulk(b"pending");
        reply.array(group.pending().len().min(most));
        for (id, pending) in group.pending().iter().take(most) {
            reply.array(4);
            reply_id(reply, *id);
            reply.bulk(&group.consumer(pending.consumer).name);
            reply.int(if group.is_released(pending) { 0 } else { pending.delivered_ms });
            reply.int(pending.count as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.shown_count());
        group.shown_consumers().for_each(|consumer| reply_consumer(reply, group, consumer, most));
        if released > 0 {
            reply.bulk(b"nacked-count");
            reply.int(released as i64);
        }
    }
}

fn reply_consumer(reply: &mut Reply, group: &Readers, consumer: &Consumer, most: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(&consumer.name);
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_ms);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms);
    reply.bulk(b"pel-count");
    reply.int(consumer.pending().len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending().len().min(most));
    for (id, ()) in consumer.pending().iter().take(most) {
        let pending = group.pending().get(id).expect("T3: what is pending for a consumer");
        reply.array(3);
        reply_id(reply, *id);
        reply.int(pending.delivered_ms);
        reply.int(pending.count as i64);
    }
}
