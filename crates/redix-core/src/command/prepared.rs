//! What can be known of a command before it is executed: what it is, and where its keys are.

use super::args::Args;
use super::plan::Plan;
use super::spec::Locks;
use super::table::{Command, CommandTable, Memo};
use super::timing::is_brief;
use crate::engine::Engine;

/// A command that was looked up and whose keys were found and hashed.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The command, or its subcommand; none if there is no such command.
    pub command: Option<Command>,
    /// Its keys.
    pub plan: Plan,
    /// The hash of its only key, where it is a short command that fits its arity and has few bytes:
    /// it takes one lock and little time, and can be run without a look at its specification. Not
    /// known of commands that are prepared to be executed at once.
    plain: Option<u64>,
}

impl Prepared {
    /// Looks a command up and finds its keys.
    #[inline]
    pub(crate) fn new(engine: &Engine, args: Args<'_>, memo: &mut Memo) -> Self {
        let command = engine.commands.find_again(args.get(0), memo);
        let command = command.map(|found| subcommand_of(&engine.commands, found, args));
        let plan = match command {
            Some(found) => Plan::of(&engine.keyspace, found.spec, args),
            None => Plan::default(),
        };
        Self { command, plan, plain: None }
    }

    /// The command and the hash of its key, if it is plain.
    #[inline]
    pub(crate) fn as_plain(&self) -> Option<(Command, u64)> {
        Some((self.command?, self.plain?))
    }

    /// Finds out whether it is plain.
    #[inline]
    pub(crate) fn look_whether_plain(&mut self, args: Args<'_>) {
        self.plain = self.plan.single().filter(|_| {
            self.command.is_some_and(|command| {
                let spec = command.spec;
                spec.locks == Locks::Keys && is_brief(spec, args) && spec.fits(args.len())
            })
        });
    }
}

/// The subcommand that the words name, if the command is a container that has it: keys are those of
/// the subcommand.
fn subcommand_of(commands: &CommandTable, found: Command, args: Args<'_>) -> Command {
    if found.spec.subcommands.is_empty() {
        return found;
    }
    let sub = args.try_get(1).and_then(|name| commands.find_subcommand(found, name));
    sub.unwrap_or(found)
}
