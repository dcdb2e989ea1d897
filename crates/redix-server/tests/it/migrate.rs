//! MIGRATE over the network: clients, keys and connections.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use redix_testkit::proxy::{Proxy, Way};
use redix_testkit::{Client, Launch, Peer, Server};

use crate::{connect, eventually, start};

/// Two servers and a proxy in front of the second.
struct Pair {
    from: Server,
    to: Server,
    proxy: Proxy,
}

impl Pair {
    fn start() -> Self {
        let to = start(&[]);
        let proxy = Proxy::to(to.addr()).unwrap();
        Self { from: start(&["--worker-threads", "2"]), to, proxy }
    }

    fn command(&self, key: &str, timeout_ms: u32) -> Vec<String> {
        let port = self.proxy.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", &timeout_ms.to_string()];
        words.map(str::to_owned).to_vec()
    }
}

fn run<W: AsRef<[u8]>>(client: &mut Client, words: &[W]) -> String {
    client.cmd(words).unwrap().pretty()
}

fn say(client: &mut Client, command: &str) -> String {
    run(client, &command.split(' ').collect::<Vec<_>>())
}

fn info(client: &mut Client, field: &str) -> String {
    let text = say(client, "INFO everything");
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {field}")).to_owned()
}

#[test]
fn a_silent_target_holds_up_its_client_only() {
    let pair = Pair::start();
    let (mut mover, mut other) = (connect(&pair.from), connect(&pair.from));
    let mut there = connect(&pair.to);
    say(&mut other, "MSET a 1 b 2");
    pair.proxy.stall(Way::ToClient);
    mover.send(&pair.command("a", 60_000)).unwrap();
    mover.send(&["PING"]).unwrap();
    eventually("the key is there", || say(&mut there, "EXISTS a") == "(integer) 1");
    assert_eq!(info(&mut other, "blocked_clients"), "1");
    assert_eq!(say(&mut other, "INCR b"), "(integer) 3");
    assert_eq!(say(&mut other, "GET a"), "\"1\"");
    // Other migrations continue.
    let port = pair.to.port().to_string();
    let direct = ["MIGRATE", "127.0.0.1", &port, "b", "0", "5000"];
    assert_eq!(run(&mut other, &direct), "+OK");
    pair.proxy.resume(Way::ToClient);
    assert_eq!(mover.reply().unwrap().pretty(), "+OK");
    assert_eq!(mover.reply().unwrap().pretty(), "+PONG");
    assert_eq!(say(&mut other, "EXISTS a"), "(integer) 0");
}

#[test]
fn a_step_takes_no_longer_than_its_timeout() {
    let pair = Pair::start();
    let mut mover = connect(&pair.from);
    say(&mut mover, "SET k v");
    pair.proxy.stall(Way::ToClient);
    let began = Instant::now();
    let late = "-IOERR error or timeout reading to target instance";
    assert_eq!(run(&mut mover, &pair.command("k", 200)), late);
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(say(&mut mover, "GET k"), "\"v\"");
    assert_eq!(info(&mut mover, "migrate_cached_sockets"), "0");
    // More than any buffer between the two holds.
    let mut big = connect(&pair.from);
    run(&mut big, &["SET", "big", &"x".repeat(64 << 20)]);
    say(&mut big, "CONFIG SET rdbcompression no");
    pair.proxy.stall(Way::ToServer);
    let late = "-IOERR error or timeout writing to target instance";
    assert_eq!(run(&mut big, &pair.command("big", 300)), late);
    assert_eq!(say(&mut big, "STRLEN big"), format!("(integer) {}", 64 << 20));
}

#[test]
fn a_target_that_cannot_be_reached_is_an_error() {
    let server = start(&[]);
    let mut client = connect(&server);
    say(&mut client, "SET k v");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let writing = "-IOERR error or timeout writing to target instance";
    let connecting = "-IOERR error or timeout connecting to the client";
    for (command, expected) in [
        (format!("MIGRATE 127.0.0.1 {port} k 0 1000"), writing),
        ("MIGRATE 127.0.0.1 -1 k 0 1000".into(), connecting),
        ("MIGRATE no.such.host.invalid 1 k 0 1000".into(), connecting),
        (format!("MIGRATE \u{e9}\u{ff} {port} k 0 1000"), connecting),
    ] {
        assert_eq!(say(&mut client, &command), expected, "{command}");
    }
    assert_eq!(say(&mut client, "GET k"), "\"v\"");
    assert_eq!(info(&mut client, "errorstat_IOERR"), "count=4");
}

#[test]
fn a_client_that_goes_leaves_no_key_twice() {
    for kill in [true, false] {
        let pair = Pair::start();
        let (mut mover, mut other) = (connect(&pair.from), connect(&pair.from));
        let mut there = connect(&pair.to);
        say(&mut other, "MSET a 1 b 2");
        let id = say(&mut mover, "CLIENT ID").replace("(integer) ", "");
        pair.proxy.stall(Way::ToClient);
        mover.send(&pair.command("a", 60_000)).unwrap();
        eventually("the key is there", || say(&mut there, "EXISTS a") == "(integer) 1");
        assert_eq!(say(&mut other, &format!("CLIENT UNBLOCK {id}")), "(integer) 0");
        if kill {
            assert_eq!(say(&mut other, &format!("CLIENT KILL ID {id}")), "(integer) 1");
        } else {
            drop(mover);
        }
        eventually("it is gone", || say(&mut other, &format!("CLIENT LIST ID {id}")) == "\"\"");
        assert_eq!(say(&mut other, "EXISTS a"), "(integer) 1");
        pair.proxy.resume(Way::ToClient);
        eventually("the key has moved", || say(&mut other, "EXISTS a") == "(integer) 0");
        assert_eq!(say(&mut there, "GET a"), "\"1\"");
    }
}

#[test]
fn connections_are_kept_and_made_anew_where_they_were_closed() {
    let pair = Pair::start();
    let mut mover = connect(&pair.from);
    let mut accepted = 0;
    for (key, cut) in [("a", false), ("b", false), ("c", true), ("d", false)] {
        if cut {
            pair.proxy.cut();
        }
        say(&mut mover, &format!("SET {key} v"));
        assert_eq!(run(&mut mover, &pair.command(key, 5000)), "+OK");
        assert_eq!(info(&mut mover, "migrate_cached_sockets"), "1");
        accepted += u64::from(cut || key == "a");
        assert_eq!(pair.proxy.accepted(), accepted, "{key}");
    }
    assert_eq!(say(&mut connect(&pair.to), "DBSIZE"), "(integer) 4");
    eventually("nobody keeps it for longer", || info(&mut mover, "migrate_cached_sockets") == "0");
    eventually("it is closed", || pair.proxy.open() == 0);
    say(&mut mover, "SET e v");
    assert_eq!(run(&mut mover, &pair.command("e", 5000)), "+OK");
}

#[test]
fn more_at_once_than_there_are_threads() {
    let to = start(&[]);
    let from = start(&["--worker-threads", "2"]);
    let (mut other, mut there) = (connect(&from), connect(&to));
    let mut clients: Vec<Client> = (0..50).map(|_| connect(&from)).collect();
    let port = to.port().to_string();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let key = format!("k{round}:{number}");
            say(&mut other, &format!("SET {key} v"));
            client.send(&["MIGRATE", "127.0.0.1", &port, &key, "0", "20000"]).unwrap();
        }
        for client in &mut clients {
            assert_eq!(client.reply().unwrap().pretty(), "+OK");
        }
    }
    assert_eq!(say(&mut other, "DBSIZE"), "(integer) 0");
    assert_eq!(say(&mut there, "DBSIZE"), "(integer) 150");
}

#[test]
fn a_server_sends_keys_to_itself() {
    let server = start(&[]);
    let mut client = connect(&server);
    let port = server.port().to_string();
    say(&mut client, "SET k v");
    let elsewhere = ["MIGRATE", "127.0.0.1", &port, "k", "5", "5000"];
    assert_eq!(run(&mut client, &elsewhere), "+OK");
    assert_eq!(say(&mut client, "EXISTS k"), "(integer) 0");
    assert_eq!(say(&mut client, "SELECT 5"), "+OK");
    let here = ["MIGRATE", "127.0.0.1", &port, "k", "5", "5000", "REPLACE"];
    assert!(run(&mut client, &here).starts_with("-IOERR the key was changed"));
    assert_eq!(say(&mut client, "GET k"), "\"v\"");
}

/// The keyspace events and the replication stream of some migrations.
fn told(launch: Launch) -> (Vec<String>, Vec<String>) {
    let to = start(&[]);
    let server = launch.start().unwrap();
    let mut client = connect(&server);
    say(&mut client, "CONFIG SET notify-keyspace-events KEA");
    let mut listener = connect(&server);
    listener.send(&["PSUBSCRIBE", "*"]).unwrap();
    listener.reply().unwrap();
    let mut replica = connect(&server);
    replica.send(&["SYNC"]).unwrap();
    eventually("the replica follows", || {
        say(&mut client, "INFO replication").contains("state=online")
    });
    let port = to.port().to_string();
    for command in [
        "MSET a 1 b 2 c 3",
        "MIGRATE 127.0.0.1 PORT  0 5000 KEYS a none b",
        "SET a 5",
        "MIGRATE 127.0.0.1 PORT  0 5000 KEYS a c",
        "MIGRATE 127.0.0.1 PORT a 3 5000 COPY",
        "MIGRATE 127.0.0.1 PORT  0 5000 REPLACE KEYS a a",
        "MIGRATE 127.0.0.1 PORT none 0 5000",
        "SET last 1",
    ] {
        say(&mut client, &command.replace("PORT", &port));
    }
    let mut events = Vec::new();
    while !events.last().is_some_and(|event: &String| event.contains("\"last\"")) {
        events.push(listener.reply().unwrap().pretty());
    }
    (events, stream(&mut replica))
}

/// The commands of a stream up to the last key.
fn stream(replica: &mut Client) -> Vec<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"last\r\n$1\r\n1\r\n") {
        bytes.extend(replica.recv_raw(1).unwrap());
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let start = text.find("*7\r\n$4\r\nmset").expect("the first command");
    let mut words = text[start..].split("\r\n");
    let mut commands = Vec::new();
    while let Some(count) = words.next().and_then(|line| line.strip_prefix('*')) {
        let count: usize = count.parse().unwrap();
        let command: Vec<&str> = (0..count)
            .map(|_| {
                words.next();
                words.next().unwrap()
            })
            .collect();
        commands.push(command.join(" "));
    }
    commands.retain(|command| !command.starts_with("ping") && !command.starts_with("replconf"));
    commands
}

#[test]
fn replicas_and_subscribers_are_told_what_real_servers_tell() {
    let redix = told(Launch::redix(crate::program()));
    assert!(redix.1.contains(&"del a b".to_owned()), "{:?}", redix.1);
    for peer in [Peer::Redis7, Peer::Redis8, Peer::Valkey] {
        if peer.available_or_skip() {
            let real = told(Launch::new(peer).unwrap().args(&["--repl-diskless-sync-delay", "0"]));
            assert_eq!(redix, real, "{}", peer.name());
        }
    }
}
