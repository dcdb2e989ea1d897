//! Which replica Sentinels promote.

use redix_testkit::proxy::Way;
use redix_testkit::{Peer, Proxy};

use super::group::{Group, Setup};
use crate::eventually;

/// The lowest priority wins, and 0 never.
fn by_priority(servers: Peer, sentinels: Peer) {
    let setup = Setup {
        servers: ["replica-priority 0", "replica-priority 60", "replica-priority 50"],
        ..Setup::default()
    };
    let group = Group::start(servers, sentinels, &setup);
    group.ask_sentinel(0, "SENTINEL FAILOVER mymaster");
    assert_eq!(group.wait_for_another(0), 2);
    group.wait_until_replicating(2);
    group.wait_until_known(2);
    // The first one is never promoted, and a setting changes the order.
    group.must(1, "CONFIG SET replica-priority 1");
    group.ask_sentinel(1, "SENTINEL FAILOVER mymaster");
    assert_eq!(group.wait_for_another(2), 1);
    group.wait_until_replicating(1);
    group.wait_until_known(1);
    group.ask_sentinel(2, "SENTINEL FAILOVER mymaster");
    assert_eq!(group.wait_for_another(1), 2);
}
for_sentinels!(by_priority);

/// Of equal priority, the one that has read most.
fn by_offset(servers: Peer, sentinels: Peer) {
    // With the short periods Sentinels would have the replica leave the proxy at once.
    let setup = Setup { usual_periods: true, ..Setup::default() };
    let mut group = Group::replicating(servers, &setup);
    let link = Proxy::to(group.servers[0].addr()).unwrap();
    group.must(1, &format!("REPLICAOF 127.0.0.1 {}", link.port()));
    eventually("the replica is linked", || group.info(1)["master_link_status"] == "up");
    group.watch(sentinels, &setup);
    group.wait_until_known(0);
    link.stall(Way::ToClient);
    for _ in 0..100 {
        group.must(0, "INCR counter");
    }
    let end = group.info(0)["master_repl_offset"].parse::<u64>().unwrap();
    let offset = |replica: usize| group.info(replica)["slave_repl_offset"].parse::<u64>().unwrap();
    eventually("one has all", || offset(2) >= end);
    assert!(offset(1) < end);
    group.servers[0].kill9().unwrap();
    assert_eq!(group.wait_for_another(0), 2);
    group.servers[0].restart().unwrap();
    assert_eq!(group.must(2, "GET counter").pretty(), "\"100\"");
}
for_sentinels!(by_offset);
