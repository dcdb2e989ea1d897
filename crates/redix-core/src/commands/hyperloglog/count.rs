//! PFCOUNT.

use redix_types::entry::EntryBox;
use redix_types::hll::{self, REGISTERS};
use redix_types::value::{Encoding, Kind};

use super::{corrupt, docs, open, rewrite};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::read(
    "pfcount",
    Group::Hyperloglog,
    -2,
    const {
        &[KeySpec::range(1, -1, 1, access::RW | access::ACCESS)
            .notes("RW because the estimate is kept with the value, and replicated")]
    },
    pfcount,
)
.flags(flag::MAY_REPLICATE)
.log_as(LogAs::Verbatim)
.acl(acl::HYPERLOGLOG)
.docs(docs::PFCOUNT)];

/// `PFCOUNT key …` -> the estimate of how many different elements they have been shown together,
/// missing keys none. That of one key is kept with it, and logged when it is new. Errors:
/// WRONGTYPE, a string that is no HyperLogLog, a corrupt one.
fn pfcount(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let estimate = match args.len() {
        2 => count_one(cx, cx.key(args, 1))?,
        _ => count_union(cx, args)?,
    };
    cx.reply.int(estimate as i64);
    Ok(())
}

fn count_union(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<u64, ReplyError> {
    let mut registers = [0; REGISTERS];
    for word in 1..args.len() {
        let key = cx.key(args, word);
        if let Some(entry) = cx.keys.lookup_kind(key, Kind::String)? {
            hll::merge(&mut registers, open(entry)?.0).map_err(corrupt)?;
        }
    }
    Ok(hll::count_registers(&registers))
}

fn count_one(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> Result<u64, ReplyError> {
    let Some(entry) = cx.keys.lookup_kind(key, Kind::String)? else { return Ok(0) };
    let (value, _) = open(entry)?;
    match hll::kept_estimate(value) {
        Some(estimate) if entry.encoding() == Encoding::Raw => return Ok(estimate),
        _ => {}
    }
    let counted = cx.keys.edit(key, Kind::String, Missing::Skip, |entry| {
        let counted = count_and_keep(entry);
        let edited = match counted {
            Ok((_, true)) => Edited::Changed(1),
            _ => Edited::Nothing,
        };
        (counted, edited)
    })?;
    counted.expect("the key was found").map(|(estimate, _)| estimate)
}

/// The estimate, and whether it is a new one. The entry becomes `raw`, as whatever may be edited.
fn count_and_keep(entry: &mut EntryBox) -> Result<(u64, bool), ReplyError> {
    rewrite(entry, |value| {
        if let Some(estimate) = hll::kept_estimate(value) {
            return Ok((estimate, false));
        }
        let estimate = hll::count(value)?;
        hll::keep_estimate(value, estimate);
        Ok((estimate, true))
    })
}
