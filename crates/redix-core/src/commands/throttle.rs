//! CL.THROTTLE: rate limiting without a script, by the generic cell rate algorithm.
//!
//! A limit lets `count` requests pass in `period` seconds, one each `period / count`, and
//! `max_burst` more at once. A key keeps one number, the time at which the next request would be
//! due if all came at that pace, and expires when that is over: a limit that is not used takes no
//! memory.
//!
//! The value is a string of decimal nanoseconds since the Unix epoch, logged as a SET with an
//! absolute expiry: replicas and real servers need to know nothing of this.
//!
//! **Invariant.** Times are calculated exactly, in 128 bits, and checked before they are kept.
//!
//! Source: words and replies of the module redis-cell.

use redix_types::entry::{EntryRef, IntBuf, Kind, Value, ValueRef};
use redix_types::num::parse_i64;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{
    ArgKind, ArgSpec, CommandSpec, Group, KeySpec, LogAs, access, acl, flag,
};
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Ttl;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "cl.throttle",
    Group::Generic,
    -5,
    const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
    throttle,
)
.flags(flag::DENYOOM | flag::FAST)
.acl(acl::STRING)
.log_as(LogAs::Effect)
.doc("Asks whether a request may pass a rate limit, and counts it if so.")
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("max-burst", ArgKind::Integer),
    ArgSpec::new("count", ArgKind::Integer),
    ArgSpec::new("period", ArgKind::Integer),
    ArgSpec::new("quantity", ArgKind::Integer).optional(),
])];

const NS_PER_SECOND: i128 = 1_000_000_000;
const NS_PER_MS: i128 = 1_000_000;

/// A limit, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Between two requests at the even pace.
    interval: i128,
    /// Requests that may come at once.
    burst: i128,
}

/// What became of a request, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    /// When the next request would be due at the even pace; None if this one may not pass.
    due: Option<i128>,
    /// Requests that may still come at once.
    remaining: i128,
    /// Until this request may pass; None if it may, or never will.
    retry_after: Option<i128>,
    /// Until as many as possible may come at once again.
    reset_after: i128,
}

impl Limit {
    /// Judges a request that counts as `quantity`, where the next one is due at `due`.
    fn judge(self, now: i128, due: i128, quantity: i128) -> Verdict {
        let (due, tolerance) = (due.max(now), self.interval * self.burst);
        let increment = self.interval * quantity;
        let next = due + increment;
        let early = next - tolerance - now;
        let passes = early <= 0;
        let reset_after = if passes { next - now } else { due - now };
        Verdict {
            due: passes.then_some(next),
            remaining: ((tolerance - reset_after) / self.interval).max(0),
            retry_after: (!passes && increment <= tolerance).then_some(early),
            reset_after,
        }
    }
}

/// `CL.THROTTLE key max_burst count period [quantity]` -> array of five integers: 1 if the request
/// is refused, else 0; how many may come at once (`max_burst` + 1); how many may still; the seconds
/// after which this one may pass, -1 if it has or never will; the seconds until all may come again.
/// Seconds are rounded up. A quantity of 0 changes nothing. Errors: WRONGTYPE, NotInteger, numbers
/// that make no limit. Logged as `SET … PXAT`; event `set`.
fn throttle(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() > 6 {
        return Err(ReplyError::WrongArity("cl.throttle".into()));
    }
    let (limit, quantity) = parse(args)?;
    let key = cx.key(args, 1);
    let now = i128::from(cx.now_us) * 1000;
    let due = match cx.keys.lookup_write(key, Kind::String)?.map(EntryRef::value) {
        None => now,
        Some(ValueRef::Int(due)) => i128::from(due),
        Some(text) => {
            let text = text.string_bytes(&mut IntBuf::new()).to_vec();
            i128::from(parse_i64(&text).ok_or(ReplyError::NotInteger)?)
        }
    };
    let verdict = limit.judge(now, due, quantity);
    if let Some(due) = verdict.due.filter(|_| quantity > 0) {
        let due_ns = i64::try_from(due).map_err(|_| OUT_OF_RANGE)?;
        let at_ms = ceil_div(due, NS_PER_MS) as i64;
        cx.keys.set(key, Value::Int(due_ns), Ttl::At(at_ms));
        cx.keys.effects.notify(class::STRING, "set", cx.keys.db, key.bytes);
        let (mut value, mut at) = (IntBuf::new(), IntBuf::new());
        let words = [b"SET", key.bytes, value.format(due_ns), b"PXAT", at.format(at_ms)];
        cx.keys.effects.log(cx.keys.db, &words);
    }
    let seconds = |ns: i128| ceil_div(ns, NS_PER_SECOND) as i64;
    cx.reply.array(5);
    cx.reply.int(i64::from(verdict.due.is_none()));
    cx.reply.int(limit.burst as i64);
    cx.reply.int(verdict.remaining as i64);
    cx.reply.int(verdict.retry_after.map_or(-1, seconds));
    cx.reply.int(seconds(verdict.reset_after));
    Ok(())
}

const OUT_OF_RANGE: ReplyError = ReplyError::Static("ERR value is out of range");

/// The limit and the quantity. Errors: NotInteger, numbers that make no limit.
fn parse(args: Args<'_>) -> Result<(Limit, i128), ReplyError> {
    let (max_burst, count, period) = (args.int(2)?, args.int(3)?, args.int(4)?);
    let quantity = if args.len() > 5 { args.int(5)? } else { 1 };
    if max_burst < 0 || count <= 0 || period <= 0 || quantity < 0 || max_burst == i64::MAX {
        return Err(OUT_OF_RANGE);
    }
    let interval = i128::from(period) * NS_PER_SECOND / i128::from(count);
    let (burst, quantity) = (i128::from(max_burst) + 1, i128::from(quantity));
    let is_sane = |times: i128| interval.checked_mul(times).is_some_and(|ns| ns < i64::MAX.into());
    if interval == 0 || !is_sane(burst) || !is_sane(quantity) {
        return Err(OUT_OF_RANGE);
    }
    Ok((Limit { interval, burst }, quantity))
}

/// The quotient of two numbers that are not negative, rounded up.
fn ceil_div(number: i128, divisor: i128) -> i128 {
    (number + divisor - 1) / divisor
}

#[cfg(test)]
mod tests;
