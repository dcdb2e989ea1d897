//! Chains of replicas.

use redix_testkit::{Peer, Proxy, Rng};

use super::links::setting;
use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::eventually;

const SEED: u64 = 47;
/// Cuts of each link in a test run; the long check has more (`REDIX_LINK_CUTS`).
const CUTS: u64 = 3;

/// Three servers in a row, both links cut in turn under writes: the stream is forwarded unchanged,
/// so that all have the same data at the same offsets, without a full resynchronisation.
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
    // The last one follows before the middle has data: it resynchronises with the middle.
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

/// Messages that the first server publishes reach subscribers of the last, without a full
/// resynchronisation.
#[test]
fn messages_pass_through_the_middle() {
    if !Peer::Redis7.available_or_skip() {
        return;
    }
    let [mut first, mut middle, mut last] =
        [Peer::Redis7, Peer::Redix, Peer::Redis7].map(|peer| Node::start(peer, &[]));
    middle.follow(first.server.addr());
    middle.wait_linked();
    last.follow(middle.server.addr());
    last.wait_linked();
    let mut listener = redix_testkit::Client::connect(last.server.addr()).unwrap();
    listener.must(&["SUBSCRIBE", "news"]).unwrap();
    for command in ["PUBLISH news one", "SPUBLISH shard one", "SET key value", "PUBLISH news two"] {
        first.must(command);
    }
    let shown = |text: &str| format!("1) \"message\"\n2) \"news\"\n3) \"{text}\"");
    assert_eq!(listener.reply().unwrap().pretty(), shown("one"));
    assert_eq!(listener.reply().unwrap().pretty(), shown("two"));
    assert_same(&mut first, &mut middle);
    assert_eq!((first.number("sync_full"), first.number("sync_partial_ok")), (1, 0));
    // A message published in the middle stays there; as a primary it propagates to the last.
    assert_eq!(middle.ask("PUBLISH news three"), "(integer) 0");
    middle.must("REPLICAOF NO ONE");
    last.wait_linked();
    eventually("the last one is back", || middle.ask("WAIT 1 100") == "(integer) 1");
    assert_eq!(middle.ask("PUBLISH news four"), "(integer) 0");
    assert_eq!(listener.reply().unwrap().pretty(), shown("four"));
}
