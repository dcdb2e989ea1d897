//! INCREX: adds to a number within bounds, and sets its expiry.
//!
//! Sources: the documentation of Redis 8.8, and for `NX` and `XX` that of Valkey 9.2 and its tests.

use std::ops::{Add, Sub};

use redix_types::entry::{EntryRef, IntBuf, Kind, Value};
use redix_types::num::{LongDouble, parse_i64};

use super::number::{float, integer};
use super::options::{EXPIRE_OR_PERSIST, Expire};
use super::set::expire_at_once;
use super::{encode_text, log, log_set_at, notify, notify_generic};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Ttl;

/// Commands: INCREX.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "increx",
    Group::String,
    -2,
    const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
    increx,
)
.flags(flag::DENYOOM | flag::FAST)
.acl(acl::STRING)
.log_as(LogAs::Effect)
.since("8.8.0")
.doc("Adds to the number at a key within bounds, and sets its expiry; a missing key counts as 0.")
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "increment",
        ArgKind::OneOf(&[
            ArgSpec::new("float", ArgKind::Double).token("BYFLOAT"),
            ArgSpec::new("integer", ArgKind::Integer).token("BYINT"),
        ]),
    )
    .optional(),
    ArgSpec::word("saturate", "SATURATE").optional(),
    ArgSpec::new("lowerbound", ArgKind::String).token("LBOUND").optional(),
    ArgSpec::new("upperbound", ArgKind::String).token("UBOUND").optional(),
    EXPIRE_OR_PERSIST,
    ArgSpec::word("enx", "ENX").optional(),
    ArgSpec::new(
        "condition",
        ArgKind::OneOf(&[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]),
    )
    .optional(),
])];

/// How much is added.
#[derive(Debug, Clone, Copy)]
enum Increment<'a> {
    Int(&'a [u8]),
    Float(&'a [u8]),
}

/// Whether there must be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Missing,
    Present,
}

#[derive(Debug, Default)]
struct Options<'a> {
    condition: Option<Condition>,
    increment: Option<Increment<'a>>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    expire: Expire<'a>,
    enx: bool,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, ReplyError> {
        const ENX: ReplyError = ReplyError::Static("ERR ENX flag requires an expiration");
        let mut words = args.options(2);
        let mut options = Self::default();
        while words.more() {
            if options.increment.is_none()
                && let Some(value) = words.eat_value("BYINT")
            {
                options.increment = Some(Increment::Int(value));
            } else if options.increment.is_none()
                && let Some(value) = words.eat_value("BYFLOAT")
            {
                options.increment = Some(Increment::Float(value));
            } else if let Some(value) = words.eat_value("LBOUND") {
                options.lower = Some(value);
            } else if let Some(value) = words.eat_value("UBOUND") {
                options.upper = Some(value);
            } else if options.condition.is_none() && words.eat("NX") {
                options.condition = Some(Condition::Missing);
            } else if options.condition.is_none() && words.eat("XX") {
                options.condition = Some(Condition::Present);
            } else if words.eat("SATURATE") {
                options.saturate = true;
            } else if words.eat("ENX") {
                options.enx = true;
            } else if words.eat("PERSIST") {
                options.expire.add(Expire::Persist)?;
            } else if !options.expire.eat_time(&mut words)? {
                return Err(ReplyError::Syntax);
            }
        }
        match options.expire {
            Expire::Persist if options.enx => Err(ReplyError::Syntax),
            Expire::Unsaid if options.enx => Err(ENX),
            _ => Ok(options),
        }
    }

    /// Whether the condition lets the number change, given the one at the key.
    fn allows<N>(&self, old: Option<&N>) -> bool {
        match self.condition {
            None => true,
            Some(Condition::Missing) => old.is_none(),
            Some(Condition::Present) => old.is_some(),
        }
    }

    /// The bounds, those of the type where none are given. Errors: those of `parse`, a lower one
    /// above the upper one.
    fn bounds<N: PartialOrd>(
        &self,
        limits: (N, N),
        parse: impl Fn(&[u8]) -> Result<N, ReplyError>,
    ) -> Result<Bounds<N>, ReplyError> {
        let lower = self.lower.map_or(Ok(limits.0), &parse)?;
        let upper = self.upper.map_or(Ok(limits.1), &parse)?;
        if lower > upper {
            return Err(ReplyError::Static("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(Bounds { lower, upper, saturate: self.saturate })
    }
}

/// What a result must not exceed.
#[derive(Debug, Clone, Copy)]
struct Bounds<N> {
    lower: N,
    upper: N,
    saturate: bool,
}

impl<N: Copy + PartialOrd> Bounds<N> {
    /// The result to be kept; None if it is out of bounds and not to be cut.
    fn admit(self, result: N) -> Option<N> {
        let cut = if result < self.lower {
            self.lower
        } else if result > self.upper {
            self.upper
        } else {
            return Some(result);
        };
        self.saturate.then_some(cut)
    }
}

/// `INCREX key [BYFLOAT | BYINT increment] [LBOUND lowerbound] [UBOUND upperbound] [SATURATE]
/// [EX | PX | EXAT | PXAT time | PERSIST] [ENX] [NX | XX]` -> array of the new number and what was
/// added; where the result is out of bounds, of the present number and 0, or with `SATURATE` as for
/// the bound; where `NX` or `XX` is not met, of the present number and 0. Errors: the grammar's,
/// NotInteger, NotFloat, infinite numbers, WRONGTYPE, a difference that is no number of its type.
/// Logged as `SET` with the time as `PXAT`, or `KEEPTTL`.
fn increx(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args)?;
    match options.increment {
        Some(Increment::Float(by)) => add_float(cx, args, &options, by),
        Some(Increment::Int(by)) => add_int(cx, args, &options, parse_int(by)?),
        None => add_int(cx, args, &options, 1),
    }
}

fn parse_int(word: &[u8]) -> Result<i64, ReplyError> {
    parse_i64(word).ok_or(ReplyError::NotInteger)
}

fn parse_float(word: &[u8]) -> Result<LongDouble, ReplyError> {
    finite(
        LongDouble::parse(word).ok_or(ReplyError::NotFloat)?,
        ReplyError::Static("ERR value cannot be Infinity"),
    )
}

fn finite(value: LongDouble, otherwise: ReplyError) -> Result<LongDouble, ReplyError> {
    if value.is_finite() { Ok(value) } else { Err(otherwise) }
}

fn add_int(cx: &mut Ctx<'_, '_>, args: Args<'_>, options: &Options<'_>, by: i64) -> CommandResult {
    let bounds = options.bounds((i64::MIN, i64::MAX), parse_int)?;
    let at_ms = options.expire.at_ms(cx.now_ms(), "increx")?;
    let key = cx.key(args, 1);
    let found = cx.keys.lookup_write(key, Kind::String)?.map(integer).transpose()?;
    let old = found.unwrap_or(0);
    // Beyond the type is beyond every bound.
    let exact = i128::from(old).add(i128::from(by));
    let limits = Bounds {
        lower: bounds.lower.into(),
        upper: bounds.upper.into(),
        saturate: bounds.saturate,
    };
    let admitted = options.allows(found.as_ref()).then(|| limits.admit(exact)).flatten();
    let (new, added) = match admitted {
        None => (old, 0),
        Some(new) => {
            let added = i64::try_from(new.sub(i128::from(old)))
                .map_err(|_| ReplyError::Static("ERR applied increment would overflow"))?;
            let new = i64::try_from(new).expect("it lies within the bounds");
            let mut digits = IntBuf::new();
            let stored =
                Stored { value: Value::Int(new), text: digits.format(new), event: "incrby" };
            stored.put(cx, key, options, at_ms);
            (new, added)
        }
    };
    cx.reply.array(2);
    cx.reply.int(new);
    cx.reply.int(added);
    Ok(())
}

fn add_float(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    options: &Options<'_>,
    by: &[u8],
) -> CommandResult {
    const INFINITE: ReplyError = ReplyError::Static("ERR BYFLOAT increment cannot be Infinity");
    let by = finite(LongDouble::parse(by).ok_or(ReplyError::NotFloat)?, INFINITE)?;
    let largest = LongDouble::largest();
    let bounds = options.bounds((-largest, largest), parse_float)?;
    let at_ms = options.expire.at_ms(cx.now_ms(), "increx")?;
    let key = cx.key(args, 1);
    let zero = LongDouble::from(0);
    let found = cx.keys.lookup_write(key, Kind::String)?.map(float).transpose()?;
    let old = finite(found.unwrap_or(zero), ReplyError::Static("ERR value cannot be Infinity"))?;
    let admitted = options.allows(found.as_ref()).then(|| bounds.admit(old + by)).flatten();
    let (new, added) = match admitted {
        None => (old.to_text(), zero),
        Some(new) => {
            let added = finite(
                new - old,
                ReplyError::Static("ERR applied increment would produce Infinity"),
            )?;
            let text = new.to_text();
            let stored = Stored { value: encode_text(&text)?, text: &text, event: "incrbyfloat" };
            stored.put(cx, key, options, at_ms);
            (text, added)
        }
    };
    cx.reply.array(2);
    cx.reply.double_text(&new);
    cx.reply.double_text(&added.to_text());
    Ok(())
}

/// A number that is kept under the key.
struct Stored<'v> {
    value: Value<'v>,
    text: &'v [u8],
    event: &'static str,
}

impl Stored<'_> {
    /// Keeps it, with the expiry that the options say, and logs that.
    fn put(self, cx: &mut Ctx<'_, '_>, key: Key<'_>, options: &Options<'_>, at_ms: Option<i64>) {
        let expires = cx.keys.view(key).is_some_and(EntryRef::has_expiry);
        let ttl = match at_ms {
            Some(_) if options.enx && expires => Ttl::Keep,
            Some(at_ms) if cx.is_past(at_ms) => return expire_at_once(cx, key),
            Some(at_ms) => Ttl::At(at_ms),
            None if options.expire == Expire::Persist => Ttl::Clear,
            None => Ttl::Keep,
        };
        cx.keys.set(key, self.value, ttl);
        notify(cx, self.event, key);
        match ttl {
            Ttl::Keep => log(cx, &[b"SET", key.bytes, self.text, b"KEEPTTL"]),
            Ttl::Clear => {
                if expires {
                    notify_generic(cx, "persist", key);
                }
                log(cx, &[b"SET", key.bytes, self.text]);
            }
            Ttl::At(at_ms) => {
                notify_generic(cx, "expire", key);
                log_set_at(cx, key, self.text, at_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests;
