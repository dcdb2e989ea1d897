//! Commands that write whole strings: SET and its relatives, MSET, MSETNX, MSETEX, DELIFEQ.

use redix_types::entry::{EntryRef, IntBuf, Kind, Value};
use smallvec::SmallVec;

use super::digest::{has_digest, is_value};
use super::options::{Condition, EXPIRE_OR_KEEP, Expire, Grammar, Options, Unit, expire_at_ms};
use super::{encode_word, log, log_set_at, notify, notify_generic, reply_string, store};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, Begin, CommandSpec, Find, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Ttl;

/// Commands: SET, SETEX, PSETEX, SETNX, MSET, MSETNX, MSETEX and DELIFEQ.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "set",
        Group::String,
        -3,
        const {
            &[KeySpec::one(
                1,
                access::RW | access::ACCESS | access::UPDATE | access::VARIABLE_FLAGS,
            )
            .notes("RW and ACCESS because of `GET`")]
        },
        set,
    )
    .key_access(set_key_access)
    .flags(flag::DENYOOM | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Gives a key a string value, whatever it held before.")
    .history(&[
        ("2.6.12", "`EX`, `PX`, `NX` and `XX`."),
        ("6.0.0", "`KEEPTTL`."),
        ("6.2.0", "`GET`, `EXAT` and `PXAT`."),
        ("7.0.0", "`NX` and `GET` may be given together."),
        ("8.1.0", "`IFEQ`."),
        ("8.4.0", "`IFNE`, `IFDEQ` and `IFDNE`."),
    ])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("value", ArgKind::String),
        ArgSpec::new(
            "condition",
            ArgKind::OneOf(&[
                ArgSpec::word("nx", "NX").since("2.6.12"),
                ArgSpec::word("xx", "XX").since("2.6.12"),
                ArgSpec::new("comparison-value", ArgKind::String)
                    .token("IFEQ")
                    .summary("Only if the key holds this string.")
                    .since("8.1.0"),
                ArgSpec::new("ifne-value", ArgKind::String).token("IFNE").since("8.4.0"),
                ArgSpec::new("ifdeq-digest", ArgKind::String).token("IFDEQ").since("8.4.0"),
                ArgSpec::new("ifdne-digest", ArgKind::String).token("IFDNE").since("8.4.0"),
            ]),
        )
        .optional(),
        ArgSpec::word("get", "GET").since("6.2.0").optional(),
        ArgSpec::new(
            "expiration",
            ArgKind::OneOf(&[
                ArgSpec::new("seconds", ArgKind::Integer).token("EX").since("2.6.12"),
                ArgSpec::new("milliseconds", ArgKind::Integer).token("PX").since("2.6.12"),
                ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT").since("6.2.0"),
                ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime)
                    .token("PXAT")
                    .since("6.2.0"),
                ArgSpec::word("keepttl", "KEEPTTL").since("6.0.0"),
            ]),
        )
        .optional(),
    ]),
    CommandSpec::write(
        "setex",
        Group::String,
        4,
        const { &[KeySpec::one(1, access::OW | access::UPDATE)] },
        setex,
    )
    .flags(flag::DENYOOM | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("2.0.0")
    .doc("Gives a key a string that expires after some seconds.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("seconds", ArgKind::Integer),
        ArgSpec::new("value", ArgKind::String),
    ]),
    CommandSpec::write(
        "psetex",
        Group::String,
        4,
        const { &[KeySpec::one(1, access::OW | access::UPDATE)] },
        psetex,
    )
    .flags(flag::DENYOOM | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("2.6.0")
    .doc("Gives a key a string that expires after some milliseconds.")
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("milliseconds", ArgKind::Integer),
        ArgSpec::new("value", ArgKind::String),
    ]),
    CommandSpec::write(
        "setnx",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::OW | access::INSERT)] },
        setnx,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .doc("Gives a key a string, but only if the key does not exist.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
    CommandSpec::write(
        "mset",
        Group::String,
        -3,
        const { &[KeySpec::range(1, -1, 2, access::OW | access::UPDATE)] },
        mset,
    )
    .flags(flag::DENYOOM)
    .acl(acl::STRING)
    .since("1.0.1")
    .complexity("O(N) where N is how many keys are set.")
    .doc("Gives several keys their strings at once.")
    .args(&[ArgSpec::new(
        "data",
        ArgKind::Block(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
    )
    .multiple()])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    CommandSpec::write(
        "msetnx",
        Group::String,
        -3,
        const { &[KeySpec::range(1, -1, 2, access::OW | access::INSERT)] },
        msetnx,
    )
    .flags(flag::DENYOOM)
    .acl(acl::STRING)
    .since("1.0.1")
    .complexity("O(N) where N is how many keys are set.")
    .doc("Gives several keys their strings at once, but only if none of them exists.")
    .args(&[ArgSpec::new(
        "data",
        ArgKind::Block(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
    )
    .multiple()]),
    CommandSpec::write(
        "msetex",
        Group::String,
        -4,
        const {
            &[KeySpec {
                access: access::OW | access::UPDATE,
                begin: Begin::Index(1),
                find: Find::KeyNum { keynum: 0, first: 1, step: 2 },
                notes: None,
            }]
        },
        msetex,
    )
    .flags(flag::DENYOOM | flag::MOVABLEKEYS)
    .acl(acl::STRING)
    .since("9.1.0")
    .complexity("O(N) where N is how many keys are set.")
    .doc("Gives several keys their strings and one expiry at once, on a condition if wanted.")
    .args(&[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::new(
            "data",
            ArgKind::Block(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
        )
        .multiple(),
        ArgSpec::new(
            "condition",
            ArgKind::OneOf(&[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]),
        )
        .optional(),
        EXPIRE_OR_KEEP,
    ])
    .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    CommandSpec::write(
        "delifeq",
        Group::String,
        3,
        const { &[KeySpec::one(1, access::RM | access::DELETE)] },
        delifeq,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::STRING)
    .log_as(LogAs::Effect)
    .since("9.0.0")
    .doc("Deletes a key if it holds this string.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("value", ArgKind::String)]),
];

/// `SET key value [NX | XX | IFEQ | IFNE value | IFDEQ | IFDNE digest] [GET]
/// [EX | PX | EXAT | PXAT time | KEEPTTL]` -> OK, or null if the condition does not hold; with
/// `GET` the old value or null. Errors: the grammar's, WRONGTYPE under `GET` and comparisons, a
/// digest of another length where there is a key. Logged verbatim, without `GET` and the
/// conditions that only Redis 8.4 knows; with `PXAT` as it came, with another time as
/// `SET key value PXAT time`; or as the deletion of an expired key where that time has passed.
fn set(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    if args.len() > 3 {
        return set_with_options(cx, args, key);
    }
    store(cx, key, args, 2, Ttl::Clear)?;
    cx.reply.ok();
    Ok(())
}

fn set_key_access(args: Args<'_>) -> u32 {
    let gets = (3..args.len()).any(|index| args.is(index, "GET"));
    if gets { access::RW | access::ACCESS | access::UPDATE } else { access::OW | access::UPDATE }
}

fn set_with_options(cx: &mut Ctx<'_, '_>, args: Args<'_>, key: Key<'_>) -> CommandResult {
    let options = Options::parse(args, 3, Grammar::Set)?;
    let at_ms = options.at_ms(cx.now_ms(), "set")?;
    if options.get {
        match cx.keys.lookup_kind(key, Kind::String)? {
            Some(entry) => reply_string(cx.reply, entry),
            None => cx.reply.null(),
        }
    }
    if !holds(cx, key, options.condition)? {
        if !options.get {
            cx.reply.null();
        }
        return Ok(());
    }
    match at_ms {
        Some(at_ms) if cx.is_past(at_ms) => expire_at_once(cx, key),
        Some(at_ms) => {
            store(cx, key, args, 2, Ttl::At(at_ms))?;
            notify_generic(cx, "expire", key);
            if cx.from_primary() {
                cx.keys.keyspace.fence().note(args.get(2));
            }
            // With `PXAT` it is already in its replicated form: log verbatim.
            if !options.is_at_unix_ms() || options.condition.is_of_redis() {
                log_set_at(cx, key, args.get(2), at_ms);
            }
        }
        None => {
            let keep = options.expire == Expire::Keep;
            store(cx, key, args, 2, if keep { Ttl::Keep } else { Ttl::Clear })?;
            if options.get || options.condition.is_of_redis() {
                log_as_widely_known(cx, args);
            }
        }
    }
    if !options.get {
        cx.reply.ok();
    }
    Ok(())
}

/// Whether the condition of a write holds. Errors: for comparisons WRONGTYPE, a digest of another
/// length.
fn holds(cx: &mut Ctx<'_, '_>, key: Key<'_>, condition: Condition<'_>) -> Result<bool, ReplyError> {
    Ok(match condition {
        Condition::Always => true,
        Condition::Missing => !cx.keys.exists(key),
        Condition::Exists => cx.keys.exists(key),
        Condition::Equals(wanted) => compare(cx, key, |entry| Ok(is_value(entry, wanted)))?,
        Condition::Differs(other) => !compare(cx, key, |entry| Ok(is_value(entry, other)))?,
        Condition::DigestEquals(wanted) => compare(cx, key, |entry| has_digest(entry, wanted))?,
        Condition::DigestDiffers(other) => !compare(cx, key, |entry| has_digest(entry, other))?,
    })
}

/// Whether there is a key and `compare` says yes to its string. Errors: WRONGTYPE, those of
/// `compare`.
fn compare(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    compare: impl FnOnce(EntryRef<'_>) -> Result<bool, ReplyError>,
) -> Result<bool, ReplyError> {
    cx.keys.lookup_write(key, Kind::String)?.map_or(Ok(false), compare)
}

/// Sets an expiry in the past: deletes the key as an expired one.
pub(super) fn expire_at_once(cx: &mut Ctx<'_, '_>, key: Key<'_>) {
    if cx.keys.delete_expired(key) {
        log(cx, &[cx.keys.expired_as, key.bytes]);
    }
}

/// Logs the command without what other servers may not know or need not answer.
fn log_as_widely_known(cx: &mut Ctx<'_, '_>, args: Args<'_>) {
    if !cx.keys.effects.recording() {
        return;
    }
    let mut argv: Vec<&[u8]> = args.iter_from(0).take(3).collect();
    let mut words = args.options(3);
    while let Some(word) = words.take() {
        if word.eq_ignore_ascii_case(b"GET") {
            continue;
        }
        if [&b"IFNE"[..], b"IFDEQ", b"IFDNE"].iter().any(|of| word.eq_ignore_ascii_case(of)) {
            words.take();
            continue;
        }
        argv.push(word);
        // The value of IFEQ may itself read `GET`.
        if word.eq_ignore_ascii_case(b"IFEQ") {
            argv.extend(words.take());
        }
    }
    log(cx, &argv);
}

/// `SETEX key seconds value` -> OK. Errors: NotInteger, invalid expire. Logged as `SET … PXAT`.
fn setex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_for(cx, args, Unit::Seconds, "setex")
}

/// `PSETEX key milliseconds value` -> OK. Errors and log as SETEX.
fn psetex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_for(cx, args, Unit::Millis, "psetex")
}

fn set_for(cx: &mut Ctx<'_, '_>, args: Args<'_>, unit: Unit, name: &'static str) -> CommandResult {
    let at_ms = expire_at_ms(unit, args.get(2), cx.now_ms(), name)?;
    let (key, value) = (cx.key(args, 1), args.get(3));
    store(cx, key, args, 3, Ttl::At(at_ms))?;
    notify_generic(cx, "expire", key);
    log_set_at(cx, key, value, at_ms);
    cx.reply.ok();
    Ok(())
}

/// `SETNX key value` -> 1 if the key was set, 0 if it exists.
fn setnx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let missing = !cx.keys.exists(key);
    if missing {
        store(cx, key, args, 2, Ttl::Clear)?;
    }
    cx.reply.int(i64::from(missing));
    Ok(())
}

/// `MSET key value …` -> OK. Errors: arity, if a key has no value.
fn mset(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(ReplyError::WrongArity("mset".into()));
    }
    store_pairs(cx, args, 1..args.len(), Ttl::Clear)?;
    cx.reply.ok();
    Ok(())
}

/// `MSETNX key value …` -> 1, or 0 if one of the keys exists. Errors as MSET.
fn msetnx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(ReplyError::WrongArity("msetnx".into()));
    }
    let free = all_hold(cx, args, 1..args.len(), Condition::Missing)?;
    if free {
        store_pairs(cx, args, 1..args.len(), Ttl::Clear)?;
    }
    cx.reply.int(i64::from(free));
    Ok(())
}

/// `MSETEX numkeys key value … [NX | XX] [EX | PX | EXAT | PXAT time | KEEPTTL]` -> 1, or 0 if the
/// condition does not hold for every key. Errors: a senseless number, the grammar's. Logged
/// verbatim, with any time as `PXAT` in its place.
fn msetex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    const NUMKEYS: ReplyError = ReplyError::Static("ERR invalid numkeys value or out of range");
    let count = args.int(1).map_err(|_| NUMKEYS)?;
    let count = i32::try_from(count).ok().filter(|count| *count > 0).ok_or(NUMKEYS)? as usize;
    let end = 2 + 2 * count;
    if end > args.len() {
        return Err(ReplyError::Syntax);
    }
    let options = Options::parse(args, end, Grammar::Msetex)?;
    let at_ms = options.at_ms(cx.now_ms(), "msetex")?;
    let allowed = all_hold(cx, args, 2..end, options.condition)?;
    if allowed {
        let ttl = match (at_ms, options.expire) {
            (Some(at_ms), _) => Ttl::At(at_ms),
            (None, Expire::Keep) => Ttl::Keep,
            (None, _) => Ttl::Clear,
        };
        store_pairs(cx, args, 2..end, ttl)?;
        if let Some(at_ms) = at_ms
            && !options.is_at_unix_ms()
        {
            log_msetex_at(cx, args, end, at_ms);
        }
    }
    cx.reply.int(i64::from(allowed));
    Ok(())
}

/// Logs MSETEX with its time, which stands among the words from `options` on, as `PXAT at`.
fn log_msetex_at(cx: &mut Ctx<'_, '_>, args: Args<'_>, options: usize, at_ms: i64) {
    if !cx.keys.effects.recording() {
        return;
    }
    let mut digits = IntBuf::new();
    let mut argv: Vec<&[u8]> = args.iter_from(0).collect();
    // The other options have no value.
    let time =
        (options..args.len()).find(|at| ["EX", "PX", "EXAT"].iter().any(|w| args.is(*at, w)));
    if let Some(at) = time {
        argv.splice(at..at + 2, [b"PXAT".as_slice(), digits.format(at_ms)]);
    }
    log(cx, &argv);
}

/// Whether the condition holds for every key of `key value` pairs.
fn all_hold(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    pairs: std::ops::Range<usize>,
    condition: Condition<'_>,
) -> Result<bool, ReplyError> {
    for index in pairs.step_by(2) {
        let key = cx.key(args, index);
        if !holds(cx, key, condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes `key value` pairs: all of them, or none if an allocation fails.
fn store_pairs(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    pairs: std::ops::Range<usize>,
    ttl: Ttl,
) -> CommandResult {
    let mut values: SmallVec<[(usize, Value<'_>); 8]> = SmallVec::new();
    for index in pairs.step_by(2) {
        values.push((index, encode_word(args, index + 1)?));
    }
    for (index, value) in values {
        let key = cx.key(args, index);
        cx.keys.set(key, value, ttl);
        notify(cx, "set", key);
        if matches!(ttl, Ttl::At(_)) {
            notify_generic(cx, "expire", key);
        }
    }
    Ok(())
}

/// `DELIFEQ key value` -> 1 if the key held this string and is deleted, else 0. Errors: WRONGTYPE.
/// Logged as `DEL`.
fn delifeq(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let equal = holds(cx, key, Condition::Equals(args.get(2)))?;
    if equal {
        cx.keys.delete(key);
        notify_generic(cx, "del", key);
        log(cx, &[b"DEL", key.bytes]);
    }
    cx.reply.int(i64::from(equal));
    Ok(())
}
