//! FUNCTION and its subcommands.
//!
//! What changes the libraries is a write: it runs in the world, and is logged as it was received.

use redix_types::glob;

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, acl, flag};
use crate::config::Config;
use crate::error::{CommandResult, ReplyError};
use crate::rdb::format::{RdbError, RdbErrorKind};
use crate::rdb::read::DumpReader;
use crate::rdb::write::RecordEncoder;
use crate::scripting::busy::Kind;
use crate::scripting::functions::{LOAD_LIMIT_NS, Libraries, TRUSTED_LIMIT_NS};
use crate::scripting::library::Library;
use crate::scripting::script_flag;

/// Tips of those that change the libraries.
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FLUSH_TYPE: ArgSpec = ArgSpec::new(
    "flush-type",
    ArgKind::OneOf(&[ArgSpec::word("async", "ASYNC"), ArgSpec::word("sync", "SYNC")]),
);
const POLICY: ArgSpec = ArgSpec::new(
    "policy",
    ArgKind::OneOf(&[
        ArgSpec::word("flush", "FLUSH"),
        ArgSpec::word("append", "APPEND"),
        ArgSpec::word("replace", "REPLACE"),
    ]),
);

/// Command: FUNCTION and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[
        CommandSpec::plain("function", Group::Scripting, -2, container)
            .since("7.0.0")
            .complexity("Depends on subcommand.")
            .doc("Groups the commands about functions.")
            .subcommands(
                &[
                    CommandSpec::write("delete", Group::Scripting, 3, const { &[] }, delete)
                        .flags(flag::NOSCRIPT)
                        .acl(acl::SCRIPTING)
                        .world()
                        .since("7.0.0")
                        .complexity("O(1)")
                        .doc("Removes a library with its functions.")
                        .tips(EVERYWHERE)
                        .args(&[ArgSpec::new("library-name", ArgKind::String)]),
                    CommandSpec::plain("dump", Group::Scripting, 2, dump)
                        .flags(flag::NOSCRIPT)
                        .acl(acl::SCRIPTING)
                        .since("7.0.0")
                        .complexity("O(N) where N is the number of functions")
                        .doc("Returns all libraries in serialised form."),
                    CommandSpec::write("flush", Group::Scripting, -2, const { &[] }, flush)
                        .flags(flag::NOSCRIPT)
                        .acl(acl::SCRIPTING)
                        .world()
                        .since("7.0.0")
                        .complexity("O(N) where N is the number of functions deleted")
                        .doc("Removes every library of functions.")
                        .tips(EVERYWHERE)
                        .args(const { &[FLUSH_TYPE.optional()] }),
                    CommandSpec::plain("help", Group::Scripting, 2, help)
                        .flags(flag::LOADING | flag::STALE)
                        .acl(acl::SCRIPTING)
                        .since("7.0.0")
                        .complexity("O(1)")
                        .doc("Lists the subcommands."),
                    CommandSpec::plain("kill", Group::Scripting, 2, kill)
                        .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
                        .acl(acl::SCRIPTING)
                        .since("7.0.0")
                        .complexity("O(1)")
                        .doc("Ends the function that is running, if it has written nothing.")
                        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
                    CommandSpec::plain("list", Group::Scripting, -2, list)
                        .flags(flag::NOSCRIPT)
                        .acl(acl::SCRIPTING)
                        .since("7.0.0")
                        .complexity("O(N) where N is the number of functions")
                        .doc("Lists the libraries of functions.")
                        .tips(&["nondeterministic_output_order"])
                        .args(&[
                            ArgSpec::new("library-name-pattern", ArgKind::String)
                                .token("LIBRARYNAME")
                                .optional(),
                            ArgSpec::word("withcode", "WITHCODE").optional(),
                        ]),
                    CommandSpec::write("load", Group::Scripting, -3, const { &[] }, load)
                        .flags(flag::NOSCRIPT | flag::DENYOOM)
                        .acl(acl::SCRIPTING)
                        .world()
                        .since("7.0.0")
                        .complexity("O(1) (considering compilation time is redundant)")
                        .doc("Adds a library.")
                        .tips(EVERYWHERE)
                        .args(&[
                            ArgSpec::word("replace", "REPLACE").optional(),
                            ArgSpec::new("function-code", ArgKind::String),
                        ]),
                    CommandSpec::write("restore", Group::Scripting, -3, const { &[] }, restore)
                        .flags(flag::NOSCRIPT | flag::DENYOOM)
                        .acl(acl::SCRIPTING)
                        .world()
                        .since("7.0.0")
                        .complexity("O(N) where N is the number of functions on the payload")
                        .doc("Adds the libraries of a serialised form.")
                        .tips(EVERYWHERE)
                        .args(
                            const {
                                &[
                                    ArgSpec::new("serialized-value", ArgKind::String),
                                    POLICY.optional(),
                                ]
                            },
                        ),
                    CommandSpec::plain("stats", Group::Scripting, 2, stats)
                        .flags(flag::NOSCRIPT | flag::ALLOW_BUSY)
                        .acl(acl::SCRIPTING)
                        .since("7.0.0")
                        .complexity("O(1)")
                        .doc("Tells which function is running, and how many there are.")
                        .tips(&[
                            "nondeterministic_output",
                            "request_policy:all_shards",
                            "response_policy:special",
                        ]),
                ],
            ),
    ];

/// Never called: the arity requires a subcommand, and unknown ones are refused by the dispatcher.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("function".into()))
}

/// `FUNCTION LOAD [REPLACE] code` -> bulk string, the name of the library. Errors: another option,
/// the metadata in the first line, the compiler, the code, names that are taken.
fn load(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let code = args.len() - 1;
    for at in 2..code {
        if !args.is(at, "replace") {
            return Err(ReplyError::quoting("Unknown option given: ", args.get(at), ""));
        }
    }
    let (engine, limit_ns) = (cx.engine, limit_ns(cx));
    let functions = &engine.scripting.functions;
    let name = functions.load(&engine.env, args.get(code), code > 2, limit_ns)?;
    cx.keys.effects.add_dirty(1);
    cx.reply.bulk(&name);
    Ok(())
}

/// How long the code of a library may take.
fn limit_ns(cx: &Ctx<'_, '_>) -> u64 {
    if cx.from_primary() { TRUSTED_LIMIT_NS } else { LOAD_LIMIT_NS }
}

/// `FUNCTION DELETE library` -> OK. Errors: there is no such library.
fn delete(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if !cx.engine.scripting.functions.remove(args.get(2)) {
        return Err(ReplyError::Static("ERR Library not found"));
    }
    cx.keys.effects.add_dirty(1);
    cx.reply.ok();
    Ok(())
}

/// `FUNCTION FLUSH [ASYNC | SYNC]` -> OK.
fn flush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        2 => {}
        3 if args.is(2, "sync") || args.is(2, "async") => {}
        3 => {
            return Err(ReplyError::Static("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
        }
        _ => return Err(surplus(args)),
    }
    cx.engine.scripting.functions.install(Libraries::default());
    cx.keys.effects.add_dirty(1);
    cx.reply.ok();
    Ok(())
}

/// The error for arguments after the last one.
fn surplus(args: Args<'_>) -> ReplyError {
    let before = "unknown subcommand or wrong number of arguments for '";
    ReplyError::quoting(before, args.get(1), "'. Try FUNCTION HELP.")
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]` -> array of maps, one for each library.
fn list(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut options = args.options(2);
    let (mut with_code, mut pattern) = (false, None);
    while options.more() {
        if !with_code && options.eat("withcode") {
            with_code = true;
        } else if pattern.is_none() && options.eat("libraryname") {
            let missing = ReplyError::Static("ERR library name argument was not given");
            pattern = Some(options.take().ok_or(missing)?);
        } else {
            let word = options.take().unwrap_or_default();
            return Err(ReplyError::quoting("Unknown argument ", word, ""));
        }
    }
    let catalogue = cx.engine.scripting.functions.catalogue();
    let matches = |library: &&Library| {
        pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, glob::Case::Insensitive))
    };
    let libraries: Vec<_> = catalogue.iter().filter(matches).collect();
    cx.reply.array(libraries.len());
    for library in libraries {
        show(cx, library, with_code);
    }
    Ok(())
}

fn show(cx: &mut Ctx<'_, '_>, library: &Library, with_code: bool) {
    let reply = &mut *cx.reply;
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk_str("library_name");
    reply.bulk(&library.name);
    reply.bulk_str("engine");
    reply.bulk_str("LUA");
    reply.bulk_str("functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk_str("name");
        reply.bulk(&function.name);
        reply.bulk_str("description");
        match &function.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk_str("flags");
        let flags = script_flag::NAMES.iter().filter(|(_, flag)| function.flags & flag != 0);
        reply.set(flags.clone().count());
        flags.for_each(|(name, _)| reply.simple(name));
    }
    if with_code {
        reply.bulk_str("library_code");
        reply.bulk(&library.source);
    }
}

/// `FUNCTION DUMP` -> bulk string, for FUNCTION RESTORE.
fn dump(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let catalogue = cx.engine.scripting.functions.catalogue();
    let config: &Config = cx.config;
    let mut encoder = RecordEncoder::new(config.rdb_version, config.rdbcompression);
    let payload = encoder.dump_functions(catalogue.iter().map(|library| &library.source[..]));
    cx.reply.bulk(&payload);
    Ok(())
}

/// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]` -> OK. Errors: the payload is damaged or
/// of a later version, holds something else, or a library that cannot be loaded; names that are
/// taken.
fn restore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let policy = |word| args.len() == 4 && args.is(3, word);
    if args.len() > 4 {
        return Err(surplus(args));
    }
    if args.len() == 4 && !["flush", "append", "replace"].into_iter().any(policy) {
        return Err(ReplyError::Static(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ));
    }
    let engine = cx.engine;
    let mut reader =
        DumpReader::open(args.get(2), crate::commands::keys::dump::read_options(cx))
            .map_err(|_| ReplyError::Static("ERR DUMP payload version or checksum are wrong"))?;
    let mut libraries = Libraries::default();
    while let Some(source) = reader.library().map_err(|error| not_a_library(&error))? {
        libraries.load(&engine.env, source, false, limit_ns(cx))?;
    }
    let functions = &engine.scripting.functions;
    if policy("flush") {
        functions.install(libraries);
    } else {
        functions.join(&engine.env, libraries, policy("replace"))?;
    }
    cx.keys.effects.add_dirty(1);
    cx.reply.ok();
    Ok(())
}

/// The error for a part of a payload that cannot be read.
fn not_a_library(error: &RdbError) -> ReplyError {
    ReplyError::Static(match error.kind {
        RdbErrorKind::UnsupportedType { .. } => "ERR Pre-GA function format not supported",
        RdbErrorKind::UnknownType { .. } => "ERR given type is not a function",
        _ => "ERR Failed loading library payload",
    })
}

/// `FUNCTION STATS` -> map: the function that has been running for too long, and the numbers of
/// each engine. Errors: BUSY while a script runs.
fn stats(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let running = cx.engine.scripting.busy();
    if running.as_ref().is_some_and(|script| script.kind == Kind::Script) {
        return Err(cx.engine.scripting.busy_error());
    }
    let totals = cx.engine.scripting.functions.totals();
    let reply = &mut *cx.reply;
    reply.map(2);
    reply.bulk_str("running_script");
    match running {
        Some(script) => {
            let now_ns = cx.engine.env.clock.mono_ns();
            reply.map(3);
            reply.bulk_str("name");
            reply.bulk(&script.name);
            reply.bulk_str("command");
            reply.array(script.command.len());
            script.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk_str("duration_ms");
            reply.int((now_ns.saturating_sub(script.started_ns) / 1_000_000) as i64);
        }
        None => reply.null(),
    }
    reply.bulk_str("engines");
    reply.map(1);
    reply.bulk_str("LUA");
    reply.map(2);
    reply.bulk_str("libraries_count");
    reply.int(totals.libraries as i64);
    reply.bulk_str("functions_count");
    reply.int(totals.functions as i64);
    Ok(())
}

/// `FUNCTION KILL` -> OK. Errors: NOTBUSY, UNKILLABLE, BUSY if a script is running.
fn kill(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.engine.scripting.kill(Kind::Function)?;
    cx.reply.ok();
    Ok(())
}

/// `FUNCTION HELP` -> array of statuses.
fn help(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    crate::commands::server::help(
        cx,
        "FUNCTION",
        &[
            ("DELETE <library>", "Remove a library."),
            ("DUMP", "All libraries in serialised form, for RESTORE."),
            ("FLUSH [ASYNC|SYNC]", "Remove every library."),
            ("KILL", "End the function that is running, if it has written nothing."),
            ("LIST [LIBRARYNAME <pattern>] [WITHCODE]", "The libraries and their functions."),
            ("LOAD [REPLACE] <code>", "Add a library: #!lua name=<library>, then its code."),
            ("RESTORE <payload> [FLUSH|APPEND|REPLACE]", "Add the libraries of a DUMP."),
            ("STATS", "The function that is running, and how many there are."),
        ],
    )
}
