//! What later versions do with pending entries of streams, told to replicas of today.

use redix_testkit::Peer;

use super::node::{Node, assert_same};

/// Entries that are claimed by reading, or given back, before and after the replica attaches.
fn claims_and_releases_are_replicated(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    primary.must("XGROUP CREATE s g 0 MKSTREAM");
    for entry in 1..=6 {
        primary.must(&format!("XADD s {entry}-0 f v"));
    }
    primary.must("XREADGROUP GROUP g a COUNT 4 STREAMS s >");
    primary.must("XNACK s g FATAL IDS 2 3-0 1-0");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
    primary.must("XNACK s g SILENT IDS 2 4-0 2-0");
    primary.must("XREADGROUP GROUP g b COUNT 1 CLAIM 1000 STREAMS s >");
    primary.must("XREADGROUP GROUP g c COUNT 3 CLAIM 0 STREAMS s >");
    primary.must("XNACK s g FAIL IDS 1 3-0 RETRYCOUNT 5");
    primary.must("XNACK s g FAIL FORCE IDS 1 6-0");
    primary.must("XDEL s 6-0");
    primary.must("MULTI");
    primary.must("XNACK s g FAIL IDS 1 2-0");
    primary.must("XREADGROUP GROUP g d CLAIM 0 STREAMS s >");
    primary.must("EXEC");
    primary.must("XNACK s g FAIL IDS 3 5-0 1-0 4-0");
    assert_same(&mut primary, &mut replica);
    // What was given back may be claimed at once there too.
    replica.must("REPLICAOF NO ONE");
    assert_eq!(
        replica.ask("XCLAIM s g e 1000000 1-0 4-0 5-0 2-0 JUSTID"),
        "1) \"1-0\"\n2) \"4-0\"\n3) \"5-0\""
    );
}
for_pairs!(claims_and_releases_are_replicated: redix_redix, redix_redis7, redix_valkey);

/// A replica hands out what was released in the order of the releases, whether it was told by the
/// stream or by a full synchronisation, even by way of a real server.
#[test]
fn a_promoted_replica_keeps_the_order_of_releases() {
    for peer in [Peer::Redix, Peer::Redis7, Peer::Valkey] {
        if !peer.available_or_skip() {
            continue;
        }
        let mut first = Node::start(Peer::Redix, &[]);
        let mut middle = Node::start(peer, &[]);
        let mut last = Node::start(Peer::Redix, &[]);
        first.must("XGROUP CREATE s g 0 MKSTREAM");
        for entry in 1..=4 {
            first.must(&format!("XADD s {entry}-0 f v"));
        }
        first.must("XREADGROUP GROUP g a STREAMS s >");
        first.must("XNACK s g FAIL IDS 2 4-0 2-0");
        middle.follow(first.server.addr());
        middle.wait_linked();
        first.must("XNACK s g FAIL IDS 2 3-0 1-0");
        assert_same(&mut first, &mut middle);
        last.follow(middle.server.addr());
        last.wait_linked();
        assert_same(&mut first, &mut last);
        last.must("REPLICAOF NO ONE");
        for entry in [4, 2, 3, 1] {
            let got = last.ask("XREADGROUP GROUP g b COUNT 1 CLAIM 1000000 STREAMS s >");
            assert!(got.contains(&format!("\"{entry}-0\"")), "{entry}, but {got}");
        }
    }
}
