//! A prepared command: looked up, its keys found and hashed, before it is executed.

use super::args::Args;
use super::plan::Plan;
use super::table::{Command, CommandTable, Memo};
use super::timing::is_brief;
use crate::engine::Engine;

/// A command that was looked up and whose keys were found and hashed.
///
/// Half a cache line: where a stream is read ahead, one thread writes it and another reads it.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// Its keys.
    pub plan: Plan,
    /// The dense id of the command, or of its subcommand; none if there is no such command.
    pub id: Option<u16>,
    /// The argument that names the member or field of its key that it looks up; 0: none.
    member: u8,
    /// A brief command with one key, right arity and few bytes: it takes one lock and little time
    /// and can run without looking at its specification.
    plain: bool,
    /// There is no such command, or it has no such subcommand.
    unknown: bool,
}

const _: () = assert!(size_of::<Prepared>() <= 32);

impl Prepared {
    /// Prepares a client's command.
    #[inline(always)]
    pub(crate) fn new(engine: &Engine, args: Args<'_>, memo: &mut Memo) -> Self {
        Self::of(engine, engine.commands.find_again(args.get(0), memo), args)
    }

    /// Prepares a command of a primary's stream.
    #[inline]
    pub(crate) fn of_primary(engine: &Engine, args: Args<'_>, memo: &mut Memo) -> Self {
        Self::of(engine, engine.commands.find_for_primary(args.get(0), memo), args)
    }

    #[inline(always)]
    fn of(engine: &Engine, command: Option<Command>, args: Args<'_>) -> Self {
        match command {
            Some(found) => {
                let sub = subcommand_of(&engine.commands, found, args);
                let unknown = sub.is_none();
                let Command { id, spec } = sub.unwrap_or(found);
                let plan = Plan::of(&engine.keyspace, spec, args);
                let plain =
                    is_brief(spec, args) && plan.single().is_some() && spec.fits(args.len());
                Self { plan, id: Some(id), member: spec.member, plain, unknown }
            }
            None => {
                Self { plan: Plan::default(), id: None, member: 0, plain: false, unknown: true }
            }
        }
    }

    /// The command, or its subcommand; none if there is no such command.
    #[inline]
    pub(crate) fn command(&self, commands: &CommandTable) -> Option<Command> {
        self.id.map(|id| commands.by_id(id))
    }

    /// The id by which CLIENT LIST names the command; `u16::MAX`: the words name none.
    #[inline]
    pub(crate) fn named_id(&self) -> u16 {
        if self.unknown { u16::MAX } else { self.id.unwrap_or(u16::MAX) }
    }

    /// The member or field of its key that it looks up, for prefetching.
    #[inline]
    pub(crate) fn member<'a>(&self, args: Args<'a>) -> Option<&'a [u8]> {
        match self.member {
            0 => None,
            argument => args.try_get(usize::from(argument)),
        }
    }

    /// The command's id and the hash of its key, if it is plain.
    #[inline]
    pub(crate) fn as_plain(&self) -> Option<(u16, u64)> {
        if !self.plain {
            return None;
        }
        Some((self.id?, self.plan.single()?))
    }
}

/// The subcommand that the arguments name, if the command is a container: keys are those of the
/// subcommand. None if the container has no such subcommand.
fn subcommand_of(commands: &CommandTable, found: Command, args: Args<'_>) -> Option<Command> {
    match args.try_get(1) {
        Some(name) if !found.spec.subcommands.is_empty() => commands.find_subcommand(found, name),
        _ => Some(found),
    }
}
