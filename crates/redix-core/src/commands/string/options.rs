//! The options that SET, GETEX, MSETEX, HGETEX and HSETEX share.
//!
//! An option may be repeated, except `IFEQ`; options that exclude one another are a syntax error.
//! All options are checked before any number in them is parsed.

use crate::command::args::Args;
use crate::error::ReplyError;

/// The command whose options are parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// `[NX | XX | IFEQ value] [GET] [EX | PX | EXAT | PXAT time | KEEPTTL]`
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
                options.expire(Expire::Keep)?;
            } else if grammar == Getex && words.eat("PERSIST") {
                options.expire(Expire::Persist)?;
            } else if let Some(value) = words.eat_value("EX") {
                options.expire(Expire::At(Unit::Seconds, value))?;
            } else if let Some(value) = words.eat_value("PX") {
                options.expire(Expire::At(Unit::Millis, value))?;
            } else if let Some(value) = words.eat_value("EXAT") {
                options.expire(Expire::At(Unit::UnixSeconds, value))?;
            } else if let Some(value) = words.eat_value("PXAT") {
                options.expire(Expire::At(Unit::UnixMillis, value))?;
            } else if grammar == Set
                && let Some(value) = words.eat_value("IFEQ")
            {
                restrict(&mut options.condition, Condition::Equals(value))?;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(options)
    }

    fn expire(&mut self, expire: Expire<'a>) -> Result<(), ReplyError> {
        let fits = match (self.expire, expire) {
            (Expire::Unsaid, _) => true,
            (Expire::At(old, _), Expire::At(new, _)) => old == new,
            (old, new) => old == new,
        };
        if !fits {
            return Err(ReplyError::Syntax);
        }
        self.expire = expire;
        Ok(())
    }

    /// The expiry in Unix milliseconds, if one is given. Errors as [`expire_at_ms`].
    pub fn at_ms(&self, now_ms: i64, command: &'static str) -> Result<Option<i64>, ReplyError> {
        match self.expire {
            Expire::At(unit, text) => expire_at_ms(unit, text, now_ms, command).map(Some),
            Expire::Unsaid | Expire::Keep | Expire::Persist => Ok(None),
        }
    }

    /// Whether the time was given as `PXAT`.
    pub fn is_at_unix_ms(&self) -> bool {
        matches!(self.expire, Expire::At(Unit::UnixMillis, _))
    }
}

/// Adds a condition: one that is given already may be repeated.
fn restrict<'a>(present: &mut Condition<'a>, new: Condition<'a>) -> Result<(), ReplyError> {
    let again = *present == new && !matches!(new, Condition::Equals(_));
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
