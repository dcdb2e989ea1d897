//! Files that a rewrite has replaced: kept for as long as is configured, and of no concern to the
//! real servers.

use super::*;

const KEEP: [&str; 2] = ["--aof-history-keep", "3600"];

/// The names of the append-only files, without the manifest.
fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir.join("appendonlydir")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".manifest")).collect();
    names.sort();
    names
}

pub(super) fn copy_files(from: &Path, to: &Path) {
    let to = to.join("appendonlydir");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from.join("appendonlydir")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A server with two sets of replaced files.
fn with_history(args: &[&str]) -> (Server, Client) {
    let server = start(&[&ON[..], &DEBUG, args].concat());
    let mut client = connect(&server);
    for name in ["a", "b"] {
        client.must(&["SET", name, "1"]).unwrap();
        client.must(&["BGREWRITEAOF"]).unwrap();
        wait_for_rewrite(&mut client);
    }
    client.must(&["SET", "c", "1"]).unwrap();
    wait_for_file(&mut client);
    (server, client)
}

#[test]
fn it_is_kept_for_as_long_as_is_configured() {
    let (mut server, _) = with_history(&KEEP);
    let all = [
        "appendonly.aof.1.base.rdb",
        "appendonly.aof.1.incr.aof",
        "appendonly.aof.2.base.rdb",
        "appendonly.aof.2.incr.aof",
        "appendonly.aof.3.base.rdb",
        "appendonly.aof.3.incr.aof",
    ];
    assert_eq!(files(server.dir()), all);
    server.kill9().unwrap();
    server.restart().unwrap();
    let mut client = loaded(&server);
    client.must(&["CONFIG", "SET", "aof-disable-auto-gc", "yes"]).unwrap();
    client.must(&["CONFIG", "SET", "aof-history-keep", "1"]).unwrap();
    let manifest = server.dir().join("appendonlydir/appendonly.aof.manifest");
    let until = || {
        let text = fs::read_to_string(&manifest).unwrap();
        let until = text.lines().filter_map(|line| line.split(" until ").nth(1)).max();
        until.map(|until| until.split(' ').next().unwrap().parse::<i64>().unwrap())
    };
    let replaced_s = until().unwrap();
    eventually("it is old enough", || {
        text(&mut client, &["PING"]) == "PONG" && unix_s(&mut client) > replaced_s + 1
    });
    assert_eq!(files(server.dir()), all, "nothing is removed");
    client.must(&["CONFIG", "SET", "aof-disable-auto-gc", "no"]).unwrap();
    eventually("it is removed", || files(server.dir()) == all[4..]);
    eventually("the manifest has none", || until().is_none());
    server.kill9().unwrap();
    server.restart().unwrap();
    assert_eq!(loaded(&server).must(&["EXISTS", "a", "b", "c"]).unwrap(), Value::Int(3));
}

pub(super) fn unix_s(client: &mut Client) -> i64 {
    let Value::Array(time) = client.must(&["TIME"]).unwrap() else { panic!("a time") };
    let Value::Bulk(seconds) = &time[0] else { panic!("seconds") };
    String::from_utf8_lossy(seconds).parse().unwrap()
}

#[test]
fn history_without_a_date_is_kept_from_now_on_or_removed() {
    let (mut server, mut client) = with_history(&["--aof-disable-auto-gc", "yes"]);
    let manifest = server.dir().join("appendonlydir/appendonly.aof.manifest");
    assert!(!fs::read_to_string(&manifest).unwrap().contains("until"));
    client.must(&["CONFIG", "SET", "aof-history-keep", "3600"]).unwrap();
    client.must(&["CONFIG", "SET", "aof-disable-auto-gc", "no"]).unwrap();
    eventually("it is dated", || fs::read_to_string(&manifest).unwrap().contains("until"));
    assert_eq!(files(server.dir()).len(), 6);
    server.kill9().unwrap();
    server.restart_with(&ON).unwrap();
    loaded(&server);
    eventually("it is removed", || files(server.dir()).len() == 2);
}

#[test]
fn real_servers_load_a_directory_with_history() {
    for peer in [Peer::Redis7, Peer::Redis8, Peer::Valkey] {
        if !peer.available_or_skip() {
            continue;
        }
        let version = if peer == Peer::Redis7 { "10" } else { "11" };
        let (mut ours, mut client) =
            with_history(&[&KEEP[..], &["--rdb-version", version]].concat());
        let expected = digest(&mut client);
        ours.kill9().unwrap();
        // As a setting of the real servers has it, they remove it when they start.
        for (disabled, left) in [("yes", 6), ("no", 2)] {
            let dir = TempDir::new("aof-history").unwrap();
            copy_files(ours.dir(), dir.path());
            let at = dir.path().to_str().unwrap();
            let args = ["--dir", at, "--enable-debug-command", "yes", "--aof-disable-auto-gc"];
            let launch = Launch::new(peer).unwrap().args(&ON).args(&args).args(&[disabled]);
            let server = launch.start().unwrap();
            assert_eq!(digest(&mut loaded(&server)), expected, "{peer:?}");
            eventually("it has looked at it", || files(dir.path()).len() == left);
            drop(server);
            assert_eq!(files(dir.path()).len(), left, "{peer:?}");
        }
    }
}
