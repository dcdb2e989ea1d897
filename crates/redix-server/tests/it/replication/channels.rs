//! Full synchronisations over two connections: the snapshot over one, the stream over the other.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use redix_testkit::{Client, Peer};

use super::node::{Node, assert_same};
use super::raw::Raw;
use super::traffic::{Traffic, fill};
use crate::eventually;

const SEED: u64 = 97;
const ENABLED: [&str; 2] = ["--dual-channel-replication-enabled", "yes"];

/// A connection that has announced what it is.
fn connection(primary: &Node, said: &[&str]) -> Client {
    let mut client = Client::connect(primary.server.addr()).unwrap();
    let words = [&["REPLCONF", "capa", "eof", "version", "9.1.2"], said].concat();
    client.must(&words).unwrap();
    client
}

fn ask(client: &mut Client, words: &[&str]) -> String {
    client.cmd(words).unwrap().pretty()
}

/// What a primary sends, and what it shows meanwhile.
fn of_a_handmade_replica(primary: Peer, _: Peer) {
    let mut primary = Node::start(primary, &ENABLED);
    primary.must("SET before 1");
    let mut main = connection(&primary, &["capa", "psync2", "capa", "dual-channel"]);
    assert_eq!(ask(&mut main, &["PSYNC", "?", "-1"]), "+DUALCHANNELSYNC");
    assert_eq!((primary.number("connected_slaves"), primary.number("sync_full")), (0, 0));

    let mut snapshot = connection(&primary, &["rdb-only", "1", "rdb-channel", "1"]);
    snapshot.send(&["SYNC"]).unwrap();
    let mut snapshot = Raw::over(snapshot);
    let place = snapshot.line();
    let words: Vec<&str> = place.split(' ').collect();
    let ["$ENDOFF:0", id, "-1", client] = words[..] else { panic!("{place}") };
    assert!(snapshot.line().starts_with("$EOF:"));
    primary.must("SET during 1");
    assert!(primary.info("slave0").unwrap().ends_with(",type=rdb-channel"));
    assert_eq!(primary.number("replicas_waiting_psync"), 1);

    let unknown = ask(&mut main, &["REPLCONF", "set-rdb-client-id", "999999"]);
    assert_eq!(unknown, "-ERR Unrecognized RDB client id 999999");
    let wrong = ask(&mut main, &["REPLCONF", "set-rdb-client-id", "x"]);
    assert_eq!(wrong, "-ERR value is not an integer or out of range");
    assert_eq!(ask(&mut main, &["REPLCONF", "set-rdb-client-id", client]), "+OK");
    main.send(&["PSYNC", id, "1"]).unwrap();
    let mut main = Raw::over(main);
    assert_eq!(main.line(), format!("+CONTINUE {id}"));
    assert_eq!(main.line(), "*2");
    let select_and_write = "$6 SELECT $1 0 *3 $3 SET $6 during $1 1";
    let stream: Vec<String> = select_and_write.split(' ').map(|_| main.line()).collect();
    assert_eq!(stream.join(" "), select_and_write);
    assert_eq!(primary.number("replicas_waiting_psync"), 0);
    assert_eq!((primary.number("sync_full"), primary.number("sync_partial_ok")), (1, 1));
    main.acknowledge_nothing();
    drop(snapshot);
    eventually("the stream remains", || {
        primary.number("connected_slaves") == 1
            && primary.info("slave0").unwrap().ends_with(",type=replica")
    });
}
for_pairs!(of_a_handmade_replica: redix_redix, valkey_redix);

/// What is written behind the cut is kept for the stream's connection, whatever the backlog holds,
/// and no longer than that of the snapshot is open.
fn the_stream_is_kept(primary: Peer, _: Peer) {
    let backlog = ["--repl-backlog-size", "16kb"];
    let mut primary = Node::start(primary, &[&ENABLED[..], &backlog].concat());
    let value = "x".repeat(10_000);
    for snapshot_is_open in [true, false] {
        let mut main = connection(&primary, &["capa", "psync2", "capa", "dual-channel"]);
        let mut snapshot = connection(&primary, &["rdb-only", "1", "rdb-channel", "1"]);
        snapshot.send(&["SYNC"]).unwrap();
        let mut snapshot = Raw::over(snapshot);
        let place = snapshot.line();
        let words: Vec<&str> = place.split(' ').collect();
        let next = words[0].strip_prefix("$ENDOFF:").unwrap().parse::<u64>().unwrap() + 1;
        for _ in 0..100 {
            primary.must(&format!("SET key {value}"));
        }
        assert_eq!(ask(&mut main, &["REPLCONF", "set-rdb-client-id", words[3]]), "+OK");
        if !snapshot_is_open {
            drop(snapshot);
            primary.wait_for("connected_slaves", "0");
            // What nobody is to receive goes with the next write.
            primary.must("SET key short");
        }
        let answer = ask(&mut main, &["PSYNC", words[1], &next.to_string()]);
        let expected = if snapshot_is_open { "+CONTINUE " } else { "+DUALCHANNELSYNC" };
        assert!(answer.starts_with(expected), "{answer}");
        drop(main);
        primary.wait_for("connected_slaves", "0");
    }
}
for_pairs!(the_stream_is_kept: redix_redix, valkey_redix);

/// A real replica under writes, twice; then the link is cut, and the stream goes on.
fn of_a_real_replica(primary: Peer, replica: Peer) {
    let limit = ["--client-output-buffer-limit", "replica 0 0 0"];
    let mut primary = Node::start(primary, &[&ENABLED[..], &limit].concat());
    fill(&mut primary.client, 8 << 20, SEED);
    let mut replica = Node::start(replica, &ENABLED);
    for turn in 1..3 {
        let traffic = Traffic::start(primary.server.addr(), SEED + turn);
        traffic.wait_for_writes(1000);
        replica.follow(primary.server.addr());
        replica.wait_linked();
        traffic.wait_for_writes(1000);
        assert!(traffic.stop() > 0);
        assert_same(&mut primary, &mut replica);
        assert_eq!(primary.number("sync_full"), turn);
        assert_eq!(primary.server.log().matches("RDB end offset").count() as u64, turn);
        eventually("one connection remains", || primary.number("connected_slaves") == 1);
        if turn == 1 {
            // Its data is no longer that of a replica.
            replica.must("REPLICAOF NO ONE");
            replica.must("SET own 1");
        }
    }
    let partial = primary.number("sync_partial_ok");
    primary.must("CLIENT KILL TYPE replica");
    eventually("it is back", || primary.number("sync_partial_ok") > partial);
    primary.must("SET after 1");
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), 2);
}
for_pairs!(of_a_real_replica: redix_redix, redix_valkey, valkey_redix, valkey_valkey);

/// While a slow data set comes over one connection, the stream is buffered; the loss of either
/// ends the synchronisation, and the next one succeeds.
fn of_a_slow_data_set(primary: Peer, replica: Peer) {
    // A primary notices a lost connection when it sends the next piece of the data set.
    let slow = ["--rdb-key-save-delay", "20000", "--rdbcompression", "no"];
    let mut primary = Node::start(primary, &[&ENABLED[..], &slow].concat());
    let value = "x".repeat(20_000);
    for key in 0..150 {
        primary.must(&format!("SET key:{key} {value}"));
    }
    let mut replica = Node::start(replica, &ENABLED);
    replica.must("SET own 1");
    replica.follow(primary.server.addr());
    for lost in ["type=rdb-channel", "type=main-channel"] {
        eventually("both connections stand", || {
            let all = [primary.info("slave0"), primary.info("slave1")];
            let has = |kind| all.iter().flatten().any(|line| line.ends_with(kind));
            has("state=bg_transfer,offset=0,lag=0,type=main-channel") && has("type=rdb-channel")
        });
        eventually("the stream is buffered", || {
            primary.must("SET during 1");
            replica.number("replicas_repl_buffer_size") > 0
        });
        assert_eq!(replica.number("master_sync_in_progress"), 1);
        let command = if lost == "type=rdb-channel" { "cmd=sync " } else { "cmd=psync " };
        let clients = primary.ask("CLIENT LIST");
        let line = clients.split("id=").find(|line| line.contains(command));
        let id =
            line.and_then(|line| line.split(' ').next()).unwrap_or_else(|| panic!("{clients}"));
        let synchronised = primary.number("sync_full");
        primary.must(&format!("CLIENT KILL ID {id}"));
        eventually("it is tried again", || primary.number("sync_full") > synchronised);
    }
    primary.must("CONFIG SET rdb-key-save-delay 0");
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.number("replicas_repl_buffer_size"), 0);
}
for_pairs!(of_a_slow_data_set: redix_redix, redix_valkey, valkey_redix, valkey_valkey);

/// The primary's end of a connection, played by hand.
struct Played(BufReader<TcpStream>);

impl Played {
    fn accept(listener: &TcpListener) -> Self {
        Self(BufReader::new(listener.accept().unwrap().0))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the replica has closed the connection");
        line.trim_end().to_owned()
    }

    /// The next command, as an array or inline, its arguments separated by spaces.
    fn command(&mut self) -> String {
        let line = self.line();
        let Some(count) = line.strip_prefix('*') else { return line };
        let mut argument = |_| {
            self.line();
            self.line()
        };
        let arguments: Vec<String> = (0..count.parse().unwrap()).map(&mut argument).collect();
        arguments.join(" ")
    }

    /// Accepts what comes before this command, which is left without a reply.
    fn until(&mut self, awaited: &str) {
        loop {
            match &*self.command() {
                command if command == awaited => return,
                "PING" => self.send(b"+PONG\r\n"),
                _ => self.send(b"+OK\r\n"),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }
}

/// The primary may close the connection of the data set behind its last byte, before the replica
/// has looked at the first.
#[test]
fn a_data_set_is_received_from_a_connection_that_is_closed() {
    let mut donor = Node::start(Peer::Redix, &[]);
    donor.must("SET key value");
    donor.must("SAVE");
    let data = std::fs::read(donor.server.dir().join("dump.rdb")).unwrap();
    for mode in ["disabled", "flush-before-load"] {
        let mut replica = Node::start(Peer::Redix, &ENABLED);
        replica.must(&format!("CONFIG SET repl-diskless-load {mode}"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        replica.follow(listener.local_addr().unwrap());
        let mut main = Played::accept(&listener);
        main.until("PSYNC ? -1");
        main.send(b"+DUALCHANNELSYNC\r\n");
        let mut snapshot = Played::accept(&listener);
        snapshot.until("SYNC");
        let (id, mark) = ("a".repeat(40), "b".repeat(40));
        let head = format!("$ENDOFF:0 {id} -1 7\r\n$EOF:{mark}\r\n");
        snapshot.send(&[head.as_bytes(), &data, mark.as_bytes()].concat());
        drop(snapshot);
        main.until(&format!("PSYNC {id} 1"));
        main.send(format!("+CONTINUE {id}\r\n").as_bytes());
        replica.wait_linked();
        assert_eq!(replica.ask("GET key"), "\"value\"");
    }
}
