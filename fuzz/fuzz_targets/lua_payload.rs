//! What scripts feed to the libraries: cjson, cmsgpack, struct, patterns, formats. Nothing panics,
//! and what was decoded and encoded again decodes to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_lua::{Call, Engine, Fault, Host, HostFn, Options, Tick, Value, compile};

struct Slices(u32);

impl Host for Slices {
    fn call(&mut self, _: HostFn, _: &mut Call<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn tick(&mut self) -> Tick {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Tick::Kill } else { Tick::GoOn }
    }

    fn clock(&mut self) -> f64 {
        0.0
    }
}

const SCRIPT: &[u8] = b"
    local choice, first, second = ...
    local function try(f, ...) return select(2, pcall(f, ...)) end
    if choice == 0 then
        local ok, value = pcall(cjson.decode, first)
        local text = ok and try(cjson.encode, value)
        if ok and type(value) == 'table' and next(value) then
            local again, same = pcall(cjson.decode, text)
            assert(not again or cjson.encode(same) == text, text)
        end
    elseif choice == 1 then
        local ok, value = pcall(cmsgpack.unpack, first)
        if ok then try(cmsgpack.pack, value) try(cjson.encode, value) end
        try(cmsgpack.unpack_one, first, #second) try(cmsgpack.unpack_limit, first, 2, #second)
    elseif choice == 2 then
        try(struct.unpack, first, second) try(struct.size, first)
        try(struct.pack, first, 1, second, 2.5, second, -1)
    elseif choice == 3 then
        try(string.find, first, second) try(string.match, first, second, 2)
        try(string.gsub, first, second, '%1%0') try(string.gsub, first, second, first, 3)
        try(function() for a, b in first:gmatch(second) do end end)
    elseif choice == 4 then
        try(string.format, first, 1, second, -2.5, second)
        try(string.format, '%' .. first, 1e15) try(string.format, '%' .. first, second)
    else
        try(tonumber, first) try(tonumber, first, #second) try(bit.tohex, first, #second)
        try(loadstring, first, second) try(string.rep, first, #second) try(string.sub, first, #second)
    end";

fuzz_target!(|data: &[u8]| {
    let [choice, split, rest @ ..] = data else { return };
    let (first, second) = rest.split_at(usize::from(*split).min(rest.len()));
    let mut engine =
        Engine::new(&Options { memory_limit: 4 << 20, slice: 5000, ..Options::default() });
    let proto = compile(SCRIPT, b"@script").expect("it is correct");
    let function = engine.load(&proto).expect("there is room");
    let first = engine.new_string(first).expect("there is room");
    let second = engine.new_string(second).expect("there is room");
    let args = [Value::Number(f64::from(choice % 6)), first, second];
    match engine.run(function, &args, &mut Slices(20)) {
        Ok(_) | Err(redix_lua::RunError::Memory | redix_lua::RunError::Killed { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
});
