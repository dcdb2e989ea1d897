//! Failovers: of a primary that is killed or hangs, and on request.

use std::time::{Duration, Instant};

use redix_resp::Value;
use redix_testkit::{Client, Peer};

use super::clients::Finder;
use super::group::{Group, NAME, Setup, text};
use crate::{eventually, signal};

/// An ordinary client and a subscriber, which a server closes when its role changes.
struct Witnesses([Client; 2]);

impl Witnesses {
    fn of(group: &Group, server: usize) -> Self {
        let [ordinary, mut subscriber] = [0, 1].map(|_| group.connect(server).unwrap());
        subscriber.must(&["SUBSCRIBE", "news"]).unwrap();
        Self([ordinary, subscriber])
    }

    fn assert_closed(&mut self) {
        for client in &mut self.0 {
            assert!(client.is_closed_by_peer().unwrap());
        }
    }
}

/// Waits until the group is whole again, with the old primary as a replica of the new one.
fn assert_recovered(group: &Group, primary: usize) {
    group.wait_until_replicating(primary);
    group.wait_until_known(primary);
    group.must(primary, "SET after 1");
    for replica in group.others(primary) {
        eventually("the write arrives", || group.must(replica, "GET after").pretty() == "\"1\"");
    }
}

/// Servers whose data outlasts a restart: replicas refuse that of a primary that comes back empty.
const LASTING: [&str; 3] = ["appendonly yes"; 3];

/// Restarts every server from its configuration file; they come back in their roles.
fn assert_roles_last(group: &mut Group, primary: usize) {
    for server in 0..group.servers.len() {
        // No server ends while it writes the first file of a data set.
        eventually("the file is written", || {
            let info = group.info(server);
            let fields = ["aof_enabled", "aof_rewrite_scheduled", "aof_rewrite_in_progress"];
            fields.map(|field| &*info[field]) == ["1", "0", "0"]
        });
        group.servers[server].restart().unwrap();
        let role = if server == primary { "master" } else { "slave" };
        assert_eq!(group.info(server)["role"], role, "server {server}");
    }
    assert_recovered(group, primary);
}

/// After kill -9 a replica takes over, clients are sent away and find it, and the old primary comes
/// back as a replica. All of it outlasts a restart.
fn of_a_killed_primary(servers: Peer, sentinels: Peer) {
    let setup = Setup { password: Some("sesame"), servers: LASTING, ..Setup::default() };
    let mut group = Group::start(servers, sentinels, &setup);
    let finder = Finder::start(&group.sentinel_addrs(), setup.password);
    finder.wait_for_writes();
    let mut witnesses = [1, 2].map(|replica| Witnesses::of(&group, replica));
    group.servers[0].kill9().unwrap();
    let primary = group.wait_for_another(0);
    for of_replica in &mut witnesses {
        of_replica.assert_closed();
    }
    finder.wait_for_writes();
    group.servers[0].restart().unwrap();
    assert_recovered(&group, primary);
    finder.wait_for_writes();
    let acknowledged = finder.stop();
    let found: i64 = text(&group.must(primary, "GET counter")).parse().unwrap();
    assert!(found >= acknowledged, "{found} of {acknowledged}");
    assert_roles_last(&mut group, primary);
}
for_sentinels!(of_a_killed_primary);

/// A primary that hangs is replaced, and is told so when it goes on.
fn of_a_primary_that_hangs(servers: Peer, sentinels: Peer) {
    let group = Group::start(servers, sentinels, &Setup::default());
    let finder = Finder::start(&group.sentinel_addrs(), None);
    finder.wait_for_writes();
    let mut witnesses = Witnesses::of(&group, 0);
    signal(group.servers[0].pid(), "STOP");
    let primary = group.wait_for_another(0);
    finder.wait_for_writes();
    // It takes itself for the primary, and does what it was asked to meanwhile.
    let mut late = Client::connect(group.servers[0].addr()).unwrap();
    late.send(&["SET", "late", "1"]).unwrap();
    signal(group.servers[0].pid(), "CONT");
    assert_eq!(late.reply().unwrap().pretty(), "+OK");
    assert_recovered(&group, primary);
    witnesses.assert_closed();
    finder.stop();
    eventually("what only the old primary had is gone", || {
        group.must(0, "EXISTS late").pretty() == "(integer) 0"
    });
}
for_sentinels!(of_a_primary_that_hangs);

/// SENTINEL FAILOVER of a primary that is well, three times.
fn on_request(servers: Peer, sentinels: Peer) {
    let setup = Setup { servers: LASTING, ..Setup::default() };
    let mut group = Group::start(servers, sentinels, &setup);
    let finder = Finder::start(&group.sentinel_addrs(), None);
    let mut primary = 0;
    for turn in 0..3 {
        finder.wait_for_writes();
        group.ask_sentinel(turn, &format!("SENTINEL FAILOVER {NAME}"));
        primary = group.wait_for_another(primary);
        assert_recovered(&group, primary);
    }
    finder.wait_for_writes();
    finder.stop();
    assert_roles_last(&mut group, primary);
}
for_sentinels!(on_request);

/// Increments until the connection is closed; returns the last number. A write that is sent before
/// the roles change waits, and is not refused; one that is sent later may be.
fn count_up(client: &mut Client) -> i64 {
    let (began, mut last) = (Instant::now(), 0);
    while let Ok(reply) = client.cmd(&["INCR", "counter"]) {
        match reply {
            Value::Int(number) => last = number,
            refused => assert!(refused.pretty().starts_with("-READONLY "), "{refused:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the connection stays open at {last}");
    }
    last
}

/// SENTINEL FAILOVER … COORDINATED loses no write and shows no error, by the server's FAILOVER.
fn with_the_server(servers: Peer, sentinels: Peer) {
    // Redis 7.0 does not tell Sentinels whether it can.
    if servers == Peer::Redis7 {
        return;
    }
    let setup = Setup { servers: LASTING, ..Setup::default() };
    let mut group = Group::start(servers, sentinels, &setup);
    let mut primary = 0;
    for turn in 0..3 {
        group.must(primary, "DEL counter");
        let mut client = group.connect(primary).unwrap();
        let id = group.info(primary)["master_replid"].clone();
        let full = [0, 1, 2].map(|server| group.info(server)["sync_full"].clone());
        group.ask_sentinel(turn, &format!("SENTINEL FAILOVER {NAME} COORDINATED"));
        let last = count_up(&mut client);
        let old = primary;
        primary = group.wait_for_another(old);
        assert!(last > 0);
        assert_eq!(text(&group.must(primary, "GET counter")), last.to_string());
        assert_recovered(&group, primary);
        let info = group.info(primary);
        assert_eq!(info["master_replid2"], id);
        assert_eq!(info["sync_full"], full[primary], "a replica took everything anew");
        eventually("no client waits on the old primary", || {
            group.info(old)["blocked_clients"] == "0"
        });
    }
    assert_roles_last(&mut group, primary);
}
for_sentinels!(with_the_server: valkey);
