//! Servers that restart from an append-only file and continue the stream where it was.

use redix_resp::Value;
use redix_testkit::{Client, Peer, Rng};

use super::links::setting;
use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::eventually;

const SEED: u64 = 83;
/// Restarts in a test run; the long check has more (`REDIX_RESTARTS`).
const RESTARTS: u64 = 4;
const BACKLOG: [&str; 4] = ["--repl-backlog-size", "64mb", "--repl-ping-replica-period", "1"];

/// How a process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    Shutdown,
}

fn restart(node: &mut Node, end: End) {
    match end {
        End::Killed => node.server.kill9().unwrap(),
        End::Shutdown => {
            // There is no reply.
            node.client.cmd(&["SHUTDOWN"]).ok();
            node.server.wait_for_exit().unwrap();
        }
    }
    node.server.restart().unwrap();
    node.client = Client::connect(node.server.addr()).unwrap();
}

/// Waits until the file is that of the present data set.
fn wait_for_file(node: &mut Node) {
    eventually("the first rewrite ends", || {
        let fields = ["aof_enabled", "aof_rewrite_scheduled", "aof_rewrite_in_progress"];
        fields.map(|field| node.number(field)) == [1, 0, 0]
    });
}

/// What is in the stream beside writes of keys.
fn say_more(primary: &mut Node) {
    primary.must("PUBLISH news one");
    primary.must("WAIT 1 1");
    for words in ["MULTI", "SET t:1 1", "INCR t:2", "PUBLISH news two", "SET t:3 1 PX 50", "EXEC"] {
        primary.must(words);
    }
    primary.must("SELECT 5");
    primary.must("APPEND five x");
    primary.must("SELECT 0");
}

/// A replica with a file restarts under writes and resumes each time.
fn of_a_replica(primary: Peer, replica: Peer) {
    let seed = setting("REDIX_RESTART_SEED", SEED);
    eprintln!("seed {seed}");
    let mut rng = Rng::new(seed);
    let mut primary = Node::start(primary, &BACKLOG);
    let to = format!("127.0.0.1 {}", primary.server.port());
    let mut replica = Node::start(replica, &["--appendonly", "yes", "--replicaof", &to]);
    replica.wait_linked();
    wait_for_file(&mut replica);
    let traffic = Traffic::start(primary.server.addr(), rng.next_u64());
    for round in 1..=setting("REDIX_RESTARTS", RESTARTS) {
        say_more(&mut primary);
        traffic.wait_for_writes(1 + rng.below(3000) as u64);
        if round % 3 == 0 {
            replica.must("BGREWRITEAOF");
        }
        let end = if rng.below(2) == 0 { End::Killed } else { End::Shutdown };
        restart(&mut replica, end);
        primary.wait_for("sync_partial_ok", &round.to_string());
        replica.wait_linked();
    }
    traffic.stop();
    say_more(&mut primary);
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), 1);
    // What is in the file is what is in memory, although nothing comes to mend it.
    let content = replica.content();
    primary.server.stop().unwrap();
    restart(&mut replica, End::Killed);
    assert_eq!(replica.content(), content);
}
for_pairs!(of_a_replica: redix_redix, redis7_redix, valkey_redix);

/// After SHUTDOWN, which waits for replicas, a primary with a file gets them back without a full
/// synchronisation.
fn of_a_primary(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[&BACKLOG[..], &["--appendonly", "yes"]].concat());
    let mut replicas = [0; 2].map(|_| Node::start(replica, &["--repl-timeout", "20"]));
    for replica in &mut replicas {
        replica.follow(primary.server.addr());
        replica.wait_linked();
    }
    for round in 0..setting("REDIX_RESTARTS", RESTARTS) {
        let traffic = Traffic::start(primary.server.addr(), SEED + round);
        traffic.wait_for_writes(2000);
        say_more(&mut primary);
        if round % 3 == 1 {
            primary.must("BGREWRITEAOF");
        }
        traffic.stop();
        restart(&mut primary, End::Shutdown);
        for replica in &mut replicas {
            assert_same(&mut primary, replica);
        }
        assert_eq!((primary.number("sync_full"), primary.number("sync_partial_ok")), (0, 2));
    }
}
for_pairs!(of_a_primary: redix_redix, redix_redis7, redix_valkey);

/// Killed under writes, it gets its replicas back in one way or the other, and they are the same.
fn of_a_killed_primary(primary: Peer, replica: Peer) {
    let seed = setting("REDIX_RESTART_SEED", SEED);
    eprintln!("seed {seed}");
    let mut rng = Rng::new(seed);
    let mut primary = Node::start(primary, &[&BACKLOG[..], &["--appendonly", "yes"]].concat());
    let mut replica = Node::start(replica, &["--repl-timeout", "20"]);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    for round in 0..setting("REDIX_RESTARTS", RESTARTS) {
        let traffic = Traffic::start(primary.server.addr(), rng.next_u64());
        traffic.wait_for_writes(1 + rng.below(3000) as u64);
        if round % 3 == 1 {
            primary.must("BGREWRITEAOF");
        }
        primary.server.kill9().unwrap();
        traffic.abandon();
        primary.server.restart().unwrap();
        primary.client = Client::connect(primary.server.addr()).unwrap();
        say_more(&mut primary);
        assert_same(&mut primary, &mut replica);
    }
}
for_pairs!(of_a_killed_primary: redix_redix, redix_redis7, redix_valkey);

/// A replica that has got further than the file of its primary is not resumed.
fn of_a_primary_that_has_lost_something(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[&BACKLOG[..], &["--appendonly", "yes"]].concat());
    let mut replica = Node::start(replica, &[]);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    primary.must("SET kept 1");
    assert_eq!(primary.ask("WAIT 1 10000"), "(integer) 1");
    assert_eq!(primary.ask("WAITAOF 1 0 10000"), "1) (integer) 1\n2) (integer) 0");
    // Writing stands still behind the next write.
    primary.must("DEBUG AOF-FLUSH-SLEEP 30000000");
    primary.must("SET lost 1");
    assert_eq!(primary.ask("WAIT 1 10000"), "(integer) 1");
    assert_eq!(replica.ask("GET lost"), "\"1\"");
    restart(&mut primary, End::Killed);
    assert_same(&mut primary, &mut replica);
    assert_eq!(replica.ask("MGET kept lost"), "1) \"1\"\n2) (null)");
    assert_eq!(primary.number("sync_full"), 1);
}
for_pairs!(of_a_primary_that_has_lost_something: redix_redix, redix_redis7, redix_valkey);

/// Files that consist of a base alone continue a stream in the database that it has selected.
fn from_a_base_alone(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &BACKLOG);
    let to = format!("127.0.0.1 {}", primary.server.port());
    let mut replica = Node::start(replica, &["--replicaof", &to]);
    replica.wait_linked();
    primary.must("SELECT 3");
    primary.must("SET before 1");
    eventually("the write arrives", || {
        replica.number("slave_repl_offset") > 20 && {
            replica.must("SELECT 3");
            replica.ask("GET before") == "\"1\""
        }
    });
    replica.must("BGREWRITEAOF");
    replica.wait_for("aof_rewrite_in_progress", "0");
    replica.server.kill9().unwrap();
    replica
        .server
        .restart_with(&["--enable-debug-command", "yes", "--appendonly", "yes", "--replicaof", &to])
        .unwrap();
    replica.client = Client::connect(replica.server.addr()).unwrap();
    replica.wait_linked();
    primary.must("SET after 1");
    assert_same(&mut primary, &mut replica);
    restart(&mut replica, End::Shutdown);
    assert_same(&mut primary, &mut replica);
    replica.must("SELECT 3");
    assert_eq!(replica.must("DBSIZE"), Value::Int(2));
    assert_eq!(primary.number("sync_full"), 1);
}
for_pairs!(from_a_base_alone: redix_redix, redis7_redix, valkey_redix);

/// What a script writes for the append-only file alone, or for replicas alone.
fn of_writes_for_some(primary: Peer, replica: Peer) {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let is_redix = primary == Peer::Redix;
    let (mut primary, mut replica) = (Node::start(primary, &always), Node::start(replica, &[]));
    wait_for_file(&mut primary);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    let eval = |node: &mut Node, script: &str| {
        node.client.must(&["EVAL", script, "0"]).unwrap();
    };
    eval(
        &mut primary,
        "redis.call('set', 'all', 1) redis.set_repl(redis.REPL_NONE) redis.call('set', 'none', 1) \
         redis.set_repl(redis.REPL_AOF) redis.call('set', 'file', 1) \
         redis.call('select', 3) redis.call('set', 'file', 1) redis.call('select', 0) \
         redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'replica', 1) \
         redis.set_repl(redis.REPL_ALL) redis.call('set', 'all2', 1)",
    );
    eval(&mut primary, "redis.set_repl(redis.REPL_AOF) redis.call('set', 'file2', 1)");
    let ask = |node: &mut Node| {
        [node.ask("MGET all none file replica all2 file2"), {
            node.must("SELECT 3");
            let there = node.ask("EXISTS file");
            node.must("SELECT 0");
            there
        }]
        .join(" ")
        .replace('\n', " ")
    };
    eventually("the replica has what is for it", || {
        ask(&mut replica) == r#"1) "1" 2) (null) 3) (null) 4) "1" 5) "1" 6) (null) (integer) 0"#
    });
    restart(&mut primary, End::Killed);
    assert_eq!(ask(&mut primary), r#"1) "1" 2) (null) 3) "1" 4) (null) 5) "1" 6) "1" (integer) 1"#);
    if is_redix {
        // The offsets are those of the replica's stream.
        replica.wait_linked();
        eventually("it goes on", || primary.number("sync_partial_ok") == 1);
        assert_eq!(primary.number("sync_full"), 0);
        primary.must("SET more 1");
        eventually("it has all", || {
            primary.number("master_repl_offset") == replica.number("master_repl_offset")
        });
        assert_eq!(replica.ask("GET more"), "\"1\"");
    }
}
for_pairs!(of_writes_for_some: redix_redix, redix_valkey, valkey_valkey);
