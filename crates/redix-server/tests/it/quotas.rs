//! Limits of databases, seen by clients and an operator.

use redix_resp::Value;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

fn info(client: &mut Client, section: &str) -> String {
    let Value::Bulk(text) = client.must(&["INFO", section]).unwrap() else { panic!("no text") };
    String::from_utf8(text).unwrap()
}

/// A number of INFO: of a field `name:number`, or `part=number` within the field.
fn number(client: &mut Client, section: &str, name: &str, part: &str) -> i64 {
    let text = info(client, section);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = match part {
        "" => line,
        part => {
            let mut parts = line.split(',').filter_map(|one| one.split_once('='));
            parts.find(|(name, _)| *name == part).unwrap().1
        }
    };
    value.trim().parse().unwrap()
}

fn used(client: &mut Client, db: u32) -> i64 {
    number(client, "quotas", &format!("quota_db{db}"), "used_memory")
}

fn send(client: &mut Client, commands: impl Iterator<Item = String>) -> Vec<Value> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    client.pipeline(&commands.map(words).collect::<Vec<_>>()).unwrap()
}

fn is_oom(reply: &Value) -> bool {
    let about_databases = |text: &[u8]| text.ends_with(b"'db-maxmemory'.");
    matches!(reply, Value::Error(text) if text.starts_with(b"OOM ") && about_databases(text))
}

/// A kind of data: its name, how many commands, and the commands that make it.
type Kind = (&'static str, usize, fn(usize) -> String);

/// Bytes that clients and the server itself may take meanwhile.
const OTHER_BYTES: i64 = 130_000;

#[test]
fn what_is_counted_is_what_the_allocator_counts() {
    let kinds: [Kind; 9] = [
        ("short strings", 120_000, |at| format!("SET key:{at} {at}")),
        ("strings", 30_000, |at| format!("SET key:{at} {}", "v".repeat(at % 500))),
        ("long strings", 4_000, |at| format!("SET key:{at} {}", "v".repeat(3000))),
        ("small hashes", 200_000, |at| format!("HSET key:{} f{at} {at}", at / 4)),
        ("a hash", 60_000, |at| format!("HSET key f{at} value-of-{at}")),
        ("a set", 60_000, |at| format!("SADD key member-{at}")),
        ("a sorted set", 60_000, |at| format!("ZADD key {at} member-{at}")),
        ("a list", 60_000, |at| format!("RPUSH key element-{at}")),
        ("a stream", 60_000, |at| format!("XADD key * field value-{at}")),
    ];
    for (name, count, command) in &kinds {
        let server = start(&["--db-maxmemory", "3 1gb"]);
        let mut client = connect(&server);
        client.must(&["SELECT", "3"]).unwrap();
        let before = number(&mut client, "memory", "used_memory", "");
        for from in (0..*count).step_by(1000) {
            send(&mut client, (from..from + 1000).map(command));
        }
        let allocated = number(&mut client, "memory", "used_memory", "") - before;
        let counted = used(&mut client, 3);
        let tolerance = allocated * 3 / 100 + OTHER_BYTES;
        eprintln!("{name}: {counted} counted, {allocated} allocated");
        assert!((counted - allocated).abs() <= tolerance, "{name}: {counted}, not {allocated}");
        client.must(&["FLUSHDB"]).unwrap();
        assert_eq!(used(&mut client, 3), 0, "{name}");
    }
}

/// A server whose database 1 has a limit, and which a client that has selected that talks to.
fn limited(policy: &str, more: &[&str]) -> (Server, Client) {
    let limit = format!("1 1mb {policy}");
    let server = start(&[&["--db-maxmemory", &limit, "--worker-threads", "2"], more].concat());
    let mut client = connect(&server);
    client.must(&["SELECT", "1"]).unwrap();
    (server, client)
}

#[test]
fn a_full_database_leaves_others_alone() {
    for (policy, evicts) in [("noeviction", false), ("allkeys-lru", true), ("volatile-lru", false)]
    {
        let (server, mut client) = limited(policy, &[]);
        let mut other = connect(&server);
        send(&mut other, (0..2000).map(|at| format!("SET k{at} {at} EX 1000")));
        let value = "v".repeat(500);
        let replies = send(&mut client, (0..10_000).map(|at| format!("SET k{at} {value}")));
        let refused = replies.iter().filter(|reply| is_oom(reply)).count();
        assert_eq!(refused > 0, !evicts, "{policy}");
        assert!(used(&mut client, 1) < (1 << 20) + 1000, "{policy}");
        let evicted = number(&mut client, "quotas", "quota_db1", "evicted_keys");
        assert_eq!(evicted > 1000, evicts, "{policy}");
        assert_eq!(evicted, number(&mut client, "stats", "evicted_keys", ""), "{policy}");
        let counted = number(&mut client, "quotas", "quota_db1", "refused");
        assert_eq!(counted, refused as i64, "{policy}");
        assert_eq!(other.must(&["DBSIZE"]).unwrap(), Value::Int(2000), "{policy}");
        other.must(&["SET", "another", "v"]).unwrap();
    }
}

#[test]
fn a_limit_that_is_set_later_counts_what_is_there() {
    let server = start(&["--worker-threads", "2"]);
    let mut client = connect(&server);
    assert!(!info(&mut client, "default").contains("# Quotas"));
    for db in ["1", "2"] {
        client.must(&["SELECT", db]).unwrap();
        let value = "v".repeat(200);
        send(&mut client, (0..10_000).map(|at| format!("SET k{at} {value}")));
    }
    client.must(&["CONFIG", "SET", "db-maxmemory", "1 1mb allkeys-random"]).unwrap();
    let full = 900_000..=1 << 20;
    eventually("eviction without a command", || full.contains(&used(&mut client, 1)));
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(10_000));
    // The limit is that of the number, whatever it holds.
    client.must(&["SWAPDB", "1", "2"]).unwrap();
    eventually("eviction after an exchange", || full.contains(&used(&mut client, 1)));
    client.must(&["CONFIG", "SET", "db-maxmemory", ""]).unwrap();
    assert!(!info(&mut client, "default").contains("# Quotas"));
}

#[test]
fn limits_hold_after_a_restart() {
    let dir = TempDir::new("quotas").unwrap();
    let path = dir.path().join("redix.conf");
    std::fs::write(&path, "db-maxmemory 1 1mb\n").unwrap();
    let place = dir.path().to_str().unwrap();
    let args = ["--dir", place, "--appendonly", "yes"];
    let launch = || {
        let launch = redix_testkit::Launch::redix(crate::program()).config(&path);
        launch.args(&args).start().unwrap()
    };
    let server = launch();
    let mut client = connect(&server);
    client.must(&["CONFIG", "SET", "db-maxmemory", "2 2mb allkeys-lru 1 3mb"]).unwrap();
    client.must(&["CONFIG", "REWRITE"]).unwrap();
    client.must(&["SELECT", "1"]).unwrap();
    let value = "v".repeat(100);
    send(&mut client, (0..5000).map(|at| format!("SET k{at} {value}")));
    let before = used(&mut client, 1);
    assert!(before > 500_000);
    drop(client);
    drop(server);
    let server = launch();
    let mut client = connect(&server);
    let Value::Array(shown) = client.must(&["CONFIG", "GET", "db-maxmemory"]).unwrap() else {
        panic!("no array")
    };
    assert_eq!(shown[1], Value::Bulk(b"1 3145728 2 2097152 allkeys-lru".to_vec()));
    // The order of arrival decides how full buckets are.
    eventually("the count", || (used(&mut client, 1) - before).abs() < before / 20);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().any(|line| line == "db-maxmemory 1 3mb"), "{text}");
    assert!(!text.contains("1 1mb"), "{text}");
}

#[test]
fn a_replica_leaves_it_to_its_primary() {
    let (primary, mut client) = limited("allkeys-lru", &[]);
    let replica = start(&["--db-maxmemory", "1 100kb allkeys-lru"]);
    let mut reader = connect(&replica);
    let addr = primary.addr();
    let (host, port) = (addr.ip().to_string(), addr.port().to_string());
    reader.must(&["REPLICAOF", &host, &port]).unwrap();
    let value = "v".repeat(500);
    eventually("the link", || info(&mut reader, "replication").contains("master_link_status:up"));
    send(&mut client, (0..5000).map(|at| format!("SET k{at} {value}")));
    client.must(&["WAIT", "1", "0"]).unwrap();
    reader.must(&["SELECT", "1"]).unwrap();
    // Any command has room made, of which WAIT says nothing.
    eventually("the same keys", || {
        client.must(&["DBSIZE"]).unwrap() == reader.must(&["DBSIZE"]).unwrap()
    });
    assert!(used(&mut reader, 1) > 900_000);
    assert_eq!(number(&mut reader, "stats", "evicted_keys", ""), 0);
    // Once it is a primary, its own limit holds.
    reader.must(&["REPLICAOF", "NO", "ONE"]).unwrap();
    eventually("its own limit", || used(&mut reader, 1) <= 100 * 1024);
}
