//! ZADD and ZINCRBY.

use redix_types::num::parse_f64;
use redix_types::zset::{Change, ZsetEdit};

use super::{EMPTY, docs, edit, limits, notify};
use crate::command::args::{Args, Options};
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::Missing;

/// Commands: ZADD and ZINCRBY.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "zadd",
        Group::SortedSet,
        -4,
        const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
        zadd,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::SORTEDSET)
    .member(3)
    .docs(docs::ZADD),
    CommandSpec::write(
        "zincrby",
        Group::SortedSet,
        4,
        const { &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)] },
        zincrby,
    )
    .flags(flag::DENYOOM | flag::FAST | flag::BRIEF)
    .acl(acl::SORTEDSET)
    .member(3)
    .docs(docs::ZINCRBY),
];

/// The conditions of ZADD.
#[derive(Clone, Copy, Default)]
pub struct Rules {
    /// Only members that are not there.
    pub nx: bool,
    /// Only members that are there.
    pub xx: bool,
    /// Only to a greater score.
    gt: bool,
    /// LT: only update to a lower score.
    lt: bool,
    /// Changed scores count.
    pub ch: bool,
    /// The score is added to the old one.
    incr: bool,
}

impl Rules {
    /// Parses the conditions. ZINCRBY parses them too, as the real servers do.
    fn parse(mut self, options: &mut Options<'_>) -> Self {
        let rules = &mut self;
        loop {
            if options.eat("NX") {
                rules.nx = true;
            } else if options.eat("XX") {
                rules.xx = true;
            } else if options.eat("CH") {
                rules.ch = true;
            } else if options.eat("INCR") {
                rules.incr = true;
            } else if options.eat("GT") {
                rules.gt = true;
            } else if options.eat("LT") {
                rules.lt = true;
            } else {
                return self;
            }
        }
    }

    fn check(self, pairs: usize) -> Result<(), ReplyError> {
        let wrong = if self.nx && self.xx {
            "ERR XX and NX options at the same time are not compatible"
        } else if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        } else if self.incr && pairs > 1 {
            "ERR INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(ReplyError::Static(wrong))
    }

    /// Sets the score of one member.
    fn apply(self, set: &mut ZsetEdit<'_>, member: &[u8], score: f64) -> Applied {
        let mut now = None;
        let change = set.update(member, |old| {
            let new = match old {
                None if self.xx => return None,
                Some(_) if self.nx => return None,
                Some(old) if self.incr => old + score,
                _ => score,
            };
            let refused = old.is_some_and(|old| (self.gt && new <= old) || (self.lt && new >= old));
            now = (!refused).then_some(new);
            now.filter(|new| !new.is_nan())
        });
        Applied { change, now }
    }
}

/// The outcome for one member.
struct Applied {
    change: Change,
    /// The new score, if the conditions allowed it; NaN if the sum is NaN.
    now: Option<f64>,
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member ...` -> the number of members added, or added
/// and changed; with INCR the new score, or null if the rules forbid it. Errors: WRONGTYPE, Syntax,
/// options that exclude one another, NotFloat, a sum that is NaN.
fn zadd(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    add(cx, args, Rules::default())
}

/// `ZINCRBY key increment member` -> the new score. Errors: WRONGTYPE, NotFloat, a sum that is NaN.
fn zincrby(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    add(cx, args, Rules { incr: true, ..Rules::default() })
}

/// What has become of several members.
#[derive(Default)]
pub struct Tally {
    /// Members that were not there.
    pub added: u64,
    updated: u64,
    /// The score of the last member that the conditions allowed to be set.
    score: Option<f64>,
}

impl Tally {
    /// Members that were added or have another score now.
    pub fn changes(&self) -> u64 {
        self.added + self.updated
    }
}

/// Sets the scores of pairs, by the given rules and those that the command states.
fn add(cx: &mut Ctx<'_, '_>, args: Args<'_>, rules: Rules) -> CommandResult {
    let mut options = args.options(2);
    let rules = rules.parse(&mut options);
    let (first, words) = (options.position(), options.left());
    if words == 0 || !words.is_multiple_of(2) {
        return Err(ReplyError::Syntax);
    }
    let pairs = words / 2;
    rules.check(pairs)?;
    let mut scores = smallvec::SmallVec::<[f64; 16]>::with_capacity(pairs);
    for word in (first..first + 2 * pairs).step_by(2) {
        scores.push(parse_f64(args.get(word)).ok_or(ReplyError::NotFloat)?);
    }
    let members = (0..pairs).map(|pair| args.get(first + 2 * pair + 1));
    let key = cx.key(args, 1);
    let tally = add_pairs(cx, key, rules, scores.iter().copied().zip(members))?;
    match (rules.incr, tally.score) {
        (true, Some(score)) => cx.reply.double(score),
        (true, None) => cx.reply.null(),
        (false, _) if rules.ch => cx.reply.int(tally.changes() as i64),
        (false, _) => cx.reply.int(tally.added as i64),
    }
    Ok(())
}

/// Sets the scores of members by the given rules, and reports the event. Errors: WRONGTYPE, a sum
/// that is NaN.
pub fn add_pairs<'a>(
    cx: &mut Ctx<'_, '_>,
    key: Key<'_>,
    rules: Rules,
    pairs: impl ExactSizeIterator<Item = (f64, &'a [u8])> + Clone,
) -> Result<Tally, ReplyError> {
    let missing = if rules.xx { Missing::Skip } else { Missing::Create(EMPTY) };
    let longest = pairs.clone().map(|(_, member)| member.len()).max().unwrap_or(0);
    let outcome = edit(cx.keys, limits(cx.config), key, missing, |set| {
        // Even if the rules then forbid it all.
        set.reserve(pairs.len(), longest);
        let mut tally = Tally::default();
        for (score, member) in pairs {
            let applied = rules.apply(set, member, score);
            tally.added += u64::from(applied.change == Change::Added);
            tally.updated += u64::from(applied.change == Change::Updated);
            tally.score = applied.now;
        }
        let changes = tally.changes();
        (tally, changes)
    })?;
    let tally = outcome.map_or_else(Tally::default, |outcome| outcome.result);
    if tally.score.is_some_and(f64::is_nan) {
        return Err(ReplyError::Static("ERR resulting score is not a number (NaN)"));
    }
    if tally.changes() > 0 {
        notify(cx, if rules.incr { "zincr" } else { "zadd" }, key);
    }
    Ok(tally)
}
