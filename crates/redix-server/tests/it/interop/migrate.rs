//! MIGRATE between Redix and the real servers, with every encoding of every type.

use redix_resp::Value;
use redix_testkit::Peer;

use super::{By, Node, assert_same, keys, real_servers};

/// The password of a target.
const PASSWORD: &str = "secret";
/// Tolerance for expiries, which are sent as remaining times.
const DRIFT_MS: i64 = 60_000;

fn int(value: &Value) -> i64 {
    value.pretty().trim_start_matches("(integer) ").parse().unwrap()
}

/// Migrates everything, in one command for each database.
fn migrate_all(from: &mut Node, to: &mut Node, options: &[&str]) {
    let route = format!("{} to {}", from.peer.name(), to.peer.name());
    let port = to.server.port().to_string();
    for (db, keys) in keys() {
        let db = db.to_string();
        from.must(&["SELECT", &db]);
        to.must(&["SELECT", &db]);
        let expiries: Vec<_> = keys
            .iter()
            .map(|key| (key, int(&from.must(&[&b"PEXPIRETIME"[..], key]))))
            .filter(|(_, at_ms)| *at_ms > 0)
            .collect();
        let mut command: Vec<&[u8]> =
            ["MIGRATE", "127.0.0.1", &port, "", &db, "20000"].map(str::as_bytes).to_vec();
        command.extend(options.iter().map(|word| word.as_bytes()));
        command.push(b"KEYS");
        command.extend(keys.iter().map(|key| &key[..]));
        assert_eq!(from.must(&command).pretty(), "+OK", "{route}");
        for (key, at_ms) in expiries {
            let arrived_ms = int(&to.must(&[&b"PEXPIRETIME"[..], key]));
            assert!((arrived_ms - at_ms).abs() < DRIFT_MS, "{route}: {}", key.escape_ascii());
            to.must(&[&b"PEXPIREAT"[..], key, at_ms.to_string().as_bytes()]);
        }
    }
}

/// A server with the expected data set.
fn target(peer: Peer) -> Node {
    let mut node = Node::start(peer, &["--requirepass", PASSWORD]);
    node.must(&["AUTH", PASSWORD]);
    node
}

#[test]
fn keys_of_every_type_go_to_real_servers_and_come_back() {
    for peer in [vec![Peer::Redix], real_servers()].concat() {
        let version = if peer == Peer::Redis7 { "10" } else { "11" };
        let mut redix = Node::filled(Peer::Redix, &["--rdb-version", version]);
        let mut original = Node::filled(Peer::Redix, &[]);
        // A large value may be small at the target.
        original.must(&["DEBUG", "RELOAD"]);
        let by = By::with(peer);
        let mut real = target(peer);
        migrate_all(&mut redix, &mut real, &["AUTH", PASSWORD]);
        assert_eq!(redix.must(&["INFO", "keyspace"]).pretty(), "\"# Keyspace\\r\\n\"");
        assert_same(&mut original, &mut real, by);
        let mut back = target(Peer::Redix);
        migrate_all(&mut real, &mut back, &["REPLACE", "AUTH2", "default", PASSWORD]);
        assert_same(&mut original, &mut back, if by == By::Encoding { By::Digest } else { by });
    }
}

#[test]
fn what_real_servers_build_arrives() {
    for peer in real_servers() {
        let mut real = Node::filled(peer, &[]);
        let mut redix = Node::start(Peer::Redix, &[]);
        migrate_all(&mut real, &mut redix, &["COPY"]);
        let by = if peer == Peer::Redis7 { By::Content } else { By::Digest };
        assert_same(&mut real, &mut redix, by);
    }
}
