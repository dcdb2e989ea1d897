//! The golden scripts on a simulated engine, and properties of every command's record.

// Tests read documents and print what they skip.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use std::collections::BTreeSet;

use redix_core::command::spec::{Begin, CommandSpec, Find, LogAs, access, flag};
use redix_core::commands::FAMILIES;
use redix_core::config::{Config, Guard};
use redix_testkit::engine::SimEngine;
use redix_testkit::peer::repo_root;
use redix_testkit::script::{Script, golden_scripts};

fn every_spec(mut f: impl FnMut(Option<&CommandSpec>, &CommandSpec)) {
    for spec in FAMILIES.iter().copied().flatten() {
        f(None, spec);
        spec.subcommands.iter().for_each(|sub| f(Some(spec), sub));
    }
}

/// The configuration with which the real servers are started for these scripts.
fn config() -> Config {
    Config { enable_debug_command: Guard::Yes, ..Config::default() }
}

/// A script may need a command of a family that is missing; it then starts with that command.
fn lacks_first_command(script: &Script) -> Option<String> {
    let first = &script.commands().next().expect("a script has commands")[0];
    let name = String::from_utf8_lossy(first).to_lowercase();
    let known = FAMILIES.iter().copied().flatten().any(|spec| spec.name == name);
    (!known).then_some(name)
}

#[test]
fn golden_in_engine() {
    let mut failures = Vec::new();
    for path in golden_scripts().unwrap() {
        let script = Script::load(&path).unwrap();
        if let Some(name) = lacks_first_command(&script) {
            eprintln!("not run: {} begins with {name}, which is not there", script.name());
            continue;
        }
        for &proto in script.protos() {
            let mut engine = SimEngine::new(config(), 1).unwrap();
            if let Err(error) = script.check(&mut engine, proto) {
                failures.push(format!("{}: {error:#}", script.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// First arguments of commands in golden scripts, in lower case.
fn scripted_words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for path in golden_scripts().unwrap() {
        for command in Script::load(&path).unwrap().commands() {
            words.insert(String::from_utf8_lossy(&command[0]).to_lowercase());
        }
    }
    words
}

#[test]
fn every_command_has_a_golden_script_or_a_reason() {
    let path = repo_root().join("golden/MISSING.txt");
    #[expect(clippy::disallowed_methods, reason = "the engine has no part in this")]
    let text = std::fs::read_to_string(&path).unwrap();
    let mut missing = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, reason) = line.split_once(": ").expect("lines are `name: reason`");
        assert!(reason.len() > 10, "no reason for {name}");
        assert!(missing.insert(name.to_owned()), "{name} twice");
    }
    let (scripted, mut wrong) = (scripted_words(), Vec::new());
    for spec in FAMILIES.iter().copied().flatten() {
        if scripted.contains(spec.name) == missing.remove(spec.name) {
            wrong.push(spec.name);
        }
    }
    assert!(wrong.is_empty(), "either a script or a reason, please: {wrong:?}");
    assert!(missing.is_empty(), "not commands: {missing:?}");
}

/// Gates for these commands are checked once per group.
#[test]
fn brief_commands_meet_no_gate_of_their_own() {
    every_spec(|container, spec| {
        if spec.has(flag::BRIEF) {
            let special = flag::PROTECTED | flag::NO_AUTH | flag::NO_MULTI | flag::RUNS_IN_MULTI;
            assert_eq!(spec.flags & special, 0, "{}", spec.name);
            assert!(container.is_none() && spec.subcommands.is_empty(), "{}", spec.name);
        }
    });
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut names = BTreeSet::new();
    every_spec(|container, spec| {
        let name = (container.map(|spec| spec.name), spec.name);
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        assert!(names.insert(name), "{name:?} twice");
    });
}

#[test]
fn every_write_says_how_it_is_logged_and_only_those() {
    every_spec(|_, spec| {
        let writes = spec.has(flag::WRITE | flag::MAY_REPLICATE);
        let logged = spec.log_as != LogAs::Nothing;
        assert!(!spec.has(flag::WRITE) || logged, "{} writes and leaves no record", spec.name);
        assert!(writes || !logged, "{} leaves a record and does not write", spec.name);
        assert!(!(spec.has(flag::WRITE) && spec.has(flag::READONLY)), "{}", spec.name);
    });
}

#[test]
fn keys_lie_within_the_fewest_words_that_are_accepted() {
    every_spec(|container, spec| {
        let words = spec.arity.unsigned_abs() as u32;
        assert!(words > u32::from(container.is_some()), "{} has no name", spec.name);
        for keys in spec.keys {
            if let Begin::Index(index) = keys.begin {
                let nothing_there = spec.has(flag::NO_MANDATORY_KEYS);
                // The number of keys may be 0.
                let counted = matches!(keys.find, Find::KeyNum { .. });
                // Sources behind a destination may be none.
                let may_be_none =
                    keys != &spec.keys[0] && matches!(keys.find, Find::Range { last: -1, .. });
                // A channel is no key, and optional.
                let is_key = keys.access & access::NOT_KEY == 0;
                assert!(index >= 1, "{}: its name is no key", spec.name);
                assert!(
                    index < words || nothing_there || counted || may_be_none || !is_key,
                    "{}: no key at {index} of {words} words",
                    spec.name
                );
            }
            if let Find::Range { step, .. } = keys.find {
                assert!(step >= 1, "{}: keys without a distance", spec.name);
            }
        }
    });
}

#[test]
fn every_command_is_described() {
    every_spec(|_, spec| {
        assert!(
            spec.docs.doc.ends_with('.') && spec.docs.doc.len() > 10,
            "{}: {:?}",
            spec.name,
            spec.docs.doc
        );
        assert!(
            spec.docs.since.split('.').count() == 3,
            "{}: since {:?}",
            spec.name,
            spec.docs.since
        );
    });
}

/// The names that `docs/info.md` calls constant: those in backquotes in a first column.
fn constant_fields(document: &str) -> Vec<&str> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let columns = rows.filter_map(|row| row.split(" | ").next());
    columns.flat_map(|names| names.split(", ").map(|name| name.trim_matches('`'))).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "no Disk reaches the source tree")]
fn documented_constants_are_fields_of_info_that_do_not_vary() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/info.md");
    let document = std::fs::read_to_string(path).unwrap();
    let names = constant_fields(&document);
    assert!(names.len() > 50, "{names:?}");
    let info = |engine: &mut SimEngine| {
        let reply = engine.execute(1, &["INFO", "everything", "debug"]).unwrap().pretty();
        let lines = reply.split("\\r\\n").map(|line| line.trim_matches('"'));
        lines.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let mut engine = SimEngine::new(Config::default(), 1).unwrap();
    let before = info(&mut engine);
    for words in [&["SET", "k", "v"][..], &["GET", "none"], &["NOPE"], &["WATCH", "k"]] {
        engine.execute(1, words).unwrap();
    }
    engine.clock().advance_ms(100_000);
    let after = info(&mut engine);
    for name in names {
        let field = format!("{name}:");
        let line = before.iter().find(|line| line.starts_with(&field));
        let line = line.unwrap_or_else(|| panic!("INFO has no field {name}"));
        assert!(after.contains(line), "{line} has changed");
    }
}
