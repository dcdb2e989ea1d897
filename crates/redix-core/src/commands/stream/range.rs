//! XLEN, XRANGE and XREVRANGE.

use redix_types::stream::{Entry, Stream, StreamId};

use super::{docs, parse_end, parse_start, read, reply_entry};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("xlen", Group::Stream, 2, const { &[KeySpec::one(1, access::RO)] }, xlen)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::STREAM)
        .docs(docs::XLEN),
    CommandSpec::read(
        "xrange",
        Group::Stream,
        -4,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        xrange,
    )
    .acl(acl::STREAM)
    .docs(docs::XRANGE),
    CommandSpec::read(
        "xrevrange",
        Group::Stream,
        -4,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        xrevrange,
    )
    .acl(acl::STREAM)
    .docs(docs::XREVRANGE),
];

/// `XLEN key` -> number of entries. Errors: WRONGTYPE.
fn xlen(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let len = read(cx, key)?.map_or(0, Stream::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `XRANGE key start end [COUNT count]` -> array of IDs with fields and values. Errors: the
/// grammar's, WRONGTYPE.
fn xrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let interval = parse_start(args.get(2))?;
    let end = parse_end(args.get(3))?;
    reply_range(cx, args, (interval, end), false)
}

/// `XREVRANGE key end start [COUNT count]` -> as XRANGE, in descending order.
fn xrevrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let start = parse_start(args.get(3))?;
    let end = parse_end(args.get(2))?;
    reply_range(cx, args, (start, end), true)
}

fn reply_range(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    (start, end): (StreamId, StreamId),
    reverse: bool,
) -> CommandResult {
    let mut count = None;
    let mut options = args.options(4);
    while options.more() {
        let word = options.eat_value("COUNT").ok_or(ReplyError::Syntax)?;
        let number = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
        count = Some(usize::try_from(number).unwrap_or(0));
    }
    let key = cx.key(args, 1);
    let Some(entry) = cx.keys.lookup_kind(key, redix_types::Kind::Stream)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let stream = Stream::of(entry.value()).expect("the kind was checked");
    if count == Some(0) {
        cx.reply.null_array();
        return Ok(());
    }
    let place = cx.reply.deferred_array();
    let mut found = 0;
    let mut show = |entry: Entry<'_>| {
        reply_entry(cx.reply, entry);
        found += 1;
    };
    let most = count.unwrap_or(usize::MAX);
    if reverse {
        stream.range_back(start, end).take(most).for_each(&mut show);
    } else {
        stream.range(start, end).take(most).for_each(&mut show);
    }
    cx.reply.finish_array(place, found);
    Ok(())
}
