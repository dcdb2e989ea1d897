//! MODULE: there are no modules, and none can be loaded.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};

const GUARDED: u32 = flag::NO_ASYNC_LOADING | flag::ADMIN | flag::NOSCRIPT | flag::PROTECTED;

/// Command: MODULE and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("module", Group::Server, -2, container)
    .since("4.0.0")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about modules.")
    .subcommands(&[
        CommandSpec::plain("help", Group::Server, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("5.0.0")
            .doc("Lists the subcommands."),
        CommandSpec::plain("list", Group::Server, 2, list)
            .flags(flag::ADMIN | flag::NOSCRIPT)
            .since("4.0.0")
            .complexity("O(N) where N is the number of loaded modules.")
            .doc("Lists the loaded modules.")
            .tips(&["nondeterministic_output_order"]),
        CommandSpec::plain("load", Group::Server, -3, load)
            .flags(GUARDED)
            .since("4.0.0")
            .doc("Loads a module.")
            .args(&[
                ArgSpec::new("path", ArgKind::String),
                ArgSpec::new("arg", ArgKind::String).multiple().optional(),
            ]),
        CommandSpec::plain("loadex", Group::Server, -3, load)
            .flags(GUARDED)
            .since("7.0.0")
            .doc("Loads a module with configuration and arguments.")
            .args(&[
                ArgSpec::new("path", ArgKind::String),
                ArgSpec::new(
                    "configs",
                    ArgKind::Block(&[
                        ArgSpec::new("name", ArgKind::String),
                        ArgSpec::new("value", ArgKind::String),
                    ]),
                )
                .token("CONFIG")
                .multiple_token()
                .optional(),
                ArgSpec::new("args", ArgKind::String).token("ARGS").multiple().optional(),
            ]),
        CommandSpec::plain("unload", Group::Server, 3, unload)
            .flags(GUARDED)
            .since("4.0.0")
            .doc("Unloads a module.")
            .args(&[ArgSpec::new("name", ArgKind::String)]),
    ])];

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("module".into()))
}

/// `MODULE LIST` -> empty array.
fn list(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.array(0);
    Ok(())
}

/// `MODULE LOAD` and `MODULE LOADEX` -> an error, always.
fn load(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::Static("ERR Error loading the extension. This server has no module interface."))
}

/// `MODULE UNLOAD name` -> an error: no module has that name.
fn unload(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::Static("ERR Error unloading module: no such module with that name"))
}

/// `MODULE HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::help(
        cx,
        "MODULE",
        &[
            ("LIST", "The loaded modules; there are none."),
            ("LOAD <path> [<arg> ...]", "Refused: this server has no module interface."),
            ("LOADEX <path> [[CONFIG NAME VALUE] ...] [ARGS ...]", "Refused likewise."),
            ("UNLOAD <name>", "Refused likewise."),
        ],
    )
}
