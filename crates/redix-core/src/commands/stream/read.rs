//! XREAD and XREADGROUP.
//!
//! A command that finds nothing to read waits for its streams. What it waits for is asked again
//! whenever one of them has changed ([`is_ready`]), without running it: whoever reads for a group
//! may have been overtaken by another consumer. A reader of a group also runs again when the
//! stream or the group is gone, to say so. With CLAIM it is asked now and then too: an entry comes
//! of age without a change.
//!
//! Sources: Valkey 9.1.2, and for CLAIM the documentation of Redis 8.4.

use std::ops::Range;

use redix_resp::reply::{Proto, Reply};
use redix_types::entry::{EntryRef, Kind};
use redix_types::stream::{Pending, RELEASED_MS, Stream, StreamId};

use super::claim::{may_reclaim, reclaim};
use super::{
    Claim, docs, edit, log_claim, log_group_id, notify, parse_id, read, reply_entry,
    reply_entry_parts, reply_id, stream_of, view,
};
use crate::command::args::{Args, OwnedArgs};
use crate::command::blocked::KeyWait;
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "xread",
        Group::Stream,
        -4,
        const {
            &[KeySpec {
                access: access::RO | access::ACCESS,
                begin: Begin::Keyword("STREAMS", 1),
                find: Find::Range { last: -1, step: 1, limit: 2 },
                notes: None,
            }]
        },
        xread,
    )
    .flags(flag::BLOCKING | flag::MOVABLEKEYS)
    .acl(acl::STREAM)
    .get_keys(keys_of_read)
    .docs(docs::XREAD),
    CommandSpec::write(
        "xreadgroup",
        Group::Stream,
        -7,
        const {
            &[KeySpec {
                access: access::RO | access::ACCESS,
                begin: Begin::Keyword("STREAMS", 4),
                find: Find::Range { last: -1, step: 1, limit: 2 },
                notes: None,
            }]
        },
        xreadgroup,
    )
    .flags(flag::BLOCKING | flag::MOVABLEKEYS)
    .acl(acl::STREAM)
    .get_keys(keys_of_read)
    .log_as(LogAs::Effect)
    .docs(docs::XREADGROUP),
];

/// The words of the streams of a command that reads them.
fn streams_of(args: Args<'_>) -> Option<Range<usize>> {
    let mut at = 1;
    while at < args.len() {
        if args.is(at, "BLOCK") || args.is(at, "COUNT") || args.is(at, "CLAIM") {
            at += 2;
        } else if args.is(at, "GROUP") {
            at += 3;
        } else if args.is(at, "NOACK") {
            at += 1;
        } else if args.is(at, "STREAMS") {
            let words = args.len() - at - 1;
            return (words > 0 && words.is_multiple_of(2)).then_some(at + 1..at + 1 + words / 2);
        } else {
            return None;
        }
    }
    None
}

fn keys_of_read(args: Args<'_>, found: &mut Vec<(usize, u32)>) -> bool {
    let Some(words) = streams_of(args) else { return false };
    found.extend(words.map(|word| (word, access::RO | access::ACCESS)));
    true
}

/// What the options of XREAD and XREADGROUP say.
struct Options<'a> {
    /// When a wait is over; None: no wait, Some(None): for ever.
    deadline_ms: Option<Option<i64>>,
    /// How many entries of each stream; 0: all.
    count: usize,
    no_ack: bool,
    /// Entries that were delivered so many milliseconds ago are wanted first.
    min_idle_ms: Option<i64>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    streams: Range<usize>,
}

const GROUP_ONLY: [ReplyError; 3] = [
    ReplyError::Static(
        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
    ),
    ReplyError::Static(
        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
    ),
    ReplyError::Static(
        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
    ),
];

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, for_group: bool, now_ms: i64) -> Result<Self, ReplyError> {
        let mut options = Options {
            deadline_ms: None,
            count: 0,
            no_ack: false,
            min_idle_ms: None,
            group: None,
            streams: 0..0,
        };
        let mut at = 1;
        while at < args.len() {
            let more = args.len() - at - 1;
            if more > 0 && args.is(at, "BLOCK") {
                at += 1;
                options.deadline_ms = Some(parse_block(args.get(at), now_ms)?);
            } else if more > 0 && args.is(at, "COUNT") {
                at += 1;
                options.count = usize::try_from(args.int(at)?).unwrap_or(0);
            } else if more > 0 && args.is(at, "STREAMS") {
                if more % 2 == 1 {
                    return Err(unbalanced(for_group));
                }
                options.streams = at + 1..at + 1 + more / 2;
                break;
            } else if more > 1 && args.is(at, "GROUP") {
                if !for_group {
                    return Err(GROUP_ONLY[0].clone());
                }
                options.group = Some((args.get(at + 1), args.get(at + 2)));
                at += 2;
            } else if more > 0 && args.is(at, "CLAIM") {
                if !for_group {
                    return Err(GROUP_ONLY[2].clone());
                }
                at += 1;
                options.min_idle_ms = Some(parse_min_idle(args.get(at))?);
            } else if args.is(at, "NOACK") {
                if !for_group {
                    return Err(GROUP_ONLY[1].clone());
                }
                options.no_ack = true;
            } else {
                return Err(ReplyError::Syntax);
            }
            at += 1;
        }
        if options.streams.is_empty() {
            return Err(ReplyError::Syntax);
        }
        if for_group && options.group.is_none() {
            return Err(ReplyError::Static("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    fn limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }
}

fn unbalanced(for_group: bool) -> ReplyError {
    ReplyError::Static(if for_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be \
         specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
         specified."
    })
}

/// When a wait of so many milliseconds is over; None: never.
fn parse_block(word: &[u8], now_ms: i64) -> Result<Option<i64>, ReplyError> {
    let ms = redix_types::num::parse_i64(word)
        .ok_or(ReplyError::Static("ERR timeout is not an integer or out of range"))?;
    match ms {
        0 => Ok(None),
        1.. => now_ms
            .checked_add(ms)
            .map(Some)
            .ok_or(ReplyError::Static("ERR timeout is out of range")),
        _ => Err(ReplyError::Static("ERR timeout is negative")),
    }
}

/// A number of milliseconds, which is not negative. Errors: it is none.
fn parse_min_idle(word: &[u8]) -> Result<i64, ReplyError> {
    let ms = redix_types::num::parse_i64(word)
        .ok_or(ReplyError::Static("ERR min-idle-time is not an integer"))?;
    if ms < 0 {
        return Err(ReplyError::Static("ERR min-idle-time must be a positive integer"));
    }
    Ok(ms)
}

/// `XREAD [COUNT count] [BLOCK ms] STREAMS key … id …` -> map of the streams with entries behind
/// their IDs, to arrays of them; null if there are none. Errors: the grammar's, WRONGTYPE.
fn xread(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, false, cx.now_ms())?;
    let count = options.streams.len();
    let mut from = Vec::with_capacity(count);
    for word in cx.ready_words(options.streams.clone()) {
        let key = cx.key(args, word);
        let stream = read(cx, key)?;
        let last = stream.map_or(StreamId::MIN, Stream::last_id);
        from.push(match args.get(word + count) {
            b"$" => last,
            b"+" => last.previous().unwrap_or(StreamId::MIN),
            b">" => {
                return Err(ReplyError::Static(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                     <group> <consumer> option.",
                ));
            }
            id => parse_id(id)?,
        });
    }
    let mut served = Served::default();
    for (word, from) in cx.ready_words(options.streams.clone()).zip(&from) {
        let key = cx.key(args, word);
        let found = cx.keys.lookup_kind(key, Kind::Stream)?;
        let Some(stream) = found.and_then(|entry| Stream::of(entry.value())) else { continue };
        if !stream.is_empty() && stream.last_valid_id() > *from {
            served.begin(cx.reply, key);
            let Some(start) = from.next() else { unreachable!("an ID is greater") };
            let place = cx.reply.deferred_array();
            let entries = stream.range(start, StreamId::MAX).take(options.limit());
            let count = entries.map(|entry| reply_entry(cx.reply, entry)).count();
            cx.reply.finish_array(place, count);
        }
    }
    if !served.finish(cx.reply) {
        let frozen = options.deadline_ms.and_then(|_| freeze(args, &options, &from));
        wait(cx, &options, frozen);
    }
    Ok(())
}

/// The streams that were served so far.
#[derive(Default)]
struct Served {
    place: Option<redix_resp::reply::DeferredLen>,
    count: usize,
}

impl Served {
    /// Begins with a stream: a pair, or a key of the map.
    fn begin(&mut self, reply: &mut Reply, key: Key<'_>) {
        if self.place.is_none() {
            self.place = Some(reply.deferred());
        }
        self.count += 1;
        if reply.proto == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key.bytes);
    }

    /// Whether something was served.
    fn finish(self, reply: &mut Reply) -> bool {
        let Some(place) = self.place else { return false };
        if reply.proto == Proto::Resp2 {
            reply.finish_array(place, self.count);
        } else {
            reply.finish_map(place, self.count);
        }
        true
    }
}

/// The command with the present last IDs in place of `$`, as it runs again.
fn freeze(args: Args<'_>, options: &Options<'_>, from: &[StreamId]) -> Option<OwnedArgs> {
    let ids = options.streams.end..args.len();
    if !ids.clone().any(|word| args.get(word) == b"$") {
        return None;
    }
    let frozen = from.iter().map(|id| id.text()).collect::<Vec<_>>();
    let words: Vec<&[u8]> = (0..args.len())
        .map(|word| match word.checked_sub(ids.start).and_then(|at| frozen.get(at)) {
            Some(id) if args.get(word) == b"$" => id.as_bytes(),
            _ => args.get(word),
        })
        .collect();
    Some(OwnedArgs::from_words(&words))
}

/// Waits for the streams, if the command is to.
fn wait(cx: &mut Ctx<'_, '_>, options: &Options<'_>, args: Option<OwnedArgs>) {
    let Some(deadline_ms) = options.deadline_ms else {
        cx.reply.null_array();
        return;
    };
    let on_timeout = |reply: &mut Reply| reply.null_array();
    let words = options.streams.clone();
    let matures = options.min_idle_ms.is_some();
    cx.wait_for_keys(KeyWait { words, is_ready, args, matures, deadline_ms, on_timeout });
}

/// Whether a blocked command has something to say about the stream at word `word`.
fn is_ready(entry: Option<EntryRef<'_>>, args: Args<'_>, word: usize, now_ms: i64) -> bool {
    let for_group = args.is(0, "XREADGROUP");
    let Ok(options) = Options::parse(args, for_group, 0) else { return true };
    let stream = entry.and_then(|entry| Stream::of(entry.value()));
    let from = match (options.group, stream) {
        (None, None) => return false,
        (Some(_), None) => return true,
        (None, Some(stream)) => match args.get(word + options.streams.len()) {
            b"+" => stream.last_id().previous(),
            id => parse_id(id).ok(),
        },
        (Some((group, _)), Some(stream)) => {
            let group = stream.group(group);
            if let (Some(group), Some(min_idle_ms)) = (group, options.min_idle_ms)
                && may_reclaim(stream, group, min_idle_ms, now_ms)
            {
                return true;
            }
            group.map(|group| group.last_id)
        }
    };
    match (from, stream) {
        (Some(from), Some(stream)) => !stream.is_empty() && stream.last_valid_id() > from,
        _ => true,
    }
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK ms] [CLAIM min-idle-ms] [NOACK] STREAMS
/// key … id …` -> as XREAD, for `>` entries that no consumer of the group has got, which become
/// pending for this one, for an ID those behind it that are. With CLAIM those for `>` follow what
/// is pending for any consumer for so long, longest first, which then is this one's; each entry is
/// followed by milliseconds since the last delivery and the deliveries before, both 0 if there was
/// none. Errors: the grammar's, WRONGTYPE, NOGROUP. Logged as XCLAIM of each entry and XGROUP
/// SETID.
fn xreadgroup(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, true, cx.now_ms())?;
    let (group, _) = options.group.expect("it was asked for");
    let count = options.streams.len();
    let mut after = Vec::with_capacity(count);
    for word in cx.ready_words(options.streams.clone()) {
        let key = cx.key(args, word);
        let stream = read(cx, key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(super::no_group(key, group, " in XREADGROUP with GROUP option"));
        }
        after.push(match args.get(word + count) {
            b"$" => return Err(meaningless("$")),
            b"+" => return Err(meaningless("+")),
            b">" => None,
            id => Some(parse_id(id)?).filter(|id| *id != StreamId::MAX),
        });
    }
    let mut served = Served::default();
    for (word, after) in cx.ready_words(options.streams.clone()).zip(after) {
        let key = cx.key(args, word);
        match after {
            Some(after) => reply_history(cx, key, &options, after, &mut served)?,
            None => deliver(cx, args, key, &options, &mut served)?,
        }
    }
    if !served.finish(cx.reply) {
        wait(cx, &options, None);
    }
    Ok(())
}

fn meaningless(id: &str) -> ReplyError {
    ReplyError::err(format!(
        "The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of \
         this consumer by specifying a proper ID, or use the > ID to get new messages. The {id} ID \
         would just return an empty result set."
    ))
}

/// Notes that a consumer has asked for something, creating it if need be; its number.
fn meet_consumer(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    options: &Options<'_>,
) -> Result<u32, ReplyError> {
    let (group_name, name) = options.group.expect("a command that reads for a group");
    let now_ms = cx.now_ms();
    let (number, is_new) = edit(cx, key, Missing::Skip, |stream| {
        let group = stream.group_mut(group_name).expect("the group was just seen");
        let (number, is_new) = super::consumer_of(group, name, now_ms);
        group.consumer_mut(number).seen_ms = now_ms;
        ((number, is_new), u64::from(is_new))
    })?
    .expect("the stream was just seen");
    if is_new {
        notify(cx, "xgroup-createconsumer", key);
        if options.no_ack {
            let words: [&[u8]; 5] = [b"XGROUP", b"CREATECONSUMER", key.bytes, group_name, name];
            cx.keys.effects.log(cx.keys.db, &words);
        }
    }
    Ok(number)
}

/// Replies what is pending for the consumer behind `after`.
fn reply_history(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    options: &Options<'_>,
    after: StreamId,
    served: &mut Served,
) -> CommandResult {
    let number = meet_consumer(cx, key, options)?;
    let (group_name, _) = options.group.expect("a command that reads for a group");
    served.begin(cx.reply, key);
    let (now_ms, limit) = (cx.now_ms(), options.limit());
    let Some(start) = after.next() else { unreachable!("the last ID is none of a history") };
    let reply = &mut *cx.reply;
    cx.keys.edit(key, Kind::Stream, Missing::Skip, |entry| {
        let stream = stream_of(entry);
        let group = stream.group(group_name).expect("the group was just seen");
        let ids: Vec<StreamId> = group
            .consumer(number)
            .pending()
            .iter_from(&start)
            .take(limit)
            .map(|(id, ())| *id)
            .collect();
        reply.array(ids.len());
        let mut delivered = Vec::new();
        for id in ids {
            match stream.get(id) {
                Some(entry) => {
                    reply_entry(reply, entry);
                    delivered.push(id);
                }
                None => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
        }
        let group = stream.group_mut(group_name).expect("the group was just seen");
        for id in delivered {
            let pending = *group.pending().get(&id).expect("T3: what is pending for a consumer");
            group.assign(id, Pending { delivered_ms: now_ms, count: pending.counted(), ..pending });
        }
        ((), Edited::Changed(1))
    })?;
    Ok(())
}

/// Delivers entries that have been pending for long, if the command is to claim them, and entries
/// that no consumer of the group has got.
fn deliver(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    key: Key<'_>,
    options: &Options<'_>,
    served: &mut Served,
) -> CommandResult {
    let number = meet_consumer(cx, key, options)?;
    let (group_name, _) = options.group.expect("a command that reads for a group");
    let claimed = match options.min_idle_ms {
        Some(ms) => reclaim(cx, args, (key, group_name), number, (ms, options.limit()))?,
        None => Vec::new(),
    };
    let stream = view(cx, key).expect("the stream was just seen");
    let group = stream.group(group_name).expect("the group was just seen");
    let left = options.limit() - claimed.len();
    let has_new = left > 0 && !stream.is_empty() && stream.last_valid_id() > group.last_id;
    if claimed.is_empty() && !has_new {
        return Ok(());
    }
    served.begin(cx.reply, key);
    let place = cx.reply.deferred_array();
    reply_claimed(cx, key, &claimed);
    let new = if has_new { deliver_new(cx, key, options, number, left)? } else { 0 };
    cx.reply.finish_array(place, claimed.len() + new);
    Ok(())
}

/// Writes entries that have just been claimed.
fn reply_claimed(cx: &mut Ctx<'_, '_>, key: Key<'_>, claimed: &[(StreamId, Pending)]) {
    let now_ms = cx.now_ms();
    let entry = cx.keys.view(key);
    let stream = entry.and_then(|entry| Stream::of(entry.value()));
    for (id, old) in claimed {
        let entry = stream.and_then(|stream| stream.get(*id)).expect("a claimed entry is there");
        cx.reply.array(4);
        reply_entry_parts(cx.reply, entry);
        let released = old.delivered_ms < RELEASED_MS;
        cx.reply.int(now_ms.saturating_sub(if released { 0 } else { old.delivered_ms }));
        cx.reply.int(old.count as i64);
    }
}

/// Delivers up to `limit` entries that no consumer of the group has got; how many.
fn deliver_new(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    options: &Options<'_>,
    number: u32,
    limit: usize,
) -> Result<usize, ReplyError> {
    let (group_name, consumer) = options.group.expect("a command that reads for a group");
    let (now_ms, no_ack, claims) = (cx.now_ms(), options.no_ack, options.min_idle_ms.is_some());
    let reply = &mut *cx.reply;
    let got = cx.keys.edit(key, Kind::Stream, Missing::Skip, |entry| {
        let stream = stream_of(entry);
        let group = stream.group(group_name).expect("the group was just seen");
        let (mut last_id, mut read) = (group.last_id, group.entries_read);
        let start = last_id.next().expect("there is a greater ID");
        let mut ids = Vec::new();
        for entry in stream.range(start, StreamId::MAX).take(limit) {
            read = stream.entries_read_with(last_id, read, entry.id);
            last_id = entry.id;
            ids.push(entry.id);
            if claims {
                reply.array(4);
                reply_entry_parts(reply, entry);
                reply.int(0);
                reply.int(0);
            } else {
                reply_entry(reply, entry);
            }
        }
        let group = stream.group_mut(group_name).expect("the group was just seen");
        (group.last_id, group.entries_read) = (last_id, read);
        if !no_ack {
            for id in &ids {
                group.assign(*id, Pending { delivered_ms: now_ms, count: 1, consumer: number });
            }
            group.consumer_mut(number).active_ms = now_ms;
        }
        ((ids, last_id, read), Edited::Changed(1))
    })?;
    let (ids, last_id, read) = got.expect("the stream was just seen");
    if !no_ack && cx.keys.effects.recording() {
        for &id in &ids {
            let text = id.text();
            let claim = Claim {
                id: text.as_bytes(),
                consumer,
                delivered_ms: now_ms,
                count: 1,
                last_id: id,
            };
            log_claim(cx, key, group_name, &claim);
        }
    }
    log_group_id(cx, key, group_name, last_id, read);
    Ok(ids.len())
}
