//! Access control: passwords, read-only and stale replicas, `min-replicas-to-write`.

use redix_testkit::{Peer, Proxy};

use super::node::{Node, assert_same};

/// A primary with a password is followed by a replica that has it.
fn a_password(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--requirepass", "secret"]);
    let mut replica = Node::start(replica, &["--masterauth", "wrong"]);
    primary.must("AUTH secret");
    primary.must("SET a 1");
    replica.follow(primary.server.addr());
    crate::eventually("it is refused", || replica.server.log().contains("WRONGPASS"));
    assert_eq!(replica.info("master_link_status").unwrap(), "down");
    replica.must("CONFIG SET masterauth secret");
    replica.wait_linked();
    assert_eq!(replica.ask("GET a"), "\"1\"");
    replica.must("REPLICAOF NO ONE");
    replica.must("CONFIG SET masteruser default");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
}
for_pairs!(a_password: redix_redix, redix_redis7, valkey_redix);

/// A writable replica keeps its own writes until it resynchronises, and to itself.
fn a_writable_replica(primary: Peer, replica: Peer) {
    let mut below = Node::start(primary, &[]);
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &["--replica-read-only", "no"]);
    primary.must("SET a 1");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    below.follow(replica.server.addr());
    below.wait_linked();
    let offset = replica.number("master_repl_offset");
    replica.must("SET own 1");
    replica.must("SET a 2");
    assert_eq!(replica.ask("GET a"), "\"2\"");
    assert_eq!(replica.number("master_repl_offset"), offset);
    primary.must("SET b 1");
    assert_eq!(primary.ask("WAIT 1 5000"), "(integer) 1");
    crate::eventually("the write arrives", || below.ask("GET b") == "\"1\"");
    assert_eq!(below.ask("EXISTS own"), "(integer) 0");
    assert_eq!(replica.ask("EXISTS own b"), "(integer) 2");
    assert_same(&mut primary, &mut below);
    replica.must("CONFIG SET replica-read-only yes");
    let refused = "-READONLY You can't write against a read only replica.";
    assert_eq!(replica.ask("SET own 2"), refused);
    // An error while queueing, so that EXEC fails too.
    replica.must("MULTI");
    assert_eq!(replica.ask("SET own 2"), refused);
    assert!(replica.ask("EXEC").starts_with("-EXECABORT"));
}
for_pairs!(a_writable_replica: redix_redix, redix_redis7, valkey_redix);

/// A replica without its primary refuses to serve stale data if configured so.
fn stale_data(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replica = Node::start(replica, &["--replica-serve-stale-data", "no"]);
    primary.must("SET a 1");
    replica.follow(proxy.addr());
    replica.wait_linked();
    assert_eq!(replica.ask("GET a"), "\"1\"");
    let mut other = crate::connect(&replica.server);
    other.must(&["MULTI"]).unwrap();
    other.must(&["GET", "a"]).unwrap();
    proxy.sever();
    replica.wait_for("master_link_status", "down");
    let refused = other.cmd(&["EXEC"]).unwrap().pretty();
    assert!(refused.starts_with("-EXECABORT ") && refused.contains("MASTERDOWN"), "{refused}");
    assert!(replica.ask("GET a").starts_with("-MASTERDOWN "));
    assert_eq!(replica.ask("PING").split(' ').next(), Some("-MASTERDOWN"));
    replica.must("CONFIG SET replica-serve-stale-data yes");
    assert_eq!(replica.ask("GET a"), "\"1\"");
    proxy.restore();
    replica.wait_linked();
}
for_pairs!(stale_data: redix_redix, valkey_redix);

/// Writes need the configured number of replicas.
fn too_few_replicas(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--min-replicas-to-write", "1"]);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replica = Node::start(replica, &[]);
    let refused = "-NOREPLICAS Not enough good replicas to write.";
    assert_eq!(primary.ask("SET a 1"), refused);
    replica.follow(proxy.addr());
    replica.wait_linked();
    crate::eventually("the replica counts", || primary.ask("SET a 1") == "+OK");
    assert_eq!(primary.number("min_slaves_good_slaves"), 1);
    proxy.sever();
    primary.wait_for("connected_slaves", "0");
    assert_eq!(primary.ask("SET a 2"), refused);
    assert_eq!(primary.ask("GET a"), "\"1\"");
}
for_pairs!(too_few_replicas: redix_redix, redix_redis7);

/// An expired key is invisible to readers of a replica before the primary deletes it, and a replica
/// never deletes it itself.
fn expiry_is_the_primarys(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replica = Node::start(replica, &[]);
    replica.follow(proxy.addr());
    replica.wait_linked();
    // It must be deleted after the link is cut, however long that takes.
    primary.must("DEBUG SET-ACTIVE-EXPIRE 0");
    primary.must("SET a 1 PX 400");
    assert_eq!(primary.ask("WAIT 1 5000"), "(integer) 1");
    proxy.sever();
    crate::eventually("the key expires", || replica.ask("GET a") == "(null)");
    assert_eq!(replica.ask("EXISTS a"), "(integer) 0");
    assert_eq!(replica.ask("DBSIZE"), "(integer) 1");
    primary.must("DEBUG SET-ACTIVE-EXPIRE 1");
    proxy.restore();
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("DBSIZE"), "(integer) 0");
}
for_pairs!(expiry_is_the_primarys: redix_redix, redix_redis7, valkey_redix);
