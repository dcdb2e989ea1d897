//! The tests of Sentinel in the suite: the servers are those under test, the Sentinels real ones.
//!
//! They have a runner of their own (`tests/sentinel/run.tcl`), which starts five servers and five
//! Sentinels for the file that it runs. In the copy its ports are replaced by ours, and a failed
//! test does not end its file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::output::{Outcome, Report, without_colours};
use crate::setup::Peers;

/// Servers and Sentinels look for their ports in as many from their base.
const PORTS_EACH: u16 = 400;

/// What is replaced in `tests/instances.tcl`: a test that fails, by an assertion or in another way,
/// is reported, and the next one is run.
const REPLACED: &[(&str, &str)] = &[
    ("            return -code continue\n", ""),
    ("            error $error $::errorInfo\n        }\n    } else {\n", CAUGHT),
    ("set ::valkey_port_count 1024", "set ::valkey_port_count 400"),
];
const CAUGHT: &str = "            puts \"FAILED: $error\"\n        }\n    } else {\n";

/// Prepares the copy of the suite in `dir`.
pub(super) fn prepare(dir: &Path, peers: &Peers, base_port: u16) -> Result<()> {
    let sentinel = peers.get("REDIX_VALKEY").context("Valkey is missing: see cargo xtask setup")?;
    symlink(sentinel, dir.join("src/valkey-sentinel"))?;
    let path = dir.join("tests/instances.tcl");
    let mut text = fs::read_to_string(&path)?;
    let sentinels = format!("set ::sentinel_base_port {base_port}");
    let servers = format!("set ::valkey_base_port {}", base_port + PORTS_EACH);
    let ports = [
        ("set ::sentinel_base_port 20000", sentinels.as_str()),
        ("set ::valkey_base_port 30000", servers.as_str()),
    ];
    for (old, new) in REPLACED.iter().chain(&ports) {
        if !text.contains(old) {
            bail!("{} has no {old:?}", path.display());
        }
        text = text.replace(old, new);
    }
    Ok(fs::write(&path, text)?)
}

/// The files, as `sentinel/tests/NAME`.
pub(super) fn files(dir: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir.join("tests/sentinel/tests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".tcl") {
            files.push(format!("sentinel/tests/{name}"));
        }
    }
    files.sort();
    Ok(files)
}

/// The command that runs one file, in the copy.
pub(super) fn command(file: &str) -> Command {
    let name = file.rsplit('/').next().unwrap_or(file);
    let mut command = Command::new("tclsh");
    command.args(["tests/sentinel/run.tcl", "--single", &format!("/{name}.tcl")]);
    command
}

/// The outcomes in the output of the runner: `HH:MM:SS> NAME: …OK`, where what the test writes is
/// between name and outcome.
pub(super) fn parse(text: &str) -> Report {
    let mut report = Report::default();
    let plain = without_colours(text);
    let mut test: Option<String> = None;
    for line in plain.lines() {
        if let Some(begun) = begin_of_test(line) {
            test = Some(begun.to_owned());
        } else if let Some(error) = line.strip_prefix("FAILED: ") {
            if let Some(begun) = test.take() {
                report.add(&name_of(&begun), Outcome::Failed(error.to_owned()));
            } else {
                report.troubles.push(error.to_owned());
            }
            continue;
        }
        report.finished |= line.starts_with("GOOD!") || line.starts_with("WARNING ");
        if line.starts_with("WARNING: Aborting") {
            report.troubles.push("the runner gave up".to_owned());
        }
        let Some(begun) = &test else { continue };
        if let Some((name, error)) = begun.split_once(": FAILED: ") {
            report.add(&stable_name(name), Outcome::Failed(error.to_owned()));
            test = None;
        } else if line == "OK" || line.ends_with(" OK") {
            report.add(&name_of(begun), Outcome::Ok);
            test = None;
        }
    }
    if let Some(unfinished) = test {
        report.troubles.push(format!("ended in: {unfinished}"));
    }
    report
}

/// What follows the time, if a test begins here.
fn begin_of_test(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once("> ")?;
    let digits = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    (time.len() == "00:00:00".len() && digits).then_some(rest)
}

/// The name in a line `NAME: …`; what follows is written by the test.
fn name_of(begun: &str) -> String {
    stable_name(begun.rsplit_once(": ").map_or(begun, |(name, _)| name))
}

/// Names hold addresses, with ports that change from run to run.
fn stable_name(name: &str) -> String {
    match name.split_once("127.0.0.1:") {
        None => name.to_owned(),
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}127.0.0.1:PORT{after}")
        }
    }
}
