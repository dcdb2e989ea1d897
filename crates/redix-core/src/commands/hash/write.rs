//! Commands that set and remove fields.

use redix_types::hash::{Before, Lifetime};

use super::{
    CREATE, after_removal, check_length, docs, edit, log_fields, note_expired, notify,
    notify_if_emptied,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
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
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::HASH)
    .member(2)
    .docs(docs::HDEL),
    CommandSpec::write("hmset", Group::Hash, -4, UPDATE, hmset)
        .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HMSET),
    CommandSpec::write("hset", Group::Hash, -4, UPDATE, hset)
        .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
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
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
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
        return Err(ReplyError::WrongArity(cx.command_name().into()));
    }
    let (key, fields) = (cx.key(args, 1), args.len() / 2 - 1);
    for word in (2..args.len()).step_by(2) {
        check_length(args.get(word), args.get(word + 1))?;
    }
    let (new, expired) = edit(cx, key, CREATE, |hash| {
        hash.expect(fields);
        let (mut new, mut expired) = (0, 0);
        for word in (2..args.len()).step_by(2) {
            let was = hash.set(args.get(word), args.get(word + 1), Lifetime::Endless);
            new += usize::from(was != Before::Present);
            expired += usize::from(was == Before::Expired);
        }
        ((new, expired), Edited::Changed(fields as u64))
    })?
    .expect("the hash is made if there is none");
    note_expired(cx, key, expired);
    notify(cx, "hset", key);
    Ok(new)
}

/// `HSETNX key field value` -> 1 | 0 if the hash has the field. Errors: WRONGTYPE. Logged as `HSET`
/// where the field has expired: a replica still has it.
fn hsetnx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, field, hasher) = (cx.key(args, 1), args.get(2), cx.keys.keyspace.hasher());
    check_length(field, args.get(3))?;
    let was = edit(cx, key, CREATE, |hash| {
        if hash.as_ref().get(field, hasher).is_some() {
            return (Before::Present, Edited::Nothing);
        }
        (hash.set(field, args.get(3), Lifetime::Endless), Edited::Changed(1))
    })?;
    let was = was.expect("the hash is made if there is none");
    if was == Before::Expired {
        note_expired(cx, key, 1);
        cx.keys.effects.log(cx.keys.db, &[b"HSET", key.bytes, field, args.get(3)]);
    }
    if was != Before::Present {
        notify(cx, "hset", key);
    }
    cx.reply.int(i64::from(was != Before::Present));
    Ok(())
}

/// `HDEL key field [field ...]` -> number of fields removed. Errors: WRONGTYPE. Logged without
/// hidden fields, which a replica still has.
fn hdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let outcome = edit(cx, key, Missing::Skip, |hash| {
        if hash.as_ref().hides_fields() {
            let mut removed: Vec<usize> = (2..args.len()).collect();
            removed.retain(|&word| hash.remove(args.get(word)));
            let edited = after_removal(hash, removed.len());
            return ((removed.len(), Some(removed), edited), edited);
        }
        let removed = args.iter_from(2).filter(|field| hash.remove(field)).count();
        let edited = after_removal(hash, removed);
        ((removed, None, edited), edited)
    })?;
    let (removed, of_some, edited) = outcome.unwrap_or((0, None, Edited::Nothing));
    if removed > 0 {
        if let Some(words) = of_some {
            log_fields(cx, &[b"HDEL", key.bytes], args, &words);
        }
        notify(cx, "hdel", key);
    }
    notify_if_emptied(cx, edited, key);
    cx.reply.int(removed as i64);
    Ok(())
}
