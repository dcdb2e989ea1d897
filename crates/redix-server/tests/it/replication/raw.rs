//! Handmade replicas: what a primary sends, byte for byte.

use redix_testkit::{Client, Peer};

use super::node::Node;
use crate::eventually;

/// A connection that requests a full synchronisation.
pub(super) struct Raw {
    client: Client,
    inbox: Vec<u8>,
}

impl Raw {
    /// One that has sent these REPLCONF commands before.
    pub(super) fn asking(primary: &Node, said: &[&[&str]]) -> Self {
        let mut client = Client::connect(primary.server.addr()).unwrap();
        for words in said {
            client.must(words).unwrap();
        }
        client.send(&["PSYNC", "?", "-1"]).unwrap();
        Self { client, inbox: Vec::new() }
    }

    /// A connection that becomes one.
    pub(super) fn over(client: Client) -> Self {
        Self { client, inbox: Vec::new() }
    }

    /// Acknowledges that it has applied nothing yet.
    pub(super) fn acknowledge_nothing(&mut self) {
        self.client.send(&["REPLCONF", "ACK", "0"]).unwrap();
    }

    /// One that has received the snapshot and gets the stream.
    pub(super) fn online(primary: &mut Node) -> Self {
        let mut replica = Self::asking(primary, &[&["REPLCONF", "capa", "eof"]]);
        replica.snapshot();
        eventually("the replica is online", || {
            replica.acknowledge_nothing();
            primary.info("slave0").is_some_and(|line| line.contains("state=online"))
        });
        replica
    }

    fn receive(&mut self) {
        let more = self.client.recv_raw(1).unwrap();
        assert!(!more.is_empty(), "nothing follows {}", self.inbox.escape_ascii());
        self.inbox.extend(more);
    }

    fn exact(&mut self, len: usize) -> Vec<u8> {
        while self.inbox.len() < len {
            self.receive();
        }
        self.inbox.drain(..len).collect()
    }

    /// The next bytes, up to and with `end`.
    fn up_to(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.inbox.windows(end.len()).position(|part| part == end) {
                return self.exact(at + end.len());
            }
            self.receive();
        }
    }

    pub(super) fn line(&mut self) -> String {
        loop {
            let line = String::from_utf8(self.up_to(b"\n")).unwrap();
            // Empty lines are keep-alives.
            if !line.trim_end().is_empty() {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Reads the status lines before the snapshot, and the snapshot itself.
    pub(super) fn snapshot(&mut self) -> Vec<u8> {
        let answer = self.line();
        assert!(answer.starts_with("+FULLRESYNC "), "{answer}");
        let header = self.line();
        match header.strip_prefix("$EOF:") {
            Some(mark) => self.up_to(mark.as_bytes()),
            None => self.exact(header[1..].parse().unwrap()),
        }
    }

    /// The next command of the stream that is no PING.
    pub(super) fn command(&mut self) -> Vec<String> {
        loop {
            let words: usize = self.line()[1..].parse().unwrap();
            let mut word = || {
                let len: usize = self.line()[1..].parse().unwrap();
                let bytes = self.exact(len + 2);
                String::from_utf8(bytes[..len].to_vec()).unwrap()
            };
            let command: Vec<String> = (0..words).map(|_| word()).collect();
            if !command[0].eq_ignore_ascii_case("ping") {
                return command;
            }
        }
    }
}

/// A replica that wants the snapshot only is closed after it.
fn who_wants_a_snapshot_only_is_let_go(primary: Peer, _: Peer) {
    let mut primary = Node::start(primary, &[]);
    primary.must("SET key value");
    let rdb_only: &[&str] = &["REPLCONF", "rdb-only", "1"];
    for said in [&[rdb_only][..], &[rdb_only, &["REPLCONF", "capa", "eof"]]] {
        let mut replica = Raw::asking(&primary, said);
        let data = replica.snapshot();
        assert!(data.windows(5).any(|part| part == b"value"));
        assert!(replica.inbox.is_empty() && replica.client.is_closed_by_peer().unwrap());
        primary.wait_for("connected_slaves", "0");
    }
}
for_pairs!(who_wants_a_snapshot_only_is_let_go: redix_redix);

/// Nothing comes between the commands of the stream, whatever a replica sends.
fn a_replica_does_not_monitor(primary: Peer, _: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Raw::online(&mut primary);
    replica.client.send(&["MONITOR"]).unwrap();
    primary.must("SET key value");
    primary.must("SET key other");
    assert_eq!(replica.command(), ["SELECT", "0"]);
    assert_eq!(replica.command(), ["SET", "key", "value"]);
    assert_eq!(replica.command(), ["SET", "key", "other"]);
}
for_pairs!(a_replica_does_not_monitor: redix_redix);
