//! Lua sources: what compiles runs, within limits, with a collection at every safe point for half
//! of the inputs (generations of handles are checked). Nothing panics, memory stays under its
//! limit, and the engine is usable afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_lua::{Call, Engine, Fault, Host, HostFn, Options, Tick, Value, compile};

/// Lets a script run for some slices; its function returns its arguments.
struct Slices(u32);

impl Host for Slices {
    fn call(&mut self, _: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        for at in 0..call.count() {
            let text = call.to_text(self, call.arg(at))?;
            call.push(text)?;
        }
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

const LIMIT: usize = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((first, source)) = data.split_first() else { return };
    let Ok(proto) = compile(source, b"@user_script") else { return };
    let mut engine =
        Engine::new(&Options { memory_limit: LIMIT, slice: 2000, ..Options::default() });
    engine.collect_at_every_safe_point(first % 2 == 0);
    let globals = engine.globals();
    engine.raw_set_field(globals, b"print", Value::Host(HostFn(0))).expect("there is room");
    let Ok(function) = engine.load(&proto) else { return };
    let arg = engine.new_string(b"argument").expect("there is room");
    let _ = engine.run(function, &[arg, Value::Number(7.0)], &mut Slices(4));
    assert!(engine.memory_bytes() <= LIMIT);
    engine.collect_at_every_safe_point(false);
    let check = compile(b"local t = {} for i = 1, 20 do t[i] = i .. '' end return #t", b"=check");
    let check = engine.load(&check.expect("it is correct")).expect("there is room");
    let length = engine.run(check, &[], &mut Slices(10)).expect("the engine is usable");
    assert_eq!(length, Value::Number(20.0));
});
