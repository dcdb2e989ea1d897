//! DIGEST, and DELEX, which deletes a key if its string or the digest of it is as expected.
//!
//! Source: the documentation of Redis 8.4.

use redix_types::entry::{EntryRef, IntBuf, Kind};
use redix_types::xxh3::xxh3_64;

use super::{log, notify_generic};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};

/// Commands: DELEX and DIGEST.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "delex",
        Group::String,
        -2,
        const { &[KeySpec::one(1, access::RW | access::DELETE | access::VARIABLE_FLAGS)] },
        delex,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("8.4.0")
    .complexity("O(1) with IFEQ and IFNE, else O(N) where N is the length of the string.")
    .doc("Deletes a key, if wanted only where its string or the digest of it is as expected.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new(
            "condition",
            ArgKind::OneOf(&[
                ArgSpec::new("ifeq-value", ArgKind::String).token("IFEQ"),
                ArgSpec::new("ifne-value", ArgKind::String).token("IFNE"),
                ArgSpec::new("ifdeq-digest", ArgKind::String).token("IFDEQ"),
                ArgSpec::new("ifdne-digest", ArgKind::String).token("IFDNE"),
            ]),
        )
        .optional(),
    ]),
    CommandSpec::read(
        "digest",
        Group::String,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        digest,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .since("8.4.0")
    .complexity("O(N) where N is the length of the string.")
    .doc("Returns a digest of the string at a key.")
    .args(&[ArgSpec::key("key")]),
];

/// Hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// Whether an entry holds this string.
pub(super) fn is_value(entry: EntryRef<'_>, wanted: &[u8]) -> bool {
    entry.value().string_bytes(&mut IntBuf::new()) == wanted
}

/// Whether the string in an entry has this digest. Errors: its length.
pub(super) fn has_digest(entry: EntryRef<'_>, wanted: &[u8]) -> Result<bool, ReplyError> {
    match wanted.len() {
        DIGITS => Ok(digest_of(entry).as_bytes().eq_ignore_ascii_case(wanted)),
        _ => Err(ReplyError::Static("ERR digest must be exactly 16 hexadecimal characters")),
    }
}

fn digest_of(entry: EntryRef<'_>) -> String {
    let digest = xxh3_64(entry.value().string_bytes(&mut IntBuf::new()));
    format!("{digest:0DIGITS$x}")
}

/// `DIGEST key` -> XXH3 of the string in hexadecimal, or null if there is no key. Errors:
/// WRONGTYPE.
fn digest(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    match cx.keys.lookup_kind(key, Kind::String)?.map(digest_of) {
        Some(digest) => cx.reply.bulk_str(&digest),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `DELEX key [IFEQ | IFNE value | IFDEQ | IFDNE digest]` -> 1 if the key was deleted, 0 if there
/// was none or the condition does not hold. Errors, only where there is a key: a condition on
/// another type, the arity, an unknown condition, a digest of another length. Logged as `DEL`.
fn delex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let deletes = match cx.keys.lookup_any_write(key) {
        None => false,
        Some(_) if args.len() == 2 => true,
        Some(entry) => holds(entry, args)?,
    };
    if deletes {
        cx.keys.delete(key);
        notify_generic(cx, "del", key);
        log(cx, &[b"DEL", key.bytes]);
    }
    cx.reply.int(i64::from(deletes));
    Ok(())
}

/// Whether the condition at argument 2 holds for an entry.
fn holds(entry: EntryRef<'_>, args: Args<'_>) -> Result<bool, ReplyError> {
    const NO_STRING: ReplyError =
        ReplyError::Static("ERR Key should be of string type if conditions are specified");
    const UNKNOWN: ReplyError =
        ReplyError::Static("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
    if entry.kind() != Kind::String {
        return Err(NO_STRING);
    }
    if args.len() != 4 {
        return Err(ReplyError::WrongArity("delex".into()));
    }
    let wanted = args.get(3);
    match () {
        () if args.is(2, "IFEQ") => Ok(is_value(entry, wanted)),
        () if args.is(2, "IFNE") => Ok(!is_value(entry, wanted)),
        () if args.is(2, "IFDEQ") => has_digest(entry, wanted),
        () if args.is(2, "IFDNE") => has_digest(entry, wanted).map(|is_equal| !is_equal),
        () => Err(UNKNOWN),
    }
}
