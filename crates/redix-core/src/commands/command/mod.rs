//! COMMAND: introspection of the command table.

mod docs;
mod info;

use redix_types::glob::{self, Case};
use smallvec::SmallVec;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::plan::keys_of_call;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::command::table::{Command, CommandTable};
use crate::error::{CommandResult, ReplyError};

/// Command: COMMAND and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("command", Group::Server, -1, command)
    .flags(flag::LOADING | flag::STALE)
    .acl(acl::CONNECTION)
    .since("2.8.13")
    .complexity("O(N) where N is the total number of commands")
    .doc("Describes all commands.")
    .tips(&["nondeterministic_output_order"])
    .subcommands(SUBCOMMANDS)];

const NAMES: &[ArgSpec] = &[ArgSpec::new("command-name", ArgKind::String).optional().multiple()];
const FULL_COMMAND: &[ArgSpec] = &[
    ArgSpec::new("command", ArgKind::String),
    ArgSpec::new("arg", ArgKind::String).optional().multiple(),
];

const SUBCOMMANDS: &[CommandSpec] = &[
    sub("count", 2, count).since("2.8.13").doc("Counts the commands."),
    sub("docs", -2, docs)
        .since("7.0.0")
        .complexity("O(N) where N is the number of commands to look up")
        .doc("Documents commands.")
        .tips(&["nondeterministic_output_order"])
        .args(NAMES),
    sub("getkeys", -3, getkeys)
        .since("2.8.13")
        .complexity("O(N) where N is the number of arguments to the command")
        .doc("Finds the keys in a command.")
        .args(FULL_COMMAND),
    sub("getkeysandflags", -3, getkeysandflags)
        .since("7.0.0")
        .complexity("O(N) where N is the number of arguments to the command")
        .doc("Finds the keys in a command, and what it does with each.")
        .args(FULL_COMMAND),
    sub("help", 2, help).since("5.0.0").doc("Lists the subcommands."),
    sub("info", -2, info)
        .since("2.8.13")
        .complexity("O(N) where N is the number of commands to look up")
        .doc("Describes commands.")
        .history(&[("7.0.0", "Without names it describes all commands.")])
        .tips(&["nondeterministic_output_order"])
        .args(NAMES),
    sub("list", -2, list)
        .since("7.0.0")
        .complexity("O(N) where N is the total number of commands")
        .doc("Lists the names of commands.")
        .tips(&["nondeterministic_output_order"])
        .args(&[ArgSpec::new(
            "filterby",
            ArgKind::OneOf(&[
                ArgSpec::new("module-name", ArgKind::String).token("MODULE"),
                ArgSpec::new("category", ArgKind::String).token("ACLCAT"),
                ArgSpec::new("pattern", ArgKind::Pattern).token("PATTERN"),
            ]),
        )
        .token("FILTERBY")
        .optional()]),
];

const fn sub(
    name: &'static str,
    arity: i16,
    handler: crate::command::spec::DataHandler,
) -> CommandSpec {
    CommandSpec::plain(name, Group::Server, arity, handler)
        .flags(flag::LOADING | flag::STALE)
        .acl(acl::CONNECTION)
}

/// `COMMAND` -> array of the descriptions of all commands.
fn command(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let all: Vec<Command> = all(&cx.engine.commands).collect();
    cx.reply.array(all.len());
    all.into_iter()
        .for_each(|found| info::write(cx.reply, found.spec, cx.engine.commands.container(found)));
    Ok(())
}

/// `COMMAND INFO [name …]` -> array of descriptions, null for an unknown name.
fn info(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() == 2 {
        return command(cx, args);
    }
    cx.reply.array(args.len() - 2);
    for name in args.iter_from(2) {
        match named(&cx.engine.commands, name) {
            Some(found) => info::write(cx.reply, found.spec, cx.engine.commands.container(found)),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name …]` -> map of names to documentation; unknown names are omitted.
fn docs(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let commands = &cx.engine.commands;
    let found: Vec<Command> = if args.len() == 2 {
        all(commands).collect()
    } else {
        args.iter_from(2).filter_map(|name| named(commands, name)).collect()
    };
    cx.reply.map(found.len());
    for command in found {
        cx.reply.bulk_str(&commands.full_name(command));
        docs::write(cx.reply, command.spec);
    }
    Ok(())
}

/// `COMMAND COUNT` -> integer, subcommands not counted.
fn count(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.int(all(&cx.engine.commands).count() as i64);
    Ok(())
}

/// `COMMAND LIST [FILTERBY MODULE|ACLCAT|PATTERN value]` -> array of names, subcommands included.
/// There are no modules, so none of their commands.
fn list(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    type Wanted<'a> = Box<dyn Fn(&Command) -> bool + 'a>;
    let commands = &cx.engine.commands;
    let wanted: Wanted<'_> = match args.len() {
        2 => Box::new(|_| true),
        5 if args.is(2, "FILTERBY") => {
            let value = args.get(4);
            if args.is(3, "MODULE") {
                Box::new(|_| false)
            } else if args.is(3, "ACLCAT") {
                let is_named =
                    |(_, word): &&(u32, &str)| value.eq_ignore_ascii_case(word.as_bytes());
                let category = acl::WORDS.iter().find(is_named).map_or(0, |(bit, _)| *bit);
                Box::new(move |command| command.spec.categories() & category != 0)
            } else if args.is(3, "PATTERN") {
                Box::new(move |command| {
                    let name = commands.full_name(*command);
                    glob::matches(value, name.as_bytes(), Case::Insensitive)
                })
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        _ => return Err(ReplyError::Syntax),
    };
    let mut count = 0;
    let place = cx.reply.deferred_array();
    for command in all(commands).flat_map(|command| with_subcommands(commands, command)) {
        if wanted(&command) {
            cx.reply.bulk_str(&commands.full_name(command));
            count += 1;
        }
    }
    cx.reply.finish_array(place, count);
    Ok(())
}

/// Keys as (argument index, access bits).
type Keys = SmallVec<[(usize, u32); 4]>;

/// `COMMAND GETKEYS command arg …` -> array of keys. Errors: unknown command, wrong arity, a
/// command without keys, invalid arguments.
fn getkeys(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = args.tail(2);
    let keys = keys_of(&cx.engine.commands, words)?;
    cx.reply.array(keys.len());
    keys.iter().for_each(|(index, _)| cx.reply.bulk(words.get(*index)));
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS command arg …` -> array of (key, set of flags). Errors as GETKEYS.
fn getkeysandflags(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let words = args.tail(2);
    let keys = keys_of(&cx.engine.commands, words)?;
    cx.reply.array(keys.len());
    for (index, access) in keys {
        cx.reply.array(2);
        cx.reply.bulk(words.get(index));
        info::write_access(cx.reply, access);
    }
    Ok(())
}

fn keys_of(commands: &CommandTable, words: Args<'_>) -> Result<Keys, ReplyError> {
    let command = commands.find(words.get(0)).and_then(|found| match words.try_get(1) {
        Some(name) if !found.spec.subcommands.is_empty() => commands.find_subcommand(found, name),
        _ => Some(found),
    });
    let command = command.ok_or(ReplyError::Static("ERR Invalid command specified"))?;
    let spec = command.spec;
    if spec.keys.is_empty() && spec.get_keys.is_none() {
        return Err(ReplyError::Static("ERR The command has no key arguments"));
    }
    if !spec.fits(words.len()) {
        let text = "ERR Invalid number of arguments specified for command";
        return Err(ReplyError::Static(text));
    }
    let keys = keys_of_call(spec, words);
    if keys.is_empty() && !spec.has(flag::NO_MANDATORY_KEYS) {
        return Err(ReplyError::Static("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}

/// All commands that clients can call.
fn all(commands: &CommandTable) -> impl Iterator<Item = Command> {
    commands.named()
}

fn with_subcommands(commands: &CommandTable, command: Command) -> impl Iterator<Item = Command> {
    let subs = command.spec.subcommands.iter();
    let subs = subs.filter_map(move |sub| commands.find_subcommand(command, sub.name.as_bytes()));
    std::iter::once(command).chain(subs)
}

/// The command called `name`, a subcommand as `container|sub`.
fn named(commands: &CommandTable, name: &[u8]) -> Option<Command> {
    match name.iter().position(|byte| *byte == b'|') {
        None => commands.find(name),
        Some(bar) => commands.find_subcommand(commands.find(&name[..bar])?, &name[bar + 1..]),
    }
}

/// `COMMAND HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::server::help(
        cx,
        "COMMAND",
        &[
            ("(no subcommand)", "Descriptions of all commands."),
            ("COUNT", "How many commands there are."),
            ("LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]", "The names of commands."),
            ("INFO [<command-name> ...]", "Descriptions of some commands, or of all."),
            ("DOCS [<command-name> ...]", "Documentation of some commands, or of all."),
            ("GETKEYS <full-command>", "The keys in a command."),
            ("GETKEYSANDFLAGS <full-command>", "The keys in a command, and their access flags."),
        ],
    )
}
