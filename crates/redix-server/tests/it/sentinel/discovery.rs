//! What Sentinels find out about the servers from INFO, and by which names.

use redix_testkit::Peer;

use super::group::{Group, NAME, Setup, text};
use crate::eventually;

/// They find the replicas and each other, and have read the fields of INFO.
fn finds_all(servers: Peer, sentinels: Peer) {
    let setup =
        Setup { servers: ["", "replica-priority 10", "replica-priority 20"], ..Setup::default() };
    let group = Group::start(servers, sentinels, &setup);
    group.must(0, "SET key value");
    let primary = group.info(0);
    for sentinel in 0..group.sentinels.len() {
        let known = group.known_primary(sentinel);
        assert_eq!(known["runid"], primary["run_id"]);
        assert_eq!(known["role-reported"], "master");
        assert_eq!(known["num-slaves"], "2");
        let usable = group.ask_sentinel(sentinel, &format!("SENTINEL CKQUORUM {NAME}"));
        assert!(text(&usable).starts_with("OK 3 usable Sentinels"), "{}", usable.pretty());
        for (replica, priority) in [(1, "10"), (2, "20")] {
            let (port, info) = (group.servers[replica].port(), group.info(replica));
            eventually("the offset is read", || {
                let known = group.known_replicas(sentinel)[&port]["slave-repl-offset"].clone();
                known.parse::<i64>().unwrap() > info["slave_repl_offset"].parse().unwrap()
                    || known == group.info(replica)["slave_repl_offset"]
            });
            let known = &group.known_replicas(sentinel)[&port];
            let expected = [
                ("ip", "127.0.0.1"),
                ("runid", &info["run_id"]),
                ("role-reported", "slave"),
                ("master-link-status", "ok"),
                ("master-link-down-time", "0"),
                ("master-host", "127.0.0.1"),
                ("master-port", &group.servers[0].port().to_string()),
                ("slave-priority", priority),
                ("replica-announced", "1"),
            ];
            for (field, value) in expected {
                assert_eq!(known[field], value, "{field}");
            }
        }
    }
}
for_sentinels!(finds_all);

/// How long a replica has had no primary counts when one is chosen.
fn knows_how_long_the_link_is_down(servers: Peer, sentinels: Peer) {
    let mut group = Group::start(servers, sentinels, &Setup::default());
    // Nobody starts a failover.
    group.set_on_sentinels("quorum 4");
    group.servers[0].kill9().unwrap();
    for sentinel in 0..group.sentinels.len() {
        for replica in [1, 2] {
            let port = group.servers[replica].port();
            eventually("the link is reported down", || {
                let known = &group.known_replicas(sentinel)[&port];
                known["master-link-status"] == "err"
                    && known["master-link-down-time"].parse::<u64>().unwrap() >= 1000
            });
        }
    }
}
for_sentinels!(knows_how_long_the_link_is_down);

/// A replica that is not to be announced is not named to clients.
fn hides_the_unannounced(servers: Peer, sentinels: Peer) {
    let setup = Setup::default();
    let mut group = Group::replicating(servers, &setup);
    group.must(2, "CONFIG SET replica-announced no");
    group.watch(sentinels, &setup);
    let announced = group.servers[1].port();
    for sentinel in 0..group.sentinels.len() {
        eventually("both are found, one is named", || {
            group.known_primary(sentinel)["num-slaves"] == "2"
                && group.known_replicas(sentinel).into_keys().eq([announced])
        });
    }
}
for_sentinels!(hides_the_unannounced);

/// Servers that announce a name are known by it, also after a failover.
fn uses_announced_names(servers: Peer, sentinels: Peer) {
    let announced = "replica-announce-ip localhost";
    let setup = Setup {
        host: Some("localhost"),
        servers: [announced; 3],
        sentinels: "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes",
        ..Setup::default()
    };
    let mut group = Group::start(servers, sentinels, &setup);
    let named = |group: &Group, primary: usize| {
        for sentinel in 0..group.sentinels.len() {
            assert_eq!(group.address(sentinel).0, "localhost");
            for other in group.others(primary) {
                let known = &group.known_replicas(sentinel)[&group.servers[other].port()];
                assert_eq!((&*known["ip"], &*known["master-host"]), ("localhost", "localhost"));
            }
        }
    };
    named(&group, 0);
    group.servers[0].kill9().unwrap();
    let primary = group.wait_for_another(0);
    group.servers[0].restart().unwrap();
    group.wait_until_replicating(primary);
    group.wait_until_known(primary);
    named(&group, primary);
    assert_eq!(group.info(0)["master_host"], "localhost");
}
for_sentinels!(uses_announced_names);

/// Sentinels connect to the port that a replica announces.
fn uses_announced_ports(servers: Peer, sentinels: Peer) {
    let setup = Setup::default();
    let mut group = Group::replicating(servers, &setup);
    let way_in = redix_testkit::Proxy::to(group.servers[2].addr()).unwrap();
    group.must(2, &format!("CONFIG SET replica-announce-port {}", way_in.port()));
    // It is announced when the link begins.
    group.must(0, "CLIENT KILL TYPE replica");
    group.wait_until_replicating(0);
    group.watch(sentinels, &setup);
    for sentinel in 0..group.sentinels.len() {
        eventually("the replica is known by the announced port", || {
            let known = group.known_replicas(sentinel);
            known.get(&way_in.port()).is_some_and(|fields| fields["flags"] == "slave")
        });
        assert!(!group.known_replicas(sentinel).contains_key(&group.servers[2].port()));
    }
    assert!(way_in.open() > 0);
}
for_sentinels!(uses_announced_ports);
