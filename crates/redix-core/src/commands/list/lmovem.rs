//! LMOVEM and BLMOVEM, which move several elements from one list to another.
//!
//! Logged as commands that every server knows: a pop and pushes, or within one list pushes and a
//! trim, so that the key never ceases to exist and keeps its expiry.
//!
//! Source: the documentation of Redis 8.10.

use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::list::{End, ListEdit, ListRef};
use redix_types::num::parse_i64;

use super::lmove::{Ends, push_event};
use super::pop::pop_name;
use super::{EMPTY, docs, fill, notify, notify_taken, parse_end, pop_event, taken};
use crate::command::args::Args;
use crate::command::blocked::{IsReady, KeyWait};
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// Commands: LMOVEM and BLMOVEM.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "lmovem",
        Group::List,
        -5,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        lmovem,
    )
    .flags(flag::DENYOOM)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::LMOVEM),
    CommandSpec::write(
        "blmovem",
        Group::List,
        -6,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        blmovem,
    )
    .flags(flag::DENYOOM | flag::BLOCKING)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BLMOVEM),
];

/// Elements in one record of the log.
const RECORD_ELEMENTS_MAX: usize = 1024;

/// `LMOVEM source destination LEFT | RIGHT LEFT | RIGHT [COUNT | EXACTLY count OBO | BULK]` -> the
/// moved elements in the order in which they now stand, null if there are none or too few. Errors:
/// Syntax, a senseless count, WRONGTYPE. Logged as LMOVE of one element, as LPOP or RPOP and LPUSH
/// or RPUSH of several.
fn lmovem(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if !Batch::parse(args, 5)?.shift(cx, args)? {
        cx.reply.null_array();
    }
    Ok(())
}

/// `BLMOVEM source destination LEFT | RIGHT LEFT | RIGHT timeout [COUNT | EXACTLY count
/// OBO | BULK]` -> as LMOVEM, once there are enough elements; null after `timeout` seconds. Errors
/// as LMOVEM, the timeout's. Logged as LMOVEM.
fn blmovem(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let batch = Batch::parse(args, 6)?;
    let deadline_ms = args.deadline_ms(5, cx.now_ms())?;
    if batch.shift(cx, args)? {
        return Ok(());
    }
    let is_ready: IsReady = |entry, args, _, _| {
        let least = Batch::parse(args, 6).map_or(1, |batch| batch.least());
        let is_list = |entry: &EntryRef<'_>| entry.kind() == Kind::List;
        entry.filter(is_list).is_some_and(|entry| ListRef::of(entry.value()).len() >= least)
    };
    let on_timeout = |reply: &mut redix_resp::reply::Reply| reply.null_array();
    cx.wait_for_keys(KeyWait {
        words: 1..2,
        is_ready,
        args: None,
        matures: false,
        deadline_ms,
        on_timeout,
    });
    Ok(())
}

/// How many elements are moved, and how.
#[derive(Clone, Copy)]
struct Batch {
    ends: Ends,
    count: usize,
    /// Whether all of them are moved or none.
    exactly: bool,
    /// Whether one is moved after the other, so that they change their order where they are added
    /// to the end that they are taken from.
    one_by_one: bool,
}

impl Batch {
    /// Parses the ends at arguments 3 and 4, and the rest from argument `at` on. Errors: Syntax, a
    /// senseless count.
    fn parse(args: Args<'_>, at: usize) -> Result<Self, ReplyError> {
        const COUNT: ReplyError = ReplyError::Static("ERR count should be greater than 0");
        let ends = Ends { out: parse_end(args.get(3))?, into: parse_end(args.get(4))? };
        if args.len() == at {
            return Ok(Self { ends, count: 1, exactly: false, one_by_one: true });
        }
        let exactly = args.is(at, "EXACTLY");
        let one_by_one = args.is(at + 2, "OBO");
        let is_known = (exactly || args.is(at, "COUNT")) && (one_by_one || args.is(at + 2, "BULK"));
        if args.len() != at + 3 || !is_known {
            return Err(ReplyError::Syntax);
        }
        let count = parse_i64(args.get(at + 1)).filter(|count| *count > 0).ok_or(COUNT)?;
        let count = usize::try_from(count).map_err(|_| COUNT)?;
        Ok(Self { ends, count, exactly, one_by_one })
    }

    /// The fewest elements that the source must have.
    fn least(&self) -> usize {
        if self.exactly { self.count } else { 1 }
    }

    /// Moves elements from the list at argument 1 to that at argument 2 and replies with them;
    /// false, and no reply, if there are none or too few. Errors: WRONGTYPE.
    fn shift(&self, cx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<bool, ReplyError> {
        let (source, destination) = (cx.key(args, 1), cx.key(args, 2));
        let Some(entry) = cx.keys.lookup_write(source, Kind::List)? else { return Ok(false) };
        let list = ListRef::of(entry.value());
        if list.len() < self.least() {
            return Ok(false);
        }
        let count = self.count.min(list.len());
        let first = if self.ends.out == End::Head { 0 } else { list.len() - count };
        let mut block: Vec<Vec<u8>> = list
            .iter(first, End::Tail)
            .take(count)
            .map(|element| element.text(&mut IntBuf::new()).to_vec())
            .collect();
        cx.keys.lookup_write(destination, Kind::List)?;
        let reverses = self.one_by_one && self.ends.out == self.ends.into;
        if reverses {
            block.reverse();
        }
        let within_one = source.bytes == destination.bytes;
        if within_one {
            self.rotate(cx, source, &block)?;
        } else {
            self.shift_between(cx, source, destination, &block)?;
        }
        if count == 1 {
            let words = [b"LMOVE", source.bytes, destination.bytes, args.get(3), args.get(4)];
            cx.keys.effects.log(cx.keys.db, &words);
        } else if within_one {
            self.log_rotation(cx, source, &block, reverses);
        } else {
            let mut digits = IntBuf::new();
            let words = [pop_name(self.ends.out), source.bytes, digits.format(count as i64)];
            cx.keys.effects.log(cx.keys.db, &words);
            self.log_pushes(cx, destination, &block);
        }
        cx.reply.array(count);
        block.iter().for_each(|element| cx.reply.bulk(element));
        Ok(true)
    }

    fn shift_between(
        &self,
        cx: &mut Ctx<'_, '_>,
        source: Key<'_>,
        destination: Key<'_>,
        block: &[Vec<u8>],
    ) -> CommandResult {
        let (fill, ends) = (fill(cx), self.ends);
        let left = cx.keys.edit(source, Kind::List, Missing::Skip, |entry| {
            let mut list = ListEdit::of(entry, fill);
            take(&mut list, ends.out, block.len());
            list.settle();
            let left = list.as_ref().len();
            (left, taken(block.len(), left))
        })?;
        cx.keys.edit(destination, Kind::List, EMPTY, |entry| {
            let mut list = ListEdit::of(entry, fill);
            list.make_room(block.iter().map(Vec::len).sum(), block.len());
            pushed(block, ends.into).for_each(|element| list.push(ends.into, element));
            // The pop has been counted as the change.
            ((), Edited::Changed(0))
        })?;
        notify(cx, push_event(ends.into), destination);
        notify_taken(cx, pop_event(ends.out), source, left.expect("the source was just seen"));
        Ok(())
    }

    /// Moves elements within one list.
    fn rotate(&self, cx: &mut Ctx<'_, '_>, key: Key<'_>, block: &[Vec<u8>]) -> CommandResult {
        let (fill, ends) = (fill(cx), self.ends);
        cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
            let mut list = ListEdit::of(entry, fill);
            take(&mut list, ends.out, block.len());
            pushed(block, ends.into).for_each(|element| list.push(ends.into, element));
            list.settle();
            ((), Edited::Changed(block.len() as u64))
        })?;
        notify(cx, push_event(ends.into), key);
        notify(cx, pop_event(ends.out), key);
        Ok(())
    }

    fn log_rotation(&self, cx: &mut Ctx<'_, '_>, key: Key<'_>, block: &[Vec<u8>], reverses: bool) {
        let count = block.len() as i64;
        let (mut start, mut stop) = (IntBuf::new(), IntBuf::new());
        let db = cx.keys.db;
        match (self.ends.out, self.ends.into) {
            (End::Head, End::Tail) => {
                self.log_pushes(cx, key, block);
                let words = [b"LTRIM", key.bytes, start.format(count), b"-1"];
                cx.keys.effects.log(db, &words);
            }
            (End::Tail, End::Head) => {
                self.log_pushes(cx, key, block);
                let words = [b"LTRIM", key.bytes, b"0", stop.format(-count - 1)];
                cx.keys.effects.log(db, &words);
            }
            (end, _) if reverses => {
                for (index, element) in block.iter().enumerate() {
                    let index = index as i64 - if end == End::Head { 0 } else { count };
                    let words = [b"LSET", key.bytes, start.format(index), element];
                    cx.keys.effects.log(db, &words);
                }
            }
            _ => {}
        }
    }

    fn log_pushes(&self, cx: &mut Ctx<'_, '_>, key: Key<'_>, block: &[Vec<u8>]) {
        if !cx.keys.effects.recording() {
            return;
        }
        let name: &[u8] = if self.ends.into == End::Head { b"LPUSH" } else { b"RPUSH" };
        let elements: Vec<&[u8]> = pushed(block, self.ends.into).collect();
        for chunk in elements.chunks(RECORD_ELEMENTS_MAX) {
            cx.keys.effects.log(cx.keys.db, &[&[name, key.bytes], chunk].concat());
        }
    }
}

/// Removes elements from an end.
fn take(list: &mut ListEdit<'_>, end: End, count: usize) {
    let start = if end == End::Head { 0 } else { list.as_ref().len() - count };
    list.delete_range(start, count);
}

/// The elements of a block in the order in which they have to be pushed to an end.
fn pushed(block: &[Vec<u8>], end: End) -> impl Iterator<Item = &[u8]> {
    let (forwards, backwards) = match end {
        End::Tail => (Some(block.iter()), None),
        End::Head => (None, Some(block.iter().rev())),
    };
    let elements = forwards.into_iter().flatten().chain(backwards.into_iter().flatten());
    elements.map(Vec::as_slice)
}
