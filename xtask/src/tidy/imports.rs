//! The allowed imports between modules of redix-core. Between crates cargo enforces the layers;
//! inside the core this table does. `lib.rs` wires everything together and `tests.rs` may use
//! anything.

use super::source::Source;

const CORE: &str = "crates/redix-core/src/";

/// Imported by all others: errors, the environment, locks, parameters, counters.
const BASE: &[&str] = &[
    "error",
    "env",
    "sync",
    "config",
    "stats",
    "errorstats",
    "rates",
    "recent",
    "saves",
    "latency",
    "moment",
    "pause",
    "spare",
    "tls",
];

/// The imports allowed inside [`BASE`].
const ALLOWED_BASE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("sync", &[]),
    ("env", &["error", "sync"]),
    ("stats", &["error", "env", "sync"]),
    ("config", &["error", "env", "sync"]),
    ("errorstats", &["error", "sync"]),
    ("rates", &["stats", "sync"]),
    ("recent", &["sync"]),
    ("saves", &["error", "sync", "config"]),
    ("latency", &["sync"]),
    ("moment", &[]),
    ("pause", &["sync"]),
    ("spare", &["env", "sync"]),
    ("tls", &[]),
];

/// The parts of serving a client: the keys, the client, and the recipients of effects.
const SERVICE: &[&str] = &[
    "acl",
    "keyspace",
    "effects",
    "registry",
    "mailbox",
    "invalidation",
    "tracking",
    "eviction",
    "migration",
    "session",
    "blocking",
    "channel",
    "pubsub",
    "commandlog",
    "monitor",
    "scripting",
    "client",
    "repl",
];

/// The modules that combine [`SERVICE`] and may import all of it.
const SERVING: &[&str] = &["command", "commands", "engine", "worker"];

/// A module and what it may import besides [`BASE`], itself and, for [`SERVING`], [`SERVICE`]. What
/// matters is what is absent:
///
/// - `keyspace` knows no commands or clients;
/// - handlers in `commands` do not see `persist`: they record what they did in `effects`, and of
///   the engine they see what `Ctx` gives them; the replication family imports `repl`;
/// - `persist` and `repl` know no command: replay passes arguments to dispatch;
/// - `rdb` is a codec that knows neither keyspace nor commands, so that DUMP and RESTORE can use it
///   without the snapshot in `persist`;
/// - `command` does not know the families: `engine` passes it their table.
const ALLOWED: &[(&str, &[&str])] = &[
    // Published messages are effects of a unit, then mail.
    ("channel", &[]),
    ("effects", &["channel"]),
    ("invalidation", &[]),
    ("scripting", &[]),
    ("mailbox", &["channel", "invalidation"]),
    ("rdb", &[]),
    ("keyspace", &["effects"]),
    ("tracking", &["keyspace", "invalidation", "mailbox", "registry"]),
    ("eviction", &["keyspace"]),
    // A waiter is notified through a mailbox; the conditions of waits are in `command` and
    // `worker`.
    ("blocking", &["mailbox"]),
    ("registry", &["mailbox", "blocking", "acl"]),
    // Values captured under the locks are sent to another server without them.
    ("migration", &["keyspace", "blocking", "mailbox", "registry", "rdb", "command"]),
    // A session keeps parsed commands: the queue of MULTI.
    ("session", &["keyspace", "effects", "command", "repl", "pubsub", "acl"]),
    // Rules refer to commands; who is checked is of no concern there.
    ("acl", &["command"]),
    ("pubsub", &["channel", "registry", "mailbox"]),
    ("commandlog", &["command", "registry", "session"]),
    ("monitor", &["command", "registry", "session", "mailbox"]),
    ("client", &["command", "registry", "session", "mailbox", "repl"]),
    ("persist", &["keyspace", "effects", "rdb", "scripting"]),
    ("repl", &["keyspace", "effects", "rdb", "registry", "mailbox", "persist"]),
    ("aof", &["persist", "repl"]),
    ("command", &["engine"]),
    ("commands", &["command", "rdb", "engine"]),
    ("engine", &["command", "commands", "persist", "aof"]),
    ("worker", &["command", "engine"]),
    ("expire", &["keyspace", "command", "engine", "repl"]),
    // The link to a primary drives a worker of its own.
    (
        "upstream",
        &[
            "keyspace",
            "registry",
            "mailbox",
            "session",
            "client",
            "command",
            "persist",
            "repl",
            "engine",
            "worker",
            "scripting",
        ],
    ),
    // It reads and writes files, without an engine.
    ("restore", &["aof", "persist", "rdb"]),
    // So does loading the append-only file, which prepares commands as the link does.
    (
        "replay",
        &[
            "aof", "client", "engine", "mailbox", "persist", "rdb", "registry", "repl", "session",
            "upstream", "worker",
        ],
    ),
];

pub(super) fn check(sources: &[Source], problems: &mut Vec<String>) {
    for source in sources {
        let Some(inner) = source.path.strip_prefix(CORE) else { continue };
        if inner == "lib.rs" || !source.is_product() {
            continue;
        }
        let module = inner.split(['/', '.']).next().unwrap_or(inner);
        for (line, other) in named_modules(inner, &source.code) {
            if other != module && !allowed(module, &other) {
                problems.push(format!(
                    "{}:{line}: {module} must not import {other} (xtask/src/tidy/imports.rs)",
                    source.path
                ));
            }
        }
    }
}

fn allowed(module: &str, other: &str) -> bool {
    let serves = || SERVING.contains(&module) && SERVICE.contains(&other);
    let edges = |table: &[(&str, &[&str])]| {
        table.iter().find(|(name, _)| *name == module).map(|(_, edges)| edges.contains(&other))
    };
    edges(ALLOWED_BASE)
        .or_else(|| edges(ALLOWED).map(|listed| listed || BASE.contains(&other) || serves()))
        .unwrap_or(false)
}

/// The top-level modules that the file at `inner` (below `src`) imports, with the line.
///
/// Counted are `crate::x` anywhere, `crate::{x, y::z}`, and `super::…` where it reaches the root.
pub(super) fn named_modules(inner: &str, code: &str) -> Vec<(usize, String)> {
    let stem = inner.strip_suffix("/mod.rs").or(inner.strip_suffix(".rs")).unwrap_or(inner);
    let depth = stem.split('/').count();
    let to_root = format!("{}::", vec!["super"; depth].join("::"));
    let mut found = Vec::new();
    for root in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            // A longer chain of `super` or a path through another crate is not a path from here.
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &code[at + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => heads_of_group(group),
                None => first_word(rest).into_iter().collect(),
            };
            let line = code[..at].matches('\n').count() + 1;
            // Capital letters are items that `lib.rs` exports, lower case are modules.
            let modules = names.into_iter().filter(|n| n.starts_with(|c: char| c.is_lowercase()));
            found.extend(modules.map(|name| (line, name)));
        }
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty() && word != "super").then_some(word)
}

/// The first name of each part of `a, b::{c, d}, e}`.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.extend(first_word(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}
