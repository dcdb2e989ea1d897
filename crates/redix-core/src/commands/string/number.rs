//! INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT.

use redix_types::entry::{EntryRef, IntBuf, Kind, Value, ValueRef};
use redix_types::num;

use super::{encode_text, log, notify};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Ttl;

/// Commands: INCR, DECR, INCRBY, DECRBY and INCRBYFLOAT.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "incr",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        incr,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Adds one to the number at a key; a missing key counts as 0.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "decr",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        decr,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Takes one from the number at a key; a missing key counts as 0.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "incrby",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        incrby,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Adds an amount to the number at a key; a missing key counts as 0.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("increment", ArgKind::Integer)]),
    CommandSpec::write(
        "decrby",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        decrby,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Takes an amount from the number at a key; a missing key counts as 0.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("decrement", ArgKind::Integer)]),
    CommandSpec::write(
        "incrbyfloat",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        incrbyfloat,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("2.6.0")
    .doc("Adds a decimal amount to the number at a key; a missing key counts as 0.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("increment", ArgKind::Double)]),
];

/// `INCR key` -> the new number. Errors: WRONGTYPE, NotInteger, overflow.
fn incr(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    add(cx, args, 1)
}

/// `DECR key` -> the new number. Errors as INCR.
fn decr(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    add(cx, args, -1)
}

/// `INCRBY key increment` -> the new number. Errors as INCR.
fn incrby(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let increment = args.int(2)?;
    add(cx, args, increment)
}

/// `DECRBY key decrement` -> the new number. Errors as INCR.
fn decrby(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let decrement = args.int(2)?;
    let increment =
        decrement.checked_neg().ok_or(ReplyError::Static("ERR decrement would overflow"))?;
    add(cx, args, increment)
}

fn add(cx: &mut Ctx<'_, '_>, args: Args<'_>, increment: i64) -> CommandResult {
    let key = cx.key(args, 1);
    let old = match cx.keys.lookup_write(key, Kind::String)? {
        Some(entry) => integer(entry)?,
        None => 0,
    };
    let new = old
        .checked_add(increment)
        .ok_or(ReplyError::Static("ERR increment or decrement would overflow"))?;
    cx.keys.set(key, Value::Int(new), Ttl::Keep);
    notify(cx, "incrby", key);
    cx.reply.int(new);
    Ok(())
}

/// The integer at a key. Errors: NotInteger.
pub(super) fn integer(entry: EntryRef<'_>) -> Result<i64, ReplyError> {
    match entry.value() {
        ValueRef::Int(value) => Ok(value),
        // A text may be an integer: INCRBYFLOAT and APPEND leave text.
        text => num::parse_i64(text.string_bytes(&mut IntBuf::new())).ok_or(ReplyError::NotInteger),
    }
}

/// The decimal number at a key. Errors: NotFloat.
pub(super) fn float(entry: EntryRef<'_>) -> Result<num::LongDouble, ReplyError> {
    let mut digits = IntBuf::new();
    num::LongDouble::parse(entry.value().string_bytes(&mut digits)).ok_or(ReplyError::NotFloat)
}

/// `INCRBYFLOAT key increment` -> bulk, the new number. Errors: WRONGTYPE, NotFloat, a result that
/// is NaN or infinite. Logged as `SET … KEEPTTL`, so that replicas do not depend on equal
/// floating-point arithmetic.
fn incrbyfloat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let old = match cx.keys.lookup_write(key, Kind::String)? {
        Some(entry) => float(entry)?,
        None => num::LongDouble::from(0),
    };
    let increment = num::LongDouble::parse(args.get(2)).ok_or(ReplyError::NotFloat)?;
    let new = old + increment;
    if !new.is_finite() {
        return Err(ReplyError::Static("ERR increment would produce NaN or Infinity"));
    }
    let text = new.to_text();
    cx.keys.set(key, encode_text(&text)?, Ttl::Keep);
    notify(cx, "incrbyfloat", key);
    log(cx, &[b"SET", key.bytes, &text, b"KEEPTTL"]);
    cx.reply.bulk(&text);
    Ok(())
}
