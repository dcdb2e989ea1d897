//! Reading fields and changing them at the same time: HGETDEL and HGETEX.

use redix_types::entry::IntBuf;

use super::{
    NUMFIELDS, after_removal, bulk_or_null, check_count, docs, edit, find_fields, log_fields,
    lookup, note_expired, notify, notify_if_emptied, view,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string::options::{Expire, Grammar, Options, expire_from};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// Commands: HGETDEL and HGETEX.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "hgetdel",
        Group::Hash,
        -5,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        hgetdel,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::HASH)
    .docs(docs::HGETDEL),
    CommandSpec::write(
        "hgetex",
        Group::Hash,
        -5,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        hgetex,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::HASH)
    .docs(docs::HGETEX),
];

/// Fields that were removed.
struct Taken {
    /// What each of the wanted fields held.
    values: Vec<Option<Vec<u8>>>,
    /// The arguments that name those that existed.
    removed: Vec<usize>,
    edited: Edited,
}

/// Removes the fields from argument `first` on. Errors: WRONGTYPE.
fn take_fields(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    args: Args<'_>,
    first: usize,
) -> Result<Taken, ReplyError> {
    let hasher = cx.keys.keyspace.hasher();
    let taken = edit(cx, key, Missing::Skip, |hash| {
        let mut removed = Vec::new();
        let mut take = |word: usize| {
            let field = args.get(word);
            let value = hash.as_ref().get(field, hasher)?.text(&mut IntBuf::new()).to_vec();
            hash.remove(field);
            removed.push(word);
            Some(value)
        };
        let values = (first..args.len()).map(&mut take).collect();
        let edited = after_removal(hash, removed.len());
        (Taken { values, removed, edited }, edited)
    })?;
    Ok(taken.unwrap_or_else(|| Taken {
        values: vec![None; args.len() - first],
        removed: Vec::new(),
        edited: Edited::Nothing,
    }))
}

fn reply_taken(cx: &mut Ctx<'_, '_>, taken: &Taken) {
    cx.reply.array(taken.values.len());
    for value in &taken.values {
        match value {
            Some(value) => cx.reply.bulk(value),
            None => cx.reply.null(),
        }
    }
}

/// `HGETDEL key FIELDS numfields field [field ...]` -> array of bulk | null, the values of the
/// fields, which are removed. Errors: Syntax, NotInteger, a number of fields that is not theirs,
/// WRONGTYPE. Logged verbatim; events `hdel` and `del`.
fn hgetdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if !args.is(2, "FIELDS") {
        return Err(ReplyError::Syntax);
    }
    check_count(args, 2, 1, NUMFIELDS)?;
    let key = cx.key(args, 1);
    let taken = take_fields(cx, key, args, 4)?;
    if !taken.removed.is_empty() {
        notify(cx, "hdel", key);
    }
    notify_if_emptied(cx, taken.edited, key);
    reply_taken(cx, &taken);
    Ok(())
}

/// `HGETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds
/// | PERSIST] FIELDS numfields field [field ...]` -> array of bulk | null. Errors: Syntax, a number
/// of fields that is not theirs, NotInteger, an invalid time, WRONGTYPE. Logged as `HPEXPIREAT`,
/// `HPERSIST` or, where the time is over, `HDEL`, of the fields that it changed; events `hexpire`,
/// `hpersist`, `hexpired`.
fn hgetex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at = find_fields(args, 2)?;
    let options = Options::parse(args.head(at), 2, Grammar::Getex)?;
    check_count(args, at, 1, NUMFIELDS)?;
    let (key, hasher, first) = (cx.key(args, 1), cx.keys.keyspace.hasher(), at + 2);
    lookup(cx.keys, key)?;
    let expire_at_ms = match options.expire {
        Expire::At(unit, text) => {
            Some(expire_from(0, (unit, text), cx.now_ms(), cx.command.spec.name)?)
        }
        _ => None,
    };
    if expire_at_ms.is_some_and(|at_ms| cx.is_past(at_ms)) {
        let taken = take_fields(cx, key, args, first)?;
        if !taken.removed.is_empty() {
            log_fields(cx, &[b"HDEL", key.bytes], args, &taken.removed);
        }
        note_expired(cx, key, taken.removed.len());
        notify_if_emptied(cx, taken.edited, key);
        reply_taken(cx, &taken);
        return Ok(());
    }
    if expire_at_ms.is_some() || options.expire == Expire::Persist {
        change_expiries(cx, key, args, first, expire_at_ms)?;
    }
    let hash = view(cx.keys, key);
    cx.reply.array(args.len() - first);
    for field in args.iter_from(first) {
        bulk_or_null(cx.reply, hash.and_then(|hash| hash.get(field, hasher)));
    }
    Ok(())
}

/// Sets or removes the expiry of the fields from argument `first` on; logs and reports it.
fn change_expiries(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    args: Args<'_>,
    first: usize,
    expire_at_ms: Option<i64>,
) -> CommandResult {
    let hasher = cx.keys.keyspace.hasher();
    let changed: Vec<usize> = edit(cx, key, Missing::Skip, |hash| {
        let mut changed: Vec<usize> = (first..args.len()).collect();
        changed.retain(|&word| {
            let field = args.get(word);
            let present = hash.as_ref().get_expiring(field, hasher);
            let needed = match (present, expire_at_ms) {
                (None, _) => false,
                (Some((_, old_ms)), None) => old_ms.is_some(),
                (Some(_), Some(_)) => true,
            };
            needed && hash.set_expiry(field, expire_at_ms)
        });
        let edited = match changed.len() as u64 {
            0 => Edited::Nothing,
            changes => Edited::Changed(changes),
        };
        (changed, edited)
    })?
    .unwrap_or_default();
    if changed.is_empty() {
        return Ok(());
    }
    let count = changed.len().to_string();
    match expire_at_ms.map(|at_ms| at_ms.to_string()) {
        Some(at) => {
            let start = [b"HPEXPIREAT", key.bytes, at.as_bytes(), b"FIELDS", count.as_bytes()];
            log_fields(cx, &start, args, &changed);
            notify(cx, "hexpire", key);
        }
        None => {
            let start = [b"HPERSIST", key.bytes, b"FIELDS", count.as_bytes()];
            log_fields(cx, &start, args, &changed);
            notify(cx, "hpersist", key);
        }
    }
    Ok(())
}
