//! Blocking list commands.
//!
//! A command that finds no list blocks on its keys and runs again for the key that becomes ready:
//! [`Ctx::ready_words`] names it.

use std::ops::Range;

use redix_types::entry::Kind;
use redix_types::list::End;

use super::lmove::Ends;
use super::pop::{MultiPop, pop_name, pop_one};
use super::{docs, parse_end};
use crate::command::args::Args;
use crate::command::blocked::{IsReady, KeyWait};
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::CommandResult;

/// Commands: BLPOP, BRPOP, BLMPOP, BLMOVE and BRPOPLPUSH.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "blpop",
        Group::List,
        -3,
        const { &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)] },
        blpop,
    )
    .flags(flag::BLOCKING)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BLPOP),
    CommandSpec::write(
        "brpop",
        Group::List,
        -3,
        const { &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)] },
        brpop,
    )
    .flags(flag::BLOCKING)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BRPOP),
    CommandSpec::write(
        "blmpop",
        Group::List,
        -5,
        const {
            &[KeySpec {
                access: access::RW | access::ACCESS | access::DELETE,
                begin: Begin::Index(2),
                find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
                notes: None,
            }]
        },
        blmpop,
    )
    .flags(flag::BLOCKING | flag::MOVABLEKEYS)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BLMPOP),
    CommandSpec::write(
        "blmove",
        Group::List,
        6,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        blmove,
    )
    .flags(flag::DENYOOM | flag::BLOCKING)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BLMOVE),
    CommandSpec::write(
        "brpoplpush",
        Group::List,
        4,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        brpoplpush,
    )
    .flags(flag::DENYOOM | flag::BLOCKING)
    .acl(acl::LIST)
    .log_as(LogAs::Effect)
    .docs(docs::BRPOPLPUSH),
];

/// `BLPOP key … timeout` -> array of the key and its first element, null after `timeout` seconds.
/// Errors: the timeout's, WRONGTYPE. Logged as `LPOP key`.
fn blpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_first(cx, args, End::Head)
}

/// `BRPOP key … timeout` -> as BLPOP, from the end. Logged as `RPOP key`.
fn brpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    pop_first(cx, args, End::Tail)
}

fn pop_first(cx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> CommandResult {
    let last = args.len() - 1;
    let deadline_ms = args.deadline_ms(last, cx.now_ms())?;
    for word in cx.ready_words(1..last) {
        let key = cx.key(args, word);
        if cx.keys.lookup_write(key, Kind::List)?.is_none() {
            continue;
        }
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        pop_one(cx, key, end)?;
        let db = cx.keys.db;
        cx.keys.effects.log(db, &[pop_name(end), key.bytes]);
        return Ok(());
    }
    wait(cx, 1..last, deadline_ms);
    Ok(())
}

/// `BLMPOP timeout numkeys key … LEFT | RIGHT [COUNT count]` -> as LMPOP, null after `timeout`
/// seconds. Errors: the grammar's, the timeout's, WRONGTYPE. Logged as `LPOP key count`.
fn blmpop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let pop = MultiPop::parse(args, 2)?;
    let deadline_ms = args.deadline_ms(1, cx.now_ms())?;
    let words = cx.ready_words(pop.words.clone());
    if !pop.run(cx, args, words)? {
        wait(cx, pop.words, deadline_ms);
    }
    Ok(())
}

/// `BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout` -> as LMOVE, null after `timeout`
/// seconds. Errors: Syntax, the timeout's, WRONGTYPE. Logged as LMOVE.
fn blmove(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let ends = Ends { out: parse_end(args.get(3))?, into: parse_end(args.get(4))? };
    shift(cx, args, ends, &[b"LMOVE", args.get(1), args.get(2), args.get(3), args.get(4)])
}

/// `BRPOPLPUSH source destination timeout` -> as BLMOVE from the right to the left. Logged as
/// RPOPLPUSH.
fn brpoplpush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let ends = Ends { out: End::Tail, into: End::Head };
    shift(cx, args, ends, &[b"RPOPLPUSH", args.get(1), args.get(2)])
}

/// Moves an element, or blocks until there is one. The timeout is the last argument; `record` is
/// what is logged.
fn shift(cx: &mut Ctx<'_, '_>, args: Args<'_>, ends: Ends, record: &[&[u8]]) -> CommandResult {
    let deadline_ms = args.deadline_ms(args.len() - 1, cx.now_ms())?;
    if ends.shift(cx, args)? {
        let db = cx.keys.db;
        cx.keys.effects.log(db, record);
    } else if cx.may_block() {
        wait(cx, 1..2, deadline_ms);
    } else {
        // A null bulk, not the null array that it replies on a timeout.
        cx.reply.null();
    }
    Ok(())
}

fn wait(cx: &mut Ctx<'_, '_>, words: Range<usize>, deadline_ms: Option<i64>) {
    let on_timeout = |reply: &mut redix_resp::reply::Reply| reply.null_array();
    let is_ready: IsReady = |entry, _, _, _| entry.is_some_and(|entry| entry.kind() == Kind::List);
    cx.wait_for_keys(KeyWait {
        words,
        is_ready,
        args: None,
        matures: false,
        deadline_ms,
        on_timeout,
    });
}
