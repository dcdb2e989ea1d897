//! SCRIPT and its subcommands.

use super::eval::compile;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::scripting::busy::Kind;
use crate::scripting::{parse_sha, sha_text};
use crate::sync::Arc;

/// Command: SCRIPT and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::plain("script", Group::Scripting, -2, container)
        .since("2.6.0")
        .complexity("Depends on subcommand.")
        .doc("Groups the commands about the cache of scripts.")
        .subcommands(&[
            CommandSpec::plain("debug", Group::Scripting, -3, debug)
                .flags(flag::NOSCRIPT)
                .acl(acl::SCRIPTING)
                .since("3.2.0")
                .complexity("O(1)")
                .doc("Refused: there is no debugger.")
                .args(&[
                    ArgSpec::new(
                        "mode",
                        ArgKind::OneOf(&[
                            ArgSpec::word("yes", "YES"),
                            ArgSpec::word("sync", "SYNC"),
                            ArgSpec::word("no", "NO"),
                        ]),
                    ),
                    ArgSpec::new("engine", ArgKind::String).since("9.1.0").optional(),
                ]),
            CommandSpec::plain("exists", Group::Scripting, -3, exists)
                .flags(flag::NOSCRIPT | flag::STALE)
                .acl(acl::SCRIPTING)
                .since("2.6.0")
                .complexity("O(N) where N is the number of digests.")
                .doc("Tells which scripts are in the cache.")
                .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"])
                .args(&[ArgSpec::new("sha1", ArgKind::String).multiple()]),
            CommandSpec::plain("flush", Group::Scripting, -2, flush)
                .flags(flag::NOSCRIPT | flag::STALE)
                .acl(acl::SCRIPTING)
                .world()
                .since("2.6.0")
                .complexity("O(N) where N is the number of scripts.")
                .doc("Removes every script from the cache.")
                .history(&[("6.2.0", "ASYNC and SYNC.")])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .args(&[ArgSpec::new(
                    "flush-type",
                    ArgKind::OneOf(&[
                        ArgSpec::word("async", "ASYNC"),
                        ArgSpec::word("sync", "SYNC"),
                    ]),
                )
                .since("6.2.0")
                .optional()]),
            CommandSpec::plain("help", Group::Scripting, 2, help)
                .flags(flag::LOADING | flag::STALE)
                .acl(acl::SCRIPTING)
                .since("5.0.0")
                .complexity("O(1)")
                .doc("Lists the subcommands."),
            CommandSpec::plain("kill", Group::Scripting, 2, kill)
                .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
                .acl(acl::SCRIPTING)
                .since("2.6.0")
                .complexity("O(1)")
                .doc("Ends the script that is running, if it has written nothing.")
                .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
            CommandSpec::plain("load", Group::Scripting, 3, load)
                .flags(flag::NOSCRIPT | flag::STALE)
                .acl(acl::SCRIPTING)
                .since("2.6.0")
                .complexity("O(N) where N is the length of the script.")
                .doc("Adds a script to the cache.")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .args(&[ArgSpec::new("script", ArgKind::String)]),
            CommandSpec::plain("show", Group::Scripting, 3, show)
                .flags(flag::NOSCRIPT | flag::STALE)
                .acl(acl::SCRIPTING)
                .since("8.0.0")
                .complexity("O(1)")
                .doc("Shows a script of the cache.")
                .args(&[ArgSpec::new("sha1", ArgKind::String)]),
        ])];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("script".into()))
}

/// `SCRIPT LOAD script` -> bulk string, its SHA1 digest. Errors: those of the compiler.
fn load(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let source = args.get(2);
    let sha = crate::scripting::sha_of(source);
    if !cx.engine.scripting.keep(&sha) {
        cx.engine.scripting.add(Arc::clone(&compile(source)?), true);
    }
    cx.reply.bulk_str(&sha_text(&sha));
    Ok(())
}

/// `SCRIPT EXISTS sha1 …` -> array of 1 | 0.
fn exists(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.reply.array(args.len() - 2);
    for digest in args.iter_from(2) {
        let found = parse_sha(digest).and_then(|sha| cx.engine.scripting.find(&sha));
        cx.reply.int(i64::from(found.is_some()));
    }
    Ok(())
}

/// `SCRIPT SHOW sha1` -> bulk string, the source. Errors: NOSCRIPT.
fn show(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let script = parse_sha(args.get(2)).and_then(|sha| cx.engine.scripting.find(&sha));
    let script = script.ok_or(ReplyError::Static("NOSCRIPT No matching script."))?;
    cx.reply.bulk(&script.source);
    Ok(())
}

/// `SCRIPT FLUSH [ASYNC | SYNC]` -> OK.
fn flush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 || args.len() == 3 && !args.is(2, "sync") && !args.is(2, "async") {
        let text = "ERR SCRIPT FLUSH only support SYNC|ASYNC option";
        return Err(ReplyError::Static(text));
    }
    cx.engine.scripting.flush();
    cx.reply.ok();
    Ok(())
}

/// `SCRIPT KILL` -> OK. Errors: NOTBUSY, UNKILLABLE, BUSY while a function runs.
fn kill(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.scripting.kill(Kind::Script)?;
    cx.reply.ok();
    Ok(())
}

/// `SCRIPT DEBUG YES | SYNC | NO` -> error: there is no debugger.
fn debug(_: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if ["yes", "sync", "no"].iter().any(|mode| args.is(2, mode)) {
        return Err(ReplyError::Static("ERR There is no debugger for scripts"));
    }
    Err(ReplyError::Static("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

/// `SCRIPT HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    crate::commands::server::help(
        cx,
        "SCRIPT",
        &[
            ("DEBUG (YES|SYNC|NO)", "Refused: there is no debugger."),
            ("EXISTS <sha1> [<sha1> ...]", "Which of these scripts are in the cache."),
            ("FLUSH [ASYNC|SYNC]", "Remove every script from the cache."),
            ("KILL", "End the script that is running, if it has written nothing."),
            ("LOAD <script>", "Add a script to the cache without running it."),
            ("SHOW <sha1>", "The source of a script of the cache."),
        ],
    )
}
