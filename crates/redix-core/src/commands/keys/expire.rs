//! Expiry commands: setting, reading and removing a key's expiry.
//!
//! A relative time is logged as an absolute one (`PEXPIREAT key ms`), and a time that has passed as
//! the deletion of the key, so that replicas and the append-only file do not depend on when they
//! apply it.

use redix_types::entry::EntryRef;

use crate::command::args::{Args, Options};
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::string::options;
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};

/// Commands: EXPIRE, EXPIREAT, EXPIRETIME, PERSIST, PEXPIRE, PEXPIREAT, PEXPIRETIME, PTTL and TTL.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "expire",
        Group::Generic,
        -3,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        expire,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .doc("Lets a key expire after some seconds.")
    .history(&[("7.0.0", "Options NX, XX, GT and LT.")])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("seconds", ArgKind::Integer),
        CONDITION.since("7.0.0"),
    ]),
    CommandSpec::write(
        "expireat",
        Group::Generic,
        -3,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        expireat,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("1.2.0")
    .doc("Lets a key expire at a Unix time in seconds.")
    .history(&[("7.0.0", "Options NX, XX, GT and LT.")])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("unix-time-seconds", ArgKind::UnixTime),
        CONDITION.since("7.0.0"),
    ]),
    CommandSpec::read(
        "expiretime",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        expiretime,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("7.0.0")
    .doc("Returns when a key expires, as a Unix time in seconds.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "persist",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        persist,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("2.2.0")
    .doc("Removes a key's expiry.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::write(
        "pexpire",
        Group::Generic,
        -3,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        pexpire,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("2.6.0")
    .doc("Lets a key expire after some milliseconds.")
    .history(&[("7.0.0", "Options NX, XX, GT and LT.")])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("milliseconds", ArgKind::Integer),
        CONDITION.since("7.0.0"),
    ]),
    CommandSpec::write(
        "pexpireat",
        Group::Generic,
        -3,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        pexpireat,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("2.6.0")
    .doc("Lets a key expire at a Unix time in milliseconds.")
    .history(&[("7.0.0", "Options NX, XX, GT and LT.")])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime),
        CONDITION.since("7.0.0"),
    ]),
    CommandSpec::read(
        "pexpiretime",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        pexpiretime,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("7.0.0")
    .doc("Returns when a key expires, as a Unix time in milliseconds.")
    .args(&[ArgSpec::key("key")]),
    CommandSpec::read(
        "pttl",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        pttl,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .since("2.6.0")
    .doc("Returns the milliseconds until a key expires.")
    .history(&[("2.8.0", "Answers -2 where there is no key.")])
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
    CommandSpec::read(
        "ttl",
        Group::Generic,
        2,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        ttl,
    )
    .flags(flag::FAST | flag::BRIEF)
    .acl(acl::KEYSPACE)
    .doc("Returns the seconds until a key expires.")
    .history(&[("2.8.0", "Answers -2 where there is no key.")])
    .args(&[ArgSpec::key("key")])
    .tips(&["nondeterministic_output"]),
];

/// Describes the conditions NX, XX, GT and LT.
pub(in crate::commands) const CONDITION: ArgSpec = ArgSpec::new(
    "condition",
    ArgKind::OneOf(&[
        ArgSpec::word("nx", "NX"),
        ArgSpec::word("xx", "XX"),
        ArgSpec::word("gt", "GT"),
        ArgSpec::word("lt", "LT"),
    ]),
)
.optional();

/// The unit of a time in a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    /// A non-negative time in this unit, rounded half up.
    pub(in crate::commands) fn of_ms(self, ms: i64) -> i64 {
        match self {
            Unit::Seconds => ms / 1000 + i64::from(ms % 1000 >= 500),
            Unit::Milliseconds => ms,
        }
    }
}

/// The reference point of a time in a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Base {
    Now,
    Epoch,
}

/// The conditions NX, XX, GT and LT.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(in crate::commands) struct Conditions {
    /// Only if the key has no expiry.
    nx: bool,
    /// Only if the key has an expiry.
    xx: bool,
    /// Only if later than the present expiry; no expiry counts as the latest.
    gt: bool,
    /// Only if earlier than the present expiry.
    lt: bool,
}

impl Conditions {
    pub(in crate::commands) fn parse(mut options: Options<'_>) -> Result<Self, ReplyError> {
        let mut parsed = Self::default();
        while options.more() {
            if options.eat("NX") {
                parsed.nx = true;
            } else if options.eat("XX") {
                parsed.xx = true;
            } else if options.eat("GT") {
                parsed.gt = true;
            } else if options.eat("LT") {
                parsed.lt = true;
            } else {
                let word = options.take().unwrap_or_default();
                return Err(ReplyError::quoting("Unsupported option ", word, ""));
            }
        }
        if parsed.nx && (parsed.xx || parsed.gt || parsed.lt) {
            return Err(ReplyError::Static(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if parsed.gt && parsed.lt {
            return Err(ReplyError::Static(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(parsed)
    }

    /// Whether the expiry may change to `at_ms` where the present one is `present`.
    pub(in crate::commands) fn allow(self, present: Option<i64>, at_ms: i64) -> bool {
        match present {
            None => !self.xx && !self.gt,
            Some(present) => {
                !self.nx && (!self.gt || at_ms > present) && (!self.lt || at_ms < present)
            }
        }
    }
}

/// `EXPIRE key seconds [NX | XX | GT | LT]` -> 1 if set, else 0. Logged as `PEXPIREAT` with the
/// same options or, where the time is over, as the deletion; events `expire` and `expired`.
fn expire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expire(cx, args, options::Unit::Seconds)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`: as EXPIRE.
fn pexpire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expire(cx, args, options::Unit::Millis)
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`: as EXPIRE.
fn expireat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expire(cx, args, options::Unit::UnixSeconds)
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`: as EXPIRE.
fn pexpireat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expire(cx, args, options::Unit::UnixMillis)
}

fn set_expire(cx: &mut Ctx<'_, '_>, args: Args<'_>, unit: options::Unit) -> CommandResult {
    let conditions = Conditions::parse(args.options(3))?;
    let (given, name) = ((unit, args.get(2)), cx.command.spec.name);
    let at_ms = options::expire_from(i64::MIN, given, cx.now_ms(), name)?;
    let key = cx.key(args, 1);
    let present = cx.keys.lookup_any_write(key).map(EntryRef::expire_at_ms);
    if !present.is_some_and(|present| conditions.allow(present, at_ms)) {
        cx.reply.int(0);
        return Ok(());
    }
    let (past, keys) = (cx.is_past(at_ms), &mut *cx.keys);
    if past {
        keys.delete_expired(key);
        keys.effects.log(keys.db, &[keys.expired_as, key.bytes]);
    } else {
        keys.set_expire(key, Some(at_ms));
        // `PEXPIREAT` is already in its replicated form: log verbatim.
        let needed = unit != options::Unit::UnixMillis;
        if needed && keys.effects.recording() {
            let at = at_ms.to_string();
            let mut argv = vec![b"PEXPIREAT".as_slice(), key.bytes, at.as_bytes()];
            argv.extend(args.iter_from(3));
            keys.effects.log(keys.db, &argv);
        }
        keys.effects.notify(class::GENERIC, "expire", keys.db, key.bytes);
    }
    cx.reply.int(1);
    Ok(())
}

/// `TTL key` -> seconds, -1 without an expiry, -2 without a key.
fn ttl(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Seconds, Base::Now)
}

/// `PTTL key` -> milliseconds, else as TTL.
fn pttl(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Milliseconds, Base::Now)
}

/// `EXPIRETIME key` -> Unix time in seconds, else as TTL.
fn expiretime(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Seconds, Base::Epoch)
}

/// `PEXPIRETIME key` -> Unix time in milliseconds, else as TTL.
fn pexpiretime(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Milliseconds, Base::Epoch)
}

fn report(cx: &mut Ctx<'_, '_>, args: Args<'_>, unit: Unit, base: Base) -> CommandResult {
    let base_ms = if base == Base::Now { cx.now_ms() } else { 0 };
    let key = cx.key(args, 1);
    let answer = match cx.keys.lookup_untouched(key).map(EntryRef::expire_at_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => unit.of_ms((at_ms - base_ms).max(0)),
    };
    cx.reply.int(answer);
    Ok(())
}

/// `PERSIST key` -> 1 if an expiry was removed, else 0. Logged verbatim; event `persist`.
fn persist(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let volatile = cx.keys.lookup_any_write(key).is_some_and(EntryRef::has_expiry);
    if volatile {
        cx.keys.set_expire(key, None);
        cx.keys.effects.notify(class::GENERIC, "persist", cx.keys.db, key.bytes);
    }
    cx.reply.int(i64::from(volatile));
    Ok(())
}

#[cfg(test)]
mod tests;
