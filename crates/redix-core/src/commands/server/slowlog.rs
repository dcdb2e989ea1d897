//! SLOWLOG: the log of slow commands.

use redix_resp::reply::Reply;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::commandlog::LogEntry;
use crate::error::{CommandResult, ReplyError};

/// Command: SLOWLOG and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("slowlog", Group::Server, -2, container)
    .since("2.2.12")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about the slow log.")
    .subcommands(&[
        CommandSpec::plain("get", Group::Server, -2, get)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .complexity("O(N) where N is the number of entries returned")
            .doc("Returns the newest entries of the slow log.")
            .history(&[("4.0.0", "The client's address and name.")])
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .args(&[ArgSpec::new("count", ArgKind::Integer).optional()]),
        CommandSpec::plain("help", Group::Server, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("6.2.0")
            .doc("Lists the subcommands."),
        CommandSpec::plain("len", Group::Server, 2, len)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .doc("Counts the entries of the slow log.")
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ]),
        CommandSpec::plain("reset", Group::Server, 2, reset)
            .flags(flag::ADMIN | flag::LOADING | flag::STALE)
            .since("2.2.12")
            .complexity("O(N) where N is the number of entries in the slowlog")
            .doc("Empties the slow log.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    ])];

/// Entries that GET returns without a count.
const COUNT_DEFAULT: usize = 10;

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("slowlog".into()))
}

/// Writes entries of the command log.
pub(super) fn reply_entries(reply: &mut Reply, entries: &[LogEntry]) {
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.unix_s);
        reply.int(entry.amount as i64);
        reply.array(entry.argv.len());
        entry.argv.iter().for_each(|word| reply.bulk(word));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
}

/// `SLOWLOG GET [count]` -> array of (id, Unix time in s, duration in us, arguments, address,
/// name). A count of -1 means all. Errors: another negative count, or no number.
fn get(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let count = match args.len() {
        2 => COUNT_DEFAULT,
        3 => match args.int(2) {
            Ok(-1) => usize::MAX,
            Ok(count) => usize::try_from(count).map_err(|_| COUNT_RANGE)?,
            Err(_) => return Err(COUNT_RANGE),
        },
        _ => {
            let before = "unknown subcommand or wrong number of arguments for '";
            return Err(ReplyError::quoting(before, args.get(1), "'. Try SLOWLOG HELP."));
        }
    };
    reply_entries(cx.reply, &cx.engine.commandlog.slow.newest(count));
    Ok(())
}

/// The error for a count out of range.
pub(super) const COUNT_RANGE: ReplyError =
    ReplyError::Static("ERR count should be greater than or equal to -1");

/// `SLOWLOG LEN` -> integer.
fn len(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(cx.engine.commandlog.slow.len() as i64);
    Ok(())
}

/// `SLOWLOG RESET` -> OK.
fn reset(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.commandlog.slow.reset();
    cx.reply.ok();
    Ok(())
}

/// `SLOWLOG HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::help(
        cx,
        "SLOWLOG",
        &[
            ("GET [<count>]", "The newest entries, 10 unless a count is given; -1 means all."),
            ("LEN", "The number of entries."),
            ("RESET", "Empty the slow log."),
        ],
    )
}
