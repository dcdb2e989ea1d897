//! Wipe protection: a primary that restarts without its data does not cost its replicas theirs.

use redix_resp::Value;
use redix_testkit::{Client, Peer, Proxy};

use super::links::setting;
use super::node::{Node, assert_same};

/// Restarts in a test run; the long check has a hundred (`REDIX_WIPE_ROUNDS`).
const ROUNDS: u64 = 4;
const LOADS: [&str; 4] = ["disabled", "swapdb", "flush-before-load", "on-empty-db"];

/// Kills a primary, which a supervisor restarts on its port. It has no persistence.
fn restart_empty(primary: &mut Node) {
    primary.server.kill9().unwrap();
    // Left by a time as replica; often there is none.
    std::fs::remove_file(primary.server.dir().join("dump.rdb")).ok();
    primary.server.restart().unwrap();
    primary.client = Client::connect(primary.server.addr()).unwrap();
    assert_eq!(primary.must("DBSIZE"), Value::Int(0));
}

fn pair(primary: Peer, replica: Peer, args: &[&str]) -> (Node, Node) {
    let mut primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, args);
    primary.must("MSET a 1 b 2 c 3");
    replica.follow(primary.server.addr());
    replica.wait_linked();
    primary.wait_for("connected_slaves", "1");
    (primary, replica)
}

fn refuses(replica: &mut Node, why: &str) {
    replica.wait_for("master_link_refused", why);
    assert_eq!(replica.info("master_link_status").unwrap(), "down");
    let log = replica.server.log();
    assert!(log.contains("The data set of PRIMARY 127.0.0.1:"), "{log}");
}

/// A primary is killed and restarted empty, again and again: its replica keeps everything, is
/// promoted, and gives it back.
fn restarts(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica, &[]);
    let mut keys = 3;
    let rounds = setting("REDIX_WIPE_ROUNDS", ROUNDS);
    for (round, load) in (0..rounds).zip(LOADS.into_iter().cycle()) {
        replica.must(&format!("CONFIG SET repl-diskless-load {load}"));
        for _ in 0..=round % 3 {
            primary.must(&format!("SET key:{keys} {round}"));
            keys += 1;
        }
        assert_eq!(primary.ask("WAIT 1 10000"), "(integer) 1");
        let content = replica.content();
        assert_eq!(content.len(), keys);
        restart_empty(&mut primary);
        refuses(&mut replica, "empty_dataset");
        assert_eq!(replica.content(), content, "round {round}, {load}");
        // The operator promotes the replica, and the primary gets its data back.
        replica.must("REPLICAOF NO ONE");
        primary.follow(replica.server.addr());
        primary.wait_linked();
        primary.must("REPLICAOF NO ONE");
        replica.follow(primary.server.addr());
        replica.wait_linked();
        assert_same(&mut primary, &mut replica);
        assert_eq!(replica.content(), content, "round {round}, {load}");
        assert_eq!(replica.info("master_link_refused"), None);
    }
}
for_pairs!(restarts: redix_redix, redis7_redix, valkey_redix);

/// The same data set is refused until REPLICAOF is sent again, although its primary is written to.
fn consent(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica, &[]);
    restart_empty(&mut primary);
    refuses(&mut replica, "empty_dataset");
    primary.must("SET anew 1");
    replica.wait_for("master_link_refusals", "2");
    assert_eq!(replica.ask("MGET a anew"), "1) \"1\"\n2) (null)");
    let port = primary.server.port();
    let again = replica.ask(&format!("REPLICAOF 127.0.0.1 {port}"));
    assert_eq!(again, "+OK Already connected to specified master");
    replica.wait_linked();
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("MGET a anew"), "1) (null)\n2) \"1\"");
    // It does not outlast the next time that the link is in sync.
    restart_empty(&mut primary);
    refuses(&mut replica, "empty_dataset");
    replica.must("CONFIG SET replica-protect no");
    replica.wait_linked();
    assert_eq!(replica.must("DBSIZE"), Value::Int(0));
}
for_pairs!(consent: redix_redix, redis7_redix, valkey_redix);

/// A primary that is written to before its replicas are back is judged by its history.
fn strict(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    let mut replicas = ["strict", "yes", "no"].map(|mode| {
        let mut replica = Node::start(replica, &["--replica-protect", mode]);
        replica.follow(proxy.addr());
        replica.wait_linked();
        replica
    });
    primary.wait_for("connected_slaves", "3");
    primary.must("MSET a 1 b 2 c 3");
    assert_eq!(primary.ask("WAIT 3 10000"), "(integer) 3");
    proxy.sever();
    restart_empty(&mut primary);
    primary.must("SET anew 1");
    proxy.restore();
    let [strict, yes, no] = &mut replicas;
    for replica in [yes, no] {
        replica.wait_linked();
        assert_eq!(replica.ask("MGET a anew"), "1) (null)\n2) \"1\"");
    }
    refuses(strict, "less_history");
    assert_eq!(strict.ask("MGET a anew"), "1) \"1\"\n2) (null)");
    strict.follow(proxy.addr());
    strict.wait_linked();
    assert_same(&mut primary, strict);
}
for_pairs!(strict: redix_redix, redis7_redix, valkey_redix);

/// Below a replica that refuses, nothing happens; below one that accepts, each decides for itself.
fn a_chain(primary: Peer, replica: Peer) {
    let (mut first, mut middle) = pair(primary, replica, &[]);
    let mut last = Node::start(Peer::Redix, &[]);
    last.follow(middle.server.addr());
    last.wait_linked();
    restart_empty(&mut first);
    refuses(&mut middle, "empty_dataset");
    middle.wait_for("master_link_refusals", "2");
    assert_eq!(last.info("master_link_status").unwrap(), "up");
    assert_eq!(middle.number("sync_full"), 1);
    assert_eq!((middle.ask("GET a"), last.ask("GET a")), ("\"1\"".into(), "\"1\"".into()));
    middle.follow(first.server.addr());
    middle.wait_linked();
    assert_eq!(middle.must("DBSIZE"), Value::Int(0));
    refuses(&mut last, "empty_dataset");
    assert_eq!(last.ask("GET a"), "\"1\"");
    last.follow(middle.server.addr());
    last.wait_linked();
    assert_eq!(last.must("DBSIZE"), Value::Int(0));
}
for_pairs!(a_chain: redix_redix, valkey_redix);

/// A replica that restarts with its data set is protected if the files say that this was received.
fn a_restarted_replica(primary: Peer, replica: Peer) {
    for files in [["--save", "3600 1"], ["--appendonly", "yes"]] {
        let mut primary = Node::start(primary, &[]);
        let port = primary.server.port();
        primary.must("MSET a 1 b 2 c 3");
        let to = format!("127.0.0.1 {port}");
        let args = [&files[..], &["--replicaof", &to]].concat();
        let mut replica = Node::start(replica, &args);
        replica.wait_linked();
        replica.wait_for("aof_rewrite_in_progress", "0");
        if files[0] == "--save" {
            replica.must("SAVE");
        }
        replica.server.kill9().unwrap();
        restart_empty(&mut primary);
        replica.server.restart().unwrap();
        replica.client = Client::connect(replica.server.addr()).unwrap();
        refuses(&mut replica, "empty_dataset");
        assert_eq!(replica.ask("GET a"), "\"1\"");
    }
}
for_pairs!(a_restarted_replica: redix_redix, valkey_redix);

/// What is in the files is no primary's: the configured one is consent.
fn a_new_replica(primary: Peer, replica: Peer) {
    let primary = Node::start(primary, &[]);
    let mut replica = Node::start(replica, &[]);
    replica.must("SET own 1");
    replica.must("SAVE");
    let to = format!("127.0.0.1 {}", primary.server.port());
    replica.server.restart_with(&["--replicaof", &to]).unwrap();
    replica.client = Client::connect(replica.server.addr()).unwrap();
    replica.wait_linked();
    assert_eq!(replica.must("DBSIZE"), Value::Int(0));
}
for_pairs!(a_new_replica: redix_redix, valkey_redix);
