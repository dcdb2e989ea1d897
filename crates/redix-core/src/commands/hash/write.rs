//! Commands that set and remove fields.

use super::{CREATE, check_length, docs, edit, notify};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Edited, Missing};

const UPDATE: &[KeySpec] = &[KeySpec::one(1, access::RW | access::UPDATE)];

/// Commands: HDEL, HMSET, HSET and HSETNX.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "hdel",
        Group::Hash,
        -3,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        hdel,
    )
    .flags(flag::FAST)
    .acl(acl::HASH)
    .member(2)
    .docs(docs::HDEL),
    CommandSpec::write("hmset", Group::Hash, -4, UPDATE, hmset)
        .flags(flag::DENYOOM | flag::FAST)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HMSET),
    CommandSpec::write("hset", Group::Hash, -4, UPDATE, hset)
        .flags(flag::DENYOOM | flag::FAST)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HSET),
    CommandSpec::write(
        "hsetnx",
        Group::Hash,
        4,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        hsetnx,
    )
    .flags(flag::DENYOOM | flag::FAST)
    .acl(acl::HASH)
    .member(2)
    .docs(docs::HSETNX),
];

/// `HSET key field value [field value ...]` -> number of new fields. Errors: WRONGTYPE, a field
/// without a value.
fn hset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let new = set_all(cx, args)?;
    cx.reply.int(new as i64);
    Ok(())
}

/// `HMSET key field value [field value ...]` -> OK. Errors as HSET.
fn hmset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_all(cx, args)?;
    cx.reply.ok();
    Ok(())
}

/// Sets the fields of HSET or HMSET; returns how many are new.
fn set_all(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<usize, ReplyError> {
    if !args.len().is_multiple_of(2) {
        return Err(ReplyError::WrongArity(cx.command.full_name().into()));
    }
    let (key, fields) = (cx.key(args, 1), args.len() / 2 - 1);
    for word in (2..args.len()).step_by(2) {
        check_length(args.get(word), args.get(word + 1))?;
    }
    let new = edit(cx, key, CREATE, |hash| {
        hash.expect(fields);
        let words = (2..args.len()).step_by(2);
        let new = words.filter(|&word| hash.set(args.get(word), args.get(word + 1))).count();
        (new, Edited::Changed(fields as u64))
    })?;
    notify(cx, "hset", key);
    Ok(new.expect("the hash is made if there is none"))
}

/// `HSETNX key field value` -> 1 | 0 if the hash has the field. Errors: WRONGTYPE.
fn hsetnx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, field, hasher) = (cx.key(args, 1), args.get(2), cx.keys.keyspace.hasher());
    check_length(field, args.get(3))?;
    let set = edit(cx, key, CREATE, |hash| {
        if hash.as_ref().get(field, hasher).is_some() {
            return (false, Edited::Nothing);
        }
        (hash.set(field, args.get(3)), Edited::Changed(1))
    })?;
    let set = set.expect("the hash is made if there is none");
    if set {
        notify(cx, "hset", key);
    }
    cx.reply.int(i64::from(set));
    Ok(())
}

/// `HDEL key field [field ...]` -> number of fields removed. Errors: WRONGTYPE.
fn hdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let removed = edit(cx, key, Missing::Skip, |hash| {
        let removed = args.iter_from(2).filter(|field| hash.remove(field)).count() as u64;
        let edited = match removed {
            0 => Edited::Nothing,
            _ if hash.as_ref().is_empty() => Edited::Emptied(removed),
            _ => Edited::Changed(removed),
        };
        ((removed, edited), edited)
    })?;
    let (removed, edited) = removed.unwrap_or((0, Edited::Nothing));
    if removed > 0 {
        notify(cx, "hdel", key);
    }
    if matches!(edited, Edited::Emptied(_)) {
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
    cx.reply.int(removed as i64);
    Ok(())
}
