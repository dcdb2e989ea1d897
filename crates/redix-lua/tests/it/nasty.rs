//! Hostile scripts: each ends within its limits, without panic, and leaves the engine usable.

use std::time::Instant;

use redix_lua::{Options, Value, compile};

use crate::host::{TestHost, engine, run, scripts};

/// The memory of the engine, and the stack of the thread.
const MEMORY: usize = 64 << 20;
const STACK: usize = 2 << 20;

/// Slices of work: less than a second of the optimised build, and as long in the other.
const SLICES: u64 = if cfg!(debug_assertions) { 60 } else { 150 };

fn survive(path: &std::path::Path, collect_always: bool) -> Result<(), String> {
    let source = std::fs::read(path).expect("the script is there");
    let options = Options { memory_limit: MEMORY, hash_seed: (7, 11), ..Options::default() };
    let mut engine = engine(&options);
    engine.collect_at_every_safe_point(collect_always);
    let started = Instant::now();
    let slices = if collect_always { 2 } else { SLICES };
    run(&mut engine, &source, &mut TestHost::new(slices));
    let took = started.elapsed();
    if engine.memory_bytes() > MEMORY {
        return Err(format!("{} bytes in use", engine.memory_bytes()));
    }
    if std::env::var_os("LUA_TIMES").is_some() && took.as_millis() > 200 {
        eprintln!("{took:?} {}", path.display());
    }
    engine.collect_at_every_safe_point(false);
    engine.collect();
    // The script may have destroyed the globals, which are not read-only here.
    let check = b"local t, s = {}, '' for i = 1, 100 do t[#t + 1] = i .. '' end
        for i = 1, #t do s = s .. t[i] end return #s";
    let proto = compile(check, b"=check").expect("it is correct");
    let function = engine.load(&proto).map_err(|error| format!("load: {error:?}"))?;
    match engine.run(function, &[], &mut TestHost::new(SLICES)) {
        Ok(Value::Number(192.0)) => Ok(()),
        other => Err(format!("afterwards: {other:?}")),
    }
}

fn survive_all(collect_always: bool) {
    let mut failures = Vec::new();
    for path in scripts("nasty") {
        if std::env::var("LUA_ONLY").is_ok_and(|only| !path.to_string_lossy().contains(&only)) {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let thread = std::thread::Builder::new().stack_size(STACK);
        let outcome = thread
            .spawn(move || survive(&path, collect_always))
            .expect("a thread starts")
            .join()
            .unwrap_or_else(|_| Err("panicked".to_owned()));
        if let Err(what) = outcome {
            failures.push(format!("{name}: {what}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn hostile_scripts_end_and_leave_the_engine_usable() {
    survive_all(false);
}

#[test]
fn hostile_scripts_hold_nothing_unrooted() {
    survive_all(true);
}
