//! OBJECT: encoding, reference count and access statistics of a value.

use redix_types::entry::EntryRef;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{LRU_MASK, lfu_decay};

/// Command: OBJECT and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("object", Group::Generic, -2, object)
    .since("2.2.3")
    .complexity("As its subcommands.")
    .doc("Tells how a value is kept.")
    .subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "encoding",
        Group::Generic,
        3,
        const { &[KeySpec::one(2, access::RO)] },
        object_encoding,
    )
    .acl(acl::KEYSPACE)
    .since("2.2.3")
    .doc("Tells the representation of a value.")
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
    CommandSpec::read(
        "freq",
        Group::Generic,
        3,
        const { &[KeySpec::one(2, access::RO)] },
        object_freq,
    )
    .acl(acl::KEYSPACE)
    .since("4.0.0")
    .doc("Returns a key's logarithmic access counter.")
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
    CommandSpec::plain("help", Group::Generic, 2, object_help)
        .flags(flag::LOADING | flag::STALE)
        .acl(acl::KEYSPACE)
        .since("6.2.0")
        .doc("Lists the subcommands."),
    CommandSpec::read(
        "idletime",
        Group::Generic,
        3,
        const { &[KeySpec::one(2, access::RO)] },
        object_idletime,
    )
    .acl(acl::KEYSPACE)
    .since("2.2.3")
    .doc("Returns the seconds since a key was last used.")
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
    CommandSpec::read(
        "refcount",
        Group::Generic,
        3,
        const { &[KeySpec::one(2, access::RO)] },
        object_refcount,
    )
    .acl(acl::KEYSPACE)
    .since("2.2.3")
    .doc("Returns how many owners a value has.")
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
];

/// `OBJECT` without a subcommand: an error.
fn object(_cx: &mut Ctx<'_, '_>, _args: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("object".into()))
}

/// `OBJECT ENCODING key` -> the name of the representation, or null.
fn object_encoding(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    match lookup(cx, args) {
        Some(entry) => {
            let name = entry.encoding().name();
            cx.reply.bulk_str(name);
        }
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT REFCOUNT key` -> 1, since values have one owner, or null.
fn object_refcount(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    match lookup(cx, args) {
        Some(_) => cx.reply.int(1),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT IDLETIME key` -> seconds, or null. Errors: an LFU policy is selected.
fn object_idletime(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let Some(age) = lookup(cx, args).map(EntryRef::lru) else {
        cx.reply.null();
        return Ok(());
    };
    if cx.keys.ageing.lfu {
        return Err(ReplyError::Static(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    cx.reply.int(i64::from(cx.keys.lru_clock().wrapping_sub(age) & LRU_MASK));
    Ok(())
}

/// `OBJECT FREQ key` -> the access counter, or null. Errors: no LFU policy is selected.
fn object_freq(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let Some(age) = lookup(cx, args).map(EntryRef::lru) else {
        cx.reply.null();
        return Ok(());
    };
    if !cx.keys.ageing.lfu {
        return Err(ReplyError::Static(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ));
    }
    let counter = lfu_decay(age, cx.now_ms(), cx.keys.ageing.lfu_decay_minutes);
    cx.reply.int(i64::from(counter));
    Ok(())
}

/// `OBJECT HELP` -> lines.
fn object_help(cx: &mut Ctx<'_, '_>, _args: Args<'_>) -> CommandResult {
    cx.reply.array(HELP.len());
    HELP.iter().for_each(|line| cx.reply.simple(line));
    Ok(())
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value is represented in memory.",
    "FREQ <key>",
    "    The logarithmic access counter that LFU policies go by.",
    "IDLETIME <key>",
    "    Seconds since the key was last used.",
    "REFCOUNT <key>",
    "    How many owners the value has.",
    "HELP",
    "    These lines.",
];

fn lookup<'c>(cx: &'c mut Ctx<'_, '_>, args: Args<'_>) -> Option<EntryRef<'c>> {
    let key = cx.key(args, 2);
    cx.keys.lookup_unnoticed(key)
}
