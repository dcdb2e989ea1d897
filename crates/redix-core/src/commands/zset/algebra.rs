//! Union, intersection and difference of sorted sets and sets.
//!
//! A set counts as a sorted set with all scores 1. Inputs are combined from the smallest to the
//! largest, as the real servers do: the sum of doubles depends on the order.

use std::ops::ControlFlow;

use redix_types::listpack::Element;
use redix_types::num::{parse_f64, parse_i64};
use redix_types::set::SetRef;
use redix_types::table::KeyHasher;
use redix_types::value::{IntBuf, Kind};
use redix_types::zset::{Change, Zset, ZsetRef};

use super::{Scores, docs, store_set};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::Access;

/// Commands: ZUNION, ZINTER, ZDIFF, ZINTERCARD, ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("zunion", Group::SortedSet, -3, INPUTS, zunion)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZUNION),
    CommandSpec::read("zinter", Group::SortedSet, -3, INPUTS, zinter)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZINTER),
    CommandSpec::read("zdiff", Group::SortedSet, -3, INPUTS, zdiff)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZDIFF),
    CommandSpec::read("zintercard", Group::SortedSet, -3, INPUTS, zintercard)
        .flags(flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZINTERCARD),
    CommandSpec::write("zunionstore", Group::SortedSet, -4, STORED, zunionstore)
        .flags(flag::DENYOOM | flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZUNIONSTORE),
    CommandSpec::write("zinterstore", Group::SortedSet, -4, STORED, zinterstore)
        .flags(flag::DENYOOM | flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZINTERSTORE),
    CommandSpec::write("zdiffstore", Group::SortedSet, -4, STORED, zdiffstore)
        .flags(flag::DENYOOM | flag::MOVABLEKEYS)
        .acl(acl::SORTEDSET)
        .docs(docs::ZDIFFSTORE),
];

const fn counted_keys(numkeys: u32) -> KeySpec {
    KeySpec {
        access: access::RO | access::ACCESS,
        begin: Begin::Index(numkeys),
        find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
        notes: None,
    }
}

const INPUTS: &[KeySpec] = &[counted_keys(1)];
const STORED: &[KeySpec] = &[KeySpec::one(1, access::OW | access::UPDATE), counted_keys(2)];

/// `ZUNION numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]` -> array of
/// members by score. Errors: WRONGTYPE, NotInteger, Syntax, a weight that is no number.
fn zunion(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_result(cx, args, Operation::Union)
}

/// `ZINTER numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]` -> as ZUNION.
fn zinter(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_result(cx, args, Operation::Intersection)
}

/// `ZDIFF numkeys key ... [WITHSCORES]` -> as ZUNION; scores are those of the first input.
fn zdiff(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    reply_result(cx, args, Operation::Difference)
}

/// `ZUNIONSTORE destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX]` -> the
/// number of members stored. Errors as ZUNION.
fn zunionstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    store_result(cx, args, Operation::Union)
}

/// `ZINTERSTORE destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX]` -> the
/// number of members stored. Errors as ZUNION.
fn zinterstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    store_result(cx, args, Operation::Intersection)
}

/// `ZDIFFSTORE destination numkeys key ...` -> the number of members stored. Errors as ZDIFF.
fn zdiffstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    store_result(cx, args, Operation::Difference)
}

/// `ZINTERCARD numkeys key ... [LIMIT limit]` -> number of members of the intersection, at most
/// `limit` (0: all). Errors: WRONGTYPE, NotInteger, Syntax, a negative limit.
fn zintercard(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let request = Request::parse(cx, args, 1, Operation::Cardinality)?;
    let hasher = cx.keys.keyspace.hasher();
    let mut count = 0;
    request.inputs(cx.keys, args).intersect(hasher, |_, _| {
        count += 1;
        if count == request.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    cx.reply.int(count as i64);
    Ok(())
}

fn reply_result(cx: &mut Ctx<'_, '_>, args: Args<'_>, operation: Operation) -> CommandResult {
    let request = Request::parse(cx, args, 1, operation)?;
    let hasher = cx.keys.keyspace.hasher();
    let result = request.inputs(cx.keys, args).combine(operation, hasher);
    request.scores.header(cx.reply, result.len());
    for (member, score) in ZsetRef::Large(&result).iter() {
        request.scores.member(cx.reply, member, score);
    }
    Ok(())
}

fn store_result(cx: &mut Ctx<'_, '_>, args: Args<'_>, operation: Operation) -> CommandResult {
    let request = Request::parse(cx, args, 2, operation)?;
    let hasher = cx.keys.keyspace.hasher();
    let result = request.inputs(cx.keys, args).combine(operation, hasher);
    let event = match operation {
        Operation::Union => "zunionstore",
        Operation::Intersection | Operation::Cardinality => "zinterstore",
        Operation::Difference => "zdiffstore",
    };
    let destination = cx.key(args, 1);
    store_set(cx, destination, event, result)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
    /// The size of the intersection.
    Cardinality,
}

/// How the scores of one member are combined: AGGREGATE.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(word: &[u8]) -> Result<Self, ReplyError> {
        if word.eq_ignore_ascii_case(b"SUM") {
            Ok(Aggregate::Sum)
        } else if word.eq_ignore_ascii_case(b"MIN") {
            Ok(Aggregate::Min)
        } else if word.eq_ignore_ascii_case(b"MAX") {
            Ok(Aggregate::Max)
        } else {
            Err(ReplyError::Syntax)
        }
    }

    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregate::Sum => number(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// The score, or 0 for NaN (the sum of opposite infinities).
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The parsed arguments of a command.
struct Request {
    /// The argument that is the first key.
    first: usize,
    /// The weight of each input.
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: Scores,
    /// LIMIT: most members to count; 0: all.
    limit: usize,
}

impl Request {
    /// Parses the command; argument `numkeys` is the number of keys after it. Looks the keys up
    /// before it parses options, as the real servers do.
    fn parse(
        cx: &mut Ctx<'_, '_>,
        args: Args<'_>,
        numkeys: usize,
        operation: Operation,
    ) -> Result<Self, ReplyError> {
        let keys = args.int(numkeys)?;
        let Some(keys) = usize::try_from(keys).ok().filter(|keys| *keys > 0) else {
            let name = cx.command_name();
            return Err(ReplyError::err(format!(
                "at least 1 input key is needed for '{name}' command"
            )));
        };
        let first = numkeys + 1;
        if keys > args.len() - first {
            return Err(ReplyError::Syntax);
        }
        for word in first..first + keys {
            let key = cx.key(args, word);
            let entry = cx.keys.lookup_read(key);
            if entry.is_some_and(|entry| !matches!(entry.kind(), Kind::Zset | Kind::Set)) {
                return Err(ReplyError::WrongType);
            }
        }
        let mut request = Request {
            first,
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            scores: Scores::Without,
            limit: 0,
        };
        request.parse_options(args, operation, numkeys == 2)?;
        Ok(request)
    }

    fn parse_options(
        &mut self,
        args: Args<'_>,
        operation: Operation,
        stores: bool,
    ) -> Result<(), ReplyError> {
        let keys = self.weights.len();
        let weighs = matches!(operation, Operation::Union | Operation::Intersection);
        let counts = operation == Operation::Cardinality;
        let mut options = args.options(self.first + keys);
        while options.more() {
            if weighs && options.left() > keys && options.eat("WEIGHTS") {
                for weight in &mut self.weights {
                    let word = options.take().unwrap_or_default();
                    *weight = parse_f64(word)
                        .ok_or(ReplyError::Static("ERR weight value is not a float"))?;
                }
            } else if weighs && let Some(word) = options.eat_value("AGGREGATE") {
                self.aggregate = Aggregate::parse(word)?;
            } else if !stores && !counts && options.eat("WITHSCORES") {
                self.scores = Scores::With;
            } else if counts && let Some(word) = options.eat_value("LIMIT") {
                let limit = parse_i64(word).and_then(|limit| usize::try_from(limit).ok());
                self.limit = limit.ok_or(ReplyError::Static("ERR LIMIT can't be negative"))?;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(())
    }

    /// The values of the inputs, which have been looked up.
    fn inputs<'a>(&self, keys: &'a Access<'_>, args: Args<'_>) -> Inputs<'a> {
        let source = |word: usize| {
            let value = keys.view(keys.key(args.get(word)))?.value();
            ZsetRef::of(value).map(Source::Zset).or_else(|| SetRef::of(value).map(Source::Set))
        };
        let sources = (self.first..).zip(&self.weights).map(|(word, &weight)| Input {
            source: source(word).unwrap_or(Source::Missing),
            weight,
        });
        Inputs { inputs: sources.collect(), aggregate: self.aggregate }
    }
}

/// The value of an input key.
#[derive(Clone, Copy)]
enum Source<'a> {
    Zset(ZsetRef<'a>),
    Set(SetRef<'a>),
    Missing,
}

#[derive(Clone, Copy)]
struct Input<'a> {
    source: Source<'a>,
    weight: f64,
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self.source {
            Source::Zset(set) => set.len(),
            Source::Set(set) => set.len(),
            Source::Missing => 0,
        }
    }

    /// The weighted score of a member, which may be NaN.
    fn score(&self, hasher: &KeyHasher, member: &[u8]) -> Option<f64> {
        let score = match self.source {
            Source::Zset(set) => set.score(hasher, member)?,
            Source::Set(set) => set.contains(Element::of(member), hasher).then_some(1.0)?,
            Source::Missing => return None,
        };
        Some(score * self.weight)
    }

    /// Calls `visit` with members and weighted scores until it breaks.
    fn visit(&self, mut visit: impl FnMut(&[u8], f64) -> ControlFlow<()>) {
        let mut buf = IntBuf::new();
        let mut each = |member: Element<'_>, score: f64| {
            visit(member.text(&mut buf), number(score * self.weight))
        };
        let _ = match self.source {
            Source::Zset(set) => set.iter().try_for_each(|(member, score)| each(member, score)),
            Source::Set(set) => set.try_for_each(|member| each(member, 1.0)),
            Source::Missing => ControlFlow::Continue(()),
        };
    }
}

struct Inputs<'a> {
    inputs: Vec<Input<'a>>,
    aggregate: Aggregate,
}

impl Inputs<'_> {
    fn combine(mut self, operation: Operation, hasher: &KeyHasher) -> Zset {
        let mut result = Zset::new();
        match operation {
            Operation::Union => {
                self.inputs.sort_by_key(Input::len);
                for input in &self.inputs {
                    input.visit(|member, score| {
                        self.add(&mut result, hasher, member, score);
                        ControlFlow::Continue(())
                    });
                }
            }
            Operation::Intersection | Operation::Cardinality => {
                self.intersect(hasher, |member, score| {
                    result.insert(hasher, member, score);
                    ControlFlow::Continue(())
                });
            }
            Operation::Difference => {
                let (first, others) = self.inputs.split_first().expect("there is an input");
                first.visit(|member, score| {
                    if others.iter().all(|other| other.score(hasher, member).is_none()) {
                        result.insert(hasher, member, score);
                    }
                    ControlFlow::Continue(())
                });
            }
        }
        result
    }

    /// Adds a member to a union, or aggregates its score with the present one.
    fn add(&self, result: &mut Zset, hasher: &KeyHasher, member: &[u8], score: f64) {
        let (mut before, mut now) = (None, score);
        let change = result.update(hasher, member, |old| {
            before = old;
            now = old.map_or(score, |old| self.aggregate.of(old, score));
            Some(now)
        });
        // Zeros of both signs are equal scores, but are printed differently.
        if change == Change::Nothing && before.map(f64::to_bits) != Some(now.to_bits()) {
            result.remove(hasher, member);
            result.insert(hasher, member, now);
        }
    }

    /// Calls `visit` with the members of the intersection until it breaks.
    fn intersect(
        mut self,
        hasher: &KeyHasher,
        mut visit: impl FnMut(&[u8], f64) -> ControlFlow<()>,
    ) {
        self.inputs.sort_by_key(Input::len);
        let (first, others) = self.inputs.split_first().expect("there is an input");
        first.visit(|member, score| {
            let combined = others.iter().try_fold(score, |score, other| {
                Some(self.aggregate.of(score, other.score(hasher, member)?))
            });
            combined.map_or(ControlFlow::Continue(()), |score| visit(member, score))
        });
    }
}
