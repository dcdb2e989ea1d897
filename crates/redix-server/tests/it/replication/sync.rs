//! Full synchronisations: under writes, in every form, interrupted and cancelled.

use redix_testkit::proxy::Way;
use redix_testkit::{Peer, Proxy};

use super::node::{Node, assert_same};
use super::traffic::{Traffic, fill};
use crate::eventually;

const SEED: u64 = 71;
/// A data set that exceeds the buffers of a connection.
const DATA_BYTES: usize = 16 << 20;

/// A replica that synchronises under writes misses none of them, in every form of transfer.
fn writes_go_on(primary: Peer, replica: Peer) {
    let forms = [("yes", "disabled"), ("no", "disabled"), ("yes", "swapdb"), ("no", "swapdb")];
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    fill(&mut primary.client, DATA_BYTES / 4, SEED);
    for (round, (diskless, load)) in forms.iter().enumerate() {
        primary.must(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        replica.must(&format!("CONFIG SET repl-diskless-load {load}"));
        let traffic = Traffic::start(primary.server.addr(), SEED + round as u64);
        replica.follow(primary.server.addr());
        replica.wait_linked();
        traffic.wait_for_writes(500);
        traffic.stop();
        assert_same(&mut primary, &mut replica);
        assert_eq!(primary.number("sync_full"), round as u64 + 1);
        replica.must("REPLICAOF NO ONE");
        // A history of its own, so that the next round resynchronises fully.
        replica.must("SET own 1");
    }
}
for_pairs!(writes_go_on);

/// Several replicas at once share one snapshot.
fn replicas_share_a_snapshot(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--repl-diskless-sync-delay", "2"]);
    fill(&mut primary.client, DATA_BYTES / 8, SEED);
    let traffic = Traffic::start(primary.server.addr(), SEED);
    let mut replicas: Vec<Node> = (0..3).map(|_| Node::start(replica, &[])).collect();
    for replica in &mut replicas {
        replica.follow(primary.server.addr());
    }
    for replica in &mut replicas {
        replica.wait_linked();
    }
    traffic.stop();
    for replica in &mut replicas {
        assert_same(&mut primary, replica);
    }
    assert_eq!(primary.number("sync_full"), 3);
    let log = primary.server.log();
    let streams = log.matches("Starting BGSAVE for SYNC with target").count();
    assert_eq!(streams, 1, "{log}");
}
for_pairs!(replicas_share_a_snapshot: redix_redix, redix_redis7);

/// A primary with data behind a proxy, and a replica in the middle of the transfer.
fn half_way(primary: Peer, replica: Peer) -> (Node, Proxy, Node) {
    let mut primary = Node::start(primary, &[]);
    fill(&mut primary.client, DATA_BYTES, SEED);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replica = Node::start(replica, &[]);
    replica.must("SET own 1");
    stop_half_way(&proxy, &mut replica);
    (primary, proxy, replica)
}

fn stop_half_way(proxy: &Proxy, replica: &mut Node) {
    let goal = proxy.passed(Way::ToClient) + 100_000;
    // Slow enough not to end before it is stalled.
    proxy.delay(Way::ToClient, std::time::Duration::from_millis(5));
    replica.follow(proxy.addr());
    eventually("the transfer has begun", || proxy.passed(Way::ToClient) > goal);
    proxy.stall(Way::ToClient);
    proxy.delay(Way::ToClient, std::time::Duration::ZERO);
    replica.wait_for("master_sync_in_progress", "1");
}

/// An interrupted transfer is retried; until it succeeds the old data is kept.
fn a_transfer_is_cut(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) = half_way(primary, replica);
    assert_eq!(replica.ask("GET own"), "\"1\"");
    proxy.sever();
    replica.wait_for("master_sync_in_progress", "0");
    assert_eq!(replica.ask("GET own"), "\"1\"");
    let traffic = Traffic::start(primary.server.addr(), SEED);
    proxy.restore();
    proxy.resume(Way::ToClient);
    replica.wait_linked();
    traffic.stop();
    assert_same(&mut primary, &mut replica);
}
for_pairs!(a_transfer_is_cut: redix_redix, redix_redis7, valkey_redix);

/// REPLICAOF during a transfer cancels it for another primary.
fn a_transfer_is_given_up(primary: Peer, replica: Peer) {
    let mut second = Node::start(primary, &[]);
    let (mut primary, proxy, mut replica) = half_way(primary, replica);
    second.must("SET which second");
    replica.follow(second.server.addr());
    replica.wait_linked();
    assert_eq!(replica.ask("GET which"), "\"second\"");
    assert_same(&mut second, &mut replica);
    // And the next one is cancelled by REPLICAOF NO ONE.
    proxy.resume(Way::ToClient);
    stop_half_way(&proxy, &mut replica);
    replica.must("REPLICAOF NO ONE");
    assert_eq!(replica.info("role").unwrap(), "master");
    assert_eq!(replica.ask("GET which"), "\"second\"");
    assert_eq!(replica.ask("SET which none"), "+OK");
    primary.wait_for("connected_slaves", "0");
}
// A Valkey replica takes 5 s to give up.
for_pairs!(a_transfer_is_given_up: redix_redix, redis7_redix, valkey_redix);

/// The primary restarts during a transfer, with other data.
fn a_primary_restarts_during_a_transfer(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) = half_way(primary, replica);
    primary.server.kill9().unwrap();
    proxy.resume(Way::ToClient);
    primary.server.restart().unwrap();
    primary.client = redix_testkit::Client::connect(primary.server.addr()).unwrap();
    primary.must("SET anew 1");
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("GET own"), "(null)");
}
for_pairs!(a_primary_restarts_during_a_transfer: redix_redix, redix_valkey, redis7_redix);

/// A replica that reads nothing of a shared snapshot delays the others by `repl-timeout` at most.
fn a_stuck_replica_is_left_behind(primary: Peer, replica: Peer) {
    let mut primary =
        Node::start(primary, &["--repl-diskless-sync-delay", "1", "--repl-timeout", "2"]);
    fill(&mut primary.client, DATA_BYTES, SEED);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut stuck = Node::start(replica, &[]);
    let mut other = Node::start(replica, &[]);
    stuck.follow(proxy.addr());
    other.follow(primary.server.addr());
    let begun = proxy.passed(Way::ToClient) + 100_000;
    eventually("the transfer has begun", || proxy.passed(Way::ToClient) > begun);
    proxy.stall(Way::ToClient);
    let traffic = Traffic::start(primary.server.addr(), SEED);
    other.wait_linked();
    primary.wait_for("connected_slaves", "1");
    traffic.stop();
    assert_same(&mut primary, &mut other);
    proxy.cut();
    proxy.resume(Way::ToClient);
    stuck.wait_linked();
    assert_same(&mut primary, &mut stuck);
}
for_pairs!(a_stuck_replica_is_left_behind: redix_redix, redix_redis7);
