//! Pub/sub on replicas.

use redix_testkit::{Client, Peer};

use super::node::Node;
use crate::eventually;

/// The next message: channel and text.
fn message(client: &mut Client) -> String {
    let lines = client.receive().unwrap().pretty();
    let parts: Vec<&str> = lines.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    parts[parts.len() - 2..].join(" ").replace('"', "")
}

/// Messages published on the primary reach the subscribers of its replica in order, among
/// transactions and writes. Messages published on a replica stay there.
fn messages_reach_the_replica(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = (Node::start(primary, &[]), Node::start(replica, &[]));
    replica.follow(primary.server.addr());
    replica.wait_linked();
    let mut listener = Client::connect(replica.server.addr()).unwrap();
    listener.must(&["SUBSCRIBE", "news"]).unwrap();
    listener.must(&["PSUBSCRIBE", "o*"]).unwrap();
    listener.must(&["SSUBSCRIBE", "shard"]).unwrap();
    for command in [
        "PUBLISH news 1",
        "SET key value",
        "MULTI",
        "PUBLISH other 2",
        "SET key other",
        "SPUBLISH shard 3",
        "EXEC",
        "SPUBLISH news none",
        "PUBLISH news 4",
    ] {
        primary.must(command);
    }
    for expected in ["news 1", "other 2", "shard 3", "news 4"] {
        assert_eq!(message(&mut listener), expected);
    }
    assert_eq!(replica.ask("PUBLISH news 5"), "(integer) 1");
    assert_eq!(message(&mut listener), "news 5");
    assert_eq!(replica.ask("GET key"), "\"other\"");
    assert_eq!(primary.ask("PUBSUB NUMSUB news"), "1) \"news\"\n2) (integer) 0");
}
for_pairs!(messages_reach_the_replica);

/// Keyspace events of a replica are those of the writes that it applies: expiry is a deletion by
/// its primary.
fn a_replica_announces_what_it_applies(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = (Node::start(primary, &[]), Node::start(replica, &[]));
    replica.follow(primary.server.addr());
    replica.wait_linked();
    replica.must("CONFIG SET notify-keyspace-events KEA");
    let mut listener = Client::connect(replica.server.addr()).unwrap();
    listener.must(&["PSUBSCRIBE", "__keyevent@*"]).unwrap();
    for command in [
        "SET key value",
        "SELECT 2",
        "INCR number",
        "MULTI",
        "APPEND key x",
        "RENAME key other",
        "EXEC",
        "SET gone value PX 1",
    ] {
        primary.must(command);
    }
    eventually("it has expired", || primary.ask("EXISTS gone") == "(integer) 0");
    for expected in [
        "0__:set key",
        "2__:incrby number",
        "2__:append key",
        "2__:rename_from key",
        "2__:rename_to other",
        "2__:set gone",
        "2__:expire gone",
        "2__:del gone",
    ] {
        assert_eq!(message(&mut listener), format!("__keyevent@{expected}"));
    }
}
for_pairs!(a_replica_announces_what_it_applies);
