//! EVAL, EVALSHA and their read-only forms.
//!
//! A script runs in the world, so that it may use any key, as a unit whose effects are one
//! transaction in the log. Its time is frozen.

use redix_lua::{Fault, Pin, RunError, Value};

use super::host::{ARGV, KEYS, Run, Title, new_machine};
use super::values::{self, Errors};
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::count_error_of_script;
use crate::command::spec::{ArgKind, ArgSpec, Begin, CommandSpec, Find, Group, KeySpec};
use crate::command::spec::{access, acl, flag};
use crate::command::timing::call_stats;
use crate::env::Level;
use crate::error::{CommandResult, ReplyError, until_zero};
use crate::scripting::api;
use crate::scripting::busy::Kind;
use crate::scripting::{
    Machine, SHA_DIGITS, Script, parse_sha, script_flag, sha_of, sha_text, shebang,
};
use crate::sync::Arc;

pub(super) const FLAGS: u32 = flag::NOSCRIPT
    | flag::SKIP_MONITOR
    | flag::MAY_REPLICATE
    | flag::NO_MANDATORY_KEYS
    | flag::STALE
    | flag::MOVABLEKEYS
    | flag::RUNS_SCRIPTS;

pub(super) const KEYS_OF_SCRIPT: KeySpec = KeySpec {
    begin: Begin::Index(2),
    find: Find::KeyNum { keynum: 0, first: 1, step: 1 },
    access: access::RW | access::ACCESS | access::UPDATE,
    notes: None,
};
pub(super) const KEYS_READ: KeySpec =
    KeySpec { access: access::RO | access::ACCESS, ..KEYS_OF_SCRIPT };

pub(super) const REST: [ArgSpec; 3] = [
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").optional().multiple(),
    ArgSpec::new("arg", ArgKind::String).optional().multiple(),
];

/// Commands: EVAL, EVAL_RO, EVALSHA and EVALSHA_RO.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::client("eval", Group::Scripting, -3, |cx, args| eval(cx, args, false))
        .keys(const { &[KEYS_OF_SCRIPT.notes("The script decides: any use is assumed")] })
        .flags(FLAGS)
        .acl(acl::SCRIPTING)
        .world()
        .since("2.6.0")
        .complexity("Depends on the script.")
        .doc("Runs a script.")
        .args(const { &[ArgSpec::new("script", ArgKind::String), REST[0], REST[1], REST[2]] }),
    CommandSpec::client("evalsha", Group::Scripting, -3, |cx, args| eval_sha(cx, args, false))
        .keys(const { &[KEYS_OF_SCRIPT] })
        .flags(FLAGS)
        .acl(acl::SCRIPTING)
        .world()
        .since("2.6.0")
        .complexity("Depends on the script.")
        .doc("Runs a script of the cache by its SHA1 digest.")
        .args(const { &[ArgSpec::new("sha1", ArgKind::String), REST[0], REST[1], REST[2]] }),
    CommandSpec::client("eval_ro", Group::Scripting, -3, |cx, args| eval(cx, args, true))
        .keys(const { &[KEYS_READ.notes("The script decides: any read is assumed")] })
        .flags(FLAGS & !flag::MAY_REPLICATE | flag::READONLY)
        .acl(acl::SCRIPTING)
        .world()
        .since("7.0.0")
        .complexity("Depends on the script.")
        .doc("Runs a script that only reads.")
        .args(const { &[ArgSpec::new("script", ArgKind::String), REST[0], REST[1], REST[2]] }),
    CommandSpec::client("evalsha_ro", Group::Scripting, -3, |cx, args| eval_sha(cx, args, true))
        .keys(const { &[KEYS_READ] })
        .flags(FLAGS & !flag::MAY_REPLICATE | flag::READONLY)
        .acl(acl::SCRIPTING)
        .world()
        .since("7.0.0")
        .complexity("Depends on the script.")
        .doc("Runs a script of the cache that only reads, by its SHA1 digest.")
        .args(const { &[ArgSpec::new("sha1", ArgKind::String), REST[0], REST[1], REST[2]] }),
];

/// `EVAL script numkeys [key …] [arg …]` -> what the script returns.
fn eval(cx: &mut ClientCx<'_, '_>, args: Args<'_>, reads_only: bool) -> CommandResult {
    cx.show_to_monitors(args);
    let keys = key_count(args, ReplyError::NotInteger)?;
    let source = args.get(1);
    let sha = sha_of(source);
    let script = match cx.engine.scripting.find_for_eval(&sha) {
        Some(script) => script,
        None => {
            let script = compile(source)?;
            cx.engine.scripting.add(Arc::clone(&script), false);
            script
        }
    };
    run(cx, args, &*script, keys, reads_only)
}

/// `EVALSHA sha1 numkeys [key …] [arg …]` -> what the script returns. Errors: NOSCRIPT.
fn eval_sha(cx: &mut ClientCx<'_, '_>, args: Args<'_>, reads_only: bool) -> CommandResult {
    const MISSING: ReplyError = ReplyError::Static("NOSCRIPT No matching script.");
    cx.show_to_monitors(args);
    if args.get(1).len() != SHA_DIGITS {
        return Err(MISSING);
    }
    let keys = key_count(args, ReplyError::NotInteger)?;
    let script = parse_sha(args.get(1)).and_then(|sha| cx.engine.scripting.find_for_eval(&sha));
    let script = script.ok_or(MISSING)?;
    run(cx, args, &*script, keys, reads_only)
}

/// The number of keys of EVAL and its kin; `bad`: the error if it is no number.
pub(super) fn key_count(args: Args<'_>, bad: ReplyError) -> Result<usize, ReplyError> {
    let keys = args.int(2).map_err(|_| bad)?;
    if keys > (args.len() - 3) as i64 {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(ReplyError::Static(text));
    }
    usize::try_from(keys).map_err(|_| ReplyError::Static("ERR Number of keys can't be negative"))
}

/// Compiles a source. Errors: those of the shebang line and of the compiler.
pub(super) fn compile(source: &[u8]) -> Result<Arc<Script>, ReplyError> {
    let (flags, body) = shebang::parse(source)?;
    let proto = redix_lua::compile(body, b"@user_script").map_err(|error| {
        let text = [&b"ERR Error compiling script (new function): "[..], &error.message].concat();
        ReplyError::Text(api::one_line(&text))
    })?;
    Ok(Arc::new(Script { sha: sha_of(source), source: source.to_vec(), proto, flags }))
}

/// Something that runs as a script: a script, or a function of a library.
pub(super) trait Program {
    /// What it is.
    fn kind(&self) -> Kind;

    /// What it is called: the digest of a script, or the name of a function.
    fn name(&self) -> Vec<u8>;

    /// Its flags, bits of [`script_flag`]; `None` if it does not declare them.
    fn flags(&self) -> Option<u32>;

    /// Takes the thread's machine in which it runs; makes it if there is none.
    fn take_machine(&self, cx: &ClientCx<'_, '_>) -> Result<Box<Machine>, ReplyError>;

    /// Gives the machine back.
    fn put_machine(&self, cx: &ClientCx<'_, '_>, machine: Box<Machine>);

    /// Its function in the machine; loads it there if that has not been done.
    fn load(&self, cx: &mut ClientCx<'_, '_>, machine: &mut Machine) -> Result<Pin, ReplyError>;

    /// The arguments of its function, of which the first `keys` of `words` are keys.
    fn arguments(
        &self,
        machine: &mut Machine,
        words: Args<'_>,
        keys: usize,
    ) -> Result<Vec<Value>, Fault>;
}

impl Program for Script {
    fn kind(&self) -> Kind {
        Kind::Script
    }

    fn name(&self) -> Vec<u8> {
        sha_text(&self.sha).into_bytes()
    }

    fn flags(&self) -> Option<u32> {
        self.flags
    }

    fn take_machine(&self, cx: &ClientCx<'_, '_>) -> Result<Box<Machine>, ReplyError> {
        match cx.engine.scripting.take_machine(cx.stats.index) {
            Some(machine) => Ok(machine),
            None => new_machine(cx.engine).map(Box::new).map_err(|_| ReplyError::Oom),
        }
    }

    fn put_machine(&self, cx: &ClientCx<'_, '_>, machine: Box<Machine>) {
        cx.engine.scripting.put_machine(cx.stats.index, machine);
    }

    fn load(&self, cx: &mut ClientCx<'_, '_>, machine: &mut Machine) -> Result<Pin, ReplyError> {
        machine.function(self, &cx.engine.scripting).ok_or(ReplyError::Oom)
    }

    /// None: a script finds them in the globals KEYS and ARGV.
    fn arguments(
        &self,
        machine: &mut Machine,
        words: Args<'_>,
        keys: usize,
    ) -> Result<Vec<Value>, Fault> {
        for (name, table) in [KEYS, ARGV].into_iter().zip(tables(machine, words, keys)?) {
            let name = machine.lua.pinned(machine.names[name]);
            machine.lua.raw_set(machine.lua.globals(), name, table)?;
        }
        Ok(Vec::new())
    }
}

/// Runs a program with `keys` keys, which begin at argument 3.
pub(super) fn run(
    cx: &mut ClientCx<'_, '_>,
    args: Args<'_>,
    program: &dyn Program,
    keys: usize,
    reads_only: bool,
) -> CommandResult {
    let flags = admit(cx, program.flags(), reads_only)?;
    let mut machine = program.take_machine(cx)?;
    let outcome = match program.load(cx, &mut machine) {
        Ok(function) => match program.arguments(&mut machine, args, keys) {
            Ok(arguments) => {
                let title = Title { program, args };
                run_in(cx, title, &mut machine, function, &arguments, flags)
            }
            Err(_) => Err(ReplyError::Oom),
        },
        Err(error) => Err(error),
    };
    program.put_machine(cx, machine);
    outcome
}

/// The flags that a program runs with. Errors: those of one that declares what it does, where that
/// cannot be done now.
fn admit(
    cx: &ClientCx<'_, '_>,
    declared: Option<u32>,
    reads_only: bool,
) -> Result<u32, ReplyError> {
    let only = if reads_only { script_flag::NO_WRITES } else { 0 };
    let flags = declared.unwrap_or(0) | only;
    let (engine, config) = (cx.engine, &**cx.config);
    if cx.from_primary() {
        return Ok(flags);
    }
    let is_replica = engine.repl.is_replica();
    if flags & script_flag::ALLOW_STALE == 0
        && is_replica
        && !config.replica_serve_stale_data
        && !engine.repl.upstream.is_up()
    {
        return Err(ReplyError::Static(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ));
    }
    if declared.is_some_and(|flags| flags & script_flag::NO_WRITES == 0) {
        if reads_only {
            return Err(ReplyError::Static(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        if is_replica && config.replica_read_only {
            return Err(ReplyError::Static(
                "READONLY You can not run script with write flag on readonly replica.",
            ));
        }
        engine.admit_write(config)?;
        engine.enough_replicas(config)?;
        if flags & script_flag::ALLOW_OOM == 0 && cx.keys.shortage.is_any() {
            return Err(ReplyError::Static(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > \
                 'maxmemory'",
            ));
        }
    }
    Ok(flags)
}

fn run_in(
    cx: &mut ClientCx<'_, '_>,
    title: Title<'_>,
    machine: &mut Machine,
    function: Pin,
    arguments: &[Value],
    flags: u32,
) -> CommandResult {
    let mark = cx.reply.len();
    let mut run = Run::new(cx, title, flags);
    let outcome = machine.lua.run(function, arguments, &mut run);
    let proto = run.end();
    let mut errors = Errors::default();
    let written = match outcome {
        Ok(value) => values::write(&mut machine.lua, value, proto, cx.reply, &mut errors),
        Err(RunError::Error { value, at }) => fail(cx, machine, value, at),
        Err(RunError::Memory) => return Err(ReplyError::Static("ERR not enough memory")),
        Err(RunError::Killed { at }) => {
            let text =
                format!("ERR Script killed by user with {}.", title.program.kind().kill_command());
            cx.engine.env.log(Level::Notice, &text[4..]);
            return Err(ReplyError::Text(with_place(text.into_bytes(), at)));
        }
    };
    if written.is_err() {
        cx.reply.truncate(mark);
        return Err(ReplyError::Static("ERR not enough memory"));
    }
    call_stats(cx.stats, cx.command).failed.add(errors.total);
    for text in errors.uncounted {
        count_error_of_script(cx.engine, cx.stats, &ReplyError::Text(text));
    }
    Ok(())
}

/// Tables of the keys and of the other arguments.
pub(super) fn tables(
    machine: &mut Machine,
    words: Args<'_>,
    keys: usize,
) -> Result<[Value; 2], Fault> {
    let lua = &mut machine.lua;
    let mut tables = [Value::Nil; 2];
    for (to, places) in tables.iter_mut().zip([3..3 + keys, 3 + keys..words.len()]) {
        let table = lua.new_table(places.len(), 0)?;
        for place in places {
            let word = lua.new_string(words.get(place))?;
            lua.append(table, word)?;
        }
        *to = Value::Table(table);
    }
    Ok(tables)
}

/// Where a script was: the name of the chunk, and the line.
type Place = Option<(Arc<[u8]>, u32)>;

/// An error's text, on one line, with where the script was.
fn with_place(mut text: Vec<u8>, at: Place) -> Vec<u8> {
    if let Some((chunk, line)) = at {
        text.extend_from_slice(b" script: on ");
        text.extend_from_slice(&chunk);
        text.extend_from_slice(format!(":{line}.").as_bytes());
    }
    api::one_line(&text)
}

/// Replies with the error that ended a script.
fn fail(
    cx: &mut ClientCx<'_, '_>,
    machine: &mut Machine,
    value: Value,
    at: Place,
) -> Result<(), Fault> {
    let lua = &mut machine.lua;
    let mut counted = false;
    let mut text = match value {
        Value::Table(table) => {
            let error = lua.raw_get_field(table, b"err")?;
            counted = lua.raw_get_field(table, b"ignore_error_stats_update")?.truthy();
            match error {
                Value::Number(number) => {
                    let mut text = Vec::new();
                    lua.push_number_text(number, &mut text);
                    text
                }
                _ => lua.bytes_of(error).unwrap_or(b"ERR unknown error").to_vec(),
            }
        }
        Value::String(text) => [&b"ERR "[..], lua.bytes(text)].concat(),
        Value::Number(number) => {
            let mut text = b"ERR ".to_vec();
            lua.push_number_text(number, &mut text);
            text
        }
        Value::Boolean(value) => format!("ERR {value}").into_bytes(),
        other => format!("ERR {}", other.type_name()).into_bytes(),
    };
    text.truncate(until_zero(&text).len());
    let error = ReplyError::Text(with_place(text, at));
    call_stats(cx.stats, cx.command).failed.bump();
    if !counted {
        count_error_of_script(cx.engine, cx.stats, &error);
    }
    error.write_to(cx.reply);
    Ok(())
}
