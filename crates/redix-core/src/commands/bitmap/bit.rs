//! SETBIT and GETBIT.

use redix_types::bits;
use redix_types::value::{IntBuf, Kind};

use super::{EMPTY, docs, notify_set, parse_position};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string::edit::writable;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Edited, Missing};

/// Bytes of growth beyond which SETBIT is not brief.
const LONG_GROWTH: usize = 4096;

/// Commands: SETBIT and GETBIT.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "setbit",
        Group::Bitmap,
        4,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        setbit,
    )
    .flags(flag::DENYOOM | flag::BRIEF)
    .acl(acl::BITMAP)
    .docs(docs::SETBIT),
    CommandSpec::read(
        "getbit",
        Group::Bitmap,
        3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        getbit,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::BITMAP)
    .docs(docs::GETBIT),
];

/// `SETBIT key offset 0|1` -> the old bit. Errors: WRONGTYPE, an offset that is none, a bit that is
/// none, no memory. A bit that was so already leaves no record.
fn setbit(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at = parse_position(cx, args.get(2), None)?;
    let value = match args.get(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(ReplyError::Static("ERR bit is not an integer or out of range")),
    };
    let (key, len) = (cx.key(args, 1), (at / 8) as usize + 1);
    cx.admit_length(key, len)?;
    let outcome = cx.keys.edit(key, Kind::String, Missing::Create(EMPTY), |entry| {
        let growth = len.saturating_sub(entry.as_ref().value().string_len());
        let old = match writable(entry, len) {
            Ok(bytes) => bits::set(bytes, at, value),
            Err(error) => return (Err(error), Edited::Nothing),
        };
        let changed = growth != 0 || old != value;
        (Ok((old, changed, growth)), if changed { Edited::Changed(1) } else { Edited::Nothing })
    })?;
    let (old, changed, growth) = outcome.expect("the key is created where there is none")?;
    if changed {
        notify_set(cx, key);
    }
    if growth > LONG_GROWTH {
        cx.keys.effects.note_long();
    }
    cx.reply.int(i64::from(old));
    Ok(())
}

/// `GETBIT key offset` -> 0 | 1, 0 behind the end and for a missing key. Errors: WRONGTYPE, an
/// offset that is none.
fn getbit(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let at = parse_position(cx, args.get(2), None)?;
    let key = cx.key(args, 1);
    let entry = cx.keys.lookup_kind(key, Kind::String)?;
    let bit = entry.is_some_and(|entry| {
        let mut digits = IntBuf::new();
        bits::get(entry.value().string_bytes(&mut digits), at)
    });
    cx.reply.int(i64::from(bit));
    Ok(())
}
