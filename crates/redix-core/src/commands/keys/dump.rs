//! DUMP and RESTORE: a value as a serialised payload.

use redix_types::num;

use crate::command::args::{Args, Options};
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string::encode;
use crate::effects::{Request, class};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{LRU_MASK, lfu_minutes};
use crate::migration::encoder;
use crate::rdb::format::{ChecksumPolicy, RdbString, RdbValue};
use crate::rdb::read::{DumpReader, ReadOptions};
use crate::sync::atomic::Ordering;

/// Commands: DUMP and RESTORE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "dump",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        dump,
    )
    .acl(acl::KEYSPACE)
    .since("2.6.0")
    .complexity("O(N), N being the size of the value.")
    .doc("Returns a key's value in the form that RESTORE takes.")
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
    CommandSpec::write(
        "restore",
        Group::Generic,
        -4,
        const { &[KeySpec::one(1, access::OW | access::UPDATE)] },
        restore,
    )
    .flags(flag::DENYOOM)
    .acl(acl::KEYSPACE | acl::DANGEROUS)
    .since("2.6.0")
    .complexity("O(N), N being the size of the value; O(N*log(N)) for sorted sets.")
    .doc("Makes a key of what DUMP returned.")
    .history(&[
        ("3.0.0", "Option REPLACE."),
        ("5.0.0", "Option ABSTTL."),
        ("5.0.0", "Options IDLETIME and FREQ."),
    ])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("ttl", ArgKind::Integer),
        ArgSpec::new("serialized-value", ArgKind::String),
        ArgSpec::word("replace", "REPLACE").optional().since("3.0.0"),
        ArgSpec::word("absttl", "ABSTTL").optional().since("5.0.0"),
        ArgSpec::new("seconds", ArgKind::Integer).token("IDLETIME").optional().since("5.0.0"),
        ArgSpec::new("frequency", ArgKind::Integer).token("FREQ").optional().since("5.0.0"),
    ]),
];

/// `DUMP key` -> the payload, or null. Its version is that of `rdb-version`.
fn dump(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let Some(entry) = cx.keys.lookup_read(key) else {
        cx.reply.null();
        return Ok(());
    };
    cx.reply.bulk(&encoder(cx.config).dump(entry.value()));
    Ok(())
}

/// How payloads are decoded: DEBUG may have disabled checksums, `rdb-version-check` the refusal of
/// unknown versions.
pub(crate) fn read_options(cx: &Ctx<'_, '_>) -> ReadOptions {
    let checksums = if cx.engine.skip_checksums.load(Ordering::Relaxed) {
        ChecksumPolicy::Ignore
    } else {
        ChecksumPolicy::Verify
    };
    ReadOptions { checksums, ..ReadOptions::new(cx.config, *cx.keys.keyspace.hasher()) }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    freq: Option<u8>,
}

impl RestoreOptions {
    fn parse(mut options: Options<'_>) -> Result<Self, ReplyError> {
        let mut parsed = Self::default();
        let int = |word| num::parse_i64(word).ok_or(ReplyError::NotInteger);
        while options.more() {
            if options.eat("REPLACE") {
                parsed.replace = true;
            } else if options.eat("ABSTTL") {
                parsed.absolute = true;
            } else if parsed.freq.is_none()
                && let Some(word) = options.eat_value("IDLETIME")
            {
                let seconds = Some(int(word)?).filter(|seconds| *seconds >= 0);
                parsed.idle_seconds = Some(
                    seconds
                        .ok_or(ReplyError::Static("ERR Invalid IDLETIME value, must be >= 0"))?,
                );
            } else if parsed.idle_seconds.is_none()
                && let Some(word) = options.eat_value("FREQ")
            {
                let freq = u8::try_from(int(word)?);
                parsed.freq = Some(freq.map_err(|_| {
                    ReplyError::Static("ERR Invalid FREQ value, must be >= 0 and <= 255")
                })?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ counter]` -> OK. Errors:
/// BUSYKEY, a wrong payload, a negative ttl. Logged with the expiry as an absolute time, or as the
/// deletion of what it replaced where that time is over; event `restore`.
fn restore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = RestoreOptions::parse(args.options(4))?;
    let key = cx.key(args, 1);
    if !options.replace && cx.keys.lookup_any_write(key).is_some() {
        return Err(ReplyError::Static("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = args.int(2)?;
    if ttl_ms < 0 {
        return Err(ReplyError::Static("ERR Invalid TTL value, must be >= 0"));
    }
    let mut reader = DumpReader::open(args.get(3), read_options(cx))
        .map_err(|_| ReplyError::Static("ERR DUMP payload version or checksum are wrong"))?;
    let value = reader.value().map_err(|error| {
        cx.requests.push(Request::Warn(format!("Bad data format in RESTORE {error}")));
        ReplyError::Static("ERR Bad data format")
    })?;
    let value = match value {
        RdbValue::Str(RdbString::Bytes(bytes)) => {
            cx.keys.keyspace.fence().note(bytes);
            encode(bytes)?
        }
        other => other.into_value(),
    };
    let expire_at_ms = match (ttl_ms, options.absolute) {
        (0, _) => None,
        (at_ms, true) => Some(at_ms),
        // Wraps as in the real servers: a time that cannot be represented has passed.
        (ttl_ms, false) => Some(ttl_ms.wrapping_add(cx.now_ms())),
    };
    match expire_at_ms {
        Some(at_ms) if cx.is_past(at_ms) => delete_replaced(cx, key),
        _ => {
            let age = age(cx, &options);
            cx.keys.put(key, value, expire_at_ms, age);
            if let (Some(at_ms), false) = (expire_at_ms, options.absolute) {
                log_absolute(cx, args, at_ms);
            }
            cx.keys.effects.notify(class::GENERIC, "restore", cx.keys.db, key.bytes);
        }
    }
    cx.reply.ok();
    Ok(())
}

/// Deletes the key that a RESTORE with an expiry in the past replaces.
fn delete_replaced(cx: &mut Ctx<'_, '_>, key: Key<'_>) {
    let word: &[u8] = if cx.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
    if cx.keys.delete(key) {
        cx.keys.effects.log(cx.keys.db, &[word, key.bytes]);
        cx.keys.effects.notify(class::GENERIC, "del", cx.keys.db, key.bytes);
    }
}

fn log_absolute(cx: &mut Ctx<'_, '_>, args: Args<'_>, at_ms: i64) {
    if !cx.keys.effects.recording() {
        return;
    }
    let at = at_ms.to_string();
    let mut words: Vec<&[u8]> = args.iter_from(0).collect();
    words[2] = at.as_bytes();
    words.push(b"ABSTTL");
    cx.keys.effects.log(cx.keys.db, &words);
}

/// The LRU or LFU field that the options set, where the eviction policy uses it.
fn age(cx: &Ctx<'_, '_>, options: &RestoreOptions) -> u32 {
    match (cx.keys.ageing.lfu, options.freq, options.idle_seconds) {
        (true, Some(freq), _) => lfu_minutes(cx.now_ms()) << 8 | u32::from(freq),
        (false, _, Some(seconds)) => {
            // Both clocks are modulo 2^24, so truncating the difference is right.
            cx.keys.lru_clock().wrapping_sub(seconds as u32) & LRU_MASK
        }
        _ => cx.keys.new_age(),
    }
}

#[cfg(test)]
mod tests;
