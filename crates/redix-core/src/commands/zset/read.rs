//! Commands that read members, scores and counts.

use std::collections::BTreeSet;

use redix_resp::reply::Reply;
use redix_types::num::{push_f64, push_f64_exact};
use redix_types::zset::ZsetRef;

use super::bounds::Span;
use super::{Scores, docs, read, reply_element};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::scan::{ScanOptions, Walked, parse_cursor};
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::repeat::Bound;
use crate::error::{CommandResult, ReplyError};

/// Commands: ZCARD, ZCOUNT, ZLEXCOUNT, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZRANDMEMBER and ZSCAN.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "zcard",
        Group::SortedSet,
        2,
        const { &[KeySpec::one(1, access::RO)] },
        zcard,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::SORTEDSET)
    .docs(docs::ZCARD),
    CommandSpec::read("zcount", Group::SortedSet, 4, KEY, zcount)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZCOUNT),
    CommandSpec::read("zlexcount", Group::SortedSet, 4, KEY, zlexcount)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZLEXCOUNT),
    CommandSpec::read("zscore", Group::SortedSet, 3, KEY, zscore)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .member(2)
        .docs(docs::ZSCORE),
    CommandSpec::read("zmscore", Group::SortedSet, -3, KEY, zmscore)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .member(2)
        .docs(docs::ZMSCORE),
    CommandSpec::read("zrank", Group::SortedSet, -3, KEY, zrank)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .member(2)
        .docs(docs::ZRANK),
    CommandSpec::read("zrevrank", Group::SortedSet, -3, KEY, zrevrank)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .member(2)
        .docs(docs::ZREVRANK),
    CommandSpec::read("zrandmember", Group::SortedSet, -2, KEY, zrandmember)
        .acl(acl::SORTEDSET)
        .docs(docs::ZRANDMEMBER),
    CommandSpec::read("zscan", Group::SortedSet, -3, KEY, zscan)
        .acl(acl::SORTEDSET)
        .docs(docs::ZSCAN),
];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// `ZCARD key` -> the number of members. Errors: WRONGTYPE.
fn zcard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let len = read(cx.keys, key)?.map_or(0, ZsetRef::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `ZCOUNT key min max` -> how many members have a score in the range. Errors: WRONGTYPE, a bound
/// that is no number.
fn zcount(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let span = Span::of_scores(args.get(2), args.get(3))?;
    count(cx, args, span)
}

/// `ZLEXCOUNT key min max` -> how many members are in the range. Errors: WRONGTYPE, a bound without
/// its mark.
fn zlexcount(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let span = Span::of_members(args.get(2), args.get(3))?;
    count(cx, args, span)
}

fn count(cx: &mut Ctx<'_, '_>, args: Args<'_>, span: Span<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let count = read(cx.keys, key)?.map_or(0, |set| span.ranks(set).len());
    cx.reply.int(count as i64);
    Ok(())
}

/// `ZSCORE key member` -> the score, or null. Errors: WRONGTYPE.
fn zscore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    match read(cx.keys, key)?.and_then(|set| set.score(hasher, args.get(2))) {
        Some(score) => cx.reply.double(score),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `ZMSCORE key member ...` -> array of scores or nulls. Errors: WRONGTYPE.
fn zmscore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set = read(cx.keys, key)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(hasher, member)) {
            Some(score) => cx.reply.double(score),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// `ZRANK key member [WITHSCORE]` -> how many members are before it, with the score as an array, or
/// null. Errors: WRONGTYPE, WrongArity, Syntax.
fn zrank(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_rank(cx, args, |rank, _| rank)
}

/// `ZREVRANK key member [WITHSCORE]` -> how many members are behind it; otherwise as ZRANK.
fn zrevrank(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_rank(cx, args, |rank, len| len - 1 - rank)
}

fn reply_rank(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    directed: impl FnOnce(usize, usize) -> usize,
) -> CommandResult {
    if args.len() > 4 {
        return Err(ReplyError::WrongArity(cx.command_name().into()));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(ReplyError::Syntax);
    }
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set = read(cx.keys, key)?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(hasher, args.get(2))?;
        Some((directed(rank, set.len()), score))
    });
    match found {
        Some((rank, score)) if with_score => {
            cx.reply.array(2);
            cx.reply.int(rank as i64);
            cx.reply.double(score);
        }
        Some((rank, _)) => cx.reply.int(rank as i64),
        None if with_score => cx.reply.null_array(),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `ZRANDMEMBER key [count [WITHSCORES]]` -> a random member or null; with a count an array of so
/// many distinct members, or, if it is negative, of so many members, possibly repeated. Errors:
/// WRONGTYPE, NotInteger, a count out of range, Syntax.
fn zrandmember(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let mut words = Words(cx.keys.random());
    if args.len() == 2 {
        match read(cx.keys, key)?.and_then(|set| set.at(words.below(set.len()))) {
            Some((member, _)) => reply_element(cx.reply, member),
            None => cx.reply.null(),
        }
        return Ok(());
    }
    let (count, scores) = parse_count(args)?;
    let bound = Bound::of(cx);
    let Some(set) = read(cx.keys, key)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let len = set.len();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        bound.check(count.unsigned_abs())?;
        scores.header(cx.reply, wanted);
        for _ in 0..wanted {
            if !bound.allows(cx.reply, cx.requests)? {
                break;
            }
            let (member, score) = set.at(words.below(len)).expect("a rank below the length");
            scores.member(cx.reply, member, score);
        }
    } else if wanted >= len {
        scores.header(cx.reply, len);
        set.iter().for_each(|(member, score)| scores.member(cx.reply, member, score));
    } else {
        scores.header(cx.reply, wanted);
        for rank in words.sample(wanted, len) {
            let (member, score) = set.at(rank).expect("a rank below the length");
            scores.member(cx.reply, member, score);
        }
    }
    Ok(())
}

fn parse_count(args: Args<'_>) -> Result<(i64, Scores), ReplyError> {
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(ReplyError::Static(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    match args.len() {
        3 => Ok((count, Scores::Without)),
        4 if args.is(3, "WITHSCORES") => {
            // Twice the count must be representable: it is the length of the reply.
            if count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
                return Err(ReplyError::Static("ERR value is out of range"));
            }
            Ok((count, Scores::With))
        }
        _ => Err(ReplyError::Syntax),
    }
}

/// A pseudorandom sequence from one seed (SplitMix64).
struct Words(u64);

impl Words {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        ((u128::from(word) * bound as u128) >> 64) as usize
    }

    /// `count` distinct numbers below `bound`, which is greater; every choice is equally likely.
    /// Source: Bentley and Floyd, *A sample of brilliance* (1987).
    fn sample(&mut self, count: usize, bound: usize) -> BTreeSet<usize> {
        let mut chosen = BTreeSet::new();
        for limit in bound - count..bound {
            let number = self.below(limit + 1);
            if !chosen.insert(number) {
                chosen.insert(limit);
            }
        }
        chosen
    }
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]` -> the next cursor (`0` at the end)
/// and an array of members, each followed by its score. Errors: WRONGTYPE, a cursor that is no
/// number, Syntax.
fn zscan(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let cursor = parse_cursor(args.get(2))?;
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let Some(set) = read(cx.keys, key)? else {
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args.options(3), Walked::SortedSet)?;
    let (mut found, mut words) = (Reply::new(cx.reply.proto), 0);
    let next = set.scan(hasher, cursor, options.count, |member, score| {
        if !options.matches(member) {
            return;
        }
        found.bulk(member);
        words += 1;
        if !options.no_values {
            found.bulk(&score_text(set, score));
            words += 1;
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(words);
    cx.reply.raw(found.as_bytes());
    Ok(())
}

/// A score as ZSCAN shows it: with 17 digits where the set is large.
fn score_text(set: ZsetRef<'_>, score: f64) -> Vec<u8> {
    let mut text = Vec::with_capacity(32);
    match set {
        ZsetRef::Small(_) => push_f64(&mut text, score),
        ZsetRef::Large(_) => push_f64_exact(&mut text, score),
    }
    text
}
