//! HRANDFIELD.

use std::collections::BTreeSet;

use redix_resp::reply::{Proto, Reply};
use redix_types::entry::IntBuf;
use redix_types::hash::{HashRef, Pair};

use super::{bulk, docs, lookup};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl};
use crate::commands::repeat::Bound;
use crate::effects::Request;
use crate::error::{CommandResult, ReplyError};

/// Command: HRANDFIELD.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::read(
    "hrandfield",
    Group::Hash,
    -2,
    const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
    hrandfield,
)
.acl(acl::HASH)
.docs(docs::HRANDFIELD)];

/// Below this part of a hash, fields are drawn until there are as many as wanted; from it on, each
/// is visited once. Source: the threshold of the real servers.
const DRAWN_PART: usize = 3;

/// The arguments of HRANDFIELD.
#[derive(Clone, Copy)]
struct Wanted {
    /// Distinct fields if positive, else that many independent draws.
    count: i64,
    values: bool,
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Self, ReplyError> {
        let (count, values) = (args.int(2)?, args.len() > 3);
        if count == i64::MIN {
            return Err(ReplyError::Static(
                "ERR value is out of range, value must between -9223372036854775807 and \
                 9223372036854775807",
            ));
        }
        if args.len() > 4 || (values && !args.is(3, "WITHVALUES")) {
            return Err(ReplyError::Syntax);
        }
        if values && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(ReplyError::Static("ERR value is out of range"));
        }
        Ok(Wanted { count, values })
    }

    /// The header of the reply.
    fn begin(self, reply: &mut Reply, len: usize) {
        let flat = self.values && reply.proto == Proto::Resp2;
        reply.array(if flat { 2 * len } else { len });
    }

    fn one(self, reply: &mut Reply, (field, value): Pair<'_>) {
        if self.values && reply.proto == Proto::Resp3 {
            reply.array(2);
        }
        bulk(reply, field);
        if self.values {
            bulk(reply, value);
        }
    }
}

/// `HRANDFIELD key [count [WITHVALUES]]` -> bulk | null; with a count, array of fields, different
/// ones unless it is negative. Errors: NotInteger, OutOfRange, Syntax, WRONGTYPE.
fn hrandfield(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let mut word = cx.keys.random();
    if args.len() == 2 {
        match lookup(cx.keys, key)?.and_then(|hash| hash.random(word)) {
            Some((field, _)) => bulk(cx.reply, field),
            None => cx.reply.null(),
        }
        return Ok(());
    }
    let wanted = Wanted::parse(args)?;
    let bound = Bound::of(cx);
    let hash = match lookup(cx.keys, key)? {
        Some(hash) if wanted.count != 0 && hash.visible_len() > 0 => hash,
        _ => {
            cx.reply.array(0);
            return Ok(());
        }
    };
    let mut random = || {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        word ^ word >> 32
    };
    if wanted.count < 0 {
        bound.check(wanted.count.unsigned_abs())?;
        return draw((cx.reply, cx.requests), hash, wanted, &bound, &mut random);
    }
    choose(cx.reply, hash, wanted, &mut random);
    Ok(())
}

/// Draws fields independently, with repetition.
fn draw(
    (reply, requests): (&mut Reply, &mut Vec<Request>),
    hash: HashRef<'_>,
    wanted: Wanted,
    bound: &Bound,
    random: &mut impl FnMut() -> u64,
) -> CommandResult {
    let count = wanted.count.unsigned_abs() as usize;
    wanted.begin(reply, count);
    let mut pairs = Vec::new();
    let is_listed = matches!(hash, HashRef::Packed(_)) || hash.hides_fields();
    if is_listed {
        hash.for_each(|pair| pairs.push(pair));
    }
    for _ in 0..count {
        if !bound.allows(reply, requests)? {
            break;
        }
        let pair = if is_listed {
            pairs[below(random(), pairs.len())]
        } else {
            hash.random(random()).expect("a hash has fields")
        };
        wanted.one(reply, pair);
    }
    Ok(())
}

/// Chooses distinct fields.
fn choose(reply: &mut Reply, hash: HashRef<'_>, wanted: Wanted, random: &mut impl FnMut() -> u64) {
    let len = hash.visible_len();
    let count = usize::try_from(wanted.count).unwrap_or(len).min(len);
    wanted.begin(reply, count);
    let is_drawn = matches!(hash, HashRef::Large(..)) && !hash.hides_fields();
    if is_drawn && count < len / DRAWN_PART {
        let mut drawn = BTreeSet::new();
        while drawn.len() < count {
            let (field, value) = hash.random(random()).expect("a hash has fields");
            if drawn.insert(field.text(&mut IntBuf::new()).to_vec()) {
                wanted.one(reply, (field, value));
            }
        }
        return;
    }
    // Selection sampling: each field is chosen with probability (still wanted) / (still to visit).
    let (mut left, mut missing) = (len, count);
    hash.for_each(|pair| {
        if below(random(), left) < missing {
            wanted.one(reply, pair);
            missing -= 1;
        }
        left -= 1;
    });
}

/// A number below `n`, from a random 64-bit number.
fn below(word: u64, n: usize) -> usize {
    ((u128::from(word) * n as u128) >> 64) as usize
}
