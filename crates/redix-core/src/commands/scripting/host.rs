//! What a script can ask of the server: the functions of the table `redis`, which is `server` too.
//!
//! **Invariants.** A command of a script passes the gates that a client's does, and runs under the
//! locks of the script's unit, at its time. Every table that scripts share is read-only.

use redix_lua::{Call, Engine as Lua, Fault, Host, HostFn, Tick, Value};
use redix_resp::reply::{Proto, Reply};

use super::busy_time::BusyTime;
use super::eval::Program;
use super::values;
use crate::acl::log::Context;
use crate::command::args::{Args, OwnedArgs};
use crate::command::context::ClientCx;
use crate::command::dispatch::count_error;
use crate::command::rights::{self, Names};
use crate::command::spec::{CommandSpec, flag};
use crate::command::table::{Command, Memo};
use crate::command::timing::call_stats;
use crate::effects::Audience;
use crate::engine::Engine;
use crate::env::Level;
use crate::error::{ReplyError, until_zero};
use crate::scripting::api::{self, missing_global, new_error, raise};
use crate::scripting::busy::Busy;
use crate::scripting::{Machine, engine_options, library, script_flag, sha_of, sha_text};
use crate::session::Session;
use crate::sync::atomic::Ordering;

/// A function of the table.
type Function = fn(&mut Run<'_, '_, '_>, &mut Call<'_>) -> Result<(), Fault>;

/// The functions, by number.
const FUNCTIONS: &[(&str, Function)] = &[
    ("call", |run, call| run.command(call, true)),
    ("pcall", |run, call| run.command(call, false)),
    ("error_reply", |_, call| reply_table(call, true)),
    ("status_reply", |_, call| reply_table(call, false)),
    ("log", |run, call| api::log(&run.cx.engine.env, call, &mut run.digits)),
    ("sha1hex", |_, call| sha1_hex(call)),
    ("setresp", |run, call| run.set_resp(call)),
    ("set_repl", |run, call| run.set_repl(call)),
    ("replicate_commands", |_, call| call.push(Value::Boolean(true))),
    ("breakpoint", |_, call| call.push(Value::Boolean(false))),
    ("debug", |_, _| Ok(())),
    ("acl_check_cmd", |run, call| run.acl_check(call)),
];
/// The number of the function that is asked for a global that does not exist.
const MISSING_GLOBAL: u32 = FUNCTIONS.len() as u32;

/// Those that functions of libraries do not have.
const EVAL_ONLY: [&str; 3] = ["replicate_commands", "breakpoint", "debug"];

/// Bits of `redis.set_repl`.
mod repl {
    pub(super) const NONE: u32 = 0;
    pub(super) const AOF: u32 = 1;
    pub(super) const REPLICA: u32 = 2;
    pub(super) const ALL: u32 = AOF | REPLICA;
}

/// The constants that only run-time code sees.
const NUMBERS: &[(&str, u32)] = &[
    ("REPL_NONE", repl::NONE),
    ("REPL_AOF", repl::AOF),
    ("REPL_SLAVE", repl::REPLICA),
    ("REPL_REPLICA", repl::REPLICA),
    ("REPL_ALL", repl::ALL),
];

/// How the error of a command that the user may not call begins.
const DENIED: &[u8] = b"ERR ACL failure in script: ";

/// How long a script that runs for too long goes on between two looks after others.
const REST_NS: u64 = 1_000_000;

/// Places of a machine's pinned names.
pub(super) const KEYS: usize = 0;
pub(super) const ARGV: usize = 1;

/// A machine with the globals that scripts see.
pub(super) fn new_machine(engine: &Engine) -> Result<Machine, Fault> {
    let options = engine_options(&engine.env);
    let mut lua = Lua::new(&options);
    open(&mut lua, false)?;
    let mut names = Vec::new();
    for name in ["KEYS", "ARGV"] {
        let name = lua.new_string(name.as_bytes())?;
        names.push(lua.pin(name));
    }
    let epoch = engine.scripting.epoch();
    let mut machine = Machine::new(lua, names, epoch);
    machine.is_open = true;
    Ok(machine)
}

/// Prepares the machine of the functions.
pub(super) fn open_functions(machine: &mut Machine) -> Result<(), Fault> {
    open(&mut machine.lua, true)?;
    machine.is_open = true;
    Ok(())
}

/// Sets up the globals of scripts, or those of functions, which have fewer.
fn open(lua: &mut Lua, for_functions: bool) -> Result<(), Fault> {
    let redis = lua.new_table(0, FUNCTIONS.len() + NUMBERS.len())?;
    for (number, (name, _)) in FUNCTIONS.iter().enumerate() {
        if !for_functions || !EVAL_ONLY.contains(name) {
            lua.raw_set_field(redis, name.as_bytes(), Value::Host(HostFn(number as u32)))?;
        }
    }
    api::set_constants(lua, redis)?;
    for (name, number) in NUMBERS {
        lua.raw_set_field(redis, name.as_bytes(), Value::Number(f64::from(*number)))?;
    }
    let globals = lua.globals();
    lua.raw_set_field(globals, b"redis", Value::Table(redis))?;
    lua.raw_set_field(globals, b"server", Value::Table(redis))?;
    let meta = lua.new_table(0, 1)?;
    lua.raw_set_field(meta, b"__index", Value::Host(HostFn(MISSING_GLOBAL)))?;
    lua.set_metatable(globals, Some(meta));
    lua.set_readonly(meta, true);
    if let Some(strings) = lua.string_metatable() {
        lua.set_readonly(strings, true);
    }
    let mut cursor = 0;
    while let Some((next, _, value)) = lua.pair_at(globals, cursor) {
        if let Value::Table(table) = value {
            lua.set_readonly(table, true);
        }
        cursor = next;
    }
    lua.set_readonly(globals, true);
    Ok(())
}

/// A script that runs: the host of the machine.
pub(super) struct Run<'r, 'a, 'k> {
    /// The command that runs it.
    cx: &'r mut ClientCx<'a, 'k>,
    /// The state of the connection as its commands see it.
    session: Session,
    /// Bits of [`script_flag`].
    flags: u32,
    /// Of the command that runs.
    argv: OwnedArgs,
    reply: Reply,
    memo: Memo,
    digits: Vec<u8>,
    has_written: bool,
    /// Whether its effects are recorded unless it chooses otherwise.
    records: bool,
    title: Title<'r>,
    clock: RunClock,
    /// Set while it runs for too long.
    busy: Option<BusyTime<'k>>,
    /// It was killed: nothing of it may run any more.
    killed: bool,
}

/// What runs, for whom it makes wait.
#[derive(Clone, Copy)]
pub(super) struct Title<'r> {
    /// What runs.
    pub(super) program: &'r dyn Program,
    /// The command that runs it.
    pub(super) args: Args<'r>,
}

/// When a script began, and when it has to look after others next, by the monotonic clock. Both are
/// first set at the end of its first command or slice of work, so that a short script need not read
/// the clock for it.
#[derive(Default)]
struct RunClock {
    started_ns: u64,
    due_ns: u64,
}

impl<'r, 'a, 'k> Run<'r, 'a, 'k> {
    /// A script with these flags, run by a command.
    pub(super) fn new(cx: &'r mut ClientCx<'a, 'k>, title: Title<'r>, flags: u32) -> Self {
        let session = Session {
            db: cx.session.db,
            write_offset: cx.session.write_offset,
            authenticated: true,
            user: cx.session.user.clone(),
            tracks: cx.session.tracks.take(),
            ..Session::default()
        };
        let records = cx.keys.effects.recording();
        Self {
            cx,
            session,
            flags,
            argv: OwnedArgs::from_words::<&[u8]>(&[]),
            reply: Reply::new(Proto::Resp2),
            memo: Memo::default(),
            digits: Vec::new(),
            has_written: false,
            records,
            title,
            clock: RunClock::default(),
            busy: None,
            killed: false,
        }
    }

    /// Ends the run: the connection is as it was. Returns the protocol that the script has chosen.
    pub(super) fn end(self) -> Proto {
        let Self { cx, session, records, reply, .. } = self;
        cx.session.tracks = session.tracks;
        cx.keys.effects.set_recording(records, Audience::All);
        let db = cx.session.db;
        cx.select(db);
        reply.proto
    }

    /// Runs a command for `redis.call` or `redis.pcall`.
    fn command(&mut self, call: &mut Call<'_>, raises: bool) -> Result<(), Fault> {
        let refused = match self.read_arguments(call) {
            Ok(()) => self.run(),
            Err(error) => Err(error),
        };
        if self.killed {
            return Err(Fault::Kill);
        }
        let lua = call.engine();
        let value = match &refused {
            Ok(()) => values::read(lua, self.reply.as_bytes())?,
            Err(error) => {
                // A denial has a code of its own only in the statistics.
                let is_denial = error.text().starts_with(DENIED);
                let counted = if is_denial { &ReplyError::Static("NOPERM") } else { error };
                count_error(self.cx.engine, self.cx.stats, counted);
                Value::Table(values::error_table(lua, &error.text())?)
            }
        };
        if raises && (refused.is_err() || self.reply.as_bytes().starts_with(b"-")) {
            return Err(call.throw(value));
        }
        call.push(value)
    }

    fn read_arguments(&mut self, call: &Call<'_>) -> Result<(), ReplyError> {
        if call.count() == 0 {
            let text = "ERR Please specify at least one argument for this call";
            return Err(ReplyError::Static(text));
        }
        self.argv.clear();
        for at in 0..call.count() {
            let Some(word) = api::argument(call, at, &mut self.digits) else {
                let text = "ERR Command arguments must be strings or integers";
                return Err(ReplyError::Static(text));
            };
            self.argv.push(word).ok_or(ReplyError::Static("ERR too long a command"))?;
        }
        Ok(())
    }

    /// Runs the command; its reply is left in `self.reply`.
    fn run(&mut self) -> Result<(), ReplyError> {
        let (args, db) = (self.argv.args(), self.session.db);
        let command = find(self.cx.engine, args, &mut self.memo)?;
        let rights = rights::Call { command, args, db: self.session.db };
        let admitted = self
            .admit_kind(command.spec, args)
            .and_then(|()| admit_user(&mut *self.cx, self.title.args, &rights))
            .and_then(|()| self.admit_now(command.spec))
            .and_then(|()| match command.spec.has(flag::DENYOOM) {
                true => self.cx.admit_within_unit(db),
                false => Ok(()),
            });
        if let Err(error) = admitted {
            call_stats(self.cx.stats, command).rejected.bump();
            self.cx.audit_failure(&error, Context::Lua, command);
            return Err(error);
        }
        if command.spec.has(flag::WRITE) {
            self.has_written = true;
            if self.busy.as_ref().is_some_and(|time| !time.script.may_write()) {
                self.killed = true;
                return Ok(());
            }
        }
        self.reply.clear();
        let (cx, session) = (&mut *self.cx, &mut self.session);
        let ended_ns = cx.run_of_script(command, args, session, &mut self.reply);
        if ended_ns >= self.clock.due_ns {
            self.killed = self.look_after_others(ended_ns) == Tick::Kill;
        }
        Ok(())
    }

    /// Lets others be served if the script has run for too long.
    #[cold]
    fn look_after_others(&mut self, now_ns: u64) -> Tick {
        let threshold_ms = self.cx.config.busy_reply_threshold;
        let clock = &mut self.clock;
        if threshold_ms == 0 {
            clock.due_ns = u64::MAX;
            return Tick::GoOn;
        }
        if clock.started_ns == 0 {
            clock.started_ns = now_ns;
            clock.due_ns = now_ns.saturating_add(threshold_ms.saturating_mul(1_000_000));
            return Tick::GoOn;
        }
        if self.busy.is_none() {
            self.begin_busy(now_ns);
        }
        if let Some(attend) = &mut self.cx.attend {
            attend();
        }
        self.clock.due_ns = self.cx.engine.env.clock.mono_ns() + REST_NS;
        match &self.busy {
            Some(time) if time.script.is_killed() => Tick::Kill,
            _ => Tick::GoOn,
        }
    }

    /// Tells the others that the script has run for too long.
    fn begin_busy(&mut self, now_ns: u64) {
        let Title { program, args } = self.title;
        let (engine, started_ns) = (self.cx.engine, self.clock.started_ns);
        let (kind, name) = (program.kind(), program.name());
        engine.env.log(
            Level::Warning,
            &format!(
                "Slow script detected: still in execution after {} milliseconds. You can try \
                 killing the script using the {} command. Script name is: {}.",
                now_ns.saturating_sub(started_ns) / 1_000_000,
                kind.kill_command(),
                name.escape_ascii()
            ),
        );
        let command = args.iter_from(0).map(<[u8]>::to_vec).collect();
        let state = (self.cx.from_primary(), self.has_written);
        self.busy =
            Some(BusyTime::begin(engine, Busy::new(kind, name, command, started_ns, state)));
    }

    /// Whether a command that scripts must not call is allowed for tests.
    fn may_ask(&self, args: Args<'_>) -> bool {
        let asks = |name, subcommand| args.is(0, name) && args.is(1, subcommand);
        let allowed = [("client", "list"), ("debug", "protocol"), ("debug", "sleep")];
        allowed.into_iter().any(|(name, subcommand)| asks(name, subcommand))
            && self.cx.engine.scripting.may_ask.load(Ordering::Relaxed)
    }

    /// The gates of a script's command.
    /// Whether a script may call the command at all.
    fn admit_kind(&self, spec: &CommandSpec, args: Args<'_>) -> Result<(), ReplyError> {
        if !spec.fits(args.len()) {
            let text = "ERR Wrong number of args calling command from script";
            return Err(ReplyError::Static(text));
        }
        let engine = self.cx.engine;
        if spec.has(flag::NOSCRIPT) && !self.may_ask(args) {
            let text = "ERR This Valkey command is not allowed from script";
            return Err(ReplyError::Static(text));
        }
        if engine.repl.is_replica()
            && !self.cx.from_primary()
            && !self.cx.config.replica_serve_stale_data
            && !spec.has(flag::STALE)
            && !engine.repl.upstream.is_up()
        {
            let text = "ERR Can not execute the command on a stale replica";
            return Err(ReplyError::Static(text));
        }
        Ok(())
    }

    /// Whether the command may run in the present state.
    fn admit_now(&self, spec: &CommandSpec) -> Result<(), ReplyError> {
        let (engine, config) = (self.cx.engine, &**self.cx.config);
        let from_primary = self.cx.from_primary();
        if spec.has(flag::DENYOOM)
            && self.flags & script_flag::ALLOW_OOM == 0
            && !self.has_written
            && !from_primary
            && self.cx.keys.shortage.is_any()
        {
            return Err(self.cx.keys.shortage.error());
        }
        if self.flags & script_flag::NO_WRITES != 0 && spec.has(flag::WRITE | flag::MAY_REPLICATE) {
            let text = "ERR Write commands are not allowed from read-only scripts.";
            return Err(ReplyError::Static(text));
        }
        // What one that has written relies on may have changed since, but it is not left half done.
        if spec.has(flag::WRITE) && !self.has_written {
            if engine.repl.is_replica() && config.replica_read_only && !from_primary {
                let text = "READONLY You can't write against a read only replica.";
                return Err(ReplyError::Static(text));
            }
            engine.admit_write(config)?;
            engine.enough_replicas(config)?;
        }
        Ok(())
    }

    /// `redis.setresp(version)`.
    fn set_resp(&mut self, call: &mut Call<'_>) -> Result<(), Fault> {
        if call.count() != 1 {
            return Err(raise(call, "ERR server.setresp() requires one argument."));
        }
        let version = call.engine_ref().number_of(call.arg(0));
        self.reply.proto = match version.map(f64::trunc) {
            Some(2.0) => Proto::Resp2,
            Some(3.0) => Proto::Resp3,
            _ => return Err(raise(call, "ERR RESP version must be 2 or 3.")),
        };
        Ok(())
    }

    /// `redis.set_repl(flags)`.
    fn set_repl(&mut self, call: &mut Call<'_>) -> Result<(), Fault> {
        if call.count() != 1 {
            return Err(raise(call, "ERR server.set_repl() requires one argument."));
        }
        let number = call.engine_ref().number_of(call.arg(0)).unwrap_or(0.0);
        if !(0.0..f64::from(repl::ALL + 1)).contains(&number.trunc()) {
            let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or \
                        REPL_NONE.";
            return Err(raise(call, text));
        }
        let (recorded, audience) = match number as u32 {
            repl::NONE => (false, Audience::All),
            repl::AOF => (true, Audience::File),
            repl::REPLICA => (true, Audience::Replicas),
            _ => (true, Audience::All),
        };
        self.cx.keys.effects.set_recording(self.records && recorded, audience);
        Ok(())
    }

    /// `redis.acl_check_cmd(command, …)`: whether the user who runs the script may call it.
    fn acl_check(&mut self, call: &mut Call<'_>) -> Result<(), Fault> {
        if let Err(error) = self.read_arguments(call) {
            return Err(raise(call, &String::from_utf8_lossy(&error.text())));
        }
        let args = self.argv.args();
        let Ok(command) = find(self.cx.engine, args, &mut self.memo) else {
            let text = "ERR Invalid command passed to server.acl_check_cmd()";
            return Err(raise(call, text));
        };
        let rights = rights::Call { command, args, db: self.session.db };
        let allowed = self.cx.from_primary()
            || rights::check(self.cx.engine, &mut self.cx.session.user, &rights).is_ok();
        call.push(Value::Boolean(allowed))
    }
}

/// Checks the rights of the user who runs the script by the command with the arguments `runs`.
fn admit_user(
    cx: &mut ClientCx<'_, '_>,
    runs: Args<'_>,
    call: &rights::Call<'_>,
) -> Result<(), ReplyError> {
    if cx.from_primary() {
        return Ok(());
    }
    let engine = cx.data.engine;
    rights::check(engine, &mut cx.session.user, call).map_err(|denial| {
        let name = cx.session.user.name();
        cx.recorder(runs).note(name, call, denial, Context::Lua);
        let text = rights::refusal(engine, name, call, denial, Names::Hidden);
        ReplyError::of_parts(&[DENIED, &text])
    })
}

/// The command that a script's arguments name.
fn find(engine: &Engine, args: Args<'_>, memo: &mut Memo) -> Result<Command, ReplyError> {
    let found = engine.commands.find_again(args.get(0), memo);
    let found = found.ok_or(ReplyError::Static("ERR Unknown command called from script"))?;
    match args.try_get(1) {
        Some(name) if !found.spec.subcommands.is_empty() => {
            let subcommand = engine.commands.find_subcommand(found, name);
            subcommand.ok_or_else(|| ReplyError::unknown_subcommand(name, found.spec.name))
        }
        _ => Ok(found),
    }
}

/// `redis.error_reply(text)` and `redis.status_reply(text)`.
fn reply_table(call: &mut Call<'_>, is_error: bool) -> Result<(), Fault> {
    let text = match (call.count(), call.arg(0)) {
        (1, Value::String(text)) => call.engine_ref().bytes(text).to_vec(),
        _ => {
            let table = new_error(call.engine(), b"ERR wrong number or type of arguments")?;
            return call.push(Value::Table(table));
        }
    };
    if is_error {
        let text = until_zero(text.strip_prefix(b"-").unwrap_or(&text));
        // A code is what a space follows. Line ends around the rest are left out.
        let text = match memchr::memchr(b' ', text) {
            Some(end) => {
                let (code, mut rest) = text.split_at(end + 1);
                while let [inner @ .., b'\r' | b'\n'] | [b'\r' | b'\n', inner @ ..] = rest {
                    rest = inner;
                }
                [code, rest].concat()
            }
            None => [b"ERR ", text].concat(),
        };
        let table = new_error(call.engine(), &text)?;
        return call.push(Value::Table(table));
    }
    let lua = call.engine();
    let table = lua.new_table(0, 1)?;
    let text = lua.new_string(&text)?;
    lua.raw_set_field(table, b"ok", text)?;
    call.push(Value::Table(table))
}

/// `redis.sha1hex(text)`.
fn sha1_hex(call: &mut Call<'_>) -> Result<(), Fault> {
    if call.count() != 1 {
        return Err(raise(call, "ERR wrong number of arguments"));
    }
    // A number as Lua shows it, not as an argument of a command.
    let mut digits = Vec::new();
    if let Value::Number(number) = call.arg(0) {
        call.engine_ref().push_number_text(number, &mut digits);
    }
    let digest = sha_of(call.arg_bytes(0).unwrap_or(&digits));
    let text = call.engine().new_string(sha_text(&digest).as_bytes())?;
    call.push(text)
}

impl Host for Run<'_, '_, '_> {
    fn call(&mut self, which: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        let HostFn(number) = which;
        match FUNCTIONS.get(number as usize) {
            Some((_, function)) => function(self, call),
            // Kept by a library since it was loaded.
            None if number == library::LOG => api::log(&self.cx.engine.env, call, &mut self.digits),
            None if number == library::REGISTER => Err(raise(
                call,
                "ERR server.register_function can only be called on FUNCTION LOAD command",
            )),
            None => Err(missing_global(call)),
        }
    }

    fn tick(&mut self) -> Tick {
        let now_ns = self.cx.engine.env.clock.mono_ns();
        if now_ns < self.clock.due_ns { Tick::GoOn } else { self.look_after_others(now_ns) }
    }

    fn clock(&mut self) -> f64 {
        self.cx.engine.env.clock.mono_ns() as f64 / 1e9
    }
}
