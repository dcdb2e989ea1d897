//! PFDEBUG and PFSELFTEST.

use redix_types::entry::EntryBox;
use redix_types::hll::{self, Encoding};
use redix_types::value::Kind;

use super::{corrupt, docs, open, rewrite};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "pfdebug",
        Group::Hyperloglog,
        3,
        const { &[KeySpec::one(2, access::RW | access::ACCESS)] },
        pfdebug,
    )
    .flags(flag::DENYOOM | flag::ADMIN | flag::SYSCMD)
    .acl(acl::HYPERLOGLOG)
    .docs(docs::PFDEBUG),
    CommandSpec::plain("pfselftest", Group::Hyperloglog, 1, pfselftest)
        .flags(flag::ADMIN | flag::SYSCMD)
        .acl(acl::HYPERLOGLOG)
        .docs(docs::PFSELFTEST),
];

/// `PFDEBUG GETREG|DECODE|ENCODING|TODENSE key` -> the registers of a value, which becomes dense |
/// its runs as text | the name of its layout | 1 if it had to be made dense, else 0. `PFDEBUG SIMD
/// ON|OFF` -> whether dense registers are unpacked eight at a time from now on. Errors: no key,
/// WRONGTYPE, a string that is no HyperLogLog, a corrupt one, a dense one (DECODE), an unknown
/// subcommand.
fn pfdebug(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.is(1, "SIMD") {
        return choose_unpacking(cx, args);
    }
    let key = cx.key(args, 2);
    let found = cx.keys.lookup_write(key, Kind::String)?;
    let missing = ReplyError::Static("ERR The specified key does not exist");
    let (_, encoding) = open(found.ok_or(missing)?)?;
    match () {
        () if args.is(1, "GETREG") => reply_registers(cx, key),
        () if args.is(1, "DECODE") && encoding == Encoding::Dense => {
            Err(ReplyError::Static("ERR HLL encoding is not sparse"))
        }
        () if args.is(1, "DECODE") => {
            let text =
                edit(cx, key, |entry| rewrite(entry, |value| hll::decode(value)), |_| false)?;
            cx.reply.bulk_str(&text);
            Ok(())
        }
        () if args.is(1, "ENCODING") => {
            edit(cx, key, |entry| rewrite(entry, |_| Ok(())), |()| false)?;
            cx.reply.simple(encoding.name());
            Ok(())
        }
        () if args.is(1, "TODENSE") => {
            let converted = edit(cx, key, to_dense, |converted| *converted)?;
            cx.reply.int(i64::from(converted));
            Ok(())
        }
        () => Err(ReplyError::quoting("Unknown PFDEBUG subcommand '", args.get(1), "'")),
    }
}

fn choose_unpacking(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let on = args.is(2, "ON");
    if !on && !args.is(2, "OFF") {
        return Err(ReplyError::Static("ERR Argument must be ON or OFF"));
    }
    hll::use_vectors(on);
    cx.reply.simple(if on { "enabled" } else { "disabled" });
    Ok(())
}

fn to_dense(entry: &mut EntryBox) -> Result<bool, ReplyError> {
    rewrite(entry, hll::make_dense)
}

fn reply_registers(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> CommandResult {
    edit(cx, key, to_dense, |converted| *converted)?;
    let entry = cx.keys.view(key).expect("the key was found");
    let registers = hll::registers(open(entry)?.0).map_err(corrupt)?;
    cx.reply.array(registers.len());
    for register in registers {
        cx.reply.int(i64::from(register));
    }
    Ok(())
}

/// Edits the value of a key that was found; `changed` tells from the result whether it is another
/// one then. It becomes `raw` in any case.
fn edit<R>(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    change: impl FnOnce(&mut EntryBox) -> Result<R, ReplyError>,
    changed: impl FnOnce(&R) -> bool,
) -> Result<R, ReplyError> {
    let edited = cx.keys.edit(key, Kind::String, Missing::Skip, |entry| {
        let result = change(entry);
        let has_changed = result.as_ref().is_ok_and(changed);
        (result, if has_changed { Edited::Changed(1) } else { Edited::Nothing })
    })?;
    edited.expect("the key was found")
}

/// `PFSELFTEST` -> OK, or what is wrong with registers or estimates.
fn pfselftest(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let keys = &mut *cx.keys;
    hll::self_test(|| keys.random()).map_err(|wrong| ReplyError::Text(wrong.into()))?;
    cx.reply.ok();
    Ok(())
}
