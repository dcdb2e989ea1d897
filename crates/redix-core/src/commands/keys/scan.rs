//! SCAN.

use redix_types::entry::EntryRef;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::scan::{ScanOptions, Walked, parse_cursor};
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::error::CommandResult;
use crate::keyspace::access::KeyList;

/// Command: SCAN.
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

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]` -> the next cursor (`0` at the end) and
/// names. Deletes the expired keys that it would have returned.
fn scan(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let cursor = parse_cursor(args.get(1))?;
    let options = ScanOptions::parse(args.options(2), Walked::Keys)?;
    let wanted = |entry: EntryRef<'_>| {
        options.matches(entry.key()) && options.kind.is_none_or(|kind| entry.kind() == kind)
    };
    let mut found = KeyList::default();
    let next = cx.keys.scan(cursor, options.count, wanted, &mut found);
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(found.len());
    found.iter().for_each(|key| cx.reply.bulk(key));
    Ok(())
}
