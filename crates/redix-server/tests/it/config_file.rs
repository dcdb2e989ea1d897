//! Configuration files written by the real servers, and files of ours read by them.

use std::fs;
use std::path::Path;

use redix_resp::Value;
use redix_testkit::peer::Peer;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Server};

use super::{connect, program};

/// Values of all kinds: numbers, sizes, keywords, lists, bytes.
const FIRST: &[(&str, &str)] = &[
    ("maxclients", "1234"),
    ("timeout", "77"),
    ("maxmemory", "123456789"),
    ("maxmemory-policy", "allkeys-lfu"),
    ("repl-backlog-size", "2097152"),
    ("slowlog-log-slower-than", "-1"),
    ("notify-keyspace-events", "KEA"),
    ("save", "900 1 300 10"),
    ("client-output-buffer-limit", "normal 1 2 3 slave 4 5 6 pubsub 7 8 9"),
    ("oom-score-adj-values", "1 2 3"),
    ("latency-tracking-info-percentiles", "50 99.5"),
    ("proc-title-template", "{title} \"{listen-addr}\" é"),
    ("masterauth", "a \u{1} \\ \" b"),
    ("replica-announce-ip", "10.1.2.3"),
    ("list-max-listpack-size", "-3"),
    ("shutdown-on-sigterm", "save now"),
    ("appendfsync", "always"),
];

/// The changes by the other server.
const SECOND: &[(&str, &str)] = &[
    ("timeout", "78"),
    ("save", ""),
    ("notify-keyspace-events", ""),
    ("masterauth", ""),
    ("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 7 8 9"),
    ("zset-max-listpack-entries", "55"),
];

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn get(client: &mut Client, name: &str) -> String {
    match client.must(&["CONFIG", "GET", name]).unwrap() {
        Value::Array(pair) if pair.len() == 2 => text(&pair[1]),
        other => panic!("CONFIG GET {name}: {other:?}"),
    }
}

fn set_and_write(client: &mut Client, values: &[(&str, &str)]) {
    for (name, value) in values {
        client.must(&["CONFIG", "SET", name, value]).unwrap();
    }
    client.must(&["CONFIG", "REWRITE"]).unwrap();
}

/// Starts a server on the file; `--save ""` of the test tools is removed, since flags override the
/// file.
fn start(peer: Peer, file: &Path) -> Server {
    let launch = match peer {
        Peer::Redix => Launch::redix(program()),
        peer => Launch::new(peer).unwrap(),
    };
    launch.config(file).start().unwrap()
}

fn log_in(server: &Server, password: &str) -> Client {
    let mut client = connect(server);
    if password.is_empty() {
        client.must(&["PING"]).unwrap();
    } else {
        let refused = client.cmd(&["PING"]).unwrap();
        assert!(matches!(&refused, Value::Error(text) if text.starts_with(b"NOAUTH")));
        client.must(&["AUTH", password]).unwrap();
    }
    client
}

/// One server writes the file, the other starts with it, changes it, and the first one starts with
/// the result.
fn there_and_back(first: Peer, second: Peer, passwords: [&str; 2]) {
    let dir = TempDir::new("config").unwrap();
    let file = dir.path().join("x.conf");
    fs::write(&file, "# mine\nrename-command ECHO ekko\n\ntimeout 5\n").unwrap();
    let mut server = start(first, &file);
    let mut client = connect(&server);
    set_and_write(&mut client, &[FIRST, &[("requirepass", passwords[0])]].concat());
    let written: Vec<String> = FIRST.iter().map(|(name, _)| get(&mut client, name)).collect();
    server.kill9().unwrap();

    let mut server = start(second, &file);
    let mut client = log_in(&server, passwords[0]);
    for ((name, _), value) in FIRST.iter().zip(&written) {
        if *name != "save" {
            assert_eq!(get(&mut client, name), *value, "{name} of {}", first.name());
        }
    }
    assert_eq!(text(&client.must(&["EKKO", "hi"]).unwrap()), "hi");
    set_and_write(&mut client, &[SECOND, &[("requirepass", passwords[1])]].concat());
    server.kill9().unwrap();

    let server = start(first, &file);
    let mut client = log_in(&server, passwords[1]);
    for (name, value) in FIRST.iter().map(|(name, _)| name).zip(&written) {
        let changed = SECOND.iter().find(|(other, _)| other == name);
        let wanted = changed.map_or(value.as_str(), |(_, value)| value);
        assert_eq!(get(&mut client, name), wanted, "{name} of {}", second.name());
    }
    assert_eq!(get(&mut client, "zset-max-listpack-entries"), "55");
    assert!(fs::read_to_string(&file).unwrap().starts_with("# mine\nrename-command ECHO ekko\n\n"));
}

fn both_ways(peer: Peer) {
    if !peer.available_or_skip() {
        return;
    }
    for passwords in [["", ""], ["", "pass word"], ["first", "second"], ["gone", ""]] {
        there_and_back(peer, Peer::Redix, passwords);
        there_and_back(Peer::Redix, peer, passwords);
    }
}

#[test]
fn files_go_to_valkey_and_back() {
    both_ways(Peer::Valkey);
}

#[test]
fn files_go_to_redis_7_and_back() {
    both_ways(Peer::Redis7);
}

#[test]
fn files_go_to_redis_8_and_back() {
    both_ways(Peer::Redis8);
}
