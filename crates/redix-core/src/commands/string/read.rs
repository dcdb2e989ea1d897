//! Commands that read strings, and those that read one and then change its key or expiry.

use redix_types::entry::{EntryRef, IntBuf, Kind};

use super::options::{EXPIRE_OR_PERSIST, Expire, Grammar, Options};
use super::set::expire_at_once;
use super::{log, notify_generic, reply_string, store};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Ttl;

/// Commands: GET, GETDEL, GETEX, GETSET, MGET, STRLEN, GETRANGE and SUBSTR.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "get",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        get,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Returns the string at a key.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "getdel",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        getdel,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("6.2.0")
    .doc("Returns the string at a key and deletes the key.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "getex",
        Group::String,
        -2,
        const {
            &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)
                .notes("RW and ACCESS because of `GET`")]
        },
        getex,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("6.2.0")
    .doc("Returns the string at a key and may change when the key expires.")
    .args(&[ArgSpec::key("key"), EXPIRE_OR_PERSIST]),
    CommandSpec::write(
        "getset",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        getset,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .doc("Gives a key a new string and returns the one it held.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
    CommandSpec::read(
        "mget",
        Group::String,
        -2,
        const { &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)] },
        mget,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .complexity("O(N) where N is how many keys are asked for.")
    .doc("Returns the strings at several keys at once.")
    .args(&[ArgSpec::key("key").multiple()])
    .tips(&["request_policy:multi_shard"]),
    CommandSpec::read("strlen", Group::String, 2, const { &[KeySpec::one(1, access::RO)] }, strlen)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::STRING)
        .since("2.2.0")
        .doc("Returns the length in bytes of the string at a key.")
        .args(&[ArgSpec::key("key")]),
    CommandSpec::read(
        "getrange",
        Group::String,
        4,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        getrange,
    )
    .flags(flag::BRIEF)
    .acl(acl::STRING)
    .since("2.4.0")
    .complexity("O(N) where N is the length of the part. Short parts cost no more than a lookup.")
    .doc("Returns part of the string at a key.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("start", ArgKind::Integer),
        ArgSpec::new("end", ArgKind::Integer),
    ]),
    CommandSpec::read(
        "substr",
        Group::String,
        4,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        substr,
    )
    .flags(flag::BRIEF)
    .acl(acl::STRING)
    .complexity("O(N) where N is the length of the part. Short parts cost no more than a lookup.")
    .doc("Returns part of the string at a key; the old name of GETRANGE.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("start", ArgKind::Integer),
        ArgSpec::new("end", ArgKind::Integer),
    ]),
];

/// `GET key` -> bulk | null. Errors: WRONGTYPE.
fn get(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    reply_get(cx, key).map(|_| ())
}

/// Replies with the string at a key or null; returns whether it exists. Errors: WRONGTYPE.
#[inline(always)]
fn reply_get(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> Result<bool, ReplyError> {
    match cx.keys.lookup_kind(key, Kind::String)? {
        Some(entry) => {
            reply_string(cx.reply, entry);
            Ok(true)
        }
        None => {
            cx.reply.null();
            Ok(false)
        }
    }
}

/// `GETDEL key` -> bulk | null. Errors: WRONGTYPE. Logged as `DEL`.
fn getdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    if reply_get(cx, key)? {
        cx.keys.delete(key);
        notify_generic(cx, "del", key);
        log(cx, &[b"DEL", key.bytes]);
    }
    Ok(())
}

/// `GETEX key [EX | PX | EXAT | PXAT time | PERSIST]` -> bulk | null. Errors: WRONGTYPE, the
/// options. Logged as `PEXPIREAT` or `PERSIST`, or as the deletion of an expired key where the time
/// has passed.
fn getex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, 2, Grammar::Getex)?;
    let at_ms = options.at_ms(cx.now_ms(), "getex")?;
    let key = cx.key(args, 1);
    if !reply_get(cx, key)? {
        return Ok(());
    }
    match at_ms {
        Some(at_ms) if cx.is_past(at_ms) => expire_at_once(cx, key),
        Some(at_ms) => {
            cx.keys.set_expire(key, Some(at_ms));
            notify_generic(cx, "expire", key);
            log(cx, &[b"PEXPIREAT", key.bytes, IntBuf::new().format(at_ms)]);
        }
        None if options.expire == Expire::Persist && is_volatile(cx, key) => {
            cx.keys.set_expire(key, None);
            notify_generic(cx, "persist", key);
            log(cx, &[b"PERSIST", key.bytes]);
        }
        None => {}
    }
    Ok(())
}

fn is_volatile(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> bool {
    cx.keys.peek(key).is_some_and(EntryRef::has_expiry)
}

/// `GETSET key value` -> the old value | null. Errors: WRONGTYPE. Logged as `SET`.
fn getset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    reply_get(cx, key)?;
    store(cx, key, args, 2, Ttl::Clear)?;
    log(cx, &[b"SET", key.bytes, args.get(2)]);
    Ok(())
}

/// `MGET key …` -> array of bulk | null; keys that hold no string count as missing.
fn mget(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.array(args.len() - 1);
    for index in 1..args.len() {
        let key = cx.key(args, index);
        match cx.keys.lookup_read(key) {
            Some(entry) if entry.kind() == Kind::String => reply_string(cx.reply, entry),
            _ => cx.reply.null(),
        }
    }
    Ok(())
}

/// `STRLEN key` -> length in bytes, 0 for a missing key. Errors: WRONGTYPE.
fn strlen(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let entry = cx.keys.lookup_kind(key, Kind::String)?;
    let len = entry.map_or(0, |entry| entry.value().string_len());
    cx.reply.int(len as i64);
    Ok(())
}

/// `GETRANGE key start end` -> bulk, empty for a missing key. Negative indexes count from the end;
/// both are inclusive. Errors: NotInteger, WRONGTYPE.
fn getrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (start, end) = (args.int(2)?, args.int(3)?);
    let key = cx.key(args, 1);
    let Some(entry) = cx.keys.lookup_kind(key, Kind::String)? else {
        cx.reply.bulk(b"");
        return Ok(());
    };
    let mut digits = IntBuf::new();
    let bytes = entry.value().string_bytes(&mut digits);
    cx.reply.bulk(&bytes[range(start, end, bytes.len())]);
    Ok(())
}

/// The part of a string of `len` bytes between two inclusive indexes, where negative ones count
/// from the end.
pub(super) fn range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    // Two negative indexes in the wrong order are an empty range, even where clamping would make
    // one.
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let len = len as i64;
    let place = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// `SUBSTR key start end`: as GETRANGE.
fn substr(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    getrange(cx, args)
}

#[cfg(test)]
mod tests;
