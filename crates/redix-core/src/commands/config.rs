//! CONFIG: reading and changing the configuration at run time.
//!
//! SET, REWRITE and RESETSTAT run in the world: every thread sees a change before it is replied to,
//! and no two changes or rewrites overlap.

use crate::acl::DEFAULT_USER;
use crate::command::args::Args;
use crate::command::context::{Caller, ClientCx};
use crate::command::dispatch::done;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::config::{self, ClientPlace};
use crate::error::{CommandResult, ReplyError};
use crate::sync::atomic::Ordering;

/// Command: CONFIG and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::client("config", Group::Server, -2, container)
    .since("2.0.0")
    .complexity("Depends on subcommand.")
    .doc("Groups the commands about the configuration.")
    .subcommands(SUBCOMMANDS)];

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::client("get", Group::Server, -3, get)
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .since("2.0.0")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .doc("Returns the values of directives.")
        .history(&[("7.0.0", "Takes several patterns.")])
        .args(&[ArgSpec::new("parameter", ArgKind::String).multiple()]),
    CommandSpec::client("help", Group::Server, 2, help)
        .flags(flag::LOADING | flag::STALE)
        .since("5.0.0")
        .doc("Lists the subcommands."),
    CommandSpec::client("resetstat", Group::Server, 2, resetstat)
        .world()
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .since("2.0.0")
        .doc("Lets the counters of INFO begin anew.")
        .tips(EVERYWHERE),
    CommandSpec::client("rewrite", Group::Server, 2, rewrite)
        .world()
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .since("2.8.0")
        .doc("Writes the configuration to its file.")
        .tips(EVERYWHERE),
    CommandSpec::client("set", Group::Server, -4, set)
        .world()
        .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
        .since("2.0.0")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .doc("Changes directives.")
        .history(&[("7.0.0", "Takes several directives.")])
        .tips(EVERYWHERE)
        .args(&[ArgSpec::new(
            "data",
            ArgKind::Block(&[
                ArgSpec::new("parameter", ArgKind::String),
                ArgSpec::new("value", ArgKind::String),
            ]),
        )
        .multiple()]),
];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("config".into()))
}

/// `CONFIG GET pattern …` -> map of names to values, in the order of the names.
fn get(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let patterns: Vec<&[u8]> = args.iter_from(2).collect();
    // Not `cx.config`: an earlier command of the same transaction may have changed it.
    let mut found = cx.engine.config().get(&patterns);
    found.sort_unstable();
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name);
        cx.reply.bulk(&value);
    }
    Ok(())
}

/// `CONFIG SET name value …` -> OK; all or nothing. Errors: an unknown, immutable, protected or
/// repeated directive; a value that it or the process refuses.
fn set(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut unknown = None;
    for at in (2..args.len()).step_by(2) {
        match config::find(args.get(at)) {
            Some(directive) if directive.is_sensitive => cx.session.secrets.add(at + 1..at + 2),
            Some(_) => {}
            None => unknown = unknown.or(Some(args.get(at))),
        }
    }
    if !args.len().is_multiple_of(2) {
        return Err(ReplyError::Syntax);
    }
    let words: Vec<&[u8]> = args.iter_from(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    if let Some(name) = unknown {
        let before = "Unknown option or number of arguments for CONFIG SET - '";
        return Err(ReplyError::quoting(before, name, "'"));
    }
    let mut directives = pairs.iter().filter_map(|(name, _)| config::find(name));
    let loads = cx.engine.loading.load(Ordering::Relaxed);
    if (loads || cx.engine.repl.upstream.async_loading())
        && directives.any(|directive| directive.is_not_while_loading)
    {
        return Err(ReplyError::LOADING);
    }
    let place = if cx.shared.is_local() { ClientPlace::Local } else { ClientPlace::Remote };
    let refused = |error: config::ConfigSetError| ReplyError::err(error.to_string());
    let (new, changed) = cx.engine.config().plan_set(&pairs, place).map_err(refused)?;
    if !changed.is_empty() {
        cx.keys.held.release_in_world();
        let in_transaction = cx.caller == Caller::Exec;
        cx.engine.reconfigure(new, &changed, in_transaction).map_err(refused)?;
        if changed.contains(&"acl-replicate") {
            let users = cx.engine.acl.all();
            cx.replicate_users(users.iter().map(|user| &*user.name));
        } else if changed.contains(&"requirepass") {
            cx.replicate_users([DEFAULT_USER]);
        }
    }
    done(cx.reply)
}

/// `CONFIG REWRITE` -> OK. Errors: started without a file; the file cannot be written.
fn rewrite(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine
        .rewrite_config_file(config::rewrite)
        .map_err(|error| ReplyError::err(error.to_string()))?;
    done(cx.reply)
}

/// `CONFIG RESETSTAT` -> OK. The slow log and the number of changes since the last save are kept.
fn resetstat(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.stats.reset();
    cx.engine.errors.reset();
    cx.engine.scripting.reset_evicted();
    cx.engine.eviction.reset();
    done(cx.reply)
}

/// `CONFIG HELP` -> array of statuses.
fn help(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    super::server::help(
        cx,
        "CONFIG",
        &[
            (
                "GET <pattern> [<pattern> ...]",
                "Directives that match a pattern, with their values.",
            ),
            ("SET <directive> <value> [...]", "Change directives, all or none."),
            ("RESETSTAT", "Let the counters of INFO begin anew."),
            ("REWRITE", "Write the configuration to its file."),
        ],
    )
}
