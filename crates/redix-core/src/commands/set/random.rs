//! SPOP and SRANDMEMBER.

use redix_resp::reply::Reply;
use redix_types::entry::{IntBuf, Kind};
use redix_types::num;
use redix_types::set::SetRef;

use super::{
    docs, edit, limits, lookup, notify, notify_deleted, notify_removed, reply_member,
    reply_members, set_of,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::commands::repeat::Bound;
use crate::effects::Request;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// Commands: SPOP and SRANDMEMBER.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "spop",
        Group::Set,
        -2,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)] },
        spop,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::SET)
    .log_as(LogAs::Effect)
    .docs(docs::SPOP),
    CommandSpec::read(
        "srandmember",
        Group::Set,
        -2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        srandmember,
    )
    .acl(acl::SET)
    .docs(docs::SRANDMEMBER),
];

/// Members per record in the log. Source: `spopWithCountCommand` of Redis 7.2 and Valkey 9.1.
const RECORD_MEMBERS_MAX: usize = 1024;

/// `SPOP key [count]` -> a member or null; with `count` an array of up to so many. Errors:
/// WRONGTYPE, an invalid count. Logged as the SREM of the popped members, or as the deletion of the
/// key if those were all; events `spop`, and `del` if none is left.
fn spop(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    match args.len() {
        2 => pop_one(cx, key),
        3 => {
            let count = num::parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            let count =
                count.ok_or(ReplyError::Static("ERR value is out of range, must be positive"))?;
            pop_some(cx, key, count)
        }
        _ => Err(ReplyError::Syntax),
    }
}

fn pop_one(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> CommandResult {
    let (limits, word) = (limits(cx), cx.keys.random());
    let mut taken = None;
    let change = edit(cx.keys, limits, key, Missing::Skip, |set| {
        taken = set.take_one(word, |member| member.text(&mut IntBuf::new()).to_vec());
        usize::from(taken.is_some())
    })?;
    let (Some(change), Some(taken)) = (change, taken) else {
        cx.reply.null();
        return Ok(());
    };
    notify_removed(cx, "spop", key, change.emptied);
    cx.keys.effects.log(cx.keys.db, &[b"SREM", key.bytes, &taken]);
    cx.reply.bulk(&taken);
    Ok(())
}

fn pop_some(cx: &mut Ctx<'_, '_>, key: Key<'_>, count: usize) -> CommandResult {
    let len = cx.keys.lookup_write(key, Kind::Set)?.map_or(0, |entry| set_of(entry).len());
    if len == 0 || count == 0 {
        cx.reply.set(0);
        return Ok(());
    }
    if count >= len {
        return pop_all(cx, key, len);
    }
    let limits = limits(cx);
    let is_recorded = cx.keys.effects.recording();
    let (mut rng, mut taken) = (Draws(cx.keys.random()), Vec::new());
    let reply = &mut *cx.reply;
    reply.set(count);
    edit(cx.keys, limits, key, Missing::Skip, |set| {
        set.take(count, &mut || rng.next(), &mut |member| {
            reply_member(reply, member);
            if is_recorded {
                taken.push(member.text(&mut IntBuf::new()).to_vec());
            }
        });
        count
    })?;
    notify(cx, "spop", key);
    for some in taken.chunks(RECORD_MEMBERS_MAX) {
        let words = [b"SREM".as_slice(), key.bytes].into_iter();
        let words: Vec<&[u8]> = words.chain(some.iter().map(Vec::as_slice)).collect();
        cx.keys.effects.log(cx.keys.db, &words);
    }
    Ok(())
}

/// Pops all `len` members and deletes the key.
fn pop_all(cx: &mut Ctx<'_, '_>, key: Key<'_>, len: usize) -> CommandResult {
    let word: &[u8] = if cx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
    if let Some(entry) = cx.keys.take(key) {
        reply_members(cx.reply, set_of(entry.as_ref()));
        cx.keys.bury(entry.into_heap());
        // The deletion of the key counts as one of the changes.
        cx.keys.effects.add_dirty(len as u64 - 1);
    }
    notify(cx, "spop", key);
    notify_deleted(cx, key);
    cx.keys.effects.log(cx.keys.db, &[word, key.bytes]);
    Ok(())
}

/// `SRANDMEMBER key [count]` -> a member or null; with `count` an array of so many distinct ones,
/// or all; with a negative count so many, possibly repeated. Errors: an invalid count, WRONGTYPE.
fn srandmember(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let mut rng = Draws(cx.keys.random());
    if args.len() == 2 {
        let set = lookup(cx.keys, key)?;
        match set.and_then(|set| set.random(rng.next())) {
            Some(member) => reply_member(cx.reply, member),
            None => cx.reply.null(),
        }
        return Ok(());
    }
    if args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let count = args.int(2)?;
    if count == i64::MIN {
        return Err(ReplyError::Static("ERR value is out of range"));
    }
    let bound = Bound::of(cx);
    let set = lookup(cx.keys, key)?;
    match (set, usize::try_from(count)) {
        (None, _) => cx.reply.array(0),
        (Some(set), Ok(count)) => {
            cx.reply.array(count.min(set.len()));
            let reply = &mut *cx.reply;
            set.sample(count, &mut || rng.next(), &mut |member| reply_member(reply, member));
        }
        (Some(set), Err(_)) => {
            bound.check(count.unsigned_abs())?;
            repeat((cx.reply, cx.requests), set, count.unsigned_abs(), &bound, &mut rng)?;
        }
    }
    Ok(())
}

/// Writes `count` members, each drawn from all.
fn repeat(
    (reply, requests): (&mut Reply, &mut Vec<Request>),
    set: SetRef<'_>,
    count: u64,
    bound: &Bound,
    rng: &mut Draws,
) -> CommandResult {
    reply.array(count as usize);
    for _ in 0..count {
        if !bound.allows(reply, requests)? {
            break;
        }
        if let Some(member) = set.random(rng.next()) {
            reply_member(reply, member);
        }
    }
    Ok(())
}

/// A pseudorandom sequence from one seed: the keyspace's generator cannot be borrowed together with
/// a set. Source: Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (2014).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}
