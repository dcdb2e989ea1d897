//! HSETEX: setting fields with their expiry.

use redix_types::Kind;
use redix_types::hash::{Before, Lifetime};

use super::{
    CREATE, NUMFIELDS, after_removal, check_count, check_length, docs, edit, find_fields,
    log_fields, note_expired, notify, notify_if_emptied, view,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::commands::string::options::{Condition, Expire, Grammar, Options, expire_from};
use crate::effects::class;
use crate::error::CommandResult;
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// Command: HSETEX.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "hsetex",
    Group::Hash,
    -6,
    const { &[KeySpec::one(1, access::RW | access::INSERT)] },
    hsetex,
)
.flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
.acl(acl::HASH)
.log_as(LogAs::Effect)
.docs(docs::HSETEX)];

/// `HSETEX key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT
/// unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]` -> 1 | 0 if a
/// condition is not met. NX and XX are about the key, FNX and FXX about all of the fields. Errors:
/// Syntax, a number of fields that is not theirs, WRONGTYPE, NotInteger, an invalid time. Logged
/// without its conditions and with an absolute time, or as `HDEL` where that is over; events
/// `hset`, `hexpire`, `hexpired`.
fn hsetex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at = find_fields(args, 2)?;
    let options = Options::parse(args.head(at), 2, Grammar::Hsetex)?;
    check_count(args, at, 2, NUMFIELDS)?;
    let (key, first) = (cx.key(args, 1), at + 2);
    for word in (first..args.len()).step_by(2) {
        check_length(args.get(word), args.get(word + 1))?;
    }
    let exists = cx.keys.lookup_write(key, Kind::Hash)?.is_some();
    if !holds(options.condition, exists) {
        cx.reply.int(0);
        return Ok(());
    }
    let lifetime = match options.expire {
        Expire::At(unit, text) => {
            Lifetime::Until(expire_from(0, (unit, text), cx.now_ms(), cx.command.spec.name)?)
        }
        Expire::Keep => Lifetime::Keep,
        Expire::Unsaid | Expire::Persist => Lifetime::Endless,
    };
    if !fields_hold(cx, key, options.fields, args, first) {
        cx.reply.int(0);
        return Ok(());
    }
    match lifetime {
        Lifetime::Until(at_ms) if cx.is_past(at_ms) => set_expired(cx, key, args, first)?,
        _ => set(cx, key, args, first, lifetime)?,
    }
    cx.reply.int(1);
    Ok(())
}

fn holds(condition: Condition<'_>, exists: bool) -> bool {
    match condition {
        Condition::Missing => !exists,
        Condition::Exists => exists,
        _ => true,
    }
}

/// Whether the condition holds for each of the fields.
fn fields_hold(
    cx: &Ctx<'_, '_>,
    key: Key<'_>,
    condition: Condition<'_>,
    args: Args<'_>,
    first: usize,
) -> bool {
    if condition == Condition::Always {
        return true;
    }
    let (hash, hasher) = (view(cx.keys, key), cx.keys.keyspace.hasher());
    let has = |field: &[u8]| hash.is_some_and(|hash| hash.get(field, hasher).is_some());
    (first..args.len()).step_by(2).all(|word| holds(condition, has(args.get(word))))
}

/// Sets the fields, logs and reports it.
fn set(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    args: Args<'_>,
    first: usize,
    lifetime: Lifetime,
) -> CommandResult {
    let count = (args.len() - first) / 2;
    let expired = edit(cx, key, CREATE, |hash| {
        hash.expect(count);
        let mut expired: Vec<usize> = (first..args.len()).step_by(2).collect();
        expired.retain(|&word| {
            hash.set(args.get(word), args.get(word + 1), lifetime) == Before::Expired
        });
        (expired, Edited::Changed(count as u64))
    })?
    .expect("the hash is made if there is none");
    note_expired(cx, key, expired.len());
    notify(cx, "hset", key);
    if let Lifetime::Until(_) = lifetime {
        notify(cx, "hexpire", key);
    }
    if lifetime == Lifetime::Keep && !expired.is_empty() {
        // A replica still has these fields, with an expiry that it would keep.
        log_fields(cx, &[b"HDEL", key.bytes], args, &expired);
    }
    log_absolute(cx, args, first, lifetime);
    Ok(())
}

/// Logs the command without its conditions and with an absolute time.
fn log_absolute(cx: &mut Ctx<'_, '_>, args: Args<'_>, first: usize, lifetime: Lifetime) {
    if !cx.keys.effects.recording() {
        return;
    }
    let mut words = vec![args.get(0), args.get(1)];
    let at;
    match lifetime {
        Lifetime::Endless => {}
        Lifetime::Keep => words.push(b"KEEPTTL"),
        Lifetime::Until(at_ms) => {
            at = at_ms.to_string();
            words.extend([b"PXAT", at.as_bytes()]);
        }
    }
    words.extend(args.iter_from(first - 2));
    cx.keys.effects.log(cx.keys.db, &words);
}

/// Sets fields that have expired already: those that exist are removed, others are not created.
fn set_expired(cx: &mut Ctx<'_, '_>, key: Key<'_>, args: Args<'_>, first: usize) -> CommandResult {
    let outcome = edit(cx, key, Missing::Skip, |hash| {
        let mut removed: Vec<usize> = (first..args.len()).step_by(2).collect();
        removed.retain(|&word| hash.remove(args.get(word)));
        let edited = after_removal(hash, removed.len());
        ((removed, edited), edited)
    })?;
    // A key that does not exist is reported as if it had been created and had lost its fields.
    if outcome.is_none() {
        cx.keys.effects.notify(class::NEW, "new", cx.keys.db, key.bytes);
    }
    let (removed, edited) = outcome.unwrap_or((Vec::new(), Edited::Emptied(0)));
    notify(cx, "hset", key);
    notify(cx, "hexpire", key);
    note_expired(cx, key, (args.len() - first) / 2);
    notify_if_emptied(cx, edited, key);
    if !removed.is_empty() {
        log_fields(cx, &[b"HDEL", key.bytes], args, &removed);
    }
    Ok(())
}
