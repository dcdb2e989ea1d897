//! Locks with fencing tokens on replicas, and their tokens across changes of role and restarts.

use redix_resp::Value;
use redix_testkit::Peer;

use super::node::{Node, assert_same};

/// A token far ahead of all clocks, as if they had been set back since it was issued.
const AHEAD: i64 = 4_000_000_000_000_000;

fn acquire(node: &mut Node, lock: &str, owner: &str) -> i64 {
    match node.must(&format!("LOCK.ACQUIRE {lock} {owner} 900000")) {
        Value::Int(token) => token,
        other => panic!("no token but {}", other.pretty()),
    }
}

/// A primary that has issued a token far ahead of its clock. Nothing in its data tells of it.
fn far_ahead() -> Node {
    let mut node = Node::start(Peer::Redix, &[]);
    node.must(&format!("SET forged lock:{AHEAD}:nobody PX 900000"));
    let Value::Bulk(payload) = node.must("DUMP forged") else { panic!("a payload") };
    node.must("DEL forged");
    node.client.must(&[&b"RESTORE"[..], b"forged", b"900000", &payload]).unwrap();
    node.must("DEL forged");
    assert_eq!(acquire(&mut node, "first", "one"), AHEAD + 1);
    assert_eq!(node.ask("LOCK.RELEASE first one"), "(integer) 1");
    node
}

/// What a replica has to be told of locks, it is told by plain commands.
fn locks_are_replicated(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    acquire(&mut primary, "by_snapshot", "one");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    let token = acquire(&mut primary, "held", "one");
    acquire(&mut primary, "released", "one");
    primary.must("LOCK.EXTEND held one 1200000");
    primary.must("LOCK.RELEASE released one");
    primary.must("MULTI");
    primary.must("LOCK.ACQUIRE queued one 900000");
    primary.must("LOCK.ACQUIRE held two 900000");
    primary.must("EXEC");
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("GET held"), format!("\"lock:{token}:one\""));
    let Value::Int(ttl_ms) = replica.must("PTTL held") else { panic!("a number") };
    assert!((900_001..=1_200_000).contains(&ttl_ms), "{ttl_ms}");
    assert_eq!(replica.ask("EXISTS released"), "(integer) 0");
}
for_pairs!(locks_are_replicated: redix_redix, redix_redis7, redix_valkey);

/// A replica that is promoted continues the tokens, whether it has seen them in the stream or has
/// received the data set afterwards.
#[test]
fn a_promoted_replica_continues_the_tokens() {
    for by_stream in [true, false] {
        let mut replica = Node::start(Peer::Redix, &[]);
        let mut primary = far_ahead();
        if by_stream {
            replica.follow(primary.server.addr());
            replica.wait_linked();
        }
        let token = acquire(&mut primary, "lock", "one");
        primary.must("LOCK.RELEASE lock one");
        if !by_stream {
            replica.follow(primary.server.addr());
            replica.wait_linked();
        }
        assert_same(&mut primary, &mut replica);
        replica.must("REPLICAOF NO ONE");
        assert_eq!(acquire(&mut replica, "lock", "two"), token + 1);
    }
}

/// The same with a real server between them, which keeps no record but the values of locks.
#[test]
fn tokens_pass_through_a_real_server() {
    for peer in [Peer::Redis7, Peer::Valkey] {
        if !peer.available_or_skip() {
            continue;
        }
        for by_stream in [true, false] {
            let mut first = far_ahead();
            let mut middle = Node::start(peer, &[]);
            let mut last = Node::start(Peer::Redix, &[]);
            middle.follow(first.server.addr());
            middle.wait_linked();
            if by_stream {
                last.follow(middle.server.addr());
                last.wait_linked();
            }
            let token = acquire(&mut first, "lock", "one");
            if !by_stream {
                assert_same(&mut first, &mut middle);
                last.follow(middle.server.addr());
                last.wait_linked();
            }
            assert_same(&mut first, &mut last);
            last.must("REPLICAOF NO ONE");
            assert_eq!(last.ask("LOCK.ACQUIRE lock two 900000"), "(null)");
            last.must("LOCK.RELEASE lock one");
            assert_eq!(acquire(&mut last, "lock", "two"), token + 1);
        }
    }
}

/// A saved server continues its tokens; one that has lost them starts from its clock.
#[test]
fn a_restarted_server_continues_its_tokens() {
    for saves in [true, false] {
        let mut node = far_ahead();
        let token = acquire(&mut node, "lock", "one");
        node.must("FLUSHALL");
        if saves {
            node.must("BGSAVE");
            node.wait_for("rdb_bgsave_in_progress", "0");
        }
        node.server.kill9().unwrap();
        node.server.restart().unwrap();
        node.client = redix_testkit::Client::connect(node.server.addr()).unwrap();
        let next = acquire(&mut node, "lock", "two");
        let now = node.must("TIME");
        let Value::Array(now) = now else { panic!("two numbers") };
        let seconds: i64 = now[0].pretty().trim_matches('"').parse().unwrap();
        if saves {
            assert_eq!(next, token + 1);
        } else {
            assert!((0..100).contains(&(seconds - next / 1_000_000)), "{next} at {seconds}");
        }
    }
}
