//! What the engine costs, in microseconds per call: the least of several rounds.
//!
//! `cargo run --release -p redix-lua --example speed`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use redix_lua::{Call, Engine, Fault, Host, HostFn, Options, Tick, Value, compile};

struct Bench;

impl Host for Bench {
    fn call(&mut self, _: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        let lengths = (0..call.count()).filter_map(|at| Some(call.arg_bytes(at)?.len()));
        let total: usize = lengths.sum();
        call.push(Value::Number(total as f64))
    }

    fn tick(&mut self) -> Tick {
        Tick::GoOn
    }

    fn clock(&mut self) -> f64 {
        0.0
    }
}

const CASES: &[(&str, &str)] = &[
    ("return 1", "return 1"),
    (
        "3 host calls",
        "local key = KEYS[1] call('SET', key, ARGV[1]) call('EXPIRE', key, '10')
         return call('GET', key)",
    ),
    (
        "1000 operations",
        "local s = 0 for i = 1, 500 do s = s + i % 7 * 2
         if s > 1000 then s = s - 1000 end end return s",
    ),
    (
        "table of 100 strings",
        "local t = {} for i = 1, 100 do t[#t + 1] = 'item:' .. i end
         return #table.concat(t, ',')",
    ),
    (
        "rate limiter",
        "local now, window, limit = tonumber(ARGV[2]), 60, 100
         local used = tonumber(call('GET', KEYS[1])) or 0
         local start = now - now % window
         local key = KEYS[1] .. ':' .. start
         if used + 1 > limit then return {0, limit, window - (now - start)} end
         local count = tonumber(call('INCR', key))
         if count == 1 then call('EXPIRE', key, window) end
         return {1, limit - count, string.format('%d', start)}",
    ),
    (
        "calls of functions",
        "local function f(a, b) return a + b end local s = 0
         for i = 1, 300 do s = f(s, i) end return s",
    ),
    (
        "fields and methods",
        "local o = {n = 0} function o:add(k) self.n = self.n + k end
         for i = 1, 300 do o:add(i) end return o.n",
    ),
    (
        "gsub, find, format",
        "local s = ('key:value,'):rep(20)
         local n = 0 for k, v in s:gmatch('(%w+):(%w+)') do n = n + #k + #v end
         return (s:gsub('value', '%0!')) .. n",
    ),
    (
        "cjson there and back",
        "local text = '{\"id\":17,\"tags\":[\"a\",\"b\",\"c\"],\"user\":{\"name\":\"x\",\"age\":3.5}}'
         return #cjson.encode(cjson.decode(text))",
    ),
];

fn least(rounds: usize, calls: usize, mut call: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        least = least.min(start.elapsed().as_secs_f64() * 1e6 / calls as f64);
    }
    least
}

fn prepare(engine: &mut Engine) -> Result<(), Fault> {
    let globals = engine.globals();
    engine.raw_set_field(globals, b"call", Value::Host(HostFn(1)))?;
    let argv = ["some value", "1700000000"];
    for (name, values) in [("KEYS", ["user:1000"].as_slice()), ("ARGV", &argv)] {
        let table = engine.new_table(values.len(), 0)?;
        for value in values {
            let value = engine.new_string(value.as_bytes())?;
            engine.append(table, value)?;
        }
        engine.raw_set_field(globals, name.as_bytes(), Value::Table(table))?;
    }
    Ok(())
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    for (name, source) in CASES.iter().filter(|(name, _)| name.contains(&only)) {
        let mut engine = Engine::new(&Options::default());
        prepare(&mut engine).expect("there is room");
        let proto = compile(source.as_bytes(), b"@user_script").expect("it is correct");
        let function = engine.load(&proto).expect("there is room");
        if let Err(error) = engine.run(function, &[], &mut Bench) {
            println!("{name}: {error:?}");
            continue;
        }
        let us = least(9, 20_000, || {
            engine.run(function, &[], &mut Bench).expect("it ran before");
        });
        println!("{name:24}{us:9.3}");
    }
    let source = CASES.iter().map(|(_, source)| format!("do {source} end\n")).collect::<String>();
    let us = least(9, 2000, || drop(compile(source.as_bytes(), b"@user_script").expect("correct")));
    println!("compile {} lines        {us:9.3}", source.lines().count());
    let us = least(9, 2000, || drop(Engine::new(&Options::default())));
    println!("new engine              {us:9.3}");
}
