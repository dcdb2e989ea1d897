//! Intersection, union and difference of sets.
//!
//! All sets are locked at once. An intersection iterates over the smallest and probes the others;
//! unions and differences build a result set, compact for as long as possible, so that the order of
//! members is that of the real servers.

use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};

use redix_types::KeyHasher;
use redix_types::listpack::Element;
use redix_types::num;
use redix_types::set::{Edit, Form, Home, SetBuf, SetRef};

use super::{docs, limits, lookup, notify, notify_deleted, reply_member, reply_members, set_of};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::plan::Plan;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Access, Ttl};

const SOURCES: &[KeySpec] = &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)];

const DESTINATION_AND_SOURCES: &[KeySpec] = &[
    KeySpec::one(1, access::OW | access::UPDATE),
    KeySpec::range(2, -1, 1, access::RO | access::ACCESS),
];

/// Commands: SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE, SDIFF and SDIFFSTORE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("sinter", Group::Set, -2, SOURCES, sinter).acl(acl::SET).docs(docs::SINTER),
    CommandSpec::read(
        "sintercard",
        Group::Set,
        -3,
        const {
            &[KeySpec {
                access: access::RO | access::ACCESS,
                begin: Begin::Index(1),
                find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
                notes: None,
            }]
        },
        sintercard,
    )
    .flags(flag::MOVABLEKEYS)
    .acl(acl::SET)
    .docs(docs::SINTERCARD),
    CommandSpec::write("sinterstore", Group::Set, -3, DESTINATION_AND_SOURCES, sinterstore)
        .flags(flag::DENYOOM)
        .acl(acl::SET)
        .docs(docs::SINTERSTORE),
    CommandSpec::read("sunion", Group::Set, -2, SOURCES, sunion).acl(acl::SET).docs(docs::SUNION),
    CommandSpec::write("sunionstore", Group::Set, -3, DESTINATION_AND_SOURCES, sunionstore)
        .flags(flag::DENYOOM)
        .acl(acl::SET)
        .docs(docs::SUNIONSTORE),
    CommandSpec::read("sdiff", Group::Set, -2, SOURCES, sdiff).acl(acl::SET).docs(docs::SDIFF),
    CommandSpec::write("sdiffstore", Group::Set, -3, DESTINATION_AND_SOURCES, sdiffstore)
        .flags(flag::DENYOOM)
        .acl(acl::SET)
        .docs(docs::SDIFFSTORE),
];

/// `SINTER key …` -> the members of all sets. Errors: WRONGTYPE.
fn sinter(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (hasher, words) = (cx.keys.keyspace.hasher(), 1..args.len());
    look_all_up(cx, args, words.clone())?;
    let sets = views(cx.keys, cx.plan, args, words);
    let place = cx.reply.deferred();
    let mut len = 0;
    let reply = &mut *cx.reply;
    intersect(sets, hasher, |member| {
        reply_member(reply, member);
        len += 1;
        ControlFlow::Continue(())
    });
    cx.reply.finish_set(place, len);
    Ok(())
}

/// `SINTERCARD numkeys key … [LIMIT limit]` -> number of members of the intersection, at most
/// `limit` (0: no limit). Errors: WRONGTYPE, an invalid number of keys, the options.
fn sintercard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = numbered_keys(args)?;
    let limit = card_limit(args, words.end)?;
    let hasher = cx.keys.keyspace.hasher();
    look_all_up(cx, args, words.clone())?;
    let sets = views(cx.keys, cx.plan, args, words);
    let mut len = 0;
    intersect(sets, hasher, |_| {
        len += 1;
        if len == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    cx.reply.int(len as i64);
    Ok(())
}

/// The arguments that are keys after their number at argument 1. Errors: no such number.
pub(super) fn numbered_keys(args: Args<'_>) -> Result<Range<usize>, ReplyError> {
    const NUMKEYS: ReplyError = ReplyError::Static("ERR numkeys should be greater than 0");
    let count = num::parse_i64(args.get(1)).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count > 0).ok_or(NUMKEYS)?;
    if count > args.len() - 2 {
        return Err(ReplyError::Static("ERR Number of keys can't be greater than number of args"));
    }
    Ok(2..2 + count)
}

fn card_limit(args: Args<'_>, from: usize) -> Result<u64, ReplyError> {
    let mut limit = 0;
    let mut options = args.options(from);
    while options.more() {
        limit = parse_limit(options.eat_value("LIMIT").ok_or(ReplyError::Syntax)?)?;
    }
    Ok(limit)
}

/// The value of LIMIT; 0: no limit. Errors: it is negative or no number.
pub(super) fn parse_limit(word: &[u8]) -> Result<u64, ReplyError> {
    num::parse_i64(word)
        .and_then(|limit| u64::try_from(limit).ok())
        .ok_or(ReplyError::Static("ERR LIMIT can't be negative"))
}

/// `SINTERSTORE destination key …` -> the number of members stored (0 deletes `destination`).
/// Errors: WRONGTYPE of the sources. Logged verbatim; event `sinterstore` or `del`.
fn sinterstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (limits, hasher) = (limits(cx), cx.keys.keyspace.hasher());
    let words = 2..args.len();
    look_all_up(cx, args, words.clone())?;
    let sets = views(cx.keys, cx.plan, args, words);
    // The encoding of the smallest set is that of the new result. Source: `sinterGenericCommand` of
    // Redis 7.2, as OBJECT ENCODING shows.
    let form = match sets.iter().flatten().min_by_key(|set| set.len()) {
        Some(SetRef::Intset(_)) => Form::Intset,
        _ => Form::Listpack,
    };
    let mut result = SetBuf::new(form);
    let mut edit = Edit::new(&mut result, limits, hasher);
    intersect(sets, hasher, |member| {
        edit.add(member);
        ControlFlow::Continue(())
    });
    edit.become_intset();
    store(cx, args, "sinterstore", result)
}

/// `SUNION key …` -> the members of any of the sets. Errors: WRONGTYPE.
fn sunion(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let result = union(cx, args, 1..args.len())?;
    reply_members(cx.reply, result.view());
    Ok(())
}

/// `SUNIONSTORE destination key …`: as SINTERSTORE, with event `sunionstore`.
fn sunionstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let result = union(cx, args, 2..args.len())?;
    store(cx, args, "sunionstore", result)
}

/// `SDIFF key …` -> the members of the first set that are in no other. Errors: WRONGTYPE.
fn sdiff(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let result = difference(cx, args, 1..args.len())?;
    reply_members(cx.reply, result.view());
    Ok(())
}

/// `SDIFFSTORE destination key …`: as SINTERSTORE, with event `sdiffstore`.
fn sdiffstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let result = difference(cx, args, 2..args.len())?;
    store(cx, args, "sdiffstore", result)
}

/// Looks the sets up for reading. Errors: WRONGTYPE.
pub(super) fn look_all_up(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    words: Range<usize>,
) -> Result<(), ReplyError> {
    for word in words {
        let key = cx.key(args, word);
        lookup(cx.keys, key)?;
    }
    Ok(())
}

/// The sets that [`look_all_up`] has looked up; `None` for missing ones.
pub(super) fn views<'a>(
    keys: &'a Access<'_>,
    plan: &Plan,
    args: Args<'_>,
    words: Range<usize>,
) -> Vec<Option<SetRef<'a>>> {
    words.map(|word| keys.view(plan.key(keys.keyspace, args, word)).map(set_of)).collect()
}

/// Calls `f` with the members of the intersection, in the order of the smallest set.
fn intersect<'a>(
    sets: Vec<Option<SetRef<'a>>>,
    hasher: &KeyHasher,
    mut f: impl FnMut(Element<'a>) -> ControlFlow<()>,
) {
    let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    let _ = smallest.try_for_each(|member| {
        if others.iter().all(|set| set.contains(member, hasher)) {
            f(member)
        } else {
            ControlFlow::Continue(())
        }
    });
}

fn union(cx: &mut Ctx<'_, '_>, args: Args<'_>, words: Range<usize>) -> Result<SetBuf, ReplyError> {
    let (limits, hasher) = (limits(cx), cx.keys.keyspace.hasher());
    look_all_up(cx, args, words.clone())?;
    let mut result = SetBuf::new(Form::Intset);
    let mut edit = Edit::new(&mut result, limits, hasher);
    for set in views(cx.keys, cx.plan, args, words).into_iter().flatten() {
        set.for_each(|member| {
            edit.add(member);
        });
    }
    Ok(result)
}

fn difference(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    words: Range<usize>,
) -> Result<SetBuf, ReplyError> {
    let (limits, hasher) = (limits(cx), cx.keys.keyspace.hasher());
    look_all_up(cx, args, words.clone())?;
    let first_key = args.get(words.start);
    let is_repeated = words.clone().skip(1).any(|word| args.get(word) == first_key);
    let sets = views(cx.keys, cx.plan, args, words);
    let mut result = SetBuf::new(Form::Intset);
    let Some((&Some(first), others)) = sets.split_first() else { return Ok(result) };
    if is_repeated {
        return Ok(result);
    }
    let mut others: Vec<SetRef<'_>> = others.iter().copied().flatten().collect();
    let mut edit = Edit::new(&mut result, limits, hasher);
    // The cheaper of two algorithms; the choice determines the encoding of a stored result. Source:
    // `sunionDiffGenericCommand` of Redis 7.2.
    let asking = first.len() * (1 + others.len()) / 2;
    let removing = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if asking <= removing {
        others.sort_by_key(|set| Reverse(set.len()));
        first.for_each(|member| {
            if !others.iter().any(|set| set.contains(member, hasher)) {
                edit.add(member);
            }
        });
    } else {
        first.for_each(|member| {
            edit.add(member);
        });
        for set in others {
            if edit.view().is_empty() {
                break;
            }
            set.for_each(|member| {
                edit.remove(member);
            });
        }
    }
    Ok(result)
}

/// Stores a result under the key at argument 1, or deletes that key if it is empty, and replies.
/// Errors: no memory.
fn store(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    event: &'static str,
    result: SetBuf,
) -> CommandResult {
    let key = cx.key(args, 1);
    let len = result.view().len();
    if len > 0 {
        let value = result.into();
        cx.admit_result(key, &value)?;
        cx.keys.set(key, value, Ttl::Clear);
        notify(cx, event, key);
    } else if cx.keys.delete(key) {
        notify_deleted(cx, key);
    }
    cx.reply.int(len as i64);
    Ok(())
}
