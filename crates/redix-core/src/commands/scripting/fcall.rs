//! FCALL and FCALL_RO.
//!
//! A function of a library runs as a script does, with the flags that it was registered with. All
//! threads run functions in one machine, whose owner holds the world.

use redix_lua::{Fault, Pin, Value};

use super::eval::{FLAGS, KEYS_OF_SCRIPT, KEYS_READ, Program, REST, key_count, run, tables};
use super::host::open_functions;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::scripting::Machine;
use crate::scripting::busy::Kind;
use crate::scripting::functions::FoundFunction;

const FUNCTION: ArgSpec = ArgSpec::new("function", ArgKind::String);

/// Commands: FCALL and FCALL_RO.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("fcall", Group::Scripting, -3, |cx, args| fcall(cx, args, false))
        .keys(const { &[KEYS_OF_SCRIPT.notes("The function decides: any use is assumed")] })
        .flags(FLAGS & !flag::MAY_REPLICATE)
        .acl(acl::SCRIPTING)
        .world()
        .since("7.0.0")
        .complexity("Depends on the function.")
        .doc("Runs a function.")
        .args(const { &[FUNCTION, REST[0], REST[1], REST[2]] }),
    CommandSpec::client("fcall_ro", Group::Scripting, -3, |cx, args| fcall(cx, args, true))
        .keys(const { &[KEYS_READ.notes("The function decides: any read is assumed")] })
        .flags(FLAGS & !flag::MAY_REPLICATE | flag::READONLY)
        .acl(acl::SCRIPTING)
        .world()
        .since("7.0.0")
        .complexity("Depends on the function.")
        .doc("Runs a function that only reads.")
        .args(const { &[FUNCTION, REST[0], REST[1], REST[2]] }),
];

/// `FCALL function numkeys [key …] [arg …]` -> what the function returns.
fn fcall(cx: &mut ClientCx<'_, '_>, args: Args<'_>, reads_only: bool) -> CommandResult {
    cx.show_to_monitors(args);
    let engine = cx.engine;
    let found = engine.scripting.functions.find(&engine.env, args.get(1));
    let found = found.ok_or(ReplyError::Static("ERR Function not found"))?;
    let keys = key_count(args, ReplyError::Static("ERR Bad number of keys provided"))?;
    run(cx, args, &found, keys, reads_only)
}

impl Program for FoundFunction {
    fn kind(&self) -> Kind {
        Kind::Function
    }

    fn name(&self) -> Vec<u8> {
        self.function().name.to_vec()
    }

    fn flags(&self) -> Option<u32> {
        Some(self.function().flags)
    }

    fn take_machine(&self, cx: &ClientCx<'_, '_>) -> Result<Box<Machine>, ReplyError> {
        cx.engine.scripting.functions.take_machine().ok_or(ReplyError::Oom)
    }

    fn put_machine(&self, cx: &ClientCx<'_, '_>, machine: Box<Machine>) {
        cx.engine.scripting.functions.put_machine(machine);
    }

    fn load(&self, _: &mut ClientCx<'_, '_>, machine: &mut Machine) -> Result<Pin, ReplyError> {
        if !machine.is_open && open_functions(machine).is_err() {
            return Err(ReplyError::Oom);
        }
        Ok(self.function().callback)
    }

    fn arguments(
        &self,
        machine: &mut Machine,
        words: Args<'_>,
        keys: usize,
    ) -> Result<Vec<Value>, Fault> {
        Ok(tables(machine, words, keys)?.to_vec())
    }
}
