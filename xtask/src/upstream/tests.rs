#![allow(clippy::unwrap_used)]

use super::*;

const OUTPUT: &str = "\
Starting test server at port 21079
[ready]: 4242
Testing unit/type/string
[\x1b[0;32;49mok\x1b[0m]: SET and GET an item (1 ms)
[ok]: Name (with brackets) (20 ms)
[err]: SETNX in target key in tests/unit/type/string.tcl
Expected '1' to be equal to '0' (context: type eval)
[ok]: SETNX in target key (0 ms)
[skip]: Left out
[ignore]: DEBUG something: Not supported on external server
[ignore]: Not supported on external server
[ignore]: Tag: slow denied
[1/1 \x1b[0;33;49mdone\x1b[0m]: unit/type/string (3 seconds)
";

#[test]
fn the_output_of_the_suite_is_understood() {
    let report = Report::parse(OUTPUT);
    assert!(report.passed("SET and GET an item"));
    assert!(report.passed("Name (with brackets)"));
    assert_eq!(report.outcome("Left out"), Some(&Outcome::Skipped));
    assert_eq!(report.outcome("DEBUG something"), Some(&Outcome::Skipped));
    // A name that failed once counts as failed, even if another test of that name passes.
    let message = report.message("SETNX in target key").unwrap();
    assert!(message.starts_with("Expected '1'"), "{message}");
    assert_eq!(report.counts(), (2, 1, 2));
    assert!(report.finished && report.troubles.is_empty());
}

#[test]
fn an_exception_is_trouble_and_no_end() {
    let text = "[ok]: A (1 ms)\n[exception]: Executing test client: I/O error reading reply.\nI/O";
    let report = Report::parse(text);
    assert!(!report.finished);
    assert_eq!(report.troubles.len(), 1);
    let text = "[err]: Can't start src/valkey-server\nCONFIGURATION:\n";
    assert_eq!(Report::parse(text).troubles.len(), 1);
}

#[test]
fn a_skip_needs_a_reason() {
    let skips = "# head\n\nunit/a :: /^big :: too big here\n* :: Every :: not ours\n";
    let skips = Skips::parse(skips).unwrap();
    assert_eq!(skips.of("unit/a"), ["/^big", "Every"]);
    assert_eq!(skips.of("unit/b"), ["Every"]);
    assert!(Skips::parse("unit/a :: name").is_err());
    assert!(Skips::parse("unit/a :: name :: ").is_err());
}

#[test]
fn what_a_change_touches_comes_first() {
    let files: Vec<String> =
        ["unit/auth", "unit/multi", "unit/scan", "unit/type/string"].map(str::to_owned).to_vec();
    let changed = "crates/redix-core/src/commands/string.rs\n";
    let order = |day| select::order(&files, changed, day);
    assert_eq!(order(0), ["unit/type/string", "unit/auth", "unit/multi", "unit/scan"]);
    assert_eq!(order(1)[0], "unit/type/string");
    assert_ne!(order(0)[1], order(1)[1]);
}

const SENTINEL_OUTPUT: &str = "\
Starting sentinel #0 at port 21032
Testing unit: 05-manual.tcl
18:00:01> (init) Restart killed instances: valkey/0 sentinel/1 \x1b[0;32mOK\x1b[0m
18:00:02> Manual failover works: \x1b[0;31mFAILED: A replica: none\x1b[0m
(Jumping to next unit after error)
18:00:03> New primary 127.0.0.1:21437 role matches: OK
18:00:04> The old one is reconfigured: FAILED: ERR unknown command
18:00:05> It writes lines: one
two
OK
Cleaning up...
WARNING 2 test(s) failed.
";

#[test]
fn the_output_of_the_sentinel_runner_is_understood() {
    let report = sentinel::parse(SENTINEL_OUTPUT);
    assert!(report.passed("(init) Restart killed instances"));
    assert!(report.passed("New primary 127.0.0.1:PORT role matches"));
    assert_eq!(report.message("Manual failover works"), Some("A replica: none"));
    assert_eq!(report.message("The old one is reconfigured"), Some("ERR unknown command"));
    assert!(report.passed("It writes lines"));
    assert_eq!(report.counts(), (3, 2, 0));
    assert!(report.finished && report.troubles.is_empty());

    let report = sentinel::parse("18:00:01> Begun: \nFAILED: caught an error in the test x\n");
    assert_eq!(report.message("Begun"), Some("caught an error in the test x"));
    assert!(!report.finished);
    let report = sentinel::parse("18:00:01> Begun: ");
    assert_eq!(report.troubles, ["ended in: Begun: "]);
}
