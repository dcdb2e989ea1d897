//! The audit log: what is in it, and that no secret is.

use std::path::Path;

use redix_testkit::Server;
use serde_json::Value as Json;

use crate::{connect, eventually, start};

fn records(file: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be still being written.
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records once there are so many; the command that stands last is still being written.
fn eventually_records(server: &Server, count: usize) -> Vec<Json> {
    let file = server.dir().join("audit.log");
    eventually("the records are written", || records(&file).len() >= count);
    records(&file)
}

fn text<'a>(record: &'a Json, name: &str) -> &'a str {
    record[name].as_str().unwrap_or_else(|| panic!("no {name} in {record}"))
}

const ON: &[&str] =
    &["--audit-log-file", "audit.log", "--enable-protected-configs", "yes", "--save", ""];

#[test]
fn it_tells_who_did_what() {
    let server = start(ON);
    let mut admin = connect(&server);
    admin.must(&["CLIENT", "SETNAME", "console"]).unwrap();
    admin.must(&["ACL", "SETUSER", "eve", "on", ">opensesame", "+get", "~a*"]).unwrap();
    let mut eve = connect(&server);
    eve.cmd(&["AUTH", "eve", "guessed"]).unwrap();
    eve.must(&["AUTH", "eve", "opensesame"]).unwrap();
    eve.cmd(&["GET", "secret\u{e9}key"]).unwrap();
    eve.cmd(&["SET", "a", "hiddenvalue"]).unwrap();
    admin.must(&["SET", "a", "not an event"]).unwrap();
    admin.must(&["FLUSHALL"]).unwrap();
    admin.cmd(&["CONFIG", "SET", "maxmemory", "much"]).unwrap();
    let seen = eventually_records(&server, 7);
    let events: Vec<&str> = seen.iter().map(|record| text(record, "event")).collect();
    let expected = ["command", "auth-failed", "auth", "denied", "denied", "command", "command"];
    assert_eq!(events, expected, "{seen:#?}");
    let setuser = &seen[0];
    assert_eq!(text(setuser, "command"), "acl|setuser");
    let argv = ["ACL", "SETUSER", "eve", "on", "(redacted)", "+get", "~a*"];
    assert_eq!(setuser["argv"], Json::from(argv.to_vec()));
    assert_eq!(text(setuser, "user"), "default");
    assert_eq!(text(&setuser["client"], "name"), "console");
    assert_eq!(text(&setuser["client"], "addr"), admin.local_addr().unwrap().to_string());
    let time = text(setuser, "time");
    assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{time}");
    assert_eq!(text(&seen[1], "user"), "eve");
    assert_eq!(text(&seen[2], "user"), "eve");
    assert_eq!((text(&seen[3], "reason"), text(&seen[3], "object")), ("key", "secret\u{e9}key"));
    assert_eq!((text(&seen[4], "reason"), text(&seen[4], "command")), ("command", "set"));
    assert_eq!(text(&seen[5], "command"), "flushall");
    assert!(text(&seen[6], "error").starts_with("ERR "), "{}", seen[6]);
    let whole = std::fs::read_to_string(server.dir().join("audit.log")).unwrap();
    for secret in ["opensesame", "guessed", "hiddenvalue"] {
        assert!(!whole.contains(secret), "{secret} is in {whole}");
    }
}

#[test]
fn no_form_of_a_command_shows_a_password() {
    let server = start(ON);
    let mut client = connect(&server);
    let forms: &[&[&str]] = &[
        &["CONFIG", "SET", "requirepass", "pw-secret", "maxmemory"],
        &["CONFIG", "SET", "maxmemory", "0", "nonsense", "1", "requirepass", "pw-secret"],
        &["CONFIG", "SET", "primaryauth", "pw-secret", "masteruser", "me"],
        &["ACL", "SETUSER", "a", "(~k", "+get", ">pw-secret"],
        &["ACL", "SETUSER", "a", "<pw-secret", "#pw-secret", "!pw-secret"],
        &["ACL", "SETUSER", "a", "(>pw-secret", ")"],
        &["ACL", "SETUSER", "a", " >pw-secret"],
        &["ACL", "SETUSER", "a", "reset>pw-secret"],
        &["ACL", "DRYRUN", "default", "CONFIG", "SET", "requirepass", "pw-secret"],
        &["ACL", "DRYRUN", "default", "AUTH", "pw-secret"],
        &["CONFIG", "SET", "sentinel-pass", "pw-secret"],
        &["AUTH", "pw-secret"],
        &["AUTH", "a", "pw-secret", "more"],
        &["HELLO", "3", "AUTH", "default", "pw-secret", "NONSENSE"],
        &["FAILOVER", "TO", "nowhere", "1"],
    ];
    for form in forms {
        client.cmd(form).unwrap();
        client.must(&["MULTI"]).unwrap();
        client.cmd(form).unwrap();
        client.cmd(&["EXEC"]).unwrap();
    }
    client.must(&["ACL", "SETUSER", "weak", "on", ">x", "+multi", "+exec"]).unwrap();
    client.must(&["AUTH", "weak", "x"]).unwrap();
    for form in forms {
        client.cmd(form).unwrap();
    }
    let mut other = connect(&server);
    other.must(&["CONFIG", "SET", "audit-log-file", ""]).unwrap();
    other.must(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let file = server.dir().join("audit.log");
    let is_last = |record: &Json| record["argv"][2] == "audit-log-file";
    eventually("its end is recorded", || records(&file).last().is_some_and(is_last));
    let whole = std::fs::read_to_string(file).unwrap();
    assert!(!whole.contains("pw-secret"), "{whole}");
}

#[test]
fn the_last_record_is_of_the_shutdown() {
    let mut server = start(ON);
    let mut client = connect(&server);
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    server.wait_for_exit().unwrap();
    let seen = records(&server.dir().join("audit.log"));
    assert_eq!(text(seen.last().unwrap(), "command"), "shutdown");
}

#[test]
fn a_file_that_cannot_be_written_is_refused_and_losses_are_told() {
    let server = start(ON);
    let mut client = connect(&server);
    let refused = client.cmd(&["CONFIG", "SET", "audit-log-file", "/nowhere/audit.log"]).unwrap();
    assert!(refused.pretty().contains("No such file or directory"), "{}", refused.pretty());
    // A pipe that nobody reads holds nobody up.
    let pipe = server.dir().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let refused = client.cmd(&["CONFIG", "SET", "audit-log-file", pipe.to_str().unwrap()]).unwrap();
    assert!(refused.pretty().contains("No such device"), "{}", refused.pretty());
    let dir = server.dir().join("inner");
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("audit.log");
    client.must(&["CONFIG", "SET", "audit-log-file", file.to_str().unwrap()]).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    client.must(&["CONFIG", "GET", "dir"]).unwrap();
    eventually("the loss is counted", || {
        let info = client.must(&["INFO", "stats"]).unwrap().pretty();
        info.contains("audit_log_lost:1")
    });
    std::fs::create_dir(&dir).unwrap();
    client.must(&["CONFIG", "GET", "dir"]).unwrap();
    eventually("it is told", || {
        records(&file).iter().any(|record| record["event"] == "lost" && record["records"] == 1)
    });
}

/// One record for each limit, however often it refuses within a second.
#[test]
fn refusals_by_quotas_are_recorded_now_and_then() {
    let limits = ["--db-maxmemory", "1 100kb", "--db-maxmemory", "2 1mb"];
    let server = start(&[ON, &limits].concat());
    let mut client = connect(&server);
    for (user, limit) in [("tenant", "%mem=300kb"), ("roomy", "%mem=10mb")] {
        client.must(&["ACL", "SETUSER", user, "on", ">pw", "~*", "+@all", limit]).unwrap();
    }
    let value = "v".repeat(200_000);
    client.must(&["SELECT", "1"]).unwrap();
    client.must(&["SET", "k", &value]).unwrap();
    for _ in 0..3 {
        client.cmd(&["SET", "k", "v"]).unwrap();
    }
    // What refuses is not the database of the client.
    client.must(&["SELECT", "0"]).unwrap();
    client.must(&["SETRANGE", "large", "1200000", "x"]).unwrap();
    client.cmd(&["COPY", "large", "copy", "DB", "2"]).unwrap();
    client.must(&["AUTH", "tenant", "pw"]).unwrap();
    client.cmd(&["EVAL", "return redis.call('SET', 'a', 'b')", "0"]).unwrap();
    client.cmd(&["SET", "a", "b"]).unwrap();
    // The command that the script runs finds out by itself.
    client.must(&["AUTH", "roomy", "pw"]).unwrap();
    let script = "return redis.pcall('SETRANGE', 'a', 20000000, 'b')";
    client.cmd(&["EVAL", script, "1", "a"]).unwrap();
    let file = server.dir().join("audit.log");
    let is_last = |record: &Json| record["user"] == "roomy" && record["event"] == "refused";
    eventually("the records are written", || records(&file).iter().any(is_last));
    let seen = records(&file);
    let shown: Vec<[&str; 4]> = seen
        .iter()
        .filter(|record| text(record, "event") == "refused")
        .map(|record| ["reason", "object", "command", "user"].map(|name| text(record, name)))
        .collect();
    let expected = [
        ["db-maxmemory", "1", "set", "default"],
        ["db-maxmemory", "2", "copy", "default"],
        ["%mem", "tenant", "set", "tenant"],
        ["%mem", "roomy", "setrange", "roomy"],
    ];
    // A machine that is held up may take more than a second.
    let mut first = shown.clone();
    first.dedup();
    assert_eq!(first, expected, "{seen:#?}");
    assert!(client.cmd(&["ACL", "LOG"]).unwrap().pretty().contains("empty"));
}
