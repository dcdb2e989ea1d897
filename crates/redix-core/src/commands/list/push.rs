//! Commands that add or replace elements: LPUSH, RPUSH, LPUSHX, RPUSHX, LINSERT and LSET.

use redix_types::entry::Kind;
use redix_types::list::{End, ListEdit, Side};

use super::{EMPTY, docs, fill, notify, resolve};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Edited, Missing};

/// Commands: LPUSH, RPUSH, LPUSHX, RPUSHX, LINSERT and LSET.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "lpush",
        Group::List,
        -3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        lpush,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::LPUSH),
    CommandSpec::write(
        "rpush",
        Group::List,
        -3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        rpush,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::RPUSH),
    CommandSpec::write(
        "lpushx",
        Group::List,
        -3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        lpushx,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::LPUSHX),
    CommandSpec::write(
        "rpushx",
        Group::List,
        -3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        rpushx,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::RPUSHX),
    CommandSpec::write(
        "linsert",
        Group::List,
        5,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        linsert,
    )
    .flags(flag::DENYOOM)
    .acl(acl::LIST)
    .docs(docs::LINSERT),
    CommandSpec::write(
        "lset",
        Group::List,
        4,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        lset,
    )
    .flags(flag::DENYOOM)
    .acl(acl::LIST)
    .docs(docs::LSET),
];

/// `LPUSH key element …` -> the new length. The last element becomes the first of the list.
/// Errors: WRONGTYPE.
fn lpush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    push(cx, args, End::Head, EMPTY)
}

/// `RPUSH key element …` -> the new length. Errors: WRONGTYPE.
fn rpush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    push(cx, args, End::Tail, EMPTY)
}

/// `LPUSHX key element …` -> the new length, 0 if there is no list. Errors: WRONGTYPE.
fn lpushx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    push(cx, args, End::Head, Missing::Skip)
}

/// `RPUSHX key element …` -> the new length, 0 if there is no list. Errors: WRONGTYPE.
fn rpushx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    push(cx, args, End::Tail, Missing::Skip)
}

fn push(cx: &mut Ctx<'_, '_>, args: Args<'_>, end: End, missing: Missing<'_>) -> CommandResult {
    let (key, fill) = (cx.key(args, 1), fill(cx));
    let elements = || args.iter_from(2);
    let len = cx.keys.edit(key, Kind::List, missing, |entry| {
        let mut list = ListEdit::of(entry, fill);
        list.make_room(elements().map(<[u8]>::len).sum(), elements().len());
        for element in elements() {
            list.push(end, element);
        }
        (list.as_ref().len(), Edited::Changed(elements().len() as u64))
    })?;
    if len.is_some() {
        notify(cx, if end == End::Head { "lpush" } else { "rpush" }, key);
    }
    cx.reply.int(len.unwrap_or(0) as i64);
    Ok(())
}

/// `LINSERT key BEFORE | AFTER pivot element` -> the new length, -1 if nothing equals the pivot, 0
/// if there is no list. Errors: Syntax, WRONGTYPE.
fn linsert(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let side = if args.is(2, "AFTER") {
        Side::After
    } else if args.is(2, "BEFORE") {
        Side::Before
    } else {
        return Err(ReplyError::Syntax);
    };
    let (key, fill) = (cx.key(args, 1), fill(cx));
    let (pivot, element) = (args.get(3), args.get(4));
    let len = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        // As on the real servers, even if the pivot is not found.
        list.make_room(element.len(), 1);
        let Some(index) = list.as_ref().position(pivot) else { return (-1, Edited::Nothing) };
        list.insert(index, side, element);
        (list.as_ref().len() as i64, Edited::Changed(1))
    })?;
    if len.is_some_and(|len| len > 0) {
        notify(cx, "linsert", key);
    }
    cx.reply.int(len.unwrap_or(0));
    Ok(())
}

/// `LSET key index element` -> OK. Errors: no such key, WRONGTYPE, NotInteger, index out of range.
fn lset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, fill, element) = (cx.key(args, 1), fill(cx), args.get(3));
    cx.keys.lookup_write(key, Kind::List)?.ok_or(ReplyError::NoSuchKey)?;
    // Valkey and Redis 8 keep 32 bits of it, so that 4294967295 is the last element.
    let index = i64::from(args.int(2)? as i32);
    let set = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        list.make_room(element.len(), 1);
        let Some(index) = resolve(index, list.as_ref().len()) else {
            return (false, Edited::Nothing);
        };
        list.set(index, element);
        list.settle();
        (true, Edited::Changed(1))
    })?;
    if set != Some(true) {
        return Err(ReplyError::Static("ERR index out of range"));
    }
    notify(cx, "lset", key);
    cx.reply.ok();
    Ok(())
}
