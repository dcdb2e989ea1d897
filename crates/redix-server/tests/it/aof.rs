//! The append-only file: kill -9 under each policy, rewrites under load, files shared with the real
//! servers, damaged files, WAITAOF, replicas.

mod durability;
mod full;
mod history;
mod restore;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::peer::Peer;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Rng, Server, writes};

use super::{connect, eventually, program, start};

const ON: [&str; 4] = ["--appendonly", "yes", "--save", ""];
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

fn text(client: &mut Client, command: &[&str]) -> String {
    match client.must(command).unwrap() {
        Value::Bulk(text) | Value::Simple(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{command:?}: {other:?}"),
    }
}

fn info(client: &mut Client, section: &str, field: &str) -> String {
    let text = text(client, &["INFO", section]);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
}

fn digest(client: &mut Client) -> String {
    text(client, &["DEBUG", "DIGEST"])
}

fn wait_for_rewrite(client: &mut Client) {
    eventually("the rewrite ends", || {
        // Of one moment: one that is scheduled may begin between two looks.
        let info = text(client, &["INFO", "persistence"]);
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    assert_eq!(info(client, "persistence", "aof_last_bgrewrite_status"), "ok");
}

/// Waits until everything that was logged is in the file.
fn wait_for_file(client: &mut Client) {
    eventually("the file is written", || info(client, "persistence", "aof_buffer_length") == "0");
}

/// A new connection to a server that has loaded its data.
fn loaded(server: &Server) -> Client {
    let mut client = connect(server);
    eventually("it is loaded", || client.must(&["PING"]).is_ok());
    client
}

/// Writes of all types, some of which fail.
fn write_at_random(client: &mut Client, rng: &mut Rng, batches: usize) {
    for _ in 0..batches {
        client.pipeline(&writes::batch(rng, 8)).unwrap();
    }
}

/// Takes the expiry of every key and field away, so that nothing changes by itself.
fn keep_everything(client: &mut Client) {
    for db in 0..writes::DATABASES {
        client.must(&["SELECT", &db.to_string()]).unwrap();
        let Value::Array(keys) = client.must(&["KEYS", "*"]).unwrap() else { panic!("keys") };
        for key in keys {
            let Value::Bulk(key) = key else { panic!("a key") };
            client.must(&[&b"PERSIST"[..], &key]).unwrap();
            // An error for other types.
            let Ok(Value::Array(fields)) = client.cmd(&[&b"HKEYS"[..], &key]) else { continue };
            let count = fields.len().to_string();
            let start = [&b"HPERSIST"[..], &key, b"FIELDS", count.as_bytes()];
            let mut command: Vec<Vec<u8>> = start.iter().map(|word| word.to_vec()).collect();
            for field in fields {
                let Value::Bulk(field) = field else { panic!("a field") };
                command.push(field);
            }
            if command.len() > 4 {
                client.must(&command).unwrap();
            }
        }
    }
}

/// The fingerprint of every key, by its database and name.
fn contents(client: &mut Client) -> BTreeMap<(usize, String), String> {
    let mut contents = BTreeMap::new();
    for db in 0..writes::DATABASES {
        client.must(&["SELECT", &db.to_string()]).unwrap();
        let Value::Array(keys) = client.must(&["KEYS", "*"]).unwrap() else { panic!("keys") };
        for key in keys {
            let Value::Bulk(key) = key else { panic!("a key") };
            let digest = client.must(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]).unwrap();
            let name = String::from_utf8_lossy(&key).into_owned();
            contents.insert((db, name), format!("{digest:?}"));
        }
    }
    contents
}

fn increments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir.join("appendonlydir"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".incr.aof"))
        .collect();
    found.sort();
    found
}

#[test]
fn under_always_nothing_acknowledged_and_nothing_seen_is_lost() {
    const WRITERS: usize = 4;
    let args = [&ON[..], &["--appendfsync", "always", "--worker-threads", "2"]].concat();
    let mut server = start(&args);
    for round in 0..6 {
        let acknowledged: Vec<AtomicI64> = (0..WRITERS).map(|_| AtomicI64::new(0)).collect();
        let seen: Vec<AtomicI64> = (0..WRITERS).map(|_| AtomicI64::new(0)).collect();
        let stop = AtomicBool::new(false);
        let addr = server.addr();
        std::thread::scope(|scope| {
            for index in 0..WRITERS {
                let (acknowledged, seen, stop) = (&acknowledged[index], &seen[index], &stop);
                let key = format!("counter:{index}");
                let reader_key = key.clone();
                scope.spawn(move || {
                    let Ok(mut client) = Client::connect(addr) else { return };
                    let pipeline = [vec!["INCR", &key], vec!["INCR", &key], vec!["INCR", &key]];
                    while let Ok(replies) = client.pipeline(&pipeline) {
                        for reply in replies {
                            if let Value::Int(count) = reply {
                                acknowledged.store(count, Ordering::Relaxed);
                            }
                        }
                    }
                });
                scope.spawn(move || {
                    let Ok(mut client) = Client::connect(addr) else { return };
                    while let Ok(reply) = client.cmd(&["GET", &reader_key]) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        if let Value::Bulk(count) = reply {
                            let count = String::from_utf8(count).unwrap().parse().unwrap();
                            seen.store(count, Ordering::Relaxed);
                        }
                    }
                });
            }
            let enough = 20 + 40 * round;
            eventually("there are writes", || {
                acknowledged.iter().all(|count| count.load(Ordering::Relaxed) > enough)
            });
            server.kill9().unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        server.restart().unwrap();
        let mut client = loaded(&server);
        for index in 0..WRITERS {
            let count = text(&mut client, &["GET", &format!("counter:{index}")]);
            let count: i64 = count.parse().unwrap();
            let acknowledged = acknowledged[index].load(Ordering::Relaxed);
            let seen = seen[index].load(Ordering::Relaxed);
            assert!(
                count >= acknowledged && count >= seen,
                "round {round}: {count}, acknowledged {acknowledged}, seen {seen}"
            );
            client.must(&["DEL", &format!("counter:{index}")]).unwrap();
        }
    }
}

#[test]
fn rewrites_under_random_writes_keep_the_data_set() {
    let seed = Rng::new(u64::from(std::process::id())).next_u64();
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    for preamble in ["yes", "no"] {
        let args = [&ON[..], &["--aof-use-rdb-preamble", preamble]].concat();
        let mut server = start(&[&args[..], &DEBUG].concat());
        let mut client = connect(&server);
        for round in 0..4 {
            write_at_random(&mut client, &mut rng, 300);
            client.must(&["BGREWRITEAOF"]).unwrap();
            write_at_random(&mut client, &mut rng, 300);
            wait_for_rewrite(&mut client);
            write_at_random(&mut client, &mut rng, 50);
            keep_everything(&mut client);
            wait_for_file(&mut client);
            let before = contents(&mut client);
            server.kill9().unwrap();
            server.restart().unwrap();
            client = loaded(&server);
            let after = contents(&mut client);
            let differ: Vec<_> = before
                .iter()
                .filter(|(key, value)| after.get(key) != Some(value))
                .chain(after.iter().filter(|(key, _)| !before.contains_key(key)))
                .collect();
            assert!(differ.is_empty(), "seed {seed}, {preamble}, round {round}: {differ:?}");
            assert_eq!(increments(server.dir()).len(), 1);
        }
    }
}

#[test]
fn real_servers_load_our_files_and_we_load_theirs() {
    for peer in [Peer::Redis7, Peer::Redis8, Peer::Valkey] {
        if !peer.available_or_skip() {
            continue;
        }
        for preamble in ["yes", "no"] {
            let version = if peer == Peer::Redis7 { "10" } else { "11" };
            let args = [&ON[..], &["--aof-use-rdb-preamble", preamble]].concat();
            let own = [&args[..], &DEBUG, &["--rdb-version", version]].concat();
            let dir = TempDir::new("aof-shared").unwrap();
            let at = dir.path().to_str().unwrap().to_owned();
            let mut digests = Vec::new();
            for step in 0..4 {
                let launch = if step % 2 == 0 {
                    Launch::redix(program()).args(&own)
                } else {
                    Launch::new(peer).unwrap().args(&args).args(&["--enable-debug-command", "yes"])
                };
                let mut server = launch.args(&["--dir", &at]).start().unwrap();
                let mut client = loaded(&server);
                if let Some(before) = digests.last() {
                    assert_eq!(*before, digest(&mut client), "{peer:?}, {preamble}, step {step}");
                }
                let name = format!("s{step}");
                for command in [
                    vec!["SET", &name, "value"],
                    vec!["RPUSH", "list", "a", "b", "1"],
                    vec!["SADD", "set", &name, "1"],
                    vec!["ZADD", "zset", "1.5", &name],
                    vec!["HSET", "hash", &name, "1"],
                    vec!["XADD", "stream", "*", "field", &name],
                    vec!["EXPIRE", &name, "1000"],
                    vec!["SELECT", "3"],
                    vec!["INCR", "count"],
                    vec!["SELECT", "0"],
                ] {
                    client.must(&command).unwrap();
                }
                client.must(&["BGREWRITEAOF"]).unwrap();
                wait_for_rewrite(&mut client);
                client.must(&["APPEND", &name, "tail"]).unwrap();
                digests.push(digest(&mut client));
                client.send(&["SHUTDOWN"]).unwrap();
                server.wait_for_exit().unwrap();
            }
        }
    }
}

#[test]
fn a_transaction_is_whole_in_a_file_that_breaks_off_or_absent() {
    let server = start(&ON);
    let mut client = connect(&server);
    for command in [
        vec!["SET", "a", "0"],
        vec!["MULTI"],
        vec!["INCR", "a"],
        vec!["INCR", "b"],
        vec!["EXEC"],
        vec!["INCR", "b"],
    ] {
        client.must(&command).unwrap();
    }
    wait_for_file(&mut client);
    let [path] = &increments(server.dir())[..] else { panic!("one increment") };
    let bytes = fs::read(path).unwrap();
    let dir = TempDir::new("aof-short").unwrap();
    let files = dir.path().join("appendonlydir");
    fs::create_dir(&files).unwrap();
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    let mut states = Vec::new();
    // A server takes a moment to start: every fifth length, and the last ones.
    for len in (0..=bytes.len()).filter(|len| len % 5 == 0 || len + 8 > bytes.len()) {
        fs::write(files.join("appendonly.aof.manifest"), manifest).unwrap();
        fs::write(files.join("appendonly.aof.1.incr.aof"), &bytes[..len]).unwrap();
        let args = [&ON[..], &["--dir", dir.path().to_str().unwrap()]].concat();
        let server = start(&args);
        let mut client = loaded(&server);
        let state = client.must(&["MGET", "a", "b"]).unwrap();
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
    let state = |a: Option<&str>, b: Option<&str>| {
        let value = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Bulk(text.into()));
        Value::Array(vec![value(a), value(b)])
    };
    let expected = [
        state(None, None),
        state(Some("0"), None),
        state(Some("1"), Some("1")),
        state(Some("1"), Some("2")),
    ];
    assert_eq!(states, expected);
}

#[test]
fn a_damaged_file_is_refused_or_cut_as_configured() {
    let dir = TempDir::new("aof-damaged").unwrap();
    let files = dir.path().join("appendonlydir");
    fs::create_dir(&files).unwrap();
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(files.join("appendonly.aof.manifest"), manifest).unwrap();
    let path = files.join("appendonly.aof.1.incr.aof");
    let whole = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let at = dir.path().to_str().unwrap().to_owned();
    let begin = |more: &[&str]| {
        let args = [&ON[..], &["--dir", &at], more].concat();
        Launch::redix(program()).args(&args).start()
    };
    fs::write(&path, [&whole[..], b"*3\r\n$3\r\nSE"].concat()).unwrap();
    assert!(begin(&["--aof-load-truncated", "no"]).is_err());
    let garbage = [&whole[..], b"\0\0\0\0"].concat();
    fs::write(&path, &garbage).unwrap();
    assert!(begin(&[]).is_err());
    assert_eq!(fs::read(&path).unwrap(), garbage, "nothing is cut that was not asked for");
    assert!(begin(&["--aof-load-corrupt-tail-max-size", "3"]).is_err());
    let server = begin(&["--aof-load-corrupt-tail-max-size", "4"]).unwrap();
    assert_eq!(text(&mut loaded(&server), &["GET", "a"]), "1");
    assert_eq!(fs::read(&path).unwrap(), whole);
    drop(server);
    // A client's last command, which no server writes to the file.
    fs::write(&path, [&b"*1\r\n$4\r\nQUIT\r\n"[..], whole].concat()).unwrap();
    let server = begin(&[]).unwrap();
    assert_eq!(text(&mut loaded(&server), &["GET", "a"]), "1");
    drop(server);
    fs::write(&path, b"*1\r\n$7\r\nnothere\r\n").unwrap();
    assert!(begin(&[]).is_err());
}

#[test]
fn a_single_file_of_an_old_server_is_adopted() {
    let dir = TempDir::new("aof-old").unwrap();
    let at = dir.path().to_str().unwrap().to_owned();
    fs::write(dir.path().join("appendonly.aof"), b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
        .unwrap();
    let args = [&ON[..], &["--dir", &at]].concat();
    for _ in 0..2 {
        let mut server = start(&args);
        let mut client = loaded(&server);
        assert_eq!(text(&mut client, &["GET", "a"]), "1");
        wait_for_file(&mut client);
        server.kill9().unwrap();
    }
    assert!(!dir.path().join("appendonly.aof").exists());
    assert!(dir.path().join("appendonlydir/appendonly.aof").exists());
}

#[test]
fn it_is_turned_on_and_off_while_clients_write() {
    let mut server = start(&["--save", ""]);
    let mut client = connect(&server);
    client.must(&["SET", "before", "1"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    client.must(&["SET", "after", "1"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    client.must(&["SET", "lost", "1"]).unwrap();
    assert_eq!(info(&mut client, "persistence", "aof_enabled"), "0");
    server.kill9().unwrap();
    server.restart_with(&["--appendonly", "yes"]).unwrap();
    let mut client = loaded(&server);
    let value = |text: &str| Value::Bulk(text.into());
    assert_eq!(
        client.must(&["MGET", "before", "after", "lost"]).unwrap(),
        Value::Array(vec![value("1"), value("1"), Value::Null])
    );
    // Not in the middle of a transaction.
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    for command in [
        vec!["MULTI"],
        vec!["SET", "first", "1"],
        vec!["CONFIG", "SET", "appendonly", "yes"],
        vec!["SET", "second", "1"],
        vec!["EXEC"],
    ] {
        client.must(&command).unwrap();
    }
    wait_for_rewrite(&mut client);
    server.kill9().unwrap();
    server.restart().unwrap();
    let mut client = loaded(&server);
    assert_eq!(client.must(&["EXISTS", "first", "second"]).unwrap(), Value::Int(2));
    // A cycle whose rewrite has not ended.
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["SET", "kept", "1"]).unwrap();
    wait_for_file(&mut client);
    server.kill9().unwrap();
    server.restart().unwrap();
    assert_eq!(text(&mut loaded(&server), &["GET", "kept"]), "1");
}

#[test]
fn waitaof_waits_for_the_disk_here_and_on_replicas() {
    let primary = start(&ON);
    let replica = start(
        &[
            &ON[..],
            &[
                "--replicaof",
                &format!("127.0.0.1 {}", primary.port()),
                "--repl-diskless-sync-delay",
                "0",
            ],
        ]
        .concat(),
    );
    let mut client = connect(&primary);
    client.must(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).unwrap();
    eventually("the replica follows", || {
        info(&mut connect(&replica), "replication", "master_link_status") == "up"
            && info(&mut connect(&replica), "persistence", "aof_rewrite_in_progress") == "0"
    });
    client.must(&["SET", "a", "1"]).unwrap();
    let both = Value::Array(vec![Value::Int(1), Value::Int(1)]);
    assert_eq!(client.must(&["WAITAOF", "1", "1", "10000"]).unwrap(), both);
    client.must(&["CONFIG", "SET", "appendfsync", "no"]).unwrap();
    client.must(&["SET", "a", "2"]).unwrap();
    let Value::Array(counts) = client.must(&["WAITAOF", "1", "0", "50"]).unwrap() else {
        panic!("two counts")
    };
    assert_eq!(counts[0], Value::Int(0), "nothing is synced under this policy");
    let mut other = connect(&primary);
    other.must(&["SET", "b", "1"]).unwrap();
    other.send(&["WAITAOF", "1", "0", "0"]).unwrap();
    eventually("it waits", || info(&mut client, "clients", "blocked_clients") == "1");
    client.must(&["CONFIG", "SET", "appendfsync", "always"]).unwrap();
    assert_eq!(other.reply().unwrap(), Value::Array(vec![Value::Int(1), Value::Int(0)]));
    client.must(&["SET", "a", "3"]).unwrap();
    assert_eq!(client.must(&["WAITAOF", "1", "1", "10000"]).unwrap(), both);
    client.must(&["CONFIG", "SET", "appendfsync", "no"]).unwrap();
    other.must(&["SET", "b", "2"]).unwrap();
    other.send(&["WAITAOF", "1", "0", "0"]).unwrap();
    eventually("it waits", || info(&mut client, "clients", "blocked_clients") == "1");
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    let Value::Error(error) = other.reply().unwrap() else { panic!("an error") };
    assert!(error.starts_with(b"ERR WAITAOF cannot be used"), "{error:?}");
}

#[test]
fn a_replica_has_files_of_its_own_after_a_full_synchronisation() {
    let primary = start(&[&DEBUG[..], &["--save", "", "--repl-diskless-sync-delay", "0"]].concat());
    let mut client = connect(&primary);
    client.must(&["SET", "from", "primary"]).unwrap();
    let mut replica = start(&[&ON[..], &DEBUG].concat());
    let mut other = connect(&replica);
    other.must(&["SET", "own", "1"]).unwrap();
    let port = primary.port().to_string();
    other.must(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    eventually("the replica follows", || {
        info(&mut other, "replication", "master_link_status") == "up"
    });
    wait_for_rewrite(&mut other);
    client.must(&["SELECT", "2"]).unwrap();
    client.must(&["SET", "more", "1"]).unwrap();
    client.must(&["PUBLISH", "channel", "message"]).unwrap();
    assert_eq!(client.must(&["WAIT", "1", "10000"]).unwrap(), Value::Int(1));
    wait_for_file(&mut other);
    let before = digest(&mut other);
    assert_eq!(before, digest(&mut client));
    let file = fs::read(increments(replica.dir()).last().unwrap()).unwrap();
    let file = String::from_utf8_lossy(&file);
    assert!(file.contains("more"), "{file}");
    assert!(!file.contains("REPLCONF") && !file.contains("PUBLISH"), "{file}");
    replica.kill9().unwrap();
    replica.restart().unwrap();
    assert_eq!(before, digest(&mut loaded(&replica)));
}

#[test]
fn after_the_stream_of_a_primary_at_a_lower_offset_replies_come_under_always() {
    let primary = start(&["--save", "", "--repl-diskless-sync-delay", "0"]);
    connect(&primary).must(&["SET", "from", "primary"]).unwrap();
    let replica = start(&[&ON[..], &["--appendfsync", "always"]].concat());
    let (mut other, mut third) = (connect(&replica), connect(&replica));
    other.must(&["SET", "own", &"x".repeat(100_000)]).unwrap();
    other.must(&["FLUSHALL"]).unwrap();
    third.must(&["GET", "own"]).unwrap();
    let port = primary.port().to_string();
    other.must(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    eventually("the replica follows", || {
        info(&mut other, "replication", "master_link_status") == "up"
    });
    wait_for_rewrite(&mut other);
    assert_eq!(text(&mut other, &["GET", "from"]), "primary");
    assert_eq!(text(&mut third, &["GET", "from"]), "primary");
    assert_eq!(text(&mut connect(&replica), &["GET", "from"]), "primary");
}

#[test]
fn writes_that_a_stuck_disk_held_back_go_on_when_the_file_is_turned_off() {
    let server = start(&[&ON[..], &DEBUG].concat());
    let (mut client, mut other) = (connect(&server), connect(&server));
    client.must(&["DEBUG", "AOF-FLUSH-SLEEP", "2500000"]).unwrap();
    client.must(&["SET", "key", "1"]).unwrap();
    eventually("writes are held back", || {
        info(&mut client, "persistence", "aof_delayed_fsync") == "1"
    });
    other.send(&["SET", "key", "2"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    assert_eq!(other.reply().unwrap(), Value::Simple("OK".into()));
}

#[test]
fn a_rewrite_without_an_increment_behind_it_does_not_turn_the_file_on() {
    let mut server = start(&[&DEBUG[..], &["--save", ""]].concat());
    let mut client = connect(&server);
    client.must(&["DEBUG", "POPULATE", "1000"]).unwrap();
    client.must(&["CONFIG", "SET", "rdb-key-save-delay", "1000"]).unwrap();
    let path = server.dir().join("appendonlydir");
    fs::write(&path, "in the way").unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    eventually("the increment cannot be made", || server.log().contains("Not a directory"));
    fs::remove_file(&path).unwrap();
    client.must(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["SET", "after", "1"]).unwrap();
    wait_for_file(&mut client);
    server.kill9().unwrap();
    server.restart_with(&["--appendonly", "yes"]).unwrap();
    let mut client = loaded(&server);
    assert_eq!(text(&mut client, &["GET", "after"]), "1");
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(1001));
}

#[test]
fn it_is_turned_on_inside_a_transaction_whose_writes_are_in_the_base_once() {
    let mut server = start(&["--save", ""]);
    let mut client = connect(&server);
    client.must(&["MULTI"]).unwrap();
    client.must(&["INCR", "count"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    client.must(&["INCR", "count"]).unwrap();
    client.must(&["EXEC"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["INCR", "count"]).unwrap();
    wait_for_file(&mut client);
    server.kill9().unwrap();
    server.restart_with(&["--appendonly", "yes"]).unwrap();
    assert_eq!(text(&mut loaded(&server), &["GET", "count"]), "3");
}

#[test]
fn turning_it_off_takes_a_scheduled_rewrite_back() {
    let server = start(&[&DEBUG[..], &["--save", "", "--rdb-key-save-delay", "100000"]].concat());
    let mut client = connect(&server);
    client.must(&["DEBUG", "POPULATE", "1000"]).unwrap();
    client.must(&["BGSAVE"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    assert_eq!(info(&mut client, "persistence", "aof_rewrite_scheduled"), "1");
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    assert_eq!(info(&mut client, "persistence", "aof_rewrite_scheduled"), "0");
}

#[test]
fn a_rewrite_while_it_is_off_leaves_no_name_that_is_used_again() {
    let mut server = start(&ON);
    let mut client = connect(&server);
    client.must(&["SET", "first", "1"]).unwrap();
    client.must(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
    client.must(&["BGREWRITEAOF"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    wait_for_rewrite(&mut client);
    client.must(&["SET", "second", "1"]).unwrap();
    wait_for_file(&mut client);
    server.kill9().unwrap();
    server.restart().unwrap();
    assert_eq!(loaded(&server).must(&["DBSIZE"]).unwrap(), Value::Int(2));
}

/// For how long a server is watched that should sleep.
const WHILE: Duration = Duration::from_millis(200);

/// A sync may have been put off for more connections when the policy changes.
#[test]
fn a_worker_sleeps_when_there_is_nothing_to_sync_any_more() {
    let server = start(&["--appendonly", "yes", "--worker-threads", "2"]);
    let mut client = connect(&server);
    for round in 0..8 {
        client.must(&["CONFIG", "SET", "appendfsync", "always"]).unwrap();
        let (stop, written) = (AtomicBool::new(false), AtomicI64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut writer = connect(&server);
                    while !stop.load(Ordering::Relaxed) {
                        writer.must(&["INCR", "n"]).unwrap();
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            eventually("writes", || written.load(Ordering::Relaxed) > 1000);
            client.must(&["CONFIG", "SET", "appendfsync", "everysec"]).unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        eventually(&format!("the workers sleep, round {round}"), || {
            let (before, began) = (server.cpu_time().unwrap().total(), Instant::now());
            eventually("a while", || began.elapsed() > WHILE);
            server.cpu_time().unwrap().total() - before < WHILE / 2
        });
    }
}
