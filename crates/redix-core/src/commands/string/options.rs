//! The options that SET, GETEX, INCREX, MSETEX, HGETEX and HSETEX share.
//!
//! An option may be repeated, except those that compare a value; options that exclude one another
//! are a syntax error. All options are checked before any number in them is parsed.

use crate::command::args::{Args, Options as Words};
use crate::command::spec::{ArgKind, ArgSpec};
use crate::error::ReplyError;

const EX: ArgSpec = ArgSpec::new("seconds", ArgKind::Integer).token("EX");
const PX: ArgSpec = ArgSpec::new("milliseconds", ArgKind::Integer).token("PX");
const EXAT: ArgSpec = ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT");
const PXAT: ArgSpec = ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT");

/// Describes `[EX | PX | EXAT | PXAT time | KEEPTTL]`.
pub const EXPIRE_OR_KEEP: ArgSpec = ArgSpec::new(
    "expiration",
    ArgKind::OneOf(&[EX, PX, EXAT, PXAT, ArgSpec::word("keepttl", "KEEPTTL")]),
)
.optional();

/// Describes `[EX | PX | EXAT | PXAT time | PERSIST]`.
pub const EXPIRE_OR_PERSIST: ArgSpec = ArgSpec::new(
    "expiration",
    ArgKind::OneOf(&[EX, PX, EXAT, PXAT, ArgSpec::word("persist", "PERSIST")]),
)
.optional();

/// The command whose options are parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// `[NX | XX | IFEQ | IFNE value | IFDEQ | IFDNE digest] [GET]
    /// [EX | PX | EXAT | PXAT time | KEEPTTL]`
    Set,
    /// `[EX | PX | EXAT | PXAT time | PERSIST]`
    Getex,
    /// `[NX | XX] [EX | PX | EXAT | PXAT time | KEEPTTL]`
    Msetex,
    /// As MSETEX, with `[FNX | FXX]`
    Hsetex,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition<'a> {
    /// Unconditional.
    #[default]
    Always,
    /// `NX`: the key does not exist.
    Missing,
    /// `XX`: the key exists.
    Exists,
    /// `IFEQ`: the key holds this string.
    Equals(&'a [u8]),
    /// `IFNE`: it does not, or does not exist.
    Differs(&'a [u8]),
    /// `IFDEQ`: the key holds a string with this digest.
    DigestEquals(&'a [u8]),
    /// `IFDNE`: it does not, or does not exist.
    DigestDiffers(&'a [u8]),
}

/// The unit of an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: a Unix time in seconds.
    UnixSeconds,
    /// `PXAT`: a Unix time in milliseconds.
    UnixMillis,
}

/// What happens to the key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expire<'a> {
    /// No option given.
    #[default]
    Unsaid,
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Persist,
    /// Expires at a time, as the client wrote it.
    At(Unit, &'a [u8]),
}

/// The options of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options<'a> {
    /// The condition.
    pub condition: Condition<'a>,
    /// The condition on fields: none of them exists (`FNX`), or each does (`FXX`).
    pub fields: Condition<'a>,
    /// `GET`: reply with the old value.
    pub get: bool,
    /// What happens to the expiry.
    pub expire: Expire<'a>,
}

impl<'a> Options<'a> {
    /// Parses the arguments from `first` on.
    pub fn parse(args: Args<'a>, first: usize, grammar: Grammar) -> Result<Self, ReplyError> {
        use Grammar::{Getex, Hsetex, Msetex, Set};
        let mut words = args.options(first);
        let mut options = Self::default();
        while words.more() {
            if grammar != Getex && words.eat("NX") {
                restrict(&mut options.condition, Condition::Missing)?;
            } else if grammar != Getex && words.eat("XX") {
                restrict(&mut options.condition, Condition::Exists)?;
            } else if grammar == Hsetex && words.eat("FNX") {
                restrict(&mut options.fields, Condition::Missing)?;
            } else if grammar == Hsetex && words.eat("FXX") {
                restrict(&mut options.fields, Condition::Exists)?;
            } else if grammar == Set && words.eat("GET") {
                options.get = true;
            } else if matches!(grammar, Set | Msetex | Hsetex) && words.eat("KEEPTTL") {
                options.expire.add(Expire::Keep)?;
            } else if grammar == Getex && words.eat("PERSIST") {
                options.expire.add(Expire::Persist)?;
            } else if grammar == Set
                && let Some(condition) = Condition::eat_comparison(&mut words)
            {
                restrict(&mut options.condition, condition)?;
            } else if !options.expire.eat_time(&mut words)? {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(options)
    }

    /// The expiry in Unix milliseconds, if one is given. Errors as [`expire_at_ms`].
    pub fn at_ms(&self, now_ms: i64, command: &'static str) -> Result<Option<i64>, ReplyError> {
        self.expire.at_ms(now_ms, command)
    }

    /// Whether the time was given as `PXAT`.
    pub fn is_at_unix_ms(&self) -> bool {
        matches!(self.expire, Expire::At(Unit::UnixMillis, _))
    }
}

impl<'a> Expire<'a> {
    /// Consumes `EX`, `PX`, `EXAT` or `PXAT` with its time; false if another word is next. Errors:
    /// Syntax, as [`Expire::add`].
    pub fn eat_time(&mut self, words: &mut Words<'a>) -> Result<bool, ReplyError> {
        let units = [
            ("EX", Unit::Seconds),
            ("PX", Unit::Millis),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMillis),
        ];
        for (word, unit) in units {
            if let Some(text) = words.eat_value(word) {
                self.add(Expire::At(unit, text))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds an option: one that is given already may be repeated, with another time. Errors:
    /// Syntax.
    pub fn add(&mut self, new: Self) -> Result<(), ReplyError> {
        let fits = match (*self, new) {
            (Expire::Unsaid, _) => true,
            (Expire::At(old, _), Expire::At(new, _)) => old == new,
            (old, new) => old == new,
        };
        if !fits {
            return Err(ReplyError::Syntax);
        }
        *self = new;
        Ok(())
    }

    /// The expiry in Unix milliseconds, if one is given. Errors as [`expire_at_ms`].
    pub fn at_ms(&self, now_ms: i64, command: &'static str) -> Result<Option<i64>, ReplyError> {
        match *self {
            Expire::At(unit, text) => expire_at_ms(unit, text, now_ms, command).map(Some),
            Expire::Unsaid | Expire::Keep | Expire::Persist => Ok(None),
        }
    }
}

impl<'a> Condition<'a> {
    /// Consumes a condition that compares the value.
    fn eat_comparison(words: &mut Words<'a>) -> Option<Self> {
        if let Some(value) = words.eat_value("IFEQ") {
            Some(Condition::Equals(value))
        } else if let Some(value) = words.eat_value("IFNE") {
            Some(Condition::Differs(value))
        } else if let Some(digest) = words.eat_value("IFDEQ") {
            Some(Condition::DigestEquals(digest))
        } else {
            words.eat_value("IFDNE").map(Condition::DigestDiffers)
        }
    }

    /// Whether it compares the value.
    pub fn is_comparison(&self) -> bool {
        self.is_of_redis() || matches!(self, Condition::Equals(_))
    }

    /// Whether only Redis has it, and only since 8.4.
    pub fn is_of_redis(&self) -> bool {
        use Condition::{Differs, DigestDiffers, DigestEquals};
        matches!(self, Differs(_) | DigestEquals(_) | DigestDiffers(_))
    }
}

/// Adds a condition: one that is given already may be repeated.
fn restrict<'a>(present: &mut Condition<'a>, new: Condition<'a>) -> Result<(), ReplyError> {
    let again = *present == new && !new.is_comparison();
    if *present != Condition::Always && !again {
        return Err(ReplyError::Syntax);
    }
    *present = new;
    Ok(())
}

/// Parses an expiry into Unix milliseconds. It must be a positive integer, and the result must fit;
/// errors: `NotInteger`, or `InvalidExpire` of `command`.
pub fn expire_at_ms(
    unit: Unit,
    text: &[u8],
    now_ms: i64,
    command: &'static str,
) -> Result<i64, ReplyError> {
    expire_from(1, (unit, text), now_ms, command)
}

/// As [`expire_at_ms`], for an integer of at least `least`.
pub fn expire_from(
    least: i64,
    (unit, text): (Unit, &[u8]),
    now_ms: i64,
    command: &'static str,
) -> Result<i64, ReplyError> {
    let value = redix_types::num::parse_i64(text).ok_or(ReplyError::NotInteger)?;
    let millis = match unit {
        Unit::Seconds | Unit::UnixSeconds => value.checked_mul(1000),
        Unit::Millis | Unit::UnixMillis => Some(value),
    };
    let base_ms = match unit {
        Unit::Seconds | Unit::Millis => now_ms,
        Unit::UnixSeconds | Unit::UnixMillis => 0,
    };
    millis
        .filter(|millis| *millis >= least)
        .and_then(|millis| millis.checked_add(base_ms))
        .ok_or(ReplyError::InvalidExpire(command.into()))
}

#[cfg(test)]
mod tests;
