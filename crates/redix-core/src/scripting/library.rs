//! Libraries of functions: what their first line says, and running their code once, which
//! registers the functions.
//!
//! While it loads, code sees other globals than when it runs: the table `redis`, which is `server`
//! too, with `register_function`, `log` and constants, and nothing else.
//!
//! **Invariants.** Loading that fails leaves nothing pinned in the machine, and loading ends at its
//! deadline.

use redix_lua::{Call, Engine as Lua, Fault, Host, HostFn, Pin, RunError, TableRef, Tick, Value};

use super::api::{self, one_line, raise};
use super::{Machine, engine_options, script_flag};
use crate::config::split_args;
use crate::env::Env;
use crate::error::{ReplyError, until_zero};

/// The number of the host function `redis.register_function`. These are far above those of code
/// that runs, which may keep what it saw while it was loaded.
pub const REGISTER: u32 = 1000;
/// The number of `redis.log` as code that loads sees it.
pub const LOG: u32 = 1001;
/// The number of the function that is asked for a name that does not exist.
const MISSING: u32 = 1002;

/// Functions that a library may have.
const FUNCTIONS_MAX: usize = 1 << 16;

/// The place of the globals of loading among a machine's pins.
const LOADING_GLOBALS: usize = 0;

/// A function of a library.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its description.
    pub description: Option<Box<[u8]>>,
    /// Bits of [`script_flag`].
    pub flags: u32,
    /// The Lua function in the machine of the libraries.
    pub callback: Pin,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its source, first line included.
    pub source: Box<[u8]>,
    /// Its functions as they were registered.
    pub functions: Vec<Function>,
}

/// The name that the first line of a source gives (`#!lua name=NAME`). Errors: it gives none, or
/// another engine, or there is no such line.
pub fn name_of(source: &[u8]) -> Result<Vec<u8>, ReplyError> {
    const INVALID: ReplyError = ReplyError::Static("ERR Invalid library metadata");
    if !source.starts_with(b"#!") {
        return Err(ReplyError::Static("ERR Missing library metadata"));
    }
    let line = first_line(source).ok_or(INVALID)?;
    if line.contains(&0) {
        return Err(INVALID);
    }
    let words = split_args(line).ok_or(INVALID)?;
    let (engine, words) = words.split_first().ok_or(INVALID)?;
    let mut name = None;
    for word in words {
        let given = match word.split_at_checked(5) {
            Some((key, given)) if key.eq_ignore_ascii_case(b"name=") => given,
            _ => return Err(ReplyError::quoting("Invalid metadata value given: ", word, "")),
        };
        if name.replace(given).is_some() {
            let text = "ERR Invalid metadata value, name argument was given multiple times";
            return Err(ReplyError::Static(text));
        }
    }
    let name = name.ok_or(ReplyError::Static("ERR Library name was not given"))?;
    if !is_name(name) {
        return Err(ReplyError::Static(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be \
             at least one character long",
        ));
    }
    let engine = engine.strip_prefix(b"#!").unwrap_or(engine);
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(ReplyError::quoting("Engine '", engine, "' not found"));
    }
    Ok(name.to_vec())
}

/// The first line, if it ends.
fn first_line(source: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'\n', source).map(|end| &source[..end])
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// A machine for libraries.
pub(super) fn new_machine(env: &Env, epoch: u64) -> Result<Machine, Fault> {
    let mut lua = Lua::new(&engine_options(env));
    let globals = loading_globals(&mut lua)?;
    let running = Value::Table(lua.globals());
    let names = vec![lua.pin(Value::Table(globals)), lua.pin(running)];
    Ok(Machine::new(lua, names, epoch))
}

fn loading_globals(lua: &mut Lua) -> Result<TableRef, Fault> {
    let redis = lua.new_table(0, 8)?;
    lua.raw_set_field(redis, b"register_function", Value::Host(HostFn(REGISTER)))?;
    lua.raw_set_field(redis, b"log", Value::Host(HostFn(LOG)))?;
    api::set_constants(lua, redis)?;
    let globals = lua.new_table(0, 2)?;
    lua.raw_set_field(globals, b"redis", Value::Table(redis))?;
    lua.raw_set_field(globals, b"server", Value::Table(redis))?;
    let meta = lua.new_table(0, 1)?;
    lua.raw_set_field(meta, b"__index", Value::Host(HostFn(MISSING)))?;
    for table in [redis, globals] {
        lua.set_metatable(table, Some(meta));
    }
    for table in [redis, globals, meta] {
        lua.set_readonly(table, true);
    }
    Ok(globals)
}

/// Runs the code of a library, whose name is known, in the machine. Errors: those of the compiler,
/// of the code, and of what it registers; the time is up.
pub(super) fn load(
    machine: &mut Machine,
    env: &Env,
    name: &[u8],
    source: &[u8],
    limit_ns: u64,
) -> Result<Library, ReplyError> {
    // The line ends stay, so that lines keep their numbers.
    let body = &source[first_line(source).map_or(0, <[u8]>::len)..];
    let proto = redix_lua::compile(body, b"@user_function").map_err(|error| {
        let text = [&b"ERR Error compiling function: "[..], &error.message].concat();
        ReplyError::Text(one_line(&text))
    })?;
    let deadline_ns = env.clock.mono_ns().saturating_add(limit_ns);
    let mut host = Registrar { env, deadline_ns, found: Vec::new(), digits: Vec::new() };
    let ran = run(machine, &proto, &mut host).and_then(|()| check(&host.found));
    match ran {
        Ok(()) => Ok(Library { name: name.into(), source: source.into(), functions: host.found }),
        Err(error) => {
            unload(machine, &host.found);
            Err(error)
        }
    }
}

/// Lets go of functions.
pub(super) fn unload(machine: &mut Machine, functions: &[Function]) {
    for function in functions {
        machine.lua.unpin(function.callback);
    }
}

fn run(
    machine: &mut Machine,
    proto: &crate::sync::Arc<redix_lua::Proto>,
    host: &mut Registrar<'_>,
) -> Result<(), ReplyError> {
    let lua = &mut machine.lua;
    let outcome = match (lua.load(proto), lua.pinned(machine.names[LOADING_GLOBALS])) {
        (Ok(main), Value::Table(globals)) => {
            let own = lua.swap_globals(globals);
            let outcome = lua.run(main, &[], host);
            lua.swap_globals(own);
            lua.unpin(main);
            outcome.map(|_| ())
        }
        (loaded, _) => loaded.map(|_| ()),
    };
    let text = match outcome {
        Ok(()) => return Ok(()),
        Err(RunError::Error { value, .. }) => error_text(lua, value),
        Err(RunError::Memory) => b"ERR not enough memory".to_vec(),
        Err(RunError::Killed { .. }) => b"ERR FUNCTION LOAD timeout".to_vec(),
    };
    let text = [&b"ERR Error registering functions: "[..], &text].concat();
    Err(ReplyError::Text(one_line(&text)))
}

/// The text of the error that ended the code.
fn error_text(lua: &mut Lua, value: Value) -> Vec<u8> {
    let value = match value {
        Value::Table(table) => lua.raw_get_field(table, b"err").unwrap_or(Value::Nil),
        Value::String(text) => return [&b"ERR "[..], lua.bytes(text)].concat(),
        other => other,
    };
    lua.bytes_of(value).unwrap_or(b"ERR unknown error").to_vec()
}

/// Checks what was registered.
fn check(functions: &[Function]) -> Result<(), ReplyError> {
    if functions.is_empty() {
        return Err(ReplyError::Static("ERR No functions registered"));
    }
    let mut seen = std::collections::HashSet::new();
    for function in functions {
        if !is_name(&function.name) {
            return Err(ReplyError::Static(
                "ERR Function names can only contain letters, numbers, or underscores(_) and must \
                 be at least one character long",
            ));
        }
        if !seen.insert(&function.name) {
            return Err(ReplyError::Static("ERR Function already exists in the library"));
        }
    }
    Ok(())
}

/// The host of code that loads.
struct Registrar<'e> {
    env: &'e Env,
    deadline_ns: u64,
    found: Vec<Function>,
    digits: Vec<u8>,
}

/// The arguments of `redis.register_function`.
#[derive(Default)]
struct Given {
    name: Option<Vec<u8>>,
    callback: Option<Value>,
    description: Option<Vec<u8>>,
    flags: u32,
}

impl Registrar<'_> {
    /// `redis.register_function(name, callback)` or `redis.register_function{…}`.
    fn register(&mut self, call: &mut Call<'_>) -> Result<(), Fault> {
        let given = match (call.count(), call.arg(0)) {
            (1, Value::Table(table)) => named(call.engine(), table),
            (1, _) => Err("ERR calling server.register_function with a single argument is only \
                           applicable to Lua table (representing named arguments)."),
            (2, _) => positional(call),
            _ => Err("ERR wrong number of arguments to server.register_function"),
        };
        let given = match given {
            Ok(given) => given,
            Err(text) => return Err(raise(call, text)),
        };
        let (Some(name), Some(callback)) = (given.name, given.callback) else {
            return Err(raise(call, "ERR server.register_function must get a callback argument"));
        };
        if self.found.len() == FUNCTIONS_MAX {
            return Err(raise(call, "ERR too many functions in a library"));
        }
        self.found.push(Function {
            name: name.into(),
            description: given.description.map(|text| until_zero(&text).into()),
            flags: given.flags,
            callback: call.engine().pin(callback),
        });
        Ok(())
    }
}

fn positional(call: &mut Call<'_>) -> Result<Given, &'static str> {
    let name = text_of(call.engine_ref(), call.arg(0))
        .ok_or("ERR first argument to server.register_function must be a string")?;
    let callback = Some(call.arg(1)).filter(|value| is_function(*value));
    let callback =
        callback.ok_or("ERR second argument to server.register_function must be a function")?;
    Ok(Given { name: Some(name), callback: Some(callback), ..Given::default() })
}

fn named(lua: &mut Lua, table: TableRef) -> Result<Given, &'static str> {
    let mut given = Given::default();
    let mut cursor = 0;
    while let Some((next, key, value)) = lua.pair_at(table, cursor) {
        cursor = next;
        let key = text_of(lua, key)
            .ok_or("ERR named argument key given to server.register_function is not a string")?;
        match &key.to_ascii_lowercase()[..] {
            b"function_name" => {
                given.name = Some(text_of(lua, value).ok_or(
                    "ERR function_name argument given to server.register_function must be a string",
                )?);
            }
            b"description" => {
                given.description = Some(text_of(lua, value).ok_or(
                    "ERR description argument given to server.register_function must be a string",
                )?);
            }
            b"callback" if is_function(value) => given.callback = Some(value),
            b"callback" => {
                return Err(
                    "ERR callback argument given to server.register_function must be a function",
                );
            }
            b"flags" => given.flags = flags_of(lua, value)?,
            _ => return Err("ERR unknown argument given to server.register_function"),
        }
    }
    if given.name.is_none() {
        return Err("ERR server.register_function must get a function name argument");
    }
    Ok(given)
}

fn flags_of(lua: &Lua, value: Value) -> Result<u32, &'static str> {
    let Value::Table(table) = value else {
        return Err("ERR flags argument to server.register_function must be a table representing \
                    function flags");
    };
    let mut flags = 0;
    for at in 1.. {
        let value = lua.raw_get_index(table, at);
        if value.is_nil() {
            break;
        }
        let name = text_of(lua, value).unwrap_or_default();
        let known = script_flag::NAMES
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(&name));
        flags |= known.ok_or("ERR unknown flag given")?.1;
    }
    Ok(flags)
}

/// The text of a string or number.
fn text_of(lua: &Lua, value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(lua.bytes(text).to_vec()),
        Value::Number(number) => {
            let mut text = Vec::new();
            lua.push_number_text(number, &mut text);
            Some(text)
        }
        _ => None,
    }
}

fn is_function(value: Value) -> bool {
    matches!(value, Value::Function(_) | Value::Native(_) | Value::Host(_))
}

impl Host for Registrar<'_> {
    fn call(&mut self, which: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        match which {
            HostFn(REGISTER) => self.register(call),
            HostFn(LOG) => api::log(self.env, call, &mut self.digits),
            _ => Err(api::missing_global(call)),
        }
    }

    fn tick(&mut self) -> Tick {
        if self.env.clock.mono_ns() < self.deadline_ns { Tick::GoOn } else { Tick::Kill }
    }

    fn clock(&mut self) -> f64 {
        self.env.clock.mono_ns() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests;
