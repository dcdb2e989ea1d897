//! How many members the union or the difference of sets has, without building it.
//!
//! Source: the documentation of Redis 8.10.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use redix_types::KeyHasher;
use redix_types::hll::{self, Mark, REGISTERS};
use redix_types::set::{Edit, Form, Limits, SetBuf, SetRef};

use super::combine::{look_all_up, numbered_keys, parse_limit, views};
use super::limits;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, Begin, CommandSpec, Find, Group, KeySpec, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};

const NUMBERED: &[KeySpec] = &[KeySpec {
    access: access::RO | access::ACCESS,
    begin: Begin::Index(1),
    find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
    notes: None,
}];

/// Commands: SDIFFCARD and SUNIONCARD.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("sdiffcard", Group::Set, -3, NUMBERED, sdiffcard)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SET)
        .since("8.10.0")
        .complexity("O(N) where N is how many members all sets have.")
        .doc("Counts the members of the first set that are in no other, up to a limit if wanted.")
        .args(&[
            ArgSpec::new("numkeys", ArgKind::Integer),
            ArgSpec::key("key").multiple(),
            ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
        ]),
    CommandSpec::read("sunioncard", Group::Set, -3, NUMBERED, sunioncard)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SET)
        .since("8.10.0")
        .complexity("O(N) where N is how many members all sets have.")
        .doc("Counts or estimates the members of any of the sets, up to a limit if wanted.")
        .args(&[
            ArgSpec::new("numkeys", ArgKind::Integer),
            ArgSpec::key("key").multiple(),
            ArgSpec::word("approx", "APPROX").optional(),
            ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
        ]),
];

/// Where to stop, and whether an estimate will do.
#[derive(Default)]
struct Options {
    /// 0: nowhere.
    limit: u64,
    approx: bool,
}

impl Options {
    /// Errors: those of LIMIT, unknown words.
    fn parse(args: Args<'_>, from: usize, may_approximate: bool) -> Result<Self, ReplyError> {
        let mut found = Self::default();
        let mut words = args.options(from);
        while words.more() {
            if let Some(limit) = words.eat_value("LIMIT") {
                found.limit = parse_limit(limit)?;
            } else if may_approximate && words.eat("APPROX") {
                found.approx = true;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(found)
    }

    fn is_reached(&self, count: u64) -> bool {
        self.limit != 0 && count >= self.limit
    }

    fn capped(&self, count: u64) -> i64 {
        let capped = if self.is_reached(count) { self.limit } else { count };
        i64::try_from(capped).unwrap_or(i64::MAX)
    }
}

/// `SUNIONCARD numkeys key … [APPROX] [LIMIT limit]` -> number of members of the union, at most
/// `limit` (0: no limit); with APPROX the estimate of a HyperLogLog. Errors: WRONGTYPE, an invalid
/// number of keys, the options.
fn sunioncard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = numbered_keys(args)?;
    let options = Options::parse(args, words.end, true)?;
    let (limits, hasher) = (limits(cx), cx.keys.keyspace.hasher());
    look_all_up(cx, args, words.clone())?;
    let sets = views(cx.keys, cx.plan, args, words).into_iter().flatten().collect();
    let count = match options.approx {
        true => estimate_union(sets),
        false => count_union(sets, &options, limits, hasher),
    };
    cx.reply.int(options.capped(count));
    Ok(())
}

fn estimate_union(sets: Vec<SetRef<'_>>) -> u64 {
    let mut registers = [0; REGISTERS];
    for set in sets {
        set.for_each_text(&mut |text| hll::raise_register(&mut registers, Mark::of(text)));
    }
    hll::count_registers(&registers)
}

fn count_union(
    mut sets: Vec<SetRef<'_>>,
    options: &Options,
    limits: Limits,
    hasher: &KeyHasher,
) -> u64 {
    // The largest set is asked instead of copied.
    sets.sort_by_key(|set| Reverse(set.len()));
    let Some((largest, others)) = sets.split_first() else { return 0 };
    let mut count = largest.len() as u64;
    let mut seen = SetBuf::new(Form::Intset);
    let mut edit = Edit::new(&mut seen, limits, hasher);
    for set in others {
        let stopped = set.try_for_each(|member| {
            if options.is_reached(count) {
                return ControlFlow::Break(());
            }
            count += u64::from(!largest.contains(member, hasher) && edit.add(member));
            ControlFlow::Continue(())
        });
        if stopped.is_break() {
            break;
        }
    }
    count
}

/// `SDIFFCARD numkeys key … [LIMIT limit]` -> number of members of the first set that are in no
/// other, at most `limit` (0: no limit). Errors as SUNIONCARD.
fn sdiffcard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = numbered_keys(args)?;
    let options = Options::parse(args, words.end, false)?;
    let hasher = cx.keys.keyspace.hasher();
    look_all_up(cx, args, words.clone())?;
    let sets = views(cx.keys, cx.plan, args, words);
    let mut count = 0;
    if let Some((Some(first), others)) = sets.split_first() {
        // Those with most members first: they have most likely what is asked for.
        let mut others: Vec<SetRef<'_>> = others.iter().copied().flatten().collect();
        others.sort_by_key(|set| Reverse(set.len()));
        let _ = first.try_for_each(|member| {
            count += u64::from(!others.iter().any(|set| set.contains(member, hasher)));
            if options.is_reached(count) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
    cx.reply.int(options.capped(count));
    Ok(())
}
