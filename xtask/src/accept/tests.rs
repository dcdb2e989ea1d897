#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_check_goes_on_where_it_was_on_the_same_commit_only() {
    let dir = std::env::temp_dir().join(format!("xtask-accept-{}", std::process::id()));
    let run = |commit: &str, again: bool, fails: bool| {
        let mut ran = Vec::new();
        let mut progress = Progress::open_in(&dir, "check", commit, again).unwrap();
        for unit in ["a", "b"] {
            let body = || {
                ran.push(unit);
                if fails && unit == "b" { bail!("seen") } else { Ok(String::new()) }
            };
            progress.unit(unit, body).unwrap();
        }
        (ran, progress.verdict().is_ok())
    };
    assert_eq!(run("one", false, true), (vec!["a", "b"], false));
    assert_eq!(run("one", false, false), (vec!["b"], true));
    assert_eq!(run("one", false, false), (vec![], true));
    assert_eq!(run("one", true, false), (vec!["a", "b"], true));
    assert_eq!(run("two", false, false), (vec!["a", "b"], true));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn no_unit_is_no_pass() {
    let dir = std::env::temp_dir().join(format!("xtask-accept-none-{}", std::process::id()));
    assert!(Progress::open_in(&dir, "check", "one", false).unwrap().verdict().is_err());
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn seeds_are_a_range_with_both_ends() {
    assert_eq!(parse_seeds("3..5").unwrap(), 3..=5);
    assert!(parse_seeds("3").is_err());
}

#[test]
fn fuzz_targets_are_read_from_the_manifest() {
    let manifest = "[package]\nname = \"x\"\n[[bin]]\nname = \"request\"\npath = \"a\"\n\n[[bin]]\n\
                    name = \"rdb_read\"\n";
    assert_eq!(fuzz::targets(manifest), ["request", "rdb_read"]);
}

#[test]
fn commands_of_all_reports_are_added_up() {
    let text = "2003 commands of family keys under RESP2 against valkey, seed 1: 0 kinds\n  GET  ran 5\n\n\
                2100 commands of family string under RESP2 against valkey, seed 1: 0 kinds\n";
    assert_eq!(oracle::commands(text), 4103);
}
