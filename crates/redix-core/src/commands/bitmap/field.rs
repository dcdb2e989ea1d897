//! BITFIELD and BITFIELD_RO.

use redix_resp::reply::Reply;
use redix_types::bits::Field;
use redix_types::num::parse_i64;
use redix_types::value::{IntBuf, Kind};
use smallvec::SmallVec;

use super::{EMPTY, docs, notify_set, parse_position};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string::edit::writable;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Edited, Missing};

/// Commands: BITFIELD and BITFIELD_RO.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "bitfield",
        Group::Bitmap,
        -2,
        const {
            &[KeySpec::one(
                1,
                access::RW | access::UPDATE | access::ACCESS | access::VARIABLE_FLAGS,
            )
            .notes("written only where there is an operation other than GET")]
        },
        bitfield,
    )
    .key_access(key_access)
    .flags(flag::DENYOOM)
    .acl(acl::BITMAP)
    .docs(docs::BITFIELD),
    CommandSpec::read(
        "bitfield_ro",
        Group::Bitmap,
        -2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        bitfield_ro,
    )
    .flags(flag::FAST)
    .acl(acl::BITMAP)
    .docs(docs::BITFIELD_RO),
];

/// What becomes of a number that its field cannot hold.
#[derive(Clone, Copy)]
enum Overflow {
    /// Its low bits are kept.
    Wrap,
    /// It becomes the nearest that fits.
    Saturate,
    /// It is not written, and null is replied.
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// An integer within a string, and what is to be done with it.
#[derive(Clone, Copy)]
struct Operation {
    field: Field,
    signed: bool,
    action: Action,
    overflow: Overflow,
}

type Operations = SmallVec<[Operation; 4]>;

/// What was replied to each operation; `None`: it failed.
type Results = SmallVec<[Option<i64>; 4]>;

const NOT_A_TYPE: ReplyError = ReplyError::Static(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 \
     is.",
);

/// Whether a field is signed, and how many bits it has: `i1` to `i64`, `u1` to `u63`.
fn parse_type(word: &[u8]) -> Result<(bool, u32), ReplyError> {
    let (signed, width, max) = match word {
        [b'i', width @ ..] => (true, width, 64),
        [b'u', width @ ..] => (false, width, 63),
        _ => return Err(NOT_A_TYPE),
    };
    let width = parse_i64(width).filter(|width| (1..=max).contains(width)).ok_or(NOT_A_TYPE)?;
    Ok((signed, width as u32))
}

/// The subcommand at an argument.
#[derive(Clone, Copy)]
enum Word {
    Overflow,
    Get,
    Set,
    Add,
}

impl Word {
    /// The subcommand at argument `index`, if all of its arguments follow.
    fn at(args: Args<'_>, index: usize) -> Option<Self> {
        const WORDS: [(&str, Word); 4] = [
            ("OVERFLOW", Word::Overflow),
            ("GET", Word::Get),
            ("SET", Word::Set),
            ("INCRBY", Word::Add),
        ];
        let (_, word) = WORDS.iter().find(|(text, _)| args.is(index, text))?;
        (index + word.len() <= args.len()).then_some(*word)
    }

    /// The number of arguments of the subcommand, its name included.
    fn len(self) -> usize {
        match self {
            Word::Overflow => 2,
            Word::Get => 3,
            Word::Set | Word::Add => 4,
        }
    }
}

/// The operations of a command. Errors: Syntax, a type, an offset, a number or an overflow that is
/// none.
fn parse(cx: &Ctx<'_, '_>, args: Args<'_>) -> Result<Operations, ReplyError> {
    let mut operations = Operations::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < args.len() {
        let word = Word::at(args, index).ok_or(ReplyError::Syntax)?;
        if matches!(word, Word::Overflow) {
            overflow = parse_overflow(args.get(index + 1))?;
        } else {
            let (signed, width) = parse_type(args.get(index + 1))?;
            let at = parse_position(cx, args.get(index + 2), Some(width))?;
            let action = match word {
                Word::Set => Action::Set(args.int(index + 3)?),
                Word::Add => Action::Add(args.int(index + 3)?),
                Word::Get | Word::Overflow => Action::Get,
            };
            operations.push(Operation { field: Field { at, width }, signed, action, overflow });
        }
        index += word.len();
    }
    Ok(operations)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, ReplyError> {
    match () {
        () if word.eq_ignore_ascii_case(b"WRAP") => Ok(Overflow::Wrap),
        () if word.eq_ignore_ascii_case(b"SAT") => Ok(Overflow::Saturate),
        () if word.eq_ignore_ascii_case(b"FAIL") => Ok(Overflow::Fail),
        () => Err(ReplyError::Static("ERR Invalid OVERFLOW type specified")),
    }
}

/// The access of the key: read-only if all subcommands are GET or OVERFLOW.
fn key_access(args: Args<'_>) -> u32 {
    let mut index = 2;
    while index < args.len() {
        index += match Word::at(args, index) {
            Some(word @ (Word::Overflow | Word::Get)) => word.len(),
            _ => return access::RW | access::ACCESS | access::UPDATE,
        };
    }
    access::RO | access::ACCESS
}

impl Operation {
    /// The bytes that a string has once this has been written.
    fn end(self) -> usize {
        usize::try_from((self.field.at + u64::from(self.field.width)).div_ceil(8))
            .unwrap_or(usize::MAX)
    }

    /// What a field's low bits mean.
    fn number(self, bits: u64) -> i64 {
        let unused = 64 - self.field.width;
        let shifted = bits << unused;
        if self.signed { shifted as i64 >> unused } else { (shifted >> unused) as i64 }
    }

    fn get(self, bytes: &[u8]) -> i64 {
        self.number(self.field.get(bytes))
    }

    /// What is written where the field should become `wanted`.
    fn fit(self, wanted: i128) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-1 << (self.field.width - 1), (1 << (self.field.width - 1)) - 1),
            false => (0, (1_i128 << self.field.width) - 1),
        };
        match self.overflow {
            _ if (min..=max).contains(&wanted) => Some(wanted as i64),
            Overflow::Wrap => Some(self.number(wanted as u64)),
            Overflow::Saturate => Some(wanted.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }

    /// A signed value that is to be set. With OVERFLOW SAT one so far below the least number of the
    /// field that their distance from the greatest needs more than 64 bits counts as too large: so
    /// do the real servers, which compare in 64 bits.
    fn read_signed(self, value: i64) -> i128 {
        let max = (1_i128 << (self.field.width - 1)) - 1;
        let is_far = max - i128::from(value) > i128::from(i64::MAX);
        let saturates = matches!(self.overflow, Overflow::Saturate) && self.field.width < 64;
        if saturates && is_far { i128::MAX } else { i128::from(value) }
    }

    /// Carries it out on bytes that are long enough. Returns the reply, and whether it changed
    /// something.
    fn apply(self, bytes: &mut [u8]) -> (Option<i64>, bool) {
        let old = self.get(bytes);
        let wanted = match self.action {
            Action::Get => return (Some(old), false),
            Action::Set(value) if self.signed => self.read_signed(value),
            // A negative number is a large one.
            Action::Set(value) => i128::from(value as u64),
            Action::Add(increment) => i128::from(old) + i128::from(increment),
        };
        let Some(new) = self.fit(wanted) else { return (None, false) };
        self.field.set(bytes, new as u64);
        let reply = if matches!(self.action, Action::Set(_)) { old } else { new };
        (Some(reply), new != old)
    }
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET type offset value | INCRBY type
/// offset increment …]` -> array: of GET the number, of SET the old one, of INCRBY the new one,
/// null where OVERFLOW FAIL has refused it. Writes make the string long enough for all of them
/// first. Errors: WRONGTYPE, Syntax, a type, an offset or a number that is none, no memory. Event
/// `setbit`.
fn bitfield(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let operations = parse(cx, args)?;
    let writes = operations.iter().filter(|operation| !matches!(operation.action, Action::Get));
    let Some(len) = writes.map(|operation| operation.end()).max() else {
        return read(cx, args, &operations);
    };
    let key = cx.key(args, 1);
    cx.admit_length(key, len)?;
    let outcome = cx.keys.edit(key, Kind::String, Missing::Create(EMPTY), |entry| {
        let grows = entry.as_ref().value().string_len() < len;
        let bytes = match writable(entry, len) {
            Ok(bytes) => bytes,
            Err(error) => return (Err(error), Edited::Nothing),
        };
        let mut written = 0;
        let apply = |operation: &Operation| {
            let (result, changed) = operation.apply(bytes);
            let writes = result.is_some() && !matches!(operation.action, Action::Get);
            written += u64::from(changed || (grows && writes));
            result
        };
        let results: Results = operations.iter().map(apply).collect();
        // A string that has grown is another one, whatever was refused then.
        let edited = match written.max(u64::from(grows)) {
            0 => Edited::Nothing,
            changes => Edited::Changed(changes),
        };
        (Ok((results, written)), edited)
    })?;
    let (results, written) = outcome.expect("the key is created where there is none")?;
    if written > 0 {
        notify_set(cx, key);
    }
    reply_results(cx.reply, &results);
    Ok(())
}

/// `BITFIELD_RO key [GET type offset …]` -> array of numbers. Errors as BITFIELD, and any other
/// operation.
fn bitfield_ro(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let operations = parse(cx, args)?;
    if operations.iter().any(|operation| !matches!(operation.action, Action::Get)) {
        return Err(ReplyError::Static("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(cx, args, &operations)
}

/// Replies to operations that are all GET.
fn read(cx: &mut Ctx<'_, '_>, args: Args<'_>, operations: &Operations) -> CommandResult {
    let key = cx.key(args, 1);
    let entry = cx.keys.lookup_kind(key, Kind::String)?;
    let mut digits = IntBuf::new();
    let bytes = entry.map_or(&[][..], |entry| entry.value().string_bytes(&mut digits));
    let results: Results = operations.iter().map(|operation| Some(operation.get(bytes))).collect();
    reply_results(cx.reply, &results);
    Ok(())
}

fn reply_results(reply: &mut Reply, results: &Results) {
    reply.array(results.len());
    for result in results {
        match result {
            Some(number) => reply.int(*number),
            None => reply.null(),
        }
    }
}

#[cfg(test)]
mod tests;
