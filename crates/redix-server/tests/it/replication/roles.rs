//! Changes of role, and the data across them.

use redix_testkit::Peer;

use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::eventually;

const SEED: u64 = 59;

fn pair(primary: Peer, replica: Peer) -> (Node, Node) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    primary.wait_for("connected_slaves", "1");
    (primary, replica)
}

/// The session shown in the README.
fn a_session(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    primary.must("SET before 1");
    replica.must("SET own 1");
    let port = primary.server.port();
    assert_eq!(replica.ask(&format!("REPLICAOF 127.0.0.1 {port}")), "+OK");
    replica.wait_linked();
    primary.must("SET after 2");
    eventually("the write arrives", || replica.ask("GET after") == "\"2\"");
    assert_eq!(replica.ask("GET before"), "\"1\"");
    assert_eq!(replica.ask("GET own"), "(null)");
    assert_eq!(primary.ask("WAIT 1 1000"), "(integer) 1");
    assert!(replica.ask("SET own 2").starts_with("-READONLY "));
    assert_eq!(primary.info("role").unwrap(), "master");
    assert_eq!(primary.number("connected_slaves"), 1);
    let line = primary.info("slave0").unwrap();
    let start = format!("ip=127.0.0.1,port={},state=online,offset=", replica.server.port());
    assert!(line.starts_with(&start), "{line}");
    assert_eq!(replica.info("role").unwrap(), "slave");
    assert_eq!(replica.number("master_port"), u64::from(port));
    let links = [replica.ask("CLIENT LIST TYPE master"), primary.ask("CLIENT LIST TYPE replica")];
    for (link, user) in links.iter().zip(["(superuser)", "default"]) {
        assert!(link.contains(&format!(" user={user} ")) && !link.contains(" fd=-1 "), "{link}");
    }
    let letter = |node: &Node, words: &str| {
        let log = node.server.log();
        let line = log.lines().rfind(|line| line.contains(words)).map(str::to_owned);
        line.unwrap().split(':').nth(1).unwrap().chars().next()
    };
    assert_eq!(letter(&replica, "REPLICAOF 127.0.0.1"), Some('S'));
    assert_eq!(replica.ask("REPLICAOF NO ONE"), "+OK");
    assert_eq!(letter(&replica, "MODE enabled"), Some('M'));
    assert_eq!(replica.info("role").unwrap(), "master");
    assert_eq!(replica.ask("SET own 2"), "+OK");
    assert_eq!(replica.ask("GET after"), "\"2\"");
    primary.wait_for("connected_slaves", "0");
}
for_pairs!(a_session);

/// The log names the client and the command that changed the role.
fn the_log_names_who_asked(primary: Peer, replica: Peer) {
    let primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    replica.must("PING");
    replica.follow(primary.server.addr());
    replica.must("PING");
    replica.must("REPLICAOF NO ONE");
    let log = replica.server.log();
    for what in ["REPLICAOF 127.0.0.1:", " MODE enabled"] {
        let line = log.lines().find(|line| line.contains(what)).unwrap();
        assert!(line.contains(" enabled (user request from 'id="), "{line}");
        assert!(line.contains(" cmd=replicaof "), "{line}");
    }
}
for_pairs!(the_log_names_who_asked: redix_redix);

/// A client that is blocked on a server that becomes a replica gets an error and is closed,
/// whatever it had pipelined.
fn who_waits_is_sent_away(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    let mut waiting = redix_testkit::Client::connect(replica.server.addr()).unwrap();
    waiting.send(&["WAIT", "1", "0"]).unwrap();
    waiting.send(&["PING"]).unwrap();
    replica.wait_for("blocked_clients", "1");
    replica.follow(primary.server.addr());
    let told = waiting.reply().unwrap().pretty();
    assert!(told.starts_with("-UNBLOCKED force unblock from blocking operation, "), "{told}");
    assert!(waiting.is_closed_by_peer().unwrap());
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
}
for_pairs!(who_waits_is_sent_away: redix_redix);

/// A promoted replica continues its history: its former primary resumes from it, and back.
fn roles_change_back_and_forth(one: Peer, other: Peer) {
    let (mut primary, mut replica) = pair(one, other);
    for turn in 0..3 {
        let traffic = Traffic::start(primary.server.addr(), SEED + turn);
        traffic.wait_for_writes(2000);
        traffic.stop();
        assert_same(&mut primary, &mut replica);
        let (old, partial) = (primary.info("master_replid"), replica.number("sync_partial_ok"));
        let full = replica.number("sync_full");
        replica.must("REPLICAOF NO ONE");
        assert_eq!(replica.info("master_replid2"), old);
        primary.follow(replica.server.addr());
        primary.wait_linked();
        replica.wait_for("sync_partial_ok", &(partial + 1).to_string());
        assert_eq!(replica.number("sync_full"), full, "it took everything anew");
        (primary, replica) = (replica, primary);
    }
    primary.must("SET last word");
    assert_same(&mut primary, &mut replica);
}
for_pairs!(roles_change_back_and_forth);

/// A former primary with writes of its own has another history: it resynchronises fully.
fn a_history_that_parted_is_not_continued(one: Peer, other: Peer) {
    let (mut old, mut new) = pair(one, other);
    old.must("SET shared 1");
    assert_same(&mut old, &mut new);
    new.must("REPLICAOF NO ONE");
    old.must("SET lost 1");
    new.must("SET kept 1");
    old.follow(new.server.addr());
    old.wait_linked();
    new.wait_for("sync_full", "1");
    assert_eq!(old.ask("EXISTS lost kept shared"), "(integer) 2");
    assert_same(&mut new, &mut old);
}
for_pairs!(a_history_that_parted_is_not_continued: redix_redix, redix_valkey, valkey_redix);

/// A replica that has saved and was restarted resumes.
fn a_restarted_replica_goes_on(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--repl-backlog-size", "64mb"]);
    let port = primary.server.port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port, "--save", "3600", "1"];
    let mut replica = Node::start(replica, &args);
    replica.wait_linked();
    let traffic = Traffic::start(primary.server.addr(), SEED);
    traffic.wait_for_writes(1000);
    assert_eq!(replica.server.stop().unwrap().code(), Some(0));
    traffic.wait_for_writes(1000);
    replica.server.restart().unwrap();
    replica.client = redix_testkit::Client::connect(replica.server.addr()).unwrap();
    replica.wait_linked();
    traffic.stop();
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), 1);
    assert_eq!(primary.number("sync_partial_ok"), 1);
}
for_pairs!(a_restarted_replica_goes_on: redix_redix, redis7_redix, valkey_redix);

/// A replica's replicas learn the new replication id when it is promoted, without a full
/// resynchronisation.
fn a_promotion_reaches_the_next(middle: Peer, last: Peer) {
    let mut first = Node::start(middle, &[]);
    let mut middle = Node::start(middle, &[]);
    let mut last = Node::start(last, &[]);
    middle.follow(first.server.addr());
    middle.wait_linked();
    last.follow(middle.server.addr());
    last.wait_linked();
    first.must("SET a 1");
    assert_same(&mut first, &mut last);
    middle.must("REPLICAOF NO ONE");
    middle.must("SET b 2");
    last.wait_linked();
    assert_same(&mut middle, &mut last);
    assert_eq!(last.info("master_replid2"), first.info("master_replid"));
    assert_eq!(middle.number("sync_full"), 1);
}
for_pairs!(a_promotion_reaches_the_next: redix_redix, redix_redis7, valkey_redix);
