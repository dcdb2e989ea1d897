//! `redix restore`: directories of ours and of the real servers, restored and started by all.

use std::process::Command;

use super::history::{copy_files, unix_s};
use super::*;

const KEPT: [&str; 4] = ["--aof-history-keep", "3600", "--aof-timestamp-enabled", "yes"];
const REAL_KEPT: [&str; 4] = ["--aof-disable-auto-gc", "yes", "--aof-timestamp-enabled", "yes"];

/// What the tool prints, and whether it succeeds.
fn restore(args: &[&str], output: Option<&Path>, dir: &Path) -> (bool, String) {
    let mut command = Command::new(program());
    command.arg("restore").args(args);
    if let Some(output) = output {
        command.arg("--output").arg(output);
    }
    let output = command.arg(dir).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// What is in a directory, to see that it is not changed.
fn bytes_of(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The digest of the data set of a restored directory, in each server that reads files of this one.
fn digests(restored: &Path, of: Peer) -> Vec<(Peer, String)> {
    let mut peers = vec![Peer::Redix, Peer::Redis7, Peer::Redis8, Peer::Valkey];
    // The RDB files of these have a version of their own.
    if matches!(of, Peer::Redis8 | Peer::Valkey) {
        peers.retain(|peer| [Peer::Redix, of].contains(peer));
    }
    let mut digests = Vec::new();
    for peer in peers.into_iter().filter(|peer| peer.available_or_skip()) {
        // A copy: a server appends to it.
        let dir = TempDir::new("aof-restored").unwrap();
        let files = dir.path().join("appendonlydir");
        fs::create_dir(&files).unwrap();
        for (path, bytes) in bytes_of(restored) {
            fs::write(files.join(path.file_name().unwrap()), bytes).unwrap();
        }
        let launch = match peer {
            Peer::Redix => Launch::redix(program()),
            _ => Launch::new(peer).unwrap(),
        };
        let at = ["--dir", dir.path().to_str().unwrap()];
        let server = launch.args(&ON).args(&DEBUG).args(&at).start().unwrap();
        digests.push((peer, digest(&mut loaded(&server))));
    }
    digests
}

fn must_all(client: &mut Client, commands: &[&[&str]]) {
    commands.iter().for_each(|command| drop(client.must(command).unwrap()));
}

fn rewrite(client: &mut Client) {
    client.must(&["BGREWRITEAOF"]).unwrap();
    wait_for_rewrite(client);
}

/// A server that keeps what a rewrite replaces.
fn keeping(peer: Peer) -> Server {
    match peer {
        Peer::Redix => start(&[&ON[..], &DEBUG, &KEPT, &["--rdb-version", "10"]].concat()),
        real => Launch::new(real).unwrap().args(&ON).args(&DEBUG).args(&REAL_KEPT).start().unwrap(),
    }
}

/// Lets the next command be written in a later second than the last one.
fn pass_a_second(client: &mut Client) -> i64 {
    let now_s = unix_s(client);
    eventually("a second passes", || unix_s(client) > now_s);
    now_s
}

#[test]
fn times_and_a_flush_are_restored_from_files_of_every_server() {
    for peer in [Peer::Redix, Peer::Redis7, Peer::Redis8, Peer::Valkey] {
        if !peer.available_or_skip() {
            continue;
        }
        let mut server = keeping(peer);
        let mut client = connect(&server);
        must_all(
            &mut client,
            &[
                &["SET", "a", "1"],
                &["RPUSH", "list", "x", "y"],
                &["SELECT", "3"],
                &["HSET", "hash", "field", "value"],
                &["SELECT", "0"],
            ],
        );
        let first = digest(&mut client);
        let first_s = pass_a_second(&mut client);
        rewrite(&mut client);
        must_all(&mut client, &[&["MULTI"], &["INCR", "a"], &["SADD", "set", "m"], &["EXEC"]]);
        let second = digest(&mut client);
        let second_s = pass_a_second(&mut client);
        must_all(&mut client, &[&["MULTI"], &["FLUSHALL"], &["SET", "inside", "1"], &["EXEC"]]);
        must_all(&mut client, &[&["SET", "later", "1"]]);
        rewrite(&mut client);
        must_all(&mut client, &[&["INCR", "a"]]);
        wait_for_file(&mut client);
        server.kill9().unwrap();
        let dir = TempDir::new("aof-kept").unwrap();
        copy_files(server.dir(), dir.path());
        let files = dir.path().join("appendonlydir");
        let before = bytes_of(&files);
        let (ok, listed) = restore(&["--list"], None, &files);
        assert!(ok && listed.contains("Generation 3"), "{peer:?}: {listed}");
        assert!(listed.contains("Can be undone: FLUSHALL"), "{peer:?}: {listed}");
        assert!(listed.contains("in a transaction"), "{peer:?}: {listed}");
        let output = dir.path().join("restored");
        let time = format!("{second_s}999ms");
        for (args, expected) in [
            (vec!["--to", first_s.to_string().leak()], &first),
            (vec!["--to", time.leak()], &second),
            (vec!["--undo-last", "flushall"], &second),
        ] {
            let (ok, text) = restore(&args, Some(&output), &files);
            assert!(ok, "{peer:?} {args:?}: {text}");
            for (by, found) in digests(&output, peer) {
                let what = format!("{peer:?} {args:?}, loaded by {by:?}: {listed}{text}");
                assert_eq!(found, *expected, "{what}");
            }
            fs::remove_dir_all(&output).unwrap();
        }
        assert_eq!(bytes_of(&files), before, "it is only read");
        let keep = ["--undo-last", "FLUSHALL", "--keep-later"];
        let (ok, text) = restore(&keep, Some(&output), &files);
        // Of files of others it is not known whether they have a gap.
        assert_eq!(ok, peer == Peer::Redix, "{text}");
        if ok {
            let moved = dir.path().join("data");
            fs::create_dir(&moved).unwrap();
            fs::rename(&output, moved.join("appendonlydir")).unwrap();
            let at = ["--dir", moved.to_str().unwrap()];
            let server = start(&[&ON[..], &at].concat());
            let mut client = loaded(&server);
            assert_eq!(text_of(&mut client, "a"), "3");
            assert_eq!(text_of(&mut client, "later"), "1");
            assert_eq!(client.must(&["EXISTS", "inside", "list"]).unwrap(), Value::Int(1));
        } else {
            assert!(text.contains("is not known to continue the file before it"), "{text}");
            assert!(!output.exists());
        }
    }
}

fn text_of(client: &mut Client, key: &str) -> String {
    text(client, &["GET", key])
}

#[test]
fn a_flush_of_a_database_and_deletions_by_scripts_are_undone() {
    let mut server = keeping(Peer::Redix);
    let mut client = connect(&server);
    const SCRIPT: &str = "redis.call('set', 'by', 'script') redis.call('flushdb')";
    must_all(
        &mut client,
        &[
            &["MSET", "user:1", "a", "user:2", "b", "other", "c"],
            &["SELECT", "2"],
            &["SET", "x", "1"],
        ],
    );
    let before = digest(&mut client);
    must_all(
        &mut client,
        &[
            &["EVAL", SCRIPT, "0"],
            &["SELECT", "0"],
            &["SET", "kept", "1"],
            &["DEL", "user:1"],
            &["APPEND", "kept", "2"],
            &["EVAL", "return redis.call('unlink', 'user:2')", "0"],
            &["APPEND", "kept", "3"],
        ],
    );
    wait_for_file(&mut client);
    server.kill9().unwrap();
    let files = server.dir().join("appendonlydir");
    let dir = TempDir::new("aof-undo").unwrap();
    let output = dir.path().join("flushed");
    let (ok, text) = restore(&["--undo-last", "FLUSHDB 2"], Some(&output), &files);
    assert!(ok, "{text}");
    let found = digests(&output, Peer::Redix);
    found.into_iter().for_each(|(by, found)| assert_eq!(found, before, "{by:?}"));
    let (ok, text) = restore(&["--undo-last", "FLUSHDB 5"], Some(&dir.path().join("x")), &files);
    assert!(!ok && text.contains("there is no FLUSHDB of database 5 in the files"), "{text}");
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let args = ["--undo-last", "DEL user:*", "--keep-later"];
    let (ok, text) = restore(&args, Some(&data.join("appendonlydir")), &files);
    assert!(ok && text.contains("and 1 more"), "{text}");
    let server = start(&[&ON[..], &["--dir", data.to_str().unwrap()]].concat());
    let mut client = loaded(&server);
    assert_eq!(text_of(&mut client, "kept"), "123");
    assert_eq!(client.must(&["EXISTS", "user:1", "user:2", "other"]).unwrap(), Value::Int(3));
}

#[test]
fn what_a_full_synchronisation_has_replaced_is_restored() {
    let primary = start(&["--save", "", "--repl-diskless-sync-delay", "0"]);
    connect(&primary).must(&["SET", "from", "primary"]).unwrap();
    let mut replica = keeping(Peer::Redix);
    let mut client = connect(&replica);
    must_all(&mut client, &[&["SET", "own", "1"], &["SELECT", "2"], &["SADD", "set", "a"]]);
    let own = digest(&mut client);
    let own_s = pass_a_second(&mut client);
    client.must(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).unwrap();
    eventually("the replica follows", || {
        info(&mut client, "replication", "master_link_status") == "up"
    });
    wait_for_rewrite(&mut client);
    assert_ne!(digest(&mut client), own);
    replica.kill9().unwrap();
    let files = replica.dir().join("appendonlydir");
    let dir = TempDir::new("aof-replaced").unwrap();
    let output = dir.path().join("restored");
    let (ok, text) = restore(&["--to", &own_s.to_string()], Some(&output), &files);
    assert!(ok, "{text}");
    let (ok, listed) = restore(&["--list"], None, &files);
    assert!(ok && !listed.contains("continues the one before"), "{listed}");
    let found = digests(&output, Peer::Redix);
    let what = || format!("{listed}{text}");
    found.into_iter().for_each(|(by, found)| assert_eq!(found, own, "{by:?}: {}", what()));
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut server = keeping(Peer::Redix);
    let mut client = connect(&server);
    client.must(&["SET", "a", "1"]).unwrap();
    wait_for_file(&mut client);
    server.kill9().unwrap();
    let files = server.dir().join("appendonlydir");
    let dir = TempDir::new("aof-cannot").unwrap();
    let output = dir.path().join("new");
    let fails = |args: &[&str], reason: &str| {
        let (ok, text) = restore(args, Some(&output), &files);
        assert!(!ok && text.contains(reason), "{args:?}: {text}");
        assert!(!output.exists());
    };
    fails(&["--to", "1000"], "1970-01-01T00:16:40Z is not within what the files cover");
    fails(&["--to", "offset:99999999"], "offset 99999999 is not within");
    fails(&["--to", "yesterday"], "Usage: ");
    fails(&["--to", "2026-01-01T00:00:00Z", "--undo-last", "FLUSHALL"], "Usage: ");
    fails(&["--to", "2026-01-01T00:00:00Z", "--keep-later"], "Usage: ");
    fails(&["--undo-last", "SET"], "Usage: ");
    fails(&["--undo-last", "FLUSHALL"], "there is no FLUSHALL in the files");
    fails(&[], "Usage: ");
    let (ok, text) = restore(&["--to", "9999999999"], Some(dir.path()), &files);
    assert!(!ok && text.contains("exists already"), "{text}");
    let (ok, text) = restore(&["--list"], None, dir.path());
    assert!(!ok && text.contains("There is no manifest in"), "{text}");
    let (ok, text) = restore(&["--to", "9999999999"], Some(&output), &files);
    assert!(ok && text.contains("--appenddirname new"), "{text}");
    // The base is damaged.
    let base = files.join("appendonly.aof.1.base.rdb");
    let mut bytes = fs::read(&base).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&base, bytes).unwrap();
    fs::remove_dir_all(&output).unwrap();
    fails(&["--to", "9999999999"], "appendonly.aof.1.base.rdb is damaged at offset");
    let (ok, text) = restore(&["--help"], None, &files);
    assert!(ok && text.contains("--undo-last COMMAND"), "{text}");
}
