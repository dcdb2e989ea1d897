//! Coordinated failovers, successful and not.

use std::net::SocketAddr;

use redix_resp::Value;
use redix_testkit::{Client, Peer, Proxy};

use super::node::{Node, assert_same};
use super::traffic::Traffic;
use crate::{eventually, signal};

const SEED: u64 = 61;
/// A database without deletions by the traffic.
const COUNTER_DB: &str = "15";
const READONLY: &str = "-READONLY You can't write against a read only replica.";

/// A primary and its replica, which is in sync.
fn pair(primary: Peer, replica: Peer) -> (Node, Node) {
    let mut primary = Node::start(primary, &[]);
    let replica = replica_of(&mut primary, replica, &[]);
    (primary, replica)
}

fn replica_of(primary: &mut Node, replica: Peer, args: &[&str]) -> Node {
    let mut replica = Node::start(replica, args);
    replica.follow(primary.server.addr());
    replica.wait_linked();
    primary.must("SET synced 1");
    let all = primary.number("connected_slaves");
    assert_eq!(primary.ask(&format!("WAIT {all} 10000")), format!("(integer) {all}"));
    replica
}

/// A replica that is stopped for a while, and therefore lags.
struct Stopped(u32);

impl Stopped {
    fn new(primary: &mut Node, replica: &Node) -> Self {
        let pid = replica.server.pid();
        signal(pid, "STOP");
        let this = Self(pid);
        // Each thread runs until it receives the signal.
        eventually("all threads are stopped", || {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            tasks.into_iter().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
                stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
            })
        });
        primary.must("SET unknown 1");
        this
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn fail_over(primary: &mut Node, to: SocketAddr, options: &str) {
    let line = format!("FAILOVER TO {} {} {options}", to.ip(), to.port());
    assert_eq!(primary.ask(line.trim_end()), "+OK");
}

fn state(node: &mut Node) -> String {
    node.info("master_failover_state").unwrap()
}

fn wait_until_over(old: &mut Node) {
    old.wait_for("master_failover_state", "no-failover");
}

fn assert_roles(primary: &mut Node, replica: &mut Node) {
    assert_eq!(primary.info("role").unwrap(), "master");
    assert_eq!(replica.info("role").unwrap(), "slave");
    assert_eq!(replica.number("master_port"), u64::from(primary.server.port()));
}

/// A connection with a command that is blocked until it is resumed.
fn held(node: &mut Node, lines: &[&str]) -> Client {
    let before = node.number("blocked_clients");
    let mut client = Client::connect(node.server.addr()).unwrap();
    let (last, first) = lines.split_last().unwrap();
    for line in first {
        client.must(&line.split(' ').collect::<Vec<_>>()).unwrap();
    }
    client.send(&last.split(' ').collect::<Vec<_>>()).unwrap();
    node.wait_for("blocked_clients", &(before + 1).to_string());
    client
}

fn answer(client: &mut Client) -> String {
    client.reply().unwrap().pretty()
}

/// Increments until it is refused; returns the last number.
fn count_up(addr: SocketAddr) -> std::thread::JoinHandle<i64> {
    std::thread::spawn(move || {
        let (mut client, mut last) = (Client::connect(addr).unwrap(), 0);
        client.must(&["SELECT", COUNTER_DB]).unwrap();
        loop {
            match client.cmd(&["INCR", "counter"]).unwrap() {
                Value::Int(number) => last = number,
                refused => {
                    assert_eq!(refused.pretty(), READONLY);
                    return last;
                }
            }
        }
    })
}

/// Under load: every acknowledged write survives, without a full resynchronisation.
fn nothing_is_lost(one: Peer, other: Peer) {
    let (mut primary, mut replica) = pair(one, other);
    for turn in 0..3 {
        let traffic = Traffic::start(primary.server.addr(), SEED + turn);
        let counter = count_up(primary.server.addr());
        traffic.wait_for_writes(1000);
        let (full, partial) = (replica.number("sync_full"), replica.number("sync_partial_ok"));
        let old = primary.info("master_replid");
        if turn == 1 {
            assert_eq!(primary.ask("FAILOVER"), "+OK");
        } else {
            fail_over(&mut primary, replica.server.addr(), "TIMEOUT 15000");
        }
        let last = counter.join().unwrap();
        wait_until_over(&mut primary);
        assert!(traffic.stop() > 0);
        replica.must(&format!("SELECT {COUNTER_DB}"));
        assert_eq!(replica.ask("GET counter"), format!("\"{last}\""));
        assert_roles(&mut replica, &mut primary);
        replica.must("SET after 1");
        assert_same(&mut replica, &mut primary);
        assert_eq!(replica.info("master_replid2"), old);
        assert_eq!(replica.number("sync_full"), full, "it took everything anew");
        assert_eq!(replica.number("sync_partial_ok"), partial + 1);
        (primary, replica) = (replica, primary);
    }
}
for_pairs!(nothing_is_lost);

/// Paused writes are refused after a failover; clients that follow redirections are not sent to a
/// server that does not know yet that it is the primary.
fn held_writes_are_refused_behind_it(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica);
    let mut one = Client::connect(primary.server.addr()).unwrap();
    let redirects = one.cmd(&["CLIENT", "CAPA", "redirect"]).unwrap().pretty() == "+OK";
    let primary = &mut primary;
    let addr = replica.server.addr();
    let mut blocked = held(primary, &["BRPOP list 0"]);
    let capable_blocked =
        redirects.then(|| held(primary, &["CLIENT CAPA redirect", "BRPOP list 0"]));
    let stopped = Stopped::new(primary, &replica);
    fail_over(primary, addr, "TIMEOUT 50 FORCE");
    let mut early = held(primary, &["SET early 1"]);
    primary.wait_for("master_failover_state", "failover-in-progress");
    // There is no primary at this moment.
    assert_eq!(primary.info("role").unwrap(), "slave");
    assert_eq!(primary.ask("SET late 1"), READONLY);
    assert_eq!(primary.ask("GET synced"), "\"1\"");
    let sent_on = redirects.then(|| {
        let capable = "CLIENT CAPA redirect";
        [held(primary, &[capable, "SET late 1"]), held(primary, &[capable, "GET synced"])]
    });
    drop(stopped);
    wait_until_over(primary);
    assert_eq!(answer(&mut early), READONLY);
    if let Some(mut client) = capable_blocked {
        assert_eq!(answer(&mut client), format!("-REDIRECT {addr}"));
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    assert!(answer(&mut blocked).starts_with("-UNBLOCKED "));
    for mut client in sent_on.into_iter().flatten() {
        assert_eq!(answer(&mut client), format!("-REDIRECT {addr}"));
    }
    assert_roles(&mut replica, primary);
    assert_same(&mut replica, primary);
    assert_eq!(replica.ask("EXISTS unknown early late"), "(integer) 1");
    assert!(primary.server.log().contains("time out exceeded, failing over."));
}
for_pairs!(held_writes_are_refused_behind_it);

/// Clients that CLIENT PAUSE holds too are held beyond a failover, until that pause ends: Sentinel
/// closes their connections before. What they send only then is refused at once by real servers
/// and held here, so that a client that is slow sees no error either.
fn a_longer_pause_holds_writes(primary: Peer, replica: Peer) {
    let is_redix = primary == Peer::Redix;
    let (mut primary, mut replica) = pair(primary, replica);
    let primary = &mut primary;
    primary.must("CLIENT PAUSE 600000 WRITE");
    let mut early = held(primary, &["SET early 1"]);
    fail_over(primary, replica.server.addr(), "TIMEOUT 15000");
    wait_until_over(primary);
    assert_roles(&mut replica, primary);
    let late = is_redix.then(|| held(primary, &["SET late 1"]));
    if late.is_none() {
        assert_eq!(primary.ask("SET late 1"), READONLY);
        assert_eq!(primary.number("blocked_clients"), 1);
    }
    primary.must("CLIENT UNPAUSE");
    assert_eq!(answer(&mut early), READONLY);
    if let Some(mut late) = late {
        assert_eq!(answer(&mut late), READONLY);
    }
    // A pause of a replica holds no writes: they are refused as without it.
    primary.must("CLIENT PAUSE 600000 WRITE");
    assert_eq!(primary.ask("SET later 1"), READONLY);
    primary.must("CLIENT UNPAUSE");
}
for_pairs!(a_longer_pause_holds_writes);

/// Without FORCE a replica that lags does not take over, and paused writes succeed.
fn a_timeout_gives_it_up(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica);
    let full = primary.number("sync_full");
    let stopped = Stopped::new(&mut primary, &replica);
    // Enough time to observe the wait.
    fail_over(&mut primary, replica.server.addr(), "TIMEOUT 1500");
    assert_eq!(state(&mut primary), "waiting-for-sync");
    let mut writer = held(&mut primary, &["SET a 1"]);
    wait_until_over(&mut primary);
    assert_eq!(answer(&mut writer), "+OK");
    let aborted = "aborted: Replica never caught up before timeout";
    assert!(primary.server.log().contains(aborted));
    drop(stopped);
    assert_roles(&mut primary, &mut replica);
    assert_same(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), full);
}
for_pairs!(a_timeout_gives_it_up: redix_redix, redix_redis7, valkey_redix);

/// What is refused meanwhile, and that FAILOVER ABORT works.
fn it_can_be_called_off(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica);
    let name = |words: &str| format!("-ERR FAILOVER {words}");
    let not_a_replica = name("target HOST and PORT is not a replica.");
    assert_eq!(primary.ask("FAILOVER TO 127.0.0.1 1"), not_a_replica);
    let wants_more = name("with force option requires both a timeout and target HOST and IP.");
    assert_eq!(primary.ask("FAILOVER FORCE TIMEOUT 100"), wants_more);
    let port = replica.server.port();
    assert_eq!(primary.ask(&format!("FAILOVER TO 127.0.0.1 {port} FORCE")), wants_more);
    let stopped = Stopped::new(&mut primary, &replica);
    assert_eq!(primary.ask("FAILOVER"), "+OK");
    let mut writer = held(&mut primary, &["SET a 1"]);
    assert_eq!(primary.ask("FAILOVER"), name("already in progress."));
    assert_eq!(primary.ask("FAILOVER bogus"), "-ERR syntax error");
    let no_change = "-ERR REPLICAOF not allowed while failing over.";
    assert_eq!(primary.ask("REPLICAOF NO ONE"), no_change);
    assert_eq!(primary.ask("REPLICAOF 127.0.0.1 port"), no_change);
    let no_sync = "-NOMASTERLINK Can't SYNC while failing over";
    assert_eq!(primary.ask("PSYNC ? -1"), no_sync);
    assert_eq!(primary.ask("SYNC"), no_sync);
    assert_eq!(primary.ask("GET synced"), "\"1\"");
    // The pause of the failover is not CLIENT PAUSE.
    assert_eq!(primary.ask("CLIENT UNPAUSE"), "+OK");
    assert_eq!(state(&mut primary), "waiting-for-sync");
    assert_eq!(primary.number("blocked_clients"), 1);
    assert_eq!(primary.ask("FAILOVER ABORT"), "+OK");
    assert_eq!(state(&mut primary), "no-failover");
    assert_eq!(answer(&mut writer), "+OK");
    drop(stopped);
    assert!(primary.server.log().contains("FAILOVER to any replica aborted: Failover manually"));
    assert_roles(&mut primary, &mut replica);
    assert_same(&mut primary, &mut replica);
}
for_pairs!(it_can_be_called_off);

/// The pauses of a failover and of a client end independently.
fn a_client_pause_outlasts_it(primary: Peer, replica: Peer) {
    let (mut primary, replica) = pair(primary, replica);
    let _stopped = Stopped::new(&mut primary, &replica);
    assert_eq!(primary.ask("CLIENT PAUSE 1000000 WRITE"), "+OK");
    assert_eq!(primary.info("paused_reason").unwrap(), "client_pause");
    fail_over(&mut primary, replica.server.addr(), "");
    assert_eq!(primary.info("paused_reason").unwrap(), "failover_in_progress");
    assert_eq!(primary.info("paused_actions").unwrap(), "write");
    let mut writer = held(&mut primary, &["SET a 1"]);
    assert_eq!(primary.ask("FAILOVER ABORT"), "+OK");
    assert_eq!(primary.info("paused_reason").unwrap(), "client_pause");
    // It is retried, and paused again.
    primary.wait_for("blocked_clients", "1");
    assert_eq!(primary.ask("CLIENT UNPAUSE"), "+OK");
    assert_eq!(answer(&mut writer), "+OK");
    assert_eq!(primary.info("paused_reason").unwrap(), "none");
    // Nor does a cancelled shutdown end it.
    fail_over(&mut primary, replica.server.addr(), "");
    let mut ending = held(&mut primary, &["SHUTDOWN NOSAVE"]);
    let mut writer = held(&mut primary, &["SET a 2"]);
    assert_eq!(primary.ask("SHUTDOWN ABORT"), "+OK");
    assert!(answer(&mut ending).starts_with("-ERR Errors trying to SHUTDOWN"));
    assert_eq!(primary.info("paused_reason").unwrap(), "failover_in_progress");
    primary.wait_for("blocked_clients", "1");
    assert_eq!(primary.ask("FAILOVER ABORT"), "+OK");
    assert_eq!(answer(&mut writer), "+OK");
}
for_pairs!(a_client_pause_outlasts_it: redix_redix, redix_valkey);

/// A replica that has disconnected is waited for, before and after the hand-over, until FAILOVER
/// ABORT.
fn a_replica_vanishes(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &[]);
    for (options, stage) in [("", "waiting-for-sync"), ("TIMEOUT 50 FORCE", "failover-in-progress")]
    {
        let mut replica = replica_of(&mut primary, replica, &[]);
        let stopped = Stopped::new(&mut primary, &replica);
        fail_over(&mut primary, replica.server.addr(), options);
        let mut writer = held(&mut primary, &["SET a 1"]);
        primary.wait_for("master_failover_state", stage);
        // There is nothing left to wake.
        std::mem::forget(stopped);
        replica.server.kill9().unwrap();
        primary.wait_for("connected_slaves", "0");
        if options.is_empty() {
            assert_eq!(primary.info("role").unwrap(), "master");
        } else {
            let tries = |log: &str| log.matches("Error condition on socket for SYNC").count();
            eventually("it tries again", || tries(&primary.server.log()) > 2);
            assert_eq!(primary.info("role").unwrap(), "slave");
        }
        assert_eq!(state(&mut primary), stage);
        assert_eq!(primary.number("blocked_clients"), 1);
        assert_eq!(primary.ask("FAILOVER ABORT"), "+OK");
        assert_eq!(primary.info("role").unwrap(), "master");
        assert_eq!(answer(&mut writer), "+OK");
    }
}
for_pairs!(a_replica_vanishes: redix_redix, redix_redis7, valkey_redix);

/// A target that refuses; the primary keeps its role.
fn the_target_does_not_let_it_happen(primary: Peer, replica: Peer) {
    let (mut primary, mut replica) = pair(primary, replica);
    let full = primary.number("sync_full");
    replica.must("ACL SETUSER default -psync");
    fail_over(&mut primary, replica.server.addr(), "");
    wait_until_over(&mut primary);
    replica.must("ACL SETUSER default +psync");
    let aborted = "aborted: Failover target rejected psync request";
    assert!(primary.server.log().contains(aborted));
    assert_eq!(primary.ask("SET a 1"), "+OK");
    assert_same(&mut primary, &mut replica);
    assert_roles(&mut primary, &mut replica);
    assert_eq!(primary.number("sync_full"), full);
    assert_eq!(primary.number("sync_partial_ok"), 1);
}
for_pairs!(the_target_does_not_let_it_happen: redix_redis7, redix_valkey);

/// The replicas of both keep their primaries, and so follow the new primary.
fn others_follow(middle: Peer, last: Peer) {
    let (mut old, mut new) = pair(middle, last);
    let mut below_old = replica_of(&mut old, last, &[]);
    let mut below_new = Node::start(middle, &[]);
    below_new.follow(new.server.addr());
    below_new.wait_linked();
    fail_over(&mut old, new.server.addr(), "");
    wait_until_over(&mut old);
    new.must("SET after 1");
    assert_roles(&mut new, &mut old);
    for below in [&mut below_old, &mut below_new] {
        below.wait_linked();
        assert_same(&mut new, below);
    }
    assert_eq!(new.number("sync_full"), 1);
    assert_eq!(old.number("sync_full"), 2);
}
for_pairs!(others_follow: redix_redix, redix_valkey, valkey_redix);

/// While it waits the data does not change: nothing expires, and nothing enters the stream.
fn nothing_changes_meanwhile(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--repl-ping-replica-period", "1"]);
    let mut replica = replica_of(&mut primary, replica, &[]);
    primary.must("SET short 1 PX 300");
    let stopped = Stopped::new(&mut primary, &replica);
    fail_over(&mut primary, replica.server.addr(), "TIMEOUT 600000");
    // The first check sends GETACK.
    eventually("the key is hidden", || primary.ask("GET short") == "(null)");
    let end = primary.number("master_repl_offset");
    assert_eq!(primary.ask("DBSIZE"), "(integer) 3");
    let mut blocked = held(&mut primary, &["WAIT 2 0"]);
    // Two rounds of a primary's periodic work.
    let second = primary.number("uptime_in_seconds");
    eventually("time passes", || primary.number("uptime_in_seconds") > second + 2);
    assert_eq!(primary.number("master_repl_offset"), end);
    assert_eq!(primary.ask("DBSIZE"), "(integer) 3");
    drop(stopped);
    wait_until_over(&mut primary);
    // There is no WAIT on a replica.
    assert!(answer(&mut blocked).starts_with("-UNBLOCKED "));
    assert_roles(&mut replica, &mut primary);
    assert_same(&mut replica, &mut primary);
    assert_eq!(replica.ask("EXISTS synced unknown short"), "(integer) 2");
}
for_pairs!(nothing_changes_meanwhile: redix_redix, redix_valkey);

/// A target without a data set, and one whose announced address is behind a network that breaks
/// while it takes over.
fn a_target_behind_a_network(primary: Peer, replica: Peer) {
    let mut primary = Node::start(primary, &["--repl-diskless-sync-delay", "1000"]);
    let mut replica = Node::start(replica, &[]);
    let proxy = Proxy::to(replica.server.addr()).unwrap();
    replica.must(&format!("CONFIG SET replica-announce-port {}", proxy.port()));
    replica.follow(primary.server.addr());
    primary.wait_for("connected_slaves", "1");
    let to = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 10000", proxy.port());
    assert_eq!(primary.ask(&to), "-ERR FAILOVER target replica is not online.");
    primary.must("CONFIG SET repl-diskless-sync-delay 0");
    replica.wait_linked();
    primary.must("SET synced 1");
    assert_eq!(primary.ask("WAIT 1 10000"), "(integer) 1");
    proxy.sever();
    assert_eq!(primary.ask(&to), "+OK");
    primary.wait_for("master_failover_state", "failover-in-progress");
    assert_eq!(primary.ask("SET refused 1"), READONLY);
    proxy.restore();
    wait_until_over(&mut primary);
    assert_eq!(replica.info("role").unwrap(), "master");
    assert_same(&mut replica, &mut primary);
    assert_eq!(replica.number("sync_full"), 0);
    assert_eq!(replica.number("sync_partial_ok"), 1);
}
for_pairs!(a_target_behind_a_network: redix_redix, redix_redis7);
