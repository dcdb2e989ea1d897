//! ZRANGE and its kin: by rank, score or member, in both directions, replied or stored.

use redix_types::value::IntBuf;
use redix_types::zset::{Limits, ZsetRef, build};

use super::bounds::{Span, ranks_between};
use super::{Scores, docs, limits, read, store};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Commands: ZRANGE, ZREVRANGE, ZRANGEBYSCORE, ZREVRANGEBYSCORE, ZRANGEBYLEX, ZREVRANGEBYLEX and
/// ZRANGESTORE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("zrange", Group::SortedSet, -4, KEY, zrange)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZRANGE),
    CommandSpec::read("zrevrange", Group::SortedSet, -4, KEY, zrevrange)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREVRANGE),
    CommandSpec::read("zrangebyscore", Group::SortedSet, -4, KEY, zrangebyscore)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZRANGEBYSCORE),
    CommandSpec::read("zrevrangebyscore", Group::SortedSet, -4, KEY, zrevrangebyscore)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREVRANGEBYSCORE),
    CommandSpec::read("zrangebylex", Group::SortedSet, -4, KEY, zrangebylex)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZRANGEBYLEX),
    CommandSpec::read("zrevrangebylex", Group::SortedSet, -4, KEY, zrevrangebylex)
        .flags(flag::BRIEF)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREVRANGEBYLEX),
    CommandSpec::write(
        "zrangestore",
        Group::SortedSet,
        -5,
        const {
            &[
                KeySpec::one(1, access::OW | access::UPDATE),
                KeySpec::one(2, access::RO | access::ACCESS),
            ]
        },
        zrangestore,
    )
    .flags(flag::DENYOOM)
    .acl(acl::SORTEDSET)
    .docs(docs::ZRANGESTORE),
];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// The order of a range: BYSCORE, BYLEX, or ranks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Reverse,
}

/// What a command's name determines; the rest is for options.
#[derive(Clone, Copy)]
struct Form {
    by: Option<By>,
    direction: Option<Direction>,
    stores: bool,
}

impl Form {
    const fn named(by: By, direction: Direction) -> Self {
        Form { by: Some(by), direction: Some(direction), stores: false }
    }
}

/// A parsed range command.
struct Query<'a> {
    range: Bounds<'a>,
    direction: Direction,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
    scores: Scores,
}

enum Bounds<'a> {
    Ranks(i64, i64),
    Span(Span<'a>),
}

impl<'a> Query<'a> {
    /// Parses a range: its bounds are arguments `first` and `first + 1`, options follow.
    fn parse(args: Args<'a>, first: usize, form: Form) -> Result<Self, ReplyError> {
        let (mut by, mut direction) = (form.by, form.direction);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut options = args.options(first + 2);
        while options.more() {
            if !form.stores && options.eat("WITHSCORES") {
                with_scores = true;
            } else if options.left() >= 3 && options.eat("LIMIT") {
                let at = options.position();
                (offset, limit) = (args.int(at)?, args.int(at + 1)?);
                options.take();
                options.take();
            } else if direction.is_none() && options.eat("REV") {
                direction = Some(Direction::Reverse);
            } else if by.is_none() && options.eat("BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && options.eat("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        let by = by.unwrap_or(By::Rank);
        if limit != -1 && by == By::Rank {
            return Err(ReplyError::Static(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(ReplyError::Static(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let direction = direction.unwrap_or(Direction::Forward);
        let (min, max) = match direction {
            Direction::Reverse if by != By::Rank => (args.get(first + 1), args.get(first)),
            _ => (args.get(first), args.get(first + 1)),
        };
        let range = match by {
            By::Rank => Bounds::Ranks(args.int(first)?, args.int(first + 1)?),
            By::Score => Bounds::Span(Span::of_scores(min, max)?),
            By::Lex => Bounds::Span(Span::of_members(min, max)?),
        };
        Ok(Query { range, direction, offset, limit, scores: Scores::if_given(with_scores) })
    }

    /// The start of the range in a set, in its direction, and its length.
    fn resolve(&self, set: ZsetRef<'_>) -> (usize, usize) {
        let len = set.len();
        let ranks = match self.range {
            Bounds::Ranks(start, stop) => {
                let ranks = ranks_between(start, stop, len);
                return (ranks.start, ranks.len());
            }
            Bounds::Span(span) => span.ranks(set),
        };
        let offset = self.offset_in(set, ranks.len()).filter(|offset| *offset < ranks.len());
        let Some(offset) = offset else { return (0, 0) };
        let count = ranks.len() - offset;
        let count = usize::try_from(self.limit).map_or(count, |limit| count.min(limit));
        let start = match self.direction {
            Direction::Forward => ranks.start,
            Direction::Reverse => len - ranks.end,
        };
        (start + offset, count)
    }

    /// How many members of a range of `len` to skip. A negative offset counts from the end of the
    /// range; in compact sets of the real servers it yields nothing.
    fn offset_in(&self, set: ZsetRef<'_>, len: usize) -> Option<usize> {
        let distance = usize::try_from(self.offset.unsigned_abs()).unwrap_or(usize::MAX);
        match set {
            _ if self.offset >= 0 => Some(distance),
            ZsetRef::Small(_) => None,
            ZsetRef::Large(_) => len.checked_sub(distance),
        }
    }
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]` -> array of
/// members. Errors: WRONGTYPE, Syntax, incompatible options, invalid bounds.
fn zrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form { by: None, direction: None, stores: false })
}

/// `ZREVRANGE key start stop [WITHSCORES]` -> array of members, ranks counted from the end.
fn zrevrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form::named(By::Rank, Direction::Reverse))
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]` -> array of members.
fn zrangebyscore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form::named(By::Score, Direction::Forward))
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]` -> array of members.
fn zrevrangebyscore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form::named(By::Score, Direction::Reverse))
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]` -> array of members.
fn zrangebylex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form::named(By::Lex, Direction::Forward))
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]` -> array of members.
fn zrevrangebylex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_range(cx, args, Form::named(By::Lex, Direction::Reverse))
}

fn reply_range(cx: &mut Ctx<'_, '_>, args: Args<'_>, form: Form) -> CommandResult {
    let query = Query::parse(args, 2, form)?;
    let key = cx.key(args, 1);
    let Some(set) = read(cx.keys, key)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let (start, count) = query.resolve(set);
    query.scores.header(cx.reply, count);
    match query.direction {
        Direction::Forward => set
            .range(start, count)
            .for_each(|(member, score)| query.scores.member(cx.reply, member, score)),
        Direction::Reverse => set
            .range_back(start, count)
            .for_each(|(member, score)| query.scores.member(cx.reply, member, score)),
    }
    Ok(())
}

/// `ZRANGESTORE dst src start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count]` -> the number of
/// members stored. Errors as ZRANGE.
fn zrangestore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let query = Query::parse(args, 3, Form { by: None, direction: None, stores: true })?;
    let (destination, source) = (cx.key(args, 1), cx.key(args, 2));
    let (limits, hasher) = (limits(cx.config), cx.keys.keyspace.hasher());
    let mut members = Members::default();
    if let Some(set) = read(cx.keys, source)? {
        let (start, count) = query.resolve(set);
        let rank = match query.direction {
            Direction::Forward => start,
            Direction::Reverse => set.len() - start - count,
        };
        for (member, score) in set.range(rank, count) {
            members.push(member.text(&mut IntBuf::new()), score);
        }
        members.forget_signs(&query, limits);
    }
    let result = build(members.iter(), limits, hasher);
    store(cx, destination, "zrangestore", result, members.ends.len())
}

/// Members copied out of a set, in order.
#[derive(Default)]
struct Members {
    bytes: Vec<u8>,
    ends: Vec<(usize, f64)>,
}

impl Members {
    fn push(&mut self, member: &[u8], score: f64) {
        self.bytes.extend_from_slice(member);
        self.ends.push((self.bytes.len(), score));
    }

    /// Drops the sign of zero scores where a real server would: it stores members one by one into a
    /// listpack while it is small enough, which cannot represent -0. The size of rank ranges is
    /// known beforehand.
    fn forget_signs(&mut self, query: &Query<'_>, limits: Limits) {
        let len = self.ends.len();
        if matches!(query.range, Bounds::Ranks(..)) && len > limits.entries {
            return;
        }
        for number in 0..len {
            let index = match query.direction {
                Direction::Forward => number,
                Direction::Reverse => len - 1 - number,
            };
            if !limits.allow(number + 1, self.get(index).0.len()) {
                return;
            }
            // Minus zero plus zero is zero; other scores are unchanged.
            self.ends[index].1 += 0.0;
        }
    }

    fn get(&self, index: usize) -> (&[u8], f64) {
        let (end, score) = self.ends[index];
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        (&self.bytes[start..end], score)
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], f64)> + Clone {
        (0..self.ends.len()).map(|index| self.get(index))
    }
}
