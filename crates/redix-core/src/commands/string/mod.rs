//! Commands on strings.

use redix_types::entry::{Encoding, EntryRef, HeapValue, IntBuf, Kind, NewValue, ValueRef};
use redix_types::num;

use crate::command::args::Args;
use crate::command::dispatch::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;
use crate::keyspace::access::Ttl;

/// The family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "get",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        get,
    )
    .flags(flag::FAST)
    .acl(acl::STRING)
    .doc("Returns the string at a key.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "set",
        Group::String,
        -3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        set,
    )
    .flags(flag::DENYOOM)
    .acl(acl::STRING)
    .doc("Gives a key a string value, whatever it held before.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
];

/// Writes a string entry's value as a bulk reply.
pub fn reply_string(reply: &mut redix_resp::reply::Reply, entry: EntryRef<'_>) {
    match entry.value() {
        ValueRef::Bytes(bytes) => reply.bulk(bytes),
        ValueRef::Int(value) => reply.bulk(IntBuf::new().format(value)),
        ValueRef::Heap(HeapValue::Str(bytes)) => reply.bulk(bytes),
    }
}

/// How a string is stored: numbers as such, others as they are.
pub fn encode(bytes: &[u8]) -> (Encoding, NewValue<'_>) {
    // No number is longer than the digits of the smallest one.
    if bytes.len() <= 20
        && let Some(value) = num::parse_i64(bytes)
    {
        return (Encoding::Int, NewValue::Int(value));
    }
    let encoding = if bytes.len() <= EMBSTR_MAX { Encoding::Embstr } else { Encoding::Raw };
    (encoding, NewValue::Bytes(bytes))
}

/// The longest string that OBJECT ENCODING calls `embstr`.
pub const EMBSTR_MAX: usize = 44;

/// `GET key` -> bulk | null. Errors: WRONGTYPE.
fn get(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    match cx.keys.lookup_kind(key, Kind::String)? {
        Some(entry) => reply_string(cx.reply, entry),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `SET key value` -> OK.
fn set(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let (encoding, value) = encode(args.get(2));
    cx.keys.set(key, Kind::String, encoding, value, Ttl::Clear);
    cx.keys.effects.notify(crate::effects::class::STRING, "set", cx.keys.db, key.bytes);
    cx.reply.ok();
    Ok(())
}
