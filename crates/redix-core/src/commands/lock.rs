//! LOCK.ACQUIRE, LOCK.EXTEND, LOCK.RELEASE: locks that expire, with fencing tokens.
//!
//! A lock is a string key with the owner and the token in it ([`Lock`]), which expires with the
//! lock. What is logged are plain commands on strings, so replicas and real servers need to know
//! nothing of this.
//!
//! **Invariants.** A key has at most one owner. Each acquisition has a token greater than all
//! before it ([`Fence`](crate::keyspace::fence::Fence)), which stays the same until the lock is
//! released or expires. A string that is no lock is never overwritten.

use redix_types::entry::{IntBuf, Kind};

use super::string::encode_text;
use super::string::options::{Unit, expire_at_ms};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Ttl;
use crate::keyspace::fence::Lock;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "lock.acquire",
        Group::Generic,
        4,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        acquire,
    )
    .flags(flag::DENYOOM | flag::FAST)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .doc("Takes a lock for some milliseconds unless another owner has it, and returns its token.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("owner", ArgKind::String),
        ArgSpec::new("ttl-ms", ArgKind::Integer),
    ]),
    CommandSpec::write(
        "lock.extend",
        Group::Generic,
        4,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        extend,
    )
    .flags(flag::FAST)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .doc("Lets a lock that the owner has expire some milliseconds from now.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("owner", ArgKind::String),
        ArgSpec::new("ttl-ms", ArgKind::Integer),
    ]),
    CommandSpec::write(
        "lock.release",
        Group::Generic,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        release,
    )
    .flags(flag::FAST)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .doc("Gives a lock back, if the owner has it.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("owner", ArgKind::String)]),
];

/// Who has a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    Other,
    /// The owner that asks, under this token.
    Asker(i64),
}

/// Errors: WRONGTYPE, a string that is no lock.
fn holder(cx: &mut Ctx<'_, '_>, key: Key<'_>, asker: &[u8]) -> Result<Holder, ReplyError> {
    let Some(entry) = cx.keys.lookup_write(key, Kind::String)? else { return Ok(Holder::Nobody) };
    let mut digits = IntBuf::new();
    let lock = Lock::parse(entry.value().string_bytes(&mut digits))
        .ok_or(ReplyError::Static("ERR the key holds a string that is no lock"))?;
    Ok(if lock.owner == asker { Holder::Asker(lock.token) } else { Holder::Other })
}

/// `LOCK.ACQUIRE key owner ttl_ms` -> the token, or null if another owner has the lock. An owner
/// that has it keeps its token and has the lock for `ttl_ms` from now. Errors: a senseless
/// `ttl_ms`, WRONGTYPE, a string that is no lock. Logged as `SET … PXAT`, events `set` and
/// `expire`; where the owner has the lock as LOCK.EXTEND.
fn acquire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at_ms = expire_at_ms(Unit::Millis, args.get(3), cx.now_ms(), "lock.acquire")?;
    let (key, owner) = (cx.key(args, 1), args.get(2));
    match holder(cx, key, owner)? {
        Holder::Other => cx.reply.null(),
        Holder::Asker(token) => {
            expire_at(cx, key, at_ms);
            cx.reply.int(token);
        }
        Holder::Nobody => {
            let token = cx.keys.keyspace.fence().issue(cx.now_us);
            let value = Lock { token, owner }.to_value();
            cx.keys.set(key, encode_text(&value)?, Ttl::At(at_ms));
            cx.keys.effects.notify(class::STRING, "set", cx.keys.db, key.bytes);
            cx.keys.effects.notify(class::GENERIC, "expire", cx.keys.db, key.bytes);
            let mut at = IntBuf::new();
            let words = [b"SET", key.bytes, &value, b"PXAT", at.format(at_ms)];
            cx.keys.effects.log(cx.keys.db, &words);
            cx.reply.int(token);
        }
    }
    Ok(())
}

/// `LOCK.EXTEND key owner ttl_ms` -> 1, or 0 if the owner does not have the lock. Errors as
/// LOCK.ACQUIRE. Logged as `PEXPIREAT`; event `expire`.
fn extend(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at_ms = expire_at_ms(Unit::Millis, args.get(3), cx.now_ms(), "lock.extend")?;
    let key = cx.key(args, 1);
    let holds = matches!(holder(cx, key, args.get(2))?, Holder::Asker(_));
    if holds {
        expire_at(cx, key, at_ms);
    }
    cx.reply.int(i64::from(holds));
    Ok(())
}

fn expire_at(cx: &mut Ctx<'_, '_>, key: Key<'_>, at_ms: i64) {
    cx.keys.set_expire(key, Some(at_ms));
    cx.keys.effects.notify(class::GENERIC, "expire", cx.keys.db, key.bytes);
    let mut at = IntBuf::new();
    let words = [b"PEXPIREAT", key.bytes, at.format(at_ms)];
    cx.keys.effects.log(cx.keys.db, &words);
}

/// `LOCK.RELEASE key owner` -> 1, or 0 if the owner does not have the lock. Errors: WRONGTYPE, a
/// string that is no lock. Logged as `DEL`; event `del`.
fn release(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let holds = matches!(holder(cx, key, args.get(2))?, Holder::Asker(_));
    if holds {
        cx.keys.delete(key);
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
        cx.keys.effects.log(cx.keys.db, &[b"DEL", key.bytes]);
    }
    cx.reply.int(i64::from(holds));
    Ok(())
}
