//! Idempotent XADD on replicas, and after a change of roles.

use redix_testkit::Peer;

use super::node::{Node, assert_same};

/// Adds an entry for a producer; its ID.
fn add(node: &mut Node, iid: &str) -> String {
    node.must(&format!("XADD s IDMP producer {iid} * f {iid}")).pretty()
}

/// A replica of today is told plain commands, and errors at none.
fn entries_of_producers_are_replicated(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    add(&mut primary, "before");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    for iid in ["a", "b", "a"] {
        add(&mut primary, iid);
    }
    primary.must("XADD s IDMPAUTO producer MAXLEN ~ 100 * f v");
    primary.must("XCFGSET s IDMP-DURATION 500");
    primary.must("MULTI");
    add(&mut primary, "c");
    primary.must("EXEC");
    let id = add(&mut primary, "d");
    primary.must(&format!("XIDMPRECORD s other d {}", id.trim_matches('"')));
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("XLEN s"), "(integer) 6");
    let stats = replica.ask("INFO commandstats");
    let xack = stats.split("\\r\\n").find(|line| line.starts_with("cmdstat_xack:")).unwrap();
    assert!(xack.contains("calls=7,") && xack.contains("failed_calls=0"), "{xack}");
}
for_pairs!(entries_of_producers_are_replicated: redix_redix, redix_redis7, redix_valkey);

/// What was added before a replica is promoted is known there: from the data set, and from the
/// stream, even by way of a real server.
#[test]
fn a_promoted_replica_knows_repetitions() {
    for between in [None, Some(Peer::Redix), Some(Peer::Redis7), Some(Peer::Valkey)] {
        if between.is_some_and(|peer| peer != Peer::Redix && !peer.available_or_skip()) {
            continue;
        }
        let mut first = Node::start(Peer::Redix, &[]);
        let mut last = Node::start(Peer::Redix, &[]);
        // A real server hands on what it has received, but not what it does not keep itself.
        let by_file = add(&mut first, "by_file");
        let middle = between.map(|peer| Node::start(peer, &[]));
        let mut upstream = first.server.addr();
        let mut middle = middle.inspect(|node| upstream = node.server.addr());
        if let Some(middle) = &mut middle {
            middle.follow(first.server.addr());
            middle.wait_linked();
        }
        last.follow(upstream);
        last.wait_linked();
        let by_stream = add(&mut first, "by_stream");
        assert_same(&mut first, &mut last);
        last.must("REPLICAOF NO ONE");
        assert_eq!(add(&mut last, "by_stream"), by_stream, "{between:?}");
        let is_kept = matches!(between, None | Some(Peer::Redix));
        assert_eq!(add(&mut last, "by_file") == by_file, is_kept, "{between:?}");
    }
}

/// A restarted server knows what it has saved, in whichever form.
#[test]
fn a_restarted_server_knows_repetitions() {
    let log: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
    let commands = [log, &["--aof-use-rdb-preamble", "no"]].concat();
    for (args, command) in [
        (&[][..], "SAVE"),
        (&[], "BGSAVE"),
        (log, "PING"),
        (log, "BGREWRITEAOF"),
        (&commands, "BGREWRITEAOF"),
    ] {
        let mut node = Node::start(Peer::Redix, args);
        node.must("XGROUP CREATE s g 0 MKSTREAM");
        let known = [add(&mut node, "a"), add(&mut node, "b")];
        node.must("XREADGROUP GROUP g a STREAMS s >");
        for id in known.iter().rev() {
            node.must(&format!("XNACK s g FATAL IDS 1 {}", id.trim_matches('"')));
        }
        node.must("XADD t 1-1 f v");
        node.must("XCFGSET t IDMP-DURATION 5 IDMP-MAXSIZE 7");
        node.must(command);
        node.wait_for("rdb_bgsave_in_progress", "0");
        node.wait_for("aof_rewrite_in_progress", "0");
        let before = STATE.map(|command| node.ask(command));
        node.server.kill9().unwrap();
        node.server.restart().unwrap();
        node.client = redix_testkit::Client::connect(node.server.addr()).unwrap();
        assert_eq!(STATE.map(|command| node.ask(command)), before, "{args:?} {command}");
        for id in known.iter().rev() {
            let got = node.ask("XREADGROUP GROUP g b COUNT 1 CLAIM 1000000 STREAMS s >");
            assert!(got.contains(id), "{id}, but {got}, {args:?} {command}");
        }
        assert_eq!([add(&mut node, "a"), add(&mut node, "b")], known, "{args:?} {command}");
    }
}

const STATE: [&str; 4] =
    ["XPENDING s g - + 9", "XINFO STREAM s", "XINFO GROUPS s", "XINFO STREAM t"];
