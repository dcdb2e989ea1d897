//! PFADD and PFMERGE.

use redix_types::hll::{self, Corrupt, Encoding, Mark, REGISTERS};
use redix_types::value::Kind;

use super::{corrupt, docs, notify_added, open, rewrite};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string;
use crate::error::CommandResult;
use crate::keyspace::access::{Edited, Missing, Ttl};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "pfadd",
        Group::Hyperloglog,
        -2,
        const { &[KeySpec::one(1, access::RW | access::INSERT)] },
        pfadd,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::HYPERLOGLOG)
    .docs(docs::PFADD),
    CommandSpec::write(
        "pfmerge",
        Group::Hyperloglog,
        -2,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::INSERT),
                KeySpec::range(2, -1, 1, access::RO | access::ACCESS),
            ]
        },
        pfmerge,
    )
    .flags(flag::DENYOOM)
    .acl(acl::HYPERLOGLOG)
    .docs(docs::PFMERGE),
];

/// The longest sparse value.
fn sparse_max(cx: &Ctx<'_, '_>) -> usize {
    usize::try_from(cx.config.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

/// `PFADD key [element …]` -> 1 if the key was created or a register raised, else 0. Errors:
/// WRONGTYPE, a string that is no HyperLogLog, a corrupt one. Event `pfadd`.
fn pfadd(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, sparse_max) = (cx.key(args, 1), sparse_max(cx));
    let add = |value: &mut Vec<u8>| -> Result<u64, Corrupt> {
        let mut raised = 0;
        for element in args.iter_from(2) {
            raised += u64::from(hll::raise(value, Mark::of(element), sparse_max)?);
        }
        if raised > 0 {
            hll::forget_estimate(value);
        }
        Ok(raised)
    };
    let added = cx.keys.edit(key, Kind::String, Missing::Skip, |entry| {
        let added = open(entry.as_ref()).map(|_| ()).and_then(|()| rewrite(entry, add));
        let edited = match added {
            Ok(raised @ 1..) => Edited::Changed(raised),
            _ => Edited::Nothing,
        };
        (added, edited)
    })?;
    let changes = match added {
        Some(raised) => raised?,
        None => {
            let mut value = hll::EMPTY.to_vec();
            let raised = add(&mut value).map_err(corrupt)?;
            cx.keys.set(key, string::raw(&mut value), Ttl::Clear);
            cx.keys.effects.add_dirty(raised);
            1 + raised
        }
    };
    if changes > 0 {
        notify_added(cx, key);
    }
    cx.reply.int(i64::from(changes > 0));
    Ok(())
}

/// `PFMERGE destination [source …]` -> OK: `destination` has then been shown what any of them has.
/// Errors as PFADD. Event `pfadd`.
fn pfmerge(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (mut registers, mut any_dense) = ([0; REGISTERS], false);
    for word in 1..args.len() {
        let source = cx.key(args, word);
        let Some(entry) = cx.keys.lookup_kind(source, Kind::String)? else { continue };
        let (value, encoding) = open(entry)?;
        any_dense |= encoding == Encoding::Dense;
        hll::merge(&mut registers, value).map_err(corrupt)?;
    }
    let (key, sparse_max) = (cx.key(args, 1), sparse_max(cx));
    let merge = |value: &mut Vec<u8>| -> Result<(), Corrupt> {
        if any_dense {
            hll::make_dense(value)?;
        }
        hll::raise_all(value, &registers, sparse_max)?;
        hll::forget_estimate(value);
        Ok(())
    };
    if cx.keys.exists(key) {
        let merged = cx.keys.edit(key, Kind::String, Missing::Skip, |entry| {
            let merged = rewrite(entry, merge);
            let edited = if merged.is_ok() { Edited::Changed(1) } else { Edited::Nothing };
            (merged, edited)
        })?;
        merged.expect("the key was found")?;
    } else {
        let mut value = hll::EMPTY.to_vec();
        merge(&mut value).map_err(corrupt)?;
        cx.keys.set(key, string::raw(&mut value), Ttl::Clear);
    }
    notify_added(cx, key);
    cx.reply.ok();
    Ok(())
}
