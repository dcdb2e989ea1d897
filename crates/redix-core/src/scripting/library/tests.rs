#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::env::Clock;
use crate::persist::sim::Sim;

/// Advances by a millisecond at each look.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn unix_us(&self) -> i64 {
        0
    }

    fn mono_ns(&self) -> u64 {
        self.0.fetch_add(1_000_000, Ordering::Relaxed)
    }

    fn sleep_us(&self, _: u64) {}
}

fn env() -> Env {
    Env { clock: Box::<Ticking>::default(), ..Sim::default().env(1) }
}

fn load_text(machine: &mut Machine, code: &str) -> Result<Library, String> {
    let source = format!("#!lua name=lib\n{code}");
    let loaded = load(machine, &env(), b"lib", source.as_bytes(), 10_000_000);
    loaded.map_err(|error| String::from_utf8(error.text().into()).unwrap())
}

#[test]
fn code_ends_at_its_deadline() {
    let mut machine = new_machine(&env(), 0).unwrap();
    for code in ["while true do end", "local function f() return f() end f()", "::x::"] {
        let error = load_text(&mut machine, code).map(|_| ()).unwrap_err();
        let expect = match code {
            "::x::" => "ERR Error compiling function: user_function:2: unexpected symbol near ':'",
            _ => "ERR Error registering functions: ERR FUNCTION LOAD timeout",
        };
        assert_eq!(error, expect, "{code}");
    }
    assert!(load_text(&mut machine, "redis.register_function('f', function() end)").is_ok());
}

#[test]
fn what_cannot_be_loaded_leaves_nothing() {
    let mut machine = new_machine(&env(), 0).unwrap();
    let mut after_one = 0;
    for round in 0..100 {
        for code in [
            "redis.register_function('f', function() end) foo()",
            "redis.register_function('f', function() end) redis.register_function('-', redis.log)",
            "local s = ('x'):rep(1e5) redis.register_function('f', function() return s end) foo()",
        ] {
            assert!(load_text(&mut machine, code).is_err(), "{code}");
        }
        machine.lua.collect();
        if round == 0 {
            after_one = machine.lua.memory_bytes();
        }
    }
    let now = machine.lua.memory_bytes();
    assert!(now < after_one + 10_000, "{after_one} became {now}");
}

#[test]
fn the_number_of_functions_is_bounded() {
    let mut machine = new_machine(&env(), 0).unwrap();
    let load = |machine: &mut Machine| {
        let code = "while true do redis.register_function('f', redis.log) end";
        let source = format!("#!lua name=lib\n{code}");
        let loaded = load(machine, &env(), b"lib", source.as_bytes(), u64::MAX);
        String::from_utf8(loaded.map(|_| ()).unwrap_err().text().into()).unwrap()
    };
    let text = "ERR Error registering functions: ERR too many functions in a library";
    assert_eq!(load(&mut machine), text);
}

#[test]
fn code_that_loads_sees_little() {
    let mut machine = new_machine(&env(), 0).unwrap();
    for name in ["_G", "string", "pcall", "getmetatable", "load", "KEYS", "redis.call", "redis.x"] {
        let error = load_text(&mut machine, &format!("return {name}")).map(|_| ()).unwrap_err();
        assert!(error.contains("nonexistent global variable"), "{name}: {error}");
    }
    for code in ["x = 1", "redis.x = 1", "redis = 1", "server.log = 1"] {
        let error = load_text(&mut machine, code).map(|_| ()).unwrap_err();
        assert!(error.contains("Attempt to modify a readonly table"), "{code}: {error}");
    }
}

/// Quotes and blanks as in the configuration file. The real servers' replies to the rest are in
/// `golden/scripting/function_load.txt`.
#[test]
fn the_name_may_be_quoted() {
    for (line, name) in [
        ("#!lua name=lib", &b"lib"[..]),
        ("#!Lua  name=\"l\\x41\" ", b"lA"),
        ("#!lua\tNAME='lib'\r", b"lib"),
    ] {
        assert_eq!(name_of(format!("{line}\n").as_bytes()).unwrap(), name, "{line}");
    }
}
