//! BITOP.

use redix_types::bits::{self, Combine};
use redix_types::value::{IntBuf, Kind, ValueRef};
use smallvec::SmallVec;

use super::docs;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string;
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Ttl;

/// Command: BITOP.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "bitop",
    Group::Bitmap,
    -4,
    const {
        &[
            KeySpec::one(2, access::OW | access::UPDATE),
            KeySpec::range(3, -1, 1, access::RO | access::ACCESS),
        ]
    },
    bitop,
)
.flags(flag::DENYOOM)
.acl(acl::BITMAP)
.docs(docs::BITOP)];

/// The argument that is the first input key.
const INPUTS: usize = 3;

/// The operation, which may restrict the number of inputs. Errors: Syntax, too few or too many
/// inputs.
fn parse(args: Args<'_>) -> Result<Combine, ReplyError> {
    const OPERATIONS: [(&str, Combine); 8] = [
        ("AND", Combine::And),
        ("OR", Combine::Or),
        ("XOR", Combine::Xor),
        ("NOT", Combine::Not),
        ("DIFF", Combine::Diff),
        ("DIFF1", Combine::Diff1),
        ("ANDOR", Combine::AndOr),
        ("ONE", Combine::One),
    ];
    let found = OPERATIONS.iter().find(|(word, _)| args.is(1, word));
    let &(word, how) = found.ok_or(ReplyError::Syntax)?;
    let inputs = args.len() - INPUTS;
    match how {
        Combine::Not if inputs != 1 => {
            Err(ReplyError::Static("ERR BITOP NOT must be called with a single source key."))
        }
        Combine::Diff | Combine::Diff1 | Combine::AndOr if inputs < 2 => Err(ReplyError::err(
            format!("BITOP {word} must be called with at least two source keys."),
        )),
        _ => Ok(how),
    }
}

/// `BITOP AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE destination key …` -> the length of the result, that
/// of the longest input; an empty one deletes `destination`. Errors: WRONGTYPE, Syntax, too few or
/// too many inputs, no memory. Event `set` or `del`.
fn bitop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let how = parse(args)?;
    for word in INPUTS..args.len() {
        let key = cx.key(args, word);
        cx.keys.lookup_kind(key, Kind::String)?;
    }
    let mut result = Vec::new();
    {
        let value = |word| Some(cx.keys.view(cx.key(args, word))?.value());
        let values: SmallVec<[Option<ValueRef<'_>>; 4]> = (INPUTS..args.len()).map(value).collect();
        let mut digits: SmallVec<[IntBuf; 4]> = values.iter().map(|_| IntBuf::new()).collect();
        let bytes = values.iter().zip(&mut digits).map(|(value, digits)| match value {
            Some(value) => value.string_bytes(digits),
            None => &[],
        });
        let inputs: SmallVec<[&[u8]; 4]> = bytes.collect();
        let len = inputs.iter().map(|input| input.len()).max().unwrap_or(0);
        result.try_reserve_exact(len).map_err(|_| ReplyError::Oom)?;
        bits::combine(how, &inputs, &mut result);
    }
    let (key, len) = (cx.key(args, 2), result.len());
    if len > 0 {
        cx.admit_length(key, len)?;
        cx.keys.set(key, string::raw(&mut result), Ttl::Clear);
        cx.keys.effects.notify(class::STRING, "set", cx.keys.db, key.bytes);
    } else if cx.keys.delete(key) {
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
    cx.reply.int(len as i64);
    Ok(())
}
