//! Commands that read lists.

use redix_types::entry::Kind;
use redix_types::list::{End, ListRef};
use redix_types::listpack::Needle;
use redix_types::num::parse_i64;

use super::{docs, parse_signed_count, reply_element, resolve, resolve_range};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;

/// Commands: LINDEX, LLEN, LPOS and LRANGE.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read(
        "lindex",
        Group::List,
        3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        lindex,
    )
    .flags(flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::LINDEX),
    CommandSpec::read("llen", Group::List, 2, const { &[KeySpec::one(1, access::RO)] }, llen)
        .flags(flag::FAST | flag::BRIEF)
        .acl(acl::LIST)
        .docs(docs::LLEN),
    CommandSpec::read(
        "lpos",
        Group::List,
        -3,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        lpos,
    )
    .acl(acl::LIST)
    .docs(docs::LPOS),
    CommandSpec::read(
        "lrange",
        Group::List,
        4,
        const { &[KeySpec::one(1, access::RO | access::ACCESS)] },
        lrange,
    )
    .flags(flag::BRIEF)
    .acl(acl::LIST)
    .docs(docs::LRANGE),
];

/// Looks a list up for reading. Errors: WRONGTYPE.
fn lookup<'c>(cx: &'c mut Ctx<'_, '_>, key: Key<'_>) -> Result<Option<ListRef<'c>>, ReplyError> {
    let entry = cx.keys.lookup_kind(key, Kind::List)?;
    Ok(entry.map(|entry| ListRef::of(entry.value())))
}

/// `LLEN key` -> the number of elements, 0 if there is no list. Errors: WRONGTYPE.
fn llen(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let len = lookup(cx, key)?.map_or(0, ListRef::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `LINDEX key index` -> bulk, null if there is no such element. Errors: WRONGTYPE, NotInteger.
fn lindex(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let key = cx.key(args, 1);
    let Some(entry) = cx.keys.lookup_kind(key, Kind::List)? else {
        cx.reply.null();
        return Ok(());
    };
    let (list, index) = (ListRef::of(entry.value()), args.int(2)?);
    match resolve(index, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply_element(cx.reply, element),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `LRANGE key start stop` -> array of the elements, both ends included. Errors: NotInteger,
/// WRONGTYPE.
fn lrange(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (start, stop, key) = (args.int(2)?, args.int(3)?, cx.key(args, 1));
    let Some(entry) = cx.keys.lookup_kind(key, Kind::List)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let list = ListRef::of(entry.value());
    let range = resolve_range(start, stop, list.len());
    cx.reply.array(range.len());
    for element in list.iter(range.start, End::Tail).take(range.len()) {
        reply_element(cx.reply, element);
    }
    Ok(())
}

/// The options of LPOS.
struct Search {
    /// Which match is the first to be returned, counted from 1 in the direction of `from`.
    rank: u64,
    from: End,
    /// How many matches to return; `None`: one, not as an array; 0: all.
    count: Option<u64>,
    /// How many elements are compared; 0: all.
    max_len: u64,
}

impl Search {
    /// Parses `[RANK rank] [COUNT count] [MAXLEN len]`, in any order. Errors: Syntax, out of range.
    fn parse(args: Args<'_>) -> Result<Search, ReplyError> {
        let mut search = Search { rank: 1, from: End::Head, count: None, max_len: 0 };
        let mut options = args.options(3);
        while options.more() {
            if let Some(word) = options.eat_value("RANK") {
                let rank = parse_signed_count(word)?;
                search.rank = rank.unsigned_abs();
                search.from = if rank < 0 { End::Tail } else { End::Head };
                if rank == 0 {
                    return Err(RANK_ZERO);
                }
            } else if let Some(word) = options.eat_value("COUNT") {
                let count = not_negative(word, "ERR COUNT can't be negative")?;
                search.count = Some(count);
            } else if let Some(word) = options.eat_value("MAXLEN") {
                search.max_len = not_negative(word, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(search)
    }
}

const RANK_ZERO: ReplyError = ReplyError::Static(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
     negative to start from the end of the list",
);

fn not_negative(word: &[u8], error: &'static str) -> Result<u64, ReplyError> {
    parse_i64(word).and_then(|n| u64::try_from(n).ok()).ok_or(ReplyError::Static(error))
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN len]` -> the index of a match or null; with
/// COUNT an array of indexes. Errors: the options, WRONGTYPE.
fn lpos(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (search, key) = (Search::parse(args)?, cx.key(args, 1));
    let entry = cx.keys.lookup_kind(key, Kind::List)?;
    let list = entry.map(|entry| ListRef::of(entry.value()));
    let mut matches = list.into_iter().flat_map(|list| matches(list, args.get(2), &search));
    match search.count {
        None => match matches.next() {
            Some(index) => cx.reply.int(index as i64),
            None => cx.reply.null(),
        },
        Some(count) => {
            let most = if count == 0 { usize::MAX } else { count as usize };
            let place = cx.reply.deferred_array();
            let mut found = 0;
            for index in matches.take(most) {
                cx.reply.int(index as i64);
                found += 1;
            }
            cx.reply.finish_array(place, found);
        }
    }
    Ok(())
}

/// The indexes of the matches to return, in search order.
fn matches<'a>(
    list: ListRef<'a>,
    text: &'a [u8],
    search: &Search,
) -> impl Iterator<Item = usize> + use<'a> {
    let (needle, from, last) = (Needle::new(text), search.from, list.len() - 1);
    let elements = match from {
        End::Head => list.iter(0, End::Tail),
        End::Tail => list.iter(last, End::Head),
    };
    let most = if search.max_len == 0 { usize::MAX } else { search.max_len as usize };
    let skipped = usize::try_from(search.rank - 1).unwrap_or(usize::MAX);
    let matching = elements.take(most).enumerate();
    matching
        .filter(move |(_, element)| needle.is(*element))
        .skip(skipped)
        .map(move |(met, _)| if from == End::Head { met } else { last - met })
}
