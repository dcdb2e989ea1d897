//! BITCOUNT and BITPOS.

use std::ops::Range;

use redix_types::bits;
use redix_types::value::{IntBuf, Kind};

use super::docs;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl};
use crate::error::{CommandResult, ReplyError};

/// Commands: BITCOUNT and BITPOS.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("bitcount", Group::Bitmap, -2, KEY, bitcount)
        .acl(acl::BITMAP)
        .docs(docs::BITCOUNT),
    CommandSpec::read("bitpos", Group::Bitmap, -3, KEY, bitpos).acl(acl::BITMAP).docs(docs::BITPOS),
];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// Part of a string as a command names it: `[start [end [BYTE | BIT]]]`, both ends inclusive,
/// negative ones counting from the end.
struct Part {
    start: i64,
    end: Option<i64>,
    /// Bits of what the ends count.
    unit: i64,
}

impl Part {
    /// Parses the arguments from `first` on. Errors: NotInteger, Syntax.
    fn parse(args: Args<'_>, first: usize) -> Result<Self, ReplyError> {
        let words = args.len() - first;
        if words > 3 {
            return Err(ReplyError::Syntax);
        }
        let start = if words > 0 { args.int(first)? } else { 0 };
        // The unit is looked at before the end, as in Valkey 9.1.
        let unit = match () {
            () if words < 3 || args.is(first + 2, "BYTE") => 8,
            () if args.is(first + 2, "BIT") => 1,
            () => return Err(ReplyError::Syntax),
        };
        let end = if words > 1 { Some(args.int(first + 1)?) } else { None };
        Ok(Part { start, end, unit })
    }

    /// Its bits in a string of `len` bytes.
    fn bits(&self, len: usize) -> Range<u64> {
        let units = 8 * len as i64 / self.unit;
        let place = |at: i64| if at < 0 { (at + units).max(0) } else { at };
        let (start, end) = (place(self.start), place(self.end.unwrap_or(-1)).min(units - 1));
        if start > end {
            return 0..0;
        }
        (start * self.unit) as u64..((end + 1) * self.unit) as u64
    }

    /// Whether both ends count from the end, in the wrong order: clamped, they might still meet.
    fn is_backwards(&self) -> bool {
        self.end.is_some_and(|end| self.start < 0 && end < 0 && self.start > end)
    }
}

/// `BITCOUNT key [start [end [BYTE | BIT]]]` -> how many bits are set, 0 for a missing key. Errors:
/// WRONGTYPE, NotInteger, Syntax.
fn bitcount(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let part = Part::parse(args, 2)?;
    let key = cx.key(args, 1);
    let entry = cx.keys.lookup_kind(key, Kind::String)?;
    let ones = entry.map_or(0, |entry| {
        let mut digits = IntBuf::new();
        let bytes = entry.value().string_bytes(&mut digits);
        if part.is_backwards() { 0 } else { bits::count_between(bytes, part.bits(bytes.len())) }
    });
    cx.reply.int(ones as i64);
    Ok(())
}

/// `BITPOS key 0|1 [start [end [BYTE | BIT]]]` -> the first such bit, -1 if there is none. Where no
/// end is given, clear bits follow the string, even one that is missing. Errors: WRONGTYPE,
/// NotInteger, a bit that is none, Syntax.
fn bitpos(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let value = match args.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(ReplyError::Static("ERR The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(args, 3)?;
    let key = cx.key(args, 1);
    let entry = cx.keys.lookup_kind(key, Kind::String)?;
    let found = match entry {
        None => (!value).then_some(0),
        Some(entry) => {
            let mut digits = IntBuf::new();
            let bytes = entry.value().string_bytes(&mut digits);
            let range = part.bits(bytes.len());
            let is_open = !value && part.end.is_none() && !range.is_empty();
            let behind = is_open.then_some(range.end);
            bits::find(bytes, value, range).or(behind)
        }
    };
    cx.reply.int(found.map_or(-1, |at| at as i64));
    Ok(())
}
