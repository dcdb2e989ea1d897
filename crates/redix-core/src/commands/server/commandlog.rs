//! COMMANDLOG: the logs of slow commands, large requests and large replies.

use super::slowlog::{COUNT_RANGE, reply_entries};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::commandlog::{CommandLog, Log};
use crate::error::{CommandResult, ReplyError};

/// Command: COMMANDLOG and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::plain("commandlog", Group::Server, -2, container)
        .since("8.1.0")
        .complexity("Depends on subcommand.")
        .doc("Groups the commands about the command log.")
        .subcommands(&[
            CommandSpec::plain("get", Group::Server, 4, get)
                .flags(flag::ADMIN | flag::LOADING | flag::STALE)
                .since("8.1.0")
                .complexity("O(N) where N is the number of entries returned")
                .doc("Returns the newest entries of one of the logs.")
                .tips(&["request_policy:all_nodes", "nondeterministic_output"])
                .args(&[ArgSpec::new("count", ArgKind::Integer), TYPE]),
            CommandSpec::plain("help", Group::Server, 2, help)
                .flags(flag::LOADING | flag::STALE)
                .since("8.1.0")
                .doc("Lists the subcommands."),
            CommandSpec::plain("len", Group::Server, 3, len)
                .flags(flag::ADMIN | flag::LOADING | flag::STALE)
                .since("8.1.0")
                .doc("Counts the entries of one of the logs.")
                .tips(&[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ])
                .args(&[TYPE]),
            CommandSpec::plain("reset", Group::Server, 3, reset)
                .flags(flag::ADMIN | flag::LOADING | flag::STALE)
                .since("8.1.0")
                .complexity("O(N) where N is the number of entries in the commandlog")
                .doc("Empties one of the logs.")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .args(&[TYPE]),
        ])];

const TYPE: ArgSpec = ArgSpec::new(
    "type",
    ArgKind::OneOf(&[
        ArgSpec::word("slow", "SLOW"),
        ArgSpec::word("large-request", "LARGE-REQUEST"),
        ArgSpec::word("large-reply", "LARGE-REPLY"),
    ]),
);

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("commandlog".into()))
}

/// The log named by argument `index`.
fn log<'k>(logs: &'k CommandLog, args: Args<'_>, index: usize) -> Result<&'k Log, ReplyError> {
    if args.is(index, "slow") {
        Ok(&logs.slow)
    } else if args.is(index, "large-request") {
        Ok(&logs.large_request)
    } else if args.is(index, "large-reply") {
        Ok(&logs.large_reply)
    } else {
        Err(ReplyError::Static(
            "ERR type should be one of the following: slow, large-request, large-reply",
        ))
    }
}

/// `COMMANDLOG GET count type` -> array of (id, Unix time in s, duration in us or size in bytes,
/// arguments, address, name). A count of -1 means all. Errors: another negative count, or no
/// number; an unknown type.
fn get(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let count = match args.int(2) {
        Ok(-1) => usize::MAX,
        Ok(count) => usize::try_from(count).map_err(|_| COUNT_RANGE)?,
        Err(_) => return Err(COUNT_RANGE),
    };
    let log = log(&cx.engine.commandlog, args, 3)?;
    reply_entries(cx.reply, &log.newest(count));
    Ok(())
}

/// `COMMANDLOG LEN type` -> integer.
fn len(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.int(log(&cx.engine.commandlog, args, 2)?.len() as i64);
    Ok(())
}

/// `COMMANDLOG RESET type` -> OK.
fn reset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    log(&cx.engine.commandlog, args, 2)?.reset();
    cx.reply.ok();
    Ok(())
}

/// `COMMANDLOG HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::help(
        cx,
        "COMMANDLOG",
        &[
            ("GET <count> <type>", "The newest entries of a log; -1 means all."),
            ("LEN <type>", "The number of entries of a log."),
            ("RESET <type>", "Empty a log. Types: slow, large-request, large-reply."),
        ],
    )
}
