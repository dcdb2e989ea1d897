//! TLS between servers: replication in both roles, MIGRATE, and Sentinels.

use redix_testkit::{Client, Launch, Peer};

use super::certificates::Authority;
use super::{Secure, launch};
use crate::{connect, eventually, program};

/// A server of a kind that replicates over TLS.
fn node(kind: Peer, authority: &Authority, args: &[&str]) -> (redix_testkit::Server, u16) {
    let start = match kind {
        Peer::Redix => Launch::redix(program()),
        real => Launch::new(real).unwrap(),
    };
    let args = [&["--tls-replication", "yes", "--repl-diskless-sync-delay", "0"], args].concat();
    let server = launch(&start, authority, &args);
    let reply = connect(&server).must(&["CONFIG", "GET", "tls-port"]).unwrap().pretty();
    let port = reply.split('"').nth(3).unwrap().parse().unwrap();
    (server, port)
}

fn info(client: &mut Client, section: &str) -> String {
    client.must(&["INFO", section]).unwrap().pretty()
}

/// A full synchronisation, the stream, and the port that a replica announces.
fn replicates(primary: Peer, replica: Peer) {
    if [primary, replica].iter().any(|kind| *kind != Peer::Redix && !kind.available_or_skip()) {
        return;
    }
    let authority = Authority::new();
    let (first, first_port) = node(primary, &authority, &[]);
    let (second, second_port) = node(replica, &authority, &[]);
    let (mut writer, mut reader) = (connect(&first), connect(&second));
    for number in 0..200 {
        writer.must(&["SET", &format!("before:{number}"), &"x".repeat(20_000)]).unwrap();
    }
    reader.must(&["REPLICAOF", "127.0.0.1", &first_port.to_string()]).unwrap();
    eventually("the link is up", || info(&mut reader, "replication").contains("link_status:up"));
    for number in 0..200 {
        writer.must(&["SET", &format!("after:{number}"), &"y".repeat(20_000)]).unwrap();
    }
    assert_eq!(writer.must(&["WAIT", "1", "20000"]).unwrap().pretty(), "(integer) 1");
    let digest = |client: &mut Client| client.must(&["DBSIZE"]).unwrap().pretty();
    assert_eq!(
        (digest(&mut writer), digest(&mut reader)),
        ("(integer) 400".into(), "(integer) 400".into())
    );
    let list = info(&mut writer, "replication");
    assert!(list.contains(&format!("port={second_port},state=online")), "{list}");
}

#[test]
fn a_replica_follows_over_tls() {
    replicates(Peer::Redix, Peer::Redix);
}

#[test]
fn a_real_replica_follows_over_tls() {
    replicates(Peer::Redix, Peer::Redis7);
}

#[test]
fn a_real_primary_is_followed_over_tls() {
    replicates(Peer::Redis7, Peer::Redix);
}

/// A full synchronisation over two connections, both of them TLS, while the primary is written to.
#[test]
fn snapshot_and_stream_have_a_connection_each() {
    let authority = Authority::new();
    let dual = ["--dual-channel-replication-enabled", "yes", "--repl-diskless-sync", "yes"];
    let (primary, port) = node(Peer::Redix, &authority, &dual);
    let (replica, _) = node(Peer::Redix, &authority, &dual);
    let (mut writer, mut reader) = (connect(&primary), connect(&replica));
    for number in 0..400 {
        writer.must(&["SET", &format!("before:{number}"), &"x".repeat(20_000)]).unwrap();
    }
    // The snapshot takes at least six seconds: what is written meanwhile is in the stream.
    writer.must(&["CONFIG", "SET", "rdb-key-save-delay", "15000"]).unwrap();
    reader.must(&["REPLICAOF", "127.0.0.1", &port.to_string()]).unwrap();
    eventually("both connections are there", || {
        let replication = info(&mut writer, "replication");
        replication.contains("type=rdb-channel") && replication.contains("type=main-channel")
    });
    for number in 0..200 {
        writer.must(&["SET", &format!("during:{number}"), &"y".repeat(20_000)]).unwrap();
    }
    writer.must(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).unwrap();
    eventually("the link is up", || info(&mut reader, "replication").contains("link_status:up"));
    assert_eq!(writer.must(&["WAIT", "1", "20000"]).unwrap().pretty(), "(integer) 1");
    assert_eq!(reader.must(&["DBSIZE"]).unwrap().pretty(), "(integer) 600");
    let stats = info(&mut writer, "stats");
    assert!(stats.contains("sync_full:1") && stats.contains("sync_partial_ok:1"), "{stats}");
    let replication = info(&mut writer, "replication");
    assert!(replication.contains("connected_slaves:1"), "{replication}");
}

/// One that knows nothing of two connections gets everything over one.
#[test]
fn an_older_replica_follows_a_primary_that_offers_two_connections() {
    if !Peer::Redis7.available_or_skip() {
        return;
    }
    let authority = Authority::new();
    let (primary, port) =
        node(Peer::Redix, &authority, &["--dual-channel-replication-enabled", "yes"]);
    let (replica, _) = node(Peer::Redis7, &authority, &[]);
    let (mut writer, mut reader) = (connect(&primary), connect(&replica));
    writer.must(&["SET", "before", "1"]).unwrap();
    reader.must(&["REPLICAOF", "127.0.0.1", &port.to_string()]).unwrap();
    eventually("the link is up", || info(&mut reader, "replication").contains("link_status:up"));
    writer.must(&["SET", "after", "1"]).unwrap();
    assert_eq!(writer.must(&["WAIT", "1", "20000"]).unwrap().pretty(), "(integer) 1");
    assert_eq!(reader.must(&["DBSIZE"]).unwrap().pretty(), "(integer) 2");
}

#[test]
fn a_primary_that_is_not_trusted_is_not_followed() {
    let (primary, port) = node(Peer::Redix, &Authority::new(), &["--tls-auth-clients", "no"]);
    let authority = Authority::new();
    let (replica, _) = node(Peer::Redix, &authority, &[]);
    connect(&replica).must(&["REPLICAOF", "127.0.0.1", &port.to_string()]).unwrap();
    eventually("it is refused", || replica.log().contains("Error condition on socket for SYNC"));
    assert!(info(&mut connect(&primary), "replication").contains("connected_slaves:0"));
}

#[test]
fn a_plain_primary_is_not_followed_over_tls() {
    let plain = crate::start(&[]);
    let (replica, _) = node(Peer::Redix, &Authority::new(), &["--repl-timeout", "2"]);
    let port = plain.port().to_string();
    connect(&replica).must(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    // It waits for the rest of a command, and the replica for its answer.
    eventually("it fails", || replica.log().contains("Timeout connecting to the PRIMARY"));
}

#[test]
fn keys_migrate_over_tls() {
    for target in [Peer::Redix, Peer::Redis7] {
        if target != Peer::Redix && !target.available_or_skip() {
            continue;
        }
        let authority = Authority::new();
        let (to, port) = node(target, &authority, &[]);
        let server = launch(
            &Launch::redix(program()),
            &authority,
            // Payloads that Redis 7.0 reads.
            &["--tls-cluster", "yes", "--rdb-version", "10"],
        );
        let from = Secure::around(authority, server);
        let (mut mover, mut there) = (connect(&from.server), connect(&to));
        let large = "v".repeat(3 << 20);
        mover.must(&["MSET", "a", "1", "b", &large]).unwrap();
        let words = ["MIGRATE", "127.0.0.1", &port.to_string(), "", "0", "20000", "KEYS", "a", "b"];
        assert_eq!(mover.cmd(&words).unwrap().pretty(), "+OK");
        assert_eq!(
            there.must(&["STRLEN", "b"]).unwrap().pretty(),
            format!("(integer) {}", large.len())
        );
        assert_eq!(mover.must(&["DBSIZE"]).unwrap().pretty(), "(integer) 0");
        // Towards a plain port the handshake fails, and the keys stay.
        mover.must(&["SET", "a", "1"]).unwrap();
        let plain = to.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &plain, "a", "0", "300"];
        let error = mover.cmd(&words).unwrap().pretty();
        assert!(error.contains("IOERR error or timeout connecting"), "{error}");
        assert_eq!(mover.must(&["EXISTS", "a"]).unwrap().pretty(), "(integer) 1");
    }
}

/// Sentinels that reach servers over TLS find the replica, and make it the primary.
#[test]
fn sentinel_fails_over_over_tls() {
    if !Peer::Redis7.available_or_skip() {
        return;
    }
    let authority = Authority::new();
    let (mut primary, primary_port) = node(Peer::Redix, &authority, &[]);
    let (replica, replica_port) = node(Peer::Redix, &authority, &[]);
    let mut follower = connect(&replica);
    follower.must(&["REPLICAOF", "127.0.0.1", &primary_port.to_string()]).unwrap();
    eventually("the link is up", || info(&mut follower, "replication").contains("link_status:up"));
    let file = authority.file("sentinel.conf");
    let lines = format!(
        "sentinel monitor m 127.0.0.1 {primary_port} 1\nsentinel down-after-milliseconds m 1000\n\
         sentinel failover-timeout m 5000\ntls-replication yes\ntls-cert-file {}\n\
         tls-key-file {}\ntls-ca-cert-file {}\n",
        authority.path("server.crt"),
        authority.path("server.key"),
        authority.path("ca.crt")
    );
    std::fs::write(&file, lines).unwrap();
    let sentinel =
        Launch::new(Peer::Redis7).unwrap().config(&file).args(&["--sentinel"]).start().unwrap();
    let mut watching = connect(&sentinel);
    eventually("the replica is known", || {
        let list = watching.cmd(&["SENTINEL", "REPLICAS", "m"]).unwrap().pretty();
        list.contains(&format!("127.0.0.1:{replica_port}")) && list.contains("\"slave\"")
    });
    primary.kill9().unwrap();
    eventually("the replica is the primary", || {
        // A Sentinel closes the connections of clients.
        info(&mut connect(&replica), "replication").contains("role:master")
    });
}
