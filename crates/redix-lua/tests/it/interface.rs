//! The interface of the engine: limits, errors, sharing, and what a host may rely on.

use std::sync::Arc;

use redix_lua::{Call, Engine, Fault, Host, HostFn, Options, RunError, Tick, Value, compile};

use crate::host::{TestHost, engine};

fn run(engine: &mut Engine, source: &str, host: &mut dyn Host) -> Result<Value, RunError> {
    let proto = compile(source.as_bytes(), b"@user_script").expect("the source is correct");
    let function = engine.load(&proto).expect("there is room");
    let outcome = engine.run(function, &[], host);
    engine.unpin(function);
    outcome
}

/// The string that a script returns.
fn text(engine: &mut Engine, source: &str) -> String {
    let value = run(engine, source, &mut TestHost::new(1000)).expect("the script succeeds");
    let bytes = engine.bytes_of(value).expect("the script returns a string");
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn engines_of_several_threads_share_a_prototype() {
    fn assert_send<T: Send>() {}
    assert_send::<Engine>();
    let source = b"local n = ... local function f(x) return x * 2 end return f(n) .. ':' .. #'abc'";
    let proto = compile(source, b"@user_script").expect("the source is correct");
    let threads = (0..4).map(|n| {
        let proto = Arc::clone(&proto);
        std::thread::spawn(move || {
            let mut engine = engine(&Options { hash_seed: (n, n), ..Options::default() });
            let function = engine.load(&proto).expect("there is room");
            let value = engine
                .run(function, &[Value::Number(n as f64)], &mut TestHost::new(10))
                .expect("it succeeds");
            assert_eq!(engine.bytes_of(value), Some(format!("{}:3", n * 2).as_bytes()));
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|t| t.join().expect("no panic"));
}

#[test]
fn nothing_catches_a_kill() {
    let mut engine = engine(&Options::default());
    for source in [
        "while true do end",
        "pcall(function() while true do end end) return 1",
        "xpcall(function() while true do end end, print) return 1",
        "while true do pcall(function() while true do end end) end",
        "coroutine.resume(coroutine.create(function() while true do end end)) return 1",
        "coroutine.wrap(function() pcall(function() while true do end end) end)() return 1",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "('abc'):gsub('.', function() while true do end end)",
        "return setmetatable({}, {__index = function() while true do end end}).x",
        "load(function() while true do end end)",
        "local function f() return f() end f()",
        "('a'):rep(300000):find(('.-'):rep(50) .. 'b')",
        "repeat local s = ('x'):rep(1e6):find('y', 1, true) until s",
        "local t = {} for i = 1, 1e5 do t['k' .. i] = 1 end for k in pairs(t) do t[k] = nil end
         while true do next(t) end",
    ] {
        let outcome = run(&mut engine, source, &mut TestHost::new(20));
        assert!(matches!(outcome, Err(RunError::Killed { .. })), "{source}: {outcome:?}");
        assert_eq!(text(&mut engine, "return 'usable'"), "usable", "after {source}");
    }
}

#[test]
fn a_script_can_catch_the_end_of_memory_and_the_engine_recovers() {
    let limit = 4 << 20;
    let mut engine = engine(&Options { memory_limit: limit, ..Options::default() });
    for grow in [
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(1e9)",
        "return ('x'):rep(1000):rep(1000):gsub('x', ('y'):rep(1000))",
        "local t = {} for i = 1, 1e9 do t = {t} end",
        "local f = print for i = 1, 1e9 do local g = f f = function() return g end end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "local t, s = {}, ('local a = 1 '):rep(150) for i = 1, 1e9 do t[i] = loadstring(s)
         if not t[i] then error('not enough memory', 0) end end",
        "return table.concat({('x'):rep(1e6), ('x'):rep(1e6), ('x'):rep(1e6)}, ('x'):rep(1e6))",
        "local s = {} for i = 1, 20000 do s[i] = i end for i = 1, 12 do s = {s, s} end
         return cjson.encode(s)",
        "local s = ('x'):rep(1e6) return cmsgpack.pack(s, s, s, s, s)",
        "return ('%s'):rep(50):format((('x'):rep(1e6)):rep(3))",
    ] {
        let source = format!("local ok, e = pcall(function() {grow} end) return tostring(e)");
        let message = text(&mut engine, &source);
        assert!(
            message == "not enough memory" || message.contains("bad argument #"),
            "{grow}: {message}"
        );
        let outcome = run(&mut engine, grow, &mut TestHost::new(1000));
        assert!(outcome.is_err(), "{grow}: {outcome:?}");
        assert!(engine.memory_bytes() <= limit, "{grow}");
    }
    let source = "return select(2, loadstring('return {' .. ('1,'):rep(300000) .. '}'))";
    assert_eq!(text(&mut engine, source), "not enough memory");
    engine.collect();
    assert!(engine.memory_bytes() < 400_000, "{} bytes", engine.memory_bytes());
}

#[test]
fn collecting_brings_the_memory_back_to_what_it_was() {
    let mut engine = engine(&Options::default());
    engine.collect();
    let before = engine.memory_bytes();
    for _ in 0..3 {
        let source = "local t = {} for i = 1, 1e4 do t[i] = {i .. '', function() return t end} end
            coroutine.wrap(function() coroutine.yield(t) end)() return cjson.encode({t[1][1]})";
        assert_eq!(text(&mut engine, source), "[\"1\"]");
        assert!(engine.memory_bytes() > before + 1_000_000);
    }
    run(&mut engine, "return 1", &mut TestHost::new(10)).expect("it succeeds");
    engine.collect();
    assert_eq!(engine.memory_bytes(), before);
}

#[test]
fn garbage_is_collected_long_before_the_limit() {
    let mut engine = engine(&Options::default());
    let source = "local most = 0 for i = 1, 3e5 do local t = {i .. ''}
        if i % 1000 == 0 then most = math.max(most, collectgarbage('count')) end end
        return most .. ''";
    let most: f64 = text(&mut engine, source).parse().expect("a number");
    assert!(most < 4096.0, "{most} KB");
}

#[test]
fn readonly_tables_refuse_every_change() {
    let mut engine = engine(&Options::default());
    let globals = engine.globals();
    let table = engine.new_table(0, 0).expect("there is room");
    engine.append(table, Value::Number(2.0)).expect("there is room");
    engine.append(table, Value::Number(1.0)).expect("there is room");
    engine.raw_set_field(globals, b"fixed", Value::Table(table)).expect("there is room");
    engine.set_readonly(table, true);
    for change in [
        "fixed.x = 1",
        "fixed[1] = 1",
        "fixed[1] = nil",
        "rawset(fixed, 'x', 1)",
        "setmetatable(fixed, {})",
        "table.insert(fixed, 1)",
        "table.insert(fixed, 1, 1)",
        "table.remove(fixed)",
        "table.remove(fixed, 1)",
        "table.sort(fixed)",
        "setmetatable({}, {__newindex = fixed}).x = 1",
    ] {
        let source = format!("return select(2, pcall(function() {change} end)) or 'no error'");
        let message = text(&mut engine, &source);
        assert!(message.ends_with("Attempt to modify a readonly table"), "{change}: {message}");
    }
    assert_eq!(text(&mut engine, "return fixed[1] .. ',' .. fixed[2] .. ',' .. #fixed"), "2,1,2");
    // The host may change it.
    engine.append(table, Value::Number(7.0)).expect("there is room");
    assert_eq!(text(&mut engine, "return fixed[3] .. ''"), "7");
}

#[test]
fn an_error_says_where_it_was_thrown() {
    let mut engine = engine(&Options::default());
    for (source, line) in [
        ("error('x')", 1),
        ("\n\nlocal a = nil + 1", 3),
        ("local function f()\nerror({})\nend\n\nf()", 2),
        ("pcall(error)\nprint(nil .. 'x')", 2),
        ("\ncoroutine.wrap(function()\nerror('x')\nend)()", 4),
    ] {
        match run(&mut engine, source, &mut TestHost::new(10)) {
            Err(RunError::Error { at: Some((chunk, at)), .. }) => {
                assert_eq!((&*chunk, at), (b"@user_script".as_slice(), line), "{source}");
            }
            other => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn bytecode_is_refused() {
    let error = compile(b"\x1bLua", b"@user_script").expect_err("it is no source");
    assert_eq!(error.message, b"user_script:1: unexpected symbol near 'char(27)'");
    let mut engine = engine(&Options::default());
    assert_eq!(text(&mut engine, "return tostring(loadstring('\\27LuaQ'))"), "nil");
    assert_eq!(text(&mut engine, "return tostring((pcall(string.dump, function() end)))"), "false");
}

#[test]
fn pins_hold_values_and_let_go() {
    let mut engine = engine(&Options::default());
    let table = engine.new_table(0, 1).expect("there is room");
    engine.raw_set_field(table, b"name", Value::Number(5.0)).expect("there is room");
    let pin = engine.pin(Value::Table(table));
    engine.collect();
    assert_eq!(engine.raw_get_field(table, b"name").expect("found"), Value::Number(5.0));
    let used = engine.memory_bytes();
    engine.unpin(pin);
    assert!(engine.pinned(pin).is_nil());
    engine.collect();
    assert!(engine.memory_bytes() < used);
}

/// Functions that fail in each way, and one that uses the arguments.
struct Failing;

impl Host for Failing {
    fn call(&mut self, which: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        match which.0 {
            0 => Err(call.error(b"plain")),
            1 => Err(call.error_here(b"placed")),
            2 => {
                let table = call.engine().new_table(0, 1)?;
                call.engine().raw_set_field(table, b"err", Value::Number(9.0))?;
                Err(call.throw(Value::Table(table)))
            }
            3 => {
                for at in (0..call.count()).rev() {
                    let value = call.arg(at);
                    call.push(value)?;
                }
                Ok(())
            }
            _ => Err(Fault::Kill),
        }
    }

    fn tick(&mut self) -> Tick {
        Tick::GoOn
    }

    fn clock(&mut self) -> f64 {
        1.5
    }
}

#[test]
fn host_functions_return_and_throw() {
    let mut engine = engine(&Options { unwrap_errors: true, ..Options::default() });
    let globals = engine.globals();
    for (name, number) in [("plain", 0), ("placed", 1), ("table", 2), ("reverse", 3), ("kill", 4)] {
        let name = format!("h_{name}");
        let value = Value::Host(HostFn(number));
        engine.raw_set_field(globals, name.as_bytes(), value).expect("there is room");
    }
    let check = |engine: &mut Engine, source: &str, expected: &str| {
        let value = run(engine, source, &mut Failing).expect("the script succeeds");
        let got = engine.bytes_of(value).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert_eq!(got.as_deref(), Some(expected), "{source}");
    };
    let engine = &mut engine;
    check(engine, "return select(2, pcall(h_plain))", "plain");
    check(engine, "return select(2, pcall(function() h_placed() end))", "user_script:1: placed");
    check(engine, "return select(2, pcall(h_table)) .. ''", "9");
    check(engine, "return table.concat({h_reverse('a', 'b', 'c')}, ' ')", "c b a");
    check(engine, "return os.clock() .. ''", "1.5");
    check(engine, "return type(h_plain)", "function");
    let outcome = run(engine, "pcall(h_kill) return 1", &mut Failing);
    assert!(matches!(outcome, Err(RunError::Killed { .. })));
}

#[test]
fn what_a_run_leaves_behind_is_not_seen_by_the_next() {
    let mut engine = engine(&Options::default());
    let source = "local n = 0 keep = function() n = n + 1 return n .. '' end
        co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) return keep()";
    assert_eq!(text(&mut engine, source), "1");
    engine.collect();
    assert_eq!(text(&mut engine, "return keep() .. coroutine.status(co)"), "2suspended");
    let source = "local n = 5 get = function() return n end error(n)";
    let outcome = run(&mut engine, source, &mut TestHost::new(10));
    assert!(outcome.is_err());
    assert_eq!(text(&mut engine, "local a, b, c = 7, 8, 9 return get() .. ''"), "5");
}
