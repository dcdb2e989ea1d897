//! XACK and XPENDING, and XACKDEL of Redis 8.2.

use redix_types::entry::Kind;
use redix_types::stream::{Group as Readers, Pending, Stream, StreamId, Told};

use super::delete::{Wanted, delete_by_reference, reply_outcomes};
use super::{bury, docs, edit, no_group, notify, parse_end, parse_id, parse_start, read, reply_id};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Missing;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "xack",
        Group::Stream,
        -4,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        xack,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STREAM)
    .docs(docs::XACK),
    CommandSpec::write(
        "xackdel",
        Group::Stream,
        -6,
        const { &[KeySpec::one(1, access::RW | access::UPDATE | access::DELETE)] },
        xackdel,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .docs(docs::XACKDEL),
    CommandSpec::read(
        "xpending",
        Group::Stream,
        -3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        xpending,
    )
    .acl(acl::STREAM)
    .docs(docs::XPENDING),
];

/// `XACK key group id …` -> how many of the entries were pending. Errors: WRONGTYPE, an ID that is
/// none, but not where there is no such group. The name of one that cannot be may be what a primary
/// tells of producers ([`Told`]).
fn xack(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 1), args.get(2));
    let stream = read(cx, key)?;
    if stream.is_none_or(|stream| stream.group(name).is_none()) {
        if stream.is_some()
            && let Some(told) = Told::of_group(name)
        {
            let (id, now_ms) = (parse_id(args.get(3))?, cx.now_ms());
            let forgotten =
                edit(cx, key, Missing::Skip, |stream| (told.apply(stream, id, now_ms), 1))?;
            bury(cx, forgotten.flatten());
        }
        cx.reply.int(0);
        return Ok(());
    }
    let ids: Vec<StreamId> = args.iter_from(3).map(parse_id).collect::<Result<_, _>>()?;
    let acknowledged = edit(cx, key, Missing::Skip, |stream| {
        let group = stream.group_mut(name).expect("the group was just seen");
        let count = ids.iter().filter(|id| group.acknowledge(**id)).count() as u64;
        (count, count)
    })?;
    cx.reply.int(acknowledged.unwrap_or(0) as i64);
    Ok(())
}

/// `XACKDEL key group [KEEPREF | DELREF | ACKED] IDS count id …` -> array of 1 for an entry that
/// was pending and is deleted, 2 for one that was pending but is kept, -1 for one that was not
/// pending. Errors: the grammar's, WRONGTYPE.
fn xackdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 1), args.get(2));
    let is_missing = read(cx, key)?.is_none_or(|stream| stream.group(name).is_none());
    let wanted = Wanted::parse(args, 3)?;
    if is_missing {
        reply_outcomes(cx, &vec![-1; wanted.len()]);
        return Ok(());
    }
    let ids = wanted.ids()?;
    let outcome = edit(cx, key, Missing::Skip, |stream| {
        let (mut changes, mut deleted) = (0, false);
        let mut one = |id: StreamId| {
            let group = stream.group_mut(name);
            if !group.is_some_and(|group| group.acknowledge(id)) {
                return -1;
            }
            changes += 1;
            // An entry that is gone is as good as deleted.
            let reply = delete_by_reference(stream, id, wanted.keep).reply;
            deleted |= reply == 1;
            reply.abs()
        };
        let outcomes: Vec<i64> = ids.iter().map(|id| one(*id)).collect();
        ((outcomes, deleted), changes)
    })?;
    let (outcomes, deleted) = outcome.unwrap_or_default();
    if deleted {
        notify(cx, "xdel", key);
    }
    reply_outcomes(cx, &outcomes);
    Ok(())
}

/// Which pending entries XPENDING lists.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads `[IDLE ms] start end count [consumer]`. Errors: the grammar's.
    fn parse(args: Args<'a>) -> Result<Option<Self>, ReplyError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if args.len() < 6 || args.len() > 9 {
            return Err(ReplyError::Syntax);
        }
        let (mut idle_ms, mut at) = (0, 3);
        if args.is(3, "IDLE") {
            idle_ms = args.int(4)?;
            if args.len() < 8 {
                return Err(ReplyError::Syntax);
            }
            at = 5;
        }
        let count = usize::try_from(args.int(at + 2)?).unwrap_or(0);
        let (start, end) = (parse_start(args.get(at))?, parse_end(args.get(at + 1))?);
        Ok(Some(Filter { idle_ms, start, end, count, consumer: args.try_get(at + 3) }))
    }
}

/// `XPENDING key group [[IDLE ms] start end count [consumer]]` -> array of how many entries are
/// pending, the first and the last, and of consumers and how many each; with a range array of IDs,
/// consumers, milliseconds since the delivery and deliveries. Errors: the grammar's, NOGROUP,
/// WRONGTYPE.
fn xpending(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let filter = Filter::parse(args)?;
    let (key, name) = (cx.key(args, 1), args.get(2));
    let now_ms = cx.now_ms();
    let entry = cx.keys.lookup_kind(key, Kind::Stream)?;
    let stream = entry.and_then(|entry| Stream::of(entry.value()));
    let group = stream.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_group(key, name, ""))?;
    match filter {
        None => reply_summary(cx.reply, group),
        Some(filter) => reply_pending(cx.reply, group, &filter, now_ms),
    }
    Ok(())
}

fn reply_summary(reply: &mut redix_resp::reply::Reply, group: &Readers) {
    reply.array(4);
    reply.int(group.pending().len() as i64);
    let (Some((first, _)), Some((last, _))) = (group.pending().first(), group.pending().last())
    else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, *first);
    reply_id(reply, *last);
    let place = reply.deferred_array();
    let mut count = 0;
    for consumer in group.shown_consumers().filter(|consumer| !consumer.pending().is_empty()) {
        reply.array(2);
        reply.bulk(&consumer.name);
        reply.bulk_int(consumer.pending().len() as i64);
        count += 1;
    }
    reply.finish_array(place, count);
}

fn reply_pending(
    reply: &mut redix_resp::reply::Reply,
    group: &Readers,
    filter: &Filter<'_>,
    now_ms: i64,
) {
    let place = reply.deferred_array();
    let mut count = 0;
    let is_idle = |one: &Pending| now_ms - one.delivered_ms >= filter.idle_ms;
    let mut show = |(id, pending): (StreamId, Pending)| {
        count += 1;
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(&group.consumer(pending.consumer).name);
        let idle_ms = (now_ms - pending.delivered_ms).max(0);
        reply.int(if group.is_released(&pending) { -1 } else { idle_ms });
        reply.int(pending.count as i64);
    };
    let end = filter.end;
    match filter.consumer.map(|name| group.find_shown(name)) {
        Some(None) => {}
        Some(Some(number)) => {
            let ids = group.consumer(number).pending().iter_from(&filter.start);
            let ids = ids.map(|(id, ())| *id).take_while(|id| *id <= end);
            let of = |id| *group.pending().get(&id).expect("T3: what is pending for a consumer");
            let wanted = ids.map(|id| (id, of(id))).filter(|(_, one)| is_idle(one));
            wanted.take(filter.count).for_each(&mut show);
        }
        None => {
            let all = group.pending().iter_from(&filter.start);
            let all = all.map(|(id, one)| (*id, *one)).take_while(|(id, _)| *id <= end);
            all.filter(|(_, one)| is_idle(one)).take(filter.count).for_each(&mut show);
        }
    }
    reply.finish_array(place, count);
}
