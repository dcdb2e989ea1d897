//! XCLAIM and XAUTOCLAIM.

use redix_resp::reply::Reply;
use redix_types::entry::{EntryRef, Kind};
use redix_types::stream::{Group as Readers, Name, Pending, RELEASED_MS, Stream, StreamId};

use super::{
    Claim, consumer_of, docs, log_claim, log_group_id, no_group, notify, parse_id, parse_start,
    read, reply_entry, reply_id, stream_of, view,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "xautoclaim",
        Group::Stream,
        -6,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        xautoclaim,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .log_as(LogAs::Effect)
    .docs(docs::XAUTOCLAIM),
    CommandSpec::write(
        "xclaim",
        Group::Stream,
        -6,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        xclaim,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .log_as(LogAs::Effect)
    .docs(docs::XCLAIM),
];

/// How many pending entries XAUTOCLAIM looks at for each that it may reply. Source: the cursors
/// that Valkey 9.1 replies.
const ATTEMPTS: u64 = 10;

/// What becomes of the entries that are claimed.
struct Options {
    min_idle_ms: i64,
    delivered_ms: i64,
    /// Sets the number of deliveries instead of counting on.
    count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

/// What a claim has done to an entry, to be logged.
struct Step {
    id: StreamId,
    /// The word that named the entry, if one did: it is logged as it came.
    word: Option<usize>,
    pending: Pending,
    consumer: Name,
}

type Done = Vec<Step>;

/// The number of milliseconds in a word. Errors: it is none, said with `error`.
fn parse_ms(word: &[u8], error: &'static str) -> Result<i64, ReplyError> {
    redix_types::num::parse_i64(word).ok_or(ReplyError::Static(error))
}

impl Options {
    /// Reads the words of XCLAIM behind its IDs. Errors: the grammar's.
    fn parse(args: Args<'_>, first: usize, now_ms: i64) -> Result<Self, ReplyError> {
        let mut options = Options {
            min_idle_ms: 0,
            delivered_ms: now_ms,
            count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut delivered_ms = None;
        let mut words = args.options(first);
        while words.more() {
            if words.eat("FORCE") {
                options.force = true;
            } else if words.eat("JUSTID") {
                options.just_id = true;
            } else if let Some(word) = words.eat_value("IDLE") {
                let idle = parse_ms(word, "ERR Invalid IDLE option argument for XCLAIM")?;
                delivered_ms = Some(now_ms.wrapping_sub(idle));
            } else if let Some(word) = words.eat_value("TIME") {
                delivered_ms = Some(parse_ms(word, "ERR Invalid TIME option argument for XCLAIM")?);
            } else if let Some(word) = words.eat_value("RETRYCOUNT") {
                let count = parse_ms(word, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                // A negative one is as good as none.
                options.count = u64::try_from(count).ok();
            } else if let Some(word) = words.eat_value("LASTID") {
                options.last_id = parse_id(word)?;
            } else {
                let word = args.get(words.position());
                return Err(ReplyError::quoting("Unrecognized XCLAIM option '", word, "'"));
            }
        }
        if let Some(ms) = delivered_ms.filter(|ms| (0..=now_ms).contains(ms)) {
            options.delivered_ms = ms;
        }
        Ok(options)
    }
}

/// `XCLAIM key group consumer min-idle-ms id … [IDLE ms] [TIME ms] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID id]` -> array of the entries that the consumer has now, with JUSTID of their
/// IDs. Errors: the grammar's, NOGROUP, WRONGTYPE. Logged as XCLAIM of each.
fn xclaim(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 1), args.get(2));
    if read(cx, key)?.is_none_or(|stream| stream.group(name).is_none()) {
        return Err(no_group(key, name, ""));
    }
    let min_idle_ms =
        parse_ms(args.get(4), "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let ids: Vec<StreamId> = args.iter_from(5).map_while(|word| parse_id(word).ok()).collect();
    let now_ms = cx.now_ms();
    let options = Options { min_idle_ms, ..Options::parse(args, 5 + ids.len(), now_ms)? };
    let reply = &mut *cx.reply;
    let outcome = cx.keys.edit(key, Kind::Stream, Missing::Skip, |entry| {
        let stream = stream_of(entry);
        let group = stream.group_mut(name).expect("the group was just seen");
        let advanced = options.last_id > group.last_id;
        group.last_id = group.last_id.max(options.last_id);
        let (number, is_new) = if args.get(3).is_empty() && options.delivered_ms < RELEASED_MS {
            // What XNACK has done on the primary.
            (group.nobody(), false)
        } else {
            let met = consumer_of(group, args.get(3), now_ms);
            group.consumer_mut(met.0).seen_ms = now_ms;
            met
        };
        let place = reply.deferred_array();
        let (mut claimed, mut done) = (0, Done::new());
        for (at, id) in ids.into_iter().enumerate() {
            let word = Some(5 + at);
            let old = stream.group(name).and_then(|group| group.pending().get(&id)).copied();
            if !stream.contains(id) {
                if let Some(old) = old {
                    drop_deleted(stream, name, (id, word), old, &mut done);
                }
                continue;
            }
            let Some(new) = claim(old, number, &options, now_ms) else { continue };
            if options.just_id {
                reply_id(reply, id);
            } else {
                reply_entry(reply, stream.get(id).expect("it was just seen"));
            }
            claimed += 1;
            take_over(stream, name, (id, word), new, now_ms, &mut done);
        }
        reply.finish_array(place, claimed);
        let group = stream.group(name).expect("the group was just seen");
        let state = (group.last_id, group.entries_read, advanced && done.is_empty(), is_new);
        let changes = done.len() as u64 + u64::from(state.2) + u64::from(is_new);
        let edited = if changes == 0 { Edited::Nothing } else { Edited::Changed(changes) };
        ((done, state), edited)
    })?;
    let Some((done, (last_id, read, advanced, is_new))) = outcome else { return Ok(()) };
    if is_new {
        notify(cx, "xgroup-createconsumer", key);
    }
    log_done(cx, args, (key, name), &done, last_id);
    if advanced {
        log_group_id(cx, key, name, last_id, read);
    }
    Ok(())
}

/// What is known of an entry once it is claimed; None if it cannot be.
fn claim(old: Option<Pending>, consumer: u32, options: &Options, now_ms: i64) -> Option<Pending> {
    let new = Pending { delivered_ms: options.delivered_ms, count: 1, consumer };
    let old = match old {
        Some(old) if options.min_idle_ms > now_ms.saturating_sub(old.delivered_ms) => return None,
        Some(old) => old,
        None if options.force => new,
        None => return None,
    };
    let counted = if options.just_id { old.count } else { old.counted() };
    Some(Pending { count: options.count.unwrap_or(counted), ..new })
}

fn take_over(
    stream: &mut Stream,
    group: &[u8],
    (id, word): (StreamId, Option<usize>),
    new: Pending,
    now_ms: i64,
    done: &mut Done,
) {
    let group = stream.group_mut(group).expect("the group was just seen");
    group.assign(id, new);
    if !group.is_released(&new) {
        group.consumer_mut(new.consumer).active_ms = now_ms;
    }
    let consumer = group.consumer(new.consumer).name.clone();
    done.push(Step { id, word, pending: new, consumer });
}

/// Forgets a pending entry that was deleted from the stream.
fn drop_deleted(
    stream: &mut Stream,
    group: &[u8],
    (id, word): (StreamId, Option<usize>),
    old: Pending,
    done: &mut Done,
) {
    let group = stream.group_mut(group).expect("the group was just seen");
    let consumer = group.consumer(old.consumer).name.clone();
    done.push(Step { id, word, pending: old, consumer });
    group.acknowledge(id);
}

/// Logs what a claim has done for a group, whose last ID is `last_id`.
fn log_done(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    (key, group): (Key<'_>, &[u8]),
    done: &Done,
    last_id: StreamId,
) {
    if !cx.keys.effects.recording() {
        return;
    }
    for Step { id, word, pending, consumer } in done {
        let text = id.text();
        let claim = Claim {
            id: word.map_or(text.as_bytes(), |word| args.get(word)),
            consumer,
            delivered_ms: pending.delivered_ms,
            count: pending.count,
            last_id,
        };
        log_claim(cx, key, group, &claim);
    }
}

/// Makes entries that were delivered `min_idle_ms` ago or earlier those of a consumer, up to
/// `limit`, those that have waited longest first, and drops pending entries on the way that were
/// deleted from the stream, each once and for all. Returns what was known of the entries before.
/// The group is there.
pub(super) fn reclaim(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    (key, name): (Key<'_>, &[u8]),
    consumer: u32,
    (min_idle_ms, limit): (i64, usize),
) -> Result<Vec<(StreamId, Pending)>, ReplyError> {
    let now_ms = cx.now_ms();
    let latest_ms = now_ms.saturating_sub(min_idle_ms);
    let outcome = cx.keys.edit(key, Kind::Stream, Missing::Skip, |entry| {
        let stream = stream_of(entry);
        let (mut done, mut claimed) = (Done::new(), Vec::new());
        let group = stream.group_mut(name).expect("the group was just seen");
        let last_id = group.last_id;
        let first = group.by_delivery().next();
        if first.is_some_and(|(_, old)| old.delivered_ms <= latest_ms) {
            let (mut taken, mut gone) = (Vec::new(), Vec::new());
            for (id, old) in idle(stream, name, latest_ms) {
                if taken.len() == limit {
                    break;
                }
                let list = if stream.contains(id) { &mut taken } else { &mut gone };
                list.push((id, old));
            }
            for (id, old) in gone {
                drop_deleted(stream, name, (id, None), old, &mut done);
            }
            for &(id, old) in &taken {
                let new = Pending { delivered_ms: now_ms, count: old.counted(), consumer };
                take_over(stream, name, (id, None), new, now_ms, &mut done);
            }
            claimed = taken;
        }
        let changes = done.len() as u64;
        let edited = if changes == 0 { Edited::Nothing } else { Edited::Changed(changes) };
        ((done, claimed, last_id), edited)
    })?;
    let Some((done, claimed, last_id)) = outcome else { return Ok(Vec::new()) };
    log_done(cx, args, (key, name), &done, last_id);
    Ok(claimed)
}

/// What is pending in a group and was delivered at `latest_ms` or before.
fn idle<'s>(
    stream: &'s Stream,
    group: &[u8],
    latest_ms: i64,
) -> impl Iterator<Item = (StreamId, Pending)> + use<'s> {
    let group = stream.group(group).expect("the group was just seen");
    let of = |id| *group.pending().get(&id).expect("T4: a pending entry");
    group.delivered_until(latest_ms).map(move |id| (id, of(id)))
}

/// Whether [`reclaim`] would find an entry.
pub(super) fn may_reclaim(stream: &Stream, group: &Readers, min_idle_ms: i64, now_ms: i64) -> bool {
    let mut idle = group.delivered_until(now_ms.saturating_sub(min_idle_ms));
    idle.any(|id| stream.contains(id))
}

/// The most that XAUTOCLAIM may be asked for. Source: what Valkey 9.1 refuses.
const COUNT_MAX: i64 = i64::MAX / 16;
const COUNT_DEFAULT: i64 = 100;

/// `XAUTOCLAIM key group consumer min-idle-ms start [COUNT count] [JUSTID]` -> array of where to go
/// on, of the entries that the consumer has now (with JUSTID their IDs), and of the IDs of pending
/// entries that were deleted. Errors: the grammar's, NOGROUP, WRONGTYPE. Logged as XCLAIM of each.
fn xautoclaim(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name, now_ms) = (cx.key(args, 1), args.get(2), cx.now_ms());
    // The look-up comes before the words are read, what it found is told after that.
    let kind = cx.keys.lookup_read(key).map(EntryRef::kind);
    let (start, count, options) = parse_auto(args, now_ms)?;
    if kind.is_some_and(|kind| kind != Kind::Stream) {
        return Err(ReplyError::WrongType);
    }
    if view(cx, key).is_none_or(|stream| stream.group(name).is_none()) {
        return Err(no_group(key, name, ""));
    }
    let reply = &mut *cx.reply;
    let outcome = cx.keys.edit(key, Kind::Stream, Missing::Skip, |entry| {
        let stream = stream_of(entry);
        let group = stream.group_mut(name).expect("the group was just seen");
        let (number, is_new) = consumer_of(group, args.get(3), now_ms);
        group.consumer_mut(number).seen_ms = now_ms;
        let (candidates, next) = candidates(group, start, count);
        let mut sweep = Sweep::default();
        let (mut left, mut cursor) = (count, next);
        for (id, old) in candidates {
            if left == 0 {
                cursor = id;
                break;
            }
            if !stream.contains(id) {
                drop_deleted(stream, name, (id, None), old, &mut sweep.done);
                sweep.deleted.push(id);
                left -= 1;
            } else if let Some(new) = claim(Some(old), number, &options, now_ms) {
                take_over(stream, name, (id, None), new, now_ms, &mut sweep.done);
                sweep.claimed.push(id);
                left -= 1;
            }
        }
        sweep.reply(reply, stream, cursor, options.just_id);
        let changes = sweep.done.len() as u64 + u64::from(is_new);
        let edited = if changes == 0 { Edited::Nothing } else { Edited::Changed(changes) };
        let last_id = stream.group(name).expect("the group was just seen").last_id;
        ((sweep.done, last_id, is_new), edited)
    })?;
    let Some((done, last_id, is_new)) = outcome else { return Ok(()) };
    if is_new {
        notify(cx, "xgroup-createconsumer", key);
    }
    log_done(cx, args, (key, name), &done, last_id);
    Ok(())
}

/// Reads XAUTOCLAIM's words from the fifth on: where to begin, how many entries, and what becomes
/// of them. Errors: the grammar's.
fn parse_auto(args: Args<'_>, now_ms: i64) -> Result<(StreamId, u64, Options), ReplyError> {
    let min_idle_ms = parse_ms(args.get(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = parse_start(args.get(5))?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    let mut words = args.options(6);
    while words.more() {
        if let Some(word) = words.eat_value("COUNT") {
            count = redix_types::num::parse_i64(word)
                .filter(|count| (1..=COUNT_MAX).contains(count))
                .ok_or(ReplyError::Static("ERR COUNT must be > 0"))?;
        } else if words.eat("JUSTID") {
            just_id = true;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    let options = Options {
        min_idle_ms: min_idle_ms.max(0),
        delivered_ms: now_ms,
        count: None,
        force: false,
        just_id,
        last_id: StreamId::MIN,
    };
    Ok((start, count as u64, options))
}

/// What an XAUTOCLAIM has met.
#[derive(Default)]
struct Sweep {
    done: Done,
    claimed: Vec<StreamId>,
    deleted: Vec<StreamId>,
}

impl Sweep {
    fn reply(&self, reply: &mut Reply, stream: &Stream, cursor: StreamId, just_id: bool) {
        reply.array(3);
        reply_id(reply, cursor);
        reply.array(self.claimed.len());
        for id in &self.claimed {
            match stream.get(*id) {
                Some(entry) if !just_id => reply_entry(reply, entry),
                _ => reply_id(reply, *id),
            }
        }
        reply.array(self.deleted.len());
        self.deleted.iter().for_each(|id| reply_id(reply, *id));
    }
}

/// The pending entries that an XAUTOCLAIM of `count` entries looks at, and the one behind them: 0-0
/// if there is none.
fn candidates(
    group: &Readers,
    start: StreamId,
    count: u64,
) -> (Vec<(StreamId, Pending)>, StreamId) {
    let attempts = usize::try_from(count.saturating_mul(ATTEMPTS)).unwrap_or(usize::MAX);
    let mut rest = group.pending().iter_from(&start);
    let candidates = rest.by_ref().take(attempts).map(|(id, one)| (*id, *one)).collect();
    let next = rest.next().map_or(StreamId::MIN, |(id, _)| *id);
    (candidates, next)
}
