//! Commands on the members of a set: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, SMEMBERS,
//! SSCAN.

use redix_types::entry::{IntBuf, Kind};
use redix_types::listpack::Element;
use redix_types::set::{Form, SetRef};

use super::{
    docs, edit, empty, limits, lookup, notify, notify_removed, reply_member, reply_members, set_of,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::scan::{ScanOptions, Walked, parse_cursor};
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;
use crate::keyspace::access::Missing;

/// Commands: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, SMEMBERS and SSCAN.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "sadd",
        Group::Set,
        -3,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        sadd,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::SET)
    .member(2)
    .docs(docs::SADD),
    CommandSpec::write(
        "srem",
        Group::Set,
        -3,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        srem,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::SET)
    .member(2)
    .docs(docs::SREM),
    CommandSpec::write(
        "smove",
        Group::Set,
        4,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        smove,
    )
    .flags(flag::FAST)
    .acl(acl::SET)
    .docs(docs::SMOVE),
    CommandSpec::read(
        "sismember",
        Group::Set,
        3,
        const { &[KeySpec::one(1, access::RO)] },
        sismember,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::SET)
    .member(2)
    .docs(docs::SISMEMBER),
    CommandSpec::read(
        "smismember",
        Group::Set,
        -3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        smismember,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::SET)
    .member(2)
    .docs(docs::SMISMEMBER),
    CommandSpec::read("scard", Group::Set, 2, const { &[KeySpec::one(1, access::RO)] }, scard)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::SET)
        .docs(docs::SCARD),
    CommandSpec::read(
        "smembers",
        Group::Set,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        smembers,
    )
    .flags(flag::BRIEF)
    .acl(acl::SET)
    .docs(docs::SMEMBERS),
    CommandSpec::read(
        "sscan",
        Group::Set,
        -3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        sscan,
    )
    .acl(acl::SET)
    .docs(docs::SSCAN),
];

/// `SADD key member …` -> number of members added. Errors: WRONGTYPE. Logged verbatim; event
/// `sadd`.
fn sadd(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let (limits, given) = (limits(cx), args.len() - 2);
    let form = Form::of_new(Element::of(args.get(2)), given, limits);
    let change = edit(cx.keys, limits, key, Missing::Create(empty(form)), |set| {
        set.announce(given);
        args.iter_from(2).filter(|member| set.add(Element::of(member))).count()
    })?;
    let added = change.map_or(0, |change| change.members);
    if added > 0 {
        notify(cx, "sadd", key);
    }
    cx.reply.int(added as i64);
    Ok(())
}

/// `SREM key member …` -> number of members removed. Errors: WRONGTYPE. Logged verbatim; event
/// `srem`, and `del` if none is left.
fn srem(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, limits) = (cx.key(args, 1), limits(cx));
    let change = edit(cx.keys, limits, key, Missing::Skip, |set| {
        args.iter_from(2).filter(|member| set.remove(Element::of(member))).count()
    })?;
    if let Some(change) = change
        && change.members > 0
    {
        notify_removed(cx, "srem", key, change.emptied);
    }
    cx.reply.int(change.map_or(0, |change| change.members as i64));
    Ok(())
}

/// `SMOVE source destination member` -> 1, or 0 if `source` has no such member. Errors: WRONGTYPE,
/// of `destination` only where `source` exists. Logged verbatim; events `srem`, and `sadd` if it is
/// new there.
fn smove(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (cx.key(args, 1), cx.key(args, 2));
    let member = Element::of(args.get(3));
    let (limits, hasher) = (limits(cx), cx.keys.keyspace.hasher());
    let Some(source) = cx.keys.lookup_write(from, Kind::Set)? else {
        cx.reply.int(0);
        return Ok(());
    };
    let has = set_of(source).contains(member, hasher);
    cx.keys.lookup_write(to, Kind::Set)?;
    if has && from.bytes != to.bytes {
        let removed =
            edit(cx.keys, limits, from, Missing::Skip, |set| usize::from(set.remove(member)))?;
        let emptied = removed.is_some_and(|change| change.emptied);
        notify_removed(cx, "srem", from, emptied);
        let missing = Missing::Create(empty(Form::of_new(member, 1, limits)));
        let added = edit(cx.keys, limits, to, missing, |set| usize::from(set.add(member)))?;
        if added.is_some_and(|change| change.members > 0) {
            notify(cx, "sadd", to);
        }
    }
    cx.reply.int(i64::from(has));
    Ok(())
}

/// `SISMEMBER key member` -> 1 or 0. Errors: WRONGTYPE.
fn sismember(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set = lookup(cx.keys, key)?;
    let has = set.is_some_and(|set| set.contains(Element::of(args.get(2)), hasher));
    cx.reply.int(i64::from(has));
    Ok(())
}

/// `SMISMEMBER key member …` -> 1 or 0 for each. Errors: WRONGTYPE.
fn smismember(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set = lookup(cx.keys, key)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        let has = set.is_some_and(|set| set.contains(Element::of(member), hasher));
        cx.reply.int(i64::from(has));
    }
    Ok(())
}

/// `SCARD key` -> the number of members. Errors: WRONGTYPE.
fn scard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let len = lookup(cx.keys, key)?.map_or(0, SetRef::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `SMEMBERS key` -> the members. Errors: WRONGTYPE.
fn smembers(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    match lookup(cx.keys, key)? {
        Some(set) => reply_members(cx.reply, set),
        None => cx.reply.set(0),
    }
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]` -> the next cursor (`0` at the end) and
/// members; a compact set is returned in one call. Errors, in this order: the cursor, WRONGTYPE,
/// the options (not checked if the key is missing).
fn sscan(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let cursor = parse_cursor(args.get(2))?;
    let key = cx.key(args, 1);
    let Some(set) = lookup(cx.keys, key)? else {
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args.options(3), Walked::Members)?;
    let mut found = Vec::new();
    let mut next = 0;
    if let SetRef::Table(table) = set {
        next = table.scan(cursor, options.count, &mut |member| found.push(Element::Str(member)));
    } else {
        set.for_each(|member| found.push(member));
    }
    let mut buf = IntBuf::new();
    found.retain(|member| options.matches(member.text(&mut buf)));
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(found.len());
    found.into_iter().for_each(|member| reply_member(cx.reply, member));
    Ok(())
}
