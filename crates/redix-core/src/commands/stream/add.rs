//! XADD.

use redix_types::stream::{AppendError, Stream, StreamId};

use super::idempotent::{first_window, known, log_entry};
use super::trim::{NewId, Words, log_as_done};
use super::{EMPTY, bury, docs, edit, limits, notify};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "xadd",
    Group::Stream,
    -5,
    const {
        &[KeySpec::one(1, access::RW | access::UPDATE)
            .notes("UPDATE, since the command may trim the stream")]
    },
    xadd,
)
.flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
.acl(acl::STREAM)
.docs(docs::XADD)];

/// Where fields and values of an entry are in the words of a command.
#[derive(Clone)]
struct Pairs<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.args.try_get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.args.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// `XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMP producer iid | IDMPAUTO producer]
/// [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value …` -> the ID as bulk, or
/// null where NOMKSTREAM finds no stream. What the producer has added already is not added again:
/// the reply is its ID. Errors: wrong arity, the grammar's, an ID that is not behind the last one,
/// WRONGTYPE. Logged with the ID, and an approximate trim as an exact one; for the producer as XACK
/// of a group that cannot be.
fn xadd(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = Words::parse(cx, args, true)?;
    let pairs = Pairs { args, next: (words.id_at + 1).min(args.len()) };
    if pairs.len() < 2 || pairs.len() % 2 == 1 {
        return Err(ReplyError::WrongArity("xadd".into()));
    }
    if matches!(words.id, NewId::Given(StreamId::MIN)) {
        return Err(ReplyError::Static("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = cx.key(args, 1);
    let (limits, now_ms) = (limits(cx.config), cx.now_ms());
    let origin = words.origin.map(|(origin, _)| origin.of(pairs.clone()));
    // A primary that says the ID has found no repetition.
    if let Some((producer, iid)) = &origin
        && matches!(words.id, NewId::Next)
        && let Some(id) = repeated(cx, key, (producer, iid))?
    {
        super::reply_id(cx.reply, id);
        return Ok(());
    }
    let (first, mut is_first) = (first_window(cx.config), false);
    let missing = if words.no_stream { Missing::Skip } else { EMPTY };
    let added = edit(cx, key, missing, |stream| {
        let id = match new_id(stream, words.id, now_ms) {
            Ok(id) => id,
            Err(error) => return (Err(error), 0),
        };
        match stream.append(id, pairs, limits) {
            Ok(()) => {
                if let Some((producer, iid)) = &origin {
                    is_first = stream.idempotence().is_none();
                    known(stream, first).record(producer, iid, id, now_ms);
                }
                (Ok((id, words.trim.map(|trim| stream.trim(trim)))), 1)
            }
            Err(AppendError::NotGreater) => (Err(NOT_GREATER), 0),
            Err(AppendError::TooLarge) => {
                (Err(ReplyError::Static("ERR Elements are too large to be stored")), 0)
            }
        }
    })?;
    let Some(added) = added else {
        cx.reply.null();
        return Ok(());
    };
    let (id, trimmed) = added?;
    super::reply_id(cx.reply, id);
    notify(cx, "xadd", key);
    if let Some((count, garbage)) = trimmed {
        bury(cx, garbage);
        if count > 0 {
            notify(cx, "xtrim", key);
        }
    }
    let is_given = matches!(words.id, NewId::Given(_));
    log_as_done(cx, args, &words, (!is_given).then_some(id), key);
    if let Some((producer, iid)) = &origin {
        log_entry(cx, key, (producer, iid), id, is_first);
    }
    Ok(())
}

/// The entry that a producer has added under an identifier, if it has.
#[cold]
fn repeated(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    (producer, iid): (&[u8], &[u8]),
) -> Result<Option<StreamId>, ReplyError> {
    let now_ms = cx.now_ms();
    let found = edit(cx, key, Missing::Skip, |stream| {
        let known = stream.idempotence_mut();
        let found = known.and_then(|known| {
            let id = known.find(producer, iid, now_ms)?;
            known.duplicates += 1;
            Some(id)
        });
        (found, 0)
    })?;
    Ok(found.flatten())
}

const NOT_GREATER: ReplyError = ReplyError::Static(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);

/// The ID that the next entry gets. Errors: there is none behind the last one.
fn new_id(stream: &Stream, wanted: NewId, now_ms: i64) -> Result<StreamId, ReplyError> {
    let last = stream.last_id();
    if last == StreamId::MAX {
        return Err(ReplyError::Static(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    match wanted {
        NewId::Given(id) => Ok(id),
        NewId::NextOf(ms) if ms == last.ms => {
            let seq = last.seq.checked_add(1).ok_or(NOT_GREATER)?;
            Ok(StreamId { ms, seq })
        }
        NewId::NextOf(ms) => Ok(StreamId { ms, seq: 0 }),
        NewId::Next => {
            let ms = u64::try_from(now_ms).unwrap_or(0);
            if ms > last.ms { Ok(StreamId { ms, seq: 0 }) } else { last.next().ok_or(NOT_GREATER) }
        }
    }
}
