//! The golden scripts over TCP.

use redix_core::commands::FAMILIES;
use redix_testkit::Launch;
use redix_testkit::script::{Script, check_golden_on};

#[test]
fn golden_over_tcp() {
    // The arguments with which the real servers are started for these scripts.
    let launch = Launch::redix(env!("CARGO_BIN_EXE_redix"));
    let server = launch.args(&["--enable-debug-command", "yes"]).start().unwrap();
    let ran = check_golden_on(server.addr(), has_first_command);
    assert!(ran.unwrap() > 0, "no script ran");
}

/// A script may need a command of a family that is missing; it then starts with that command.
fn has_first_command(script: &Script) -> bool {
    let first = &script.commands().next().expect("a script has commands")[0];
    let name = String::from_utf8_lossy(first).to_lowercase();
    let has = FAMILIES.iter().copied().flatten().any(|spec| spec.name == name);
    if !has {
        eprintln!("not run: {} begins with {name}, which is not there", script.name());
    }
    has
}
