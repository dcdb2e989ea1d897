//! Commands that remove elements: LPOP, RPOP, LMPOP, LREM and LTRIM.

use redix_types::entry::{IntBuf, Kind};
use redix_types::list::{End, ListEdit};
use redix_types::num::parse_i64;

use super::{
    docs, fill, notify_taken, parse_end, parse_signed_count, pop_event, reply_element,
    reply_from_end, resolve_range, taken,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// Commands: LPOP, RPOP, LMPOP, LREM and LTRIM.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "lpop",
        Group::List,
        -2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        lpop,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::LPOP),
    CommandSpec::write(
        "rpop",
        Group::List,
        -2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        rpop,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::RPOP),
    CommandSpec::write(
        "lmpop",
        Group::List,
        -4,
        const {
            &[KeySpec {
                access: access::RW | access::ACCESS | access::DELETE,
                begin: Begin::Index(1),
                find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
                notes: None,
            }]
        },
        lmpop,
    )
    .flags(flag::MOVABLEKEYS)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::LMPOP),
    CommandSpec::write(
        "lrem",
        Group::List,
        4,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        lrem,
    )
    .acl(acl::LIST)
    .docs(docs::LREM),
    CommandSpec::write(
        "ltrim",
        Group::List,
        4,
        const { &[KeySpec::one(1, access::RW | access::DELETE)] },
        ltrim,
    )
    .acl(acl::LIST)
    .docs(docs::LTRIM),
];

/// `LPOP key [count]` -> bulk or null; with a count an array, null if there is no list. Errors:
/// wrong arity, out of range, WRONGTYPE.
fn lpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop(cx, args, End::Head)
}

/// `RPOP key [count]` -> as LPOP.
fn rpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop(cx, args, End::Tail)
}

fn pop(cx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CommandResult {
    let key = cx.key(args, 1);
    if args.len() == 2 {
        if !pop_one(cx, key, end)? {
            cx.reply.null();
        }
        return Ok(());
    }
    if args.len() > 3 {
        return Err(ReplyError::WrongArity(cx.command.spec.name.into()));
    }
    let count = parse_i64(args.get(2))
        .filter(|count| *count >= 0)
        .ok_or(ReplyError::Static("ERR value is out of range, must be positive"))?;
    if count == 0 {
        match cx.keys.lookup_write(key, Kind::List)? {
            Some(_) => cx.reply.array(0),
            None => cx.reply.null_array(),
        }
    } else if pop_some(cx, key, end, count)?.is_none() {
        cx.reply.null_array();
    }
    Ok(())
}

/// Pops one element and replies with it; false, and no reply, if there is no list. Errors:
/// WRONGTYPE.
pub(super) fn pop_one(cx: &mut Ctx<'_, '_>, key: Key<'_>, end: End) -> Result<bool, ReplyError> {
    let (fill, reply) = (fill(cx), &mut *cx.reply);
    let left = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        reply_element(reply, list.as_ref().peek(end).expect("an empty list is no key"));
        list.pop(end);
        list.settle();
        let left = list.as_ref().len();
        (left, taken(1, left))
    })?;
    if let Some(left) = left {
        notify_taken(cx, pop_event(end), key, left);
    }
    Ok(left.is_some())
}

/// Pops up to `count` elements, at least one, replies with an array and returns how many; `None`,
/// and no reply, if there is no list. Errors: WRONGTYPE.
fn pop_some(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    end: End,
    count: i64,
) -> Result<Option<usize>, ReplyError> {
    let (fill, reply) = (fill(cx), &mut *cx.reply);
    let popped = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        let len = list.as_ref().len();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(len);
        reply_from_end(reply, list.as_ref(), end, count);
        list.delete_range(if end == End::Head { 0 } else { len - count }, count);
        list.settle();
        ((count, len - count), taken(count, len - count))
    })?;
    if let Some((_, left)) = popped {
        notify_taken(cx, pop_event(end), key, left);
    }
    Ok(popped.map(|(count, _)| count))
}

/// The arguments of LMPOP and BLMPOP.
pub(super) struct MultiPop {
    /// The arguments that are keys.
    pub words: std::ops::Range<usize>,
    pub end: End,
    pub count: i64,
}

impl MultiPop {
    /// Parses `numkeys key … LEFT | RIGHT [COUNT count]` from argument `at` on. Errors: Syntax,
    /// numkeys or count out of range.
    pub(super) fn parse(args: Args<'_>, at: usize) -> Result<MultiPop, ReplyError> {
        let numkeys = positive(args.get(at), "ERR numkeys should be greater than 0")?;
        let first = at + 1;
        let end_at = usize::try_from(numkeys).ok().and_then(|keys| first.checked_add(keys));
        let end_at = end_at.filter(|at| *at < args.len()).ok_or(ReplyError::Syntax)?;
        let end = parse_end(args.get(end_at))?;
        let mut options = args.options(end_at + 1);
        let count = match options.eat_value("COUNT") {
            Some(word) => positive(word, "ERR count should be greater than 0")?,
            None => 1,
        };
        if options.more() {
            return Err(ReplyError::Syntax);
        }
        Ok(MultiPop { words: first..end_at, end, count })
    }

    /// Pops from the first of the keys `words` that has a list, replies and logs it; false, and no
    /// reply, if none has. Errors: WRONGTYPE.
    pub(super) fn run(
        &self,
        cx: &mut Ctx<'_, '_>,
        args: Args<'_>,
        words: std::ops::Range<usize>,
    ) -> Result<bool, ReplyError> {
        for word in words {
            let key = cx.key(args, word);
            if cx.keys.lookup_write(key, Kind::List)?.is_none() {
                continue;
            }
            cx.reply.array(2);
            cx.reply.bulk(key.bytes);
            if let Some(count) = pop_some(cx, key, self.end, self.count)? {
                let mut digits = IntBuf::new();
                let count = digits.format(count as i64);
                let db = cx.keys.db;
                cx.keys.effects.log(db, &[pop_name(self.end), key.bytes, count]);
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// The command as which a pop is logged.
pub(super) fn pop_name(end: End) -> &'static [u8] {
    match end {
        End::Head => b"LPOP",
        End::Tail => b"RPOP",
    }
}

fn positive(word: &[u8], error: &'static str) -> Result<i64, ReplyError> {
    parse_i64(word).filter(|n| *n > 0).ok_or(ReplyError::Static(error))
}

/// `LMPOP numkeys key … LEFT | RIGHT [COUNT count]` -> array of the key and an array of the popped
/// elements, null if there are none. Errors: the options, WRONGTYPE. Logged as `LPOP key count`.
fn lmpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let pop = MultiPop::parse(args, 1)?;
    if !pop.run(cx, args, pop.words.clone())? {
        cx.reply.null_array();
    }
    Ok(())
}

/// `LREM key count element` -> how many were deleted: all of them for 0, otherwise up to `count`
/// from the front, or from the end for a negative one. Errors: NotInteger, WRONGTYPE.
fn lrem(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (count, element) = (parse_signed_count(args.get(2))?, args.get(3));
    let from = if count < 0 { End::Tail } else { End::Head };
    let limit = match count {
        0 => usize::MAX,
        count => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let (key, fill) = (cx.key(args, 1), fill(cx));
    let removed = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        let removed = list.remove_matching(element, limit, from);
        if removed > 0 {
            list.settle();
        }
        let left = list.as_ref().len();
        ((removed, left), taken(removed, left))
    })?;
    let (removed, left) = removed.unwrap_or((0, 0));
    if removed > 0 {
        notify_taken(cx, "lrem", key, left);
    }
    cx.reply.int(removed as i64);
    Ok(())
}

/// `LTRIM key start stop` -> OK. Keeps the elements from `start` to `stop`, both included. Errors:
/// NotInteger, WRONGTYPE.
fn ltrim(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let (key, fill) = (cx.key(args, 1), fill(cx));
    let left = cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
        let mut list = ListEdit::of(entry, fill);
        let len = list.as_ref().len();
        let kept = resolve_range(start, stop, len);
        list.delete_range(0, if kept.is_empty() { len } else { kept.start });
        list.delete_range(kept.len(), len);
        list.settle();
        let edited = match (kept.len(), len - kept.len()) {
            (0, gone) => Edited::Emptied(gone as u64),
            // Even then a watched key counts as changed, as on the real servers.
            (_, gone) => Edited::Changed(gone as u64),
        };
        (kept.len(), edited)
    })?;
    if let Some(left) = left {
        notify_taken(cx, "ltrim", key, left);
    }
    cx.reply.ok();
    Ok(())
}
