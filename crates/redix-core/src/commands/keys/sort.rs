//! SORT and SORT_RO: the elements of a list, set or sorted set in another order.
//!
//! Weights (BY) and what is returned (GET) may come from other keys, whose names only the elements
//! tell: with such patterns it runs in the world, without them under the locks of its keys. The
//! elements are copied before the first other key is read.
//!
//! Sources: the replies of Valkey 9.1.2, Redis 8.2.3 and 7.0.15.

mod source;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use redix_types::entry::{Encoding, EntryRef, IntBuf, Kind, Value};
use redix_types::hash::HashRef;
use redix_types::list::{End, List};
use redix_types::num;
use redix_types::zset::ZsetEdit;

use self::source::{Texts, elements};
use super::docs;
use crate::command::args::Args;
use crate::command::context::{Caller, Ctx};
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, Locks, access, acl, flag};
use crate::effects::class;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing, Ttl};

const KEY: KeySpec = KeySpec::one(1, access::RO | access::ACCESS);

/// A key specification for keys that depend on the data.
const fn unknown(access: u32, notes: &'static str) -> KeySpec {
    KeySpec { access, begin: Begin::Unknown, find: Find::Unknown, notes: Some(notes) }
}

const PATTERN_KEYS: KeySpec = unknown(
    access::RO | access::ACCESS,
    "of BY and GET: their names come from the elements, so they cannot be told",
);

const ACL: u32 = acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS;

/// Commands: SORT and SORT_RO.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "sort",
        Group::Generic,
        -2,
        const {
            &[
                KEY,
                PATTERN_KEYS,
                unknown(access::OW | access::UPDATE, "of STORE, which may stand anywhere"),
            ]
        },
        sort,
    )
    .get_keys(sort_keys)
    .world_unless(sort_locks)
    .flags(flag::DENYOOM | flag::MOVABLEKEYS | flag::READS_BY_PATTERN)
    .acl(ACL)
    .docs(docs::SORT),
    CommandSpec::read("sort_ro", Group::Generic, -2, const { &[KEY, PATTERN_KEYS] }, sort_ro)
        .get_keys(sort_ro_keys)
        .world_unless(sort_ro_locks)
        .flags(flag::MOVABLEKEYS | flag::READS_BY_PATTERN)
        .acl(ACL)
        .docs(docs::SORT_RO),
];

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE
/// destination]` -> the elements, or what GET finds for each; with STORE the number of elements
/// stored as a list (0 deletes `destination`). Errors: the options, WRONGTYPE, elements or weights
/// that are not numbers without ALPHA. Logged verbatim; event `sortstore` or `del`.
fn sort(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = SortOptions::parse(args, Stores::Allowed, cx.reads_all_keys)?;
    run(cx, args, &options)
}

/// `SORT_RO`: as SORT, without STORE.
fn sort_ro(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let options = SortOptions::parse(args, Stores::Refused, cx.reads_all_keys)?;
    run(cx, args, &options)
}

/// Patterns lead to keys that the arguments do not name.
fn sort_locks(args: Args<'_>) -> Locks {
    locks_of(SortOptions::parse(args, Stores::Allowed, true))
}

fn sort_ro_locks(args: Args<'_>) -> Locks {
    locks_of(SortOptions::parse(args, Stores::Refused, true))
}

fn locks_of(options: Result<SortOptions<'_>, ReplyError>) -> Locks {
    let follows_patterns = options.is_ok_and(|options| {
        (options.by.is_some() && !options.unsorted) || options.get.iter().any(|get| *get != b"#")
    });
    if follows_patterns { Locks::World } else { Locks::Keys }
}

/// Finds the keys for COMMAND GETKEYS; the arguments have not been checked.
fn sort_keys(args: Args<'_>, keys: &mut Vec<(usize, u32)>) -> bool {
    if !sort_ro_keys(args, keys) {
        return false;
    }
    let mut destination = None;
    let mut index = 2;
    while index < args.len() {
        index += match () {
            () if args.is(index, "LIMIT") => 3,
            () if args.is(index, "BY") || args.is(index, "GET") => 2,
            () if args.is(index, "STORE") && index + 1 < args.len() => {
                destination = Some(index + 1);
                2
            }
            () => 1,
        };
    }
    keys.extend(destination.map(|index| (index, access::OW | access::UPDATE)));
    true
}

fn sort_ro_keys(args: Args<'_>, keys: &mut Vec<(usize, u32)>) -> bool {
    if args.len() > 1 {
        keys.push((1, access::RO | access::ACCESS));
    }
    args.len() > 1
}

/// Whether STORE is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stores {
    Allowed,
    Refused,
}

struct SortOptions<'a> {
    /// The BY pattern; `None`: elements are their own weights.
    by: Option<&'a [u8]>,
    /// BY without a `*`: elements are not sorted.
    unsorted: bool,
    alpha: bool,
    descending: bool,
    offset: i64,
    count: i64,
    get: Vec<&'a [u8]>,
    /// The argument that is the destination.
    store: Option<usize>,
}

impl<'a> SortOptions<'a> {
    /// `reads_all_keys`: whether the caller may read the keys that patterns name.
    fn parse(args: Args<'a>, stores: Stores, reads_all_keys: bool) -> Result<Self, ReplyError> {
        let mut parsed = SortOptions {
            by: None,
            unsorted: false,
            alpha: false,
            descending: false,
            offset: 0,
            count: -1,
            get: Vec::new(),
            store: None,
        };
        let mut options = args.options(2);
        while options.more() {
            if options.eat("ASC") {
                parsed.descending = false;
            } else if options.eat("DESC") {
                parsed.descending = true;
            } else if options.eat("ALPHA") {
                parsed.alpha = true;
            } else if options.left() > 2
                && let Some(offset) = options.eat_value("LIMIT")
            {
                let int = |word| num::parse_i64(word).ok_or(ReplyError::NotInteger);
                parsed.offset = int(offset)?;
                parsed.count = int(options.take().unwrap_or_default())?;
            } else if let Some(pattern) = options.eat_value("BY") {
                if pattern.contains(&b'*') && !reads_all_keys {
                    return Err(ReplyError::Static(
                        "ERR BY option of SORT denied due to insufficient ACL permissions.",
                    ));
                }
                parsed.by = Some(pattern);
                parsed.unsorted |= !pattern.contains(&b'*');
            } else if let Some(pattern) = options.eat_value("GET") {
                if !reads_all_keys {
                    return Err(ReplyError::Static(
                        "ERR GET option of SORT denied due to insufficient ACL permissions.",
                    ));
                }
                parsed.get.push(pattern);
            } else if stores == Stores::Allowed && options.eat_value("STORE").is_some() {
                parsed.store = Some(options.position() - 1);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }

    /// The part of `len` elements that LIMIT selects.
    fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = usize::try_from(self.count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

fn run(cx: &mut Ctx<'_, '_>, args: Args<'_>, options: &SortOptions<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let source = match cx.keys.lookup_read(key) {
        Some(entry) => elements(entry, options)?,
        None => Texts::default(),
    };
    enlarge_sorted_set(cx, key)?;
    let chosen = match options.unsorted {
        // Lists and sorted sets were cut already; sets have no order to keep.
        true if source.is_cut => (0..source.len()).collect(),
        // Scripts get a defined order too.
        true if options.store.is_some() || cx.caller == Caller::Script => by_text(&source, options),
        true => (0..source.len()).collect::<Vec<_>>()[options.range(source.len())].to_vec(),
        false => by_weight(cx, &source, options)?,
    };
    let found = results(cx, &source, &chosen, options);
    match options.store {
        Some(word) => store(cx, args, word, &found)?,
        None => {
            cx.reply.array(found.len());
            for index in 0..found.len() {
                match found.get(index) {
                    Some(text) => cx.reply.bulk(text),
                    None => cx.reply.null(),
                }
            }
        }
    }
    Ok(())
}

/// Converts a compact sorted set to its large form, as SORT does in the real servers: OBJECT
/// ENCODING and DUMP show it.
fn enlarge_sorted_set(cx: &mut Ctx<'_, '_>, key: Key<'_>) -> CommandResult {
    let is_compact =
        |entry: EntryRef<'_>| entry.kind() == Kind::Zset && entry.encoding() == Encoding::Listpack;
    if cx.keys.peek(key).is_some_and(is_compact) {
        let (limits, hasher) = (cx.config.limits().zset, cx.keys.keyspace.hasher());
        cx.keys.edit(key, Kind::Zset, Missing::Skip, |entry| {
            ZsetEdit::new(entry, limits, hasher).reserve(usize::MAX, 0);
            ((), Edited::Nothing)
        })?;
    }
    Ok(())
}

/// Stores the results, missing ones as empty strings, and replies.
fn store(cx: &mut Ctx<'_, '_>, args: Args<'_>, word: usize, found: &Texts) -> CommandResult {
    let key = cx.key(args, word);
    let db = cx.keys.db;
    if found.len() > 0 {
        let mut list = List::new(cx.config.limits().list);
        (0..found.len()).for_each(|index| list.push(End::Tail, found.get(index).unwrap_or(b"")));
        let value = Value::Heap(list.compacted());
        cx.admit_result(key, &value)?;
        cx.keys.set(key, value, Ttl::Clear);
        // One change is counted already.
        cx.keys.effects.add_dirty(found.len() as u64 - 1);
        cx.keys.effects.notify(class::LIST, "sortstore", db, key.bytes);
    } else if cx.keys.delete(key) {
        cx.keys.effects.notify(class::GENERIC, "del", db, key.bytes);
    }
    cx.reply.int(found.len() as i64);
    Ok(())
}

/// The indexes of the elements sorted by text, cut by LIMIT.
fn by_text(source: &Texts, options: &SortOptions<'_>) -> Vec<usize> {
    arranged(source.len(), options, |one, other| {
        collate(options, source.get(one), source.get(other))
    })
}

/// The indexes of the elements sorted by weight, cut by LIMIT. Errors: a weight that is not a
/// number.
fn by_weight(
    cx: &mut Ctx<'_, '_>,
    source: &Texts,
    options: &SortOptions<'_>,
) -> Result<Vec<usize>, ReplyError> {
    let weights = options.by.map(|pattern| {
        let mut weights = Texts::default();
        for index in 0..source.len() {
            let element = source.get(index).unwrap_or_default();
            fetch(cx, pattern, element, &mut weights);
        }
        weights
    });
    if options.alpha {
        return Ok(match &weights {
            Some(weights) => arranged(source.len(), options, |one, other| {
                collate(options, weights.get(one), weights.get(other))
            }),
            None => arranged(source.len(), options, |one, other| {
                collate(options, source.get(one), source.get(other))
            }),
        });
    }
    let weights = weights.as_ref().unwrap_or(source);
    let scores: Option<Vec<f64>> =
        (0..source.len()).map(|index| weights.get(index).map_or(Some(0.0), score)).collect();
    let scores = scores
        .ok_or(ReplyError::Static("ERR One or more scores can't be converted into double"))?;
    Ok(arranged(source.len(), options, |one, other| {
        // Equal weights: by text, so that the order is defined.
        let order = scores[one].partial_cmp(&scores[other]).unwrap_or(Ordering::Equal);
        order.then_with(|| source.get(one).cmp(&source.get(other)))
    }))
}

/// The indexes below `len`, sorted, reversed by DESC and cut by LIMIT.
fn arranged(
    len: usize,
    options: &SortOptions<'_>,
    order: impl Fn(usize, usize) -> Ordering,
) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..len).collect();
    numbers.sort_by(|&one, &other| {
        let order = order(one, other);
        if options.descending { order.reverse() } else { order }
    });
    numbers[options.range(len)].to_vec()
}

/// The order of texts under ALPHA, missing ones first: that of the C library's `strcoll` in the
/// locale `C`, which ends at a zero byte, unless the result is stored.
fn collate(options: &SortOptions<'_>, one: Option<&[u8]>, other: Option<&[u8]>) -> Ordering {
    if options.store.is_some() {
        return one.cmp(&other);
    }
    one.map(until_zero).cmp(&other.map(until_zero))
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A weight, read up to a zero byte as the C library does.
fn score(text: &[u8]) -> Option<f64> {
    num::parse_f64(until_zero(text))
}

/// The results for the chosen elements: themselves, or what each GET finds.
fn results(
    cx: &mut Ctx<'_, '_>,
    source: &Texts,
    chosen: &[usize],
    options: &SortOptions<'_>,
) -> Texts {
    let mut found = Texts::default();
    for &index in chosen {
        let element = source.get(index).unwrap_or_default();
        if options.get.is_empty() {
            found.push(element);
        }
        for pattern in &options.get {
            fetch(cx, pattern, element, &mut found);
        }
    }
    found
}

/// Adds the result of a GET or BY pattern for an element: the element itself (`#`), the string at
/// the key that the pattern names with the element in place of `*`, or the field after `->` of the
/// hash at that key; missing if there is none.
fn fetch(cx: &mut Ctx<'_, '_>, pattern: &[u8], element: &[u8], found: &mut Texts) {
    if pattern == b"#" {
        return found.push(element);
    }
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else {
        return found.push_missing();
    };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|two| two == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let name = [before, element, after].concat();
    let (key, hasher) = (cx.keys.key(&name), cx.keys.keyspace.hasher());
    let mut buf = IntBuf::new();
    let horizon_ms = cx.keys.horizon_ms();
    match (cx.keys.lookup_read(key), field) {
        (Some(entry), Some(field)) if entry.kind() == Kind::Hash => {
            match HashRef::after(entry.value(), horizon_ms).get(field, hasher) {
                Some(value) => found.push(value.text(&mut buf)),
                None => found.push_missing(),
            }
        }
        (Some(entry), None) if entry.kind() == Kind::String => {
            found.push(entry.value().string_bytes(&mut buf));
        }
        _ => found.push_missing(),
    }
}
