//! The expiry of fields: setting, reading and removing it.
//!
//! As for keys, a relative time is logged as an absolute one (`HPEXPIREAT`), and one that is over
//! as the removal of the fields (`HDEL`).

use redix_types::hash::HashRef;

use super::{
    NUMFIELDS, after_removal, check_count, docs, edit, find_fields, log_fields, lookup,
    note_expired, notify, notify_if_emptied,
};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::keys::expire::{Base, Conditions, Unit};
use crate::commands::string::options;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::{Edited, Missing};

const UPDATE: &[KeySpec] = &[KeySpec::one(1, access::RW | access::UPDATE)];
const READ: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// Commands: HEXPIRE, HEXPIREAT, HEXPIRETIME, HPERSIST, HPEXPIRE, HPEXPIREAT, HPEXPIRETIME, HPTTL
/// and HTTL.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write("hexpire", Group::Hash, -6, UPDATE, hexpire)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HEXPIRE),
    CommandSpec::write("hexpireat", Group::Hash, -6, UPDATE, hexpireat)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HEXPIREAT),
    CommandSpec::read("hexpiretime", Group::Hash, -5, READ, hexpiretime)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HEXPIRETIME),
    CommandSpec::write("hpersist", Group::Hash, -5, UPDATE, hpersist)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HPERSIST),
    CommandSpec::write("hpexpire", Group::Hash, -6, UPDATE, hpexpire)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HPEXPIRE),
    CommandSpec::write("hpexpireat", Group::Hash, -6, UPDATE, hpexpireat)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HPEXPIREAT),
    CommandSpec::read("hpexpiretime", Group::Hash, -5, READ, hpexpiretime)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HPEXPIRETIME),
    CommandSpec::read("hpttl", Group::Hash, -5, READ, hpttl)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HPTTL),
    CommandSpec::read("httl", Group::Hash, -5, READ, httl)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::HASH)
        .docs(docs::HTTL),
];

/// The answers for a field, the same as in Valkey and Redis.
mod answer {
    /// There is no such field, or no such key.
    pub(super) const MISSING: i64 = -2;
    /// It has no expiry.
    pub(super) const ENDLESS: i64 = -1;
    /// The condition is not met.
    pub(super) const UNCHANGED: i64 = 0;
    /// The expiry was set, or removed.
    pub(super) const CHANGED: i64 = 1;
    /// The field was removed: the time is over.
    pub(super) const REMOVED: i64 = 2;
}

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]` -> array: for each
/// field 1 if set, 0 if the condition is not met, 2 if removed since the time is over, -2 if there
/// is none. Errors: a number of fields that is not theirs, conditions that exclude one another,
/// NotInteger, an invalid time, WRONGTYPE. Logged as `HPEXPIREAT` or `HDEL`; events `hexpire`,
/// `hexpired`.
fn hexpire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expiries(cx, args, options::Unit::Seconds)
}

/// `HPEXPIRE key milliseconds …`: as HEXPIRE.
fn hpexpire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expiries(cx, args, options::Unit::Millis)
}

/// `HEXPIREAT key unix-time-seconds …`: as HEXPIRE.
fn hexpireat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expiries(cx, args, options::Unit::UnixSeconds)
}

/// `HPEXPIREAT key unix-time-milliseconds …`: as HEXPIRE.
fn hpexpireat(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    set_expiries(cx, args, options::Unit::UnixMillis)
}

fn set_expiries(cx: &mut Ctx<'_, '_>, args: Args<'_>, unit: options::Unit) -> CommandResult {
    let at = find_fields(args, 3)?;
    let conditions = Conditions::parse(args.head(at).options(3))?;
    check_count(args, at, 1, NUMFIELDS)?;
    let (given, name) = ((unit, args.get(2)), cx.command.spec.name);
    let at_ms = options::expire_from(0, given, cx.now_ms(), name)?;
    let (key, hasher, past) = (cx.key(args, 1), cx.keys.keyspace.hasher(), cx.is_past(at_ms));
    let fields = at + 2..args.len();
    let outcome = edit(cx, key, Missing::Skip, |hash| {
        let hides = hash.as_ref().hides_fields();
        let (mut removed, mut changed) = (Vec::new(), Vec::new());
        let mut apply = |word: usize| {
            let field = args.get(word);
            let Some((_, present)) = hash.as_ref().get_expiring(field, hasher) else {
                return answer::MISSING;
            };
            if !conditions.allow(present, at_ms) {
                return answer::UNCHANGED;
            }
            if past {
                hash.remove(field);
                removed.push(word);
                return answer::REMOVED;
            }
            hash.set_expiry(field, Some(at_ms));
            changed.push(word);
            answer::CHANGED
        };
        let answers: Vec<i64> = fields.clone().map(&mut apply).collect();
        let edited = match changed.len() {
            0 => after_removal(hash, removed.len()),
            set => Edited::Changed(set as u64),
        };
        ((answers, removed, changed, edited, hides), edited)
    })?;
    let Some((answers, removed, changed, edited, hides)) = outcome else {
        return answer_all(cx, fields.len(), answer::MISSING);
    };
    if !removed.is_empty() {
        log_fields(cx, &[b"HDEL", key.bytes], args, &removed);
        note_expired(cx, key, removed.len());
        notify_if_emptied(cx, edited, key);
    } else if edited != Edited::Nothing {
        if hides {
            let (at, count) = (at_ms.to_string(), changed.len().to_string());
            let start = [b"HPEXPIREAT", key.bytes, at.as_bytes(), b"FIELDS", count.as_bytes()];
            log_fields(cx, &start, args, &changed);
        } else {
            log_absolute(cx, args, at_ms);
        }
        notify(cx, "hexpire", key);
    }
    cx.reply.array(answers.len());
    answers.iter().for_each(|one| cx.reply.int(*one));
    Ok(())
}

fn answer_all(cx: &mut Ctx<'_, '_>, fields: usize, one: i64) -> CommandResult {
    cx.reply.array(fields);
    (0..fields).for_each(|_| cx.reply.int(one));
    Ok(())
}

/// Logs the command with its time as an absolute one; `HPEXPIREAT` has that form already. Where the
/// hash hides no field a replica has the same ones, and the conditions decide there as here.
fn log_absolute(cx: &mut Ctx<'_, '_>, args: Args<'_>, at_ms: i64) {
    if cx.command.spec.name == "hpexpireat" || !cx.keys.effects.recording() {
        return;
    }
    let at = at_ms.to_string();
    let mut words = vec![b"HPEXPIREAT".as_slice(), args.get(1), at.as_bytes()];
    words.extend(args.iter_from(3));
    cx.keys.effects.log(cx.keys.db, &words);
}

/// `HTTL key FIELDS numfields field [field ...]` -> array: for each field the seconds until it
/// expires, -1 if it has no expiry, -2 if there is none. Errors: Syntax, NotInteger, WRONGTYPE.
fn httl(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Seconds, Base::Now)
}

/// `HPTTL …`: as HTTL, in milliseconds.
fn hpttl(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Milliseconds, Base::Now)
}

/// `HEXPIRETIME …`: as HTTL, the Unix time in seconds.
fn hexpiretime(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Seconds, Base::Epoch)
}

/// `HPEXPIRETIME …`: as HTTL, the Unix time in milliseconds.
fn hpexpiretime(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    report(cx, args, Unit::Milliseconds, Base::Epoch)
}

fn report(cx: &mut Ctx<'_, '_>, args: Args<'_>, unit: Unit, base: Base) -> CommandResult {
    check_fields_word(args)?;
    check_count(args, 2, 1, ReplyError::Syntax)?;
    let base_ms = if base == Base::Now { cx.now_ms() } else { 0 };
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let hash = lookup(cx.keys, key)?;
    cx.reply.array(args.len() - 4);
    for field in args.iter_from(4) {
        cx.reply.int(match hash.and_then(|hash: HashRef<'_>| hash.get_expiring(field, hasher)) {
            None => answer::MISSING,
            Some((_, None)) => answer::ENDLESS,
            Some((_, Some(at_ms))) => unit.of_ms((at_ms - base_ms).max(0)),
        });
    }
    Ok(())
}

/// Errors: argument 2 is not the word FIELDS.
fn check_fields_word(args: Args<'_>) -> Result<(), ReplyError> {
    if args.is(2, "FIELDS") { Ok(()) } else { Err(ReplyError::Syntax) }
}

/// `HPERSIST key FIELDS numfields field [field ...]` -> array: for each field 1 if its expiry was
/// removed, -1 if it has none, -2 if there is no such field. Errors: Syntax, NotInteger, a number
/// of fields that is not theirs, WRONGTYPE. Logged without hidden fields; event `hpersist`.
fn hpersist(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    check_fields_word(args)?;
    check_count(args, 2, 1, NUMFIELDS)?;
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let answers = edit(cx, key, Missing::Skip, |hash| {
        let mut persist = |field: &[u8]| match hash.as_ref().get_expiring(field, hasher) {
            None => answer::MISSING,
            Some((_, None)) => answer::ENDLESS,
            Some(_) => {
                hash.set_expiry(field, None);
                answer::CHANGED
            }
        };
        let answers: Vec<i64> = args.iter_from(4).map(&mut persist).collect();
        let changed = answers.iter().filter(|one| **one == answer::CHANGED).count();
        let edited = if changed > 0 { Edited::Changed(changed as u64) } else { Edited::Nothing };
        ((answers, hash.as_ref().hides_fields()), edited)
    })?;
    let Some((answers, hides)) = answers else {
        return answer_all(cx, args.len() - 4, answer::MISSING);
    };
    if answers.contains(&answer::CHANGED) {
        if hides {
            // A replica still has what is hidden here.
            let mut changed: Vec<usize> = (4..args.len()).collect();
            changed.retain(|word| answers[word - 4] == answer::CHANGED);
            let count = changed.len().to_string();
            let start = [b"HPERSIST", key.bytes, b"FIELDS", count.as_bytes()];
            log_fields(cx, &start, args, &changed);
        }
        notify(cx, "hpersist", key);
    }
    cx.reply.array(answers.len());
    answers.iter().for_each(|one| cx.reply.int(*one));
    Ok(())
}
