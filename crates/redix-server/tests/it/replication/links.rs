//! Links that are cut, slow or silent.

use std::time::Duration;

use redix_testkit::proxy::Way;
use redix_testkit::{Peer, Proxy, Rng};

use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::eventually;

/// Cuts in a test run; the long check has ten (`REDIX_LINK_CUTS`).
const CUTS: u64 = 4;
const SEED: u64 = 31;

/// A number from the environment, for the long check.
pub(super) fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// A primary with much backlog, and a replica that follows it through a proxy.
fn linked(primary: Peer, replica: Peer, args: &[&str]) -> (Node, Proxy, Node) {
    let with = ["--repl-backlog-size", "64mb", "--repl-ping-replica-period", "1"];
    let mut primary = Node::start(primary, &[&with[..], args].concat());
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replica = Node::start(replica, &["--repl-timeout", "20"]);
    replica.follow(proxy.addr());
    replica.wait_linked();
    primary.wait_for("connected_slaves", "1");
    (primary, proxy, replica)
}

/// Breaks the link in one of several ways.
fn break_link(proxy: &Proxy, traffic: &Traffic, rng: &mut Rng) {
    match rng.below(4) {
        // While bytes flow, at any boundary.
        0 => {
            let goal = proxy.passed(Way::ToClient) + rng.below(200_000) as u64;
            eventually("bytes flow", || proxy.passed(Way::ToClient) >= goal);
            proxy.cut();
        }
        // With much of the stream lost.
        1 => {
            proxy.stall(Way::ToClient);
            traffic.wait_for_writes(2000);
            proxy.cut();
            proxy.resume(Way::ToClient);
        }
        // With acknowledgements lost.
        2 => {
            proxy.stall(Way::ToServer);
            traffic.wait_for_writes(2000);
            proxy.cut();
            proxy.resume(Way::ToServer);
        }
        // For some time.
        _ => {
            proxy.sever();
            traffic.wait_for_writes(1 + rng.below(10_000) as u64);
            proxy.restore();
        }
    }
}

/// The link is cut repeatedly under writes: each time the replica resumes, and nothing is lost.
fn cuts(primary: Peer, replica: Peer) {
    let seed = setting("REDIX_LINK_SEED", SEED);
    eprintln!("seed {seed}");
    let mut rng = Rng::new(seed);
    let (mut primary, proxy, mut replica) = linked(primary, replica, &[]);
    let traffic = Traffic::start(primary.server.addr(), rng.next_u64());
    for cut in 1..=setting("REDIX_LINK_CUTS", CUTS) {
        traffic.wait_for_writes(1 + rng.below(3000) as u64);
        break_link(&proxy, &traffic, &mut rng);
        primary.wait_for("sync_partial_ok", &cut.to_string());
    }
    traffic.stop();
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), 1);
}
for_pairs!(cuts);

/// The backlog no longer has what a replica missed: it resynchronises fully.
fn a_small_backlog(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) =
        linked(primary, replica, &["--repl-backlog-size", "16kb"]);
    let traffic = Traffic::start(primary.server.addr(), SEED);
    for round in 2..4 {
        proxy.sever();
        let end = primary.number("master_repl_offset") + 500_000;
        eventually("the backlog overflows", || primary.number("master_repl_offset") > end);
        proxy.restore();
        primary.wait_for("sync_full", &round.to_string());
        replica.wait_linked();
    }
    traffic.stop();
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_partial_ok"), 0);
}
for_pairs!(a_small_backlog: redix_redix, redix_valkey, redis7_redix);

/// A value larger than a replica's output limit costs one full synchronisation, not one after the
/// other that ends at the same value; also with several replicas, and in a chain.
fn a_value_beyond_the_limit(primary: Peer, replica: Peer) {
    const VALUE_BYTES: usize = 12 << 20;
    let limits = ["--repl-backlog-size", "1mb", "--client-output-buffer-limit", "replica 2mb 0 0"];
    let mut primary = Node::start(primary, &limits);
    let [mut first, mut second, mut below] = [0; 3].map(|_| Node::start(replica, &limits));
    for replica in [&mut first, &mut second] {
        replica.follow(primary.server.addr());
        replica.wait_linked();
    }
    below.follow(first.server.addr());
    below.wait_linked();
    let initial = primary.number("sync_full");
    primary.client.must(&[&b"SET"[..], b"large", &vec![b'x'; VALUE_BYTES]]).unwrap();
    primary.must("SET last 1");
    for replica in [&mut first, &mut second, &mut below] {
        eventually("the value is there", || {
            replica.ask("STRLEN large") == format!("(integer) {VALUE_BYTES}")
                && replica.ask("EXISTS last") == "(integer) 1"
        });
        assert_same(&mut primary, replica);
    }
    assert_eq!(primary.number("sync_partial_ok"), 0);
    let more = primary.number("sync_full") - initial;
    assert!(more <= 2, "{more} synchronisations for two replicas");
}
for_pairs!(a_value_beyond_the_limit: redix_redix, redix_valkey, redis7_redix);

/// A killed link is closed at once, even if the replica is idle otherwise.
fn a_link_killed_in_a_transaction(primary: Peer, replica: Peer) {
    let (mut primary, _proxy, mut replica) = linked(primary, replica, &[]);
    let traffic = Traffic::start(primary.server.addr(), SEED);
    for line in ["MULTI", "CLIENT KILL TYPE master", "DEBUG SLEEP 5"] {
        replica.must(line);
    }
    replica.client.send(&["EXEC"]).unwrap();
    primary.wait_for("connected_slaves", "0");
    let early = replica.client.push(Duration::from_millis(1));
    assert_eq!(early.expect("the transaction is under way"), None);
    traffic.stop();
    replica.client.reply().unwrap();
    assert_same(&mut primary, &mut replica);
}
for_pairs!(a_link_killed_in_a_transaction: redix_redix, redix_valkey, redis7_redix);

/// The buffer of a large argument is released.
fn a_large_argument_leaves_no_large_buffer(primary: Peer, replica: Peer) {
    const VALUE_BYTES: usize = 1 << 20;
    let (mut primary, _proxy, mut replica) = linked(primary, replica, &[]);
    primary.client.must(&[&b"SET"[..], b"large", &vec![b'x'; VALUE_BYTES]]).unwrap();
    eventually("the value is there", || {
        replica.ask("STRLEN large") == format!("(integer) {VALUE_BYTES}")
    });
    eventually("the memory is given back", || {
        replica.number("mem_clients_normal") < VALUE_BYTES as u64 / 4
    });
}
for_pairs!(a_large_argument_leaves_no_large_buffer: redix_redix, redis7_redix, redix_valkey);

/// A link with latency only delays a replica.
fn a_slow_link(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) = linked(primary, replica, &[]);
    proxy.delay(Way::ToClient, Duration::from_millis(20));
    proxy.delay(Way::ToServer, Duration::from_millis(50));
    let traffic = Traffic::start(primary.server.addr(), SEED);
    traffic.wait_for_writes(3000);
    traffic.stop();
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.ask("WAIT 1 5000"), "(integer) 1");
    assert_eq!(primary.number("sync_full"), 1);
}
for_pairs!(a_slow_link: redix_redix, redix_redis7, valkey_redix);

/// WAIT counts the replicas that have acknowledged, and waits for them.
fn wait_is_true(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) = linked(primary, replica, &[]);
    primary.must("SET a 1");
    assert_eq!(primary.ask("WAIT 1 5000"), "(integer) 1");
    assert_eq!(replica.ask("GET a"), "\"1\"");
    proxy.stall(Way::ToClient);
    primary.must("SET a 2");
    assert_eq!(primary.ask("WAIT 1 200"), "(integer) 0");
    assert_eq!(primary.ask("WAIT 0 0"), "(integer) 0");
    assert_eq!(replica.ask("GET a"), "\"1\"");
    proxy.resume(Way::ToClient);
    assert_eq!(primary.ask("WAIT 1 0"), "(integer) 1");
    assert_eq!(replica.ask("GET a"), "\"2\"");
    // More than there are: it waits for the timeout, and replies with the actual number.
    assert_eq!(primary.ask("WAIT 2 100"), "(integer) 1");
}
for_pairs!(wait_is_true: redix_redix, redix_valkey, redis7_redix);

/// A silent primary is disconnected after `repl-timeout`, as is a silent replica.
fn silence_ends_a_link(primary: Peer, replica: Peer) {
    let (mut primary, proxy, mut replica) = linked(primary, replica, &["--repl-timeout", "2"]);
    primary.must("CONFIG SET repl-ping-replica-period 1");
    replica.must("CONFIG SET repl-timeout 2");
    proxy.stall(Way::ToClient);
    replica.wait_for("master_link_status", "down");
    proxy.cut();
    proxy.resume(Way::ToClient);
    replica.wait_linked();
    primary.wait_for("connected_slaves", "1");
    proxy.stall(Way::ToServer);
    primary.wait_for("connected_slaves", "0");
    proxy.cut();
    proxy.resume(Way::ToServer);
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), 1);
}
for_pairs!(silence_ends_a_link: redix_redix);
