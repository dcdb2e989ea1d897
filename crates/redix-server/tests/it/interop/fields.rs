//! Hashes with fields that have an expiry, between Redix and the real servers that have them:
//! files, payloads, full synchronisations and the stream that follows them.

use redix_resp::Value;
use redix_testkit::Peer;

use super::{Node, TempDir};
use crate::eventually;

/// Later than any test.
const FAR_MS: u64 = 33_000_000_000_000;
/// Fields of the large hash.
const MANY: usize = 700;

fn peers() -> Vec<Peer> {
    let mut peers = vec![Peer::Valkey, Peer::Redis8];
    peers.retain(|peer| peer.available_or_skip());
    peers
}

/// Runs a command of words without blanks.
fn run(node: &mut Node, line: &str) -> Value {
    node.must(&line.split(' ').collect::<Vec<_>>())
}

/// Hashes of every form: without an expiry, with some, with expiries alone; small and large; fields
/// and values that files keep as integers, compressed, or outside of a page.
fn fill(node: &mut Node) {
    let long = "x".repeat(300);
    run(node, "HSET plain a 1 b 2");
    run(node, &format!("HSET few a 1 b two 3 four {long} five long {long}"));
    run(node, &format!("HPEXPIREAT few {FAR_MS} FIELDS 3 a 3 {long}"));
    run(node, &format!("HPEXPIREAT few {} FIELDS 1 long", FAR_MS + 12_345));
    run(node, "HSET all a 1 b 2");
    run(node, &format!("HPEXPIREAT all {FAR_MS} FIELDS 2 a b"));
    run(node, &format!("PEXPIREAT all {}", FAR_MS + 1));
    for id in 0..MANY {
        run(node, &format!("HSET many field:{id} value:{id}"));
        if id % 2 == 0 {
            let at_ms = FAR_MS + id as u64 * 1000;
            run(node, &format!("HPEXPIREAT many {at_ms} FIELDS 1 field:{id}"));
        }
    }
    run(node, "SELECT 5");
    run(node, "HSET other a 1");
    run(node, &format!("HPEXPIREAT other {FAR_MS} FIELDS 1 a"));
    run(node, "SELECT 0");
}

const KEYS: [(&str, &str); 5] =
    [("0", "plain"), ("0", "few"), ("0", "all"), ("0", "many"), ("5", "other")];

/// Each field of each hash with its value and expiry, in order.
fn describe(node: &mut Node) -> Vec<String> {
    let mut lines = Vec::new();
    for (db, key) in KEYS {
        node.must(&["SELECT", db]);
        let expiry = node.must(&["PEXPIRETIME", key]).pretty();
        let Value::Array(parts) = node.must(&["HGETALL", key]) else { panic!("an array") };
        for pair in parts.chunks(2) {
            let Value::Bulk(field) = &pair[0] else { panic!("a field") };
            let ask = [&b"HPEXPIRETIME"[..], key.as_bytes(), b"FIELDS", b"1", field];
            let at = node.must(&ask).pretty();
            lines.push(format!("{key} {expiry} {} {} {at}", pair[0].pretty(), pair[1].pretty()));
        }
    }
    node.must(&["SELECT", "0"]);
    lines.sort();
    lines
}

fn filled(peer: Peer, args: &[&str]) -> (Node, Vec<String>) {
    let mut node = Node::start(peer, args);
    fill(&mut node);
    let lines = describe(&mut node);
    assert_eq!(lines.len(), MANY + 10);
    (node, lines)
}

#[test]
fn files_of_real_servers_keep_the_expiries_of_fields() {
    for peer in peers() {
        let (mut real, lines) = filled(peer, &[]);
        let mut redix = Node::with_file(Peer::Redix, &real.save());
        assert_eq!(describe(&mut redix), lines, "{}", peer.name());
    }
}

/// The version is a later one where the configured one cannot hold expiries.
#[test]
fn files_for_real_servers_keep_the_expiries_of_fields() {
    let cases = [
        ("10", "VALKEY080", Peer::Valkey),
        ("11", "VALKEY080", Peer::Valkey),
        ("80", "VALKEY080", Peer::Valkey),
        ("12", "REDIS0012", Peer::Redis8),
    ];
    for (version, magic, peer) in cases {
        let (mut redix, lines) = filled(Peer::Redix, &["--rdb-version", version]);
        for background in [false, true] {
            if background {
                run(&mut redix, "BGSAVE");
                eventually("the file is saved", || {
                    run(&mut redix, "INFO persistence").pretty().contains("bgsave_in_progress:0")
                });
            }
            let file = if background { redix.server.dir().join("dump.rdb") } else { redix.save() };
            assert_eq!(&std::fs::read(&file).unwrap()[..9], magic.as_bytes(), "{version}");
            assert_eq!(describe(&mut Node::with_file(Peer::Redix, &file)), lines, "{version}");
            if peer.available_or_skip() {
                assert_eq!(describe(&mut Node::with_file(peer, &file)), lines, "{version}");
            }
        }
        run(&mut redix, "DEBUG RELOAD");
        assert_eq!(describe(&mut redix), lines, "{version}");
    }
}

/// A file without such fields has the version that is configured.
#[test]
fn files_without_them_have_the_configured_version() {
    for (version, magic) in
        [("10", "REDIS0010"), ("11", "REDIS0011"), ("12", "REDIS0012"), ("80", "VALKEY080")]
    {
        let mut redix = Node::start(Peer::Redix, &["--rdb-version", version]);
        run(&mut redix, "HSET h a 1");
        run(&mut redix, "HEXPIRE h 100 FIELDS 1 a");
        run(&mut redix, "HPERSIST h FIELDS 1 a");
        let file = redix.save();
        assert_eq!(&std::fs::read(&file).unwrap()[..9], magic.as_bytes());
        let peer = if version == "80" { Peer::Valkey } else { Peer::Redis8 };
        if peer.available_or_skip() {
            let mut real = Node::with_file(peer, &file);
            assert_eq!(run(&mut real, "HGET h a").pretty(), "\"1\"");
        }
    }
}

#[test]
fn payloads_keep_the_expiries_of_fields() {
    for (peer, version) in [(Peer::Valkey, "11"), (Peer::Redis8, "12")] {
        if !peer.available_or_skip() {
            continue;
        }
        let (mut redix, lines) = filled(Peer::Redix, &["--rdb-version", version]);
        let mut real = Node::start(peer, &["--sanitize-dump-payload", "yes"]);
        let mut back = Node::start(Peer::Redix, &[]);
        for (db, key) in KEYS {
            let travel = |from: &mut Node, to: &mut Node| {
                from.must(&["SELECT", db]);
                to.must(&["SELECT", db]);
                let Value::Bulk(payload) = from.must(&["DUMP", key]) else { panic!("a payload") };
                to.must(&[&b"RESTORE"[..], key.as_bytes(), b"0", &payload]);
            };
            travel(&mut redix, &mut real);
            travel(&mut real, &mut back);
        }
        run(&mut back, "SELECT 0");
        run(&mut back, &format!("PEXPIREAT all {}", FAR_MS + 1));
        assert_eq!(describe(&mut back), lines, "{}", peer.name());
    }
}

/// Makes `replica` follow `primary`, and waits until it does.
fn follow(primary: &Node, replica: &mut Node) {
    run(replica, &format!("REPLICAOF 127.0.0.1 {}", primary.server.port()));
    eventually("the replica is linked", || {
        run(replica, "INFO replication").pretty().contains("master_link_status:up")
    });
}

/// Waits until both have the same fields, also those that expire meanwhile.
fn wait_same(primary: &mut Node, replica: &mut Node) {
    let route = format!("{} to {}", primary.peer.name(), replica.peer.name());
    eventually(&route, || {
        let len = |node: &mut Node| run(node, "HLEN plain").pretty();
        len(primary) == len(replica) && describe(primary) == describe(replica)
    });
}

/// Commands on fields with an expiry, as a primary's clients send them.
fn change(primary: &mut Node) {
    for line in [
        "HINCRBY few a 5",
        "HSETEX few PXAT 33000000000777 FIELDS 1 b 3",
        "HGETEX few EXAT 33000000001 FIELDS 2 b none",
        "HINCRBYFLOAT few 1.5 2",
        "HPERSIST few FIELDS 1 3",
        "HSETEX few KEEPTTL FIELDS 2 b 4 new 5",
        "HEXPIREAT few 1 FIELDS 1 new",
        "HGETDEL few FIELDS 1 long",
        "HSET many field:0 overwritten",
        "HDEL many field:2",
        "HPEXPIRE many 1 FIELDS 3 field:4 field:6 field:7",
        "HPEXPIRE plain 1 FIELDS 2 a b",
        "RENAME all renamed",
        "COPY renamed all",
    ] {
        run(primary, line);
    }
}

#[test]
fn replicas_get_the_expiries_of_fields() {
    for peer in peers() {
        for diskless in ["yes", "no"] {
            for (from, to) in [(peer, Peer::Redix), (Peer::Redix, peer), (Peer::Redix, Peer::Redix)]
            {
                let args = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"];
                let (mut primary, lines) = filled(from, &args);
                let mut replica = Node::start(to, &[]);
                follow(&primary, &mut replica);
                let route = format!("{} to {}", from.name(), to.name());
                assert_eq!(describe(&mut replica), lines, "{route}");
                change(&mut primary);
                wait_same(&mut primary, &mut replica);
            }
        }
    }
}

/// What expired while a server was down is removed when it loads its file; a hash that has lost all
/// of its fields is not there.
#[test]
fn expired_fields_are_not_loaded() {
    let mut redix = Node::start(Peer::Redix, &[]);
    run(&mut redix, "DEBUG SET-ACTIVE-EXPIRE 0");
    run(&mut redix, "HSET some a 1 b 2 c 3");
    run(&mut redix, "HSET none a 1 b 2");
    run(&mut redix, "HPEXPIRE some 1 FIELDS 2 a b");
    run(&mut redix, "HPEXPIRE none 1 FIELDS 2 a b");
    eventually("they have expired", || {
        run(&mut redix, "HKEYS some").pretty() == "1) \"c\""
            && run(&mut redix, "HKEYS none").pretty() == "(empty array)"
    });
    assert_eq!(run(&mut redix, "HLEN some").pretty(), "(integer) 3");
    let file = redix.save();
    let dir = TempDir::new("fields").unwrap();
    std::fs::copy(file, dir.path().join("dump.rdb")).unwrap();
    let mut loaded = Node::start(Peer::Redix, &["--dir", dir.path().to_str().unwrap()]);
    assert_eq!(run(&mut loaded, "HLEN some").pretty(), "(integer) 1");
    assert_eq!(run(&mut loaded, "EXISTS none").pretty(), "(integer) 0");
    let log = loaded.server.log();
    assert!(log.contains("all fields expired hashes: 1"), "{log}");
}
