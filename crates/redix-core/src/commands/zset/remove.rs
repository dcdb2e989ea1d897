//! ZREM and the ZREMRANGE commands.

use std::ops::Range;

use redix_types::zset::ZsetRef;

use super::bounds::{Span, ranks_between};
use super::{docs, edit, limits, notify_removed};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;
use crate::keyspace::access::Missing;

/// Commands: ZREM, ZREMRANGEBYLEX, ZREMRANGEBYRANK and ZREMRANGEBYSCORE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write("zrem", Group::SortedSet, -3, KEY, zrem)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SORTEDSET)
        .member(2)
        .docs(docs::ZREM),
    CommandSpec::write("zremrangebylex", Group::SortedSet, 4, KEY, zremrangebylex)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREMRANGEBYLEX),
    CommandSpec::write("zremrangebyrank", Group::SortedSet, 4, KEY, zremrangebyrank)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREMRANGEBYRANK),
    CommandSpec::write("zremrangebyscore", Group::SortedSet, 4, KEY, zremrangebyscore)
        .acl(acl::SORTEDSET)
        .docs(docs::ZREMRANGEBYSCORE),
];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RW | access::DELETE)];

/// `ZREM key member ...` -> the number of members that were there. Errors: WRONGTYPE.
fn zrem(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let outcome = edit(cx.keys, limits(cx.config), key, Missing::Skip, |set| {
        ((), args.iter_from(2).map(|member| u64::from(set.remove(member))).sum())
    })?;
    let removed = outcome.as_ref().map_or(0, |outcome| outcome.changes);
    if removed > 0 {
        notify_removed(cx, "zrem", key, outcome.is_some_and(|outcome| outcome.emptied));
    }
    cx.reply.int(removed as i64);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop` -> the number of members removed. Errors: WRONGTYPE,
/// NotInteger.
fn zremrangebyrank(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    remove_range(cx, args, "zremrangebyrank", |set| ranks_between(start, stop, set.len()))
}

/// `ZREMRANGEBYSCORE key min max` -> the number of members removed. Errors: WRONGTYPE, a bound that
/// is no number.
fn zremrangebyscore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let span = Span::of_scores(args.get(2), args.get(3))?;
    remove_range(cx, args, "zremrangebyscore", |set| span.ranks(set))
}

/// `ZREMRANGEBYLEX key min max` -> the number of members removed. Errors: WRONGTYPE, a bound
/// without its mark.
fn zremrangebylex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let span = Span::of_members(args.get(2), args.get(3))?;
    remove_range(cx, args, "zremrangebylex", |set| span.ranks(set))
}

fn remove_range(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(ZsetRef<'_>) -> Range<usize>,
) -> CommandResult {
    let key = cx.key(args, 1);
    let outcome = edit(cx.keys, limits(cx.config), key, Missing::Skip, |set| {
        let ranks = ranks(set.as_ref());
        set.remove_range(ranks.start, ranks.len());
        ((), ranks.len() as u64)
    })?;
    let removed = outcome.as_ref().map_or(0, |outcome| outcome.changes);
    if removed > 0 {
        notify_removed(cx, event, key, outcome.is_some_and(|outcome| outcome.emptied));
    }
    cx.reply.int(removed as i64);
    Ok(())
}
