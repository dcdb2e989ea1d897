//! XGROUP.

use redix_types::stream::{Group as Readers, StreamId};

use super::{EMPTY, docs, edit, no_group_of_key, notify, parse_id, parse_id_or_edge};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("xgroup", Group::Stream, -2, container)
    .docs(docs::XGROUP)
    .subcommands(&[
        CommandSpec::write(
            "create",
            Group::Stream,
            -5,
            const { &[KeySpec::one(2, access::RW | access::INSERT)] },
            create,
        )
        .flags(flag::DENYOOM)
        .acl(acl::STREAM)
        .docs(docs::XGROUP_CREATE),
        CommandSpec::write(
            "createconsumer",
            Group::Stream,
            5,
            const { &[KeySpec::one(2, access::RW | access::INSERT)] },
            create_consumer,
        )
        .flags(flag::DENYOOM)
        .acl(acl::STREAM)
        .docs(docs::XGROUP_CREATECONSUMER),
        CommandSpec::write(
            "delconsumer",
            Group::Stream,
            5,
            const { &[KeySpec::one(2, access::RW | access::DELETE)] },
            delete_consumer,
        )
        .acl(acl::STREAM)
        .docs(docs::XGROUP_DELCONSUMER),
        CommandSpec::write(
            "destroy",
            Group::Stream,
            4,
            const { &[KeySpec::one(2, access::RW | access::DELETE)] },
            destroy,
        )
        .acl(acl::STREAM)
        .docs(docs::XGROUP_DESTROY),
        CommandSpec::plain("help", Group::Stream, 2, help)
            .flags(flag::LOADING | flag::STALE)
            .acl(acl::STREAM)
            .docs(docs::XGROUP_HELP),
        CommandSpec::write(
            "setid",
            Group::Stream,
            -5,
            const { &[KeySpec::one(2, access::RW | access::UPDATE)] },
            set_id,
        )
        .acl(acl::STREAM)
        .docs(docs::XGROUP_SETID),
    ])];

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Print this help.",
];

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("xgroup".into()))
}

/// `XGROUP HELP` -> lines.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.reply.array(HELP.len());
    HELP.iter().for_each(|line| cx.reply.simple(line));
    Ok(())
}

/// The error of a subcommand whose words do not fit.
fn misused(cx: &Ctx<'_, '_>) -> ReplyError {
    let name = cx.command.spec.name;
    ReplyError::err(format!(
        "unknown subcommand or wrong number of arguments for '{}'. Try XGROUP HELP.",
        name.to_ascii_uppercase()
    ))
}

const NO_KEY: ReplyError = ReplyError::Static(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// What may follow the ID of CREATE and SETID.
struct Options {
    make_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    fn parse(cx: &Ctx<'_, '_>, args: Args<'_>, creates: bool) -> Result<Self, ReplyError> {
        let mut parsed = Options { make_stream: false, entries_read: None };
        let mut options = args.options(5);
        while options.more() {
            if creates && options.eat("MKSTREAM") {
                parsed.make_stream = true;
            } else if let Some(word) = options.eat_value("ENTRIESREAD") {
                let read = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
                if read < -1 {
                    return Err(ReplyError::Static(
                        "ERR value for ENTRIESREAD must be positive or -1",
                    ));
                }
                parsed.entries_read = Some(read).filter(|read| *read >= 0);
            } else {
                return Err(misused(cx));
            }
        }
        Ok(parsed)
    }
}

/// `XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD count]` -> OK. Errors: the grammar's,
/// BUSYGROUP, no such key, WRONGTYPE.
fn create(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(cx, args, true)?;
    let (key, name) = (cx.key(args, 2), args.get(3));
    let found = cx.keys.lookup_write(key, redix_types::Kind::Stream)?;
    if found.is_none() && !options.make_stream {
        return Err(NO_KEY);
    }
    if args.len() > 8 {
        return Err(misused(cx));
    }
    let id = match args.get(4) {
        b"$" => None,
        id => Some(parse_id(id)?),
    };
    let created = edit(cx, key, EMPTY, |stream| {
        let group = Readers::new(id.unwrap_or(stream.last_id()), options.entries_read);
        let is_new = stream.create_group(name, group);
        (is_new, u64::from(is_new))
    })?;
    if created != Some(true) {
        return Err(ReplyError::Static("BUSYGROUP Consumer Group name already exists"));
    }
    notify(cx, "xgroup-create", key);
    cx.reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id | $ [ENTRIESREAD count]` -> OK. Errors: the grammar's, NOGROUP, no
/// such key, WRONGTYPE.
fn set_id(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(cx, args, false)?;
    let (key, name) = (cx.key(args, 2), args.get(3));
    find(cx, key, name)?;
    if args.len() != 5 && args.len() != 7 {
        return Err(misused(cx));
    }
    let id = match args.get(4) {
        b"$" => None,
        id => Some(parse_id_or_edge(id, 0)?),
    };
    edit(cx, key, Missing::Skip, |stream| {
        let id: StreamId = id.unwrap_or(stream.last_id());
        let group = stream.group_mut(name).expect("the group was just seen");
        (group.last_id, group.entries_read) = (id, options.entries_read);
        ((), 1)
    })?;
    notify(cx, "xgroup-setid", key);
    cx.reply.ok();
    Ok(())
}

/// Errors: no such key or group, WRONGTYPE.
fn find(cx: &mut Ctx<'_, '_>, key: Key<'_>, group: &[u8]) -> Result<(), ReplyError> {
    let entry = cx.keys.lookup_write(key, redix_types::Kind::Stream)?.ok_or(NO_KEY)?;
    let stream = redix_types::stream::Stream::of(entry.value());
    match stream.and_then(|stream| stream.group(group)) {
        Some(_) => Ok(()),
        None => Err(no_group_of_key(key, group)),
    }
}

/// `XGROUP DESTROY key group` -> 1, or 0 if there is no such group. Errors: no such key, WRONGTYPE.
fn destroy(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 2), args.get(3));
    let destroyed = edit(cx, key, Missing::Skip, |stream| {
        let group = stream.destroy_group(name);
        let changes = u64::from(group.is_some());
        (group, changes)
    })?;
    let destroyed = destroyed.ok_or(NO_KEY)?;
    cx.reply.int(i64::from(destroyed.is_some()));
    if let Some(group) = destroyed {
        // It is freed where streams are: as the only group of one.
        let mut remains = redix_types::stream::Stream::new();
        remains.create_group(name, group);
        super::bury(cx, Some(redix_types::HeapValue::Stream(Box::new(remains))));
        notify(cx, "xgroup-destroy", key);
    }
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer` -> 1, or 0 if it was there. Errors: NOGROUP, no such
/// key, WRONGTYPE.
fn create_consumer(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 2), args.get(3));
    find(cx, key, name)?;
    let now_ms = cx.now_ms();
    let created = edit(cx, key, Missing::Skip, |stream| {
        let group = stream.group_mut(name).expect("the group was just seen");
        let (_, is_new) = super::consumer_of(group, args.get(4), now_ms);
        (is_new, u64::from(is_new))
    })?;
    if created == Some(true) {
        notify(cx, "xgroup-createconsumer", key);
    }
    cx.reply.int(i64::from(created == Some(true)));
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer` -> how many entries were pending for it. Errors:
/// NOGROUP, no such key, WRONGTYPE.
fn delete_consumer(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args, 2), args.get(3));
    find(cx, key, name)?;
    let deleted = edit(cx, key, Missing::Skip, |stream| {
        let group = stream.group_mut(name).expect("the group was just seen");
        let number = group.find_shown(args.get(4));
        let pending = number.map(|number| group.delete_consumer(number));
        (pending, u64::from(pending.is_some()))
    })?
    .flatten();
    if deleted.is_some() {
        notify(cx, "xgroup-delconsumer", key);
    }
    cx.reply.int(deleted.unwrap_or(0) as i64);
    Ok(())
}
