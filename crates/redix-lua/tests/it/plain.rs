//! Plain Lua: 165 scripts with the output of PUC's Lua 5.1.5.

use redix_lua::Options;

use crate::host::{TestHost, engine, run, scripts, without_addresses};

/// Scripts that differ on purpose.
const DIFFERS: &[(&str, &str)] = &[
    ("080_ld_bytecode_dump", "there is no bytecode"),
    ("089_meta_gc_proxy", "there is no newproxy, so there are no finalizers"),
    ("090_meta_gc_error", "there is no newproxy, so there are no finalizers"),
    ("092_env_setfenv", "there is no setfenv, as in the real servers"),
    ("093_env_closure_inherit", "there is no setfenv, as in the real servers"),
];

fn check(collect_always: bool) {
    let mut failures = Vec::new();
    let mut passed = 0;
    for path in scripts("plain") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        if std::env::var("LUA_ONLY").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        let source = std::fs::read(&path).expect("the script is there");
        let expected = std::fs::read(path.with_extension("out")).expect("its output is there");
        let mut engine = engine(&Options { hash_seed: (7, 11), ..Options::default() });
        engine.collect_at_every_safe_point(collect_always);
        let mut host = TestHost::new(10_000);
        run(&mut engine, &source, &mut host);
        let (got, expected) = (without_addresses(&host.output), without_addresses(&expected));
        let differs = DIFFERS.iter().any(|(other, _)| *other == name);
        if (got == expected) == differs {
            eprintln!("== {name}\n-- expected\n{}", String::from_utf8_lossy(&expected));
            eprintln!("-- got\n{}", String::from_utf8_lossy(&got));
            failures.push(name);
        } else if !differs {
            passed += 1;
        }
    }
    eprintln!("{passed} scripts passed");
    assert!(failures.is_empty(), "{} failed: {failures:?}", failures.len());
}

#[test]
fn scripts_print_what_the_reference_prints() {
    check(false);
}

#[test]
fn scripts_hold_nothing_unrooted() {
    check(true);
}
