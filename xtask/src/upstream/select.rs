//! The order of the suite's files for a change.

use std::time::SystemTime;

use anyhow::Result;

use crate::process::{command, output};

/// A part of a source path, and the files of the suite that it affects most.
const SEEN_BY: &[(&str, &[&str])] = &[
    ("commands/string", &["unit/type/string", "unit/type/incr"]),
    ("commands/bit", &["unit/bitops", "unit/bitfield"]),
    ("commands/keys", &["unit/keyspace", "unit/expire", "unit/scan", "unit/dump"]),
    ("commands/hash", &["unit/type/hash"]),
    ("commands/list", &["unit/type/list", "unit/type/list-2", "unit/type/list-3"]),
    ("commands/set", &["unit/type/set"]),
    ("commands/zset", &["unit/type/zset"]),
    ("commands/geo", &["unit/geo"]),
    ("commands/hyperloglog", &["unit/hyperloglog"]),
    ("commands/stream", &["unit/type/stream", "unit/type/stream-cgroups"]),
    ("commands/pubsub", &["unit/pubsub", "unit/pubsubshard"]),
    ("commands/txn", &["unit/multi"]),
    ("commands/server", &["unit/other", "unit/info", "unit/introspection-2"]),
    ("commands/client", &["unit/introspection", "unit/tracking", "unit/pause"]),
    ("commands/acl", &["unit/acl", "unit/acl-v2", "unit/auth"]),
    ("commands/script", &["unit/scripting", "unit/functions"]),
    ("redix-resp", &["unit/protocol", "unit/querybuf", "unit/limits"]),
    ("redix-server", &["unit/protocol", "unit/obuf-limits", "unit/networking", "unit/quit"]),
    ("keyspace", &["unit/keyspace", "unit/scan", "unit/expire", "unit/maxmemory"]),
    ("persist", &["unit/dump", "unit/other"]),
    ("config", &["unit/introspection", "unit/auth"]),
    ("blocking", &["unit/type/list", "unit/multi"]),
    ("session", &["unit/multi", "unit/auth", "unit/protocol"]),
];

/// `files` with those that the change affects first, then the rest, rotated daily.
pub(super) fn for_change(files: &[String]) -> Result<Vec<String>> {
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 86_400;
    Ok(order(files, &changed_paths(), usize::try_from(days)?))
}

pub(super) fn order(files: &[String], changed: &str, day: usize) -> Vec<String> {
    let touched = |file: &String| {
        let mut sees = SEEN_BY.iter().filter(|(_, seen_by)| seen_by.contains(&file.as_str()));
        sees.any(|(part, _)| changed.contains(part))
    };
    let (mut first, mut rest): (Vec<_>, Vec<_>) = files.iter().cloned().partition(touched);
    if !rest.is_empty() {
        // A step without small factors, so that consecutive days begin far apart.
        let start = day * 7 % rest.len();
        rest.rotate_left(start);
    }
    first.append(&mut rest);
    first
}

/// The paths that differ from main, or in the last commits if main is checked out.
fn changed_paths() -> String {
    let git = |args: &[&str]| output(&mut command("git", args)).unwrap_or_default();
    let head = git(&["rev-parse", "HEAD"]);
    let mut base = git(&["merge-base", "HEAD", "origin/main"]);
    if base.is_empty() || base == head {
        base = git(&["rev-parse", "HEAD~20"]);
    }
    match base.trim() {
        "" => git(&["ls-files"]),
        base => git(&["diff", "--name-only", base]),
    }
}
