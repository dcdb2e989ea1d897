//! Replicas of replicas.

use redix_testkit::{Peer, Proxy, Rng};

use super::links::setting;
use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::eventually;

const SEED: u64 = 47;
/// Cuts of each link in a test run; the long check has more (`REDIX_LINK_CUTS`).
const CUTS: u64 = 3;

/// Three servers in a row, both links cut in turn under writes: the stream passes through the
/// middle unchanged, so that all hold the same at the same offsets, and nobody starts anew.
fn check(peers: [Peer; 3]) {
    if !peers.iter().all(|&peer| peer == Peer::Redix || peer.available_or_skip()) {
        return;
    }
    let seed = setting("REDIX_LINK_SEED", SEED);
    eprintln!("seed {seed}");
    let mut rng = Rng::new(seed);
    let backlog = ["--repl-backlog-size", "64mb"];
    let [mut first, mut middle, mut last] = peers.map(|peer| Node::start(peer, &backlog));
    let upper = Proxy::to(first.server.addr()).unwrap();
    let lower = Proxy::to(middle.server.addr()).unwrap();
    // The last one follows before the middle has anything: it starts anew when the middle does.
    last.follow(lower.addr());
    last.wait_linked();
    let traffic = Traffic::start(first.server.addr(), rng.next_u64());
    traffic.wait_for_writes(1000);
    middle.follow(upper.addr());
    middle.wait_linked();
    eventually("the stream reaches the last", || {
        last.info("master_replid") == first.info("master_replid")
    });
    last.wait_linked();
    middle.wait_for("connected_slaves", "1");
    let syncs = middle.number("sync_full");
    let partial = middle.number("sync_partial_ok");
    let cuts = setting("REDIX_LINK_CUTS", CUTS);
    for cut in 1..=cuts {
        traffic.wait_for_writes(1000);
        lower.cut();
        middle.wait_for("sync_partial_ok", &(partial + cut).to_string());
        traffic.wait_for_writes(1000);
        upper.cut();
        first.wait_for("sync_partial_ok", &cut.to_string());
    }
    traffic.stop();
    assert_same(&mut first, &mut middle);
    assert_same(&mut first, &mut last);
    assert_eq!(first.number("sync_full"), 1);
    assert_eq!(middle.number("sync_full"), syncs);
    assert_eq!(middle.number("sync_partial_ok"), partial + cuts, "the lower link was left alone");
}

#[test]
fn redix_redix_redix() {
    check([Peer::Redix, Peer::Redix, Peer::Redix]);
}

#[test]
fn valkey_redix_redis7() {
    check([Peer::Valkey, Peer::Redix, Peer::Redis7]);
}

#[test]
fn redis7_redix_valkey() {
    check([Peer::Redis7, Peer::Redix, Peer::Valkey]);
}

#[test]
fn redix_valkey_redix() {
    check([Peer::Redix, Peer::Valkey, Peer::Redix]);
}
