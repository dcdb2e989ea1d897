//! XDEL, XTRIM and XSETID, and XDELEX of Redis 8.2.

use redix_types::Kind;
use redix_types::stream::{Marks, StreamId};

use super::delete::{Outcome, Wanted, delete_by_reference, reply_outcomes};
use super::trim::{Words, log_as_done};
use super::{bury, docs, edit, notify, parse_id};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Missing;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "xdel",
        Group::Stream,
        -3,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        xdel,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .docs(docs::XDEL),
    CommandSpec::write(
        "xdelex",
        Group::Stream,
        -5,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        xdelex,
    )
    .flags(flag::FAST)
    .acl(acl::STREAM)
    .docs(docs::XDELEX),
    CommandSpec::write(
        "xsetid",
        Group::Stream,
        -3,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        xsetid,
    )
    .flags(flag::DENYOOM | flag::FAST)
    .acl(acl::STREAM)
    .docs(docs::XSETID),
    CommandSpec::write(
        "xtrim",
        Group::Stream,
        -4,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        xtrim,
    )
    .acl(acl::STREAM)
    .docs(docs::XTRIM),
];

/// `XDEL key id …` -> how many entries were deleted. Errors: WRONGTYPE, an ID that is none, but not
/// where there is no stream.
fn xdel(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    if cx.keys.lookup_write(key, Kind::Stream)?.is_none() {
        cx.reply.int(0);
        return Ok(());
    }
    let ids: Vec<StreamId> = args.iter_from(2).map(parse_id).collect::<Result<_, _>>()?;
    let deleted = edit(cx, key, Missing::Skip, |stream| {
        let deleted = ids.iter().filter(|id| stream.delete(**id)).count() as u64;
        (deleted, deleted)
    })?
    .unwrap_or(0);
    if deleted > 0 {
        notify(cx, "xdel", key);
    }
    cx.reply.int(deleted as i64);
    Ok(())
}

/// `XDELEX key [KEEPREF | DELREF | ACKED] IDS count id …` -> array of 1 for an entry that was
/// deleted, -1 for one that is not there, 2 for one that a group has yet to acknowledge (ACKED).
/// Errors: the grammar's, WRONGTYPE.
fn xdelex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let is_missing = cx.keys.lookup_write(key, Kind::Stream)?.is_none();
    let wanted = Wanted::parse(args, 2)?;
    if is_missing {
        reply_outcomes(cx, &vec![-1; wanted.len()]);
        return Ok(());
    }
    let ids = wanted.ids()?;
    let outcome = edit(cx, key, Missing::Skip, |stream| {
        let outcomes: Vec<Outcome> =
            ids.iter().map(|id| delete_by_reference(stream, *id, wanted.keep)).collect();
        let changes = outcomes.iter().filter(|outcome| outcome.changed).count() as u64;
        (outcomes.iter().map(|outcome| outcome.reply).collect::<Vec<i64>>(), changes)
    })?;
    let outcomes = outcome.unwrap_or_default();
    if outcomes.contains(&1) {
        notify(cx, "xdel", key);
    }
    reply_outcomes(cx, &outcomes);
    Ok(())
}

/// `XTRIM key [KEEPREF | DELREF | ACKED] MAXLEN | MINID [= | ~] threshold [LIMIT count]` -> how
/// many entries went. Errors: the grammar's, WRONGTYPE. An approximate trim is logged as an exact
/// one.
fn xtrim(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = Words::parse(cx, args, false)?;
    let Some(trim) = words.trim else {
        return Err(ReplyError::Static(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    };
    let key = cx.key(args, 1);
    let trimmed = edit(cx, key, Missing::Skip, |stream| {
        let (count, garbage) = stream.trim(trim);
        ((count, garbage), count)
    })?;
    let (count, garbage) = trimmed.unwrap_or((0, None));
    bury(cx, garbage);
    if count > 0 {
        notify(cx, "xtrim", key);
        log_as_done(cx, args, &words, None, key);
    }
    cx.reply.int(count as i64);
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED count] [MAXDELETEDID id]` -> OK. Errors: the grammar's, an ID
/// or a count that the entries contradict, no such key, WRONGTYPE.
fn xsetid(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let last_id = parse_id(args.get(2))?;
    let (mut added, mut deleted) = (None, None);
    let mut options = args.options(3);
    while options.more() {
        if let Some(word) = options.eat_value("ENTRIESADDED") {
            let count = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
            let count = u64::try_from(count)
                .map_err(|_| ReplyError::Static("ERR entries_added must be positive"))?;
            added = Some(count);
        } else if let Some(word) = options.eat_value("MAXDELETEDID") {
            let id = parse_id(word)?;
            if last_id < id {
                return Err(ReplyError::Static(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
            deleted = Some(id).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    let key = cx.key(args, 1);
    let set = edit(cx, key, Missing::Skip, |stream| {
        if last_id < stream.max_deleted_id() {
            return (
                Err("ERR The ID specified in XSETID is smaller than current \
                         max_deleted_entry_id"),
                0,
            );
        }
        if !stream.is_empty() {
            if last_id < stream.last_valid_id() {
                return (
                    Err("ERR The ID specified in XSETID is smaller than the target stream \
                             top item"),
                    0,
                );
            }
            if added.is_some_and(|added| added < stream.len()) {
                return (
                    Err("ERR The entries_added specified in XSETID is smaller than the target \
                             stream length"),
                    0,
                );
            }
        }
        stream.set_marks(Marks {
            last_id,
            max_deleted_id: deleted.unwrap_or(stream.max_deleted_id()),
            entries_added: added.unwrap_or(stream.entries_added()),
        });
        (Ok(()), 1)
    })?;
    set.ok_or(ReplyError::NoSuchKey)?.map_err(ReplyError::Static)?;
    notify(cx, "xsetid", key);
    cx.reply.ok();
    Ok(())
}
