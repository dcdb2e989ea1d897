//! SCAN.

use redix_types::entry::{EntryRef, Kind};
use redix_types::glob::{self, Case};
use redix_types::num;

use crate::command::args::{Args, Options};
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::access::KeyList;

/// The family.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("scan", Group::Generic, -2, scan)
    .flags(flag::READONLY | flag::TOUCHES_ARBITRARY_KEYS)
    .acl(acl::KEYSPACE)
    .walk()
    .since("2.8.0")
    .complexity("O(1) per call; O(N) for a whole iteration, N being the number of keys.")
    .doc("Lists the keys of the database in portions.")
    .history(&[("6.0.0", "Option TYPE.")])
    .args(&[
        ArgSpec::new("cursor", ArgKind::Integer),
        ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
        ArgSpec::new("type", ArgKind::String).token("TYPE").optional().since("6.0.0"),
    ])
    .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])];

/// Keys visited per call unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

const KINDS: [Kind; 6] =
    [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash, Kind::Stream];

struct ScanOptions<'a> {
    /// `None` also for `*`, which every name matches.
    pattern: Option<&'a [u8]>,
    count: usize,
    kind: Option<Kind>,
}

impl<'a> ScanOptions<'a> {
    /// Later options replace earlier ones of the same name.
    fn parse(mut options: Options<'a>) -> Result<Self, ReplyError> {
        let mut parsed = Self { pattern: None, count: COUNT_DEFAULT, kind: None };
        while options.more() {
            if let Some(count) = options.eat_value("COUNT") {
                let count = num::parse_i64(count).ok_or(ReplyError::NotInteger)?;
                parsed.count =
                    usize::try_from(count).ok().filter(|n| *n > 0).ok_or(ReplyError::Syntax)?;
            } else if let Some(pattern) = options.eat_value("MATCH") {
                parsed.pattern = (pattern != b"*").then_some(pattern);
            } else if let Some(name) = options.eat_value("TYPE") {
                parsed.kind = Some(kind_named(name)?);
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }

    fn wants(&self, entry: EntryRef<'_>) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key(), Case::Sensitive))
            && self.kind.is_none_or(|kind| entry.kind() == kind)
    }
}

fn kind_named(name: &[u8]) -> Result<Kind, ReplyError> {
    let named = |kind: &Kind| name.eq_ignore_ascii_case(kind.name().as_bytes());
    KINDS
        .into_iter()
        .find(named)
        .ok_or_else(|| ReplyError::quoting("unknown type name '", name, "'"))
}

/// Reads a cursor the lenient way of the real servers: blanks and a plus sign may stand before the
/// digits, which must fit 64 bits.
fn parse_cursor(word: &[u8]) -> Result<u64, ReplyError> {
    let digits = word.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(ReplyError::Static("ERR invalid cursor"))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]` -> the next cursor (`0` at the end) and
/// names. Deletes the expired keys that it would have returned.
fn scan(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let cursor = parse_cursor(args.get(1))?;
    let options = ScanOptions::parse(args.options(2))?;
    let mut found = KeyList::default();
    let next = cx.keys.scan(cursor, options.count, |entry| options.wants(entry), &mut found);
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(found.len());
    found.iter().for_each(|key| cx.reply.bulk(key));
    Ok(())
}
