//! HINCRBY and HINCRBYFLOAT.

use redix_types::entry::IntBuf;
use redix_types::hash::{Before, Lifetime};
use redix_types::listpack::Element;
use redix_types::num;

use super::{CREATE, check_length, docs, edit, note_expired, notify};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Edited;

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)];

/// Commands: HINCRBY and HINCRBYFLOAT.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write("hincrby", Group::Hash, 4, KEY, hincrby)
        .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HINCRBY),
    CommandSpec::write("hincrbyfloat", Group::Hash, 4, KEY, hincrbyfloat)
        .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .log_as(LogAs::Effect)
        .member(2)
        .docs(docs::HINCRBYFLOAT),
];

/// `HINCRBY key field increment` -> the new number. Errors: NotInteger, WRONGTYPE, a value that is
/// not an integer, overflow. Logged as the result where the field has an expiry: a replica may not
/// see the field as this server does.
fn hincrby(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, field, increment) = (cx.key(args, 1), args.get(2), args.int(3)?);
    let hasher = cx.keys.keyspace.hasher();
    let added = edit(cx, key, CREATE, |hash| {
        let (old, at_ms) = hash.as_ref().get_expiring(field, hasher).unzip();
        match sum(old, increment) {
            Ok(new) => {
                let was = hash.set(field, IntBuf::new().format(new), Lifetime::Keep);
                (Ok((new, was, at_ms.flatten())), Edited::Changed(1))
            }
            Err(error) => (Err(error), Edited::Nothing),
        }
    })?;
    let (new, was, at_ms) = added.expect("the hash is made if there is none")?;
    note_expired(cx, key, usize::from(was == Before::Expired));
    notify(cx, "hincrby", key);
    if was == Before::Expired || at_ms.is_some() {
        log_result(cx, key, (field, IntBuf::new().format(new)), at_ms);
    }
    cx.reply.int(new);
    Ok(())
}

/// Logs the result of an addition, with the expiry that the field keeps.
fn log_result(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    (field, value): (&[u8], &[u8]),
    expire_at_ms: Option<i64>,
) {
    let (db, effects) = (cx.keys.db, &mut cx.keys.effects);
    let Some(at_ms) = expire_at_ms else {
        return effects.log(db, &[b"HSET", key.bytes, field, value]);
    };
    let mut text = IntBuf::new();
    let at = text.format(at_ms);
    effects.log(db, &[b"HSETEX", key.bytes, b"PXAT", at, b"FIELDS", b"1", field, value]);
}

fn sum(old: Option<Element<'_>>, increment: i64) -> Result<i64, ReplyError> {
    let old = match old {
        None => 0,
        Some(Element::Int(old)) => old,
        Some(Element::Str(text)) => {
            num::parse_i64(text).ok_or(ReplyError::Static("ERR hash value is not an integer"))?
        }
    };
    old.checked_add(increment)
        .ok_or(ReplyError::Static("ERR increment or decrement would overflow"))
}

/// `HINCRBYFLOAT key field increment` -> bulk, the new number. Errors: NotFloat, an infinite
/// increment, WRONGTYPE, a value that is not a number, a result that is NaN or infinite. Logged as
/// `HSET`, or `HSETEX` with its expiry, so that replicas do not depend on equal floating-point
/// arithmetic.
fn hincrbyfloat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, field, hasher) = (cx.key(args, 1), args.get(2), cx.keys.keyspace.hasher());
    let increment = num::LongDouble::parse(args.get(3)).ok_or(ReplyError::NotFloat)?;
    if !increment.is_finite() {
        return Err(ReplyError::Static("ERR value is NaN or Infinity"));
    }
    check_length(field, &[])?;
    let added = edit(cx, key, CREATE, |hash| {
        let (old, at_ms) = hash.as_ref().get_expiring(field, hasher).unzip();
        match float_sum(old, increment) {
            Ok(new) => {
                let text = new.to_text();
                let was = hash.set(field, &text, Lifetime::Keep);
                (Ok((text, was, at_ms.flatten())), Edited::Changed(1))
            }
            Err(error) => (Err(error), Edited::Nothing),
        }
    })?;
    let (text, was, at_ms) = added.expect("the hash is made if there is none")?;
    note_expired(cx, key, usize::from(was == Before::Expired));
    notify(cx, "hincrbyfloat", key);
    log_result(cx, key, (field, &text), at_ms);
    cx.reply.bulk(&text);
    Ok(())
}

fn float_sum(
    old: Option<Element<'_>>,
    increment: num::LongDouble,
) -> Result<num::LongDouble, ReplyError> {
    let old = match old {
        None => num::LongDouble::from(0),
        Some(old) => num::LongDouble::parse(old.text(&mut IntBuf::new()))
            .ok_or(ReplyError::Static("ERR hash value is not a float"))?,
    };
    let new = old + increment;
    if !new.is_finite() {
        return Err(ReplyError::Static("ERR increment would produce NaN or Infinity"));
    }
    Ok(new)
}
