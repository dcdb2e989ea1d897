//! COPY, MOVE, RENAME and RENAMENX.

use crate::command::args::{Args, Options, name_databases, parse_db};
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Databases, Group, KeySpec, access, acl, flag,
};
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use redix_types::entry::EntryRef;

/// Commands: COPY, MOVE, RENAME and RENAMENX.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "copy",
        Group::Generic,
        -3,
        const {
            &[
                KeySpec::one(1, access::RO | access::ACCESS),
                KeySpec::one(2, access::OW | access::UPDATE),
            ]
        },
        copy,
    )
    .flags(flag::DENYOOM)
    .acl(acl::KEYSPACE)
    .databases(Databases::SelectedAndNamed(databases_of_copy))
    .since("6.2.0")
    .complexity("O(1) for strings; O(N) for collections, N being the number of elements.")
    .doc("Copies a key, with its expiry, to another key or database.")
    .args(&[
        ArgSpec::key("source"),
        ArgSpec::new("destination", ArgKind::Key(1)),
        ArgSpec::new("destination-db", ArgKind::Integer).token("DB").optional(),
        ArgSpec::word("replace", "REPLACE").optional(),
    ]),
    CommandSpec::write(
        "move",
        Group::Generic,
        3,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        move_key,
    )
    .flags(flag::FAST)
    .acl(acl::KEYSPACE)
    .databases(Databases::SelectedAndNamed(database_of_move))
    .doc("Moves a key to another database.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("db", ArgKind::Integer)]),
    CommandSpec::write(
        "rename",
        Group::Generic,
        3,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::OW | access::UPDATE),
            ]
        },
        rename,
    )
    .acl(acl::KEYSPACE)
    .doc("Gives a key another name, in place of the key that had it.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("newkey", ArgKind::Key(1))]),
    CommandSpec::write(
        "renamenx",
        Group::Generic,
        3,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::OW | access::INSERT),
            ]
        },
        renamenx,
    )
    .flags(flag::FAST)
    .acl(acl::KEYSPACE)
    .doc("Gives a key another name unless there is a key of that name.")
    .history(&[("3.2.0", "A key may be renamed to itself.")])
    .args(&[ArgSpec::key("key"), ArgSpec::new("newkey", ArgKind::Key(1))]),
];

const SAME_OBJECTS: ReplyError =
    ReplyError::Static("ERR source and destination objects are the same");

struct CopyOptions {
    db: Option<u32>,
    replace: bool,
}

impl CopyOptions {
    fn parse(mut options: Options<'_>, databases: u32) -> Result<Self, ReplyError> {
        let mut parsed = Self { db: None, replace: false };
        while options.more() {
            if options.eat("REPLACE") {
                parsed.replace = true;
            } else if let Some(word) = options.eat_value("DB") {
                parsed.db = Some(parse_db(word, databases)?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }
}

/// The databases that COPY names: each that it is given.
fn databases_of_copy(args: Args<'_>, count: u32, out: &mut Vec<(usize, u32)>) -> bool {
    let mut options = args.options(3);
    while options.more() {
        if options.eat("REPLACE") {
            continue;
        }
        let word = options.position() + 1;
        if options.eat_value("DB").is_none() || !name_databases(args, [word], count, out) {
            return false;
        }
    }
    true
}

/// The database that MOVE names.
fn database_of_move(args: Args<'_>, count: u32, out: &mut Vec<(usize, u32)>) -> bool {
    name_databases(args, [2], count, out)
}

/// `COPY source destination [DB db] [REPLACE]` -> 1 if copied, else 0. Expired fields of a hash are
/// not copied. Logged verbatim, and with HDEL for what was not copied; event `copy_to` in the
/// destination's database.
fn copy(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = CopyOptions::parse(args.options(3), cx.engine.keyspace.databases())?;
    let db = options.db.unwrap_or(cx.keys.db);
    let (from, to) = (cx.key(args, 1), cx.key(args, 2));
    if db == cx.keys.db && from.bytes == to.bytes {
        return Err(SAME_OBJECTS);
    }
    let may_copy =
        cx.keys.lookup_read(from).is_some() && (options.replace || !cx.keys.exists_in(db, to));
    if may_copy && cx.has_quotas() {
        let bytes = cx.keys.view(from).map_or(0, EntryRef::memory_usage);
        cx.admit_growth(db, bytes as u64)?;
    }
    let left_out = if may_copy { cx.keys.copy_to(from, db, to) } else { None };
    if let Some(fields) = &left_out {
        cx.keys.effects.notify(class::GENERIC, "copy_to", db, to.bytes);
        if !fields.is_empty() {
            log_without(cx, args, fields, (db, to));
        }
    }
    cx.reply.int(i64::from(left_out.is_some()));
    Ok(())
}

/// The most fields that one HDEL names.
const FIELDS_PER_RECORD: usize = 1024;

/// Logs COPY, and that the copy lacks these fields: when another server executes it, they may not
/// have expired there.
fn log_without(cx: &mut Ctx<'_, '_>, args: Args<'_>, fields: &[Vec<u8>], (db, to): (u32, Key<'_>)) {
    if !cx.keys.effects.recording() {
        return;
    }
    let words: Vec<&[u8]> = args.iter_from(0).collect();
    cx.keys.effects.log(cx.keys.db, &words);
    for fields in fields.chunks(FIELDS_PER_RECORD) {
        let mut words = vec![b"HDEL".as_slice(), to.bytes];
        words.extend(fields.iter().map(Vec::as_slice));
        cx.keys.effects.log_also(db, &words);
    }
}

/// `MOVE key db` -> 1 if moved, else 0. Logged verbatim; events `move_from` and `move_to`.
fn move_key(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (from_db, db) = (cx.keys.db, parse_db(args.get(2), cx.engine.keyspace.databases())?);
    if db == from_db {
        return Err(SAME_OBJECTS);
    }
    let key = cx.key(args, 1);
    let may_move = cx.keys.lookup_any_write(key).is_some() && !cx.keys.exists_in(db, key);
    if may_move && cx.has_quotas() {
        let bytes = cx.keys.view(key).map_or(0, EntryRef::memory_usage);
        cx.admit_arrival(db, bytes as u64)?;
    }
    let moved = may_move && cx.keys.move_to(key, db);
    if moved {
        cx.keys.effects.notify(class::GENERIC, "move_from", from_db, key.bytes);
        cx.keys.effects.notify(class::GENERIC, "move_to", db, key.bytes);
    }
    cx.reply.int(i64::from(moved));
    Ok(())
}

/// Whether an existing destination is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Replace,
    Refuse,
}

/// `RENAME key newkey` -> OK. Errors: no such key. Logged verbatim; events `rename_from` and
/// `rename_to`.
fn rename(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    give_name(cx, args, Taken::Replace)?;
    cx.reply.ok();
    Ok(())
}

/// `RENAMENX key newkey` -> 1 if renamed, 0 if newkey exists. Otherwise as RENAME.
fn renamenx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let renamed = give_name(cx, args, Taken::Refuse)?;
    cx.reply.int(i64::from(renamed));
    Ok(())
}

fn give_name(cx: &mut Ctx<'_, '_>, args: Args<'_>, taken: Taken) -> Result<bool, ReplyError> {
    let (from, to) = (cx.key(args, 1), cx.key(args, 2));
    let (db, keys) = (cx.keys.db, &mut *cx.keys);
    if keys.lookup_any_write(from).is_none() {
        return Err(ReplyError::NoSuchKey);
    }
    if from.bytes == to.bytes || taken == Taken::Refuse && keys.exists(to) {
        return Ok(false);
    }
    keys.relocate(from, to);
    keys.effects.notify(class::GENERIC, "rename_from", db, from.bytes);
    keys.effects.notify(class::GENERIC, "rename_to", db, to.bytes);
    Ok(true)
}
