//! Commands that read hashes.

use redix_types::entry::IntBuf;
use redix_types::hash::{HashRef, Pair};
use redix_types::listpack::Element;

use super::{bulk, bulk_or_null, docs, lookup};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::scan::{ScanOptions, Walked, parse_cursor};
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::CommandResult;

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RO)];
const CONTENT: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// Commands: HEXISTS, HGET, HGETALL, HKEYS, HLEN, HMGET, HSCAN, HSTRLEN and HVALS.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("hexists", Group::Hash, 3, KEY, hexists)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HEXISTS),
    CommandSpec::read("hget", Group::Hash, 3, CONTENT, hget)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HGET),
    CommandSpec::read("hgetall", Group::Hash, 2, CONTENT, hgetall)
        .flags(flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HGETALL),
    CommandSpec::read("hkeys", Group::Hash, 2, CONTENT, hkeys)
        .flags(flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HKEYS),
    CommandSpec::read("hlen", Group::Hash, 2, KEY, hlen)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HLEN),
    CommandSpec::read("hmget", Group::Hash, -3, CONTENT, hmget)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HMGET),
    CommandSpec::read("hscan", Group::Hash, -3, CONTENT, hscan).acl(acl::HASH).docs(docs::HSCAN),
    CommandSpec::read("hstrlen", Group::Hash, 3, KEY, hstrlen)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .member(2)
        .docs(docs::HSTRLEN),
    CommandSpec::read("hvals", Group::Hash, 2, CONTENT, hvals)
        .flags(flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HVALS),
];

/// `HGET key field` -> bulk | null. Errors: WRONGTYPE.
fn hget(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let hash = lookup(cx.keys, key)?;
    bulk_or_null(cx.reply, hash.and_then(|hash| hash.get(args.get(2), hasher)));
    Ok(())
}

/// `HMGET key field [field ...]` -> array of bulk | null. Errors: WRONGTYPE.
fn hmget(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let hash = lookup(cx.keys, key)?;
    cx.reply.array(args.len() - 2);
    for field in args.iter_from(2) {
        bulk_or_null(cx.reply, hash.and_then(|hash| hash.get(field, hasher)));
    }
    Ok(())
}

/// `HEXISTS key field` -> 1 | 0. Errors: WRONGTYPE.
fn hexists(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let hash = lookup(cx.keys, key)?;
    let exists = hash.is_some_and(|hash| hash.get(args.get(2), hasher).is_some());
    cx.reply.int(i64::from(exists));
    Ok(())
}

/// `HSTRLEN key field` -> the length in bytes of the value, 0 for none. Errors: WRONGTYPE.
fn hstrlen(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let value = lookup(cx.keys, key)?.and_then(|hash| hash.get(args.get(2), hasher));
    cx.reply.int(value.map_or(0, Element::text_len) as i64);
    Ok(())
}

/// `HLEN key` -> number of fields, including those that have expired and not been removed yet, as
/// in Valkey. Errors: WRONGTYPE.
fn hlen(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let len = lookup(cx.keys, key)?.map_or(0, HashRef::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// What a short field and its value take in a reply more than in a table.
const FRAME_BYTES: usize = 10;

/// `HGETALL key` -> map of fields to values. Errors: WRONGTYPE.
fn hgetall(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let hash = lookup(cx.keys, key)?;
    cx.reply.map(hash.map_or(0, HashRef::visible_len));
    if let Some(HashRef::Large(large, _)) = hash {
        // At once: growing by halves copies megabytes and has the system supply each page twice.
        cx.reply.reserve(large.memory() + FRAME_BYTES * large.len());
    }
    if let Some(hash) = hash {
        hash.for_each(|(field, value)| {
            bulk(cx.reply, field);
            bulk(cx.reply, value);
        });
    }
    Ok(())
}

/// `HKEYS key` -> array of fields. Errors: WRONGTYPE.
fn hkeys(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    one_of_each(cx, args, |(field, _)| field)
}

/// `HVALS key` -> array of values. Errors: WRONGTYPE.
fn hvals(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    one_of_each(cx, args, |(_, value)| value)
}

fn one_of_each(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    pick: impl Fn(Pair<'_>) -> Element<'_>,
) -> CommandResult {
    let key = cx.key(args, 1);
    let hash = lookup(cx.keys, key)?;
    cx.reply.array(hash.map_or(0, HashRef::visible_len));
    if let Some(hash) = hash {
        hash.for_each(|pair| bulk(cx.reply, pick(pair)));
    }
    Ok(())
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]` -> the next cursor (`0` at the end)
/// and an array of fields and values, or fields. A listpack is returned in one call. Errors:
/// WRONGTYPE, an invalid cursor; options are checked only where there is a hash.
fn hscan(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, cursor) = (cx.key(args, 1), parse_cursor(args.get(2))?);
    let hash = lookup(cx.keys, key)?;
    cx.reply.array(2);
    let Some(hash) = hash else {
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args.options(3), Walked::Hash)?;
    let mut found = Vec::new();
    let mut buf = IntBuf::new();
    let next = hash.scan(cursor, options.count, |(field, value)| {
        if options.matches(field.text(&mut buf)) {
            found.push((field, value));
        }
    });
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(if options.no_values { found.len() } else { 2 * found.len() });
    for (field, value) in found {
        bulk(cx.reply, field);
        if !options.no_values {
            bulk(cx.reply, value);
        }
    }
    Ok(())
}
