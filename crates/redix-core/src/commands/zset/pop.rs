//! ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms.

use std::ops::Range;

use redix_resp::reply::Reply;
use redix_types::listpack::Element;
use redix_types::value::{IntBuf, Kind};
use redix_types::zset::ZsetEdit;

use super::{Outcome, Scores, docs, edit, limits, notify_removed, reply_element};
use crate::command::args::Args;
use crate::command::blocked::{IsReady, KeyWait};
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// Commands: ZPOPMIN, ZPOPMAX, ZMPOP, BZPOPMIN, BZPOPMAX and BZMPOP.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write("zpopmin", Group::SortedSet, -2, KEY, zpopmin)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZPOPMIN),
    CommandSpec::write("zpopmax", Group::SortedSet, -2, KEY, zpopmax)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZPOPMAX),
    CommandSpec::write(
        "zmpop",
        Group::SortedSet,
        -4,
        const {
            &[KeySpec {
                access: access::RW | access::ACCESS | access::DELETE,
                begin: Begin::Index(1),
                find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
                notes: None,
            }]
        },
        zmpop,
    )
    .flags(flag::MOVABLEKEYS)
    .acl(acl::SORTEDSET)
    .log_as(LogAs::Effect)
    .docs(docs::ZMPOP),
    CommandSpec::write("bzpopmin", Group::SortedSet, -3, WAITED, bzpopmin)
        .flags(flag::BLOCKING | flag::FAST)
        .acl(acl::SORTEDSET)
        .log_as(LogAs::Effect)
        .docs(docs::BZPOPMIN),
    CommandSpec::write("bzpopmax", Group::SortedSet, -3, WAITED, bzpopmax)
        .flags(flag::BLOCKING | flag::FAST)
        .acl(acl::SORTEDSET)
        .log_as(LogAs::Effect)
        .docs(docs::BZPOPMAX),
    CommandSpec::write(
        "bzmpop",
        Group::SortedSet,
        -5,
        const {
            &[KeySpec {
                access: access::RW | access::ACCESS | access::DELETE,
                begin: Begin::Index(2),
                find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
                notes: None,
            }]
        },
        bzmpop,
    )
    .flags(flag::BLOCKING | flag::MOVABLEKEYS)
    .acl(acl::SORTEDSET)
    .log_as(LogAs::Effect)
    .docs(docs::BZMPOP),
];

const WAITED: &[KeySpec] =
    &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)];

/// The end of the set that members are popped from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Min,
    Max,
}

impl Side {
    fn parse(word: &[u8]) -> Result<Self, ReplyError> {
        if word.eq_ignore_ascii_case(b"MIN") {
            Ok(Side::Min)
        } else if word.eq_ignore_ascii_case(b"MAX") {
            Ok(Side::Max)
        } else {
            Err(ReplyError::Syntax)
        }
    }

    fn event(self) -> &'static str {
        match self {
            Side::Min => "zpopmin",
            Side::Max => "zpopmax",
        }
    }

    /// The command that pops from this side.
    fn command(self) -> &'static [u8] {
        match self {
            Side::Min => b"ZPOPMIN",
            Side::Max => b"ZPOPMAX",
        }
    }

    /// Removes `count` members, which must exist, after `see` was called with each.
    fn take(self, set: &mut ZsetEdit<'_>, count: usize, mut see: impl FnMut(Popped<'_>)) {
        let len = set.as_ref().len();
        match self {
            Side::Min => {
                set.as_ref().range(0, count).for_each(&mut see);
                set.remove_range(0, count);
            }
            Side::Max => {
                set.as_ref().range_back(0, count).for_each(&mut see);
                set.remove_range(len - count, count);
            }
        }
    }
}

/// A popped member and its score.
type Popped<'a> = (Element<'a>, f64);

/// Pops up to `count` members of a key; `begin` starts the reply when their number is known.
/// Returns their number, 0 where there is no key. Errors: WRONGTYPE.
fn pop(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    side: Side,
    count: usize,
    begin: impl FnOnce(&mut Reply, usize),
    member: impl Fn(&mut Reply, Popped<'_>),
) -> Result<usize, ReplyError> {
    let reply = &mut *cx.reply;
    let outcome = edit(cx.keys, limits(cx.config), key, Missing::Skip, |set| {
        let count = count.min(set.as_ref().len());
        begin(reply, count);
        side.take(set, count, |popped| member(reply, popped));
        ((), count as u64)
    })?;
    let Some(Outcome { changes, emptied, .. }) = outcome else { return Ok(0) };
    notify_removed(cx, side.event(), key, emptied);
    Ok(changes as usize)
}

/// `ZPOPMIN key [count]` -> array of the members with the lowest scores, each with its score; in
/// RESP3 pairs if there is a count. Errors: WRONGTYPE, Syntax, a count that is not positive.
fn zpopmin(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_from_one(cx, args, Side::Min)
}

/// `ZPOPMAX key [count]` -> as ZPOPMIN, with the highest scores, highest first.
fn zpopmax(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_from_one(cx, args, Side::Max)
}

fn pop_from_one(cx: &mut Ctx<'_, '_>, args: Args<'_>, side: Side) -> CommandResult {
    if args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let count = match args.len() {
        3 => Some(
            usize::try_from(args.int(2).map_err(|_| NOT_POSITIVE)?).map_err(|_| NOT_POSITIVE)?,
        ),
        _ => None,
    };
    let key = cx.key(args, 1);
    if count == Some(0) {
        super::read_to_write(cx.keys, key)?;
        cx.reply.array(0);
        return Ok(());
    }
    let scores = Scores::With;
    let popped = match count {
        Some(count) => pop(
            cx,
            key,
            side,
            count,
            |reply, count| scores.header(reply, count),
            |reply, (member, score)| scores.member(reply, member, score),
        ),
        None => pop(cx, key, side, 1, |reply, _| reply.array(2), reply_flat),
    }?;
    if popped == 0 {
        cx.reply.array(0);
    }
    Ok(())
}

const NOT_POSITIVE: ReplyError = ReplyError::Static("ERR value is out of range, must be positive");

/// `ZMPOP numkeys key ... MIN|MAX [COUNT count]` -> array of the first key that exists and of pairs
/// of members and scores, or null. Errors: WRONGTYPE, Syntax, numbers that are not positive. Logged
/// as `ZPOPMIN key count`.
fn zmpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let request = MultiPop::parse(args, 1)?;
    if !request.run(cx, args, request.words.clone())? {
        cx.reply.null_array();
    }
    Ok(())
}

/// `BZMPOP timeout numkeys key ... MIN|MAX [COUNT count]` -> as ZMPOP, null after `timeout`
/// seconds. Errors: as ZMPOP, the timeout.
fn bzmpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let request = MultiPop::parse(args, 2)?;
    let deadline_ms = args.deadline_ms(1, cx.now_ms())?;
    let words = cx.ready_words(request.words.clone());
    if !request.run(cx, args, words)? {
        wait(cx, request.words, deadline_ms);
    }
    Ok(())
}

/// `BZPOPMIN key ... timeout` -> array of the first key that exists, its member with the lowest
/// score and the score, or null after `timeout` seconds. Errors: WRONGTYPE, the timeout. Logged as
/// `ZPOPMIN key`.
fn bzpopmin(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(cx, args, Side::Min)
}

/// `BZPOPMAX key ... timeout` -> as BZPOPMIN, with the highest score.
fn bzpopmax(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(cx, args, Side::Max)
}

fn pop_or_wait(cx: &mut Ctx<'_, '_>, args: Args<'_>, side: Side) -> CommandResult {
    let last = args.len() - 1;
    let deadline_ms = args.deadline_ms(last, cx.now_ms())?;
    for word in cx.ready_words(1..last) {
        let key = cx.key(args, word);
        let begin = |reply: &mut Reply, _: usize| {
            reply.array(3);
            reply.bulk(key.bytes);
        };
        if pop(cx, key, side, 1, begin, reply_flat)? > 0 {
            cx.keys.effects.log(cx.keys.db, &[side.command(), key.bytes]);
            return Ok(());
        }
    }
    wait(cx, 1..last, deadline_ms);
    Ok(())
}

fn wait(cx: &mut Ctx<'_, '_>, words: Range<usize>, deadline_ms: Option<i64>) {
    let on_timeout = |reply: &mut Reply| reply.null_array();
    let is_ready: IsReady = |entry, _, _, _| entry.is_some_and(|entry| entry.kind() == Kind::Zset);
    cx.wait_for_keys(KeyWait {
        words,
        is_ready,
        args: None,
        matures: false,
        deadline_ms,
        on_timeout,
    });
}

/// Replies a member and its score one after the other.
fn reply_flat(reply: &mut Reply, (member, score): Popped<'_>) {
    reply_element(reply, member);
    reply.double(score);
}

/// Pops members of one key and replies with the key and them, as pairs in both protocols.
fn pop_with_key(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    side: Side,
    count: usize,
) -> Result<usize, ReplyError> {
    let popped = pop(
        cx,
        key,
        side,
        count,
        |reply, count| {
            reply.array(2);
            reply.bulk(key.bytes);
            reply.array(count);
        },
        |reply, (member, score)| {
            reply.array(2);
            reply_element(reply, member);
            reply.double(score);
        },
    )?;
    if popped > 0 && cx.keys.effects.recording() {
        let mut digits = IntBuf::new();
        let count = digits.format(popped as i64);
        cx.keys.effects.log(cx.keys.db, &[side.command(), key.bytes, count]);
    }
    Ok(popped)
}

/// The arguments of ZMPOP.
struct MultiPop {
    /// The arguments that are keys.
    words: Range<usize>,
    side: Side,
    count: usize,
}

impl MultiPop {
    /// Parses the arguments; argument `numkeys` is the number of keys after it.
    fn parse(args: Args<'_>, numkeys: usize) -> Result<Self, ReplyError> {
        let positive = |word: usize, error: &'static str| {
            let number = args.int(word).ok().and_then(|number| usize::try_from(number).ok());
            number.filter(|number| *number > 0).ok_or(ReplyError::Static(error))
        };
        let keys = positive(numkeys, "ERR numkeys should be greater than 0")?;
        let first = numkeys + 1;
        let side_at = first.checked_add(keys).filter(|at| *at < args.len());
        let side_at = side_at.ok_or(ReplyError::Syntax)?;
        let side = Side::parse(args.get(side_at))?;
        let mut count = None;
        let mut options = args.options(side_at + 1);
        while options.more() {
            let at = options.position() + 1;
            if count.is_some() || options.eat_value("COUNT").is_none() {
                return Err(ReplyError::Syntax);
            }
            count = Some(positive(at, "ERR count should be greater than 0")?);
        }
        Ok(MultiPop { words: first..side_at, side, count: count.unwrap_or(1) })
    }

    /// Pops from the first of these keys that exists; returns whether one did.
    fn run(
        &self,
        cx: &mut Ctx<'_, '_>,
        args: Args<'_>,
        words: Range<usize>,
    ) -> Result<bool, ReplyError> {
        for word in words {
            if pop_with_key(cx, cx.key(args, word), self.side, self.count)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
