//! ACL: users and what they may do.
//!
//! SETUSER, DELUSER, LOAD and SAVE run in the world: a change is seen by every command that runs
//! after it.

mod edit;
mod log;
mod show;

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: ACL and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::client("acl", Group::Server, -2, container)
    .since("6.0.0")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about users and their rights.")
    .subcommands(SUBCOMMANDS)];

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
/// Of subcommands that anybody may be given.
const OPEN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const ADMIN: u32 = OPEN | flag::ADMIN;
const OF_USERS: &str = "O(N). Where N is the number of configured users.";
const USERNAME: ArgSpec = ArgSpec::new("username", ArgKind::String);

// tidy: table
const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::client("cat", Group::Server, -2, show::cat)
        .flags(OPEN)
        .since("6.0.0")
        .complexity("O(1) since the categories and commands are a fixed set.")
        .doc("Lists the categories, or the commands of one.")
        .args(&[ArgSpec::new("category", ArgKind::String).optional()]),
    CommandSpec::client("deluser", Group::Server, -3, edit::deluser)
        .world()
        .flags(ADMIN)
        .since("6.0.0")
        .complexity("O(1) amortized time considering the typical user.")
        .doc("Deletes users and closes their connections.")
        .tips(EVERYWHERE)
        .args(const { &[USERNAME.multiple()] }),
    CommandSpec::client("dryrun", Group::Server, -4, show::dryrun)
        .flags(ADMIN)
        .since("7.0.0")
        .complexity("O(1).")
        .doc("Says whether a user may make a call, which is not made.")
        .args(
            const {
                &[
                    USERNAME,
                    ArgSpec::new("command", ArgKind::String),
                    ArgSpec::new("arg", ArgKind::String).optional().multiple(),
                ]
            },
        ),
    CommandSpec::client("genpass", Group::Server, -2, show::genpass)
        .flags(OPEN)
        .since("6.0.0")
        .doc("Draws a random password.")
        .args(&[ArgSpec::new("bits", ArgKind::Integer).optional()]),
    CommandSpec::client("getuser", Group::Server, 3, show::getuser)
        .flags(ADMIN)
        .since("6.0.0")
        .complexity(
            "O(N). Where N is the number of password, command and pattern rules that the user has.",
        )
        .doc("Shows the rules of a user.")
        .history(&[
            ("6.2.0", "Shows channels."),
            ("7.0.0", "Shows selectors; keys and channels are shown as rules."),
            ("9.1.0", "Shows databases."),
        ])
        .args(const { &[USERNAME] }),
    CommandSpec::client("help", Group::Server, 2, show::help)
        .flags(flag::LOADING | flag::STALE)
        .since("6.0.0")
        .doc("Lists the subcommands."),
    CommandSpec::client("list", Group::Server, 2, show::list)
        .flags(ADMIN)
        .since("6.0.0")
        .complexity(OF_USERS)
        .doc("Shows the rules of all users as lines of an ACL file."),
    CommandSpec::client("load", Group::Server, 2, edit::load)
        .world()
        .flags(ADMIN)
        .since("6.0.0")
        .complexity(OF_USERS)
        .doc("Reads the users from the ACL file."),
    CommandSpec::client("log", Group::Server, -2, log::log)
        .flags(ADMIN)
        .since("6.0.0")
        .complexity("O(N) with N being the number of entries shown.")
        .doc("Shows what was denied lately.")
        .history(&[("7.2.0", "Shows the number of an entry and two times.")])
        .args(&[ArgSpec::new(
            "operation",
            ArgKind::OneOf(&[
                ArgSpec::new("count", ArgKind::Integer),
                ArgSpec::word("reset", "RESET"),
            ]),
        )
        .optional()]),
    CommandSpec::client("save", Group::Server, 2, edit::save)
        .world()
        .flags(ADMIN)
        .since("6.0.0")
        .complexity(OF_USERS)
        .doc("Writes the users to the ACL file.")
        .tips(EVERYWHERE),
    CommandSpec::client("setuser", Group::Server, -3, edit::setuser)
        .world()
        .flags(ADMIN)
        .since("6.0.0")
        .complexity("O(N). Where N is the number of rules provided.")
        .doc("Changes or adds a user.")
        .history(&[
            ("6.2.0", "Knows channels."),
            ("7.0.0", "Knows selectors and kinds of access to keys."),
            ("9.1.0", "Knows databases."),
        ])
        .tips(EVERYWHERE)
        .args(const { &[USERNAME, ArgSpec::new("rule", ArgKind::String).optional().multiple()] }),
    CommandSpec::client("users", Group::Server, 2, show::users)
        .flags(ADMIN)
        .since("6.0.0")
        .complexity(OF_USERS)
        .doc("Lists the names of all users."),
    CommandSpec::client("whoami", Group::Server, 2, show::whoami)
        .flags(OPEN)
        .since("6.0.0")
        .doc("Names the user of the connection."),
];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("acl".into()))
}

/// The error for a subcommand with more arguments than it takes.
fn too_many(args: Args<'_>) -> ReplyError {
    let before = "unknown subcommand or wrong number of arguments for '";
    ReplyError::quoting(before, args.get(1), "'. Try ACL HELP.")
}
