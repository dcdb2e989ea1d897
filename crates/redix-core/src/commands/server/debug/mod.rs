//! DEBUG: for tests and debugging, behind `enable-debug-command`.
//!
//! It has no subcommands in the command table: COMMAND shows none in the real servers either. All
//! of them run in the world, so that DEBUG SLEEP stops everything, as it does in a single-threaded
//! server.

mod data;
mod digest;
mod process;
mod protocol;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: DEBUG.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::plain("debug", Group::Server, -2, debug)
    .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::PROTECTED)
    .world()
    .complexity("Depends on subcommand.")
    .doc("Groups the commands for debugging the server.")];

/// A subcommand: its name, its arity (negative: at least as many arguments), its HELP text, and its
/// handler.
type Subcommand = (&'static str, i32, [&'static str; 2], crate::command::spec::DataHandler);

const SUBCOMMANDS: &[Subcommand] = &[
    (
        "aof-flush-sleep",
        3,
        ["AOF-FLUSH-SLEEP <microseconds>", "Delay each write to the append-only file."],
        process::aof_flush_sleep,
    ),
    ("assert", 2, ["ASSERT", "End the process as a failed assertion does."], process::crash),
    (
        "change-repl-id",
        2,
        ["CHANGE-REPL-ID", "Have no replica go on with the stream that it knows."],
        process::change_repl_id,
    ),
    (
        "client-enforce-reply-list",
        3,
        ["CLIENT-ENFORCE-REPLY-LIST <0|1>", "Let CLIENT LIST show all replies as a list."],
        process::enforce_reply_list,
    ),
    (
        "client-eviction",
        2,
        ["CLIENT-EVICTION", "The clients that may be evicted, by their memory."],
        process::client_eviction,
    ),
    (
        "config-rewrite-force-all",
        2,
        ["CONFIG-REWRITE-FORCE-ALL", "CONFIG REWRITE with a line for every directive."],
        process::rewrite_config,
    ),
    ("digest", 2, ["DIGEST", "A signature of all data."], digest::digest),
    (
        "digest-value",
        -2,
        ["DIGEST-VALUE <key> [<key> ...]", "A signature of each key's value."],
        digest::digest_value,
    ),
    ("error", 3, ["ERROR <text>", "Answer this error."], process::error),
    (
        "htstats",
        -3,
        ["HTSTATS <dbid> [full]", "Figures about the tables of a database."],
        data::htstats,
    ),
    (
        "htstats-key",
        -3,
        ["HTSTATS-KEY <key> [full]", "Figures about the table in a value."],
        data::htstats_key,
    ),
    ("listpack", 3, ["LISTPACK <key>", "Whether a value is one."], data::listpack),
    ("loadaof", 2, ["LOADAOF", "Load the append-only file again."], data::loadaof),
    ("log", 3, ["LOG <message>", "Write a line to the log."], process::log),
    ("object", -3, ["OBJECT <key> [fast]", "How a value is kept."], data::object),
    ("oom", 2, ["OOM", "End the process as if memory had run out."], process::crash),
    ("panic", 2, ["PANIC", "End the process as a defect does."], process::crash),
    (
        "pause-cron",
        3,
        ["PAUSE-CRON <0|1>", "Stop everything that happens by itself."],
        process::pause_cron,
    ),
    (
        "populate",
        -3,
        ["POPULATE <count> [<prefix>] [<size>]", "Create keys that do not exist yet."],
        data::populate,
    ),
    (
        "protocol",
        3,
        ["PROTOCOL <type>", "Answer a value of a type of the protocol."],
        protocol::protocol,
    ),
    ("quicklist", -3, ["QUICKLIST <key>", "Whether a value is one."], data::quicklist),
    (
        "quicklist-packed-threshold",
        3,
        [
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "From how many bytes on an element of a list gets a node of its own; 0: as configured.",
        ],
        data::plain_from,
    ),
    (
        "reload",
        -2,
        ["RELOAD [NOSAVE] [NOFLUSH] [MERGE]", "Save everything, forget it and load it again."],
        data::reload,
    ),
    (
        "replybuffer",
        4,
        [
            "REPLYBUFFER (PEAK-RESET-TIME (NEVER|RESET|<ms>)|RESIZING <0|1>)",
            "When the buffers of replies are fitted to what they hold, and whether.",
        ],
        process::reply_buffer,
    ),
    ("segfault", 2, ["SEGFAULT", "End the process as a wrong access does."], process::crash),
    (
        "set-active-expire",
        3,
        ["SET-ACTIVE-EXPIRE <0|1>", "Whether expired keys are looked for."],
        process::set_active_expire,
    ),
    (
        "set-disable-deny-scripts",
        3,
        [
            "SET-DISABLE-DENY-SCRIPTS <0|1>",
            "Whether scripts may call CLIENT LIST, DEBUG PROTOCOL and DEBUG SLEEP.",
        ],
        process::set_scripts_may_ask,
    ),
    (
        "set-skip-checksum-validation",
        3,
        ["SET-SKIP-CHECKSUM-VALIDATION <0|1>", "Whether RDB and RESTORE checksums are ignored."],
        process::set_skip_checksums,
    ),
    ("sleep", 3, ["SLEEP <seconds>", "Stop the server for a while."], process::sleep),
    (
        "stringmatch-test",
        2,
        ["STRINGMATCH-TEST", "Match random patterns with random texts."],
        process::test_glob,
    ),
];

/// `DEBUG subcommand …`. Errors: an unknown subcommand, or wrong arity.
fn debug(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() == 2 && args.is(1, "help") {
        let lines: Vec<(&str, &str)> =
            SUBCOMMANDS.iter().map(|(_, _, [usage, text], _)| (*usage, *text)).collect();
        return super::help(cx, "DEBUG", &lines);
    }
    let fits = |arity: i32| {
        let words = args.len() as i32;
        if arity < 0 { words >= -arity } else { words == arity }
    };
    match SUBCOMMANDS.iter().find(|(name, arity, ..)| args.is(1, name) && fits(*arity)) {
        Some((.., handler)) => handler(cx, args),
        None => Err(unknown(args)),
    }
}

fn unknown(args: Args<'_>) -> ReplyError {
    let sent = &args.get(1)[..args.get(1).len().min(128)];
    let before = "unknown subcommand or wrong number of arguments for '";
    ReplyError::quoting(before, sent, "'. Try DEBUG HELP.")
}

/// A switch as C's `atoi` reads it: anything that does not begin with a number other than 0 is off.
fn switch(word: &[u8]) -> bool {
    let digits = word.trim_ascii_start();
    let digits = digits.strip_prefix(b"-").or(digits.strip_prefix(b"+")).unwrap_or(digits);
    let number = digits.iter().take_while(|byte| byte.is_ascii_digit());
    number.into_iter().any(|digit| *digit != b'0')
}

#[cfg(test)]
mod tests;
