//! Saving and loading: snapshots under load, files shared with the real servers, bad files, bad
//! disks, and kill -9.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redix_core::rdb::format::{RdbString, RdbValue};
use redix_core::rdb::read::{Event, RdbReader, ReadOptions};
use redix_resp::Value;
use redix_testkit::peer::Peer;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Rng, Server};

use super::{connect, eventually, program, start};

const ACCOUNTS: usize = 300;
const START_AMOUNT: i64 = 1000;

/// A field of INFO persistence.
fn info(client: &mut Client, field: &str) -> String {
    let Value::Bulk(text) = client.must(&["INFO", "persistence"]).unwrap() else { panic!("bulk") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
}

fn wait_for_bgsave(client: &mut Client) {
    eventually("the background save ends", || info(client, "rdb_bgsave_in_progress") == "0");
}

fn bgsave(client: &mut Client) {
    let started = Value::Simple(b"Background saving started".to_vec());
    assert_eq!(client.must(&["BGSAVE"]).unwrap(), started);
    wait_for_bgsave(client);
    assert_eq!(info(client, "rdb_last_bgsave_status"), "ok");
}

fn set_many(client: &mut Client, commands: impl Iterator<Item = (String, String)>) {
    let commands: Vec<Vec<String>> =
        commands.map(|(key, value)| vec!["SET".into(), key, value]).collect();
    for chunk in commands.chunks(1000) {
        client.pipeline(chunk).unwrap();
    }
}

/// Keys and values of database 0 in a file.
fn decode(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all = decode_all(path).into_iter().filter(|((db, _), _)| *db == 0);
    all.map(|((_, key), value)| (key, value)).collect()
}

/// Values by database and key.
fn decode_all(path: &Path) -> BTreeMap<(u32, Vec<u8>), Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut reader = RdbReader::new(bytes.as_slice(), ReadOptions::default());
    let mut content = BTreeMap::new();
    loop {
        match reader.next_event().unwrap() {
            Event::End(_) => return content,
            Event::Key(record) => {
                let value = match record.value {
                    RdbValue::Str(RdbString::Int(value)) => value.to_string().into_bytes(),
                    RdbValue::Str(RdbString::Bytes(bytes)) => bytes.to_vec(),
                    RdbValue::Collection(_) => panic!("only strings were written"),
                };
                let key = (record.db, record.key.to_vec());
                assert!(content.insert(key, value).is_none(), "a key twice");
            }
            _ => {}
        }
    }
}

fn sum(content: &BTreeMap<Vec<u8>, Vec<u8>>) -> i64 {
    let accounts = content.iter().filter(|(key, _)| key.starts_with(b"account:"));
    let amounts = accounts.map(|(_, value)| String::from_utf8_lossy(value).parse::<i64>().unwrap());
    amounts.sum()
}

/// Transfers amounts between accounts, which are in different shards, until told to stop.
fn transfer(mut client: Client, seed: u64, stop: &AtomicBool) -> usize {
    let mut rng = Rng::new(seed);
    let mut transfers = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut commands: Vec<Vec<String>> = Vec::new();
        for _ in 0..20 {
            let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
            let amount = rng.below(10).to_string();
            commands.push(vec!["MULTI".into()]);
            commands.push(vec!["DECRBY".into(), format!("account:{from}"), amount.clone()]);
            commands.push(vec!["INCRBY".into(), format!("account:{to}"), amount]);
            commands.push(vec!["EXEC".into()]);
        }
        client.pipeline(&commands).unwrap();
        transfers += 20;
    }
    transfers
}

#[test]
fn every_snapshot_under_load_is_of_one_instant() {
    let mut server = start(&["--worker-threads", "2"]);
    let mut client = connect(&server);
    set_many(
        &mut client,
        (0..ACCOUNTS).map(|i| (format!("account:{i}"), START_AMOUNT.to_string())),
    );
    set_many(&mut client, (0..50_000).map(|i| (format!("ballast:{i}"), format!("value {i}"))));
    let total = START_AMOUNT * ACCOUNTS as i64;
    let stop = AtomicBool::new(false);
    let transfers: usize = std::thread::scope(|scope| {
        let movers: Vec<_> = (0..4)
            .map(|seed| {
                let (client, stop) = (connect(&server), &stop);
                scope.spawn(move || transfer(client, seed, stop))
            })
            .collect();
        let mut seen = Vec::new();
        for _ in 0..5 {
            bgsave(&mut client);
            let content = decode(&server.dir().join("dump.rdb"));
            assert_eq!(content.len(), 50_000 + ACCOUNTS);
            assert_eq!(sum(&content), total);
            seen.push(content);
        }
        stop.store(true, Ordering::Relaxed);
        seen.dedup();
        assert_eq!(seen.len(), 5, "accounts change between snapshots");
        movers.into_iter().map(|mover| mover.join().unwrap()).sum()
    });
    assert!(transfers > 100, "{transfers} transfers are no load");
    server.kill9().unwrap();
    server.restart().unwrap();
    let mut client = connect(&server);
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(50_000 + ACCOUNTS as i64));
}

/// Value and expiry of every key, by database and name.
fn read_back(client: &mut Client) -> BTreeMap<(u32, Vec<u8>), (Value, Value)> {
    let mut content = BTreeMap::new();
    for db in 0..16 {
        client.must(&["SELECT".to_owned(), db.to_string()]).unwrap();
        let Value::Array(keys) = client.must(&["KEYS", "*"]).unwrap() else { panic!("array") };
        for key in keys {
            let Value::Bulk(key) = key else { panic!("bulk") };
            let value = client.must(&[b"GET".as_slice(), &key]).unwrap();
            let expiry = client.must(&[b"PEXPIRETIME".as_slice(), &key]).unwrap();
            content.insert((db, key), (value, expiry));
        }
    }
    content
}

fn fill_with_everything(client: &mut Client) {
    let mut rng = Rng::new(7);
    for db in ["0", "3", "15"] {
        client.must(&["SELECT", db]).unwrap();
        for number in [0, 1, -1, 127, -129, 40_000, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            client.must(&["SET".to_owned(), format!("n:{number}"), number.to_string()]).unwrap();
        }
        for len in [0, 1, 12, 44, 45, 63, 64, 300, 513, 5000, 16_500, 70_000] {
            let random: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            client.must(&[b"SET", format!("random:{len}").as_bytes(), &random]).unwrap();
            client.must(&[b"SET", format!("same:{len}").as_bytes(), &vec![b'y'; len]]).unwrap();
        }
        client.must(&[b"SET".as_slice(), b"key \x00\xff\r\n", b"binary key"]).unwrap();
        client.must(&["SET", "", "empty key"]).unwrap();
        client.must(&["SET", "volatile", "v", "PXAT", "4102444800123"]).unwrap();
    }
    client.must(&["SELECT", "0"]).unwrap();
}

/// The server's own checker: the executable checks the name it is called by.
fn check_rdb(peer: Peer, file: &Path, dir: &Path) {
    let name = if peer == Peer::Valkey { "valkey-check-rdb" } else { "redis-check-rdb" };
    let link = dir.join(name);
    symlink(peer.path().unwrap(), &link).unwrap();
    let out = Command::new(&link).arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && text.contains("RDB looks OK"), "{}: {text}", peer.name());
}

fn there_and_back(peer: Peer, version: &str) {
    if !peer.available_or_skip() {
        return;
    }
    let redix = start(&["--rdb-version", version]);
    let mut client = connect(&redix);
    fill_with_everything(&mut client);
    let written = read_back(&mut client);
    assert!(written.len() > 90);

    // By SAVE, and by BGSAVE: they walk the keyspace differently.
    client.must(&["SAVE"]).unwrap();
    let first = decode_all(&redix.dir().join("dump.rdb"));
    bgsave(&mut client);
    assert_eq!(decode_all(&redix.dir().join("dump.rdb")), first);

    let dir = TempDir::new("there-and-back").unwrap();
    let file = dir.path().join("dump.rdb");
    fs::copy(redix.dir().join("dump.rdb"), &file).unwrap();
    check_rdb(peer, &file, dir.path());
    let place = dir.path().to_str().unwrap();
    let mut real = Server::start(peer, &["--dir", place]).unwrap();
    let mut client = connect(&real);
    assert_eq!(read_back(&mut client), written, "{} reads what we wrote", peer.name());
    client.must(&["SELECT", "1"]).unwrap();
    client.must(&["SET", "added", "there"]).unwrap();
    let changed = read_back(&mut client);
    client.must(&["SAVE"]).unwrap();
    real.kill9().unwrap();
    let redix = start(&["--dir", place]);
    assert_eq!(read_back(&mut connect(&redix)), changed, "we read what {} wrote", peer.name());
}

#[test]
fn redis_7_reads_our_files_and_we_read_its() {
    there_and_back(Peer::Redis7, "10");
}

#[test]
fn redis_8_reads_our_files_and_we_read_its() {
    there_and_back(Peer::Redis8, "11");
}

#[test]
fn valkey_reads_our_files_and_we_read_its() {
    there_and_back(Peer::Valkey, "11");
}

/// Tries to start on a file; returns the log. The file must be unchanged.
fn refused_start(content: &[u8]) -> String {
    let dir = TempDir::new("bad-file").unwrap();
    let file = dir.path().join("dump.rdb");
    fs::write(&file, content).unwrap();
    let place = dir.path().to_str().unwrap();
    let started = Launch::redix(program()).args(&["--dir", place]).start();
    let text = format!("{:#}", started.err().expect("it does not start"));
    assert!(text.contains("exit status: 1"), "{text}");
    assert!(text.contains(file.to_str().unwrap()), "the path is named: {text}");
    assert_eq!(fs::read(&file).unwrap(), content, "the file is as it was");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["dump.rdb"], "nothing else was written");
    text
}

#[test]
fn a_file_that_cannot_be_loaded_stops_the_start() {
    let server = start(&[]);
    let mut client = connect(&server);
    client.must(&["SET", "some-key", &"a value that is long enough".repeat(3)]).unwrap();
    client.must(&["SET", "another-key", "x"]).unwrap();
    client.must(&["CONFIG", "SET", "rdbcompression", "no"]).unwrap();
    client.must(&["SAVE"]).unwrap();
    let good = fs::read(server.dir().join("dump.rdb")).unwrap();

    let at = good.windows(7).position(|window| window == b"a value").unwrap();
    let mut flipped = good.clone();
    flipped[at] ^= 1;
    assert!(refused_start(&flipped).contains("RDB CRC error"));

    let text = refused_start(&good[..at + 3]);
    assert!(text.contains(&format!("offset {}", at + 3)), "{text}");
    assert!(text.contains("key \"some-key\""), "{text}");
    assert!(text.contains("unexpected end"), "{text}");

    let text = refused_start(b"REDIX0011 is no such file");
    assert!(text.contains("not an RDB file"), "{text}");

    // The key of 8 bytes begins with its length, and that with the type.
    let mut typed = good.clone();
    let at = good.windows(9).position(|window| window == b"\x08some-key").unwrap() - 1;
    typed[at] = 22;
    let text = refused_start(&typed);
    assert!(text.contains(&format!("offset {at}")), "{text}");
    assert!(text.contains("key \"some-key\""), "{text}");
    assert!(
        text.contains("hash with expiring fields (before Redis 7.4) (type 22) is not supported"),
        "{text}"
    );
}

#[test]
fn a_file_of_more_databases_stops_the_start() {
    let server = start(&[]);
    let mut client = connect(&server);
    client.must(&["SELECT", "9"]).unwrap();
    client.must(&["SET", "k", "v"]).unwrap();
    client.must(&["SAVE"]).unwrap();
    let place = server.dir().to_str().unwrap();
    let started = Launch::redix(program()).args(&["--dir", place, "--databases", "9"]).start();
    let text = format!("{:#}", started.err().expect("it does not start"));
    assert!(text.contains("configured to handle more than 9 databases"), "{text}");
}

#[test]
fn expired_keys_are_dropped_and_counted_when_loading() {
    let mut server = start(&[]);
    let mut client = connect(&server);
    client.must(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]).ok();
    client.must(&["SET", "stays", "v"]).unwrap();
    // Saved before it expires, loaded after it.
    client.must(&["SET", "goes", "v", "PX", "300"]).unwrap();
    client.must(&["SAVE"]).unwrap();
    server.kill9().unwrap();
    std::thread::sleep(Duration::from_millis(301));
    server.restart().unwrap();
    let mut client = connect(&server);
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(1));
    assert_eq!(info(&mut client, "rdb_last_load_keys_expired"), "1");
    assert_eq!(info(&mut client, "rdb_last_load_keys_loaded"), "1");
}

fn error_of(client: &mut Client, command: &[&str]) -> String {
    match client.cmd(command).unwrap() {
        Value::Error(text) => String::from_utf8(text).unwrap(),
        other => panic!("{command:?} answers {other:?}"),
    }
}

#[test]
fn a_full_disk_stops_writes_until_a_save_succeeds() {
    let server = start(&["--save", "3600 1000000"]);
    let mut client = connect(&server);
    client.must(&["SET", "k", "first"]).unwrap();
    bgsave(&mut client);
    let file = server.dir().join("dump.rdb");
    let before = fs::read(&file).unwrap();
    let temporary = server.dir().join(format!("temp-bgsave-{}.rdb", server.pid()));
    symlink("/dev/full", &temporary).unwrap();

    client.must(&["SET", "k", "second"]).unwrap();
    client.must(&["BGSAVE"]).unwrap();
    wait_for_bgsave(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    let mut other = connect(&server);
    other.must(&["MULTI"]).unwrap();
    for command in [&["SET", "k", "third"][..], &["PING"], &["PING", "text"]] {
        assert!(error_of(&mut client, command).starts_with("MISCONF "), "{command:?}");
        assert!(error_of(&mut other, command).starts_with("MISCONF "), "{command:?}");
    }
    assert!(error_of(&mut other, &["EXEC"]).starts_with("EXECABORT "));
    client.must(&["ECHO", "text"]).unwrap();
    // A queued read command is executed.
    client.must(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).unwrap();
    other.must(&["MULTI"]).unwrap();
    other.must(&["PING"]).unwrap();
    client.must(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]).unwrap();
    other.must(&["EXEC"]).unwrap();
    assert_eq!(client.must(&["GET", "k"]).unwrap(), Value::Bulk(b"second".to_vec()));
    assert_eq!(fs::read(&file).unwrap(), before, "the old file stays");
    assert!(!temporary.exists() && fs::symlink_metadata(&temporary).is_err(), "nothing is left");
    let log = server.log();
    let reason = format!("{}: No space left on device", temporary.display());
    assert!(log.contains(&reason), "path and reason are logged: {log}");

    bgsave(&mut client);
    client.must(&["PING"]).unwrap();
    client.must(&["SET", "k", "third"]).unwrap();
    assert_eq!(decode(&file)[b"k".as_slice()], b"second");
}

#[test]
fn what_flushall_has_saved_is_not_counted_as_changes() {
    let server = start(&["--save", "3600 1000000"]);
    let mut client = connect(&server);
    client.must(&["SET", "k", "v"]).unwrap();
    client.must(&["FLUSHALL"]).unwrap();
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
    client.must(&["SET", "k", "v"]).unwrap();
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
}

#[test]
fn a_flush_counts_the_keys_and_is_logged_without_any() {
    let server = start(&[]);
    let mut client = connect(&server);
    let changes = |client: &mut Client, expected: &str| {
        assert_eq!(info(client, "rdb_changes_since_last_save"), expected);
    };
    client.must(&["FLUSHALL"]).unwrap();
    client.must(&["FLUSHDB", "ASYNC"]).unwrap();
    changes(&mut client, "0");
    client.must(&["MSET", "a", "1", "b", "2"]).unwrap();
    client.must(&["FLUSHDB"]).unwrap();
    changes(&mut client, "4");
    client.must(&["SET", "a", "1"]).unwrap();
    client.must(&["FLUSHALL", "ASYNC"]).unwrap();
    changes(&mut client, "6");

    let port = server.port().to_string();
    let replica =
        start(&["--replicaof", &format!("127.0.0.1 {port}"), "--replica-read-only", "no"]);
    let mut there = connect(&replica);
    let link = Value::Bulk(b"1".to_vec());
    eventually("the link is up", || {
        client.must(&["SET", "link", "1"]).unwrap();
        there.cmd(&["GET", "link"]).unwrap() == link
    });
    for flush in ["FLUSHALL", "FLUSHDB"] {
        client.must(&[flush]).unwrap();
        eventually("it is empty", || there.must(&["DBSIZE"]).unwrap() == Value::Int(0));
        there.must(&["SET", "own", "1"]).unwrap();
        client.must(&[flush]).unwrap();
        eventually("it is empty", || there.must(&["DBSIZE"]).unwrap() == Value::Int(0));
    }
}

#[test]
fn a_reload_needs_a_file_before_it_gives_the_data_up() {
    let server = start(&["--enable-debug-command", "yes"]);
    let mut client = connect(&server);
    let file = server.dir().join("dump.rdb");
    client.must(&["SET", "k", "v"]).unwrap();
    let refused = "ERR Error trying to load the RDB dump, check server logs.";
    let mut is_refused = |options: &[&str]| {
        let command = [&["DEBUG", "RELOAD", "NOSAVE"], options].concat();
        assert_eq!(error_of(&mut client, &command), refused);
        assert_eq!(client.must(&["GET", "k"]).unwrap(), Value::Bulk(b"v".to_vec()));
        assert_eq!(info(&mut client, "loading"), "0");
    };
    is_refused(&[]);
    is_refused(&["NOFLUSH"]);
    is_refused(&["NOFLUSH", "MERGE"]);
    assert!(server.log().contains(&format!("cannot open {}", file.display())));
    for bad in [&b"no such file"[..], b"REDIS0011", b"REDIS0011\xfe\x00\x00\x01k\x01w"] {
        fs::write(&file, bad).unwrap();
        is_refused(&[]);
    }
    connect(&server).must(&["SAVE"]).unwrap();
    let mut whole = fs::read(&file).unwrap();
    *whole.last_mut().unwrap() ^= 1;
    fs::write(&file, &whole).unwrap();
    is_refused(&[]);
    *whole.last_mut().unwrap() ^= 1;
    fs::write(&file, &whole).unwrap();
    client.must(&["SET", "k", "newer"]).unwrap();
    client.must(&["DEBUG", "RELOAD", "NOSAVE"]).unwrap();
    assert_eq!(client.must(&["GET", "k"]).unwrap(), Value::Bulk(b"v".to_vec()));
}

#[test]
fn what_a_killed_save_has_left_goes_with_the_next_start() {
    let mut server = start(&["--rdb-key-save-delay", "10000000"]);
    let mut client = connect(&server);
    client.must(&["SET", "k", "v"]).unwrap();
    client.must(&["BGSAVE"]).unwrap();
    let left = server.dir().join(format!("temp-bgsave-{}.rdb", server.pid()));
    eventually("it is being written", || left.exists());
    // Another server in the same directory leaves it alone.
    let place = server.dir().to_str().unwrap();
    let other = start(&["--dir", place, "--dbfilename", "other.rdb"]);
    assert!(left.exists());
    drop(other);
    server.kill9().unwrap();
    assert!(left.exists());
    server.restart().unwrap();
    assert!(!left.exists());
    assert!(server.log().contains(&format!("Removed {}", left.display())), "{}", server.log());
}

#[test]
fn save_says_that_it_failed() {
    let server = start(&[]);
    let mut client = connect(&server);
    client.must(&["SET", "k", "v"]).unwrap();
    let temporary = server.dir().join(format!("temp-{}.rdb", server.pid()));
    fs::create_dir(&temporary).unwrap();
    assert_eq!(error_of(&mut client, &["SAVE"]), "ERR");
    assert!(server.log().contains(temporary.to_str().unwrap()));
    fs::remove_dir(&temporary).unwrap();
    client.must(&["SAVE"]).unwrap();
}

#[test]
fn a_background_save_can_be_cancelled_and_scheduled() {
    let server = start(&["--rdb-key-save-delay", "10000000"]);
    let mut client = connect(&server);
    client.must(&["SET", "k", "v"]).unwrap();
    client.must(&["BGSAVE"]).unwrap();
    let in_progress = "ERR Background save already in progress";
    for command in [&["BGSAVE"][..], &["BGSAVE", "SCHEDULE"], &["SAVE"]] {
        assert_eq!(error_of(&mut client, command), in_progress);
    }
    let cancelled = Value::Simple(b"Background saving cancelled".to_vec());
    assert_eq!(client.must(&["BGSAVE", "CANCEL"]).unwrap(), cancelled);
    wait_for_bgsave(&mut client);
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    assert!(!server.dir().join("dump.rdb").exists());
    assert!(!server.dir().join(format!("temp-bgsave-{}.rdb", server.pid())).exists());

    client.must(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).unwrap();
    client.must(&["MULTI"]).unwrap();
    client.must(&["SET", "k", "half"]).unwrap();
    client.must(&["BGSAVE"]).unwrap();
    client.must(&["SET", "k", "whole"]).unwrap();
    let Value::Array(replies) = client.must(&["EXEC"]).unwrap() else { panic!("array") };
    assert_eq!(replies[1], Value::Simple(b"Background saving scheduled".to_vec()));
    eventually("it is saved", || server.dir().join("dump.rdb").exists());
    assert_eq!(decode(&server.dir().join("dump.rdb"))[b"k".as_slice()], b"whole");
}

#[test]
fn what_is_pipelined_after_bgsave_is_not_in_the_file() {
    let server = start(&["--worker-threads", "2"]);
    let mut client = connect(&server);
    for round in 0..20 {
        let after = format!("after {round}");
        let before = format!("before {round}");
        let commands: [&[&str]; 3] = [&["SET", "k", &before], &["BGSAVE"], &["SET", "k", &after]];
        client.pipeline(&commands.map(<[&str]>::to_vec)).unwrap();
        wait_for_bgsave(&mut client);
        let content = decode(&server.dir().join("dump.rdb"));
        assert_eq!(String::from_utf8_lossy(&content[b"k".as_slice()]), before);
    }
}

#[test]
fn flushall_gives_a_background_save_up() {
    let server = start(&["--rdb-key-save-delay", "1000000"]);
    let mut client = connect(&server);
    set_many(&mut client, (0..100).map(|i| (i.to_string(), i.to_string())));
    client.must(&["BGSAVE"]).unwrap();
    client.must(&["FLUSHALL"]).unwrap();
    wait_for_bgsave(&mut client);
    assert!(!server.dir().join("dump.rdb").exists());
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(0));
}

#[test]
fn a_save_point_saves_and_the_end_saves_the_rest() {
    let mut server = start(&["--save", "1 3"]);
    let mut client = connect(&server);
    set_many(&mut client, (0..5).map(|i| (format!("early:{i}"), i.to_string())));
    eventually("the save point is reached", || server.dir().join("dump.rdb").exists());
    assert_eq!(decode(&server.dir().join("dump.rdb")).len(), 5);
    client.must(&["SET", "late", "v"]).unwrap();
    assert!(server.stop().unwrap().success());
    assert_eq!(decode(&server.dir().join("dump.rdb")).len(), 6);
    server.restart().unwrap();
    assert_eq!(connect(&server).must(&["DBSIZE"]).unwrap(), Value::Int(6));
}

#[test]
fn clients_are_told_that_the_data_is_being_loaded() {
    let server = start(&[]);
    let mut client = connect(&server);
    set_many(&mut client, (0..400).map(|i| (format!("k{i}"), "v".repeat(1000))));
    client.must(&["SAVE"]).unwrap();
    let place = server.dir().to_str().unwrap();
    // 400 keys at 5 ms each: two seconds of loading.
    let args = ["--dir", place, "--key-load-delay", "5000"];
    let port = redix_testkit::server::free_port().unwrap();
    let mut command = Command::new(program());
    command.args(["--port", &port.to_string(), "--save", ""]).args(args);
    let mut child = Ended(command.stdout(std::process::Stdio::null()).spawn().unwrap());

    let mut found = None;
    eventually("it listens", || {
        found = Client::connect(([127, 0, 0, 1], port).into()).ok();
        found.is_some()
    });
    let mut client = found.unwrap();
    let text = error_of(&mut client, &["GET", "k1"]);
    assert_eq!(text, "LOADING Redis is loading the dataset in memory");
    assert_eq!(info(&mut client, "loading"), "1");
    let text = error_of(&mut client, &["CONFIG", "SET", "repl-diskless-load", "swapdb"]);
    assert_eq!(text, "LOADING Redis is loading the dataset in memory");
    client.must(&["CONFIG", "SET", "loglevel", "debug"]).unwrap();
    eventually("some is loaded", || {
        info(&mut client, "loading") == "0"
            || info(&mut client, "loading_loaded_perc").parse::<f64>().unwrap() > 10.0
    });
    eventually("all is loaded", || info(&mut client, "loading") == "0");
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(400));
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert!(child.0.wait().unwrap().success());
}

/// A child process that is killed with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Ignored: it may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `REDIX_KILL_SEEDS=FIRST..LAST` runs other rounds than the usual three.
fn kill_seeds() -> std::ops::RangeInclusive<u64> {
    let Ok(text) = std::env::var("REDIX_KILL_SEEDS") else { return 1..=3 };
    let (first, last) = text.split_once("..").expect("FIRST..LAST");
    first.parse().unwrap()..=last.parse().unwrap()
}

/// Writes the round number to both keys of a pair, in one transaction, repeatedly.
fn write_pairs(mut client: Client, seed: u64) {
    let mut rng = Rng::new(seed);
    for round in 0u64.. {
        let mut commands: Vec<Vec<String>> = Vec::new();
        for _ in 0..20 {
            let pair = rng.below(1000);
            commands.push(vec!["MULTI".into()]);
            for side in ["left", "right"] {
                commands.push(vec!["SET".into(), format!("{side}:{pair}"), round.to_string()]);
            }
            commands.push(vec!["EXEC".into()]);
        }
        // Until the server is killed.
        if client.pipeline(&commands).is_err() {
            return;
        }
    }
}

#[test]
fn killed_during_a_save_it_finds_a_whole_file() {
    for seed in kill_seeds() {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut server = start(&["--worker-threads", "2"]);
        let mut client = connect(&server);
        set_many(&mut client, (0..60_000).map(|i| (format!("ballast:{i}"), format!("value {i}"))));
        for side in ["left", "right"] {
            set_many(&mut client, (0..1000).map(|i| (format!("{side}:{i}"), "start".into())));
        }
        client.must(&["SAVE"]).unwrap();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    let (client, seed) = (connect(&server), rng.next_u64());
                    scope.spawn(move || write_pairs(client, seed));
                }
                let mut client = connect(&server);
                client.must(&["BGSAVE"]).unwrap();
                // At any moment from before the first byte to after the rename.
                std::thread::sleep(Duration::from_millis(rng.below(150) as u64));
                server.kill9().unwrap();
            });
            server.restart().unwrap();
            let mut client = connect(&server);
            assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(62_000), "seed {seed}");
            let content = decode(&server.dir().join("dump.rdb"));
            for pair in 0..1000 {
                let value = |side| content.get(format!("{side}:{pair}").as_bytes());
                assert_eq!(value("left"), value("right"), "seed {seed}, pair {pair}");
            }
        }
    }
}

/// As on the real servers, the log says why a payload was refused, and the reply does not.
#[test]
fn the_log_says_why_a_payload_was_refused() {
    let server = start(&[]);
    let mut client = connect(&server);
    let list = b"\x12\x01\x01\x00\x0a\x00\x8f\xc6\xc0\x57\x1c\x0a\xb3\x3c";
    let reply = client.cmd(&[b"RESTORE".as_slice(), b"k", b"0", list]).unwrap();
    assert_eq!(reply.pretty(), "-ERR Bad data format");
    client.must(&["PING"]).unwrap();
    let log = server.log();
    assert_eq!(log.matches("Bad data format in RESTORE").count(), 1, "{log}");
    assert!(log.contains(": list node without bytes"), "{log}");
}

#[test]
fn a_large_file_is_loaded_by_all_threads() {
    let args = ["--worker-threads", "3", "--enable-debug-command", "yes"];
    let mut server = start(&args);
    let mut client = connect(&server);
    for (db, keys) in [("0", "20000"), ("3", "15000")] {
        client.must(&["SELECT", db]).unwrap();
        client.must(&["DEBUG", "POPULATE", keys, &format!("db{db}"), "90"]).unwrap();
        for i in 0..2000 {
            let (key, item) = (format!("list{}", i % 7), i.to_string());
            client.must(&["RPUSH", &key, &item]).unwrap();
            client.must(&["ZADD", &format!("z{}", i % 200), &item, &item]).unwrap();
            client.must(&["SADD", "set", &item]).unwrap();
            client.must(&["HSET", "hash", &item, "value"]).unwrap();
            client.must(&["XADD", "stream", "*", "field", &item]).unwrap();
        }
        client.must(&["SETRANGE", "large", "700000", "end"]).unwrap();
    }
    client.must(&["CONFIG", "SET", "rdbcompression", "no"]).unwrap();
    client.must(&["SAVE"]).unwrap();
    assert!(fs::metadata(server.dir().join("dump.rdb")).unwrap().len() > 4 << 20);
    let digest = client.must(&["DEBUG", "DIGEST"]).unwrap();
    server.kill9().unwrap();
    server.restart().unwrap();
    let mut client = connect(&server);
    assert_eq!(client.must(&["DEBUG", "DIGEST"]).unwrap(), digest);
    assert!(server.log().contains("keys loaded: 35422,"), "{}", server.log());
}
