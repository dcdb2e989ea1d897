//! Deleting, counting and listing keys.

use redix_types::glob::{self, Case};

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::effects::class;
use crate::error::CommandResult;
use crate::keyspace::access::{Expiry, KeyList};

/// Commands: DEL, EXISTS, KEYS, RANDOMKEY, TOUCH, TYPE and UNLINK.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "del",
        Group::Generic,
        -2,
        const { &[KeySpec::range(1, -1, 1, access::RM | access::DELETE)] },
        del,
    )
    .flags(flag::BRIEF)
    .acl(acl::KEYSPACE)
    .complexity("O(N), N being the number of keys; a collection adds the number of its elements.")
    .doc("Deletes keys.")
    .args(&[ArgSpec::key("key").multiple()])
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    CommandSpec::read(
        "exists",
        Group::Generic,
        -2,
        const { &[KeySpec::range(1, -1, 1, access::RO)] },
        exists,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .complexity("O(N), N being the number of keys.")
    .doc("Counts the keys that exist, each as often as it is named.")
    .history(&[("3.0.3", "Takes several keys.")])
    .args(&[ArgSpec::key("key").multiple()])
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    CommandSpec::plain("keys", Group::Generic, 2, keys)
        .flags(flag::READONLY)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .world()
        .complexity("O(N), N being the number of keys in the database.")
        .doc("Lists the keys whose names match a pattern.")
        .args(&[ArgSpec::new("pattern", ArgKind::Pattern)])
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    CommandSpec::plain("randomkey", Group::Generic, 1, randomkey)
        .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
        .acl(acl::KEYSPACE)
        .walk()
        .doc("Returns the name of a random key.")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    CommandSpec::read(
        "touch",
        Group::Generic,
        -2,
        const { &[KeySpec::range(1, -1, 1, access::RO)] },
        touch,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("3.2.1")
    .complexity("O(N), N being the number of keys.")
    .doc("Marks keys as used now and counts those that exist.")
    .args(&[ArgSpec::key("key").multiple()])
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    CommandSpec::read("type", Group::Generic, 2, const { &[KeySpec::one(1, access::RO)] }, type_of)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::KEYSPACE)
        .doc("Tells what type of value a key holds.")
        .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "unlink",
        Group::Generic,
        -2,
        const { &[KeySpec::range(1, -1, 1, access::RM | access::DELETE)] },
        unlink,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("4.0.0")
    .complexity("O(N), N being the number of keys.")
    .doc("Deletes keys; their memory may be freed later.")
    .args(&[ArgSpec::key("key").multiple()])
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
];

/// `DEL key [key ...]` -> number of keys deleted. Logged verbatim; event `del`.
fn del(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut deleted = 0;
    for index in 1..args.len() {
        let key = cx.key(args, index);
        if cx.keys.delete(key) {
            cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
            deleted += 1;
        }
    }
    cx.reply.int(deleted);
    Ok(())
}

/// `UNLINK key [key ...]` -> number of keys deleted. DEL under another name: large values are
/// always freed in the background.
fn unlink(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    del(cx, args)
}

/// `EXISTS key [key ...]` -> how many exist, each counted as often as it is named.
fn exists(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut count = 0;
    for index in 1..args.len() {
        let key = cx.key(args, index);
        count += i64::from(cx.keys.lookup_untouched(key).is_some());
    }
    cx.reply.int(count);
    Ok(())
}

/// `TOUCH key [key ...]` -> how many exist. Refreshes their age even under CLIENT NO-TOUCH.
fn touch(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let touches = std::mem::replace(&mut cx.keys.touch, true);
    let mut count = 0;
    for index in 1..args.len() {
        let key = cx.key(args, index);
        count += i64::from(cx.keys.lookup_read(key).is_some());
    }
    cx.keys.touch = touches;
    cx.reply.int(count);
    Ok(())
}

/// `TYPE key` -> the name of the type, or `none`.
fn type_of(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let name = cx.keys.lookup_untouched(key).map_or("none", |entry| entry.kind().name());
    cx.reply.simple(name);
    Ok(())
}

/// `KEYS pattern` -> the names that match, in no order. Expired keys are left out, not deleted.
fn keys(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let pattern = args.get(1);
    let found = if pattern == b"*" {
        cx.keys.list_keys(|_| true)
    } else if pattern.iter().any(|byte| b"*?[\\".contains(byte)) {
        cx.keys.list_keys(|key| glob::matches(pattern, key, Case::Sensitive))
    } else {
        // A pattern without wildcards matches only itself.
        let mut found = KeyList::default();
        let expiry = cx.keys.expiry;
        if expiry != Expiry::Ignore {
            cx.keys.expiry = Expiry::Hide;
        }
        if cx.keys.exists(cx.keys.key(pattern)) {
            found.push(pattern);
        }
        cx.keys.expiry = expiry;
        found
    };
    cx.reply.array(found.len());
    found.iter().for_each(|key| cx.reply.bulk(key));
    Ok(())
}

/// `RANDOMKEY` -> the name of a key, or null if there is none. Deletes the expired keys it meets.
fn randomkey(cx: &mut Ctx<'_, '_>, _args: Args<'_>) -> CommandResult {
    match cx.keys.random_key() {
        Some(key) => cx.reply.bulk(&key),
        None => cx.reply.null(),
    }
    Ok(())
}
