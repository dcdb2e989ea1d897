//! FUNCTION, as far as it can be replied to without scripts: there are no libraries.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: FUNCTION and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::plain("function", Group::Scripting, -2, container)
        .since("7.0.0")
        .complexity("Depends on subcommand.")
        .doc("Groups the commands about functions.")
        .subcommands(&[
            CommandSpec::write("flush", Group::Scripting, -2, const { &[] }, flush)
                .flags(flag::NOSCRIPT)
                .acl(acl::SCRIPTING)
                .since("7.0.0")
                .complexity("O(N) where N is the number of functions deleted")
                .doc("Removes every library of functions.")
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
                .args(&[ArgSpec::new(
                    "flush-type",
                    ArgKind::OneOf(&[
                        ArgSpec::word("async", "ASYNC"),
                        ArgSpec::word("sync", "SYNC"),
                    ]),
                )
                .optional()]),
            CommandSpec::plain("help", Group::Scripting, 2, help)
                .flags(flag::LOADING | flag::STALE)
                .acl(acl::SCRIPTING)
                .since("7.0.0")
                .doc("Lists the subcommands."),
            CommandSpec::plain("list", Group::Scripting, -2, list)
                .flags(flag::NOSCRIPT)
                .acl(acl::SCRIPTING)
                .since("7.0.0")
                .complexity("O(N) where N is the number of functions")
                .doc("Lists the libraries of functions.")
                .tips(&["nondeterministic_output_order"])
                .args(&[
                    ArgSpec::new("library-name-pattern", ArgKind::String)
                        .token("LIBRARYNAME")
                        .optional(),
                    ArgSpec::word("withcode", "WITHCODE").optional(),
                ]),
        ])];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("function".into()))
}

/// `FUNCTION FLUSH [ASYNC | SYNC]` -> OK: there is nothing to remove, so nothing is logged.
fn flush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        2 => {}
        3 if args.is(2, "sync") || args.is(2, "async") => {}
        3 => {
            return Err(ReplyError::Static("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
        }
        _ => {
            let before = "unknown subcommand or wrong number of arguments for '";
            return Err(ReplyError::quoting(before, args.get(1), "'. Try FUNCTION HELP."));
        }
    }
    cx.reply.ok();
    Ok(())
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]` -> empty array.
fn list(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut options = args.options(2);
    let (mut code, mut name) = (false, false);
    while options.more() {
        if !code && options.eat("withcode") {
            code = true;
        } else if !name && options.eat("libraryname") {
            name = true;
            options.take().ok_or(ReplyError::Static("ERR library name argument was not given"))?;
        } else {
            let word = options.take().unwrap_or_default();
            return Err(ReplyError::quoting("Unknown argument ", word, ""));
        }
    }
    cx.reply.array(0);
    Ok(())
}

/// `FUNCTION HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    crate::commands::server::help(
        cx,
        "FUNCTION",
        &[
            ("FLUSH [ASYNC|SYNC]", "Remove every library."),
            ("LIST [LIBRARYNAME <pattern>] [WITHCODE]", "The libraries; there are none."),
        ],
    )
}
